package handlers_test

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"whalefall/models"
	"whalefall/testenv"
)

// lure is a server at 127.0.0.1 that counts who connects and hangs up.
type lure struct {
	port  int
	calls atomic.Int32
}

func newLure(a *app) *lure {
	a.Helper()
	l := &lure{}
	l.port = testenv.Listen(a, func(net.Conn) { l.calls.Add(1) })
	return l
}

// bound adds a credential for some hosts and returns its path.
func (a *app) bound(name string, hosts ...string) (path string, id int64) {
	a.Helper()
	r := a.admin.post("/credentials", obj{"name": name, "username": "mon", "password": "s3cret", "hosts": hosts}).
		want(201, "数据保存成功")
	id = r.id("credential", "id")
	return fmt.Sprintf("/credentials/%d", id), id
}

func TestCredentials_Hosts(t *testing.T) {
	onBothStores(t, func(a *app) {
		path, id := a.bound("pg", "DB.Example.com.", "[2001:DB8::0:1]", "10.1.2.3/16", "db.example.com", "*.EU.example")
		hosts := []string{"db.example.com", "2001:db8::1", "10.1.0.0/16", "*.eu.example"}
		for _, r := range []*response{
			a.guest.get(path).wantAt("credential.hosts", hosts),
			a.guest.get("/credentials").wantAt("items.0.hosts", hosts),
			a.admin.put(path, obj{"description": "same hosts", "hosts": nil}).wantAt("credential.hosts", hosts),
			a.admin.put(path, obj{"hosts": []string{"db.example.com", "10.1.0.0/16"}}).
				wantAt("credential.hosts", []string{"db.example.com", "10.1.0.0/16"}),
		} {
			equal(a, r.what, r.status, http.StatusOK)
		}
		for _, wider := range [][]string{
			{}, {"db.example.com", "evil.example"}, {"0.0.0.0/0"}, {"10.1.0.0/16", "*.eu.example"},
		} {
			a.admin.put(path, obj{"hosts": wider}).
				wantCode(400, models.CodeInvalid, "扩大凭据 pg 的可用主机时，须重新输入其密码")
		}
		a.wantSecret(id, "s3cret")
		a.admin.put(path, obj{"hosts": []string{"*.example.com"}, "password": "again"}).
			want(200, "数据更新成功").wantAt("credential.hosts", []string{"*.example.com"})
		a.wantSecret(id, "again")
		for _, c := range []struct {
			hosts any
			want  string
		}{
			{"db", "hosts 必须为数组"},
			{[]string{"a b"}, "可用主机 a b 无效，须为主机名、IP 地址、网段或带 * 的模式"},
			{[]string{strings.Repeat("1", 256)}, "可用主机 " + strings.Repeat("1", 100) + "… 无效，须为主机名、IP 地址、网段或带 * 的模式"},
			{manyHosts, "可用主机不能超过 50 个"},
			{[]any{1}, "字段 'hosts' 必须为字符串"},
		} {
			a.admin.put(path, obj{"hosts": c.hosts, "password": "p"}).wantCode(400, models.CodeInvalid, c.want)
		}

		_, free := a.bound("free")
		a.admin.get(fmt.Sprintf("/credentials/%d", free)).wantAt("credential.hosts", []string{})
		a.admin.put(fmt.Sprintf("/credentials/%d", free), obj{"hosts": []string{"db1"}}).want(200, "数据更新成功")
	})
}

