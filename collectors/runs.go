package collectors

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"time"

	"whalefall/models"
)

// Deadlines of runs as rows of the store.
const (
	aliveEvery    = 15 * time.Second       // how often a process says that its runs go on
	sharedEvery   = 500 * time.Millisecond // the same on a store of several processes, which also learn there what to cancel
	deadAfter     = time.Minute            // a run counts as interrupted when its process was silent for as long
	cancelTimeout = 10 * time.Second       // whoever cancels waits as long for the end
	endPoll       = 50 * time.Millisecond  // how soon those look who wait for a run that another process may carry out,
	endPollMost   = time.Second            // and how often at least
	endTimeout    = 30 * time.Second       // the store keeping how a run ended
	queueBatch    = 1000                   // runs that are added to the queue again at a time
)

// outcome is what a run brought.
type outcome struct {
	receipt models.Receipt
	synced  SyncResult // of a sync only
}

// run is one collection that callers of this process wait for, or that this process carries out.
type run struct {
	row      models.Run // once it is carried out here
	progress progress
	cancel   context.CancelCauseFunc // nil: not carried out here (yet)
	asked    bool                    // to cancel it
	waiting  int                     // callers

	done   chan struct{} // closed when result and err are known
	result outcome
	err    error
}

// ask keeps a run as queued, or joins the one that is open for the same.
func (s *Service) ask(ctx context.Context, row models.Run) (models.Run, error) {
	if s.closing() {
		return row, Cancelled(errClosing)
	}
	return s.askFor(ctx, row)
}

// askFor joins no run that is being cancelled: it waits for its end. One that is queued may be so since a former process.
func (s *Service) askFor(ctx context.Context, row models.Run) (models.Run, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cancelTimeout)
	defer cancel()
	row.RequestedAt = s.now()
	for {
		kept, joined, err := s.store.RequestRun(ctx, row)
		switch {
		case err != nil:
			return row, err
		case joined && s.owes(kept.ID):
			if err := s.settleEnds(ctx); err != nil {
				return row, err
			}
			continue
		case !joined || kept.Status == models.RunQueued:
			s.enqueue(ctx, kept.ID, row.Username == "")
			return kept, nil
		case kept.CancelRequestedAt == nil:
			return kept, nil
		}
		if _, err := s.untilEnded(ctx, kept.ID); err != nil {
			return row, Cancelled(err)
		}
	}
}

// enqueue may fail: the run stays queued in the store, and is added again.
func (s *Service) enqueue(ctx context.Context, id int64, scheduled bool) {
	s.mu.Lock()
	queue := s.queue
	s.mu.Unlock()
	if err := queue.Add(ctx, job{run: id, scheduled: scheduled}); err != nil {
		s.log.WarnContext(ctx, "a run waits longer than it should", "refresh_id", id, "error", err)
	}
}

// watch has a run's result kept for a caller who waits for it, until unwatch. A service that has ended keeps none.
func (s *Service) watch(id int64) *run {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, known := s.runs[id]
	r := s.known(id)
	r.waiting++
	if s.closed && !known {
		s.forsake(id, r)
	}
	return r
}

func (s *Service) unwatch(id int64, r *run) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r.waiting--
	if r.waiting == 0 && r.cancel == nil && s.runs[id] == r {
		delete(s.runs, id)
	}
}

// known is what this process knows of the run. The caller holds mu, as for forsake.
func (s *Service) known(id int64) *run {
	if _, known := s.runs[id]; !known {
		s.runs[id] = &run{progress: progress{now: s.now}, done: make(chan struct{})}
	}
	return s.runs[id]
}

// forsake tells those who wait that this process will not carry the run out.
func (s *Service) forsake(id int64, r *run) {
	r.err = Cancelled(errClosing)
	delete(s.runs, id)
	close(r.done)
}

// await waits until the run ends, as long as a request may.
func (s *Service) await(ctx context.Context, row models.Run) (outcome, error) {
	wait, cancel := context.WithTimeout(ctx, s.Wait)
	defer cancel()
	r, err := s.untilEnded(wait, row.ID)
	switch {
	case err != nil && wait.Err() != nil:
		late := &models.Error{Code: models.CodeTimeout, Key: "collect.still_running", Err: context.Cause(wait)}
		return outcome{}, late.With("refresh_id", row.ID)
	case err != nil:
		return outcome{}, err
	}
	return r.result, r.err
}

