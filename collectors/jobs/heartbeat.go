package jobs

import (
	"context"
	"time"
)

// maintain sends heartbeats, flushes pending outcomes and reconciles the store until ctx ends.
func (r *Runner) maintain(ctx context.Context, interval time.Duration) {
	heartbeats, reconciliations := time.NewTicker(interval), time.NewTicker(heartbeatInterval)
	outcomes := time.NewTicker(outcomeRetryInterval)
	defer heartbeats.Stop()
	defer reconciliations.Stop()
	defer outcomes.Stop()

	for {
		select {
		case <-ctx.Done():
			return
		case <-heartbeats.C:
			r.heartbeat(ctx)
		case <-outcomes.C:
			_ = r.flushOutcomes(ctx) // logged when they were rejected the first time
		case <-reconciliations.C:
			r.heartbeat(ctx) // first: if the clock was set forward, our own runs look orphaned
			r.reconcile(ctx)
		}
	}
}

// heartbeat saves the progress of the runs that this process is executing, and cancels those whose cancellation was
// requested in another process.
func (r *Runner) heartbeat(ctx context.Context) {
	for _, local := range r.executing() {
		cancel, err := r.store.Heartbeat(ctx, local.row.ID, local.progress.Snapshot())
		if err != nil && ctx.Err() == nil {
			r.log.WarnContext(ctx, "progress not saved", "refresh_id", local.row.ID, "error", err)
		}
		if cancel {
			r.cancelLocal(local.row.ID)
		}
	}
}
