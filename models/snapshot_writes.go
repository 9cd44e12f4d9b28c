package models

import (
	"slices"
	"strings"

	"gorm.io/gorm"
)

// snapshotBatch is how many rows one JSON parameter holds.
const snapshotBatch = 5000

// prepare builds the statements of the plan.
func (p *plan) prepare(d dialect, databaseID, day int64) error {
	rows := make([][]any, 0, min(len(p.added)+len(p.rewritten), snapshotBatch))
	collect := func(row *DatabaseTableSizeStat) error {
		if rows = append(rows, row.record(&p.fingerprints)); len(rows) < snapshotBatch {
			return nil
		}
		err := p.upsert(d, databaseID, day, rows)
		rows = rows[:0]
		return err
	}
	var fresh DatabaseTableSizeStat
	for _, t := range p.added {
		fresh = newTableRow(t)
		if err := collect(&fresh); err != nil {
			return err
		}
	}
	for i := range p.rewritten {
		if err := collect(&p.rewritten[i]); err != nil {
			return err
		}
	}
	if err := p.upsert(d, databaseID, day, rows); err != nil {
		return err
	}
	if err := p.saveHistory(d, databaseID, day); err != nil {
		return err
	}
	return inBatches(p.removed, func(ids string) {
		p.add("DELETE FROM database_table_size_stats WHERE database_id = ? AND id IN "+d.ids(), databaseID, ids)
	})
}

func (p *plan) add(statement string, values ...any) {
	p.writes = append(p.writes, write{statement, values})
}

func (p *plan) execute(tx *gorm.DB) error {
	for _, w := range p.writes {
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

// The base of growth keeps the first known size, except that later runs of the base's own day replace it.
var upsertTablesSQL = ` WHERE true
	ON CONFLICT (database_id, schema_name, table_name) DO UPDATE SET ` + updateTableColumns + `,
		base_bytes = CASE WHEN t.base_day IS NULL OR t.base_day = excluded.base_day
			THEN excluded.base_bytes ELSE t.base_bytes END,
		base_day = COALESCE(t.base_day, excluded.base_day)`

// upsert writes one batch. Values that all rows share are passed outside the JSON, whose parsing is half of the work.
func (p *plan) upsert(d dialect, databaseID, day int64, rows [][]any) error {
	if len(rows) == 0 {
		return nil
	}
	names, sources := make([]string, len(writtenTableColumns)), make([]string, len(writtenTableColumns))
	values := []any{databaseID}
	var varying []column
	var positions []int
	for i, c := range writtenTableColumns {
		names[i], sources[i] = c.name, "r."+c.name
		if c.name != "size_bytes" && common(rows, i) {
			sources[i], values = d.value(c.kind), append(values, rows[0][i])
			continue
		}
		varying, positions = append(varying, c), append(positions, i)
	}
	parameter, err := jsonParameter(project(rows, positions))
	if err != nil {
		return err
	}
	p.add("INSERT INTO database_table_size_stats AS t (database_id, "+strings.Join(names, ", ")+
		", base_bytes, base_day) SELECT "+
		d.value("bigint")+", "+strings.Join(sources, ", ")+", r.size_bytes, CASE WHEN r.size_bytes IS NOT NULL THEN "+
		d.value("integer")+" END FROM "+d.records(varying)+upsertTablesSQL, append(values, day, parameter)...)
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