// untilEnded waits until a run has ended, whoever carries it out.
func (s *Service) untilEnded(ctx context.Context, id int64) (*run, error) {
	r := s.watch(id)
	defer s.unwatch(id, r)
	for pause := endPoll; ; pause = min(2*pause, endPollMost) {
		select {
		case <-r.done:
			return r, nil
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(pause):
		}
		if s.carriesOut(id) {
			continue
		}
		row, err := s.store.Run(ctx, id)
		if err != nil {
			return nil, err
		}
		if row = s.owedOr(row); row.Ended() {
			return outcomeOf(row)
		}
	}
}

// outcomeOf is what the store knows of a run that another process has carried out.
func outcomeOf(row models.Run) (*run, error) {
	r := &run{row: row, result: outcome{receipt: row.Receipt}}
	switch row.Status {
	case models.RunFailed:
		r.err = row.Failure
	case models.RunCancelled:
		r.err = Cancelled(errAsked)
	case models.RunInterrupted:
		r.err = Cancelled(errClosing)
	default:
		if row.Result != nil {
			decoder := json.NewDecoder(strings.NewReader(*row.Result))
			decoder.UseNumber() // as in the texts of errors
			return r, decoder.Decode(&r.result.synced)
		}
	}
	return r, nil
}

// carryOut carries out a queued run, and then what else is queued for its instance: whoever finds the instance busy leaves
// that to the one who reads it. What it has claimed it ends, also when the queue stops.
func (s *Service) carryOut(ctx context.Context, id int64) error {
	if s.closing() {
		return models.ErrInstanceBusy
	}
	ctx = context.WithoutCancel(ctx)
	row, err := s.store.ClaimRun(ctx, id, s.owner, s.now())
	for err == nil {
		s.ended(ctx, s.perform(ctx, row))
		row, err = s.claimNext(ctx, row.InstanceID)
	}
	if errors.Is(err, models.ErrRunTaken) || errors.Is(err, models.ErrInstanceBusy) {
		return nil
	}
	return err
}

// claimNext claims what is queued for the instance; ErrRunTaken: nothing is.
func (s *Service) claimNext(ctx context.Context, instanceID int64) (models.Run, error) {
	for !s.closing() {
		next, err := s.store.NextRuns(ctx, instanceID, 1)
		if err != nil {
			return models.Run{}, err
		}
		if len(next) == 0 {
			break
		}
		row, err := s.store.ClaimRun(ctx, next[0].ID, s.owner, s.now())
		if !errors.Is(err, models.ErrRunTaken) { // else it was cancelled meanwhile
			return row, err
		}
	}
	return models.Run{}, models.ErrRunTaken
}

// perform carries out a run that is ours. It ends by its own deadline, when somebody cancels it, or when the service closes.
func (s *Service) perform(ctx context.Context, row models.Run) models.Run {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	r := s.begin(row, cancel)
	defer s.finish(r)
	limited, stop := context.WithTimeoutCause(withProgress(ctx, &r.progress), s.limit(row.Kind), errDeadline)
	defer stop()
	r.result, r.err = s.measure(limited, r)
	return s.end(ctx, r)
}

// begin has the run be known as carried out here.
func (s *Service) begin(row models.Run, cancel context.CancelCauseFunc) *run {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.known(row.ID)
	r.progress.begin(*row.StartedAt)
	r.row, r.cancel = row, cancel
	switch {
	case r.asked:
		cancel(errAsked)
	case s.closed:
		cancel(errClosing)
	}
	return r
}

func limitOf(kind models.RunKind) time.Duration {
	if kind == models.RunDatabases {
		return DatabasesTimeout
	}
	return TablesTimeout
}

