package models

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// RunKind says what a run collects.
type RunKind string

// Kinds of runs.
const (
	RunTables    RunKind = "tables"    // the tables of one database
	RunDatabases RunKind = "databases" // the databases of one instance with their sizes
)

// RunStatus says where a run stands; the values are the contract's status of a refresh.
type RunStatus string

// The statuses of the contract.
const (
	RunQueued      RunStatus = "queued" // waits for a process that has a hand free, or for another run to be done with the instance
	RunRunning     RunStatus = "running"
	RunSucceeded   RunStatus = "succeeded"
	RunFailed      RunStatus = "failed"
	RunCancelled   RunStatus = "cancelled"   // somebody ended it
	RunInterrupted RunStatus = "interrupted" // its process stopped or died
)

// RunPhase says what a running run does.
type RunPhase string

// Phases of a run, in their order.
const (
	PhaseConnecting RunPhase = "connecting"
	PhaseQuerying   RunPhase = "querying"
	PhaseStoring    RunPhase = "storing"
)

// Requester is who asks for a run; the zero value is nobody, as for a schedule.
type Requester struct {
	UserID   *int64
	Username string
}

// Progress is how far a run has come. Durations are milliseconds, nil for a phase that has not ended.
type Progress struct {
	Status       RunStatus
	Phase        RunPhase   // empty unless it runs
	TablesSeen   *int64     // nil: none so far, or it is not about tables
	TablesTotal  *int64     // tables there are to look at; nil: not known (yet)
	StartedAt    *time.Time // nil: queued
	ConnectingMS *int64     `gorm:"column:connecting_ms"`
	QueryingMS   *int64     `gorm:"column:querying_ms"`
	StoringMS    *int64     `gorm:"column:storing_ms"`
}

// Run is one collection: who asked for it, how far it is, and what came of it.
type Run struct {
	ID           int64 `gorm:"primaryKey"`
	InstanceID   int64
	InstanceName string `gorm:"->"` // of the instance now
	DatabaseID   *int64 // nil: of RunDatabases, or of a database that the inventory does not have
	DatabaseName string // byte-exact; empty: of RunDatabases
	Kind         RunKind
	Requester        `gorm:"embedded"`
	Progress     `gorm:"embedded"`
	RequestedAt  time.Time
	EndedAt      *time.Time // nil: it goes on
	Receipt      Receipt    `gorm:"embedded;embeddedPrefix:receipt_"` // zero unless it succeeded
	Failure      *Error     `gorm:"-"`                                // why it failed; nil unless it did
	Owner        string     // the process that carries it out; empty while it is queued
	HeartbeatAt      time.Time  // when that process last said so

	Configuration string     // of the instance when it was asked for; requests for another one are not the same
	Attempt       int        // 1, or one more than that of the run whose process died
	Result        *string    // what came of RunDatabases, as JSON of whoever carried it out
	CancelRequestedAt *time.Time // when its process was asked to end it; nil: never
	StoredFailure *string    `gorm:"column:error"`
}

// TableName is the table of Run.
func (Run) TableName() string { return "collection_runs" }

// Ended reports whether nothing more will happen in the run.
func (r *Run) Ended() bool { return r.EndedAt != nil }

// Elapsed is how long the run has been running at now, or ran; 0 while it is queued.
func (r *Run) Elapsed(now time.Time) time.Duration {
	if r.StartedAt == nil {
		return 0
	}
	if r.EndedAt != nil {
		now = *r.EndedAt
	}
	return max(0, now.Sub(*r.StartedAt))
}

// databaseOfRun is the id of a run's database, if the inventory has it by now.
const databaseOfRun = `(SELECT d.id FROM instance_databases d
	WHERE d.instance_id = collection_runs.instance_id AND d.name = collection_runs.database_name)`

// ErrInstanceBusy says that another run reads the instance now.
var ErrInstanceBusy = errors.New("another run reads the instance")

// ErrRunTaken says that a run is not queued (any more).
var ErrRunTaken = errors.New("the run is not queued")

