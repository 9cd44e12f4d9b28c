package handlers_test

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"whalefall/models"
)

// newUser adds a user by the API and returns the user's path.
func (a *app) newUser(name, role string) string {
	a.Helper()
	r := a.admin.post("/users", obj{"username": name, "password": password, "role": role}).want(201, "用户创建成功")
	return fmt.Sprintf("/users/%d", r.id("user", "id"))
}

// newCredential adds a credential for any engine by the API and returns its path.
func (a *app) newCredential(name string) string {
	a.Helper()
	r := a.admin.post("/credentials", obj{"name": name, "username": "u", "password": "p"}).want(201, "数据保存成功")
	return fmt.Sprintf("/credentials/%d", r.id("credential", "id"))
}

func TestUsers_Names(t *testing.T) {
	onBothStores(t, func(a *app) {
		const badName = "用户名只能包含字母、数字和下划线，长度为 3-20 个字符"
		create := func(name any) *response {
			return a.admin.post("/users", obj{"username": name, "password": password, "role": "guest"})
		}
		for _, name := range []string{
			"ab", strings.Repeat("a", 21), "a b", "a-b", "a.b", "鲸鲸鲸", "ＡＢＣ", "abc\n", " abc", "abc ", "a\x00bc", "<b>", "a'b",
			"été",
		} {
			create(name).wantCode(400, models.CodeInvalid, badName)
			a.admin.put("/users/1", obj{"username": name}).wantCode(400, models.CodeInvalid, badName)
		}
		for _, name := range []any{1, true, []string{"abc"}, obj{"a": 1}} {
			create(name).wantCode(400, models.CodeInvalid, "字段 'username' 必须为字符串")
			a.admin.put("/users/1", obj{"username": name}).wantCode(400, models.CodeInvalid, "字段 'username' 必须为字符串")
		}
		for _, name := range []any{nil, "", " "} {
			create(name).wantCode(400, models.CodeInvalid, "字段 'username' 是必填的")
		}
		for _, name := range []string{"abc", strings.Repeat("a", 20), "___", "123", "A_1"} {
			create(name).want(201, "用户创建成功").
				wantAt("user.username", name, "user.role", "guest", "user.is_active", true, "user.last_login_at", nil)
		}

		// Names that differ only in case are refused. The login takes any case.
		for _, name := range []string{"abc", "ABC", "Abc", "admin", "Admin"} {
			create(name).wantCode(409, models.CodeUsernameExists, "用户名已存在")
		}
		other := a.newUser("other", "guest")
		a.admin.put(other, obj{"username": "ADMIN"}).wantCode(409, models.CodeUsernameExists, "用户名已存在")
		a.admin.put(other, obj{"username": "abc"}).wantCode(409, models.CodeUsernameExists, "用户名已存在")
		a.admin.put(other, obj{"username": "Other"}).want(200, "用户更新成功").wantAt("user.username", "Other")
		a.admin.put(other, obj{"username": "Other"}).want(200, "用户更新成功")
		a.login("Other", password)
		a.newClient().
			post("/auth/login", obj{"username": "other", "password": password}).
			wantCode(401, models.CodeInvalidCredentials, "用户名或密码错误")
	})
}

func TestUsers_ConcurrentDuplicates(t *testing.T) {
	onBothStores(t, func(a *app) {
		names := []string{"twins", "Twins", "TWINS", "tWINS"}
		statuses := make([]int, len(names))
		var all sync.WaitGroup
		for i, name := range names {
			all.Go(func() {
				statuses[i] = a.admin.post("/users", obj{"username": name, "password": password, "role": "guest"}).status
			})
		}
		all.Wait()
		created := 0
		for _, s := range statuses {
			if s == 201 {
				created++
			} else {
				equal(a, "refused", s, 409)
			}
		}
		equal(a, "created", created, 1)
	})
}

