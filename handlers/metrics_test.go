package handlers_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"whalefall/collectors"
	"whalefall/collectors/jobs"
	"whalefall/handlers"
	"whalefall/models"
)

// watched returns the app on a server of its own, whose metrics are read with the token.
func (a *app) watched(token string) *app {
	a.Helper()
	return a.servedWith(token, slog.New(slog.DiscardHandler))
}

// servedWith returns the app on a server of its own, which writes to the log.
func (a *app) servedWith(metricsToken string, log *slog.Logger) *app {
	a.Helper()
	metrics := handlers.NewMetrics(a.store, "1.2.3")
	service := collectors.NewService(a.store, shippedEngines(a.dir), slog.New(slog.DiscardHandler))
	runner := jobs.New(a.store, service, jobs.Options{Observe: metrics.ObserveCollection})
	server := httptest.NewServer(handlers.New(handlers.Config{
		Store: a.store, Collect: service, Runs: runner, Metrics: metrics, Zone: time.UTC, CookieSecure: "auto", Log: log,
		Version: "1.2.3", MetricsToken: metricsToken,
	}))
	a.Cleanup(func() {
		server.Close()
		check(a, runner.Close(context.WithoutCancel(a.Context())))
	})
	out := *a
	out.url = server.URL
	out.anonymous = out.newClient()
	out.admin = out.login("admin", password)
	return &out
}

// scraped is an answer without JSON.
type scraped struct {
	status int
	header http.Header
	text   string
}

