package models_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"whalefall/models"
)

const day = 24 * time.Hour

func (f *fixture) saveInventory(instance models.Instance, complete bool, names ...string) models.InventoryChange {
	f.Helper()
	r := models.DatabaseResult{Complete: complete}
	for _, name := range names {
		r.Databases = append(r.Databases, models.DatabaseSize{Name: name})
	}
	change, err := f.SaveInventory(f.ctx, instance.ID, r, f.clock.Now())
	check(f, err)
	return change
}

// measure saves sizes of databases that the inventory knows.
func (f *fixture) measure(instance models.Instance, sizes map[string]int64) int64 {
	f.Helper()
	var r models.DatabaseResult
	for name, size := range sizes {
		r.Databases = append(r.Databases, models.DatabaseSize{Name: name, Total: pointer(size)})
	}
	saved, err := f.SaveDatabaseSizes(f.ctx, instance.ID, r, f.clock.Now())
	check(f, err)
	return saved
}

func (f *fixture) databases(q models.DatabaseQuery) models.DatabaseSizePage {
	f.Helper()
	if q.Limit == 0 {
		q.Limit = 100
	}
	page, err := f.Databases(f.ctx, q)
	check(f, err)
	return page
}

func databaseNames(page models.DatabaseSizePage) string {
	names := make([]string, len(page.Rows))
	for i, row := range page.Rows {
		names[i] = row.Name
	}
	return fmt.Sprint(names)
}

func TestStore_SaveInventory(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		instance := f.instance("n")
		change := f.saveInventory(instance, true, "b", "a", "b")
		equal(f, "first", fmt.Sprintf("%+v", change),
			"{Created:2 Refreshed:0 Reactivated:0 Deactivated:0 Active:[a b] Gone:[]}")
		f.clock.add(time.Hour)
		change = f.saveInventory(instance, false, "a", "A")
		equal(f, "incomplete", fmt.Sprintf("%+v", change),
			"{Created:1 Refreshed:1 Reactivated:0 Deactivated:0 Active:[A a b] Gone:[]}")
		f.clock.add(time.Hour)
		change = f.saveInventory(instance, true, "A")
		equal(f, "complete", fmt.Sprintf("%+v", change),
			"{Created:0 Refreshed:1 Reactivated:0 Deactivated:2 Active:[A] Gone:[a b]}")
		gone, err := f.Database(f.ctx, instance.ID, "a")
		check(f, err)
		equal(f, "gone", *gone.GoneAt, start.Add(2*time.Hour))
		equal(f, "last seen", gone.LastSeenAt, start.Add(time.Hour))
		equal(f, "first seen", gone.FirstSeenAt, start)
		f.clock.add(time.Hour)
		change = f.saveInventory(instance, true, "a", "A")
		equal(f, "back", fmt.Sprintf("%+v", change),
			"{Created:0 Refreshed:1 Reactivated:1 Deactivated:0 Active:[A a] Gone:[b]}")

		_, err = f.SaveInventory(f.ctx, 4711, models.DatabaseResult{}, start)
		wantError(f, err, models.CodeNotFound, "instance.not_found")
		for _, name := range []string{"a\x00b", "\xff"} {
			result := models.DatabaseResult{Databases: []models.DatabaseSize{{Name: name}}}
			_, err = f.SaveInventory(f.ctx, instance.ID, result, start)
			wantError(f, err, models.CodeInvalid, "text.not_storable")
			_, err = f.SaveTableSizes(f.ctx, models.SaveTables{InstanceID: instance.ID, Database: name})
			wantError(f, err, models.CodeInvalid, "text.not_storable")
			_, err = f.Database(f.ctx, instance.ID, name)
			wantError(f, err, models.CodeNotFound, "database.not_found")
		}
	})
}

