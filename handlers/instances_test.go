package handlers_test

import (
	"fmt"
	"maps"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"

	"whalefall/models"
	"whalefall/testenv"
)

func TestInstances(t *testing.T) {
	onBothStores(t, func(a *app) {
		credential := a.admin.post("/credentials", obj{
			"name": "monitor", "db_type": "pg", "username": "mon", "password": "s3cret",
		}).
			want(201, "数据保存成功").
			id("credential", "id")
		created := a.admin.post("/instances", obj{
			"name": "生产-PG_1", "db_type": "Postgres", "host": "db.example.com", "port": "5432", "database_name": "app.svc",
			"credential_id": credential, "description": "主库\n第二行", "tag_names": []string{"prod", "主", "prod"}, "nonsense": 1,
		}).want(201, "实例创建成功")
		equal(a, "members", members(created.at("instance").(obj)),
			"created_at credential credential_id database_name database_version "+
				"db_type deleted_at description detailed_version host id is_active last_connected last_sync_time main_version "+
				"name options port schedule status tags tls_mode updated_at")
		path := fmt.Sprintf("/instances/%d", created.id("instance", "id"))
		detail := a.guest.get(path).want(200, "获取实例详情成功").wantAt(
			"instance.name", "生产-PG_1", "instance.db_type", "postgresql",
			"instance.host", "db.example.com", "instance.port", 5432, "instance.database_name", "app.svc",
			"instance.status", "active", "instance.is_active", true, "instance.tls_mode", "prefer",
			"instance.options", obj{}, "instance.last_connected", nil, "instance.database_version", nil,
			"instance.credential",
			obj{"id": credential, "name": "monitor", "username": "mon", "password": "******", "credential_type": "database"},
		)
		if strings.Contains(detail.raw, "s3cret") {
			a.Error("the password came out")
		}
		equal(a, "tags", len(detail.at("instance", "tags").([]any)), 2)
		equal(a, "tag", members(detail.at("instance", "tags", 0).(obj)), "color display_name name")

		list := a.guest.get("/instances").want(200, "获取实例列表成功").wantAt("total", 1, "page", 1, "pages", 1, "limit", 20,
			"items.0.name", "生产-PG_1", "items.0.active_db_count", 0, "items.0.active_account_count", 0,
			"items.0.last_sync_time", nil,
			"items.0.deleted_at", nil, "items.0.main_version", nil, "items.0.status", "active")
		for name := range strings.FieldsSeq("id name db_type host port description is_active deleted_at status " +
			"main_version active_db_count active_account_count last_sync_time tags") {
			if _, ok := list.at("items", 0).(obj)[name]; !ok {
				a.Errorf("item without %s", name)
			}
		}

		same := obj{"name": "生产-PG_1", "db_type": "pg", "host": "::1", "port": 5433}
		a.admin.post("/instances", same).wantCode(409, models.CodeConflict, "实例名称已存在")
		a.admin.put(path, same).want(200, "实例更新成功").wantAt("instance.host", "::1", "instance.port", 5433,
			"instance.database_name", "app.svc", "instance.description", "主库\n第二行", "instance.credential_id", credential)
		same["credential_id"], same["tag_names"], same["is_active"], same["description"] = nil, []string{}, false, ""
		a.admin.put(path, same).want(200, "实例更新成功").wantAt("instance.credential", nil, "instance.tags", []any{},
			"instance.status", "inactive", "instance.description", "")

		gone := a.admin.remove(path).want(200, "实例已移入回收站").wantAt("deletion_mode", "soft")
		equal(a, "members", members(gone.data), "deleted_at deletion_mode instance_id")
		again := a.admin.post(path+"/delete", nil).want(200, "实例已移入回收站")
		equal(a, "deleted once", again.at("deleted_at"), gone.at("deleted_at"))
		a.admin.get(path).wantCode(404, models.CodeNotFound, "实例不存在")
		a.admin.put(path, same).wantCode(404, models.CodeNotFound, "实例不存在")
		a.admin.post(path+"/actions/sync-capacity", nil).wantCode(404, models.CodeNotFound, "实例不存在")
		a.admin.get("/instances").wantAt("total", 0, "pages", 0, "items", []any{})
		a.admin.get("/instances?include_deleted=true").
			wantAt("total", 1, "items.0.status", "deleted", "items.0.is_active", false)

		taken := a.admin.post("/instances", obj{"name": "生产-PG_1", "db_type": "pg", "host": "h", "port": 1}).
			want(201, "实例创建成功")
		a.admin.post(path+"/restore", nil).wantCode(409, models.CodeConflict, "实例名称已存在")
		a.admin.remove(fmt.Sprintf("/instances/%d", taken.id("instance", "id"))).want(200, "实例已移入回收站")
		a.admin.post(path+"/actions/restore", nil).
			want(200, "实例恢复成功").
			wantAt("instance.is_active", false, "instance.status", "inactive")
		a.admin.post(path+"/restore", nil).want(200, "实例未删除，无需恢复")
		same["is_active"] = true
		a.admin.put(path, same).want(200, "实例更新成功")
		for _, binned := range []func() *response{
			func() *response { return a.admin.remove(path) },
			func() *response { return a.admin.post(path+"/delete", nil) },
			func() *response {
				return a.admin.post("/instances/batch-delete", obj{"instance_ids": []any{gone.at("instance_id")}})
			},
		} {
			equal(a, "deleted", binned().status, 200)
			a.admin.remove(path).want(200, "实例已移入回收站") // again, which must not forget how it was
			a.admin.get("/instances?include_deleted=true&search=PG_1").wantAt("items.0.is_active", false)
			a.admin.post(path+"/restore", nil).
				want(200, "实例恢复成功").
				wantAt("instance.is_active", true, "instance.status", "active")
		}
		a.admin.post("/instances/4711/restore", nil).wantCode(404, models.CodeNotFound, "实例不存在")
	})
}

