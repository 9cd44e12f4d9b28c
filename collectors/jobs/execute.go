package jobs

import (
	"context"
	"errors"

	"whalefall/collectors"
	"whalefall/models"
)

// executeQueued claims and executes the next run of a queued run's instance, and then the others that are queued for
// that instance. It returns nil at once if the instance is busy: the process that is executing its run will come to the
// others. ErrInstanceBusy asks the queue to try again later. A claimed run is executed to its end, also when the queue
// stops.
func (r *Runner) executeQueued(ctx context.Context, id int64) error {
	if r.closing() {
		return models.ErrInstanceBusy
	}

	ctx = context.WithoutCancel(ctx)
	run, err := r.store.ClaimRun(ctx, id, r.owner, r.now())
	for err == nil {
		ended, executed := r.execute(ctx, run)
		if !executed {
			return r.release(ctx, run)
		}
		r.updateSchedule(ctx, ended)
		if r.closing() {
			return nil
		}
		run, err = r.store.ClaimNextRun(ctx, run.InstanceID, r.owner, r.now())
	}
	if errors.Is(err, models.ErrRunTaken) || errors.Is(err, models.ErrInstanceBusy) {
		return nil
	}
	return err
}

// execute executes a claimed run and returns it as it ended. It does nothing and returns false once the runner is
// closed.
func (r *Runner) execute(ctx context.Context, run models.Run) (ended models.Run, executed bool) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)

	local := r.begin(run, cancel)
	if local == nil {
		return run, false
	}
	defer r.finish(local)

	observed := r.options.Observe(run.Engine, run.Kind)
	local.outcome, local.err = r.collect.Collect(collectors.WithProgress(ctx, local.progress), run)
	observed(local.err)
	return r.saveOutcome(ctx, local), true
}

// release queues a claimed run again, which has not begun because the runner was closed meanwhile. The returned
// ErrInstanceBusy leaves its job to another process. A run whose cancellation was requested is cancelled instead.
func (r *Runner) release(ctx context.Context, run models.Run) error {
	err := r.store.ReleaseRun(ctx, run)
	if models.Is(err, models.CodeNotFound) {
		now := r.now()
		run.Status, run.EndedAt = models.RunInterrupted, &now
		err = r.endRun(ctx, run)
	}
	if err != nil {
		return err
	}
	return models.ErrInstanceBusy
}

// begin registers a run as executing in this process, and cancels it if that was requested meanwhile. It returns nil
// once the runner is closed.
func (r *Runner) begin(run models.Run, cancel context.CancelCauseFunc) *localRun {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil
	}

	local := r.local(run.ID)
	local.progress.Start(*run.StartedAt)
	local.row, local.cancel = run, cancel
	if local.cancelRequested {
		cancel(errCancelRequested)
	}
	return local
}

// finish hands the outcome of a run to those who wait for it.
func (r *Runner) finish(local *localRun) {
	r.mu.Lock()
	delete(r.runs, local.row.ID)
	r.mu.Unlock()
	close(local.done)
}
