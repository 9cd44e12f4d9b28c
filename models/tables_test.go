package models_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"whalefall/models"
)

func (f *fixture) database() models.InstanceDatabase {
	f.Helper()
	return f.addDatabase(f.instance("n").ID, "app")
}

// addDatabase adds a database to the inventory.
func (f *fixture) addDatabase(instance int64, name string) models.InstanceDatabase {
	f.Helper()
	found := models.DatabaseResult{Databases: []models.DatabaseSize{{Name: name}}}
	_, err := f.SaveInventory(f.ctx, instance, found, f.clock.Now())
	check(f, err)
	database, err := f.Database(f.ctx, instance, name)
	check(f, err)
	return database
}

// saved returns a result to be stored as collected at start.
func saved(database models.InstanceDatabase, all ...models.TableSize) models.SaveTables {
	return models.SaveTables{
		InstanceID: database.InstanceID, Database: database.Name, Started: start, CollectedAt: start,
		Result: models.TableResult{Tables: all, Complete: true},
	}
}

func table(name string, total int64) models.TableSize {
	return models.TableSize{
		Schema: "public", Name: name, Kind: models.KindTable, SizeSource: models.SizeAllocated,
		Total: pointer(total), Data: pointer(total), Index: pointer(int64(0)),
	}
}

func unread(name string, why models.Unread) models.TableSize {
	return models.TableSize{Schema: "public", Name: name, Kind: models.KindTable, SizeSource: models.SizeNone, Unread: why}
}

func tables(n int) []models.TableSize {
	all := make([]models.TableSize, n)
	for i := range all {
		all[i] = table(fmt.Sprintf("table_%06d", i), int64(i%1000)*8192)
	}
	return all
}

// refresh keeps a result of all schemas.
func (f *fixture) refresh(database models.InstanceDatabase, complete bool, all ...models.TableSize) models.Receipt {
	f.Helper()
	return f.save(database, models.TableResult{Tables: all, Complete: complete})
}

// save keeps a result as collected a minute after the last one.
func (f *fixture) save(database models.InstanceDatabase, result models.TableResult) models.Receipt {
	f.Helper()
	began := f.clock.Now()
	f.clock.add(time.Minute)
	receipt, err := f.SaveTableSizes(f.ctx, models.SaveTables{
		InstanceID: database.InstanceID, Database: database.Name,
		Result: result, CollectedAt: f.clock.Now(), Started: began,
	})
	check(f, err)
	return receipt
}

func (f *fixture) tables(q models.TableQuery) models.TablePage {
	f.Helper()
	page, err := f.TableSizes(f.ctx, q)
	check(f, err)
	return page
}

func describe(rows []models.TableSizeRow) string {
	texts := make([]string, len(rows))
	for i, row := range rows {
		texts[i] = row.Name + "="
		if row.Total == nil {
			texts[i] += "?"
		} else {
			texts[i] += fmt.Sprint(*row.Total)
		}
	}
	return strings.Join(texts, " ")
}

func TestStore_TableSizes_NoSnapshot(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		page := f.tables(models.TableQuery{DatabaseID: 4711})
		equal(f, "unknown database", page.Database.ID, 0)
		database := f.database()
		page = f.tables(models.TableQuery{DatabaseID: database.ID})
		equal(f, "database", page.Database.ID, database.ID)
		equal(f, "collected", page.Database.CollectedAt, nil)
		equal(f, "total", page.Total, 0)

		f.refresh(database, true)
		page = f.tables(models.TableQuery{DatabaseID: database.ID})
		equal(f, "empty snapshot", *page.Database.CollectedAt, start.Add(time.Minute))
		equal(f, "number", page.Database.SnapshotNo, 1)
		equal(f, "complete", page.Database.Complete, true)
		equal(f, "elapsed", page.Database.ElapsedMS, 60_000)

		_, err := f.SaveTableSizes(f.ctx, models.SaveTables{InstanceID: 4711, Database: "app"})
		wantError(f, err, models.CodeNotFound, "instance.not_found")
	})
}