func TestInstances_Input(t *testing.T) {
	onBothStores(t, func(a *app) {
		good := func(change obj) obj {
			out := obj{"name": "n", "db_type": "mysql", "host": "h", "port": 3306}
			maps.Copy(out, change)
			return out
		}
		const host, port, kind = "主机地址格式无效,请输入有效的IP地址或域名", "端口号必须是整数", "不支持的数据库类型: %s.支持的类型: mysql, oracle, postgresql, " +
			"sqlserver, sqlite"
		for _, bad := range []struct {
			change obj
			want   string
		}{
			{obj{"name": "", "host": nil}, "字段 'name, host' 是必填的"},
			{obj{"name": "  ", "db_type": "", "host": "", "port": ""}, "字段 'name, db_type, host, port' 是必填的"},
			{obj{"name": strings.Repeat("名", 101)}, "实例名称长度不能超过100个字符"},
			{obj{"name": "a b"}, "实例名称只能包含字母、数字、下划线、连字符和中文字符"},
			{obj{"name": "<script>"}, "实例名称只能包含字母、数字、下划线、连字符和中文字符"},
			{obj{"name": "a\x00b"}, "实例名称只能包含字母、数字、下划线、连字符和中文字符"},
			{obj{"name": 5}, "字段 'name' 必须为字符串"},
			{obj{"db_type": "db2"}, fmt.Sprintf(kind, "db2")},
			{obj{"db_type": "MongoDB"}, fmt.Sprintf(kind, "MongoDB")},
			{obj{"host": "a b"}, host},
			{obj{"host": "256.1.1.1"}, host},
			{obj{"host": "1.2.3"}, host},
			{obj{"host": "http://x"}, host},
			{obj{"host": "-x"}, host},
			{obj{"host": "a..b"}, host},
			{obj{"host": "x:5432"}, host},
			{obj{"host": strings.Repeat("a", 64)}, host},
			{obj{"host": "主机"}, host},
			{obj{"host": "a\nb"}, host},
			{obj{"host": "fe80::1%<x>"}, host},
			{obj{"host": "[::1"}, host},
			{obj{"host": "::1]"}, host},
			{obj{"host": "[]"}, host},
			{obj{"port": "x"}, port},
			{obj{"port": 1.5}, port},
			{obj{"port": true}, port},
			{obj{"port": []int{1}}, port},
			{obj{"port": "0x10"}, port},
			{obj{"port": 0}, "端口号必须在1-65535之间"},
			{obj{"port": 65536}, "端口号必须在1-65535之间"},
			{obj{"port": -1}, "端口号必须在1-65535之间"},
			{obj{"port": "99999999999999999999"}, "端口号必须在1-65535之间"},
			{obj{"description": strings.Repeat("描", 501)}, "描述长度不能超过500个字符"},
			{obj{"description": "a\x00b"}, "字段 'description' 包含不允许的字符"},
			{obj{"database_name": "a\x00b"}, "字段 'database_name' 包含不允许的字符"},
			{obj{"database_name": strings.Repeat("x", 513)}, "字段 'database_name' 长度不能超过 512 个字符"},
			{obj{"credential_id": 4711}, "凭据不存在"},
			{obj{"credential_id": "x"}, "凭据不存在"},
			{obj{"credential_id": -1}, "凭据不存在"},
			{obj{"credential_id": true}, "凭据不存在"},
			{obj{"tag_names": "a,b"}, "tag_names 必须为数组"},
			{obj{"tag_names": obj{}}, "tag_names 必须为数组"},
			{obj{"tag_names": []any{1}}, "字段 'tag_names' 必须为字符串"},
			{obj{"tag_names": []any{"a\x00"}}, "字段 'tag_names' 包含不允许的字符"},
			{obj{"is_active": "yes"}, "is_active 仅支持布尔类型"},
			{obj{"is_active": 1}, "is_active 仅支持布尔类型"},
			{obj{"is_active": "true"}, "is_active 仅支持布尔类型"},
			{obj{"tls_mode": "sometimes"}, "tls_mode 仅支持：disable、prefer、require、verify-ca、verify-full"},
			{obj{"options": "x"}, "options 必须为对象，且所有值均为字符串"},
			{obj{"options": obj{"a": 1}}, "options 必须为对象，且所有值均为字符串"},
			{obj{"options": obj{"a b": "x"}}, "options 必须为对象，且所有值均为字符串"},
			{obj{"options": obj{"ca_certificate": "-----BEGIN CERTIFICATE-----"}}, "options.ca_certificate 的内容无效，须为 PEM 格式的证书"},
			{obj{"db_type": "sqlite"}, "字段 'database_name' 是必填的"},
			{obj{"username": "u"}, "字段 'password' 是必填的"},
			{obj{"password": "p"}, "字段 'username' 是必填的"},
		} {
			a.admin.post("/instances", good(bad.change)).wantCode(400, models.CodeInvalid, bad.want)
		}
		a.admin.get("/instances?include_deleted=1").wantAt("total", 0)

		for i, fine := range []obj{
			{"db_type": "MariaDB"},
			{"db_type": "MSSQL"},
			{"db_type": "pg"},
			{"db_type": " Oracle ", "database_name": "ORCL.example.com"},
			{"host": "::1"},
			{"host": "[2001:db8::1]"},
			{"host": "10.0.0.1"},
			{"host": "my_db"},
			{"host": "a.b.c."},
			{"port": " 65535 "},
			{"is_active": nil, "tag_names": nil, "description": nil, "options": nil, "tls_mode": nil, "credential_id": nil},
			{"username": "root", "password": " p:@/%\x00'\" "},
			{"options": obj{"ca": "-----BEGIN\nx"}, "tls_mode": "verify-full"},
			{"description": strings.Repeat("描", 500)},
		} {
			body := good(fine)
			body["name"] = fmt.Sprintf("fine-%d", i)
			a.admin.post("/instances", body).want(201, "实例创建成功")
		}
		sqlite := a.admin.post("/instances",
			obj{"name": "f", "db_type": "sqlite", "database_name": "/a b/c.db", "host": "ignored", "port": "x"})
		sqlite.want(201, "实例创建成功").wantAt("instance.host", nil, "instance.port", nil, "instance.database_name", "/a b/c.db")
	})
}

