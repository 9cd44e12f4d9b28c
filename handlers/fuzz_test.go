package handlers_test

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"whalefall/collectors"
	"whalefall/models"
)

// unreachable is a server that cannot be reached: fuzzing chooses hosts, too.
type unreachable struct{ collectors.Collector }

func (unreachable) Version(context.Context, collectors.Target) (models.Version, error) {
	return models.Version{}, &models.Error{Code: models.CodeUnreachable}
}

func fuzzApp(f *testing.F) *app {
	others := map[models.Engine]collectors.Collector{}
	for _, engine := range []models.Engine{models.MySQL, models.PostgreSQL, models.Oracle, models.SQLServer} {
		others[engine] = unreachable{}
	}
	return newAppWith(f, filepath.Join(f.TempDir(), "store.db"), others)
}

// fuzzed sends a request as an admin and checks that its answer keeps the contract and has one of the statuses.
func (a *app) fuzzed(t *testing.T, method, path, query, body string, header http.Header, statuses ...int) *response {
	t.Helper()
	here, admin := *a, *a.admin
	here.TB, admin.app = t, &here // a fuzz target must not fail the test around it
	request := httptest.NewRequestWithContext(t.Context(), method, "/api/v1"+path, strings.NewReader(body))
	request.URL.RawQuery = query
	request.Header = a.admin.header.Clone()
	request.Header.Set("Content-Type", "application/json")
	base, err := url.Parse(a.url)
	check(t, err)
	for _, cookie := range a.admin.http.Jar.Cookies(base) {
		request.AddCookie(cookie)
	}
	maps.Copy(request.Header, header)
	w := recorder{httptest.NewRecorder()}
	a.handler.ServeHTTP(w, request)
	raw, err := io.ReadAll(w.Body)
	check(t, err)
	r := &response{client: &admin, what: method + " /api/v1" + path, status: w.Code, header: w.Header(), raw: string(raw)}
	r.read()
	if !slices.Contains(statuses, r.status) {
		t.Errorf("%s?%s %q: %d is none of %v: %s", r.what, query, body, r.status, statuses, r.raw)
	}
	return r
}

// recorder records an answer while it is sent.
type recorder struct{ *httptest.ResponseRecorder }

func (recorder) SetWriteDeadline(time.Time) error { return nil }

// within checks that a page has no more rows than requested, and at most highest.
func (r *response) within(highest float64, list string) {
	r.Helper()
	if r.status != http.StatusOK || !r.isEnvelope() {
		return
	}
	limit, _ := r.data["limit"].(float64)
	rows, _ := r.data[list].([]any)
	total, _ := r.data["total"].(float64)
	page, numbered := r.data["page"].(float64)
	offset, _ := r.data["offset"].(float64)
	if limit < 1 || limit > highest || len(rows) > int(limit) || len(rows) > int(total) || numbered && page < 1 ||
		offset < 0 {
		r.Errorf("%s: %d rows of %v, limit %v, page %v, offset %v", r.what, len(rows), total, limit, page, offset)
	}
}

func FuzzQueries(f *testing.F) {
	for _, query := range []string{
		"", "limit=1&offset=2", "page=0&page_size=x&sort=-&order=&tags=&tags=%00", "search=%FF&db_type=PG",
		"sort=-growth&cursor=eyJ9",
		"start_date=2026-01-01&end_date=2025-01-01", "table_name=%00&schema_name=%25", "%zz;&=", "limit=-9223372036854775809",
		"latest_only=ON&include_inactive=1&sort=-status", "partitions=fold&parent_table=a&parent_schema=b&cursor=%22",
		"page=1073741&limit=2000",
		"action=auth.login&result=failure&username=admin&target=a&page=2", "only=unsettled&bom=1",
		"instance_id=1&page=2&limit=1",
		"role=admin&status=inactive&q=x", "offset=2147483647&limit=2000",
	} {
		f.Add(query)
	}
	a := fuzzApp(f)
	inst := a.sqliteInstance("files", a.sqliteFile("CREATE TABLE a (x)", "CREATE TABLE b (x)"))
	a.user.post(inst+"/actions/sync-capacity", nil)
	a.user.post(tablesPath(inst, "main")+"/actions/refresh", nil)
	f.Fuzz(func(t *testing.T, query string) {
		for _, path := range []string{"/instances", "/users", "/credentials", "/tags", "/tokens"} {
			a.fuzzed(t, http.MethodGet, path, query, "", nil, 200).within(200, "items")
		}
		a.fuzzed(t, http.MethodGet, "/audit", query, "", nil, 200, 400).within(200, "items")
		a.fuzzed(t, http.MethodGet, "/databases/sizes", query, "", nil, 200, 400, 404).within(2000, "databases")
		a.fuzzed(t, http.MethodGet, inst+"/databases/sizes", query, "", nil, 200, 400).within(2000, "databases")
		a.fuzzed(t, http.MethodGet, tablesPath(inst, "main"), query, "", nil, 200, 400).within(2000, "tables")
		a.fuzzed(t, http.MethodGet, "/databases/1/tables/sizes", query, "", nil, 200, 400).within(2000, "tables")
	})
}