func TestUsers_Members(t *testing.T) {
	onBothStores(t, func(a *app) {
		path := a.newUser("member", "guest")
		for _, role := range []string{"king", "Admin", "ADMIN", " admin", "root"} {
			a.admin.post("/users", obj{"username": "xyz", "password": password, "role": role}).
				wantCode(400, models.CodeInvalid, "角色仅支持：admin、user、guest")
			a.admin.put(path, obj{"role": role}).wantCode(400, models.CodeInvalid, "角色仅支持：admin、user、guest")
		}
		a.admin.put(path, obj{"role": ""}).wantCode(400, models.CodeInvalid, "角色仅支持：admin、user、guest")
		a.admin.put(path, obj{"role": 1}).wantCode(400, models.CodeInvalid, "字段 'role' 必须为字符串")
		for _, active := range []any{"true", "false", 1, 0, "", []bool{true}, obj{}} {
			a.admin.post("/users", obj{"username": "xyz", "password": password, "role": "user", "is_active": active}).
				wantCode(400, models.CodeInvalid, "is_active 仅支持布尔类型")
			a.admin.put(path, obj{"is_active": active}).wantCode(400, models.CodeInvalid, "is_active 仅支持布尔类型")
		}
		a.admin.post("/users", obj{}).wantCode(400, models.CodeInvalid, "字段 'username, password, role' 是必填的")

		r := a.admin.put(path, obj{"is_active": nil, "role": nil, "username": nil, "password": nil, "id": 1, "nonsense": 1}).
			want(200, "用户更新成功")
		r.wantAt("user.username", "member", "user.role", "guest", "user.is_active", true)
		equal(a, "members", members(r.at("user").(obj)), "created_at id is_active last_login_at role updated_at username")
		a.admin.put(path, obj{"role": "user", "is_active": false}).wantAt("user.role", "user", "user.is_active", false)
		a.admin.get(path).want(200, "获取用户信息成功").wantAt("user.role", "user", "user.is_active", false)
		a.newClient().
			post("/auth/login", obj{"username": "member", "password": password}).
			wantCode(403, models.CodeAccountDisabled, "账户已被停用")
		a.admin.post("/users", obj{"username": "sleeper", "password": password, "role": "user", "is_active": false}).
			want(201, "用户创建成功").wantAt("user.is_active", false)
		for _, missing := range []string{"/users/4711", "/users/0", "/users/x"} {
			a.admin.get(missing).wantCode(404, models.CodeNotFound, "资源不存在")
			a.admin.put(missing, obj{"role": "guest", "is_active": false}).wantCode(404, models.CodeNotFound, "资源不存在")
		}
		a.admin.remove(path).want(200, "用户删除成功")
		a.admin.get(path).wantCode(404, models.CodeNotFound, "资源不存在")
	})
}

func TestPasswordPolicy(t *testing.T) {
	onBothStores(t, func(a *app) {
		path := a.newUser("changed", "guest")
		for given, message := range map[string]string{
			"Aa34567":                       "密码长度至少8位",
			"Aa1" + strings.Repeat("x", 70): "密码长度不能超过72字节",
			strings.Repeat("鲸", 24) + "Aa1": "密码长度不能超过72字节",
			"alllower1":                     "密码必须包含大写字母",
			"ALLUPPER1":                     "密码必须包含小写字母",
			"NoDigitsHere":                  "密码必须包含数字",
		} {
			a.admin.post("/users", obj{"username": "policy", "password": given, "role": "guest"}).
				wantCode(400, models.CodePasswordInvalid, message)
			r := a.admin.put(path, obj{"password": given}).wantCode(400, models.CodePasswordInvalid, message)
			equal(a, "category", r.body["category"], any("validation"))
		}
		a.admin.put(path, obj{"password": ""}).wantCode(400, models.CodePasswordInvalid, "密码长度至少8位")
		a.admin.put(path, obj{"password": 12345678}).wantCode(400, models.CodeInvalid, "字段 'password' 必须为字符串")
		a.admin.post("/users", obj{"username": "policy", "password": "", "role": "guest"}).
			wantCode(400, models.CodeInvalid, "字段 'password' 是必填的")

		before := a.login("changed", password)
		for _, good := range []string{"Aa345678", "Aa1" + strings.Repeat("x", 69), "  Aa1\"'\\鲸 ", "Aa1\x00\n\t\u202e!"} {
			a.admin.put(path, obj{"password": good}).want(200, "用户更新成功")
			a.login("changed", good)
		}
		before.get("/instances").wantCode(401, models.CodeUnauthenticated, "请先登录")
	})
}

