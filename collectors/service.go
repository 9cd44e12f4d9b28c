package collectors

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"whalefall/models"
)

// Service coordinates collections: it finds the target, asks its collector, stores the result, keeps a row of each run, and
// lets a second request for work that is already running join it instead of asking the target twice.
type Service struct {
	// Wait is how long a request waits for a collection before it is told that it goes on without it.
	Wait time.Duration
	// Parallel is how many targets are read at a time from Resume on, at most MostParallel.
	Parallel int
	// KeepRuns is how long runs are kept; 0: for ever. The newest of each database always are.
	KeepRuns time.Duration
	// Observe is told of every collection that begins, and by what it returns of its end: the error is nil for a good one.
	Observe func(models.Engine, models.RunKind) (ended func(error))

	store   *models.Store
	engines map[models.Engine]Collector
	log     *slog.Logger
	now     func() time.Time
	limit   func(models.RunKind) time.Duration
	owner   string // names this process in the rows of its runs

	work sync.WaitGroup
	stop context.CancelFunc // ends keep

	asking singleflight.Group // refreshes of the same database

	pruned string // the day on which what is too old was last deleted; only everyMinute uses it

	mu     sync.Mutex
	closed bool
	queue  Queue
	owed   []models.Run   // that ended and that the store has not taken as such yet
	runs   map[int64]*run // that this process carries out, or for which somebody waits here
}

// refreshWait is the Wait of a new service.
const refreshWait = 120 * time.Second

// saveTimeout is how long the store may take for what one collection found.
const saveTimeout = 2 * time.Minute

var (
	errSaving   = errors.New("storing what was collected took too long")
	errClosing  = errors.New("the service is stopping")
	errDeadline = errors.New("the collection took too long")
	errAsked    = errors.New("somebody asked to cancel")
)

// NewService is a service over the given engines, which does what it is asked for. Resume has it do more; Close ends it.
func NewService(store *models.Store, engines map[models.Engine]Collector, log *slog.Logger) *Service {
	s := &Service{
		Wait: refreshWait, Parallel: parallelRuns, Observe: unobserved, store: store, engines: engines, log: log, now: store.Clock(), owner: rand.Text(), stop: func() {},
		limit: limitOf, runs: map[int64]*run{},
	}
	own := newPool(log, parallelRuns)
	own.serve(context.Background(), duties{carryOut: s.carryOut})
	s.queue = own
	return s
}

func unobserved(models.Engine, models.RunKind) func(error) { return func(error) {} }

// Close cancels running collections, whose runs are interrupted, and waits for them until ctx ends. What is queued stays so,
// for another process or the next start.
func (s *Service) Close(ctx context.Context) error {
	s.mu.Lock()
	s.closed = true
	for id, r := range s.runs {
		if r.cancel != nil {
			r.cancel(errClosing)
			continue
		}
		s.forsake(id, r)
	}
	s.stop()
	queue := s.queue
	s.mu.Unlock()
	stopped := queue.Stop(ctx)
	done := make(chan struct{})
	go func() { s.work.Wait(); close(done) }()
	select {
	case <-done:
		_ = s.settleEnds(ctx) // the log has it already that the store did not take them
		return stopped
	case <-ctx.Done():
		return errors.Join(stopped, context.Cause(ctx))
	}
}

func (s *Service) closing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// SyncResult is what a capacity sync found and stored.
type SyncResult struct {
	Instance    models.Instance `json:"-"`
	Found       models.DatabaseResult
	Inventory   models.InventoryChange
	Saved       int64 // daily rows written
	CollectedAt time.Time
	Day         string // the calendar day they count for
}

// Test connects to a target that need not be saved. A panic fails this one test.
func (s *Service) Test(ctx context.Context, t Target) (version models.Version, err error) {
	defer s.survive(ctx, "test", &err)
	collector, err := s.collector(t.Engine)
	if err != nil {
		return models.Version{}, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, ConnectTimeout+StatementTimeout, errors.New("connection test"))
	defer cancel()
	return collector.Version(ctx, t)
}

// TestInstance connects to a saved instance, also one that is switched off, and records its version and the time.
func (s *Service) TestInstance(ctx context.Context, id int64) (models.Version, error) {
	instance, err := s.store.Instance(ctx, id)
	if err != nil {
		return models.Version{}, err
	}
	t, err := s.TargetOf(instance)
	if err != nil {
		return models.Version{}, err
	}
	v, err := s.probe(ctx, instance, t)
	if err != nil {
		return v, aboutInstance(err, id, "")
	}
	return v, nil
}

// probe connects to a saved instance and records its version and the time.
func (s *Service) probe(ctx context.Context, instance models.Instance, t Target) (models.Version, error) {
	v, err := s.Test(ctx, t)
	if err != nil {
		return v, err
	}
	return v, s.save(ctx, instance, func(ctx context.Context) error {
		return s.store.RecordConnection(ctx, instance.ID, v, s.now())
	})
}

