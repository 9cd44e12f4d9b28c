package testenv

import (
	"net/url"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

func TestMain(m *testing.M) { Main(m) }

func TestPostgreSQLHandsOutEmptyDatabases(t *testing.T) {
	server := PostgreSQL(t)
	address := server.NewDatabase(t)
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	server.Exec(t, strings.TrimPrefix(u.Path, "/"), "CREATE TABLE a (x int); INSERT INTO a VALUES (1)")
	conn, err := pgx.Connect(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	var n int
	if err := conn.QueryRow(t.Context(), "SELECT count(*) FROM a").Scan(&n); err != nil || n != 1 {
		t.Fatalf("got %d rows and %v", n, err)
	}
}

func TestPostgreSQLCanBeStoppedAndStartedAgain(t *testing.T) {
	server := StartPostgreSQL(t, "ssl=on")
	server.Exec(t, "postgres", "CREATE TABLE kept (x int)")
	server.Stop(t)
	if conn, err := pgx.Connect(t.Context(), server.URL("postgres")); err == nil {
		_ = conn.Close(t.Context())
		t.Fatal("a stopped server answers")
	}
	server.Start(t)
	server.Exec(t, "postgres", "DROP TABLE kept")
}
