package models_test

import (
	"testing"
	"time"
)

func TestStore_SaveTableSizes_ClockSetBack(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		database := f.database()
		f.refresh(database, true, table("a", 1))
		check(f, f.MarkGone(f.ctx, database.ID, f.clock.Now()))
		yesterday := f.clock.Now().AddDate(0, 0, -1)
		in := saved(database, table("a", 2))
		in.Started, in.CollectedAt = yesterday, yesterday.Add(time.Second)
		_, err := f.SaveTableSizes(f.ctx, in)
		check(f, err)
		back, err := f.DatabaseByID(f.ctx, database.ID)
		check(f, err)
		equal(f, "snapshot", back.SnapshotNo, 2)
		equal(f, "gone", back.GoneAt, nil)
	})
}
