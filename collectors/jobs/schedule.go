package jobs

import (
	"context"
	"errors"
	"time"

	"whalefall/models"
)

// everyMinute starts the scheduled collections that are due and, once a day, deletes what is too old.
func (r *Runner) everyMinute(ctx context.Context) error {
	return errors.Join(r.Tick(ctx, r.now()), r.prune(ctx))
}

// Tick requests the scheduled collections that are due at now. Several processes may call it at the same time.
func (r *Runner) Tick(ctx context.Context, now time.Time) error {
	if err := r.store.PlanSchedules(ctx, now); err != nil {
		return err
	}
	for more := true; more && ctx.Err() == nil && !r.closing(); {
		var due []int64
		var err error
		if due, more, err = r.store.ClaimDue(ctx, now, claimBatch); err != nil {
			return err
		}
		for _, instanceID := range due {
			r.startRound(ctx, instanceID)
		}
	}
	return context.Cause(ctx)
}

// startRound requests the databases of an instance; the runs of their tables follow when that run has ended. The stop
// of this process does not count as a failure of the instance: its round then looks as if its process had died.
func (r *Runner) startRound(ctx context.Context, instanceID int64) {
	_, err := r.Request(ctx, Databases(models.Requester{}, instanceID))
	if err == nil || ctx.Err() != nil || r.closing() {
		return
	}
	r.log.WarnContext(ctx, "scheduled collection not started", "instance_id", instanceID, "error", err)
	r.updateSchedule(ctx, models.Run{
		InstanceID: instanceID, Kind: models.RunDatabases, Progress: models.Progress{Status: models.RunFailed},
	})
}

// updateSchedule records the end of a run in the schedule of its instance. After the databases of a round, the runs of
// their tables are queued. A round whose update fails looks as if its process had died.
func (r *Runner) updateSchedule(ctx context.Context, run models.Run) {
	if !run.ConcernsSchedule() {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), outcomeTimeout)
	defer cancel()
	if err := r.store.ScheduleOutcome(ctx, run); err != nil {
		r.log.ErrorContext(ctx, "schedule not updated", "instance_id", run.InstanceID, "refresh_id", run.ID, "error", err)
	}
}

// prune deletes the history, the runs and the audit entries that are too old, once a day.
func (r *Runner) prune(ctx context.Context) error {
	now := r.now()
	today := r.store.Day(now)
	if r.pruned == today {
		return nil
	}

	sizes, err := r.store.PruneHistory(ctx)
	if err != nil {
		return err
	}
	var runs, entries int64
	if r.options.KeepRuns > 0 {
		if runs, err = r.store.PruneRuns(ctx, now.Add(-r.options.KeepRuns)); err != nil {
			return err
		}
	}
	if r.options.KeepAudit > 0 {
		if entries, err = r.store.PruneAudit(ctx, now.Add(-r.options.KeepAudit)); err != nil {
			return err
		}
	}
	if sizes+runs+entries > 0 {
		r.log.InfoContext(ctx, "expired data deleted", "table_sizes", sizes, "runs", runs, "audit_entries", entries)
	}
	r.pruned = today
	return nil
}
