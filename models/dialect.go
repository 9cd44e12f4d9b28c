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

// dialect is what the two kinds of store say differently.
type dialect interface {
	// snapshot are the options of a transaction that sees one state of the store.
	snapshot() *sql.TxOptions
	// contains is a condition with one parameter, which pattern builds: column holds the text as it is.
	contains(column string) string
	pattern(text string) string
	// records returns a table r made of one JSON parameter: an array of rows, each an array of the columns' values. Other
	// tables are joined to it by CROSS JOIN and conditions in WHERE: SQLite then reads the records once and looks the
	// others up by index. By JOIN it may parse the whole parameter again for each of their rows.
	records(columns []column) string
	// value is a parameter of a kind of column.
	value(kind string) string
	// analyze has the planner learn about a table that has grown a lot; empty: it need not.
	analyze(table string) string
	// ids is a list of ids made of one JSON parameter, for IN.
	ids() string
	// size is a query for the size of the store's database, bytes.
	size() string
	// lockText makes transactions that lock the same text follow each other.
	lockText(tx *gorm.DB, text string) error
}

// column of a table made of JSON.
type column struct{ name, kind string }

// jsonParameter is a list of ids or records as one parameter, however many they are.
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

// Autovacuum would come a minute later, and until then a page sorts the whole database.
func (postgresDialect) analyze(table string) string { return "ANALYZE " + table }

func (postgresDialect) ids() string {
	return "(SELECT CAST(value AS bigint) FROM jsonb_array_elements_text(CAST(? AS jsonb)))"
}

func (postgresDialect) size() string { return "SELECT pg_database_size(current_database())" }

func (postgresDialect) lockText(tx *gorm.DB, text string) error {
	sum := sha256.Sum256([]byte(text))
	return tx.Exec("SELECT pg_advisory_xact_lock(?)", int64(binary.BigEndian.Uint64(sum[:8]))).Error
}

type sqliteDialect struct{}

// A read transaction of SQLite in WAL mode always sees one state.
func (sqliteDialect) snapshot() *sql.TxOptions { return &sql.TxOptions{ReadOnly: true} }

// LIKE would fold ASCII only, and cannot use the length of the pattern.
func (sqliteDialect) contains(column string) string { return "instr(" + column + ", ?) > 0" }

func (sqliteDialect) pattern(text string) string { return text }

func (sqliteDialect) records(columns []column) string {
	fields := make([]string, len(columns))
	for i, c := range columns {
		fields[i] = fmt.Sprintf("json_extract(value, '$[%d]') AS %s", i, c.name)
	}
	return "(SELECT " + strings.Join(fields, ", ") + " FROM jsonb_each(?)) AS r"
}

// A cast would make a number of a time.
func (sqliteDialect) value(string) string { return "?" }

// SQLite's planner takes an index that gives the asked-for order without knowing how large a table is.
func (sqliteDialect) analyze(string) string { return "" }

func (sqliteDialect) ids() string { return "(SELECT value FROM json_each(?))" }

func (sqliteDialect) size() string {
	return "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"
}

// SQLite has one writer, and its transactions begin as such.
func (sqliteDialect) lockText(*gorm.DB, string) error { return nil }

// jsonTime is how times go into JSON parameters: as both kinds of store write them.
const jsonTime = "2006-01-02 15:04:05.999999-07:00"
