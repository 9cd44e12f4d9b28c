package collectors

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/go-co-op/gocron/v2"

	"whalefall/models"
)

// pool is the Queue of a single process.
type pool struct {
	log      *slog.Logger
	parallel int
	clock    gocron.Scheduler // nil: nothing is due every minute
	work     sync.WaitGroup
	stop     context.CancelFunc

	mu        sync.Mutex
	carryOut  func(job)
	stopped   bool
	asked     []job // by a person
	scheduled []job
	known     map[int64]bool // ids that wait or are being carried out
	running   int
	paced     int // of those running, by a schedule
}

func newPool(log *slog.Logger, parallel int) *pool {
	return &pool{log: log, parallel: parallel, known: map[int64]bool{}, stop: func() {}}
}

// serve carries out what is added, until Stop.
func (p *pool) serve(ctx context.Context, d duties) context.Context {
	ctx, p.stop = context.WithCancel(context.WithoutCancel(ctx))
	p.mu.Lock()
	defer p.mu.Unlock()
	p.carryOut = func(j job) { p.do(ctx, d, j) }
	return ctx
}

// Start also starts the clock.
func (p *pool) Start(ctx context.Context, d duties) (err error) {
	ctx = p.serve(ctx, d)
	if p.clock, err = gocron.NewScheduler(); err != nil {
		return err
	}
	_, err = p.clock.NewJob(gocron.DurationJob(tickEvery), gocron.NewTask(func() { p.tick(ctx, d) }),
		gocron.WithSingletonMode(gocron.LimitModeReschedule), gocron.WithStartAt(gocron.WithStartImmediately()))
	if err != nil {
		return errors.Join(err, p.clock.Shutdown())
	}
	p.clock.Start()
	return nil
}

func (p *pool) tick(ctx context.Context, d duties) {
	ctx, cancel := context.WithTimeoutCause(ctx, tickTimeout, errTick)
	defer cancel()
	if err := d.tick(ctx); err != nil && !errors.Is(err, context.Canceled) {
		p.log.ErrorContext(ctx, "what is due was not done", "error", err)
	}
}

// Add takes a run that waits already, or is being carried out, as said before, except that a person need not wait as long
// as a schedule.
func (p *pool) Add(_ context.Context, j job) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	paced := slices.Index(p.scheduled, job{run: j.run, scheduled: true})
	switch {
	case !p.known[j.run]:
		p.known[j.run] = true
		p.put(j)
	case !j.scheduled && paced >= 0:
		p.scheduled = slices.Delete(p.scheduled, paced, paced+1)
		p.put(j)
	}
	return nil
}

// put has the job wait for room. The caller holds mu, as for begin and next.
func (p *pool) put(j job) {
	if j.scheduled {
		p.scheduled = append(p.scheduled, j)
	} else {
		p.asked = append(p.asked, j)
	}
	p.begin()
}

// begin begins as many runs as there is room for.
func (p *pool) begin() {
	for !p.stopped {
		j, found := p.next()
		if !found {
			return
		}
		p.running++
		p.work.Go(func() { p.carryOut(j) })
	}
}

func (p *pool) next() (j job, found bool) {
	switch {
	case p.running >= p.parallel:
		return job{}, false
	case len(p.asked) > 0:
		j, p.asked = p.asked[0], p.asked[1:]
		return j, true
	case len(p.scheduled) > 0 && p.paced < scheduledRuns(p.parallel):
		j, p.scheduled = p.scheduled[0], p.scheduled[1:]
		p.paced++
		return j, true
	}
	return job{}, false
}

func (p *pool) do(ctx context.Context, d duties, j job) {
	err := d.carryOut(ctx, j.run)
	busy := errors.Is(err, models.ErrInstanceBusy)
	if err != nil && !busy && ctx.Err() == nil {
		p.log.ErrorContext(ctx, "a run was not carried out", "refresh_id", j.run, "error", err)
	}
	p.free(j, !busy)
	if !busy {
		return
	}
	select {
	case <-ctx.Done():
	case <-time.After(busyRetry):
		p.mu.Lock()
		defer p.mu.Unlock()
		p.put(j)
	}
}

// free makes room for another run.
func (p *pool) free(j job, done bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.running--
	if j.scheduled {
		p.paced--
	}
	if done {
		delete(p.known, j.run)
	}
	p.begin()
}

// Stop leaves what waits to whoever opens the store next.
func (p *pool) Stop(ctx context.Context) error {
	p.mu.Lock()
	p.stopped = true
	p.mu.Unlock()
	p.stop()
	var err error
	if p.clock != nil {
		err = p.clock.ShutdownWithContext(ctx)
	}
	done := make(chan struct{})
	go func() { p.work.Wait(); close(done) }()
	select {
	case <-done:
		return err
	case <-ctx.Done():
		return errors.Join(err, context.Cause(ctx))
	}
}
