package models

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"gorm.io/gorm"
)

// DatabaseSize is one database as a collector found it. Sizes are bytes; nil is unknown.
type DatabaseSize struct {
	Name     string
	IsSystem bool
	Total    *int64
	Data     *int64
	Log      *int64
	Closed   bool   // its state allows no connections, whatever the account's privileges
	Err      *Error // why it could not be measured; with a Total, what that lacks or why it is measured from outside
}

// DatabaseResult is the list of databases of one instance.
type DatabaseResult struct {
	Databases []DatabaseSize
	Complete  bool   // the list has every database of the server; only then are missing ones marked gone
	Grant     string // statement that would make the list complete; empty: none needed or known
	Proof     Proof  // what shows that the list is not complete; empty: nothing beyond the account's rights
}

// InstanceDatabase is a database of an instance (Oracle: a tablespace) and the header of its table-size snapshot.
type InstanceDatabase struct {
	ID          int64 `gorm:"primaryKey"`
	InstanceID  int64
	Name        string // byte-exact
	IsSystem    bool
	FirstSeenAt time.Time
	LastSeenAt  time.Time
	GoneAt      *time.Time // when it was first missing from the server; nil: it is there
	Appeared    bool       // it was added after the server's databases were all known, so that it is new

	Snapshot `gorm:"embedded"`
}

// Database returns the database of an instance with the exact name, or CodeNotFound.
func (s *Store) Database(ctx context.Context, instanceID int64, name string) (InstanceDatabase, error) {
	if !storable(name) {
		return InstanceDatabase{}, NotFound("database.not_found")
	}
	db, done := bounded(ctx, s.reader)
	defer done()
	return takeDatabase(db, "instance_id = ? AND name = ?", instanceID, name)
}

// placedDatabase is a database with its instance, which one statement loads.
type placedDatabase struct {
	InstanceDatabase
	Instance Instance `gorm:"foreignKey:InstanceID"`
}

// TableName implements gorm's Tabler.
func (placedDatabase) TableName() string { return "instance_databases" }

// PlacedDatabase returns the database of an instance with the exact name, and the instance without its credential and
// tags. It is CodeNotFound if the inventory lacks the database or the instance is in the recycle bin.
func (s *Store) PlacedDatabase(ctx context.Context, instanceID int64, name string) (InstanceDatabase, Instance, error) {
	if !storable(name) {
		return InstanceDatabase{}, Instance{}, NotFound("database.not_found")
	}
	return s.placedDatabase(ctx, "instance_databases.instance_id = ? AND instance_databases.name = ?", instanceID, name)
}

// PlacedDatabaseByID returns the database with the id, and its instance as PlacedDatabase does.
func (s *Store) PlacedDatabaseByID(ctx context.Context, id int64) (InstanceDatabase, Instance, error) {
	return s.placedDatabase(ctx, "instance_databases.id = ?", id)
}

func (s *Store) placedDatabase(
	ctx context.Context, condition string, values ...any,
) (InstanceDatabase, Instance, error) {
	db, done := bounded(ctx, s.reader)
	defer done()
	var found placedDatabase
	err := db.InnerJoins("Instance").Where(condition, values...).Take(&found).Error
	switch {
	case errors.Is(err, gorm.ErrRecordNotFound):
		return InstanceDatabase{}, Instance{}, NotFound("database.not_found")
	case err != nil:
		return InstanceDatabase{}, Instance{}, err
	case found.Instance.DeletedAt != nil:
		return InstanceDatabase{}, Instance{}, NotFound("instance.not_found")
	}
	return found.InstanceDatabase, found.Instance, nil
}

func takeDatabase(tx *gorm.DB, condition string, values ...any) (InstanceDatabase, error) {
	var database InstanceDatabase
	err := tx.Where(condition, values...).Take(&database).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return InstanceDatabase{}, NotFound("database.not_found")
	}
	return database, err
}

// MarkGone records that the server no longer has the database. Its snapshot stays.
func (s *Store) MarkGone(ctx context.Context, databaseID int64, at time.Time) error {
	db, done := bounded(ctx, s.writer)
	defer done()
	found := db.Table("instance_databases").Where("id = ?", databaseID).
		Update("gone_at", gorm.Expr("COALESCE(gone_at, ?)", stamp(at)))
	if found.Error == nil && found.RowsAffected == 0 {
		return NotFound("database.not_found")
	}
	return found.Error
}

var inventoryColumns = []column{
	{"name", "text"},
	{"name_fold", "text"},
	{"is_system", "boolean"},
	{"seen_at", "timestamptz"},
}

// databaseRecord returns the values of inventoryColumns.
func databaseRecord(d DatabaseSize, at time.Time) []any {
	return []any{d.Name, fold(d.Name), d.IsSystem, stamp(at).Format(jsonTime)}
}

// insertDatabases adds databases to the inventory, as appeared or not.
func (s *Store) insertDatabases(tx *gorm.DB, instanceID int64, records [][]any, appeared bool) error {
	if len(records) == 0 {
		return nil
	}
	parameter, err := jsonParameter(records)
	if err != nil {
		return err
	}
	return tx.Exec(`INSERT INTO instance_databases
			(instance_id, appeared, name, name_fold, is_system, first_seen_at, last_seen_at)
		SELECT CAST(? AS bigint), CAST(? AS boolean), r.name, r.name_fold, r.is_system, r.seen_at, r.seen_at
		FROM `+s.dialect.records(inventoryColumns)+` WHERE true
		ON CONFLICT (instance_id, name) DO UPDATE SET last_seen_at = excluded.last_seen_at`,
		instanceID, appeared, parameter).Error
}

