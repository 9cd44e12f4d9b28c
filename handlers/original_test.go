package handlers_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"whalefall/models"
)

// What clients of the original WhaleFall rely on.

func TestInstanceStatistics(t *testing.T) {
	onBothStores(t, func(a *app) {
		a.guest.get("/instances/statistics").want(200, "获取实例统计信息成功").
			wantAt("total_instances", 0, "db_types_count", 0, "port_stats", []any{}, "version_stats", []any{})

		add := func(name, engine string, port int, active bool) string {
			body := obj{"name": name, "db_type": engine, "host": "h", "port": port, "is_active": active}
			id := a.admin.post("/instances", body).want(201, "实例创建成功").id("instance", "id")
			return fmt.Sprintf("/instances/%d", id)
		}
		add("a", "mysql", 3306, true)
		add("b", "mysql", 3306, false)
		add("c", "pg", 5432, true)
		binned := add("d", "oracle", 1521, true)
		a.admin.remove(binned).want(200, "实例已移入回收站")
		a.sqliteInstance("e", a.dir+"/none.db")
		for i := range 12 {
			add(fmt.Sprintf("many_%d", i), "sqlserver", 2000+i, true)
		}
		check(a, a.store.RecordConnection(a.Context(), 1, models.Version{Main: "8.4"}, a.now()))
		r := a.guest.get("/instances/statistics").wantAt(
			"total_instances", 16, "active_instances", 15, "normal_instances", 15, "disabled_instances", 1,
			"inactive_instances", 1, "deleted_instances", 1, "db_types_count", 4,
			"db_type_stats.0", obj{"db_type": "sqlserver", "count": 12},
			"port_stats.0", obj{"port": 3306, "count": 2}, "port_stats.1", obj{"port": 2000, "count": 1},
			"version_stats.0", obj{"db_type": "sqlserver", "version": "未知版本", "count": 12})
		equal(a, "ports", len(r.at("port_stats").([]any)), 10)
		for _, version := range []string{
			`"count":1,"db_type":"mysql","version":"8.4"`, `"db_type":"mysql","version":"未知版本"`,
		} {
			if !strings.Contains(plain(r.at("version_stats")), version) {
				a.Errorf("version_stats: got %s, want %s in it", plain(r.at("version_stats")), version)
			}
		}
	})
}

func TestUsers_Delete(t *testing.T) {
	onBothStores(t, func(a *app) {
		stats := a.admin.get("/users/stats").want(200, "获取用户统计成功")
		equal(a, "stats", plain(stats.data), plain(obj{
			"total": 3, "active": 3, "inactive": 0, "admin": 1, "user": 1, "guest": 1,
		}))
		me := a.admin.get("/auth/me").want(200, "操作成功").wantAt("username", "admin", "role", "admin", "email", nil)
		equal(a, "me", members(me.data), "created_at email id is_active last_login role username")
		own := fmt.Sprintf("/users/%d", me.id("id"))
		a.admin.remove(own).wantCode(400, models.CodeInvalid, "不能删除自己的账户")
		a.admin.remove("/users/4711").wantCode(404, models.CodeNotFound, "用户不存在")

		user := a.admin.get("/users?search=user_1").id("items", 0, "id")
		path := fmt.Sprintf("/users/%d", user)
		a.user.remove(path).wantCode(403, models.CodeForbidden, "需要 delete 权限")
		gone := a.admin.remove(path).want(200, "用户删除成功")
		equal(a, "data", len(gone.data), 0)
		a.user.get("/instances").wantCode(401, models.CodeUnauthenticated, "请先登录")
		a.admin.remove(path).wantCode(404, models.CodeNotFound, "用户不存在")
		a.admin.get("/users/stats").wantAt("total", 2, "user", 0)
	})
}

func TestHealth_Original(t *testing.T) {
	t.Parallel()
	a := newApp(t, t.TempDir()+"/store.db")
	basic := a.anonymous.get("/health/basic").want(200, "服务运行正常").wantAt("status", "healthy")
	at, _ := basic.at("timestamp").(float64)
	if since := a.now().Sub(time.UnixMicro(int64(at * 1e6))).Abs(); since > time.Minute {
		t.Errorf("timestamp: got %v, want now", at)
	}
	full := a.anonymous.get("/health/health").want(200, "操作成功").
		wantAt("status", "healthy", "database", "connected", "redis", nil, "uptime", "0天 0小时 0分钟")
	a.checkTimestamp(full.at("timestamp"))
	a.anonymous.get("/admin/app-info").want(200, "获取应用信息成功").
		wantAt("app_name", "鲸落", "app_version", basic.at("version"))
}

func TestFiles_OtherNames(t *testing.T) {
	t.Parallel()
	a := newApp(t, t.TempDir()+"/store.db")
	a.sqliteInstance("one", a.dir+"/one.db")
	for other, path := range map[string]string{
		"/files/instance-export":   "/instances/exports",
		"/files/template-download": "/instances/imports/template",
	} {
		r := a.guest.get(other)
		equal(t, other, r.status, 200)
		equal(t, other, r.raw, a.guest.get(path).raw)
		a.anonymous.get(other).wantCode(401, models.CodeUnauthenticated, "请先登录")
	}
}
