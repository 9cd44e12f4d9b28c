package jobs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"whalefall/collectors"
	"whalefall/models"
)

func TestRunner_Start(t *testing.T) {
	t.Run("interrupts the orphaned runs of an embedded store", func(t *testing.T) {
		f := newFixture(t, &scripted{})
		orphaned := f.storeRunning("app", "dead")
		before := goleak.IgnoreCurrent()
		next := f.newRunner(Options{})
		must(t, next.Start(t.Context()))

		run := f.run(orphaned.ID)
		wantStatus(t, run, models.RunInterrupted)
		if run.Phase != "" || !run.Ended() {
			t.Errorf("got %+v, want an ended run without a phase", run)
		}
		_, err := next.RequestAndWait(t.Context(), Tables(someone, f.instance.ID, "app"))
		must(t, err)

		must(t, next.Close(t.Context()))
		if err := next.Start(t.Context()); !errors.Is(err, errClosing) {
			t.Errorf("got %v from Start after Close, want %v", err, errClosing)
		}
		goleak.VerifyNone(t, before)
	})

	t.Run("executes what is queued", func(t *testing.T) {
		f := newFixture(t, &scripted{})
		f.clock.set(time.Now().Add(time.Hour)) // the time of a request does not matter
		for n := range 20 {
			f.storeQueued(fmt.Sprint("d", n))
		}
		f.clock.set(time.Now())
		must(t, f.runner.Start(t.Context()))
		eventually(t, "all runs succeeded", func() bool { return f.count(models.RunSucceeded) == 20 })
	})

	t.Run("leaves nothing behind if it is closed meanwhile", func(t *testing.T) {
		for name, address := range stores {
			t.Run(name, func(t *testing.T) {
				f := newFixtureOn(t, address(t), &scripted{})
				before := goleak.IgnoreCurrent()
				must(t, f.runner.Close(t.Context()))
				if err := f.runner.openQueue(t.Context()); !errors.Is(err, errClosing) {
					t.Errorf("got %v, want %v", err, errClosing)
				}
				goleak.VerifyNone(t, before)
			})
		}
	})
}

func TestRunner_Close(t *testing.T) {
	t.Parallel()
	t.Run("interrupts a running run, which can be requested again", func(t *testing.T) {
		t.Parallel()
		c := newBlocked()
		f := newFixture(t, c)
		run := f.request("app")
		eventually(t, "the target is read", c.isReading)
		must(t, f.runner.Close(t.Context()))
		wantStatus(t, f.run(run.ID), models.RunInterrupted)
		_, err := f.runner.Request(t.Context(), Tables(someone, f.instance.ID, "app"))
		wantError(t, err, models.CodeCollection, "collect.cancelled")

		c.release()
		f.runner = f.newRunner(Options{})
		_, err = f.refresh("app")
		must(t, err)
	})

	t.Run("ends the waiting for running and queued runs", func(t *testing.T) {
		t.Parallel()
		c := newBlocked()
		f := newFixture(t, c)
		errs := make(chan error, 2)
		for i, name := range []string{"USERS", "DATA"} {
			go func() {
				_, err := f.refresh(name)
				errs <- err
			}()
			eventually(t, "the request waits", func() bool {
				runs, _ := f.runner.memory()
				return runs == i+1 && c.isReading()
			})
		}
		must(t, f.runner.Close(t.Context()))
		for range 2 {
			wantError(t, <-errs, models.CodeCollection, "collect.cancelled")
		}
	})

	t.Run("between claim and begin, leaves the run queued", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t, newBlocked())
		run, cancelled := f.storeRunning("app", f.runner.owner), f.storeQueued("cancelled")
		must(t, f.runner.Close(t.Context()))
		if _, executed := f.runner.execute(t.Context(), run); executed {
			t.Error("got a run executed after Close, want none")
		}
		if err := f.runner.release(t.Context(), run); !errors.Is(err, models.ErrInstanceBusy) {
			t.Errorf("got %v, want %v", err, models.ErrInstanceBusy)
		}
		released := f.run(run.ID)
		wantStatus(t, released, models.RunQueued)
		if released.StartedAt != nil || released.Owner != "" || released.Phase != "" {
			t.Errorf("got %+v, want a run that has not started", released)
		}

		run, err := f.store.ClaimRun(t.Context(), cancelled.ID, f.runner.owner, time.Now())
		must(t, err)
		must(t, f.store.RequestCancel(t.Context(), run.ID))
		if err := f.runner.release(t.Context(), run); !errors.Is(err, models.ErrInstanceBusy) {
			t.Errorf("got %v, want %v", err, models.ErrInstanceBusy)
		}
		wantStatus(t, f.run(run.ID), models.RunCancelled)
	})

	t.Run("while a run begins", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t, newBlocked())
		for range 40 {
			f.runner = f.newRunner(Options{})
			ended := make(chan error, 1)
			go func() {
				_, err := f.refresh("USERS")
				ended <- err
			}()
			eventually(t, "the run is known", func() bool {
				runs, _ := f.runner.memory()
				return runs == 1
			})
			must(t, f.runner.Close(t.Context()))
			wantError(t, <-ended, models.CodeCollection, "collect.cancelled")
		}
	})
}

