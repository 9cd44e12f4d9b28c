package models_test

import (
	"slices"
	"sync"
	"testing"
	"time"

	"whalefall/models"
)

func (f *fixture) schedule(id int64) models.Schedule {
	f.Helper()
	s, err := f.Schedule(f.ctx, id)
	check(f, err)
	return s
}

// saveSchedule edits the schedule of an instance.
func (f *fixture) saveSchedule(id int64, e models.ScheduleEdit) error {
	i, err := f.Instance(f.ctx, id)
	if err == nil {
		i.Schedule = &e
		_, err = f.UpdateInstance(f.ctx, i, nil, nil)
	}
	return err
}

// tick plans, and claims what is due now.
func (f *fixture) tick() (due []int64) {
	f.Helper()
	check(f, f.PlanSchedules(f.ctx, f.Now()))
	for more := true; more; {
		some, again, err := f.ClaimDue(f.ctx, f.Now(), 100)
		check(f, err)
		due, more = append(due, some...), again
	}
	return due
}

// until sets the clock to the next time of an instance.
func (f *fixture) until(id int64) {
	f.Helper()
	next := f.schedule(id).NextAt
	if next == nil {
		f.Fatal("there is no next time")
	}
	f.clock.add(next.Sub(f.Now()))
}

// ended records how a run ended. If runs of tables follow it, it returns the moment since which those databases were
// not collected; nil: none follow.
func (f *fixture) ended(
	id int64, kind models.RunKind, status models.RunStatus, by models.Requester,
) (since *time.Time) {
	f.Helper()
	before := f.schedule(id)
	check(f, f.ScheduleOutcome(f.ctx, models.Run{
		ID: 7, InstanceID: id, Kind: kind, Requester: by, Progress: models.Progress{Status: status},
	}))
	after := f.schedule(id)
	if before.LastStatus == models.RoundRunning && after.LastStatus == models.RoundSucceeded {
		return after.RoundAt
	}
	return nil
}

var someone = models.Requester{Username: "someone"}

func TestStore_ClaimDue_Daily(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		id := f.fileInstance("daily").ID
		planned := f.schedule(id)
		equal(f, "enabled", planned.Enabled, true)
		local := planned.NextAt.In(f.Zone)
		if local.Hour() != 2 || local.Day() != 10 || local.Sub(f.Now()) > 24*time.Hour {
			f.Errorf("the first time is %v", local)
		}
		equal(f, "due", len(f.tick()), 0)
		equal(f, "stays", *f.schedule(id).NextAt, *planned.NextAt)
		f.until(id)
		equal(f, "due", slices.Equal(f.tick(), []int64{id}), true)
		equal(f, "due again", len(f.tick()), 0)
		claimed := f.schedule(id)
		equal(f, "next", *claimed.NextAt, planned.NextAt.Add(24*time.Hour))
		equal(f, "last", *claimed.LastAt, f.Now())
		equal(f, "status", claimed.LastStatus, models.RoundRunning)

		equal(f, "tables since", *f.ended(id, models.RunDatabases, models.RunSucceeded, models.Requester{}), f.Now())
		done := f.schedule(id)
		equal(f, "status", done.LastStatus, models.RoundSucceeded)
		equal(f, "run", *done.LastRunID, 7)
		equal(f, "a second one", f.ended(id, models.RunDatabases, models.RunSucceeded, someone), nil)
	})
}

func TestStore_ClaimDue_Concurrently(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		const instances, replicas = 60, 4
		for n := range instances {
			f.fileInstance("i" + string(rune('A'+n)))
		}
		f.tick()
		f.clock.add(48 * time.Hour)
		var mu sync.Mutex
		var all sync.WaitGroup
		times := map[int64]int{}
		for range replicas {
			all.Go(func() {
				for more := true; more; {
					due, again, err := f.ClaimDue(f.ctx, f.Now(), 7)
					if err != nil {
						f.Error(err)
						return
					}
					mu.Lock()
					for _, id := range due {
						times[id]++
					}
					mu.Unlock()
					more = again
				}
			})
		}
		all.Wait()
		equal(f, "claimed", len(times), instances)
		for id, n := range times {
			equal(f, "times of "+string(rune('A'+id)), n, 1)
		}
		equal(f, "claimed later", len(f.tick()), 0)
	})
}