func FuzzTableFormats(f *testing.F) {
	for _, query := range []string{
		"format=csv", "format=ndjson&bom=1", "format=csv&limit=0", "format=x", "format=csv&sort=-name&table_name=%00",
		"format=CSV&cursor=x",
	} {
		f.Add(query, "text/csv")
	}
	f.Add("", "application/x-ndjson;q=0.5, */*;q=0.1")
	f.Add("", "text/csv;q=,,;=")
	a := fuzzApp(f)
	inst := a.sqliteInstance("files", a.sqliteFile(`CREATE TABLE "=1+1" (x)`, `CREATE TABLE "a""b," (x)`))
	a.user.post(tablesPath(inst, "main")+"/actions/refresh", nil)
	f.Fuzz(func(t *testing.T, query, accept string) {
		r := a.fuzzed(t, http.MethodGet, tablesPath(inst, "main"), query, "", http.Header{"Accept": {accept}}, 200, 400, 406)
		if r.status == http.StatusOK && strings.Contains(r.header.Get("Content-Type"), "csv") &&
			strings.Contains(r.raw, "\n=") {
			t.Errorf("%q %q: a formula: %s", query, accept, r.raw)
		}
	})
}

func FuzzBodies(f *testing.F) {
	for _, body := range []string{
		"", "{}", "[]", "null", `{"name":"x","db_type":"pg","host":"::1","port":"1","tag_names":["a",1],"options":{"a":"b"}}`,
		`{"name":"\u0000","username":"\ud800","password":"\u0000","credential_id":-1,"is_active":"on"}`,
		`{"port":1e999,"db_type":{}}`,
		`{"name":"c","username":"u","password":"p","db_type":"","description":"a\nb"}`,
		`{"username":"abc","password":"Aa345678","role":"user"}`,
		`{"name":"鲸","db_type":"mysql","host":"db.example","port":3306,"tag_names":["a","b"],"tls_mode":"require",` +
			`"description":"\t","is_active":false}`,
		`{"name":"t","display_name":"d","color":"blue"}`, `{"name":"k","role":"guest","expires_at":"2999-01-01"}`,
		`{"name":"k","expires_at":"2999-01-01T00:00:00+14:00"}`,
		`{"db_type":"sqlite","database_name":"/etc/passwd","options":{"immutable":"1"}}`,
		`{"instance_ids":[1,"1",9223372036854775807],"deletion_mode":"hard"}`,
		`{"instance_id":1}`, `{"old_password":"a","new_password":"Aa345678","confirm_password":"Aa345678"}`,
	} {
		f.Add(body)
	}
	a := fuzzApp(f)
	inst := a.sqliteInstance("files", a.dir+"/none.db")
	credential := a.admin.post("/credentials", obj{"name": "c", "username": "u", "password": targetSecret}).
		id("credential", "id")
	tag := a.admin.post("/tags", obj{"name": "a"}).id("tag", "id")
	f.Fuzz(func(t *testing.T, body string) {
		post := func(path string, statuses ...int) *response {
			t.Helper()
			return a.fuzzed(t, http.MethodPost, path, "", body, nil, append(statuses, 400, 409)...)
		}
		put := func(path string) *response {
			t.Helper()
			return a.fuzzed(t, http.MethodPut, path, "", body, nil, 200, 400, 409)
		}
		if created := post("/instances", 201); created.status == http.StatusCreated {
			id := created.id("instance", "id")
			created.boundInstance()
			read := a.fuzzed(t, http.MethodGet, fmt.Sprintf("/instances/%d", id), "", "", nil, 200)
			equal(t, "read again", plain(read.data), plain(created.data))
			gone := fmt.Sprintf(`{"instance_ids":[%d],"deletion_mode":"hard"}`, id)
			a.fuzzed(t, http.MethodPost, "/instances/batch-delete", "", gone, nil, 200)
		}
		put(inst).boundInstance()
		for _, r := range []*response{post("/credentials", 201), put(fmt.Sprintf("/credentials/%d", credential))} {
			r.bound("credential", map[string]int{"name": 100, "username": 255, "description": 500})
		}
		for _, r := range []*response{post("/tags", 201), put(fmt.Sprintf("/tags/%d", tag))} {
			r.bound("tag", map[string]int{"name": 50, "display_name": 50})
		}
		for _, r := range []*response{post("/users", 201), put("/users/2")} {
			if r.bound("user", nil); r.status < 300 && !userName.MatchString(r.at("user", "username").(string)) {
				t.Errorf("%q: %s", body, r.raw)
			}
		}
		post("/tokens", 201, 403).bound("token", map[string]int{"name": 100})
		post("/connections/actions/test", 200, 404)
		post("/connections/actions/batch-test", 200)
		post("/auth/change-password", 401, 429)
	})
}

