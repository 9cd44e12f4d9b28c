package handlers_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// Behind TLS cookies are bound to this host, and browsers stay with TLS.
func TestSecurityHeaders_TLS(t *testing.T) {
	t.Parallel()
	a := newApp(t, t.TempDir()+"/store.db")
	for scheme, prefix := range map[string]string{"http": "whalefall_", "https": "__Host-whalefall_"} {
		c := a.anonymous.with("X-Forwarded-Proto", scheme)
		c.http = &http.Client{} // a jar would keep secure cookies from a plain test server
		token := c.get("/auth/csrf-token")
		login := c.with("X-CSRFToken", token.data["csrf_token"].(string)).with("Cookie", cookiesOf(token)).
			post("/auth/login", obj{"username": "admin", "password": password}).want(200, "登录成功")
		for name, r := range map[string]*response{"csrf": token, "session": login} {
			cookie := (&http.Response{Header: r.header}).Cookies()[0]
			equal(t, scheme+" name", cookie.Name, prefix+name)
			equal(t, scheme+" secure", cookie.Secure, scheme == "https")
			equal(t, scheme+" path", cookie.Path, "/")
			equal(t, scheme+" domain", cookie.Domain, "")
			equal(t, scheme+" transport", r.header.Get("Strict-Transport-Security") != "", scheme == "https")
		}
		c.with("Cookie", cookiesOf(login)).get("/instances").want(200, "获取实例列表成功")
	}
}

// cookiesOf returns the cookies that an answer sets as a client sends them.
func cookiesOf(r *response) string {
	var all []string
	for _, cookie := range (&http.Response{Header: r.header}).Cookies() {
		all = append(all, cookie.Name+"="+cookie.Value)
	}
	return strings.Join(all, "; ")
}

// A password in an address ends in the logs of proxies and in histories.
func TestBindForm_IgnoresQuery(t *testing.T) {
	t.Parallel()
	a := newApp(t, t.TempDir()+"/store.db")
	query := url.Values{"username": {"admin"}, "password": {password}}.Encode()
	for _, form := range []url.Values{{}, {"username": {"admin"}}, {"password": {password}}} {
		p := a.newClient().submit("/login?"+query, form)
		equal(t, "status", p.status, http.StatusBadRequest)
		equal(t, "cookie", strings.Contains(strings.Join(p.header.Values("Set-Cookie"), " "), "whalefall_session"), false)
	}
}