func TestStore_ClaimDue_Batches(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		drafts := make([]models.InstanceDraft, 1000)
		for i := range drafts {
			drafts[i].Instance = models.Instance{
				Name: "many" + time.Duration(i).String(), DBType: models.SQLite, DatabaseName: "/x",
				IsActive: true, TLSMode: models.TLSPrefer,
			}
		}
		_, err := f.CreateInstances(f.ctx, drafts)
		check(f, err)
		equal(f, "due", len(f.tick()), 0)
		f.clock.add(10 * 24 * time.Hour) // the process was down
		counts, err := f.ScheduleCounts(f.ctx)
		check(f, err)
		equal(f, "overdue", counts.Overdue, 1000)
		equal(f, "due, once each", len(f.tick()), 1000)
		equal(f, "due again", len(f.tick()), 0)
	})
}

func TestStore_ClaimDue_LeavesOut(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		off, deleted, disabled := f.fileInstance("off"), f.fileInstance("deleted"), f.fileInstance("disabled")
		f.tick()
		off.IsActive = false
		_, err := f.UpdateInstance(f.ctx, off, nil, nil)
		check(f, err)
		_, err = f.DeleteInstance(f.ctx, deleted.ID)
		check(f, err)
		check(f, f.saveSchedule(disabled.ID, models.ScheduleEdit{}))
		equal(f, "next", f.schedule(off.ID).NextAt, nil)
		equal(f, "next", f.schedule(disabled.ID).NextAt, nil)
		_, err = f.Schedule(f.ctx, deleted.ID)
		wantError(f, err, models.CodeNotFound, "instance.not_found")
		wantError(f, f.saveSchedule(deleted.ID, models.AlwaysOn), models.CodeNotFound, "instance.not_found")
		f.clock.add(72 * time.Hour)
		equal(f, "due", len(f.tick()), 0)

		off.IsActive = true
		_, err = f.UpdateInstance(f.ctx, off, nil, nil)
		check(f, err)
		equal(f, "what was missed while it was off", len(f.tick()), 0)
		f.until(off.ID)
		equal(f, "due", slices.Equal(f.tick(), []int64{off.ID}), true)
	})
}

func TestStore_Schedule_Edit(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		i := f.fileInstance("own")
		edit := models.ScheduleEdit{
			Enabled: true, Cron: "30 4 * * *", Zone: "America/New_York",
			JitterMinutes: pointer(int64(0)), Blackout: "04:00-05:00",
		}
		i.Schedule = &edit
		_, err := f.UpdateInstance(f.ctx, i, nil, nil)
		check(f, err)
		own := f.schedule(i.ID)
		equal(f, "cron", own.Cron, edit.Cron)
		equal(f, "jitter", *own.JitterMinutes, 0)
		equal(f, "next, after the blackout", *own.NextAt, time.Date(2026, 3, 10, 9, 0, 0, 0, time.UTC))
		f.tick()
		f.clock.add(15*time.Hour + 10*time.Minute) // missed: 04:40 there, a blackout
		equal(f, "due in the blackout", len(f.tick()), 0)
		f.clock.add(20 * time.Minute)
		equal(f, "due", slices.Equal(f.tick(), []int64{i.ID}), true)

		wantError(f, f.saveSchedule(i.ID, models.ScheduleEdit{Zone: "Nowhere/Atlantis"}),
			models.CodeInvalid, "schedule.zone_unknown")
		wantError(f, f.saveSchedule(i.ID, models.ScheduleEdit{Zone: "Local"}), models.CodeInvalid, "schedule.zone_unknown")
		wantError(f, f.saveSchedule(i.ID, models.ScheduleEdit{JitterMinutes: pointer(int64(1441))}),
			models.CodeInvalid, "schedule.jitter_range")
		wantError(f, f.saveSchedule(i.ID, models.ScheduleEdit{Cron: "* * * * *"}), models.CodeInvalid, "schedule.cron_often")
		equal(f, "cron", f.schedule(i.ID).Cron, edit.Cron)

		i.Schedule = &models.ScheduleEdit{Cron: "nonsense"}
		i.Name = "renamed"
		_, err = f.UpdateInstance(f.ctx, i, nil, nil)
		wantError(f, err, models.CodeInvalid, "schedule.cron_invalid")
		unchanged, err := f.Instance(f.ctx, i.ID)
		check(f, err)
		equal(f, "name", unchanged.Name, "own")
	})
}

