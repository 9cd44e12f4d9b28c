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

// Snapshot is the header of a database's stored table sizes. It is zero until the first refresh succeeds.
type Snapshot struct {
	SnapshotNo   int64      // counts successful refreshes; 0: never collected
	CollectedAt  *time.Time // end of the newest refresh; nil: never collected
	TableCount   int64      // stored rows, partitions and roll-ups included
	TopCount     int64      // stored rows without partitions of other rows
	TotalBytes   int64      // Σ known total bytes of rows that are not roll-ups
	UnknownCount int64      // rows with an unknown total, without roll-ups
	KeptCount    int64      // rows carried over from an earlier run
	HiddenCount  int64      // relations whose names the account cannot see
	Complete     bool       // the collector proved that no relation is missing
	Grant        string     `gorm:"column:missing_grant"` // statement that would make it complete; empty: none known
	ElapsedMS    int64      `gorm:"column:elapsed_ms"`    // milliseconds for collecting and storing

	Scope         string // the only schema the newest refresh read, Complete is then false; empty: all
	ResidualBytes *int64 // bytes allocated to no row, in no sum; nil: unknown
	GrowthDay     *int64 // first day of the growth window, days since 1970-01-01; nil: none yet
}

// SaveTables is the result of a successful collection, to be stored as a database's snapshot.
type SaveTables struct {
	InstanceID    int64
	Database      string // byte-exact; one that the inventory lacks is added to it
	OnlyKnown     bool   // store nothing if the inventory lacks the database or has it as gone
	Configuration string // the instance's when the collection started; empty: it may have changed since
	Result        TableResult
	CollectedAt   time.Time
	Started       time.Time // anything stored since is newer and not overwritten
}

// Receipt describes a stored refresh. Saved counts the relations in the new snapshot; Locked, Failed and Hidden count
// those among the seen relations that this run has no values of.
type Receipt struct {
	CollectedAt time.Time
	Saved       int64 // tables in the new snapshot
	Changed     int64 // rows written because a value differs
	Pruned      int64 // rows deleted because a complete result does not have them
	Kept        int64 // rows with values of an earlier run
	Duplicates  int64 // surplus relations with the same identity; the largest was stored
	Hidden      int64
	Locked      int64 // relations not measured because another session had them locked
	Failed      int64 // relations not measured for another reason
	Complete    bool
	Proof       Proof // why it counts as complete, or what shows that it does not; empty: unknown
	Grant       string
	ElapsedMS   int64
	ServerBytes *int64 // largest memory use of a server process for one of our connections; nil: unknown
}

// analyzeFrom is how many rows a refresh must add before the planner's statistics are updated.
const analyzeFrom = 1000

// tableKey identifies a relation within a database.
type tableKey struct{ schema, name string }

// measured reports whether the row has values, of this run or an earlier one.
func (row *DatabaseTableSizeStat) measured() bool { return row.Unread == "" || row.KeptFrom != nil }

// keep marks the row's values as those of the run that ended at collected, unless they are older.
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