// end keeps in the store how the run ended. What was collected stays collected where that fails: the run then looks
// interrupted.
func (s *Service) end(ctx context.Context, r *run) models.Run {
	now := s.now()
	row := r.row
	row.EndedAt, row.Receipt = &now, r.result.receipt
	status := models.RunSucceeded
	switch cause := context.Cause(ctx); {
	case r.err == nil:
		row.Result = r.result.synced.encode(row.Kind)
	case errors.Is(cause, errAsked):
		status, r.err = models.RunCancelled, Cancelled(r.err)
	case errors.Is(cause, errClosing):
		status = models.RunInterrupted
	default:
		status, row.Failure = models.RunFailed, models.AsError(aboutInstance(r.err, row.InstanceID, row.DatabaseName))
	}
	row.Progress = r.progress.ended(status, now)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTimeout)
	defer cancel()
	err := s.store.EndRun(ctx, row)
	if err != nil && !models.Is(err, models.CodeNotFound) { // a run goes with its instance
		s.log.ErrorContext(ctx, "how a run ended was not stored", "refresh_id", row.ID, "status", status, "error", err)
		s.owe(row)
	}
	if status == models.RunInterrupted {
		s.addQueued(ctx, row.InstanceID)
	}
	return row
}

func (s *Service) finish(r *run) {
	s.mu.Lock()
	delete(s.runs, r.row.ID)
	s.mu.Unlock()
	close(r.done)
}

// measure does the work and logs once how it went. A panic fails this one collection.
func (s *Service) measure(ctx context.Context, r *run) (result outcome, err error) {
	instance, target, err := s.target(ctx, r.row.InstanceID)
	if err != nil {
		if known := Settled(ctx, err); known != nil {
			err = known
		}
		return outcome{}, err
	}
	observed := s.Observe(instance.DBType, r.row.Kind)
	defer func() { observed(err) }()
	defer s.survive(ctx, string(r.row.Kind), &err)
	started := s.now()
	result, err = s.collect(ctx, r.row, instance, target)
	attrs := []any{
		"refresh_id", r.row.ID, "kind", r.row.Kind, "instance_id", instance.ID, "database", r.row.DatabaseName,
		"elapsed_ms", s.now().Sub(started).Milliseconds(),
	}
	if err != nil {
		s.log.WarnContext(ctx, "collection failed", append(attrs, "error", err)...)
		if known := Settled(ctx, err); known != nil {
			return outcome{}, known
		}
		return outcome{}, err
	}
	s.log.InfoContext(ctx, "collection finished", attrs...)
	return result, nil
}

func (s *Service) collect(ctx context.Context, row models.Run, instance models.Instance, t Target) (outcome, error) {
	if row.Kind == models.RunDatabases {
		synced, err := s.syncCapacity(ctx, instance, t)
		return outcome{synced: synced, receipt: synced.receipt()}, err
	}
	receipt, err := s.refresh(ctx, row, instance, t)
	return outcome{receipt: receipt}, err
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
	return s.Now(known), nil
}

// Now is a run as read from the store, with what this process has not stored yet of one that it carries out.
func (s *Service) Now(r models.Run) models.Run {
	s.mu.Lock()
	defer s.mu.Unlock()
	if here, known := s.runs[r.ID]; known && here.cancel != nil && !r.Ended() {
		r.Progress = here.progress.snapshot()
	}
	return r
}

// carriesOut reports whether this process carries the run out now.
func (s *Service) carriesOut(id int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, known := s.runs[id]
	return known && r.cancel != nil
}

// Cancel ends a run on its target and returns it as it is then: cancelled, or what it was when it had ended before. One
// that stores already what it found stores it to the end.
func (s *Service) Cancel(ctx context.Context, id int64) (models.Run, error) {
	known, err := s.store.Run(ctx, id)
	if err != nil || known.Ended() {
		return known, err
	}
	r := s.watch(id)
	defer s.unwatch(id, r)
	if err := s.store.RequestCancel(ctx, id); err != nil {
		return known, err
	}
	s.abandon(id)
	wait, done := context.WithTimeout(ctx, cancelTimeout)
	defer done()
	if _, err := s.untilEnded(wait, id); err != nil && wait.Err() == nil {
		return known, err
	}
	return s.Run(ctx, id)
}

// abandon ends the run if this process carries it out, or is about to.
func (s *Service) abandon(id int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, known := s.runs[id]
	if !known {
		return
	}
	r.asked = true
	if r.cancel != nil {
		r.cancel(errAsked)
	}
}

