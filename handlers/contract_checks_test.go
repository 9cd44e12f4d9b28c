package handlers_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"

	"whalefall/handlers"
	"whalefall/models"
)

func TestContract(t *testing.T) {
	onBothStores(t, func(a *app) {
		s := newScene(a)
		for _, e := range endpoints {
			at := s.request(e, s.adminID)
			s.unchanged(e, func() {
				s.checkOthers(e, at)
				s.checkBodies(e, at)
				s.checkWrong(e, at)
				s.checkIDs(e, at)
			})
			s.checkIdentities(e)
			s.checkLanguages(e)
			s.checkIgnored(e)
			s.checkLast(e)
			s.checkOrder(e)
			s.checkMethods(e)
		}
	})
}

func TestContract_EveryRoute(t *testing.T) {
	a := newApp(t, t.TempDir()+"/store.db")
	tested := map[string]bool{}
	for _, e := range endpoints {
		tested[e.method+" /api/v1"+e.path] = true
	}
	for _, r := range a.handler.(*echo.Echo).Routes() {
		route := r.Method + " " + r.Path
		if strings.HasPrefix(r.Path, "/api") && r.Method != http.MethodHead && r.Method != "echo_route_not_found" &&
			!tested[route] {
			t.Errorf("no test for %s", route)
		}
	}
}

// checkOthers sends the right request as everybody without the permission.
func (s *scene) checkOthers(e endpoint, at call) {
	s.Helper()
	for _, who := range s.identities {
		switch {
		case who.refused && e.probe:
			equal(s, e.path+" of "+who.name, s.ask(who.client, e, at).status, e.status)
		case who.refused || !e.allows(who.role) && who.role == "":
			r := s.refuse(who.client, e, at, models.CodeUnauthenticated)
			equal(s, who.name+": WWW-Authenticate", r.header.Get("WWW-Authenticate") != "", who.refused)
		case e.comesLater(who):
			s.refuse(who.client, e, at, models.CodePasswordChange)
		case !e.allows(who.role):
			r := s.refuse(who.client, e, at, models.CodeForbidden)
			equal(s, who.name+": message", r.body["message"], any(fmt.Sprintf("需要 %s 权限", e.may)))
		}
	}
}

// checkIdentities sends the right request as everybody with the permission.
func (s *scene) checkIdentities(e endpoint) {
	s.Helper()
	for _, who := range s.identities {
		if who.refused || e.comesLater(who) || !e.allows(who.role) {
			continue
		}
		if e.ends {
			who = s.asNew(who)
		}
		r := s.ask(who.client, e, s.request(e, who.id))
		if r.status != e.status || e.message != "" && r.body["message"] != e.message {
			s.Errorf("%s of %s:\n got %d %.600s\nwant %d %s", r.what, who.name, r.status, r.raw, e.status, e.message)
		}
		if e.path != "/auth/login" || !who.token {
			s.audited(e, r)
		}
	}
}

// asker returns an admin, or a new user if the request ends a login.
func (s *scene) asker(e endpoint) identity {
	s.Helper()
	admin := identity{name: "admin", role: models.RoleAdmin, id: s.adminID, client: s.admin}
	if e.ends {
		return s.asNew(admin)
	}
	return admin
}

// checkLanguages sends the right request in both languages.
func (s *scene) checkLanguages(e endpoint) {
	s.Helper()
	who := s.asker(e)
	at := s.request(e, who.id)
	chinese := s.ask(who.client, e, at)
	if e.writes() {
		who = s.asker(e)
		at = s.request(e, who.id)
	}
	english := s.ask(who.client.with("Accept-Language", "en"), e, at)
	switch {
	case !chinese.isEnvelope():
		equal(s, chinese.what+" in English", english.status, chinese.status)
	case e.writes():
		equal(s, chinese.what+" in English", plain(shape(english.body)), plain(shape(chinese.body)))
	default:
		inBothLanguages(s, chinese, english)
	}
}

// shape returns the members of a value and their types.
func shape(v any) any {
	switch v := v.(type) {
	case []any:
		if len(v) == 0 {
			return v
		}
		return []any{shape(v[0])}
	case obj:
		out := maps.Clone(v)
		for name, value := range v {
			out[name] = shape(value)
		}
		return out
	}
	return fmt.Sprintf("%T", v)
}

