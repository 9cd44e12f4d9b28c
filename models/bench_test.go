package models_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/glebarez/sqlite"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"
	"gorm.io/gorm/logger"

	"whalefall/migrations"
	"whalefall/models"
	"whalefall/testenv"
)

const benchTables = 100_000

// benchStores runs the benchmark on both stores, with one database of benchTables tables.
func benchStores(
	b *testing.B, run func(b *testing.B, s *models.Store, save func(all []models.TableSize) models.Receipt, id int64),
) {
	b.Helper()
	for _, kind := range []string{"sqlite", "postgres"} {
		b.Run(kind, func(b *testing.B) {
			address := filepath.Join(b.TempDir(), "store.db")
			if kind == "postgres" {
				address = testenv.PostgreSQL(b).NewDatabase(b)
			}
			keys, err := models.CreateKeyset(filepath.Join(b.TempDir(), "keyset.json"))
			check(b, err)
			s, err := models.Open(b.Context(), models.Options{Address: address, Keyset: keys, Migrate: migrations.Up})
			check(b, err)
			b.Cleanup(func() { check(b, s.Close()) })
			instance, err := s.CreateInstance(b.Context(), models.Instance{Name: "n"}, nil, nil)
			check(b, err)
			found := models.DatabaseResult{Databases: []models.DatabaseSize{{Name: "app"}}}
			_, err = s.SaveInventory(b.Context(), instance.ID, found, time.Now())
			check(b, err)
			database, err := s.Database(b.Context(), instance.ID, "app")
			check(b, err)
			run(b, s, func(all []models.TableSize) models.Receipt {
				receipt, err := s.SaveTableSizes(b.Context(), models.SaveTables{
					InstanceID: instance.ID, Database: database.Name, Result: models.TableResult{Tables: all, Complete: true},
					CollectedAt: time.Now(), Started: time.Now(),
				})
				check(b, err)
				return receipt
			}, database.ID)
		})
	}
}

// cpu is what this process has used; on a busy machine it is steadier than wall time.
func cpu(b *testing.B) time.Duration {
	var used syscall.Rusage
	check(b, syscall.Getrusage(syscall.RUSAGE_SELF, &used))
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

func BenchmarkSaveUnchanged(b *testing.B) {
	benchStores(b, func(b *testing.B, _ *models.Store, save func([]models.TableSize) models.Receipt, _ int64) {
		all := tables(benchTables)
		began := cpu(b)
		save(all)
		first := cpu(b) - began
		began = cpu(b)
		for b.Loop() {
			save(all)
		}
		b.ReportMetric(float64((cpu(b)-began).Microseconds())/float64(b.N*1000), "cpu-ms/op")
		b.ReportMetric(float64(first.Milliseconds()), "first-cpu-ms")
	})
}

func BenchmarkSaveTenth(b *testing.B) {
	benchStores(b, func(b *testing.B, _ *models.Store, save func([]models.TableSize) models.Receipt, _ int64) {
		all := tables(benchTables)
		save(all)
		round := int64(0)
		began := cpu(b)
		for b.Loop() {
			round++
			for i := range all {
				if (i+int(round))%10 == 0 {
					all[i].Total = pointer(*all[i].Total + 8192)
				}
			}
			save(all)
		}
		b.ReportMetric(float64((cpu(b)-began).Microseconds())/float64(b.N*1000), "cpu-ms/op")
	})
}

func BenchmarkPage(b *testing.B) {
	benchStores(b, func(b *testing.B, s *models.Store, save func([]models.TableSize) models.Receipt, id int64) {
		save(tables(benchTables))
		for _, q := range []models.TableQuery{
			{},
			{Sort: "size"},
			{Sort: "name"},
			{Sort: "schema"},
			{Sort: "data", Desc: true},
			{Offset: 50_000},
			{Table: "_0777"},
			{Table: "nowhere"},
		} {
			q.DatabaseID, q.Limit = id, 50
			b.Run(fmt.Sprintf("sort=%s,table=%s,offset=%d", q.Sort, q.Table, q.Offset), func(b *testing.B) {
				for b.Loop() {
					_, err := s.TableSizes(b.Context(), q)
					check(b, err)
				}
			})
		}
	})
}

// plainRow is what a straightforward port stores of a table: every row is written every time.
type plainRow struct {
	ID          int64  `gorm:"primaryKey"`
	DatabaseID  int64  `gorm:"uniqueIndex:plain_names;index:plain_size"`
	SchemaName  string `gorm:"uniqueIndex:plain_names"`
	TableName_  string `gorm:"column:table_name;uniqueIndex:plain_names"` //nolint:revive // TableName is a method of GORM
	SizeBytes   *int64 `gorm:"index:plain_size"`
	DataBytes   *int64
	IndexBytes  *int64
	RowCount    *int64
	CollectedAt time.Time
	CreatedAt   time.Time
	UpdatedAt   time.Time
}

// BenchmarkSaveReference is the 1.00 of the storing ratios: GORM's CreateInBatches of 500 with an upsert of all
// columns, and the deletion of what this run has not written.
func BenchmarkSaveReference(b *testing.B) {
	for _, kind := range []string{"sqlite", "postgres"} {
		b.Run(kind, func(b *testing.B) {
			db := openPlain(b, kind)
			all := tables(benchTables)
			savePlain(b, db, all)
			began := cpu(b)
			for b.Loop() {
				savePlain(b, db, all)
			}
			b.ReportMetric(float64((cpu(b)-began).Microseconds())/float64(b.N*1000), "cpu-ms/op")
		})
	}
}

func openPlain(b *testing.B, kind string) *gorm.DB {
	b.Helper()
	if kind == "postgres" {
		return migratePlain(b, postgres.Open(testenv.PostgreSQL(b).NewDatabase(b)))
	}
	pragmas := "?_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)"
	return migratePlain(b, sqlite.Open("file:"+filepath.Join(b.TempDir(), "plain.db")+pragmas))
}

func migratePlain(b testing.TB, dialector gorm.Dialector) *gorm.DB {
	b.Helper()
	db, err := gorm.Open(dialector, &gorm.Config{Logger: logger.Discard})
	check(b, err)
	plain, err := db.DB()
	check(b, err)
	b.Cleanup(func() { check(b, plain.Close()) })
	check(b, db.AutoMigrate(&plainRow{}))
	return db
}

func savePlain(b testing.TB, db *gorm.DB, all []models.TableSize) {
	b.Helper()
	at := time.Now()
	rows := make([]plainRow, len(all))
	for i, t := range all {
		rows[i] = plainRow{
			DatabaseID: 1, SchemaName: t.Schema, TableName_: t.Name, SizeBytes: t.Total, DataBytes: t.Data, IndexBytes: t.Index,
			RowCount: t.Rows, CollectedAt: at, CreatedAt: at, UpdatedAt: at,
		}
	}
	columns := strings.Fields("size_bytes data_bytes index_bytes row_count collected_at updated_at")
	check(b, db.Transaction(func(tx *gorm.DB) error {
		upsert := clause.OnConflict{
			Columns:   []clause.Column{{Name: "database_id"}, {Name: "schema_name"}, {Name: "table_name"}},
			DoUpdates: clause.AssignmentColumns(columns),
		}
		if err := tx.Clauses(upsert).CreateInBatches(&rows, 500).Error; err != nil {
			return err
		}
		return tx.Where("database_id = ? AND collected_at < ?", 1, at).Delete(&plainRow{}).Error
	}))
}
