package handlers_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// fuzzed serves one request of the logged-in admin; whatever it says, the answer is an envelope and no fault of ours.
func (a *app) fuzzed(t *testing.T, method, path, query, body string) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, "/api/v1"+path, strings.NewReader(body))
	r.URL.RawQuery = query
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-CSRFToken", a.admin.header.Get("X-CSRFToken"))
	base, err := url.Parse(a.url)
	check(t, err)
	for _, cookie := range a.admin.http.Jar.Cookies(base) {
		r.AddCookie(cookie)
	}
	w := httptest.NewRecorder()
	a.handler.ServeHTTP(w, r)
	if w.Code >= http.StatusInternalServerError || !strings.Contains(w.Body.String(), `"timestamp"`) {
		t.Errorf("%s %s?%s %q: %d %s", method, path, query, body, w.Code, w.Body)
	}
}

func FuzzQueries(f *testing.F) {
	for _, query := range []string{
		"", "limit=1&offset=2", "page=0&page_size=x&sort=-&order=&tags=&tags=%00", "search=%FF&db_type=PG", "sort=-growth&cursor=eyJ9",
		"start_date=2026-01-01&end_date=2025-01-01", "table_name=%00&schema_name=%25", "%zz;&=", "limit=-9223372036854775809",
		"latest_only=ON&include_inactive=1&sort=-status", "partitions=fold&parent_table=a&parent_schema=b&cursor=%22",
	} {
		f.Add(query)
	}
	a := fuzzApp(f)
	inst := a.sqliteInstance("files", a.sqliteFile("CREATE TABLE a (x)", "CREATE TABLE b (x)"))
	a.user.post(inst+"/actions/sync-capacity", nil)
	a.user.post(tablesPath(inst, "main")+"/actions/refresh", nil)
	f.Fuzz(func(t *testing.T, query string) {
		for _, path := range []string{"/instances", "/users", inst + "/databases/sizes", tablesPath(inst, "main"), "/databases/1/tables/sizes"} {
			a.fuzzed(t, http.MethodGet, path, query, "")
		}
	})
}

func FuzzBodies(f *testing.F) {
	for _, body := range []string{
		"", "{}", "[]", "null", `{"name":"x","db_type":"pg","host":"::1","port":"1","tag_names":["a",1],"options":{"a":"b"}}`,
		`{"name":"\u0000","username":"\ud800","password":"\u0000","credential_id":-1,"is_active":"on"}`, `{"port":1e999,"db_type":{}}`,
		`{"name":"c","username":"u","password":"p","db_type":"","description":"a\nb"}`, `{"username":"abc","password":"Aa345678","role":"user"}`,
	} {
		f.Add(body)
	}
	a := fuzzApp(f)
	inst := a.sqliteInstance("files", a.dir+"/none.db")
	f.Fuzz(func(t *testing.T, body string) {
		for _, path := range []string{"/instances", "/credentials"} {
			a.fuzzed(t, http.MethodPost, path, "", body)
		}
		a.fuzzed(t, http.MethodPut, inst, "", body)
		a.fuzzed(t, http.MethodPut, "/users/2", "", body)
		a.fuzzed(t, http.MethodPost, "/auth/change-password", "", body)
	})
}