func TestUsers_LastAdmin(t *testing.T) {
	onBothStores(t, func(a *app) {
		const refused = "至少需要保留一个启用的管理员"
		admin := fmt.Sprintf("/users/%d", a.admin.get("/auth/session").id("user", "id"))
		for _, change := range []obj{{"is_active": false}, {"role": "user"}, {"role": "guest", "is_active": false}} {
			a.admin.put(admin, change).wantCode(409, models.CodeLastAdmin, refused)
		}
		off := a.newUser("second", "admin")
		a.admin.put(off, obj{"is_active": false}).want(200, "用户更新成功")
		a.admin.put(admin, obj{"is_active": false}).wantCode(409, models.CodeLastAdmin, refused)
		a.admin.put(off, obj{"is_active": true}).want(200, "用户更新成功")

		// Both admins give up their role at once. One of them must stay.
		second := a.login("second", password)
		statuses := make([]int, 2)
		var both sync.WaitGroup
		for i, own := range []string{admin, off} {
			asker := []*client{a.admin, second}[i]
			both.Go(func() { statuses[i] = asker.put(own, obj{"role": "guest"}).status })
		}
		both.Wait()
		if statuses[0]+statuses[1] != 200+409 {
			a.Errorf("both at once: %v", statuses)
		}
	})
}

func TestUsers_List(t *testing.T) {
	onBothStores(t, func(a *app) {
		a.newUser("Zoe_1", "guest")
		off := a.newUser("zed", "user")
		a.admin.put(off, obj{"is_active": false}).want(200, "用户更新成功")
		for query, want := range map[string]string{
			"":                          `["admin","user_1","guest_1","Zoe_1","zed"]`,
			"search=Z":                  `["Zoe_1","zed"]`,
			"search=OE":                 `["Zoe_1"]`,
			"search=_1":                 `["user_1","guest_1","Zoe_1"]`,
			"search=%25":                `[]`,
			"search=_":                  `["user_1","guest_1","Zoe_1"]`,
			"search=%00":                `[]`,
			"search=%FF":                `[]`,
			"role=guest":                `["guest_1","Zoe_1"]`,
			"role=king":                 `["admin","user_1","guest_1","Zoe_1","zed"]`,
			"status=inactive":           `["zed"]`,
			"status=active&search=z":    `["Zoe_1"]`,
			"limit=2":                   `["admin","user_1"]`,
			"limit=2&page=3":            `["zed"]`,
			"limit=2&page=4":            `[]`,
			"page_size=1&page=2":        `["user_1"]`,
			"limit=0&page=-1&search=ze": `["zed"]`,
		} {
			r := a.admin.get("/users?"+query).want(200, "获取用户列表成功")
			equal(a, query, plain(names(r, "username")), want)
		}
		a.admin.get("/users?limit=2&page=2").wantAt("total", 5, "page", 2, "pages", 3, "limit", 2)
		a.admin.get("/users?search=nobody").wantAt("total", 0, "page", 1, "pages", 0, "limit", 20)
	})
}

// names returns a member of each item of a list.
func names(r *response, member string) []any {
	r.Helper()
	out := []any{}
	for _, item := range r.at("items").([]any) {
		out = append(out, item.(obj)[member])
	}
	return out
}

