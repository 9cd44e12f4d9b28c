package collectors

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"whalefall/migrations"
	"whalefall/models"
	"whalefall/testenv"
)

// seam is one implementation of Queue.
type seam struct {
	*testing.T
	store *models.Store
	open  func() Queue // as a process does; where the store is shared, each is another process
}

// seams are all implementations, over real stores.
var seams = map[string]func(t *testing.T) string{
	"pool":  func(t *testing.T) string { t.Helper(); return filepath.Join(t.TempDir(), "store.db") },
	"river": func(t *testing.T) string { t.Helper(); return testenv.PostgreSQL(t).NewDatabase(t) },
}

func newSeam(t *testing.T, address string) seam {
	t.Helper()
	store := openShared(t, address)
	log := slog.New(slog.DiscardHandler)
	return seam{T: t, store: store, open: func() Queue {
		if store.Pool() != nil {
			return newRiverQueue(store.Pool(), log, parallelRuns)
		}
		return newPool(log, parallelRuns)
	}}
}

// openShared opens a store with keys that are the test's.
func openShared(t *testing.T, address string) *models.Store {
	t.Helper()
	keys, err := models.CreateKeyset(filepath.Join(t.TempDir(), "keyset.json"))
	must(t, err)
	store, err := models.Open(t.Context(), models.Options{Address: address, Keyset: keys, Migrate: migrations.Up})
	must(t, err)
	t.Cleanup(func() { must(t, store.Close()) })
	return store
}

// clerk notes what a queue asks for.
type clerk struct {
	*testing.T
	queue  Queue
	hold   chan struct{}                    // what is carried out goes on until it is closed
	answer func(run int64, times int) error // nil: a run is carried out at once
	mu     sync.Mutex
	begun  []int64
	now    int // carried out at this moment
	most   int
	ticks  int
	ended  int
}

// staff starts a queue whose runs go on until release.
func (s seam) staff() *clerk {
	s.Helper()
	c := &clerk{T: s.T, queue: s.open(), hold: make(chan struct{})}
	c.start()
	return c
}

func (c *clerk) start() {
	c.Helper()
	must(c.T, c.queue.Start(c.Context(), duties{carryOut: c.carryOut, tick: c.tick}))
	c.Cleanup(func() {
		c.release()
		must(c.T, c.queue.Stop(context.Background()))
	})
}

func (c *clerk) carryOut(_ context.Context, run int64) error {
	c.mu.Lock()
	c.begun = append(c.begun, run)
	times := 0
	for _, b := range c.begun {
		if b == run {
			times++
		}
	}
	c.now++
	c.most = max(c.most, c.now)
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.now--
		c.ended++
	}()
	if c.answer != nil {
		return c.answer(run, times)
	}
	<-c.hold
	return nil
}

func (c *clerk) tick(context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ticks++
	return nil
}

func (c *clerk) release() {
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case <-c.hold:
	default:
		close(c.hold)
	}
}

func (c *clerk) add(jobs ...job) {
	c.Helper()
	for _, j := range jobs {
		must(c.T, c.queue.Add(c.Context(), j))
	}
}

// runs are those that were begun, in order of their ids.
func (c *clerk) runs() []int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Sorted(slices.Values(c.begun))
}

func (c *clerk) look(at *int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return *at
}

func (c *clerk) wantRuns(want ...int64) {
	c.Helper()
	patiently(c.T, "not all runs were begun", func() bool { return len(c.runs()) >= len(want) })
	time.Sleep(settleTime)
	if got := c.runs(); !slices.Equal(got, want) {
		c.Errorf("begun %v, want %v", got, want)
	}
}

// patiently is eventually for what several processes have to agree on.
func patiently(t *testing.T, complaint string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal(complaint)
		}
	}
}

// settleTime is longer than a queue takes to begin what it should not.
const settleTime = 300 * time.Millisecond

func byPerson(runs ...int64) (jobs []job) {
	for _, run := range runs {
		jobs = append(jobs, job{run: run})
	}
	return jobs
}