var (
	notJSON = []string{
		"{", "nonsense", "{} {}", "{}}", "{'a':1}", "{\"a\":\xff}", "{\"\xc3(\":1}", "\ufeff{}",
		`{"a":01}`, `{"a":+1}`, `{"a":NaN}`, `{"a":1,}`, `{"a":"\ud800"}`, `{"\udfff":1}`, `{"a":"\ud83d\ud83d\ude00"}`,
		"{\"a\":\"\x00\"}", "{\"a\":\"\n\"}", "\x00",
		`{"a":` + strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000) + "}",
		strings.Repeat(`{"a":`, 10_001) + "1" + strings.Repeat("}", 10_001),
		strings.Repeat("[", 900_000),
	}
	notObjects = []string{"[]", "1", "1e400", `"x"`, "true", `[{"name":"x"}]`, "-0"}
	otherKinds = []string{
		"text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/xml",
		"nonsense;;", "application/json-patch+json", " ",
	}
)

// some returns all of the cases on the first store and every fifth on the other one, since these are refused before the
// store is read.
func (s *scene) some(all []string) []string {
	if !s.postgres {
		return all
	}
	var out []string
	for i := 0; i < len(all); i += 5 {
		out = append(out, all[i])
	}
	return out
}

// checkBodies sends invalid bodies, which every write refuses whatever it expects.
func (s *scene) checkBodies(e endpoint, at call) {
	s.Helper()
	if !e.writes() {
		return
	}
	send := func(kind, body string, code models.Code, message string) {
		s.Helper()
		at.kind, at.body = kind, body
		r := s.refuse(s.admin, e, at, code)
		equal(s, fmt.Sprintf("%s %s %.60q", r.what, kind, body), r.body["message"], any(message))
	}
	large, kind := `{"name":"`+strings.Repeat("x", 1<<20)+`"}`, "application/json"
	if e.upload {
		file := csvUpload("x.csv", large)
		large, kind = file.body.(string), file.kind
	} else {
		for _, body := range s.some(notJSON) {
			send("", body, models.CodeInvalid, "请求体不是有效的 JSON")
		}
		for _, body := range s.some(notObjects) {
			send("", body, models.CodeInvalid, "请求体必须为 JSON 对象")
		}
		for _, kind := range s.some(otherKinds) {
			send(kind, `{"name":"x"}`, models.CodeUnsupportedMedia, "不支持的内容类型，请使用 application/json")
		}
	}
	send(kind, large, models.CodeTooLarge, "请求体超过 1 MiB 上限")
	at.body = struct{ *strings.Reader }{strings.NewReader(large)} // of unknown length
	r := s.ask(s.admin, e, at)
	equal(s, r.what+" in chunks", r.status, http.StatusRequestEntityTooLarge)
}

// in returns the call with the wrong value.
func (w wrong) in(at call) call {
	if w.inQuery {
		at.query = fmt.Sprintf("%s=%s", w.name, w.value)
		return at
	}
	members, _ := at.body.(obj)
	out := maps.Clone(members)
	if out == nil {
		out = obj{}
	}
	out[w.name] = w.value
	at.body = out
	return at
}

// checkWrong sends each wrong member and parameter alone, and members given twice whose last value is wrong.
func (s *scene) checkWrong(e endpoint, at call) {
	s.Helper()
	for _, w := range e.wrong {
		s.refuse(s.admin, e, w.in(at), w.code)
	}
	if body, is := at.body.(obj); is && len(e.wrong) > 0 && !e.wrong[0].inQuery {
		w := e.wrong[0]
		s.refuse(s.admin, e, call{id: at.id, body: twice(body, w.name, body[w.name], w.value)}, w.code)
	}
}

// checkLast sends a member twice whose last value is right.
func (s *scene) checkLast(e endpoint) {
	s.Helper()
	if len(e.wrong) == 0 || e.wrong[0].inQuery {
		return
	}
	who := s.asker(e)
	at := s.request(e, who.id)
	w, body := e.wrong[0], at.body.(obj)
	at.body = twice(body, w.name, w.value, body[w.name])
	equal(s, e.method+" "+e.path+" with the right value last", s.ask(who.client, e, at).status, e.status)
}

