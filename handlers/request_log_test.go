package handlers_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// requestLog collects log lines as JSON.
type requestLog struct {
	mu  sync.Mutex
	raw bytes.Buffer
}

func (l *requestLog) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.raw.Write(line)
}

// text returns the whole log.
func (l *requestLog) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.raw.String()
}

// of returns the lines about the request. A line is written after its answer, so it may take a moment to appear.
func (l *requestLog) of(t testing.TB, id string) []obj {
	t.Helper()
	var found []obj
	eventually(t, "log line of request "+id, func() bool {
		found = nil
		for line := range strings.Lines(l.text()) {
			var entry obj
			check(t, json.Unmarshal([]byte(line), &entry))
			if entry["request_id"] == id {
				found = append(found, entry)
			}
		}
		return len(found) > 0
	})
	return found
}

func TestLogRequests(t *testing.T) { //nolint:tparallel // it reads the log after its subtests
	t.Parallel()
	log := &requestLog{}
	logger := slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	a := newApp(t, t.TempDir()+"/store.db").servedWith("m3trics", logger)
	token := a.admin.token("nightly", "user")

	for _, test := range []struct {
		name           string
		send           func() *response
		level, message string
		want           obj
	}{
		{
			"page of the API, without its query", func() *response { return a.admin.get("/instances?search=s3cret") },
			"INFO", "request served",
			obj{"method": "GET", "path": "/api/v1/instances", "status": 200., "user": "admin", "ip": "127.0.0.1"},
		},
		{
			"API token", func() *response { return token.get("/instances") },
			"INFO", "request served",
			obj{"status": 200., "user": "admin"},
		},
		{
			"nobody", func() *response { return a.anonymous.get("/instances") },
			"INFO", "request refused",
			obj{"status": 401., "user": nil, "error": "AUTHENTICATION_REQUIRED "},
		},
		{
			"wrong password", func() *response {
				return a.anonymous.post("/auth/login", obj{"username": "admin", "password": "S3cret123"})
			},
			"INFO", "request refused",
			obj{"status": 401., "user": nil},
		},
		{
			"no permission", func() *response { return a.login("guest_1", password).post("/tags", obj{"name": "x"}) },
			"INFO", "request refused",
			obj{"method": "POST", "path": "/api/v1/tags", "status": 403., "user": "guest_1", "ip": "127.0.0.1"},
		},
		{
			"no such path", func() *response { return a.login("guest_1", password).get("/nothing") },
			"INFO", "request refused",
			obj{"method": "GET", "path": "/api/v1/nothing", "status": 404., "user": "guest_1", "ip": "127.0.0.1"},
		},
		{
			"health probe", func() *response { return a.anonymous.get("/health/ping") },
			"DEBUG", "request served",
			obj{"path": "/api/v1/health/ping", "status": 200.},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := test.send()
			lines := log.of(t, r.header.Get("X-Request-ID"))
			equal(t, "lines", len(lines), 1)
			line := lines[0]
			equal(t, "level", line["level"], any(test.level))
			equal(t, "message", line["msg"], any(test.message))
			for name, want := range test.want {
				equal(t, name, line[name], want)
			}
			equal(t, "bytes", line["bytes"], any(float64(len(r.raw))))
			if _, timed := line["elapsed_ms"].(float64); !timed {
				t.Errorf("elapsed_ms: got %v, want a number", line["elapsed_ms"])
			}
			if id := r.body["error_id"]; id != nil {
				equal(t, "error_id", line["error_id"], id)
			}
		})
	}
	if text := strings.ToLower(log.text()); strings.Contains(text, "s3cret") || strings.Contains(text, "bearer") {
		t.Errorf("the log holds a secret or a query:\n%s", text)
	}
}

func TestLogRequests_InternalError(t *testing.T) {
	t.Parallel()
	log := &requestLog{}
	a := newApp(t, t.TempDir()+"/store.db").servedWith("", slog.New(slog.NewJSONHandler(log, nil)))
	a.breakStore("DROP TABLE tags")

	// The test client fails on every 500, so this request goes without it.
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, a.url+"/api/v1/tags", nil)
	check(t, err)
	answer, err := a.admin.http.Do(request)
	check(t, err)
	defer answer.Body.Close()
	equal(t, "status", answer.StatusCode, http.StatusInternalServerError)
	var body obj
	check(t, json.NewDecoder(answer.Body).Decode(&body))

	lines := log.of(t, answer.Header.Get("X-Request-ID"))
	equal(t, "lines", len(lines), 1)
	equal(t, "level", lines[0]["level"], any("ERROR"))
	equal(t, "message", lines[0]["msg"], any("request failed"))
	equal(t, "error_id", lines[0]["error_id"], body["error_id"])
	if text, _ := lines[0]["error"].(string); !strings.Contains(text, "tags") {
		t.Errorf("error: got %q, want the cause", text)
	}
}
