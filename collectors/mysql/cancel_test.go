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

// wantGone has the server end every connection of the account within a second.
func wantGone(t *testing.T, server *testenv.MySQLServer, user string) {
	t.Helper()
	for start := time.Now(); connections(t, server, user) > 0; time.Sleep(10 * time.Millisecond) {
		if time.Since(start) > time.Second {
			t.Fatal("the server still has our connection")
		}
	}
}

// Each of these tables is asked for by a statement of its own, so that most cancels come between two of them.
func TestCancelledBetweenManyShortStatements(t *testing.T) {
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
		server.Exec(t, "", "FLUSH TABLES") // opening them takes longer
		ctx, cancel := context.WithTimeout(t.Context(), after)
		_, err := New().Tables(ctx, target, database)
		cancel()
		if err != nil {
			collectortest.WantError(t, err, models.CodeTimeout, "")
			ended++
		}
		wantGone(t, server, target.Username)
	}
	if ended < 3 {
		t.Errorf("%d collections were ended", ended)
	}
}

func TestCancelledWhileConnecting(t *testing.T) {
	server := testenv.MySQL(t)
	target := collectortest.MySQLAccount(t, server)
	target.Host, target.Port = "127.0.0.1", testenv.SilentPort(t)
	if late := collectortest.CancelTables(t, New(), target, "any", 50*time.Millisecond); late > time.Second {
		t.Errorf("that took %v", late)
	}
}

// Who may log in no more can end nothing either: the server goes on to the limit that the session was given.
func TestCancelledWhoMayLogInNoMore(t *testing.T) {
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
	time.Sleep(100 * time.Millisecond)
	cancel()
	ended := time.Now()
	collectortest.WantError(t, <-done, models.CodeCollection, "collect.cancelled")
	s.close()
	if late := time.Since(ended); late > time.Second {
		t.Errorf("that took %v", late)
	}
	collectortest.Eventually(t, "the server goes on beyond the limit", func() bool { return connections(t, server, target.Username) == 0 })
}

func TestCancelledWhenTheNetworkIsCut(t *testing.T) {
	server := onMariaDB(t)
	database := server.NewDatabase(t)
	server.Exec(t, database, "CREATE TABLE a (n INT) ENGINE=InnoDB")
	target := collectortest.MySQLAccount(t, server, "ALL PRIVILEGES ON *.*")
	w := collectortest.NewWire(t, &target)
	defer collectortest.LockMySQL(t, server)()
	time.AfterFunc(100*time.Millisecond, w.CutOff)
	if late := collectortest.CancelTables(t, New(), target, database, 200*time.Millisecond); late > time.Second {
		t.Errorf("that took %v", late)
	}
}

func TestTellsWhatTheServerNeeded(t *testing.T) {
	server := onMariaDB(t)
	database := server.NewDatabase(t)
	server.Exec(t, database, "CREATE TABLE a (n INT) ENGINE=InnoDB")
	target := collectortest.MySQLAccount(t, server, "REFERENCES ON *.*")
	result, err := New().Tables(t.Context(), target, database)
	if err != nil || result.ServerBytes == nil || *result.ServerBytes < 1<<14 {
		t.Errorf("%s bytes, %v", collectortest.Text(result.ServerBytes), err)
	}
}

// A run makes one connection, which is gone when it is over; one that is cancelled makes one more, which is short.
// The server counts them: it lets the account make no third one.
func TestARunIsOneConnection(t *testing.T) {
	server := onMariaDB(t)
	database := server.NewDatabase(t)
	server.Exec(t, database, "CREATE TABLE a (n INT) ENGINE=InnoDB")
	limited := func() collectors.Target {
		target := collectortest.MySQLAccount(t, server, "ALL PRIVILEGES ON *.*")
		server.Exec(t, "", "ALTER USER "+testenv.QuoteMySQL(target.Username)+" WITH MAX_CONNECTIONS_PER_HOUR 2")
		return target
	}
	wantSpent := func(target collectors.Target) {
		t.Helper()
		wantGone(t, server, target.Username)
		_, err := New().Version(t.Context(), target)
		collectortest.WantUnreachable(t, err, collectors.ReasonBusy)
	}
	target := limited()
	_, err := New().Tables(t.Context(), target, database)
	collectortest.Must(t, err)
	_, err = New().Databases(t.Context(), target)
	collectortest.Must(t, err)
	wantSpent(target)

	target = limited()
	defer collectortest.LockMySQL(t, server)()
	if late := collectortest.CancelTables(t, New(), target, database, 100*time.Millisecond); late > time.Second {
		t.Errorf("that took %v", late)
	}
	wantSpent(target)
}
