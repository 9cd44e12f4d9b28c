package jobs

import (
	"testing"
	"time"

	"whalefall/models"
)

// TestRunner_Reconcile is about runs whose process died.
func TestRunner_Reconcile(t *testing.T) {
	t.Parallel()

	t.Run("requeues an orphaned run", func(t *testing.T) {
		t.Parallel()
		f := newFixtureOn(t, postgresStore(t), &scripted{})
		orphaned := f.storeRunning("app", "dead")
		f.clock.set(time.Now().Add(time.Hour))
		must(t, f.runner.Start(t.Context()))
		f.runner.reconcile(t.Context())
		wantStatus(t, f.run(orphaned.ID), models.RunInterrupted)
		eventually(t, "the second attempt succeeded", func() bool { return f.count(models.RunSucceeded) == 1 })
	})

	t.Run("does not requeue a cancelled run", func(t *testing.T) {
		t.Parallel()
		f := newFixtureOn(t, postgresStore(t), &scripted{})
		orphaned := f.storeRunning("app", "dead")
		must(t, f.store.RequestCancel(t.Context(), orphaned.ID))
		f.clock.set(time.Now().Add(time.Hour))
		f.runner.reconcile(t.Context())
		wantStatus(t, f.run(orphaned.ID), models.RunCancelled)
		if n := f.count(""); n != 1 {
			t.Errorf("got %d runs, want 1", n)
		}
	})
}