func TestCredentials_Members(t *testing.T) {
	onBothStores(t, func(a *app) {
		path := a.newCredential("first")
		good := func(change obj) obj {
			out := obj{"name": "n", "username": "u", "password": "p"}
			maps.Copy(out, change)
			return out
		}
		for _, c := range []struct {
			change  obj
			message string
		}{
			{obj{"name": " \t"}, "字段 'name' 是必填的"},
			{obj{"name": "", "username": " "}, "字段 'name, username' 是必填的"},
			{obj{"password": ""}, "字段 'password' 是必填的"},
			{obj{"name": 1}, "字段 'name' 必须为字符串"},
			{obj{"username": []string{"u"}}, "字段 'username' 必须为字符串"},
			{obj{"password": 1}, "字段 'password' 必须为字符串"},
			{obj{"name": strings.Repeat("鲸", 101)}, "字段 'name' 长度不能超过 100 个字符"},
			{obj{"username": strings.Repeat("u", 256)}, "字段 'username' 长度不能超过 255 个字符"},
			{obj{"name": "a\nb"}, "字段 'name' 包含不允许的字符"},
			{obj{"name": "a\x00b"}, "字段 'name' 包含不允许的字符"},
			{obj{"username": "a\x7fb"}, "字段 'username' 包含不允许的字符"},
			{obj{"description": "a\x00b"}, "字段 'description' 包含不允许的字符"},
			{obj{"description": strings.Repeat("鲸", 501)}, "描述长度不能超过500个字符"},
			{obj{"description": 5}, "字段 'description' 必须为字符串"},
			{obj{"credential_type": "api"}, "凭据类型仅支持：database"},
			{obj{"credential_type": "Database"}, "凭据类型仅支持：database"},
			{obj{"credential_type": 1}, "字段 'credential_type' 必须为字符串"},
			{obj{"db_type": "db2"}, "不支持的数据库类型: db2.支持的类型: mysql, oracle, postgresql, sqlserver, sqlite"},
			{obj{"db_type": 5}, "字段 'db_type' 必须为字符串"},
			{obj{"password": strings.Repeat("x", 513)}, "密码长度不能超过 512 字节"},
			{obj{"password": strings.Repeat("鲸", 171)}, "密码长度不能超过 512 字节"},
		} {
			a.admin.post("/credentials", good(c.change)).wantCode(400, models.CodeInvalid, c.message)
			a.admin.put(path, c.change).wantCode(400, models.CodeInvalid, c.message)
		}
		a.admin.post("/credentials", obj{}).wantCode(400, models.CodeInvalid, "字段 'name, username, password' 是必填的")
		a.admin.post("/credentials", good(obj{"name": "first"})).wantCode(409, models.CodeConflict, "凭据名称已存在")
		a.admin.post("/credentials", good(obj{"name": " first "})).wantCode(409, models.CodeConflict, "凭据名称已存在")

		r := a.admin.post("/credentials", good(obj{
			"name":            " " + strings.Repeat("鲸", 100) + " ",
			"credential_type": "database",
			"db_type":         "MariaDB",
			"username":        strings.Repeat("u", 255),
			"description":     strings.Repeat("鲸", 499) + "\n",
			"nonsense":        1,
		})).want(201, "数据保存成功")
		r.wantAt("credential.name", strings.Repeat("鲸", 100), "credential.db_type", "mysql",
			"credential.credential_type", "database", "credential.password", "******")
		equal(a, "members", members(r.at("credential").(obj)),
			"created_at credential_type db_type description hosts id name password updated_at username")
		second := fmt.Sprintf("/credentials/%d", r.id("credential", "id"))
		a.admin.put(second, obj{"name": "first"}).wantCode(409, models.CodeConflict, "凭据名称已存在")
		a.admin.put(second, obj{"name": "FIRST", "description": ""}).want(200, "数据更新成功").
			wantAt("credential.name", "FIRST", "credential.db_type", "mysql", "credential.description", "")
		for _, empty := range []any{"", nil, " "} {
			a.admin.put(second, obj{"db_type": "pg"}).wantAt("credential.db_type", "postgresql")
			a.admin.put(second, obj{"db_type": empty}).want(200, "数据更新成功").wantAt("credential.db_type", nil)
		}
		for _, missing := range []string{"/credentials/4711", "/credentials/0", "/credentials/x"} {
			a.admin.get(missing).wantCode(404, models.CodeNotFound, "资源不存在")
			a.admin.put(missing, obj{"name": "x"}).wantCode(404, models.CodeNotFound, "资源不存在")
			a.admin.put(missing, obj{"name": ""}).wantCode(400, models.CodeInvalid, "字段 'name' 是必填的")
			a.admin.remove(missing).wantCode(404, models.CodeNotFound, "资源不存在")
		}
		a.admin.get(second).want(200, "获取凭据详情成功").wantAt("credential.name", "FIRST")
		a.admin.remove(second).want(200, "数据删除成功").wantAt("credential_id", r.id("credential", "id"))
		a.admin.remove(second).wantCode(404, models.CodeNotFound, "资源不存在")
	})
}

func TestCredentials_PasswordAsTyped(t *testing.T) {
	onBothStores(t, func(a *app) {
		for i, secret := range []string{
			" ", "  p  ", "p@ss:/?#[]%", "\x00\x01\n\t\x7f", `'"\` + "`", strings.Repeat("x", 512),
			strings.Repeat("鲸", 170) + "ab", "<script>", "\u202e", "******",
		} {
			r := a.admin.post("/credentials", obj{"name": fmt.Sprint("c", i), "username": "u", "password": secret}).
				want(201, "数据保存成功")
			a.wantSecret(r.id("credential", "id"), secret)
			path := fmt.Sprintf("/credentials/%d", r.id("credential", "id"))
			for _, seen := range []string{a.admin.get(path).raw, a.admin.get("/credentials").raw} {
				if len(secret) > 8 && strings.Contains(seen, secret) {
					a.Errorf("password %q came out: %s", secret, seen)
				}
			}
			a.admin.put(path, obj{"description": "unchanged"}).want(200, "数据更新成功")
			a.admin.put(path, obj{"password": nil}).want(200, "数据更新成功")
			a.wantSecret(r.id("credential", "id"), secret)
			a.admin.put(path, obj{"password": "new" + fmt.Sprint(i)}).want(200, "数据更新成功")
			a.wantSecret(r.id("credential", "id"), "new"+fmt.Sprint(i))
		}
	})
}

