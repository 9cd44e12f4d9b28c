package handlers_test

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // changes the store behind the product's back
	"github.com/labstack/echo/v4"

	"whalefall/collectors"
	"whalefall/models"
	"whalefall/testenv"
)

const readAudit = "获取审计日志成功"

// tooSlow is a server that never answers in time.
type tooSlow struct{ collectors.Collector }

func (tooSlow) Version(context.Context, collectors.Target) (models.Version, error) {
	return models.Version{}, &models.Error{Code: models.CodeTimeout}
}

func (tooSlow) Databases(context.Context, collectors.Target) (models.DatabaseResult, error) {
	return models.DatabaseResult{}, &models.Error{Code: models.CodeTimeout}
}

// onBothStoresWith is onBothStores with engines of the test's own.
func onBothStoresWith(t *testing.T, others map[models.Engine]collectors.Collector, test func(a *app)) {
	t.Parallel()
	for store, address := range map[string]func(t *testing.T) string{
		"sqlite":   func(t *testing.T) string { return filepath.Join(t.TempDir(), "store.db") },
		"postgres": func(t *testing.T) string { return testenv.PostgreSQL(t).NewDatabase(t) },
	} {
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			test(newAppWith(t, address(t), others))
		})
	}
}

// auditor checks the entries that each step adds to the audit log.
type auditor struct {
	*app
	total float64
}

func (a *app) auditor() *auditor {
	a.Helper()
	return &auditor{app: a, total: a.admin.get("/audit").want(200, readAudit).at("total").(float64)}
}

// noted checks that exactly one entry was added since the last check: user [token], action, target [#id], status
// [code]. Method and path, which differ between the doors, are given.
func (a *auditor) noted(r interface{ asked() string }, want string) {
	a.Helper()
	answer := a.admin.get("/audit?limit=1").want(200, readAudit)
	total := answer.at("total").(float64)
	if total != a.total+1 {
		a.Errorf("%s left %.0f entries, want 1: %s", r.asked(), total-a.total, want)
	}
	a.total = total
	e := answer.at("items", 0).(obj)
	equal(a, r.asked(), entryLine(e), want)
	equal(a, "request", fmt.Sprint(e["method"], " ", e["path"]), r.asked())
	equal(a, "ip", e["ip"], any("127.0.0.1"))
	equal(a, "result", e["result"], any(map[bool]string{true: "success", false: "failure"}[e["message_code"] == nil]))
	if id, _ := e["request_id"].(string); !hexID.MatchString(id) {
		a.Errorf("request id %v", e["request_id"])
	}
}

// entryLine returns an audit entry as one line.
func entryLine(e obj) string {
	parts := []string{fmt.Sprint(cmp.Or(e["username"], any("?")))}
	for _, p := range []struct{ name, format string }{
		{"token_name", "[%v]"},
		{"action", "%v"},
		{"target_name", "%v"},
		{"target_id", "#%v"},
		{"status", "%v"},
		{"message_code", "%v"},
	} {
		if e[p.name] != nil {
			parts = append(parts, fmt.Sprintf(p.format, e[p.name]))
		}
	}
	return strings.Join(parts, " ")
}

func (r *response) asked() string {
	method, path, _ := strings.Cut(r.what, " ")
	return method + " " + decoded(path)
}

func (p *page) asked() string {
	method, path, _ := strings.Cut(p.what, " ")
	return method + " " + decoded(path)
}

func decoded(address string) string {
	if u, err := url.Parse(address); err == nil {
		return u.Path
	}
	return address
}

