package faults

import (
	"database/sql/driver"
	"strings"
	"sync"
	"testing"
	"unicode/utf16"

	"github.com/sijms/go-ora/v2/network"

	"whalefall/collectors"
	oracleengine "whalefall/collectors/oracle"
	"whalefall/models"
	"whalefall/testenv"
	"whalefall/testenv/catalog"
	"whalefall/testenv/oracle"
	"whalefall/testenv/sqlserver"
)

// sqlserverTarget is an emulated server that speaks the real wire protocol.
type sqlserverTarget struct {
	wired
	server *sqlserver.Server
	tables []string
	ids    map[string]int64 // object ids by table name
}

func newSQLServerTarget(t *testing.T) *sqlserverTarget {
	t.Helper()
	server := sqlserver.Start(t, sqlserver.Options{})
	s := &sqlserverTarget{server: server, tables: []string{"a", "b"}, ids: map[string]int64{}}
	s.host, s.port, s.engine = server.Host, server.Port, models.SQLServer
	s.wire = testenv.NewProxy(t, server.Host, server.Port)
	for _, unit := range utf16.Encode([]rune("dm_db_partition_stats")) {
		s.marks += string([]byte{byte(unit), byte(unit >> 8)})
	}
	s.show(t, "app", s.tables)
	s.show(t, "other", []string{"a"})
	s.grant(t, "CONNECT ANY DATABASE", "VIEW ANY DEFINITION", "VIEW SERVER STATE")
	return s
}

func (s *sqlserverTarget) grant(t *testing.T, permissions ...string) {
	t.Helper()
	s.server.AddLogin(t, sqlserver.Login{Name: "watcher", Permissions: permissions})
}

// show makes the server list a database with the tables.
func (s *sqlserverTarget) show(t *testing.T, database string, tables []string) {
	t.Helper()
	rows := catalog.Rows{"sys.schemas": {{"schema_id": 1, "name": "dbo"}}}
	add := func(view string, row map[string]any) { rows[view] = append(rows[view], row) }
	for _, name := range tables {
		object := s.objectID(name)
		id := object + 1_000_000
		add("sys.objects", map[string]any{
			"object_id": object, "schema_id": 1, "name": name, "type": "U", "is_ms_shipped": false,
		})
		add("sys.tables", map[string]any{
			"object_id": object, "schema_id": 1, "name": name, "type": "U", "is_ms_shipped": false,
			"temporal_type": 0, "is_memory_optimized": false, "is_external": false,
		})
		add("sys.partitions", map[string]any{
			"partition_id": id, "hobt_id": id, "object_id": object, "index_id": 1, "partition_number": 1, "rows": 10,
		})
		add("sys.allocation_units", map[string]any{
			"allocation_unit_id": id, "type": 1, "container_id": id, "data_pages": 4, "used_pages": 6, "total_pages": 9,
		})
		add("sys.dm_db_partition_stats", map[string]any{
			"partition_id": id, "object_id": object, "index_id": 1, "partition_number": 1, "row_count": 10,
			"in_row_data_page_count": 4, "in_row_used_page_count": 6, "in_row_reserved_page_count": 9,
			"lob_used_page_count": 0, "lob_reserved_page_count": 0, "row_overflow_used_page_count": 0,
			"row_overflow_reserved_page_count": 0, "used_page_count": 6, "reserved_page_count": 9,
		})
	}
	s.server.AddDatabase(t, sqlserver.Database{Name: database, Rows: rows})
}

// objectID returns the object id of a table, which never changes.
func (s *sqlserverTarget) objectID(name string) int64 {
	if _, known := s.ids[name]; !known {
		s.ids[name] = int64(1000 + len(s.ids))
	}
	return s.ids[name]
}

func (s *sqlserverTarget) account() string { return "watcher" }

func (s *sqlserverTarget) password() string { return sqlserver.Password }

func (s *sqlserverTarget) grow(t *testing.T, n int) {
	s.tables = append([]string{"a", "b"}, s.grown(n)...)
	s.show(t, "app", s.tables)
}

func (s *sqlserverTarget) connections(*testing.T) int { return len(s.server.Connections()) }

// kill makes the proxy refuse connections, since the emulated server is part of this process.
func (s *sqlserverTarget) kill(t *testing.T) (heal func()) {
	s.wire.Refuse()
	return func() { s.wire.Heal(t) }
}

func (s *sqlserverTarget) drop(t *testing.T) (heal func()) {
	s.show(t, "app", append([]string{"a"}, s.tables[2:]...))
	return func() { s.show(t, "app", s.tables) }
}

func (s *sqlserverTarget) rename(t *testing.T) (heal func()) {
	s.server.DropDatabase(t, "app")
	s.show(t, "renamed", s.tables)
	return func() {
		s.server.DropDatabase(t, "renamed")
		s.show(t, "app", s.tables)
	}
}

func (s *sqlserverTarget) lock(t *testing.T) (heal func()) {
	return s.server.Block(t, "sys.partitions")
}

func (s *sqlserverTarget) revoke(t *testing.T) (heal func()) {
	s.grant(t, "CONNECT ANY DATABASE")
	return func() { s.grant(t, "CONNECT ANY DATABASE", "VIEW ANY DEFINITION", "VIEW SERVER STATE") }
}

