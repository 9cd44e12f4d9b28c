package testenv

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
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
	"time"

	"github.com/jackc/pgx/v5"
)

// PostgreSQLServer is a PostgreSQL server whose superuser the tests are.
type PostgreSQLServer struct {
	Host     string
	Port     int
	User     string
	Password string // of a private server: full of characters that break address strings
	Version  int    // server_version_num, 150014
	// Certificate is the PEM of the certificate a private server shows when it was started with ssl=on; it is its own CA
	// and names 127.0.0.1 and "postgres.test".
	Certificate string

	private *privatePostgreSQL // nil for a server that TEST_POSTGRES_URL names
}

type privatePostgreSQL struct {
	bin        string // directory of the binaries
	dir        string // holds data/, the socket and log
	settings   []string
	credential *syscall.Credential
	process    *process
}

// PostgreSQL is the server of this test process: the one TEST_POSTGRES_URL names, else a private one, started once.
func PostgreSQL(t testing.TB) *PostgreSQLServer {
	t.Helper()
	server, err := postgresqlOnce()
	wanted(t, postgresqlPrograms, err)
	return server
}

const postgresqlPrograms = "PostgreSQL server (initdb and postgres in PATH, /usr/lib/postgresql/*/bin or TEST_POSTGRES_BIN)"

var postgresqlOnce = once("TEST_POSTGRES_URL", namedPostgreSQL, newPostgreSQL)

// StartPostgreSQL starts one more private server, which the test may stop and which ends with the test. Settings are
// "name=value" as in postgresql.conf.
func StartPostgreSQL(t testing.TB, settings ...string) *PostgreSQLServer {
	t.Helper()
	server, err := newPostgreSQL(settings)
	wanted(t, postgresqlPrograms, err)
	t.Cleanup(server.remove)
	return server
}

func namedPostgreSQL(address string) (*PostgreSQLServer, error) {
	config, err := pgx.ParseConfig(address)
	if err != nil {
		return nil, errors.New("TEST_POSTGRES_URL is not an address")
	}
	s := &PostgreSQLServer{Host: config.Host, Port: int(config.Port), User: config.User, Password: config.Password}
	return s, s.wait(func() bool { return false })
}