// A credential that instances use cannot be taken from their hosts.
func TestCredentials_Hosts_Exclude(t *testing.T) {
	onBothStores(t, func(a *app) {
		path, id := a.bound("shared")
		instance := func(name, host string) int64 {
			return a.admin.post("/instances", obj{
				"name": name, "db_type": "pg", "host": host, "port": 5432, "credential_id": id,
			}).want(201, "实例创建成功").id("instance", "id")
		}
		instance("inside", "10.1.2.3")
		outside := instance("outside", "db.example.com")
		binned := instance("binned", "gone.example.com")
		a.admin.remove(fmt.Sprintf("/instances/%d", binned)).want(200, "实例已移入回收站")

		narrow := obj{"hosts": []string{"10.0.0.0/8"}}
		refused := a.admin.put(path, narrow).wantCode(409, models.CodeConflict, "可用主机未包含以下实例的主机：outside")
		equal(a, "extra", plain(refused.body["extra"]), plain(obj{
			"instance_count": 1, "instances": []obj{{"id": outside, "name": "outside", "status": "active"}},
		}))
		a.admin.with("Accept-Language", "en").put(path, narrow).
			want(409, "The hosts leave out those of instances that use the credential: outside")
		a.admin.get(path).wantAt("credential.hosts", []string{})
		a.admin.remove(fmt.Sprintf("/instances/%d", outside)).want(200, "实例已移入回收站")
		a.admin.put(path, narrow).want(200, "数据更新成功")
	})
}

// A stored password goes to no host that its credential is not for, whichever way the host is named.
func TestCredentials_Hosts_Refused(t *testing.T) {
	onBothStores(t, func(a *app) {
		l := newLure(a)
		_, id := a.bound("pg", "127.0.0.2")
		const refused = "凭据 pg 不能用于主机 127.0.0.1：请改用其他凭据，或重新输入该凭据的密码以加入此主机"
		at := func(host string) obj {
			return obj{"name": "n", "db_type": "pg", "host": host, "port": l.port, "credential_id": id}
		}
		a.admin.post("/connections/actions/test", at("127.0.0.1")).wantCode(400, models.CodeInvalid, refused)
		a.admin.post("/instances", at("127.0.0.1")).wantCode(400, models.CodeInvalid, refused)
		a.admin.with("Accept-Language", "en").post("/instances", at("127.0.0.1")).
			want(400, "Credential pg is not for host 127.0.0.1: use another one, or enter its password again to add "+
				"this host to it")
		saved := a.admin.post("/instances", at("127.0.0.2")).want(201, "实例创建成功").id("instance", "id")
		path := fmt.Sprintf("/instances/%d", saved)
		a.admin.put(path, at("127.0.0.1")).wantCode(400, models.CodeInvalid, refused)
		moved := at("127.0.0.1")
		delete(moved, "credential_id")
		a.admin.put(path, moved).wantCode(400, models.CodeInvalid, refused)
		file := csvUpload("x.csv", fmt.Sprintf("name,db_type,host,port,credential_id\ni,pg,127.0.0.1,%d,%d\n", l.port, id))
		a.admin.with("Content-Type", file.kind).post("/instances/batch-create", file.body).
			want(200, "成功创建 0 个实例").wantAt("errors", []string{"第 1 个实例数据无效：" + refused})

		stored, err := a.store.Instance(a.Context(), saved)
		check(a, err)
		host := "127.0.0.1"
		stored.Host = &host // as if it had been stored before the credential was bound
		_, err = a.store.UpdateInstance(a.Context(), stored, nil, nil)
		check(a, err)
		for _, r := range []*response{
			a.guest.post("/connections/actions/test", obj{"instance_id": saved}),
			a.user.post(path+"/actions/sync-capacity", nil),
			a.user.post(tablesPath(path, "app")+"/actions/refresh", nil),
		} {
			r.wantCode(409, models.CodeCollection, refused)
			equal(a, "instance", plain(r.body["extra"].(obj)["instance_id"]), plain(saved))
		}
		batch := a.guest.post("/connections/actions/batch-test", obj{"instance_ids": []int64{saved}})
		batch.wantAt("results.0.message", refused, "results.0.error_code", models.CodeCollection)
		equal(a, "connections", l.calls.Load(), 0)
	})
}