func TestStore_SaveInventory_Completeness(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		fresh := f.instance("n")
		equal(f, "never listed", fresh.DatabasesComplete, nil)
		for _, r := range []models.DatabaseResult{{Grant: "GRANT SHOW DATABASES ON *.* TO 'w'@'%'"}, {Complete: true}} {
			_, err := f.SaveInventory(f.ctx, fresh.ID, r, start)
			check(f, err)
			read, err := f.Instance(f.ctx, fresh.ID)
			check(f, err)
			equal(f, "complete", *read.DatabasesComplete, r.Complete)
			equal(f, "grant", read.DatabasesGrant, r.Grant)
			equal(f, "edited", read.UpdatedAt, fresh.UpdatedAt)
		}
	})
}

func TestStore_MarkGone(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		instance := f.instance("n")
		added := f.addDatabase(instance.ID, "x")
		check(f, f.MarkGone(f.ctx, added.ID, start))
		check(f, f.MarkGone(f.ctx, added.ID, start.Add(time.Hour)))
		gone, err := f.DatabaseByID(f.ctx, added.ID)
		check(f, err)
		equal(f, "gone since", *gone.GoneAt, start)
		f.clock.add(time.Hour)
		back := f.addDatabase(instance.ID, "x")
		equal(f, "same row", back.ID, added.ID)
		equal(f, "gone", back.GoneAt, nil)
		equal(f, "seen", back.LastSeenAt, start.Add(time.Hour))
		wantError(f, f.MarkGone(f.ctx, 4711, start), models.CodeNotFound, "database.not_found")
		_, err = f.DatabaseByID(f.ctx, 4711)
		wantError(f, err, models.CodeNotFound, "database.not_found")
	})
}

func TestStore_PlacedDatabase(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		instance := f.instance("n")
		app := f.addDatabase(instance.ID, "app")
		for what, find := range map[string]func() (models.InstanceDatabase, models.Instance, error){
			"by name": func() (models.InstanceDatabase, models.Instance, error) {
				return f.PlacedDatabase(f.ctx, instance.ID, "app")
			},
			"by id": func() (models.InstanceDatabase, models.Instance, error) { return f.PlacedDatabaseByID(f.ctx, app.ID) },
		} {
			database, found, err := find()
			check(f, err)
			equal(f, what, database, app)
			equal(f, what, found.Name, instance.Name)
			equal(f, what, *found.Port, *instance.Port)
		}

		for _, name := range []string{"APP", "app\x00", "gone"} {
			_, _, err := f.PlacedDatabase(f.ctx, instance.ID, name)
			wantError(f, err, models.CodeNotFound, "database.not_found")
		}
		_, err := f.DeleteInstance(f.ctx, instance.ID)
		check(f, err)
		_, _, err = f.PlacedDatabaseByID(f.ctx, app.ID)
		wantError(f, err, models.CodeNotFound, "instance.not_found")
	})
}

func TestStore_SaveInventory_HostileNames(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		instance := f.instance("n")
		f.saveInventory(instance, true, hostile...)
		sizes := map[string]int64{}
		for i, name := range hostile {
			sizes[name] = int64(i)
		}
		equal(f, "saved", f.measure(instance, sizes), int64(len(hostile)))
		byName := f.databases(models.DatabaseQuery{InstanceID: instance.ID, LatestOnly: true, Sort: "name"})
		want := slices.Clone(hostile)
		slices.Sort(want)
		equal(f, "by name", databaseNames(byName), fmt.Sprint(want))
		for i, name := range hostile {
			d, err := f.Database(f.ctx, instance.ID, name)
			check(f, err)
			equal(f, "name", d.Name, name)
			page := f.databases(models.DatabaseQuery{InstanceID: instance.ID, Name: name, LatestOnly: true})
			at := slices.IndexFunc(page.Rows, func(row models.DatabaseSizeRow) bool { return row.Name == name })
			if at < 0 {
				f.Fatalf("%q is not found", name)
			}
			equal(f, name, *page.Rows[at].SizeBytes, int64(i))
		}
		equal(f, "unstorable", f.databases(models.DatabaseQuery{InstanceID: instance.ID, Name: "\x00"}).Total, 0)
	})
}

