package jobs

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"whalefall/models"
)

func TestRunner_Request(t *testing.T) {
	t.Parallel()

	t.Run("many at the same time", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t, &scripted{})
		var requests sync.WaitGroup
		for user := range 8 {
			requests.Go(func() {
				for n := range 40 {
					_, err := f.runner.Request(t.Context(), Tables(someone, f.instance.ID, fmt.Sprint("d", (n+user)%5)))
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
		requests.Wait()
		eventually(t, "all runs ended", func() bool {
			return f.count(models.RunQueued)+f.count(models.RunRunning) == 0 && len(f.runner.executing()) == 0
		})
		if n := f.count(models.RunFailed); n > 0 {
			t.Errorf("got %d runs failed, want 0", n)
		}
		if runs, _ := f.runner.memory(); runs > 0 {
			t.Errorf("got %d runs in memory, want 0", runs)
		}
	})

	t.Run("of an instance that is busy", func(t *testing.T) {
		t.Parallel()
		c := newBlocked()
		f := newFixture(t, c)
		first := f.request("USERS")
		eventually(t, "the target is read", c.isReading)
		second := f.request("DATA")
		waiting := f.run(second.ID)
		wantStatus(t, waiting, models.RunQueued)
		if waiting.Phase != "" || waiting.StartedAt != nil || waiting.Elapsed(time.Now()) != 0 {
			t.Errorf("got %+v, want a run that has not started", waiting.Progress)
		}
		cancelled, err := f.runner.Cancel(t.Context(), second.ID)
		must(t, err)
		wantStatus(t, cancelled, models.RunCancelled)
		if f.ended(first.ID) {
			t.Error("the first run ended, want only the second")
		}
		c.release()
		eventually(t, "the first run ended", func() bool { return f.ended(first.ID) })
		wantStatus(t, f.run(first.ID), models.RunSucceeded)
	})

	t.Run("does not join a run that is being cancelled", func(t *testing.T) {
		t.Parallel()
		reading, cancelling, end := make(chan struct{}), make(chan struct{}), make(chan struct{})
		c := &scripted{tables: func(ctx context.Context, _ string) (models.TableResult, error) {
			close(reading)
			<-ctx.Done()
			close(cancelling)
			<-end
			return models.TableResult{}, context.Cause(ctx)
		}}
		f := newFixture(t, c)
		run := f.request("app")
		<-reading
		cancelled := f.cancelLater(run.ID)
		<-cancelling
		c.tables = nil

		refreshed := make(chan error, 1)
		go func() {
			_, err := f.refresh("app")
			refreshed <- err
		}()
		// Two of them wait in Cancel.
		eventually(t, "the request waits for the cancelled run", func() bool { return f.waiters(run.ID) == 3 })
		close(end)
		must(t, <-refreshed)
		wantStatus(t, <-cancelled, models.RunCancelled)
		_, err := f.refresh("app")
		must(t, err)
	})

	t.Run("that the store cannot save", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t, &scripted{})
		f.refuse(insertedRun)
		_, err := f.refresh("app")
		wantInternal(t, err)
		_, err = f.runner.Request(t.Context(), Tables(someone, f.instance.ID, "app"))
		wantInternal(t, err)
	})

	t.Run("is returned with its instance", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t, newBlocked())
		for range 2 { // new, then joined
			if run := f.request("app"); run.InstanceName != "target" || run.ID != 1 || run.Username != "someone" {
				t.Errorf("got %+v, want run 1 of target", run)
			}
		}
	})
}

// waiters returns how many waits for a run there are in this process.
func (f *fixture) waiters(id int64) int {
	f.runner.mu.Lock()
	defer f.runner.mu.Unlock()
	if local, known := f.runner.runs[id]; known {
		return local.waiters
	}
	return 0
}

