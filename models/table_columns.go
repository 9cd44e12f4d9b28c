package models

import (
	"crypto/sha256"
	"encoding/binary"
	"strconv"
	"strings"
	"time"
)

// DatabaseTableSizeStat is a stored row of a database's snapshot: one relation, as it was last measured. A new value
// needs a field, a line in tableColumns and a migration.
type DatabaseTableSizeStat struct {
	ID int64
	TableSize
	KeptFrom *time.Time // end of the run that measured the values; nil: the snapshot's own run, or never measured
}

// tableColumn describes a column of database_table_size_stats. The type of the field decides the type of the column.
type tableColumn struct {
	name  string
	field func(row *DatabaseTableSizeStat) any // pointer to the row's value
	fold  bool                                 // stores the field's folded text, for search; never read
	key   bool                                 // part of the row's identity: not updated, and not in the fingerprint
	sort  string                               // sort of a page by this number; empty: none
}

// tableColumns lists the columns that hold what a collection found. Everything that reads, writes or compares rows is
// derived from it. The fingerprint hashes the columns in this order: changing the order, or adding a column, makes the
// first refresh after an upgrade rewrite every row.
var tableColumns = []tableColumn{
	{name: "schema_name", field: func(row *DatabaseTableSizeStat) any { return &row.Schema }, key: true},
	{name: "table_name", field: func(row *DatabaseTableSizeStat) any { return &row.Name }, key: true},
	{name: "schema_fold", field: func(row *DatabaseTableSizeStat) any { return &row.Schema }, key: true, fold: true},
	{name: "table_fold", field: func(row *DatabaseTableSizeStat) any { return &row.Name }, key: true, fold: true},
	{name: "kind", field: func(row *DatabaseTableSizeStat) any { return &row.Kind }},
	{name: "parent_schema", field: func(row *DatabaseTableSizeStat) any { return &row.ParentSchema }},
	{name: "parent_name", field: func(row *DatabaseTableSizeStat) any { return &row.Parent }},
	{name: "rows_source", field: func(row *DatabaseTableSizeStat) any { return &row.RowsSource }},
	{name: "size_source", field: func(row *DatabaseTableSizeStat) any { return &row.SizeSource }},
	{name: "unread", field: func(row *DatabaseTableSizeStat) any { return &row.Unread }},
	{name: "note", field: func(row *DatabaseTableSizeStat) any { return &row.Note }},
	{name: "related_schema", field: func(row *DatabaseTableSizeStat) any { return &row.RelatedSchema }},
	{name: "related_name", field: func(row *DatabaseTableSizeStat) any { return &row.Related }},
	{name: "rolled_up", field: func(row *DatabaseTableSizeStat) any { return &row.RolledUp }},
	{name: "stats_stale", field: func(row *DatabaseTableSizeStat) any { return &row.StatsStale }},
	{name: "size_bytes", field: func(row *DatabaseTableSizeStat) any { return &row.Total }, sort: "size"},
	{name: "data_bytes", field: func(row *DatabaseTableSizeStat) any { return &row.Data }, sort: "data"},
	{name: "index_bytes", field: func(row *DatabaseTableSizeStat) any { return &row.Index }, sort: "index"},
	{name: "unused_bytes", field: func(row *DatabaseTableSizeStat) any { return &row.Unused }, sort: "unused"},
	{name: "memory_bytes", field: func(row *DatabaseTableSizeStat) any { return &row.Memory }},
	{name: "row_count", field: func(row *DatabaseTableSizeStat) any { return &row.Rows }, sort: "rows"},
	{name: "rows_at", field: func(row *DatabaseTableSizeStat) any { return &row.RowsAt }},
	{name: "kept_from", field: func(row *DatabaseTableSizeStat) any { return &row.KeptFrom }},
}

// kind returns the column's type in PostgreSQL.
func (c *tableColumn) kind() string {
	switch c.field(&DatabaseTableSizeStat{}).(type) {
	case *bool:
		return "boolean"
	case **int64:
		return "bigint"
	case **time.Time:
		return "timestamptz"
	}
	return "text"
}

