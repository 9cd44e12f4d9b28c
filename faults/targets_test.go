package faults

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"whalefall/cli"
	"whalefall/collectors"
	"whalefall/collectors/sqlite"
	"whalefall/models"
	"whalefall/testenv"
)

var engines = []string{"PostgreSQL", "MariaDB", "SQL Server", "Oracle", "SQLite"}

// target is a monitored server, as its administrator sees it. Its database has the tables a and b, and some that grow
// adds.
type target interface {
	instance() models.Instance // through the proxy, if there is one
	direct() models.Instance   // without the proxy
	account() string
	password() string
	database() string
	other() string // name of another database; empty: none
	engines() map[models.Engine]collectors.Collector
	proxy() *testenv.Proxy // nil: no network is involved

	// hold blocks the first collection that reaches the phase, "connecting" or "querying", and then closes held.
	hold(t *testing.T, phase string) (held <-chan struct{}, release func())
	// grow replaces the tables other than a and b by n new ones.
	grow(t *testing.T, n int)
	// connections returns how many connections of the account are open.
	connections(t *testing.T) int

	// kill ends the server by SIGKILL, drop drops the table b, rename renames the database, lock locks the table a like a
	// DDL statement, and revoke takes privileges from the account, each until heal.
	kill(t *testing.T) (heal func())
	drop(t *testing.T) (heal func())
	rename(t *testing.T) (heal func())
	lock(t *testing.T) (heal func())
	revoke(t *testing.T) (heal func())
}

func newTargets(t *testing.T) map[string]target {
	t.Helper()
	return map[string]target{
		"PostgreSQL": newPostgreSQLTarget(t), "MariaDB": newMySQLTarget(t), "SQL Server": newSQLServerTarget(t),
		"Oracle": newOracleTarget(t), "SQLite": newSQLiteTarget(t),
	}
}

// wired is the common part of targets that are reached through a proxy.
type wired struct {
	engine models.Engine
	wire   *testenv.Proxy
	host   string
	port   int
	marks  string // part of the statement that reads sizes, as sent over the wire
	serial int
}

func (w *wired) proxy() *testenv.Proxy { return w.wire }

func (w *wired) instance() models.Instance {
	return models.Instance{DBType: w.engine, Host: &w.wire.Host, Port: &w.wire.Port}
}

func (w *wired) direct() models.Instance {
	return models.Instance{DBType: w.engine, Host: &w.host, Port: &w.port}
}

func (w *wired) database() string { return "app" }

func (w *wired) other() string { return "other" }

func (w *wired) engines() map[models.Engine]collectors.Collector {
	return cli.Engines(new(cli.Settings), slog.New(slog.DiscardHandler))
}

func (w *wired) hold(_ *testing.T, phase string) (held <-chan struct{}, release func()) {
	mark := ""
	if phase == "querying" {
		mark = w.marks
	}
	return w.wire.Pause(mark), w.wire.Resume
}

// grown returns names for n new tables.
func (w *wired) grown(n int) (names []string) {
	w.serial++
	return grownNames(w.serial, n)
}

// grownNames returns unique names, long ones, so that many of them take up space in the store.
func grownNames(serial, n int) (names []string) {
	for i := range n {
		names = append(names, fmt.Sprintf("grown_%d_%d_%s", serial, i, strings.Repeat("x", 40)))
	}
	return names
}

// postgresqlTarget is a real PostgreSQL server.
type postgresqlTarget struct {
	wired
	server *testenv.PostgreSQLServer
	tables []string
}