func TestStore_ScheduleOutcome_RetriesThenPauses(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		id := f.fileInstance("failing").ID
		f.tick()
		f.until(id)
		f.tick()
		round := f.Now()
		var waits []time.Duration
		for n := range int64(4) {
			equal(f, "since", f.ended(id, models.RunDatabases, models.RunFailed, models.Requester{}), nil)
			failed := f.schedule(id)
			equal(f, "failures", failed.Failures, n+1)
			equal(f, "status", failed.LastStatus, models.RoundFailed)
			waits = append(waits, failed.NextAt.Sub(f.Now()))
			f.until(id)
			equal(f, "due", len(f.tick()), 1)
		}
		for n, base := range []time.Duration{5 * time.Minute, 15 * time.Minute, 45 * time.Minute, 135 * time.Minute} {
			if waits[n] < base || waits[n] > base*6/5 {
				f.Errorf("retry %d after %v, want %v", n, waits[n], base)
			}
		}
		f.ended(id, models.RunDatabases, models.RunFailed, models.Requester{})
		paused := f.schedule(id)
		equal(f, "failures", paused.Failures, 5)
		equal(f, "paused", *paused.PausedAt, f.Now())
		equal(f, "next", paused.NextAt, nil)
		counts, err := f.ScheduleCounts(f.ctx)
		check(f, err)
		equal(f, "counted", counts, models.ScheduleCounts{Paused: 1})
		f.clock.add(72 * time.Hour)
		equal(f, "due", len(f.tick()), 0)

		f.ended(id, models.RunDatabases, models.RunFailed, someone)
		equal(f, "still paused", f.schedule(id).PausedAt != nil, true)
		resumed, err := f.ResumeSchedule(f.ctx, id)
		check(f, err)
		equal(f, "resumed", resumed, true)
		resumed, err = f.ResumeSchedule(f.ctx, id)
		check(f, err)
		equal(f, "resumed again", resumed, false)
		f.tick()
		f.until(id)
		f.tick()
		if since := f.ended(id, models.RunDatabases, models.RunSucceeded, models.Requester{}); !since.After(round) {
			f.Errorf("a new round collects what is older than %v", since)
		}
		equal(f, "failures", f.schedule(id).Failures, 0)
	})
}

// pause fails the collections of an instance until it is paused.
func (f *fixture) pause(id int64) {
	f.Helper()
	f.tick()
	for range models.DefaultSchedule.PauseAfter {
		f.until(id)
		f.tick()
		f.ended(id, models.RunDatabases, models.RunFailed, models.Requester{})
	}
	if f.schedule(id).PausedAt == nil {
		f.Fatal("it is not paused")
	}
}

func TestStore_ScheduleOutcome_EndOfPause(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		i := f.fileInstance("paused")
		credential, err := f.CreateCredential(f.ctx, models.Credential{Name: "c", Username: "u"}, "p")
		check(f, err)
		i.CredentialID = &credential.ID
		i, err = f.UpdateInstance(f.ctx, i, nil, nil)
		check(f, err)
		for _, c := range []struct {
			what string
			do   func()
			ends bool
		}{
			{"another description", func() { i.Description += "."; i, err = f.UpdateInstance(f.ctx, i, nil, nil) }, false},
			{"another path", func() { i.DatabaseName += "."; i, err = f.UpdateInstance(f.ctx, i, nil, nil) }, true},
			{"another option", func() {
				i.Options = map[string]string{"a": "b"}
				i, err = f.UpdateInstance(f.ctx, i, nil, nil)
			}, true},
			{"a password typed", func() {
				i, err = f.UpdateInstance(f.ctx, i, nil, &models.TypedLogin{Username: "u", Password: "q"})
			}, true},
			{"another note of the credential", func() {
				c := *i.Credential
				c.Description = "x"
				_, err = f.UpdateCredential(f.ctx, c, nil)
			}, false},
			{"another password", func() { _, err = f.UpdateCredential(f.ctx, *i.Credential, pointer("new")) }, true},
			{"a good run", func() { f.ended(i.ID, models.RunDatabases, models.RunSucceeded, someone) }, true},
			{"a good refresh", func() { f.ended(i.ID, models.RunTables, models.RunSucceeded, someone) }, true},
		} {
			if f.schedule(i.ID).PausedAt == nil {
				f.pause(i.ID)
			}
			c.do()
			check(f, err)
			s := f.schedule(i.ID)
			equal(f, c.what, s.PausedAt == nil && s.NextAt != nil && s.Failures == 0, c.ends)
		}
	})
}