// Resume takes up work: it marks the runs that a former process has left behind as interrupted, and carries out what is
// queued, with the other processes of a shared store. From then on it keeps the rows of running ones alive, looks for those
// of processes that died, and does what is due every minute, until Close. Nobody but us collects into an embedded store.
func (s *Service) Resume(ctx context.Context) error {
	if s.closing() {
		return errClosing
	}
	silence, every := deadAfter, sharedEvery
	if s.store.Path() != "" {
		silence, every = 0, aliveEvery
	}
	if _, err := s.interrupt(ctx, silence); err != nil {
		return err
	}
	if err := s.open(ctx); err != nil {
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

// open changes to the queue of the store.
func (s *Service) open(ctx context.Context) error {
	var queue Queue = newPool(s.log, s.Parallel)
	if s.store.Pool() != nil {
		queue = newRiverQueue(s.store.Pool(), s.log, s.Parallel)
	}
	if err := queue.Start(ctx, duties{carryOut: s.carryOut, tick: s.everyMinute}); err != nil {
		return err
	}
	s.mu.Lock()
	former, closed := s.queue, s.closed
	s.queue = queue
	s.mu.Unlock()
	if closed { // which has not seen this queue
		return errors.Join(errClosing, queue.Stop(ctx))
	}
	s.addQueued(ctx, 0)
	return former.Stop(ctx)
}

// everyMinute does what is due.
func (s *Service) everyMinute(ctx context.Context) error {
	return errors.Join(s.Tick(ctx, s.now()), s.prune(ctx))
}

// prune deletes once a day what is too old.
func (s *Service) prune(ctx context.Context) error {
	now := s.now()
	today := s.store.Day(now)
	if s.pruned == today {
		return nil
	}
	sizes, err := s.store.PruneHistory(ctx)
	if err != nil {
		return err
	}
	runs := int64(0)
	if s.KeepRuns > 0 {
		if runs, err = s.store.PruneRuns(ctx, now.Add(-s.KeepRuns)); err != nil {
			return err
		}
	}
	if sizes+runs > 0 {
		s.log.InfoContext(ctx, "deleted what was too old", "table_sizes", sizes, "runs", runs)
	}
	s.pruned = today
	return nil
}

func (s *Service) interrupt(ctx context.Context, silence time.Duration) ([]models.Run, error) {
	ended, err := s.store.InterruptOrphanedRuns(ctx, silence)
	if len(ended) > 0 {
		s.log.WarnContext(ctx, "runs have lost their process", "runs", len(ended))
	}
	return ended, err
}

// keep looks after the rows of runs until ctx ends.
func (s *Service) keep(ctx context.Context, every time.Duration) {
	alive, sweep, ends := time.NewTicker(every), time.NewTicker(aliveEvery), time.NewTicker(endEvery)
	defer alive.Stop()
	defer sweep.Stop()
	defer ends.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-alive.C:
			s.keepRuns(ctx)
		case <-ends.C:
			_ = s.settleEnds(ctx) // again in a second
		case <-sweep.C:
			s.keepRuns(ctx) // first, so that a clock that was set forward does not make our own look dead
			s.sweep(ctx)
		}
	}
}

// sweep looks for runs whose process died, which are begun again, and for those that no queue knows of.
func (s *Service) sweep(ctx context.Context) {
	dead, err := s.interrupt(ctx, deadAfter)
	if err != nil && ctx.Err() == nil {
		s.log.WarnContext(ctx, "the store was not searched for dead runs", "error", err)
	}
	for _, r := range dead {
		s.ended(ctx, r)
	}
	s.addQueued(ctx, 0)
}

// addQueued adds to the queue what can begin, of which it may know already. A nonzero instanceID leaves out other instances.
func (s *Service) addQueued(ctx context.Context, instanceID int64) {
	queued, err := s.store.NextRuns(ctx, instanceID, queueBatch)
	if err != nil && ctx.Err() == nil {
		s.log.WarnContext(ctx, "the store was not searched for queued runs", "error", err)
	}
	for _, r := range queued {
		s.enqueue(ctx, r.ID, r.Username == "")
	}
}

// keepRuns writes how far the runs of this process are, and cancels those that another one was asked to.
func (s *Service) keepRuns(ctx context.Context) {
	for _, r := range s.carried() {
		cancel, err := s.store.Heartbeat(ctx, r.row.ID, r.progress.snapshot())
		if err != nil && ctx.Err() == nil {
			s.log.WarnContext(ctx, "a run looks less far than it is", "refresh_id", r.row.ID, "error", err)
		}
		if cancel {
			s.abandon(r.row.ID)
		}
	}
}

func (s *Service) carried() (carried []*run) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.runs {
		if r.cancel != nil {
			carried = append(carried, r)
		}
	}
	return carried
}
