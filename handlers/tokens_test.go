package handlers_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"whalefall/handlers"
	"whalefall/models"
)

// bearer returns a client that has only a token.
func (a *app) bearer(secret string) *client {
	return &client{app: a, http: &http.Client{}, header: http.Header{"Authorization": {"Bearer " + secret}}}
}

// token creates a token of the client's user and returns a client that uses it.
func (c *client) token(name, role string) *client {
	c.Helper()
	r := c.post("/tokens", obj{"name": name, "role": role}).want(http.StatusCreated, "数据保存成功")
	return c.bearer(r.at("secret").(string))
}

// stale creates a token that expired at the given time.
func (a *app) stale(user, name string, until time.Time) *client {
	a.Helper()
	owner, err := a.store.UserByName(a.Context(), user)
	check(a, err)
	_, secret, err := a.store.CreateToken(a.Context(),
		models.Token{UserID: owner.ID, Name: name, Role: owner.Role, ExpiresAt: until})
	check(a, err)
	return a.bearer(secret)
}

const wholeToken = "created_at expired expires_at id last_used_at name role user_id"

func TestTokens(t *testing.T) {
	onBothStores(t, func(a *app) {
		a.user.get("/tokens").want(200, "获取令牌列表成功").wantAt("total", 0, "items", []any{}, "page", 1, "limit", 20)
		r := a.user.post("/tokens", obj{"name": "备份 <脚本>"}).want(201, "数据保存成功").
			wantAt("token.name", "备份 <脚本>", "token.role", "user", "token.last_used_at", nil, "token.expired", false)
		equal(a, "members", members(r.at("token").(obj)), wholeToken)
		equal(a, "members of data", members(r.data), "secret token")
		id, secret := r.id("token", "id"), r.at("secret").(string)
		expires, err := time.Parse(time.RFC3339, r.at("token", "expires_at").(string))
		check(a, err)
		if left := expires.Sub(a.now()); left < models.TokenLifetime-time.Minute || left > models.TokenLifetime {
			a.Errorf("lasts %s", left)
		}
		a.bearer(secret).get("/instances").want(200, "获取实例列表成功")
		a.user.post("/tokens", obj{"name": "备份 <脚本>"}).wantCode(409, models.CodeConflict, "令牌名称已存在")
		a.guest.post("/tokens", obj{"name": "备份 <脚本>"}).want(201, "数据保存成功")

		list := a.user.get("/tokens?page_size=1").wantAt("total", 1, "items.0.id", id, "limit", 1)
		if list.at("items", 0, "last_used_at") == nil {
			a.Error("its use was not noted")
		}
		if strings.Contains(list.raw, secret) || strings.Contains(list.raw, "digest") {
			a.Errorf("the list tells secrets: %s", list.raw)
		}
		a.guest.remove(fmt.Sprintf("/tokens/%d", id)).wantCode(404, models.CodeNotFound, "资源不存在")
		for _, nonsense := range []string{"0", "-1", "x", "1.5", "99999999999999999999", "01", "%20"} {
			a.user.remove("/tokens/"+nonsense).wantCode(404, models.CodeNotFound, "资源不存在")
		}
		a.user.remove(fmt.Sprintf("/tokens/%d", id)).want(200, "数据删除成功").wantAt("token_id", id)
		a.user.remove(fmt.Sprintf("/tokens/%d", id)).wantCode(404, models.CodeNotFound, "资源不存在")
		a.bearer(secret).get("/instances").wantCode(401, models.CodeUnauthenticated, "请先登录")
		for method, path := range map[string]string{"GET": "/tokens", "POST": "/tokens", "DELETE": "/tokens/1"} {
			a.anonymous.do(method, path, nil).wantCode(401, models.CodeUnauthenticated, "请先登录")
		}
	})
}