func TestStore_ScheduleOutcome_FailedTables(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		id := f.fileInstance("tables").ID
		f.tick()
		f.until(id)
		regular := f.schedule(id).NextAt.Add(24 * time.Hour)
		f.tick()
		round := f.Now()
		for n := range 3 {
			equal(f, "since", *f.ended(id, models.RunDatabases, models.RunSucceeded, models.Requester{}), round)
			f.ended(id, models.RunTables, models.RunFailed, someone)
			equal(f, "somebody's own", f.schedule(id).LastStatus, models.RoundSucceeded)
			f.ended(id, models.RunTables, models.RunFailed, models.Requester{})
			once := f.schedule(id)
			f.ended(id, models.RunTables, models.RunFailed, models.Requester{})
			equal(f, "another of the same round", *f.schedule(id).NextAt, *once.NextAt)
			equal(f, "status", once.LastStatus, models.RoundIncomplete)
			equal(f, "retry", once.NextAt.Before(regular), true)
			equal(f, "failures", once.Failures, 0)
			f.until(id)
			equal(f, "due", len(f.tick()), 1)
			equal(f, "retries", f.schedule(id).Retries, int64(n+1))
		}
		f.ended(id, models.RunDatabases, models.RunSucceeded, models.Requester{})
		f.ended(id, models.RunTables, models.RunFailed, models.Requester{})
		equal(f, "no more retries", *f.schedule(id).NextAt, regular)
		f.until(id)
		f.tick()
		equal(f, "a new round", *f.ended(id, models.RunDatabases, models.RunSucceeded, models.Requester{}), regular)
	})
}

func TestStore_ScheduleOutcome_Blackout(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		id := f.fileInstance("late").ID
		edit := models.ScheduleEdit{Enabled: true, JitterMinutes: pointer(int64(0)), Blackout: "02:30-06:00"}
		check(f, f.saveSchedule(id, edit))
		f.tick()
		f.until(id)
		f.tick()
		round := f.Now()
		f.clock.add(time.Hour)
		equal(f, "tables", f.ended(id, models.RunDatabases, models.RunSucceeded, models.Requester{}), nil)
		equal(f, "next", *f.schedule(id).NextAt, round.Add(4*time.Hour))
		f.until(id)
		f.tick()
		equal(f, "tables since", *f.ended(id, models.RunDatabases, models.RunSucceeded, models.Requester{}), round)
	})
}

func TestStore_PlanSchedules_ClockSetBack(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		id := f.fileInstance("clock").ID
		f.tick()
		f.clock.add(4 * 365 * 24 * time.Hour)
		f.tick()
		f.clock.add(-4 * 365 * 24 * time.Hour)
		f.tick()
		if wait := f.schedule(id).NextAt.Sub(f.Now()); wait > 25*time.Hour {
			f.Errorf("the next time is in %v", wait)
		}
		f.until(id)
		equal(f, "due", len(f.tick()), 1)
	})
}

func TestStore_PlanSchedules_OtherDefaults(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		id := f.fileInstance("defaults").ID
		f.tick()
		f.options.Schedule = models.ScheduleDefaults{Cron: "0 12 * * *"}
		other, err := models.Open(f.ctx, f.options)
		check(f, err)
		defer func() { check(f, other.Close()) }()
		changed := *f
		changed.Store = other
		equal(f, "shown", changed.schedule(id).NextAt.In(f.Zone).Format("15:04:05"), "12:00:00")
		changed.tick()
		changed.until(id)
		equal(f, "due", len(changed.tick()), 1)
		for range 20 {
			changed.ended(id, models.RunDatabases, models.RunFailed, models.Requester{})
			equal(f, "never paused", changed.schedule(id).PausedAt, nil)
			changed.until(id)
			changed.tick()
		}
	})
}