func TestStore_SaveDatabaseSizes_DaysOfTheZone(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		instance := f.instance("n")
		f.saveInventory(instance, true, "a")
		f.measure(instance, map[string]int64{"a": 1}) // 17:30 UTC is 01:30 of the next day in Shanghai
		f.clock.add(22 * time.Hour)
		f.measure(instance, map[string]int64{"a": 2}) // 23:30, the same day
		f.clock.add(time.Hour)
		f.measure(instance, map[string]int64{"a": 3}) // 00:30, the next day
		page := f.databases(models.DatabaseQuery{InstanceID: instance.ID})
		equal(f, "total", page.Total, 2)
		equal(f, "day", *page.Rows[0].Day, "2026-03-11")
		equal(f, "size", *page.Rows[0].SizeBytes, 3)
		equal(f, "day", *page.Rows[1].Day, "2026-03-10")
		equal(f, "replaced", *page.Rows[1].SizeBytes, 2)
		equal(f, "collected", *page.Rows[1].CollectedAt, start.Add(22*time.Hour))
		for _, c := range []struct {
			first, last string
			want        int64
		}{{"2026-03-11", "", 1}, {"", "2026-03-10", 1}, {"2026-03-10", "2026-03-11", 2}, {"2026-03-12", "", 0}} {
			q := models.DatabaseQuery{InstanceID: instance.ID, StartDay: c.first, EndDay: c.last}
			equal(f, fmt.Sprint(c), f.databases(q).Total, c.want)
		}
		q := models.DatabaseQuery{InstanceID: instance.ID, EndDay: "2026-03-10", LatestOnly: true}
		equal(f, "newest until then", *f.databases(q).Rows[0].SizeBytes, 2)

		read, err := f.Instance(f.ctx, instance.ID)
		check(f, err)
		equal(f, "synced", *read.LastSyncTime, f.clock.Now())
	})
}

func TestStore_Databases_LatestOnly(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		const mib = 1 << 20
		instance, other := f.instance("n"), f.instance("other")
		f.saveInventory(instance, true, "small", "large", "Twin", "twin", "new", "gone")
		f.saveInventory(other, true, "large")
		f.measure(other, map[string]int64{"large": 99 * mib})
		f.measure(instance, map[string]int64{
			"small": mib - 1, "large": 7*mib + 1, "Twin": 2 * mib, "twin": 2 * mib, "gone": 50 * mib,
		})
		f.saveInventory(instance, true, "small", "large", "Twin", "twin", "new")

		page := f.databases(models.DatabaseQuery{InstanceID: instance.ID, LatestOnly: true})
		equal(f, "by size", databaseNames(page), "[large Twin twin small new]")
		equal(f, "total", page.Total, 5)
		equal(f, "active", page.ActiveCount, 5)
		equal(f, "MiB", page.TotalMB, 11)
		equal(f, "bytes", page.TotalBytes, 12*mib)
		equal(f, "never measured", page.Rows[4].StatID, nil)
		equal(f, "never measured", page.Rows[4].Day, nil)

		all := models.DatabaseQuery{InstanceID: instance.ID, LatestOnly: true, IncludeInactive: true}
		page = f.databases(all)
		equal(f, "with gone ones", databaseNames(page), "[gone large Twin twin small new]")
		equal(f, "total", page.Total, 6)
		equal(f, "active", page.ActiveCount, 5)
		equal(f, "gone", page.FilteredCount, 1)
		equal(f, "bytes", page.TotalBytes, 12*mib)
		for sort, want := range map[string]string{
			"name":      "[Twin gone large new small twin]",
			"status":    "[Twin large new small twin gone]",
			"size":      "[small Twin twin large gone new]",
			"data":      "[Twin gone large new small twin]",
			"log":       "[Twin gone large new small twin]",
			"collected": "[Twin gone large small twin new]",
		} {
			all.Sort = sort
			equal(f, sort, databaseNames(f.databases(all)), want)
		}
		all.Sort, all.Limit, all.Offset = "name", 2, 1
		page = f.databases(all)
		equal(f, "page", databaseNames(page), "[gone large]")
		equal(f, "bytes of all pages", page.TotalBytes, 12*mib)

		history := f.databases(models.DatabaseQuery{InstanceID: instance.ID})
		equal(f, "history", databaseNames(history), "[Twin large small twin]")
		equal(f, "history has no counts", history.ActiveCount, 0)
		history = f.databases(models.DatabaseQuery{InstanceID: instance.ID, IncludeInactive: true})
		equal(f, "history", databaseNames(history), "[Twin gone large small twin]")
		found := f.databases(models.DatabaseQuery{InstanceID: instance.ID, Name: "TWI"})
		equal(f, "search", databaseNames(found), "[Twin twin]")

		list, err := f.Instances(f.ctx, models.InstanceQuery{Sort: "size", Desc: true, Limit: 10})
		check(f, err)
		equal(f, "largest", list.Items[0].Name, "other")
		equal(f, "databases", list.Items[1].ActiveDatabases, 5)
		equal(f, "size", *list.Items[1].SizeBytes, 62*mib)
		equal(f, "growth", list.Items[1].Growth7d, nil)
	})
}

