package models_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"whalefall/models"
)

// queued requests a run of an instance's tables for user_1.
func (f *fixture) queued(instance int64, database string) (models.Run, bool) {
	f.Helper()
	run, joined, err := f.RequestRun(f.ctx, models.Run{
		InstanceID: instance, DatabaseName: database, Kind: models.RunTables, RequestedAt: f.clock.Now(), Configuration: "c",
		Requester: models.Requester{UserID: pointer(int64(7)), Username: "user_1"},
	})
	check(f, err)
	return run, joined
}

// started requests a run and claims it for the owner.
func (f *fixture) started(instance int64, database, owner string) models.Run {
	f.Helper()
	asked, _ := f.queued(instance, database)
	run, err := f.ClaimRun(f.ctx, asked.ID, owner, f.clock.Now())
	check(f, err)
	return run
}

func (f *fixture) run(id int64) models.Run {
	f.Helper()
	run, err := f.Store.Run(f.ctx, id)
	check(f, err)
	return run
}

func (f *fixture) fileInstance(name string) models.Instance {
	f.Helper()
	i, err := f.CreateInstance(f.ctx, models.Instance{
		Name: name, DBType: models.SQLite, DatabaseName: "/" + name, IsActive: true, TLSMode: models.TLSPrefer,
	}, nil, nil)
	check(f, err)
	return i
}

func TestStore_EndRun_Receipt(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		const database = `a'b"c%/` + "\n<script>"
		instance := f.fileInstance("runs")
		id := f.started(instance.ID, database, "me").ID
		run := f.run(id)
		equal(f, "instance", run.InstanceName, "runs")
		equal(f, "database", run.DatabaseName, database)
		equal(f, "user id", *run.UserID, 7)
		equal(f, "name", run.Username, "user_1")
		equal(f, "status", run.Status, models.RunRunning)
		equal(f, "phase", run.Phase, models.PhaseConnecting)
		equal(f, "tables", run.TablesSeen, nil)
		equal(f, "database id", run.DatabaseID, nil)
		equal(f, "requested", run.RequestedAt, f.Now())
		equal(f, "ended", run.Ended(), false)

		f.clock.add(5 * time.Second)
		p := run.Progress
		p.Phase, p.TablesSeen, p.ConnectingMS = models.PhaseStoring, pointer(int64(12)), pointer(int64(3))
		cancel, err := f.Heartbeat(f.ctx, id, p)
		check(f, err)
		run = f.run(id)
		equal(f, "cancel requested", cancel, false)
		equal(f, "phase", run.Phase, models.PhaseStoring)
		equal(f, "tables", *run.TablesSeen, 12)
		equal(f, "connecting", *run.ConnectingMS, 3)
		equal(f, "heartbeat", run.HeartbeatAt, f.Now())
		equal(f, "elapsed", run.Elapsed(f.Now()), 5*time.Second)

		known := f.addDatabase(instance.ID, database)
		receipt := models.Receipt{
			CollectedAt: f.Now(), Saved: 12, Changed: 3, Pruned: 2, Kept: 1, Duplicates: 4,
			Hidden: 5, Grant: "GRANT x", ElapsedMS: 4321,
		}
		run.Status, run.EndedAt, run.Receipt = models.RunSucceeded, pointer(f.clock.Now()), receipt
		check(f, f.EndRun(f.ctx, run))
		f.clock.add(time.Hour)
		run = f.run(id)
		equal(f, "status", run.Status, models.RunSucceeded)
		equal(f, "phase", run.Phase, "")
		equal(f, "receipt", run.Receipt, receipt)
		equal(f, "database id", *run.DatabaseID, known.ID)
		equal(f, "failure", run.Failure, nil)
		equal(f, "elapsed", run.Elapsed(f.Now()), 5*time.Second)
	})
}

