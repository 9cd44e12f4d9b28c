package collectors

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"whalefall/models"
)

// Deadlines of runs as rows of the store.
const (
	aliveEvery    = 15 * time.Second       // how often a process says that its runs go on
	sharedEvery   = 500 * time.Millisecond // the same on a store of several processes, which also learn there what to cancel
	deadAfter     = time.Minute            // a run counts as interrupted when its process was silent for as long
	cancelTimeout = 10 * time.Second       // whoever cancels waits as long for the end
	cancelPoll    = 50 * time.Millisecond  // how often they look, while another process ends the run
	endTimeout    = 30 * time.Second       // the store keeping how a run ended
)

// task is what a run is to do.
type task struct {
	key    string // the same for those that may join
	limit  time.Duration
	engine models.Engine
	run    models.Run // who asks for what
	work   func(context.Context) (outcome, error)
}

// outcome is what a run brought.
type outcome struct {
	receipt models.Receipt
	synced  SyncResult // of a sync only
}

// run is one collection that callers wait for.
type run struct {
	task
	progress progress
	cancel   context.CancelCauseFunc
	asked    bool // somebody asked to cancel; the service's mu guards it

	begun  chan struct{} // closed when id is known, 0 where the store did not take the run
	id     int64
	done   chan struct{} // closed when result and err are known
	result outcome
	err    error
}

// start begins the task, or joins the run that is under way for its key, unless that was cancelled. The work outlives the
// request that asked for it and ends by its own deadline, when somebody cancels it, or when the service closes.
func (s *Service) start(ctx context.Context, t task) *run {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r, ok := s.running[t.key]; ok && !r.asked {
		return r
	}
	t.run.RequestedAt = s.now()
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	r := &run{task: t, cancel: cancel, progress: progress{now: s.now}, begun: make(chan struct{}), done: make(chan struct{})}
	if s.closed {
		cancel(errClosing)
		r.err = cancelled(errClosing)
		close(r.begun)
		close(r.done)
		return r
	}
	s.running[t.key] = r
	s.work.Go(func() {
		defer cancel(nil)
		defer s.finish(r)
		if r.err = s.begin(ctx, r); r.err != nil {
			return
		}
		limited, stop := context.WithTimeoutCause(withProgress(ctx, &r.progress), t.limit, errDeadline)
		defer stop()
		r.result, r.err = s.measure(limited, r)
		s.end(ctx, r)
	})
	return r
}

// await waits until the run ends, as long as a request may.
func (s *Service) await(ctx context.Context, r *run) (outcome, error) {
	wait, cancel := context.WithTimeout(ctx, s.Wait)
	defer cancel()
	select {
	case <-r.done:
		return r.result, r.err
	case <-wait.Done():
	}
	late := &models.Error{Code: models.CodeTimeout, Key: "collect.still_running", Err: context.Cause(wait)}
	select {
	case <-r.begun:
		if r.id != 0 {
			late = late.With("refresh_id", r.id)
		}
	default:
	}
	return outcome{}, late
}

// begin keeps the run in the store.
func (s *Service) begin(ctx context.Context, r *run) error {
	defer close(r.begun)
	reached(withProgress(ctx, &r.progress), models.PhaseConnecting)
	row := r.task.run
	row.Progress, row.Owner = r.progress.snapshot(), s.owner
	row, err := s.store.StartRun(ctx, row)
	if err != nil {
		if known := settled(ctx, err); known != nil {
			return known
		}
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r.id = row.ID
	return nil
}

// end keeps in the store how the run ended. What was collected stays collected where that fails: the run then looks
// interrupted.
func (s *Service) end(ctx context.Context, r *run) {
	now := s.now()
	row := models.Run{ID: r.id, Owner: s.owner, EndedAt: &now, Receipt: r.result.receipt}
	status := models.RunSucceeded
	switch cause := context.Cause(ctx); {
	case r.err == nil:
	case errors.Is(cause, errAsked):
		status, r.err = models.RunCancelled, cancelled(r.err)
	case errors.Is(cause, errClosing):
		status = models.RunInterrupted
	default:
		status, row.Failure = models.RunFailed, models.AsError(aboutInstance(r.err, r.task.run.InstanceID, r.task.run.DatabaseName))
	}
	row.Progress = r.progress.ended(status, now)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTimeout)
	defer cancel()
	err := s.store.EndRun(ctx, row)
	if err != nil && models.AsError(err).Code != models.CodeNotFound { // a run goes with its instance
		s.log.ErrorContext(ctx, "how a run ended was not stored", "refresh_id", r.id, "status", status, "error", err)
	}
}

func (s *Service) finish(r *run) {
	s.mu.Lock()
	if s.running[r.key] == r {
		delete(s.running, r.key)
	}
	s.mu.Unlock()
	close(r.done)
}

