package handlers_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"whalefall/models"
)

func TestLogin(t *testing.T) {
	t.Parallel()
	a := newApp(t, t.TempDir()+"/store.db")
	c := a.newClient()
	for _, body := range []obj{
		{}, {"username": "admin"}, {"password": "x"}, {"username": "", "password": ""}, {"username": 1, "password": true},
	} {
		c.post("/auth/login", body).wantCode(400, models.CodeInvalid, "用户名和密码不能为空")
	}
	for _, name := range []string{"admin", "ADMIN", "Admin\x00", strings.Repeat("x", 8000)} {
		c.post("/auth/login", obj{"username": name, "password": "wrong"}).
			wantCode(401, models.CodeInvalidCredentials, "用户名或密码错误")
	}
	c.get("/auth/session").want(200, "获取会话状态成功").wantAt("authenticated", false, "user", nil, "permissions", []any{})
	r := c.post("/auth/login", obj{"username": "admin", "password": password}).want(200, "登录成功")
	equal(a, "user", members(r.at("user").(obj)), "id is_active role username")
	r.wantAt("user.username", "admin", "user.role", "admin", "user.is_active", true)
	session := c.get("/auth/session").wantAt("authenticated", true, "user.username", "admin")
	equal(a, "session", members(session.data), "authenticated csrf_token permissions user")
	session.wantAt("permissions",
		[]string{"view", "create", "update", "delete", "admin", "instance_management.instance_list.sync_capacity"})
	a.user.get("/auth/session").wantAt("permissions", []string{"view", "instance_management.instance_list.sync_capacity"})
	a.guest.get("/auth/session").wantAt("permissions", []string{"view"})

	c.post("/auth/logout", nil).want(200, "登出成功")
	c.get("/instances").want(401, "请先登录")
	for _, name := range []string{" admin", "admin\t", "\r\n admin \u3000"} {
		c.post("/auth/login", obj{"username": name, "password": password}).want(200, "登录成功").
			wantAt("user.username", "admin")
	}
	c.post("/auth/login", obj{"username": " \t ", "password": password}).
		wantCode(400, models.CodeInvalid, "用户名和密码不能为空")
	c.post("/auth/login", obj{"username": "admin", "password": password + " "}).
		wantCode(401, models.CodeInvalidCredentials, "用户名或密码错误")
}

func TestLogout(t *testing.T) {
	a := newApp(t, t.TempDir()+"/store.db")
	c := a.newClient()
	first := c.post("/auth/login", obj{"username": "admin", "password": password}).
		want(200, "登录成功").
		header.Get("Set-Cookie")
	for _, attribute := range []string{"HttpOnly", "SameSite=Lax", "Path=/", "Max-Age=604800"} {
		if !strings.Contains(first, attribute) {
			t.Errorf("cookie without %s: %s", attribute, first)
		}
	}
	cookie, _, _ := strings.Cut(first, ";")
	stolen := a.newClient().with("Cookie", cookie)
	stolen.get("/instances").want(200, "获取实例列表成功")
	c.post("/auth/login", obj{"username": "admin", "password": password}).want(200, "登录成功")
	stolen.get("/instances").want(401, "请先登录")
	stolen.with("Cookie", cookie+"x").get("/instances").want(401, "请先登录")
}