func TestTokens_Input(t *testing.T) {
	onBothStores(t, func(a *app) {
		create := func(pairs ...any) *response {
			body := obj{"name": fmt.Sprint("t", time.Now().UnixNano())}
			for i := 0; i < len(pairs); i += 2 {
				body[pairs[i].(string)] = pairs[i+1]
			}
			return a.user.post("/tokens", body)
		}
		for _, blank := range []any{nil, "", "  "} {
			create("name", blank).wantCode(400, models.CodeInvalid, "字段 'name' 是必填的")
		}
		create("name", 7).wantCode(400, models.CodeInvalid, "字段 'name' 必须为字符串")
		create("name", "two\nlines").wantCode(400, models.CodeInvalid, "字段 'name' 包含不允许的字符")
		create("name", strings.Repeat("鲸", 101)).wantCode(400, models.CodeInvalid, "字段 'name' 长度不能超过 100 个字符")
		create("name", strings.Repeat("鲸", 100)).want(201, "数据保存成功")

		create("role", "admin").wantCode(403, models.CodeForbidden, "需要 admin 权限")
		for _, role := range []string{"root", "", "ADMIN"} {
			create("role", role).wantCode(400, models.CodeInvalid, "角色仅支持：admin、user、guest")
		}
		create("role", []string{"user"}).wantCode(400, models.CodeInvalid, "字段 'role' 必须为字符串")
		create("role", "guest").want(201, "数据保存成功").wantAt("token.role", "guest")

		for _, bad := range []string{
			"tomorrow", "2030-13-01", "2030-1-1", "10000-01-01", "2030-01-01T00:00:00", "1893456000", "2030-02-30",
		} {
			create("expires_at", bad).wantCode(400, models.CodeInvalid, "expires_at 格式错误，应为 YYYY-MM-DD 或 RFC 3339 时间")
		}
		create("expires_at", 1893456000).wantCode(400, models.CodeInvalid, "字段 'expires_at' 必须为字符串")
		for _, past := range []string{
			"2020-01-01", "0000-01-01", "2020-01-01T00:00:00Z", a.now().Add(-time.Second).Format(time.RFC3339),
		} {
			create("expires_at", past).wantCode(400, models.CodeInvalid, "expires_at 必须晚于当前时间")
		}
		shanghai := time.FixedZone("", 8*60*60)
		now := a.now()
		for _, far := range []string{
			"9999-12-31", "9999-12-31T23:59:59-12:00", now.AddDate(1, 0, 3).Format(time.DateOnly),
			now.AddDate(1, 0, 2).Format(time.RFC3339),
		} {
			create("expires_at", far).wantCode(400, models.CodeInvalid, "expires_at 不能晚于一年后")
		}
		inAYear := now.In(shanghai).AddDate(1, 0, 0).Format(time.DateOnly)
		soon := now.Add(48 * time.Hour).Truncate(time.Second)
		for given, stored := range map[string]string{
			inAYear:                                inAYear + "T15:59:59.000000+00:00",
			soon.In(shanghai).Format(time.RFC3339): soon.UTC().Format("2006-01-02T15:04:05") + ".000000+00:00",
		} {
			create("expires_at", given).want(201, "数据保存成功").wantAt("token.expires_at", stored)
		}
		create("expires_at", a.now().In(shanghai).Format(time.DateOnly)).want(201, "数据保存成功").wantAt("token.expired", false)
		a.user.with("X-CSRFToken", "").post("/tokens", obj{"name": "x"}).wantCode(403, models.CodeCSRFMissing, "缺少 CSRF 令牌")
	})
}

