package models_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"whalefall/models"
)

// filled is an instance with something in every table that belongs to it.
func (f *fixture) filled(name string) models.Instance {
	f.Helper()
	instance, err := f.CreateInstance(f.ctx, models.Instance{
		Name: name, DBType: models.MySQL, Host: pointer("h"), Port: pointer(1), IsActive: true,
	}, []string{"shared", "only " + name}, &models.TypedLogin{Username: "u", Password: "p"})
	check(f, err)
	f.saveInventory(instance, true, "app", "other")
	f.measure(instance, map[string]int64{"app": 1 << 20, "other": 2 << 20})
	database, err := f.Database(f.ctx, instance.ID, "app")
	check(f, err)
	f.refresh(database, true, tables(4)...)
	f.refresh(database, true, tables(3)...)
	_, _, err = f.RequestRun(f.ctx, models.Run{
		InstanceID: instance.ID, DatabaseName: "app", Kind: models.RunTables, RequestedAt: f.clock.Now(),
	})
	check(f, err)
	return instance
}

func (f *fixture) rowsOf(id int64) string {
	f.Helper()
	rows, err := f.RowsOf(f.ctx, id)
	check(f, err)
	return fmt.Sprint(rows)
}

const (
	filledRows = "map[collection_runs:1 database_size_stats:2 database_table_size_stats:3 dropped_tables:1 " +
		"instance_databases:2 instance_size_stats:1 instance_tags:2 instances:1 snapshot_days:1 table_events:1 " +
		"table_size_history:4]"
	noRows = "map[collection_runs:0 database_size_stats:0 database_table_size_stats:0 dropped_tables:0 " +
		"instance_databases:0 instance_size_stats:0 instance_tags:0 instances:0 snapshot_days:0 table_events:0 " +
		"table_size_history:0]"
)

func describeDeletion(d models.Deletion) string {
	names := []string{}
	for _, i := range d.Deleted {
		names = append(names, i.Name)
	}
	return fmt.Sprintf("%s, missing %v", strings.Join(names, " "), d.Missing)
}

func TestStore_DeleteInstances(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		a, b, c := f.filled("a"), f.filled("b"), f.filled("c")
		_, err := f.DeleteInstance(f.ctx, b.ID)
		check(f, err)
		before, err := f.InstanceIncludingDeleted(f.ctx, b.ID)
		check(f, err)
		f.clock.add(time.Hour)
		gone, err := f.DeleteInstances(f.ctx, []int64{c.ID, 99, b.ID, a.ID, a.ID, 98, 1 << 62})
		check(f, err)
		equal(f, "deletion", describeDeletion(gone), fmt.Sprintf("a c, missing [98 99 %d]", int64(1)<<62))
		for _, id := range []int64{a.ID, c.ID} {
			now, err := f.InstanceIncludingDeleted(f.ctx, id)
			check(f, err)
			equal(f, "status", fmt.Sprintf("%s %t", now.Status(), now.IsActive), "deleted false")
			equal(f, "rows stay", f.rowsOf(id), filledRows)
		}
		after, err := f.InstanceIncludingDeleted(f.ctx, b.ID)
		check(f, err)
		equal(f, "moved once", *after.DeletedAt, *before.DeletedAt)
	})
}

func TestStore_DestroyInstances(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		a, b, kept := f.filled("a"), f.filled("b"), f.filled("kept")
		equal(f, "before", f.rowsOf(a.ID), filledRows)
		_, err := f.DestroyDeletedInstance(f.ctx, b.ID)
		wantError(f, err, models.CodeConflict, "instance.not_in_bin")
		equal(f, "refused", f.rowsOf(b.ID), filledRows)
		_, err = f.DeleteInstance(f.ctx, b.ID)
		check(f, err)

		gone, err := f.DestroyInstances(f.ctx, []int64{b.ID, 99, a.ID, b.ID})
		check(f, err)
		equal(f, "deletion", describeDeletion(gone), "a b, missing [99]")
		equal(f, "a", f.rowsOf(a.ID), noRows)
		equal(f, "b", f.rowsOf(b.ID), noRows)
		equal(f, "kept", f.rowsOf(kept.ID), filledRows)
		if f.isSQLite() {
			orphans, err := f.Orphans(f.ctx)
			check(f, err)
			equal(f, "orphans", orphans, 0)
		}
		_, err = f.Credential(f.ctx, *a.CredentialID)
		check(f, err)
		equal(f, "tags", fmt.Sprint(f.tagNames(models.TagQuery{})), "[only a only b only kept shared]")

		_, err = f.DeleteInstance(f.ctx, kept.ID)
		check(f, err)
		_, err = f.DestroyDeletedInstance(f.ctx, kept.ID)
		check(f, err)
		equal(f, "from the bin", f.rowsOf(kept.ID), noRows)
		_, err = f.DestroyDeletedInstance(f.ctx, kept.ID)
		wantError(f, err, models.CodeNotFound, "instance.not_found")
	})
}

func TestStore_InstanceStatistics(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		none, err := f.InstanceStatistics(f.ctx)
		check(f, err)
		equal(f, "empty", fmt.Sprintf("%+v", none),
			"{Total:0 Active:0 Disabled:0 Deleted:0 DatabaseCount:0 SizeBytes:<nil> Engines:[] Ports:[] Versions:[]}")

		f.filled("a")
		gone := f.filled("gone")
		off := f.instance("off")
		off.IsActive = false
		_, err = f.UpdateInstance(f.ctx, off, nil, nil)
		check(f, err)
		f.instance("on")
		_, err = f.CreateInstance(f.ctx, models.Instance{Name: "s", DBType: models.SQLite, IsActive: true}, nil, nil)
		check(f, err)
		_, err = f.DeleteInstance(f.ctx, gone.ID)
		check(f, err)
		s, err := f.InstanceStatistics(f.ctx)
		check(f, err)
		equal(f, "size", *s.SizeBytes, 3<<20)
		s.SizeBytes = nil
		equal(f, "ports", fmt.Sprint(len(s.Ports), *s.Ports[0].Port, s.Ports[0].Count, s.Ports[2].Port), "3 5432 2 <nil>")
		s.Ports = nil
		equal(f, "all", fmt.Sprintf("%+v", s), "{Total:4 Active:3 Disabled:1 Deleted:1 DatabaseCount:2 SizeBytes:<nil> "+
			"Engines:[{DBType:postgresql Count:2} {DBType:mysql Count:1} {DBType:sqlite Count:1}] Ports:[] "+
			"Versions:[{DBType:postgresql Version: Count:2} {DBType:mysql Version: Count:1} {DBType:sqlite Version: Count:1}]}")
	})
}

func BenchmarkStore_DestroyInstances(b *testing.B) {
	benchStores(b, func(b *testing.B, s *models.Store, save func([]models.TableSize) models.Receipt, id int64) {
		save(tables(benchTables))
		database, err := s.DatabaseByID(b.Context(), id)
		check(b, err)
		began := time.Now()
		_, err = s.DestroyInstances(b.Context(), []int64{database.InstanceID})
		check(b, err)
		b.ReportMetric(float64(time.Since(began).Milliseconds()), "ms")
	})
}