func TestInstances_List(t *testing.T) {
	onBothStores(t, func(a *app) {
		for i, name := range []string{"alpha", "beta", "gamma_100%"} {
			if strings.Contains(name, "%") {
				name = "gamma_100"
			}
			a.admin.post("/instances", obj{
				"name":        name,
				"db_type":     []string{"mysql", "pg", "oracle"}[i],
				"host":        "h" + strconv.Itoa(i),
				"port":        1 + i,
				"description": []string{"Straße 100%", "x_y", "Ünïcode"}[i],
				"tag_names":   [][]string{{"a", "b"}, {"b"}, {}}[i],
				"is_active":   i != 1,
			}).want(201, "实例创建成功")
		}
		for query, want := range map[string]string{
			"":                                    "gamma_100 beta alpha",
			"order=asc":                           "alpha beta gamma_100",
			"sort=name&order=asc":                 "alpha beta gamma_100",
			"sort=port&order=up":                  "gamma_100 beta alpha",
			"sort=host&order=desc":                "gamma_100 beta alpha",
			"sort=db_type&order=ASC":              "alpha gamma_100 beta",
			"search=ALPHA":                        "alpha",
			"search=ÜNÏ":                          "gamma_100",
			"search=100%25":                       "alpha",
			"search=_":                            "gamma_100 beta",
			"search=x%00y":                        "",
			"search=%FF":                          "",
			"search=%27":                          "",
			"db_type=postgres":                    "beta",
			"db_type=nonsense":                    "gamma_100 beta alpha",
			"status=inactive":                     "beta",
			"status=active":                       "gamma_100 alpha",
			"status=nonsense":                     "gamma_100 beta alpha",
			"tags=a":                              "alpha",
			"tags=a&tags=b":                       "beta alpha",
			"tags=none":                           "",
			"tags=%00":                            "",
			"limit=1":                             "gamma_100",
			"limit=1&page=2":                      "beta",
			"page_size=2&page=2":                  "alpha",
			"limit=2&page=99":                     "",
			"limit=0&page=-1":                     "gamma_100 beta alpha",
			"limit=&page=":                        "gamma_100 beta alpha",
			"limit=x&page=y":                      "gamma_100 beta alpha",
			"page=99999999999999999999":           "gamma_100 beta alpha",
			"page=9223372036854775807":            "gamma_100 beta alpha",
			"include_deleted=nonsense":            "gamma_100 beta alpha",
			"search=" + strings.Repeat("x", 5000): "",
		} {
			r := a.guest.get("/instances?"+query).want(200, "获取实例列表成功")
			var names []string
			for _, item := range r.at("items").([]any) {
				names = append(names, item.(obj)["name"].(string))
			}
			equal(a, fmt.Sprintf("%.60q", query), strings.Join(names, " "), want)
		}
		a.guest.get("/instances?limit=2&page=2").wantAt("total", 3, "page", 2, "pages", 2, "limit", 2)
		for query, limit := range map[string]int{
			"limit=200": 200, "limit=201": 200, "page_size=1000": 200, "limit=99999999999999999999": 200,
			"limit=&page_size=300": 200, "limit=": 20, "limit=0": 20, "page_size=-5": 20, "limit=x": 20,
		} {
			a.guest.get("/instances?"+query).wantAt("limit", limit, "page", 1)
		}
	})
}