// A credential that was made with an instance's form is for its host; another host takes the password again.
func TestInstanceFormPage_BoundCredential(t *testing.T) {
	onBothStores(t, func(a *app) {
		l := newLure(a)
		form := url.Values{
			"name": {"formed"}, "db_type": {"postgresql"}, "host": {"127.0.0.2"}, "port": {strconv.Itoa(l.port)},
			"credential_id": {""}, "username": {"mon"}, "password": {"s3cret"}, "is_active": {"true"},
		}
		address := a.admin.submit("/instances", form).wantStatus(http.StatusSeeOther).header.Get("Location")
		made := a.admin.get("/credentials").wantAt("total", 1, "items.0.hosts", []string{"127.0.0.2"})
		credential := made.id("items", 0, "id")
		a.admin.visit("/credentials").says("127.0.0.2")
		edit := a.admin.visit(address+"/edit").
			has(1, "option[data-bound][selected]", ".credential-bound input[type=password]")
		equal(a, "passwords in the address", edit.doc.Find("#instance-type").AttrOr("hx-params", ""),
			"not password,password_again,csrf_token,options.ca_certificate")

		form.Set("host", "127.0.0.1")
		form.Set("credential_id", strconv.FormatInt(credential, 10))
		const refused = "凭据 formed 不能用于主机 127.0.0.1"
		a.admin.submit(address, form, into("test-result")...).wantStatus(http.StatusBadRequest).says(refused)
		a.admin.submit("/connections/test", form, into("test-result")...).wantStatus(http.StatusBadRequest).says(refused)
		again := a.admin.submit(address, form).wantStatus(http.StatusBadRequest).says(refused).
			has(1, "input[name=host][value='127.0.0.1']")
		equal(a, "password", again.doc.Find("input[name=password_again]").AttrOr("value", ""), "")
		form.Set("name", "other")
		a.admin.submit("/instances", form).wantStatus(http.StatusBadRequest).says(refused)
		equal(a, "connections", l.calls.Load(), 0)
		a.wantSecret(credential, "s3cret")

		form.Set("name", "formed")
		form.Set("password_again", "typed")
		a.admin.submit("/connections/test", form, into("test-result")...).wantStatus(http.StatusConflict)
		equal(a, "connected", l.calls.Load() > 0, true)
		a.wantSecret(credential, "s3cret")
		a.admin.submit(address, form).wantStatus(http.StatusSeeOther)
		a.wantSecret(credential, "typed")
		a.admin.get("/credentials").wantAt("total", 1, "items.0.hosts", []string{"127.0.0.1"})
		a.admin.get(address).wantAt("instance.host", "127.0.0.1", "instance.credential_id", credential)
	})
}

// The form of a credential has its hosts one a line.
func TestCredentialFormPage_Hosts(t *testing.T) {
	t.Parallel()
	a := newApp(t, t.TempDir()+"/store.db")
	form := url.Values{
		"name": {"c"}, "db_type": {""}, "username": {"u"}, "password": {"p"},
		"hosts": {" a.example\r\nB.example, 10.1.2.3/8；\n"},
	}
	a.admin.submit("/credentials", form).wantStatus(http.StatusSeeOther)
	credential := a.admin.get("/credentials").wantAt("items.0.hosts", []string{"a.example", "b.example", "10.0.0.0/8"})
	id := credential.id("items", 0, "id")
	path := fmt.Sprintf("/credentials/%d", id)
	edit := a.admin.visit(path + "/edit").wantStatus(http.StatusOK)
	equal(t, "hosts", edit.doc.Find("textarea[name=hosts]").Text(), "a.example\nb.example\n10.0.0.0/8")

	form.Set("password", "")
	form.Set("hosts", "a.example\nevil.example")
	back := a.admin.submit(path, form).wantStatus(http.StatusBadRequest).says("扩大凭据 c 的可用主机时，须重新输入其密码")
	equal(t, "typed", back.doc.Find("textarea[name=hosts]").Text(), "a.example\nevil.example")
	form.Set("hosts", "")
	a.admin.submit(path, form).wantStatus(http.StatusBadRequest)
	form.Set("hosts", "a.example")
	a.admin.submit(path, form).wantStatus(http.StatusSeeOther)
	a.wantSecret(id, "p")
	form.Set("password", "q")
	form.Set("hosts", "")
	a.admin.submit(path, form).wantStatus(http.StatusSeeOther)
	a.admin.get(path).wantAt("credential.hosts", []string{})
	a.admin.visit("/credentials").says("不限")
}
