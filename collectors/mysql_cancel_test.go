package collectors

import (
	"context"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"whalefall/models"
	"whalefall/testenv"
)

// cancelTables ends a collection some time after it began and returns how long it took to come back.
func cancelTables(t *testing.T, c Collector, target Target, database string, after time.Duration) time.Duration {
	t.Helper()
	begun := time.Now()
	return cancelWhen(t, c, target, database, func() bool { return time.Since(begun) >= after })
}

// cancelWhen ends a collection when it has come to where it is to be ended.
func cancelWhen(t *testing.T, c Collector, target Target, database string, come func() bool) time.Duration {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() {
		_, err := c.Tables(ctx, target, database)
		done <- err
	}()
	eventually(t, "the collection never came to where it is to be ended", come)
	cancel()
	ended := time.Now()
	wantError(t, <-done, models.CodeCollection, "collect.cancelled")
	return time.Since(ended)
}

// wantGone has the server end every connection of the account within a second.
func wantGone(t *testing.T, server *testenv.MySQLServer, user string) {
	t.Helper()
	for start := time.Now(); mysqlConnections(t, server, user) > 0; time.Sleep(10 * time.Millisecond) {
		if time.Since(start) > time.Second {
			t.Fatal("the server still has our connection")
		}
	}
}

// Each of these tables is asked for by a statement of its own, so that most cancels come between two of them.
func TestMySQLCancelledBetweenManyShortStatements(t *testing.T) {
	server := onMariaDB(t)
	database := server.NewDatabase(t)
	var create strings.Builder
	for i := range 200 {
		fmt.Fprintf(&create, "CREATE TABLE t%d (a INT) ENGINE=Aria TRANSACTIONAL=0;", i)
	}
	server.Exec(t, database, create.String())
	target := mysqlAccount(t, server, "ALL PRIVILEGES ON *.*")
	ended := 0
	for after := time.Duration(0); after < 100*time.Millisecond; after += 10 * time.Millisecond {
		server.Exec(t, "", "FLUSH TABLES") // opening them takes longer
		ctx, cancel := context.WithTimeout(t.Context(), after)
		_, err := NewMySQL().Tables(ctx, target, database)
		cancel()
		if err != nil {
			wantError(t, err, models.CodeTimeout, "")
			ended++
		}
		wantGone(t, server, target.Username)
	}
	if ended < 3 {
		t.Errorf("%d collections were ended", ended)
	}
}

func TestMySQLCancelledWhileConnecting(t *testing.T) {
	server := testenv.MySQL(t)
	target := mysqlAccount(t, server)
	target.Host, target.Port = "127.0.0.1", testenv.SilentPort(t)
	if late := cancelTables(t, NewMySQL(), target, "any", 50*time.Millisecond); late > time.Second {
		t.Errorf("that took %v", late)
	}
}

// Who may log in no more can end nothing either: the server goes on to the limit that the session was given.
func TestMySQLCancelledWhoMayLogInNoMore(t *testing.T) {
	server := onMariaDB(t)
	database := server.NewDatabase(t)
	server.Exec(t, database, "CREATE TABLE a (n INT) ENGINE=InnoDB")
	target := mysqlAccount(t, server, "ALL PRIVILEGES ON *.*")
	patient := NewMySQL()
	patient.statementTimeout = 2 * time.Second
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s, err := patient.open(ctx, target)
	must(t, err)
	server.Exec(t, "", "ALTER USER "+testenv.QuoteMySQL(target.Username)+" ACCOUNT LOCK")
	done := make(chan error, 1)
	go func() {
		var n int
		done <- s.failed(ctx, s.conn.QueryRowContext(ctx, "SELECT SLEEP(30)").Scan(&n))
	}()
	time.Sleep(100 * time.Millisecond)
	cancel()
	ended := time.Now()
	wantError(t, <-done, models.CodeCollection, "collect.cancelled")
	s.close()
	if late := time.Since(ended); late > time.Second {
		t.Errorf("that took %v", late)
	}
	eventually(t, "the server goes on beyond the limit", func() bool { return mysqlConnections(t, server, target.Username) == 0 })
}

