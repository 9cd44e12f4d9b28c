package handlers_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"whalefall/models"
)

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

// unreadBody counts what is read of it.
type unreadBody struct{ read int }

func (b *unreadBody) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	b.read += len(p)
	return len(p), nil
}

func (*unreadBody) Close() error { return nil }

// Nothing of a body is read before it is known who asks, but the beginning of a login.
func TestLimitBody_Anonymous(t *testing.T) {
	t.Parallel()
	a := newApp(t, t.TempDir()+"/store.db")
	paths := []string{"/login", "/nothing", "/instances", "/instances/1/edit", "/api/v1/auth/login", "/api/v1/nothing"}
	for _, e := range endpoints {
		paths = append(paths, "/api/v1"+strings.NewReplacer(":id", "1", ":name", "x").Replace(e.path))
	}
	for _, path := range paths {
		for _, kind := range []string{
			"application/json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "",
		} {
			for _, length := range []int64{-1, 1 << 19, 1 << 40} {
				body := &unreadBody{}
				r := httptest.NewRequest(http.MethodPost, path, body)
				r.ContentLength = length
				r.Header.Set("Content-Type", kind)
				a.handler.ServeHTTP(httptest.NewRecorder(), r)
				most := 0
				if path == "/login" || path == "/api/v1/auth/login" {
					most = 10 << 10
				}
				if body.read > most {
					t.Errorf("%s %q of %d bytes: %d read", path, kind, length, body.read)
				}
			}
		}
	}
}

func TestLimitBody_Login(t *testing.T) {
	t.Parallel()
	a := newApp(t, t.TempDir()+"/store.db")
	long := obj{"username": "admin", "password": strings.Repeat("x", 8<<10)}
	a.anonymous.post("/auth/login", long).wantCode(413, models.CodeTooLarge, "登录请求体不能超过 8 KiB")
	raw, err := json.Marshal(long)
	check(t, err)
	a.anonymous.post("/auth/login", struct{ *bytes.Reader }{bytes.NewReader(raw)}).
		wantCode(413, models.CodeTooLarge, "登录请求体不能超过 8 KiB")
	a.anonymous.post("/auth/login", obj{"username": "admin", "password": strings.Repeat("x", 8000)}).
		want(401, "用户名或密码错误")
	a.admin.post("/auth/login", long).want(401, "用户名或密码错误")
}
