package models

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// snapshotBatch is how many rows go into one JSON parameter.
const snapshotBatch = 5000

// analyzeFrom is how many rows a refresh must have written for the planner to hear of it.
const analyzeFrom = 1000

// DatabaseTableSizeStat is a stored row of a database's snapshot.
type DatabaseTableSizeStat struct {
	ID           int64 `gorm:"primaryKey"`
	DatabaseID   int64
	SchemaName   string
	TableName    string
	SchemaFold   string // for search
	TableFold    string
	Kind         Kind
	ParentSchema string
	ParentName   string // empty: no partition
	RolledUp     bool
	SizeBytes    *int64 // nil: unknown, as all sizes
	DataBytes    *int64
	IndexBytes   *int64
	UnusedBytes  *int64
	MemoryBytes  *int64 // RAM, in no sum; nil: none or unknown
	RowCount     *int64
	RowsSource   RowsSource
	RowsAt       *time.Time // nil: as the sizes, or unknown
	SizeSource   SizeSource
	StatsStale   bool
	Unread       Unread
	KeptFrom     *time.Time // the run the sizes come from; nil: the snapshot's own

	Note          Note
	RelatedSchema string
	RelatedName   string // empty: the note is about no other relation
}

const tableColumns = `id, schema_name, table_name, kind, parent_schema, parent_name, rolled_up,
	size_bytes, data_bytes, index_bytes, unused_bytes, memory_bytes, row_count, rows_source, rows_at,
	size_source, stats_stale, unread, kept_from, note, related_schema, related_name`

func (row *DatabaseTableSizeStat) scan(rows interface{ Scan(into ...any) error }) error {
	return rows.Scan(&row.ID, &row.SchemaName, &row.TableName, &row.Kind, &row.ParentSchema, &row.ParentName, &row.RolledUp,
		&row.SizeBytes, &row.DataBytes, &row.IndexBytes, &row.UnusedBytes, &row.MemoryBytes,
		&row.RowCount, &row.RowsSource, &row.RowsAt,
		&row.SizeSource, &row.StatsStale, &row.Unread, &row.KeptFrom, &row.Note, &row.RelatedSchema, &row.RelatedName)
}

// tableKey is what makes a relation itself.
type tableKey struct{ schema, name string }

// measured reports whether the row has ever had values.
func (row *DatabaseTableSizeStat) measured() bool { return row.Unread == "" || row.KeptFrom != nil }

// keep marks values as those of the run that ended at collected, unless they are older still.
func (row *DatabaseTableSizeStat) keep(collected *time.Time) {
	if row.KeptFrom == nil && row.measured() {
		row.KeptFrom = collected
	}
}

// same reports whether storing other over row would change nothing but their ids.
func (row *DatabaseTableSizeStat) same(other *DatabaseTableSizeStat) bool {
	return row.sameTraits(other) && samePointed(row.SizeBytes, other.SizeBytes) && samePointed(row.DataBytes, other.DataBytes) &&
		samePointed(row.IndexBytes, other.IndexBytes) && samePointed(row.UnusedBytes, other.UnusedBytes) &&
		samePointed(row.MemoryBytes, other.MemoryBytes) && samePointed(row.RowCount, other.RowCount) &&
		sameMoment(row.RowsAt, other.RowsAt) && sameMoment(row.KeptFrom, other.KeptFrom)
}

func (row *DatabaseTableSizeStat) sameTraits(other *DatabaseTableSizeStat) bool {
	return row.Kind == other.Kind && row.ParentSchema == other.ParentSchema && row.ParentName == other.ParentName &&
		row.RolledUp == other.RolledUp && row.RowsSource == other.RowsSource && row.SizeSource == other.SizeSource &&
		row.StatsStale == other.StatsStale && row.Unread == other.Unread &&
		row.Note == other.Note && row.RelatedSchema == other.RelatedSchema && row.RelatedName == other.RelatedName
}

func samePointed(a, b *int64) bool {
	return a == b || a != nil && b != nil && *a == *b
}

func sameMoment(a, b *time.Time) bool {
	return a == b || a != nil && b != nil && a.Equal(*b)
}

