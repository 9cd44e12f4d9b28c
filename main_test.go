package main

import (
	"bytes"
	"context"
	"net/http"
	"net/http/cookiejar"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"whalefall/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// app is one running WhaleFall.
type app struct {
	url, password string
	dir           string // of its data
	output        func() string
	stop          func() int // ends it and returns the exit status
}

// startDeadline is how long a start may take under the race detector on a busy machine.
const startDeadline = 60 * time.Second

var (
	listenLine   = regexp.MustCompile(`listens on (http://\S+)`)
	passwordLine = regexp.MustCompile(`admin with the password (\S+)`)
)

// startApp runs the command line in this process until the test ends.
func startApp(t *testing.T, args ...string) *app {
	t.Helper()
	return startAppWith(t, shipped, args...)
}

// startAppWith runs it with other engines than the shipped ones.
func startAppWith(t *testing.T, with engines, args ...string) *app {
	t.Helper()
	var out lockedBuffer
	ctx, cancel := context.WithCancel(context.Background())
	exited := make(chan int, 1)
	go func() {
		exited <- run(ctx, append([]string{"--addr=127.0.0.1:0"}, args...), console{in: strings.NewReader(""), out: &out, err: &out}, with)
	}()
	stop := sync.OnceValue(func() int { cancel(); return <-exited })
	t.Cleanup(func() { stop() })
	a := &app{output: out.String, stop: stop, dir: args[slices.Index(args, "--data-dir")+1]}
	for deadline := time.Now().Add(startDeadline); ; time.Sleep(20 * time.Millisecond) {
		if m := listenLine.FindStringSubmatch(out.String()); m != nil {
			a.url = m[1]
			break
		}
		if time.Now().After(deadline) || len(exited) > 0 {
			t.Fatalf("did not start: %s", out.String())
		}
	}
	if m := passwordLine.FindStringSubmatch(out.String()); m != nil {
		a.password = m[1]
	}
	return a
}

// newClient keeps cookies and leaves no connection behind.
func newClient(t *testing.T) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Jar: jar, Timeout: startDeadline}
	t.Cleanup(client.CloseIdleConnections)
	return client
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// runOnce runs one command to its end.
func runOnce(t *testing.T, stdin string, args ...string) (status int, out, errs string) {
	t.Helper()
	var o, e bytes.Buffer
	status = run(t.Context(), args, console{in: strings.NewReader(stdin), out: &o, err: &e}, shipped)
	return status, o.String(), e.String()
}

func TestFirstStartPrintsThePasswordOnceAndStopsCleanly(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	dir := filepath.Join(t.TempDir(), "data dir")
	first := startApp(t, "--data-dir", dir)
	if first.password == "" {
		t.Fatalf("no password in %q", first.output())
	}
	for path, mode := range map[string]os.FileMode{"keyset.json": 0o600, "whalefall.db": 0o600} {
		info, err := os.Stat(filepath.Join(dir, path))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != mode {
			t.Errorf("%s has mode %v, want %v", path, info.Mode().Perm(), mode)
		}
	}
	for _, path := range []string{"/healthz", "/readyz", "/login"} {
		resp, err := http.Get(first.url + path)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Errorf("%s: %d", path, resp.StatusCode)
		}
	}
	http.DefaultClient.CloseIdleConnections()
	if status := first.stop(); status != 0 {
		t.Errorf("exit status %d: %s", status, first.output())
	}
	second := startApp(t, "--data-dir", dir)
	if second.password != "" || strings.Contains(second.output(), first.password) {
		t.Errorf("the password was printed again: %s", second.output())
	}
	if status := second.stop(); status != 0 {
		t.Errorf("exit status %d", status)
	}
}

func TestAWrongKeysetStopsTheStart(t *testing.T) {
	dir := t.TempDir()
	startApp(t, "--data-dir", dir).stop()
	if err := os.Remove(filepath.Join(dir, "keyset.json")); err != nil {
		t.Fatal(err)
	}
	status, _, errs := runOnce(t, "", "--addr=127.0.0.1:0", "--data-dir", dir)
	if status != 1 || !strings.Contains(errs, "keyset") || strings.Count(errs, "\n") != 1 {
		t.Errorf("status %d, %q", status, errs)
	}
}