func TestStore_EndRun_Failure(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		run := f.started(f.fileInstance("runs").ID, "app", "me")
		run.Status, run.EndedAt = models.RunFailed, pointer(f.clock.Now())
		run.Failure = &models.Error{
			Code: models.CodeCollection, Key: "collect.mysql.failed", Args: models.Args("Number", 12345678),
			Grant: "GRANT \x00 x", Extra: map[string]any{"error_number": 12345678},
		}
		check(f, f.EndRun(f.ctx, run))
		failed := f.run(run.ID)
		equal(f, "code", failed.Failure.Code, models.CodeCollection)
		equal(f, "number", failed.Failure.Args["Number"].(interface{ String() string }).String(), "12345678")
		equal(f, "grant", failed.Failure.Grant, "GRANT \x00 x")
		equal(f, "receipt", failed.Receipt, models.Receipt{})

		run.Owner = "another"
		wantError(f, f.EndRun(f.ctx, run), models.CodeNotFound, "refresh.not_found")
	})
}

func TestStore_InterruptOrphanedRuns(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		started := func(name, owner string) models.Run { return f.started(f.fileInstance(name).ID, name, owner) }
		dead, alive, ended := started("dead", "a"), started("alive", "b"), started("ended", "a")
		waiting, _ := f.queued(alive.InstanceID, "waiting")
		ended.Status, ended.EndedAt = models.RunCancelled, pointer(f.clock.Now())
		check(f, f.EndRun(f.ctx, ended))
		last := f.Now()
		f.clock.add(time.Minute)
		_, err := f.Heartbeat(f.ctx, alive.ID, alive.Progress)
		check(f, err)
		interrupted, err := f.InterruptOrphanedRuns(f.ctx, time.Minute)
		check(f, err)
		equal(f, "interrupted", len(interrupted), 1)
		equal(f, "what it was about", interrupted[0].DatabaseName, "dead")
		equal(f, "its attempt", interrupted[0].Attempt, 1)
		equal(f, "waiting", f.run(waiting.ID).Status, models.RunQueued)
		equal(f, "dead", f.run(dead.ID).Status, models.RunInterrupted)
		equal(f, "dead since", *f.run(dead.ID).EndedAt, last)
		equal(f, "phase", f.run(dead.ID).Phase, "")
		equal(f, "alive", f.run(alive.ID).Status, models.RunRunning)
		equal(f, "ended", f.run(ended.ID).Status, models.RunCancelled)

		dead.Status, dead.EndedAt = models.RunSucceeded, pointer(f.clock.Now())
		check(f, f.EndRun(f.ctx, dead))
		equal(f, "came back", f.run(dead.ID).Status, models.RunSucceeded)
	})
}

// next returns the next queued run of an instance; nil: none is queued.
func (f *fixture) next(instanceID int64) *models.Run {
	f.Helper()
	queued, err := f.NextRuns(f.ctx, instanceID, 1)
	check(f, err)
	if len(queued) == 0 {
		return nil
	}
	run := f.run(queued[0].ID)
	return &run
}

func TestStore_InterruptOrphanedRuns_RequeuesOnce(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		orphaned, deleted, asked := f.fileInstance("orphaned"), f.fileInstance("deleted"), f.fileInstance("cancelled")
		first := f.started(orphaned.ID, "app", "a")
		f.started(deleted.ID, "app", "a")
		check(f, f.RequestCancel(f.ctx, f.started(asked.ID, "app", "a").ID))
		_, err := f.DeleteInstances(f.ctx, []int64{deleted.ID})
		check(f, err)
		f.clock.add(time.Minute)
		_, err = f.InterruptOrphanedRuns(f.ctx, time.Minute)
		check(f, err)
		if next := f.next(deleted.ID); next != nil {
			t.Errorf("got %+v of a deleted instance, want none", next)
		}
		if next := f.next(asked.ID); next != nil {
			t.Errorf("got %+v of a cancelled run, want none", next)
		}
		second := f.next(orphaned.ID)
		if f.Pool() == nil {
			if second != nil {
				t.Errorf("got %+v on an embedded store, want none", second)
			}
			return
		}
		equal(f, "attempt", second.Attempt, 2)
		equal(f, "database", second.DatabaseName, "app")
		equal(f, "kind", second.Kind, first.Kind)
		equal(f, "requester", second.Username, first.Username)
		equal(f, "configuration", second.Configuration, first.Configuration)
		equal(f, "requested", second.RequestedAt, f.Now())

		first.Status, first.EndedAt = models.RunInterrupted, pointer(f.clock.Now())
		wantError(f, f.EndRun(f.ctx, first), models.CodeNotFound, "refresh.not_found") // another process has said so before
		claimed, err := f.ClaimRun(f.ctx, second.ID, "b", f.clock.Now())
		check(f, err)
		claimed.Status, claimed.EndedAt = models.RunInterrupted, pointer(f.clock.Now())
		check(f, f.EndRun(f.ctx, claimed))
		if next := f.next(orphaned.ID); next != nil {
			t.Errorf("got a third attempt %+v, want none", next)
		}
	})
}