func newTableRow(t *TableSize) DatabaseTableSizeStat {
	return DatabaseTableSizeStat{
		SchemaName: t.Schema, TableName: t.Name, Kind: t.Kind, ParentSchema: t.ParentSchema, ParentName: t.Parent,
		RolledUp: t.RolledUp, SizeBytes: t.Total, DataBytes: t.Data, IndexBytes: t.Index, UnusedBytes: t.Unused,
		MemoryBytes: t.Memory, RowCount: t.Rows, RowsSource: t.RowsSource, RowsAt: stampPointer(t.RowsAt),
		SizeSource: t.SizeSource, StatsStale: t.StatsStale, Unread: t.Unread,
		Note: t.Note, RelatedSchema: t.RelatedSchema, RelatedName: t.Related,
	}
}

// SaveTableSizes makes the result the database's snapshot, in one transaction, and writes only what differs. Rows that
// the result does not have are deleted if it is complete, of its scope only if it has one, else they stay and remember which
// run they are from; so do the values of relations it could not read. An error changes nothing; so does a result whose collection began before the
// stored one ended (collect.superseded), and one of an instance that was deleted meanwhile (instance.not_found).
func (s *Store) SaveTableSizes(ctx context.Context, in SaveTables) (Receipt, error) {
	fresh, duplicates, err := mergeTables(in.Result.Tables)
	if err != nil {
		return Receipt{}, err
	}
	var receipt Receipt
	err = s.change(ctx, func(tx *gorm.DB) error {
		database, err := lockForRefresh(tx, in)
		if err != nil {
			return err
		}
		p := newPlan(in.Result, fresh, database.Snapshot)
		p.skipped = countUnread(fresh)
		if err := p.compareStored(tx, database.ID); err != nil {
			return err
		}
		p.addNew()
		if err := s.writeTables(tx, database.ID, p.write); err != nil {
			return err
		}
		if err := s.deleteTables(tx, database.ID, p.remove); err != nil {
			return err
		}
		s.finish(&p.header, in)
		receipt = p.receipt(in.Result, duplicates)
		return saveHeader(tx, database, p.header, in.Started)
	})
	if err == nil && receipt.Changed >= analyzeFrom {
		s.analyzeTables(ctx)
	}
	return receipt, err
}

// analyzeTables may fail: pages are slow then, but what was stored is stored.
func (s *Store) analyzeTables(ctx context.Context) {
	statement := s.dialect.analyze("database_table_size_stats")
	if statement == "" {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, analyzeTimeout)
	defer cancel()
	if err := s.writer.WithContext(ctx).Exec(statement).Error; err != nil {
		s.log.WarnContext(ctx, "the store's planner statistics are old", "error", err)
	}
}

// lockForRefresh is the database, if the collection may still become its snapshot.
func lockForRefresh(tx *gorm.DB, in SaveTables) (InstanceDatabase, error) {
	database, err := takeDatabase(tx.Clauses(clause.Locking{Strength: clause.LockingStrengthUpdate}), "id = ?", in.DatabaseID)
	if err != nil {
		return database, err
	}
	if database.CollectedAt != nil && database.CollectedAt.After(in.Started) {
		return database, &Error{Code: CodeCollection, Key: "collect.superseded", Args: Args("Name", database.Name)}
	}
	var instances int64
	err = tx.Model(&Instance{}).Where("id = ? AND deleted_at IS NULL", database.InstanceID).Count(&instances).Error
	if err == nil && instances == 0 {
		err = NotFound("instance.not_found")
	}
	return database, err
}

// mergeTables indexes relations by identity. Of several with the same identity the larger stays.
func mergeTables(tables []TableSize) (unique map[tableKey]*TableSize, duplicates int64, err error) {
	unique = make(map[tableKey]*TableSize, len(tables))
	for i := range tables {
		t := &tables[i]
		if err := requireStorable(t.Schema, t.Name, t.ParentSchema, t.Parent, t.RelatedSchema, t.Related); err != nil {
			return nil, 0, err
		}
		key := tableKey{t.Schema, t.Name}
		known, twice := unique[key]
		if twice {
			duplicates++
		}
		if !twice || compareBytes(t.Total, known.Total) > 0 {
			unique[key] = t
		}
	}
	return unique, duplicates, nil
}

// plan is what a refresh has to write.
type plan struct {
	fresh    map[tableKey]*TableSize // what no stored row was found for yet
	complete bool                    // of the scope
	scope    string                  // the only schema that was looked at; empty: all were
	previous *time.Time              // when the snapshot before this one was collected
	header   Snapshot
	skipped  map[Unread]int64 // relations without a value of this run
	write    []DatabaseTableSizeStat
	remove   []int64
}