var userName = regexp.MustCompile(`^[A-Za-z0-9_]{3,20}$`)

// bound checks that stored texts are within their limits, characters.
func (r *response) bound(member string, limits map[string]int) {
	r.Helper()
	if r.status >= http.StatusBadRequest {
		return
	}
	for name, limit := range limits {
		s, _ := r.at(member, name).(string)
		if utf8.RuneCountInString(s) > limit || strings.ContainsRune(s, 0) || name == "name" && strings.TrimSpace(s) == "" {
			r.Errorf("%s: %s %q", r.what, name, s)
		}
	}
}

func (r *response) boundInstance() {
	r.Helper()
	r.bound("instance", map[string]int{"name": 100, "host": 253, "database_name": 512, "description": 500})
	if r.status >= http.StatusBadRequest {
		return
	}
	if port, there := r.at("instance", "port").(float64); there && (port < 1 || port > 65535) ||
		len(r.at("instance", "tags").([]any)) > 50 {
		r.Errorf("%s: %s", r.what, r.raw)
	}
}

// FuzzDatabaseNames sends any name as one path segment. The target must be asked for exactly that name.
func FuzzDatabaseNames(f *testing.F) {
	for _, name := range append([]string{
		".", "..", "", "main", "\x00", "\xff", "a/../b", "%2e%2e", "//", "/", "\u202e", "a;b", "%00",
	}, hostileNames...) {
		f.Add(name)
	}
	a := fuzzApp(f)
	inst := a.sqliteInstance("files", a.sqliteFile("CREATE TABLE a (x)"))
	f.Fuzz(func(t *testing.T, name string) {
		path := tablesPath(inst, name)
		r := a.fuzzed(t, http.MethodPost, path+"/actions/refresh", "", "", nil, 200, 400, 404, 409)
		extra, _ := r.body["extra"].(obj)
		usable := utf8.ValidString(name) && !strings.ContainsRune(name, 0)
		switch {
		case name == "":
			equal(t, "nothing", r.status, http.StatusNotFound)
		case !usable:
			equal(t, "no text", r.status, http.StatusBadRequest)
		case name == "main":
			equal(t, "main", r.status, http.StatusOK)
		default:
			equal(t, "name", extra["database_name"], any(name))
		}
		if name != "" {
			a.fuzzed(t, http.MethodGet, path, "", "", nil, 200)
		}
	})
}

// FuzzPaths sends any path. Unknown paths must be answered as such.
func FuzzPaths(f *testing.F) {
	for _, path := range []string{
		"", "/", "/instances/1", "/instances/%00", "/instances/01", "/users/1/", "/databases/1/tables/sizes", "//",
		"/instances/9223372036854775808", "/instances/１",
		"/instances/1/databases/a%2Fb/tables/sizes", "/refreshes/-1", "/tokens/%FF", "/instances/exports/",
		"/../../etc/passwd", "/instances/*", "/docs/",
	} {
		f.Add(path)
	}
	a := fuzzApp(f)
	f.Fuzz(func(t *testing.T, path string) {
		u, err := url.Parse("http://x/api/v1/" + strings.TrimPrefix(path, "/"))
		if err != nil || u.Host != "x" {
			t.Skip("net/http refuses it")
		}
		address := strings.TrimPrefix(u.EscapedPath(), "/api/v1")
		r := a.fuzzed(t, http.MethodGet, address, "", "", nil, 200, 400, 404, 405)
		a.fuzzed(t, http.MethodOptions, address, "", "", nil, 404, 405)
		if r.status == http.StatusOK && strings.HasSuffix(address, "/") {
			t.Errorf("%q: %s", path, r.raw)
		}
	})
}

