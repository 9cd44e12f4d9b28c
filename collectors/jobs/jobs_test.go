package jobs

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"whalefall/collectors"
	"whalefall/migrations"
	"whalefall/models"
	"whalefall/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// stores returns the address of an empty store of each kind.
var stores = map[string]func(t *testing.T) string{
	"sqlite":   sqliteStore,
	"postgres": postgresStore,
}

func sqliteStore(t *testing.T) string {
	t.Helper()
	return filepath.Join(t.TempDir(), "store.db")
}

func postgresStore(t *testing.T) string {
	t.Helper()
	return testenv.PostgreSQL(t).NewDatabase(t)
}

// onBothStores runs the test on an empty store of each kind, in parallel.
func onBothStores(t *testing.T, test func(t *testing.T, address string)) {
	t.Helper()
	t.Parallel()
	for name, address := range stores {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, address(t))
		})
	}
}

// fixture is a store with one instance, and a runner over it.
type fixture struct {
	*testing.T
	store    *models.Store
	clock    *clock
	service  *collectors.Service
	runner   *Runner
	instance models.Instance
}

// newFixture returns a fixture on SQLite whose runner has not started: it executes what is requested of it.
func newFixture(t *testing.T, c collectors.Collector) *fixture {
	t.Helper()
	return newFixtureOn(t, sqliteStore(t), c)
}

// newFixtureOn returns a fixture on the store with the address. The time is the real one until its clock is set.
func newFixtureOn(t *testing.T, address string, c collectors.Collector) *fixture {
	t.Helper()
	f := &fixture{T: t, clock: &clock{}}
	f.store = openStore(t, address, f.clock.Now)
	f.service = collectors.NewService(f.store, map[models.Engine]collectors.Collector{
		models.SQLite: c, models.PostgreSQL: c,
	}, slog.New(slog.DiscardHandler))
	f.runner = f.newRunner(Options{})
	f.instance = f.addInstance("target")
	return f
}

func openStore(t *testing.T, address string, now func() time.Time) *models.Store {
	t.Helper()
	keys, err := models.CreateKeyset(filepath.Join(t.TempDir(), "keyset.json"))
	must(t, err)
	store, err := models.Open(t.Context(), models.Options{
		Address: address, Keyset: keys, Zone: time.UTC, Migrate: migrations.Up, Now: now,
	})
	must(t, err)
	t.Cleanup(func() { must(t, store.Close()) })
	return store
}

// newRunner returns another runner over the store, as another process has.
func (f *fixture) newRunner(o Options) *Runner {
	f.Helper()
	r := New(f.store, f.service, o)
	f.Cleanup(func() { must(f.T, r.Close(context.Background())) })
	return r
}

func (f *fixture) addInstance(name string) models.Instance {
	f.Helper()
	i, err := f.store.CreateInstance(f.Context(), models.Instance{
		Name: name, DBType: models.SQLite, DatabaseName: "/" + name, IsActive: true, TLSMode: models.TLSPrefer,
	}, nil, nil)
	must(f.T, err)
	return i
}

// addDatabase adds a database to the inventory.
func (f *fixture) addDatabase(instance int64, name string) {
	f.Helper()
	found := models.DatabaseResult{Databases: []models.DatabaseSize{{Name: name}}}
	_, err := f.store.SaveInventory(f.Context(), instance, found, f.clock.Now())
	must(f.T, err)
}

// someone is the user of the tests.
var someone = models.Requester{Username: "someone"}

// request requests the tables of a database in the background.
func (f *fixture) request(database string) models.Run {
	f.Helper()
	run, err := f.runner.Request(f.Context(), Tables(someone, f.instance.ID, database))
	must(f.T, err)
	return run
}

// refresh requests the tables of a database and waits for the end.
func (f *fixture) refresh(database string) (models.Receipt, error) {
	outcome, err := f.runner.RequestAndWait(f.Context(), Tables(someone, f.instance.ID, database))
	return outcome.Receipt, err
}

// storeQueued stores a queued run that no queue knows.
func (f *fixture) storeQueued(database string) models.Run {
	f.Helper()
	run, _, err := f.store.RequestRun(f.Context(), models.Run{
		InstanceID: f.instance.ID, DatabaseName: database, Kind: models.RunTables, RequestedAt: f.clock.Now(),
	})
	must(f.T, err)
	return run
}

// storeRunning stores a running run of the owner, which does not execute it.
func (f *fixture) storeRunning(database, owner string) models.Run {
	f.Helper()
	run, err := f.store.ClaimRun(f.Context(), f.storeQueued(database).ID, owner, f.clock.Now())
	must(f.T, err)
	return run
}

func (f *fixture) run(id int64) models.Run {
	f.Helper()
	run, err := f.runner.Run(f.Context(), id)
	must(f.T, err)
	return run
}

func (f *fixture) ended(id int64) bool {
	f.Helper()
	run := f.run(id)
	return run.Ended()
}

