package jobs

import (
	"testing"
	"time"

	"whalefall/models"
)

// strangeName needs quoting in every statement.
const strangeName = "b/%ad'"

// scheduled is a fixture whose clock stands still, with an instance that has three databases.
type scheduled struct {
	*fixture
	collector *scripted
}

func onBothSchedules(t *testing.T, test func(h scheduled)) {
	t.Helper()
	onBothStores(t, func(t *testing.T, address string) { test(newScheduled(t, address)) })
}

func newScheduled(t *testing.T, address string) scheduled {
	t.Helper()
	c := &scripted{databases: func() (found models.DatabaseResult, err error) {
		for _, name := range []string{"app", strangeName, "postgres"} {
			size := int64(1 << 20)
			found.Databases = append(found.Databases, models.DatabaseSize{Name: name, Total: &size})
		}
		found.Complete = true
		return found, nil
	}}
	f := newFixtureOn(t, address, c)
	f.clock.set(time.Date(2026, 3, 9, 17, 30, 0, 0, time.UTC))
	return scheduled{fixture: f, collector: c}
}

func (h scheduled) schedule() models.Schedule {
	h.Helper()
	s, err := h.store.Schedule(h.Context(), h.instance.ID)
	must(h.T, err)
	return s
}

func (h scheduled) tick() {
	h.Helper()
	must(h.T, h.runner.Tick(h.Context(), h.clock.Now()))
}

// round sets the clock to the next scheduled time and requests what is due then.
func (h scheduled) round() {
	h.Helper()
	eventually(h.T, "the former round is over", h.idle)
	h.tick()
	h.clock.set(*h.schedule().NextAt)
	h.tick()
}

// collected reports whether the tables of a database were collected in the newest round.
func (h scheduled) collected(database string) bool {
	known, err := h.store.Database(h.Context(), h.instance.ID, database)
	return err == nil && known.CollectedAt != nil && !known.CollectedAt.Before(*h.schedule().LastAt)
}

// eventuallyCollected waits for the tables of a database.
func (h scheduled) eventuallyCollected(database string) {
	h.Helper()
	eventually(h.T, "the tables of "+database+" are collected", func() bool { return h.collected(database) })
}

// idle reports whether every run has ended and its schedule knows: a schedule that is being updated is not due.
func (h scheduled) idle() bool {
	h.Helper()
	return h.count(models.RunQueued)+h.count(models.RunRunning) == 0 && h.jobs() == 0
}

