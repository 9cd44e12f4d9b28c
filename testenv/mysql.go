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

	mysqldriver "github.com/go-sql-driver/mysql"
)

// Values of MySQLServer.Flavor.
const (
	flavorMySQL   = "mysql"
	flavorMariaDB = "mariadb"
)

// MySQLServer is a MariaDB or MySQL server on which the tests are root.
type MySQLServer struct {
	Host     string
	Port     int
	User     string
	Password string // of a private server: full of characters that break address strings
	DataDir  string // of a private server; empty if the tests cannot see the files
	Flavor   string // "mariadb" or "mysql"
	// Certificate is what a private MariaDB shows, in PEM. It is its own CA and is valid for 127.0.0.1 and localhost.
	Certificate string

	*privateServer // nil for a server that TEST_MYSQL_DSN names
}

const mysqlPrograms = "MariaDB or MySQL server (mariadbd or mysqld in PATH, /usr/sbin or TEST_MARIADB_BIN)"

var sharedMySQL = once("TEST_MYSQL_DSN", connectMySQL, newMySQL)

// MySQL returns the server of this test process: the one that TEST_MYSQL_DSN names, else a private one that the first
// call starts. It is a MariaDB unless TEST_MARIADB_BIN or TEST_MYSQL_BIN name another program.
func MySQL(t testing.TB) *MySQLServer {
	t.Helper()
	server, err := sharedMySQL()
	requireServer(t, mysqlPrograms, err)
	return server
}

// StartMySQL starts another private server, which the test may stop and which ends with the test. Settings are
// "name=value" as on the command line.
func StartMySQL(t testing.TB, settings ...string) *MySQLServer {
	t.Helper()
	server, err := newMySQL(settings)
	requireServer(t, mysqlPrograms, err)
	t.Cleanup(server.remove)
	return server
}

func connectMySQL(dsn string) (*MySQLServer, error) {
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
	return s, waitReady(neverEnds, s.readFlavor)
}

func newMySQL(settings []string) (*MySQLServer, error) { return startMySQL(settings, "") }

// startMySQL starts a server on a copy of the data directory of a stopped one, or on an empty one if data is empty.
func startMySQL(settings []string, data string) (*MySQLServer, error) {
	bin, err := findMySQL()
	if err != nil {
		return nil, err
	}
	directory, err := serverDirectory("whalefall-test-mysql-", nil)
	if err != nil {
		return nil, err
	}
	s := &MySQLServer{Host: "127.0.0.1", User: "root", DataDir: filepath.Join(directory.Path, "data")}
	s.privateServer = &privateServer{
		bin: bin, directory: directory, settings: settings,
		stopSignal: syscall.SIGTERM, command: s.serve, ping: s.readFlavor,
	}
	if err := s.create(data); err != nil {
		s.remove()
		return nil, err
	}
	return s, nil
}

func findMySQL() (string, error) {
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

// create makes the data directory, starts the server and gives its only user a password.
func (s *MySQLServer) create(data string) error {
	version, err := mysqlVersion(s.bin)
	if err != nil {
		return err
	}
	s.Flavor = flavorOf(version)
	if data != "" {
		err = os.CopyFS(s.DataDir, os.DirFS(data))
	} else {
		err = s.initialize()
	}
	if err != nil {
		return err
	}
	if err := s.addCertificate(); err != nil {
		return err
	}
	if err := s.launchOnFreePort(&s.Port); err != nil {
		return err
	}
	return s.setPassword(awkwardPassword())
}

func mysqlVersion(bin string) (string, error) {
	version, err := exec.Command(bin, "--no-defaults", "--version").Output()
	if err != nil {
		return "", fmt.Errorf("%s --version: %w", bin, err)
	}
	return string(version), nil
}

func (s *MySQLServer) initialize() error {
	owner, err := user.Current()
	if err != nil {
		return err
	}
	install := exec.Command(s.bin, "--no-defaults", "--initialize-insecure", "--datadir="+s.DataDir,
		"--user="+owner.Username, "--tmpdir="+s.directory.Path)
	if s.Flavor == flavorMariaDB {
		install = exec.Command("mariadb-install-db", "--no-defaults", "--datadir="+s.DataDir, "--user="+owner.Username,
			"--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve",
			"--tmpdir="+s.directory.Path) // in a shared one, servers that start delete each other's files
	}
	install.Dir = s.directory.Path
	if out, err := install.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", install.Path, err, out)
	}
	return nil
}