func bySchedule(runs ...int64) (jobs []job) {
	for _, run := range runs {
		jobs = append(jobs, job{run: run, scheduled: true})
	}
	return jobs
}

// What every queue has to do.
var queueCases = map[string]func(s seam){
	"what is added is carried out once, also when it is added again": func(s seam) {
		c := s.staff()
		c.add(byPerson(1, 2, 1, 1)...)
		c.wantRuns(1, 2)
		c.add(byPerson(1)...) // while it is carried out
		c.add(bySchedule(3, 3)...)
		c.wantRuns(1, 2, 3)
		c.release()
		patiently(c.T, "not all ended", func() bool { return c.look(&c.ended) == 3 })
		c.wantRuns(1, 2, 3)
	},
	"what is scheduled leaves room for what a person asks for": func(s seam) {
		c := s.staff()
		for run := range int64(20) {
			c.add(bySchedule(100 + run)...)
		}
		c.wantRuns(100, 101, 102, 103, 104, 105)
		c.add(byPerson(1, 2)...)
		c.wantRuns(1, 2, 100, 101, 102, 103, 104, 105)
		c.add(byPerson(3)...)
		c.wantRuns(1, 2, 100, 101, 102, 103, 104, 105)
		c.release()
		patiently(c.T, "not all ended", func() bool { return c.look(&c.ended) == 23 })
		if most := c.look(&c.most); most != parallelRuns {
			c.Errorf("%d at a time", most)
		}
	},
	"a person who asks for what a schedule waits with need not wait as long": func(s seam) {
		c := s.staff()
		for run := range int64(20) {
			c.add(bySchedule(100 + run)...)
		}
		c.wantRuns(100, 101, 102, 103, 104, 105)
		c.add(byPerson(119)...)
		c.wantRuns(100, 101, 102, 103, 104, 105, 119)
	},
	"what finds its instance busy is tried again later, and holds nothing up": func(s seam) {
		c := &clerk{T: s.T, queue: s.open(), hold: make(chan struct{})}
		free := make(chan struct{})
		c.answer = func(run int64, times int) error {
			switch {
			case run == 1 && times < 3:
				return models.ErrInstanceBusy
			case run == 1:
				close(free)
			}
			return nil
		}
		c.start()
		began := time.Now()
		c.add(byPerson(1, 2, 1)...)
		<-free
		if took := time.Since(began); took < 2*busyRetry {
			c.Errorf("tried three times in %v", took)
		}
		c.wantRuns(1, 1, 1, 2)
	},
	"a tick comes at the start": func(s seam) {
		c := s.staff()
		patiently(c.T, "no tick", func() bool { return c.look(&c.ticks) == 1 })
	},
	"a stop waits for what is carried out, and takes nothing more": func(s seam) {
		c := s.staff()
		c.add(byPerson(1)...)
		c.wantRuns(1)
		hurried, cancel := context.WithTimeout(c.Context(), settleTime)
		defer cancel()
		if err := c.queue.Stop(hurried); !errors.Is(err, context.DeadlineExceeded) {
			c.Errorf("it did not wait: %v", err)
		}
		stopped := make(chan error, 1)
		go func() { stopped <- c.queue.Stop(context.WithoutCancel(c.Context())) }()
		c.add(byPerson(2)...)
		c.wantRuns(1)
		select {
		case err := <-stopped:
			c.Errorf("it did not wait: %v", err)
		default:
		}
		c.release()
		must(c.T, <-stopped)
		c.wantRuns(1)
	},
}

func TestEveryQueueKeepsTheSameRules(t *testing.T) {
	for name, address := range seams {
		t.Run(name, func(t *testing.T) {
			for rule, play := range queueCases {
				t.Run(rule, func(t *testing.T) {
					s := newSeam(t, address(t))
					before := goleak.IgnoreCurrent()
					t.Cleanup(func() { goleak.VerifyNone(t, before) })
					play(s)
				})
			}
		})
	}
}