func newPlan(r TableResult, fresh map[tableKey]*TableSize, before Snapshot) *plan {
	return &plan{fresh: fresh, complete: r.Complete, scope: r.Scope, previous: before.CollectedAt, header: Snapshot{
		SnapshotNo: before.SnapshotNo + 1, HiddenCount: r.Hidden, Complete: r.Complete && r.Scope == "", Grant: cleaned(r.Grant),
		Scope: cleaned(r.Scope), ResidualBytes: r.Residual,
	}}
}

// proves reports whether the result shows that a relation of the schema which it does not have is gone.
func (p *plan) proves(schema string) bool {
	return p.complete && (p.scope == "" || p.scope == schema)
}

// compareStored reads along the names (no schema comes before the empty one), as SQLite has written the rows in that order.
func (p *plan) compareStored(tx *gorm.DB, databaseID int64) error {
	rows, err := tx.Raw("SELECT "+tableColumns+` FROM database_table_size_stats
		WHERE database_id = ? AND schema_name >= ''`, databaseID).Rows()
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var stored DatabaseTableSizeStat
		if err := stored.scan(rows); err != nil {
			return err
		}
		p.compare(stored)
	}
	return errors.Join(rows.Err(), rows.Close())
}

func (p *plan) compare(stored DatabaseTableSizeStat) {
	key := tableKey{stored.SchemaName, stored.TableName}
	found, present := p.fresh[key]
	delete(p.fresh, key)
	if !present && p.proves(key.schema) {
		p.remove = append(p.remove, stored.ID)
		return
	}
	next := stored
	switch {
	case !present:
		next.keep(p.previous)
	case found.Unread != "":
		next.keep(p.previous)
		next.Unread = found.Unread
		if found.Kind != "" {
			next.Kind, next.ParentSchema, next.ParentName, next.RolledUp = found.Kind, found.ParentSchema, found.Parent, found.RolledUp
		}
	default:
		next = newTableRow(found)
	}
	p.count(&next)
	if !next.same(&stored) {
		p.write = append(p.write, next)
	}
}

// addNew puts the rows in the order of the store's indexes, which makes writing and later reading them cheaper.
func (p *plan) addNew() {
	p.write = slices.Grow(p.write, len(p.fresh))
	for _, t := range p.fresh {
		row := newTableRow(t)
		p.count(&row)
		p.write = append(p.write, row)
	}
	slices.SortFunc(p.write, func(a, b DatabaseTableSizeStat) int {
		return cmp.Or(cmp.Compare(a.SchemaName, b.SchemaName), cmp.Compare(a.TableName, b.TableName))
	})
}

func (p *plan) count(row *DatabaseTableSizeStat) {
	p.header.TableCount++
	if row.ParentName == "" {
		p.header.TopCount++
	}
	if row.KeptFrom != nil {
		p.header.KeptCount++
	}
	switch {
	case row.RolledUp:
	case row.SizeBytes == nil:
		p.header.UnknownCount++
	default:
		p.header.TotalBytes += *row.SizeBytes
	}
}

func (s *Store) finish(header *Snapshot, in SaveTables) {
	collected := stamp(in.CollectedAt)
	header.CollectedAt = &collected
	header.ElapsedMS = s.now().Sub(in.Started).Milliseconds()
}

func (p *plan) receipt(r TableResult, duplicates int64) Receipt {
	h := p.header
	return Receipt{
		CollectedAt: *h.CollectedAt, Saved: h.TableCount, Changed: int64(len(p.write)), Pruned: int64(len(p.remove)),
		Kept: h.KeptCount, Duplicates: duplicates, Hidden: h.HiddenCount, Complete: h.Complete, Proof: r.Proof, Grant: h.Grant,
		Locked: p.skipped[UnreadLocked], Failed: p.skipped[UnreadFailed], ElapsedMS: h.ElapsedMS, ServerBytes: r.ServerBytes,
	}
}

func countUnread(tables map[tableKey]*TableSize) map[Unread]int64 {
	count := map[Unread]int64{}
	for _, t := range tables {
		if t.Unread != "" {
			count[t.Unread]++
		}
	}
	return count
}

