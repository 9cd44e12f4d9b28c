package handlers_test

import (
	"fmt"
	"net/http"
	"net/url"
	"testing"
)

// The form of a new instance proposes encryption for everything that leaves this computer; the API does not.
func TestInstanceFormPage_ProposedTLSMode(t *testing.T) {
	t.Parallel()
	a := newApp(t, t.TempDir()+"/store.db")
	const proposed = ".tls-choice option[value=''][selected]"
	a.admin.visit("/instances/new").has(1, proposed).says("require（本机为 prefer）")
	a.admin.visit("/instances/new?db_type=oracle").has(1, proposed).says("prefer（默认）")
	a.admin.visit("/instances/new?db_type=mysql&shown_type=postgresql&tls_mode=", into("instance-fields")...).
		has(1, proposed)
	for i, c := range []struct{ engine, host, mode, want string }{
		{"postgresql", "db.example", "", "require"},
		{"mysql", "10.1.2.3", "", "require"},
		{"sqlserver", "[2001:db8::1]", "", "require"},
		{"oracle", "db.example", "", "prefer"},
		{"postgresql", "127.0.0.1", "", "prefer"},
		{"mysql", "LocalHost", "", "prefer"},
		{"sqlserver", " [::1] ", "", "prefer"},
		{"postgresql", "db.example", "disable", "disable"},
	} {
		name := fmt.Sprint("i", i)
		form := url.Values{
			"name": {name}, "db_type": {c.engine}, "host": {c.host}, "port": {"1"}, "tls_mode": {c.mode}, "is_active": {"true"},
		}
		address := a.admin.submit("/instances", form).wantStatus(http.StatusSeeOther).header.Get("Location")
		a.admin.get(address).wantAt("instance.tls_mode", c.want)
		a.admin.visit(address+"/edit").has(0, ".tls-choice option[value='']").
			has(1, ".tls-choice option[value="+c.want+"][selected]")
		form.Set("port", "x")
		form.Set("name", "again")
		again := a.admin.submit("/instances", form).wantStatus(http.StatusBadRequest)
		equal(t, name+" again", again.doc.Find(".tls-choice option[selected]").AttrOr("value", "none"), c.mode)
	}
	a.admin.post("/instances", obj{"name": "api", "db_type": "pg", "host": "db.example", "port": 1}).
		wantAt("instance.tls_mode", "prefer")
}

// The page of an instance warns if the line to it may leave this computer unencrypted.
func TestInstancePage_PlainLine(t *testing.T) {
	t.Parallel()
	a := newApp(t, t.TempDir()+"/store.db")
	const may, is = "到服务器的连接可能不加密", "到服务器的连接不加密"
	for i, c := range []struct{ engine, host, mode, warning string }{
		{"postgresql", "db.example", "prefer", may},
		{"postgresql", "db.example", "disable", is},
		{"postgresql", "db.example", "require", ""},
		{"postgresql", "db.example", "verify-full", ""},
		{"postgresql", "127.0.0.1", "prefer", ""},
		{"mysql", "::1", "disable", ""},
		{"mysql", "10.1.2.3", "prefer", may},
		{"sqlserver", "10.1.2.3", "prefer", ""},
		{"sqlserver", "10.1.2.3", "disable", "他人可读取密码"},
		{"oracle", "10.1.2.3", "prefer", is},
	} {
		r := a.admin.post("/instances", obj{
			"name": fmt.Sprint("i", i), "db_type": c.engine, "host": c.host, "port": 1, "tls_mode": c.mode,
		}).want(201, "实例创建成功")
		path := fmt.Sprintf("/instances/%d", r.id("instance", "id"))
		page := a.guest.visit(path)
		if c.warning == "" {
			page.has(0, "#plain-line")
			continue
		}
		page.has(1, "#instance-facts #plain-line").says(c.warning)
		a.guest.with("Accept-Language", "en").visit(path).says("encrypted: others could read")
	}
	a.guest.visit(a.sqliteInstance("file", a.sqliteFile("CREATE TABLE t (id)"))).has(0, "#plain-line")
}