func newPostgreSQLTarget(t *testing.T) *postgresqlTarget {
	t.Helper()
	server := testenv.StartPostgreSQL(t, "synchronous_commit=on")
	server.Exec(t, "postgres",
		"CREATE ROLE watcher LOGIN PASSWORD 'secret'", "CREATE DATABASE app", "CREATE DATABASE other")
	server.Exec(t, "app",
		"CREATE TABLE a AS SELECT generate_series(1, 1000) AS n", "CREATE TABLE b AS SELECT generate_series(1, 2000) AS n")
	server.Exec(t, "other", "CREATE TABLE a (n int)")
	wire := testenv.NewProxy(t, server.Host, server.Port)
	return &postgresqlTarget{
		wired:  wired{engine: models.PostgreSQL, wire: wire, host: server.Host, port: server.Port, marks: "pg_table_size"},
		server: server,
	}
}

func (p *postgresqlTarget) account() string { return "watcher" }

func (p *postgresqlTarget) password() string { return "secret" }

func (p *postgresqlTarget) grow(t *testing.T, n int) {
	t.Helper()
	var b strings.Builder
	for _, name := range p.tables {
		fmt.Fprintf(&b, "DROP TABLE %s;", name)
	}
	p.tables = p.grown(n)
	for _, name := range p.tables {
		fmt.Fprintf(&b, "CREATE TABLE %s (n int);", name)
	}
	p.server.Exec(t, "app", b.String())
}

func (p *postgresqlTarget) connections(t *testing.T) (n int) {
	t.Helper()
	conn, done := connectPostgreSQL(t, p.server.URL("postgres"))
	defer done()
	const query = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'watcher'"
	must(t, conn.QueryRow(context.Background(), query).Scan(&n))
	return n
}

func (p *postgresqlTarget) kill(t *testing.T) (heal func()) {
	p.server.Kill(t)
	return func() { p.server.Start(t) }
}

func (p *postgresqlTarget) drop(t *testing.T) (heal func()) {
	p.server.Exec(t, "app", "DROP TABLE b")
	return func() { p.server.Exec(t, "app", "CREATE TABLE b AS SELECT generate_series(1, 2000) AS n") }
}

func (p *postgresqlTarget) rename(t *testing.T) (heal func()) {
	const end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname IN ('app', 'renamed')"
	p.server.Exec(t, "postgres", end, "ALTER DATABASE app RENAME TO renamed")
	return func() { p.server.Exec(t, "postgres", end, "ALTER DATABASE renamed RENAME TO app") }
}

func (p *postgresqlTarget) lock(t *testing.T) (heal func()) {
	return lockPostgreSQL(t, p.server.URL("app"), "LOCK TABLE a IN ACCESS EXCLUSIVE MODE")
}

func (p *postgresqlTarget) revoke(t *testing.T) (heal func()) {
	p.server.Exec(t, "postgres", "REVOKE CONNECT ON DATABASE app FROM PUBLIC")
	return func() { p.server.Exec(t, "postgres", "GRANT CONNECT ON DATABASE app TO PUBLIC") }
}

// mysqlTarget is a real MariaDB server.
type mysqlTarget struct {
	wired
	server *testenv.MySQLServer
	tables []string
}

const mysqlGrants = "GRANT SELECT, PROCESS, SHOW DATABASES ON *.* TO watcher@'%'"

func newMySQLTarget(t *testing.T) *mysqlTarget {
	t.Helper()
	server := testenv.StartMySQL(t, "innodb-flush-log-at-trx-commit=2", "innodb-stats-auto-recalc=0")
	server.Exec(t, "",
		"CREATE USER watcher@'%' IDENTIFIED BY 'secret'", mysqlGrants, "CREATE DATABASE app", "CREATE DATABASE other")
	server.Exec(t, "app",
		"CREATE TABLE a (n INT PRIMARY KEY)", "CREATE TABLE b (n INT PRIMARY KEY)", "INSERT INTO a VALUES (1), (2)",
		"ANALYZE TABLE a, b", "CREATE TABLE other.a (n INT PRIMARY KEY)")
	wire := testenv.NewProxy(t, server.Host, server.Port)
	return &mysqlTarget{
		wired:  wired{engine: models.MySQL, wire: wire, host: server.Host, port: server.Port, marks: "innodb_table_stats"},
		server: server,
	}
}

