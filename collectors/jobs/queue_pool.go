package jobs

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"whalefall/models"
)

// pool is the queue of a single process.
type pool struct {
	log      *slog.Logger
	parallel int
	work     sync.WaitGroup
	stop     context.CancelFunc

	mu               sync.Mutex
	execute          func(job)
	stopped          bool
	requested        []job // by users
	scheduled        []job
	known            map[int64]bool // ids of the runs that wait or are executing
	running          int
	runningScheduled int
}

func newPool(log *slog.Logger, parallel int) *pool {
	return &pool{log: log, parallel: parallel, known: map[int64]bool{}, stop: func() {}}
}

// serve executes the jobs that are added, until Stop, and returns a context that ends then.
func (p *pool) serve(ctx context.Context, h handlers) context.Context {
	ctx, p.stop = context.WithCancel(context.WithoutCancel(ctx))
	p.mu.Lock()
	defer p.mu.Unlock()
	p.execute = func(j job) { p.run(ctx, h, j) }
	return ctx
}

// Start also ticks at once and then every minute.
func (p *pool) Start(ctx context.Context, h handlers) error {
	ctx = p.serve(ctx, h)
	p.work.Go(func() { p.clock(ctx, h) })
	return nil
}

func (p *pool) clock(ctx context.Context, h handlers) {
	minute := time.NewTicker(tickInterval)
	defer minute.Stop()
	for {
		p.tick(ctx, h)
		select {
		case <-ctx.Done():
			return
		case <-minute.C:
		}
	}
}

func (p *pool) tick(ctx context.Context, h handlers) {
	ctx, cancel := context.WithTimeoutCause(ctx, tickTimeout, errTickTimeout)
	defer cancel()
	if err := h.tick(ctx); err != nil && !errors.Is(err, context.Canceled) {
		p.log.ErrorContext(ctx, "tick failed", "error", err)
	}
}

// Add implements queue.
func (p *pool) Add(_ context.Context, j job) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	waiting := slices.Index(p.scheduled, job{run: j.run, scheduled: true})
	switch {
	case !p.known[j.run]:
		p.known[j.run] = true
		p.put(j)
	case !j.scheduled && waiting >= 0:
		p.scheduled = slices.Delete(p.scheduled, waiting, waiting+1)
		p.put(j)
	}
	return nil
}

// put lets a job wait for room. The caller must hold mu.
func (p *pool) put(j job) {
	if j.scheduled {
		p.scheduled = append(p.scheduled, j)
	} else {
		p.requested = append(p.requested, j)
	}
	p.startWaiting()
}

// startWaiting starts as many waiting jobs as there is room for. The caller must hold mu.
func (p *pool) startWaiting() {
	for !p.stopped {
		j, found := p.next()
		if !found {
			return
		}
		p.running++
		p.work.Go(func() { p.execute(j) })
	}
}

// next takes the next job that there is room for. The caller must hold mu.
func (p *pool) next() (j job, found bool) {
	switch {
	case p.running >= p.parallel:
		return job{}, false
	case len(p.requested) > 0:
		j, p.requested = p.requested[0], p.requested[1:]
		return j, true
	case len(p.scheduled) > 0 && p.runningScheduled < maxScheduled(p.parallel):
		j, p.scheduled = p.scheduled[0], p.scheduled[1:]
		p.runningScheduled++
		return j, true
	}
	return job{}, false
}

// run executes a job, and puts it back after busyRetry if its instance is busy.
func (p *pool) run(ctx context.Context, h handlers, j job) {
	err := h.execute(ctx, j.run)
	busy := errors.Is(err, models.ErrInstanceBusy)
	if err != nil && !busy && ctx.Err() == nil {
		p.log.ErrorContext(ctx, "run not executed", "refresh_id", j.run, "error", err)
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

// free makes the room of a job available to others, and forgets the job if it is done.
func (p *pool) free(j job, done bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.running--
	if j.scheduled {
		p.runningScheduled--
	}
	if done {
		delete(p.known, j.run)
	}
	p.startWaiting()
}

// Stop leaves waiting jobs to the next process that opens the store.
func (p *pool) Stop(ctx context.Context) error {
	p.mu.Lock()
	p.stopped = true
	p.mu.Unlock()
	p.stop()

	done := make(chan struct{})
	go func() { p.work.Wait(); close(done) }()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