// SyncCapacity lists the databases of an instance, measures them and stores both. What was found out
// about which databases exist is kept even when no size could be measured.
func (s *Service) SyncCapacity(ctx context.Context, by models.Requester, id int64) (SyncResult, error) {
	asked, err := s.startSync(ctx, by, id)
	if err != nil {
		return SyncResult{}, err
	}
	result, err := s.await(ctx, asked)
	if err != nil {
		return SyncResult{}, aboutInstance(err, id, "")
	}
	result.synced.Instance, err = s.store.Instance(ctx, id)
	return result.synced, err
}

// StartSync is SyncCapacity for those who do not wait for its end: it returns the run as it is now.
func (s *Service) StartSync(ctx context.Context, by models.Requester, id int64) (models.Run, error) {
	asked, err := s.startSync(ctx, by, id)
	if err != nil {
		return models.Run{}, err
	}
	return s.Run(ctx, asked.ID)
}

func (s *Service) startSync(ctx context.Context, by models.Requester, id int64) (models.Run, error) {
	instance, _, err := s.target(ctx, id)
	if err != nil {
		return models.Run{}, err
	}
	return s.ask(ctx, models.Run{InstanceID: id, Kind: models.RunDatabases, Requester: by, Configuration: configuration(instance)})
}

// encode is what the run's row keeps for those who wait for it in another process.
func (r SyncResult) encode(kind models.RunKind) *string {
	if kind != models.RunDatabases {
		return nil
	}
	text, err := json.Marshal(r)
	if err != nil {
		return nil
	}
	return new(string(text))
}

// receipt is what the store keeps of a sync.
func (r SyncResult) receipt() models.Receipt {
	return models.Receipt{CollectedAt: r.CollectedAt, Saved: r.Saved, Complete: r.Found.Complete, Grant: r.Found.Grant}
}

func (s *Service) syncCapacity(ctx context.Context, instance models.Instance, t Target) (SyncResult, error) {
	collector, err := s.collector(t.Engine)
	if err != nil {
		return SyncResult{}, err
	}
	if _, err := s.probe(ctx, instance, t); err != nil {
		return SyncResult{}, err
	}
	found, err := collector.Databases(ctx, t)
	if err != nil {
		return SyncResult{}, err
	}
	Reached(ctx, models.PhaseStoring)
	now := s.now()
	out := SyncResult{Instance: instance, Found: found, CollectedAt: now, Day: s.store.Day(now)}
	err = s.save(ctx, instance, func(ctx context.Context) (err error) {
		if out.Inventory, err = s.store.SaveInventory(ctx, instance.ID, found, now); err != nil {
			return err
		}
		out.Saved, err = s.store.SaveDatabaseSizes(ctx, instance.ID, found, now)
		return err
	})
	if err == nil && !anyMeasured(found) {
		err = nothingMeasured(found)
	}
	return out, err
}

// nothingMeasured has the server's word on the first database that it refused, which is the same for all where one right
// is missing.
func nothingMeasured(found models.DatabaseResult) *models.Error {
	e := &models.Error{Code: models.CodeCollection, Key: "collect.nothing_measured"}
	if found.Grant != "" {
		e = e.With("grant", found.Grant)
	}
	for _, d := range found.Databases {
		if d.Err == nil {
			continue
		}
		e.Err = d.Err
		for _, member := range []string{"error_number", "sqlstate"} {
			if value, told := d.Err.Extra[member]; told {
				e = e.With(member, value)
			}
		}
		break
	}
	return e
}

func anyMeasured(r models.DatabaseResult) bool {
	for _, d := range r.Databases {
		if d.Total != nil {
			return true
		}
	}
	return false
}

// Refresh measures every table of one database and replaces its snapshot, all or nothing. A database
// the inventory does not know is looked for on the target and added when it is there; one that is gone
// is marked so and keeps its snapshot. Where the collection takes longer than Wait, the error's refresh_id leads to it.
func (s *Service) Refresh(ctx context.Context, by models.Requester, id int64, database string) (models.Receipt, error) {
	asked, err := s.StartRefresh(ctx, by, id, database)
	if err != nil {
		return models.Receipt{}, err
	}
	result, err := s.await(ctx, asked)
	if err != nil {
		return models.Receipt{}, aboutInstance(err, id, database)
	}
	return result.receipt, nil
}

// StartRefresh is Refresh for those who do not wait for its end: it returns the run as it is now. Those who ask for the same
// in the same moment ask the store once.
func (s *Service) StartRefresh(ctx context.Context, by models.Requester, id int64, database string) (models.Run, error) {
	ctx = context.WithoutCancel(ctx) // which is that of one of them
	asked, err, _ := s.asking.Do(strconv.FormatInt(id, 10)+"/"+database, func() (any, error) {
		asked, err := s.startRefresh(ctx, by, id, database)
		if err != nil {
			return models.Run{}, err
		}
		return s.Run(ctx, asked.ID)
	})
	return asked.(models.Run), err
}

