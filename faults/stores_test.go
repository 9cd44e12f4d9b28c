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

	_ "github.com/glebarez/go-sqlite" // the driver "sqlite"
	"github.com/jackc/pgx/v5"

	"whalefall/testenv"
)

// storage is the database of one cell's store, as its administrator sees it.
type storage interface {
	address() string
	// hold blocks writes of snapshots until release.
	hold(t *testing.T) (release func())
	// full leaves no space, readOnly rejects writes, kill ends the server, each until heal.
	full(t *testing.T) (heal func())
	readOnly(t *testing.T) (heal func())
	kill(t *testing.T) (heal func())
}

// smallMount mounts a file system of the size until the test ends, and returns its path; empty if we may not mount.
func smallMount(t *testing.T, megabytes int) string {
	t.Helper()
	directory, err := testenv.NewDirectory("", "whalefall-small-")
	must(t, err)
	t.Cleanup(directory.Remove)
	dir, options := directory.Path, fmt.Sprintf("size=%dm,mode=755", megabytes)
	if exec.Command("mount", "-t", "tmpfs", "-o", options, "tmpfs", dir).Run() != nil {
		return ""
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
			t.Errorf("umount: %v %s", err, out)
		}
	})
	return dir
}

// fill uses up all space of the file system until free.
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

// sqliteStorage is a SQLite store.
type sqliteStorage struct {
	dir   string
	small bool      // dir is a small file system
	conn  *sql.Conn // that holds the write lock; nil: none
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

// open opens a connection of the test's own.
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

// full also empties the write-ahead log, whose space SQLite would reuse.
func (s *sqliteStorage) full(t *testing.T) (heal func()) {
	if !s.small {
		return s.rejectWrites(t, "database or disk is full")
	}
	if s.conn == nil {
		conn, done := s.open(t)
		defer done()
		execute(t, conn, "PRAGMA wal_checkpoint(TRUNCATE)")
	}
	return fill(t, s.dir)
}

// readOnly rejects writes by triggers with SQLite's message, since files that are already open stay writable.
func (s *sqliteStorage) readOnly(t *testing.T) (heal func()) {
	return s.rejectWrites(t, "attempt to write a readonly database")
}

// rejectWrites makes triggers reject all writes with the message.
func (s *sqliteStorage) rejectWrites(t *testing.T, message string) (heal func()) {
	t.Helper()
	each := func(conn *sql.Conn, text string) {
		for _, table := range []string{"instance_databases", "database_table_size_stats", "collection_runs"} {
			for _, change := range []string{"INSERT", "UPDATE", "DELETE"} {
				names := strings.NewReplacer("$name", "ro_"+table+change, "$change", change, "$table", table)
				execute(t, conn, names.Replace(text))
			}
		}
	}
	conn, done := s.conn, func() {}
	if conn == nil {
		conn, done = s.open(t)
	}
	each(conn, "CREATE TRIGGER $name BEFORE $change ON $table BEGIN SELECT RAISE(ABORT, '"+message+"'); END")
	done()
	return func() {
		conn, done := s.open(t)
		defer done()
		each(conn, "DROP TRIGGER $name")
	}
}

func (s *sqliteStorage) kill(t *testing.T) (heal func()) {
	t.Fatal("a SQLite store has no process of its own")
	return nil
}

// postgresqlStorage is a database of the server for PostgreSQL stores.
type postgresqlStorage struct {
	server *testenv.PostgreSQLServer
	name   string
	mount  string // small file system of its tablespace; empty: the server's own directory
}

func newPostgreSQLStorage(t *testing.T, server *testenv.PostgreSQLServer, name string, small bool) *postgresqlStorage {
	t.Helper()
	s := &postgresqlStorage{server: server, name: name}
	space := ""
	if small {
		s.mount = smallMount(t, 32)
	}
	if s.mount != "" {
		s.chown(t)
		server.Exec(t, "postgres", "CREATE TABLESPACE "+name+" LOCATION '"+s.mount+"'")
		t.Cleanup(func() { server.Exec(t, "postgres", "DROP TABLESPACE "+name) })
		space = " TABLESPACE " + name
	}
	server.Exec(t, "postgres", "CREATE DATABASE "+name+" TEMPLATE "+template+space)
	t.Cleanup(func() { server.DropDatabase(t, name) })
	return s
}

// chown gives the small file system to the account of the server.
func (s *postgresqlStorage) chown(t *testing.T) {
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

// lockPostgreSQL runs the statement that takes a lock, in a transaction that is open until release.
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

// readOnly rejects writes with SQLSTATE 25006, as after a failover to a standby.
func (s *postgresqlStorage) readOnly(t *testing.T) (heal func()) {
	s.reload(t, "ALTER SYSTEM SET default_transaction_read_only = on")
	return func() { s.reload(t, "ALTER SYSTEM RESET default_transaction_read_only") }
}

func (s *postgresqlStorage) reload(t *testing.T, change string) {
	t.Helper()
	s.server.Exec(t, "postgres",
		"SET default_transaction_read_only = off; SET transaction_read_only = off", change, "SELECT pg_reload_conf()")
	want := strconv.FormatBool(strings.Contains(change, "= on"))
	testenv.WaitFor(t, "the setting to take effect", func() bool {
		conn, done := connectPostgreSQL(t, s.address())
		defer done()
		var got string
		const query = "SELECT (current_setting('default_transaction_read_only') = 'on')::text"
		must(t, conn.QueryRow(context.Background(), query).Scan(&got))
		return got == want
	})
}

func (s *postgresqlStorage) kill(t *testing.T) (heal func()) {
	s.server.Kill(t)
	return func() { s.server.Start(t) }
}
