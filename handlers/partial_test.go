package handlers_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"whalefall/testenv"
)

// TestTableSizesPage_PartialAccount checks an account to which the server looks healthy and nearly empty.
func TestTableSizesPage_PartialAccount(t *testing.T) {
	t.Parallel()
	server := testenv.MySQL(t)
	server.Exec(t, "", "CREATE USER 'little'@'%' IDENTIFIED BY 'p'",
		"CREATE TABLE "+testenv.QuoteMySQLName(server.NewDatabase(t))+".unseen (a INT)")
	a := newApp(t, t.TempDir()+"/store.db")
	added := a.admin.post("/instances", obj{
		"name": "little", "db_type": "mysql", "host": server.Host, "port": server.Port, "username": "little", "password": "p",
	}).want(http.StatusCreated, "实例创建成功")
	path := fmt.Sprintf("/instances/%d", added.id("instance", "id"))
	fresh := a.admin.visit(path).has(0, "#databases-incomplete")
	for _, card := range []string{"abnormal", "active", "gone", "days-left"} {
		equal(t, card, strings.Join(strings.Fields(fresh.doc.Find("[data-card="+card+"] dd").Text()), " "), "— 尚未同步")
	}
	fresh.says("在线合计 —")

	a.admin.syncEnded(a.admin.sync(path)).
		has(1, ".toast.success").says("但数据库列表不完整")
	p := a.guest.visit(path).has(1, "#databases-incomplete")
	grant := p.doc.Find("#databases-incomplete [data-copy]").AttrOr("data-copy", "")
	if !strings.HasPrefix(grant, "GRANT ") {
		t.Errorf("grant to copy: %q", grant)
	}
	server.Exec(t, "", strings.TrimSuffix(grant, ";"))
	a.admin.syncEnded(a.admin.sync(path)).has(1, ".toast.success")
	a.guest.visit(path).has(0, "#databases-incomplete")
}
