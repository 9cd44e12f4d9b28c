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

// kindsShare is how many tables the server describes at once in the time of one that is asked for alone.
const kindsShare = 10

// Waiting for locks. MySQL waits a second for each table that is locked; a session asks for no more after so many.
// MariaDB is asked again after lockTimeout, a few times a session for all that are locked then.
const (
	lockWaits  = 10
	lockPauses = 3
)

// names lists the tables of a schema. The server may compare names loosely, so they are compared again. MariaDB opens
// the definition of each table of which it is asked more than the name, ten times the work: kinds does that where it
// has to be. One without an engine could not be looked at, because it is locked or broken.
func (s *session) names(ctx context.Context, schema string) (map[string]*tableFiles, error) {
	tables := map[string]*tableFiles{}
	if s.version.mariadb {
		return tables, s.each(ctx, statements["names_alone"], func(rows *sql.Rows) error {
			var inSchema sql.RawBytes
			t := &tableFiles{}
			err := rows.Scan(&inSchema, &t.name)
			if string(inSchema) == schema {
				tables[t.name] = t
			}
			return err
		}, schema)
	}
	var unread []*tableFiles
	err := s.each(ctx, statements["names"], func(rows *sql.Rows) error {
		var inSchema string
		var engine, options sql.NullString
		t := &tableFiles{}
		err := rows.Scan(&inSchema, &t.name, &t.kind, &engine, &options)
		t.engine, t.options = engine.String, options.String
		if inSchema == schema && !t.is("PERFORMANCE_SCHEMA") {
			tables[t.name] = t
			if !engine.Valid {
				unread = append(unread, t)
			}
		}
		return err
	}, schema)
	if err != nil || len(unread) == 0 {
		return tables, err
	}
	reason, err := s.whyUnread(ctx)
	for _, t := range unread {
		t.unread = reason
	}
	return tables, err
}

// kinds finds out what the tables of a kind that is not known are, among those that are asked for, and drops what is no
// table. Other servers than MariaDB have told it with the names.
func (s *session) kinds(ctx context.Context, schema string, tables map[string]*tableFiles, asked func(*tableFiles) bool) error {
	if !s.version.mariadb {
		return nil
	}
	var names []string
	for name, t := range tables {
		if t.kind == "" && asked(t) {
			names = append(names, name)
		}
	}
	if len(names)*kindsShare > len(tables) {
		if err := s.allKinds(ctx, schema, tables, names); err != nil {
			return err
		}
		names = slices.DeleteFunc(names, func(name string) bool { return tables[name] == nil || tables[name].engine != "" })
	}
	err := s.oneByOne(ctx, question{statements["kind"], schema, tables, func(t *tableFiles, row *nameRow) bool {
		t.kind, t.engine = row.kind.String, row.engine.String
		return row.engine.Valid || !t.isTable()
	}}, names)
	maps.DeleteFunc(tables, func(_ string, t *tableFiles) bool { return !t.isTable() })
	return err
}

// isTable reports whether it may be one, as long as its kind is not known.
func (t *tableFiles) isTable() bool {
	return t.kind != "VIEW" && t.kind != "SYSTEM VIEW" && t.kind != "TEMPORARY" && !t.is("PERFORMANCE_SCHEMA")
}

// allKinds asks for the whole schema at once. What was asked for and is not there is gone.
func (s *session) allKinds(ctx context.Context, schema string, tables map[string]*tableFiles, asked []string) error {
	words := map[string]string{} // there are few, and many rows
	word := func(b []byte) string {
		if _, known := words[string(b)]; !known {
			words[string(b)] = string(b)
		}
		return words[string(b)]
	}
	err := s.each(ctx, unwaiting+statements["kinds"], func(rows *sql.Rows) error {
		var inSchema, name, kind, engine sql.RawBytes
		err := rows.Scan(&inSchema, &name, &kind, &engine)
		if t := tables[string(name)]; t != nil && string(inSchema) == schema {
			t.kind, t.engine = word(kind), word(engine)
		}
		return err
	}, schema)
	if err != nil {
		return err
	}
	for _, name := range asked {
		if tables[name].kind == "" {
			delete(tables, name)
		}
	}
	return nil
}

