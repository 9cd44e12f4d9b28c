package models_test

import (
	"testing"
	"time"

	"whalefall/models"
)

func TestStore_SaveTableSizes_ClockSetBack(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		database := f.database()
		f.refresh(database, true, table("a", 1))
		check(f, f.MarkGone(f.ctx, database.ID, f.clock.Now()))
		yesterday := f.clock.Now().AddDate(0, 0, -1)
		_, err := f.SaveTableSizes(f.ctx, models.SaveTables{
			DatabaseID: database.ID, Result: models.TableResult{Tables: []models.TableSize{table("a", 2)}, Complete: true},
			Started: yesterday, CollectedAt: yesterday.Add(time.Second),
		})
		check(f, err)
		back, err := f.DatabaseByID(f.ctx, database.ID)
		check(f, err)
		equal(f, "snapshot", back.SnapshotNo, 2)
		equal(f, "gone", back.GoneAt, nil)
	})
}
