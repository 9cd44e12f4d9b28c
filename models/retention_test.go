package models_test

import (
	"fmt"
	"testing"

	"whalefall/models"
)

// days returns the days of the rows of database_size_stats or instance_size_stats, oldest first.
func (f *fixture) days(table string) string {
	f.Helper()
	return "[" + f.listed("SELECT day FROM "+table+" ORDER BY day, id") + "]"
}

func TestStore_PruneHistory_DatabasesAndInstances(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		f.options.HistoryDays = 40
		store, err := models.Open(f.ctx, f.options)
		check(f, err)
		defer func() { check(f, store.Close()) }()
		prune := func(what string, want int64) {
			f.Helper()
			pruned, err := store.PruneHistory(f.ctx)
			check(f, err)
			equal(f, what, pruned, want)
		}

		instance := f.instance("n")
		idle := f.instance("idle")
		f.saveInventory(instance, true, "a", "gone")
		f.saveInventory(idle, true, "a")
		f.measure(instance, map[string]int64{"a": 1, "gone": 1})
		f.measure(idle, map[string]int64{"a": 1})
		f.clock.add(day)
		f.measure(instance, map[string]int64{"a": 2})
		f.clock.add(38 * day)
		f.measure(instance, map[string]int64{"a": 3})
		prune("rows within 40 days", 0)

		f.clock.add(day)
		prune("rows on the day after", 2) // of a and its instance; "gone" and idle have no newer row
		equal(f, "databases", f.days("database_size_stats"), "[2026-03-10 2026-03-10 2026-03-11 2026-04-18]")
		equal(f, "instances", f.days("instance_size_stats"), "[2026-03-10 2026-03-11 2026-04-18]")

		f.clock.add(1000 * day)
		prune("rows of years ago", 2)
		equal(f, "newest of each database", f.days("database_size_stats"), "[2026-03-10 2026-03-10 2026-04-18]")
		equal(f, "newest of each instance", f.days("instance_size_stats"), "[2026-03-10 2026-04-18]")
		prune("again", 0)
	})
}

func TestStore_PruneHistory_ManyBatches(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		const databases = 5001 // more than one statement deletes
		instance := f.instance("n")
		names := make([]string, databases)
		sizes := map[string]int64{}
		for i := range names {
			names[i] = fmt.Sprintf("d%d", i)
			sizes[names[i]] = int64(i)
		}
		f.saveInventory(instance, true, names...)
		f.measure(instance, sizes)
		f.clock.add(day)
		f.measure(instance, sizes)
		f.clock.add(models.DefaultHistoryDays * day)
		pruned, err := f.PruneHistory(f.ctx)
		check(f, err)
		equal(f, "rows of databases and of the instance", pruned, databases+1)
	})
}