func TestAudit_APIWrites(t *testing.T) {
	onBothStoresWith(t, map[models.Engine]collectors.Collector{models.MySQL: tooSlow{}}, func(app *app) {
		a := app.auditor()
		c := a.newClient()
		login := func(name, password any) *response {
			return c.post("/auth/login", obj{"username": name, "password": password})
		}
		a.noted(login("user_1", password), "user_1 auth.login user_1 #2 200")
		a.noted(login("guest_1", "Wrong1horse"), "guest_1 auth.login 401 INVALID_CREDENTIALS")
		a.noted(login("nobody", password), "nobody auth.login 401 INVALID_CREDENTIALS")
		a.noted(login("My secret password!", "x"), "? auth.login 401 INVALID_CREDENTIALS")
		// An attempt without a password is not a login.
		login("user_1", "").want(400, "用户名和密码不能为空")
		c.post("/auth/login", "{").want(400, "请求体不是有效的 JSON")
		c.with("X-CSRFToken", "").post("/auth/login", obj{"username": "user_1", "password": password}).want(403, "缺少 CSRF 令牌")
		a.admin.put("/users/3", obj{"is_active": false}).want(200, "用户更新成功")
		a.total++
		a.noted(login("guest_1", password), "guest_1 auth.login 403 ACCOUNT_DISABLED")
		a.admin.put("/users/3", obj{"is_active": true}).want(200, "用户更新成功")
		a.guest = a.login("guest_1", password)
		a.total += 2
		a.noted(login("user_1", password), "user_1 auth.login user_1 #2 200")
		a.noted(c.post("/auth/change-password", obj{}), "user_1 auth.change_password user_1 #2 400 VALIDATION_ERROR")
		wrong := obj{"old_password": "Wrong1horse", "new_password": "Another1one", "confirm_password": "Another1one"}
		a.noted(c.post("/auth/change-password", wrong), "user_1 auth.change_password user_1 #2 401 INVALID_OLD_PASSWORD")
		a.noted(c.post("/auth/logout", nil), "user_1 auth.logout 200")
		c.post("/auth/logout", nil).want(401, "请先登录") // no actor, no entry
		c.post("/tags", obj{"name": "x"}).want(401, "请先登录")

		made := a.admin.post("/tokens", obj{"name": `ci "1"`, "role": "admin"})
		a.noted(made, `admin token.create ci "1" #1 201`)
		token := a.bearer(made.at("secret").(string))
		a.noted(token.post("/tags", obj{"name": "核心", "color": "red"}), `admin [ci "1"] tag.create 核心 #1 201`)
		a.noted(token.post("/auth/login", obj{"username": "guest_1", "password": password}),
			"guest_1 auth.login guest_1 #3 200")
		a.noted(a.admin.post("/tokens", obj{"name": `ci "1"`}), `admin token.create ci "1" 409 CONSTRAINT_VIOLATION`)
		a.noted(a.guest.post("/tokens", obj{"name": "x", "role": "admin"}), "guest_1 token.create 403 PERMISSION_REQUIRED")
		a.noted(a.guest.remove("/tokens/1"), "guest_1 token.delete #1 404 RESOURCE_NOT_FOUND")
		a.noted(a.guest.remove("/tokens/x"), "guest_1 token.delete 404 RESOURCE_NOT_FOUND")
		a.noted(token.remove("/tokens/1"), `admin [ci "1"] token.delete ci "1" #1 200`)
		token.post("/tags", obj{"name": "x"}).want(401, "请先登录")

		a.noted(a.admin.put("/tags/1", obj{"name": "核心", "display_name": "核"}), "admin tag.update 核心 #1 200")
		a.noted(a.user.remove("/tags/1"), "user_1 tag.delete 403 PERMISSION_REQUIRED")
		a.noted(a.admin.remove("/tags/1"), "admin tag.delete 核心 #1 200")
		a.noted(a.admin.post("/users", obj{"username": "fourth", "password": "Secret1word", "role": "guest"}),
			"admin user.create fourth #4 201")
		a.noted(a.admin.post("/users", obj{"username": "fourth", "password": "Secret1word", "role": "guest"}),
			"admin user.create fourth 409 USERNAME_EXISTS")
		a.noted(a.admin.put("/users/4", obj{"role": "user"}), "admin user.update fourth #4 200")
		a.noted(a.admin.put("/users/1", obj{"is_active": false}), "admin user.update admin #1 409 LAST_ADMIN_REQUIRED")
		a.noted(a.admin.put("/users/99", obj{"role": "user"}), "admin user.update #99 404 RESOURCE_NOT_FOUND")
		credential := a.admin.post("/credentials", obj{"name": "prod", "username": "u", "password": "Secret1word"})
		a.noted(credential, "admin credential.create prod #1 201")
		a.noted(a.admin.put("/credentials/1", obj{"password": "Secret1other"}), "admin credential.update prod #1 200")
		a.noted(a.admin.post("/credentials", "["), "admin credential.create 400 VALIDATION_ERROR")
		a.noted(a.admin.remove("/credentials/1"), "admin credential.delete prod #1 200")
		a.instances()
		a.secrets("Secret1word", "Secret1other", "Wrong1horse", "Another1one", password, models.TokenPrefix, "My secret")
	})
}