func TestABadSettingIsOneClearLine(t *testing.T) {
	for name, args := range map[string][]string{
		"address":   {"--addr=nowhere"},
		"zone":      {"--timezone=Mars/Olympus"},
		"store":     {"--store=mongodb://x"},
		"proxies":   {"--trusted-proxies=10.0.0.0/99"},
		"cookie":    {"--cookie-secure=perhaps"},
		"log level": {"--log-level=loud"},
		"flag":      {"--nonsense"},
		"command":   {"frobnicate"},
	} {
		t.Run(name, func(t *testing.T) {
			status, out, errs := runOnce(t, "", args...)
			if status != 2 || out != "" || strings.Count(strings.TrimSpace(errs), "\n") != 0 || !strings.HasPrefix(errs, "whalefall: ") {
				t.Errorf("status %d, out %q, errors %q", status, out, errs)
			}
		})
	}
}

func TestAnOddStoreAddressIsNotRepeated(t *testing.T) {
	for _, address := range []string{
		"host=h password=secret user=u", " password = 'secret'", "dbname=secret",
		"postgres://u:se/cret@h/db", "postgres://u:1/cret@h/db", "postgres://u:1?cret@h/db", "postgres://u:1#cret@h/db",
		"postgres://u:se%zzcret@h/db", "postgres://u:sec ret@h:1x/db", "postgresql://u:s[ecret@h/db", "mysql://u:secret@h/db",
	} {
		t.Setenv("WHALEFALL_STORE", address)
		for _, command := range []string{"config", "migrate"} {
			status, out, errs := runOnce(t, "", command, "--data-dir", t.TempDir())
			if status != 2 || !strings.HasPrefix(errs, "whalefall: WHALEFALL_STORE ") || strings.Count(errs, "\n") != 1 {
				t.Errorf("%s %s: status %d, %q", command, address, status, errs)
			}
			if strings.Contains(out+errs, "cret") {
				t.Errorf("%s %s tells: %q %q", command, address, out, errs)
			}
		}
	}
	for given, shown := range map[string]string{
		"postgres://u:p@ss@h/db":                       "postgres://u:xxxxx@h/db",
		"postgres://u@h/db?password=secret&x=1#secret": "postgres://u@h/db",
		"postgres://u:1/cret@h/db":                     "(redacted)",
		"password=secret":                              "(redacted)",
		"/var/lib/a b=c.db":                            "/var/lib/a b=c.db",
	} {
		if got := redact("dsn", given); got != shown {
			t.Errorf("%s is shown as %s", given, got)
		}
	}
}

func TestConfigRedactsSecrets(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("Hunter22Hunter22\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("WHALEFALL_ADMIN_PASSWORD_FILE", secret)
	t.Setenv("WHALEFALL_STORE", "postgres://me:s3cret@127.0.0.1/whalefall?sslpassword=other")
	status, out, errs := runOnce(t, "", "config")
	if status != 0 {
		t.Fatal(errs)
	}
	for _, hidden := range []string{"Hunter22", "s3cret", "other"} {
		if strings.Contains(out, hidden) {
			t.Errorf("%s in %s", hidden, out)
		}
	}
	for _, want := range []string{
		"WHALEFALL_ADMIN_PASSWORD=(redacted)", "WHALEFALL_STORE=postgres://me:xxxxx@127.0.0.1/whalefall",
		"WHALEFALL_TIMEZONE=Asia/Shanghai", "WHALEFALL_ADDR=127.0.0.1:8080",
	} {
		if !strings.Contains(out, want+"\n") {
			t.Errorf("no %s in\n%s", want, out)
		}
	}
}

func TestUsersByCommandLine(t *testing.T) {
	dir := t.TempDir()
	if status, _, errs := runOnce(t, "Correct1Horse\n", "user", "add", "alice", "--role=guest", "--data-dir", dir); status != 0 {
		t.Fatal(errs)
	}
	if status, _, errs := runOnce(t, "short\n", "user", "reset", "alice", "--data-dir", dir); status != 1 || errs == "" {
		t.Errorf("a bad password was taken: %d %q", status, errs)
	}
	status, out, _ := runOnce(t, "", "user", "list", "--data-dir", dir)
	if status != 0 || out != "alice\tguest\tactive=true\n" {
		t.Errorf("status %d, %q", status, out)
	}
}