// saveHeader also takes back that the database was gone, unless that was found out after the collection had started.
func saveHeader(tx *gorm.DB, stored InstanceDatabase, header Snapshot, started time.Time) error {
	fresh := InstanceDatabase{Snapshot: header, LastSeenAt: *header.CollectedAt, GoneAt: stored.GoneAt}
	if stored.GoneAt != nil && stored.GoneAt.Before(started) {
		fresh.GoneAt = nil
	}
	return tx.Model(&InstanceDatabase{}).Where("id = ?", stored.ID).
		Select("snapshot_no", "collected_at", "table_count", "top_count", "total_bytes", "unknown_count", "kept_count",
			"hidden_count", "complete", "missing_grant", "elapsed_ms", "scope", "residual_bytes", "last_seen_at", "gone_at").
		Updates(&fresh).Error
}

var writtenColumns = []column{
	{"schema_name", "text"},
	{"table_name", "text"},
	{"schema_fold", "text"},
	{"table_fold", "text"},
	{"kind", "text"},
	{"parent_schema", "text"},
	{"parent_name", "text"},
	{"rolled_up", "boolean"},
	{"size_bytes", "bigint"},
	{"data_bytes", "bigint"},
	{"index_bytes", "bigint"},
	{"unused_bytes", "bigint"},
	{"memory_bytes", "bigint"},
	{"row_count", "bigint"},
	{"rows_source", "text"},
	{"rows_at", "timestamptz"},
	{"size_source", "text"},
	{"stats_stale", "boolean"},
	{"unread", "text"},
	{"kept_from", "timestamptz"},
	{"note", "text"},
	{"related_schema", "text"},
	{"related_name", "text"},
}

// record are the values of writtenColumns.
func (row *DatabaseTableSizeStat) record() []any {
	return []any{
		row.SchemaName, row.TableName, fold(row.SchemaName), fold(row.TableName), row.Kind,
		row.ParentSchema, row.ParentName, row.RolledUp,
		row.SizeBytes, row.DataBytes, row.IndexBytes, row.UnusedBytes, row.MemoryBytes,
		row.RowCount, row.RowsSource, jsonMoment(row.RowsAt), row.SizeSource, row.StatsStale,
		row.Unread, jsonMoment(row.KeptFrom), row.Note, row.RelatedSchema, row.RelatedName,
	}
}

func jsonMoment(t *time.Time) *string {
	if t == nil {
		return nil
	}
	text := t.UTC().Format(jsonTime)
	return &text
}

const upsertTablesSQL = ` WHERE true
	ON CONFLICT (database_id, schema_name, table_name) DO UPDATE SET kind = excluded.kind,
		parent_schema = excluded.parent_schema, parent_name = excluded.parent_name, rolled_up = excluded.rolled_up,
		size_bytes = excluded.size_bytes, data_bytes = excluded.data_bytes, index_bytes = excluded.index_bytes,
		unused_bytes = excluded.unused_bytes, memory_bytes = excluded.memory_bytes, row_count = excluded.row_count,
		rows_source = excluded.rows_source, rows_at = excluded.rows_at, size_source = excluded.size_source,
		stats_stale = excluded.stats_stale, unread = excluded.unread, kept_from = excluded.kept_from, note = excluded.note,
		related_schema = excluded.related_schema, related_name = excluded.related_name`

func (s *Store) writeTables(tx *gorm.DB, databaseID int64, rows []DatabaseTableSizeStat) error {
	names := make([]string, len(writtenColumns))
	for i, c := range writtenColumns {
		names[i] = c.name
	}
	columns := strings.Join(names, ", ")
	statement := "INSERT INTO database_table_size_stats (database_id, " + columns + ") SELECT CAST(? AS bigint), " + columns +
		" FROM " + s.dialect.records(writtenColumns) + upsertTablesSQL
	records := make([][]any, 0, min(len(rows), snapshotBatch))
	for batch := range slices.Chunk(rows, snapshotBatch) {
		records = records[:0]
		for i := range batch {
			records = append(records, batch[i].record())
		}
		parameter, err := jsonParameter(records)
		if err != nil {
			return err
		}
		if err := tx.Exec(statement, databaseID, parameter).Error; err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) deleteTables(tx *gorm.DB, databaseID int64, ids []int64) error {
	statement := "DELETE FROM database_table_size_stats WHERE database_id = ? AND id IN " + s.dialect.ids()
	for batch := range slices.Chunk(ids, snapshotBatch) {
		parameter, err := jsonParameter(batch)
		if err != nil {
			return err
		}
		if err := tx.Exec(statement, databaseID, parameter).Error; err != nil {
			return err
		}
	}
	return nil
}
