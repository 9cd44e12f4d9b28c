package collectortest

import (
	"context"
	"database/sql"
	"strings"
	"testing"

	"whalefall/collectors"
	"whalefall/models"
	"whalefall/testenv"
)

// MySQLAccount creates a user with the grants, dropped when the test ends, and returns the target of that user.
func MySQLAccount(t *testing.T, server *testenv.MySQLServer, grants ...string) collectors.Target {
	t.Helper()
	const password = `p:@/%20? '"\x`
	name := strings.TrimPrefix(server.NewDatabase(t), "t_")[:20]
	user := testenv.QuoteMySQL(name) + "@'%'"
	server.Exec(t, "", "CREATE USER "+user+" IDENTIFIED BY "+testenv.QuoteMySQL(password))
	t.Cleanup(func() { server.Exec(t, "", "DROP USER IF EXISTS "+user) })
	for _, grant := range grants {
		server.Exec(t, "", "GRANT "+grant+" TO "+user)
	}
	return collectors.Target{
		Name: "测试", Engine: models.MySQL, Host: server.Host, Port: server.Port, TLSMode: models.TLSPrefer,
		Username: name, Password: password,
	}
}

// LockMySQL locks what a collection reads until release is called.
func LockMySQL(t *testing.T, server *testenv.MySQLServer) (release func()) {
	t.Helper()
	if server.Flavor != "mariadb" {
		testenv.Missing(t, "MariaDB; on MySQL nothing a collection reads can be locked")
	}
	conn := ConnectMySQL(t, server)
	if _, err := conn.ExecContext(t.Context(), "LOCK TABLES mysql.innodb_table_stats WRITE"); err != nil {
		t.Fatal(err)
	}
	return func() {
		if _, err := conn.ExecContext(context.WithoutCancel(t.Context()), "UNLOCK TABLES"); err != nil {
			t.Error(err)
		}
	}
}

// ConnectMySQL opens a connection that is closed when the test ends.
func ConnectMySQL(t *testing.T, server *testenv.MySQLServer) *sql.Conn {
	t.Helper()
	conn, err := server.DB(t).Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}
