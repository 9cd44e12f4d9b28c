package mysql

import (
	"context"
	"database/sql"
	"errors"
	"maps"
	"slices"
	"time"

	"whalefall/collectors"
	"whalefall/models"
)

// singleKindCost is how many tables of a whole schema the server describes in the time of a query for a single one.
const singleKindCost = 10

const (
	// maxLockWaits is how many locked tables MySQL is queried for, waiting a second for each. The rest are left unread.
	maxLockWaits = 10
	// maxLockRetries is how many times a session retries the tables that MariaDB says are locked, after
	// collectors.LockTimeout.
	maxLockRetries = 3
)

// names lists the tables of a schema. Names are compared here once more, since the server's collation may take
// different ones for equal. On MariaDB it reads nothing but names: the server opens the definition of a table for any
// other column, which takes ten times as long and is left to kinds. On MySQL a table without an engine is unread,
// because it is locked or broken.
func (s *session) names(ctx context.Context, schema string) (map[string]*tableFiles, error) {
	tables := map[string]*tableFiles{}
	if s.version.mariadb {
		err := s.list(ctx, s.namesStatement(), func(rows *sql.Rows) error {
			var inSchema sql.RawBytes
			t := &tableFiles{}
			if err := rows.Scan(&inSchema, &t.name); err != nil {
				return err
			}
			if string(inSchema) == schema {
				tables[t.name] = t
			}
			return nil
		}, schema)
		return tables, err
	}

	var unread []*tableFiles
	err := s.list(ctx, s.namesStatement(), func(rows *sql.Rows) error {
		var inSchema string
		var engine, options sql.NullString
		t := &tableFiles{}
		if err := rows.Scan(&inSchema, &t.name, &t.kind, &engine, &options); err != nil {
			return err
		}

		t.engine, t.options = engine.String, options.String
		if inSchema == schema && !t.is("PERFORMANCE_SCHEMA") {
			tables[t.name] = t
			if !engine.Valid {
				unread = append(unread, t)
			}
		}
		return nil
	}, schema)
	if err != nil || len(unread) == 0 {
		return tables, err
	}

	reason, err := s.unreadReason(ctx)
	for _, t := range unread {
		t.unread = reason
	}
	return tables, err
}

// namesStatement returns the statement that lists the tables of a schema.
func (s *session) namesStatement() string {
	if s.version.mariadb {
		return statements["names_alone"]
	}
	return statements["names"]
}

// kinds finds the kind and the engine of those tables that are wanted and have no kind yet, and deletes entries that
// are not tables. It does nothing on MySQL, where names has read the kinds.
func (s *session) kinds(
	ctx context.Context, schema string, tables map[string]*tableFiles, wanted func(*tableFiles) bool,
) error {
	if !s.version.mariadb {
		return nil
	}
	var names []string
	for name, t := range tables {
		if t.kind == "" && wanted(t) {
			names = append(names, name)
		}
	}

	if len(names)*singleKindCost > len(tables) {
		if err := s.allKinds(ctx, schema, tables, names); err != nil {
			return err
		}
		names = slices.DeleteFunc(names, func(name string) bool {
			return tables[name] == nil || tables[name].engine != ""
		})
	}

	err := s.queryTables(ctx, tableQuery{statements["kind"], schema, tables, func(t *tableFiles, row *tableRow) bool {
		t.kind, t.engine = row.kind.String, row.engine.String
		return row.engine.Valid || !t.isTable()
	}}, names)
	maps.DeleteFunc(tables, func(_ string, t *tableFiles) bool { return !t.isTable() })
	return err
}

// isTable reports whether the entry is a table, or may be one because its kind is unknown.
func (t *tableFiles) isTable() bool {
	return t.kind != "VIEW" && t.kind != "SYSTEM VIEW" && t.kind != "TEMPORARY" && !t.is("PERFORMANCE_SCHEMA")
}

// allKinds reads the kinds and engines of the whole schema with one statement. Wanted tables that it does not list are
// gone and are deleted.
func (s *session) allKinds(ctx context.Context, schema string, tables map[string]*tableFiles, wanted []string) error {
	interned := map[string]string{} // many tables share few kinds and engines
	intern := func(b []byte) string {
		if _, seen := interned[string(b)]; !seen {
			interned[string(b)] = string(b)
		}
		return interned[string(b)]
	}

	err := s.each(ctx, withoutLockWait+statements["kinds"], func(rows *sql.Rows) error {
		var inSchema, name, kind, engine sql.RawBytes
		if err := rows.Scan(&inSchema, &name, &kind, &engine); err != nil {
			return err
		}
		if t := tables[string(name)]; t != nil && string(inSchema) == schema {
			t.kind, t.engine = intern(kind), intern(engine)
		}
		return nil
	}, schema)
	if err != nil {
		return err
	}

	for _, name := range wanted {
		if tables[name].kind == "" {
			delete(tables, name)
			s.gone++
		}
	}
	return nil
}