func TestStore_EndRun_InterruptedIsRequeued(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		run := f.started(f.fileInstance("runs").ID, "app", "a")
		run.Status, run.EndedAt = models.RunInterrupted, pointer(f.clock.Now())
		check(f, f.EndRun(f.ctx, run))
		if next := f.next(run.InstanceID); (next != nil) != (f.Pool() != nil) {
			t.Errorf("got queued %+v", next)
		}
		asked := f.started(f.fileInstance("asked to end").ID, "app", "a")
		check(f, f.RequestCancel(f.ctx, asked.ID))
		asked.Status, asked.EndedAt = models.RunInterrupted, pointer(f.clock.Now())
		check(f, f.EndRun(f.ctx, asked))
		equal(f, "asked to end", f.run(asked.ID).Status, models.RunCancelled)
		if next := f.next(asked.InstanceID); next != nil {
			t.Errorf("got queued %+v", next)
		}
	})
}

func TestStore_RequestCancel_OtherProcess(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		run := f.started(f.fileInstance("runs").ID, "app", "me")
		check(f, f.RequestCancel(f.ctx, run.ID))
		cancel, err := f.Heartbeat(f.ctx, run.ID, run.Progress)
		check(f, err)
		equal(f, "cancel requested", cancel, true)
		run.Status, run.EndedAt = models.RunCancelled, pointer(f.clock.Now())
		check(f, f.EndRun(f.ctx, run))
		cancel, err = f.Heartbeat(f.ctx, run.ID, models.Progress{Status: models.RunRunning})
		check(f, err)
		equal(f, "cancel requested after the end", cancel, false)
		equal(f, "status", f.run(run.ID).Status, models.RunCancelled)
	})
}

func TestStore_RequestRun_Refusals(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		_, err := f.Store.Run(f.ctx, 404)
		wantError(f, err, models.CodeNotFound, "refresh.not_found")
		_, _, err = f.RequestRun(f.ctx, models.Run{InstanceID: 404, Kind: models.RunTables})
		wantError(f, err, models.CodeNotFound, "instance.not_found")
		_, _, err = f.RequestRun(f.ctx, models.Run{InstanceID: f.fileInstance("runs").ID, DatabaseName: "a\x00"})
		wantError(f, err, models.CodeInvalid, "text.not_storable")
		_, err = f.ClaimRun(f.ctx, 404, "me", f.clock.Now())
		equal(f, "unknown run", err, models.ErrRunTaken)
	})
}

