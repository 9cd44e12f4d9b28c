// Package testenv gives tests real servers: private ones, started from the installed binaries on a free port of
// 127.0.0.1 and stopped when the test process ends, or the ones that TEST_*_URL variables name. Only tests import it.
package testenv

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

const (
	startTimeout = 60 * time.Second // from starting a server to its first answer
	stopTimeout  = 20 * time.Second // from asking a server to stop to killing it
)

var shared struct {
	sync.Mutex
	stop    []func()          // what was started once for the whole process
	skipped map[string]string // test name → what it lacked
}

// Run runs the tests, stops the servers they started, and prints a line that starts with "SKIPPED: " for each
// test that lacked something. It returns the exit code for os.Exit.
func Run(m *testing.M) int { return runner{m}.Run() }

// Main is Run for a package whose tests must leave no goroutine behind. It does not return.
func Main(m *testing.M, options ...goleak.Option) { goleak.VerifyTestMain(runner{m}, options...) }

type runner struct{ m *testing.M }

func (r runner) Run() int {
	code := r.m.Run()
	shared.Lock()
	defer shared.Unlock()
	for _, stop := range slices.Backward(shared.stop) {
		stop()
	}
	names := make([]string, 0, len(shared.skipped))
	for name := range shared.skipped {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		fmt.Printf("SKIPPED: %s: %s\n", name, shared.skipped[name])
	}
	return code
}

// Missing ends a test that lacks what it says: skipped, and listed by Run, or failed where CI=true.
func Missing(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("missing: %s", what)
	}
	shared.Lock()
	if shared.skipped == nil {
		shared.skipped = map[string]string{}
	}
	shared.skipped[t.Name()] = what
	shared.Unlock()
	t.Skipf("missing: %s", what)
}

// errMissing marks that a server's binaries are not installed.
var errMissing = errors.New("not installed")

// stopAtExit has Run call stop after the last test.
func stopAtExit(stop func()) {
	shared.Lock()
	defer shared.Unlock()
	shared.stop = append(shared.stop, stop)
}

// once makes a function that gives the server of this test process: the one whose address the variable holds, else a
// private one, started at the first call and removed by Run.
func once[S interface{ remove() }](variable string, named func(address string) (S, error), start func(settings []string) (S, error)) func() (S, error) {
	return sync.OnceValues(func() (S, error) {
		if address := os.Getenv(variable); address != "" {
			return named(address)
		}
		server, err := start(nil)
		if err == nil {
			stopAtExit(server.remove)
		}
		return server, err
	})
}

// wanted ends a test that has no server: what says which programs it would take.
func wanted(t testing.TB, what string, err error) {
	t.Helper()
	if errors.Is(err, errMissing) {
		Missing(t, what)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// process is a server that was started and dies with this process.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
}

// startProcess starts cmd under the credential (nil: our own). The parent-death signal belongs to the thread that
// forked, so a goroutine keeps that thread until the server has ended.
func startProcess(cmd *exec.Cmd, credential *syscall.Credential) (*process, error) {
	cmd.SysProcAttr = attributes(credential)
	p := &process{cmd: cmd, done: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(p.done)
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
		}
	}()
	return p, <-started
}

// ended reports whether the server is gone.
func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// stop asks by the signal, waits, and kills what does not listen.
func (p *process) stop(signal os.Signal) {
	_ = p.cmd.Process.Signal(signal)
	select {
	case <-p.done:
	case <-time.After(stopTimeout):
		_ = p.cmd.Process.Kill()
		<-p.done
	}
}

// kill ends the server and, on Linux, the processes that it has started, without a word to them. They may have left its
// process group.
func (p *process) kill() {
	pid := p.cmd.Process.Pid
	pids := append([]int{pid}, childrenOf(pid)...)
	for _, pid := range pids {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	<-p.done
}

// account is the first of the named users that exists, for servers that refuse to run as root; nil when we are not root.
func account(names ...string) (*syscall.Credential, error) {
	if os.Getuid() != 0 {
		return nil, nil //nolint:nilnil // no other account is needed
	}
	for _, name := range names {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
		gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, cmp.Or(err1, err2)
	}
	return nil, fmt.Errorf("none of the users %v exists", names)
}

// serverDir makes a directory that the credential's user owns; t.TempDir() is closed to other users.
func serverDir(pattern string, credential *syscall.Credential) (string, error) {
	dir, err := os.MkdirTemp("", pattern)
	if err != nil || credential == nil {
		return dir, err
	}
	return dir, os.Chown(dir, int(credential.Uid), int(credential.Gid))
}

// ownFile writes a private file that belongs to the credential's user.
func ownFile(path, content string, credential *syscall.Credential) error {
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil || credential == nil {
		return err
	}
	return os.Chown(path, int(credential.Uid), int(credential.Gid))
}

// FreePort is a port of 127.0.0.1 that nobody listens on at the moment.
func FreePort(t testing.TB) int {
	t.Helper()
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	return port
}

func freePort() (int, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().(*net.TCPAddr).Port, nil
}

// randomName is a lower-case identifier nobody else uses.
func randomName(prefix string) string { return prefix + strings.ToLower(rand.Text()) }

// SilentPort is a port of 127.0.0.1 where connections are accepted and nothing is ever answered, until the test ends.
func SilentPort(t testing.TB) int {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() { // reads until the client gives up
				_, _ = io.Copy(io.Discard, conn)
				_ = conn.Close()
			}()
		}
	}()
	t.Cleanup(func() { _ = listener.Close(); <-done })
	return listener.Addr().(*net.TCPAddr).Port
}