// seeDatabases records that known databases are on the server. It is not an upsert, which would use up an id for each
// database and sync, and the history keeps ids of 32 bits.
func (s *Store) seeDatabases(tx *gorm.DB, instanceID int64, records [][]any) error {
	return s.updateDatabases(tx, instanceID, inventoryColumns, records,
		"last_seen_at = found.seen_at, gone_at = NULL, is_system = found.is_system")
}

// updateDatabases makes the assignments to the databases of the instance that the records, found, name.
func (s *Store) updateDatabases(
	tx *gorm.DB, instanceID int64, columns []column, records [][]any, assignments string,
) error {
	parameter, err := jsonParameter(records)
	if err != nil {
		return err
	}
	// DISTINCT keeps SQLite from merging the subquery into the join, where it would parse the parameter for each database.
	return tx.Exec("UPDATE instance_databases AS d SET "+assignments+`
		FROM (SELECT DISTINCT m.id, r.* FROM `+s.dialect.records(columns)+`
			CROSS JOIN instance_databases m WHERE m.instance_id = ? AND m.name = r.name) AS found
		WHERE d.id = found.id`, parameter, instanceID).Error
}

// SaveInventory stores which databases an instance has and whether the list is complete. If it is, known databases not
// in r are marked gone.
func (s *Store) SaveInventory(
	ctx context.Context, instanceID int64, r DatabaseResult, at time.Time,
) (InventoryChange, error) {
	found, err := uniqueDatabases(r.Databases)
	if err != nil {
		return InventoryChange{}, err
	}
	records := make([][]any, len(found))
	for i, d := range found {
		records[i] = databaseRecord(d, at)
	}
	var change InventoryChange
	err = s.change(ctx, func(tx *gorm.DB) error {
		instance, err := lockInstance(tx, instanceID)
		if err != nil {
			return err
		}
		allKnown := instance.DatabasesComplete != nil && *instance.DatabasesComplete
		// UpdateColumns leaves updated_at alone: a listing is not an edit of the instance.
		listing := map[string]any{"databases_complete": r.Complete, "databases_grant": r.Grant}
		if err := tx.Model(&instance).UpdateColumns(listing).Error; err != nil {
			return err
		}
		var known []InstanceDatabase
		if err := tx.Find(&known, "instance_id = ?", instanceID).Error; err != nil {
			return err
		}
		var gone []int64
		change, gone = compareInventory(known, found, r.Complete)
		if err := s.seeDatabases(tx, instanceID, records); err != nil {
			return err
		}
		if err := s.insertDatabases(tx, instanceID, unknownTo(known, records), allKnown); err != nil {
			return err
		}
		return s.markGone(tx, gone, at)
	})
	return change, err
}

// unknownTo returns the records of databases that are not among the known ones.
func unknownTo(known []InstanceDatabase, records [][]any) [][]any {
	names := make(map[any]bool, len(known))
	for _, d := range known {
		names[d.Name] = true
	}
	return slices.DeleteFunc(slices.Clone(records), func(record []any) bool { return names[record[0]] })
}

func (s *Store) markGone(tx *gorm.DB, ids []int64, at time.Time) error {
	if len(ids) == 0 {
		return nil
	}
	parameter, err := jsonParameter(ids)
	if err != nil {
		return err
	}
	return tx.Exec("UPDATE instance_databases SET gone_at = ? WHERE id IN "+s.dialect.ids(), stamp(at), parameter).Error
}

// uniqueDatabases returns the databases sorted by name, of those with the same name the largest.
func uniqueDatabases(databases []DatabaseSize) ([]DatabaseSize, error) {
	unique := slices.Clone(databases)
	slices.SortStableFunc(unique, func(a, b DatabaseSize) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), compareBytes(b.Total, a.Total))
	})
	unique = slices.CompactFunc(unique, func(a, b DatabaseSize) bool { return a.Name == b.Name })
	for _, d := range unique {
		if err := requireStorable(d.Name); err != nil {
			return nil, err
		}
	}
	return unique, nil
}

// compareBytes compares sizes; unknown sorts first.
func compareBytes(a, b *int64) int {
	switch {
	case a == nil && b == nil:
		return 0
	case a == nil:
		return -1
	case b == nil:
		return 1
	}
	return cmp.Compare(*a, *b)
}

// compareInventory returns what the list changes and the ids of the databases to mark gone.
func compareInventory(
	known []InstanceDatabase, found []DatabaseSize, complete bool,
) (change InventoryChange, gone []int64) {
	unmatched := make(map[string]InstanceDatabase, len(known))
	for _, d := range known {
		unmatched[d.Name] = d
	}
	for _, d := range found {
		before, isKnown := unmatched[d.Name]
		delete(unmatched, d.Name)
		change.Active = append(change.Active, d.Name)
		switch {
		case !isKnown:
			change.Created++
		case before.GoneAt != nil:
			change.Reactivated++
		default:
			change.Refreshed++
		}
	}
	for name, d := range unmatched {
		if d.GoneAt == nil && !complete {
			change.Active = append(change.Active, name)
			continue
		}
		if d.GoneAt == nil {
			gone = append(gone, d.ID)
		}
		change.Gone = append(change.Gone, name)
	}
	change.Deactivated = int64(len(gone))
	slices.Sort(change.Active)
	slices.Sort(change.Gone)
	return change, gone
}

// InventoryChange reports what a list of databases changed in the inventory. Names are sorted.
type InventoryChange struct {
	Created, Refreshed, Reactivated, Deactivated int64
	Active                                       []string // on the server now
	Gone                                         []string // known, but no longer on the server
}
