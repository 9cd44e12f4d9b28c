// Package catalog emulates the system catalogs of SQL Server and Oracle on SQLite. Its views have the columns that the
// vendors' reference pages list, so a statement with a misspelled view or column fails as it would on a server. Only
// tests import it.
package catalog

import (
	"bytes"
	"context"
	"database/sql"
	"embed"
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	_ "github.com/glebarez/go-sqlite" // the engine the catalogs are emulated on
)

//go:embed *.json cases
var files embed.FS

// Column is one column of a catalog view.
type Column struct {
	Name  string
	Type  string // as written on the reference page: "bigint", "nvarchar(60)", "VARCHAR2(128)"
	Since string // first version that has it, such as "2016 (13.x)"; empty: all supported ones
	Only  string // the only product that has it, such as "Azure SQL Database"; empty: all
}

// View is a catalog view as its vendor documents it.
type View struct {
	Schema  string // empty if the view is named without one
	Name    string
	Page    string // address of the reference page that lists the columns
	Since   string // first version that has the view; empty: all supported ones
	Columns []Column
}

// Key returns the key of the view in Rows, such as "sys.objects", or "DBA_SEGMENTS" without a schema.
func (v View) Key() string {
	if v.Schema == "" {
		return v.Name
	}
	return v.Schema + "." + v.Name
}

// Rows holds the rows of views by View.Key. Values are string, bool, nil, json.Number and Go integers. A missing column
// is NULL.
type Rows map[string][]map[string]any

// Case is a catalog and the result that a collector must return for it.
type Case struct {
	Name     string
	Source   []string // addresses or rules that the expectation is based on
	Why      string
	AsUser   string `json:"as_user"` // account of the collector; empty: one that sees everything
	Fallback bool   // whether the result must be the same without views that need a permission; true by default
	Rows     Rows
	Want     json.RawMessage
}

// Want is the expected result for one database. Sizes are in bytes; nil is unknown.
type Want struct {
	Scope    string // only schema that is listed; empty: all
	Complete bool
	Hidden   int64  // relations that exist but whose names are not visible
	Residual *int64 // bytes that belong to no table
	Tables   []Table
}

// Table is an expected relation. Sizes are in bytes; nil is unknown.
type Table struct {
	Schema, Name, Kind         string
	Total, Data, Index, Unused *int64
	Rows, Memory               *int64
	RowsSource                 string     `json:"rows_source"`
	RowsAt                     *time.Time `json:"rows_at"` // nil: now or unknown
	Note                       string
	RelatedSchema              string `json:"related_schema"`
	Related                    string
}

// Views returns the catalog views of "sqlserver" or "oracle", and panics for any other engine.
func Views(engine string) []View {
	content, err := files.ReadFile(engine + ".json")
	if err != nil {
		panic(err)
	}
	var views []View
	if err := decode(content, &views); err != nil {
		panic(fmt.Errorf("%s.json: %w", engine, err))
	}
	return views
}

// AsOf returns the views, columns and rows that a version has. The version is a year or number like those in Since.
func AsOf(version int, views []View, rows Rows) ([]View, Rows) {
	var keptViews []View
	keptRows := Rows{}
	for _, view := range views {
		if !exists(view.Since, version) {
			continue
		}
		missing := map[string]bool{}
		for _, column := range view.Columns {
			missing[column.Name] = column.Only != "" || !exists(column.Since, version)
		}
		view.Columns = slices.DeleteFunc(slices.Clone(view.Columns), func(c Column) bool { return missing[c.Name] })
		keptViews = append(keptViews, view)
		for _, row := range rows[view.Key()] {
			row = maps.Clone(row)
			maps.DeleteFunc(row, func(name string, _ any) bool { return missing[name] })
			keptRows[view.Key()] = append(keptRows[view.Key()], row)
		}
	}
	return keptViews, keptRows
}

func exists(since string, version int) bool {
	if since == "" {
		return true
	}
	var first int
	if _, err := fmt.Sscan(since, &first); err != nil {
		panic(fmt.Errorf("since %q: %w", since, err))
	}
	return first <= version
}

// Cases returns the cases of an engine in the order of their file names.
func Cases(t testing.TB, engine string) []Case {
	t.Helper()
	dir := path.Join("cases", engine)
	entries, err := files.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	cases := make([]Case, 0, len(entries))
	for _, entry := range entries {
		content, err := files.ReadFile(path.Join(dir, entry.Name()))
		if err != nil {
			t.Fatal(err)
		}
		c := Case{Fallback: true}
		if err := decode(content, &c); err != nil {
			t.Fatalf("%s: %v", entry.Name(), err)
		}
		cases = append(cases, c)
	}
	return cases
}

// DecodeWant decodes the expectation into want, a *Want or *map[string]Want. An unknown member fails the test.
func (c Case) DecodeWant(t testing.TB, want any) {
	t.Helper()
	if err := decode(c.Want, want); err != nil {
		t.Fatalf("%s: want: %v", c.Name, err)
	}
}

func decode(content []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(content))
	decoder.UseNumber()
	decoder.DisallowUnknownFields()
	return decoder.Decode(into)
}

// Open creates a database in memory with the views and their rows. A schema is an attached database, so views can be
// named with and without it. Closing the database frees it.
func Open(ctx context.Context, views []View, rows Rows) (*sql.DB, error) {
	db, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1) // every connection would see a database of its own
	if err := fill(ctx, db, views, rows); err != nil {
		_ = db.Close()
		return nil, err
	}
	return db, nil
}

