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
		r.updateSchedule(ctx, r.execute(ctx, run))
		run, err = r.claimNext(ctx, run.InstanceID)
	}
	if errors.Is(err, models.ErrRunTaken) || errors.Is(err, models.ErrInstanceBusy) {
		return nil
	}
	return err
}

// claimNext claims the next queued run of the instance. It returns ErrRunTaken if there is none.
func (r *Runner) claimNext(ctx context.Context, instanceID int64) (models.Run, error) {
	for !r.closing() {
		next, err := r.store.NextRuns(ctx, instanceID, 1)
		if err != nil {
			return models.Run{}, err
		}
		if len(next) == 0 {
			break
		}
		run, err := r.store.ClaimRun(ctx, next[0].ID, r.owner, r.now())
		if !errors.Is(err, models.ErrRunTaken) { // it was cancelled meanwhile: look again
			return run, err
		}
	}
	return models.Run{}, models.ErrRunTaken
}

// execute executes a claimed run and returns it as it ended.
func (r *Runner) execute(ctx context.Context, run models.Run) models.Run {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)

	local := r.begin(run, cancel)
	defer r.finish(local)

	ended := r.options.Observe(run.Engine, run.Kind)
	local.outcome, local.err = r.collect.Collect(collectors.WithProgress(ctx, local.progress), run)
	ended(local.err)
	return r.saveOutcome(ctx, local)
}

// begin registers a run as executing in this process. It cancels the run if that was requested meanwhile.
func (r *Runner) begin(run models.Run, cancel context.CancelCauseFunc) *localRun {
	r.mu.Lock()
	defer r.mu.Unlock()
	local := r.local(run.ID)
	local.progress.Start(*run.StartedAt)
	local.row, local.cancel = run, cancel
	switch {
	case local.cancelRequested:
		cancel(errCancelRequested)
	case r.closed:
		cancel(errClosing)
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
