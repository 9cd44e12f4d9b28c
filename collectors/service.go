package collectors

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"whalefall/models"
)

// Service coordinates collections: it finds the target, asks its collector, stores the result, and lets
// a second request for work that is already running join it instead of asking the target twice.
type Service struct {
	store   *models.Store
	engines map[models.Engine]Collector
	log     *slog.Logger
	now     func() time.Time

	work sync.WaitGroup

	mu      sync.Mutex
	closed  bool
	running map[string]*run
	turns   map[int64]chan struct{} // of instances that are read as a whole
}

// run is one collection that callers wait for.
type run struct {
	cancel context.CancelCauseFunc
	done   chan struct{}
	result any
	err    error
}

// refreshWait is how long a request waits for a collection before it is told that it goes on without it.
const refreshWait = 120 * time.Second

// saveTimeout is how long the store may take for what one collection found.
const saveTimeout = 2 * time.Minute

var (
	errSaving   = errors.New("storing what was collected took too long")
	errClosing  = errors.New("the service is stopping")
	errDeadline = errors.New("the collection took too long")
)

// NewService starts a service over the given engines. Close ends what it runs.
func NewService(store *models.Store, engines map[models.Engine]Collector, log *slog.Logger) *Service {
	return &Service{store: store, engines: engines, log: log, now: time.Now, running: map[string]*run{}, turns: map[int64]chan struct{}{}}
}

