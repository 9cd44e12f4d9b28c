package handlers_test

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"whalefall/handlers"
	"whalefall/models"
	"whalefall/views"
)

func TestEnvelopes(t *testing.T) {
	onBothStores(t, func(a *app) {
		ok := a.admin.get("/instances").want(200, "获取实例列表成功")
		equal(a, "members", members(ok.body), "data error message success timestamp")
		equal(a, "success", ok.body["success"], any(true))
		equal(a, "error", ok.body["error"], any(false))
		a.checkTimestamp(ok.body["timestamp"])
		equal(a, "data members", members(ok.data), "items limit page pages total")
		equal(a, "no cookie from a read", ok.header.Get("Set-Cookie"), "")

		out := a.login("guest_1", password).post("/auth/logout", nil).want(200, "登出成功")
		equal(a, "members without data", members(out.body), "error message success timestamp")

		bad := a.guest.get("/instances/4711").wantCode(404, models.CodeNotFound, "实例不存在")
		equal(a, "error members", members(bad.body),
			"category context error error_id message message_code recoverable severity success suggestions timestamp")
		equal(a, "category", bad.body["category"], any("business"))
		equal(a, "severity", bad.body["severity"], any("low"))
		equal(a, "recoverable", bad.body["recoverable"], any(true))
		equal(a, "suggestions", plain(bad.body["suggestions"]), `["确认业务规则","联系管理员核对数据"]`)
		if id, _ := bad.body["error_id"].(string); !regexp.MustCompile(`^[0-9a-f]{32}$`).MatchString(id) {
			a.Errorf("error_id %q", id)
		}
		where := bad.body["context"].(obj)
		equal(a, "context", members(where), "method request_id url user_id")
		equal(a, "request id", where["request_id"], any(bad.header.Get("X-Request-ID")))
		equal(a, "url", where["url"], any("/api/v1/instances/4711"))
		equal(a, "method", where["method"], any("GET"))
		equal(a, "user", where["user_id"], a.guest.get("/auth/session").at("user", "id"))
		equal(a, "nobody", a.anonymous.get("/instances").body["context"].(obj)["user_id"], nil)
		a.checkTimestamp(bad.body["timestamp"])
	})
}

func TestSuggestions(t *testing.T) {
	a := newApp(t, t.TempDir()+"/store.db")
	for want, r := range map[string]*response{
		`["检查输入数据","根据提示修正请求参数"]`: a.admin.post("/instances", obj{}),
		`["重新登录","验证凭据有效性"]`:      a.anonymous.get("/instances"),
		`["检查权限配置","联系管理员"]`:      a.guest.get("/users"),
		`["稍后重试","联系管理员"]`:        a.guest.with("X-CSRFToken", "").post("/auth/logout", nil),
		`["确认第三方服务状态","稍后重试"]`:    a.admin.post(a.sqliteInstance("gone", a.dir+"/gone.db")+"/actions/sync-capacity", nil),
	} {
		equal(t, r.what, plain(r.body["suggestions"]), want)
	}
}

func TestLanguages(t *testing.T) {
	a := newApp(t, t.TempDir()+"/store.db")
	for header, want := range map[string]string{
		"": "获取实例列表成功", "*": "获取实例列表成功", "zh": "获取实例列表成功", "fr": "获取实例列表成功",
		"en": "Instances retrieved", "en-GB,zh;q=0.5": "Instances retrieved", "zh;q=0.9,en;q=0.4": "获取实例列表成功",
		"fr,en;q=0.3": "Instances retrieved", "en;q=0": "获取实例列表成功", "*,en;q=0.5": "获取实例列表成功",
		"en;q=0.5,*;q=0.9": "获取实例列表成功", "en;q=0.5,zh;q=0.5": "获取实例列表成功", ";;;": "获取实例列表成功",
	} {
		a.admin.with("Accept-Language", header).get("/instances").want(200, want)
	}
	english := a.admin.with("Accept-Language", "en")
	english.post("/instances", obj{"name": "x"}).want(400, "Required: db_type, host, port")
	english.with("Cookie", "lang=zh-CN").get("/instances").want(200, "获取实例列表成功")
	english.with("Cookie", "lang=zh").get("/instances").want(200, "获取实例列表成功")
	a.admin.with("Cookie", "lang=en-GB").get("/nothing").want(404, "This address does not exist")
	a.admin.with("Cookie", "lang=en").get("/nothing").want(404, "This address does not exist")
	a.admin.with("Cookie", "lang=fr").get("/nothing").want(404, "请求的地址不存在")

	// A browser's script sends the browser's languages whether it wants to or not.
	script := english.with("User-Agent", "Mozilla/5.0 (X11; Linux x86_64)").with("Accept", "*/*")
	script.get("/instances").want(200, "获取实例列表成功")
	script.with("Cookie", "lang=en").get("/nothing").want(404, "This address does not exist")
	script.with("Accept", "text/html,*/*;q=0.8").get("/nothing").want(404, "This address does not exist")
}