func TestStore_SaveTableSizes_WritesOnlyDifferences(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		database := f.database()
		all := []models.TableSize{table("a", 10), table("b", 20), table("c", 30)}
		all[2].Rows, all[2].RowsSource = pointer(int64(0)), models.RowsExact
		receipt := f.refresh(database, true, all...)
		equal(f, "receipt", receipt, models.Receipt{
			CollectedAt: start.Add(time.Minute), Saved: 3, Changed: 3, Complete: true, ElapsedMS: 60_000,
		})
		receipt = f.refresh(database, true, all...)
		equal(f, "unchanged", receipt.Changed, 0)
		equal(f, "saved", receipt.Saved, 3)

		before := f.tables(models.TableQuery{DatabaseID: database.ID, Sort: "name"})
		all[1].Total, all[1].Data = pointer(int64(25)), pointer(int64(25))
		all[2].Rows, all[2].RowsSource = nil, ""
		receipt = f.refresh(database, true, append(all[1:], table("d", 40))...)
		equal(f, "changed", receipt.Changed, 3)
		equal(f, "pruned", receipt.Pruned, 1)
		after := f.tables(models.TableQuery{DatabaseID: database.ID, Sort: "name"})
		equal(f, "rows", describe(after.Rows), "b=25 c=30 d=40")
		equal(f, "id of b stays", after.Rows[0].ID, before.Rows[1].ID)
		equal(f, "rows of c", after.Rows[1].Rows, nil)
		equal(f, "rows of c before", *before.Rows[2].Rows, 0)
		equal(f, "bytes", after.Database.TotalBytes, 95)
		equal(f, "number", after.Database.SnapshotNo, 3)
	})
}

func TestStore_SaveTableSizes_IncompleteNeverPrunes(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		database := f.database()
		f.refresh(database, true, table("a", 10), table("b", 20))
		first := f.clock.Now()
		receipt := f.refresh(database, false, table("b", 21))
		equal(f, "pruned", receipt.Pruned, 0)
		equal(f, "kept", receipt.Kept, 1)
		equal(f, "saved", receipt.Saved, 2)
		receipt = f.refresh(database, false)
		equal(f, "kept", receipt.Kept, 2)
		page := f.tables(models.TableQuery{DatabaseID: database.ID, Sort: "name"})
		equal(f, "rows", describe(page.Rows), "a=10 b=21")
		equal(f, "a is from", *page.Rows[0].KeptFrom, first)
		equal(f, "b is from", *page.Rows[1].KeptFrom, first.Add(time.Minute))
		equal(f, "complete", page.Database.Complete, false)
		equal(f, "kept", page.Database.KeptCount, 2)
		equal(f, "unchanged", f.refresh(database, false).Changed, 0)

		receipt = f.refresh(database, true, table("a", 10))
		equal(f, "pruned", receipt.Pruned, 1)
		page = f.tables(models.TableQuery{DatabaseID: database.ID})
		equal(f, "a is fresh", page.Rows[0].KeptFrom, nil)
	})
}

func TestStore_SaveTableSizes_UnreadKeepsValues(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		database := f.database()
		f.refresh(database, true, table("a", 10))
		first := f.clock.Now()
		for range 2 {
			receipt := f.refresh(database, true, unread("a", models.UnreadLocked), unread("new", models.UnreadFailed))
			equal(f, "kept", receipt.Kept, 1)
			page := f.tables(models.TableQuery{DatabaseID: database.ID})
			equal(f, "rows", describe(page.Rows), "a=10 new=?")
			equal(f, "a is from", *page.Rows[0].KeptFrom, first)
			equal(f, "a is", page.Rows[0].Unread, models.UnreadLocked)
			equal(f, "source", page.Rows[0].SizeSource, models.SizeAllocated)
			equal(f, "new has no age", page.Rows[1].KeptFrom, nil)
			equal(f, "unknown", page.Database.UnknownCount, 1)
		}
		f.refresh(database, true, table("a", 11), table("new", 12))
		page := f.tables(models.TableQuery{DatabaseID: database.ID})
		equal(f, "rows", describe(page.Rows), "new=12 a=11")
		equal(f, "a is read", page.Rows[1].Unread, "")
		equal(f, "a is fresh", page.Rows[1].KeptFrom, nil)
	})
}