func newPostgreSQL(settings []string) (*PostgreSQLServer, error) {
	bin, err := postgresqlBinaries()
	if err != nil {
		return nil, err
	}
	credential, err := account("postgres", "nobody")
	if err != nil {
		return nil, err
	}
	dir, err := serverDir("whalefall-postgresql-", credential)
	if err != nil {
		return nil, err
	}
	s := &PostgreSQLServer{
		Host: "127.0.0.1", User: "postgres", Password: `p:@/%20? '"\` + randomName(""),
		private: &privatePostgreSQL{bin: bin, dir: dir, settings: settings, credential: credential},
	}
	if err := s.create(); err != nil {
		s.remove()
		return nil, err
	}
	return s, nil
}

// postgresqlBinaries is the directory of the newest server that is installed.
func postgresqlBinaries() (string, error) {
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

func (s *PostgreSQLServer) create() error {
	p := s.private
	password := filepath.Join(p.dir, "password")
	if err := ownFile(password, s.Password+"\n", p.credential); err != nil {
		return err
	}
	initdb := exec.Command(filepath.Join(p.bin, "initdb"), "-D", p.data(), "-U", s.User, "--pwfile", password,
		"--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C", "--no-sync")
	initdb.Dir = p.dir
	initdb.SysProcAttr = attributes(p.credential)
	if out, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	certificate, key, err := selfSigned()
	if err != nil {
		return err
	}
	s.Certificate = certificate
	if err := errors.Join(
		ownFile(filepath.Join(p.data(), "server.crt"), certificate, p.credential),
		ownFile(filepath.Join(p.data(), "server.key"), key, p.credential)); err != nil {
		return err
	}
	for range 3 { // another process may take the port first
		if s.Port, err = freePort(); err != nil {
			return err
		}
		if err = s.start(); err == nil {
			return nil
		}
	}
	return err
}

func (p *privatePostgreSQL) data() string { return filepath.Join(p.dir, "data") }

func (s *PostgreSQLServer) start() error {
	p := s.private
	log, err := os.Create(filepath.Join(p.dir, "log"))
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	settings := append([]string{
		"port=" + strconv.Itoa(s.Port), "listen_addresses=127.0.0.1", "unix_socket_directories=" + p.dir,
		"fsync=off", "synchronous_commit=off", "full_page_writes=off", "autovacuum=off",
		"max_connections=200", "max_locks_per_transaction=2048",
	}, p.settings...)
	cmd := exec.Command(filepath.Join(p.bin, "postgres"), "-D", p.data())
	for _, setting := range settings {
		cmd.Args = append(cmd.Args, "-c", setting)
	}
	cmd.Dir, cmd.Stdout, cmd.Stderr = p.dir, log, log
	if p.process, err = startProcess(cmd, p.credential); err != nil {
		return err
	}
	if err := s.wait(p.process.ended); err != nil {
		p.process.stop(syscall.SIGINT)
		text, _ := os.ReadFile(log.Name())
		return fmt.Errorf("postgres does not answer: %w\n%s", err, text)
	}
	return nil
}

// wait connects until the server answers or has ended.
func (s *PostgreSQLServer) wait(ended func() bool) error {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	for {
		conn, err := s.connect(ctx, "postgres")
		if err == nil {
			defer func() { _ = conn.Close(ctx) }()
			return conn.QueryRow(ctx, "SELECT current_setting('server_version_num')::int").Scan(&s.Version)
		}
		if ended() || ctx.Err() != nil {
			return err
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func (s *PostgreSQLServer) connect(ctx context.Context, database string) (*pgx.Conn, error) {
	return pgx.Connect(ctx, s.URL(database))
}

// URL is the address of a database of the server.
func (s *PostgreSQLServer) URL(database string) string {
	u := url.URL{
		Scheme: "postgres", User: url.UserPassword(s.User, s.Password),
		Host: net.JoinHostPort(s.Host, strconv.Itoa(s.Port)), Path: "/" + database, RawQuery: "sslmode=prefer",
	}
	return u.String()
}

// NewDatabase creates an empty database with a name of its own, drops it when the test ends, and returns its URL.
func (s *PostgreSQLServer) NewDatabase(t testing.TB) string {
	t.Helper()
	name := randomName("t_")
	s.Exec(t, "postgres", "CREATE DATABASE "+name+" TEMPLATE template0")
	t.Cleanup(func() { s.DropDatabase(t, name) })
	return s.URL(name)
}

// CloneDatabase copies a database that nobody is connected to, its files as they are, which is the fastest way to many
// tables. It drops the copy when the test ends, and returns its URL.
func (s *PostgreSQLServer) CloneDatabase(t testing.TB, template string) string {
	t.Helper()
	name := randomName("t_")
	statement := "CREATE DATABASE " + name + " TEMPLATE " + pgx.Identifier{template}.Sanitize()
	if s.Version >= 150000 { // older servers know no other way
		statement += " STRATEGY file_copy"
	}
	s.Exec(t, "postgres", statement)
	t.Cleanup(func() { s.DropDatabase(t, name) })
	return s.URL(name)
}

// DropDatabase drops a database, whoever is connected to it.
func (s *PostgreSQLServer) DropDatabase(t testing.TB, name string) {
	t.Helper()
	quoted := pgx.Identifier{name}.Sanitize()
	if s.Version >= 130000 {
		s.Exec(t, "postgres", "DROP DATABASE IF EXISTS "+quoted+" WITH (FORCE)")
		return
	}
	literal := "'" + strings.ReplaceAll(name, "'", "''") + "'"
	s.Exec(t, "postgres", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = "+literal,
		"DROP DATABASE IF EXISTS "+quoted)
}

// Plain is an account without any right but those that everybody has, made when it is first asked for.
func (s *PostgreSQLServer) Plain(t testing.TB) (user, password string) {
	t.Helper()
	s.Exec(t, "postgres", `DO $$ BEGIN
		CREATE ROLE plain_account LOGIN PASSWORD 'p:@/%20? plain';
	EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
	END $$`)
	return "plain_account", "p:@/%20? plain"
}

// Exec runs each text, of one or several statements, in the database; any error ends the test.
func (s *PostgreSQLServer) Exec(t testing.TB, database string, sql ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
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

// Stop stops a server of StartPostgreSQL.
func (s *PostgreSQLServer) Stop(t testing.TB) {
	t.Helper()
	if s.private == nil {
		t.Fatal("only a private server can be stopped")
	}
	s.private.process.stop(syscall.SIGINT)
}

// Kill kills a server of StartPostgreSQL by SIGKILL, with all its processes.
func (s *PostgreSQLServer) Kill(t testing.TB) {
	t.Helper()
	if s.private == nil {
		t.Fatal("only a private server can be killed")
	}
	s.private.process.kill()
}

// Start starts a stopped server again, on the same port and with what it had stored.
func (s *PostgreSQLServer) Start(t testing.TB) {
	t.Helper()
	if s.private == nil {
		t.Fatal("only a private server can be started")
	}
	if err := s.start(); err != nil {
		t.Fatal(err)
	}
}

func (s *PostgreSQLServer) remove() {
	if s.private.process != nil && !s.private.process.ended() {
		s.private.process.stop(syscall.SIGINT)
	}
	_ = os.RemoveAll(s.private.dir)
}

// selfSigned makes a server certificate and its key, both PEM.
func selfSigned() (certificate, key string, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", "", err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "postgres.test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0),
		DNSNames: []string{"postgres.test"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		return "", "", err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return "", "", err
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})), nil
}