// TestStore_PlanSchedules_LostRound lets the process die between claiming an instance and ending its runs.
func TestStore_PlanSchedules_LostRound(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		id := f.fileInstance("lost").ID
		f.tick()
		f.until(id)
		f.tick()
		round := f.Now()
		equal(f, "at once", len(f.tick()), 0)
		for range 3 {
			f.clock.add(6 * time.Minute)
			equal(f, "planned", len(f.tick()), 0)
			equal(f, "status", f.schedule(id).LastStatus, models.RoundInterrupted)
			f.clock.add(5 * time.Minute)
			equal(f, "tried again", len(f.tick()), 1)
		}
		f.clock.add(6 * time.Minute)
		f.tick()
		equal(f, "no more", f.schedule(id).NextAt.Sub(round), 24*time.Hour)
	})
}

func TestStore_PlanSchedules_LostTables(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		id := f.fileInstance("lost").ID
		f.tick()
		f.until(id)
		f.tick()
		round := f.Now()
		f.ended(id, models.RunDatabases, models.RunSucceeded, models.Requester{})
		run, _, err := f.RequestRun(f.ctx, models.Run{
			InstanceID: id, Kind: models.RunTables, DatabaseName: "app", RequestedAt: f.Now(), Attempt: 2,
		})
		check(f, err)
		_, err = f.ClaimRun(f.ctx, run.ID, "dies", f.Now())
		check(f, err)
		f.clock.add(time.Hour)
		f.tick()
		equal(f, "while it runs", f.schedule(id).Retry, false)
		_, err = f.InterruptOrphanedRuns(f.ctx, time.Minute)
		check(f, err)
		f.tick()
		equal(f, "planned", *f.schedule(id).NextAt, f.Now().Add(5*time.Minute))
		f.until(id)
		equal(f, "tried again", len(f.tick()), 1)
		since := f.ended(id, models.RunDatabases, models.RunSucceeded, models.Requester{})
		equal(f, "what is older than the round", *since, round)
		f.clock.add(time.Minute)
		f.tick()
		equal(f, "once", f.schedule(id).Retry, false)
	})
}

// die lets the process die during a run of an instance, which another process then finds.
func (f *fixture) die(id int64, kind models.RunKind, database string, by models.Requester) {
	f.Helper()
	run, _, err := f.RequestRun(f.ctx, models.Run{
		InstanceID: id, Kind: kind, DatabaseName: database, Requester: by, RequestedAt: f.Now(), Attempt: 2,
	})
	check(f, err)
	_, err = f.ClaimRun(f.ctx, run.ID, "dies", f.Now())
	check(f, err)
	f.clock.add(time.Hour)
	_, err = f.InterruptOrphanedRuns(f.ctx, time.Minute)
	check(f, err)
}

// TestStore_InterruptOrphanedRuns_CountsDeaths is about instances that kill the process that collects them.
func TestStore_InterruptOrphanedRuns_CountsDeaths(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		for _, kind := range []models.RunKind{models.RunDatabases, models.RunTables} {
			deadly, database := f.fileInstance("deadly "+string(kind)).ID, ""
			if kind == models.RunTables {
				database = "app"
				f.addDatabase(deadly, database)
			}
			for n := range models.DefaultSchedule.PauseAfter {
				f.tick()
				f.until(deadly)
				f.tick()
				if kind == models.RunTables && n == models.DefaultSchedule.PauseAfter-1 {
					f.addDatabase(deadly, "other") // whose run is queued at the pause
				}
				if kind == models.RunTables { // what else is collected does not show that this can be
					f.ended(deadly, models.RunDatabases, models.RunSucceeded, models.Requester{})
					f.ended(deadly, models.RunTables, models.RunSucceeded, someone)
				}
				equal(f, "paused before", f.schedule(deadly).PausedAt, nil)
				f.die(deadly, kind, database, models.Requester{})
				equal(f, "failures", f.schedule(deadly).Failures, n+1)
			}

			paused := f.schedule(deadly)
			equal(f, "paused", paused.PausedAt != nil, true)
			equal(f, "reason", paused.PauseReason(nil).Key, "schedule.process_died")
			equal(f, "due", len(f.tick()), 0)
			next, err := f.NextRuns(f.ctx, deadly, 10)
			check(f, err)
			equal(f, "queued", len(next), 0)

			again, _, err := f.RequestRun(f.ctx, models.Run{
				InstanceID: deadly, Kind: kind, DatabaseName: database, Requester: someone, RequestedAt: f.Now(),
			})
			check(f, err)
			again.Status = models.RunSucceeded
			check(f, f.ScheduleOutcome(f.ctx, again))
			equal(f, "after a success of the same", f.schedule(deadly).PausedAt, nil)
			equal(f, "failures after it", f.schedule(deadly).Failures, 0)
		}
	})
}