func TestRunner_RequestAndWait(t *testing.T) {
	t.Parallel()

	t.Run("requests for one database join", func(t *testing.T) {
		t.Parallel()
		c := newBlocked()
		f := newFixture(t, c)
		const callers = 20
		receipts := make([]models.Receipt, callers)
		var all sync.WaitGroup
		for i := range callers {
			all.Go(func() {
				var err error
				if receipts[i], err = f.refresh("app"); err != nil {
					t.Error(err)
				}
			})
		}
		eventually(t, "all wait for one run", func() bool { return f.waiters(1) == callers })
		other := make(chan error, 1)
		go func() {
			_, err := f.refresh("other")
			other <- err
		}()
		eventually(t, "the other waits", func() bool { return f.waiters(2) == 1 && c.isReading() })
		c.release()
		all.Wait()
		must(t, <-other)
		if n := c.readings.Load(); n != 2 {
			t.Errorf("got %d readings of two databases, want 2", n)
		}
		for i, r := range receipts {
			if r != receipts[0] {
				t.Errorf("got %+v for caller %d, want %+v as for caller 0", r, i, receipts[0])
			}
		}
	})

	t.Run("the run outlives its requester and ends with the runner", func(t *testing.T) {
		t.Parallel()
		c := newBlocked()
		f := newFixture(t, c)
		ctx, leave := context.WithCancel(t.Context())
		left := make(chan error, 1)
		go func() {
			_, err := f.runner.RequestAndWait(ctx, Tables(someone, f.instance.ID, "app"))
			left <- err
		}()
		eventually(t, "the target is read", c.isReading)
		leave()
		err := <-left
		wantError(t, err, models.CodeTimeout, "collect.still_running")
		extra := models.AsError(err).Members()
		if extra["refresh_id"] != int64(1) || extra["instance_id"] != f.instance.ID || extra["database_name"] != "app" {
			t.Errorf("got extra %v, want the run, the instance and the database", extra)
		}

		joined := make(chan error, 1)
		go func() {
			_, err := f.refresh("app")
			joined <- err
		}()
		eventually(t, "the second request waits for the same run", func() bool { return f.waiters(1) == 1 })
		must(t, f.runner.Close(t.Context()))
		wantError(t, <-joined, models.CodeCollection, "collect.cancelled")
		if n := c.readings.Load(); n != 1 {
			t.Errorf("got %d readings, want 1", n)
		}
	})

	t.Run("waits no longer than Options.Wait", func(t *testing.T) {
		t.Parallel()
		c := newBlocked()
		f := newFixture(t, c)
		f.runner = f.newRunner(Options{Wait: 10 * time.Millisecond})
		_, err := f.refresh("app")
		wantError(t, err, models.CodeTimeout, "collect.still_running")
		c.release()
		eventually(t, "the run ended", func() bool { return f.ended(1) })
		wantStatus(t, f.run(1), models.RunSucceeded)
	})

	t.Run("one reading of all databases answers all who wait", func(t *testing.T) {
		t.Parallel()
		c := newBlocked()
		c.capabilities.AllDatabasesAtOnce = true
		tables := c.tables
		c.tables = func(ctx context.Context, name string) (models.TableResult, error) {
			found, err := tables(ctx, name)
			found.Others = map[string]models.TableResult{}
			for _, other := range []string{"USERS", "DATA"} {
				if other != name {
					found.Others[other] = models.TableResult{Complete: true, Tables: found.Tables}
				}
			}
			return found, err
		}
		f := newFixture(t, c)
		databases := []string{"USERS", "DATA"}
		for _, name := range databases {
			f.addDatabase(f.instance.ID, name)
		}

		errs := make(chan error, len(databases))
		for i, name := range databases {
			go func() {
				receipt, err := f.refresh(name)
				if err == nil && (receipt.Saved == 0 || !receipt.Complete || receipt.CollectedAt.IsZero()) {
					t.Errorf("got receipt %+v for %s, want one table", receipt, name)
				}
				errs <- err
			}()
			eventually(t, "the request waits", func() bool { return f.waiters(int64(i+1)) == 1 && c.isReading() })
		}
		c.release()
		for range databases {
			must(t, <-errs)
		}
		for _, name := range databases {
			if n := f.snapshotNo(name); c.readings.Load() != 1 || n != 1 {
				t.Errorf("got %d readings and snapshot %d of %s, want 1 and 1", c.readings.Load(), n, name)
			}
		}
	})
}