// count returns how many runs have the status.
func (f *fixture) count(status models.RunStatus) int64 {
	f.Helper()
	page, err := f.store.Runs(f.Context(), models.RunQuery{Status: status, Limit: 1})
	must(f.T, err)
	return page.Total
}

// snapshotNo returns the number of a database's snapshot; 0: the inventory does not have the database.
func (f *fixture) snapshotNo(database string) int64 {
	f.Helper()
	known, err := f.store.Database(f.Context(), f.instance.ID, database)
	if models.Is(err, models.CodeNotFound) {
		return 0
	}
	must(f.T, err)
	return known.SnapshotNo
}

// refuse makes the SQLite store refuse a statement on runs, as while its disk is full, until the returned function is
// called.
func (f *fixture) refuse(statement string) (allow func()) {
	f.Helper()
	db, err := sql.Open("sqlite", f.store.Path())
	must(f.T, err)
	f.Cleanup(func() { must(f.T, db.Close()) })
	_, err = db.ExecContext(f.Context(), "CREATE TRIGGER refuse "+statement+" BEGIN SELECT RAISE(ABORT, 'full'); END")
	must(f.T, err)
	return func() {
		f.Helper()
		_, err := db.ExecContext(f.Context(), "DROP TRIGGER refuse")
		must(f.T, err)
	}
}

const (
	endingRun   = "BEFORE UPDATE ON collection_runs WHEN NEW.ended_at IS NOT NULL"
	insertedRun = "BEFORE INSERT ON collection_runs"
)

// memory returns the number of runs that a runner knows, and of outcomes that it could not save.
func (r *Runner) memory() (runs, pending int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.runs), len(r.pending)
}

// clock is the real time until it is set; it then stands still.
type clock struct {
	mu   sync.Mutex
	now  time.Time
	hook func() // called whenever the time is read; nil: nothing
}

func (c *clock) Now() time.Time {
	if c.hook != nil {
		c.hook()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.now.IsZero() {
		return time.Now()
	}
	return c.now
}

func (c *clock) set(to time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = to
}

// scripted is a collector that answers as the test says.
type scripted struct {
	capabilities models.Capabilities
	databases    func() (models.DatabaseResult, error)                              // nil: none
	tables       func(ctx context.Context, name string) (models.TableResult, error) // nil: an empty database
}

func (s *scripted) Capabilities() models.Capabilities { return s.capabilities }

func (s *scripted) Version(context.Context, collectors.Target) (models.Version, error) {
	return models.Version{Full: "scripted 1"}, nil
}

func (s *scripted) Databases(context.Context, collectors.Target) (models.DatabaseResult, error) {
	if s.databases == nil {
		return models.DatabaseResult{Complete: true}, nil
	}
	return s.databases()
}

func (s *scripted) Tables(ctx context.Context, _ collectors.Target, name string) (models.TableResult, error) {
	if s.tables == nil {
		return models.TableResult{Complete: true}, nil
	}
	return s.tables(ctx, name)
}

func (s *scripted) Yardstick(context.Context, collectors.Target, string) (models.Yardstick, error) {
	return models.Yardstick{}, nil
}

// blocked is a collector whose reading of tables waits for release, and that counts the readings.
type blocked struct {
	scripted
	readings atomic.Int64
	answer   chan struct{}
	release  func() // of this reading and all later ones
}

func newBlocked() *blocked {
	b := &blocked{answer: make(chan struct{})}
	b.release = sync.OnceFunc(func() { close(b.answer) })
	b.tables = func(ctx context.Context, _ string) (models.TableResult, error) {
		b.readings.Add(1)
		select {
		case <-b.answer:
			return models.TableResult{Complete: true, Tables: []models.TableSize{{Name: "t"}}}, nil
		case <-ctx.Done():
			return models.TableResult{}, context.Cause(ctx)
		}
	}
	return b
}

func (b *blocked) isReading() bool { return b.readings.Load() > 0 }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantError(t *testing.T, err error, code models.Code, key string) {
	t.Helper()
	var e *models.Error
	if !errors.As(err, &e) || e.Code != code || e.Key != key {
		t.Errorf("got %v, want %s %s", err, code, key)
	}
}

// wantInternal wants an error that nothing has classified.
func wantInternal(t *testing.T, err error) {
	t.Helper()
	if err == nil || models.AsError(err).Code != models.CodeInternal {
		t.Errorf("got %v, want %s", err, models.CodeInternal)
	}
}

func wantStatus(t *testing.T, run models.Run, want models.RunStatus) {
	t.Helper()
	if run.Status != want {
		t.Errorf("got run %d %s: %+v, want %s", run.ID, run.Status, run.Progress, want)
	}
}

// patience bounds how long a test waits for a condition. It is far longer than anything takes on a busy machine.
const patience = time.Minute

// eventually waits for a condition.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("got nothing within %v, want: %s", patience, what)
		}
	}
}

// settleTime is longer than a queue takes to start a run that it should not.
const settleTime = 300 * time.Millisecond