func (s *Service) startRefresh(ctx context.Context, by models.Requester, id int64, database string) (models.Run, error) {
	instance, target, err := s.target(ctx, id)
	if err != nil {
		return models.Run{}, err
	}
	_, err = s.collector(target.Engine)
	if err == nil && !IsStoredName(database) {
		err = DatabaseGone(database, nil)
	}
	if err != nil {
		return models.Run{}, aboutInstance(err, id, database)
	}
	asked, err := s.ask(ctx, models.Run{
		InstanceID: id, DatabaseName: database, Kind: models.RunTables, Requester: by, Configuration: configuration(instance),
	})
	if err != nil {
		return asked, aboutInstance(err, id, database)
	}
	return asked, nil
}

// refresh has nothing to do where the refresh of another database has measured all of the instance meanwhile.
func (s *Service) refresh(ctx context.Context, row models.Run, instance models.Instance, t Target) (models.Receipt, error) {
	collector, err := s.collector(t.Engine)
	if err != nil {
		return models.Receipt{}, err
	}
	if collector.Capabilities().AllDatabasesAtOnce {
		if receipt, answered := s.storedSince(ctx, instance, row.DatabaseName, row.RequestedAt); answered {
			return receipt, nil
		}
	}
	return s.measureTables(ctx, collector, instance, t, row.DatabaseName)
}

// storedSince is about the snapshot of a database if one has been stored since it was asked for.
func (s *Service) storedSince(
	ctx context.Context, instance models.Instance, database string, asked time.Time,
) (receipt models.Receipt, answered bool) {
	known, err := s.store.Database(ctx, instance.ID, database)
	if err != nil || known.CollectedAt == nil || !known.CollectedAt.After(asked) {
		return models.Receipt{}, false
	}
	return models.Receipt{
		CollectedAt: *known.CollectedAt, Saved: known.TableCount, Kept: known.KeptCount, Hidden: known.HiddenCount,
		Complete: known.Complete, Grant: known.Grant, ElapsedMS: known.ElapsedMS,
	}, true
}

func (s *Service) measureTables(
	ctx context.Context, collector Collector, instance models.Instance, t Target, database string,
) (models.Receipt, error) {
	started := s.now()
	result, err := collector.Tables(ctx, t, database)
	if err != nil {
		return models.Receipt{}, errors.Join(err, s.noteGone(ctx, instance, database, err))
	}
	Counted(ctx, len(result.Tables))
	Reached(ctx, models.PhaseStoring)
	var receipt models.Receipt
	err = s.save(ctx, instance, func(ctx context.Context) error {
		known, err := s.store.AddDatabase(ctx, instance.ID, database, started)
		if err != nil {
			return err
		}
		receipt, err = s.store.SaveTableSizes(ctx, models.SaveTables{
			DatabaseID: known.ID, Result: result, Started: started, CollectedAt: s.now(),
		})
		return err
	})
	if err == nil {
		s.saveOthers(ctx, instance, result.Others, started)
	}
	return receipt, err
}

// saveOthers stores what the same reading found of other databases that the inventory has. Nobody asked for them, so one
// that cannot be stored, as when a newer snapshot has been, is logged and no failure.
func (s *Service) saveOthers(ctx context.Context, instance models.Instance, others map[string]models.TableResult, started time.Time) {
	for _, name := range slices.Sorted(maps.Keys(others)) {
		err := s.save(ctx, instance, func(ctx context.Context) error {
			known, err := s.store.Database(ctx, instance.ID, name)
			if models.Is(err, models.CodeNotFound) || err == nil && known.GoneAt != nil {
				return nil
			}
			if err != nil {
				return err
			}
			_, err = s.store.SaveTableSizes(ctx, models.SaveTables{
				DatabaseID: known.ID, Result: others[name], Started: started, CollectedAt: s.now(),
			})
			return err
		})
		if err != nil {
			s.log.WarnContext(ctx, "another database's tables were not stored", "instance_id", instance.ID, "database", name, "error", err)
		}
		if ctx.Err() != nil {
			return
		}
	}
}

// save stores what was found out about an instance, unless the collection was ended or the instance is no longer the one
// that was asked. Once it has begun to store, it ends by saveTimeout only.
func (s *Service) save(ctx context.Context, asked models.Instance, store func(context.Context) error) error {
	if ended := Settled(ctx, context.Cause(ctx)); ended != nil {
		return ended
	}
	ctx, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), saveTimeout, errSaving)
	defer cancel()
	instance, err := s.store.Instance(ctx, asked.ID)
	switch {
	case err == nil && configuration(instance) == configuration(asked):
		return store(ctx)
	case err == nil, models.Is(err, models.CodeNotFound):
		return &models.Error{Code: models.CodeCollection, Key: "collect.instance_changed", Args: models.Args("Name", asked.Name), Err: err}
	}
	return err
}

// noteGone marks a database gone that the target says it does not have, if the inventory knows it.
func (s *Service) noteGone(ctx context.Context, instance models.Instance, database string, cause error) error {
	if !IsGone(cause) {
		return nil
	}
	known, err := s.store.Database(ctx, instance.ID, database)
	if models.Is(err, models.CodeNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return s.save(ctx, instance, func(ctx context.Context) error { return s.store.MarkGone(ctx, known.ID, s.now()) })
}
