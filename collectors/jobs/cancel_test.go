package jobs

import (
	"context"
	"sync/atomic"
	"testing"

	"whalefall/models"
)

// cancelLater cancels a run in the background and returns it when Cancel returns.
func (f *fixture) cancelLater(id int64) <-chan models.Run {
	cancelled := make(chan models.Run, 1)
	go func() {
		run, err := f.runner.Cancel(f.Context(), id)
		if err != nil {
			f.Error(err)
		}
		cancelled <- run
	}()
	return cancelled
}

func TestRunner_Cancel(t *testing.T) {
	t.Parallel()

	t.Run("a running run", func(t *testing.T) {
		t.Parallel()
		c := newBlocked()
		f := newFixture(t, c)
		run := f.request("app")
		eventually(t, "the target is read", c.isReading)
		cancelled, err := f.runner.Cancel(t.Context(), run.ID)
		must(t, err)
		wantStatus(t, cancelled, models.RunCancelled)
		if cancelled.Phase != "" || f.snapshotNo("app") != 0 {
			t.Errorf("got phase %q and snapshot %d, want none", cancelled.Phase, f.snapshotNo("app"))
		}
		again, err := f.runner.Cancel(t.Context(), run.ID)
		must(t, err)
		wantStatus(t, again, models.RunCancelled)
	})

	t.Run("a run that is storing succeeds", func(t *testing.T) {
		t.Parallel()
		var collected atomic.Bool
		var looks atomic.Int32
		f := newFixture(t, &scripted{tables: func(context.Context, string) (models.TableResult, error) {
			collected.Store(true)
			return models.TableResult{Complete: true}, nil
		}})
		storing, store := make(chan struct{}), make(chan struct{})
		f.clock.hook = func() { // the second look is between the statements that store
			if collected.Load() && looks.Add(1) == 2 {
				close(storing)
				<-store
			}
		}
		run := f.request("app")
		<-storing
		cancelled := f.cancelLater(run.ID)
		eventually(t, "the cancellation waits", func() bool { return f.cancelRequested(run.ID) })
		close(store)
		wantStatus(t, <-cancelled, models.RunSucceeded)
	})

	t.Run("between claim and begin", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t, newBlocked())
		run := f.storeRunning("app", f.runner.owner)
		cancelled := f.cancelLater(run.ID)
		eventually(t, "the cancellation waits", func() bool { return f.cancelRequested(run.ID) })
		ended, executed := f.runner.execute(t.Context(), run)
		if !executed {
			t.Error("got a run that was not executed, want a cancelled one")
		}
		wantStatus(t, ended, models.RunCancelled)
		wantStatus(t, <-cancelled, models.RunCancelled)
	})

	t.Run("a run that does not exist", func(t *testing.T) {
		t.Parallel()
		_, err := newFixture(t, &scripted{}).runner.Cancel(t.Context(), 404)
		wantError(t, err, models.CodeNotFound, "refresh.not_found")
	})
}

// cancelRequested reports whether this process knows that a run is to be cancelled.
func (f *fixture) cancelRequested(id int64) bool {
	f.runner.mu.Lock()
	defer f.runner.mu.Unlock()
	local, known := f.runner.runs[id]
	return known && local.cancelRequested
}