// RequestRun keeps a run as queued, with its RequestedAt, Configuration and Attempt, or joins the one that is open for the
// same: then joined is true. An instance that is gone is CodeNotFound.
func (s *Store) RequestRun(ctx context.Context, r Run) (kept Run, joined bool, err error) {
	if err := requireStorable(r.DatabaseName); err != nil {
		return Run{}, false, err
	}
	r.ID, r.HeartbeatAt, r.Status, r.Attempt = 0, s.Now(), RunQueued, max(1, r.Attempt)
	r.RequestedAt = stamp(r.RequestedAt)
	for {
		if kept, err = s.openRun(ctx, r); err == nil || !errors.Is(err, gorm.ErrRecordNotFound) {
			return kept, err == nil, err
		}
		created, err := s.createRun(ctx, &r)
		if created || err != nil {
			return r, false, err
		}
	}
}

// openRun is the run that is open for the same. Looking needs no turn to write, which joining should not wait for.
func (s *Store) openRun(ctx context.Context, r Run) (open Run, err error) {
	db, done := bounded(ctx, s.reader)
	defer done()
	err = db.Take(&open, "instance_id = ? AND kind = ? AND database_name = ? AND configuration = ? AND ended_at IS NULL",
		r.InstanceID, r.Kind, r.DatabaseName, r.Configuration).Error
	return open, err
}

// createRun keeps the run unless one is open for the same.
func (s *Store) createRun(ctx context.Context, r *Run) (created bool, err error) {
	db, done := bounded(ctx, s.writer)
	defer done()
	asked := db.Clauses(clause.OnConflict{DoNothing: true}).Select(
		"InstanceID", "DatabaseName", "Kind", "UserID", "Username", "Status", "Phase", "RequestedAt", "Owner", "HeartbeatAt",
		"Configuration", "Attempt",
	).Create(r)
	if errors.Is(asked.Error, gorm.ErrForeignKeyViolated) {
		return false, NotFound("instance.not_found")
	}
	return asked.RowsAffected > 0, asked.Error
}

// ClaimRun gives a queued run to the process that is going to carry it out; it runs from then on. ErrInstanceBusy while
// another run reads the instance, ErrRunTaken when it is not queued.
func (s *Store) ClaimRun(ctx context.Context, id int64, owner string, at time.Time) (Run, error) {
	db, done := bounded(ctx, s.writer)
	defer done()
	var r Run
	claimed := db.Model(&r).Clauses(clause.Returning{}).Where("id = ? AND status = ? AND ended_at IS NULL", id, RunQueued).
		Where("NOT " + instanceRead).
		Updates(map[string]any{
			"status": RunRunning, "phase": PhaseConnecting, "owner": owner, "started_at": stamp(at), "heartbeat_at": s.Now(),
		})
	switch {
	case errors.Is(claimed.Error, gorm.ErrDuplicatedKey):
		return Run{}, ErrInstanceBusy
	case claimed.Error != nil:
		return Run{}, claimed.Error
	case claimed.RowsAffected > 0:
		return r, nil
	}
	err := db.Select("id").Take(&r, "id = ? AND status = ? AND ended_at IS NULL", id, RunQueued).Error
	switch {
	case errors.Is(err, gorm.ErrRecordNotFound):
		return Run{}, ErrRunTaken
	case err != nil:
		return Run{}, err
	}
	return Run{}, ErrInstanceBusy
}

// instanceRead says that a run reads the instance of a run.
const instanceRead = `EXISTS (SELECT 1 FROM collection_runs r
	WHERE r.instance_id = collection_runs.instance_id AND r.status = 'running' AND r.ended_at IS NULL)`

// NextRuns are the ids of the runs that can begin: of each instance that no run reads the first that is queued, those that
// a person asked for first. A nonzero instanceID leaves out those of others.
func (s *Store) NextRuns(ctx context.Context, instanceID int64, limit int) ([]Run, error) {
	db, done := bounded(ctx, s.reader)
	defer done()
	queued := db.Model(&Run{}).
		Select("id, instance_id, user_id, username, row_number() OVER (PARTITION BY instance_id ORDER BY username = '', id) AS turn").
		Where("ended_at IS NULL AND status = ?", RunQueued).Where("NOT " + instanceRead)
	if instanceID != 0 {
		queued = queued.Where("instance_id = ?", instanceID)
	}
	var next []Run
	return next, db.Table("(?) AS q", queued).Select("id, instance_id, user_id, username").Where("turn = 1").
		Order("username = '', id").Limit(limit).Find(&next).Error
}

