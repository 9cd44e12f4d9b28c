package models

import (
	"cmp"
	"errors"
	"slices"
	"time"

	"gorm.io/gorm"
)

// Events in the history of a table.
const (
	eventNew     = "new"     // it was not there before
	eventDropped = "dropped" // a complete snapshot no longer has it
)

const insertEventsSQL = `INSERT INTO table_events AS e (database_id, day, table_id, event, size_bytes) `

// A table that is dropped and made again within a day has no event.
const updateEventsSQL = ` ON CONFLICT (database_id, day, table_id) DO UPDATE SET size_bytes = excluded.size_bytes,
	event = CASE e.event WHEN '' THEN excluded.event WHEN excluded.event THEN e.event ELSE '' END`

// newTenantWait limits how long after a database appeared its first snapshot proves that its tables are new.
const newTenantWait = 48 * time.Hour

// provesNew reports whether a relation that is not stored did not exist when the snapshot before was collected: that
// one had every relation, or the database itself did not exist.
func (d *InstanceDatabase) provesNew(started time.Time) bool {
	if d.SnapshotNo > 0 {
		return d.Complete
	}
	return d.Appeared && started.Sub(d.FirstSeenAt) < newTenantWait
}

// returnedTable holds a relation that was dropped before, and its former id.
type returnedTable struct {
	id int64
	*TableSize
}

// findReturned moves the relations that were dropped before from the fresh ones to the returned ones.
func (p *plan) findReturned(tx *gorm.DB) error {
	names := make([][2]string, 0, len(p.fresh))
	for key := range p.fresh {
		names = append(names, [2]string{key.schema, key.name})
	}
	for batch := range slices.Chunk(names, snapshotBatch) {
		if err := p.findReturnedBatch(tx, batch); err != nil {
			return err
		}
	}
	slices.SortFunc(p.returned, func(a, b returnedTable) int {
		return cmp.Or(cmp.Compare(a.Schema, b.Schema), cmp.Compare(a.Name, b.Name))
	})
	return nil
}

func (p *plan) findReturnedBatch(tx *gorm.DB, names [][2]string) error {
	parameter, err := jsonParameter(names)
	if err != nil {
		return err
	}
	rows, err := tx.Raw(`SELECT d.id, d.schema_name, d.table_name
		FROM `+p.dialect.records([]column{{"schema_name", "text"}, {"table_name", "text"}})+`
		CROSS JOIN dropped_tables d
		WHERE d.database_id = ? AND d.schema_name = r.schema_name AND d.table_name = r.table_name`,
		parameter, p.database).Rows()
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var id int64
		var key tableKey
		if err := rows.Scan(&id, &key.schema, &key.name); err != nil {
			return err
		}
		p.take(id, key)
	}
	return errors.Join(rows.Err(), rows.Close())
}

// take makes a fresh relation a returned one. Its size was 0 as long as it was gone.
func (p *plan) take(id int64, key tableKey) {
	found := p.fresh[key]
	delete(p.fresh, key)
	p.newest = max(p.newest, id)
	p.returned = append(p.returned, returnedTable{id, found})
	if found.Total != nil {
		p.resized = append(p.resized, newResize(id, found, new(int64)))
	}
	row := newTableRow(found)
	p.count(&row)
}

// upsertReturned inserts the returned relations under their former ids.
func (p *plan) upsertReturned() error {
	columns := append([]column{{"id", "bigint"}}, writtenTableColumns...)
	for batch := range slices.Chunk(p.returned, snapshotBatch) {
		rows, ids, events := make([][]any, len(batch)), make([]int64, len(batch)), make([][]any, len(batch))
		for i, t := range batch {
			row := newTableRow(t.TableSize)
			rows[i] = append([]any{t.id}, row.record(&p.fingerprints)...)
			ids[i], events[i] = t.id, []any{t.id, t.Total}
		}
		if err := p.upsert(columns, rows, nothingBefore(p.day)); err != nil {
			return err
		}
		if err := p.saveReturned(ids, events); err != nil {
			return err
		}
	}
	return nil
}

func (p *plan) saveReturned(ids []int64, events [][]any) error {
	returned, err := jsonParameter(ids)
	if err != nil {
		return err
	}
	sizes, err := jsonParameter(events)
	if err != nil {
		return err
	}
	p.add("DELETE FROM dropped_tables WHERE id IN "+p.dialect.ids(), returned)
	p.add(insertEventsSQL+"SELECT "+p.dialect.value("bigint")+", "+p.dialect.value("integer")+", table_id, '"+eventNew+
		"', size_bytes FROM "+p.dialect.records([]column{{"table_id", "bigint"}, {"size_bytes", "bigint"}})+
		" WHERE true"+updateEventsSQL, p.database, p.day, sizes)
	return nil
}

// saveDropped moves the rows of dropped relations to dropped_tables, with their last size in events and history.
func (p *plan) saveDropped() error {
	slices.Sort(p.removed)
	from := " FROM database_table_size_stats WHERE database_id = ? AND id IN " + p.dialect.ids()
	day := p.dialect.value("integer")
	return inBatches(p.removed, func(ids string) {
		p.add(`INSERT INTO dropped_tables
			(id, database_id, schema_name, table_name, kind, parent_schema, parent_name, rolled_up, day, size_bytes)
			SELECT id, database_id, schema_name, table_name, kind, parent_schema, parent_name, rolled_up, `+day+
			", size_bytes"+from, p.day, p.database, ids)
		p.add(insertEventsSQL+"SELECT database_id, "+day+", id, '"+eventDropped+"', size_bytes"+from+" ORDER BY id"+
			updateEventsSQL, p.day, p.database, ids)
		p.add(insertHistorySQL+"SELECT database_id, "+day+", id, NULL, -size_bytes, NULL, NULL"+from+
			" AND size_bytes IS NOT NULL ORDER BY id"+updateHistorySQL, p.day, p.database, ids)
		p.add("DELETE"+from, p.database, ids)
	})
}

// mergeLaterEvents returns the statement that merges the events of later days into the day: of a table with an even
// number of them nothing remains.
func (s *Store) mergeLaterEvents(databaseID, day int64) write {
	const later = " FROM table_events WHERE database_id = ? AND day > ? AND event <> ''"
	return write{insertEventsSQL + "SELECT l.database_id, " + s.dialect.value("integer") + `, l.table_id,
			CASE WHEN ahead.events % 2 = 1 THEN l.event ELSE '' END, l.size_bytes
		FROM (SELECT table_id, max(day) AS last, count(*) AS events` + later + ` GROUP BY table_id) AS ahead
		JOIN table_events AS l ON l.database_id = ? AND l.day = ahead.last AND l.table_id = ahead.table_id
		WHERE true` + updateEventsSQL, []any{day, databaseID, day, databaseID}}
}
