package handlers_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "github.com/glebarez/go-sqlite"
	"golang.org/x/crypto/bcrypt"

	"whalefall/collectors"
	"whalefall/collectors/jobs"
	"whalefall/handlers"
	"whalefall/migrations"
	"whalefall/models"
	"whalefall/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// password is the one of every user of these tests.
const password = "Correct1horse"

// app is a running WhaleFall with a user for each role.
type app struct {
	testing.TB
	url     string
	store   *models.Store
	handler http.Handler
	dir     string // SQLite targets in here are allowed
	address string // address of the store

	admin, user, guest, anonymous *client
}

// onBothStores runs the test against a server on SQLite and one on PostgreSQL.
func onBothStores(t *testing.T, test func(a *app)) {
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		test(newApp(t, filepath.Join(t.TempDir(), "store.db")))
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		test(newApp(t, testenv.PostgreSQL(t).NewDatabase(t)))
	})
}

func newApp(t testing.TB, address string) *app {
	t.Helper()
	return newAppWith(t, address, nil)
}

// newAppWith also collects with the given engines, which replace the shipped ones of the same name.
func newAppWith(t testing.TB, address string, others map[models.Engine]collectors.Collector) *app {
	t.Helper()
	return newAppLimited(t, address, others, handlers.Limits{})
}

// newAppLimited limits how many requests its clients may send.
func newAppLimited(
	t testing.TB, address string, others map[models.Engine]collectors.Collector, limits handlers.Limits,
) *app {
	t.Helper()
	return newAppWaiting(t, address, others, limits, jobs.Options{})
}

// newAppWaiting runs collections with the options.
func newAppWaiting(
	t testing.TB, address string, others map[models.Engine]collectors.Collector, limits handlers.Limits, o jobs.Options,
) *app {
	t.Helper()
	zone, err := time.LoadLocation("Asia/Shanghai")
	check(t, err)
	keys, err := models.CreateKeyset(filepath.Join(t.TempDir(), "keyset.json"))
	check(t, err)
	log := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelError}))
	store, err := models.Open(t.Context(), models.Options{
		Address: address, Keyset: keys, Zone: zone, Migrate: migrations.Up, Log: log, PasswordCost: bcrypt.MinCost,
		Now: fromNoon(zone),
	})
	check(t, err)
	a := &app{TB: t, store: store, dir: t.TempDir(), address: address}
	engines := shippedEngines(a.dir)
	maps.Copy(engines, others)
	service := collectors.NewService(store, engines, log)
	o.Log = log
	runner := jobs.New(store, service, o)
	a.handler = handlers.New(handlers.Config{
		Store: store, Collect: service, Runs: runner, Zone: zone, CookieSecure: "auto", Log: log, Version: "test",
		TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Limits: limits,
	})
	server := httptest.NewServer(a.handler)
	t.Cleanup(func() {
		server.Close()
		check(t, runner.Close(context.WithoutCancel(t.Context())))
		check(t, store.Close())
	})
	a.url = server.URL
	a.addUsers()
	return a
}

// fromNoon returns a clock that shows noon of today in the zone and goes on from there, so that no day ends during a
// test.
func fromNoon(zone *time.Location) func() time.Time {
	start := time.Now()
	year, month, day := start.In(zone).Date()
	ahead := time.Date(year, month, day, 12, 0, 0, 0, zone).Sub(start)
	return func() time.Time { return time.Now().Add(ahead) }
}

// now returns the time of the server.
func (a *app) now() time.Time { return a.store.Clock()() }

// addUsers adds a user for each role and logs in as each.
func (a *app) addUsers() {
	a.Helper()
	for _, u := range []models.User{
		{Username: "admin", Role: models.RoleAdmin},
		{Username: "user_1", Role: models.RoleUser},
		{Username: "guest_1", Role: models.RoleGuest},
	} {
		u.IsActive = true
		_, err := a.store.CreateUser(a.Context(), u, password)
		check(a, err)
	}
	a.anonymous = a.newClient()
	a.admin, a.user, a.guest = a.login("admin", password), a.login("user_1", password), a.login("guest_1", password)
}

func (a *app) login(name, password string) *client {
	a.Helper()
	c := a.newClient()
	c.post("/auth/login", obj{"username": name, "password": password}).want(200, "登录成功")
	return c
}

// obj is a JSON object.
type obj = map[string]any

// client is a browser-like client: it keeps cookies and sends a CSRF token with every write.
type client struct {
	*app
	http   *http.Client
	header http.Header
}

func (a *app) newClient() *client {
	a.Helper()
	jar, err := cookiejar.New(nil)
	check(a, err)
	c := &client{app: a, http: &http.Client{Jar: jar}, header: http.Header{}}
	token := c.get("/auth/csrf-token").want(200, "操作成功").data["csrf_token"].(string)
	c.header.Set("X-CSRFToken", token)
	return c
}

// with returns the client with another value of a header. An empty value removes the header.
func (c *client) with(name, value string) *client {
	out := *c
	out.header = c.header.Clone()
	out.header.Set(name, value)
	if value == "" {
		out.header.Del(name)
	}
	return &out
}

func (c *client) get(path string) *response            { return c.do("GET", path, nil) }
func (c *client) post(path string, body any) *response { return c.do("POST", path, body) }
func (c *client) put(path string, body any) *response  { return c.do("PUT", path, body) }
func (c *client) remove(path string) *response         { return c.do("DELETE", path, nil) }