// Heartbeat says that the run's process is alive and how far the run is, and reports whether somebody has asked another
// process to end it.
func (s *Store) Heartbeat(ctx context.Context, id int64, p Progress) (cancel bool, err error) {
	p.StartedAt = stampPointer(p.StartedAt)
	var kept Run
	db, done := bounded(ctx, s.writer)
	defer done()
	err = db.Model(&kept).Clauses(clause.Returning{Columns: []clause.Column{{Name: "cancel_requested_at"}}}).
		Where("id = ? AND ended_at IS NULL", id).
		Updates(withProgress(map[string]any{"heartbeat_at": s.Now()}, p)).Error
	return kept.CancelRequestedAt != nil, err
}

func withProgress(columns map[string]any, p Progress) map[string]any {
	columns["status"], columns["phase"] = p.Status, p.Phase
	columns["tables_seen"], columns["tables_total"] = p.TablesSeen, p.TablesTotal
	columns["started_at"] = p.StartedAt
	columns["connecting_ms"], columns["querying_ms"], columns["storing_ms"] = p.ConnectingMS, p.QueryingMS, p.StoringMS
	return columns
}

// EndRun keeps what came of a run: its Progress, its EndedAt, and its Receipt or its Failure. Only its process knows, so
// that it counts also when another one has taken the run for interrupted. One that is interrupted now is begun again.
func (s *Store) EndRun(ctx context.Context, r Run) error {
	r.Phase, r.StartedAt, r.EndedAt = "", stampPointer(r.StartedAt), stampPointer(r.EndedAt)
	columns := withProgress(map[string]any{
		"ended_at": r.EndedAt, "heartbeat_at": s.Now(), "database_id": gorm.Expr(databaseOfRun),
	}, r.Progress)
	if r.Status == RunSucceeded {
		withReceipt(columns, r.Receipt)
		columns["result"] = r.Result
	}
	if r.Failure != nil {
		text, err := json.Marshal(storedError{Code: r.Failure.Code, Key: r.Failure.Key, Args: r.Failure.Args, Extra: r.Failure.Extra})
		if err != nil {
			return err
		}
		columns["error"] = cleaned(string(text))
	}
	db, done := bounded(ctx, s.writer)
	defer done()
	return db.Transaction(func(tx *gorm.DB) error {
		mine := tx.Table("collection_runs").Where("id = ? AND owner = ?", r.ID, r.Owner)
		if r.Status == RunInterrupted {
			if err := holdInstance(tx, r.InstanceID); err != nil {
				return err
			}
			mine = mine.Where("ended_at IS NULL") // else another process has begun it again
			columns["status"] = gorm.Expr(interruptedStatus)
		}
		ended := mine.Updates(columns)
		switch {
		case ended.Error != nil:
			return ended.Error
		case ended.RowsAffected == 0:
			return NotFound("refresh.not_found")
		}
		return s.requeue(tx, r)
	})
}

// interruptedStatus is that of a run whose process is gone: what somebody has asked to end is cancelled.
const interruptedStatus = "CASE WHEN cancel_requested_at IS NULL THEN 'interrupted' ELSE 'cancelled' END"

func withReceipt(columns map[string]any, r Receipt) {
	columns["receipt_collected_at"] = stamp(r.CollectedAt)
	columns["receipt_saved"], columns["receipt_changed"], columns["receipt_pruned"] = r.Saved, r.Changed, r.Pruned
	columns["receipt_kept"], columns["receipt_duplicates"], columns["receipt_hidden"] = r.Kept, r.Duplicates, r.Hidden
	columns["receipt_locked"], columns["receipt_failed"], columns["receipt_proof"] = r.Locked, r.Failed, r.Proof
	columns["receipt_complete"], columns["receipt_grant"], columns["receipt_elapsed_ms"] = r.Complete, r.Grant, r.ElapsedMS
	columns["receipt_server_bytes"] = r.ServerBytes
}

// Run finds a run by id, of a deleted instance, too.
func (s *Store) Run(ctx context.Context, id int64) (Run, error) {
	db, done := bounded(ctx, s.reader)
	defer done()
	var r Run
	err := db.Select("collection_runs.*, i.name AS instance_name").Joins("JOIN instances i ON i.id = collection_runs.instance_id").
		Take(&r, "collection_runs.id = ?", id).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return Run{}, NotFound("refresh.not_found")
	}
	if err != nil {
		return Run{}, err
	}
	return r, r.readFailure()
}