func TestTokens_Role(t *testing.T) {
	onBothStores(t, func(a *app) {
		asAdmin := a.admin.token("all", "admin")
		asUser, asGuest := a.admin.token("some", "user"), a.admin.token("little", "guest")
		for _, c := range []*client{asAdmin, asUser, asGuest} {
			c.get("/instances").want(200, "获取实例列表成功")
		}
		asAdmin.get("/users").want(200, "获取用户列表成功")
		asAdmin.post("/tags", obj{"name": "核心", "display_name": "核心", "color": "red"}).want(201, "标签创建成功")
		for _, c := range []*client{asUser, asGuest} {
			c.get("/users").wantCode(403, models.CodeForbidden, "需要 admin 权限")
			c.get("/audit").wantCode(403, models.CodeForbidden, "需要 admin 权限")
			c.post("/tags", obj{"name": "x"}).wantCode(403, models.CodeForbidden, "需要 create 权限")
			c.post("/tokens", obj{"name": "more", "role": "admin"}).wantCode(403, models.CodeForbidden, "需要 admin 权限")
		}
		asGuest.post("/instances/1/actions/sync-capacity", nil).
			wantCode(403, models.CodeForbidden, "需要 instance_management.instance_list.sync_capacity 权限")
		asUser.post("/instances/1/actions/sync-capacity", nil).wantCode(404, models.CodeNotFound, "实例不存在")
		asUser.post("/tokens", obj{"name": "same"}).want(201, "数据保存成功").wantAt("token.role", "user")
		asUser.get("/auth/session").wantAt("user.username", "admin", "user.role", "user",
			"permissions", []string{"view", "instance_management.instance_list.sync_capacity"}, "csrf_token", nil)

		// A user who loses permissions loses them for tokens, too.
		theirs := a.user.token("mine", "user")
		path := fmt.Sprintf("/users/%d", a.userID("user_1"))
		a.admin.put(path, obj{"role": "guest"}).want(200, "用户更新成功")
		theirs.post("/instances/1/actions/sync-capacity", nil).
			wantCode(403, models.CodeForbidden, "需要 instance_management.instance_list.sync_capacity 权限")
		theirs.get("/instances").want(200, "获取实例列表成功")
		a.admin.put(path, obj{"is_active": false}).want(200, "用户更新成功")
		theirs.get("/instances").wantCode(401, models.CodeUnauthenticated, "请先登录")
	})
}

func TestTokens_Expiry(t *testing.T) {
	onBothStores(t, func(a *app) {
		end := a.now().AddDate(0, 3, 0).UTC().Truncate(time.Second)
		made := a.admin.post("/tokens", obj{"name": "short", "expires_at": end.Format(time.RFC3339)}).want(201, "数据保存成功")
		short := a.bearer(made.at("secret").(string))
		short.post("/tokens", obj{"name": "longer", "expires_at": end.Add(time.Second).Format(time.RFC3339)}).
			wantCode(400, models.CodeInvalid, "expires_at 不能晚于当前所用令牌的到期时间")
		for name, expires := range map[string]any{
			"as long": end.Format(time.RFC3339), "shorter": end.AddDate(0, 0, -9).Format(time.DateOnly), "usual": nil,
		} {
			short.post("/tokens", obj{"name": name, "expires_at": expires}).want(201, "数据保存成功")
		}
		soon := a.now().Add(time.Hour).UTC().Truncate(time.Second)
		made = a.admin.post("/tokens", obj{"name": "soon", "expires_at": soon.Format(time.RFC3339)}).want(201, "数据保存成功")
		made = a.bearer(made.at("secret").(string)).post("/tokens", obj{"name": "unsaid"}).want(201, "数据保存成功")
		ends, err := time.Parse(time.RFC3339, made.at("token", "expires_at").(string))
		check(a, err)
		equal(a, "ends with the other", ends.UTC(), soon)
	})
}

func (a *app) userID(name string) int64 {
	a.Helper()
	user, err := a.store.UserByName(a.Context(), name)
	check(a, err)
	return user.ID
}

