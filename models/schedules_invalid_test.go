package models_test

import (
	"slices"
	"testing"
	"time"
)

// TestStore_ClaimDue_InvalidSchedule stores a zone that a later version of the system may not know.
func TestStore_ClaimDue_InvalidSchedule(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		odd, other := f.fileInstance("odd"), f.fileInstance("other")
		f.tick()
		_, err := f.sql().ExecContext(f.ctx,
			"UPDATE instance_schedules SET zone = 'Mars/Base' WHERE instance_id = $1", odd.ID)
		check(f, err)
		f.clock.add(24 * time.Hour)
		due := f.tick()
		equal(f, "the other is collected", slices.Contains(due, other.ID), true)
		equal(f, "it is not", slices.Contains(due, odd.ID), false)
	})
}
