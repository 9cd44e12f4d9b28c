package collectors

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivertype"

	"whalefall/models"
)

// Queues of River. Those for runs are separate, so that a schedule leaves room for persons.
const (
	askedQueue     = "asked"
	scheduledQueue = "scheduled"
	clockQueue     = "clock"
)

const (
	queueAttempts  = 5                      // to begin a run; what failed in it is the row's matter
	fetchCooldown  = 5 * time.Millisecond   // between two looks for jobs; of what is added meanwhile nobody hears at once
	rescueAfter    = time.Minute            // a job that was not done by then is begun again: its process may be dead
	stuckAfter     = 2 * time.Hour          // longer than any run
	finishedJobs   = 24 * time.Hour         // jobs are kept that long; what was done is in the store's own rows
	riverStopGrace = 100 * time.Millisecond // for what is being carried out to hear that it ends
)

// runArgs name a run for River.
type runArgs struct {
	Run int64 `json:"run"`
}

// Kind is how River names the job.
func (runArgs) Kind() string { return "collection_run" }

// tickArgs ask for what is due.
type tickArgs struct{}

// Kind is how River names the job.
func (tickArgs) Kind() string { return "tick" }

// tickWorker does what is due.
type tickWorker struct {
	river.WorkerDefaults[tickArgs]
	tick func(ctx context.Context) error
}

// Timeout is how long that may take.
func (tickWorker) Timeout(*river.Job[tickArgs]) time.Duration { return tickTimeout }

// Work is called by River.
func (w tickWorker) Work(ctx context.Context, _ *river.Job[tickArgs]) error { return w.tick(ctx) }

// riverQueue is the Queue of all processes that share a PostgreSQL store.
type riverQueue struct {
	pool *pgxpool.Pool
	log  *slog.Logger

	parallel int
	client   *river.Client[pgx.Tx]
}

func newRiverQueue(pool *pgxpool.Pool, log *slog.Logger, parallel int) *riverQueue {
	return &riverQueue{pool: pool, log: log, parallel: parallel}
}

// Start takes part in the election of the process that says when a minute is over. That a run goes on for longer than
// rescueAfter does no harm: whoever is asked to begin it again finds it begun.
func (q *riverQueue) Start(ctx context.Context, d duties) (err error) {
	workers := river.NewWorkers()
	slots := make(chan struct{}, q.parallel)
	river.AddWorker(workers, river.WorkFunc(func(ctx context.Context, j *river.Job[runArgs]) error {
		return carryOutJob(ctx, d, slots, j.Args.Run)
	}))
	river.AddWorker(workers, tickWorker{tick: d.tick})
	minute := river.NewPeriodicJob(river.PeriodicInterval(tickEvery), everyTick, &river.PeriodicJobOpts{RunOnStart: true})
	q.client, err = river.NewClient(riverpgxv5.New(q.pool), &river.Config{
		Queues: map[string]river.QueueConfig{
			askedQueue: {MaxWorkers: q.parallel}, scheduledQueue: {MaxWorkers: scheduledRuns(q.parallel)}, clockQueue: {MaxWorkers: 1},
		},
		Workers: workers, PeriodicJobs: []*river.PeriodicJob{minute}, Logger: slog.New(newWarnings(q.log.Handler())), FetchCooldown: fetchCooldown,
		JobTimeout: rescueAfter, RescueStuckJobsAfter: rescueAfter, JobStuckThreshold: stuckAfter, MaxAttempts: queueAttempts,
		CompletedJobRetentionPeriod: finishedJobs, CancelledJobRetentionPeriod: finishedJobs, DiscardedJobRetentionPeriod: finishedJobs,
	})
	if err != nil {
		return err
	}
	return q.client.Start(context.WithoutCancel(ctx))
}

// everyTick is the job of one minute; one that died with its process holds up no later one.
func everyTick() (river.JobArgs, *river.InsertOpts) {
	once := openOnce(false)
	once.ByPeriod = tickEvery
	return tickArgs{}, &river.InsertOpts{Queue: clockQueue, MaxAttempts: 1, UniqueOpts: once}
}

// carryOutJob waits for one of the process's slots, which both queues of runs share, but not for long: another process may
// have one.
func carryOutJob(ctx context.Context, d duties, slots chan struct{}, run int64) error {
	select {
	case slots <- struct{}{}:
		defer func() { <-slots }()
	case <-ctx.Done():
		return river.JobSnooze(0)
	case <-time.After(busyRetry):
		return river.JobSnooze(0)
	}
	err := d.carryOut(ctx, run)
	if errors.Is(err, models.ErrInstanceBusy) {
		return river.JobSnooze(busyRetry)
	}
	return err
}

// openOnce keeps River from holding a second job for the same while one has not ended.
func openOnce(byArgs bool) river.UniqueOpts {
	return river.UniqueOpts{ByArgs: byArgs, ByQueue: true, ByState: []rivertype.JobState{
		rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateRetryable,
		rivertype.JobStateRunning, rivertype.JobStateScheduled,
	}}
}

// Add is heard by every process at once.
func (q *riverQueue) Add(ctx context.Context, j job) error {
	queue := askedQueue
	if j.scheduled {
		queue = scheduledQueue
	}
	_, err := q.client.Insert(ctx, runArgs{Run: j.run}, &river.InsertOpts{Queue: queue, UniqueOpts: openOnce(true)})
	return err
}

// Stop leaves what waits to the other processes.
func (q *riverQueue) Stop(ctx context.Context) error {
	soft, cancel := context.WithTimeout(ctx, riverStopGrace)
	defer cancel()
	if q.client.Stop(soft) == nil {
		return nil
	}
	return q.client.StopAndCancel(ctx)
}

// repeatAfter is how long River does not repeat itself, which it does many times a second while the store is away.
const repeatAfter = time.Minute

// warnings leaves out what River tells about its everyday, and what it told just before.
type warnings struct {
	slog.Handler
	told *told
}

func newWarnings(h slog.Handler) slog.Handler {
	return warnings{Handler: h, told: &told{at: map[string]time.Time{}}}
}

// Enabled reports whether the level is one of them.
func (w warnings) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn && w.Handler.Enabled(ctx, level)
}

// Handle is what slog asks for.
func (w warnings) Handle(ctx context.Context, r slog.Record) error {
	if !w.told.news(r.Message, r.Time) {
		return nil
	}
	return w.Handler.Handle(ctx, r)
}

// WithAttrs is what slog asks for.
func (w warnings) WithAttrs(attrs []slog.Attr) slog.Handler {
	return warnings{Handler: w.Handler.WithAttrs(attrs), told: w.told}
}

// WithGroup is what slog asks for.
func (w warnings) WithGroup(name string) slog.Handler {
	return warnings{Handler: w.Handler.WithGroup(name), told: w.told}
}

// told knows when each message was let through last.
type told struct {
	mu sync.Mutex
	at map[string]time.Time
}

// news reports whether the message was not let through for repeatAfter.
func (t *told) news(message string, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	maps.DeleteFunc(t.at, func(_ string, last time.Time) bool { return now.Sub(last).Abs() >= repeatAfter })
	if _, recently := t.at[message]; recently {
		return false
	}
	t.at[message] = now
	return true
}
