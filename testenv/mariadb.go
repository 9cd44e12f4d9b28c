package testenv

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	mysqldriver "github.com/go-sql-driver/mysql"
)

// MySQLServer is a MariaDB or MySQL server on which the tests are root.
type MySQLServer struct {
	Host     string
	Port     int
	User     string
	Password string // of a private server: full of characters that break address strings
	DataDir  string // of a private server; empty where the files cannot be looked at
	Flavour  string // "mariadb" or "mysql"
	// Certificate is the PEM of the certificate a private MariaDB shows; it is its own CA and names 127.0.0.1.
	Certificate string

	private *privateMySQL // nil for a server that TEST_MYSQL_DSN names
}

type privateMySQL struct {
	bin      string // path of mariadbd or mysqld
	dir      string // holds data/, the socket and log
	settings []string
	process  *process
}

// MariaDB is the server of this test process: the one TEST_MYSQL_DSN names, else a private one, started once.
// TEST_MARIADB_BIN or TEST_MYSQL_BIN name another server binary.
func MariaDB(t testing.TB) *MySQLServer {
	t.Helper()
	server, err := mysqlOnce()
	wanted(t, mysqlPrograms, err)
	return server
}

const mysqlPrograms = "MariaDB server (mariadbd or mysqld in PATH, /usr/sbin or TEST_MARIADB_BIN)"

var mysqlOnce = once("TEST_MYSQL_DSN", namedMySQL, newMySQL)

// StartMariaDB starts one more private server, which the test may stop and which ends with the test. Settings are
// "name=value" as on the command line.
func StartMariaDB(t testing.TB, settings ...string) *MySQLServer {
	t.Helper()
	server, err := newMySQL(settings)
	wanted(t, mysqlPrograms, err)
	t.Cleanup(server.remove)
	return server
}

func namedMySQL(dsn string) (*MySQLServer, error) {
	config, err := mysqldriver.ParseDSN(dsn)
	if err != nil {
		return nil, errors.New("TEST_MYSQL_DSN is not an address")
	}
	host, port, err := net.SplitHostPort(config.Addr)
	if err != nil {
		return nil, errors.New("TEST_MYSQL_DSN has no host:port")
	}
	s := &MySQLServer{Host: host, User: config.User, Password: config.Passwd}
	if s.Port, err = strconv.Atoi(port); err != nil {
		return nil, errors.New("TEST_MYSQL_DSN has no numeric port")
	}
	return s, s.wait(func() bool { return false })
}

func newMySQL(settings []string) (*MySQLServer, error) { return startMySQL(settings, "") }

// startMySQL starts a server on an empty data directory, or on a copy of that of a stopped one.
func startMySQL(settings []string, data string) (*MySQLServer, error) {
	bin, err := mysqlBinary()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "whalefall-mysql-")
	if err != nil {
		return nil, err
	}
	s := &MySQLServer{
		Host: "127.0.0.1", User: "root", DataDir: filepath.Join(dir, "data"),
		private: &privateMySQL{bin: bin, dir: dir, settings: settings},
	}
	if err := s.create(data); err != nil {
		s.remove()
		return nil, err
	}
	return s, nil
}

