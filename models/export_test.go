package models

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"gorm.io/gorm"
)

// SessionSeen returns when a session was last used, as far as the store knows.
func (s *Store) SessionSeen(ctx context.Context, id string) (time.Time, error) {
	db, done := bounded(ctx, s.reader)
	defer done()
	var session Session
	err := db.Take(&session, "id = ?", digest(id)).Error
	return session.SeenAt, err
}

// DatabaseByID returns the database with the id, or CodeNotFound.
func (s *Store) DatabaseByID(ctx context.Context, id int64) (InstanceDatabase, error) {
	db, done := bounded(ctx, s.reader)
	defer done()
	return takeDatabase(db, "id = ?", id)
}

// ExplainTables is the store's plan for each statement a page of tables may need.
func (s *Store) ExplainTables(ctx context.Context, q TableQuery) ([]string, error) {
	database, err := s.DatabaseByID(ctx, q.DatabaseID)
	if err != nil {
		return nil, err
	}
	order := newTableOrder(q, database.Snapshot)
	ranges := []condition{everything}
	if q.Cursor != "" {
		cursor, err := parseTableCursor(q)
		if err != nil {
			return nil, err
		}
		ranges = order.after(*cursor)
	}
	explain := "EXPLAIN "
	if s.path != "" {
		explain = "EXPLAIN QUERY PLAN "
	}
	db, done := bounded(ctx, s.reader)
	defer done()
	var plans []string
	for _, r := range ranges {
		statement := db.ToSQL(func(tx *gorm.DB) *gorm.DB {
			return s.newTableReader(tx, q, database).selected(r).Limit(q.Limit + 1).Find(&[]DatabaseTableSizeStat{})
		})
		plan, err := explainPlan(db, explain+statement)
		if err != nil {
			return nil, err
		}
		plans = append(plans, plan)
	}
	return plans, nil
}

func explainPlan(db *gorm.DB, statement string) (string, error) {
	var lines []map[string]any
	err := db.Raw(statement).Scan(&lines).Error
	var plan strings.Builder
	for _, line := range lines {
		for _, column := range []string{"detail", "QUERY PLAN"} {
			if text, ok := line[column]; ok {
				fmt.Fprintln(&plan, text)
			}
		}
	}
	return plan.String(), err
}

// WatchDeadlines reports every statement from now on that has no deadline.
func (s *Store) WatchDeadlines(report func(statement string)) error {
	watch := func(tx *gorm.DB) {
		if _, limited := tx.Statement.Context.Deadline(); !limited {
			report(tx.Statement.SQL.String())
		}
	}
	var failed []error
	for _, handle := range []*gorm.DB{s.writer, s.reader} {
		on := handle.Callback()
		failed = append(failed, on.Create().Replace("watch", watch), on.Query().Replace("watch", watch),
			on.Update().Replace("watch", watch), on.Delete().Replace("watch", watch),
			on.Row().Replace("watch", watch), on.Raw().Replace("watch", watch))
	}
	return errors.Join(failed...)
}

// Show is what the store's connections say to a setting of PostgreSQL.
func (s *Store) Show(ctx context.Context, setting string) (value string, err error) {
	db, done := bounded(ctx, s.reader)
	defer done()
	err = db.Raw("SELECT current_setting(?)", setting).Scan(&value).Error
	return value, err
}

// Occupy runs do while the store's writer is taken; on PostgreSQL a row of sessions is what is taken.
func (s *Store) Occupy(ctx context.Context, do func()) error {
	return s.change(ctx, func(tx *gorm.DB) error {
		err := tx.Model(&Session{}).Where("1 = 1").UpdateColumn("created_at", gorm.Expr("created_at")).Error
		do()
		return err
	})
}

// DayAfter is the calendar day days after t.
func (s *Store) DayAfter(t time.Time, days int) string { return s.day(t, days) }

// Try runs statements as a change of the store does.
func (s *Store) Try(ctx context.Context, statements ...string) error {
	return s.change(ctx, func(tx *gorm.DB) error {
		for _, text := range statements {
			if err := tx.Exec(text).Error; err != nil {
				return err
			}
		}
		return nil
	})
}

// RowsOf is how many rows of each table belong to an instance, those of its databases included.
func (s *Store) RowsOf(ctx context.Context, instanceID int64) (map[string]int64, error) {
	db, done := bounded(ctx, s.reader)
	defer done()
	const ofDatabases = "database_id IN (SELECT id FROM instance_databases WHERE instance_id = ?)"
	rows := map[string]int64{}
	for table, condition := range map[string]string{
		"instances": "id = ?", "instance_tags": "instance_id = ?", "instance_databases": "instance_id = ?",
		"instance_size_stats": "instance_id = ?", "collection_runs": "instance_id = ?",
		"database_size_stats": ofDatabases, "database_table_size_stats": ofDatabases, "table_size_history": ofDatabases,
		"table_events": ofDatabases, "dropped_tables": ofDatabases, "snapshot_days": ofDatabases,
	} {
		var n int64
		if err := db.Table(table).Where(condition, instanceID).Count(&n).Error; err != nil {
			return nil, err
		}
		rows[table] = n
	}
	return rows, nil
}

// Orphans are the foreign keys of a SQLite store that point nowhere.
func (s *Store) Orphans(ctx context.Context) (n int64, err error) {
	db, done := bounded(ctx, s.reader)
	defer done()
	err = db.Raw("SELECT count(*) FROM pragma_foreign_key_check").Scan(&n).Error
	return n, err
}

// Fingerprint returns the fingerprint that is stored with the row.
func (row *DatabaseTableSizeStat) Fingerprint() int64 { return new(fingerprinter).sum(row) }

// Fold maps text to the form that folded columns hold.
func Fold(text string) string { return fold(text) }

// StoreAndReadError returns e as it is read back from a stored run.
func StoreAndReadError(e *Error) (*Error, error) {
	text, err := encodeError(e)
	if err != nil {
		return nil, err
	}
	return decodeError(text)
}

// Turns is turns with its methods.
type Turns struct{ turns }

// NewTurns returns turns for n at a time.
func NewTurns(n int) *Turns { return &Turns{turns{free: n}} }

// Take waits for a turn and reports whether there was one.
func (t *Turns) Take(ctx context.Context, from string) bool { return t.take(ctx, from) }

// Done ends a turn.
func (t *Turns) Done() { t.done() }

// Waiting returns how many wait.
func (t *Turns) Waiting() (n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, l := range t.waiting {
		n += len(l.who)
	}
	return n
}

// LoginsAtOnce returns how many passwords are checked at a time.
func LoginsAtOnce() int { return loginsAtOnce() }

// TakeLoginTurn takes one of the turns of logins until it is released.
func (s *Store) TakeLoginTurn(ctx context.Context, from string) (release func()) {
	s.logins.take(ctx, from)
	return s.logins.done
}