// wire passes a server's connections on until it is cut; then nothing passes in either direction, and nobody is told.
type wire struct {
	listener net.Listener
	to       string
	mu       sync.Mutex
	cond     *sync.Cond
	cut      bool
	ended    bool
	conns    []net.Conn
}

func newWire(t *testing.T, target *Target) *wire {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	w := &wire{listener: listener, to: net.JoinHostPort(target.Host, strconv.Itoa(target.Port))}
	w.cond = sync.NewCond(&w.mu)
	target.Host, target.Port = "127.0.0.1", listener.Addr().(*net.TCPAddr).Port
	var running sync.WaitGroup
	running.Go(func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", w.to)
			if err != nil {
				_ = near.Close()
				continue
			}
			w.mu.Lock()
			w.conns = append(w.conns, near, far)
			w.mu.Unlock()
			running.Go(func() { w.pass(near, far) })
			running.Go(func() { w.pass(far, near) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		w.mu.Lock()
		w.ended = true
		for _, conn := range w.conns {
			_ = conn.Close()
		}
		w.cond.Broadcast()
		w.mu.Unlock()
		running.Wait()
	})
	return w
}

func (w *wire) pass(from io.Reader, to io.WriteCloser) {
	defer func() { _ = to.Close() }()
	buffer := make([]byte, 1<<16)
	for {
		n, err := from.Read(buffer)
		w.mu.Lock()
		for w.cut && !w.ended {
			w.cond.Wait()
		}
		w.mu.Unlock()
		if _, failed := to.Write(buffer[:n]); err != nil || failed != nil {
			return
		}
	}
}

func (w *wire) cutOff() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut = true
}

func TestMySQLCancelledWhenTheNetworkIsCut(t *testing.T) {
	server := onMariaDB(t)
	database := server.NewDatabase(t)
	server.Exec(t, database, "CREATE TABLE a (n INT) ENGINE=InnoDB")
	target := mysqlAccount(t, server, "ALL PRIVILEGES ON *.*")
	w := newWire(t, &target)
	defer mysqlBlock(t, server)()
	time.AfterFunc(100*time.Millisecond, w.cutOff)
	if late := cancelTables(t, NewMySQL(), target, database, 200*time.Millisecond); late > time.Second {
		t.Errorf("that took %v", late)
	}
}

func TestMySQLTellsWhatTheServerNeeded(t *testing.T) {
	server := onMariaDB(t)
	database := server.NewDatabase(t)
	server.Exec(t, database, "CREATE TABLE a (n INT) ENGINE=InnoDB")
	target := mysqlAccount(t, server, "REFERENCES ON *.*")
	result, err := NewMySQL().Tables(t.Context(), target, database)
	if err != nil || result.ServerBytes == nil || *result.ServerBytes < 1<<14 {
		t.Errorf("%s bytes, %v", text(result.ServerBytes), err)
	}
}

// A run makes one connection, which is gone when it is over; one that is cancelled makes one more, which is short. The server
// counts them: it lets the account make no third one.
func TestMySQLARunIsOneConnection(t *testing.T) {
	server := onMariaDB(t)
	database := server.NewDatabase(t)
	server.Exec(t, database, "CREATE TABLE a (n INT) ENGINE=InnoDB")
	limited := func() Target {
		target := mysqlAccount(t, server, "ALL PRIVILEGES ON *.*")
		server.Exec(t, "", "ALTER USER "+testenv.QuoteMySQL(target.Username)+" WITH MAX_CONNECTIONS_PER_HOUR 2")
		return target
	}
	wantSpent := func(target Target) {
		t.Helper()
		wantGone(t, server, target.Username)
		_, err := NewMySQL().Version(t.Context(), target)
		wantUnreachable(t, err, reasonBusy)
	}
	target := limited()
	_, err := NewMySQL().Tables(t.Context(), target, database)
	must(t, err)
	_, err = NewMySQL().Databases(t.Context(), target)
	must(t, err)
	wantSpent(target)

	target = limited()
	defer mysqlBlock(t, server)()
	if late := cancelTables(t, NewMySQL(), target, database, 100*time.Millisecond); late > time.Second {
		t.Errorf("that took %v", late)
	}
	wantSpent(target)
}