func (m *mysqlTarget) account() string { return "watcher" }

func (m *mysqlTarget) password() string { return "secret" }

func (m *mysqlTarget) grow(t *testing.T, n int) {
	t.Helper()
	var b strings.Builder
	for _, name := range m.tables {
		fmt.Fprintf(&b, "DROP TABLE %s;", name)
	}
	m.tables = m.grown(n)
	for _, name := range m.tables {
		fmt.Fprintf(&b, "CREATE TABLE %s (n INT PRIMARY KEY);", name)
	}
	m.server.Exec(t, "app", b.String())
}

func (m *mysqlTarget) connections(t *testing.T) (n int) {
	t.Helper()
	db := m.server.DB(t)
	defer db.Close()
	must(t, db.QueryRow("SELECT COUNT(*) FROM information_schema.processlist WHERE user = 'watcher'").Scan(&n))
	return n
}

func (m *mysqlTarget) kill(t *testing.T) (heal func()) {
	m.server.Kill(t)
	return func() { m.server.Start(t) }
}

func (m *mysqlTarget) drop(t *testing.T) (heal func()) {
	m.server.Exec(t, "app", "DROP TABLE b")
	return func() { m.server.Exec(t, "app", "CREATE TABLE b (n INT PRIMARY KEY)", "ANALYZE TABLE b") }
}

// rename moves the tables, as MariaDB has no statement to rename a database.
func (m *mysqlTarget) rename(t *testing.T) (heal func()) {
	move := func(from, to string) {
		moves := []string{}
		for _, name := range append([]string{"a", "b"}, m.tables...) {
			moves = append(moves, fmt.Sprintf("%s.%s TO %s.%s", from, name, to, name))
		}
		m.server.Exec(t, "", "CREATE DATABASE "+to, "RENAME TABLE "+strings.Join(moves, ", "), "DROP DATABASE "+from)
	}
	move("app", "renamed")
	return func() { move("renamed", "app") }
}

func (m *mysqlTarget) lock(t *testing.T) (heal func()) {
	db := m.server.DB(t)
	conn, err := db.Conn(context.Background())
	must(t, err)
	execute(t, conn, "LOCK TABLES app.a WRITE")
	return func() { _ = conn.Close(); _ = db.Close() }
}

func (m *mysqlTarget) revoke(t *testing.T) (heal func()) {
	m.server.Exec(t, "", "REVOKE ALL PRIVILEGES, GRANT OPTION FROM watcher@'%'", "GRANT SELECT ON app.a TO watcher@'%'")
	return func() {
		m.server.Exec(t, "", "REVOKE ALL PRIVILEGES, GRANT OPTION FROM watcher@'%'", mysqlGrants)
	}
}

// gate blocks collections that no proxy can: before the collector connects, or once it has read.
type gate struct {
	collectors.Collector

	mu    sync.Mutex
	phase string
	held  chan struct{}
	open  chan struct{} // closed to let the collection continue; nil: nothing is held
	once  *sync.Once    // closes held
}

func (g *gate) hold(_ *testing.T, phase string) (held <-chan struct{}, release func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	open := make(chan struct{})
	g.phase, g.held, g.open, g.once = phase, make(chan struct{}), open, &sync.Once{}
	return g.held, func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.open = nil
		close(open)
	}
}

func (g *gate) pass(ctx context.Context, phase string) {
	g.mu.Lock()
	open, held, once := g.open, g.held, g.once
	other := g.phase != phase
	g.mu.Unlock()
	if open == nil || other {
		return
	}
	once.Do(func() { close(held) })
	select {
	case <-open:
	case <-ctx.Done():
	}
}

// Tables passes the gate, calls the collector, and passes the gate again.
func (g *gate) Tables(ctx context.Context, t collectors.Target, database string) (models.TableResult, error) {
	g.pass(ctx, "connecting")
	result, err := g.Collector.Tables(ctx, t, database)
	g.pass(ctx, "querying")
	return result, err
}