// Two queues over one store are two processes.
func TestProcessesShareAQueue(t *testing.T) {
	s := newSeam(t, seams["river"](t))
	first, second := s.staff(), s.staff()
	ticks := func() int { return first.look(&first.ticks) + second.look(&second.ticks) }
	patiently(t, "no tick", func() bool { return ticks() == 1 })
	for run := range int64(2 * parallelRuns) {
		first.add(byPerson(1 + run)...)
		second.add(byPerson(1 + run)...)
	}
	all := func() []int64 { return slices.Sorted(slices.Values(append(first.runs(), second.runs()...))) }
	patiently(t, "not all runs were begun", func() bool { return len(all()) == 2*parallelRuns })
	if len(first.runs()) != parallelRuns || len(slices.Compact(all())) != 2*parallelRuns || ticks() != 1 {
		t.Errorf("begun %v and %v, ticks %d", first.runs(), second.runs(), ticks())
	}
	leader, heir := first, second
	if leader.look(&leader.ticks) == 0 {
		leader, heir = second, first
	}
	heir.add(byPerson(100, 101)...)
	leader.release()
	must(t, leader.queue.Stop(t.Context()))
	patiently(t, "the clock stopped with its process", func() bool { return heir.look(&heir.ticks) == 1 })
	heir.release()
	patiently(t, "what waited was lost", func() bool { return slices.Contains(all(), 100) && slices.Contains(all(), 101) })
}

// A job looks as if it were carried out when its process was killed before it began.
func TestJobsOfADeadProcessAreBegunAgain(t *testing.T) {
	s := newSeam(t, seams["river"](t))
	dead := s.staff()
	dead.release()
	dead.add(byPerson(1)...)
	dead.add(bySchedule(2)...)
	patiently(t, "not carried out", func() bool { return dead.look(&dead.ended) == 2 })
	must(t, dead.queue.Stop(t.Context()))
	_, err := s.store.Pool().Exec(t.Context(), `UPDATE river_job SET state = 'running', finalized_at = NULL,
		attempted_at = now() - interval '1 minute' WHERE kind = 'collection_run'`)
	must(t, err)
	heir := s.staff()
	heir.add(byPerson(1)...) // as is done again and again for what is queued for long
	patiently(t, "not begun again", func() bool { return slices.Equal(heir.runs(), []int64{1, 2}) })
}

// What waits when a process stops is carried out by another one, or at the next start.
func TestWhatWaitsOutlivesItsProcess(t *testing.T) {
	for name, address := range seams {
		t.Run(name, func(t *testing.T) {
			store := openShared(t, address(t))
			before := goleak.IgnoreCurrent()
			slow := &slowCollector{answer: make(chan struct{})}
			engines := map[models.Engine]Collector{models.SQLite: slow}
			instance, err := store.CreateInstance(t.Context(), models.Instance{
				Name: "target", DBType: models.SQLite, DatabaseName: "/x.db", IsActive: true, TLSMode: models.TLSPrefer,
			}, nil, nil)
			must(t, err)
			first := NewService(store, engines, slog.New(slog.DiscardHandler))
			must(t, first.Resume(t.Context()))
			h := house{T: t, store: store, service: first, instance: instance}
			running, waiting := h.begin("a"), h.begin("b")
			patiently(t, "nothing was asked", func() bool { return slow.asked.Load() == 1 })
			must(t, first.Close(t.Context()))
			if h.run(running.ID).Status != models.RunInterrupted || h.run(waiting.ID).Status != models.RunQueued {
				t.Errorf("%+v, %+v", h.run(running.ID), h.run(waiting.ID))
			}
			close(slow.answer)
			h.service = NewService(store, engines, slog.New(slog.DiscardHandler))
			must(t, h.service.Resume(t.Context()))
			patiently(t, "what waited was lost", func() bool { return h.runEnded(waiting.ID) })
			if name == "river" { // begun again, because others may be there to do it
				patiently(t, "what was interrupted was lost", func() bool { return h.runEnded(waiting.ID + 1) })
				if again := h.run(waiting.ID + 1); again.Attempt != 2 || again.DatabaseName != "a" || again.Status != models.RunSucceeded {
					t.Errorf("%+v", again)
				}
			}
			must(t, h.service.Close(t.Context()))
			goleak.VerifyNone(t, before)
		})
	}
}
