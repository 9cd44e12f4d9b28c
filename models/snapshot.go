package models

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"slices"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// Snapshot is the header of a database's stored table sizes: all of it is zero and nil until the first refresh succeeds.
type Snapshot struct {
	SnapshotNo   int64      // counts successful refreshes; 0: never collected
	CollectedAt  *time.Time // when the newest refresh ended; nil: never
	TableCount   int64      // stored rows, partitions and roll-ups included
	TopCount     int64      // stored rows that are no partition of another row
	TotalBytes   int64      // Σ known total bytes of rows that are not rolled up
	UnknownCount int64      // rows, roll-ups left out, whose total is unknown
	KeptCount    int64      // rows carried over from an earlier run
	HiddenCount  int64      // relations the server has but whose names the account may not see
	Complete     bool       // the collector proved that nothing is missing
	Grant        string     `gorm:"column:missing_grant"` // statement that would make it complete; empty when none is known
	ElapsedMS    int64      `gorm:"column:elapsed_ms"`    // collect and store, milliseconds

	Scope         string // not empty: the newest refresh looked at this schema alone, and Complete is false
	ResidualBytes *int64 // allocated in the database to no row, in no sum; nil: unknown
	GrowthDay     *int64 // day, counted from 1970-01-01, from which growth is counted; nil: not counted yet
}

// SaveTables is one successful collection to be stored as a database's snapshot.
type SaveTables struct {
	DatabaseID  int64
	Result      TableResult
	CollectedAt time.Time
	Started     time.Time // nothing that became known later is overwritten; also for elapsed milliseconds
}

// Receipt says what a stored refresh did. Of the relations that it saw, Saved counts those that are in the new snapshot,
// Locked, Failed and Hidden those among them that have no value of this run.
type Receipt struct {
	CollectedAt time.Time
	Saved       int64 // tables in the new snapshot
	Changed     int64 // rows that had to be written
	Pruned      int64 // rows deleted because a complete result no longer has them
	Kept        int64 // rows that keep an earlier run's values
	Duplicates  int64 // identities the result had more than once; the larger was stored
	Hidden      int64
	Locked      int64 // relations that could not be measured because somebody else had them locked
	Failed      int64 // relations that could not be measured for another reason
	Complete    bool
	Proof       Proof // why it counts as complete; empty: it does not, or nobody has said
	Grant       string
	ElapsedMS   int64
	ServerBytes *int64 // the most memory that the server's process needed for one connection of ours; nil: unknown
}

// analyzeFrom is how many rows a refresh must have added for the planner to hear of it.
const analyzeFrom = 1000

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

// newTableRow returns the row that stores a measured relation.
func newTableRow(t *TableSize) DatabaseTableSizeStat {
	row := DatabaseTableSizeStat{TableSize: *t}
	row.RowsAt = stampPointer(t.RowsAt)
	return row
}

// SaveTableSizes makes the result the database's snapshot, in one transaction, and writes only what differs. Rows that
// the result does not have are deleted if it is complete, of its scope only if it has one, else they stay and remember which
// run they are from; so do the values of relations it could not read. An error changes nothing; so does a result whose collection began before the
// stored one ended (collect.superseded), and one of an instance that was deleted meanwhile (instance.not_found).
func (s *Store) SaveTableSizes(ctx context.Context, in SaveTables) (Receipt, error) {
	planned, err := s.planAhead(ctx, in)
	if err != nil {
		return Receipt{}, err
	}
	var receipt Receipt
	err = s.change(ctx, func(tx *gorm.DB) error {
		database, err := lockForRefresh(tx, in)
		if err != nil {
			return err
		}
		if planned.header.SnapshotNo != database.SnapshotNo+1 {
			if planned, err = s.planRefresh(tx, database, in); err != nil {
				return err
			}
		}
		if err := s.takeBackDays(tx, database, s.dayNumber(in.CollectedAt)); err != nil {
			return err
		}
		if err := planned.carryOut(tx); err != nil {
			return err
		}
		if err := s.rollGrowth(tx, database, &planned.header, in.CollectedAt); err != nil {
			return err
		}
		s.finish(&planned.header, in)
		receipt = planned.receipt(in.Result)
		return saveHeader(tx, database, planned.header, in)
	})
	if err == nil && len(planned.added) >= analyzeFrom {
		s.analyzeTables(ctx)
	}
	return receipt, err
}

// planAhead does all reading and comparing before anything is locked: other writers wait for the writing alone.
func (s *Store) planAhead(ctx context.Context, in SaveTables) (*plan, error) {
	var planned *plan
	err := s.view(ctx, func(tx *gorm.DB) error {
		database, err := takeDatabase(tx, "id = ?", in.DatabaseID)
		if err != nil {
			return err
		}
		planned, err = s.planRefresh(tx, database, in)
		return err
	})
	return planned, err
}

