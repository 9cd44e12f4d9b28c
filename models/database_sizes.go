package models

import (
	"cmp"
	"context"
	"encoding/json"
	"time"

	"gorm.io/gorm"
)

// DatabaseSizeStat is the size of one database on one calendar day of the configured zone.
type DatabaseSizeStat struct {
	ID          int64 `gorm:"primaryKey"`
	DatabaseID  int64
	Day         string // YYYY-MM-DD
	SizeBytes   *int64 // nil: unknown
	DataBytes   *int64 // nil: unknown, or not reported separately by the engine
	LogBytes    *int64 // nil: unknown, or the engine has no log per database
	CollectedAt time.Time
}

// InstanceSizeStat is the size of one instance on one calendar day.
type InstanceSizeStat struct {
	ID            int64 `gorm:"primaryKey"`
	InstanceID    int64
	Day           string // YYYY-MM-DD
	SizeBytes     int64  // Σ of the known sizes of the day
	DatabaseCount int64  // databases with a known size of the day
	CollectedAt   time.Time
}

// DatabaseQuery selects database sizes of one instance.
type DatabaseQuery struct {
	InstanceID      int64
	Name            string // case-insensitive substring, taken literally
	IncludeInactive bool   // also databases that are gone
	LatestOnly      bool
	StartDay        string // YYYY-MM-DD inclusive; empty: open
	EndDay          string
	Sort            string // latest only: size (default) | name | data | log | status | collected
	Desc            bool   // ignored with an empty Sort: size descending
	Limit, Offset   int
}

// DatabaseSizeRow is a database with one of its daily measurements; StatID nil: never measured.
type DatabaseSizeRow struct {
	StatID      *int64
	InstanceID  int64
	DatabaseID  int64
	Name        string
	IsSystem    bool
	SizeBytes   *int64
	DataBytes   *int64
	LogBytes    *int64
	Day         *string    // nil: never measured
	CollectedAt *time.Time // nil: never measured
	GoneAt      *time.Time
	LastSeenAt  time.Time
	Growth7d    *int64  // latest only: bytes since the oldest measurement of the last 7 days; nil: unknown
	History     []int64 // latest only: known sizes of the last 30 days, oldest first
	Failed      *Error  // why the last attempt could not measure it, or not from inside; nil: it could
}

// DatabaseSizePage is one page of database sizes; the counts span all pages.
type DatabaseSizePage struct {
	Rows          []DatabaseSizeRow
	Total         int64
	ActiveCount   int64 // latest only
	FilteredCount int64 // latest only: databases that are gone
	TotalMB       int64 // latest only: Σ floor(bytes / 1 MiB) of the active ones
	TotalBytes    int64 // latest only: Σ bytes of the active ones
}

// sparklineDays is how many calendar days, today included, DatabaseSizeRow.History covers.
const sparklineDays = 30

var sizeColumns = []column{
	{"name", "text"},
	{"day", "text"},
	{"size_bytes", "bigint"},
	{"data_bytes", "bigint"},
	{"log_bytes", "bigint"},
	{"collected_at", "timestamptz"},
}

// SaveDatabaseSizes stores one row per database and calendar day of the store's zone; a later run replaces the row of
// the same day. The instance's row of the day is the sum over its databases that were measured that day and are not
// gone. A database with an unknown total gets no row, but its Err is stored. saved counts rows of databases; if it is
// 0, last_sync_time stays as it is.
func (s *Store) SaveDatabaseSizes(
	ctx context.Context, instanceID int64, r DatabaseResult, at time.Time,
) (saved int64, err error) {
	found, err := uniqueDatabases(r.Databases)
	if err != nil {
		return 0, err
	}
	day, at := s.day(at, 0), stamp(at)
	var measured [][]any
	for _, d := range found {
		if d.Total != nil {
			measured = append(measured, []any{d.Name, day, d.Total, d.Data, d.Log, at.Format(jsonTime)})
		}
	}
	err = s.change(ctx, func(tx *gorm.DB) error {
		instance, err := lockInstance(tx, instanceID)
		if err != nil {
			return err
		}
		if err := s.saveErrors(tx, instanceID, found); err != nil {
			return err
		}
		if saved, err = s.upsertSizes(tx, instanceID, measured); err != nil || saved == 0 {
			return err
		}
		if err := saveInstanceSize(tx, instanceID, day); err != nil {
			return err
		}
		return tx.Model(&instance).UpdateColumn("last_sync_time", at).Error
	})
	return saved, err
}

// saveErrors stores why each database could not be measured or entered, and clears the errors of the others.
func (s *Store) saveErrors(tx *gorm.DB, instanceID int64, found []DatabaseSize) error {
	records := make([][]any, len(found))
	for i, d := range found {
		if d.Err == nil {
			records[i] = []any{d.Name, nil}
			continue
		}
		text, err := json.Marshal(storedError{Code: d.Err.Code, Key: d.Err.Key, Args: d.Err.Args})
		if err != nil {
			return err
		}
		records[i] = []any{d.Name, string(text)}
	}
	columns := []column{{"name", "text"}, {"last_error", "text"}}
	return s.updateDatabases(tx, instanceID, columns, records, "last_error = found.last_error")
}