func TestCredentials(t *testing.T) {
	onBothStores(t, func(a *app) {
		for _, bad := range []struct {
			body obj
			want string
		}{
			{obj{}, "字段 'name, username, password' 是必填的"},
			{obj{"name": "c", "username": "u", "password": ""}, "字段 'password' 是必填的"},
			{obj{"name": "c", "username": "u", "password": 1}, "字段 'password' 必须为字符串"},
			{obj{"name": "c", "username": "u", "password": strings.Repeat("x", 513)}, "密码长度不能超过 512 字节"},
			{obj{"name": "c", "username": "u\n", "password": "p"}, "字段 'username' 包含不允许的字符"},
			{obj{"name": "c\x00", "username": "u", "password": "p"}, "字段 'name' 包含不允许的字符"},
			{obj{"name": strings.Repeat("x", 101), "username": "u", "password": "p"}, "字段 'name' 长度不能超过 100 个字符"},
			{obj{"name": "c", "username": "u", "password": "p", "credential_type": "ssh"}, "凭据类型仅支持：database"},
			{obj{"name": "c", "username": "u", "password": "p", "db_type": "db2"}, "不支持的数据库类型: db2.支持的类型: mysql, oracle, " +
				"postgresql, sqlserver, sqlite"},
			{obj{"name": "c", "username": "u", "password": "p", "description": strings.Repeat("x", 501)}, "描述长度不能超过500个字符"},
		} {
			a.admin.post("/credentials", bad.body).wantCode(400, models.CodeInvalid, bad.want)
		}
		secret := " p:@/%\x00\n密 "
		created := a.admin.post("/credentials", obj{
			"name":            "main",
			"credential_type": "database",
			"db_type":         "mariadb",
			"username":        "root@%",
			"password":        secret,
			"description":     "d",
		}).want(201, "数据保存成功")
		equal(a, "members", members(created.at("credential").(obj)),
			"created_at credential_type db_type description hosts id name password updated_at username")
		created.wantAt("credential.name", "main", "credential.db_type", "mysql",
			"credential.username", "root@%", "credential.password", "******")
		id := created.id("credential", "id")
		path := fmt.Sprintf("/credentials/%d", id)
		stored, err := a.store.Credential(a.Context(), id)
		check(a, err)
		opened, err := a.store.Password(stored)
		check(a, err)
		equal(a, "password", opened, secret)

		a.admin.post("/credentials", obj{"name": "main", "username": "u", "password": strings.Repeat("x", 512)}).
			wantCode(409, models.CodeConflict, "凭据名称已存在")
		a.guest.get("/credentials").want(200, "获取凭据列表成功").wantAt("total", 1, "items.0.password", "******")
		a.guest.get(path).want(200, "获取凭据详情成功").wantAt("credential.name", "main")
		a.admin.put(path, obj{"username": "app"}).
			want(200, "数据更新成功").
			wantAt("credential.username", "app", "credential.name", "main")
		stored, err = a.store.Credential(a.Context(), id)
		check(a, err)
		opened, err = a.store.Password(stored)
		check(a, err)
		equal(a, "password after an update without one", opened, secret)

		inst := a.admin.post("/instances", obj{"name": "n", "db_type": "mysql", "host": "h", "port": 1, "credential_id": id}).
			id("instance", "id")
		a.admin.remove(path).wantCode(409, models.CodeConflict, "凭据正在被实例使用，无法删除：n")
		a.admin.put(fmt.Sprintf("/instances/%d", inst), obj{
			"name": "n", "db_type": "mysql", "host": "h", "port": 1, "credential_id": nil,
		}).
			want(200, "实例更新成功")
		a.admin.remove(path).want(200, "数据删除成功").wantAt("credential_id", id)
		a.admin.remove(path).wantCode(404, models.CodeNotFound, "资源不存在")
		a.admin.put(path, obj{}).wantCode(404, models.CodeNotFound, "资源不存在")
	})
}