// measure does the work and logs once how it went. A panic fails this one collection.
func (s *Service) measure(ctx context.Context, r *run) (result outcome, err error) {
	ended := s.Observe(r.engine, r.task.run.Kind)
	defer func() { ended(err) }()
	defer s.survive(ctx, r.key, &err)
	started := s.now()
	result, err = r.work(ctx)
	attrs := []any{"run", r.key, "refresh_id", r.id, "elapsed_ms", s.now().Sub(started).Milliseconds()}
	if err != nil {
		s.log.WarnContext(ctx, "collection failed", append(attrs, "error", err)...)
		if known := settled(ctx, err); known != nil {
			return outcome{}, known
		}
		return outcome{}, err
	}
	s.log.InfoContext(ctx, "collection finished", attrs...)
	return result, nil
}

// survive makes an error of a panic, as of a driver that does not understand its server. It is deferred.
func (s *Service) survive(ctx context.Context, what string, err *error) {
	if cause := recover(); cause != nil {
		s.log.ErrorContext(ctx, "collection panicked", "run", what, "panic", cause, "stack", string(debug.Stack()))
		*err = &models.Error{Code: models.CodeCollection, Key: "collect.failed_unexpectedly", Err: fmt.Errorf("panic: %v", cause)}
	}
}

// Run is a run as it is now: of one that this process carries out, what it has not stored yet, too.
func (s *Service) Run(ctx context.Context, id int64) (models.Run, error) {
	known, err := s.store.Run(ctx, id)
	if err != nil || known.Ended() {
		return known, err
	}
	if r := s.find(id); r != nil {
		known.Progress = r.progress.snapshot()
	}
	return known, nil
}

// find is the run of this process with the id; nil when there is none (any more).
func (s *Service) find(id int64) *run {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.running {
		if r.id == id {
			return r
		}
	}
	return nil
}

// Cancel ends a run on its target and returns it as it is then: cancelled, or what it was when it had ended before. One
// that stores already what it found stores it to the end.
func (s *Service) Cancel(ctx context.Context, id int64) (models.Run, error) {
	known, err := s.store.Run(ctx, id)
	if err != nil || known.Ended() {
		return known, err
	}
	wait, done := context.WithTimeout(ctx, cancelTimeout)
	defer done()
	if r := s.find(id); r != nil {
		s.abandon(r)
		select {
		case <-r.done:
		case <-wait.Done():
		}
		return s.Run(ctx, id)
	}
	if err := s.store.AskToCancel(ctx, id); err != nil {
		return known, err
	}
	for !known.Ended() && wait.Err() == nil {
		select {
		case <-wait.Done():
		case <-time.After(cancelPoll):
		}
		if known, err = s.store.Run(ctx, id); err != nil {
			return known, err
		}
	}
	return known, nil
}

// abandon ends the run, which nobody joins from then on.
func (s *Service) abandon(r *run) {
	s.mu.Lock()
	r.asked = true
	s.mu.Unlock()
	r.cancel(errAsked)
}

// Resume marks the runs that a former process has left behind as interrupted. From then on it keeps the rows of running
// ones alive, and looks for those of processes that died, until Close. Nobody but us collects into an embedded store.
func (s *Service) Resume(ctx context.Context) error {
	silence, every := deadAfter, sharedEvery
	if s.store.Path() != "" {
		silence, every = 0, aliveEvery
	}
	if err := s.interrupt(ctx, silence); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errClosing
	}
	ctx, s.stop = context.WithCancel(context.WithoutCancel(ctx))
	s.work.Go(func() { s.keep(ctx, every) })
	return nil
}

func (s *Service) interrupt(ctx context.Context, silence time.Duration) error {
	n, err := s.store.InterruptRuns(ctx, silence)
	if n > 0 {
		s.log.WarnContext(ctx, "runs have lost their process", "runs", n)
	}
	return err
}

// keep looks after the rows of runs until ctx ends.
func (s *Service) keep(ctx context.Context, every time.Duration) {
	alive, sweep := time.NewTicker(every), time.NewTicker(aliveEvery)
	defer alive.Stop()
	defer sweep.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-alive.C:
			s.keepRuns(ctx)
		case <-sweep.C:
			s.keepRuns(ctx) // first, so that a clock that was set forward does not make our own look dead
			if err := s.interrupt(ctx, deadAfter); err != nil && ctx.Err() == nil {
				s.log.WarnContext(ctx, "the store was not searched for dead runs", "error", err)
			}
		}
	}
}

// keepRuns writes how far the runs of this process are, and cancels those that another one was asked to.
func (s *Service) keepRuns(ctx context.Context) {
	for _, r := range s.begunRuns() {
		cancel, err := s.store.KeepRun(ctx, r.id, r.progress.snapshot())
		if err != nil && ctx.Err() == nil {
			s.log.WarnContext(ctx, "a run looks less far than it is", "refresh_id", r.id, "error", err)
		}
		if cancel {
			s.abandon(r)
		}
	}
}

func (s *Service) begunRuns() (begun []*run) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.running {
		if r.id != 0 {
			begun = append(begun, r)
		}
	}
	return begun
}
