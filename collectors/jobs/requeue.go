package jobs

import (
	"context"
	"time"

	"whalefall/models"
)

// reconcile interrupts and requeues the orphaned runs, and adds to the queue the queued runs that it may have lost.
func (r *Runner) reconcile(ctx context.Context) {
	orphaned, err := r.interruptOrphaned(ctx, orphanedAfter)
	if err != nil && ctx.Err() == nil {
		r.log.WarnContext(ctx, "orphaned runs not read", "error", err)
	}
	for _, run := range orphaned {
		r.updateSchedule(ctx, run)
	}
	r.requeue(ctx, 0)
}

// interruptOrphaned interrupts the runs without a heartbeat in the last silence and returns them.
func (r *Runner) interruptOrphaned(ctx context.Context, silence time.Duration) ([]models.Run, error) {
	orphaned, err := r.store.InterruptOrphanedRuns(ctx, silence)
	if len(orphaned) > 0 {
		r.log.WarnContext(ctx, "orphaned runs interrupted", "runs", len(orphaned))
	}
	return orphaned, err
}

// requeue adds the runs that may start now to the queue, which ignores those that it has. A nonzero instanceID
// restricts it to that instance.
func (r *Runner) requeue(ctx context.Context, instanceID int64) {
	queued, err := r.store.NextRuns(ctx, instanceID, requeueBatch)
	if err != nil && ctx.Err() == nil {
		r.log.WarnContext(ctx, "queued runs not read", "error", err)
	}
	for _, run := range queued {
		r.enqueue(ctx, run.ID, run.Username == "")
	}
}
