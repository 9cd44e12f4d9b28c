package collectors

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"whalefall/models"
)

// inMemory is how many runs the service has in memory.
func (s *Service) inMemory() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.runs)
}

// Whoever asks for a run learns its id while others may begin it already, or have ended it.
func TestRunsEndHoweverManyAskForThem(t *testing.T) {
	h := newScriptedHouse(t, &scriptedCollector{tables: func(context.Context, Target) (models.TableResult, error) {
		return models.TableResult{Complete: true}, nil
	}})
	var asking sync.WaitGroup
	for person := range 8 {
		asking.Go(func() {
			for n := range 40 {
				_, err := h.service.StartRefresh(t.Context(), models.Requester{Username: "someone"}, h.instance.ID, fmt.Sprint("d", (n+person)%5))
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	asking.Wait()
	h.waitUntil(func() bool {
		open, err := h.store.Runs(t.Context(), models.RunQuery{Status: models.RunQueued, Limit: 1})
		must(t, err)
		return open.Total == 0 && len(h.service.carried()) == 0
	})
	for _, lost := range []models.RunStatus{models.RunRunning, models.RunFailed} {
		found, err := h.store.Runs(t.Context(), models.RunQuery{Status: lost, Limit: 1})
		must(t, err)
		if found.Total > 0 {
			t.Errorf("%d are %s: %+v", found.Total, lost, found.Runs[0].Progress)
		}
	}
	if n := h.service.inMemory(); n > 0 {
		t.Errorf("%d runs stay in memory", n)
	}
}

// A run that another process carries out, and for which nobody waits here, is nothing that this process remembers.
func TestNobodyRemembersTheRunsOfOthers(t *testing.T) {
	quick := &scriptedCollector{tables: func(context.Context, Target) (models.TableResult, error) {
		return models.TableResult{Complete: true}, nil
	}}
	h, other := twoProcesses(t, quick)
	for n := range 40 {
		_, err := h.service.StartRefresh(t.Context(), models.Requester{}, h.instance.ID, fmt.Sprint("d", n))
		must(t, err)
		_, err = other.service.StartRefresh(t.Context(), models.Requester{}, h.instance.ID, fmt.Sprint("d", n))
		must(t, err)
	}
	patiently(t, "not all ended", func() bool {
		ended, err := h.store.Runs(t.Context(), models.RunQuery{Status: models.RunSucceeded, Limit: 1})
		must(t, err)
		return ended.Total >= 40 && len(h.service.carried())+len(other.service.carried()) == 0
	})
	if n := h.service.inMemory() + other.service.inMemory(); n > 0 {
		t.Errorf("%d runs stay in memory", n)
	}
}

// twoProcesses are two services over one PostgreSQL, with an instance.
func twoProcesses(t *testing.T, c Collector) (house, house) {
	t.Helper()
	h := emptyHouse(t, seams["river"](t), c)
	other := h
	other.service = NewService(h.store, h.service.engines, h.service.log)
	for _, process := range []house{h, other} {
		must(t, process.service.Resume(t.Context()))
		t.Cleanup(func() { must(t, process.service.Close(context.Background())) })
	}
	return h, other
}

// emptyHouse has a service that has not taken up its work yet.
func emptyHouse(t *testing.T, address string, c Collector) house {
	t.Helper()
	store := openShared(t, address)
	instance, err := store.CreateInstance(t.Context(), models.Instance{
		Name: "target", DBType: models.SQLite, DatabaseName: "/x.db", IsActive: true, TLSMode: models.TLSPrefer,
	}, nil, nil)
	must(t, err)
	service := NewService(store, map[models.Engine]Collector{models.SQLite: c}, slog.New(slog.DiscardHandler))
	return house{T: t, store: store, service: service, instance: instance}
}

// What waits for its instance is begun by whoever reads that; meanwhile nobody asks again and again whether it can be.
func TestRunsThatWaitForTheirInstanceAreLeftAlone(t *testing.T) {
	for name, address := range seams {
		t.Run(name, func(t *testing.T) {
			slow := &slowCollector{answer: make(chan struct{})}
			h := emptyHouse(t, address(t), slow)
			must(t, h.service.Resume(t.Context()))
			defer func() { must(t, h.service.Close(context.Background())) }()
			for n := range 30 {
				h.begin(fmt.Sprint("d", n))
			}
			patiently(t, "the queue goes on asking", func() bool { return slow.asked.Load() == 1 && h.jobs() == 1 })
			close(slow.answer)
			patiently(t, "something was lost", func() bool {
				ended, err := h.store.Runs(t.Context(), models.RunQuery{Status: models.RunSucceeded, Limit: 1})
				must(t, err)
				return ended.Total == 30
			})
		})
	}
}

// jobs is how many jobs the queue has not done.
func (h house) jobs() (n int) {
	h.Helper()
	if waiting, is := h.service.queue.(*pool); is {
		waiting.mu.Lock()
		defer waiting.mu.Unlock()
		return len(waiting.known)
	}
	must(h.T, h.store.Pool().QueryRow(h.Context(), `SELECT count(*) FROM river_job
		WHERE kind = 'collection_run' AND finalized_at IS NULL`).Scan(&n))
	return n
}

// What was queued when a process ended is in no queue; its instances have one run in it at a time.
func TestTheNextStartCarriesOutEverythingThatIsQueued(t *testing.T) {
	h := emptyHouse(t, seams["pool"](t), &scriptedCollector{tables: func(context.Context, Target) (models.TableResult, error) {
		return models.TableResult{Complete: true}, nil
	}})
	for n := range 20 {
		_, _, err := h.store.RequestRun(t.Context(), models.Run{
			InstanceID: h.instance.ID, DatabaseName: fmt.Sprint("d", n), Kind: models.RunTables, RequestedAt: time.Now().Add(time.Hour),
		})
		must(t, err)
	}
	must(t, h.service.Resume(t.Context()))
	defer func() { must(t, h.service.Close(context.Background())) }()
	h.waitUntil(func() bool {
		last := h.run(20)
		return last.Status == models.RunSucceeded && len(h.service.carried()) == 0
	})
}

// A person's word counts also when the process that should hear it dies.
func TestACancelledRunIsNotBegunAgain(t *testing.T) {
	h := emptyHouse(t, seams["river"](t), &scriptedCollector{})
	row, _, err := h.store.RequestRun(t.Context(), models.Run{
		InstanceID: h.instance.ID, DatabaseName: "app", Kind: models.RunTables, RequestedAt: time.Now(),
	})
	must(t, err)
	_, err = h.store.ClaimRun(t.Context(), row.ID, "dead", time.Now())
	must(t, err)
	must(t, h.store.RequestCancel(t.Context(), row.ID))
	_, err = h.store.Pool().Exec(t.Context(), `UPDATE collection_runs SET heartbeat_at = now() - interval '1 hour'`)
	must(t, err)
	h.service.sweep(t.Context())
	if ended := h.run(row.ID); ended.Status != models.RunCancelled {
		t.Errorf("%+v", ended.Progress)
	}
	runs, err := h.store.Runs(t.Context(), models.RunQuery{Limit: 1})
	must(t, err)
	if runs.Total != 1 {
		t.Errorf("begun again: %+v", runs.Runs[0])
	}
}

// Somebody may cancel between a process having taken a run and having begun it.
func TestACancelBetweenClaimAndBeginIsHeard(t *testing.T) {
	slow := &slowCollector{answer: make(chan struct{})}
	h := newHouse(t, models.MySQL, slow, Target{Host: "127.0.0.1", Port: 1})
	row, _, err := h.store.RequestRun(t.Context(), models.Run{
		InstanceID: h.instance.ID, DatabaseName: "app", Kind: models.RunTables, RequestedAt: time.Now(),
	})
	must(t, err)
	row, err = h.store.ClaimRun(t.Context(), row.ID, h.service.owner, time.Now())
	must(t, err)
	cancelled := make(chan models.Run)
	go func() {
		run, err := h.service.Cancel(t.Context(), row.ID)
		if err != nil {
			t.Error(err)
		}
		cancelled <- run
	}()
	h.waitUntil(func() bool { return h.run(row.ID).CancelRequestedAt != nil })
	time.Sleep(settleTime)
	ended := h.service.perform(t.Context(), row)
	if ended.Status != models.RunCancelled || (<-cancelled).Status != models.RunCancelled {
		t.Errorf("%+v", ended.Progress)
	}
}

// An instance has not failed because the process that was about to collect it stops.
func TestAStopIsNoFailureOfAnInstance(t *testing.T) {
	h := newScheduled(t, seams["pool"](t), Target{Host: "127.0.0.1", Port: 1})
	h.tick()
	h.clock.set(*h.schedule().NextAt)
	due, _, err := h.store.ClaimDue(t.Context(), h.clock.Now(), claimBatch)
	must(t, err)
	must(t, h.service.Close(t.Context()))
	for _, id := range due {
		h.service.beginRound(t.Context(), id)
	}
	if s := h.schedule(); len(due) != 1 || s.Failures != 0 || s.LastStatus != models.RoundRunning {
		t.Errorf("%v: %+v", due, s)
	}
}

// What came of a sync is told alike by the process that did it and by another one.
func TestAnErrorsNumberSurvivesAnotherProcess(t *testing.T) {
	failed := &models.Error{Code: models.CodeCollection, Key: "collect.mysql.failed", Args: models.Args("Number", 12345678)}
	synced := SyncResult{Found: models.DatabaseResult{Databases: []models.DatabaseSize{{Name: "a", Err: failed}}}}
	known, err := outcomeOf(models.Run{
		Kind: models.RunDatabases, Progress: models.Progress{Status: models.RunSucceeded}, Result: synced.encode(models.RunDatabases),
	})
	must(t, err)
	if told := fmt.Sprint(known.result.synced.Found.Databases[0].Err.Args["Number"]); told != "12345678" {
		t.Error(told)
	}
}

// A store that takes writes again before the stop is told how a run ended.
func TestAStopStoresHowRunsEnded(t *testing.T) {
	h := newScriptedHouse(t, &scriptedCollector{tables: func(context.Context, Target) (models.TableResult, error) {
		return models.TableResult{Complete: true}, nil
	}})
	db, err := sql.Open("sqlite", h.store.Path())
	must(t, err)
	defer db.Close()
	_, err = db.ExecContext(t.Context(), `CREATE TRIGGER full BEFORE UPDATE ON collection_runs WHEN NEW.ended_at IS NOT NULL BEGIN SELECT RAISE(ABORT, 'full'); END`)
	must(t, err)
	run := h.begin("app")
	h.waitUntil(func() bool {
		h.service.mu.Lock()
		defer h.service.mu.Unlock()
		return len(h.service.owed) == 1
	})
	told, err := h.service.untilEnded(t.Context(), run.ID)
	must(t, err)
	if told.err != nil || told.result.receipt.CollectedAt.IsZero() {
		t.Errorf("who asks late is told %+v", told)
	}
	_, err = db.ExecContext(t.Context(), "DROP TRIGGER full")
	must(t, err)
	must(t, h.service.Close(t.Context()))
	if ended := h.run(run.ID); ended.Status != models.RunSucceeded {
		t.Errorf("%+v", ended.Progress)
	}
}

// A stop may come while the service takes up its work.
func TestAStopDuringTheStartLeavesNothingBehind(t *testing.T) {
	for name, address := range seams {
		t.Run(name, func(t *testing.T) {
			h := emptyHouse(t, address(t), &scriptedCollector{})
			before := goleak.IgnoreCurrent()
			must(t, h.service.Close(t.Context()))
			if err := h.service.open(t.Context()); !errors.Is(err, errClosing) {
				t.Errorf("got %v", err)
			}
			goleak.VerifyNone(t, before)
		})
	}
}