func TestStore_Cards(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		instance := f.instance("n")
		cards := func() models.CapacityCards {
			f.Helper()
			cards, err := f.Cards(f.ctx, instance.ID)
			check(f, err)
			return cards
		}
		equal(f, "no data", cards(), models.CapacityCards{})
		f.saveInventory(instance, true, "a", "b", "c")
		equal(f, "nothing measured", cards(), models.CapacityCards{Active: 3, Abnormal: 3})

		f.measure(instance, map[string]int64{"a": 5000, "b": 5, "c": 5}) // day 0, outside the window in the end
		first := cards()
		equal(f, "used", *first.UsedBytes, 5010)
		equal(f, "growth", first.DailyGrowth, nil)
		equal(f, "days", first.MeasuredDays, 1)
		equal(f, "abnormal", first.Abnormal, 0)

		f.clock.add(4 * day)
		f.measure(instance, map[string]int64{"a": 1000, "b": 7, "c": 5})
		f.clock.add(3 * day)
		failed := models.Error{Code: models.CodeCollection, Key: "collect.refused", Args: models.Args("Name", "c")}
		_, err := f.SaveDatabaseSizes(f.ctx, instance.ID, models.DatabaseResult{Databases: []models.DatabaseSize{
			{Name: "a", Total: pointer(int64(1301)), Data: pointer(int64(0))}, {Name: "c", Err: &failed},
		}}, f.clock.Now())
		check(f, err)
		now := cards()
		equal(f, "used", *now.UsedBytes, 1301)
		equal(f, "growth a day", *now.DailyGrowth, (1301-1012)/3)
		equal(f, "days", now.MeasuredDays, 2)
		equal(f, "day", now.LastDay, "2026-03-17")
		equal(f, "c failed and b is missing", now.Abnormal, 2)
		equal(f, "capacity", now.CapacityBytes, nil)
		equal(f, "days left", now.DaysLeft, nil)

		rows := f.databases(models.DatabaseQuery{InstanceID: instance.ID, LatestOnly: true}).Rows
		equal(f, "growth of a", *rows[0].Growth7d, 301)
		equal(f, "history of a", fmt.Sprint(rows[0].History), "[5000 1000 1301]")
		equal(f, "data of a", *rows[0].DataBytes, 0)
		equal(f, "growth of c", rows[2].Growth7d, nil)
		equal(f, "reason", fmt.Sprint(rows[2].Failed), failed.Error())
		equal(f, "row of c stays", *rows[2].SizeBytes, 5)
		list, err := f.Instances(f.ctx, models.InstanceQuery{Limit: 10})
		check(f, err)
		equal(f, "growth of the instance", *list.Items[0].Growth7d, 289)

		_, err = f.SaveDatabaseSizes(f.ctx, instance.ID, models.DatabaseResult{Databases: []models.DatabaseSize{
			{Name: "c", Total: pointer(int64(8)), Err: &failed},
		}}, f.clock.Now())
		check(f, err)
		rows = f.databases(models.DatabaseQuery{InstanceID: instance.ID, Name: "c", LatestOnly: true}).Rows
		equal(f, "size of c, which cannot be entered", *rows[0].SizeBytes, 8)
		equal(f, "reason", fmt.Sprint(rows[0].Failed), failed.Error())
		equal(f, "c is still abnormal", cards().Abnormal, 2)

		f.measure(instance, map[string]int64{"a": 1, "b": 1, "c": 1})
		equal(f, "all well again", cards().Abnormal, 0)
		f.saveInventory(instance, true, "a")
		equal(f, "gone", cards().Gone, 2)
		f.clock.add(8 * day)
		late := cards()
		equal(f, "used stays", *late.UsedBytes, 3)
		equal(f, "no growth", late.DailyGrowth, nil)
		equal(f, "no days", late.MeasuredDays, 0)
	})
}