// scrape requests the metrics as Prometheus does.
func (a *app) scrape(method, path string, pairs ...string) scraped {
	a.Helper()
	request, err := http.NewRequestWithContext(a.Context(), method, a.url+path, nil)
	check(a, err)
	for i := 0; i < len(pairs); i += 2 {
		request.Header.Set(pairs[i], pairs[i+1])
	}
	answer, err := http.DefaultClient.Do(request)
	check(a, err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	check(a, err)
	return scraped{answer.StatusCode, answer.Header, string(text)}
}

func TestMetrics_Token(t *testing.T) {
	onBothStores(t, func(a *app) {
		closed, open := a.watched(""), a.watched("s3cret")
		for _, header := range []string{"", "Bearer", "Bearer ", "Bearer s3cre", "Bearer s3cret2", "Basic s3cret", "s3cret"} {
			for _, server := range []*app{closed, open} {
				answer := server.scrape("GET", "/metrics", "Authorization", header)
				equal(a, header, answer.status, 401)
				equal(a, "text", answer.text, "unauthorized\n")
				equal(a, "challenge", answer.header.Get("WWW-Authenticate"), `Bearer realm="metrics"`)
				equal(a, "cookie", answer.header.Get("Set-Cookie"), "")
			}
		}
		if answer := closed.scrape("GET", "/metrics", "Authorization", "Bearer s3cret"); answer.status != 401 {
			a.Errorf("without a configured token: %d", answer.status)
		}
		answer := open.scrape("GET", "/metrics", "Authorization", "bearer s3cret")
		equal(a, "status", answer.status, 200)
		if media := answer.header.Get("Content-Type"); !strings.HasPrefix(media, "text/plain; version=0.0.4") {
			a.Errorf("content type %s", media)
		}
		for _, metric := range []string{
			`whalefall_build_info{version="1.2.3"} 1`, "go_goroutines ", "process_open_fds ", "whalefall_store_size_bytes ",
			"whalefall_audit_failures_total 0",
		} {
			if !strings.Contains(answer.text, "\n"+metric) {
				a.Errorf("no %s in\n%s", metric, answer.text)
			}
		}
		answer = open.scrape("HEAD", "/metrics", "Authorization", "Bearer s3cret")
		equal(a, "HEAD", answer.status, 200)
		equal(a, "HEAD's body", answer.text, "")
		answer = open.scrape("POST", "/metrics", "Authorization", "Bearer s3cret")
		equal(a, "POST", answer.status, 405)
		answer = open.scrape("GET", "/metrics", "Authorization", "Bearer s3cret", "Accept-Encoding", "gzip")
		equal(a, "compressed once", strings.Join(answer.header.Values("Content-Encoding"), " "), "gzip")
	})
}

func TestMetrics_Labels(t *testing.T) {
	onBothStores(t, func(plain *app) {
		a := plain.watched("s3cret")
		file := a.sqliteFile("CREATE TABLE hidden_table (id)")
		path := a.sqliteInstance("hidden_instance", file)
		a.admin.post(path+"/actions/sync-capacity", nil).want(200, "实例 hidden_instance 的容量同步任务已成功完成")
		a.admin.post(tablesPath(path, "main")+"/actions/refresh", nil).want(200, "表容量快照刷新成功")
		check(a, os.Remove(file))
		equal(a, "unreachable", a.admin.post(path+"/actions/sync-capacity", nil).status, 409)
		a.anonymous.get("/instances/1").want(401, "请先登录")
		for _, unknown := range []string{"/made/up/1", "/api/v1/made/up/2", "/api/v1/instances/1/made/up", "/metrics/x"} {
			a.scrape("GET", unknown)
		}
		a.scrape("MADEUP", "/instances")
		a.scrape("DELETE", "/api/v1/instances")

		text := a.scrape("GET", "/metrics", "Authorization", "Bearer s3cret").text
		for _, metric := range []string{
			`whalefall_collections_total{engine="sqlite",kind="databases",result="success"} 1`,
			`whalefall_collections_total{engine="sqlite",kind="databases",result="DATABASE_CONNECTION_ERROR"} 1`,
			`whalefall_collections_total{engine="sqlite",kind="tables",result="success"} 1`,
			`whalefall_collections_running{engine="sqlite",kind="databases"} 0`,
			`whalefall_collection_duration_seconds_count{engine="sqlite",kind="databases"} 2`,
			`whalefall_http_requests_total{method="POST",route="/api/v1/instances/:id/actions/sync-capacity",status="200"} 1`,
			`whalefall_http_requests_total{method="POST",route="/api/v1/instances/:id/actions/sync-capacity",status="409"} 1`,
			`whalefall_http_requests_total{method="GET",route="/api/v1/instances/:id",status="401"} 1`,
			`whalefall_http_requests_total{method="GET",route="other",status="404"} 4`,
			`whalefall_http_request_duration_seconds_count{method="POST",route="/api/v1/instances"} 1`,
		} {
			if !strings.Contains(text, "\n"+metric+"\n") {
				a.Errorf("no %s in\n%s", metric, text)
			}
		}
		for _, secret := range []string{"hidden_", "made", "MADEUP", "127.0.0.1", "admin", "s3cret", file} {
			if strings.Contains(text, secret) {
				a.Errorf("the metrics tell %q", secret)
			}
		}
	})
}

func TestHealthz(t *testing.T) {
	onBothStores(t, func(plain *app) {
		a := plain.watched("s3cret")
		check(a, a.store.Close())
		for _, c := range []*client{a.admin, a.anonymous, a.anonymous.with("Authorization", "Bearer wf_nonsense")} {
			r := c.get("/health/ping").want(200, "健康检查成功").wantAt("status", "ok", "version", "1.2.3")
			equal(a, "cookie", r.header.Get("Set-Cookie"), "")
			equal(a, "members", members(r.data), "status version")
		}
		answer := a.scrape("HEAD", "/api/v1/health/ping")
		equal(a, "HEAD", answer.status, 200)
		answer = a.scrape("GET", "/readyz")
		equal(a, "the store", answer.status, 503)
		answer = a.scrape("GET", "/metrics", "Authorization", "Bearer s3cret")
		equal(a, "metrics", answer.status, 200)
		if strings.Contains(answer.text, "whalefall_store_size_bytes") {
			a.Errorf("size of a closed store:\n%s", answer.text)
		}
	})
}

func TestMetrics_AuditFailures(t *testing.T) {
	t.Parallel()
	a := newApp(t, t.TempDir()+"/store.db").watched("s3cret")
	a.exec(a.store.Path(), "DROP TABLE audit_log")
	a.admin.post("/tags", obj{"name": "kept"}).want(201, "标签创建成功")
	text := a.scrape("GET", "/metrics", "Authorization", "Bearer s3cret").text
	if !strings.Contains(text, "\nwhalefall_audit_failures_total 1\n") {
		t.Error(text)
	}
}

// TestNew_WhileCollecting builds handlers while a runner collects. The race detector reports a New that changes its
// runner.
func TestNew_WhileCollecting(t *testing.T) {
	t.Parallel()
	a := newApp(t, t.TempDir()+"/store.db")
	instance := a.sqliteInstance("concurrent", a.sqliteFile("CREATE TABLE t (id)"))
	metrics := handlers.NewMetrics(a.store, "1.2.3")
	service := collectors.NewService(a.store, shippedEngines(a.dir), slog.New(slog.DiscardHandler))
	runner := jobs.New(a.store, service, jobs.Options{Observe: metrics.ObserveCollection})
	check(t, runner.Start(t.Context()))
	t.Cleanup(func() { check(t, runner.Close(context.WithoutCancel(t.Context()))) })

	id := int64(a.admin.get(instance).at("instance", "id").(float64))
	var collections sync.WaitGroup
	for range 4 {
		collections.Go(func() {
			for range 5 {
				request := jobs.Tables(models.Requester{Username: "u"}, id, "main")
				if _, err := runner.RequestAndWait(t.Context(), request); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 5 {
		handlers.New(handlers.Config{
			Store: a.store, Collect: service, Runs: runner, Metrics: metrics, Zone: time.UTC, CookieSecure: "auto",
			Log: slog.New(slog.DiscardHandler), Version: "1.2.3",
		})
	}
	collections.Wait()
}
