package models

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// ScheduleDefaults apply to instances without settings of their own.
type ScheduleDefaults struct {
	Cron       string
	Jitter     time.Duration
	PauseAfter int64 // failures in a row after which an instance is paused; 0: never
}

// DefaultSchedule is daily, at night.
var DefaultSchedule = ScheduleDefaults{Cron: "0 2 * * *", Jitter: time.Hour, PauseAfter: 5}

// Check returns a CodeInvalid error for defaults that cannot work.
func (d ScheduleDefaults) Check() error {
	if d.Jitter < 0 || d.Jitter > maxJitter {
		return Invalid("schedule.jitter_range", "Limit", int64(maxJitter.Minutes()))
	}
	_, err := parseCron(d.Cron)
	return err
}

// Retries of a collection that failed.
const (
	firstRetry   = 5 * time.Minute // then three times as long each time
	longestRetry = 4 * time.Hour
	retryJitter  = 5               // a retry is delayed by up to this part of its wait
	roundRetries = 3               // of a round without the tables of some database, or whose process died
	retryLife    = 12 * time.Hour  // a retry that is later collects everything again
	lostAfter    = 5 * time.Minute // a round without a run by then has lost its process
	clockSlack   = 5 * time.Minute // more than the clocks of replicas differ
)

// ScheduleEdit has the settings of an instance's schedule.
type ScheduleEdit struct {
	Enabled       bool
	Cron          string // empty: the default
	Zone          string // empty: the store's
	JitterMinutes *int64 // nil: the default
	Blackout      string // as in Plan
}

// AlwaysOn is the schedule of an instance nobody has configured.
var AlwaysOn = ScheduleEdit{Enabled: true}

// ScheduleStatuses lists every status of a round.
var ScheduleStatuses = []ScheduleStatus{
	RoundRunning, RoundSucceeded, RoundIncomplete, RoundFailed, RoundCancelled, RoundInterrupted,
}

// ScheduleStatus is the state of an instance's newest scheduled collection.
type ScheduleStatus string

// Statuses of a round, which is a run of the databases and the runs of their tables that follow.
const (
	RoundNone        ScheduleStatus = ""
	RoundRunning     ScheduleStatus = "running"    // the databases
	RoundSucceeded   ScheduleStatus = "succeeded"  // the databases; no run of tables has failed so far
	RoundIncomplete  ScheduleStatus = "incomplete" // the run of some database's tables failed
	RoundFailed      ScheduleStatus = "failed"
	RoundCancelled   ScheduleStatus = "cancelled"
	RoundInterrupted ScheduleStatus = "interrupted"
)

// Schedule is when an instance is collected by itself, and how that went.
type Schedule struct {
	InstanceID   int64 `gorm:"primaryKey"`
	ScheduleEdit `gorm:"embedded"`
	NextAt       *time.Time // nil: not planned (yet)
	LastAt       *time.Time // when the newest scheduled collection started; nil: never
	LastStatus   ScheduleStatus
	LastRunID    *int64 // nil: none, or it could not start
	Failures     int64  // in a row
	PausedAt     *time.Time

	PlannedAt *time.Time // when NextAt was computed
	Basis     string     // the defaults it was computed with
	RoundAt   *time.Time // start of the newest round; its retries collect what is older
	Retry     bool       // NextAt is a retry
	Retries   int64      // of the round so far
}

// TableName implements gorm's Tabler.
func (Schedule) TableName() string { return "instance_schedules" }

// Plan returns the plan of a schedule, with the defaults for what it does not set.
func (s *Store) Plan(e ScheduleEdit) (Plan, error) {
	plan := Plan{Cron: s.schedule.Cron, Zone: s.Zone, Jitter: s.schedule.Jitter, Blackout: e.Blackout}
	if e.Cron != "" {
		plan.Cron = e.Cron
	}
	if e.JitterMinutes != nil {
		plan.Jitter = time.Duration(*e.JitterMinutes) * time.Minute
		if *e.JitterMinutes < 0 || *e.JitterMinutes > int64(maxJitter.Minutes()) {
			return plan, Invalid("schedule.jitter_range", "Limit", int64(maxJitter.Minutes()))
		}
	}
	if e.Zone == "" {
		return plan, nil
	}
	zone, err := time.LoadLocation(e.Zone)
	if err != nil || e.Zone == "Local" {
		return plan, Invalid("schedule.zone_unknown")
	}
	plan.Zone = zone
	return plan, nil
}

