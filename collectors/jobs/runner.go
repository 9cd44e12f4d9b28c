// Package jobs runs collections. A run is requested by a user or a schedule, waits in a queue until a process claims it
// and ends with an outcome; the store has a row of each. The runs of one instance are executed one at a time, the
// oldest first. What a run collects is up to package collectors.
//
// Several processes may share one store. Each sends heartbeats for the runs it executes; the runs of a process that
// died are orphaned, and the others requeue them.
package jobs

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"whalefall/collectors"
	"whalefall/models"
)

// Options configure a Runner. The zero value of a member stands for its default.
type Options struct {
	Log       *slog.Logger  // nil: no log
	Parallel  int           // runs executed at a time, at most MaxParallel; 0: 8
	KeepRuns  time.Duration // how long ended runs are kept, at least the newest of each database; 0: forever
	KeepAudit time.Duration // how long entries of the audit log are kept; 0: forever
	Wait      time.Duration // how long Wait waits; 0: 120 s
	// Observe is called when a run starts, and what it returns when the run ends, with a nil error if it succeeded.
	Observe func(models.Engine, models.RunKind) (ended func(error))
}

// Runner executes the runs of one process. It is safe for concurrent use.
type Runner struct {
	store   *models.Store
	collect *collectors.Service
	log     *slog.Logger
	options Options
	now     func() time.Time
	owner   string // names this process in the rows of its runs

	requests singleflight.Group // requests for the same at the same time
	work     sync.WaitGroup
	stop     context.CancelFunc // ends maintain

	pruned string // the day of the last pruning; used by everyMinute only

	mu      sync.Mutex
	closed  bool
	queue   queue
	pending []models.Run        // ended runs whose outcome the store has not saved yet
	runs    map[int64]*localRun // by run id: executing in this process, or waited for in it
}

// localRun is a run that this process executes, or that a request waits for in this process.
type localRun struct {
	row             models.Run // once it is executing
	progress        *collectors.Progress
	cancel          context.CancelCauseFunc // nil unless this process is executing the run
	cancelRequested bool
	waiters         int

	done    chan struct{} // closed when outcome and err are known
	outcome collectors.Outcome
	err     error
}

// New returns a runner that executes what is requested of it. It takes part in nothing else until Start, and must be
// closed.
func New(store *models.Store, collect *collectors.Service, o Options) *Runner {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Parallel == 0 {
		o.Parallel = defaultParallel
	}
	if o.Wait == 0 {
		o.Wait = defaultWait
	}
	if o.Observe == nil {
		o.Observe = func(models.Engine, models.RunKind) func(error) { return func(error) {} }
	}

	r := &Runner{
		store: store, collect: collect, log: o.Log, options: o, now: store.Clock(), owner: rand.Text(), stop: func() {},
		runs: map[int64]*localRun{},
	}
	own := newPool(o.Log, o.Parallel)
	own.serve(context.Background(), handlers{execute: r.executeQueued})
	r.queue = own
	return r
}

// Start joins the queue of the store, requeues the orphaned runs of former processes, and from then on sends
// heartbeats, reconciles the store and does what is due every minute, until Close. On an embedded store every running
// run is orphaned at the start, since no other process collects into it.
func (r *Runner) Start(ctx context.Context) error {
	if r.closing() {
		return errClosing
	}

	silence, interval := orphanedAfter, sharedHeartbeatInterval
	if r.store.Path() != "" {
		silence, interval = 0, heartbeatInterval
	}
	if _, err := r.interruptOrphaned(ctx, silence); err != nil {
		return err
	}
	if err := r.openQueue(ctx); err != nil {
		return err
	}

	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return errClosing
	}
	ctx, r.stop = context.WithCancel(context.WithoutCancel(ctx))
	r.work.Go(func() { r.maintain(ctx, interval) })
	return nil
}

// openQueue replaces the queue of this process by that of the store.
func (r *Runner) openQueue(ctx context.Context) error {
	var opened queue = newPool(r.log, r.options.Parallel)
	if r.store.Pool() != nil {
		opened = newRiverQueue(r.store.Pool(), r.log, r.options.Parallel)
	}
	if err := opened.Start(ctx, handlers{execute: r.executeQueued, tick: r.everyMinute}); err != nil {
		return err
	}

	r.mu.Lock()
	former, closed := r.queue, r.closed
	r.queue = opened
	r.mu.Unlock()
	if closed { // Close has stopped the former one only
		return errors.Join(errClosing, opened.Stop(ctx))
	}

	r.requeue(ctx, 0)
	return former.Stop(ctx)
}

// Close interrupts the running runs of this process and waits until ctx ends for them to end. Queued runs stay queued,
// for another process or the next start.
func (r *Runner) Close(ctx context.Context) error {
	r.mu.Lock()
	r.closed = true
	for id, local := range r.runs {
		if local.cancel != nil {
			local.cancel(errClosing)
			continue
		}
		r.abandon(id, local)
	}
	r.stop()
	opened := r.queue
	r.mu.Unlock()

	stopped := opened.Stop(ctx)
	done := make(chan struct{})
	go func() { r.work.Wait(); close(done) }()
	select {
	case <-done:
		_ = r.flushOutcomes(ctx) // logged when they were rejected the first time
		return stopped
	case <-ctx.Done():
		return errors.Join(stopped, context.Cause(ctx))
	}
}

func (r *Runner) closing() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.closed
}

// Run returns a run with its current progress, which is newer than the store's if this process is executing the run.
func (r *Runner) Run(ctx context.Context, id int64) (models.Run, error) {
	stored, err := r.store.Run(ctx, id)
	if err != nil {
		return models.Run{}, err
	}
	return r.Now(stored), nil
}

// Now returns a run that was read from the store with its current progress, as Run does.
func (r *Runner) Now(run models.Run) models.Run {
	r.mu.Lock()
	defer r.mu.Unlock()
	if local, known := r.runs[run.ID]; known && local.cancel != nil && !run.Ended() {
		run.Progress = local.progress.Snapshot()
	}
	return run
}

// executes reports whether this process is executing the run.
func (r *Runner) executes(id int64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	local, known := r.runs[id]
	return known && local.cancel != nil
}

// executing returns the runs that this process is executing.
func (r *Runner) executing() (executing []*localRun) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, local := range r.runs {
		if local.cancel != nil {
			executing = append(executing, local)
		}
	}
	return executing
}

// local returns what this process knows of a run. The caller must hold mu.
func (r *Runner) local(id int64) *localRun {
	if _, known := r.runs[id]; !known {
		r.runs[id] = &localRun{progress: collectors.NewProgress(r.now), done: make(chan struct{})}
	}
	return r.runs[id]
}

// abandon ends the waiting for a run that this process will not execute. The caller must hold mu.
func (r *Runner) abandon(id int64, local *localRun) {
	local.err = collectors.Cancelled(errClosing)
	delete(r.runs, id)
	close(local.done)
}

// watch registers a waiter for the end of a run, until unwatch. On a closed runner the waiting ends at once.
func (r *Runner) watch(id int64) *localRun {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, known := r.runs[id]
	local := r.local(id)
	local.waiters++
	if r.closed && !known {
		r.abandon(id, local)
	}
	return local
}

func (r *Runner) unwatch(id int64, local *localRun) {
	r.mu.Lock()
	defer r.mu.Unlock()
	local.waiters--
	if local.waiters == 0 && local.cancel == nil && r.runs[id] == local {
		delete(r.runs, id)
	}
}