// SaveTableSizes stores the result as the database's snapshot, in one transaction, and writes only rows that differ.
// Rows without a relation in the result are deleted if the result is complete (with a scope: those of its schema),
// else they are kept and marked with the run they come from. So are the values of relations that could not be read.
// On an error nothing changes. A collection that began before the stored one ended is collect.superseded, one of an
// instance that was edited meanwhile collect.instance_changed. A deleted instance is instance.not_found. With
// OnlyKnown, a database that is gone or not in the inventory is database.not_found.
func (s *Store) SaveTableSizes(ctx context.Context, in SaveTables) (Receipt, error) {
	if err := requireStorable(in.Database); err != nil {
		return Receipt{}, err
	}
	planned, err := s.planAhead(ctx, in)
	if err != nil {
		return Receipt{}, err
	}

	var receipt Receipt
	err = s.change(ctx, func(tx *gorm.DB) error {
		database, err := s.lockForRefresh(tx, in)
		if err != nil {
			return err
		}
		if planned.header.SnapshotNo != database.SnapshotNo+1 {
			if planned, err = s.planRefresh(tx, database, in); err != nil {
				return err
			}
		}
		if err := s.mergeLaterDays(tx, database, planned.day); err != nil {
			return err
		}
		if err := planned.execute(tx); err != nil {
			return err
		}
		if err := rollGrowth(tx, database, planned.day); err != nil {
			return err
		}
		if err := s.saveDay(tx, database, planned); err != nil {
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

// planAhead reads and compares before any lock is taken, so other writers wait only while rows are written. The plan is
// of use only if the header has the same number once it is locked: every change of the rows increments that. For a
// database that is to be added it plans nothing.
func (s *Store) planAhead(ctx context.Context, in SaveTables) (*plan, error) {
	db, done := bounded(ctx, s.reader)
	defer done()

	database, err := in.take(db)
	if Is(err, CodeNotFound) && !in.OnlyKnown {
		return &plan{}, nil
	}
	if err != nil {
		return nil, err
	}
	return s.planRefresh(db, database, in)
}

// take loads the database, or returns CodeNotFound.
func (in *SaveTables) take(tx *gorm.DB) (InstanceDatabase, error) {
	database, err := takeDatabase(tx, "instance_id = ? AND name = ?", in.InstanceID, in.Database)
	if err == nil && in.OnlyKnown && database.GoneAt != nil {
		return database, NotFound("database.not_found")
	}
	return database, err
}

// planRefresh compares the result with the stored rows and prepares the writes.
func (s *Store) planRefresh(tx *gorm.DB, database InstanceDatabase, in SaveTables) (*plan, error) {
	fresh, duplicates, err := mergeTables(in.Result.Tables)
	if err != nil {
		return nil, err
	}
	p := s.newPlan(in, fresh, database)
	p.duplicates, p.skipped = duplicates, countUnread(fresh)
	if err := p.compareKeys(tx); err != nil {
		return nil, err
	}
	if err := p.compareRows(tx); err != nil {
		return nil, err
	}
	if err := p.addNew(tx, database.Snapshot); err != nil {
		return nil, err
	}
	p.header.ResidualBytes = p.residual(in.Result)
	err = p.prepare()
	return p, err
}

// analyzeTables updates the planner's statistics. A failure is only logged: pages are slower, but nothing is lost.
func (s *Store) analyzeTables(ctx context.Context) {
	statement := s.dialect.analyze("database_table_size_stats")
	if statement == "" {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, analyzeTimeout)
	defer cancel()
	if err := s.writer.WithContext(ctx).Exec(statement).Error; err != nil {
		s.log.WarnContext(ctx, "planner statistics of the store not updated", "error", err)
	}
}

// afterCollection reports whether a stored time is later than the collection can have ended. The clock was then set
// back in between, and the time does not tell which came first.
func (in *SaveTables) afterCollection(stored time.Time) bool {
	return stored.After(in.CollectedAt.Add(transactionTimeout))
}

// lockForRefresh locks and returns the database if the collection may become its snapshot. It adds one that is missing.
func (s *Store) lockForRefresh(tx *gorm.DB, in SaveTables) (InstanceDatabase, error) {
	if err := holdConfiguration(tx, in.InstanceID, in.Configuration); err != nil {
		return InstanceDatabase{}, err
	}

	locking := tx.Clauses(clause.Locking{Strength: clause.LockingStrengthUpdate}).Session(&gorm.Session{})
	database, err := in.take(locking)
	if Is(err, CodeNotFound) && !in.OnlyKnown {
		found := databaseRecord(DatabaseSize{Name: in.Database}, in.Started)
		if err := s.insertDatabases(tx, in.InstanceID, [][]any{found}, false); err != nil {
			return database, err
		}
		database, err = in.take(locking)
	}
	if err != nil {
		return database, err
	}

	if at := database.CollectedAt; at != nil && at.After(in.Started) && !in.afterCollection(*at) {
		return database, &Error{Code: CodeCollection, Key: "collect.superseded", Args: Args("Name", database.Name)}
	}
	return database, nil
}

// mergeTables indexes relations by identity, keeping the largest of several with the same one.
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
	dialect    dialect
	database   int64                   // its id
	day        int64                   // of the collection
	proven     bool                    // a relation without a stored row did not exist at the snapshot before
	fresh      map[tableKey]*TableSize // relations without a stored row so far
	complete   bool                    // within the scope
	scope      string                  // the only schema read; empty: all
	previous   *time.Time              // when the previous snapshot was collected
	header     Snapshot
	skipped    map[Unread]int64 // relations without values of this run, by reason
	duplicates int64
	changed    int64 // stored rows whose values differ
	newest     int64 // id of the newest stored row

	differing []int64                 // ids of rows whose fingerprint differs from the result's
	rewritten []DatabaseTableSizeStat // stored rows with their new values
	added     []*TableSize            // sorted by schema and name
	returned  []returnedTable         // those that were dropped before, likewise sorted
	resized   []resize                // of stored rows and of those that returned
	removed   []int64
	keptBytes int64 // of rows with values of an earlier run
	writes    []write

	fingerprints fingerprinter
}

// write is a statement with its parameters.
type write struct {
	statement string
	values    []any
}

func (s *Store) newPlan(in SaveTables, fresh map[tableKey]*TableSize, database InstanceDatabase) *plan {
	r, day := in.Result, s.dayNumber(in.CollectedAt)
	return &plan{
		dialect: s.dialect, database: database.ID, day: day, proven: database.provesNew(in.Started),
		fresh: fresh, complete: r.Complete, scope: r.Scope, previous: database.CollectedAt,
		header: Snapshot{
			SnapshotNo: database.SnapshotNo + 1, HiddenCount: r.Hidden, Complete: r.Complete && r.Scope == "",
			Grant: cleaned(r.Grant), Scope: cleaned(r.Scope), GrowthDay: new(day + 1 - tableGrowthDays),
		},
	}
}

// proves reports whether a relation of the schema that is not in the result is gone.
func (p *plan) proves(schema string) bool {
	return p.complete && (p.scope == "" || p.scope == schema)
}

// compareKeys finds unchanged rows by their fingerprints, which avoids reading the rows. The condition on schema_name,
// true for every row, makes SQLite read along the index on names, the order in which it wrote the rows.
func (p *plan) compareKeys(tx *gorm.DB) error {
	rows, err := tx.Raw(`SELECT id, fingerprint, schema_name, table_name FROM database_table_size_stats
		WHERE database_id = ? AND schema_name >= ''`, p.database).Rows()
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

// compareRows reads and compares the rows that may differ.
func (p *plan) compareRows(tx *gorm.DB) error {
	for batch := range slices.Chunk(p.differing, snapshotBatch) {
		parameter, err := jsonParameter(batch)
		if err != nil {
			return err
		}
		rows, err := tx.Raw("SELECT "+selectTableColumns+`, fingerprint FROM database_table_size_stats
			WHERE database_id = ? AND id IN `+p.dialect.ids(), p.database, parameter).Rows()
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
			next.Kind, next.RolledUp = found.Kind, found.RolledUp
			next.ParentSchema, next.Parent = found.ParentSchema, found.Parent
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
	if !sameValue(next.Total, stored.Total) {
		p.resized = append(p.resized, newResize(stored.ID, &next.TableSize, stored.Total))
	}
}

// addNew adds the remaining relations in the order of the store's indexes, which makes writing and later reading
// cheaper. Those that were dropped since the snapshots of a database began are recognized by name.
func (p *plan) addNew(tx *gorm.DB, before Snapshot) error {
	if before.SnapshotNo > 0 {
		if err := p.findReturned(tx); err != nil {
			return err
		}
	}
	p.added = make([]*TableSize, 0, len(p.fresh))
	for _, t := range p.fresh {
		row := newTableRow(t)
		p.count(&row)
		p.added = append(p.added, t)
	}
	slices.SortFunc(p.added, func(a, b *TableSize) int {
		return cmp.Or(cmp.Compare(a.Schema, b.Schema), cmp.Compare(a.Name, b.Name))
	})
	return nil
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
		if row.KeptFrom != nil {
			p.keptBytes += *row.Total
		}
	}
}

// residual returns the bytes of the result's residual that no row counts: the relations of kept rows are hidden or
// unread, so that their bytes are in the residual, too.
func (p *plan) residual(r TableResult) *int64 {
	if r.Residual == nil {
		return nil
	}
	return new(*r.Residual - min(r.Unsized, p.keptBytes))
}

func (s *Store) finish(header *Snapshot, in SaveTables) {
	collected := stamp(in.CollectedAt)
	header.CollectedAt = &collected
	header.ElapsedMS = s.now().Sub(in.Started).Milliseconds()
}

func (p *plan) receipt(r TableResult) Receipt {
	h := p.header
	return Receipt{
		CollectedAt: *h.CollectedAt, ElapsedMS: h.ElapsedMS, ServerBytes: r.ServerBytes,
		Saved: h.TableCount, Changed: p.changed + int64(len(p.added)+len(p.returned)), Pruned: int64(len(p.removed)),
		Kept: h.KeptCount, Duplicates: p.duplicates,
		Hidden: h.HiddenCount, Locked: p.skipped[UnreadLocked], Failed: p.skipped[UnreadFailed],
		Complete: h.Complete, Proof: r.Proof, Grant: h.Grant,
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

// saveHeader writes the header and clears gone_at, unless the database was found gone after the collection had
// started.
func saveHeader(tx *gorm.DB, stored InstanceDatabase, header Snapshot, in SaveTables) error {
	fresh := InstanceDatabase{Snapshot: header, LastSeenAt: *header.CollectedAt, GoneAt: stored.GoneAt}
	if at := stored.GoneAt; at != nil && (at.Before(in.Started) || in.afterCollection(*at)) {
		fresh.GoneAt = nil
	}
	return tx.Model(&InstanceDatabase{}).Where("id = ?", stored.ID).
		Select("*").Omit("id", "instance_id", "name", "is_system", "appeared", "first_seen_at").Updates(&fresh).Error
}