// addCertificate gives MariaDB a certificate; MySQL makes its own.
func (s *MySQLServer) addCertificate() error {
	if s.Flavor != flavorMariaDB {
		return nil
	}
	certificate, key, err := selfSigned()
	if err != nil {
		return err
	}
	s.Certificate = certificate
	s.settings = append([]string{"ssl-cert=" + s.path("server.crt"), "ssl-key=" + s.path("server.key")}, s.settings...)
	return errors.Join(
		writePrivate(s.path("server.crt"), certificate, nil),
		writePrivate(s.path("server.key"), key, nil))
}

func (s *MySQLServer) setPassword(password string) error {
	db, err := s.open("")
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	ctx, cancel := context.WithTimeout(context.Background(), statementTimeout)
	defer cancel()
	if _, err := db.ExecContext(ctx, "ALTER USER 'root'@'localhost' IDENTIFIED BY "+QuoteMySQL(password)); err != nil {
		return err
	}
	s.Password = password
	return nil
}

// serve returns the command that starts the server. It trades durability for speed; settings may take that back.
func (s *MySQLServer) serve() *exec.Cmd {
	cmd := exec.Command(s.bin, "--no-defaults", "--datadir="+s.DataDir, "--bind-address=127.0.0.1",
		"--port="+strconv.Itoa(s.Port), "--socket="+s.path("s"), "--pid-file="+s.path("pid"), "--tmpdir="+s.directory.Path,
		"--skip-log-bin", "--skip-networking=OFF", "--innodb-doublewrite=0", "--innodb-flush-log-at-trx-commit=0",
		"--innodb-flush-method=nosync")
	if owner, err := user.Current(); err == nil {
		cmd.Args = append(cmd.Args, "--user="+owner.Username)
	}
	if s.Flavor == flavorMySQL {
		cmd.Args = append(cmd.Args, "--mysqlx=OFF")
	} else {
		cmd.Args = append(cmd.Args, "--debug-no-sync")
	}
	for _, setting := range s.settings {
		cmd.Args = append(cmd.Args, "--"+setting)
	}
	return cmd
}

func (s *MySQLServer) readFlavor(ctx context.Context) error {
	db, err := s.open("")
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	var version string
	if err := db.QueryRowContext(ctx, "SELECT VERSION()").Scan(&version); err != nil {
		return err
	}
	s.Flavor = flavorOf(version)
	return nil
}

func flavorOf(version string) string {
	if strings.Contains(version, "MariaDB") {
		return flavorMariaDB
	}
	return flavorMySQL
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

// DB opens a pool of connections as root, closed when the test ends.
func (s *MySQLServer) DB(t testing.TB) *sql.DB {
	t.Helper()
	db, err := s.open("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// Exec runs each text, of one or several statements, in the database (empty: in none). Any error ends the test.
func (s *MySQLServer) Exec(t testing.TB, database string, statements ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), statementTimeout)
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

// NewDatabase creates an empty database with a unique name, drops it when the test ends, and returns its name.
func (s *MySQLServer) NewDatabase(t testing.TB) string {
	t.Helper()
	name := randomName("t_")
	s.CreateDatabase(t, name)
	return name
}

// CreateDatabase creates a database of any name, and drops it when the test ends.
func (s *MySQLServer) CreateDatabase(t testing.TB, name string) {
	t.Helper()
	s.Exec(t, "", "CREATE DATABASE "+QuoteMySQLName(name)+" CHARACTER SET utf8mb4")
	t.Cleanup(func() {
		if !s.stopped() {
			s.Exec(t, "", "DROP DATABASE IF EXISTS "+QuoteMySQLName(name))
		}
	})
}

// QuoteMySQLName quotes an identifier.
func QuoteMySQLName(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }

// QuoteMySQL returns the text as a literal of the default SQL mode.
func QuoteMySQL(text string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, "'", "''").Replace(text) + "'"
}