func TestLanguages_Setting(t *testing.T) {
	t.Parallel()
	a := newApp(t, t.TempDir()+"/store.db")
	server := httptest.NewServer(handlers.New(handlers.Config{
		Store: a.store, Zone: time.UTC, APILanguage: views.English, CookieSecure: "auto", Log: slog.New(slog.DiscardHandler),
	}))
	t.Cleanup(server.Close)
	a.url = server.URL
	for header, want := range map[string]string{
		"": "Instances retrieved", "*": "Instances retrieved", "fr": "Instances retrieved", ";;;": "Instances retrieved",
		"en;q=0.5,zh;q=0.5": "Instances retrieved", "zh": "获取实例列表成功", "*;q=0.5,zh": "获取实例列表成功",
	} {
		a.admin.with("Accept-Language", header).get("/instances").want(200, want)
	}
	script := a.admin.with("User-Agent", "Mozilla/5.0 (X11; Linux x86_64)").with("Accept-Language", "zh-CN,zh;q=0.9")
	script.get("/instances").want(200, "Instances retrieved")
	script.with("Cookie", "lang=zh-CN").get("/nothing").want(404, "请求的地址不存在")
	a.admin.visit("/instances").says("实例")
	a.admin.visit("/instances", "Accept-Language", "en").says("Instances")
}

// TestPaths_Unknown checks that unknown paths get the envelope under /api and a page elsewhere.
func TestPaths_Unknown(t *testing.T) {
	t.Parallel()
	a := newApp(t, t.TempDir()+"/store.db")
	for _, path := range []string{
		"/api", "/api/", "/api/v1", "/api/v1/", "/api/v2", "/api/v2/instances", "/api/instances", "/api//v1/instances",
		"/api/v1//instances",
		"/api/v1/nothing", "/api/v1/instances/1/nothing", "/api/v1/instances/1/databases",
		"/api/v1/instances/1/databases/sizes/",
		"/api/v1/Instances", "/api/v1/INSTANCES", "/api/V1/instances", "/api/v1/instances//databases/sizes/",
		"/api/v1/instances%2F1", "/api/v1/instances%00",
		"/api/v1/users/1/", "/api/v1/users/1/2", "/api/v1/credentials/1/x", "/api/v1/tags/1/", "/api/v1/refreshes/1/1",
		"/api/v1/auth/session/", "/api/v1/instances/1/databases/a/b/tables/sizes", "/api/v1/%FF",
		"/api/v1/instances/1/databases/x/tables/sizes/",
		"/api/databases/1/sizes", "/api/v1/instances.json", "/api/v1/" + strings.Repeat("x", 9000),
		"/api/v1/instances/1/databases//tables/sizes/x",
	} {
		for _, c := range []*client{a.admin, a.anonymous} {
			for _, method := range []string{"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "X"} {
				if r := c.send(method, path, nil); r.status != 404 ||
					method != "HEAD" && r.body["message_code"] != string(models.CodeInvalidRequest) {
					t.Errorf("%.90s: %d %.300s", r.what, r.status, r.raw)
				}
			}
		}
	}
}

