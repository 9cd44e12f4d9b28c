package testenv

import (
	"net/url"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

func TestPostgreSQLServer_NewDatabase(t *testing.T) {
	t.Parallel()
	server := PostgreSQL(t)
	address := server.NewDatabase(t)
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	server.Exec(t, strings.TrimPrefix(u.Path, "/"), "CREATE TABLE a (x int); INSERT INTO a VALUES (1)")
	if got := queryInt(t, address, "SELECT count(*) FROM a"); got != 1 {
		t.Errorf("got %d rows, want 1", got)
	}
}

func TestPostgreSQLServer_CloneDatabase(t *testing.T) {
	t.Parallel()
	server := PostgreSQL(t)
	server.Exec(t, maintenance, "DROP DATABASE IF EXISTS original", "CREATE DATABASE original")
	t.Cleanup(func() { server.DropDatabase(t, "original") })
	server.Exec(t, "original", "CREATE TABLE a AS SELECT 7 AS n")
	if got := queryInt(t, server.CloneDatabase(t, "original"), "SELECT n FROM a"); got != 7 {
		t.Errorf("got %d from the clone, want 7", got)
	}
}

func queryInt(t *testing.T, address, query string) (n int) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	if err := conn.QueryRow(t.Context(), query).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestPostgreSQLServer_StopAndStart(t *testing.T) {
	t.Parallel()
	server := StartPostgreSQL(t, "ssl=on")
	server.Exec(t, maintenance, "CREATE TABLE kept (x int)")
	server.Stop(t)
	if conn, err := pgx.Connect(t.Context(), server.URL(maintenance)); err == nil {
		_ = conn.Close(t.Context())
		t.Fatal("a stopped server answers")
	}
	server.Start(t)
	server.Exec(t, maintenance, "DROP TABLE kept")
}

func TestPostgreSQLServer_Kill(t *testing.T) {
	t.Parallel()
	server := StartPostgreSQL(t, "synchronous_commit=on")
	server.Exec(t, maintenance, "CREATE TABLE kept (x int)")
	server.Kill(t)
	server.Start(t)
	server.Exec(t, maintenance, "DROP TABLE kept")
}