func (s *Store) upsertSizes(tx *gorm.DB, instanceID int64, records [][]any) (int64, error) {
	parameter, err := jsonParameter(records)
	if err != nil || len(records) == 0 {
		return 0, err
	}
	written := tx.Exec(`INSERT INTO database_size_stats (database_id, day, size_bytes, data_bytes, log_bytes, collected_at)
		SELECT d.id, r.day, r.size_bytes, r.data_bytes, r.log_bytes, r.collected_at
		FROM `+s.dialect.records(sizeColumns)+` CROSS JOIN instance_databases d
		WHERE d.instance_id = ? AND d.name = r.name
		ON CONFLICT (database_id, day) DO UPDATE SET size_bytes = excluded.size_bytes, data_bytes = excluded.data_bytes,
			log_bytes = excluded.log_bytes, collected_at = excluded.collected_at`, parameter, instanceID)
	return written.RowsAffected, written.Error
}

// saveInstanceSize sums up the day's rows of all databases, so a run that measured only some of them does not shrink
// the total.
func saveInstanceSize(tx *gorm.DB, instanceID int64, day string) error {
	return tx.Exec(`INSERT INTO instance_size_stats (instance_id, day, size_bytes, database_count, collected_at)
		SELECT d.instance_id, s.day, CAST(sum(s.size_bytes) AS bigint), count(s.size_bytes), max(s.collected_at)
		FROM instance_databases d JOIN database_size_stats s ON s.database_id = d.id
		WHERE d.instance_id = ? AND s.day = ? AND d.gone_at IS NULL
		GROUP BY d.instance_id, s.day HAVING count(s.size_bytes) > 0
		ON CONFLICT (instance_id, day) DO UPDATE SET size_bytes = excluded.size_bytes,
			database_count = excluded.database_count, collected_at = excluded.collected_at`, instanceID, day).Error
}

// databaseScan is a row of the database list as the store returns it.
type databaseScan struct {
	StatID      *int64
	InstanceID  int64
	DatabaseID  int64
	Name        string
	IsSystem    bool
	SizeBytes   *int64
	DataBytes   *int64
	LogBytes    *int64
	Day         *string
	CollectedAt *time.Time
	GoneAt      *time.Time
	LastSeenAt  time.Time
	LastError   *string
}

const databaseColumns = `s.id AS stat_id, d.instance_id, d.id AS database_id, d.name, d.is_system,
	s.size_bytes, s.data_bytes, s.log_bytes, s.day, s.collected_at, d.gone_at, d.last_seen_at, d.last_error`

// databaseTotals holds the counts and sums of a DatabaseSizePage.
type databaseTotals struct {
	Total, ActiveCount, FilteredCount int64
	TotalMB                           int64 `gorm:"column:total_mb"`
	TotalBytes                        int64
}

const databaseTotalsSQL = `count(*) AS total,
	count(CASE WHEN d.gone_at IS NULL THEN 1 END) AS active_count,
	count(CASE WHEN d.gone_at IS NOT NULL THEN 1 END) AS filtered_count,
	CAST(COALESCE(sum(CASE WHEN d.gone_at IS NULL THEN s.size_bytes / 1048576 END), 0) AS bigint) AS total_mb,
	CAST(COALESCE(sum(CASE WHEN d.gone_at IS NULL THEN s.size_bytes END), 0) AS bigint) AS total_bytes`

var databaseOrders = map[string]string{
	"size": "s.size_bytes", "data": "s.data_bytes", "log": "s.log_bytes", "name": "d.name", "collected": "s.collected_at",
	"status": "CASE WHEN d.gone_at IS NULL THEN 0 ELSE 1 END",
}

// Databases returns a page of the database sizes that q selects: every measurement, newest day first, or with
// LatestOnly the newest one of each database. With a day range, LatestOnly leaves out databases without a measurement
// in it.
func (s *Store) Databases(ctx context.Context, q DatabaseQuery) (DatabaseSizePage, error) {
	var page DatabaseSizePage
	err := s.view(ctx, func(tx *gorm.DB) error {
		rows := s.databaseHistory
		order := "s.day DESC, d.name, s.id"
		if q.LatestOnly {
			rows, order = s.latestDatabases, databaseOrder(q)
		}
		var totals databaseTotals
		if err := rows(tx, q).Select(databaseTotalsSQL).Scan(&totals).Error; err != nil {
			return err
		}
		var scanned []databaseScan
		err := rows(tx, q).Select(databaseColumns).Order(order).Limit(q.Limit).Offset(q.Offset).Scan(&scanned).Error
		if err != nil {
			return err
		}
		if page.Rows, err = databaseRows(scanned); err != nil {
			return err
		}
		page.Total = totals.Total
		if !q.LatestOnly {
			return nil
		}
		page.ActiveCount, page.FilteredCount = totals.ActiveCount, totals.FilteredCount
		page.TotalMB, page.TotalBytes = totals.TotalMB, totals.TotalBytes
		return s.addHistory(tx, page.Rows)
	})
	return page, err
}

