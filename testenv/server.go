package testenv

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	startTimeout     = Patience              // from starting a server to its first answer
	stopTimeout      = 30 * time.Second      // from the signal to stop a program to SIGKILL
	statementTimeout = 10 * time.Minute      // for the statements of one Exec, which may build large fixtures
	connectInterval  = 20 * time.Millisecond // between two attempts to reach a server that is starting
	portAttempts     = 3                     // another process may take a free port before the server does
)

// errMissing marks that a server's programs are not installed.
var errMissing = errors.New("not installed")

// privateServer is the part of a database server that tests run themselves, as opposed to one that a variable names.
// Its exported methods fail the test on a nil receiver.
type privateServer struct {
	bin        string // path of the server's program
	directory  *Directory
	settings   []string
	credential *syscall.Credential // nil: our own account
	stopSignal syscall.Signal
	process    *Process // nil: never started

	command func() *exec.Cmd                // starts the server
	ping    func(ctx context.Context) error // succeeds once the server answers
}

// PID returns the id of the server's main process; 0 for a server that a variable names.
func (p *privateServer) PID() int {
	if p == nil {
		return 0
	}
	return p.process.PID()
}

// Stop shuts the server down. Only a server that the test started itself may be stopped.
func (p *privateServer) Stop(t testing.TB) {
	t.Helper()
	p.require(t)
	p.process.Stop(p.stopSignal)
}

// Kill ends all processes of the server by SIGKILL. Only a server that the test started itself may be killed.
func (p *privateServer) Kill(t testing.TB) {
	t.Helper()
	p.require(t)
	p.process.Kill()
}

// Start starts a stopped server again, on the same port and with its data.
func (p *privateServer) Start(t testing.TB) {
	t.Helper()
	p.require(t)
	if err := p.launch(); err != nil {
		t.Fatal(err)
	}
}

func (p *privateServer) require(t testing.TB) {
	t.Helper()
	if p == nil {
		t.Fatal("only a private server can be stopped and started")
	}
}

// stopped reports whether the server is a private one that does not run.
func (p *privateServer) stopped() bool { return p != nil && (p.process == nil || p.process.Ended()) }

func (p *privateServer) path(name string) string { return filepath.Join(p.directory.Path, name) }

// launch starts the server and waits for its first answer.
func (p *privateServer) launch() error {
	log, err := os.Create(p.path("log"))
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	cmd := p.command()
	cmd.Dir, cmd.Stdout, cmd.Stderr = p.directory.Path, log, log
	cmd.SysProcAttr = attributes(p.credential, syscall.SIGQUIT)
	if p.process, err = startProcess(cmd); err != nil {
		return err
	}
	if err := waitReady(p.process.Ended, p.ping); err != nil {
		p.process.Stop(p.stopSignal)
		text, _ := os.ReadFile(log.Name())
		return fmt.Errorf("%s does not answer: %w\n%s", p.bin, err, text)
	}
	return nil
}

// launchOnFreePort launches the server on a port that it stores first.
func (p *privateServer) launchOnFreePort(port *int) (err error) {
	for range portAttempts {
		if *port, err = freePort(); err != nil {
			return err
		}
		if err = p.launch(); err == nil {
			return nil
		}
	}
	return err
}

func (p *privateServer) remove() {
	if !p.stopped() {
		p.process.Stop(p.stopSignal)
	}
	p.directory.Remove()
}

// waitReady pings a server until it answers, has ended, or startTimeout has passed.
func waitReady(ended func() bool, ping func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	for {
		err := ping(ctx)
		if err == nil || ended() || ctx.Err() != nil {
			return err
		}
		time.Sleep(connectInterval)
	}
}

// neverEnds stands for the end of a server that a variable names, which the tests do not see.
func neverEnds() bool { return false }

// once returns a function that returns the server of this test process: the one whose address the variable holds, else
// a private one, started by the first call and removed by Run.
func once[S interface{ remove() }](
	variable string, connect func(address string) (S, error), start func(settings []string) (S, error),
) func() (S, error) {
	return sync.OnceValues(func() (S, error) {
		if address := os.Getenv(variable); address != "" {
			return connect(address)
		}
		server, err := start(nil)
		if err == nil {
			stopAtExit(server.remove)
		}
		return server, err
	})
}

// requireServer ends a test that has no server, naming the programs that it lacks.
func requireServer(t testing.TB, programs string, err error) {
	t.Helper()
	if errors.Is(err, errMissing) {
		Missing(t, programs)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// account returns the credential of the first of the users that exists, for servers that refuse to run as root; nil if
// we are not root.
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

// serverDirectory creates a directory that the credential's user owns.
func serverDirectory(prefix string, credential *syscall.Credential) (*Directory, error) {
	directory, err := NewDirectory("", prefix)
	if err != nil || credential == nil {
		return directory, err
	}
	if err := os.Chown(directory.Path, int(credential.Uid), int(credential.Gid)); err != nil {
		directory.Remove()
		return nil, err
	}
	return directory, nil
}

// writePrivate writes a file that only the credential's user can read.
func writePrivate(path, content string, credential *syscall.Credential) error {
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil || credential == nil {
		return err
	}
	return os.Chown(path, int(credential.Uid), int(credential.Gid))
}

// awkwardPassword returns a password full of characters that break address strings and statements.
func awkwardPassword() string { return `p:@/%20? '"\` + randomName("") }