func TestTokens_Invalid(t *testing.T) {
	onBothStores(t, func(a *app) {
		good := a.admin.token("good", "admin").header.Get("Authorization")
		expired := a.stale("admin", "expired", a.now().Add(-time.Second)).header.Get("Authorization")
		for _, header := range []string{
			expired, good + "x", strings.ToUpper(good), "Bearer", "Bearer ", "bearer x", "BEARER " + models.TokenPrefix,
			"Bearer " + strings.Repeat("x", 10_000), "Bearer a b", `Bearer "` + good + `"`, "Bearer \x80\xff",
		} {
			// The request also has the cookie of an administrator.
			c := a.admin.with("Authorization", header)
			for _, r := range []*response{
				c.get("/instances"), c.get("/auth/csrf-token"), c.get("/auth/session"), c.post("/auth/logout", nil),
				c.get("/nowhere"),
				c.post("/auth/login", obj{"username": "admin", "password": password}), c.post("/tags", obj{"name": "x"}),
			} {
				r.wantCode(401, models.CodeUnauthenticated, "请先登录")
				equal(a, r.what+" WWW-Authenticate", r.header.Get("WWW-Authenticate"), `Bearer error="invalid_token"`)
				equal(a, r.what+" cookie", r.header.Get("Set-Cookie"), "")
			}
		}
		a.anonymous.get("/instances").wantCode(401, models.CodeUnauthenticated, "请先登录")
		// Other schemes are ignored.
		secret := strings.TrimPrefix(good, "Bearer ")
		for _, header := range []string{
			"Basic YTpi", "Basic " + secret, secret, "Token " + secret, "Bearer\t" + secret, " ",
		} {
			a.admin.with("Authorization", header).get("/instances").want(200, "获取实例列表成功")
			a.anonymous.with("Authorization", header).get("/instances").want(401, "请先登录")
			a.admin.with("Authorization", header).with("X-CSRFToken", "").post("/tags", obj{"name": "x"}).
				wantCode(403, models.CodeCSRFMissing, "缺少 CSRF 令牌")
		}
		a.anonymous.with("Authorization", "bearer  "+secret+" ").get("/instances").want(200, "获取实例列表成功")

		// Of two headers only the first counts, and the cookie never does.
		two := a.admin.with("X-CSRFToken", "")
		two.header["Authorization"] = []string{"Bearer nonsense", good}
		two.post("/tags", obj{"name": "x"}).wantCode(401, models.CodeUnauthenticated, "请先登录")
		two.header["Authorization"] = []string{"Basic x", "Bearer nonsense"}
		two.post("/tags", obj{"name": "x"}).wantCode(403, models.CodeCSRFMissing, "缺少 CSRF 令牌")
	})
}

func TestTokens_NoCookie(t *testing.T) {
	onBothStores(t, func(a *app) {
		// The request also has an administrator's cookies. Only the guest's token counts, and needs no CSRF token.
		c := a.admin.with("X-CSRFToken", "").with("Authorization", a.guest.token("mine", "guest").header.Get("Authorization"))
		equal(a, "who", c.get("/auth/session").at("user", "username"), any("guest_1"))
		for _, r := range []*response{
			c.get("/auth/csrf-token").want(200, "操作成功").wantAt("csrf_token", nil),
			c.get("/auth/session").want(200, "获取会话状态成功"),
			c.post("/auth/login", obj{"username": "user_1", "password": password}).want(200, "登录成功"),
			c.post("/auth/login", obj{"username": "user_1", "password": "wrong"}).want(401, "用户名或密码错误"),
			c.post("/auth/logout", nil).want(200, "登出成功"),
			c.post("/auth/change-password", obj{}).want(400, "所有字段都不能为空"),
			c.get("/instances"), c.get("/tokens"), c.post("/tokens", obj{"name": "n"}).want(201, "数据保存成功"),
			c.post("/tags", obj{"name": "x"}).want(403, "需要 create 权限"), c.get("/nowhere"), c.do("HEAD", "/instances", nil),
			c.do("PATCH", "/instances", nil), c.get("/health/ping"),
		} {
			equal(a, r.what+" cookie", r.header.Get("Set-Cookie"), "")
			equal(a, r.what+" WWW-Authenticate", r.header.Get("WWW-Authenticate"), "")
		}
		a.admin.get("/auth/session").wantAt("user.username", "admin") // the session of the cookie is still valid
	})
}

func TestTokens_Pages(t *testing.T) {
	t.Parallel()
	a := newApp(t, t.TempDir()+"/store.db")
	token := a.admin.token("mine", "admin")
	for _, path := range []string{"/instances", "/tokens", "/audit", "/account"} {
		p := token.visit(path).wantStatus(http.StatusSeeOther)
		equal(t, path, p.header.Get("Location"), "/login?next="+url.QueryEscape(path))
		a.admin.with("Authorization", "Bearer nonsense").visit(path).wantStatus(http.StatusOK)
	}
	p := token.submit("/tags", url.Values{"name": {"x"}})
	if p.status == http.StatusOK || p.header.Get("Location") != "/login?next=%2Finstances" {
		t.Errorf("a write of a page took a token: %d %s", p.status, p.header.Get("Location"))
	}
}

