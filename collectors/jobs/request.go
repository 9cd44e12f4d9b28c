package jobs

import (
	"context"
	"fmt"
	"time"

	"whalefall/collectors"
	"whalefall/models"
)

// Request says what to collect, and for whom.
type Request struct {
	By         models.Requester // zero: the schedule
	Kind       models.RunKind
	InstanceID int64
	Database   string // of models.RunTables: byte-exact
}

// Tables requests the tables of one database.
func Tables(by models.Requester, instanceID int64, database string) Request {
	return Request{By: by, Kind: models.RunTables, InstanceID: instanceID, Database: database}
}

// Databases requests the databases of an instance with their sizes.
func Databases(by models.Requester, instanceID int64) Request {
	return Request{By: by, Kind: models.RunDatabases, InstanceID: instanceID}
}

// Request queues a run and returns it, with the name of its instance, without waiting for its end. If a run for the
// same is open, it returns that one. The errors are those of collectors.Service.Prepare, and collect.cancelled once the
// runner is closed. Concurrent requests for the same read the store once.
func (r *Runner) Request(ctx context.Context, q Request) (models.Run, error) {
	ctx = context.WithoutCancel(ctx) // others may share the result
	scheduled := q.By == (models.Requester{})
	key := fmt.Sprintf("%s %d %t %s", q.Kind, q.InstanceID, scheduled, q.Database)
	run, err, _ := r.requests.Do(key, func() (any, error) { return r.request(ctx, q) })
	return run.(models.Run), err
}

func (r *Runner) request(ctx context.Context, q Request) (models.Run, error) {
	run, err := r.collect.Prepare(ctx, q.Kind, q.InstanceID, q.Database)
	if err != nil {
		return models.Run{}, err
	}

	run.Requester = q.By
	kept, err := r.enqueueOrJoin(ctx, run)
	if err != nil {
		return models.Run{}, collectors.About(err, q.InstanceID, q.Database)
	}

	kept.InstanceName, kept.Engine = run.InstanceName, run.Engine
	return r.Now(kept), nil
}

// enqueueOrJoin stores the run as queued, or joins the open run for the same. It does not join a run that is being
// cancelled but waits for its end. A run that it joins while queued is added to the queue again, as it may have been
// queued by a process that is gone.
func (r *Runner) enqueueOrJoin(ctx context.Context, run models.Run) (models.Run, error) {
	if r.closing() {
		return run, collectors.Cancelled(errClosing)
	}
	ctx, cancel := context.WithTimeout(ctx, cancelTimeout)
	defer cancel()

	run.RequestedAt = r.now()
	for {
		kept, joined, err := r.store.RequestRun(ctx, run)
		switch {
		case err != nil:
			return run, err
		case joined && r.hasPendingOutcome(kept.ID):
			if err := r.flushOutcomes(ctx); err != nil {
				return run, err
			}
			continue
		case !joined || kept.Status == models.RunQueued:
			r.enqueue(ctx, kept.ID, run.Username == "")
			return kept, nil
		case kept.CancelRequestedAt == nil:
			return kept, nil
		}

		if _, err := r.waitUntilEnded(ctx, kept.ID); err != nil {
			return run, collectors.Cancelled(err)
		}
	}
}

// enqueue adds a queued run to the queue. A run that the queue rejects is added again by reconcile.
func (r *Runner) enqueue(ctx context.Context, id int64, scheduled bool) {
	r.mu.Lock()
	opened := r.queue
	r.mu.Unlock()
	if err := opened.Add(ctx, job{run: id, scheduled: scheduled}); err != nil {
		r.log.WarnContext(ctx, "run not added to the queue", "refresh_id", id, "error", err)
	}
}

// RequestAndWait requests a run and waits for its end, with the errors of Request and Wait.
func (r *Runner) RequestAndWait(ctx context.Context, q Request) (collectors.Outcome, error) {
	run, err := r.Request(ctx, q)
	if err != nil {
		return collectors.Outcome{}, err
	}
	return r.Wait(ctx, run)
}

// Wait waits for the end of a run, in whichever process, and returns its outcome or its error. It waits no longer than
// Options.Wait or ctx: then the error is collect.still_running, whose extra has the id as refresh_id, and the run
// continues.
func (r *Runner) Wait(ctx context.Context, run models.Run) (collectors.Outcome, error) {
	waiting, cancel := context.WithTimeout(ctx, r.options.Wait)
	defer cancel()

	ended, err := r.waitUntilEnded(waiting, run.ID)
	switch {
	case err != nil && waiting.Err() != nil:
		late := &models.Error{Code: models.CodeTimeout, Key: "collect.still_running", Err: context.Cause(waiting)}
		err = late.WithRefreshID(run.ID)
	case err == nil:
		err = ended.err
	}
	if err != nil {
		return collectors.Outcome{}, collectors.About(err, run.InstanceID, run.DatabaseName)
	}
	return ended.outcome, nil
}

// waitUntilEnded waits for the end of a run. It polls the store unless this process is executing the run.
func (r *Runner) waitUntilEnded(ctx context.Context, id int64) (*localRun, error) {
	local := r.watch(id)
	defer r.unwatch(id, local)

	for interval := pollMin; ; interval = min(2*interval, pollMax) {
		select {
		case <-local.done:
			return local, nil
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(interval):
		}

		if r.executes(id) {
			continue
		}
		row, err := r.store.Run(ctx, id)
		if err != nil {
			return nil, err
		}
		if row = r.withPendingOutcome(row); row.Ended() {
			return endedRun(row), nil
		}
	}
}

// endedRun returns what the store knows of an ended run.
func endedRun(row models.Run) *localRun {
	local := &localRun{row: row}
	switch row.Status {
	case models.RunFailed:
		local.err = row.Failure
	case models.RunCancelled:
		local.err = collectors.Cancelled(errCancelRequested)
	case models.RunInterrupted:
		local.err = collectors.Cancelled(errClosing)
	default:
		local.outcome = collectors.Outcome{Receipt: row.Receipt, Result: row.Result}
	}
	return local
}