func (a *app) wantSecret(credential int64, want string) {
	a.Helper()
	stored, err := a.store.Credential(a.Context(), credential)
	check(a, err)
	secret, err := a.store.Password(stored)
	check(a, err)
	equal(a, "password", secret, want)
}

func TestCredentials_InUse(t *testing.T) {
	onBothStores(t, func(a *app) {
		path := a.newCredential("shared")
		var id int64
		_, err := fmt.Sscanf(path, "/credentials/%d", &id)
		check(a, err)
		instance := func(name string) string {
			r := a.admin.post("/instances", obj{
				"name": name, "db_type": "pg", "host": "db.example", "port": 5432, "credential_id": id,
			}).
				want(201, "实例创建成功")
			return fmt.Sprintf("/instances/%d", r.id("instance", "id"))
		}
		first, second := instance("b-live"), instance("a-binned")
		a.admin.remove(second).want(200, "实例已移入回收站")
		r := a.admin.remove(path).wantCode(409, models.CodeConflict, "凭据正在被实例使用，无法删除：b-live、回收站中的 a-binned")
		equal(a, "extra", plain(r.body["extra"]), plain(obj{"instance_count": 2, "instances": []obj{
			{
				"id":     idOf(a, first),
				"name":   "b-live",
				"status": "active",
			},
			{"id": idOf(a, second), "name": "a-binned", "status": "deleted"},
		}}))
		a.admin.with("Accept-Language", "en").
			remove(path).
			want(409, "This credential is in use and cannot be deleted: b-live, in the recycle bin a-binned")
		a.admin.get("/credentials").wantAt("items.0.instance_count", 2)

		a.admin.put(first, obj{"name": "b-live", "db_type": "pg", "host": "db.example", "port": 5432, "credential_id": nil}).
			want(200, "实例更新成功")
		a.admin.remove(path).wantCode(409, models.CodeConflict, "凭据正在被实例使用，无法删除：回收站中的 a-binned")
		for i := range 21 {
			instance(fmt.Sprintf("more-%02d", i))
		}
		r = a.admin.remove(path)
		equal(a, "count", plain(r.body["extra"].(obj)["instance_count"]), "22")
		equal(a, "named", len(r.body["extra"].(obj)["instances"].([]any)), 20)
		if message := r.body["message"].(string); !strings.HasSuffix(message, "more-19 等") {
			a.Errorf("message %q", message)
		}
	})
}

func idOf(a *app, path string) int64 {
	a.Helper()
	var id int64
	_, err := fmt.Sscanf(path[strings.LastIndex(path, "/"):], "/%d", &id)
	check(a, err)
	return id
}

// TestCredentials_OtherEngine checks that the db_type of a credential only sorts it and forbids nothing.
func TestCredentials_OtherEngine(t *testing.T) {
	onBothStores(t, func(a *app) {
		r := a.admin.post("/credentials", obj{"name": "my", "db_type": "mysql", "username": "u", "password": "p"}).
			want(201, "数据保存成功")
		id := r.id("credential", "id")
		in := a.admin.post("/instances", obj{
			"name": "pg", "db_type": "pg", "host": "db.example", "port": 5432, "credential_id": id,
		}).
			want(201, "实例创建成功").
			wantAt("instance.credential_id", id)
		a.newCredential("any")
		edit := a.admin.visit(fmt.Sprintf("/instances/%d/edit", in.id("instance", "id"))).wantStatus(http.StatusOK)
		edit.has(1, fmt.Sprintf(".credential-choice option[value='%d'][selected]", id)).has(3, ".credential-choice option")
		a.admin.visit("/instances/new?db_type=oracle").has(2, ".credential-choice option").says("any (u)")
	})
}