// Admins see and end everybody's tokens; a token ends none that can do more.
func TestTokens_OfOthers(t *testing.T) {
	onBothStores(t, func(a *app) {
		all := func(c *client) *response { return c.get("/tokens?all=true") }
		theirs := a.user.token("theirs", "user")
		weak, strong := a.admin.token("weak", "guest"), a.admin.token("strong", "admin")
		list := all(a.admin).want(200, "获取令牌列表成功").wantAt("total", 3, "items.2.name", "theirs", "items.2.user_id", 2)
		all(strong).wantAt("total", 3)
		for _, c := range []*client{a.user, a.guest, weak} {
			all(c).wantCode(403, models.CodeForbidden, "需要 admin 权限")
			c.get("/tokens").want(200, "获取令牌列表成功")
		}
		path := func(i int) string { return fmt.Sprintf("/tokens/%d", list.id("items", i, "id")) }
		weak.remove(path(0)).wantCode(403, models.CodeForbidden, "需要 admin 权限")
		weak.remove(path(2)).wantCode(404, models.CodeNotFound, "资源不存在")
		weak.remove(path(1)).want(200, "数据删除成功")
		page := a.admin.visit("/tokens?all=1").wantStatus(200).has(1, `[data-token="theirs"]`).says("user_1")
		a.guest.visit("/tokens?all=1").wantStatus(403)
		page.has(1, "#own-tokens")
		strong.remove(path(2)).want(200, "数据删除成功")
		theirs.get("/instances").wantCode(401, models.CodeUnauthenticated, "请先登录")
	})
}

// What somebody else may have got hold of ends with a reset, with the user, and with a change that asks for it.
func TestTokens_EndWithPassword(t *testing.T) {
	onBothStores(t, func(a *app) {
		path := fmt.Sprintf("/users/%d", a.userID("user_1"))
		ended := func(what string, token *client) {
			a.Helper()
			equal(a, what, token.get("/instances").status, http.StatusUnauthorized)
		}
		before := a.user.token("before reset", "user")
		a.admin.put(path, obj{"password": "Another1one"}).want(200, "用户更新成功")
		ended("reset", before)

		user := a.login("user_1", "Another1one")
		before = user.token("before the switch", "user")
		a.admin.put(path, obj{"is_active": false}).want(200, "用户更新成功")
		a.admin.put(path, obj{"is_active": true}).want(200, "用户更新成功")
		ended("off and on", before)

		change := func(c *client, old, fresh string, end any) {
			c.post("/auth/change-password", obj{
				"old_password": old, "new_password": fresh, "confirm_password": fresh, "end_tokens": end,
			}).want(200, "密码修改成功")
		}
		user = a.login("user_1", "Another1one")
		before = user.token("before the change", "user")
		change(user, "Another1one", "Another1two", nil)
		before.get("/instances").want(200, "获取实例列表成功")
		change(user, "Another1two", "Another1one", true)
		ended("change", before)

		before = user.token("before the page", "user")
		user.submit("/account/password", url.Values{
			"old_password": {"Another1one"}, "new_password": {"Another1two"}, "confirm_password": {"Another1two"},
			"end_tokens": {"true"},
		}).wantStatus(http.StatusSeeOther)
		ended("page", before)
	})
}

func TestChangePassword_WithToken(t *testing.T) {
	t.Parallel()
	a := newApp(t, t.TempDir()+"/store.db")
	token := a.user.token("mine", "guest")
	with := a.user.with("Authorization", token.header.Get("Authorization"))
	with.post("/auth/change-password", obj{
		"old_password": password, "new_password": "Another1one", "confirm_password": "Another1one",
	}).
		want(200, "密码修改成功")
	a.user.get("/instances").want(401, "请先登录")
	token.get("/instances").want(200, "获取实例列表成功")
}