func TestLogin_Throttled(t *testing.T) {
	onBothStores(t, func(a *app) {
		c := a.newClient()
		wrong := obj{"username": "user_1", "password": "wrong"}
		for range models.LoginFailureLimit - 1 {
			c.post("/auth/login", wrong).want(401, "用户名或密码错误")
		}
		c.post("/auth/login", obj{"username": "user_1", "password": password}).want(200, "登录成功")
		for range models.LoginFailureLimit {
			c.post("/auth/login", wrong).want(401, "用户名或密码错误")
		}
		// The limit is checked first, so even the right password is refused.
		for _, r := range []*response{
			c.post("/auth/login", obj{"username": "user_1", "password": password}),
			c.with("X-CSRFToken", "").post("/auth/login", wrong),
		} {
			r.wantCode(429, models.CodeRateLimited, "请求过于频繁,请稍后再试")
			equal(a, "category", r.body["category"], any("security"))
			equal(a, "limit", r.header.Get("X-RateLimit-Limit"), "10")
			equal(a, "remaining", r.header.Get("X-RateLimit-Remaining"), "0")
			wait, err := strconv.Atoi(r.header.Get("Retry-After"))
			if err != nil || wait < 1 || wait > 60 {
				a.Errorf("Retry-After %q", r.header.Get("Retry-After"))
			}
			reset, err := strconv.ParseInt(r.header.Get("X-RateLimit-Reset"), 10, 64)
			if until := time.Unix(reset, 0).Sub(a.now()); err != nil || until < -time.Second || until > time.Minute {
				a.Errorf("X-RateLimit-Reset %q", r.header.Get("X-RateLimit-Reset"))
			}
		}
		c.post("/auth/login", obj{"username": "guest_1", "password": password}).want(200, "登录成功")
		elsewhere := c.with("X-Forwarded-For", "192.0.2.7")
		elsewhere.post("/auth/login", obj{"username": "user_1", "password": password}).want(200, "登录成功")
	})
}

func TestChangePassword(t *testing.T) {
	t.Parallel()
	a := newApp(t, t.TempDir()+"/store.db")
	other := a.login("guest_1", password)
	change := func(old, fresh, again any) *response {
		return a.guest.post("/auth/change-password",
			obj{"old_password": old, "new_password": fresh, "confirm_password": again})
	}
	for _, r := range []*response{change("", "x", "x"), change("x", "", "x"), change("x", "x", ""), change(nil, 1, 1)} {
		r.wantCode(400, models.CodeInvalid, "所有字段都不能为空")
	}
	change(password, "Another1one", "Another1two").wantCode(400, models.CodePasswordMismatch, "两次输入的新密码不一致")
	change(password, password, password).wantCode(400, models.CodePasswordDuplicated, "新密码不能与当前密码相同")
	for fresh, want := range map[string]string{
		"Short1x":                       "密码长度至少8位",
		"Aa1" + strings.Repeat("x", 70): "密码长度不能超过72字节",
		"lower1234":                     "密码必须包含大写字母",
		"UPPER1234":                     "密码必须包含小写字母",
		"NoDigitsHere":                  "密码必须包含数字",
	} {
		change(password, fresh, fresh).wantCode(400, models.CodePasswordInvalid, want)
		a.admin.post("/users", obj{"username": "weak", "password": fresh, "role": "guest"}).
			wantCode(400, models.CodePasswordInvalid, want)
	}
	change("Wrong1horse", "Another1one", "Another1one").wantCode(401, models.CodeInvalidOldPassword, "当前密码错误")
	change(password, "Another1one", "Another1one").want(200, "密码修改成功")
	a.guest.get("/instances").want(200, "获取实例列表成功")
	other.get("/instances").want(401, "请先登录")
	a.newClient().post("/auth/login", obj{"username": "guest_1", "password": password}).want(401, "用户名或密码错误")
	a.login("guest_1", "Another1one")
}

