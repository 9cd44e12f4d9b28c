package models

import (
	"context"
	"errors"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// RunKind is what a run collects.
type RunKind string

// Kinds of runs.
const (
	RunTables    RunKind = "tables"    // the tables of one database
	RunDatabases RunKind = "databases" // the databases of one instance with their sizes
)

// RunStatus is the state of a run; the values are those of the API.
type RunStatus string

// Statuses of a run.
const (
	RunQueued      RunStatus = "queued" // waits for a free process, or for another run of its instance
	RunRunning     RunStatus = "running"
	RunSucceeded   RunStatus = "succeeded"
	RunFailed      RunStatus = "failed"
	RunCancelled   RunStatus = "cancelled"   // by a user
	RunInterrupted RunStatus = "interrupted" // its process stopped or died
)

// RunPhase is what a running run does.
type RunPhase string

// Phases of a run, in their order.
const (
	PhaseConnecting RunPhase = "connecting"
	PhaseQuerying   RunPhase = "querying"
	PhaseStoring    RunPhase = "storing"
)

// Requester is the user who requested a run; the zero value is the schedule.
type Requester struct {
	UserID   *int64
	Username string
}

// Progress is how far a run has come. Durations are milliseconds, nil for a phase that has not ended.
type Progress struct {
	Status       RunStatus
	Phase        RunPhase   // empty unless the run is running
	TablesSeen   *int64     // tables read so far; nil: none so far, or the run is not about tables
	TablesTotal  *int64     // tables there are to read; nil: not known (yet)
	StartedAt    *time.Time // nil: queued
	ConnectingMS *int64     `gorm:"column:connecting_ms"`
	QueryingMS   *int64     `gorm:"column:querying_ms"`
	StoringMS    *int64     `gorm:"column:storing_ms"`
}

// Run is one collection: who requested it, how far it is, and what came of it.
type Run struct {
	ID           int64 `gorm:"primaryKey"`
	InstanceID   int64
	InstanceName string `gorm:"->"` // the instance's current name; only where a method says so
	Engine       Engine `gorm:"->"` // the instance's engine; only where a method says so
	DatabaseID   *int64 // nil: of RunDatabases, or of a database that is not in the inventory
	DatabaseName string // byte-exact; empty: of RunDatabases
	Kind         RunKind
	Requester    `gorm:"embedded"`
	Progress     `gorm:"embedded"`
	RequestedAt  time.Time
	EndedAt      *time.Time // nil: the run is open
	Receipt      Receipt    `gorm:"embedded;embeddedPrefix:receipt_"` // zero unless the run succeeded
	Failure      *Error     `gorm:"-"`                                // nil unless the run failed
	Owner        string     // the process that executes the run; empty while it is queued
	HeartbeatAt  time.Time  // when that process last reported

	Configuration     string     // fingerprint of the instance's configuration at the request
	Attempt           int        // 1, or one more than that of the orphaned run it repeats
	Result            *string    // result of RunDatabases as JSON, for requests that wait in other processes
	CancelRequestedAt *time.Time // nil: never
	ScheduleFailing   bool       `gorm:"->"` // the instance's schedule has failures or is paused; set by ClaimRun
	StoredFailure     *string    `gorm:"column:error"`
}

// TableName is the table of Run.
func (Run) TableName() string { return "collection_runs" }

// Ended reports whether the run is over.
func (r *Run) Ended() bool { return r.EndedAt != nil }

// ConcernsSchedule reports whether the end of a claimed run can change the schedule of its instance.
func (r *Run) ConcernsSchedule() bool {
	return r.Kind == RunDatabases || r.Requester == (Requester{}) || r.ScheduleFailing
}

// Elapsed returns how long the run has been running at now, or how long it ran; 0 while it is queued.
func (r *Run) Elapsed(now time.Time) time.Duration {
	if r.StartedAt == nil {
		return 0
	}
	if r.EndedAt != nil {
		now = *r.EndedAt
	}
	return max(0, now.Sub(*r.StartedAt))
}

// databaseOfRun selects the id of a run's database, if the inventory has it by now.
const databaseOfRun = `(SELECT d.id FROM instance_databases d
	WHERE d.instance_id = collection_runs.instance_id AND d.name = collection_runs.database_name)`

// ErrInstanceBusy reports that another run of the instance is running.
var ErrInstanceBusy = errors.New("another run of the instance is running")

// ErrRunTaken reports that a run is not queued (any more).
var ErrRunTaken = errors.New("the run is not queued")

// RequestRun stores a run as queued, with its RequestedAt, Configuration and Attempt, and returns it. If a run of the
// same instance, kind, database and configuration is open, it returns that one with joined true. It is CodeNotFound if
// the instance does not exist, and CodeRateLimited if the requester has MaxOpenRuns of it, or MaxOpenRunsOfUser in all.
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

// openRun returns the open run that a request joins. It reads, so that joining never waits for the writer.
func (s *Store) openRun(ctx context.Context, r Run) (open Run, err error) {
	db, done := bounded(ctx, s.reader)
	defer done()
	err = db.Take(&open, "instance_id = ? AND kind = ? AND database_name = ? AND configuration = ? AND ended_at IS NULL",
		r.InstanceID, r.Kind, r.DatabaseName, r.Configuration).Error
	return open, err
}

// createRun stores the run unless there is an open one to join, or its requester has too many open runs.
func (s *Store) createRun(ctx context.Context, r *Run) (created bool, err error) {
	db, done := bounded(ctx, s.writer)
	defer done()
	insert := db.Raw(`INSERT INTO collection_runs (instance_id, database_name, kind, user_id, username, status, phase,
			requested_at, owner, heartbeat_at, configuration, attempt)
		SELECT CAST(? AS bigint), ?, ?, CAST(? AS bigint), ?, ?, '', ?, '', ?, ?, CAST(? AS bigint)
		WHERE (`+mayRequest+`)
		ON CONFLICT DO NOTHING RETURNING id`,
		r.InstanceID, r.DatabaseName, r.Kind, r.UserID, r.Username, r.Status,
		r.RequestedAt, r.HeartbeatAt, r.Configuration, r.Attempt,
		MaxOpenRunsOfUser, r.InstanceID, MaxOpenRuns, r.Username).Scan(&r.ID)
	switch {
	case errors.Is(insert.Error, gorm.ErrForeignKeyViolated):
		return false, NotFound("instance.not_found")
	case insert.Error != nil || r.ID != 0:
		return r.ID != 0, insert.Error
	}
	return false, s.requireFewRuns(ctx, *r)
}

// Open runs that a user may have requested. In all there may be so many that the databases of many instances can be
// requested at once, but not so many that names which nobody has seen fill the queue.
const (
	MaxOpenRuns       = 100 // of an instance
	MaxOpenRunsOfUser = 1000
)

// tooManyRunsRetry is when a user with too many open runs may try again.
const tooManyRunsRetry = 10 * time.Second

// mayRequest selects whether a user has fewer open runs than a limit, and fewer of an instance than another. Schedules,
// which have no name, always may.
const mayRequest = `SELECT count(*) < ? AND count(*) FILTER (WHERE o.instance_id = ?) < ? FROM collection_runs o
	WHERE o.ended_at IS NULL AND o.username <> '' AND o.username = ?`

// requireFewRuns returns CodeRateLimited if the requester of a run has too many open ones.
func (s *Store) requireFewRuns(ctx context.Context, r Run) error {
	db, done := bounded(ctx, s.reader)
	defer done()
	var may bool
	err := db.Raw(mayRequest, MaxOpenRunsOfUser, r.InstanceID, MaxOpenRuns, r.Username).Scan(&may).Error
	if err == nil && !may {
		err = &Error{Code: CodeRateLimited, RetryAfter: tooManyRunsRetry}
	}
	return err
}

// ClaimRun makes the next run of an instance a running one of the owner and returns it, with its Engine. Which run is
// next says NextRuns; id is any run of the instance, so that whichever of several queued runs is executed first, the
// oldest starts first. It returns ErrInstanceBusy while another run of the instance is running, and ErrRunTaken if the
// given run is not queued and neither is another one of its instance.
func (s *Store) ClaimRun(ctx context.Context, id int64, owner string, at time.Time) (Run, error) {
	db, done := bounded(ctx, s.writer)
	defer done()

	r, err := s.claimRun(db, instanceOfRun, id, owner, at)
	if !errors.Is(err, ErrRunTaken) {
		return r, err
	}
	err = db.Select("id").Take(&r, "id = ? AND status = ? AND ended_at IS NULL", id, RunQueued).Error
	switch {
	case errors.Is(err, gorm.ErrRecordNotFound):
		return Run{}, ErrRunTaken
	case err != nil:
		return Run{}, err
	}
	return Run{}, ErrInstanceBusy
}

// ClaimNextRun claims the next run of an instance like ClaimRun. It returns ErrRunTaken if no run of the instance is
// queued, or one is running.
func (s *Store) ClaimNextRun(ctx context.Context, instanceID int64, owner string, at time.Time) (Run, error) {
	db, done := bounded(ctx, s.writer)
	defer done()
	return s.claimRun(db, "?", instanceID, owner, at)
}

// claimRun claims the next run of the instance that the expression selects.
func (s *Store) claimRun(db *gorm.DB, instance string, id int64, owner string, at time.Time) (r Run, err error) {
	next := `(SELECT q.id FROM collection_runs q WHERE q.ended_at IS NULL AND q.status = 'queued'
		AND q.instance_id = ` + instance + ` ORDER BY q.` + runOrder + ` LIMIT 1)`
	claimed := db.Model(&r).Clauses(claimedColumns).
		Where("id = "+next+" AND ended_at IS NULL AND status = ?", id, RunQueued).Where("NOT " + instanceRead).
		Updates(map[string]any{
			"status": RunRunning, "phase": PhaseConnecting, "owner": owner, "started_at": stamp(at), "heartbeat_at": s.Now(),
		})
	switch {
	case errors.Is(claimed.Error, gorm.ErrDuplicatedKey):
		return Run{}, ErrInstanceBusy
	case claimed.Error != nil:
		return Run{}, claimed.Error
	case claimed.RowsAffected == 0:
		return Run{}, ErrRunTaken
	}
	return r, nil
}

// ReleaseRun makes a claimed run a queued one again. It is CodeNotFound if the run has ended, is not its owner's, or is
// to be cancelled.
func (s *Store) ReleaseRun(ctx context.Context, r Run) error {
	db, done := bounded(ctx, s.writer)
	defer done()
	mine := db.Table("collection_runs").
		Where("id = ? AND owner = ? AND ended_at IS NULL AND cancel_requested_at IS NULL", r.ID, r.Owner)
	return updateOne(mine, map[string]any{"status": RunQueued, "phase": "", "owner": "", "started_at": nil})
}

// runOrder is the order in which the queued runs of an instance start: requests of users first, then the oldest.
const runOrder = "username = '', id"

// instanceOfRun selects the instance of a run.
const instanceOfRun = "(SELECT o.instance_id FROM collection_runs o WHERE o.id = ?)"

// claimedColumns returns a claimed run with what its owner needs to know of the instance.
var claimedColumns = clause.Returning{Columns: []clause.Column{
	{Name: "*", Raw: true},
	{Name: "(SELECT i.db_type FROM instances i WHERE i.id = collection_runs.instance_id)", Alias: "engine", Raw: true},
	{Name: `coalesce((SELECT s.failures > 0 OR s.paused_at IS NOT NULL FROM instance_schedules s
		WHERE s.instance_id = collection_runs.instance_id), false)`, Alias: "schedule_failing", Raw: true},
}}

// instanceRead is true of a run whose instance has a running run.
const instanceRead = `EXISTS (SELECT 1 FROM collection_runs r
	WHERE r.instance_id = collection_runs.instance_id AND r.status = 'running' AND r.ended_at IS NULL)`

// NextRuns returns the runs that may start now: for each instance without a running run, its oldest queued one, user
// requests first. A nonzero instanceID restricts it to that instance. Only the ids and the Requester are set.
func (s *Store) NextRuns(ctx context.Context, instanceID int64, limit int) ([]Run, error) {
	db, done := bounded(ctx, s.reader)
	defer done()

	queued := db.Model(&Run{}).
		Select(`id, instance_id, user_id, username,
			row_number() OVER (PARTITION BY instance_id ORDER BY `+runOrder+`) AS turn`).
		Where("ended_at IS NULL AND status = ?", RunQueued).Where("NOT " + instanceRead)
	if instanceID != 0 {
		queued = queued.Where("instance_id = ?", instanceID)
	}

	var next []Run
	err := db.Table("(?) AS q", queued).Select("id, instance_id, user_id, username").Where("turn = 1").
		Order(runOrder).Limit(limit).Find(&next).Error
	return next, err
}

// Heartbeat records the progress of a run and that its process is alive. It reports whether the run's cancellation has
// been requested.
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

// EndRun stores how a run ended: its Progress, its EndedAt, and its Receipt or its Failure. The owner's word also
// counts after another process has taken the run for orphaned; a run without that owner is CodeNotFound. A run that is
// interrupted is requeued.
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
		text, err := encodeError(r.Failure)
		if err != nil {
			return err
		}
		columns["error"] = cleaned(text)
	}

	db, done := bounded(ctx, s.writer)
	defer done()
	if r.Status != RunInterrupted {
		return updateOne(db.Table("collection_runs").Where("id = ? AND owner = ?", r.ID, r.Owner), columns)
	}

	columns["status"] = gorm.Expr(interruptedStatus)
	return db.Transaction(func(tx *gorm.DB) error {
		if err := holdInstance(tx, r.InstanceID); err != nil {
			return err
		}
		// One that has ended has been requeued by another process.
		mine := tx.Table("collection_runs").Where("id = ? AND owner = ? AND ended_at IS NULL", r.ID, r.Owner)
		if err := updateOne(mine, columns); err != nil {
			return err
		}
		return s.requeue(tx, r)
	})
}