func TestRunner_Tick(t *testing.T) {
	t.Parallel()

	t.Run("collects databases and their tables daily", func(t *testing.T) {
		onBothSchedules(t, func(h scheduled) {
			for range 2 {
				h.round()
				for _, database := range []string{"app", strangeName, "postgres"} {
					h.eventuallyCollected(database)
				}
				eventually(h.T, "the round succeeded", func() bool { return h.schedule().LastStatus == models.RoundSucceeded })
			}
			runs, err := h.store.Runs(h.Context(), models.RunQuery{InstanceID: h.instance.ID, Limit: 100})
			must(h.T, err)
			if runs.Total != 8 {
				h.Errorf("got %d runs in two rounds of three databases, want 8", runs.Total)
			}
			for _, run := range runs.Runs {
				if run.Requester != (models.Requester{}) {
					h.Errorf("got %+v, want no requester", run)
				}
			}
		})
	})

	t.Run("retries a server that is down, then pauses", func(t *testing.T) {
		onBothSchedules(t, func(h scheduled) {
			h.collector.databases = func() (models.DatabaseResult, error) {
				return models.DatabaseResult{}, &models.Error{Code: models.CodeUnreachable, Key: "error.unreachable"}
			}
			for n := range models.DefaultSchedule.PauseAfter {
				h.round()
				eventually(h.T, "another failure", func() bool { return h.schedule().Failures == n+1 })
			}
			paused := h.schedule()
			if paused.PausedAt == nil || paused.NextAt != nil || paused.LastRunID == nil {
				h.Fatalf("got %+v after %d failures, want a pause", paused, paused.Failures)
			}
			if reason := h.run(*paused.LastRunID); reason.Failure.Code != models.CodeUnreachable {
				h.Errorf("got reason %+v, want %s", reason.Failure, models.CodeUnreachable)
			}
		})
	})

	t.Run("a successful request of a user ends the pause", func(t *testing.T) {
		onBothSchedules(t, func(h scheduled) {
			for _, by := range []struct {
				what    string
				request func() Request
			}{
				{"databases", func() Request { return Databases(someone, h.instance.ID) }},
				{"tables", func() Request { return Tables(someone, h.instance.ID, "app") }},
			} {
				h.tick()
				h.pause()
				_, err := h.runner.RequestAndWait(h.Context(), by.request())
				must(h.T, err)
				eventually(h.T, by.what+" end the pause", func() bool {
					return h.schedule().PausedAt == nil && h.schedule().NextAt != nil
				})
			}
		})
	})

	t.Run("an instance that cannot start does not hold up others", func(t *testing.T) {
		onBothSchedules(t, func(h scheduled) {
			host, port := "127.0.0.1", 1
			bare, err := h.store.CreateInstance(h.Context(), models.Instance{
				Name: "a-first", DBType: models.PostgreSQL, Host: &host, Port: &port, TLSMode: models.TLSDisable, IsActive: true,
			}, nil, nil)
			must(h.T, err)
			h.tick()
			h.clock.set(h.clock.Now().Add(48 * time.Hour))
			h.tick()
			h.eventuallyCollected("app")
			failed, err := h.store.Schedule(h.Context(), bare.ID)
			must(h.T, err)
			if failed.LastStatus != models.RoundFailed || failed.Failures != 1 {
				h.Errorf("got %+v without a credential, want one failure", failed)
			}
		})
	})

	t.Run("a stop is not a failure of the instance", func(t *testing.T) {
		t.Parallel()
		h := newScheduled(t, sqliteStore(t))
		h.tick()
		h.clock.set(*h.schedule().NextAt)
		due, _, err := h.store.ClaimDue(t.Context(), h.clock.Now(), claimBatch)
		must(t, err)
		must(t, h.runner.Close(t.Context()))
		for _, id := range due {
			h.runner.startRound(t.Context(), id)
		}
		if s := h.schedule(); len(due) != 1 || s.Failures != 0 || s.LastStatus != models.RoundRunning {
			t.Errorf("got %v due and %+v, want one instance without a failure", due, s)
		}
	})

	t.Run("the tables of a round outlive the process that found the databases", func(t *testing.T) {
		onBothSchedules(t, func(h scheduled) {
			h.tick()
			h.clock.set(*h.schedule().NextAt)
			_, _, err := h.store.ClaimDue(h.Context(), h.clock.Now(), 1)
			must(h.T, err)
			for _, database := range []string{"app", strangeName} {
				h.addDatabase(h.instance.ID, database)
			}
			prepared, err := h.service.Prepare(h.Context(), models.RunDatabases, h.instance.ID, "")
			must(h.T, err)
			prepared.RequestedAt = h.clock.Now()
			requested, _, err := h.store.RequestRun(h.Context(), prepared)
			must(h.T, err)
			run, err := h.store.ClaimRun(h.Context(), requested.ID, "dies", h.clock.Now())
			must(h.T, err)
			now := h.clock.Now()
			run.Status, run.EndedAt = models.RunSucceeded, &now
			must(h.T, h.store.EndRun(h.Context(), run))
			must(h.T, h.store.ScheduleOutcome(h.Context(), run)) // and is killed

			must(h.T, h.runner.Start(h.Context()))
			for _, database := range []string{"app", strangeName} {
				h.eventuallyCollected(database)
			}
			if got := h.schedule().LastStatus; got != models.RoundSucceeded {
				h.Errorf("got round %s, want %s", got, models.RoundSucceeded)
			}
		})
	})
}

// pause fails the scheduled collections of the instance until it is paused.
func (h scheduled) pause() {
	h.Helper()
	failed := models.Run{
		InstanceID: h.instance.ID, Kind: models.RunDatabases, Progress: models.Progress{Status: models.RunFailed},
	}
	for h.schedule().PausedAt == nil {
		eventually(h.T, "all runs ended", h.idle)
		h.clock.set(*h.schedule().NextAt)
		_, _, err := h.store.ClaimDue(h.Context(), h.clock.Now(), 1)
		must(h.T, err)
		must(h.T, h.store.ScheduleOutcome(h.Context(), failed))
	}
}