// instances checks writes to instances and collections.
func (a *auditor) instances() {
	a.Helper()
	slow := a.serverInstance("slow", models.MySQL)
	a.total++
	file := a.sqliteFile("CREATE TABLE t (id)")
	a.sqliteInstance("files", file)
	a.total++
	test := func(body obj) *response { return a.admin.post("/connections/actions/test", body) }
	a.noted(a.admin.put(slow, obj{
		"name": "slow", "db_type": "mysql", "host": "db.example", "port": 1, "username": "u", "password": "Secret1word",
	}), "admin instance.update slow #1 200")
	a.noted(a.admin.post("/instances", obj{"name": "files", "db_type": "sqlite", "database_name": file}),
		"admin instance.create files 409 CONSTRAINT_VIOLATION")
	a.noted(a.user.post("/instances/2/actions/sync-capacity", nil), "user_1 instance.sync files #2 200")
	a.noted(a.user.post("/instances/1/actions/sync-capacity", nil), "user_1 instance.sync slow #1 504 COLLECTION_TIMEOUT")
	a.noted(a.guest.post("/instances/2/actions/sync-capacity", nil), "guest_1 instance.sync 403 PERMISSION_REQUIRED")
	a.noted(a.user.post("/instances/99/actions/sync-capacity", nil), "user_1 instance.sync #99 404 RESOURCE_NOT_FOUND")
	const refresh = "/tables/sizes/actions/refresh"
	a.noted(a.user.post("/instances/2/databases/main"+refresh, nil), "user_1 tables.refresh files / main #2 200")
	a.noted(a.user.post("/instances/2/databases/a%2Fb%25%3Cscript%3E"+refresh, nil),
		"user_1 tables.refresh files / a/b%<script> #2 409 SYNC_DATA_ERROR")
	a.noted(a.user.post("/databases/1"+refresh, nil), "user_1 tables.refresh files / main #2 200")
	a.noted(a.user.post("/databases/99"+refresh, nil), "user_1 tables.refresh 404 RESOURCE_NOT_FOUND")
	a.noted(a.user.post("/instances/2/databases/main"+refresh+"?limit=x", nil),
		"user_1 tables.refresh 400 VALIDATION_ERROR")
	a.noted(test(obj{"instance_id": 2}), "admin connection.test files #2 200")
	a.noted(test(obj{"instance_id": 99}), "admin connection.test #99 404 RESOURCE_NOT_FOUND")
	a.noted(test(obj{"db_type": "sqlite", "database_name": file}), "admin connection.test "+file+" 200")
	a.noted(test(obj{"db_type": "mysql", "host": "db.example", "port": 3306, "username": "u", "password": "Secret1word"}),
		"admin connection.test db.example:3306 504 COLLECTION_TIMEOUT")
	a.noted(a.user.post("/connections/actions/batch-test", obj{"instance_ids": []int{2}}),
		"user_1 connection.batch_test files 200")
	a.noted(a.admin.importFile("servers.csv", importHeader+"pg,postgresql,h,5432\n"),
		"admin instance.import servers.csv 200")
	a.noted(a.user.importFile("servers.csv", importHeader), "user_1 instance.import 403 PERMISSION_REQUIRED")
	a.noted(a.admin.remove("/instances/2"), "admin instance.delete files #2 200")
	a.noted(a.admin.post("/instances/2/restore", nil), "admin instance.restore files #2 200")
	a.noted(a.admin.post("/instances/2/delete", nil), "admin instance.delete files #2 200")
	a.noted(a.admin.post("/instances/2/actions/restore", nil), "admin instance.restore files #2 200")
	a.noted(a.admin.post("/instances/batch-delete", obj{"instance_ids": []int{1, 2}, "deletion_mode": "soft"}),
		"admin instance.batch_delete soft: slow, files 200")
	a.noted(a.admin.post("/instances/batch-delete", obj{"instance_ids": []int{}}),
		"admin instance.batch_delete 400 VALIDATION_ERROR")
}

// secrets checks that no audit entry contains any of the texts.
func (a *auditor) secrets(texts ...string) {
	a.Helper()
	log := a.admin.get("/audit?limit=100").want(200, readAudit).raw
	for _, text := range texts {
		if strings.Contains(log, text) {
			a.Errorf("the audit log holds %q", text)
		}
	}
}

