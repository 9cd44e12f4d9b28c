package jobs

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"whalefall/models"
)

// queueFixture is a store and one implementation of queue over it.
type queueFixture struct {
	*testing.T
	store *models.Store
	open  func() queue // as a process does; on a shared store, each is the queue of another process
}

func newQueueFixture(t *testing.T, address string) queueFixture {
	t.Helper()
	store := openStore(t, address, nil)
	log := slog.New(slog.DiscardHandler)
	return queueFixture{T: t, store: store, open: func() queue {
		if store.Pool() != nil {
			return newRiverQueue(store.Pool(), log, defaultParallel)
		}
		return newPool(log, defaultParallel)
	}}
}

// recorder records what a queue calls.
type recorder struct {
	*testing.T
	queue  queue
	hold   chan struct{}                    // runs end when it is closed
	result func(run int64, calls int) error // nil: a run waits for hold

	mu      sync.Mutex
	started []int64
	running int
	most    int // running at a time
	ticks   int
	ended   int
}

// start starts a queue whose runs go on until release.
func (f queueFixture) start() *recorder {
	f.Helper()
	r := &recorder{T: f.T, queue: f.open(), hold: make(chan struct{})}
	r.start()
	return r
}

func (r *recorder) start() {
	r.Helper()
	must(r.T, r.queue.Start(r.Context(), handlers{execute: r.execute, tick: r.tick}))
	r.Cleanup(func() {
		r.release()
		must(r.T, r.queue.Stop(context.Background()))
	})
}

func (r *recorder) execute(_ context.Context, run int64) error {
	r.mu.Lock()
	r.started = append(r.started, run)
	calls := 0
	for _, started := range r.started {
		if started == run {
			calls++
		}
	}
	r.running++
	r.most = max(r.most, r.running)
	r.mu.Unlock()

	defer func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.running--
		r.ended++
	}()
	if r.result != nil {
		return r.result(run, calls)
	}
	<-r.hold
	return nil
}

func (r *recorder) tick(context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ticks++
	return nil
}

func (r *recorder) release() {
	r.mu.Lock()
	defer r.mu.Unlock()
	select {
	case <-r.hold:
	default:
		close(r.hold)
	}
}

func (r *recorder) add(jobs ...job) {
	r.Helper()
	for _, j := range jobs {
		must(r.T, r.queue.Add(r.Context(), j))
	}
}

// runs returns the started runs, in order of their ids.
func (r *recorder) runs() []int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Sorted(slices.Values(r.started))
}

func (r *recorder) get(counter *int) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return *counter
}

// wantRuns waits until as many runs have started, and then for settleTime that no other one does.
func (r *recorder) wantRuns(want ...int64) {
	r.Helper()
	eventually(r.T, "all runs started", func() bool { return len(r.runs()) >= len(want) })
	time.Sleep(settleTime)
	if got := r.runs(); !slices.Equal(got, want) {
		r.Errorf("got runs %v started, want %v", got, want)
	}
}

func requested(runs ...int64) (jobs []job) {
	for _, run := range runs {
		jobs = append(jobs, job{run: run})
	}
	return jobs
}

func fromSchedule(runs ...int64) (jobs []job) {
	for _, run := range runs {
		jobs = append(jobs, job{run: run, scheduled: true})
	}
	return jobs
}

