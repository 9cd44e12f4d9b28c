package faults

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"whalefall/models"
	"whalefall/testenv"
)

// Dimensions of the matrix, besides faults and engines.
var (
	phases = []string{"queued", "connecting", "querying", "storing"}
	stores = []string{"SQLite", "PostgreSQL"}
)

// cell is one place of the matrix.
type cell struct {
	fault                *fault
	phase, engine, store string
}

func (c cell) String() string {
	return strings.Join([]string{c.fault.name, c.phase, c.engine, c.store}, "/")
}

// end is how a run ended: its status, and which snapshot the database then has.
type end struct {
	status   models.RunStatus
	snapshot string // "old" or "new"
}

// rule is the expectation for the cells that it matches; nil matches all.
type rule struct {
	phases, engines, stores []string
	na                      string // why the fault does not apply
	want                    []end  // acceptable ones
}

func (r rule) matches(c cell) bool {
	return in(r.phases, c.phase) && in(r.engines, c.engine) && in(r.stores, c.store)
}

func in(names []string, name string) bool { return names == nil || slices.Contains(names, name) }

// fault is a row of the matrix.
type fault struct {
	name        string
	description string // what happens, for docs/reliability.md
	effect      string // what the product does, for docs/reliability.md
	rules       []rule // the first that matches a cell counts; every cell must match one
	sample      cell   // phase, engine and store that are tried without the build tag

	tables       int           // new on the target before the run; 0: 1
	altersTarget bool          // the target as it is during the fault counts as new, too
	static       bool          // nothing else changes on the target
	smallStore   bool          // the store is on a small file system
	slow         bool          // waits for long deadlines: its cells run in parallel
	duration     time.Duration // 0: until the run has ended
	// inject injects the fault while the run is held in the phase; heal ends it.
	inject func(s *scenario) (heal func())
	// run tries a cell in place of scenario.tryFault; nil: inject is enough.
	run func(h *harness, t *testing.T, c cell) result
}

// rule returns the rule of the cell.
func (f *fault) rule(c cell) (rule, bool) {
	at := slices.IndexFunc(f.rules, func(r rule) bool { return r.matches(c) })
	if at < 0 {
		return rule{}, false
	}
	return f.rules[at], true
}

// result is the result of a cell.
type result struct {
	na      string // why the fault does not apply
	end     end
	reason  string          // of a failed run
	took    []time.Duration // for each page requested during the fault
	refused int             // requests that got a server error or no response
}

// allCells returns the whole matrix, including cells without a rule.
func allCells() (cells []cell) {
	for _, f := range faults {
		for _, phase := range phases {
			for _, engine := range engines {
				for _, store := range stores {
					cells = append(cells, cell{f, phase, engine, store})
				}
			}
		}
	}
	return cells
}

func TestMatrix_IsComplete(t *testing.T) {
	for _, c := range allCells() {
		r, found := c.fault.rule(c)
		if !found || (r.na == "") == (len(r.want) == 0) {
			t.Errorf("%s: got neither an expectation nor a reason why there is none", c)
		}
	}
	for _, f := range faults {
		if r, _ := f.rule(f.sampleCell()); r.na != "" {
			t.Errorf("the sample of %s does not apply: %s", f.name, r.na)
		}
	}
}

// sampleCell returns the cell that is tried without the build tag.
func (f *fault) sampleCell() cell { return cell{f, f.sample.phase, f.sample.engine, f.sample.store} }

// results holds the results of this test run.
type results struct {
	sync.Mutex
	of map[cell]result
}

func (r *results) add(c cell, got result) {
	r.Lock()
	defer r.Unlock()
	r.of[c] = got
}

func TestFaults(t *testing.T) {
	h := newHarness(t)
	got := &results{of: map[cell]result{}}
	for _, f := range faults {
		t.Run(strings.ReplaceAll(f.name, " ", "_"), func(t *testing.T) {
			for _, phase := range phases {
				t.Run(phase, func(t *testing.T) {
					if f.slow {
						defer checkLeaks(t, cell{engine: "SQL Server"})()
					}
					h.tryPhase(t, f, phase, got)
				})
			}
			if took, _ := got.pages(f); whole && percentile(took, 99) > pageLimit {
				t.Errorf("p99 of %d pages is %s, want %s at most",
					len(took), milliseconds(percentile(took, 99)), milliseconds(pageLimit))
			}
		})
	}
	if whole {
		must(t, got.save(os.Stdout))
	}
}

// tryPhase tries the cells of one phase. Those of a slow fault run in parallel, each with a target of its own.
func (h *harness) tryPhase(t *testing.T, f *fault, phase string, got *results) {
	for _, store := range stores {
		t.Run(store, func(t *testing.T) {
			for _, engine := range engines {
				c := cell{f, phase, engine, store}
				r, _ := f.rule(c)
				if r.na != "" {
					got.add(c, result{na: r.na})
					continue
				}
				if !whole && c != f.sampleCell() {
					continue
				}
				t.Run(engine, func(t *testing.T) {
					if f.slow {
						t.Parallel()
					} else {
						defer checkLeaks(t, c)()
					}
					got.add(c, h.tryCell(t, c, r.want))
				})
			}
		})
	}
}

func (h *harness) tryCell(t *testing.T, c cell, want []end) result {
	t.Helper()
	start := time.Now()
	got := h.try(t, c)
	t.Logf("%s %s; %d pages, p99 %s, %d refused; %v", got.end, got.reason, len(got.took),
		milliseconds(percentile(got.took, 99)), got.refused, time.Since(start).Round(time.Millisecond))
	if !slices.Contains(want, got.end) {
		t.Errorf("got %v, want any of %v", got.end, want)
	}
	return got
}

// percentile returns the p-th percentile of the times; 0 if there are none.
func percentile(times []time.Duration, p int) time.Duration {
	if len(times) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(times))
	return sorted[(len(sorted)*p-1)/100]
}

// pageLimit limits the 99th percentile of page latencies during a fault.
const pageLimit = 50 * time.Millisecond

// pages returns the latencies of all pages requested during the fault, and how many were refused.
func (r *results) pages(f *fault) (took []time.Duration, refused int) {
	r.Lock()
	defer r.Unlock()
	for c, got := range r.of {
		if c.fault == f {
			took, refused = append(took, got.took...), refused+got.refused
		}
	}
	return took, refused
}

// checkLeaks returns a function that fails the test if it has left goroutines behind, other than those of its servers.
func checkLeaks(t *testing.T, c cell) (check func()) {
	options := []goleak.Option{
		goleak.IgnoreCurrent(),
		goleak.IgnoreAnyFunction("whalefall/testenv.(*Proxy).accept"),
		goleak.IgnoreAnyFunction("whalefall/testenv.startProcess.func1"),
		goleak.IgnoreAnyFunction("whalefall/testenv.(*tcpServer).accept"),
	}
	if c.engine == "Oracle" || c.engine == "SQL Server" { // the emulated ones keep their catalogs in SQLite
		options = append(options, goleak.IgnoreAnyFunction("database/sql.(*DB).connectionOpener"))
	}
	return func() { testenv.NoLeaks(t, options...) }
}

func (e end) String() string { return fmt.Sprintf("%s with the %s snapshot", e.status, e.snapshot) }