func TestAudit_PageWrites(t *testing.T) {
	onBothStores(t, func(app *app) {
		a := app.auditor()
		form := func(pairs ...string) url.Values {
			values := url.Values{}
			for i := 0; i < len(pairs); i += 2 {
				values.Set(pairs[i], pairs[i+1])
			}
			return values
		}
		c := a.newClient()
		a.noted(c.submit("/login", form("username", "user_1", "password", "Wrong1horse")),
			"user_1 auth.login 401 INVALID_CREDENTIALS")
		a.noted(c.submit("/login", form("username", "user_1", "password", password)), "user_1 auth.login user_1 #2 303")
		a.noted(a.admin.submit("/login", form("username", "guest_1", "password", "Wrong1horse")),
			"guest_1 auth.login 401 INVALID_CREDENTIALS")
		a.noted(c.submit("/account/password", form("old_password", "x"), htmx...),
			"user_1 auth.change_password user_1 #2 400 VALIDATION_ERROR")
		change := form("old_password", password, "new_password", "Another1one", "confirm_password", "Another1one")
		a.noted(c.submit("/account/password", change), "user_1 auth.change_password user_1 #2 303")
		a.noted(c.submit("/tokens", form("name", "ci"), htmx...), "user_1 token.create ci #1 200")
		a.noted(c.submit("/tokens", form("name", "ci")), "user_1 token.create ci 409 CONSTRAINT_VIOLATION")
		a.noted(a.guest.submit("/tokens/1/delete", form()), "guest_1 token.delete #1 404 RESOURCE_NOT_FOUND")
		a.noted(c.submit("/tokens/1/delete", form(), htmx...), "user_1 token.delete ci #1 200")
		a.noted(c.submit("/logout", form()), "user_1 auth.logout 303")
		c.submit("/tags", form("name", "x")).wantStatus(http.StatusSeeOther) // redirected to the login

		a.user = a.login("user_1", "Another1one")
		a.total++

		a.noted(a.admin.submit("/users", form("username", "fourth", "password", "Secret1word", "role", "guest"), htmx...),
			"admin user.create fourth #4 200")
		a.noted(a.admin.submit("/users/4", form("is_active", "false"), htmx...), "admin user.update fourth #4 200")
		a.noted(a.admin.submit("/credentials", form("name", "prod", "username", "u", "password", "Secret1word"), htmx...),
			"admin credential.create prod #1 200")
		a.noted(a.admin.submit("/credentials/1", form("name", "prod", "username", "v"), htmx...),
			"admin credential.update prod #1 200")
		a.noted(a.admin.submit("/credentials/1/delete", form(), htmx...), "admin credential.delete prod #1 200")
		a.noted(a.admin.submit("/tags", form("name", "核心", "color", "red"), htmx...), "admin tag.create 核心 #1 200")
		a.noted(a.guest.submit("/tags/1", form("name", "x"), htmx...), "guest_1 tag.update 403 PERMISSION_REQUIRED")
		a.noted(a.admin.submit("/tags/1/delete", form(), htmx...), "admin tag.delete 核心 #1 200")

		file := a.sqliteFile("CREATE TABLE t (id)")
		files := form("name", "files", "db_type", "sqlite", "database_name", file, "is_active", "true")
		a.noted(a.admin.submit("/instances", files, htmx...), "admin instance.create files #1 200")
		a.noted(a.admin.submit("/connections/test", form("db_type", "sqlite", "database_name", file), htmx...),
			"admin connection.test "+file+" 200")
		a.noted(a.guest.submit("/instances/1/test", form(), htmx...), "guest_1 connection.test files #1 200")
		a.noted(a.user.submit("/instances/1/sync", form(), htmx...), "user_1 instance.sync files #1 200")
		a.user.ended("/refreshes/1")
		a.noted(a.user.submit("/instances/1/databases/main/tables/refresh", form(), htmx...),
			"user_1 tables.refresh files / main #1 200")
		a.noted(a.user.submit("/databases/1/tables/refresh", form(), htmx...), "user_1 tables.refresh files / main #1 200")
		a.noted(a.admin.submit("/instances/1", form("name", "", "db_type", "sqlite"), htmx...),
			"admin instance.update files #1 400 VALIDATION_ERROR")
		a.noted(a.admin.submit("/instances/1/delete", form(), htmx...), "admin instance.delete files #1 200")
		a.noted(a.admin.submit("/instances/1/restore", form(), htmx...), "admin instance.restore files #1 200")
		a.secrets("Secret1word", "Wrong1horse", "Another1one", password, models.TokenPrefix)
	})
}