// TestRunner_QueuedRunOutlivesItsProcess closes a runner that executes one run while another is queued, and starts the
// next.
func TestRunner_QueuedRunOutlivesItsProcess(t *testing.T) {
	for name, address := range stores {
		t.Run(name, func(t *testing.T) {
			c := newBlocked()
			f := newFixtureOn(t, address(t), c)
			before := goleak.IgnoreCurrent()
			must(t, f.runner.Start(t.Context()))
			running, queued := f.request("a"), f.request("b")
			eventually(t, "the target is read", c.isReading)
			must(t, f.runner.Close(t.Context()))
			wantStatus(t, f.run(running.ID), models.RunInterrupted)
			wantStatus(t, f.run(queued.ID), models.RunQueued)

			c.release()
			f.runner = f.newRunner(Options{})
			must(t, f.runner.Start(t.Context()))
			eventually(t, "the queued run ended", func() bool { return f.ended(queued.ID) })
			if f.store.Pool() != nil { // requeued: other processes may be there to execute it
				id := queued.ID + 1
				eventually(t, "the requeued run ended", func() bool { return f.ended(id) })
				if again := f.run(id); again.Attempt != 2 || again.DatabaseName != "a" || again.Status != models.RunSucceeded {
					t.Errorf("got %+v, want the second attempt of a", again)
				}
			}
			must(t, f.runner.Close(t.Context()))
			goleak.VerifyNone(t, before)
		})
	}
}

// TestRunner_OldestFirst requests many runs of one instance. Whichever of them a queue executes first, the oldest
// starts first.
func TestRunner_OldestFirst(t *testing.T) {
	onBothStores(t, func(t *testing.T, address string) {
		var mu sync.Mutex
		var read []string
		gate := newBlocked()
		tables := gate.tables
		gate.tables = func(ctx context.Context, name string) (models.TableResult, error) {
			mu.Lock()
			read = append(read, name)
			mu.Unlock()
			return tables(ctx, name)
		}
		f := newFixtureOn(t, address, gate)
		must(t, f.runner.Start(t.Context()))

		var want []string
		for n := range 12 {
			name := fmt.Sprint("d", n)
			want = append(want, name)
			f.request(name)
		}
		eventually(t, "the target is read", gate.isReading)
		gate.release()
		eventually(t, "all runs succeeded", func() bool { return f.count(models.RunSucceeded) == int64(len(want)) })
		if !slices.Equal(read, want) {
			t.Errorf("got %v read, want %v", read, want)
		}
	})
}

