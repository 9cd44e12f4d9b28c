package collectors

import (
	"context"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"whalefall/migrations"
	"whalefall/models"
	"whalefall/testenv"
)

// watch is a clock that tests set.
type watch struct {
	mu  sync.Mutex
	now time.Time
}

func (w *watch) Now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *watch) set(to time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = to
}

// scheduled is a house whose clock can be set.
type scheduled struct {
	house
	clock *watch
}

// onBothSchedules runs the test on SQLite and on PostgreSQL, with a server that has the databases app and "b/%ad'".
func onBothSchedules(t *testing.T, test func(h scheduled)) {
	server := testenv.StartPostgreSQL(t)
	for _, database := range []string{"app", "b/%ad'"} {
		server.Exec(t, "postgres", `CREATE DATABASE "`+database+`"`)
	}
	server.Exec(t, "app", "CREATE TABLE a AS SELECT generate_series(1, 1000) AS n")
	t.Run("sqlite", func(t *testing.T) {
		test(newScheduled(t, filepath.Join(t.TempDir(), "store.db"), postgresTarget(server, "")))
	})
	t.Run("postgres", func(t *testing.T) {
		test(newScheduled(t, testenv.PostgreSQL(t).NewDatabase(t), postgresTarget(server, "")))
	})
}

func newScheduled(t *testing.T, address string, target Target) scheduled {
	t.Helper()
	keys, err := models.CreateKeyset(filepath.Join(t.TempDir(), "keyset.json"))
	must(t, err)
	clock := &watch{now: time.Date(2026, 3, 9, 17, 30, 0, 0, time.UTC)}
	store, err := models.Open(t.Context(), models.Options{Address: address, Keyset: keys, Zone: time.UTC, Migrate: migrations.Up, Now: clock.Now})
	must(t, err)
	service := NewService(store, map[models.Engine]Collector{models.PostgreSQL: NewPostgreSQL()}, slog.New(slog.DiscardHandler))
	service.now = clock.Now
	t.Cleanup(func() {
		must(t, service.Close(context.Background()))
		must(t, store.Close())
	})
	h := scheduled{house: house{T: t, store: store, service: service}, clock: clock}
	h.instance = h.add("target", target)
	return h
}

func (h scheduled) add(name string, target Target) models.Instance {
	h.Helper()
	i, err := h.store.CreateInstance(h.Context(), models.Instance{
		Name: name, DBType: models.PostgreSQL, Host: &target.Host, Port: &target.Port, TLSMode: models.TLSDisable, IsActive: true,
	}, nil, &models.NewCredential{Username: target.Username, Password: target.Password})
	must(h.T, err)
	return i
}

func (h scheduled) schedule() models.Schedule {
	h.Helper()
	s, err := h.store.Schedule(h.Context(), h.instance.ID)
	must(h.T, err)
	return s
}

func (h scheduled) tick() {
	h.Helper()
	must(h.T, h.service.Tick(h.Context(), h.clock.Now()))
}

// round sets the clock to the next time and begins what is due then.
func (h scheduled) round() {
	h.Helper()
	h.tick()
	h.clock.set(*h.schedule().NextAt)
	h.tick()
}

// collected reports whether the tables of a database were collected in the newest round.
func (h scheduled) collected(database string) bool {
	known, err := h.store.Database(h.Context(), h.instance.ID, database)
	return err == nil && known.CollectedAt != nil && !known.CollectedAt.Before(*h.schedule().LastAt)
}

func TestDatabasesAndTheirTablesAreCollectedDaily(t *testing.T) {
	onBothSchedules(t, func(h scheduled) {
		for range 2 {
			h.round()
			for _, database := range []string{"app", "b/%ad'", "postgres"} {
				h.waitUntil(func() bool { return h.collected(database) })
			}
			h.waitUntil(func() bool { return h.schedule().LastStatus == models.RoundSucceeded })
		}
		runs, err := h.store.Runs(h.Context(), models.RunQuery{InstanceID: h.instance.ID, Limit: 100})
		must(h.T, err)
		if runs.Total != 8 {
			h.Errorf("%d runs in two rounds of one instance with three databases", runs.Total)
		}
		for _, run := range runs.Runs {
			if run.Requester != (models.Requester{}) {
				h.Errorf("%+v was asked for by somebody", run)
			}
		}
	})
}

func TestAServerThatIsDownIsRetriedAndThenLeftAlone(t *testing.T) {
	onBothSchedules(t, func(h scheduled) {
		*h.instance.Port = 1 // nobody listens there
		_, err := h.store.UpdateInstance(h.Context(), h.instance, nil, nil)
		must(h.T, err)
		for n := range models.DefaultSchedule.PauseAfter {
			h.round()
			h.waitUntil(func() bool { return h.schedule().Failures == n+1 })
		}
		paused := h.schedule()
		if paused.PausedAt == nil || paused.NextAt != nil || paused.LastRunID == nil {
			h.Fatalf("after %d failures: %+v", paused.Failures, paused)
		}
		if reason := h.run(*paused.LastRunID); reason.Failure.Code != models.CodeUnreachable {
			h.Errorf("the reason is %+v", reason.Failure)
		}
	})
}

func TestAGoodRunByHandEndsThePause(t *testing.T) {
	onBothSchedules(t, func(h scheduled) {
		h.round()
		h.waitUntil(func() bool { return h.collected("app") })
		run := models.Run{InstanceID: h.instance.ID, Kind: models.RunDatabases, Progress: models.Progress{Status: models.RunFailed}}
		for h.schedule().PausedAt == nil {
			h.waitUntil(h.idle)
			h.clock.set(*h.schedule().NextAt)
			_, _, err := h.store.ClaimDue(h.Context(), h.clock.Now(), 1)
			must(h.T, err)
			err = h.store.ScheduleOutcome(h.Context(), run)
			must(h.T, err)
		}
		_, err := h.service.SyncCapacity(h.Context(), models.Requester{Username: "someone"}, h.instance.ID)
		must(h.T, err)
		h.waitUntil(func() bool { return h.schedule().PausedAt == nil && h.schedule().NextAt != nil })
	})
}

// idle reports whether every run has ended.
func (h scheduled) idle() bool {
	runs, err := h.store.Runs(h.Context(), models.RunQuery{InstanceID: h.instance.ID, Limit: 100})
	must(h.T, err)
	for _, run := range runs.Runs {
		if !run.Ended() {
			return false
		}
	}
	return true
}

func TestAnInstanceThatCannotBeginHoldsUpNobody(t *testing.T) {
	onBothSchedules(t, func(h scheduled) {
		strange, err := h.store.CreateInstance(h.Context(), models.Instance{
			Name: "a-first", DBType: models.PostgreSQL, Host: h.instance.Host, Port: h.instance.Port, TLSMode: models.TLSDisable, IsActive: true,
		}, nil, nil)
		must(h.T, err)
		h.tick()
		h.clock.set(h.clock.Now().Add(48 * time.Hour))
		h.tick()
		h.waitUntil(func() bool { return h.collected("app") })
		failed, err := h.store.Schedule(h.Context(), strange.ID)
		must(h.T, err)
		if failed.LastStatus != models.RoundFailed || failed.Failures != 1 {
			h.Errorf("without a credential: %+v", failed)
		}
	})
}