// Close cancels running collections and waits for them until ctx ends.
func (s *Service) Close(ctx context.Context) error {
	s.mu.Lock()
	s.closed = true
	for _, r := range s.running {
		r.cancel(errClosing)
	}
	s.mu.Unlock()
	done := make(chan struct{})
	go func() { s.work.Wait(); close(done) }()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// SyncResult is what a capacity sync found and stored.
type SyncResult struct {
	Instance    models.Instance
	Found       models.DatabaseResult
	Inventory   models.InventoryChange
	Saved       int64 // daily rows written
	CollectedAt time.Time
	Day         string // the calendar day they count for
}

// Test connects to a target that need not be saved.
func (s *Service) Test(ctx context.Context, t Target) (models.Version, error) {
	collector, err := s.collector(t.Engine)
	if err != nil {
		return models.Version{}, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, connectTimeout+statementTimeout, errors.New("connection test"))
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
func (s *Service) SyncCapacity(ctx context.Context, id int64) (SyncResult, error) {
	instance, target, err := s.target(ctx, id)
	if err != nil {
		return SyncResult{}, err
	}
	result, err := s.join(ctx, key("sync", instance, ""), databasesTimeout, func(ctx context.Context) (any, error) {
		return s.syncCapacity(ctx, instance, target)
	})
	if err != nil {
		return SyncResult{}, aboutInstance(err, id, "")
	}
	return result.(SyncResult), nil
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
// is marked so and keeps its snapshot.
func (s *Service) Refresh(ctx context.Context, id int64, database string) (models.Receipt, error) {
	instance, target, err := s.target(ctx, id)
	if err != nil {
		return models.Receipt{}, err
	}
	result, err := s.join(ctx, key("tables", instance, database), tablesTimeout, func(ctx context.Context) (any, error) {
		return s.refresh(ctx, instance, target, database)
	})
	if err != nil {
		return models.Receipt{}, aboutInstance(err, id, database)
	}
	return result.(models.Receipt), nil
}

func (s *Service) refresh(ctx context.Context, instance models.Instance, t Target, database string) (models.Receipt, error) {
	collector, err := s.collector(t.Engine)
	if err != nil {
		return models.Receipt{}, err
	}
	if !isStoredName(database) {
		return models.Receipt{}, databaseGone(database, nil)
	}
	asked := s.now()
	if t.Engine == models.Oracle {
		done, err := s.turn(ctx, instance.ID)
		if err != nil {
			return models.Receipt{}, err
		}
		defer done()
		if receipt, answered := s.storedSince(ctx, instance, database, asked); answered {
			return receipt, nil
		}
	}
	return s.measureTables(ctx, collector, instance, t, database)
}

// turn waits until nobody else reads the instance. One reading of it finds all its databases, so that another at the same
// time would burden the server in vain and be too old to store when it ends. done lets the next one in.
func (s *Service) turn(ctx context.Context, instance int64) (done func(), err error) {
	s.mu.Lock()
	turn, known := s.turns[instance]
	if !known {
		turn = make(chan struct{}, 1)
		s.turns[instance] = turn
	}
	s.mu.Unlock()
	select {
	case turn <- struct{}{}:
		return func() { <-turn }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
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
			if models.AsError(err).Code == models.CodeNotFound || err == nil && known.GoneAt != nil {
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
	if ended := settled(ctx, context.Cause(ctx)); ended != nil {
		return ended
	}
	ctx, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), saveTimeout, errSaving)
	defer cancel()
	instance, err := s.store.Instance(ctx, asked.ID)
	switch {
	case err == nil && configuration(instance) == configuration(asked):
		return store(ctx)
	case err == nil, models.AsError(err).Code == models.CodeNotFound:
		return &models.Error{Code: models.CodeCollection, Key: "collect.instance_changed", Args: models.Args("Name", asked.Name), Err: err}
	}
	return err
}

// noteGone marks a database gone that the target says it does not have, if the inventory knows it.
func (s *Service) noteGone(ctx context.Context, instance models.Instance, database string, cause error) error {
	if !isGone(cause) {
		return nil
	}
	known, err := s.store.Database(ctx, instance.ID, database)
	if models.AsError(err).Code == models.CodeNotFound {
		return nil
	}
	if err != nil {
		return err
	}
	return s.save(ctx, instance, func(ctx context.Context) error { return s.store.MarkGone(ctx, known.ID, s.now()) })
}

// join runs work once for all callers that ask for the same key at the same time. The work outlives the
// request that asked for it and ends by its own deadline or when the service closes.
func (s *Service) join(ctx context.Context, key string, limit time.Duration, work func(context.Context) (any, error)) (any, error) {
	r := s.start(ctx, key, limit, work)
	wait, cancel := context.WithTimeout(ctx, refreshWait)
	defer cancel()
	select {
	case <-r.done:
		return r.result, r.err
	case <-wait.Done():
		return nil, &models.Error{Code: models.CodeTimeout, Key: "collect.still_running", Err: context.Cause(wait)}
	}
}

func (s *Service) start(ctx context.Context, key string, limit time.Duration, work func(context.Context) (any, error)) *run {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r, ok := s.running[key]; ok {
		return r
	}
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	r := &run{cancel: cancel, done: make(chan struct{})}
	if s.closed {
		cancel(errClosing)
		r.err = cancelled(errClosing)
		close(r.done)
		return r
	}
	s.running[key] = r
	s.work.Go(func() {
		defer cancel(nil)
		defer s.finish(key, r)
		limited, stop := context.WithTimeoutCause(ctx, limit, errDeadline)
		defer stop()
		r.result, r.err = s.measure(limited, key, work)
	})
	return r
}

func (s *Service) finish(key string, r *run) {
	s.mu.Lock()
	delete(s.running, key)
	s.mu.Unlock()
	close(r.done)
}

// measure runs work and logs once how it went. A panic fails this one collection.
func (s *Service) measure(ctx context.Context, key string, work func(context.Context) (any, error)) (result any, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			s.log.ErrorContext(ctx, "collection panicked", "run", key, "panic", cause, "stack", string(debug.Stack()))
			result, err = nil, &models.Error{
				Code: models.CodeCollection, Key: "collect.failed_unexpectedly", Err: fmt.Errorf("panic: %v", cause),
			}
		}
	}()
	started := s.now()
	result, err = work(ctx)
	attrs := []any{"run", key, "elapsed_ms", s.now().Sub(started).Milliseconds()}
	if err != nil {
		s.log.WarnContext(ctx, "collection failed", append(attrs, "error", err)...)
		if known := settled(ctx, err); known != nil {
			return nil, known
		}
		return nil, err
	}
	s.log.InfoContext(ctx, "collection finished", attrs...)
	return result, nil
}