func TestStore_SaveTableSizes_Duplicates(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		database := f.database()
		receipt := f.refresh(database, true, table("a", 1), table("a", 3), table("a", 2),
			unread("a", models.UnreadLocked), table("A", 1))
		equal(f, "duplicates", receipt.Duplicates, 3)
		equal(f, "saved", receipt.Saved, 2)
		equal(f, "rows", describe(f.tables(models.TableQuery{DatabaseID: database.ID}).Rows), "a=3 A=1")
	})
}

func TestStore_TableSizes_Partitions(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		database := f.database()
		parent := table("p", 30)
		parent.Kind, parent.RolledUp = models.KindPartitioned, true
		partition := func(name string, size int64) models.TableSize {
			p := table(name, size)
			p.Kind, p.ParentSchema, p.Parent = models.KindPartition, "public", "p"
			return p
		}
		f.refresh(database, true, parent, partition("p1", 10), partition("p2", 20),
			table("t", 5), unread("u", models.UnreadHidden))
		page := f.tables(models.TableQuery{DatabaseID: database.ID})
		equal(f, "rows", describe(page.Rows), "p=30 p2=20 p1=10 t=5 u=?")
		equal(f, "bytes without roll-ups", page.Database.TotalBytes, 35)
		equal(f, "top", page.Database.TopCount, 3)
		equal(f, "partitions", page.Rows[0].PartitionCount, 2)
		equal(f, "parent", page.Rows[1].Parent, "p")

		page = f.tables(models.TableQuery{DatabaseID: database.ID, FoldPartitions: true, Limit: 1})
		equal(f, "folded", describe(page.Rows), "p=30")
		equal(f, "total", page.Total, 3)
		page = f.tables(models.TableQuery{DatabaseID: database.ID, ParentSchema: "public", Parent: "p", FoldPartitions: true})
		equal(f, "partitions of p", describe(page.Rows), "p2=20 p1=10")
		equal(f, "total", page.Total, 2)
		equal(f, "unstorable", f.tables(models.TableQuery{DatabaseID: database.ID, Parent: "\x00"}).Total, 0)
	})
}

