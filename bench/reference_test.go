//go:build bench

package bench

import (
	"testing"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"whalefall/models"
)

// referenceStat is a row of a straightforward program: it has the time of the collection, so every refresh changes
// every row.
type referenceStat struct {
	ID          int64  `gorm:"primaryKey"`
	DatabaseID  int64  `gorm:"uniqueIndex:reference_identity;index:reference_size,priority:1"`
	SchemaName  string `gorm:"uniqueIndex:reference_identity"`
	TableName   string `gorm:"uniqueIndex:reference_identity"`
	Kind        string
	SizeBytes   *int64 `gorm:"index:reference_size,priority:2,sort:desc"`
	DataBytes   *int64
	IndexBytes  *int64
	RowCount    *int64
	RowsSource  string
	SizeSource  string
	CollectedAt time.Time
}

// reference stores snapshots through the ORM as its manual suggests.
type reference struct {
	db *gorm.DB
}

func newReference(t *testing.T, p *place) *reference {
	t.Helper()
	r := &reference{p.orm(t)}
	if err := r.db.AutoMigrate(&referenceStat{}); err != nil {
		t.Fatal(err)
	}
	return r
}

func referenceRows(database int64, tables []models.TableSize, now time.Time) []referenceStat {
	rows := make([]referenceStat, len(tables))
	for i := range tables {
		s := &tables[i]
		rows[i] = referenceStat{
			DatabaseID: database, SchemaName: s.Schema, TableName: s.Name, Kind: string(s.Kind),
			SizeBytes: s.Total, DataBytes: s.Data, IndexBytes: s.Index, RowCount: s.Rows,
			RowsSource: string(s.RowsSource), SizeSource: string(s.SizeSource), CollectedAt: now,
		}
	}
	return rows
}

var upsert = clause.OnConflict{
	Columns: []clause.Column{{Name: "database_id"}, {Name: "schema_name"}, {Name: "table_name"}},
	DoUpdates: clause.AssignmentColumns([]string{
		"kind", "size_bytes", "data_bytes", "index_bytes", "row_count", "rows_source", "size_source", "collected_at",
	}),
}

// save writes every row in batches and deletes those of earlier collections.
func (r *reference) save(t *testing.T, database int64, tables []models.TableSize) {
	t.Helper()
	now := time.Now().UTC().Truncate(time.Microsecond)
	rows := referenceRows(database, tables, now)
	err := r.db.WithContext(t.Context()).Transaction(func(tx *gorm.DB) error {
		if err := tx.Clauses(upsert).CreateInBatches(rows, 500).Error; err != nil {
			return err
		}
		return tx.Where("database_id = ? AND collected_at < ?", database, now).Delete(&referenceStat{}).Error
	})
	if err != nil {
		t.Fatal(err)
	}
}

// saveEach writes one row at a time.
func (r *reference) saveEach(t *testing.T, database int64, tables []models.TableSize) {
	t.Helper()
	rows := referenceRows(database, tables, time.Now().UTC())
	for i := range rows {
		if err := r.db.WithContext(t.Context()).Clauses(upsert).Create(&rows[i]).Error; err != nil {
			t.Fatal(err)
		}
	}
}