func TestStore_RequestRun_JoinsOpenRun(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		instance := f.fileInstance("runs")
		first, joined := f.queued(instance.ID, "app")
		equal(f, "the first", joined, false)
		equal(f, "status", f.run(first.ID).Status, models.RunQueued)
		again, joined := f.queued(instance.ID, "app")
		equal(f, "joined", joined, true)
		equal(f, "the same", again.ID, first.ID)
		_, joined = f.queued(instance.ID, "App")
		equal(f, "another database", joined, false)
		edited, joined, err := f.RequestRun(f.ctx, models.Run{
			InstanceID: instance.ID, DatabaseName: "app", Kind: models.RunTables, RequestedAt: f.clock.Now(),
			Configuration: "edited",
		})
		check(f, err)
		equal(f, "of another configuration", joined, false)
		equal(f, "attempt", f.run(edited.ID).Attempt, 1)
		check(f, f.RequestCancel(f.ctx, first.ID))
		equal(f, "cancelled while it was queued", f.run(first.ID).Status, models.RunCancelled)
		_, joined = f.queued(instance.ID, "app")
		equal(f, "an ended one", joined, false)
	})
}

func TestStore_ClaimRun_OnePerInstance(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		instance := f.fileInstance("runs")
		nobody, _, err := f.RequestRun(f.ctx, models.Run{
			InstanceID: instance.ID, DatabaseName: "nightly", Kind: models.RunTables, RequestedAt: f.clock.Now(),
		})
		check(f, err)
		first := f.started(instance.ID, "app", "me")
		second, _ := f.queued(instance.ID, "other")
		_, err = f.ClaimRun(f.ctx, second.ID, "another", f.clock.Now())
		equal(f, "while the first reads", err, models.ErrInstanceBusy)
		_, err = f.ClaimRun(f.ctx, first.ID, "another", f.clock.Now())
		equal(f, "the first", err, models.ErrRunTaken)
		f.started(f.fileInstance("another").ID, "app", "me")

		next, err := f.NextRuns(f.ctx, 0, 10)
		check(f, err)
		equal(f, "while both are read", len(next), 0)
		first.Status, first.EndedAt = models.RunSucceeded, pointer(f.clock.Now())
		check(f, f.EndRun(f.ctx, first))
		f.clock.add(-time.Hour) // what was asked for in a time that has not come yet is queued, too
		for _, of := range []int64{0, instance.ID} {
			next, err = f.NextRuns(f.ctx, of, 10)
			check(f, err)
			equal(f, "one at a time", len(next), 1)
			equal(f, "requests of users first", next[0].ID, second.ID)
		}
		_, err = f.ClaimRun(f.ctx, second.ID, "another", f.clock.Now())
		check(f, err)
		check(f, f.RequestCancel(f.ctx, nobody.ID))
		next, err = f.NextRuns(f.ctx, instance.ID, 10)
		check(f, err)
		equal(f, "nothing waits", len(next), 0)
	})
}

// TestStore_ClaimRun_Concurrently claims runs of one instance from many processes: one of them gets one.
func TestStore_ClaimRun_Concurrently(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		instance := f.fileInstance("runs")
		results := make(chan error)
		for i := range 20 {
			run, _ := f.queued(instance.ID, string(rune('a'+i%5)))
			go func() {
				_, err := f.ClaimRun(f.ctx, run.ID, "me", f.clock.Now())
				results <- err
			}()
		}
		claimed := 0
		for range 20 {
			if err := <-results; err == nil {
				claimed++
			} else if !errors.Is(err, models.ErrInstanceBusy) && !errors.Is(err, models.ErrRunTaken) {
				f.Error(err)
			}
		}
		equal(f, "claimed", claimed, 1)
	})
}

// TestStore_Upgrade_TakesRuns is about the instance and the database of a store of the first version.
func TestStore_Upgrade_TakesRuns(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		upgraded := f.upgradedFrom(1, firstData)
		run := upgraded.started(3, "main", "me")
		run.Status, run.EndedAt = models.RunSucceeded, pointer(f.clock.Now())
		check(f, upgraded.EndRun(f.ctx, run))
		kept := upgraded.run(run.ID)
		equal(f, "instance", kept.InstanceName, "old")
		equal(f, "database", *kept.DatabaseID, 5)
		equal(f, "tables", len(upgraded.tables(models.TableQuery{DatabaseID: 5, Sort: "name"}).Rows), 2)
	})
}