// A run that a user requested, one that was stopped with its process and one that never started are no failures.
func TestStore_InterruptOrphanedRuns_OtherEnds(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		id := f.fileInstance("innocent").ID
		f.tick()
		f.die(id, models.RunDatabases, "", someone)

		stopped, _, err := f.RequestRun(f.ctx, models.Run{InstanceID: id, Kind: models.RunDatabases, RequestedAt: f.Now()})
		check(f, err)
		stopped, err = f.ClaimRun(f.ctx, stopped.ID, "stops", f.Now())
		check(f, err)
		now := f.Now()
		stopped.Status, stopped.EndedAt = models.RunInterrupted, &now
		check(f, f.EndRun(f.ctx, stopped))

		_, _, err = f.RequestRun(f.ctx, models.Run{
			InstanceID: id, Kind: models.RunTables, DatabaseName: "late", RequestedAt: f.Now(),
		})
		check(f, err)
		f.clock.add(25 * time.Hour)
		_, err = f.InterruptOrphanedRuns(f.ctx, time.Minute)
		check(f, err)
		equal(f, "failures", f.schedule(id).Failures, 0)
	})
}

func TestStore_ScheduleOutcome_QueuesTables(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		i := f.fileInstance("tables")
		sized := func(name string, bytes int64, system bool) models.DatabaseSize {
			return models.DatabaseSize{Name: name, IsSystem: system, Total: &bytes}
		}
		unexpected := &models.Error{Code: models.CodeCollection, Key: "collect.failed_unexpectedly"}
		barred := models.DatabaseSize{Name: "barred", Err: unexpected}
		found := models.DatabaseResult{Complete: true, Databases: []models.DatabaseSize{
			sized("app", 10, false), sized("done", 10, false), sized("empty", 0, false), sized("mysql", 10, true),
			sized("information_schema", 0, true),
			{Name: "performance_schema", IsSystem: true},
			barred,
			{Name: "new"},
		}}
		_, err := f.SaveInventory(f.ctx, i.ID, found, f.Now())
		check(f, err)
		_, err = f.SaveDatabaseSizes(f.ctx, i.ID, found, f.Now())
		check(f, err)
		gone := f.addDatabase(i.ID, "gone")
		check(f, f.MarkGone(f.ctx, gone.ID, f.Now()))
		wantQueued := func(what string, want ...string) {
			f.Helper()
			page, err := f.Runs(f.ctx, models.RunQuery{InstanceID: i.ID, Status: models.RunQueued, Limit: 100})
			check(f, err)
			var names []string
			for _, run := range page.Runs {
				names = append(names, run.DatabaseName)
				equal(f, "nobody asked", run.Requester, models.Requester{})
				equal(f, "attempt", run.Attempt, 1)
				check(f, f.RequestCancel(f.ctx, run.ID))
			}
			slices.Sort(names)
			if !slices.Equal(names, want) {
				f.Errorf("%s: %q, want %q", what, names, want)
			}
		}
		begin := func() {
			f.tick()
			f.until(i.ID)
			equal(f, "claimed", len(f.tick()), 1)
		}
		begin()
		f.clock.add(time.Minute)
		done, err := f.Database(f.ctx, i.ID, "done")
		check(f, err)
		f.refresh(done, true, table("a", 1))
		f.ended(i.ID, models.RunDatabases, models.RunSucceeded, models.Requester{})
		wantQueued("in this round", "app", "empty", "mysql", "new")
		f.ended(i.ID, models.RunDatabases, models.RunSucceeded, someone)
		wantQueued("by a sync that belongs to no round")
		begin()
		f.ended(i.ID, models.RunDatabases, models.RunFailed, models.Requester{})
		wantQueued("when the databases were not found")
		begin()
		joined, _ := f.queued(i.ID, "app")
		check(f, f.ScheduleOutcome(f.ctx, models.Run{
			InstanceID: i.ID, Kind: models.RunDatabases, Configuration: joined.Configuration,
			Progress: models.Progress{Status: models.RunSucceeded},
		}))
		check(f, f.RequestCancel(f.ctx, joined.ID))
		wantQueued("beside what is queued already", "done", "empty", "mysql", "new")
	})
}
