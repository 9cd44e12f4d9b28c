package handlers_test

import (
	"fmt"
	"net/http"
	"net/url"
	"testing"

	"github.com/jackc/pgx/v5"

	"whalefall/testenv"
)

func TestPages_Labels(t *testing.T) {
	t.Parallel()
	a := newApp(t, t.TempDir()+"/store.db")
	form := url.Values{"name": {"n"}, "db_type": {"postgresql"}, "username": {"u"}, "password": {"p"}}
	a.admin.submit("/instances", form, htmx...).wantStatus(http.StatusBadRequest).says("字段 '主机、端口' 是必填的")
	form.Set("db_type", "sqlite")
	a.admin.submit("/instances", form, htmx...).wantStatus(http.StatusBadRequest).says("字段 '文件路径' 是必填的")
	a.user.visit("/instances/new").wantStatus(http.StatusForbidden).says("需要 创建 权限")

	file := a.sqliteFile("CREATE TABLE t (id)")
	for name, says := range map[string]string{"back": "实例 back 恢复成功", "off": "实例 off 已恢复，当前为停用状态"} {
		body := obj{"name": name, "db_type": "sqlite", "database_name": file, "is_active": name != "off"}
		id := a.admin.post("/instances", body).want(http.StatusCreated, "实例创建成功").id("instance", "id")
		path := fmt.Sprintf("/instances/%d", id)
		a.admin.submit(path+"/delete", url.Values{}).wantStatus(http.StatusSeeOther)
		a.admin.submit(path+"/restore", url.Values{}, htmx...).wantStatus(http.StatusOK).says(says)
	}
}

func TestForms_Cancel(t *testing.T) {
	t.Parallel()
	a := newApp(t, t.TempDir()+"/store.db")
	for _, path := range []string{
		"/instances/new", "/instances/import", "/users/new", "/credentials/new", "/tags/new", "/tokens/new",
	} {
		leave := a.admin.visit(path).wantStatus(http.StatusOK).doc.Find(".panel-foot a[data-close]")
		equal(t, path, leave.Text(), "取消")
	}
}

func TestRefreshNotice_KeptValues(t *testing.T) {
	t.Parallel()
	server := testenv.PostgreSQL(t)
	a := newApp(t, t.TempDir()+"/store.db")
	user, password := server.Plain(t)
	path := a.postgresTarget("locked", server, user, password) + "/databases/kept/tables"
	server.Exec(t, "postgres", "DROP DATABASE IF EXISTS kept", "CREATE DATABASE kept")
	server.Exec(t, "kept", "CREATE TABLE t (x int)")
	a.admin.refreshTables(path).says("刷新成功: 写入 1 条, 清理 0 条, 耗时")
	conn, err := pgx.Connect(t.Context(), server.URL("kept"))
	check(t, err)
	_, err = conn.Exec(t.Context(), "BEGIN; LOCK TABLE t")
	check(t, err)
	a.admin.refreshTables(path).says("ms；1 张表沿用旧值")
	check(t, conn.Close(t.Context()))
}