// TestStore_InterruptOrphanedRuns_HeartbeatInFuture sets the clock back, which must not keep an orphaned run alive.
func TestStore_InterruptOrphanedRuns_HeartbeatInFuture(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		first := f.started(f.fileInstance("first").ID, "app", "dead")
		f.clock.add(-time.Hour)
		second := f.started(f.fileInstance("second").ID, "app", "alive")
		interrupted, err := f.InterruptOrphanedRuns(f.ctx, time.Minute)
		check(f, err)
		equal(f, "interrupted", len(interrupted), 1)
		equal(f, "the dead one", interrupted[0].ID, first.ID)
		equal(f, "ended", *f.run(first.ID).EndedAt, f.Now())
		f.clock.add(-time.Second)
		_, err = f.InterruptOrphanedRuns(f.ctx, 0) // as at the start of an embedded store
		check(f, err)
		equal(f, "at the start", f.run(second.ID).Status, models.RunInterrupted)
	})
}

func TestStore_InterruptOrphanedRuns_CancelRequested(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		run := f.started(f.fileInstance("runs").ID, "app", "dead")
		check(f, f.RequestCancel(f.ctx, run.ID))
		f.clock.add(time.Minute)
		interrupted, err := f.InterruptOrphanedRuns(f.ctx, time.Minute)
		check(f, err)
		equal(f, "returned status", interrupted[0].Status, models.RunCancelled)
		equal(f, "status", f.run(run.ID).Status, models.RunCancelled)
	})
}

// One user cannot fill the queue with runs of many instances either.
func TestStore_RequestRun_TooManyOfUser(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		request := func(id int64, n int, by models.Requester) error {
			_, _, err := f.RequestRun(f.ctx, models.Run{
				InstanceID: id, Kind: models.RunTables, DatabaseName: fmt.Sprint("app", n), Requester: by, RequestedAt: f.Now(),
			})
			return err
		}
		var full int64
		for n := range models.MaxOpenRunsOfUser {
			if n%models.MaxOpenRuns == 0 {
				full = f.fileInstance(fmt.Sprint("full", n)).ID
			}
			check(f, request(full, n, someone))
		}
		free := f.fileInstance("free").ID
		wantError(f, request(free, 1, someone), models.CodeRateLimited, "")
		check(f, request(full, models.MaxOpenRunsOfUser-1, someone)) // joins
		check(f, request(free, 2, models.Requester{Username: "other"}))
		check(f, request(free, 3, models.Requester{}))
		next, err := f.NextRuns(f.ctx, full, 1)
		check(f, err)
		check(f, f.RequestCancel(f.ctx, next[0].ID))
		check(f, request(free, 1, someone))
	})
}

// One user cannot fill the queue of an instance, with names of databases that nobody has seen.
func TestStore_RequestRun_TooMany(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		one, other := f.fileInstance("one").ID, f.fileInstance("other").ID
		request := func(id int64, database string, by models.Requester) error {
			_, _, err := f.RequestRun(f.ctx, models.Run{
				InstanceID: id, Kind: models.RunTables, DatabaseName: database, Requester: by, RequestedAt: f.Now(),
			})
			return err
		}
		for n := range models.MaxOpenRuns {
			check(f, request(one, fmt.Sprint("app", n), someone))
		}
		wantError(f, request(one, "one too many", someone), models.CodeRateLimited, "")
		check(f, request(one, "app7", someone)) // joins
		check(f, request(other, "app", someone))
		check(f, request(one, "one too many", models.Requester{Username: "other"}))
		for n := range models.MaxOpenRuns + 1 {
			check(f, request(other, fmt.Sprint("scheduled", n), models.Requester{}))
		}
		next, err := f.NextRuns(f.ctx, one, 1)
		check(f, err)
		check(f, f.RequestCancel(f.ctx, next[0].ID))
		check(f, request(one, "instead of the cancelled", someone))
	})
}
