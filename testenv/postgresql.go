package testenv

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
)

// PostgreSQLServer is a PostgreSQL server on which the tests are superuser.
type PostgreSQLServer struct {
	Host     string
	Port     int
	User     string
	Password string // of a private server: full of characters that break address strings
	Version  int    // server_version_num, such as 150014
	// Certificate is what a private server shows when it was started with ssl=on, in PEM. It is its own CA and is valid
	// for 127.0.0.1 and localhost.
	Certificate string

	*privateServer // nil for a server that TEST_POSTGRES_URL names
}

const postgresqlPrograms = "PostgreSQL server (initdb and postgres in PATH, /usr/lib/postgresql/*/bin or " +
	"TEST_POSTGRES_BIN)"

// maintenance is the database to connect to for statements about databases.
const maintenance = "postgres"

var sharedPostgreSQL = once("TEST_POSTGRES_URL", connectPostgreSQL, newPostgreSQL)

// PostgreSQL returns the server of this test process: the one that TEST_POSTGRES_URL names, else a private one that the
// first call starts.
func PostgreSQL(t testing.TB) *PostgreSQLServer {
	t.Helper()
	server, err := sharedPostgreSQL()
	requireServer(t, postgresqlPrograms, err)
	return server
}

// StartPostgreSQL starts another private server, which the test may stop and which ends with the test. Settings are
// "name=value" as in postgresql.conf.
func StartPostgreSQL(t testing.TB, settings ...string) *PostgreSQLServer {
	t.Helper()
	server, err := newPostgreSQL(settings)
	requireServer(t, postgresqlPrograms, err)
	t.Cleanup(server.remove)
	return server
}

func connectPostgreSQL(address string) (*PostgreSQLServer, error) {
	config, err := pgx.ParseConfig(address)
	if err != nil {
		return nil, errors.New("TEST_POSTGRES_URL is not an address")
	}
	s := &PostgreSQLServer{Host: config.Host, Port: int(config.Port), User: config.User, Password: config.Password}
	return s, waitReady(neverEnds, s.readVersion)
}

func newPostgreSQL(settings []string) (*PostgreSQLServer, error) {
	bin, err := findPostgreSQL()
	if err != nil {
		return nil, err
	}
	credential, err := account("postgres", "nobody")
	if err != nil {
		return nil, err
	}
	directory, err := serverDirectory("whalefall-test-postgresql-", credential)
	if err != nil {
		return nil, err
	}
	s := &PostgreSQLServer{Host: "127.0.0.1", User: "postgres", Password: awkwardPassword()}
	s.privateServer = &privateServer{
		bin: filepath.Join(bin, "postgres"), directory: directory, settings: settings, credential: credential,
		stopSignal: syscall.SIGINT, command: s.serve, ping: s.readVersion,
	}
	if err := s.create(); err != nil {
		s.remove()
		return nil, err
	}
	return s, nil
}

// findPostgreSQL returns the directory with the programs of the newest installed server.
func findPostgreSQL() (string, error) {
	if dir := os.Getenv("TEST_POSTGRES_BIN"); dir != "" {
		return dir, nil
	}
	dirs, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil {
		return "", err
	}
	major := func(dir string) int {
		n, _ := strconv.Atoi(filepath.Base(filepath.Dir(dir)))
		return n
	}
	slices.SortFunc(dirs, func(a, b string) int { return major(b) - major(a) })
	if path, err := exec.LookPath("initdb"); err == nil {
		dirs = append([]string{filepath.Dir(path)}, dirs...)
	}
	for _, dir := range dirs {
		if _, err := os.Stat(filepath.Join(dir, "postgres")); err == nil {
			return dir, nil
		}
	}
	return "", errMissing
}

// create initializes the data directory and starts the server.
func (s *PostgreSQLServer) create() error {
	password := s.path("password")
	if err := writePrivate(password, s.Password+"\n", s.credential); err != nil {
		return err
	}
	initdb := exec.Command(filepath.Join(filepath.Dir(s.bin), "initdb"), "-D", s.path("data"), "-U", s.User,
		"--pwfile", password, "--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C", "--no-sync")
	initdb.Dir = s.directory.Path
	initdb.SysProcAttr = attributes(s.credential, syscall.SIGTERM)
	if out, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	certificate, key, err := selfSigned()
	if err != nil {
		return err
	}
	s.Certificate = certificate
	if err := errors.Join(
		writePrivate(s.path("data/server.crt"), certificate, s.credential),
		writePrivate(s.path("data/server.key"), key, s.credential)); err != nil {
		return err
	}
	return s.launchOnFreePort(&s.Port)
}

