package jobs

import (
	"context"
	"errors"

	"whalefall/collectors"
	"whalefall/models"
)

// saveOutcome stores how a run ended and returns the run as stored. What was collected stays collected if the store
// rejects the outcome, which then becomes a pending one.
func (r *Runner) saveOutcome(ctx context.Context, local *localRun) models.Run {
	now := r.now()
	row := local.row
	row.EndedAt, row.Receipt = &now, local.outcome.Receipt
	status := models.RunSucceeded
	switch cause := context.Cause(ctx); {
	case local.err == nil:
		row.Result = local.outcome.Result
	case errors.Is(cause, errCancelRequested):
		status, local.err = models.RunCancelled, collectors.Cancelled(local.err)
	case errors.Is(cause, errClosing):
		status = models.RunInterrupted
	default:
		status, row.Failure = models.RunFailed, models.AsError(local.err)
	}
	row.Progress = local.progress.End(status, now)

	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), outcomeTimeout)
	defer cancel()
	if err := r.endRun(ctx, row); err != nil {
		r.log.ErrorContext(ctx, "outcome not saved, will retry", "refresh_id", row.ID, "status", status, "error", err)
		r.addPendingOutcome(row)
	}
	if status == models.RunInterrupted {
		r.requeue(ctx, row.InstanceID)
	}
	return row
}

// endRun saves an outcome. The run may have been deleted with its instance.
func (r *Runner) endRun(ctx context.Context, row models.Run) error {
	err := r.store.EndRun(ctx, row)
	if err != nil && models.AsError(err).Code == models.CodeNotFound {
		return nil
	}
	return err
}

// addPendingOutcome remembers an ended run that the store could not save, as while its disk is full or it restarts.
func (r *Runner) addPendingOutcome(row models.Run) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pending = append(r.pending, row)
}

// withPendingOutcome returns a stored run, with its outcome if that is pending in this process.
func (r *Runner) withPendingOutcome(row models.Run) models.Run {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, ended := range r.pending {
		if ended.ID == row.ID {
			return ended
		}
	}
	return row
}

func (r *Runner) hasPendingOutcome(id int64) bool {
	run := r.withPendingOutcome(models.Run{ID: id})
	return run.Ended()
}

// flushOutcomes saves the pending outcomes, in their order. Those from the first that the store rejects stay pending.
func (r *Runner) flushOutcomes(ctx context.Context) error {
	r.mu.Lock()
	pending := r.pending
	r.pending = nil
	r.mu.Unlock()

	for i, row := range pending {
		if err := r.endRun(ctx, row); err != nil {
			r.mu.Lock()
			r.pending = append(pending[i:], r.pending...)
			r.mu.Unlock()
			return err
		}
	}
	return nil
}
