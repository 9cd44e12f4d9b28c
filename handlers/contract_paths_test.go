package handlers_test

import (
	"regexp"
	"strings"
	"testing"

	"whalefall/models"
)

func TestEnvelopes(t *testing.T) {
	onBothStores(t, func(a *app) {
		ok := a.admin.get("/instances").want(200, "获取实例列表成功")
		equal(a, "members", members(ok.body), "data error message success timestamp")
		equal(a, "success", ok.body["success"], any(true))
		equal(a, "error", ok.body["error"], any(false))
		checkTimestamp(a, ok.body["timestamp"])
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
		checkTimestamp(a, bad.body["timestamp"])
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
		"en": "Here are the instances", "en-GB,zh;q=0.5": "Here are the instances", "zh;q=0.9,en;q=0.4": "获取实例列表成功",
		"fr,en;q=0.3": "Here are the instances", "en;q=0": "获取实例列表成功", "*,en;q=0.5": "获取实例列表成功",
		"en;q=0.5,*;q=0.9": "获取实例列表成功", "en;q=0.5,zh;q=0.5": "获取实例列表成功", ";;;": "获取实例列表成功",
	} {
		a.admin.with("Accept-Language", header).get("/instances").want(200, want)
	}
	english := a.admin.with("Accept-Language", "en")
	english.post("/instances", obj{"name": "x"}).want(400, "Required: db_type, host, port")
	english.with("Cookie", "lang=zh-CN").get("/instances").want(200, "获取实例列表成功")
	a.admin.with("Cookie", "lang=en").get("/nothing").want(404, "There is nothing at this address")
	a.admin.with("Cookie", "lang=fr").get("/nothing").want(404, "请求的地址不存在")
}

func TestUnknownPaths(t *testing.T) {
	a := newApp(t, t.TempDir()+"/store.db")
	for _, path := range []string{"", "/", "/nothing", "/instances/1/nothing", "/instances/1/databases"} {
		for _, c := range []*client{a.admin, a.anonymous} {
			r := c.get(path).wantCode(404, models.CodeInvalidRequest, "请求的地址不存在")
			equal(t, "category", r.body["category"], any("business"))
		}
	}
	for _, id := range []string{"0", "-1", "x", "1.0", "99999999999999999999", "%00", "%2F", "1%20", "%FF", "+1", "01"} {
		a.admin.get("/instances/"+id).wantCode(404, models.CodeNotFound, "实例不存在")
		a.admin.put("/instances/"+id, obj{"name": "n", "db_type": "sqlite", "database_name": "/x"}).wantCode(404, models.CodeNotFound, "实例不存在")
		a.admin.remove("/instances/"+id).wantCode(404, models.CodeNotFound, "实例不存在")
		a.admin.get("/instances/"+id+"/databases/sizes").wantCode(404, models.CodeNotFound, "实例不存在")
		a.admin.get("/instances/"+id+"/databases/x/tables/sizes").wantCode(404, models.CodeNotFound, "实例不存在")
		a.admin.post("/instances/"+id+"/databases/x/tables/sizes/actions/refresh", nil).wantCode(404, models.CodeNotFound, "实例不存在")
		a.admin.post("/instances/"+id+"/actions/sync-capacity", nil).wantCode(404, models.CodeNotFound, "实例不存在")
		a.admin.get("/users/"+id).wantCode(404, models.CodeNotFound, "资源不存在")
		a.admin.put("/users/"+id, obj{}).wantCode(404, models.CodeNotFound, "资源不存在")
		a.admin.get("/credentials/"+id).wantCode(404, models.CodeNotFound, "资源不存在")
		a.admin.get("/databases/"+id+"/tables/sizes").wantCode(404, models.CodeNotFound, "资源不存在")
	}
	// Input is judged before existence.
	a.admin.put("/instances/4711", obj{"name": "n"}).want(400, "字段 'db_type, host, port' 是必填的")
	a.admin.get("/instances/4711/databases/sizes?limit=0").want(400, "limit 最小为 1")
	a.admin.post("/instances/4711/databases/x/tables/sizes/actions/refresh?limit=x", nil).want(400, "limit 必须为整数")
	a.admin.put("/users/4711", obj{"role": "king"}).want(400, "角色仅支持: admin, user, guest")
	a.admin.put("/credentials/4711", obj{"name": " "}).want(400, "字段 'name' 是必填的")
}

func TestBodies(t *testing.T) {
	a := newApp(t, t.TempDir()+"/store.db")
	for _, path := range []string{"/instances", "/credentials", "/users", "/connections/actions/test", "/auth/login", "/auth/change-password"} {
		for _, body := range []string{"{", "nonsense", "{} {}", "{}}", "{\"a\":\xff}", "{'a':1}"} {
			a.admin.post(path, body).wantCode(400, models.CodeInvalid, "请求体不是有效的 JSON")
		}
		for _, body := range []string{"[]", "null", "1", `"x"`, "true", `[{"name":"x"}]`} {
			a.admin.post(path, body).wantCode(400, models.CodeInvalid, "请求体必须为 JSON 对象")
		}
		for _, kind := range []string{"text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/xml", "nonsense;;"} {
			a.admin.with("Content-Type", kind).post(path, `{"name":"x"}`).wantCode(415, models.CodeUnsupportedMedia, "不支持的内容类型,请使用 application/json")
		}
		large := `{"name":"` + strings.Repeat("x", 1<<20) + `"}`
		a.admin.post(path, large).wantCode(413, models.CodeTooLarge, "请求体超过 1 MiB 上限")
		a.admin.with("X-CSRFToken", "").post(path, large).wantCode(403, models.CodeCSRFMissing, "缺少 CSRF 令牌")
	}
	a.admin.post("/connections/actions/test", "{}").wantCode(400, models.CodeInvalid, "请求数据不能为空")
	a.admin.post("/connections/actions/test", nil).wantCode(400, models.CodeInvalid, "请求数据不能为空")
	a.admin.with("Content-Type", "application/json; charset=utf-8").post("/instances", "{}").want(400, "字段 'name, db_type, host, port' 是必填的")
	a.guest.with("X-CSRFToken", "").post("/auth/logout", obj{"csrf_token": a.guest.header.Get("X-CSRFToken")}).want(403, "缺少 CSRF 令牌")
}

func TestOtherOrigins(t *testing.T) {
	a := newApp(t, t.TempDir()+"/store.db")
	a.guest.with("Sec-Fetch-Site", "cross-site").post("/auth/logout", nil).wantCode(403, models.CodeCSRFInvalid, "CSRF 令牌无效,请刷新后重试")
	a.guest.with("Sec-Fetch-Site", "same-origin").with("X-CSRFToken", "").post("/auth/logout", nil).wantCode(403, models.CodeCSRFMissing, "缺少 CSRF 令牌")
	a.guest.with("Sec-Fetch-Site", "none").with("X-CSRFToken", "").post("/auth/logout", nil).wantCode(403, models.CodeCSRFMissing, "缺少 CSRF 令牌")
	a.guest.with("Sec-Fetch-Site", "same-origin").post("/auth/logout", nil).want(200, "登出成功")
}