func TestStore_SaveDatabaseSizes_PartialRunKeepsTotal(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		instance := f.instance("n")
		total := func() int64 {
			f.Helper()
			cards, err := f.Cards(f.ctx, instance.ID)
			check(f, err)
			if cards.UsedBytes == nil {
				return -1
			}
			return *cards.UsedBytes
		}
		f.saveInventory(instance, true, "a", "b", "c")
		refused := models.DatabaseSize{Name: "b", Err: &models.Error{Code: models.CodeTimeout}}
		result := models.DatabaseResult{Databases: []models.DatabaseSize{refused}}
		saved, err := f.SaveDatabaseSizes(f.ctx, instance.ID, result, f.clock.Now())
		check(f, err)
		equal(f, "nothing saved", saved, 0)
		equal(f, "no total", total(), -1)

		f.measure(instance, map[string]int64{"a": 100, "b": 20, "c": 3})
		equal(f, "all", total(), 123)
		saved, err = f.SaveDatabaseSizes(f.ctx, instance.ID, models.DatabaseResult{Databases: []models.DatabaseSize{
			{Name: "a", Total: pointer(int64(200))}, refused,
		}}, f.clock.Now())
		check(f, err)
		equal(f, "saved", saved, 1)
		equal(f, "a anew, b and c as before", total(), 223)
		f.saveInventory(instance, true, "a", "b")
		f.measure(instance, map[string]int64{"a": 300})
		equal(f, "without c, which is gone", total(), 320)
		f.clock.add(day)
		f.measure(instance, map[string]int64{"a": 1})
		equal(f, "another day has its own rows only", total(), 1)
	})
}

func TestStore_SaveDatabaseSizes_NothingMeasured(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		instance := f.instance("n")
		f.saveInventory(instance, true, "a")
		f.measure(instance, map[string]int64{"a": 9})
		timeout := &models.Error{Code: models.CodeTimeout}
		refused := models.DatabaseResult{Databases: []models.DatabaseSize{{Name: "a", Err: timeout}}}
		f.clock.add(time.Hour)
		saved, err := f.SaveDatabaseSizes(f.ctx, instance.ID, refused, f.clock.Now())
		check(f, err)
		equal(f, "saved", saved, 0)
		cards, err := f.Cards(f.ctx, instance.ID)
		check(f, err)
		equal(f, "the day's total stays", *cards.UsedBytes, 9)
		equal(f, "abnormal", cards.Abnormal, 1)
		read, err := f.Instance(f.ctx, instance.ID)
		check(f, err)
		equal(f, "synced", *read.LastSyncTime, start)
	})
}