func TestCredentials_List(t *testing.T) {
	onBothStores(t, func(a *app) {
		for _, c := range []obj{
			{"name": "Été", "db_type": "pg", "username": "mon", "description": "100%_x"},
			{"name": "beta", "db_type": "mysql", "username": "MON"},
			{"name": "alpha", "username": "other", "description": "鲸落 STRASSE"},
		} {
			c["password"] = "p"
			a.admin.post("/credentials", c).want(201, "数据保存成功")
		}
		for query, want := range map[string]string{
			"":                          `["alpha","beta","Été"]`,
			"search=%C3%89T%C3%89":      `["Été"]`,
			"search=mon":                `["beta","Été"]`,
			"search=stra%C3%9Fe":        `["alpha"]`,
			"search=%25_":               `["Été"]`,
			"search=%25":                `["Été"]`,
			"search=%00":                `[]`,
			"search=%FF":                `[]`,
			"db_type=MariaDB":           `["beta"]`,
			"db_type=db2":               `["alpha","beta","Été"]`,
			"db_type=pg&search=beta":    `[]`,
			"limit=1&page=2":            `["beta"]`,
			"limit=1&page=2&search=mon": `["Été"]`,
		} {
			r := a.guest.get("/credentials?"+query).want(200, "获取凭据列表成功")
			equal(a, query, plain(names(r, "name")), want)
		}
		a.guest.get("/credentials?limit=1&search=mon").
			wantAt("total", 2, "pages", 2, "items.0.instance_count", 0, "items.0.password", "******")
	})
}

func TestUsersPage(t *testing.T) {
	t.Parallel()
	a := newApp(t, t.TempDir()+"/store.db")
	for _, c := range []*client{a.user, a.guest} {
		for _, path := range []string{"/users", "/users/new", "/users/1/edit", "/users/1"} {
			c.visit(path).wantStatus(http.StatusForbidden).has(1, ".failure").says("需要 管理 权限")
		}
		c.submit("/users", url.Values{}).wantStatus(http.StatusForbidden)
		c.submit("/users/1", url.Values{}).wantStatus(http.StatusForbidden)
		c.visit("/instances").has(0, `nav a[href="/users"]`)
	}
	a.admin.visit("/users").
		wantStatus(http.StatusOK).
		has(3, "#user-list tbody tr").
		has(1, "#add-user", "tr[data-user=admin] .badge").
		has(0, "tr[data-user=admin] [popover]", "[data-user] script").
		has(2, "#user-list [popover]")
	a.admin.visit("/users?role=guest", into("user-list")...).has(1, "tbody tr").has(0, ".toolbar")
	a.admin.visit("/users?search=nobody").has(1, ".state a[href='/users']")
	equal(t, "sorted", a.admin.visit("/users?sort=-name").doc.Find("tbody tr").First().AttrOr("data-user", ""), "user_1")
	a.admin.visit("/users/99/edit").wantStatus(http.StatusNotFound).has(1, ".failure")
	equal(t, "form", a.admin.visit("/users/7").wantStatus(http.StatusSeeOther).header.Get("Location"), "/users/7/edit")

	for _, path := range []string{"/users", "/users/new", "/credentials", "/credentials/new"} {
		a.admin.visit(path).has(0, "[style]", "style", "script:not([src])", "[onclick]", "[hx-on]")
	}

	form := url.Values{"username": {"fresh_1"}, "role": {"user"}, "password": {"weak"}, "is_active": {"false"}}
	back := a.admin.submit("/users", form).
		wantStatus(http.StatusBadRequest).
		has(1, "header.topbar", "#form-problem .error", "#user-form").
		says("密码长度至少8位")
	back.has(1, `input[name=username][value=fresh_1]`, `option[value=user][selected]`).
		has(0, `input[name=password][value]`, `input[type=checkbox][checked]`)
	a.admin.submit("/users", form, htmx...).wantStatus(http.StatusBadRequest).has(1, ".toast.error")
	p := a.admin.submit("/users", form, into("form-problem")...).
		wantStatus(http.StatusBadRequest).
		has(1, ".inline-result.error").
		has(0, "form")
	equal(t, "retarget", p.header.Get("HX-Retarget"), "#form-problem")
	form.Del("password")
	a.admin.submit("/users", form).wantStatus(http.StatusBadRequest).says("字段 '密码' 是必填的")
	form.Set("password", password)
	p = a.admin.submit("/users", form, into("form-problem")...).wantStatus(http.StatusOK).says("用户 fresh_1 已添加")
	equal(t, "event", p.header.Get("HX-Trigger"), "users-changed")
	a.admin.submit("/users", form).wantStatus(http.StatusConflict).has(1, "#user-form").says("用户名已存在")

	path := fmt.Sprintf("/users/%d", a.admin.get("/users?search=fresh_1").id("items", 0, "id"))
	a.admin.submit(path, url.Values{"is_active": {"true"}}, htmx...).wantStatus(http.StatusOK).says("用户 fresh_1 已启用")
	fresh := a.login("fresh_1", password)
	form = url.Values{"username": {"fresh_2"}, "role": {"guest"}, "password": {""}, "is_active": {"false", "true"}}
	equal(t, "leads to", a.admin.submit(path, form).wantStatus(http.StatusSeeOther).header.Get("Location"), "/users")
	fresh.get("/auth/session").wantAt("user.username", "fresh_2", "user.role", "guest")
	a.admin.visit(path+"/edit").
		has(1, `option[value=guest][selected]`, `input[type=checkbox][checked]`).
		has(0, "#own-account")
	a.admin.submit(path, url.Values{"is_active": {"false"}}, htmx...).wantStatus(http.StatusOK).says("用户 fresh_2 已停用")
	fresh.visit("/instances").wantStatus(http.StatusSeeOther)

	own := fmt.Sprintf("/users/%d", a.admin.get("/auth/session").id("user", "id"))
	a.admin.visit(own+"/edit").has(1, "#own-account")
	form = url.Values{"username": {"admin"}, "role": {"user"}, "is_active": {"false", "true"}}
	a.admin.submit(own, form).
		wantStatus(http.StatusConflict).
		has(1, "#user-form #form-problem .error", `option[value=user][selected]`).
		says("至少需要保留一个启用的管理员")
	a.newUser("second", "admin")
	p = a.admin.submit(own, form, into("form-problem")...).wantStatus(http.StatusOK)
	equal(t, "no longer an admin", p.header.Get("HX-Redirect"), "/")
	a.admin.visit("/users").wantStatus(http.StatusForbidden)
}

