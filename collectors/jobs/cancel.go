package jobs

import (
	"context"

	"whalefall/models"
)

// Cancel cancels a run, in whichever process it is, and waits up to 10 s for its end. It returns the run as it is then.
// A run that has ended is returned unchanged; one that is already storing what it found succeeds.
func (r *Runner) Cancel(ctx context.Context, id int64) (models.Run, error) {
	run, err := r.store.Run(ctx, id)
	if err != nil || run.Ended() {
		return run, err
	}

	local := r.watch(id)
	defer r.unwatch(id, local)
	if err := r.store.RequestCancel(ctx, id); err != nil {
		return run, err
	}
	r.cancelLocal(id)

	waiting, done := context.WithTimeout(ctx, cancelTimeout)
	defer done()
	if _, err := r.waitUntilEnded(waiting, id); err != nil && waiting.Err() == nil {
		return run, err
	}
	return r.Run(ctx, id)
}

// cancelLocal cancels the run if this process is executing it, or is about to.
func (r *Runner) cancelLocal(id int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	local, known := r.runs[id]
	if !known {
		return
	}
	local.cancelRequested = true
	if local.cancel != nil {
		local.cancel(errCancelRequested)
	}
}