// closedPort returns a local port that nobody listens on.
func closedPort(t testing.TB) int {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	check(t, err)
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port
}

func TestConnections(t *testing.T) {
	onBothStores(t, func(a *app) {
		file := a.sqliteFile("CREATE TABLE t (x)")
		inst := a.sqliteInstance("files", file)
		id, err := strconv.Atoi(strings.TrimPrefix(inst, "/instances/"))
		check(a, err)
		r := a.guest.post("/connections/actions/test", obj{"instance_id": id}).want(200, "实例连接测试成功").wantAt("success", true)
		equal(a, "members", members(r.data), "database_version detailed_version main_version message success version")
		equal(a, "message", r.at("message"), any("连接成功,数据库版本: "+r.at("version").(string)))
		a.guest.get(inst).wantAt("instance.database_version", r.at("version"), "instance.main_version", r.at("main_version"))
		a.admin.post("/connections/actions/test", obj{"db_type": "sqlite", "database_name": file}).want(200, "连接测试成功")
		a.guest.post("/connections/actions/test", obj{"db_type": "sqlite", "database_name": file}).
			wantCode(403, models.CodeForbidden, "需要 create 权限")
		a.user.post("/connections/actions/test", obj{"instance_id": nil, "db_type": "sqlite", "database_name": file}).
			wantCode(403, models.CodeForbidden, "需要 create 权限")

		down := obj{"db_type": "pg", "host": "127.0.0.1", "port": closedPort(a), "username": "u", "password": "hush-hush"}
		refused := a.admin.post("/connections/actions/test", down).wantCode(409, models.CodeUnreachable, "数据库连接失败")
		equal(a, "category", refused.body["category"], any("external"))
		if strings.Contains(refused.raw, "hush") {
			a.Errorf("tells the password: %s", refused.raw)
		}
		down["name"] = "down"
		saved := a.admin.post("/instances", down).want(201, "实例创建成功").id("instance", "id")
		unreachable := a.guest.post("/connections/actions/test", obj{"instance_id": saved}).
			wantCode(409, models.CodeUnreachable, "数据库连接失败")
		extra := unreachable.body["extra"].(obj)
		equal(a, "extra", plain(extra["instance_id"]), plain(saved))

		for _, bad := range []struct {
			body obj
			want string
		}{
			{obj{"instance_id": "x"}, "instance_id 必须为整数"},
			{obj{"db_type": "pg"}, "字段 'host, port' 是必填的"},
			{obj{"db_type": "pg", "host": "h", "port": 1}, "字段 'credential_id' 是必填的"},
			{obj{"db_type": "pg", "host": "h", "port": 1, "credential_id": 4711}, "凭据不存在"},
			{obj{"db_type": "sqlite"}, "字段 'database_name' 是必填的"},
		} {
			a.admin.post("/connections/actions/test", bad.body).wantCode(400, models.CodeInvalid, bad.want)
		}
		a.admin.post("/connections/actions/test", obj{"instance_id": 4711}).wantCode(404, models.CodeNotFound, "实例不存在")
		a.admin.put(inst, obj{"name": "files", "db_type": "sqlite", "is_active": false}).want(200, "实例更新成功")
		a.guest.post("/connections/actions/test", obj{"instance_id": id}).want(200, "实例连接测试成功")
		a.admin.post(inst+"/actions/sync-capacity", nil).wantCode(409, models.CodeCollection, "实例已停用")
		a.admin.post(tablesPath(inst, "main")+"/actions/refresh", nil).wantCode(409, models.CodeCollection, "实例已停用")
		bare := a.admin.post("/instances", obj{"name": "bare", "db_type": "pg", "host": "127.0.0.1", "port": 1}).
			id("instance", "id")
		a.admin.post(fmt.Sprintf("/instances/%d/actions/sync-capacity", bare), nil).
			wantCode(409, models.CodeCollection, "实例未配置凭据")
	})
}

// certificateText returns a self-signed certificate in PEM.
func certificateText(t *testing.T) string {
	t.Helper()
	_, path := testenv.Certificate(t)
	text, err := os.ReadFile(path)
	check(t, err)
	return string(text)
}