// NextOf returns when an instance with the id and schedule is collected next after a moment; zero: not within years. An
// invalid schedule is CodeInvalid.
func (s *Store) NextOf(id int64, e ScheduleEdit, after time.Time) (time.Time, error) {
	times, err := s.timetable(id, e)
	if err != nil {
		return time.Time{}, err
	}
	return times.next(after), nil
}

func (s *Store) timetable(id int64, e ScheduleEdit) (timetable, error) {
	plan, err := s.Plan(e)
	if err != nil {
		return timetable{}, err
	}
	return plan.timetable(id)
}

// basis returns a fingerprint of the defaults. It changes when they lead to other times.
func (s *Store) basis() string {
	return fmt.Sprintf("%s|%s|%s", s.schedule.Cron, s.Zone, s.schedule.Jitter)
}

// Schedule returns the schedule of an instance that is not deleted. Its NextAt is nil if the instance is inactive or
// paused.
func (s *Store) Schedule(ctx context.Context, instanceID int64) (Schedule, error) {
	var rows []struct {
		Schedule
		IsActive bool
		Known    bool
	}
	db, done := bounded(ctx, s.reader)
	defer done()
	err := db.Table("instances AS i").Select("s.*, i.is_active, s.instance_id IS NOT NULL AS known").
		Joins("LEFT JOIN instance_schedules s ON s.instance_id = i.id").
		Where("i.id = ? AND i.deleted_at IS NULL", instanceID).Scan(&rows).Error
	if err != nil || len(rows) == 0 {
		return Schedule{}, orNotFound(err, "instance.not_found")
	}
	return s.scheduleNow(Instance{ID: instanceID, IsActive: rows[0].IsActive}, rows[0].Schedule, rows[0].Known)
}

// scheduleNow returns the effective schedule of an instance: the stored one, or the default if none is known.
func (s *Store) scheduleNow(i Instance, stored Schedule, known bool) (Schedule, error) {
	out := stored
	if !known {
		out = Schedule{InstanceID: i.ID, ScheduleEdit: AlwaysOn}
	}
	switch {
	case !i.IsActive || !out.Enabled || out.PausedAt != nil:
		out.NextAt = nil
	case out.NextAt == nil || out.Basis != s.basis():
		next, err := s.NextOf(i.ID, out.ScheduleEdit, s.Now())
		if err != nil {
			return out, err
		}
		out.NextAt = notZero(next)
	}
	return out, nil
}

func orNotFound(err error, key string) error {
	if err != nil {
		return err
	}
	return NotFound(key)
}