func (s *Store) databaseHistory(tx *gorm.DB, q DatabaseQuery) *gorm.DB {
	tx = tx.Table("database_size_stats AS s").Joins("JOIN instance_databases d ON d.id = s.database_id")
	if q.StartDay != "" {
		tx = tx.Where("s.day >= ?", q.StartDay)
	}
	if q.EndDay != "" {
		tx = tx.Where("s.day <= ?", q.EndDay)
	}
	return s.filterDatabases(tx, q)
}

func (s *Store) latestDatabases(tx *gorm.DB, q DatabaseQuery) *gorm.DB {
	tx = newestSizes(tx, q.StartDay, q.EndDay)
	if q.StartDay != "" || q.EndDay != "" {
		tx = tx.Where("s.id IS NOT NULL")
	}
	return s.filterDatabases(tx, q)
}

// newestSizes selects the databases d, each with its newest measurement s between two days, if there is one. Empty days
// mean no limit.
func newestSizes(tx *gorm.DB, first, last string) *gorm.DB {
	const newest = `LEFT JOIN database_size_stats s ON s.database_id = d.id AND s.day =
		(SELECT max(m.day) FROM database_size_stats m WHERE m.database_id = d.id AND m.day >= ? AND m.day <= ?)`
	return tx.Table("instance_databases AS d").Joins(newest, first, cmp.Or(last, "9999-12-31"))
}

func (s *Store) filterDatabases(tx *gorm.DB, q DatabaseQuery) *gorm.DB {
	tx = s.search(tx.Where("d.instance_id = ?", q.InstanceID), q.Name, "d.name_fold")
	if q.IncludeInactive {
		return tx
	}
	return tx.Where("d.gone_at IS NULL")
}

func databaseOrder(q DatabaseQuery) string {
	order, known := databaseOrders[q.Sort]
	if !known {
		order, q.Desc = databaseOrders["size"], true
	}
	return order + direction(q.Desc) + ", d.name, d.id"
}

func databaseRows(scanned []databaseScan) ([]DatabaseSizeRow, error) {
	rows := make([]DatabaseSizeRow, len(scanned))
	for i, d := range scanned {
		rows[i] = DatabaseSizeRow{
			StatID: d.StatID, InstanceID: d.InstanceID, DatabaseID: d.DatabaseID, Name: d.Name, IsSystem: d.IsSystem,
			SizeBytes: d.SizeBytes, DataBytes: d.DataBytes, LogBytes: d.LogBytes,
			Day: d.Day, CollectedAt: d.CollectedAt, GoneAt: d.GoneAt, LastSeenAt: d.LastSeenAt,
		}
		if d.LastError == nil {
			continue
		}
		var failed storedError
		if err := json.Unmarshal([]byte(*d.LastError), &failed); err != nil {
			return nil, err
		}
		rows[i].Failed = &Error{Code: failed.Code, Key: failed.Key, Args: failed.Args}
	}
	return rows, nil
}

// addHistory fills Growth7d and History of the rows of one page.
func (s *Store) addHistory(tx *gorm.DB, rows []DatabaseSizeRow) error {
	ids := make([]int64, len(rows))
	for i, row := range rows {
		ids[i] = row.DatabaseID
	}
	parameter, err := jsonParameter(ids)
	if err != nil {
		return err
	}
	now := s.Now()
	var stats []DatabaseSizeStat
	err = tx.Where("database_id IN "+s.dialect.ids()+" AND day >= ? AND size_bytes IS NOT NULL",
		parameter, s.day(now, 1-sparklineDays)).Order("database_id, day").Find(&stats).Error
	if err != nil {
		return err
	}
	byDatabase := map[int64][]DatabaseSizeStat{}
	for _, stat := range stats {
		byDatabase[stat.DatabaseID] = append(byDatabase[stat.DatabaseID], stat)
	}
	week := s.day(now, 1-growthDays)
	for i := range rows {
		rows[i].addHistory(byDatabase[rows[i].DatabaseID], week)
	}
	return nil
}

// addHistory takes known sizes, oldest first; growth is counted from the first one not before the day since.
func (row *DatabaseSizeRow) addHistory(stats []DatabaseSizeStat, since string) {
	oldest := -1
	for i, stat := range stats {
		row.History = append(row.History, *stat.SizeBytes)
		if oldest < 0 && stat.Day >= since {
			oldest = i
		}
	}
	if last := len(stats) - 1; oldest >= 0 && oldest < last {
		growth := *stats[last].SizeBytes - *stats[oldest].SizeBytes
		row.Growth7d = &growth
	}
}
