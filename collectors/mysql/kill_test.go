package mysql

import (
	"context"
	"database/sql"
	"testing"
	"time"

	"whalefall/collectors"
	"whalefall/collectors/collectortest"
	"whalefall/testenv"
)

// connect opens a connection of an account, and returns its id.
func connect(t *testing.T, target collectors.Target) (conn *sql.Conn, id int64) {
	t.Helper()
	config, err := New().config(target)
	collectortest.Must(t, err)
	db, err := openSession(config)
	collectortest.Must(t, err)
	t.Cleanup(func() { _ = db.Close() })
	conn, err = db.Conn(t.Context())
	collectortest.Must(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	collectortest.Must(t, conn.QueryRowContext(t.Context(), "SELECT CONNECTION_ID()").Scan(&id))
	return conn, id
}

// connectWithID opens connections of an account until one has the id.
func connectWithID(t *testing.T, target collectors.Target, id int64) *sql.Conn {
	t.Helper()
	for range 100 {
		conn, got := connect(t, target)
		if got == id {
			return conn
		}
		_ = conn.Close()
	}
	t.Fatalf("no connection got the id %d", id)
	return nil
}

// sleeping runs a statement and returns how it ended.
func sleeping(t *testing.T, conn *sql.Conn, text string) <-chan error {
	t.Helper()
	ended := make(chan error, 1)
	go func() {
		var n int
		ended <- conn.QueryRowContext(context.WithoutCancel(t.Context()), text).Scan(&n)
	}()
	return ended
}

// Behind a balancer the second connection, over which a kill is sent, leads to a server where the id is another user's.
func TestSession_Kill_OtherServer(t *testing.T) {
	t.Parallel()
	server, other := onMariaDB(t), testenv.StartMySQL(t)
	target := collectortest.MySQLAccount(t, server, "ALL PRIVILEGES ON *.*")
	quoted := testenv.QuoteMySQL(target.Username) + "@'%'"
	other.Exec(t, "", "CREATE USER "+quoted+" IDENTIFIED BY "+testenv.QuoteMySQL(target.Password),
		"GRANT ALL PRIVILEGES ON *.* TO "+quoted)
	there := target
	there.Port = other.Port

	collectortest.NewBalancer(t, &target, func(connection int) int { return min(connection, 1) },
		collectortest.Address(server.Host, server.Port), collectortest.Address(other.Host, other.Port))
	s, err := New().open(t.Context(), target)
	collectortest.Must(t, err)
	defer s.close()
	s.id = min(s.id, 60) // those of the shared server may be far ahead
	ended := sleeping(t, connectWithID(t, there, s.id), "SELECT SLEEP(2)")

	s.kill(t.Context())
	if err := <-ended; err != nil {
		t.Errorf("another server's connection ended with %v, want it left alone", err)
	}
}

// On the same server, only a connection that runs our statement is killed.
func TestSession_Kill_OnlyOurs(t *testing.T) {
	t.Parallel()
	server := onMariaDB(t)
	target := collectortest.MySQLAccount(t, server, "ALL PRIVILEGES ON *.*")
	for name, test := range map[string]struct {
		text   func(s *session) string
		killed bool
	}{
		"ours":              {func(s *session) string { return s.mark + "SELECT SLEEP(2)" }, true},
		"without a mark":    {func(*session) string { return "SELECT SLEEP(2)" }, false},
		"with another mark": {func(*session) string { return "/* whalefall */ SELECT SLEEP(2)" }, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := New().open(t.Context(), target)
			collectortest.Must(t, err)
			defer s.close()
			conn, id := connect(t, target)
			s.id = id // as if it were the session's own
			ended := sleeping(t, conn, test.text(s))
			collectortest.Eventually(t, "the statement does not run", func() bool {
				open, ours := s.finds(t.Context(), s)
				return open && ours == test.killed
			})
			s.kill(t.Context())
			if err := <-ended; (err != nil) != test.killed {
				t.Errorf("got %v, want killed: %v", err, test.killed)
			}
		})
	}
}

func TestServerName_Is(t *testing.T) {
	t.Parallel()
	now := time.Now()
	name := serverName{"hostname=a\n", now}
	for _, test := range []struct {
		other serverName
		want  bool
	}{
		{name, true},
		{serverName{"hostname=a\n", now.Add(time.Second)}, true},
		{serverName{"hostname=a\n", now.Add(-time.Minute)}, false},
		{serverName{"hostname=b\n", now}, false},
	} {
		if got := name.is(test.other); got != test.want {
			t.Errorf("%+v: got %v, want %v", test.other, got, test.want)
		}
	}
}