func notZero(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// saveSchedule stores an edit; nil changes nothing. If anything changes, the next time is computed anew.
func (s *Store) saveSchedule(tx *gorm.DB, instanceID int64, e *ScheduleEdit) error {
	if e == nil {
		return nil
	}
	if _, err := s.timetable(instanceID, *e); err != nil {
		return err
	}
	row := Schedule{InstanceID: instanceID, ScheduleEdit: *e}
	changed := "(instance_schedules.enabled, instance_schedules.cron, instance_schedules.zone," +
		" instance_schedules.blackout) <> (excluded.enabled, excluded.cron, excluded.zone, excluded.blackout)" +
		" OR instance_schedules.jitter_minutes IS DISTINCT FROM excluded.jitter_minutes"
	return tx.Clauses(clause.OnConflict{
		Columns: []clause.Column{{Name: "instance_id"}},
		Where:   clause.Where{Exprs: []clause.Expression{clause.Expr{SQL: changed}}},
		DoUpdates: clause.AssignmentColumns([]string{
			"enabled", "cron", "zone", "jitter_minutes", "blackout", "next_at", "retry", "retries",
		}),
	}).Create(&row).Error
}

// ResumeSchedule ends the pause of an instance. It reports whether the instance was paused.
func (s *Store) ResumeSchedule(ctx context.Context, instanceID int64) (bool, error) {
	db, done := bounded(ctx, s.writer)
	defer done()
	resumed := resume(db, "paused_at IS NOT NULL AND instance_id = ?", instanceID)
	return resumed.RowsAffected > 0, resumed.Error
}

// resume clears the failures and the pause, so that the next time is computed anew.
func resume(tx *gorm.DB, condition string, values ...any) *gorm.DB {
	return tx.Table("instance_schedules").Where(condition, values...).
		Updates(map[string]any{"paused_at": nil, "failures": 0, "next_at": nil, "retry": false, "retries": 0})
}

// PlanSchedules prepares ClaimDue: it adds the schedules of new instances, drops the times that other defaults or a
// wrong clock have led to, and plans retries of rounds whose process died.
func (s *Store) PlanSchedules(ctx context.Context, now time.Time) error {
	now = stamp(now)
	for _, statement := range []struct {
		sql    string
		values []any
	}{
		{`INSERT INTO instance_schedules (instance_id) SELECT i.id FROM instances i
			WHERE NOT EXISTS (SELECT 1 FROM instance_schedules s WHERE s.instance_id = i.id) ON CONFLICT DO NOTHING`, nil},
		{
			`UPDATE instance_schedules SET next_at = NULL, retry = ?
				WHERE next_at IS NOT NULL AND (basis <> ? OR planned_at > ?)`,
			[]any{false, s.basis(), now.Add(clockSlack)},
		},
		{lostRounds, []any{
			RoundInterrupted, roundRetries, now.Add(firstRetry), roundRetries,
			RoundRunning, now.Add(-lostAfter), RoundRunning, RoundSucceeded,
		}},
	} {
		db, done := bounded(ctx, s.writer)
		err := db.Exec(statement.sql, statement.values...).Error
		done()
		if err != nil {
			return err
		}
	}
	return nil
}

const lostRounds = `UPDATE instance_schedules AS s SET last_status = ?,
		next_at = CASE WHEN retries < ? THEN ? ELSE next_at END, retry = retries < ?, retries = retries + 1
	WHERE enabled AND paused_at IS NULL AND NOT retry
		AND instance_id NOT IN (SELECT instance_id FROM collection_runs WHERE ended_at IS NULL)
		AND (last_status = ? AND last_at <= ?
			OR last_status IN (?, ?) AND EXISTS (SELECT 1 FROM collection_runs r WHERE r.instance_id = s.instance_id
				AND r.status = 'interrupted' AND r.username = '' AND r.requested_at >= s.last_at))`

// ClaimDue claims the instances that are due, at most limit, and returns their ids; more reports whether there may be
// others. Concurrent calls return different instances. Several missed times count as one. An instance in a blackout is
// put off to its end.
func (s *Store) ClaimDue(ctx context.Context, now time.Time, limit int) (due []int64, more bool, err error) {
	now = stamp(now)
	err = s.change(ctx, func(tx *gorm.DB) error {
		due = nil
		var rows []Schedule
		err := tx.Table("instance_schedules AS s").Select("s.*").
			Clauses(clause.Locking{
				Strength: clause.LockingStrengthUpdate, Table: clause.Table{Name: "s"}, Options: clause.LockingOptionsSkipLocked,
			}).
			Joins("JOIN instances i ON i.id = s.instance_id AND i.is_active AND i.deleted_at IS NULL").
			Where("s.enabled AND s.paused_at IS NULL AND (s.next_at IS NULL OR s.next_at <= ?)", now).
			Order("s.next_at, s.instance_id").Limit(limit).Scan(&rows).Error
		if err != nil {
			return err
		}
		more = len(rows) == limit
		for _, row := range rows {
			claimed, err := s.claim(tx, row, now)
			if err != nil {
				return err
			}
			if claimed {
				due = append(due, row.InstanceID)
			}
		}
		return nil
	})
	return due, more, err
}

// claim moves the next time of a schedule forward. It reports whether the schedule was due: one without a time is only
// planned.
func (s *Store) claim(tx *gorm.DB, row Schedule, now time.Time) (bool, error) {
	times, err := s.timetable(row.InstanceID, row.ScheduleEdit)
	if err != nil {
		s.log.Error("invalid schedule, instance not collected", "instance_id", row.InstanceID, "error", err)
		return false, tx.Table("instance_schedules").Where("instance_id = ?", row.InstanceID).
			Updates(map[string]any{"next_at": now.Add(longestRetry), "planned_at": now, "basis": s.basis()}).Error
	}
	next := times.next(now)
	if next.IsZero() {
		next = now.AddDate(1, 0, 0) // then it is computed again
	}
	change := map[string]any{"next_at": stamp(next), "planned_at": now, "basis": s.basis()}
	begins := times.open(now)
	claimed := row.NextAt != nil && !begins.After(now)
	switch {
	case row.NextAt != nil && !claimed:
		change["next_at"] = stamp(begins)
	case claimed:
		change["last_at"], change["last_status"], change["last_run_id"], change["retry"] = now, RoundRunning, nil, false
		if !row.Retry || row.RoundAt == nil || now.Sub(*row.RoundAt) > retryLife {
			change["round_at"], change["retries"] = now, 0
		}
	}
	return claimed, tx.Table("instance_schedules").Where("instance_id = ?", row.InstanceID).Updates(change).Error
}

// ScheduleOutcome records in an instance's schedule how a run ended, whether requested by a user or scheduled. If the
// run found the databases of a scheduled round, the runs of their tables are queued in the same transaction, so that
// none is lost if the process dies.
func (s *Store) ScheduleOutcome(ctx context.Context, run Run) error {
	return s.change(ctx, func(tx *gorm.DB) error {
		if err := holdInstance(tx, run.InstanceID); err != nil {
			return err
		}
		var rows []Schedule
		err := tx.Clauses(clause.Locking{Strength: clause.LockingStrengthUpdate}).
			Where("instance_id = ?", run.InstanceID).Find(&rows).Error
		if err != nil || len(rows) == 0 {
			return err
		}
		row := rows[0]
		times, err := s.timetable(row.InstanceID, row.ScheduleEdit)
		if err != nil {
			return err
		}
		deadly, err := s.deadly(tx, row, run)
		if err != nil {
			return err
		}
		change := row.outcome(run, times, s.Now(), s.schedule.PauseAfter, deadly)
		if len(change) == 0 {
			return nil
		}
		if change["last_status"] == RoundSucceeded && row.RoundAt != nil {
			if err := s.queueTables(tx, run, *row.RoundAt); err != nil {
				return err
			}
		}
		return tx.Table("instance_schedules").Where("instance_id = ?", run.InstanceID).Updates(change).Error
	})
}

// queueTables queues runs of the tables of the found databases that were not collected since a moment. It leaves out
// databases that are gone or that the account cannot enter, and empty system databases.
func (s *Store) queueTables(tx *gorm.DB, found Run, since time.Time) error {
	now := s.Now()
	return tx.Exec(`INSERT INTO collection_runs (instance_id, database_name, kind, username, configuration, attempt,
			status, phase, owner, requested_at, heartbeat_at)
		SELECT d.instance_id, d.name, ?, '', ?, 1, ?, '', '', ?, ?
		FROM instance_databases d JOIN instances i ON i.id = d.instance_id AND i.is_active AND i.deleted_at IS NULL
		WHERE d.instance_id = ? AND d.gone_at IS NULL AND d.last_error IS NULL
			AND (d.collected_at IS NULL OR d.collected_at < ?)
			AND (NOT d.is_system OR EXISTS (SELECT 1 FROM database_size_stats m WHERE m.database_id = d.id AND m.size_bytes > 0))
		ORDER BY d.name ON CONFLICT DO NOTHING`,
		RunTables, found.Configuration, RunQueued, now, now, found.InstanceID, stamp(since)).Error
}

// outcome returns the columns of the schedule that the end of a run changes. While the instance is deadly, a success
// clears no failures.
func (s *Schedule) outcome(run Run, times timetable, now time.Time, pauseAfter int64, deadly bool) map[string]any {
	waiting := run.Kind == RunDatabases && s.LastStatus == RoundRunning
	ofRound := run.Kind == RunTables && run.Requester == (Requester{}) && s.LastStatus == RoundSucceeded
	change := map[string]any{}
	switch {
	case run.Status == RunSucceeded:
		s.succeeded(change, waiting, deadly, times, now)
	case run.Status == RunFailed && waiting:
		s.failed(change, times, now, pauseAfter)
	case run.Status == RunFailed && ofRound:
		change["last_status"] = RoundIncomplete
		if s.Retries < roundRetries {
			s.retry(change, times, now)
		}
	case run.Status == RunCancelled && waiting:
		change["last_status"] = RoundCancelled
	}
	if (waiting || change["last_status"] == RoundIncomplete) && run.ID != 0 && len(change) > 0 {
		change["last_run_id"] = run.ID
	}
	return change
}

// succeeded also ends a pause, since the instance can be reached again. In a blackout the tables of a round wait for
// its end.
func (s *Schedule) succeeded(change map[string]any, waiting, deadly bool, times timetable, now time.Time) {
	if !deadly && (s.Failures > 0 || s.PausedAt != nil) {
		change["failures"], change["paused_at"] = 0, nil
	}
	if !deadly && s.PausedAt != nil {
		change["next_at"], change["retry"] = nil, false
	}
	switch begins := times.open(now); {
	case waiting && begins.After(now):
		change["last_status"], change["next_at"], change["retry"] = RoundIncomplete, stamp(begins), true
	case waiting:
		change["last_status"] = RoundSucceeded
	}
}

// lockSchedules returns the schedules of instances, a parameter of dialect.ids, for countDeaths. It locks them before
// any run, as ScheduleOutcome does.
func (s *Store) lockSchedules(tx *gorm.DB, instances string) (locked []Schedule, err error) {
	err = tx.Clauses(clause.Locking{Strength: clause.LockingStrengthUpdate}).
		Where("instance_id IN "+s.dialect.ids(), instances).Order("instance_id").Find(&locked).Error
	return locked, err
}

// countDeaths counts the scheduled runs that died with their process as failures of their instances. A schedule that
// is paused by that loses its queued runs, which might be as deadly.
func (s *Store) countDeaths(tx *gorm.DB, schedules []Schedule, ended []Run) error {
	for _, row := range schedules {
		died := slices.IndexFunc(ended, func(r Run) bool {
			return r.InstanceID == row.InstanceID && r.Status == RunInterrupted && r.StartedAt != nil &&
				r.Requester == Requester{}
		})
		if died < 0 {
			continue
		}

		change := row.died(ended[died], s.Now(), s.schedule.PauseAfter)
		err := tx.Table("instance_schedules").Where("instance_id = ?", row.InstanceID).Updates(change).Error
		if err == nil && change["paused_at"] != nil {
			err = tx.Table("collection_runs").
				Where("instance_id = ? AND username = '' AND status = ? AND ended_at IS NULL", row.InstanceID, RunQueued).
				Updates(map[string]any{"status": RunInterrupted, "ended_at": s.Now()}).Error
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// died returns the columns that the death of a run changes. PlanSchedules plans the retry.
func (s *Schedule) died(run Run, now time.Time, pauseAfter int64) map[string]any {
	change := map[string]any{"failures": s.Failures + 1}
	if s.PausedAt == nil && pauseAfter > 0 && s.Failures+1 >= pauseAfter {
		change["last_status"], change["last_run_id"] = RoundInterrupted, run.ID
		change["paused_at"], change["next_at"], change["retry"] = now, nil, false
	}
	return change
}

// deadly reports whether some other scheduled run of the instance died and nothing has since collected what it was to
// collect. It is not asked for while there are no failures to clear.
func (s *Store) deadly(tx *gorm.DB, schedule Schedule, run Run) (bool, error) {
	if run.Status != RunSucceeded || schedule.Failures == 0 && schedule.PausedAt == nil {
		return false, nil
	}
	var deaths int64
	err := tx.Table("collection_runs AS d").
		Where("d.instance_id = ? AND d.status = 'interrupted' AND d.username = '' AND d.started_at IS NOT NULL",
			run.InstanceID).
		Where("NOT (d.kind = ? AND d.database_name = ?)", run.Kind, run.DatabaseName).
		Where(`NOT EXISTS (SELECT 1 FROM collection_runs r WHERE r.instance_id = d.instance_id AND r.kind = d.kind
			AND r.database_name = d.database_name AND r.status = 'succeeded' AND r.id > d.id)`).
		Where(`d.kind = ? OR EXISTS (SELECT 1 FROM instance_databases b WHERE b.instance_id = d.instance_id
			AND b.name = d.database_name AND b.gone_at IS NULL AND b.last_error IS NULL)`, RunDatabases).
		Count(&deaths).Error
	return deaths > 0, err
}

// PauseReason returns why the schedule is paused: the failure of its newest run, or that the process died during it;
// nil: unknown, or not paused.
func (s *Schedule) PauseReason(failure *Error) *Error {
	switch {
	case s.PausedAt == nil:
		return nil
	case failure == nil && s.LastStatus == RoundInterrupted:
		return &Error{Code: CodeCollection, Key: "schedule.process_died", InstanceID: s.InstanceID}
	}
	return failure
}

func (s *Schedule) failed(change map[string]any, times timetable, now time.Time, pauseAfter int64) {
	change["last_status"], change["failures"] = RoundFailed, s.Failures+1
	if pauseAfter > 0 && s.Failures+1 >= pauseAfter {
		change["paused_at"], change["next_at"], change["retry"] = now, nil, false
		return
	}
	s.retry(change, times, now)
}

// retry plans a retry after a backoff, unless the next regular time is sooner.
func (s *Schedule) retry(change map[string]any, times timetable, now time.Time) {
	again := times.open(now.Add(backoff(s.InstanceID, s.Retries)))
	change["retries"] = s.Retries + 1
	if s.NextAt == nil || again.Before(*s.NextAt) {
		change["next_at"], change["retry"] = stamp(again), true
	}
}

// backoff returns how long to wait after a number of retries: 5 minutes, 15, 45, … up to 4 hours, and up to a fifth
// more, so that instances that failed together are not retried together.
func backoff(instanceID, retries int64) time.Duration {
	wait := min(longestRetry, time.Duration(float64(firstRetry)*math.Pow(3, float64(min(retries, roundRetries+1)))))
	return wait + spread(instanceID+retries, wait/retryJitter)
}

// ScheduleCounts counts instances with an enabled schedule.
type ScheduleCounts struct {
	Paused  int64
	Overdue int64 // should have started by now
}

// ScheduleCounts counts the active instances that are paused or overdue.
func (s *Store) ScheduleCounts(ctx context.Context) (ScheduleCounts, error) {
	var out ScheduleCounts
	db, done := bounded(ctx, s.reader)
	defer done()
	err := db.Raw(`SELECT count(*) FILTER (WHERE s.paused_at IS NOT NULL) AS paused,
			count(*) FILTER (WHERE s.paused_at IS NULL AND s.next_at <= ?) AS overdue
		FROM instance_schedules s JOIN instances i ON i.id = s.instance_id AND i.is_active AND i.deleted_at IS NULL
		WHERE s.enabled`, s.Now()).Scan(&out).Error
	return out, err
}