func TestUsers(t *testing.T) {
	onBothStores(t, func(a *app) {
		list := a.admin.get("/users").
			want(200, "获取用户列表成功").
			wantAt("total", 3, "page", 1, "pages", 1, "items.0.username", "admin")
		equal(a, "item", members(list.at("items", 0).(obj)), "created_at id is_active last_login_at role updated_at username")
		a.admin.get("/users?limit=2&page=2").wantAt("page", 2, "pages", 2, "limit", 2, "items.0.username", "guest_1")
		a.admin.get("/users?limit=2&page=9").wantAt("items", []any{})

		for _, bad := range []struct {
			body obj
			want string
		}{
			{obj{}, "字段 'username, password, role' 是必填的"},
			{obj{"username": "ab", "password": password, "role": "user"}, "用户名只能包含字母、数字和下划线，长度为 3-20 个字符"},
			{obj{"username": strings.Repeat("x", 21), "password": password, "role": "user"}, "用户名只能包含字母、数字和下划线，长度为 3-20 个字符"},
			{obj{"username": "a b c", "password": password, "role": "user"}, "用户名只能包含字母、数字和下划线，长度为 3-20 个字符"},
			{obj{"username": "abc\x00", "password": password, "role": "user"}, "用户名只能包含字母、数字和下划线，长度为 3-20 个字符"},
			{obj{"username": "abc", "password": password, "role": "root"}, "角色仅支持：admin、user、guest"},
			{obj{"username": "abc", "password": password, "role": "user", "is_active": "yes"}, "is_active 仅支持布尔类型"},
			{obj{"username": []int{1}, "password": password, "role": "user"}, "字段 'username' 必须为字符串"},
			{obj{"username": "abc", "password": 12345678, "role": "user"}, "字段 'password' 必须为字符串"},
		} {
			a.admin.post("/users", bad.body).wantCode(400, models.CodeInvalid, bad.want)
		}
		a.admin.post("/users", obj{"username": "user_1", "password": password, "role": "user"}).
			wantCode(409, models.CodeUsernameExists, "用户名已存在")
		created := a.admin.post("/users", obj{
			"username": "second", "password": password, "role": "guest", "is_active": false,
		}).
			want(201, "用户创建成功")
		created.wantAt("user.username", "second", "user.role", "guest", "user.is_active", false, "user.last_login_at", nil)
		if strings.Contains(strings.ToLower(created.raw), "hash") {
			a.Errorf("tells the hash: %s", created.raw)
		}
		a.newClient().
			post("/auth/login", obj{"username": "second", "password": password}).
			wantCode(403, models.CodeAccountDisabled, "账户已被停用")

		path := "/users/" + strconv.FormatInt(created.id("user", "id"), 10)
		a.admin.put(path, obj{"is_active": true}).
			want(200, "用户更新成功").
			wantAt("user.is_active", true, "user.role", "guest", "user.username", "second")
		a.admin.put(path, obj{"username": "user_1"}).wantCode(409, models.CodeUsernameExists, "用户名已存在")
		a.admin.get(path).want(200, "获取用户信息成功").wantAt("user.username", "second")
		second := a.login("second", password)
		a.admin.put(path, obj{"password": "Different1one", "role": "user"}).want(200, "用户更新成功").wantAt("user.role", "user")
		second.get("/instances").want(401, "请先登录")
		a.login("second", "Different1one")
		for _, body := range []obj{{"is_active": false}, {"role": "user"}} {
			a.admin.put("/users/1", body).wantCode(409, models.CodeLastAdmin, "至少需要保留一个启用的管理员")
		}
		a.admin.get("/users/4711").wantCode(404, models.CodeNotFound, "资源不存在")
	})
}

