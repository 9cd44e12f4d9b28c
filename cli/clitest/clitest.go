// Package clitest runs the command line inside a test.
package clitest

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"whalefall/cli"
)

// Deadline is how long a start or an answer may take under the race detector on a busy machine.
const Deadline = 90 * time.Second

var (
	listenLine   = regexp.MustCompile(`is listening on (http://\S+)`)
	passwordLine = regexp.MustCompile(`admin with the password (\S+)`)
)

// RunCollector runs the command line and exits in a process that a test has started to collect. Each TestMain of a
// package that starts WhaleFall calls it first.
func RunCollector() {
	if len(os.Args) > 1 && os.Args[1] == cli.CollectorCommand {
		program := cli.Program{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}
		os.Exit(cli.Run(context.Background(), os.Args[1:], program))
	}
}

// App is a running WhaleFall.
type App struct {
	URL      string
	Password string // of the user admin; empty if it was printed at an earlier start
	Dir      string // the data directory
	Output   *Buffer
	Stop     func() int // stops it and returns the exit status; may be called again
}

// PrintPassword is an argument that has the first start print the password of the admin, who must then change it.
// Without it the password is given.
const PrintPassword = "--admin-password="

const givenPassword = "Correct1horse"

// Start serves in this process on a free port until the test ends. args must contain --data-dir.
func Start(t *testing.T, args ...string) *App {
	t.Helper()
	return StartWith(t, cli.Program{}, args...)
}

// StartWith starts p as Start does, with its version and engines.
func StartWith(t *testing.T, p cli.Program, args ...string) *App {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	a := &App{Dir: args[slices.Index(args, "--data-dir")+1], Output: newBuffer()}
	p.In, p.Out, p.Err = strings.NewReader(""), a.Output, a.Output

	exited := make(chan int, 1)
	go func() {
		defer close(exited)
		exited <- cli.Run(ctx, append([]string{"--addr=127.0.0.1:0", PrintPassword + givenPassword}, args...), p)
	}()
	a.Stop = sync.OnceValue(func() int { cancel(); return <-exited })
	t.Cleanup(func() { a.Stop() })

	deadline := time.After(Deadline)
	for a.URL == "" {
		select {
		case <-a.Output.written:
		case status := <-exited:
			t.Fatalf("exited with %d: %s", status, a.Output)
		case <-deadline:
			t.Fatalf("did not start in %v: %s", Deadline, a.Output)
		}
		a.URL = submatch(listenLine, a.Output.String())
	}
	a.Password = givenPassword
	if slices.Contains(args, PrintPassword) {
		a.Password = submatch(passwordLine, a.Output.String())
	}
	return a
}

func submatch(pattern *regexp.Regexp, text string) string {
	if m := pattern.FindStringSubmatch(text); m != nil {
		return m[1]
	}
	return ""
}

// Run runs one command to its end.
func Run(t *testing.T, stdin string, args ...string) (status int, out, errs string) {
	t.Helper()
	var o, e bytes.Buffer
	status = cli.Run(t.Context(), args, cli.Program{Version: "test", In: strings.NewReader(stdin), Out: &o, Err: &e})
	return status, o.String(), e.String()
}

// NewClient returns a client that keeps cookies; its connections are closed when the test ends.
func NewClient(t *testing.T) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Jar: jar, Timeout: Deadline}
	t.Cleanup(client.CloseIdleConnections)
	return client
}

// LogIn logs in as admin and returns the client with its session.
func (a *App) LogIn(t *testing.T) *http.Client {
	t.Helper()
	client, page := a.SubmitLogin(t)
	if page.Path != "/instances" {
		t.Fatalf("login led to %s", page)
	}
	return client
}

// SubmitLogin posts the login form as admin, as a browser without scripts would, and returns the client with its
// session and the page that it led to.
func (a *App) SubmitLogin(t *testing.T) (*http.Client, *url.URL) {
	t.Helper()
	client := NewClient(t)
	resp, err := client.Get(a.URL + "/login")
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil {
		t.Fatal(err)
	}

	_, after, _ := strings.Cut(string(body), `name="csrf_token" value="`)
	token, _, _ := strings.Cut(after, `"`)
	form := url.Values{"username": {"admin"}, "password": {a.Password}, "csrf_token": {token}}
	resp, err = client.PostForm(a.URL+"/login", form)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("login led to %s with status %d", resp.Request.URL, resp.StatusCode)
	}
	return client, resp.Request.URL
}

// Buffer collects output; it may be written to and read at the same time.
type Buffer struct {
	mu      sync.Mutex
	content bytes.Buffer
	written chan struct{} // receives a value after a write; nil in a zero Buffer
}

func newBuffer() *Buffer { return &Buffer{written: make(chan struct{}, 1)} }

// Write appends p.
func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	n, err := b.content.Write(p)
	select {
	case b.written <- struct{}{}:
	default: // a nil channel, or a value that nobody has received yet
	}
	return n, err
}

// String returns what has been written so far.
func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.content.String()
}
