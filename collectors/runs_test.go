package collectors

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"whalefall/migrations"
	"whalefall/models"
	"whalefall/testenv"
)

func (h house) begin(database string) models.Run {
	h.Helper()
	run, err := h.service.StartRefresh(h.Context(), models.Requester{Username: "someone"}, h.instance.ID, database)
	must(h.T, err)
	return run
}

func (h house) run(id int64) models.Run {
	h.Helper()
	run, err := h.service.Run(h.Context(), id)
	must(h.T, err)
	return run
}

// cancelsWithinASecond cancels a refresh that a lock holds up, and looks at the server for what it was doing.
func (h house) cancelsWithinASecond(database string, statements func() int) {
	h.Helper()
	run := h.begin(database)
	h.waitUntil(func() bool { return statements() == 1 })
	waiting := h.run(run.ID)
	if waiting.Status != models.RunRunning || waiting.Phase != models.PhaseQuerying || waiting.ConnectingMS == nil {
		h.Errorf("while it waits: %+v", waiting.Progress)
	}
	began := time.Now()
	cancelled, err := h.service.Cancel(h.Context(), run.ID)
	must(h.T, err)
	for statements() > 0 {
		if time.Since(began) > time.Second {
			h.Fatal("the server still works for us")
		}
		time.Sleep(5 * time.Millisecond)
	}
	if took := time.Since(began); took > time.Second || cancelled.Status != models.RunCancelled || cancelled.Phase != "" {
		h.Errorf("after %v: %+v", took, cancelled.Progress)
	}
	if _, err := h.store.Database(h.Context(), h.instance.ID, database); !models.Is(err, models.CodeNotFound) {
		h.Errorf("something was stored: %v", err)
	}
}

