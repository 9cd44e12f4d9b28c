package models

import (
	"database/sql"
	"strings"
)

// dialect is what the two kinds of store say differently.
type dialect interface {
	// snapshot are the options of a transaction that sees one state of the store.
	snapshot() *sql.TxOptions
	// contains is a condition with one parameter, which pattern builds: column holds the text as it is.
	contains(column string) string
	pattern(text string) string
	// records is a table r made of one JSON parameter, an array of objects with these columns.
	records(columns []column) string
	// ids is a list of ids made of one JSON parameter, for IN.
	ids() string
}

// column of a table made of JSON.
type column struct{ name, kind string }

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
		fields[i] = c.name + " " + c.kind
	}
	return "jsonb_to_recordset(CAST(? AS jsonb)) AS r(" + strings.Join(fields, ", ") + ")"
}

func (postgresDialect) ids() string {
	return "(SELECT CAST(value AS bigint) FROM jsonb_array_elements_text(CAST(? AS jsonb)))"
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
		fields[i] = "json_extract(value, '$." + c.name + "') AS " + c.name
	}
	return "(SELECT " + strings.Join(fields, ", ") + " FROM json_each(?)) AS r"
}

func (sqliteDialect) ids() string { return "(SELECT value FROM json_each(?))" }