func updateOne(run *gorm.DB, columns map[string]any) error {
	ended := run.Updates(columns)
	if ended.Error == nil && ended.RowsAffected == 0 {
		return NotFound("refresh.not_found")
	}
	return ended.Error
}

// interruptedStatus is the status of a run whose process is gone: cancelled if that was requested.
const interruptedStatus = "CASE WHEN cancel_requested_at IS NULL THEN 'interrupted' ELSE 'cancelled' END"

func withReceipt(columns map[string]any, r Receipt) {
	columns["receipt_collected_at"] = stamp(r.CollectedAt)
	columns["receipt_saved"], columns["receipt_changed"], columns["receipt_pruned"] = r.Saved, r.Changed, r.Pruned
	columns["receipt_kept"], columns["receipt_duplicates"], columns["receipt_hidden"] = r.Kept, r.Duplicates, r.Hidden
	columns["receipt_locked"], columns["receipt_failed"], columns["receipt_proof"] = r.Locked, r.Failed, r.Proof
	columns["receipt_complete"], columns["receipt_grant"], columns["receipt_elapsed_ms"] = r.Complete, r.Grant, r.ElapsedMS
	columns["receipt_server_bytes"] = r.ServerBytes
}

// Run returns a run with its InstanceName, also one of a deleted instance.
func (s *Store) Run(ctx context.Context, id int64) (Run, error) {
	db, done := bounded(ctx, s.reader)
	defer done()
	var r Run
	err := db.Select("collection_runs.*, i.name AS instance_name").
		Joins("JOIN instances i ON i.id = collection_runs.instance_id").
		Take(&r, "collection_runs.id = ?", id).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return Run{}, NotFound("refresh.not_found")
	}
	if err != nil {
		return Run{}, err
	}
	err = r.readFailure()
	return r, err
}

