package jobs

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

// Queues of River, under the names that stored jobs have. Requested and scheduled runs are separate, so that a schedule
// leaves room for users.
const (
	requestedQueue = "asked"
	scheduledQueue = "scheduled"
	clockQueue     = "clock"
)

// runArgs are the arguments of the River job that executes a run.
type runArgs struct {
	Run int64 `json:"run"`
}

// Kind returns River's name of the job.
func (runArgs) Kind() string { return "collection_run" }

// tickArgs are the arguments of the River job that does what is due.
type tickArgs struct{}

// Kind returns River's name of the job.
func (tickArgs) Kind() string { return "tick" }

// tickWorker works the jobs of tickArgs.
type tickWorker struct {
	river.WorkerDefaults[tickArgs]
	tick func(ctx context.Context) error
}

// Timeout implements river.Worker.
func (tickWorker) Timeout(*river.Job[tickArgs]) time.Duration { return tickTimeout }

// Work implements river.Worker.
func (w tickWorker) Work(ctx context.Context, _ *river.Job[tickArgs]) error { return w.tick(ctx) }

// riverQueue is the queue of the processes that share a PostgreSQL store.
type riverQueue struct {
	pool     *pgxpool.Pool
	log      *slog.Logger
	parallel int
	client   *river.Client[pgx.Tx]
}

func newRiverQueue(pool *pgxpool.Pool, log *slog.Logger, parallel int) *riverQueue {
	return &riverQueue{pool: pool, log: log, parallel: parallel}
}

// Start also takes part in the election of the process that ticks. River starts a job again after rescueAfter even if
// its run is still running, which does no harm: the run is then no longer queued.
func (q *riverQueue) Start(ctx context.Context, h handlers) (err error) {
	workers := river.NewWorkers()
	slots := make(chan struct{}, q.parallel)
	river.AddWorker(workers, river.WorkFunc(func(ctx context.Context, j *river.Job[runArgs]) error {
		return executeJob(ctx, h, slots, j.Args.Run)
	}))
	river.AddWorker(workers, tickWorker{tick: h.tick})

	minute := river.NewPeriodicJob(river.PeriodicInterval(tickInterval), tickJob, &river.PeriodicJobOpts{RunOnStart: true})
	q.client, err = river.NewClient(riverpgxv5.New(q.pool), &river.Config{
		Queues: map[string]river.QueueConfig{
			requestedQueue: {MaxWorkers: q.parallel},
			scheduledQueue: {MaxWorkers: maxScheduled(q.parallel)},
			clockQueue:     {MaxWorkers: 1},
		},
		Workers: workers, PeriodicJobs: []*river.PeriodicJob{minute},
		Logger: slog.New(newWarnings(q.log.Handler())), FetchCooldown: fetchCooldown,
		JobTimeout: rescueAfter, RescueStuckJobsAfter: rescueAfter, JobStuckThreshold: stuckAfter, MaxAttempts: queueAttempts,
		CompletedJobRetentionPeriod: finishedJobs,
		CancelledJobRetentionPeriod: finishedJobs, DiscardedJobRetentionPeriod: finishedJobs,
	})
	if err != nil {
		return err
	}
	return q.client.Start(context.WithoutCancel(ctx))
}

// tickJob returns the job of one minute. One that died with its process does not hold up the next.
func tickJob() (river.JobArgs, *river.InsertOpts) {
	once := uniqueWhileOpen(false)
	once.ByPeriod = tickInterval
	return tickArgs{}, &river.InsertOpts{Queue: clockQueue, MaxAttempts: 1, UniqueOpts: once}
}

// executeJob executes a run in one of the slots that both queues of runs share. It waits for a slot no longer than
// busyRetry: another process may have a free one.
func executeJob(ctx context.Context, h handlers, slots chan struct{}, run int64) error {
	select {
	case slots <- struct{}{}:
		defer func() { <-slots }()
	case <-ctx.Done():
		return river.JobSnooze(0)
	case <-time.After(busyRetry):
		return river.JobSnooze(0)
	}

	err := h.execute(ctx, run)
	if errors.Is(err, models.ErrInstanceBusy) {
		return river.JobSnooze(busyRetry)
	}
	return err
}

// uniqueWhileOpen makes River ignore a job while another one of its kind and queue is open, with the same arguments if
// byArgs.
func uniqueWhileOpen(byArgs bool) river.UniqueOpts {
	return river.UniqueOpts{ByArgs: byArgs, ByQueue: true, ByState: []rivertype.JobState{
		rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateRetryable,
		rivertype.JobStateRunning, rivertype.JobStateScheduled,
	}}
}

// Add notifies every process at once.
func (q *riverQueue) Add(ctx context.Context, j job) error {
	name := requestedQueue
	if j.scheduled {
		name = scheduledQueue
	}
	_, err := q.client.Insert(ctx, runArgs{Run: j.run}, &river.InsertOpts{Queue: name, UniqueOpts: uniqueWhileOpen(true)})
	return err
}

// Stop leaves waiting jobs to the other processes.
func (q *riverQueue) Stop(ctx context.Context) error {
	soft, cancel := context.WithTimeout(ctx, riverStopGrace)
	defer cancel()
	if q.client.Stop(soft) == nil {
		return nil
	}
	return q.client.StopAndCancel(ctx)
}

// warnings is a handler that drops what is below a warning, and messages that were logged within repeatAfter: River
// repeats itself many times a second while the store is down.
type warnings struct {
	slog.Handler
	recent *recentMessages
}

func newWarnings(h slog.Handler) slog.Handler {
	return warnings{Handler: h, recent: &recentMessages{at: map[string]time.Time{}}}
}

// Enabled implements slog.Handler.
func (w warnings) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn && w.Handler.Enabled(ctx, level)
}

// Handle implements slog.Handler.
func (w warnings) Handle(ctx context.Context, r slog.Record) error {
	if !w.recent.add(r.Message, r.Time) {
		return nil
	}
	return w.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (w warnings) WithAttrs(attrs []slog.Attr) slog.Handler {
	return warnings{Handler: w.Handler.WithAttrs(attrs), recent: w.recent}
}

// WithGroup implements slog.Handler.
func (w warnings) WithGroup(name string) slog.Handler {
	return warnings{Handler: w.Handler.WithGroup(name), recent: w.recent}
}

// recentMessages are the messages of the last repeatAfter, with the time of each.
type recentMessages struct {
	mu sync.Mutex
	at map[string]time.Time
}

// add records a message, and reports whether it is not among the recent ones.
func (m *recentMessages) add(message string, now time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	maps.DeleteFunc(m.at, func(_ string, last time.Time) bool { return now.Sub(last).Abs() >= repeatAfter })
	if _, recent := m.at[message]; recent {
		return false
	}
	m.at[message] = now
	return true
}