func mysqlBinary() (string, error) {
	if bin := cmp.Or(os.Getenv("TEST_MARIADB_BIN"), os.Getenv("TEST_MYSQL_BIN")); bin != "" {
		return bin, nil
	}
	for _, name := range []string{"mariadbd", "mysqld", "/usr/sbin/mariadbd", "/usr/sbin/mysqld"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", errMissing
}

// create lays the data directory, empty or as a copy, starts the server and gives its only user a password.
func (s *MySQLServer) create(data string) error {
	p := s.private
	about, err := exec.Command(p.bin, "--no-defaults", "--version").Output()
	if err != nil {
		return fmt.Errorf("%s --version: %w", p.bin, err)
	}
	s.Flavour = flavour(string(about))
	if data != "" {
		err = os.CopyFS(s.DataDir, os.DirFS(data))
	} else {
		err = p.initialize(s.Flavour, s.DataDir)
	}
	if err != nil {
		return err
	}
	if err := s.secure(); err != nil {
		return err
	}
	for range 3 { // another process may take the port first
		if s.Port, err = freePort(); err != nil {
			return err
		}
		if err = s.start(); err == nil {
			return s.setPassword(`p:@/%20? '"\` + randomName(""))
		}
	}
	return err
}

func (p *privateMySQL) initialize(flavour, data string) error {
	owner, err := user.Current()
	if err != nil {
		return err
	}
	install := exec.Command(p.bin, "--no-defaults", "--initialize-insecure", "--datadir="+data, "--user="+owner.Username)
	if flavour == "mariadb" {
		install = exec.Command("mariadb-install-db", "--no-defaults", "--datadir="+data, "--user="+owner.Username,
			"--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve")
	}
	install.Dir = p.dir
	if out, err := install.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", install.Path, err, out)
	}
	return nil
}

// secure gives MariaDB a certificate; MySQL makes its own.
func (s *MySQLServer) secure() error {
	if s.Flavour != "mariadb" {
		return nil
	}
	certificate, key, err := selfSigned()
	if err != nil {
		return err
	}
	s.Certificate = certificate
	s.private.settings = append([]string{
		"ssl-cert=" + filepath.Join(s.private.dir, "server.crt"), "ssl-key=" + filepath.Join(s.private.dir, "server.key"),
	}, s.private.settings...)
	return errors.Join(
		ownFile(filepath.Join(s.private.dir, "server.crt"), certificate, nil),
		ownFile(filepath.Join(s.private.dir, "server.key"), key, nil))
}

func (s *MySQLServer) setPassword(password string) error {
	err := s.ask(func(ctx context.Context, db *sql.DB) error {
		_, err := db.ExecContext(ctx, "ALTER USER 'root'@'localhost' IDENTIFIED BY "+QuoteMySQL(password))
		return err
	})
	if err == nil {
		s.Password = password
	}
	return err
}

// ask lends do a pool of connections for as long as a server may take to start.
func (s *MySQLServer) ask(do func(ctx context.Context, db *sql.DB) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	db, err := s.open("")
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	return do(ctx, db)
}

func (s *MySQLServer) start() error {
	p := s.private
	log, err := os.Create(filepath.Join(p.dir, "log"))
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	owner, err := user.Current()
	if err != nil {
		return err
	}
	cmd := exec.Command(p.bin, "--no-defaults", "--datadir="+s.DataDir, "--user="+owner.Username,
		"--bind-address=127.0.0.1", "--port="+strconv.Itoa(s.Port), "--socket="+filepath.Join(p.dir, "s"),
		"--pid-file="+filepath.Join(p.dir, "pid"), "--tmpdir="+p.dir, "--skip-log-bin", "--skip-networking=OFF",
		"--innodb-doublewrite=0", "--innodb-flush-log-at-trx-commit=0", "--innodb-flush-method=nosync")
	if s.Flavour == "mysql" {
		cmd.Args = append(cmd.Args, "--mysqlx=OFF")
	} else {
		cmd.Args = append(cmd.Args, "--debug-no-sync")
	}
	for _, setting := range p.settings {
		cmd.Args = append(cmd.Args, "--"+setting)
	}
	cmd.Dir, cmd.Stdout, cmd.Stderr = p.dir, log, log
	if p.process, err = startProcess(cmd, nil); err != nil {
		return err
	}
	if err := s.wait(p.process.ended); err != nil {
		p.process.stop(syscall.SIGTERM)
		text, _ := os.ReadFile(log.Name())
		return fmt.Errorf("%s does not answer: %w\n%s", p.bin, err, text)
	}
	return nil
}

// wait connects until the server answers or has ended.
func (s *MySQLServer) wait(ended func() bool) error {
	return s.ask(func(ctx context.Context, db *sql.DB) error {
		for {
			var version string
			err := db.QueryRowContext(ctx, "SELECT VERSION()").Scan(&version)
			if err == nil {
				s.Flavour = flavour(version)
				return nil
			}
			if ended() || ctx.Err() != nil {
				return err
			}
			time.Sleep(50 * time.Millisecond)
		}
	})
}

func flavour(version string) string {
	if strings.Contains(version, "MariaDB") {
		return "mariadb"
	}
	return "mysql"
}

func (s *MySQLServer) open(database string) (*sql.DB, error) {
	config := mysqldriver.NewConfig()
	config.Net, config.Addr = "tcp", net.JoinHostPort(s.Host, strconv.Itoa(s.Port))
	config.User, config.Passwd, config.DBName = s.User, s.Password, database
	config.MultiStatements, config.Logger = true, &mysqldriver.NopLogger{}
	if err := config.Apply(mysqldriver.Charset("utf8mb4", "")); err != nil {
		return nil, err
	}
	connector, err := mysqldriver.NewConnector(config)
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(connector), nil
}

// DB is a pool of connections as root, closed when the test ends.
func (s *MySQLServer) DB(t testing.TB) *sql.DB {
	t.Helper()
	db, err := s.open("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// Exec runs each text, of one or several statements, in the database (empty: in none); any error ends the test.
func (s *MySQLServer) Exec(t testing.TB, database string, statements ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	db, err := s.open(database)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	db.SetMaxOpenConns(1)
	for _, text := range statements {
		if _, err := db.ExecContext(ctx, text); err != nil {
			t.Fatalf("%v\nin: %.300s", err, text)
		}
	}
}

// NewDatabase creates an empty database with a name of its own, drops it when the test ends, and returns its name.
func (s *MySQLServer) NewDatabase(t testing.TB) string {
	t.Helper()
	name := randomName("t_")
	s.CreateDatabase(t, name)
	return name
}

// CreateDatabase creates a database of any name and drops it when the test ends.
func (s *MySQLServer) CreateDatabase(t testing.TB, name string) {
	t.Helper()
	s.Exec(t, "", "CREATE DATABASE "+QuoteMySQLName(name)+" CHARACTER SET utf8mb4")
	t.Cleanup(func() {
		if s.private == nil || !s.private.process.ended() {
			s.Exec(t, "", "DROP DATABASE IF EXISTS "+QuoteMySQLName(name))
		}
	})
}

// QuoteMySQLName is the identifier in backquotes.
func QuoteMySQLName(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }

// QuoteMySQL is the text as a literal of the default SQL mode.
func QuoteMySQL(text string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, "'", "''").Replace(text) + "'"
}

// Process is the id of a private server's process; 0 of another one.
func (s *MySQLServer) Process() int {
	if s.private == nil {
		return 0
	}
	return s.private.process.cmd.Process.Pid
}

// Stop stops a server of StartMariaDB.
func (s *MySQLServer) Stop(t testing.TB) {
	t.Helper()
	if s.private == nil {
		t.Fatal("only a private server can be stopped")
	}
	s.private.process.stop(syscall.SIGTERM)
}

// Kill kills a server of StartMariaDB by SIGKILL, with all its processes.
func (s *MySQLServer) Kill(t testing.TB) {
	t.Helper()
	if s.private == nil {
		t.Fatal("only a private server can be killed")
	}
	s.private.process.kill()
}

// Start starts a stopped server again, on the same port and with what it had stored.
func (s *MySQLServer) Start(t testing.TB) {
	t.Helper()
	if s.private == nil {
		t.Fatal("only a private server can be started")
	}
	if err := s.start(); err != nil {
		t.Fatal(err)
	}
}

func (s *MySQLServer) remove() {
	if s.private.process != nil && !s.private.process.ended() {
		s.private.process.stop(syscall.SIGTERM)
	}
	_ = os.RemoveAll(s.private.dir)
}
