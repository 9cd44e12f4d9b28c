package mysql

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"whalefall/collectors"
	"whalefall/collectors/collectortest"
	"whalefall/models"
	"whalefall/testenv"
)

// wantNoConnections fails unless the server ends all connections of the user within a second.
func wantNoConnections(t *testing.T, server *testenv.MySQLServer, user string) {
	t.Helper()
	start := time.Now()
	collectortest.Eventually(t, "connections are still open, want none", func() bool {
		return connections(t, server, user) == 0
	})
	if elapsed := time.Since(start); elapsed > time.Second {
		t.Errorf("connections ended after %v, want at most 1 s", elapsed)
	}
}

// Each table is queried by a statement of its own, so that most deadlines pass between two of them.
func TestCollector_Tables_CancelBetweenStatements(t *testing.T) {
	server := onMariaDB(t)
	database := server.NewDatabase(t)
	var create strings.Builder
	for i := range 200 {
		fmt.Fprintf(&create, "CREATE TABLE t%d (a INT) ENGINE=Aria TRANSACTIONAL=0;", i)
	}
	server.Exec(t, database, create.String())
	target := collectortest.MySQLAccount(t, server, "ALL PRIVILEGES ON *.*")
	ended := 0
	for after := time.Duration(0); after < 100*time.Millisecond; after += 10 * time.Millisecond {
		server.Exec(t, "", "FLUSH TABLES") // so that the tables have to be opened, which takes longer
		ctx, cancel := context.WithTimeout(t.Context(), after)
		_, err := New().Tables(ctx, target, database)
		cancel()
		if err != nil {
			collectortest.WantError(t, err, models.CodeTimeout, "")
			ended++
		}
		wantNoConnections(t, server, target.Username)
	}
	if ended < 3 {
		t.Errorf("%d collections were cancelled, want at least 3", ended)
	}
}

func TestCollector_Tables_CancelWhileConnecting(t *testing.T) {
	server := testenv.MySQL(t)
	target := collectortest.MySQLAccount(t, server)
	target.Host, target.Port = "127.0.0.1", testenv.SilentPort(t)
	if late := collectortest.CancelTables(t, New(), target, "any", 50*time.Millisecond); late > time.Second {
		t.Errorf("returned after %v, want at most 1 s", late)
	}
}

// A locked account cannot kill its own connection, so that the server runs the statement up to the session's limit.
func TestSession_Kill_AccountLocked(t *testing.T) {
	server := onMariaDB(t)
	database := server.NewDatabase(t)
	server.Exec(t, database, "CREATE TABLE a (n INT) ENGINE=InnoDB")
	target := collectortest.MySQLAccount(t, server, "ALL PRIVILEGES ON *.*")
	patient := New()
	patient.statementTimeout = 2 * time.Second
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s, err := patient.open(ctx, target)
	collectortest.Must(t, err)
	server.Exec(t, "", "ALTER USER "+testenv.QuoteMySQL(target.Username)+" ACCOUNT LOCK")
	done := make(chan error, 1)
	go func() {
		var n int
		done <- s.classify(ctx, s.conn.QueryRowContext(ctx, "SELECT SLEEP(30)").Scan(&n))
	}()
	collectortest.Eventually(t, "the statement does not run", func() bool {
		var n int
		err := server.DB(t).QueryRow("SELECT COUNT(*) FROM information_schema.processlist"+
			" WHERE user = ? AND info LIKE 'SELECT SLEEP%'", target.Username).Scan(&n)
		return err == nil && n == 1
	})
	cancel()
	ended := time.Now()
	collectortest.WantError(t, <-done, models.CodeCollection, "collect.cancelled")
	s.close()
	if late := time.Since(ended); late > time.Second {
		t.Errorf("returned after %v, want at most 1 s", late)
	}
	collectortest.Eventually(t, "the statement runs beyond its limit", func() bool {
		return connections(t, server, target.Username) == 0
	})
}

func TestCollector_Tables_CancelWithNetworkCut(t *testing.T) {
	server := onMariaDB(t)
	database := server.NewDatabase(t)
	server.Exec(t, database, "CREATE TABLE a (n INT) ENGINE=InnoDB")
	target := collectortest.MySQLAccount(t, server, "ALL PRIVILEGES ON *.*")
	w := collectortest.NewWire(t, &target)
	defer collectortest.LockMySQL(t, server)()
	time.AfterFunc(100*time.Millisecond, w.CutOff)
	if late := collectortest.CancelTables(t, New(), target, database, 200*time.Millisecond); late > time.Second {
		t.Errorf("returned after %v, want at most 1 s", late)
	}
}

func TestCollector_Tables_ServerBytes(t *testing.T) {
	server := onMariaDB(t)
	database := server.NewDatabase(t)
	server.Exec(t, database, "CREATE TABLE a (n INT) ENGINE=InnoDB")
	target := collectortest.MySQLAccount(t, server, "REFERENCES ON *.*")
	result, err := New().Tables(t.Context(), target, database)
	if err != nil || result.ServerBytes == nil || *result.ServerBytes < 1<<14 {
		t.Errorf("got %s bytes, %v, want at least %d", collectortest.Text(result.ServerBytes), err, 1<<14)
	}
}

// A collection opens one connection, and a cancelled one opens a second to kill the first. The server counts them: the
// account may open only two.
func TestCollector_Connections(t *testing.T) {
	server := onMariaDB(t)
	database := server.NewDatabase(t)
	server.Exec(t, database, "CREATE TABLE a (n INT) ENGINE=InnoDB")
	limited := func() collectors.Target {
		target := collectortest.MySQLAccount(t, server, "ALL PRIVILEGES ON *.*")
		server.Exec(t, "", "ALTER USER "+testenv.QuoteMySQL(target.Username)+" WITH MAX_CONNECTIONS_PER_HOUR 2")
		return target
	}
	wantNoneLeft := func(target collectors.Target) {
		t.Helper()
		wantNoConnections(t, server, target.Username)
		_, err := New().Version(t.Context(), target)
		collectortest.WantUnreachable(t, err, collectors.ReasonBusy)
	}
	target := limited()
	_, err := New().Tables(t.Context(), target, database)
	collectortest.Must(t, err)
	_, err = New().Databases(t.Context(), target)
	collectortest.Must(t, err)
	wantNoneLeft(target)

	target = limited()
	defer collectortest.LockMySQL(t, server)()
	if late := collectortest.CancelTables(t, New(), target, database, 100*time.Millisecond); late > time.Second {
		t.Errorf("returned after %v, want at most 1 s", late)
	}
	wantNoneLeft(target)
}
