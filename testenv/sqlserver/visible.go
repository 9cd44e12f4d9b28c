package sqlserver

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync"

	"whalefall/testenv/catalog"
)

const serverCollation = "SQL_Latin1_General_CP1_CI_AS"

// guarded lists the views that show only objects on which the login has a permission.
var guarded = []string{
	"sys.objects", "sys.tables", "sys.views", "sys.indexes", "sys.internal_tables", "sys.external_tables",
	"sys.dm_db_partition_stats", "sys.dm_db_xtp_table_memory_stats",
}

// shown identifies the catalog of a database as a login sees it. Sessions share it, since they only read.
type shown struct{ login, database string }

// catalog returns the catalog that the session sees, and opens it if it has changed.
func (c *session) catalog(ctx context.Context) (*sql.DB, error) {
	s := c.server
	s.mu.Lock()
	d, login, err := c.here()
	if err != nil {
		s.mu.Unlock()
		return nil, err
	}
	key := shown{login.Name, d.Name}
	open := s.shown[key]
	if open == nil {
		rows := s.visibleRows(d, login)
		open = sync.OnceValues(func() (*sql.DB, error) { return openReadOnly(context.WithoutCancel(ctx), s.views, rows) })
		s.shown[key] = open
	}
	s.mu.Unlock()
	return open()
}

func openReadOnly(ctx context.Context, views []catalog.View, rows catalog.Rows) (*sql.DB, error) {
	db, err := catalog.Open(ctx, views, rows)
	if err != nil {
		return nil, err
	}
	if _, err := db.ExecContext(ctx, "PRAGMA query_only = ON"); err != nil {
		_ = db.Close()
		return nil, err
	}
	return db, nil
}

// changed makes sessions see the changes. Catalogs that a query may still read are closed at the end. The caller holds
// the lock.
func (s *Server) changed() {
	for key, open := range s.shown {
		s.outdated = append(s.outdated, open)
		delete(s.shown, key)
	}
}

func (s *Server) closeCatalogs() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changed()
	for _, open := range s.outdated {
		if db, err := open(); err == nil {
			_ = db.Close()
		}
	}
}

// visibleRows returns the rows of the catalog views that the login sees in the database. Views that are not guarded are
// public: schemas, partitions, allocation units, files. The caller holds the lock.
func (s *Server) visibleRows(d *Database, l Login) catalog.Rows {
	rows := maps.Clone(d.Rows)
	if rows == nil {
		rows = catalog.Rows{}
	}
	hidden := hiddenObjects(d, l)
	for _, view := range guarded {
		rows[view] = slices.DeleteFunc(slices.Clone(rows[view]), func(row map[string]any) bool {
			return hidden(row["object_id"])
		})
	}
	rows["sys.databases"] = s.databaseRows(d, l)
	if rows["sys.database_files"] == nil {
		rows["sys.database_files"] = d.fileRows(false)
	}
	if !s.azure() {
		rows["sys.master_files"] = s.masterFiles(l)
		_, rows = catalog.AsOf(releases[s.major()], s.allViews, rows)
	}
	return rows
}

// hiddenObjects returns a function that reports whether an object is hidden from the login. System tables never are.
func hiddenObjects(d *Database, l Login) func(id any) bool {
	if l.in(d.Name, "VIEW DEFINITION") {
		return func(any) bool { return false }
	}
	named := l.user(d.Name).Objects
	schemas := map[string]string{}
	for _, row := range d.Rows["sys.schemas"] {
		schemas[fmt.Sprint(row["schema_id"])] = fmt.Sprint(row["name"])
	}
	seen := map[string]bool{}
	for _, row := range d.Rows["sys.objects"] {
		name := schemas[fmt.Sprint(row["schema_id"])] + "." + fmt.Sprint(row["name"])
		if slices.Contains(named, name) || row["type"] == "S" {
			seen[fmt.Sprint(row["object_id"])] = true
		}
	}
	return func(id any) bool { return !seen[fmt.Sprint(id)] }
}

// databaseRows returns the rows of sys.databases for a session in the current database.
func (s *Server) databaseRows(current *Database, l Login) []map[string]any {
	var rows []map[string]any
	for _, d := range s.databases {
		inMaster := current.Name == "master"
		always := d.id == current.id || d.Name == "master" || (d.Name == "tempdb" && !s.azure())
		foreign := s.azure() && !inMaster
		if !always && (foreign || (l.OwnDatabases && !s.mayEnter(l, d))) {
			continue
		}
		rows = append(rows, s.databaseRow(d))
	}
	return rows
}

func (s *Server) databaseRow(d *Database) map[string]any {
	const readWriteAccess, singleUserAccess = 0, 1
	row := map[string]any{
		"name": d.Name, "database_id": d.id, "state": states[d.state()].number, "state_desc": d.state(),
		"user_access": readWriteAccess, "user_access_desc": "MULTI_USER", "is_read_only": d.SnapshotOf != "",
		"collation_name": serverCollation, "compatibility_level": 10 * s.major(), "create_date": "2024-01-01T00:00:00",
		"recovery_model": 1, "recovery_model_desc": "FULL", "is_in_standby": false, "is_encrypted": false,
	}
	if d.SingleUser {
		row["user_access"], row["user_access_desc"] = singleUserAccess, "SINGLE_USER"
	}
	if d.state() == "OFFLINE" {
		row["collation_name"] = nil
	}
	if source := s.database(d.SnapshotOf); d.SnapshotOf != "" && source != nil {
		row["source_database_id"] = source.id
	}
	if d.Replica != Standalone {
		row["replica_id"] = "5f1f9d0e-0000-4000-8000-000000000001"
	}
	maps.Copy(row, d.Properties)
	return row
}

// masterFiles returns the files of all databases, if the login may see them.
func (s *Server) masterFiles(l Login) []map[string]any {
	databases := []string{"ALTER ANY DATABASE", "CREATE ANY DATABASE"}
	if !l.onServer("VIEW ANY DEFINITION") && !containsAny(l.Permissions, databases) {
		return nil
	}
	var rows []map[string]any
	for _, d := range s.databases {
		for _, row := range d.fileRows(true) {
			row["database_id"] = d.id
			rows = append(rows, row)
		}
	}
	return rows
}

// fileRows returns the files of a database from its own view or from that of the server.
func (d *Database) fileRows(server bool) []map[string]any {
	var rows []map[string]any
	for i, file := range d.files() {
		pages := file.Pages
		if server && file.kind() == "FILESTREAM" {
			pages = 0
		}
		if server && file.StartPages != nil {
			pages = *file.StartPages
		}
		rows = append(rows, map[string]any{
			"file_id": i + 1, "type": fileTypes[file.kind()], "type_desc": file.kind(), "data_space_id": i,
			"name": file.Name, "physical_name": file.Path, "state": 0, "state_desc": "ONLINE", "size": pages,
			"max_size": -1, "growth": 0, "is_sparse": d.SnapshotOf != "", "is_read_only": false,
		})
	}
	return rows
}

// number returns an integer of a row; known is false if the row has none.
func number(value any) (n int64, known bool) {
	switch v := value.(type) {
	case int:
		return int64(v), true
	case int64:
		return v, true
	case json.Number:
		n, err := v.Int64()
		return n, err == nil
	default:
		return 0, false
	}
}
