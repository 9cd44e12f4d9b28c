package models_test

import (
	"testing"
	"time"

	"whalefall/models"
)

func TestStore_PruneHistory_KeepsBaseOfGrowth(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		database := f.database()
		q := models.TableQuery{DatabaseID: database.ID, Sort: "name"}
		f.refresh(database, true, table("a", 100))
		f.clock.add(day)
		f.refresh(database, true, table("a", 200))
		f.clock.add(500 * day)
		pruned, err := f.PruneHistory(f.ctx)
		check(f, err)
		equal(f, "what growth was not moved over yet stays", pruned, 0)
		f.refresh(database, true, table("a", 200))
		equal(f, "nothing has grown for 30 days", f.grown(q), "a=0")
		pruned, err = f.PruneHistory(f.ctx)
		check(f, err)
		equal(f, "then it goes, with the totals of both days", pruned, 4)
	})
}

// A change of the zone does the same as a clock that is set back over midnight.
func TestStore_SaveTableSizes_GrowthAfterClockSetBack(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		database := f.database()
		q := models.TableQuery{DatabaseID: database.ID, Sort: "name"}
		f.refresh(database, true, table("a", 100), table("b", 1))
		f.clock.add(2 * day)
		f.refresh(database, true, table("a", 300), table("b", 3), table("new", 1))
		f.clock.add(-day)
		f.refresh(database, true, table("a", 200), table("b", 3), table("new", 2))
		equal(f, "history", f.history(), "a@0:?=100 b@0:?=1 a@1:+100=200 b@1:+2=3 new@1:+2=2")
		equal(f, "growth", f.grown(q), "a=100 b=2 new=?")
		f.clock.add(29 * day)
		f.refresh(database, true, table("a", 200), table("b", 3), table("new", 2))
		equal(f, "30 days later", f.grown(q), "a=0 b=0 new=0")
		f.clock.add(20 * day)
		f.refresh(database, true, table("a", 200), table("b", 3), table("new", 2))
		equal(f, "50 days later", f.grown(q), "a=0 b=0 new=0")
	})
}

func TestStore_SaveTableSizes_GrowthAfterClockFarAhead(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		database := f.database()
		q := models.TableQuery{DatabaseID: database.ID, Sort: "name"}
		f.refresh(database, true, table("a", 100))
		f.clock.add(1000 * day)
		f.refresh(database, true, table("a", 110), table("new", 1))
		f.clock.add(-1000*day + time.Hour)
		f.refresh(database, true, table("a", 120), table("new", 1))
		equal(f, "history", f.history(), "a@0:?=120 new@0:+1=1")
		f.clock.add(day)
		f.refresh(database, true, table("a", 150), table("new", 5))
		equal(f, "the next day", f.grown(q), "a=30 new=5")
		f.clock.add(30 * day)
		f.refresh(database, true, table("a", 151), table("new", 5))
		equal(f, "growth is of 30 days", f.grown(q), "a=1 new=0")
	})
}