// planRefresh compares the result with the stored rows.
func (s *Store) planRefresh(tx *gorm.DB, database InstanceDatabase, in SaveTables) (*plan, error) {
	fresh, duplicates, err := mergeTables(in.Result.Tables)
	if err != nil {
		return nil, err
	}
	p := newPlan(in.Result, fresh, database.Snapshot)
	p.duplicates, p.skipped = duplicates, countUnread(fresh)
	if err := p.compareKeys(tx, database.ID); err != nil {
		return nil, err
	}
	if err := p.compareRows(tx, s.dialect, database.ID); err != nil {
		return nil, err
	}
	p.addNew()
	return p, p.prepare(s.dialect, database.ID, s.dayNumber(in.CollectedAt))
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

// toCome reports whether a stored moment is later than the collection can have ended: the clock has been set back since,
// and the moment says nothing about what was first.
func (in *SaveTables) toCome(stored time.Time) bool {
	return stored.After(in.CollectedAt.Add(transactionTimeout))
}

// lockForRefresh is the database, if the collection may still become its snapshot.
func lockForRefresh(tx *gorm.DB, in SaveTables) (InstanceDatabase, error) {
	database, err := takeDatabase(tx.Clauses(clause.Locking{Strength: clause.LockingStrengthUpdate}), "id = ?", in.DatabaseID)
	if err != nil {
		return database, err
	}
	if at := database.CollectedAt; at != nil && at.After(in.Started) && !in.toCome(*at) {
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
	fresh      map[tableKey]*TableSize // what no stored row was found for yet
	complete   bool                    // of the scope
	scope      string                  // the only schema that was looked at; empty: all were
	previous   *time.Time              // when the snapshot before this one was collected
	header     Snapshot
	skipped    map[Unread]int64 // relations without a value of this run
	duplicates int64
	changed    int64 // stored rows with other values
	newest     int64 // id of the newest stored row

	differing []int64                 // ids of rows whose fingerprint is not that of the result
	rewritten []DatabaseTableSizeStat // stored rows with what they will hold
	added     []*TableSize            // by names
	resized   [][3]*int64             // id, size and change of size of stored rows
	removed   []int64
	writes    []write

	fingerprints fingerprinter
}

// write is a statement with its values.
type write struct {
	statement string
	values    []any
}

func newPlan(r TableResult, fresh map[tableKey]*TableSize, before Snapshot) *plan {
	return &plan{fresh: fresh, complete: r.Complete, scope: r.Scope, previous: before.CollectedAt, header: Snapshot{
		SnapshotNo: before.SnapshotNo + 1, HiddenCount: r.Hidden, Complete: r.Complete && r.Scope == "", Grant: cleaned(r.Grant),
		Scope: cleaned(r.Scope), ResidualBytes: r.Residual, GrowthDay: before.GrowthDay,
	}}
}

// proves reports whether the result shows that a relation of the schema which it does not have is gone.
func (p *plan) proves(schema string) bool {
	return p.complete && (p.scope == "" || p.scope == schema)
}

// compareKeys finds the rows that stay as they are by their fingerprints, which spares reading them. It reads along the
// names (no schema comes before the empty one), as SQLite has written the rows in that order.
func (p *plan) compareKeys(tx *gorm.DB, databaseID int64) error {
	rows, err := tx.Raw(`SELECT id, fingerprint, schema_name, table_name FROM database_table_size_stats
		WHERE database_id = ? AND schema_name >= ''`, databaseID).Rows()
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	// One of each for all rows: allocated for every row, they would be most of what an unchanged refresh allocates.
	var id int64
	var stored sql.NullInt64
	var key tableKey
	var scratch DatabaseTableSizeStat
	destinations := []any{&id, &stored, &key.schema, &key.name}
	for rows.Next() {
		if err := rows.Scan(destinations...); err != nil {
			return err
		}
		p.newest = max(p.newest, id)
		p.compareKey(id, stored, key, &scratch)
	}
	return errors.Join(rows.Err(), rows.Close())
}

func (p *plan) compareKey(id int64, stored sql.NullInt64, key tableKey, scratch *DatabaseTableSizeStat) {
	found, present := p.fresh[key]
	switch {
	case !present && p.proves(key.schema):
		p.removed = append(p.removed, id)
		return
	case present && found.Unread == "" && stored.Valid:
		*scratch = newTableRow(found)
		if p.fingerprints.sum(scratch) == stored.Int64 {
			delete(p.fresh, key)
			p.count(scratch)
			return
		}
	}
	p.differing = append(p.differing, id)
}

// compareRows looks at the values of the rows that may differ.
func (p *plan) compareRows(tx *gorm.DB, d dialect, databaseID int64) error {
	for batch := range slices.Chunk(p.differing, snapshotBatch) {
		parameter, err := jsonParameter(batch)
		if err != nil {
			return err
		}
		rows, err := tx.Raw("SELECT "+selectTableColumns+`, fingerprint FROM database_table_size_stats
			WHERE database_id = ? AND id IN `+d.ids(), databaseID, parameter).Rows()
		if err != nil {
			return err
		}
		if err := p.compareBatch(rows); err != nil {
			return err
		}
	}
	return nil
}

func (p *plan) compareBatch(rows *sql.Rows) error {
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var stored DatabaseTableSizeStat
		var fingerprint sql.NullInt64
		if err := rows.Scan(stored.destinations(&fingerprint)...); err != nil {
			return err
		}
		p.compare(&stored, fingerprint)
	}
	return errors.Join(rows.Err(), rows.Close())
}

func (p *plan) compare(stored *DatabaseTableSizeStat, fingerprint sql.NullInt64) {
	key := tableKey{stored.Schema, stored.Name}
	found, present := p.fresh[key]
	delete(p.fresh, key)
	next := *stored
	switch {
	case !present:
		next.keep(p.previous)
	case found.Unread != "":
		next.keep(p.previous)
		next.Unread = found.Unread
		if found.Kind != "" {
			next.Kind, next.ParentSchema, next.Parent, next.RolledUp = found.Kind, found.ParentSchema, found.Parent, found.RolledUp
		}
	default:
		next = newTableRow(found)
	}
	p.count(&next)
	value := p.fingerprints.sum(&next)
	if value != p.fingerprints.sum(stored) {
		p.changed++
	}
	if !fingerprint.Valid || value != fingerprint.Int64 {
		p.rewritten = append(p.rewritten, next)
	}
	if next.Total != nil && !sameValue(next.Total, stored.Total) {
		p.resized = append(p.resized, [3]*int64{&stored.ID, next.Total, difference(next.Total, stored.Total)})
	}
}

// difference is nil if a or b is.
func difference(a, b *int64) *int64 {
	if a == nil || b == nil {
		return nil
	}
	d := *a - *b
	return &d
}

// addNew puts the rows in the order of the store's indexes, which makes writing and later reading them cheaper.
func (p *plan) addNew() {
	p.added = make([]*TableSize, 0, len(p.fresh))
	for _, t := range p.fresh {
		row := newTableRow(t)
		p.count(&row)
		p.added = append(p.added, t)
	}
	slices.SortFunc(p.added, func(a, b *TableSize) int {
		return cmp.Or(cmp.Compare(a.Schema, b.Schema), cmp.Compare(a.Name, b.Name))
	})
}

func (p *plan) count(row *DatabaseTableSizeStat) {
	p.header.TableCount++
	if row.Parent == "" {
		p.header.TopCount++
	}
	if row.KeptFrom != nil {
		p.header.KeptCount++
	}
	switch {
	case row.RolledUp:
	case row.Total == nil:
		p.header.UnknownCount++
	default:
		p.header.TotalBytes += *row.Total
	}
}

func (s *Store) finish(header *Snapshot, in SaveTables) {
	collected := stamp(in.CollectedAt)
	header.CollectedAt = &collected
	header.ElapsedMS = s.now().Sub(in.Started).Milliseconds()
}

func (p *plan) receipt(r TableResult) Receipt {
	h := p.header
	return Receipt{
		CollectedAt: *h.CollectedAt, Saved: h.TableCount, Changed: p.changed + int64(len(p.added)), Pruned: int64(len(p.removed)),
		Kept: h.KeptCount, Duplicates: p.duplicates, Hidden: h.HiddenCount, Complete: h.Complete, Proof: r.Proof, Grant: h.Grant,
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
func saveHeader(tx *gorm.DB, stored InstanceDatabase, header Snapshot, in SaveTables) error {
	fresh := InstanceDatabase{Snapshot: header, LastSeenAt: *header.CollectedAt, GoneAt: stored.GoneAt}
	if at := stored.GoneAt; at != nil && (at.Before(in.Started) || in.toCome(*at)) {
		fresh.GoneAt = nil
	}
	return tx.Model(&InstanceDatabase{}).Where("id = ?", stored.ID).
		Select("*").Omit("id", "instance_id", "name", "is_system", "first_seen_at").Updates(&fresh).Error
}