func TestStore_SaveTableSizes_HostileNames(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		database := f.database()
		var all []models.TableSize
		for i, name := range hostile {
			row := table(name, int64(i))
			row.Schema = hostile[len(hostile)-1-i]
			all = append(all, row)
		}
		f.refresh(database, true, all...)
		equal(f, "unchanged", f.refresh(database, true, all...).Changed, 0)
		for i, name := range hostile {
			for _, q := range []models.TableQuery{
				{Table: name}, {Schema: all[i].Schema}, {Table: strings.ToUpper(name), Schema: all[i].Schema},
			} {
				q.DatabaseID = database.ID
				page := f.tables(q)
				if !slices.ContainsFunc(page.Rows, func(row models.TableSizeRow) bool {
					return row.Schema == all[i].Schema && row.Name == name && *row.Total == int64(i)
				}) {
					f.Errorf("%+v finds %s", q, describe(page.Rows))
				}
			}
		}
		for term, want := range map[string]int64{"%": 2, "_": 1, `\`: 1, "CASE": 2, "\x00": 0, "a\xff": 0, "'": 1} {
			equal(f, term, f.tables(models.TableQuery{DatabaseID: database.ID, Table: term}).Total, want)
		}
		for _, name := range []string{"a\x00b", "\xff"} {
			_, err := f.SaveTableSizes(f.ctx, saved(database, models.TableSize{Name: name}))
			wantError(f, err, models.CodeInvalid, "text.not_storable")
		}
		equal(f, "nothing lost", f.tables(models.TableQuery{DatabaseID: database.ID}).Total, int64(len(hostile)))
	})
}

func TestStore_SaveTableSizes_FailureChangesNothing(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		database := f.database()
		f.refresh(database, true, tables(20_000)...)
		before := f.tables(models.TableQuery{DatabaseID: database.ID})
		changed := tables(30_000)
		for i := range changed {
			changed[i].Total = pointer(int64(1))
		}
		in := saved(database, changed...)
		in.Started, in.CollectedAt = f.clock.Now(), f.clock.Now()
		failed := 0
		for wait := 20 * time.Millisecond; wait < 200*time.Millisecond; wait += 60 * time.Millisecond {
			ctx, cancel := context.WithTimeout(f.ctx, wait)
			if _, err := f.SaveTableSizes(ctx, in); err != nil {
				failed++
			}
			cancel()
		}
		in.Result.Tables[29_999].Name = "\x00"
		_, err := f.SaveTableSizes(f.ctx, in)
		wantError(f, err, models.CodeInvalid, "")
		if failed == 0 {
			f.Fatal("no save was cancelled")
		}
		after := f.tables(models.TableQuery{DatabaseID: database.ID})
		equal(f, "number", after.Database.SnapshotNo, before.Database.SnapshotNo)
		equal(f, "rows", describe(after.Rows), describe(before.Rows))
		equal(f, "total", after.Total, 20_000)
	})
}

func TestStore_SaveTableSizes_Concurrent(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		database := f.database()
		const writers = 4
		stop := make(chan struct{})
		var reading, writing sync.WaitGroup
		reading.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				page, err := f.TableSizes(f.ctx, models.TableQuery{DatabaseID: database.ID, Limit: 1000})
				if err != nil {
					f.Error(err)
					return
				}
				var sum int64
				for _, row := range page.Rows {
					sum += *row.Total
				}
				if sum != page.Database.TotalBytes || int64(len(page.Rows)) != page.Database.TableCount {
					f.Errorf("rows of one snapshot under the header of another: %d, %d", sum, page.Database.TotalBytes)
					return
				}
			}
		})
		for writer := range writers {
			writing.Go(func() {
				for range 5 {
					all := tables(100 + writer)
					for i := range all {
						all[i].Total = pointer(int64(writer))
					}
					_, err := f.SaveTableSizes(f.ctx, saved(database, all...))
					if err != nil {
						f.Error(err)
					}
				}
			})
		}
		writing.Wait()
		close(stop)
		reading.Wait()
		equal(f, "number", f.tables(models.TableQuery{DatabaseID: database.ID}).Database.SnapshotNo, 5*writers)
	})
}

func TestStore_SaveTableSizes_AnySize(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		sizes := []int{2978, 2979, 5957, 5958}
		if f.isSQLite() {
			sizes = append(sizes, 65_536)
		}
		database := f.database()
		for _, n := range append(sizes, 5001, 0) {
			receipt := f.refresh(database, true, tables(n)...)
			equal(f, "saved", receipt.Saved, int64(n))
			page := f.tables(models.TableQuery{DatabaseID: database.ID, Table: "TABLE_"})
			equal(f, "counted", page.Total, int64(n))
			equal(f, "header", page.Database.TableCount, int64(n))
			equal(f, "again", f.refresh(database, true, tables(n)...).Changed, 0)
		}
	})
}

func TestStore_SaveTableSizes_ClearsGone(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		database := f.database()
		f.refresh(database, true, table("a", 1))
		check(f, f.MarkGone(f.ctx, database.ID, start))
		equal(f, "the snapshot stays", f.tables(models.TableQuery{DatabaseID: database.ID}).Total, 1)
		f.refresh(database, true, table("a", 1))
		back, err := f.DatabaseByID(f.ctx, database.ID)
		check(f, err)
		equal(f, "gone", back.GoneAt, nil)
		equal(f, "seen", back.LastSeenAt, f.clock.Now())
	})
}

func TestStore_SaveTableSizes_Superseded(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		database := f.database()
		f.refresh(database, true, table("a", 1), table("b", 2)) // from 0:00 to 1:00
		older := saved(database, table("a", 9))
		older.Started, older.CollectedAt = start.Add(time.Minute-time.Microsecond), start.Add(2*time.Minute)
		_, err := f.SaveTableSizes(f.ctx, older)
		wantError(f, err, models.CodeCollection, "collect.superseded")
		equal(f, "rows", describe(f.tables(models.TableQuery{DatabaseID: database.ID}).Rows), "b=2 a=1")
		older.Started = start.Add(time.Minute)
		_, err = f.SaveTableSizes(f.ctx, older)
		check(f, err)
		equal(f, "rows", describe(f.tables(models.TableQuery{DatabaseID: database.ID}).Rows), "a=9")
	})
}

func TestStore_SaveTableSizes_GoneLater(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		database := f.database()
		gone := start.Add(time.Minute)
		check(f, f.MarkGone(f.ctx, database.ID, gone))
		for began, back := range map[time.Time]bool{start: false, gone: false, gone.Add(time.Second): true} {
			check(f, f.MarkGone(f.ctx, database.ID, gone))
			in := saved(database)
			in.Started = began
			_, err := f.SaveTableSizes(f.ctx, in)
			check(f, err)
			stored, err := f.DatabaseByID(f.ctx, database.ID)
			check(f, err)
			equal(f, "back after a start "+began.String(), stored.GoneAt == nil, back)
		}
	})
}

func TestStore_SaveTableSizes_DeletedInstance(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		database := f.database()
		_, err := f.DeleteInstance(f.ctx, database.InstanceID)
		check(f, err)
		_, err = f.SaveTableSizes(f.ctx, saved(database))
		wantError(f, err, models.CodeNotFound, "instance.not_found")
	})
}

func TestStore_SaveTableSizes_UnknownDatabase(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		known := f.database()
		in := saved(known, table("a", 1))
		in.Database = "new"
		in.OnlyKnown = true
		_, err := f.SaveTableSizes(f.ctx, in)
		wantError(f, err, models.CodeNotFound, "database.not_found")
		_, err = f.Database(f.ctx, known.InstanceID, "new")
		wantError(f, err, models.CodeNotFound, "database.not_found")

		in.OnlyKnown = false
		_, err = f.SaveTableSizes(f.ctx, in)
		check(f, err)
		added, err := f.Database(f.ctx, known.InstanceID, "new")
		check(f, err)
		equal(f, "number", added.SnapshotNo, 1)
		equal(f, "first seen", added.FirstSeenAt, start)

		in.OnlyKnown = true
		_, err = f.SaveTableSizes(f.ctx, in)
		check(f, err)
		check(f, f.MarkGone(f.ctx, added.ID, start))
		_, err = f.SaveTableSizes(f.ctx, in)
		wantError(f, err, models.CodeNotFound, "database.not_found")
		equal(f, "rows", describe(f.tables(models.TableQuery{DatabaseID: added.ID}).Rows), "a=1")
	})
}

func TestStore_SaveTableSizes_InstanceChanged(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		instance, err := f.CreateInstance(f.ctx, models.Instance{Name: "n"}, nil,
			&models.TypedLogin{Username: "u", Password: "p"})
		check(f, err)
		database := f.addDatabase(instance.ID, "app")
		target := func() models.Instance {
			f.Helper()
			read, err := f.TargetInstance(f.ctx, instance.ID)
			check(f, err)
			return read
		}
		in := saved(database, table("a", 1))
		edits := map[string]func() error{
			"instance":   func() error { _, err := f.UpdateInstance(f.ctx, target(), nil, nil); return err },
			"credential": func() error { _, err := f.UpdateCredential(f.ctx, *target().Credential, nil); return err },
		}
		for what, edit := range edits {
			before := target()
			in.Configuration = before.Configuration()
			_, err = f.SaveTableSizes(f.ctx, in)
			check(f, err)
			f.clock.add(time.Second)
			check(f, edit())
			changed := in
			changed.Result.Tables = []models.TableSize{table("a", 2)}
			_, err = f.SaveTableSizes(f.ctx, changed)
			wantError(f, err, models.CodeCollection, "collect.instance_changed")
			equal(f, what, describe(f.tables(models.TableQuery{DatabaseID: database.ID}).Rows), "a=1")
		}
	})
}

func TestStore_TableSizes_Orders(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		database := f.database()
		var all []models.TableSize
		for i := range 60 {
			row := table(fmt.Sprintf("t%02d", i), int64(i%7))
			row.Schema = fmt.Sprintf("s%d", i%3)
			row.Rows = pointer(int64(i % 4))
			if i%5 == 0 {
				row.Total, row.Data, row.Index, row.Rows = nil, nil, nil, nil
			}
			all = append(all, row)
		}
		f.refresh(database, true, all...)
		for _, sort := range []string{"size", "data", "index", "unused", "rows", "name", "schema", "growth", "", "nonsense"} {
			for _, desc := range []bool{false, true} {
				q := models.TableQuery{DatabaseID: database.ID, Sort: sort, Desc: desc, Limit: 100}
				whole := f.tables(q)
				equal(f, sort, len(whole.Rows), 60)
				checkOrder(f, q, whole.Rows)
				var paged, offset []models.TableSizeRow
				for q.Limit = 7; ; {
					page := f.tables(q)
					paged = append(paged, page.Rows...)
					if q.Cursor = page.NextCursor; q.Cursor == "" {
						break
					}
				}
				for ; q.Offset < 60; q.Offset += q.Limit {
					offset = append(offset, f.tables(q).Rows...)
				}
				equal(f, sort+" by cursor", ids(paged), ids(whole.Rows))
				equal(f, sort+" by offset", ids(offset), ids(whole.Rows))
			}
		}
	})
}

func ids(rows []models.TableSizeRow) string {
	all := make([]int64, len(rows))
	for i, row := range rows {
		all[i] = row.ID
	}
	return fmt.Sprint(all)
}

// checkOrder compares the order of rows with the same order made in Go.
func checkOrder(t testing.TB, q models.TableQuery, rows []models.TableSizeRow) {
	t.Helper()
	byNames := func(a, b models.TableSizeRow) int {
		return strings.Compare(a.Schema+"\x00"+a.Name, b.Schema+"\x00"+b.Name)
	}
	sign := 1
	if q.Desc {
		sign = -1
	}
	value := func(row models.TableSizeRow) *int64 {
		switch q.Sort {
		case "size":
			return row.Total
		case "data":
			return row.Data
		case "rows":
			return row.Rows
		}
		return nil
	}
	compare := func(a, b models.TableSizeRow) int {
		switch q.Sort {
		case "name":
			return sign * strings.Compare(a.Name+"\x00"+a.Schema, b.Name+"\x00"+b.Schema)
		case "schema":
			return sign * byNames(a, b)
		}
		x, y := value(a), value(b)
		switch {
		case x == nil && y == nil || x != nil && y != nil && *x == *y:
			return byNames(a, b)
		case x == nil:
			return 1
		case y == nil:
			return -1
		case *x < *y:
			return -sign
		}
		return sign
	}
	if q.Sort == "size" || q.Sort == "data" || q.Sort == "rows" || q.Sort == "name" || q.Sort == "schema" {
		if !slices.IsSortedFunc(rows, compare) {
			t.Errorf("not sorted by %s, descending %v: %s", q.Sort, q.Desc, describe(rows))
		}
	}
}

func TestTableQuery_CheckCursor(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		database := f.database()
		f.refresh(database, true, tables(10)...)
		cursor := f.tables(models.TableQuery{DatabaseID: database.ID, Limit: 5}).NextCursor
		if cursor == "" {
			f.Fatal("no cursor")
		}
		other := f.addDatabase(database.InstanceID, "other")
		encode := base64.RawURLEncoding.EncodeToString
		for name, q := range map[string]models.TableQuery{
			"of another sort":      {DatabaseID: database.ID, Sort: "name", Cursor: cursor},
			"of another direction": {DatabaseID: database.ID, Sort: "size", Cursor: cursor},
			"of another database":  {DatabaseID: other.ID, Cursor: cursor},
			"not base64":           {DatabaseID: database.ID, Cursor: "%%%"},
			"not JSON":             {DatabaseID: database.ID, Cursor: encode([]byte("{"))},
			"with other members":   {DatabaseID: database.ID, Cursor: encode([]byte(`{"x":1}`))},
			"with NUL": {
				DatabaseID: database.ID, Cursor: encode(fmt.Appendf(nil, `{"d":%d,"o":"-size","s":"\u0000"}`, database.ID)),
			},
		} {
			_, err := f.TableSizes(f.ctx, q)
			if err == nil {
				f.Errorf("a cursor %s is taken", name)
				continue
			}
			wantError(f, err, models.CodeInvalid, "query.cursor")
		}
	})
}

// A page must not read or sort all rows of its database.
func TestStore_TableSizes_IndexRanges(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		database := f.database()
		f.refresh(database, true, tables(20_000)...)
		f.refresh(database, true, tables(20_000)...)
		for i, q := range []models.TableQuery{
			{},
			{Table: "table_01"},
			{FoldPartitions: true},
			{Sort: "schema"},
			{Sort: "schema", Desc: true},
			{Cursor: f.tables(models.TableQuery{DatabaseID: database.ID, Limit: 500}).NextCursor},
		} {
			q.DatabaseID, q.Limit = database.ID, 50
			plans, err := f.ExplainTables(f.ctx, q)
			check(f, err)
			for _, plan := range plans {
				equal(f, "index in "+plan, strings.Contains(strings.ToLower(plan), "using"), true)
				sorts := strings.Contains(plan, "Sort") || strings.Contains(plan, "TEMP B-TREE") ||
					strings.Contains(plan, "Seq Scan")
				equal(f, fmt.Sprintf("query %d sorts: %s", i, plan), sorts, false)
			}
		}
	})
}

// of is the same table in another schema.
func of(schema string, t models.TableSize) models.TableSize {
	t.Schema = schema
	return t
}

func TestStore_SaveTableSizes_Scope(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		database := f.database()
		q := models.TableQuery{DatabaseID: database.ID, Sort: "name"}
		f.save(database, models.TableResult{Complete: true, Residual: pointer(int64(7)), Tables: []models.TableSize{
			of("APP", table("a", 1)), of("APP", table("b", 2)), of("HR", table("c", 4)), of("app", table("d", 8)),
		}})
		wide := f.clock.Now()
		equal(f, "residual", *f.tables(q).Database.ResidualBytes, 7)

		narrow := models.TableResult{
			Complete: true, Scope: "APP", Grant: "GRANT", Tables: []models.TableSize{of("APP", table("b", 16))},
		}
		for range 2 {
			receipt := f.save(database, narrow)
			equal(f, "saved", receipt.Saved, 3)
			equal(f, "kept", receipt.Kept, 2)
			equal(f, "complete", receipt.Complete, false)
			page := f.tables(q)
			equal(f, "rows", describe(page.Rows), "b=16 c=4 d=8")
			equal(f, "b is fresh", page.Rows[0].KeptFrom, nil)
			equal(f, "c is from", *page.Rows[1].KeptFrom, wide)
			header := page.Database
			equal(f, "scope", header.Scope, "APP")
			equal(f, "complete", header.Complete, false)
			equal(f, "kept", header.KeptCount, 2)
			equal(f, "bytes", header.TotalBytes, 28)
			equal(f, "tables", header.TableCount, 3)
			equal(f, "residual", header.ResidualBytes, nil)
		}
		narrow.Complete, narrow.Tables = false, nil
		equal(f, "an incomplete scope prunes", f.save(database, narrow).Pruned, 0)

		whole := []models.TableSize{of("APP", table("b", 16)), of("HR", table("c", 4))}
		receipt := f.save(database, models.TableResult{Complete: true, Tables: whole})
		equal(f, "pruned", receipt.Pruned, 1)
		page := f.tables(q)
		equal(f, "rows", describe(page.Rows), "b=16 c=4")
		equal(f, "c is fresh", page.Rows[1].KeptFrom, nil)
		equal(f, "scope", page.Database.Scope, "")
		equal(f, "complete", page.Database.Complete, true)
	})
}

// Kept rows and the residual count the same relations: those that a weaker account no longer sees.
func TestStore_SaveTableSizes_ResidualOfKeptRows(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		database := f.database()
		f.save(database, models.TableResult{Complete: true, Residual: pointer(int64(7)), Tables: []models.TableSize{
			table("a", 1), table("b", 20), table("c", 30),
		}})
		for _, test := range []struct{ residual, unsized, want int64 }{
			{57, 50, 7},  // b and c as they were
			{67, 60, 17}, // grown, or another hidden table
			{47, 40, 7},  // shrunk
			{7, 0, 7},
		} {
			f.save(database, models.TableResult{
				Hidden: 2, Residual: &test.residual, Unsized: test.unsized, Tables: []models.TableSize{table("a", 1)},
			})
			header := f.tables(models.TableQuery{DatabaseID: database.ID, Sort: "name"}).Database
			equal(f, "bytes", header.TotalBytes, 51)
			equal(f, "residual", *header.ResidualBytes, test.want)
		}
	})
}

func TestStore_SaveTableSizes_Notes(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		database := f.database()
		counted := start.Add(-time.Hour + 789*time.Nanosecond)
		told := table("t", 1)
		told.Kind, told.Memory, told.RowsAt = models.KindMemoryOptimized, pointer(int64(0)), &counted
		told.Note, told.RelatedSchema, told.Related = models.NoteHistory, `s"`, "表%"
		f.refresh(database, true, told)
		equal(f, "unchanged", f.refresh(database, true, told).Changed, 0)
		row := f.tables(models.TableQuery{DatabaseID: database.ID}).Rows[0]
		equal(f, "memory", *row.Memory, 0)
		equal(f, "counted", *row.RowsAt, counted.Truncate(time.Microsecond))
		equal(f, "note", row.Note, models.NoteHistory)
		equal(f, "related", row.RelatedSchema+"."+row.Related, `s".表%`)

		later := counted.Add(time.Second)
		for _, change := range []func(*models.TableSize){
			func(t *models.TableSize) { t.RowsAt = &later },
			func(t *models.TableSize) { t.Memory = pointer(int64(5)) },
			func(t *models.TableSize) { t.Note = models.NoteShipped },
			func(t *models.TableSize) { t.Related = "" },
			func(t *models.TableSize) { t.RelatedSchema = "" },
		} {
			change(&told)
			equal(f, "changed", f.refresh(database, true, told).Changed, 1)
		}
		equal(f, "nothing known", f.refresh(database, true, table("t", 1)).Changed, 1)
		row = f.tables(models.TableQuery{DatabaseID: database.ID}).Rows[0]
		equal(f, "memory", row.Memory, nil)
		equal(f, "counted", row.RowsAt, nil)

		told.Related = "\x00"
		_, err := f.SaveTableSizes(f.ctx, saved(database, told))
		wantError(f, err, models.CodeInvalid, "text.not_storable")
	})
}
