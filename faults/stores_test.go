package faults

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	_ "github.com/glebarez/go-sqlite" // database/sql knows it as sqlite
	"github.com/jackc/pgx/v5"

	"whalefall/testenv"
)

// storage is where a store of one cell is kept, as its administrator sees it.
type storage interface {
	address() string
	// hold has changes of snapshots wait until release.
	hold(t *testing.T) (release func())
	// full leaves no room for more, readOnly refuses changes, kill ends the server, each until heal.
	full(t *testing.T) (heal func())
	readOnly(t *testing.T) (heal func())
	kill(t *testing.T) (heal func())
}

// smallMount is a file system of so many megabytes until the test ends; empty where we may not mount one.
func smallMount(t *testing.T, megabytes int) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "whalefall-small-") //nolint:usetesting // t.TempDir() is closed to the account of the server
	must(t, err)
	t.Cleanup(func() { _ = os.Remove(dir) })
	if exec.Command("mount", "-t", "tmpfs", "-o", fmt.Sprintf("size=%dm,mode=755", megabytes), "tmpfs", dir).Run() != nil {
		return ""
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
			t.Errorf("umount: %v %s", err, out)
		}
	})
	return dir
}

// fill takes all the room of the file system, until free.
func fill(t *testing.T, dir string) (free func()) {
	t.Helper()
	path := filepath.Join(dir, "filler")
	file, err := os.Create(path)
	must(t, err)
	defer func() { _ = file.Close() }()
	for _, piece := range [][]byte{make([]byte, 64<<10), make([]byte, 1<<10), make([]byte, 1)} {
		for err == nil {
			_, err = file.Write(piece)
		}
		if !errors.Is(err, syscall.ENOSPC) {
			t.Fatal(err)
		}
		err = nil
	}
	return func() { must(t, os.Remove(path)) }
}

// sqliteStorage is an embedded store.
type sqliteStorage struct {
	dir   string
	small bool      // dir is a small file system
	conn  *sql.Conn // nil unless it holds the lock
}

func newSQLiteStorage(t *testing.T, small bool) *sqliteStorage {
	t.Helper()
	if small {
		if dir := smallMount(t, 16); dir != "" {
			return &sqliteStorage{dir: dir, small: true}
		}
	}
	return &sqliteStorage{dir: t.TempDir()}
}

func (s *sqliteStorage) address() string { return filepath.Join(s.dir, "whalefall.db") }

// open is a connection beside the product's.
func (s *sqliteStorage) open(t *testing.T) (conn *sql.Conn, done func()) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+s.address()+"?_pragma=busy_timeout(20000)")
	must(t, err)
	conn, err = db.Conn(context.Background())
	must(t, err)
	return conn, func() { _ = conn.Close(); _ = db.Close() }
}

func (s *sqliteStorage) hold(t *testing.T) (release func()) {
	conn, done := s.open(t)
	execute(t, conn, "BEGIN IMMEDIATE")
	s.conn = conn
	return func() {
		execute(t, conn, "COMMIT")
		s.conn = nil
		done()
	}
}

func execute(t *testing.T, conn *sql.Conn, statements ...string) {
	t.Helper()
	for _, text := range statements {
		if _, err := conn.ExecContext(context.Background(), text); err != nil {
			t.Fatalf("%v\nin: %s", err, text)
		}
	}
}

// full also empties the write-ahead log, which could be written to again and again.
func (s *sqliteStorage) full(t *testing.T) (heal func()) {
	if !s.small {
		return s.refuse(t, "database or disk is full")
	}
	if s.conn == nil {
		conn, done := s.open(t)
		defer done()
		execute(t, conn, "PRAGMA wal_checkpoint(TRUNCATE)")
	}
	return fill(t, s.dir)
}

// readOnly refuses by triggers, with the words of SQLite, as files that are open already stay writable whatever is done to
// their directory.
func (s *sqliteStorage) readOnly(t *testing.T) (heal func()) {
	return s.refuse(t, "attempt to write a readonly database")
}

// refuse has triggers refuse all changes.
func (s *sqliteStorage) refuse(t *testing.T, words string) (heal func()) {
	t.Helper()
	each := func(conn *sql.Conn, text string) {
		for _, table := range []string{"instance_databases", "database_table_size_stats", "collection_runs"} {
			for _, change := range []string{"INSERT", "UPDATE", "DELETE"} {
				execute(t, conn, strings.NewReplacer("$name", "ro_"+table+change, "$change", change, "$table", table).Replace(text))
			}
		}
	}
	conn, done := s.conn, func() {}
	if conn == nil {
		conn, done = s.open(t)
	}
	each(conn, "CREATE TRIGGER $name BEFORE $change ON $table BEGIN SELECT RAISE(ABORT, '"+words+"'); END")
	done()
	return func() {
		conn, done := s.open(t)
		defer done()
		each(conn, "DROP TRIGGER $name")
	}
}

