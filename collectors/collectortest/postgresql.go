package collectortest

import (
	"context"
	"net/url"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"whalefall/collectors"
	"whalefall/models"
	"whalefall/testenv"
)

// PostgreSQLTarget returns the target of the server's superuser.
func PostgreSQLTarget(s *testenv.PostgreSQLServer, database string) collectors.Target {
	return collectors.Target{
		Name: "target", Engine: models.PostgreSQL, Host: s.Host, Port: s.Port, Database: database,
		Username: s.User, Password: s.Password, TLSMode: models.TLSPrefer,
	}
}

// PlainPostgreSQLTarget returns a target whose account may not list files.
func PlainPostgreSQLTarget(t *testing.T, s *testenv.PostgreSQLServer, database string) collectors.Target {
	t.Helper()
	target := PostgreSQLTarget(s, database)
	target.Username, target.Password = s.Plain(t)
	return target
}

// DatabaseOf returns the database in the address of a server.
func DatabaseOf(t *testing.T, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimPrefix(u.Path, "/")
}

// PostgreSQLRole creates a role without rights whose password is its name.
func PostgreSQLRole(t *testing.T, s *testenv.PostgreSQLServer) string {
	t.Helper()
	role := "r_" + DatabaseOf(t, s.NewDatabase(t))
	s.Exec(t, "postgres", "CREATE ROLE "+role+" LOGIN PASSWORD '"+role+"'")
	t.Cleanup(func() { s.Exec(t, "postgres", "DROP ROLE "+role) })
	return role
}

// ConnectPostgreSQL opens a connection that is closed when the test ends.
func ConnectPostgreSQL(t *testing.T, address string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// HoldPostgreSQL runs statements in a transaction that stays open until release is called.
func HoldPostgreSQL(t *testing.T, address string, statements ...string) (release func()) {
	t.Helper()
	conn := ConnectPostgreSQL(t, address)
	for _, text := range append([]string{"BEGIN"}, statements...) {
		if _, err := conn.Exec(t.Context(), text); err != nil {
			t.Fatal(err)
		}
	}
	return func() { _ = conn.Close(context.Background()) }
}