func TestUsersPage_Sort(t *testing.T) {
	onBothStores(t, func(a *app) {
		off := a.newUser("Beta_9", "guest")
		a.admin.put(off, obj{"is_active": false}).want(200, "用户更新成功")
		for sort, want := range map[string]string{
			"name": "admin", "-name": "user_1", "role": "admin", "status": "admin", "-status": "Beta_9",
			"-last_login": "guest_1", "-created": "Beta_9",
		} {
			p := a.admin.visit("/users?sort=" + sort).wantStatus(http.StatusOK)
			equal(a, sort, p.doc.Find("tbody tr").First().AttrOr("data-user", ""), want)
		}
		a.newCredential("zeta")
		used := a.newCredential("alpha")
		a.admin.put(used, obj{"db_type": "pg", "username": "v"}).want(200, "数据更新成功")
		a.admin.post("/instances", obj{
			"name": "one", "db_type": "pg", "host": "h", "port": 1, "credential_id": idOf(a, used),
		}).
			want(201, "实例创建成功")
		for sort, want := range map[string]string{
			"name": "alpha", "-name": "zeta", "-db_type": "alpha", "-username": "alpha", "-instances": "alpha",
			"-updated": "alpha", "nonsense": "alpha",
		} {
			p := a.admin.visit("/credentials?sort=" + sort).wantStatus(http.StatusOK)
			equal(a, sort, p.doc.Find("tbody tr").First().AttrOr("data-credential", ""), want)
		}
	})
}