// serve returns the command that starts the server. It trades durability for speed; settings may take that back.
func (s *PostgreSQLServer) serve() *exec.Cmd {
	settings := append([]string{
		"port=" + strconv.Itoa(s.Port), "listen_addresses=127.0.0.1", "unix_socket_directories=" + s.directory.Path,
		"fsync=off", "synchronous_commit=off", "full_page_writes=off", "autovacuum=off",
		"max_connections=200", "max_locks_per_transaction=2048",
	}, s.settings...)
	cmd := exec.Command(s.bin, "-D", s.path("data"))
	for _, setting := range settings {
		cmd.Args = append(cmd.Args, "-c", setting)
	}
	return cmd
}

func (s *PostgreSQLServer) readVersion(ctx context.Context) error {
	conn, err := s.connect(ctx, maintenance)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	return conn.QueryRow(ctx, "SELECT current_setting('server_version_num')::int").Scan(&s.Version)
}

func (s *PostgreSQLServer) connect(ctx context.Context, database string) (*pgx.Conn, error) {
	return pgx.Connect(ctx, s.URL(database))
}

// URL returns the address of a database of the server.
func (s *PostgreSQLServer) URL(database string) string {
	u := url.URL{
		Scheme: "postgres", User: url.UserPassword(s.User, s.Password),
		Host: net.JoinHostPort(s.Host, strconv.Itoa(s.Port)), Path: "/" + database, RawQuery: "sslmode=prefer",
	}
	return u.String()
}

// StandBy restarts a private server as a hot standby, which follows no other server.
func (s *PostgreSQLServer) StandBy(t testing.TB) {
	t.Helper()
	s.Stop(t)
	file, content := "standby.signal", ""
	if s.Version < 120000 {
		file, content = "recovery.conf", "standby_mode = 'on'\n"
	}
	if err := writePrivate(s.path("data/"+file), content, s.credential); err != nil {
		t.Fatal(err)
	}
	s.Start(t)
}

// NewDatabase creates an empty database with a unique name, drops it when the test ends, and returns its URL.
func (s *PostgreSQLServer) NewDatabase(t testing.TB) string {
	t.Helper()
	name := randomName("t_")
	s.Exec(t, maintenance, "CREATE DATABASE "+name+" TEMPLATE template0")
	t.Cleanup(func() { s.DropDatabase(t, name) })
	return s.URL(name)
}

// CloneDatabase copies a database that has no connections, file by file, which is the fastest way to many tables. It
// drops the copy when the test ends, and returns its URL.
func (s *PostgreSQLServer) CloneDatabase(t testing.TB, template string) string {
	t.Helper()
	name := randomName("t_")
	statement := "CREATE DATABASE " + name + " TEMPLATE " + pgx.Identifier{template}.Sanitize()
	if s.Version >= 150000 { // older servers have no other strategy
		statement += " STRATEGY file_copy"
	}
	s.Exec(t, maintenance, statement)
	t.Cleanup(func() { s.DropDatabase(t, name) })
	return s.URL(name)
}

// DropDatabase drops a database and closes its connections.
func (s *PostgreSQLServer) DropDatabase(t testing.TB, name string) {
	t.Helper()
	quoted := pgx.Identifier{name}.Sanitize()
	if s.Version >= 130000 {
		s.Exec(t, maintenance, "DROP DATABASE IF EXISTS "+quoted+" WITH (FORCE)")
		return
	}
	literal := "'" + strings.ReplaceAll(name, "'", "''") + "'"
	s.Exec(t, maintenance, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = "+literal,
		"DROP DATABASE IF EXISTS "+quoted)
}

// Plain returns an account with no rights but those of PUBLIC. The first call creates it.
func (s *PostgreSQLServer) Plain(t testing.TB) (user, password string) {
	t.Helper()
	s.Exec(t, maintenance, `DO $$ BEGIN
		CREATE ROLE plain_account LOGIN PASSWORD 'p:@/%20? plain';
	EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
	END $$`)
	return "plain_account", "p:@/%20? plain"
}

// Exec runs each text, of one or several statements, in the database. Any error ends the test.
func (s *PostgreSQLServer) Exec(t testing.TB, database string, sql ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), statementTimeout)
	defer cancel()
	conn, err := s.connect(ctx, database)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(ctx) }()
	for _, text := range sql {
		if _, err := conn.PgConn().Exec(ctx, text).ReadAll(); err != nil {
			t.Fatalf("%v\nin: %.300s", err, text)
		}
	}
}
