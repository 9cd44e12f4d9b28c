package collectors

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"whalefall/models"
)

// Service does what one collection does: it finds the target, asks the target's collector and stores the result. It is
// safe for concurrent use; package jobs decides when a collection runs and where.
type Service struct {
	store   *models.Store
	engines map[models.Engine]Collector
	log     *slog.Logger
	now     func() time.Time
	limit   func(models.RunKind) time.Duration
	tests   sync.Map // ids of the instances that are being tested
}

// testRetry is when to try again to test an instance that is being tested.
const testRetry = time.Second

// saveTimeout bounds how long the store may take to save what one collection found.
const saveTimeout = 2 * time.Minute

var (
	errSaving   = errors.New("saving the collected data took too long")
	errDeadline = errors.New("the collection took too long")
)

// NewService returns a service that collects from the given engines into the store.
func NewService(store *models.Store, engines map[models.Engine]Collector, log *slog.Logger) *Service {
	return &Service{store: store, engines: engines, log: log, now: store.Clock(), limit: collectionTimeout}
}

func collectionTimeout(kind models.RunKind) time.Duration {
	if kind == models.RunDatabases {
		return DatabasesTimeout
	}
	return TablesTimeout
}

// Test connects to a target, which need not be a saved instance, and returns the server's version. A panic of the
// driver fails this test only.
func (s *Service) Test(ctx context.Context, t Target) (version models.Version, err error) {
	defer s.recoverPanic(ctx, "connection test", &err)

	collector, err := s.collector(t.Engine)
	if err != nil {
		return models.Version{}, err
	}

	ctx, cancel := context.WithTimeoutCause(ctx, ConnectTimeout+StatementTimeout, errors.New("connection test"))
	defer cancel()
	version, err = collector.Version(ctx, t)
	return bounded(version), err
}

// Limits of what a server may call its version, in bytes; it is stored, and shown on many pages.
const (
	versionTextLimit   = 500
	versionNumberLimit = 64
)

// bounded returns the version with its parts cut to their limits.
func bounded(v models.Version) models.Version {
	cut := func(text string, limit int) string { return strings.ToValidUTF8(text[:min(limit, len(text))], "") }
	return models.Version{
		Full: cut(v.Full, versionTextLimit),
		Main: cut(v.Main, versionNumberLimit), Detailed: cut(v.Detailed, versionNumberLimit),
	}
}

// TestInstance connects to a saved instance, active or not, and records its version and the time of the connection.
// An instance is tested once at a time, so that a crowd of tests takes no connections from its collections: meanwhile
// others are CodeRateLimited.
func (s *Service) TestInstance(ctx context.Context, id int64) (models.Version, error) {
	if _, busy := s.tests.LoadOrStore(id, true); busy {
		return models.Version{}, &models.Error{Code: models.CodeRateLimited, RetryAfter: testRetry}
	}
	defer s.tests.Delete(id)
	instance, err := s.store.TargetInstance(ctx, id)
	if err != nil {
		return models.Version{}, err
	}
	t, err := s.TargetOf(instance)
	if err != nil {
		return models.Version{}, err
	}
	v, err := s.probe(ctx, instance, t)
	if err != nil {
		return v, About(err, id, "")
	}
	return v, nil
}

// probe connects to a saved instance and records its version and the time of the connection.
func (s *Service) probe(ctx context.Context, instance models.Instance, t Target) (models.Version, error) {
	v, err := s.Test(ctx, t)
	if err != nil {
		return v, err
	}
	return v, s.save(ctx, instance, func(ctx context.Context) error {
		return s.store.RecordConnection(ctx, instance.ID, v, s.now())
	})
}

// Prepare returns a run that collects from an instance, ready to be requested: the tables of a database, or, for
// models.RunDatabases, its databases with their sizes. An inactive instance, one without a credential and a database
// name that the inventory could not store are CodeCollection errors; an instance that does not exist is CodeNotFound.
func (s *Service) Prepare(
	ctx context.Context, kind models.RunKind, instanceID int64, database string,
) (models.Run, error) {
	instance, err := s.instance(ctx, instanceID)
	if err != nil {
		return models.Run{}, err
	}

	if kind == models.RunTables {
		_, err := s.collector(instance.DBType)
		if err == nil && !IsStoredName(database) {
			err = DatabaseGone(database, nil)
		}
		if err != nil {
			return models.Run{}, About(err, instanceID, database)
		}
	}

	return models.Run{
		InstanceID: instanceID, InstanceName: instance.Name, Engine: instance.DBType,
		Kind: kind, DatabaseName: database, Configuration: instance.Configuration(),
	}, nil
}

