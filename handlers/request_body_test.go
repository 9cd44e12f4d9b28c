package handlers_test

import "testing"

// Scripts that encode an absent value send null.
func TestDecodeJSON_Null(t *testing.T) {
	t.Parallel()
	a := newApp(t, t.TempDir()+"/store.db")
	inst := a.sqliteInstance("files", a.sqliteFile("CREATE TABLE t (x)"))
	for _, body := range []string{"null", " null\n", ""} {
		a.user.post(tablesPath(inst, "main")+"/actions/refresh", body).want(200, refreshed).wantAt("saved_count", 1)
		a.admin.post("/instances", body).want(400, "字段 'name, db_type, host, port' 是必填的")
		a.admin.post("/auth/login", body).want(400, "用户名和密码不能为空")
		a.admin.put("/users/3", body).want(200, "用户更新成功").wantAt("user.username", "guest_1", "user.role", "guest")
		a.guest.post("/connections/actions/test", body).want(400, "请求数据不能为空")
	}
}
