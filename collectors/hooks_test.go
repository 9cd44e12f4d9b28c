package collectors

import (
	"database/sql"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"whalefall/models"
	"whalefall/testenv"
	"whalefall/testenv/catalog"
	"whalefall/testenv/oracle"
)

// Hooks has what the tests of this package need of packages that import it; hooks_engines_test.go sets it.
var Hooks struct {
	NewPostgreSQL, NewPatientPostgreSQL, NewMySQL func() Collector

	NewOracle             func(*oracle.Server) Collector
	MySQLAccount          func(t *testing.T, server *testenv.MySQLServer, grants ...string) Target
	LockMySQL             func(t *testing.T, server *testenv.MySQLServer) func()
	ConnectMySQL          func(t *testing.T, server *testenv.MySQLServer) *sql.Conn
	PostgreSQLTarget      func(server *testenv.PostgreSQLServer, database string) Target
	PlainPostgreSQLTarget func(t *testing.T, server *testenv.PostgreSQLServer, database string) Target
	ConnectPostgreSQL     func(t *testing.T, address string) *pgx.Conn
	HoldPostgreSQL        func(t *testing.T, address string, statements ...string) func()
	OracleTarget          func(t *testing.T, server *oracle.Server, name string, role bool, views ...string) Target
	OracleTwoSchemas      func() catalog.Rows
	OracleTablespace      func(name, contents string) map[string]any
	OracleFile            func(tablespace string, bytes any) map[string]any
	OracleTable           func(owner, name, tablespace string) map[string]any
	OracleSegment         func(owner, name, kind, tablespace string, bytes int64) map[string]any
}

func NewPostgreSQL() Collector { return Hooks.NewPostgreSQL() }

func newPatientPostgreSQL() Collector { return Hooks.NewPatientPostgreSQL() }

func NewMySQL() Collector { return Hooks.NewMySQL() }

func oracleAt(server *oracle.Server) Collector { return Hooks.NewOracle(server) }

func mysqlAccount(t *testing.T, server *testenv.MySQLServer, grants ...string) Target {
	t.Helper()
	return Hooks.MySQLAccount(t, server, grants...)
}

func mysqlBlock(t *testing.T, server *testenv.MySQLServer) func() {
	t.Helper()
	return Hooks.LockMySQL(t, server)
}

func mysqlConn(t *testing.T, server *testenv.MySQLServer) *sql.Conn {
	t.Helper()
	return Hooks.ConnectMySQL(t, server)
}

func postgresTarget(server *testenv.PostgreSQLServer, database string) Target {
	return Hooks.PostgreSQLTarget(server, database)
}

func plainTarget(t *testing.T, server *testenv.PostgreSQLServer, database string) Target {
	t.Helper()
	return Hooks.PlainPostgreSQLTarget(t, server, database)
}

func connectPostgres(t *testing.T, address string) *pgx.Conn {
	t.Helper()
	return Hooks.ConnectPostgreSQL(t, address)
}

func hold(t *testing.T, address string, statements ...string) func() {
	t.Helper()
	return Hooks.HoldPostgreSQL(t, address, statements...)
}

func oracleTarget(t *testing.T, server *oracle.Server, name string, role bool, views ...string) Target {
	t.Helper()
	return Hooks.OracleTarget(t, server, name, role, views...)
}

func twoSchemas() catalog.Rows { return Hooks.OracleTwoSchemas() }

func oracleSpace(name, contents string) map[string]any { return Hooks.OracleTablespace(name, contents) }

func oracleFile(tablespace string, bytes any) map[string]any {
	return Hooks.OracleFile(tablespace, bytes)
}

func oracleHeap(owner, name, tablespace string) map[string]any {
	return Hooks.OracleTable(owner, name, tablespace)
}

func oraclePart(owner, name, kind, tablespace string, bytes int64) map[string]any {
	return Hooks.OracleSegment(owner, name, kind, tablespace, bytes)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func eventually(t *testing.T, complaint string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Error(complaint)
			return
		}
	}
}

func wantError(t *testing.T, err error, code models.Code, key string) {
	t.Helper()
	var e *models.Error
	if !errors.As(err, &e) || e.Code != code || e.Key != key {
		t.Errorf("got %v, want %s %s", err, code, key)
	}
}