// twice returns the body with two values of one member.
func twice(body obj, name string, first, last any) string {
	pairs := []string{plain(name) + ":" + plain(first), plain(name) + ":" + plain(last)}
	for other, value := range body {
		if other != name {
			pairs = append(pairs, plain(other)+":"+plain(value))
		}
	}
	return "{" + strings.Join(pairs, ",") + "}"
}

// checkIgnored adds unknown members and parameters to a right request.
func (s *scene) checkIgnored(e endpoint) {
	s.Helper()
	who := s.asker(e)
	at := s.request(e, who.id)
	plainly := s.ask(who.client, e, at)
	const nonsense = "nonsense=1&page[]=x&%00=%FF&=&;"
	if !e.writes() {
		for _, query := range append([]string{nonsense}, e.loose...) {
			more := at
			more.query = strings.Trim(at.query+"&"+query, "&")
			r := s.ask(who.client, e, more)
			equal(s, r.what, plain(wordless(r.body)), plain(wordless(plainly.body)))
		}
		return
	}
	if e.upload {
		return
	}
	who = s.asker(e)
	at = s.request(e, who.id)
	at.query = strings.Trim(at.query+"&"+nonsense, "&")
	body, _ := at.body.(obj)
	more := obj{
		"nonsense":   json.RawMessage(strings.Repeat("[", 9000) + strings.Repeat("]", 9000)),
		"":           nil,
		"a\x00":      "\x00",
		"number":     json.RawMessage("1e400"),
		"id":         -1,
		"created_at": "x",
		"csrf_token": "x",
	}
	maps.Copy(more, body)
	at.body = more
	r := s.ask(who.client, e, at)
	equal(s, r.what+" with what nobody knows: "+r.raw, r.status, e.status)
	equal(s, r.what+" with what nobody knows", plain(shape(r.body)), plain(shape(plainly.body)))
}

var notIDs = []string{
	"0", "-1", "x", "1.0", "1e0", "9223372036854775807", "9223372036854775808", "99999999999999999999", "%00", "1%00",
	"%2F", "1%2F", "1%20", "%FF", "+1", "%2B1", "01", "%D9%A1", "...", "%2E%2E%2E", "1;", "1,2", "*", "null", "4711",
}

// checkIDs requests IDs that do not exist.
func (s *scene) checkIDs(e endpoint, at call) {
	s.Helper()
	if !strings.Contains(e.path, ":id") {
		return
	}
	for _, id := range s.some(notIDs) {
		r := s.refuseAt(s.admin, e, at, id, models.CodeNotFound)
		equal(s, r.what, r.body["message"], any(e.absent))
	}
	r := s.admin.do(e.method, e.address(at, "/"), at.body)
	equal(s, r.what+" of an empty id", r.status, http.StatusNotFound)
}

// attempt is a request that will be wrong.
type attempt struct {
	who  *client
	csrf *string // replaces the right one
	at   call
}

// step is one check in the order of the contract: how a request fails it, and the answer.
type step struct {
	name string
	code models.Code
	fail func(*attempt)
}

// steps returns the checks of the route in their order.
func (s *scene) steps(e endpoint) []step {
	var out []step
	add := func(name string, code models.Code, fail func(*attempt)) { out = append(out, step{name, code, fail}) }
	if e.may != everybody {
		add("login", models.CodeUnauthenticated, func(a *attempt) { a.who = s.anonymous })
	}
	if !e.allows(models.RoleGuest) {
		add("permission", models.CodeForbidden, func(a *attempt) { a.who = s.guest })
	}
	add("CSRF token", models.CodeCSRFMissing, func(a *attempt) { a.csrf = new(string) })
	add("right CSRF token", models.CodeCSRFInvalid, func(a *attempt) { other := "x"; a.csrf = &other })
	if e.upload {
		add("input", models.CodeUnsupportedMedia, func(a *attempt) { a.at.kind = "text/plain" })
	} else {
		add("input", models.CodeInvalid, func(a *attempt) { a.at.body = "{" })
	}
	if i := slices.IndexFunc(e.wrong, func(w wrong) bool { return w.code == models.CodeInvalid }); i >= 0 {
		add("input of the route", models.CodeInvalid, func(a *attempt) { a.at = e.wrong[i].in(a.at) })
	}
	switch {
	case strings.Contains(e.path, ":id"):
		add("existence", models.CodeNotFound, func(a *attempt) { a.at.id = 4711 })
	case e.missing != nil:
		add("existence", models.CodeNotFound, func(a *attempt) { a.at.body = e.missing(s).body })
	}
	if e.down != nil {
		add("target", models.CodeUnreachable, func(a *attempt) { a.at = e.down(s) })
	}
	return out
}