// Outcome is what a successful collection returns.
type Outcome struct {
	Receipt models.Receipt
	Result  *string // a SyncResult as JSON, see ParseSyncResult; nil unless the run was of models.RunDatabases
}

// Collect does what a run asks for and stores what it finds. Progress is reported to the Progress of ctx. The
// collection ends when ctx does, or at the deadline of its kind, with a *models.Error that names the instance and the
// database. A panic fails this collection only.
func (s *Service) Collect(ctx context.Context, run models.Run) (Outcome, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, s.limit(run.Kind), errDeadline)
	defer cancel()

	out, err := s.collectLogged(ctx, run)
	if err == nil {
		return out, nil
	}
	if known := Settled(ctx, err); known != nil {
		err = known
	}
	return Outcome{}, About(err, run.InstanceID, run.DatabaseName)
}

func (s *Service) collectLogged(ctx context.Context, run models.Run) (out Outcome, err error) {
	instance, err := s.instance(ctx, run.InstanceID)
	if err != nil {
		return Outcome{}, err
	}
	target, err := s.TargetOf(instance)
	if err != nil {
		return Outcome{}, err
	}

	started := s.now()
	out, err = s.collect(ctx, run, instance, target)
	attrs := []any{
		"refresh_id", run.ID, "kind", run.Kind, "instance_id", instance.ID, "database", run.DatabaseName,
		"elapsed_ms", s.now().Sub(started).Milliseconds(),
	}
	if err != nil {
		s.log.WarnContext(ctx, "collection failed", append(attrs, "error", err)...)
		return Outcome{}, err
	}
	s.log.InfoContext(ctx, "collection finished", attrs...)
	return out, nil
}

func (s *Service) collect(
	ctx context.Context, run models.Run, instance models.Instance, t Target,
) (out Outcome, err error) {
	defer s.recoverPanic(ctx, string(run.Kind), &err)

	if run.Kind == models.RunDatabases {
		synced, err := s.syncCapacity(ctx, instance, t)
		if err != nil {
			return Outcome{}, err
		}
		return Outcome{Receipt: synced.receipt(), Result: synced.encode()}, nil
	}

	receipt, err := s.refresh(ctx, run, instance, t)
	return Outcome{Receipt: receipt}, err
}

// recoverPanic turns a panic, as of a driver that does not understand its server, into an error. It must be deferred.
func (s *Service) recoverPanic(ctx context.Context, what string, err *error) {
	if cause := recover(); cause != nil {
		s.log.ErrorContext(ctx, "collection panicked", "run", what, "panic", cause, "stack", string(debug.Stack()))
		*err = &models.Error{
			Code: models.CodeCollection, Key: "collect.failed_unexpectedly", Err: fmt.Errorf("panic: %v", cause),
		}
	}
}

// SyncResult is what a capacity sync found and stored.
type SyncResult struct {
	Found       models.DatabaseResult
	Inventory   models.InventoryChange
	Saved       int64 // daily rows written
	CollectedAt time.Time
	Day         string // the calendar day the sizes count for, in the store's time zone
}

// ParseSyncResult reads the Result of an Outcome. Nil, as of a run that could not store its result, gives the zero
// value. Numbers in the arguments of errors become json.Number.
func ParseSyncResult(text *string) (r SyncResult, err error) {
	if text == nil {
		return r, nil
	}
	decoder := json.NewDecoder(strings.NewReader(*text))
	decoder.UseNumber()
	err = decoder.Decode(&r)
	return r, err
}

func (r SyncResult) encode() *string {
	text, err := json.Marshal(r)
	if err != nil {
		return nil
	}
	return new(string(text))
}

func (r SyncResult) receipt() models.Receipt {
	return models.Receipt{
		CollectedAt: r.CollectedAt, Saved: r.Saved,
		Complete: r.Found.Complete, Proof: r.Found.Proof, Grant: r.Found.Grant,
	}
}

// syncCapacity lists the databases of an instance, measures them and stores both. The inventory is stored even when no
// database could be measured.
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
	out := SyncResult{Found: found, CollectedAt: now, Day: s.store.Day(now)}
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

