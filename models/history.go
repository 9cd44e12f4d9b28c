package models

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"gorm.io/gorm"
)

// growthWindow describes the growth of tables over a number of calendar days. The growth of a table is its size
// minus its base. The base is the size on the first of the window's days (the snapshot's day included), or when the
// table was first measured if that was later. A table first measured on the snapshot's own day has no growth, and one
// that came into being within the window has grown by its whole size.
type growthWindow struct {
	days       int64
	sort       string // of a page by this growth
	bytes, day string // columns of the base and of the day it is from
	of         func(row *TableSizeRow) **int64
}

const (
	tableGrowthDays = 30
	weekDays        = 7
)

var growthWindows = []growthWindow{
	{weekDays, "growth_7", "week_bytes", "week_day", func(row *TableSizeRow) **int64 { return &row.Growth7 }},
	{tableGrowthDays, "growth", "month_bytes", "month_day", func(row *TableSizeRow) **int64 { return &row.Growth30 }},
}

// dayNumber returns the calendar day of t in the store's zone as days since 1970-01-01.
func (s *Store) dayNumber(t time.Time) int64 {
	year, month, day := t.In(s.Zone).Date()
	return time.Date(year, month, day, 0, 0, 0, 0, time.UTC).Unix() / int64(24*time.Hour/time.Second)
}

// resize holds a change of the size of a stored row.
type resize struct {
	id           int64
	size, change *int64 // nil: unknown, the change also where the size was unknown before
	index, rows  *int64
}

// newResize returns the change of a row's size from one value to that of t.
func newResize(id int64, t *TableSize, from *int64) resize {
	r := resize{id: id, size: t.Total, index: t.Index, rows: t.Rows}
	switch {
	case from == nil:
	case t.Total == nil:
		r.change = new(-*from)
	default:
		r.change = new(*t.Total - *from)
	}
	return r
}

var resizeColumns = []column{
	{"table_id", "bigint"},
	{"size_bytes", "bigint"},
	{"delta_bytes", "bigint"},
	{"index_bytes", "bigint"},
	{"row_count", "bigint"},
}

const insertHistorySQL = `INSERT INTO table_size_history AS h
	(database_id, day, table_id, size_bytes, delta_bytes, index_bytes, row_count) `

// changeSQL computes by how much a row of the history changes the sum of all sizes. Where the size before is unknown,
// the sum gains the whole size.
const changeSQL = "COALESCE(delta_bytes, size_bytes, 0)"

const updateHistorySQL = ` ON CONFLICT (database_id, day, table_id) DO UPDATE SET size_bytes = excluded.size_bytes,
	delta_bytes = h.delta_bytes + COALESCE(excluded.delta_bytes, excluded.size_bytes, 0),
	index_bytes = excluded.index_bytes, row_count = excluded.row_count`

// saveHistory adds the changed sizes to the history, in the order of the primary key, which fills SQLite's pages twice
// as well as any other. Each row also has the change, so the rows that remain after pruning still tell the size before
// the first of them.
func (p *plan) saveHistory() error {
	if len(p.added) > 0 {
		p.saveAdded()
	}
	slices.SortFunc(p.resized, func(a, b resize) int { return cmp.Compare(a.id, b.id) })
	records := make([][]any, len(p.resized))
	for i, r := range p.resized {
		records[i] = []any{r.id, r.size, r.change, r.index, r.rows}
	}
	return inBatches(records, func(sizes string) {
		p.add(insertHistorySQL+"SELECT "+p.dialect.value("bigint")+", "+p.dialect.value("integer")+
			", table_id, size_bytes, delta_bytes, index_bytes, row_count FROM "+
			p.dialect.records(resizeColumns)+" WHERE true"+updateHistorySQL, p.database, p.day, sizes)
	})
}

// saveAdded adds the rows that the plan has inserted before.
func (p *plan) saveAdded() {
	const inserted = " FROM database_table_size_stats WHERE database_id = ? AND id > ?"
	day, change := p.dialect.value("integer"), "NULL"
	if p.proven {
		change = "size_bytes"
		p.add(insertEventsSQL+"SELECT database_id, "+day+", id, '"+eventNew+"', size_bytes"+inserted+" ORDER BY id",
			p.day, p.database, p.newest)
	}
	p.add(insertHistorySQL+"SELECT database_id, "+day+", id, size_bytes, "+change+", index_bytes, row_count"+inserted+
		" AND size_bytes IS NOT NULL ORDER BY id", p.day, p.database, p.newest)
}