// exclusive lists pairs of checks that one request cannot fail together, or that are one check.
var exclusive = map[string]bool{
	"login+permission":            true,
	"CSRF token+right CSRF token": true,
	"input+input of the route":    true,
	"existence+target":            true,
}

// checkOrder sends requests that are wrong in one way, and in two: the answer is that of the earlier check.
func (s *scene) checkOrder(e endpoint) {
	s.Helper()
	if !e.writes() {
		return
	}
	steps := s.steps(e)
	at := s.request(e, s.adminID)
	for i, first := range steps {
		for _, second := range steps[i:] {
			pair := first.name + "+" + second.name
			if exclusive[pair] || e.perBody && pair == "permission+input" {
				continue
			}
			a := attempt{who: s.admin, at: at}
			second.fail(&a)
			first.fail(&a)
			if a.csrf != nil {
				a.who = a.who.with("X-CSRFToken", *a.csrf)
			}
			if r := s.refuse(a.who, e, a.at, first.code); r.body["message_code"] != string(first.code) {
				s.Errorf("%s %s without %s and without %s", e.method, e.path, first.name, second.name)
			}
		}
	}
}

var otherMethods = []string{http.MethodOptions, http.MethodPatch, http.MethodTrace, "PROPFIND", "get", "X"}

// checkMethods sends HEAD and methods that the path does not have.
func (s *scene) checkMethods(e endpoint) {
	s.Helper()
	at := s.request(e, s.adminID)
	path := e.address(at, "")
	if !e.writes() {
		for _, c := range []*client{s.admin, s.anonymous} {
			s.checkHead(c, path)
		}
	}
	for _, method := range s.some(otherMethods) {
		for _, c := range []*client{s.admin, s.anonymous} {
			r := c.do(method, path, nil).wantCode(405, models.CodeInvalidRequest, "该地址不支持此请求方法")
			allowed := strings.Split(r.header.Get("Allow"), ", ")
			if !slices.Contains(allowed, e.method) || slices.Contains(allowed, method) {
				s.Errorf("Allow of %s: %q", r.what, r.header.Get("Allow"))
			}
		}
	}
}

func (s *scene) checkHead(c *client, path string) {
	s.Helper()
	get, head := c.get(path), c.do(http.MethodHead, path, nil)
	equal(s, head.what, head.status, get.status)
	for _, name := range []string{
		"Content-Type", "Cache-Control", "ETag", "Vary", "Content-Disposition", "Set-Cookie", "WWW-Authenticate", "Allow",
	} {
		if name == "Set-Cookie" {
			equal(s, head.what+": "+name, head.header.Get(name) != "", get.header.Get(name) != "")
			continue
		}
		equal(s, head.what+": "+name, head.header.Get(name), get.header.Get(name))
	}
}

// TestContract_RateLimitFirst uses up the requests of an address, after which nothing else is checked.
func TestContract_RateLimitFirst(t *testing.T) {
	t.Parallel()
	const budget = 8 // what the logins of the app need
	a := newAppLimited(t, t.TempDir()+"/store.db", nil, handlers.Limits{Token: 1, Address: budget})
	for i, e := range append(endpoints, endpoint{method: "GET", path: "/nothing"}) {
		elsewhere := a.admin.with("X-Forwarded-For", fmt.Sprintf("192.0.2.%d", i+1)).with("X-CSRFToken", "")
		for range budget {
			elsewhere.get("/health/ping").want(200, "健康检查成功")
		}
		path := regexp.MustCompile(":[a-z]+").ReplaceAllString(e.path, "x")
		r := elsewhere.do(e.method, path, "{").wantCode(429, models.CodeRateLimited, "请求过于频繁,请稍后再试")
		equal(t, "limit", r.header.Get("X-RateLimit-Limit"), fmt.Sprint(budget))
	}
}
