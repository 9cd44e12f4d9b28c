package models

import (
	"cmp"
	"slices"
	"time"

	"gorm.io/gorm"
)

// Growth of a table is its size now less its base: what it had on the first of the last tableGrowthDays calendar days
// (the snapshot's day included), or when it was first known, if that was later. A table that was not known before the
// snapshot's day has none.
const tableGrowthDays = 30

// dayNumber is the calendar day of t in the store's zone, days since 1970-01-01.
func (s *Store) dayNumber(t time.Time) int64 {
	year, month, day := t.In(s.Zone).Date()
	return time.Date(year, month, day, 0, 0, 0, 0, time.UTC).Unix() / int64(24*time.Hour/time.Second)
}

const rememberSQL = `INSERT INTO table_size_history AS h (database_id, day, table_id, size_bytes, delta_bytes) `

const rememberAgainSQL = `ON CONFLICT (database_id, day, table_id) DO UPDATE SET size_bytes = excluded.size_bytes,
	delta_bytes = h.delta_bytes + excluded.delta_bytes`

// remember keeps the sizes that have changed, in the order of the key, which fills SQLite's pages twice as well as any other.
// Each row of the history has the change, too, so that those that are kept tell by themselves what a table had before the
// first of them.
func (p *plan) remember(d dialect, databaseID, day int64) error {
	if len(p.added) > 0 {
		p.add(rememberSQL+"SELECT database_id, "+d.value("integer")+`, id, size_bytes, NULL FROM database_table_size_stats
			WHERE database_id = ? AND id > ? AND size_bytes IS NOT NULL ORDER BY id`, day, databaseID, p.newest)
	}
	slices.SortFunc(p.resized, func(a, b [3]*int64) int { return cmp.Compare(*a[0], *b[0]) })
	columns := []column{{"table_id", "bigint"}, {"size_bytes", "bigint"}, {"delta_bytes", "bigint"}}
	return inBatches(p.resized, func(sizes string) {
		p.add(rememberSQL+"SELECT "+d.value("bigint")+", "+d.value("integer")+", table_id, size_bytes, delta_bytes FROM "+
			d.records(columns)+" WHERE true "+rememberAgainSQL, databaseID, day, sizes)
	})
}

// takeBackDays makes the days after this one a part of it: the clock was set back since they were saved, or the zone changed.
func (s *Store) takeBackDays(tx *gorm.DB, database InstanceDatabase, day int64) error {
	if database.GrowthDay == nil || day >= *database.GrowthDay+tableGrowthDays-1 {
		return nil
	}
	err := tx.Exec(rememberSQL+"SELECT l.database_id, "+s.dialect.value("integer")+`, l.table_id, l.size_bytes, ahead.delta
		FROM (SELECT table_id, max(day) AS day, CASE WHEN count(delta_bytes) = count(*) THEN CAST(sum(delta_bytes) AS bigint) END AS delta
			FROM table_size_history WHERE database_id = ? AND day > ? GROUP BY table_id) AS ahead
		JOIN table_size_history AS l ON l.database_id = ? AND l.day = ahead.day AND l.table_id = ahead.table_id
		WHERE true `+rememberAgainSQL, day, database.ID, day, database.ID).Error
	if err != nil {
		return err
	}
	if err := tx.Exec("DELETE FROM table_size_history WHERE database_id = ? AND day > ?", database.ID, day).Error; err != nil {
		return err
	}
	return tx.Exec("UPDATE database_table_size_stats SET base_day = ? WHERE database_id = ? AND base_day > ?", day, database.ID, day).Error
}

// rollGrowth moves the base of growth on to the first of the last tableGrowthDays, in which only the sizes count that
// have changed meanwhile.
func (s *Store) rollGrowth(tx *gorm.DB, database InstanceDatabase, header *Snapshot, at time.Time) error {
	first := s.dayNumber(at) + 1 - tableGrowthDays
	header.GrowthDay = &first
	if database.GrowthDay == nil {
		return nil
	}
	counted := *database.GrowthDay
	for day := counted + 1; day <= min(first, counted+tableGrowthDays); day++ { // nothing was saved later
		err := tx.Exec(`UPDATE database_table_size_stats AS t SET base_bytes = h.size_bytes, base_day = h.day
			FROM table_size_history AS h
			WHERE h.database_id = ? AND h.day = ? AND t.id = h.table_id AND t.database_id = h.database_id`, database.ID, day).Error
		if err != nil {
			return err
		}
	}
	return nil
}