func (s *sqliteStorage) kill(t *testing.T) (heal func()) {
	t.Fatal("an embedded store has no process of its own")
	return nil
}

// postgresqlStorage is a database of a server for stores.
type postgresqlStorage struct {
	server *testenv.PostgreSQLServer
	name   string
	mount  string // empty: the server's own directory
}

func newPostgreSQLStorage(t *testing.T, server *testenv.PostgreSQLServer, name string, small bool) *postgresqlStorage {
	t.Helper()
	s := &postgresqlStorage{server: server, name: name}
	space := ""
	if small {
		s.mount = smallMount(t, 32)
	}
	if s.mount != "" {
		s.own(t)
		server.Exec(t, "postgres", "CREATE TABLESPACE "+name+" LOCATION '"+s.mount+"'")
		t.Cleanup(func() { server.Exec(t, "postgres", "DROP TABLESPACE "+name) })
		space = " TABLESPACE " + name
	}
	server.Exec(t, "postgres", "CREATE DATABASE "+name+" TEMPLATE "+template+space)
	t.Cleanup(func() { server.DropDatabase(t, name) })
	return s
}

// own gives the small file system to the account of the server.
func (s *postgresqlStorage) own(t *testing.T) {
	t.Helper()
	var data string
	conn, done := connectPostgreSQL(t, s.server.URL("postgres"))
	defer done()
	must(t, conn.QueryRow(context.Background(), "SHOW data_directory").Scan(&data))
	info, err := os.Stat(data)
	must(t, err)
	owner := info.Sys().(*syscall.Stat_t)
	must(t, os.Chown(s.mount, int(owner.Uid), int(owner.Gid)))
}

func connectPostgreSQL(t *testing.T, address string) (conn *pgx.Conn, done func()) {
	t.Helper()
	conn, err := pgx.Connect(context.Background(), address)
	must(t, err)
	return conn, func() { _ = conn.Close(context.Background()) }
}

func (s *postgresqlStorage) address() string { return s.server.URL(s.name) }

func (s *postgresqlStorage) hold(t *testing.T) (release func()) {
	return lockPostgreSQL(t, s.address(), "LOCK TABLE instance_databases IN EXCLUSIVE MODE")
}

// lockPostgreSQL takes a lock in a transaction that stays open until release.
func lockPostgreSQL(t *testing.T, address, statement string) (release func()) {
	t.Helper()
	conn, done := connectPostgreSQL(t, address)
	for _, text := range []string{"BEGIN", statement} {
		if _, err := conn.Exec(context.Background(), text); err != nil {
			t.Fatalf("%v\nin: %s", err, text)
		}
	}
	return done
}

func (s *postgresqlStorage) full(t *testing.T) (heal func()) {
	if s.mount != "" {
		return fill(t, s.mount)
	}
	s.server.Exec(t, s.name, `CREATE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS
		$$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = '53100'; END $$`,
		"CREATE TRIGGER no_room BEFORE INSERT OR UPDATE ON database_table_size_stats EXECUTE FUNCTION no_room()")
	return func() { s.server.Exec(t, s.name, "DROP FUNCTION no_room CASCADE") }
}

// readOnly is what a failover to a standby looks like: SQLSTATE 25006.
func (s *postgresqlStorage) readOnly(t *testing.T) (heal func()) {
	s.reload(t, "ALTER SYSTEM SET default_transaction_read_only = on")
	return func() { s.reload(t, "ALTER SYSTEM RESET default_transaction_read_only") }
}

func (s *postgresqlStorage) reload(t *testing.T, change string) {
	t.Helper()
	s.server.Exec(t, "postgres", "SET default_transaction_read_only = off; SET transaction_read_only = off", change, "SELECT pg_reload_conf()")
	want := strconv.FormatBool(strings.Contains(change, "= on"))
	eventually(t, "the setting", func() bool {
		conn, done := connectPostgreSQL(t, s.address())
		defer done()
		var got string
		must(t, conn.QueryRow(context.Background(), "SELECT (current_setting('default_transaction_read_only') = 'on')::text").Scan(&got))
		return got == want
	})
}

func (s *postgresqlStorage) kill(t *testing.T) (heal func()) {
	s.server.Kill(t)
	return func() { s.server.Start(t) }
}
