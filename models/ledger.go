package models

import (
	"context"

	"gorm.io/gorm"
)

// LedgerQuery selects a page of the databases of all instances. Zero values mean no filter.
type LedgerQuery struct {
	Search        string // case-insensitive substring of the database's or instance's name, or host, taken literally
	DBType        Engine
	InstanceID    int64
	Tags          []string // names of tags, any of which the instance has
	Limit, Offset int
}

// LedgerRow is a database with its newest measurement, and its instance with its tags.
type LedgerRow struct {
	DatabaseSizeRow
	Instance Instance
}

// LedgerPage is one page of the ledger and the number of all databases that match.
type LedgerPage struct {
	Rows  []LedgerRow
	Total int64
}

// Ledger returns a page of the databases that are on the servers of active instances, sorted by instance and name.
func (s *Store) Ledger(ctx context.Context, q LedgerQuery) (LedgerPage, error) {
	var page LedgerPage
	err := s.view(ctx, func(tx *gorm.DB) error {
		if err := s.ledger(tx, q).Count(&page.Total).Error; err != nil {
			return err
		}

		var scanned []databaseScan
		err := s.ledger(tx, q).Select(databaseColumns).Order("i.name, i.id, d.name, d.id").
			Limit(q.Limit).Offset(q.Offset).Scan(&scanned).Error
		if err != nil {
			return err
		}
		rows, err := databaseRows(scanned)
		if err != nil {
			return err
		}
		if err := s.addHistory(tx, rows); err != nil {
			return err
		}
		page.Rows, err = placed(tx, rows)
		return err
	})
	return page, err
}

func (s *Store) ledger(tx *gorm.DB, q LedgerQuery) *gorm.DB {
	tx = newestSizes(tx, "", "").
		Joins("JOIN instances i ON i.id = d.instance_id AND i.is_active AND i.deleted_at IS NULL").
		Where("d.gone_at IS NULL")
	if q.InstanceID != 0 {
		tx = tx.Where("i.id = ?", q.InstanceID)
	}
	tx = taggedWith(equal(tx, "i.db_type", string(q.DBType)), q.Tags)
	return s.search(tx, q.Search, "d.name_fold", "i.name_fold", "i.host_fold")
}

// placed adds to each database its instance.
func placed(tx *gorm.DB, rows []DatabaseSizeRow) ([]LedgerRow, error) {
	ids := make([]int64, len(rows))
	for i, row := range rows {
		ids[i] = row.InstanceID
	}
	byID, err := instancesByID(tx, ids)
	if err != nil {
		return nil, err
	}

	out := make([]LedgerRow, len(rows))
	for i, row := range rows {
		out[i] = LedgerRow{DatabaseSizeRow: row, Instance: byID[row.InstanceID]}
	}
	return out, nil
}

// DatabaseTrend returns the measurements of a database of the last days, today included, oldest first.
func (s *Store) DatabaseTrend(ctx context.Context, databaseID int64, days int) ([]DatabaseSizeStat, error) {
	db, done := bounded(ctx, s.reader)
	defer done()
	var stats []DatabaseSizeStat
	err := db.Where("database_id = ? AND day >= ?", databaseID, s.day(s.Now(), 1-days)).Order("day").Find(&stats).Error
	return stats, err
}

// KnownDatabases returns a page of the databases of an instance, those that are gone included, sorted by name, and the
// number of all.
func (s *Store) KnownDatabases(
	ctx context.Context, instanceID int64, limit, offset int,
) (found []InstanceDatabase, total int64, err error) {
	err = s.view(ctx, func(tx *gorm.DB) error {
		all := func() *gorm.DB { return tx.Model(&InstanceDatabase{}).Where("instance_id = ?", instanceID) }
		if err := all().Count(&total).Error; err != nil {
			return err
		}
		return all().Order("name, id").Limit(limit).Offset(offset).Find(&found).Error
	})
	return found, total, err
}