// mergeLaterDays merges what is stored for later days into this day. There is such if the clock was set back or the
// zone changed.
func (s *Store) mergeLaterDays(tx *gorm.DB, database InstanceDatabase, day int64) error {
	if database.GrowthDay == nil || day >= *database.GrowthDay+tableGrowthDays-1 {
		return nil
	}
	today := s.dialect.value("integer")
	merge := []write{{insertHistorySQL + "SELECT l.database_id, " + today + `, l.table_id, l.size_bytes,
			CASE WHEN f.delta_bytes IS NOT NULL THEN ahead.delta END, l.index_bytes, l.row_count
		FROM (SELECT table_id, min(day) AS first, max(day) AS last, CAST(sum(` + changeSQL + `) AS bigint) AS delta
			FROM table_size_history WHERE database_id = ? AND day > ? GROUP BY table_id) AS ahead
		JOIN table_size_history AS f ON f.database_id = ? AND f.day = ahead.first AND f.table_id = ahead.table_id
		JOIN table_size_history AS l ON l.database_id = ? AND l.day = ahead.last AND l.table_id = ahead.table_id
		WHERE true` + updateHistorySQL, []any{day, database.ID, day, database.ID, database.ID}}}
	merge = append(merge, s.mergeLaterEvents(database.ID, day))
	for _, table := range []string{"table_size_history", "table_events", "snapshot_days"} {
		merge = append(merge, write{"DELETE FROM " + table + " WHERE database_id = ? AND day > ?", []any{database.ID, day}})
	}
	merge = append(merge, write{
		"UPDATE dropped_tables SET day = ? WHERE database_id = ? AND day > ?",
		[]any{day, database.ID, day},
	})
	for _, w := range growthWindows {
		merge = append(merge, write{"UPDATE database_table_size_stats SET " + w.day + " = ? WHERE database_id = ? AND " +
			w.day + " > ?", []any{day, database.ID, day}})
	}
	return execute(tx, merge)
}

// rollGrowth moves the bases of growth forward to the first days of the windows that end on the day. Only tables whose
// size changed in between need an update.
func rollGrowth(tx *gorm.DB, database InstanceDatabase, today int64) error {
	if database.GrowthDay == nil {
		return nil
	}
	counted := *database.GrowthDay + tableGrowthDays - 1 // the last day of the windows so far
	for _, w := range growthWindows {
		for day := counted + 2 - w.days; day <= min(today+1-w.days, counted); day++ { // there is no later history
			err := tx.Exec(`UPDATE database_table_size_stats AS t SET `+w.bytes+` = h.size_bytes, `+w.day+` = h.day
				FROM table_size_history AS h
				WHERE h.database_id = ? AND h.day = ? AND h.size_bytes IS NOT NULL AND t.id = h.table_id
					AND t.database_id = h.database_id`, database.ID, day).Error
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// saveDay stores what the snapshot sums up to, unless the day already has the same.
func (s *Store) saveDay(tx *gorm.DB, database InstanceDatabase, p *plan) error {
	stored, at := database.Snapshot, database.CollectedAt
	if at != nil && s.dayNumber(*at) == p.day &&
		stored.TotalBytes == p.header.TotalBytes && stored.TableCount == p.header.TableCount {
		return nil
	}
	return tx.Exec(`INSERT INTO snapshot_days (database_id, day, total_bytes, table_count) VALUES (?, ?, ?, ?)
		ON CONFLICT (database_id, day) DO UPDATE SET total_bytes = excluded.total_bytes, table_count = excluded.table_count`,
		database.ID, p.day, p.header.TotalBytes, p.header.TableCount).Error
}

// growthOf returns the expression for the growth within a window on the day of the snapshot with the header.
func (w growthWindow) growthOf(header Snapshot) string {
	if header.GrowthDay == nil {
		return "CAST(NULL AS bigint)"
	}
	snapshot := *header.GrowthDay + tableGrowthDays - 1
	return fmt.Sprintf("CASE WHEN %s < %d THEN size_bytes - %s END", w.day, snapshot, w.bytes)
}