// TestPaths_OutsideAPI checks that paths outside the API get pages, even those that look like the API.
func TestPaths_OutsideAPI(t *testing.T) {
	t.Parallel()
	a := newApp(t, t.TempDir()+"/store.db")
	for _, path := range []string{
		"/instances/api/databases/1/sizes", "/API/v1/instances", "//api/v1/instances", "/apix", "/v1/instances",
		"/x/../api/v1/instances",
	} {
		for _, c := range []*client{a.admin, a.anonymous} {
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, a.url, nil)
			check(t, err)
			request.URL.Path, request.Header = path, http.Header{"Accept": {"application/json"}}
			answer, err := c.http.Do(request)
			check(t, err)
			check(t, answer.Body.Close())
			equal(t, path, answer.StatusCode, http.StatusNotFound)
			equal(t, path, answer.Header.Get("Content-Type"), "text/html; charset=UTF-8")
		}
	}
}

// TestMalformedHTTP checks requests that net/http answers in text before the product sees them.
func TestMalformedHTTP(t *testing.T) {
	t.Parallel()
	a := newApp(t, t.TempDir()+"/store.db")
	for _, line := range []string{
		"GET /api/v1/instances/%zz HTTP/1.1\r\nHost: x", "GET /api/v1/instances/% HTTP/1.1\r\nHost: x",
		"GET /api/v1/instances HTTP/1.1",
		"GET /api/v1/\x01 HTTP/1.1\r\nHost: x", "G?T / HTTP/1.1\r\nHost: x", "POST /api/v1/auth/login HTTP/1.1\r\nHost: " +
			"x\r\nContent-Length: -1",
	} {
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", strings.TrimPrefix(a.url, "http://"))
		check(t, err)
		_, err = io.WriteString(conn, line+"\r\nConnection: close\r\n\r\n")
		check(t, err)
		said, err := io.ReadAll(conn)
		check(t, err)
		check(t, conn.Close())
		if !strings.HasPrefix(string(said), "HTTP/1.1 400 Bad Request") {
			t.Errorf("%q: %s", line, said)
		}
	}
}

// TestBodies checks what a body may be besides a JSON object.
func TestBodies(t *testing.T) {
	t.Parallel()
	a := newApp(t, t.TempDir()+"/store.db")
	a.admin.post("/connections/actions/test", "{}").wantCode(400, models.CodeInvalid, "请求数据不能为空")
	a.admin.post("/connections/actions/test", nil).wantCode(400, models.CodeInvalid, "请求数据不能为空")
	a.admin.with("Content-Type", "application/json; charset=utf-8").
		post("/instances", "{}").
		want(400, "字段 'name, db_type, host, port' 是必填的")
	a.admin.with("Content-Type", "APPLICATION/JSON").
		post("/instances", " \r\n\t{}\n ").
		want(400, "字段 'name, db_type, host, port' 是必填的")
	a.guest.with("X-CSRFToken", "").
		post("/auth/logout", obj{"csrf_token": a.guest.header.Get("X-CSRFToken")}).
		want(403, "缺少 CSRF 令牌")
	a.guest.with("X-CSRFToken", "").with("Content-Type", "application/x-www-form-urlencoded").
		post("/auth/logout", "csrf_token="+url.QueryEscape(a.guest.header.Get("X-CSRFToken"))).
		wantCode(415, models.CodeUnsupportedMedia, "不支持的内容类型，请使用 application/json")
	for i, name := range []string{`"\\ud800"`, `"\ud83d\ude00"`, `"\\\\ud800"`, `"\ufffd"`, `"\u00e9"`} {
		a.admin.post("/credentials", fmt.Sprintf(`{"name":"fine %d","username":%s,"password":%s}`, i, name, name)).
			want(201, "数据保存成功")
	}
}

func TestCSRF_OtherOrigins(t *testing.T) {
	a := newApp(t, t.TempDir()+"/store.db")
	a.guest.with("Sec-Fetch-Site", "cross-site").
		post("/auth/logout", nil).
		wantCode(403, models.CodeCSRFInvalid, "CSRF 令牌无效,请刷新后重试")
	a.guest.with("Sec-Fetch-Site", "same-origin").
		with("X-CSRFToken", "").
		post("/auth/logout", nil).
		wantCode(403, models.CodeCSRFMissing, "缺少 CSRF 令牌")
	a.guest.with("Sec-Fetch-Site", "none").
		with("X-CSRFToken", "").
		post("/auth/logout", nil).
		wantCode(403, models.CodeCSRFMissing, "缺少 CSRF 令牌")
	a.guest.with("Sec-Fetch-Site", "same-origin").post("/auth/logout", nil).want(200, "登出成功")
}