// queueCases are what every implementation of queue has to do.
var queueCases = map[string]func(f queueFixture){
	"a run is executed once, however often it is added": func(f queueFixture) {
		r := f.start()
		r.add(requested(1, 2, 1, 1)...)
		r.wantRuns(1, 2)
		r.add(requested(1)...) // while it is executing
		r.add(fromSchedule(3, 3)...)
		r.wantRuns(1, 2, 3)
		r.release()
		eventually(r.T, "all runs ended", func() bool { return r.get(&r.ended) == 3 })
		r.wantRuns(1, 2, 3)
	},
	"scheduled runs leave room for requested ones": func(f queueFixture) {
		r := f.start()
		for run := range int64(20) {
			r.add(fromSchedule(100 + run)...)
		}
		r.wantRuns(100, 101, 102, 103, 104, 105)
		r.add(requested(1, 2)...)
		r.wantRuns(1, 2, 100, 101, 102, 103, 104, 105)
		r.add(requested(3)...)
		r.wantRuns(1, 2, 100, 101, 102, 103, 104, 105)
		r.release()
		eventually(r.T, "all runs ended", func() bool { return r.get(&r.ended) == 23 })
		if most := r.get(&r.most); most != defaultParallel {
			r.Errorf("got %d runs at a time, want %d", most, defaultParallel)
		}
	},
	"a request takes a scheduled run out of its turn": func(f queueFixture) {
		r := f.start()
		for run := range int64(20) {
			r.add(fromSchedule(100 + run)...)
		}
		r.wantRuns(100, 101, 102, 103, 104, 105)
		r.add(requested(119)...)
		r.wantRuns(100, 101, 102, 103, 104, 105, 119)
	},
	"a run of a busy instance is tried again later and does not hold up others": func(f queueFixture) {
		r := &recorder{T: f.T, queue: f.open(), hold: make(chan struct{})}
		free := make(chan struct{})
		r.result = func(run int64, calls int) error {
			switch {
			case run == 1 && calls < 3:
				return models.ErrInstanceBusy
			case run == 1:
				close(free)
			}
			return nil
		}
		r.start()
		began := time.Now()
		r.add(requested(1, 2, 1)...)
		<-free
		if took := time.Since(began); took < 2*busyRetry {
			r.Errorf("tried three times in %v, want at least %v", took, 2*busyRetry)
		}
		r.wantRuns(1, 1, 1, 2)
	},
	"ticks at the start": func(f queueFixture) {
		r := f.start()
		eventually(r.T, "a tick", func() bool { return r.get(&r.ticks) == 1 })
	},
	"stop waits for running runs and starts no others": func(f queueFixture) {
		r := f.start()
		r.add(requested(1)...)
		r.wantRuns(1)
		hurried, cancel := context.WithTimeout(r.Context(), settleTime)
		defer cancel()
		if err := r.queue.Stop(hurried); !errors.Is(err, context.DeadlineExceeded) {
			r.Errorf("got %v from Stop during a run, want %v", err, context.DeadlineExceeded)
		}
		stopped := make(chan error, 1)
		go func() { stopped <- r.queue.Stop(context.WithoutCancel(r.Context())) }()
		r.add(requested(2)...)
		r.wantRuns(1)
		select {
		case err := <-stopped:
			r.Errorf("got %v from Stop during a run, want it to wait", err)
		default:
		}
		r.release()
		must(r.T, <-stopped)
		r.wantRuns(1)
	},
}

func TestQueue(t *testing.T) {
	for name, address := range stores {
		t.Run(name, func(t *testing.T) {
			for what, test := range queueCases {
				t.Run(what, func(t *testing.T) {
					f := newQueueFixture(t, address(t))
					before := goleak.IgnoreCurrent()
					t.Cleanup(func() { goleak.VerifyNone(t, before) })
					test(f)
				})
			}
		})
	}
}

// TestRunner_BusyInstance requests many runs of one instance. They wait in the store, not in the queue.
func TestRunner_BusyInstance(t *testing.T) {
	onBothStores(t, func(t *testing.T, address string) {
		c := newBlocked()
		f := newFixtureOn(t, address, c)
		must(t, f.runner.Start(t.Context()))
		for n := range int64(30) {
			f.request("d" + string(rune('a'+n)))
		}
		eventually(t, "the queue has one job", func() bool { return c.readings.Load() == 1 && f.jobs() == 1 })
		c.release()
		eventually(t, "all runs succeeded", func() bool { return f.count(models.RunSucceeded) == 30 })
	})
}

// jobs returns the number of unfinished jobs in the queue.
func (f *fixture) jobs() (n int) {
	f.Helper()
	if own, is := f.runner.queue.(*pool); is {
		own.mu.Lock()
		defer own.mu.Unlock()
		return len(own.known)
	}
	must(f.T, f.store.Pool().QueryRow(f.Context(), `SELECT count(*) FROM river_job
		WHERE kind = 'collection_run' AND finalized_at IS NULL`).Scan(&n))
	return n
}