func TestRunner_Run(t *testing.T) {
	t.Parallel()
	t.Run("of a success and a failure", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t, &scripted{tables: func(ctx context.Context, name string) (models.TableResult, error) {
			collectors.Reached(ctx, models.PhaseQuerying)
			if name == "unreachable" {
				return models.TableResult{}, &models.Error{Code: models.CodeUnreachable, Key: "error.unreachable"}
			}
			return models.TableResult{Complete: true, Tables: []models.TableSize{{Name: "a"}, {Name: "b"}}}, nil
		}})
		_, err := f.refresh("app")
		must(t, err)
		run := f.run(1)
		if run.Status != models.RunSucceeded || *run.TablesSeen != 2 || run.Receipt.Saved != 2 || run.Username != "someone" ||
			run.ConnectingMS == nil || run.QueryingMS == nil || run.StoringMS == nil || run.DatabaseID == nil {
			t.Errorf("got %+v, want a success with 2 tables and the duration of each phase", run)
		}

		_, err = f.refresh("unreachable")
		wantError(t, err, models.CodeUnreachable, "error.unreachable")
		failed := f.run(2)
		if failed.Status != models.RunFailed || failed.Failure.Key != "error.unreachable" ||
			failed.Failure.Extra["database_name"] != "unreachable" || failed.StoringMS != nil || failed.TablesSeen != nil {
			t.Errorf("got %+v, want a failure in the phase querying", failed)
		}
	})

	t.Run("of a sync", func(t *testing.T) {
		t.Parallel()
		c := &scripted{}
		f := newFixture(t, c)
		measured := int64(1)
		c.databases = func() (models.DatabaseResult, error) {
			return models.DatabaseResult{Complete: true, Databases: []models.DatabaseSize{{Name: "app", Total: &measured}}}, nil
		}
		outcome, err := f.runner.RequestAndWait(t.Context(), Databases(someone, f.instance.ID))
		must(t, err)
		synced, err := collectors.ParseSyncResult(outcome.Result)
		must(t, err)
		run := f.run(1)
		if run.Kind != models.RunDatabases || run.DatabaseName != "" || run.Status != models.RunSucceeded ||
			run.Receipt.Saved != 1 || synced.Saved != 1 || len(synced.Found.Databases) != 1 {
			t.Errorf("got %+v, result %+v, want a success with one database", run, synced)
		}

		c.databases = func() (models.DatabaseResult, error) {
			return models.DatabaseResult{}, &models.Error{Code: models.CodeUnreachable, Key: "error.unreachable"}
		}
		_, err = f.runner.RequestAndWait(t.Context(), Databases(someone, f.instance.ID))
		wantError(t, err, models.CodeUnreachable, "error.unreachable")
		wantStatus(t, f.run(2), models.RunFailed)
	})

	t.Run("of another process", func(t *testing.T) {
		t.Parallel()
		c := newBlocked()
		tables := c.tables
		c.tables = func(ctx context.Context, name string) (models.TableResult, error) {
			collectors.Counted(ctx, 42)
			return tables(ctx, name)
		}
		f := newFixtureOn(t, postgresStore(t), c)
		owner, follower := f.startTwo()
		run := f.request("app")
		eventually(t, "one process executes the run", func() bool {
			return len(owner.executing())+len(follower.executing()) == 1
		})
		if len(follower.executing()) == 1 {
			owner, follower = follower, owner
		}
		f.runner = follower
		eventually(t, "the heartbeat of the other process", func() bool {
			seen := f.run(run.ID).TablesSeen
			return seen != nil && *seen == 42
		})

		began := time.Now()
		run, err := follower.Cancel(t.Context(), run.ID)
		must(t, err)
		wantStatus(t, run, models.RunCancelled)
		if took := time.Since(began); took > 2*sharedHeartbeatInterval {
			t.Errorf("cancelled after %v, want at most %v", took, 2*sharedHeartbeatInterval)
		}
	})
}

// startTwo starts two runners over one store, as two processes do. The first is that of the fixture.
func (f *fixture) startTwo() (first, second *Runner) {
	f.Helper()
	second = f.newRunner(Options{})
	for _, r := range []*Runner{f.runner, second} {
		must(f.T, r.Start(f.Context()))
	}
	return f.runner, second
}

// TestRunner_Memory checks that a runner forgets the runs of other processes that nobody waits for here.
func TestRunner_Memory(t *testing.T) {
	t.Parallel()
	f := newFixtureOn(t, postgresStore(t), &scripted{})
	first, second := f.startTwo()
	for n := range 40 {
		for _, r := range []*Runner{first, second} {
			_, err := r.Request(t.Context(), Tables(someone, f.instance.ID, fmt.Sprint("d", n)))
			must(t, err)
		}
	}
	eventually(t, "all runs ended", func() bool {
		return f.count(models.RunSucceeded) >= 40 && f.count(models.RunQueued) == 0 &&
			len(first.executing())+len(second.executing()) == 0
	})
	inFirst, _ := first.memory()
	inSecond, _ := second.memory()
	if inFirst+inSecond > 0 {
		t.Errorf("got %d and %d runs in memory, want 0", inFirst, inSecond)
	}
}

// TestOptions_Observe requests runs while handlers that read the options could be built: the race detector finds
// whoever changes the options of a running runner.
func TestOptions_Observe(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	started, ended := map[string]int{}, map[string]int{}
	f := newFixture(t, &scripted{tables: func(_ context.Context, name string) (models.TableResult, error) {
		if name == "bad" {
			return models.TableResult{}, errors.New("unexpected")
		}
		return models.TableResult{Complete: true}, nil
	}})
	f.runner = f.newRunner(Options{Observe: func(engine models.Engine, kind models.RunKind) func(error) {
		mu.Lock()
		defer mu.Unlock()
		what := fmt.Sprint(engine, " ", kind)
		started[what]++
		return func(err error) {
			mu.Lock()
			defer mu.Unlock()
			ended[fmt.Sprint(what, " ", err == nil)]++
		}
	}})
	_, err := f.refresh("good")
	must(t, err)
	_, err = f.refresh("bad")
	wantInternal(t, err)
	must(t, f.runner.Close(t.Context()))
	if started["sqlite tables"] != 2 || ended["sqlite tables true"] != 1 || ended["sqlite tables false"] != 1 {
		t.Errorf("got %v started, %v ended, want one success and one failure", started, ended)
	}
}
