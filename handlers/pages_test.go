package handlers_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/PuerkitoBio/goquery"

	"whalefall/models"
)

// page is an HTML answer.
type page struct {
	*client
	what   string
	status int
	header http.Header
	doc    *goquery.Document
}

// visit requests HTML as a browser does. Pairs are headers.
func (c *client) visit(path string, pairs ...string) *page {
	c.Helper()
	return c.browse("GET", path, nil, pairs...)
}

// submit sends a form.
func (c *client) submit(path string, form url.Values, pairs ...string) *page {
	c.Helper()
	return c.browse("POST", path, form, pairs...)
}

func (c *client) browse(method, path string, form url.Values, pairs ...string) *page {
	c.Helper()
	request, err := http.NewRequestWithContext(c.Context(), method, c.url+path, strings.NewReader(form.Encode()))
	check(c, err)
	request.Header = c.header.Clone()
	if form != nil {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(pairs); i += 2 {
		request.Header.Set(pairs[i], pairs[i+1])
	}
	stay := *c.http
	stay.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	answer, err := stay.Do(request)
	check(c, err)
	defer answer.Body.Close()
	doc, err := goquery.NewDocumentFromReader(answer.Body)
	check(c, err)
	return &page{client: c, what: method + " " + path, status: answer.StatusCode, header: answer.Header, doc: doc}
}

func (p *page) wantStatus(status int) *page {
	p.Helper()
	if p.status != status {
		p.Fatalf("%s: %d, want %d: %.300s", p.what, p.status, status, p.doc.Text())
	}
	return p
}

// has checks that exactly n elements match each selector.
func (p *page) has(n int, selectors ...string) *page {
	p.Helper()
	for _, s := range selectors {
		equal(p, p.what+" "+s, p.doc.Find(s).Length(), n)
	}
	return p
}

func (p *page) says(text string) *page {
	p.Helper()
	if !strings.Contains(p.doc.Text(), text) {
		p.Errorf("%s does not say %q", p.what, text)
	}
	return p
}

var htmx = []string{"HX-Request", "true"}

func into(target string) []string { return []string{"HX-Request", "true", "HX-Target", target} }

func n(v int64) *int64 { return new(v) }

// snapshot stores a result for a database of a new instance and returns the path of its tables.
func (a *app) snapshot(name string, r models.TableResult) string {
	a.Helper()
	return a.snapshotOf(a.sqliteInstance(name, a.sqliteFile("CREATE TABLE t (id)")), name, r)
}

// snapshotOf stores a result for a database of the instance and returns the path of its tables.
func (a *app) snapshotOf(instance, database string, r models.TableResult) string {
	a.Helper()
	var id int64
	_, err := fmt.Sscanf(instance, "/instances/%d", &id)
	check(a, err)
	now := a.now()
	_, err = a.store.SaveTableSizes(a.Context(),
		models.SaveTables{InstanceID: id, Database: database, Result: r, CollectedAt: now, Started: now})
	check(a, err)
	return instance + "/databases/" + url.PathEscape(database) + "/tables"
}

func TestPages_Login(t *testing.T) {
	t.Parallel()
	a := newApp(t, t.TempDir()+"/store.db")
	p := a.anonymous.visit("/instances?search=a%26b").wantStatus(http.StatusSeeOther)
	equal(t, "page", p.header.Get("Location"), "/login?next=%2Finstances%3Fsearch%3Da%2526b")
	p = a.anonymous.visit("/instances", htmx...).wantStatus(http.StatusUnauthorized)
	equal(t, "fragment", p.header.Get("HX-Redirect"), "/login?next=%2Finstances")
	for from, want := range map[string]string{
		a.url + "/instances/1?q=x": "/login?next=%2Finstances%2F1%3Fq%3Dx",
		"http://evil.example/x":    "/login?next=%2Finstances",
		"":                         "/login?next=%2Finstances",
	} {
		p = a.anonymous.visit("/instances/1/databases/main/tables", append(htmx, "HX-Current-URL", from)...)
		equal(t, "fragment of "+from, p.header.Get("HX-Redirect"), want)
	}

	form := url.Values{"username": {"admin"}, "password": {"wrong"}, "next": {"/instances/7"}}
	a.newClient().
		submit("/login", form).
		wantStatus(http.StatusUnauthorized).
		has(1, "#login-problem .error", `input[name=next][value="/instances/7"]`)
	form.Set("password", password)
	for next, want := range map[string]string{
		"/instances/7?q=1": "/instances/7?q=1", "//evil.example": "/", "https://evil.example/": "/", `/\evil.example`: "/",
		"": "/",
	} {
		form.Set("next", next)
		p := a.newClient().submit("/login", form).wantStatus(http.StatusSeeOther)
		equal(t, "next="+next, p.header.Get("Location"), want)
	}
	p = a.admin.visit("/preferences?lang=en&next=//evil.example").wantStatus(http.StatusSeeOther)
	equal(t, "preferences", p.header.Get("Location"), "/")
	a.admin.visit("/instances").has(1, `html[lang=en]`)
}

func TestPages_Roles(t *testing.T) {
	t.Parallel()
	a := newApp(t, t.TempDir()+"/store.db")
	instance := a.sqliteInstance("seen", a.sqliteFile("CREATE TABLE t (id)"))
	tables := instance + "/databases/main/tables"

	a.admin.visit("/instances").has(1, "#add-instance")
	a.admin.visit(instance).has(1, "#edit-instance", "#delete-instance", "form #sync-capacity")
	a.admin.visit(tables).has(1, "form #tables-refresh")
	a.user.visit("/instances").has(0, "#add-instance")
	a.user.visit(instance).has(0, "#edit-instance", "#delete-instance").has(1, "form #sync-capacity")
	a.guest.visit(instance).has(0, "#edit-instance", "#delete-instance").has(1, "#sync-capacity[disabled]", "#sync-reason")
	a.guest.visit(tables).has(1, "#tables-refresh[disabled]", "#refresh-reason")

	for _, path := range []string{
		"/instances", instance, instance + "/delete", instance + "/restore", "/connections/test",
	} {
		a.user.submit(path, url.Values{}).wantStatus(http.StatusForbidden)
	}
	for _, path := range []string{instance + "/sync", tables + "/refresh"} {
		a.guest.submit(path, url.Values{}).wantStatus(http.StatusForbidden)
	}
	a.user.visit("/instances/new").wantStatus(http.StatusForbidden)
	a.admin.with("X-CSRFToken", "").
		submit(instance+"/delete", url.Values{}, htmx...).
		wantStatus(http.StatusForbidden).
		has(1, ".toast.error[data-error-id]")

	a.admin.submit(instance+"/delete", url.Values{}).wantStatus(http.StatusSeeOther)
	for _, path := range []string{instance, instance + "/edit", tables} {
		a.admin.visit(path).wantStatus(http.StatusNotFound).has(1, ".failure")
	}
	a.admin.visit("/instances?status=deleted").
		has(1, `#instance-list form[action$="/restore"]`, `#instance-list form[action$="/destroy"]`)
	a.user.visit("/instances?status=deleted").has(0, "#instance-list form button")
}

func TestRender(t *testing.T) {
	t.Parallel()
	a := newApp(t, t.TempDir()+"/store.db")
	instance := a.sqliteInstance("parts", a.sqliteFile("CREATE TABLE t (id)"))
	tables := instance + "/databases/main/tables"

	a.admin.visit(tables).has(1, "header.topbar", "#tables")
	a.admin.visit(tables, append(htmx, "HX-History-Restore-Request", "true")...).has(1, "header.topbar")
	a.admin.visit(tables, into("modal")...).has(0, "header.topbar").has(1, "#tables")
	a.admin.visit(tables, into("tables-view")...).has(0, "#tables", "#tables-view").has(1, "[data-empty=never]")
	a.admin.visit(instance, into("database-list")...).has(0, ".cards", "#database-filter")
	a.admin.visit("/instances/999/databases/x/tables", into("modal")...).
		wantStatus(http.StatusNotFound).
		has(1, "#modal-title", ".failure-id")

	p := a.admin.syncEnded(a.admin.sync(instance)).has(0, ".cards", "tr").has(1, ".toast.success")
	equal(t, "event of a sync", p.header.Get("HX-Trigger"), "inventory-changed")
	a.admin.visit(instance, into("capacity-cards")...).has(1, ".cards").has(0, "tr")
	p = a.admin.refreshTables(tables)
	p.has(0, "#collected-at").has(1, ".toast.success", "#tables-refresh").says("刷新成功: 写入 1 条, 清理 0 条, 耗时")
	equal(t, "event of a refresh", p.header.Get("HX-Trigger"), "tables-changed")
	a.admin.visit(tables).has(0, "#toasts .toast")
}

func TestTableSizesPage_EmptyStates(t *testing.T) {
	t.Parallel()
	a := newApp(t, t.TempDir()+"/store.db")
	hostile := `"><script>alert(1)</script>`
	full := a.snapshot("full", models.TableResult{Complete: true, Tables: []models.TableSize{
		{
			Schema: "s", Name: hostile, Kind: models.KindTable, Total: n(4096), Data: n(3072), Index: n(1024), Unused: n(0),
			Rows: n(12345), RowsSource: models.RowsStatistic, SizeSource: models.SizeAllocated,
		},
		{Schema: "s", Name: "elsewhere", Kind: models.KindExternal, SizeSource: models.SizeNone},
		{
			Schema:     "s",
			Name:       "p",
			Kind:       models.KindPartitioned,
			RolledUp:   true,
			Total:      n(10),
			Data:       n(10),
			Index:      n(0),
			Unused:     n(0),
			SizeSource: models.SizeAllocated,
		},
		{
			Schema:       "s",
			Name:         "p_1",
			Kind:         models.KindPartition,
			ParentSchema: "s",
			Parent:       "p",
			Total:        n(10),
			Data:         n(10),
			Index:        n(0),
			Unused:       n(0),
			SizeSource:   models.SizeAllocated,
		},
	}})
	p := a.admin.visit(full).
		wantStatus(http.StatusOK).
		has(3, "#tables-view tbody tr").
		has(0, "#incomplete", "tbody script")
	row := p.doc.Find("tbody tr").First()
	equal(t, "name", row.AttrOr("data-table", ""), hostile)
	equal(t, "bytes", row.Find("td.size").AttrOr("title", ""), "4,096 B · 占比 99.8%")
	equal(t, "estimate", row.Find("td:nth-child(7)").Text(), "≈12,345")
	equal(t, "size", row.Find(".amount").Text(), "4.00 KiB")
	equal(t, "unknown", p.doc.Find(`tr[data-table=elsewhere] .amount`).Text(), "—")
	p.has(1, `tr[data-table=p] [data-fold]`)
	a.admin.visit(full+"/partitions?parent_schema=s&parent=p", htmx...).has(1, ".badge").says("p_1")
	a.admin.visit(full+"?partitions=all").has(4, "#tables-view tbody tr")
	a.admin.visit(full+"?q=ELSE").has(1, "#tables-view tbody tr").says("1–1 / 1")
	a.admin.visit(full+"?q=nothing").has(1, "[data-empty=filtered]", "#clear-filter")
	a.admin.visit(full+"?limit=50&page=9").has(3, "#tables-view tbody tr")

	grant := "GRANT SELECT ON ALL TABLES IN SCHEMA s TO mon;"
	denied := a.snapshot("denied", models.TableResult{Hidden: 7, Grant: grant})
	p = a.admin.visit(denied).has(1, "[data-empty=denied]").says("执行以下授权语句")
	equal(t, "grant to copy", p.doc.Find("[data-copy]").AttrOr("data-copy", ""), grant)
	partial := a.snapshot("partial", models.TableResult{Hidden: 7, Grant: grant, Tables: []models.TableSize{
		{Schema: "s", Name: "t", Kind: models.KindTable, Total: n(1), SizeSource: models.SizeAllocated},
	}})
	a.admin.visit(partial).has(1, "#incomplete", "#incomplete [data-copy]").says("7 张表对采集账号不可见")
	a.admin.visit(a.snapshot("bare", models.TableResult{Complete: true})).has(1, "[data-empty=none]")
}

func TestTableSizesPage_ByID(t *testing.T) {
	t.Parallel()
	a := newApp(t, t.TempDir()+"/store.db")
	instance := a.sqliteInstance("names", a.sqliteFile("CREATE TABLE t (id)"))
	var id int64
	_, err := fmt.Sscanf(instance, "/instances/%d", &id)
	check(t, err)
	for _, name := range []string{".", "..", "a/b", "100%_", "x'; --", "测试"} {
		a.addDatabase(id, name)
	}
	a.admin.visit(instance).
		has(6, "a[data-primary]").
		doc.Find("a[data-primary]").
		Each(func(_ int, link *goquery.Selection) {
			name := link.Closest("tr").AttrOr("data-database", "")
			p := a.admin.visit(link.AttrOr("href", "")).wantStatus(http.StatusOK)
			equal(t, "database", p.doc.Find("[data-database-name]").Text(), name)
		})
}

func TestInstanceFormPage(t *testing.T) {
	t.Parallel()
	a := newApp(t, t.TempDir()+"/store.db")
	ports := func(query string) string {
		p := a.admin.visit("/instances/new?"+query, into("instance-fields")...).wantStatus(http.StatusOK)
		return p.doc.Find("input[name=port]").AttrOr("value", "none")
	}
	equal(t, "default", ports("db_type=mysql"), "3306")
	equal(t, "follows the engine", ports("shown_type=postgresql&db_type=mysql&port=5432"), "3306")
	equal(t, "typed by hand", ports("shown_type=postgresql&db_type=mysql&port=6000"), "6000")
	equal(t, "a file has none", ports("shown_type=postgresql&db_type=sqlite&port=5432"), "none")
	equal(t, "of SQL Server", ports("shown_type=postgresql&db_type=sqlserver&port=5432"), "1433")
	equal(t, "of Oracle", ports("db_type=oracle"), "1521")

	certificate := certificateText(t)
	form := url.Values{
		"name":                   {"formed"},
		"db_type":                {"postgresql"},
		"host":                   {"db.example"},
		"port":                   {"5432"},
		"credential_id":          {""},
		"username":               {"mon"},
		"password":               {"p:@/%"},
		"tag_names":              {"a, b"},
		"is_active":              {"false", "true"},
		"tls_mode":               {"verify-ca"},
		"options.ca_certificate": {certificate},
	}
	bad := url.Values{"name": {"formed"}, "db_type": {"postgresql"}, "host": {"db.example"}, "port": {"x"}}
	a.admin.submit("/instances", bad, htmx...).wantStatus(http.StatusBadRequest).has(1, ".toast.error").says("端口号必须是整数")
	p := a.admin.submit("/instances", form, htmx...).wantStatus(http.StatusOK)
	address := p.header.Get("HX-Redirect")
	edit := a.admin.visit(address + "/edit").wantStatus(http.StatusOK)
	for selector, want := range map[string]string{
		"input[name=host]": "db.example", "input[name=tag_names]": "a, b", "input[name=password]": "",
		"input[name=port]": "5432",
	} {
		equal(t, selector, edit.doc.Find(selector).AttrOr("value", ""), want)
	}
	equal(t, "certificate", edit.doc.Find("textarea[name='options.ca_certificate']").Text(), certificate)
	chosen := edit.doc.Find(".credential-choice option[selected]").AttrOr("value", "")

	form.Set("credential_id", chosen)
	form.Set("username", "filled in by the browser")
	form["is_active"] = []string{"false"}
	a.admin.submit(address, form).wantStatus(http.StatusSeeOther)
	credentials, err := a.store.Credentials(t.Context())
	check(t, err)
	equal(t, "credentials", len(credentials), 1)
	a.admin.visit(address).has(1, ".status.inactive")
}

// A link fills in nothing but the engine, which is how the choice works without scripts.
func TestInstanceFormPage_Link(t *testing.T) {
	t.Parallel()
	a := newApp(t, t.TempDir()+"/store.db")
	r := a.admin.post("/instances", obj{"name": "kept", "db_type": "pg", "host": "db.example", "port": 5432})
	path := fmt.Sprintf("/instances/%d/edit", r.id("instance", "id"))
	const query = "?db_type=mysql&shown_type=postgresql&host=evil.example&port=6000&username=u&tls_mode=disable"
	for _, headers := range [][]string{
		nil, {"HX-Request", "true", "HX-History-Restore-Request", "true"}, {"HX-Request", "true", "HX-Boosted", "true"},
	} {
		p := a.admin.visit(path+query, headers...).
			has(1, "#instance-type option[value=mysql][selected]", ".tls-choice option[value=prefer][selected]")
		equal(t, "host", p.doc.Find("input[name=host]").AttrOr("value", ""), "db.example")
		equal(t, "port", p.doc.Find("input[name=port]").AttrOr("value", ""), "5432")
	}
	p := a.admin.visit(path+query, into("instance-fields")...).has(1, ".tls-choice option[value=disable][selected]")
	equal(t, "typed", p.doc.Find("input[name=host]").AttrOr("value", ""), "evil.example")
}

func TestInstanceFormPage_Oracle(t *testing.T) {
	t.Parallel()
	a := newApp(t, t.TempDir()+"/store.db")
	own := []string{"input[name='options.sid']", "input[name='options.wallet_directory']"}
	for _, engine := range []string{"mysql", "postgresql", "sqlserver"} {
		a.admin.visit("/instances/new?db_type="+engine).has(0, own...).has(1, "textarea[name='options.ca_certificate']")
	}
	a.admin.visit("/instances/new?db_type=sqlite").has(0, own...).has(0, "textarea[name='options.ca_certificate']")
	a.admin.visit("/instances/new?db_type=oracle").
		has(1, own...).
		has(1, "textarea[name='options.ca_certificate']").
		says("服务名").
		says("SID").
		says("钱包目录")
	kept := a.admin.visit("/instances/new?db_type=oracle&shown_type=oracle&options.sid=ORCL", into("instance-fields")...)
	equal(t, "typed before", kept.doc.Find(own[0]).AttrOr("value", ""), "ORCL")

	form := url.Values{
		"name":                     {"ora"},
		"db_type":                  {"oracle"},
		"host":                     {"db.example"},
		"port":                     {"1521"},
		"credential_id":            {""},
		"database_name":            {"pdb.example.com"},
		"options.sid":              {"ORCL"},
		"options.wallet_directory": {"/etc/wallet"},
		"options.ca_certificate":   {""},
		"is_active":                {"true"},
	}
	p := a.admin.submit("/instances", form).wantStatus(http.StatusSeeOther) // as without scripts
	address := p.header.Get("Location")
	edit := a.admin.visit(address + "/edit").wantStatus(http.StatusOK)
	for selector, want := range map[string]string{
		"input[name=database_name]": "pdb.example.com", own[0]: "ORCL", own[1]: "/etc/wallet",
	} {
		equal(t, selector, edit.doc.Find(selector).AttrOr("value", ""), want)
	}
	a.admin.visit(address).says("服务名").says("ORCL")
	form.Set("host", "")
	a.admin.submit(address, form, htmx...).wantStatus(http.StatusBadRequest)
	form.Set("database_name", strings.Repeat("x", 600))
	form.Set("host", "db.example")
	a.admin.submit(address, form, htmx...).wantStatus(http.StatusBadRequest).says("字段 '服务名' 长度")
}

// TestPages_ContentPolicy looks for what the policy would block: inline styles, scripts and handlers.
func TestPages_ContentPolicy(t *testing.T) {
	t.Parallel()
	a := newApp(t, t.TempDir()+"/store.db")
	instance := a.sqliteInstance("policy", a.sqliteFile("CREATE TABLE t (id)"))
	a.admin.syncEnded(a.admin.sync(instance))
	a.admin.refreshTables(instance + "/databases/main/tables")
	for _, path := range []string{
		"/instances", "/instances/new", instance, instance + "/edit", instance + "/databases/main/tables",
		instance + "/runs", "/refreshes/2", "/nowhere",
	} {
		p := a.admin.visit(path).has(0, "[style]", "style", "script:not([src])", "[onclick]", "[onload]", "[hx-on]")
		p.doc.Find("script[src], link[href], img[src]").Each(func(_ int, s *goquery.Selection) {
			address := s.AttrOr("src", s.AttrOr("href", ""))
			asset := a.admin.visit(address).wantStatus(http.StatusOK)
			if !strings.HasPrefix(address, "/static/") || !strings.Contains(asset.header.Get("Cache-Control"), "immutable") {
				t.Errorf("%s loads %s, cached %q", path, address, asset.header.Get("Cache-Control"))
			}
		})
	}
}