// unwaiting has MariaDB not wait for a lock.
const unwaiting = "SET STATEMENT lock_wait_timeout = 0 FOR "

// nameRow is what the server says of one table.
type nameRow struct {
	schema, name string
	kind, engine sql.NullString
	stat         statistics
}

// question is what is asked about one table after the other. Take keeps what the server said and reports whether that
// was what it was asked for.
type question struct {
	text, schema string
	tables       map[string]*tableFiles
	take         func(*tableFiles, *nameRow) bool
}

// oneByOne asks for tables one by one: one that is locked or takes too long costs only itself, and one that is gone
// leaves the list. MariaDB waits for no lock, but is asked once more about what is locked.
func (s *session) oneByOne(ctx context.Context, q question, names []string) error {
	if !s.version.mariadb {
		_, err := s.askEach(ctx, q, names)
		return err
	}
	q.text = unwaiting + q.text
	locked, err := s.askEach(ctx, q, names)
	if err != nil || len(locked) == 0 || s.pauses == 0 {
		return err
	}
	s.pauses--
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(collectors.LockTimeout):
	}
	_, err = s.askEach(ctx, q, locked)
	return err
}

// askEach asks for each table. Where the server waits a second for each that is locked, those behind too many are left
// unread.
func (s *session) askEach(ctx context.Context, q question, names []string) (locked []string, err error) {
	if len(names) == 0 {
		return nil, nil
	}
	one, err := s.conn.PrepareContext(ctx, q.text)
	if err != nil {
		return nil, err
	}
	defer func() { _ = one.Close() }()
	for _, name := range names {
		t := q.tables[name]
		if t.unread = models.UnreadFailed; len(locked) >= lockWaits && !s.version.mariadb {
			continue
		}
		row, err := askOne(ctx, one, q.schema, name)
		switch number := errorNumber(err); {
		case errors.Is(err, sql.ErrNoRows):
			delete(q.tables, name)
		case number == codeLockWait:
			t.unread = models.UnreadLocked
		case number == codeMaxStatementTime, number == codeMaxExecutionTime:
		case err != nil:
			return nil, err
		case q.take(t, row):
			t.unread = ""
		default:
			if t.unread, err = s.whyUnread(ctx); err != nil {
				return nil, err
			}
		}
		if t.unread == models.UnreadLocked {
			locked = append(locked, name)
		}
	}
	return locked, nil
}

func askOne(ctx context.Context, one *sql.Stmt, schema, name string) (*nameRow, error) {
	rows, err := one.QueryContext(ctx, schema, name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var found *nameRow
	for rows.Next() {
		r := &nameRow{}
		if err := rows.Scan(&r.schema, &r.name, &r.kind, &r.engine, &r.stat.rows, &r.stat.data, &r.stat.index); err != nil {
			return nil, err
		}
		if r.schema == schema && r.name == name {
			found = r
		}
	}
	if found == nil && rows.Err() == nil {
		return nil, sql.ErrNoRows
	}
	return found, rows.Err()
}

// lookUp asks for the sizes of tables.
func (s *session) lookUp(ctx context.Context, schema string, tables map[string]*tableFiles, names []string) error {
	return s.oneByOne(ctx, question{statements["size"], schema, tables, func(t *tableFiles, row *nameRow) bool {
		t.stat = row.stat
		s.measured.Add(ctx)
		return row.stat.data.Valid
	}}, names)
}

// whyUnread reads from the warnings of the last statement why a table has no sizes: there is no error for it.
func (s *session) whyUnread(ctx context.Context) (models.Unread, error) {
	reason := models.UnreadFailed
	err := s.each(ctx, "SHOW WARNINGS", func(rows *sql.Rows) error {
		var level, message string
		var number int
		err := rows.Scan(&level, &number, &message)
		if number == codeLockWait {
			reason = models.UnreadLocked
		}
		return err
	})
	return reason, err
}