func TestCredentialsPage(t *testing.T) {
	t.Parallel()
	a := newApp(t, t.TempDir()+"/store.db")
	hostile := `"><script>alert(1)</script>`
	form := url.Values{
		"name":        {hostile},
		"db_type":     {"mysql"},
		"username":    {""},
		"password":    {"Hidden1Secret"},
		"description": {"a\nb"},
	}
	back := a.admin.submit("/credentials", form).
		wantStatus(http.StatusBadRequest).
		has(1, "#credential-form #form-problem .error").
		says("字段 '用户名' 是必填的")
	equal(t, "name", back.doc.Find("input[name=name]").AttrOr("value", ""), hostile)
	equal(t, "description", back.doc.Find("textarea").Text(), "a\nb")
	back.has(1, "option[value=mysql][selected]").has(0, "input[name=password][value]")
	form.Set("name", " ")
	a.admin.submit("/credentials", form).wantStatus(http.StatusBadRequest).says("字段 '凭据名称、用户名' 是必填的")
	form.Set("name", hostile)
	form.Set("username", "mon")
	a.admin.submit("/credentials", form, into("form-problem")...).wantStatus(http.StatusOK).says("已添加")

	path := fmt.Sprintf("/credentials/%d", a.admin.get("/credentials").id("items", 0, "id"))
	edit := a.admin.visit(path+"/edit").
		wantStatus(http.StatusOK).
		has(0, "input[name=password][value]", "input[name=password][required]")
	if html, _ := edit.doc.Html(); strings.Contains(html, "Hidden1Secret") {
		t.Error("the password came out")
	}
	form.Set("password", "")
	form.Set("name", "renamed")
	a.admin.submit(path, form).wantStatus(http.StatusSeeOther)
	a.wantSecret(idOf(a, path), "Hidden1Secret")
	equal(t, "form", a.admin.visit(path).wantStatus(http.StatusSeeOther).header.Get("Location"), path+"/edit")

	for _, c := range []*client{a.user, a.guest} {
		c.visit("/credentials").
			wantStatus(http.StatusOK).
			has(1, "#credential-list tbody tr").
			has(0, "#add-credential", ".row-actions", "[popover]")
		for _, form := range []string{"/credentials/new", path + "/edit", path} {
			c.visit(form).wantStatus(http.StatusForbidden)
		}
		for _, action := range []string{"/credentials", path, path + "/delete"} {
			c.submit(action, url.Values{}).wantStatus(http.StatusForbidden)
		}
	}
	instance := obj{
		"name":          "holder",
		"db_type":       "mysql",
		"host":          "db.example",
		"port":          3306,
		"credential_id": idOf(a, path),
	}
	holder := fmt.Sprintf("/instances/%d", a.admin.post("/instances", instance).want(201, "实例创建成功").id("instance", "id"))
	a.admin.remove(holder).want(200, "实例已移入回收站")
	a.admin.visit("/credentials").has(1, "td.num .badge").says("回收站 1")
	a.admin.submit(path+"/delete", url.Values{}, htmx...).
		wantStatus(http.StatusConflict).
		has(1, ".toast.error").
		says("回收站中的 holder")
	a.admin.submit(a.newCredential("spare")+"/delete", url.Values{}, htmx...).
		wantStatus(http.StatusOK).
		says("凭据 spare 已删除")
	a.admin.visit("/credentials?search=none").has(1, ".state a[href='/credentials']")
}

func TestInstanceFormPage_Refused(t *testing.T) {
	t.Parallel()
	a := newApp(t, t.TempDir()+"/store.db")
	form := url.Values{
		"name":             {"kept"},
		"db_type":          {"oracle"},
		"host":             {"db.example"},
		"port":             {"x"},
		"credential_id":    {""},
		"username":         {"mon"},
		"password":         {"Hidden1Secret"},
		"tls_mode":         {"require"},
		"options.sid":      {"ORCL"},
		"tag_names":        {"a, b"},
		"description":      {"why"},
		"is_active":        {"false"},
		"schedule.enabled": {"false"},
	}
	wanted := map[string]string{
		"input[name=name]": "kept", "input[name=host]": "db.example", "input[name=port]": "x", "input[name=username]": "mon",
		"input[name=password]": "", "input[name='options.sid']": "ORCL", "input[name=tag_names]": "a, b",
		"select[name=db_type] option[selected]": "oracle", "select[name=tls_mode] option[selected]": "require",
	}
	back := a.admin.submit("/instances", form).
		wantStatus(http.StatusBadRequest).
		has(1, "#instance-form #test-result .error").
		says("端口号必须是整数")
	for selector, want := range wanted {
		equal(t, selector, back.doc.Find(selector).AttrOr("value", ""), want)
	}
	equal(t, "description", back.doc.Find("textarea[name=description]").Text(), "why")
	back.has(0, "input[type=checkbox][checked]")

	path := a.sqliteInstance("file", a.sqliteFile("CREATE TABLE t (id)"))
	edit := url.Values{
		"name":          {"not a name"},
		"db_type":       {"sqlite"},
		"database_name": {"/other.db"},
		"is_active":     {"false", "true"},
	}
	back = a.admin.submit(path, edit).
		wantStatus(http.StatusBadRequest).
		has(1, fmt.Sprintf("form[action='%s']", path), "#test-result .error")
	equal(t, "file", back.doc.Find("input[name=database_name]").AttrOr("value", ""), "/other.db")
	a.admin.submit("/instances/4711", edit).wantStatus(http.StatusNotFound).has(1, ".failure")
}
