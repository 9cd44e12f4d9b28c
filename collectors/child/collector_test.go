package child

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"whalefall/collectors"
	"whalefall/models"
	"whalefall/testenv"
)

func newCollector(log io.Writer) *Collector {
	return New(scripted{}, slog.New(slog.NewTextHandler(log, nil)), serveArg)
}

func target(host string) collectors.Target {
	return collectors.Target{Engine: models.SQLServer, Host: host}
}

// TestCollector_Results compares the results of a child with those of a call in this process.
func TestCollector_Results(t *testing.T) {
	t.Parallel()
	c := newCollector(io.Discard)
	if got := c.Capabilities(); got != (models.Capabilities{ListsPartitions: true}) {
		t.Errorf("capabilities %+v", got)
	}

	gotTables, err := c.Tables(t.Context(), target(""), "")
	same(t, gotTables, tables(), err)
	gotDatabases, err := c.Databases(t.Context(), target(""))
	same(t, gotDatabases, databases(), err)
	gotYardstick, err := c.Yardstick(t.Context(), target(""), "")
	same(t, gotYardstick, yardstick(), err)
}

func same[T any](t *testing.T, got, want T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%T differs: %.300v, want %.300v", got, got, want)
	}
}

func TestCollector_Error(t *testing.T) {
	t.Parallel()
	_, err := newCollector(io.Discard).Version(t.Context(), target("refuse"))
	got, want := models.AsError(err), models.AsError(refusal())
	got.Extra["error_number"] = want.Extra["error_number"].(int64) - mustInt64(t, got.Extra["error_number"])
	want = want.With("error_number", int64(0))
	if got.Err.Error() != want.Err.Error() {
		t.Errorf("cause %v, want %v", got.Err, want.Err)
	}
	got.Err, want.Err = nil, nil
	same(t, got, want, nil)
}

func mustInt64(t *testing.T, number any) int64 {
	t.Helper()
	n, err := number.(json.Number).Int64()
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestCollector_Broken has children that misbehave. Each fails its own call only.
func TestCollector_Broken(t *testing.T) {
	t.Parallel()
	for what, want := range map[string]struct{ key, logged string }{
		"allocate": {"collect.memory", ""},
		"hoard":    {"collect.memory", ""},
		"panic":    {"collect.failed_unexpectedly", "the driver is confused"},
		"leave":    {"collect.failed_unexpectedly", ""},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer
			_, err := newCollector(&log).Tables(t.Context(), target(""), what)
			if e := models.AsError(err); e.Code != models.CodeCollection || e.Key != want.key || e.Err == nil {
				t.Errorf("got %v, want %s", err, want.key)
			}
			if !strings.Contains(log.String(), want.logged) {
				t.Errorf("no %q in the log: %s", want.logged, &log)
			}
		})
	}
}

// TestCollector_Log checks that what a child writes to its standard error is logged, but not all of too much.
func TestCollector_Log(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	if _, err := newCollector(&log).Version(t.Context(), target("chatter")); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	if len(lines) != maxLines || !strings.Contains(lines[99], `line="99 xxx`) || len(lines[99]) > 2*maxLine {
		t.Errorf("%d lines, the last: %.300s", len(lines), lines[len(lines)-1])
	}
}

// TestCollector_Secrets has a child print all it was started with. No secret is part of that, but the child has the
// password, whatever its bytes.
func TestCollector_Secrets(t *testing.T) { //nolint:paralleltest // changes the environment
	const secret = "not for children"
	t.Setenv("WHALEFALL_KEYSET", secret)
	t.Setenv("PGPASSWORD", secret)
	t.Setenv("SSL_CERT_FILE", "/roots.pem")

	in := target("reveal")
	in.Password = "p\xff\x00\"<"
	got, err := newCollector(io.Discard).Version(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(got.Full, secret) || strings.Contains(got.Full, in.Password) ||
		!strings.Contains(got.Full, "SSL_CERT_FILE=/roots.pem") {
		t.Errorf("a child sees %s", got.Full)
	}
	if got.Main != strings.ToValidUTF8(in.Password, "\uFFFD") { // a version is text
		t.Errorf("the password arrived as %q", got.Main)
	}
}

// TestCollector_Progress follows the progress of a child that is still at work.
func TestCollector_Progress(t *testing.T) {
	t.Parallel()
	progress := collectors.NewProgress(time.Now)
	progress.Start(time.Now())
	ctx, cancel := context.WithCancel(collectors.WithProgress(t.Context(), progress))
	failed := inBackground(func() error {
		_, err := newCollector(io.Discard).Tables(ctx, target(""), "wait")
		return err
	})

	testenv.WaitFor(t, "the progress", func() bool {
		p := progress.Snapshot()
		return p.Phase == models.PhaseQuerying && p.TablesSeen != nil && *p.TablesSeen == 5 && *p.TablesTotal == 7
	})
	cancel()
	if err := <-failed; models.AsError(err).Key != "collect.cancelled" {
		t.Errorf("got %v", err)
	}
}

func inBackground(work func() error) <-chan error {
	done := make(chan error, 1)
	go func() { done <- work() }()
	return done
}

// TestCollector_Cancel cancels calls that heed it and one that does not.
func TestCollector_Cancel(t *testing.T) {
	t.Parallel()
	for _, what := range []string{"wait", "ignore"} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			in := target(what)
			in.Options = map[string]string{"file": filepath.Join(t.TempDir(), "reached")}
			failed := inBackground(func() error {
				_, err := newCollector(io.Discard).Version(ctx, in)
				return err
			})
			testenv.WaitFor(t, "the call", func() bool { return exists(in.Options["file"]) })

			cancel()
			err := testenv.WaitForSignal(t, "the end of the call", failed)
			if models.AsError(err).Key != "collect.cancelled" {
				t.Errorf("got %v", err)
			}
		})
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func TestCollector_Deadline(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := newCollector(io.Discard).Version(ctx, target("wait")); !models.Is(err, models.CodeTimeout) {
		t.Errorf("got %v", err)
	}
}

func TestCollector_NoProcess(t *testing.T) {
	t.Parallel()
	c := newCollector(io.Discard)
	c.executable = func() (string, error) { return filepath.Join(t.TempDir(), "none"), nil }
	_, err := c.Version(t.Context(), target(""))
	if models.AsError(err).Key != "collect.no_process" || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

// TestServe_Abandoned ends the input of a child, as the death of its parent would.
func TestServe_Abandoned(t *testing.T) {
	t.Parallel()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(request{Call: callVersion, Target: target("ignore")})
	if err != nil {
		t.Fatal(err)
	}
	child := exec.CommandContext(t.Context(), program, serveArg)
	child.Stdin = bytes.NewReader(text)
	ended := inBackground(child.Run)
	err = testenv.WaitForSignal(t, "the end of the child", ended)
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 1 {
		t.Errorf("ended with %v", err)
	}
}

// TestCollector_Crowd makes several calls at once.
func TestCollector_Crowd(t *testing.T) {
	t.Parallel()
	c, calls := newCollector(io.Discard), sync.WaitGroup{}
	for range 8 {
		calls.Go(func() {
			if got, err := c.Databases(t.Context(), target("")); err != nil || len(got.Databases) != 2 {
				t.Errorf("%v, %v", got, err)
			}
		})
	}
	calls.Wait()
}