func fill(ctx context.Context, db *sql.DB, views []View, rows Rows) error {
	if err := attach(ctx, db, views); err != nil {
		return err
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	unknown := maps.Clone(rows)
	for _, view := range views {
		if err := create(ctx, tx, view); err != nil {
			return err
		}
		if err := insert(ctx, tx, view, rows[view.Key()]); err != nil {
			return err
		}
		delete(unknown, view.Key())
	}
	for key := range unknown {
		return fmt.Errorf("rows of %s, which is not a view", key)
	}
	return tx.Commit()
}

func attach(ctx context.Context, db *sql.DB, views []View) error {
	attached := map[string]bool{"": true}
	for _, view := range views {
		if attached[view.Schema] {
			continue
		}
		if _, err := db.ExecContext(ctx, "ATTACH ':memory:' AS "+quote(view.Schema)); err != nil {
			return err
		}
		attached[view.Schema] = true
	}
	return nil
}

func create(ctx context.Context, tx *sql.Tx, view View) error {
	columns := make([]string, len(view.Columns))
	for i, column := range view.Columns {
		declared, err := declaration(column.Type)
		if err != nil {
			return fmt.Errorf("%s.%s: %w", view.Key(), column.Name, err)
		}
		columns[i] = quote(column.Name) + " " + declared
	}
	_, err := tx.ExecContext(ctx, "CREATE TABLE "+qualified(view)+" ("+strings.Join(columns, ", ")+")")
	return err
}

func insert(ctx context.Context, tx *sql.Tx, view View, rows []map[string]any) error {
	if len(rows) == 0 {
		return nil
	}
	places := strings.TrimSuffix(strings.Repeat("?, ", len(view.Columns)), ", ")
	statement, err := tx.PrepareContext(ctx, "INSERT INTO "+qualified(view)+" VALUES ("+places+")")
	if err != nil {
		return err
	}
	defer func() { _ = statement.Close() }()
	for _, row := range rows {
		values, err := values(view, row)
		if err != nil {
			return err
		}
		if _, err := statement.ExecContext(ctx, values...); err != nil {
			return fmt.Errorf("%s: %w", view.Key(), err)
		}
	}
	return nil
}

// values returns the values of the row in the order of the view's columns.
func values(view View, row map[string]any) ([]any, error) {
	for name := range row {
		if !slices.ContainsFunc(view.Columns, func(c Column) bool { return c.Name == name }) {
			return nil, fmt.Errorf("%s has no column %s", view.Key(), name)
		}
	}
	all := make([]any, len(view.Columns))
	for i, column := range view.Columns {
		var err error
		if all[i], err = column.store(row[column.Name]); err != nil {
			return nil, fmt.Errorf("%s.%s: %w", view.Key(), column.Name, err)
		}
	}
	return all, nil
}

// store returns the value as a server stores it: text of a fixed length is padded with spaces.
func (c Column) store(value any) (any, error) {
	switch value := value.(type) {
	case json.Number:
		return parse(value)
	case string:
		var length int
		if _, err := fmt.Sscanf(strings.ToLower(c.Type), "char(%d)", &length); err != nil {
			return value, nil //nolint:nilerr // any other type keeps its text as it is
		}
		return fmt.Sprintf("%-*s", length, value), nil
	default:
		return value, nil
	}
}

// parse keeps an integer exact, which a float64 above 2^53 is not.
func parse(number json.Number) (any, error) {
	if strings.ContainsAny(string(number), ".eE") {
		return number.Float64()
	}
	return number.Int64()
}

var affinities = map[string]string{
	"bigint": "INTEGER", "int": "INTEGER", "smallint": "INTEGER", "tinyint": "INTEGER", "bit": "INTEGER",
	"decimal": "NUMERIC", "numeric": "NUMERIC", "number": "NUMERIC", "float": "REAL",
	"sysname": "TEXT", "nvarchar": "TEXT", "varchar": "TEXT", "char": "TEXT COLLATE RTRIM", "uniqueidentifier": "TEXT",
	"varchar2": "TEXT", "nvarchar2": "TEXT", "clob": "TEXT", "long": "TEXT",
	"datetime": "TEXT", "datetime2": "TEXT", "date": "TEXT", "timestamp": "TEXT",
	"varbinary": "BLOB", "binary": "BLOB", "raw": "BLOB", "rowid": "TEXT", "sql_variant": "BLOB",
}

// affinity returns the SQLite type for a vendor's type. Dates become text, since SQLite has no type for them; padded
// text compares without its padding.
func affinity(vendor string) (string, error) {
	base, _, _ := strings.Cut(strings.ToLower(vendor), "(")
	affinity, ok := affinities[strings.TrimSpace(base)]
	if !ok {
		return "", fmt.Errorf("unknown type %q", vendor)
	}
	return affinity, nil
}

// declaration returns the declared type of a column: its affinity, then the vendor's type, which result columns show.
func declaration(vendor string) (string, error) {
	affinity, err := affinity(vendor)
	if err != nil {
		return "", err
	}
	affinity, collation, collated := strings.Cut(affinity, " COLLATE ")
	base, size, _ := strings.Cut(vendor, "(")
	declared := affinity + " " + strings.TrimSpace(base)
	if digits := strings.TrimSuffix(size, ")"); digits != "" && strings.Trim(digits, "0123456789, ") == "" {
		declared += "(" + digits + ")"
	}
	if collated {
		declared += " COLLATE " + collation
	}
	return declared, nil
}

func qualified(view View) string {
	if view.Schema == "" {
		return quote(view.Name)
	}
	return quote(view.Schema) + "." + quote(view.Name)
}

func quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }
