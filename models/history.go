package models

import (
	"cmp"
	"slices"
	"time"

	"gorm.io/gorm"
)

// The growth of a table is its size minus its base. The base is the size on the first of the last tableGrowthDays
// calendar days (the snapshot's day included), or when the table was first known if that was later. A table first seen
// on the snapshot's own day has no growth.
const tableGrowthDays = 30

// dayNumber returns the calendar day of t in the store's zone as days since 1970-01-01.
func (s *Store) dayNumber(t time.Time) int64 {
	year, month, day := t.In(s.Zone).Date()
	return time.Date(year, month, day, 0, 0, 0, 0, time.UTC).Unix() / int64(24*time.Hour/time.Second)
}

const insertHistorySQL = `INSERT INTO table_size_history AS h (database_id, day, table_id, size_bytes, delta_bytes) `

const updateHistorySQL = `ON CONFLICT (database_id, day, table_id) DO UPDATE SET size_bytes = excluded.size_bytes,
	delta_bytes = h.delta_bytes + excluded.delta_bytes`

// saveHistory adds the changed sizes to the history, in the order of the primary key, which fills SQLite's pages twice
// as well as any other. Each row also has the change, so the rows that remain after pruning still tell the size before
// the first of them.
func (p *plan) saveHistory(d dialect, databaseID, day int64) error {
	if len(p.added) > 0 {
		p.add(insertHistorySQL+"SELECT database_id, "+d.value("integer")+`, id, size_bytes, NULL
			FROM database_table_size_stats
			WHERE database_id = ? AND id > ? AND size_bytes IS NOT NULL ORDER BY id`, day, databaseID, p.newest)
	}
	slices.SortFunc(p.resized, func(a, b [3]*int64) int { return cmp.Compare(*a[0], *b[0]) })
	columns := []column{{"table_id", "bigint"}, {"size_bytes", "bigint"}, {"delta_bytes", "bigint"}}
	return inBatches(p.resized, func(sizes string) {
		p.add(insertHistorySQL+"SELECT "+d.value("bigint")+", "+d.value("integer")+
			", table_id, size_bytes, delta_bytes FROM "+
			d.records(columns)+" WHERE true "+updateHistorySQL, databaseID, day, sizes)
	})
}

// mergeLaterDays merges rows of later days into this day. There are such rows if the clock was set back or the zone
// changed.
func (s *Store) mergeLaterDays(tx *gorm.DB, database InstanceDatabase, day int64) error {
	if database.GrowthDay == nil || day >= *database.GrowthDay+tableGrowthDays-1 {
		return nil
	}
	err := tx.Exec(insertHistorySQL+"SELECT l.database_id, "+s.dialect.value("integer")+`, l.table_id, l.size_bytes,
			ahead.delta
		FROM (SELECT table_id, max(day) AS day,
				CASE WHEN count(delta_bytes) = count(*) THEN CAST(sum(delta_bytes) AS bigint) END AS delta
			FROM table_size_history WHERE database_id = ? AND day > ? GROUP BY table_id) AS ahead
		JOIN table_size_history AS l ON l.database_id = ? AND l.day = ahead.day AND l.table_id = ahead.table_id
		WHERE true `+updateHistorySQL, day, database.ID, day, database.ID).Error
	if err != nil {
		return err
	}
	err = tx.Exec("DELETE FROM table_size_history WHERE database_id = ? AND day > ?", database.ID, day).Error
	if err != nil {
		return err
	}
	return tx.Exec("UPDATE database_table_size_stats SET base_day = ? WHERE database_id = ? AND base_day > ?",
		day, database.ID, day).Error
}

// rollGrowth moves the base of growth forward to the first of the last tableGrowthDays. Only tables whose size changed
// in between need an update.
func (s *Store) rollGrowth(tx *gorm.DB, database InstanceDatabase, header *Snapshot, at time.Time) error {
	first := s.dayNumber(at) + 1 - tableGrowthDays
	header.GrowthDay = &first
	if database.GrowthDay == nil {
		return nil
	}
	counted := *database.GrowthDay
	for day := counted + 1; day <= min(first, counted+tableGrowthDays); day++ { // there is no later history
		err := tx.Exec(`UPDATE database_table_size_stats AS t SET base_bytes = h.size_bytes, base_day = h.day
			FROM table_size_history AS h
			WHERE h.database_id = ? AND h.day = ? AND t.id = h.table_id AND t.database_id = h.database_id`,
			database.ID, day).Error
		if err != nil {
			return err
		}
	}
	return nil
}