// changesNothing reports whether the contract says of a route that it is no write, whatever its method.
func changesNothing(method, path string) bool {
	return slices.ContainsFunc(endpoints, func(e endpoint) bool {
		return e.reads && e.method == method && "/api/v1"+e.path == path
	})
}

// TestAudit_EveryWriteRoute calls every write route without a CSRF token.
func TestAudit_EveryWriteRoute(t *testing.T) {
	t.Parallel()
	app := newApp(t, t.TempDir()+"/store.db")
	a := app.auditor()
	bare, routes := a.admin.with("X-CSRFToken", ""), 0
	for _, r := range a.handler.(*echo.Echo).Routes() {
		if r.Method == http.MethodGet || r.Method == http.MethodHead || strings.HasPrefix(r.Method, "echo_") ||
			strings.HasSuffix(r.Path, "/login") || changesNothing(r.Method, r.Path) {
			continue
		}
		routes++
		p := bare.browse(r.Method, strings.NewReplacer(":id", "1", ":name", "main").Replace(r.Path), nil)
		entry := a.admin.get("/audit?limit=1").at("items", 0).(obj)
		a.noted(p, fmt.Sprintf("admin %v 403 CSRF_MISSING", entry["action"]))
	}
	if routes < 45 {
		t.Errorf("only %d routes", routes)
	}
}

func TestAuditList(t *testing.T) {
	onBothStores(t, func(a *app) {
		for i := range 3 {
			a.admin.post("/tags", obj{"name": fmt.Sprintf("标签_%d%%", i)}).want(201, "标签创建成功")
		}
		a.guest.post("/tags", obj{"name": "x"}).want(403, "需要 create 权限")
		list := func(query string, targets ...any) *response {
			a.Helper()
			r := a.admin.get("/audit"+query).want(200, readAudit)
			got := []any{}
			for i := range r.at("items").([]any) {
				got = append(got, r.at("items", i, "target_name"))
			}
			equal(a, query, plain(got), plain(append([]any{}, targets...)))
			return r
		}
		all := []any{nil, "标签_2%", "标签_1%", "标签_0%", "guest_1", "user_1", "admin"}
		first := list("", all...).wantAt("total", 7, "page", 1, "pages", 1, "limit", 20,
			"items.0.result", "failure", "items.1.result", "success")
		equal(a, "members", members(first.at("items", 0).(obj)),
			"action at id ip message_code method path request_id result status target_id target_name token_name user_id "+
				"username")
		list("?limit=2&page=2", "标签_1%", "标签_0%").wantAt("total", 7, "pages", 4, "limit", 2)
		list("?page_size=3", nil, "标签_2%", "标签_1%").wantAt("limit", 3)
		list("?limit=0&page=-1&page_size=x", all...).wantAt("limit", 20, "page", 1)
		list("?page=99").wantAt("total", 7)
		list("?username=guest_1", nil, "guest_1")
		list("?username=GUEST_1")
		list("?username=%00")
		list("?action=tag.create", nil, "标签_2%", "标签_1%", "标签_0%")
		list("?action=nonsense", all...)
		list("?result=failure", nil)
		list("?result=success&action=tag.create&target=_2", "标签_2%")
		list("?result=nonsense&target=%25", "标签_2%", "标签_1%", "标签_0%")
		list("?target=%00")
		today := a.now().In(time.FixedZone("", 8*60*60))
		day, next := today.Format(time.DateOnly), today.AddDate(0, 0, 1).Format(time.DateOnly)
		list("?start_date="+day+"&end_date="+next, all...)
		list("?start_date=" + next)
		list("?start_date=0001-01-01&end_date=9999-12-31", all...)
		for query, message := range map[string]string{
			"start_date=x": "start_date 格式错误,应为 YYYY-MM-DD", "end_date=2026-02-30": "end_date 格式错误,应为 YYYY-MM-DD",
			"start_date=2026-01-02&end_date=2026-01-01": "start_date 不能晚于 end_date",
		} {
			a.admin.get("/audit?"+query).wantCode(400, models.CodeInvalid, message)
		}
		for _, c := range []*client{a.user, a.guest} {
			c.get("/audit?start_date=x").wantCode(403, models.CodeForbidden, "需要 admin 权限")
			c.visit("/audit").wantStatus(http.StatusForbidden)
		}
		a.anonymous.get("/audit").wantCode(401, models.CodeUnauthenticated, "请先登录")
	})
}

