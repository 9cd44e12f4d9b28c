package models

import (
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strings"

	"gorm.io/gorm"
)

// dialect is the SQL that differs between SQLite and PostgreSQL.
type dialect interface {
	// snapshot returns the options of a read transaction that sees one state of the store.
	snapshot() *sql.TxOptions
	// contains returns a condition that column contains a text, with one parameter made by pattern.
	contains(column string) string
	pattern(text string) string
	// records returns a table r made of one JSON parameter: an array of rows, each an array of the columns' values. Other
	// tables are joined to it by CROSS JOIN and conditions in WHERE: SQLite then reads the records once and looks the
	// others up by index. By JOIN it may parse the whole parameter again for each of their rows.
	records(columns []column) string
	// value returns a placeholder for a value of the column type kind.
	value(kind string) string
	// analyze returns the statement that updates the planner's statistics of a table; empty if none is needed.
	analyze(table string) string
	// monday returns an expression for the Monday of the week with the day of a column, both YYYY-MM-DD.
	monday(column string) string
	// ids returns a subquery for IN that expands one JSON parameter of ids.
	ids() string
	// size returns a query for the size of the store's database in bytes.
	size() string
	// lockText locks a text until the transaction ends; other transactions that lock the same one wait.
	lockText(tx *gorm.DB, text string) error
}

// column is a column of dialect.records: its name and its type in PostgreSQL.
type column struct{ name, kind string }

// jsonParameter encodes a list of ids or records of any length as one parameter.
func jsonParameter(list any) (string, error) {
	text, err := json.Marshal(list)
	return string(text), err
}

type postgresDialect struct{}

func (postgresDialect) snapshot() *sql.TxOptions {
	return &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true}
}

func (postgresDialect) contains(column string) string { return column + ` LIKE ?` }

var likeEscaper = strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`)

func (postgresDialect) pattern(text string) string { return "%" + likeEscaper.Replace(text) + "%" }

func (postgresDialect) records(columns []column) string {
	fields := make([]string, len(columns))
	for i, c := range columns {
		fields[i] = fmt.Sprintf("CAST(value ->> %d AS %s) AS %s", i, c.kind, c.name)
	}
	return "(SELECT " + strings.Join(fields, ", ") + " FROM jsonb_array_elements(CAST(? AS jsonb))) AS r"
}

func (postgresDialect) value(kind string) string { return "CAST(? AS " + kind + ")" }

// analyze does not wait for autovacuum: that comes a minute later, and until then a page sorts the whole database.
func (postgresDialect) analyze(table string) string { return "ANALYZE " + table }

func (postgresDialect) monday(column string) string {
	return "to_char(date_trunc('week', CAST(" + column + " AS timestamp)), 'YYYY-MM-DD')"
}

func (postgresDialect) ids() string {
	return "(SELECT CAST(value AS bigint) FROM jsonb_array_elements_text(CAST(? AS jsonb)))"
}

func (postgresDialect) size() string { return "SELECT pg_database_size(current_database())" }

func (postgresDialect) lockText(tx *gorm.DB, text string) error {
	sum := sha256.Sum256([]byte(text))
	return tx.Exec("SELECT pg_advisory_xact_lock(?)", int64(binary.BigEndian.Uint64(sum[:8]))).Error
}

type sqliteDialect struct{}

// snapshot needs no isolation level: in WAL mode every read transaction sees one state.
func (sqliteDialect) snapshot() *sql.TxOptions { return &sql.TxOptions{ReadOnly: true} }

// contains avoids LIKE, which folds ASCII and ignores how long the pattern is.
func (sqliteDialect) contains(column string) string { return "instr(" + column + ", ?) > 0" }

func (sqliteDialect) pattern(text string) string { return text }

func (sqliteDialect) records(columns []column) string {
	fields := make([]string, len(columns))
	for i, c := range columns {
		fields[i] = fmt.Sprintf("json_extract(value, '$[%d]') AS %s", i, c.name)
	}
	return "(SELECT " + strings.Join(fields, ", ") + " FROM jsonb_each(?)) AS r"
}

// value does not cast: a cast would turn a time into a number.
func (sqliteDialect) value(string) string { return "?" }

// analyze is not needed: SQLite uses an index in the requested order whatever the size of the table.
func (sqliteDialect) analyze(string) string { return "" }

// monday goes to the Monday on or after the sixth day before.
func (sqliteDialect) monday(column string) string {
	return "date(" + column + ", '-6 days', 'weekday 1')"
}

func (sqliteDialect) ids() string { return "(SELECT value FROM json_each(?))" }

func (sqliteDialect) size() string {
	return "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"
}

// lockText has nothing to do: SQLite has one writer, and write transactions start as such.
func (sqliteDialect) lockText(*gorm.DB, string) error { return nil }

// jsonTime is how times go into JSON parameters: as both kinds of store write them.
const jsonTime = "2006-01-02 15:04:05.999999-07:00"