// readFailure reads the stored error; its numbers stay as they were written.
func (r *Run) readFailure() error {
	if r.StoredFailure == nil {
		return nil
	}
	decoder := json.NewDecoder(strings.NewReader(*r.StoredFailure))
	decoder.UseNumber()
	var failed storedError
	if err := decoder.Decode(&failed); err != nil {
		return err
	}
	r.Failure = &Error{Code: failed.Code, Key: failed.Key, Args: failed.Args, Extra: failed.Extra}
	return nil
}

// RequestCancel ends a queued run, and leaves word for the process that carries out a running one to end it. One that has
// ended is left alone.
func (s *Store) RequestCancel(ctx context.Context, id int64) error {
	now := s.Now()
	db, done := bounded(ctx, s.writer)
	defer done()
	queued := db.Table("collection_runs").Where("id = ? AND ended_at IS NULL AND status = ?", id, RunQueued).
		Updates(map[string]any{"status": RunCancelled, "ended_at": now, "cancel_requested_at": now})
	if queued.Error != nil || queued.RowsAffected > 0 {
		return queued.Error
	}
	return db.Table("collection_runs").Where("id = ? AND ended_at IS NULL AND cancel_requested_at IS NULL", id).
		Update("cancel_requested_at", now).Error
}

// queueTimeout is how long a run may be queued.
const queueTimeout = 24 * time.Hour

// InterruptOrphanedRuns ends the runs whose process has not said that it is alive for as long as silence, or said so in a time that
// has not come yet, and those that nobody has carried out for a day, and returns what they were about. They end at what was
// last heard of them, and are begun again; one that somebody has asked to end is RunCancelled, and is not. Those of an
// instance that is being changed or deleted are left to the next time.
func (s *Store) InterruptOrphanedRuns(ctx context.Context, silence time.Duration) ([]Run, error) {
	db, done := bounded(ctx, s.writer)
	defer done()
	now := s.Now()
	const dead = "ended_at IS NULL AND (status = 'running' AND NOT (heartbeat_at > ? AND heartbeat_at <= ?) OR status = 'queued' AND requested_at <= ?)"
	times := []any{now.Add(-silence), now.Add(silence), now.Add(-queueTimeout)}
	var ended []Run
	err := db.Transaction(func(tx *gorm.DB) error {
		held, err := holdFreeInstances(tx, "SELECT instance_id FROM collection_runs WHERE "+dead, times...)
		if err != nil {
			return err
		}
		err = tx.Raw(`UPDATE collection_runs SET status = `+interruptedStatus+`, phase = '',
				ended_at = CASE WHEN heartbeat_at > ? THEN ? ELSE heartbeat_at END
			WHERE instance_id IN `+s.dialect.ids()+` AND `+dead+`
			RETURNING id, instance_id, database_name, kind, status, user_id, username, attempt`,
			append([]any{now, now, held}, times...)...).Scan(&ended).Error
		if err != nil {
			return err
		}
		return s.requeue(tx, ended...)
	})
	if err != nil {
		return nil, err
	}
	return ended, nil
}

// maxAttempts is how often a run is begun whose process dies.
const maxAttempts = 2

// requeue queues what processes that are gone were doing, for whom they did it, in the transaction that ends it: whatever
// dies in between loses nothing. An embedded store has no other process to do it.
func (s *Store) requeue(tx *gorm.DB, ended ...Run) error {
	var dead []int64
	for _, r := range ended {
		if r.Status == RunInterrupted && r.Attempt < maxAttempts {
			dead = append(dead, r.ID)
		}
	}
	if s.pool == nil || len(dead) == 0 {
		return nil
	}
	ids, err := jsonParameter(dead)
	if err != nil {
		return err
	}
	now := s.Now()
	return tx.Exec(`INSERT INTO collection_runs (instance_id, database_name, kind, user_id, username, configuration, attempt,
			status, phase, owner, requested_at, heartbeat_at)
		SELECT r.instance_id, r.database_name, r.kind, r.user_id, r.username, r.configuration, r.attempt + 1, ?, '', '', ?, ?
		FROM collection_runs r JOIN instances i ON i.id = r.instance_id AND i.deleted_at IS NULL
		WHERE r.status = 'interrupted' AND r.id IN `+s.dialect.ids()+` ORDER BY r.id ON CONFLICT DO NOTHING`, RunQueued, now, now, ids).Error
}
