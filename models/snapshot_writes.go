package models

import (
	"fmt"
	"slices"
	"strings"

	"gorm.io/gorm"
)

// snapshotBatch is how many rows one JSON parameter holds.
const snapshotBatch = 5000

// prepare builds the statements of the plan.
func (p *plan) prepare() error {
	before := firstMeasured(p.day)
	if p.proven {
		before = nothingBefore(p.day)
	}
	err := p.upsertAll(len(p.added), before, func(i int) []any {
		row := newTableRow(p.added[i])
		return row.record(&p.fingerprints)
	})
	if err != nil {
		return err
	}
	if err := p.upsertReturned(); err != nil {
		return err
	}

	err = p.upsertAll(len(p.rewritten), firstMeasured(p.day), func(i int) []any {
		return p.rewritten[i].record(&p.fingerprints)
	})
	if err != nil {
		return err
	}
	if err := p.saveHistory(); err != nil {
		return err
	}
	return p.saveDropped()
}

// upsertAll writes n rows in batches. Their values are made batch by batch, too.
func (p *plan) upsertAll(n int, from base, record func(i int) []any) error {
	rows := make([][]any, 0, min(n, snapshotBatch))
	for i := range n {
		if rows = append(rows, record(i)); len(rows) < snapshotBatch && i < n-1 {
			continue
		}
		if err := p.upsert(writtenTableColumns, rows, from); err != nil {
			return err
		}
		rows = rows[:0]
	}
	return nil
}

func (p *plan) add(statement string, values ...any) {
	p.writes = append(p.writes, write{statement, values})
}

func (p *plan) execute(tx *gorm.DB) error { return execute(tx, p.writes) }

func execute(tx *gorm.DB, writes []write) error {
	for _, w := range writes {
		if err := tx.Exec(w.statement, w.values...).Error; err != nil {
			return err
		}
	}
	return nil
}

// inBatches calls do with the list, encoded as JSON parameters of up to snapshotBatch elements.
func inBatches[T any](list []T, do func(parameter string)) error {
	for batch := range slices.Chunk(list, snapshotBatch) {
		parameter, err := jsonParameter(batch)
		if err != nil {
			return err
		}
		do(parameter)
	}
	return nil
}

// base tells what the growth of inserted rows is counted from.
type base struct {
	bytes string // expression
	day   int64
}

// firstMeasured returns the base of a relation that may have existed before the day.
func firstMeasured(day int64) base { return base{bytes: "r.size_bytes", day: day} }

// nothingBefore returns the base of a relation that came into being on the day.
func nothingBefore(day int64) base { return base{bytes: "0", day: day - 1} }

var upsertTablesSQL = ` WHERE true
	ON CONFLICT (database_id, schema_name, table_name) DO UPDATE SET ` + updateTableColumns + keepBases()

// keepBases returns the assignments that keep the first known size as the base of growth, except that later runs of the
// base's own day replace it.
func keepBases() string {
	var assignments strings.Builder
	for _, w := range growthWindows {
		fmt.Fprintf(&assignments, `,
			%[1]s = CASE WHEN t.%[2]s IS NULL OR t.%[2]s = excluded.%[2]s THEN excluded.%[1]s ELSE t.%[1]s END,
			%[2]s = COALESCE(t.%[2]s, excluded.%[2]s)`, w.bytes, w.day)
	}
	return assignments.String()
}

// upsert writes one batch of values of the columns. Values that all rows share are passed outside the JSON, whose
// parsing is half of the work.
func (p *plan) upsert(columns []column, rows [][]any, from base) error {
	names, sources := make([]string, len(columns)), make([]string, len(columns))
	values := []any{p.database}
	var varying []column
	var positions []int
	for i, c := range columns {
		names[i], sources[i] = c.name, "r."+c.name
		if c.name != "size_bytes" && common(rows, i) {
			sources[i], values = p.dialect.value(c.kind), append(values, rows[0][i])
			continue
		}
		varying, positions = append(varying, c), append(positions, i)
	}
	parameter, err := jsonParameter(project(rows, positions))
	if err != nil {
		return err
	}
	for _, w := range growthWindows {
		names = append(names, w.bytes, w.day)
		sources = append(sources, "CASE WHEN r.size_bytes IS NOT NULL THEN "+from.bytes+" END",
			"CASE WHEN r.size_bytes IS NOT NULL THEN "+p.dialect.value("integer")+" END")
		values = append(values, from.day)
	}
	p.add("INSERT INTO database_table_size_stats AS t (database_id, "+strings.Join(names, ", ")+") SELECT "+
		p.dialect.value("bigint")+", "+strings.Join(sources, ", ")+" FROM "+p.dialect.records(varying)+upsertTablesSQL,
		append(values, parameter)...)
	return nil
}

// common reports whether all rows have the same value.
func common(rows [][]any, i int) bool {
	return !slices.ContainsFunc(rows, func(row []any) bool { return row[i] != rows[0][i] })
}

// project returns the values of each row at the positions.
func project(rows [][]any, positions []int) [][]any {
	out := make([][]any, len(rows))
	for i, row := range rows {
		out[i] = make([]any, len(positions))
		for j, position := range positions {
			out[i][j] = row[position]
		}
	}
	return out
}