func TestCancellingEndsTheStatementOnPostgreSQL(t *testing.T) {
	server := testenv.StartPostgreSQL(t)
	server.Exec(t, "postgres", "CREATE DATABASE app")
	server.Exec(t, "app", "CREATE TABLE a (n int)")
	h := newHouse(t, models.PostgreSQL, newPatientPostgreSQL(), postgresTarget(server, ""))
	defer hold(t, server.URL("app"), "LOCK TABLE pg_catalog.pg_inherits IN ACCESS EXCLUSIVE MODE")()
	watch := connectPostgres(t, server.URL("postgres"))
	h.cancelsWithinASecond("app", func() (n int) {
		must(t, watch.QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_activity
			WHERE application_name = 'whalefall' AND state = 'active' AND wait_event_type = 'Lock'`).Scan(&n))
		return n
	})
}

func TestCancellingEndsTheStatementOnMariaDB(t *testing.T) {
	server := testenv.MySQL(t)
	app := server.NewDatabase(t)
	server.Exec(t, app, "CREATE TABLE a (n INT)")
	target := mysqlAccount(t, server, "ALL PRIVILEGES ON *.*")
	h := newHouse(t, models.MySQL, NewMySQL(), target)
	defer mysqlBlock(t, server)()
	watch := mysqlConn(t, server)
	h.cancelsWithinASecond(app, func() (n int) {
		must(t, watch.QueryRowContext(t.Context(), `SELECT COUNT(*) FROM information_schema.processlist
			WHERE user = ? AND state LIKE 'Waiting for % lock'`, target.Username).Scan(&n))
		return n
	})
}

func TestARunTellsHowFarItIs(t *testing.T) {
	h, server, app := newPostgresHouse(t)
	run := h.begin(app)
	h.waitUntil(func() bool { return h.runEnded(run.ID) })
	run = h.run(run.ID)
	if run.Status != models.RunSucceeded || *run.TablesSeen != 2 || run.Receipt.Saved != 2 || run.Username != "someone" ||
		run.ConnectingMS == nil || run.QueryingMS == nil || run.StoringMS == nil || run.DatabaseID == nil {
		t.Errorf("%+v", run)
	}
	server.Stop(t)
	_, err := h.service.Refresh(t.Context(), models.Requester{}, h.instance.ID, app)
	wantError(t, err, models.CodeUnreachable, "error.unreachable")
	failed := h.run(run.ID + 1)
	if failed.Status != models.RunFailed || failed.Failure.Key != "error.unreachable" || failed.Failure.Extra["database_name"] != app ||
		failed.QueryingMS != nil || failed.TablesSeen != nil {
		t.Errorf("%+v", failed)
	}
}

func (h house) runEnded(id int64) bool {
	run := h.run(id)
	return run.Ended()
}

func TestASyncIsARunToo(t *testing.T) {
	h, server, _ := newPostgresHouse(t)
	synced, err := h.service.SyncCapacity(t.Context(), models.Requester{Username: "someone"}, h.instance.ID)
	must(t, err)
	run := h.run(1)
	if run.Kind != models.RunDatabases || run.DatabaseName != "" || run.Status != models.RunSucceeded || run.Receipt.Saved != synced.Saved {
		t.Errorf("%+v", run)
	}
	server.Stop(t)
	_, err = h.service.SyncCapacity(t.Context(), models.Requester{}, h.instance.ID)
	wantError(t, err, models.CodeUnreachable, "error.unreachable")
	if failed := h.run(2); failed.Status != models.RunFailed {
		t.Errorf("%+v", failed)
	}
}

// On Oracle, databases wait for each other.
func TestARunThatWaitsForItsTurnIsQueued(t *testing.T) {
	h, server, _ := newOracleHouse(t)
	release := server.Block(t)
	before := len(server.Queries())
	first := h.begin("USERS")
	h.waitUntil(func() bool { return len(server.Queries()) > before })
	second := h.begin("DATA")
	h.waitUntil(func() bool { return h.run(second.ID).Status == models.RunQueued })
	if waiting := h.run(second.ID); waiting.Phase != "" || waiting.StartedAt != nil || waiting.Elapsed(time.Now()) != 0 {
		t.Errorf("%+v", waiting.Progress)
	}
	cancelled, err := h.service.Cancel(t.Context(), second.ID)
	must(t, err)
	if cancelled.Status != models.RunCancelled || h.runEnded(first.ID) {
		t.Errorf("%+v", cancelled.Progress)
	}
	release()
	h.waitUntil(func() bool { return h.runEnded(first.ID) })
	if ended := h.run(first.ID); ended.Status != models.RunSucceeded {
		t.Errorf("%+v", ended)
	}
}

func TestClosingInterruptsRunsWhichCanRunAgain(t *testing.T) {
	slow := &slowCollector{answer: make(chan struct{})}
	h := newHouse(t, models.MySQL, slow, Target{Host: "127.0.0.1", Port: 1})
	run := h.begin("app")
	h.waitUntil(func() bool { return slow.asked.Load() == 1 })
	must(t, h.service.Close(t.Context()))
	if ended := h.run(run.ID); ended.Status != models.RunInterrupted {
		t.Errorf("%+v", ended.Progress)
	}
	_, err := h.service.StartRefresh(t.Context(), models.Requester{}, h.instance.ID, "app")
	wantError(t, err, models.CodeCollection, "collect.cancelled")
	close(slow.answer)
	again := NewService(h.store, h.service.engines, h.service.log)
	defer func() { must(t, again.Close(t.Context())) }()
	_, err = again.Refresh(t.Context(), models.Requester{}, h.instance.ID, "app")
	must(t, err)
}

func TestNobodyJoinsACancelledRun(t *testing.T) {
	reading, ending, end := make(chan struct{}), make(chan struct{}), make(chan struct{})
	c := &scriptedCollector{tables: func(ctx context.Context, _ Target) (models.TableResult, error) {
		close(reading)
		<-ctx.Done()
		close(ending)
		<-end
		return models.TableResult{}, context.Cause(ctx)
	}}
	h := newScriptedHouse(t, c)
	run := h.begin("app")
	<-reading
	cancelled := make(chan models.Run)
	go func() {
		run, err := h.service.Cancel(t.Context(), run.ID)
		if err != nil {
			t.Error(err)
		}
		cancelled <- run
	}()
	<-ending
	c.tables = func(context.Context, Target) (models.TableResult, error) {
		return models.TableResult{Complete: true}, nil
	}
	time.AfterFunc(50*time.Millisecond, func() { close(end) })
	_, err := h.service.Refresh(t.Context(), models.Requester{}, h.instance.ID, "app")
	must(t, err)
	if run := <-cancelled; run.Status != models.RunCancelled {
		t.Errorf("%+v", run.Progress)
	}
	_, err = h.service.Refresh(t.Context(), models.Requester{}, h.instance.ID, "app")
	must(t, err)
}

func TestWhatIsBeingStoredIsStoredToTheEnd(t *testing.T) {
	var collected atomic.Bool
	var looks atomic.Int32
	h := newScriptedHouse(t, &scriptedCollector{tables: func(context.Context, Target) (models.TableResult, error) {
		collected.Store(true)
		return models.TableResult{Complete: true}, nil
	}})
	storing, answer := make(chan struct{}), make(chan struct{})
	h.service.now = func() time.Time { // what is stored tells when it was: the second look after the phase's own
		if collected.Load() && looks.Add(1) == 2 {
			close(storing)
			<-answer
		}
		return time.Now()
	}
	asked := h.begin("app")
	<-storing
	time.AfterFunc(50*time.Millisecond, func() { close(answer) })
	run, err := h.service.Cancel(t.Context(), asked.ID)
	must(t, err)
	if run.Status != models.RunSucceeded {
		t.Errorf("%+v", run.Progress)
	}
}

func TestAnEmbeddedStoreKnowsItsDeadRunsAtTheStart(t *testing.T) {
	slow := &slowCollector{answer: make(chan struct{})}
	h := newHouse(t, models.MySQL, slow, Target{Host: "127.0.0.1", Port: 1})
	row, _, err := h.store.RequestRun(t.Context(), models.Run{
		InstanceID: h.instance.ID, DatabaseName: "app", Kind: models.RunTables, RequestedAt: time.Now(),
	})
	must(t, err)
	_, err = h.store.ClaimRun(t.Context(), row.ID, "dead", time.Now())
	must(t, err)
	before := goleak.IgnoreCurrent()
	again := NewService(h.store, h.service.engines, h.service.log)
	must(t, again.Resume(t.Context()))
	if dead := h.run(row.ID); dead.Status != models.RunInterrupted || dead.Phase != "" || !dead.Ended() {
		t.Errorf("%+v", dead)
	}
	close(slow.answer)
	_, err = again.Refresh(t.Context(), models.Requester{}, h.instance.ID, "app")
	must(t, err)
	must(t, again.Close(t.Context()))
	if err := again.Resume(t.Context()); !errors.Is(err, errClosing) {
		t.Errorf("resumed after its end: %v", err)
	}
	goleak.VerifyNone(t, before)
}

// Two services stand for two processes over one PostgreSQL.
func TestAnyProcessCancelsAndFollowsARun(t *testing.T) {
	keys, err := models.CreateKeyset(filepath.Join(t.TempDir(), "keyset.json"))
	must(t, err)
	address := testenv.PostgreSQL(t).NewDatabase(t)
	slow := &slowCollector{answer: make(chan struct{})}
	services := make([]*Service, 2)
	var store *models.Store
	for i := range services {
		store, err = models.Open(t.Context(), models.Options{Address: address, Keyset: keys, Migrate: migrations.Up})
		must(t, err)
		services[i] = NewService(store, map[models.Engine]Collector{models.SQLite: slow}, slog.New(slog.DiscardHandler))
		must(t, services[i].Resume(t.Context()))
		t.Cleanup(func() {
			must(t, services[i].Close(context.Background()))
			must(t, services[i].store.Close())
		})
	}
	instance, err := store.CreateInstance(t.Context(), models.Instance{
		Name: "target", DBType: models.SQLite, DatabaseName: "/x.db", IsActive: true, TLSMode: models.TLSPrefer,
	}, nil, nil)
	must(t, err)
	run, err := services[0].StartRefresh(t.Context(), models.Requester{}, instance.ID, "main")
	must(t, err)
	h := house{T: t, store: store, service: services[1], instance: instance}
	h.waitUntil(func() bool { return len(services[0].carried())+len(services[1].carried()) == 1 })
	if len(services[0].carried()) == 0 { // follow it from the other one
		services[0], services[1] = services[1], services[0]
		h.service = services[1]
	}
	Counted(withProgress(t.Context(), &services[0].carried()[0].progress), 42)
	h.waitUntil(func() bool { seen := h.run(run.ID).TablesSeen; return seen != nil && *seen == 42 })
	began := time.Now()
	run, err = services[1].Cancel(t.Context(), run.ID)
	must(t, err)
	if took := time.Since(began); took > time.Second || run.Status != models.RunCancelled {
		t.Errorf("after %v: %+v", took, run.Progress)
	}
}

// What was collected is worth more than the row that says so.
func TestARunWhoseEndIsNotStoredStillBringsItsResult(t *testing.T) {
	h := newScriptedHouse(t, &scriptedCollector{tables: func(context.Context, Target) (models.TableResult, error) {
		return models.TableResult{Complete: true}, nil
	}})
	db, err := sql.Open("sqlite", h.store.Path())
	must(t, err)
	defer db.Close()
	_, err = db.ExecContext(t.Context(), `CREATE TRIGGER full BEFORE UPDATE ON collection_runs WHEN NEW.ended_at IS NOT NULL BEGIN SELECT RAISE(ABORT, 'full'); END`)
	must(t, err)
	_, err = h.service.Refresh(t.Context(), models.Requester{}, h.instance.ID, "app")
	must(t, err)
	if header, _ := h.snapshot("app"); header.SnapshotNo != 1 || h.runEnded(1) {
		t.Errorf("header %+v", header)
	}
	_, err = db.ExecContext(t.Context(), `CREATE TRIGGER fuller BEFORE INSERT ON collection_runs BEGIN SELECT RAISE(ABORT, 'full'); END`)
	must(t, err)
	_, err = h.service.Refresh(t.Context(), models.Requester{}, h.instance.ID, "app")
	wantInternal(t, err)
	_, err = h.service.StartRefresh(t.Context(), models.Requester{}, h.instance.ID, "app")
	wantInternal(t, err)
}

func wantInternal(t *testing.T, err error) {
	t.Helper()
	if !models.Is(err, models.CodeInternal) {
		t.Errorf("got %v", err)
	}
}
