//go:build bench

package bench

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"whalefall/testenv"
)

const adminPassword = "Measure-me-1"

// binary builds the product like a release and returns its path, or the one that BENCH_BINARY names.
var binary = sync.OnceValues(func() (string, error) {
	if named := os.Getenv("BENCH_BINARY"); named != "" {
		return filepath.Abs(named)
	}
	path := filepath.Join(scratch, "whalefall")
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", path, "..")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w\n%s", err, out)
	}
	return path, nil
})

// product is a running whalefall and a client that is logged in as its admin.
type product struct {
	process *testenv.Process
	base    string
	client  *http.Client
	token   string // CSRF token
}

// startProduct starts the binary on a data directory and logs in; the process ends with the test.
func startProduct(t *testing.T, dataDir, store string) *product {
	t.Helper()
	binary, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	address := "127.0.0.1:" + strconv.Itoa(testenv.FreePort(t))
	cmd := exec.Command(binary, "--addr", address, "--data-dir", dataDir)
	cmd.Env = append(os.Environ(),
		"WHALEFALL_ADMIN_PASSWORD="+adminPassword, "WHALEFALL_STORE="+store, "WHALEFALL_LOG_LEVEL=error")
	cmd.Stderr = os.Stderr
	process := testenv.StartProcess(t, cmd)
	t.Cleanup(func() { process.Stop(syscall.SIGTERM) })
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	p := &product{process: process, base: "http://" + address, client: &http.Client{
		Jar: jar, Timeout: 5 * time.Minute,
		Transport: &http.Transport{DisableCompression: true}, // the client's time would count
	}}
	p.waitReady(t)
	p.newToken(t)
	p.call(t, http.MethodPost, "/api/v1/auth/login", map[string]any{"username": "admin", "password": adminPassword}, nil)
	p.newToken(t)
	return p
}

func (p *product) waitReady(t *testing.T) {
	t.Helper()
	testenv.WaitFor(t, "the product to be ready", func() bool {
		response, err := p.client.Get(p.base + "/readyz")
		if err == nil {
			_ = response.Body.Close()
		}
		return err == nil && response.StatusCode == http.StatusOK
	})
}

// newToken fetches the CSRF token, which a login changes.
func (p *product) newToken(t *testing.T) {
	t.Helper()
	var data struct {
		Token string `json:"csrf_token"`
	}
	p.call(t, http.MethodGet, "/api/v1/auth/csrf-token", nil, &data)
	p.token = data.Token
}

// call sends the body as JSON and decodes the data of the response unless data is nil.
func (p *product) call(t *testing.T, method, path string, body, data any) {
	t.Helper()
	p.callPreferring(t, "", method, path, body, data)
}

// callPreferring does what call does, with a Prefer header such as respond-async.
func (p *product) callPreferring(t *testing.T, preference, method, path string, body, data any) {
	t.Helper()
	sent, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(t.Context(), method, p.base+path, bytes.NewReader(sent))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("X-CSRFToken", p.token)
	request.Header.Set("Prefer", preference)
	response, err := p.client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode >= http.StatusBadRequest {
		t.Fatalf("%s %s: %s\n%.2000s", method, path, response.Status, answer)
	}
	if data == nil {
		return
	}
	if err := json.Unmarshal(answer, &struct{ Data any }{data}); err != nil {
		t.Fatalf("%s %s: %v\n%.2000s", method, path, err, answer)
	}
}

// account is a login on a monitored server.
type account struct {
	engine         string
	host           string
	port           int
	user, password string
}

// addInstance adds an instance and returns its id.
func (p *product) addInstance(t *testing.T, name string, a account) int64 {
	t.Helper()
	var made struct{ Credential struct{ ID int64 } }
	p.call(t, http.MethodPost, "/api/v1/credentials", map[string]any{
		"name": name, "credential_type": "database", "db_type": a.engine, "username": a.user, "password": a.password,
	}, &made)
	var added struct{ Instance struct{ ID int64 } }
	p.call(t, http.MethodPost, "/api/v1/instances", map[string]any{
		"name": name, "db_type": a.engine, "host": a.host, "port": a.port,
		"credential_id": made.Credential.ID, "tls_mode": "disable",
	}, &added)
	return added.Instance.ID
}

func tableSizes(instance int64, database string) string {
	return fmt.Sprintf("/api/v1/instances/%d/databases/%s/tables/sizes", instance, database)
}

// refresh refreshes a database, and fails the test unless the wanted number of tables was stored.
func (p *product) refresh(t *testing.T, instance int64, database string, want int) {
	t.Helper()
	var got struct {
		Saved  int `json:"saved_count"`
		Tables []struct{}
	}
	p.call(t, http.MethodPost, tableSizes(instance, database)+"/actions/refresh", nil, &got)
	if got.Saved != want || len(got.Tables) == 0 {
		t.Fatalf("got %d tables stored and %d shown, want %d stored", got.Saved, len(got.Tables), want)
	}
}

func (p *product) pid() int { return p.process.PID() }