// do sends a request to a path under /api/v1.
func (c *client) do(method, path string, body any) *response {
	c.Helper()
	return c.send(method, "/api/v1"+path, body)
}

// send sends the body as JSON; a string or a reader is sent as it is.
func (c *client) send(method, path string, body any) *response {
	c.Helper()
	var content io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		content = strings.NewReader(b)
	case io.Reader:
		content = b
	default:
		raw, err := json.Marshal(b)
		check(c, err)
		content = bytes.NewReader(raw)
	}
	request, err := http.NewRequestWithContext(c.Context(), method, c.url+path, content)
	check(c, err)
	request.Header = c.header.Clone()
	if content != nil && request.Header.Get("Content-Type") == "" {
		request.Header.Set("Content-Type", "application/json")
	}
	answer, err := c.http.Do(request)
	check(c, err)
	defer answer.Body.Close()
	raw, err := io.ReadAll(answer.Body)
	check(c, err)
	r := &response{
		client: c,
		what:   method + " " + path,
		status: answer.StatusCode,
		header: answer.Header,
		raw:    string(raw),
	}
	r.read()
	return r
}

// read decodes the JSON of the answer and checks it against the contract.
func (r *response) read() {
	r.Helper()
	if len(r.raw) > 0 && r.isJSON() {
		if err := json.Unmarshal([]byte(r.raw), &r.body); err != nil {
			r.Fatalf("%s: %d is not JSON: %v: %.300s", r.what, r.status, err, r.raw)
		}
	}
	r.data, _ = r.body["data"].(obj)
	examine(r)
	examineDocumented(r)
}

type response struct {
	*client
	what   string
	status int
	header http.Header
	raw    string
	body   obj
	data   obj
}

// want checks status and message.
func (r *response) want(status int, message string) *response {
	r.Helper()
	if r.status != status || r.body["message"] != message {
		r.Fatalf("%s\n got %d %.600s\nwant %d %s", r.what, r.status, r.raw, status, message)
	}
	return r
}

// wantCode checks status, message code and message of an error.
func (r *response) wantCode(status int, code models.Code, message string) *response {
	r.Helper()
	r.want(status, message)
	equal(r, r.what+" message_code", r.body["message_code"], any(string(code)))
	return r
}

// at returns the value in data at the path of member names and list indexes.
func (r *response) at(path ...any) any {
	r.Helper()
	var here any = r.data
	for _, step := range path {
		switch step := step.(type) {
		case string:
			members, ok := here.(obj)
			if !ok {
				r.Fatalf("%s: nothing at %v: %.600s", r.what, path, r.raw)
			}
			here = members[step]
		case int:
			list, ok := here.([]any)
			if !ok || step >= len(list) {
				r.Fatalf("%s: nothing at %v: %.600s", r.what, path, r.raw)
			}
			here = list[step]
		}
	}
	return here
}

// wantAt checks values in data: path, value, path, value. A path has its steps joined by dots.
func (r *response) wantAt(pairs ...any) *response {
	r.Helper()
	for i := 0; i < len(pairs); i += 2 {
		var steps []any
		for step := range strings.SplitSeq(pairs[i].(string), ".") {
			var index int
			if _, err := fmt.Sscanf(step, "%d", &index); err == nil {
				steps = append(steps, index)
				continue
			}
			steps = append(steps, step)
		}
		equal(r, r.what+" "+pairs[i].(string), plain(r.at(steps...)), plain(pairs[i+1]))
	}
	return r
}

// plain returns a value as JSON, for comparisons.
func plain(v any) string {
	raw, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(raw)
}

func (r *response) id(path ...any) int64 {
	r.Helper()
	id, ok := r.at(path...).(float64)
	if !ok {
		r.Fatalf("%s: no id at %v: %.600s", r.what, path, r.raw)
	}
	return int64(id)
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func equal[T comparable](t testing.TB, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s:\n got %v\nwant %v", what, got, want)
	}
}

// sqliteFile creates a SQLite file that may be a target.
func (a *app) sqliteFile(statements ...string) string {
	a.Helper()
	path := filepath.Join(a.dir, fmt.Sprintf("target%d.db", time.Now().UnixNano()))
	a.exec(path, append(statements, "VACUUM")...)
	return path
}

func (a *app) exec(path string, statements ...string) {
	a.Helper()
	db, err := sql.Open("sqlite", path)
	check(a, err)
	defer db.Close()
	for _, s := range statements {
		_, err := db.ExecContext(a.Context(), s)
		check(a, err)
	}
}

// sqliteInstance adds an instance for a SQLite file and returns its path under /api/v1.
func (a *app) sqliteInstance(name, file string) string {
	a.Helper()
	r := a.admin.post("/instances", obj{"name": name, "db_type": "sqlite", "database_name": file}).want(201, "实例创建成功")
	return fmt.Sprintf("/instances/%d", r.id("instance", "id"))
}

// addDatabase adds a database to the inventory of an instance.
func (a *app) addDatabase(instance int64, name string) {
	a.Helper()
	found := models.DatabaseResult{Databases: []models.DatabaseSize{{Name: name}}}
	_, err := a.store.SaveInventory(a.Context(), instance, found, a.now())
	check(a, err)
}

func tablesPath(instance, database string) string {
	return instance + "/databases/" + url.PathEscape(database) + "/tables/sizes"
}