// oracleTarget is a database emulated at the driver interface of database/sql.
type oracleTarget struct {
	gate
	server *oracle.Server
	names  []string
	serial int
	space  string // name of the tablespace
	outage outage
}

const oraclePassword = "secret"

func newOracleTarget(t *testing.T) *oracleTarget {
	t.Helper()
	o := &oracleTarget{server: oracle.New(t, oracle.Options{}), names: []string{"A", "B"}, space: "APP"}
	collector := oracleengine.New(nil)
	collector.Connector = func(t collectors.Target) (driver.Connector, error) {
		return o.server.Connector(oracle.Login{Service: t.Database, Username: t.Username, Password: t.Password}), nil
	}
	o.Collector = collector
	o.server.AddUser(t, oracle.User{Name: "WATCHER", Password: oraclePassword, Catalog: true})
	o.show(o.names)
	return o
}

// show makes the dictionary list the tables.
func (o *oracleTarget) show(names []string) {
	rows := catalog.Rows{}
	add := func(view string, row map[string]any) { rows[view] = append(rows[view], row) }
	for _, space := range []string{o.space, "OTHER"} {
		add("DBA_TABLESPACES", map[string]any{"TABLESPACE_NAME": space, "STATUS": "ONLINE", "CONTENTS": "PERMANENT"})
		add("DBA_DATA_FILES", map[string]any{"TABLESPACE_NAME": space, "BYTES": 1 << 30})
	}
	for i, name := range names {
		add("DBA_TABLES", map[string]any{
			"OWNER": "APP", "TABLE_NAME": name, "TABLESPACE_NAME": o.space, "TEMPORARY": "N", "SECONDARY": "N",
			"DROPPED": "NO", "SEGMENT_CREATED": "YES", "PARTITIONED": "NO",
		})
		add("DBA_SEGMENTS", map[string]any{
			"OWNER": "APP", "SEGMENT_NAME": name, "SEGMENT_TYPE": "TABLE", "TABLESPACE_NAME": o.space,
			"BYTES": 65536 * (i + 1),
		})
	}
	o.server.SetRows(rows)
}

func (o *oracleTarget) instance() models.Instance {
	host, port := "127.0.0.1", 1521
	return models.Instance{DBType: models.Oracle, Host: &host, Port: &port, DatabaseName: "orcl"}
}

func (o *oracleTarget) direct() models.Instance { return o.instance() }

func (o *oracleTarget) account() string { return "WATCHER" }

func (o *oracleTarget) password() string { return oraclePassword }

func (o *oracleTarget) database() string { return "APP" }

func (o *oracleTarget) other() string { return "OTHER" }

func (o *oracleTarget) proxy() *testenv.Proxy { return nil }

func (o *oracleTarget) engines() map[models.Engine]collectors.Collector {
	return map[models.Engine]collectors.Collector{models.Oracle: &o.gate}
}

// hold blocks the query for the phase "querying", and elsewhere the collector.
func (o *oracleTarget) hold(t *testing.T, phase string) (held <-chan struct{}, release func()) {
	if phase != "querying" {
		return o.gate.hold(t, phase)
	}
	reached, opened, once := make(chan struct{}), make(chan struct{}), sync.Once{}
	o.server.Fail(func(text string) error {
		if strings.Contains(text, "dba_segments") {
			once.Do(func() { close(reached) })
			<-opened
		}
		return o.outage.err()
	})
	return reached, func() {
		close(opened)
		o.server.Fail(func(string) error { return o.outage.err() })
	}
}

func (o *oracleTarget) grow(_ *testing.T, n int) {
	o.serial++
	o.names = append([]string{"A", "B"}, grownNames(o.serial, n)...)
	o.show(o.names)
}

func (o *oracleTarget) connections(*testing.T) int { return o.server.Connections() }

// outage holds the error that the driver returns while the database is down; nil while it is up.
type outage struct {
	mu  sync.Mutex
	now error
}

func (o *outage) set(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.now = err
}

func (o *outage) err() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.now
}

// kill makes the driver return the error of a lost connection, and the listener that of an unknown service.
func (o *oracleTarget) kill(*testing.T) (heal func()) {
	o.outage.set(network.NewOracleError(3113))
	o.server.Fail(func(string) error { return o.outage.err() })
	o.server.FailLogin(func(oracle.Login) error { return network.NewOracleError(12514) })
	return func() {
		o.outage.set(nil)
		o.server.Fail(nil)
		o.server.FailLogin(nil)
	}
}

func (o *oracleTarget) drop(*testing.T) (heal func()) {
	o.show(append([]string{"A"}, o.names[2:]...))
	return func() { o.show(o.names) }
}

func (o *oracleTarget) rename(*testing.T) (heal func()) {
	o.space = "RENAMED"
	o.show(o.names)
	return func() {
		o.space = "APP"
		o.show(o.names)
	}
}

func (o *oracleTarget) lock(t *testing.T) (heal func()) {
	t.Fatal("no lock blocks reads of the dictionary")
	return nil
}

func (o *oracleTarget) revoke(t *testing.T) (heal func()) {
	o.server.AddUser(t, oracle.User{Name: "WATCHER", Password: oraclePassword})
	return func() { o.server.AddUser(t, oracle.User{Name: "WATCHER", Password: oraclePassword, Catalog: true}) }
}