// Databases calls the collector and passes the gate.
func (g *gate) Databases(ctx context.Context, t collectors.Target) (models.DatabaseResult, error) {
	result, err := g.Collector.Databases(ctx, t)
	g.pass(ctx, "querying")
	return result, err
}

// sqliteTarget is a SQLite file.
type sqliteTarget struct {
	gate
	path   string
	tables []string
	serial int
}

func newSQLiteTarget(t *testing.T) *sqliteTarget {
	t.Helper()
	dir := t.TempDir()
	s := &sqliteTarget{path: filepath.Join(dir, "app.db")}
	s.Collector = sqlite.New([]string{dir})
	s.exec(t, "CREATE TABLE a (n)", "CREATE TABLE b (n)", "INSERT INTO a VALUES (1), (2)")
	return s
}

func (s *sqliteTarget) exec(t *testing.T, statements ...string) {
	t.Helper()
	conn, done := s.open(t)
	defer done()
	execute(t, conn, statements...)
}

func (s *sqliteTarget) open(t *testing.T) (conn *sql.Conn, done func()) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+s.path+"?_pragma=busy_timeout(20000)")
	must(t, err)
	conn, err = db.Conn(context.Background())
	must(t, err)
	return conn, func() { _ = conn.Close(); _ = db.Close() }
}

func (s *sqliteTarget) instance() models.Instance {
	return models.Instance{DBType: models.SQLite, DatabaseName: s.path}
}

func (s *sqliteTarget) direct() models.Instance { return s.instance() }

func (s *sqliteTarget) account() string { return "" }

func (s *sqliteTarget) password() string { return "" }

func (s *sqliteTarget) database() string { return "main" }

func (s *sqliteTarget) other() string { return "" }

func (s *sqliteTarget) proxy() *testenv.Proxy { return nil }

func (s *sqliteTarget) engines() map[models.Engine]collectors.Collector {
	return map[models.Engine]collectors.Collector{models.SQLite: &s.gate}
}

func (s *sqliteTarget) grow(t *testing.T, n int) {
	t.Helper()
	var statements []string
	for _, name := range s.tables {
		statements = append(statements, "DROP TABLE "+name)
	}
	s.serial++
	s.tables = grownNames(s.serial, n)
	for _, name := range s.tables {
		statements = append(statements, "CREATE TABLE "+name+" (n)")
	}
	s.exec(t, statements...)
}

// connections counts the descriptors of the file.
func (s *sqliteTarget) connections(t *testing.T) (n int) {
	t.Helper()
	links, err := filepath.Glob("/proc/self/fd/*")
	must(t, err)
	for _, link := range links {
		if path, err := os.Readlink(link); err == nil && strings.HasPrefix(path, s.path) {
			n++
		}
	}
	return n
}

func (s *sqliteTarget) kill(t *testing.T) (heal func()) {
	t.Fatal("a file has no server")
	return nil
}

func (s *sqliteTarget) drop(t *testing.T) (heal func()) {
	s.exec(t, "DROP TABLE b")
	return func() { s.exec(t, "CREATE TABLE b (n)") }
}

func (s *sqliteTarget) rename(t *testing.T) (heal func()) {
	must(t, os.Rename(s.path, s.path+".renamed"))
	return func() { must(t, os.Rename(s.path+".renamed", s.path)) }
}

func (s *sqliteTarget) lock(t *testing.T) (heal func()) {
	conn, done := s.open(t)
	execute(t, conn, "BEGIN EXCLUSIVE", "CREATE TABLE locked (n)")
	return func() {
		execute(t, conn, "ROLLBACK")
		done()
	}
}

func (s *sqliteTarget) revoke(t *testing.T) (heal func()) {
	t.Fatal("a file has no grants")
	return nil
}