// readFailure parses the stored error. Its numbers become json.Number.
func (r *Run) readFailure() error {
	if r.StoredFailure == nil {
		return nil
	}
	failed, err := decodeError(*r.StoredFailure)
	if err != nil {
		return err
	}
	r.Failure = failed
	return nil
}

// RequestCancel cancels a queued run, and asks the process that executes a running one to cancel it. A run that has
// ended is left as it is.
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

// queueTimeout is how long a run may be queued before it is interrupted.
const queueTimeout = 24 * time.Hour

// InterruptOrphanedRuns ends and requeues the running runs without a heartbeat in the last silence, or with one in the
// future, and the runs that have been queued for a day. It returns them with what they were about. They end at their
// last heartbeat; one whose cancellation was requested becomes RunCancelled and is not requeued. A scheduled run that
// died with its process counts as a failure of its instance, since what the server sent may have killed it. Runs of an
// instance that is being changed or deleted are left for the next call.
func (s *Store) InterruptOrphanedRuns(ctx context.Context, silence time.Duration) ([]Run, error) {
	db, done := bounded(ctx, s.writer)
	defer done()
	now := s.Now()
	const orphaned = `ended_at IS NULL AND (status = 'running' AND NOT (heartbeat_at > ? AND heartbeat_at <= ?)
		OR status = 'queued' AND requested_at <= ?)`
	times := []any{now.Add(-silence), now.Add(silence), now.Add(-queueTimeout)}
	var ended []Run
	err := db.Transaction(func(tx *gorm.DB) error {
		held, err := holdFreeInstances(tx, "SELECT instance_id FROM collection_runs WHERE "+orphaned, times...)
		if err != nil {
			return err
		}
		schedules, err := s.lockSchedules(tx, held)
		if err != nil {
			return err
		}
		err = tx.Raw(`UPDATE collection_runs SET status = `+interruptedStatus+`, phase = '',
				ended_at = CASE WHEN heartbeat_at > ? THEN ? ELSE heartbeat_at END
			WHERE instance_id IN `+s.dialect.ids()+` AND `+orphaned+`
			RETURNING id, instance_id, database_name, kind, status, user_id, username, attempt, started_at`,
			append([]any{now, now, held}, times...)...).Scan(&ended).Error
		if err != nil {
			return err
		}
		if err := s.countDeaths(tx, schedules, ended); err != nil {
			return err
		}
		return s.requeue(tx, ended...)
	})
	if err != nil {
		return nil, err
	}
	return ended, nil
}