func TestChangePassword_Throttled(t *testing.T) {
	onBothStores(t, func(a *app) {
		change := func(c *client, old string) *response {
			return c.post("/auth/change-password",
				obj{"old_password": old, "new_password": "Another1one", "confirm_password": "Another1one"})
		}
		form := url.Values{
			"old_password":     {"Wrong1horse"},
			"new_password":     {"Another1one"},
			"confirm_password": {"Another1one"},
		}
		token := a.user.token("mine", "user")
		for range models.LoginFailureLimit / 2 {
			change(token, "Wrong1horse").wantCode(401, models.CodeInvalidOldPassword, "当前密码错误")
			a.user.submit("/account/password", form, into("form-problem")...).wantStatus(401).says("当前密码错误")
		}
		for _, r := range []*response{
			change(a.user, password), change(token, password), change(a.user.with("X-Forwarded-For", "192.0.2.7"), password),
			a.user.with("X-CSRFToken", "").post("/auth/change-password", "not JSON"),
		} {
			r.wantCode(429, models.CodeRateLimited, "请求过于频繁,请稍后再试")
			for name, want := range map[string]string{"X-RateLimit-Limit": "10", "X-RateLimit-Remaining": "0"} {
				equal(a, name, r.header.Get(name), want)
			}
			for _, name := range []string{"Retry-After", "X-RateLimit-Reset"} {
				if r.header.Get(name) == "" {
					a.Errorf("no %s", name)
				}
			}
		}
		p := a.user.submit("/account/password", form, into("form-problem")...).wantStatus(429).says("秒后重试")
		equal(a, "X-RateLimit-Limit", p.header.Get("X-RateLimit-Limit"), "10")
		a.anonymous.post("/auth/change-password", obj{}).want(401, "请先登录")
		change(a.guest, password).want(200, "密码修改成功")
		a.login("user_1", password)
	})
}

func TestRateLimits(t *testing.T) {
	t.Parallel()
	a := newAppLimited(t, t.TempDir()+"/store.db", nil, handlers.Limits{Token: 3, Address: 25})
	first, second := a.admin.token("first", "guest"), a.admin.token("second", "guest")
	// The budget refills meanwhile, so each kind of request is sent until it is refused.
	refused := func(allowed int, ask func() *response) {
		t.Helper()
		r := ask()
		for range 3 * allowed {
			if r.status == http.StatusTooManyRequests {
				break
			}
			r = ask()
		}
		equal(t, r.what, r.status, http.StatusTooManyRequests)
		equal(t, "limit", r.header.Get("X-RateLimit-Limit"), fmt.Sprint(allowed))
		equal(t, "remaining", r.header.Get("X-RateLimit-Remaining"), "0")
		for _, name := range []string{"Retry-After", "X-RateLimit-Reset"} {
			if r.header.Get(name) == "" {
				t.Errorf("%s: no %s", r.what, name)
			}
		}
	}
	limit := func(c *client, allowed int) {
		t.Helper()
		for range allowed {
			r := c.get("/instances?limit=1")
			if r.status == http.StatusTooManyRequests {
				t.Fatal("refused before the limit")
			}
		}
		refused(allowed, func() *response { return c.get("/instances") })
		refused(allowed, func() *response { return c.post("/auth/login", "not JSON") })
		refused(allowed, func() *response { return c.get("/nowhere") })
		refused(allowed, func() *response { return c.do("HEAD", "/instances", nil) })
	}
	first.get("/instances").want(200, "获取实例列表成功")
	second.get("/instances").want(200, "获取实例列表成功")
	limit(a.admin.token("third", "guest"), 3)
	limit(a.anonymous.with("X-Forwarded-For", "192.0.2.7"), 25)
	limit(a.admin.with("X-Forwarded-For", "192.0.2.8"), 25) // a session has no token budget
	limit(a.anonymous.with("X-Forwarded-For", "192.0.2.9").with("Authorization", "Bearer nonsense"), 25)
	// Budgets of tokens and addresses are independent.
	first.with("X-Forwarded-For", "192.0.2.7").get("/instances").want(200, "获取实例列表成功")
	a.anonymous.get("/instances").want(401, "请先登录")
	a.anonymous.with("X-Forwarded-For", "192.0.2.7").visit("/login").wantStatus(http.StatusOK) // pages are not limited
}