// withoutLockWait before a statement keeps MariaDB from waiting for locks.
const withoutLockWait = "SET STATEMENT lock_wait_timeout = 0 FOR "

// tableRow is one row of a tableQuery.
type tableRow struct {
	schema, name string
	kind, engine sql.NullString
	stat         statistics
}

// tableQuery is a statement that is executed for one table after another. The function take stores the row in the table
// and reports whether the server filled in the wanted columns.
type tableQuery struct {
	text, schema string
	tables       map[string]*tableFiles
	take         func(*tableFiles, *tableRow) bool
}

// queryTables queries tables one by one, so that a table that is locked or takes too long is the only one unread. It
// deletes tables that are gone. MariaDB does not wait for locks, but is queried once more for locked tables.
func (s *session) queryTables(ctx context.Context, q tableQuery, names []string) error {
	if !s.version.mariadb {
		_, err := s.queryEach(ctx, q, names)
		return err
	}

	q.text = withoutLockWait + q.text
	locked, err := s.queryEach(ctx, q, names)
	if err != nil || len(locked) == 0 || s.lockRetries == 0 {
		return err
	}

	s.lockRetries--
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(collectors.LockTimeout):
	}
	_, err = s.queryEach(ctx, q, locked)
	return err
}

// queryEach executes the query for each table and returns the names of the locked ones. After maxLockWaits locked
// tables it leaves the others unread, unless the server is a MariaDB.
func (s *session) queryEach(ctx context.Context, q tableQuery, names []string) (locked []string, err error) {
	if len(names) == 0 {
		return nil, nil
	}

	prepared, err := s.conn.PrepareContext(ctx, s.mark+q.text)
	if err != nil {
		return nil, err
	}
	defer func() { _ = prepared.Close() }()

	for _, name := range names {
		t := q.tables[name]
		t.unread = models.UnreadFailed
		if len(locked) >= maxLockWaits && !s.version.mariadb {
			continue
		}

		row, err := queryTable(ctx, prepared, q.schema, name)
		switch number := errorNumber(err); {
		case errors.Is(err, sql.ErrNoRows):
			delete(q.tables, name)
			s.gone++
		case number == codeLockWait:
			t.unread = models.UnreadLocked
		case number == codeMaxStatementTime, number == codeMaxExecutionTime:
		case err != nil:
			return nil, err
		case q.take(t, row):
			t.unread = ""
		default:
			if t.unread, err = s.unreadReason(ctx); err != nil {
				return nil, err
			}
		}
		if t.unread == models.UnreadLocked {
			locked = append(locked, name)
		}
	}
	return locked, nil
}

// queryTable returns the row of a table, or sql.ErrNoRows.
func queryTable(ctx context.Context, prepared *sql.Stmt, schema, name string) (*tableRow, error) {
	rows, err := prepared.QueryContext(ctx, schema, name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()

	var found *tableRow
	for rows.Next() {
		r := &tableRow{stat: statistics{read: true}}
		err := rows.Scan(&r.schema, &r.name, &r.kind, &r.engine, &r.stat.rows, &r.stat.data, &r.stat.index)
		if err != nil {
			return nil, err
		}
		if r.schema == schema && r.name == name {
			found = r
		}
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	if found == nil {
		return nil, sql.ErrNoRows
	}
	return found, nil
}

// lookUp queries the statistics of the named tables one by one.
func (s *session) lookUp(ctx context.Context, schema string, tables map[string]*tableFiles, names []string) error {
	return s.queryTables(ctx, tableQuery{statements["size"], schema, tables, func(t *tableFiles, row *tableRow) bool {
		t.stat = row.stat
		s.measured.Add(ctx)
		return row.stat.data != collectors.Unknown
	}}, names)
}

// unreadReason returns why the last statement left out values of a table. The server reports that as a warning, not as
// an error.
func (s *session) unreadReason(ctx context.Context) (models.Unread, error) {
	reason := models.UnreadFailed
	err := s.each(ctx, "SHOW WARNINGS", func(rows *sql.Rows) error {
		var level, message string
		var number int
		if err := rows.Scan(&level, &number, &message); err != nil {
			return err
		}
		if number == codeLockWait {
			reason = models.UnreadLocked
		}
		return nil
	})
	return reason, err
}