// nothingMeasured returns the error of a sync that could not measure any database, with the grant that is missing. Its
// cause is the server's error about the first such database: a missing privilege gives the same one for all.
func nothingMeasured(found models.DatabaseResult) *models.Error {
	e := &models.Error{Code: models.CodeCollection, Key: "collect.nothing_measured"}
	if found.Grant != "" {
		e = e.WithGrant(found.Grant)
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

// refresh measures every table of one database and replaces its snapshot, all or nothing. A database that the inventory
// lacks is added if the target has it; one that the target no longer has is marked gone and keeps its snapshot.
func (s *Service) refresh(
	ctx context.Context, run models.Run, instance models.Instance, t Target,
) (models.Receipt, error) {
	collector, err := s.collector(t.Engine)
	if err != nil {
		return models.Receipt{}, err
	}
	if collector.Capabilities().AllDatabasesAtOnce {
		if receipt, stored := s.storedSince(ctx, instance, run.DatabaseName, run.RequestedAt); stored {
			return receipt, nil
		}
	}
	return s.measureTables(ctx, collector, instance, t, run.DatabaseName)
}

// storedSince returns the receipt of a database's snapshot if it was stored after a moment, as when the refresh of
// another database of the instance has read all of them.
func (s *Service) storedSince(
	ctx context.Context, instance models.Instance, database string, requested time.Time,
) (receipt models.Receipt, stored bool) {
	known, err := s.store.Database(ctx, instance.ID, database)
	if err != nil || known.CollectedAt == nil || !known.CollectedAt.After(requested) {
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

	receipt, err := s.saveTables(ctx, instance, models.SaveTables{Database: database, Result: result, Started: started})
	if err == nil {
		s.saveOthers(ctx, instance, result.Others, started)
	}
	return receipt, err
}

// saveTables stores what was collected of a database of the instance.
func (s *Service) saveTables(
	ctx context.Context, collected models.Instance, in models.SaveTables,
) (receipt models.Receipt, err error) {
	in.InstanceID, in.Configuration = collected.ID, collected.Configuration()
	err = s.storing(ctx, func(ctx context.Context) error {
		in.CollectedAt = s.now()
		receipt, err = s.store.SaveTableSizes(ctx, in)
		return err
	})
	if models.Is(err, models.CodeNotFound) && !in.OnlyKnown {
		err = models.InstanceChanged(collected.Name, err)
	}
	return receipt, err
}

// saveOthers stores what the same reading found of other databases, as far as the inventory has them. They were not
// requested: a snapshot that cannot be stored, as when there is a newer one, is logged and does not fail the run.
func (s *Service) saveOthers(
	ctx context.Context, instance models.Instance, others map[string]models.TableResult, started time.Time,
) {
	for _, name := range slices.Sorted(maps.Keys(others)) {
		in := models.SaveTables{Database: name, OnlyKnown: true, Result: others[name], Started: started}
		if _, err := s.saveTables(ctx, instance, in); err != nil && !models.Is(err, models.CodeNotFound) {
			s.log.WarnContext(ctx, "snapshot of another database not saved",
				"instance_id", instance.ID, "database", name, "error", err)
		}
		if ctx.Err() != nil {
			return
		}
	}
}

// storing calls store unless the collection has been ended. Once it has begun, storing ends by saveTimeout only, not
// with ctx.
func (s *Service) storing(ctx context.Context, store func(context.Context) error) error {
	if ended := Settled(ctx, context.Cause(ctx)); ended != nil {
		return ended
	}
	ctx, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), saveTimeout, errSaving)
	defer cancel()
	return store(ctx)
}

// save calls store like storing, unless the instance that the target was made of, collected, has changed since.
func (s *Service) save(ctx context.Context, collected models.Instance, store func(context.Context) error) error {
	return s.storing(ctx, func(ctx context.Context) error {
		instance, err := s.store.TargetInstance(ctx, collected.ID)
		switch {
		case err == nil && instance.Configuration() == collected.Configuration():
			return store(ctx)
		case err == nil, models.Is(err, models.CodeNotFound):
			return models.InstanceChanged(collected.Name, err)
		}
		return err
	})
}

// noteGone marks a database of the inventory gone if the cause says that the target does not have it.
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