// TestMustChangePassword checks whose password must be changed first, what works until then, and what ends it.
func TestMustChangePassword(t *testing.T) {
	onBothStores(t, func(a *app) {
		due := func(c *client) bool { return c.get("/instances").status == http.StatusForbidden }
		const first, second = "Another1one", "Another1two"
		form := url.Values{"username": {"fresh"}, "role": {"user"}, "password": {first}, "is_active": {"true"}}
		a.admin.submit("/users", form).wantStatus(http.StatusSeeOther)
		fresh := a.login("fresh", first)
		equal(a, "added in the page", due(fresh), true)
		path := fmt.Sprintf("/users/%d", a.userID("fresh"))
		a.admin.get(path).wantAt("user.must_change_password", true)
		a.admin.visit("/users").has(1, "[data-user=fresh] .badge")

		fresh.get("/instances").wantCode(403, models.CodePasswordChange, "请先修改密码")
		fresh.get("/auth/session").wantAt("user.must_change_password", true)
		fresh.get("/auth/me").want(200, "操作成功")
		for page, back := range map[string]string{
			"/": "%2F", "/tokens": "%2Ftokens", "/instances?q=1": "%2Finstances%3Fq%3D1",
		} {
			p := fresh.visit(page).wantStatus(http.StatusSeeOther)
			equal(a, page, p.header.Get("Location"), "/account?next="+back)
		}
		part := fresh.submit("/instances/1/sync", url.Values{}, htmx...).wantStatus(http.StatusForbidden)
		equal(a, "of a part", part.header.Get("HX-Redirect"), "/account?next=%2Finstances")
		fresh.visit("/account?next=/tokens").wantStatus(200).
			has(1, "#password-due", "#password-form input[name=next][value='/tokens']").
			has(0, "nav", "#own-tokens", "[data-session]")

		// The switch in a row and changes without a password leave it as it is.
		a.admin.submit(path, url.Values{"is_active": {"true"}}).wantStatus(http.StatusSeeOther)
		a.admin.put(path, obj{"role": "guest"}).want(200, "用户更新成功")
		equal(a, "after other changes", due(fresh), true)

		change := url.Values{
			"old_password": {first}, "new_password": {first}, "confirm_password": {first}, "next": {"/tokens"},
		}
		fresh.submit("/account/password", change).wantStatus(400).
			has(1, "#password-due", "input[name=next][value='/tokens']")
		change.Set("new_password", second)
		change.Set("confirm_password", second)
		p := fresh.submit("/account/password", change).wantStatus(http.StatusSeeOther)
		equal(a, "leads to", p.header.Get("Location"), "/tokens")
		equal(a, "changed", due(fresh), false)
		fresh.visit("/account").has(0, "#password-due").has(1, "nav")
		fresh.get("/auth/session").wantAt("user", obj{
			"id": a.userID("fresh"), "username": "fresh", "role": "guest", "is_active": true,
		})
	})
}

func TestMustChangePassword_Reset(t *testing.T) {
	onBothStores(t, func(a *app) {
		path := fmt.Sprintf("/users/%d", a.userID("user_1"))
		reset := func(body obj) *client {
			a.Helper()
			a.admin.put(path, body).want(200, "用户更新成功")
			return a.login("user_1", body["password"].(string))
		}
		wantDue := func(what string, c *client, due bool) {
			a.Helper()
			equal(a, what, c.get("/instances").body["message_code"] == string(models.CodePasswordChange), due)
		}
		wantDue("by the API", reset(obj{"password": "Another1one"}), false)
		known := reset(obj{"password": "Another1two", "must_change_password": true})
		wantDue("by the API, to be changed", known, true)
		known.post("/auth/change-password", obj{
			"old_password": "Another1two", "new_password": "Another1one", "confirm_password": "Another1one",
		}).want(200, "密码修改成功")
		wantDue("changed", known, false)

		token := known.token("mine", "user")
		a.admin.put(path, obj{"must_change_password": true}).want(200, "用户更新成功")
		wantDue("without a new password", known, true)
		wantDue("a token", token, false)
		a.admin.put(path, obj{"must_change_password": false}).want(200, "用户更新成功")
		wantDue("taken back", known, false)

		form := url.Values{"username": {"user_1"}, "role": {"user"}, "password": {"Another1two"}, "is_active": {"true"}}
		a.admin.submit(path, form).wantStatus(http.StatusSeeOther)
		wantDue("in the page", a.login("user_1", "Another1two"), true)
		wantDue("and then by the API", reset(obj{"password": "Another1one"}), false)

		// Nobody else knows the password that admins give themselves.
		form = url.Values{"username": {"admin"}, "role": {"admin"}, "password": {"Another1two"}, "is_active": {"true"}}
		a.admin.submit(fmt.Sprintf("/users/%d", a.userID("admin")), form).wantStatus(http.StatusSeeOther)
		wantDue("one's own", a.login("admin", "Another1two"), false)
		r := a.login("admin", "Another1two").post("/users",
			obj{"username": "added", "password": password, "role": "guest", "must_change_password": true})
		r.want(201, "用户创建成功").wantAt("user.must_change_password", true)
		wantDue("added by the API", a.login("added", password), true)
	})
}