// maxAttempts is how often a run is started whose process keeps dying.
const maxAttempts = 2

// requeue queues again what ended runs were doing for their requesters. It belongs in the transaction that ends them,
// so that nothing is lost if the process dies in between. An embedded store has no other process to execute them. The
// runs of a paused schedule are not repeated.
func (s *Store) requeue(tx *gorm.DB, ended ...Run) error {
	var orphaned []int64
	for _, r := range ended {
		if r.Status == RunInterrupted && r.Attempt < maxAttempts {
			orphaned = append(orphaned, r.ID)
		}
	}
	if s.pool == nil || len(orphaned) == 0 {
		return nil
	}
	ids, err := jsonParameter(orphaned)
	if err != nil {
		return err
	}
	now := s.Now()
	return tx.Exec(`INSERT INTO collection_runs (
			instance_id, database_name, kind, user_id, username, configuration, attempt, status, phase, owner,
			requested_at, heartbeat_at)
		SELECT r.instance_id, r.database_name, r.kind, r.user_id, r.username, r.configuration, r.attempt + 1, ?, '', '', ?, ?
		FROM collection_runs r JOIN instances i ON i.id = r.instance_id AND i.deleted_at IS NULL
		WHERE r.status = 'interrupted' AND r.id IN `+s.dialect.ids()+` AND NOT (r.username = '' AND EXISTS (
			SELECT 1 FROM instance_schedules s WHERE s.instance_id = r.instance_id AND s.paused_at IS NOT NULL))
		ORDER BY r.id ON CONFLICT DO NOTHING`,
		RunQueued, now, now, ids).Error
}