func TestAudit_ClientAddress(t *testing.T) {
	t.Parallel()
	a := newApp(t, t.TempDir()+"/store.db") // trusts proxies on 127.0.0.0/8
	for sent, want := range map[string]string{
		"192.0.2.7": "192.0.2.7", "203.0.113.9, 192.0.2.7": "192.0.2.7", "2001:db8::1": "2001:db8::1",
		"nonsense": "127.0.0.1", "": "127.0.0.1",
	} {
		a.admin.with("X-Forwarded-For", sent).
			with("X-Real-IP", "198.51.100.1").
			post("/tags", obj{}).
			want(400, "字段 'name' 是必填的")
		a.admin.get("/audit?limit=1").wantAt("items.0.ip", want)
	}
}

// breakStore runs a statement on the store's database, behind the product's back.
func (a *app) breakStore(statement string) {
	a.Helper()
	driver := "sqlite"
	if strings.HasPrefix(a.address, "postgres") {
		driver = "pgx"
	}
	db, err := sql.Open(driver, a.address)
	check(a, err)
	defer db.Close()
	_, err = db.ExecContext(a.Context(), statement)
	check(a, err)
}

// TestAudit_LogFails checks that actions work even if their audit entry cannot be saved.
func TestAudit_LogFails(t *testing.T) {
	onBothStores(t, func(a *app) {
		a.breakStore("DROP TABLE audit_log")
		a.admin.post("/tags", obj{"name": "x"}).want(201, "标签创建成功")
		a.admin.post("/tags", obj{}).want(400, "字段 'name' 是必填的")
		a.login("user_1", password)
	})
}

func TestAuditPage(t *testing.T) {
	t.Parallel()
	a := newApp(t, t.TempDir()+"/store.db")
	hostile := `<script>alert(1)</script>`
	token := a.admin.token(hostile, "admin")
	token.post("/tags", obj{"name": "核心"}).want(201, "标签创建成功")
	check(t, a.store.RecordAudit(t.Context(),
		models.AuditEntry{Username: models.CommandLine, Action: models.ActionUpdateUser, TargetName: "admin"}))
	check(t, a.store.RecordAudit(t.Context(),
		models.AuditEntry{Action: models.ActionLogin, Status: 401, MessageCode: models.CodeInvalidCredentials}))
	p := a.admin.visit("/audit").wantStatus(http.StatusOK).has(7, "#audit-list tbody tr").has(1, ".status.failed").
		says("命令行").says("未知").says(hostile).says("401 INVALID_CREDENTIALS").says("添加标签")
	p.has(0, "#audit-list script")
	english := a.admin.visit("/audit?result=failure", "Accept-Language", "en").
		has(1, "#audit-list tbody tr").
		says("Log in").
		says("Failed")
	equal(t, "chosen", english.doc.Find("select[name=result] option[selected]").AttrOr("value", ""), "failure")
	part := a.admin.visit("/audit?action=tag.create&target=核", into("audit-list")...).
		wantStatus(http.StatusOK).
		has(1, "tbody tr").
		has(0, "h1")
	part.has(1, `input[data-address*="action=tag.create"]`)
	a.admin.visit("/audit?target=none").has(1, "#audit-list .state").says("清除筛选")
	a.admin.visit("/audit?page=99&limit=50").has(7, "#audit-list tbody tr")
	a.admin.visit("/audit?start_date=2026-01-02&end_date=2026-01-01").
		wantStatus(http.StatusBadRequest).
		says("开始日期不能晚于结束日期")
	if links := regexp.MustCompile(`href="/audit"`).
		FindAllString(plainHTML(a.user.visit("/instances")), -1); len(
		links,
	) > 0 {
		t.Error("a user is led to the audit log")
	}
}

func plainHTML(p *page) string {
	html, err := p.doc.Html()
	check(p, err)
	return html
}