// FuzzCursors sends any cursor. An accepted one must lead through each row once.
func FuzzCursors(f *testing.F) {
	a := fuzzApp(f)
	statements := make([]string, 9)
	for i := range statements {
		statements[i] = fmt.Sprintf("CREATE TABLE t%d (x)", i)
	}
	path := tablesPath(a.sqliteInstance("files", a.sqliteFile(statements...)), "main")
	a.user.post(path+"/actions/refresh", nil)
	for _, sort := range []string{"name", "-size", "growth", "-rows", "schema", "unused"} {
		cursor, _ := a.admin.get(path + "?limit=2&sort=" + sort).data["next_cursor"].(string)
		f.Add(cursor, sort)
		f.Add(cursor+"A", sort)
		f.Add(strings.ToLower(cursor), sort)
	}
	f.Add("", "-name")
	f.Add("eyJkIjoxLCJvIjoibmFtZSIsInMiOiIiLCJ0IjoiXHUwMDAwIn0", "name")
	f.Fuzz(func(t *testing.T, cursor, sort string) {
		seen := map[string]bool{}
		for range 10 {
			query := url.Values{"limit": {"2"}, "sort": {sort}, "cursor": {cursor}}
			r := a.fuzzed(t, http.MethodGet, path, query.Encode(), "", nil, 200, 400)
			rows, _ := r.data["tables"].([]any)
			for _, row := range rows {
				name := row.(obj)["table_name"].(string)
				if seen[name] {
					t.Errorf("%q, %q: %s twice", cursor, sort, name)
				}
				seen[name] = true
			}
			if cursor, _ = r.data["next_cursor"].(string); cursor == "" {
				return
			}
		}
		t.Errorf("%q does not end", cursor)
	})
}

// FuzzHeaders sends any headers. Only clients that prefer English get it, and only valid tokens are accepted.
func FuzzHeaders(f *testing.F) {
	for _, language := range []string{
		"", "*", "en", "zh", "en-GB,zh;q=0.5", "zh;q=0.9,en;q=0.4", ";;;", "en;q=0", "*,en;q=0.5", "en;q=2", "x-en",
		"zh-Hant-TW, en;q=NaN", "en_US",
	} {
		f.Add(language, "", "")
	}
	f.Add("en", "zh-CN", "Bearer whalefall_x")
	f.Add("", "en", "bearer")
	f.Add("", "\x00", "Basic YTpi")
	a := fuzzApp(f)
	f.Fuzz(func(t *testing.T, language, cookie, authorization string) {
		kept := a.admin.http.Jar
		base, err := url.Parse(a.url)
		check(t, err)
		cookies := "lang=" + cookie
		for _, c := range kept.Cookies(base) {
			cookies += "; " + c.Name + "=" + c.Value
		}
		header := http.Header{"Accept-Language": {language}, "Cookie": {cookies}}
		r := a.fuzzed(t, http.MethodGet, "/instances", "", "", header, 200, 401)
		if r.status == http.StatusOK {
			isEnglish := r.body["message"] == "Instances retrieved"
			mayBe := strings.HasPrefix(cookie, "en") || strings.Contains(strings.ToLower(language), "en")
			if r.body["message"] != "获取实例列表成功" && !isEnglish || isEnglish && (!mayBe || cookie == "zh-CN") {
				t.Errorf("%q, %q: %v", language, cookie, r.body["message"])
			}
		}
		header.Set("Authorization", authorization)
		if strings.HasPrefix(strings.ToLower(authorization), "bearer ") {
			a.fuzzed(t, http.MethodGet, "/instances", "", "", header, 401)
		} else {
			a.fuzzed(t, http.MethodGet, "/instances", "", "", header, 200, 401)
		}
	})
}