// value returns a row's value as it goes into a JSON parameter; nil is NULL.
func (c *tableColumn) value(row *DatabaseTableSizeStat) any {
	switch v := c.field(row).(type) {
	case *string:
		if c.fold {
			return fold(*v)
		}
		return *v
	case **int64:
		if *v != nil {
			return **v
		}
	case **time.Time:
		if *v != nil {
			return (*v).UTC().Format(jsonTime)
		}
	case *bool:
		return *v
	case *Kind:
		return string(*v)
	case *RowsSource:
		return string(*v)
	case *SizeSource:
		return string(*v)
	case *Unread:
		return string(*v)
	case *Note:
		return string(*v)
	default:
		panic("no column can hold the value of " + c.name)
	}
	return nil
}

// appendTo appends a row's value to what the fingerprint hashes.
func (c *tableColumn) appendTo(text []byte, row *DatabaseTableSizeStat) []byte {
	switch v := c.field(row).(type) {
	case **int64:
		if *v != nil {
			return appendNumber(text, **v)
		}
	case **time.Time:
		if *v != nil {
			return appendNumber(text, (*v).UnixMicro())
		}
	case *string:
		return appendText(text, *v)
	case *bool:
		return appendText(text, strconv.FormatBool(*v))
	case *Kind:
		return appendText(text, string(*v))
	case *RowsSource:
		return appendText(text, string(*v))
	case *SizeSource:
		return appendText(text, string(*v))
	case *Unread:
		return appendText(text, string(*v))
	case *Note:
		return appendText(text, string(*v))
	default:
		panic("no fingerprint can have the value of " + c.name)
	}
	return append(text, 0)
}

func appendText(text []byte, value string) []byte {
	return append(binary.AppendUvarint(text, uint64(len(value))), value...)
}

func appendNumber(text []byte, value int64) []byte {
	return binary.BigEndian.AppendUint64(append(text, 1), uint64(value))
}

// Derived from tableColumns.
var (
	selectTableColumns  = selectedColumns()
	writtenTableColumns = writtenColumns()
	updateTableColumns  = updatedColumns()
	tableSorts          = sortedColumns()
)

func selectedColumns() string {
	names := []string{"id"}
	for _, c := range tableColumns {
		if !c.fold {
			names = append(names, c.name)
		}
	}
	return strings.Join(names, ", ")
}

// writtenColumns returns the columns of DatabaseTableSizeStat.record.
func writtenColumns() []column {
	var columns []column
	for _, c := range tableColumns {
		columns = append(columns, column{c.name, c.kind()})
	}
	return append(columns, column{"fingerprint", "bigint"})
}

// updatedColumns returns the assignments of an upsert that meets a stored row.
func updatedColumns() string {
	assignments := []string{"fingerprint = excluded.fingerprint"}
	for _, c := range tableColumns {
		if !c.key {
			assignments = append(assignments, c.name+" = excluded."+c.name)
		}
	}
	return strings.Join(assignments, ", ")
}

func sortedColumns() map[string]*tableColumn {
	columns := map[string]*tableColumn{}
	for i := range tableColumns {
		if c := &tableColumns[i]; c.sort != "" {
			columns[c.sort] = c
		}
	}
	return columns
}

// destinations returns where to scan selectTableColumns, and others for what is selected behind them.
func (row *DatabaseTableSizeStat) destinations(others ...any) []any {
	all := make([]any, 1, 1+len(tableColumns)+len(others))
	all[0] = &row.ID
	for i := range tableColumns {
		if c := &tableColumns[i]; !c.fold {
			all = append(all, c.field(row))
		}
	}
	return append(all, others...)
}

// record returns the values of writtenTableColumns.
func (row *DatabaseTableSizeStat) record(f *fingerprinter) []any {
	values := make([]any, 0, len(writtenTableColumns))
	for i := range tableColumns {
		values = append(values, tableColumns[i].value(row))
	}
	return append(values, f.sum(row))
}

// fingerprinter computes fingerprints. It keeps its buffer from one row to the next.
type fingerprinter struct{ text []byte }

// sum returns a hash of the row's values. Two rows of the same relation with equal fingerprints store the same values.
func (f *fingerprinter) sum(row *DatabaseTableSizeStat) int64 {
	f.text = f.text[:0]
	for i := range tableColumns {
		if c := &tableColumns[i]; !c.key {
			f.text = c.appendTo(f.text, row)
		}
	}
	sum := sha256.Sum256(f.text)
	return int64(binary.BigEndian.Uint64(sum[:8]))
}
