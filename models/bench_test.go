package models_test

import (
	"fmt"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"whalefall/migrations"
	"whalefall/models"
	"whalefall/testenv"
)

const benchTables = 100_000

// benchStores runs the benchmark on both stores, with one database of benchTables tables.
func benchStores(b *testing.B, run func(b *testing.B, s *models.Store, save func(all []models.TableSize) models.Receipt, id int64)) {
	for _, kind := range []string{"sqlite", "postgres"} {
		b.Run(kind, func(b *testing.B) {
			address := filepath.Join(b.TempDir(), "store.db")
			if kind == "postgres" {
				address = testenv.Postgres(b).NewDatabase(b)
			}
			keys, err := models.CreateKeyset(filepath.Join(b.TempDir(), "keyset.json"))
			check(b, err)
			s, err := models.Open(b.Context(), models.Options{Address: address, Keyset: keys, Migrate: migrations.Up})
			check(b, err)
			b.Cleanup(func() { check(b, s.Close()) })
			instance, err := s.CreateInstance(b.Context(), models.Instance{Name: "n"}, nil, nil)
			check(b, err)
			database, err := s.AddDatabase(b.Context(), instance.ID, "app", time.Now())
			check(b, err)
			run(b, s, func(all []models.TableSize) models.Receipt {
				receipt, err := s.SaveTableSizes(b.Context(), models.SaveTables{
					DatabaseID: database.ID, Result: models.TableResult{Tables: all, Complete: true}, CollectedAt: time.Now(), Started: time.Now(),
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
