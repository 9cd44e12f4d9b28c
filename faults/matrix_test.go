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
)

// The dimensions of the matrix beside the faults.
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

// end is how a run may end: what its row says, and which snapshot the database then has.
type end struct {
	status   models.RunStatus
	snapshot string // "old" or "new"
}

// rule says what belongs into the cells that it matches; nil matches all.
type rule struct {
	phases, engines, stores []string
	na                      string // why the fault makes no sense there
	want                    []end  // any of them
}

func (r rule) matches(c cell) bool {
	return in(r.phases, c.phase) && in(r.engines, c.engine) && in(r.stores, c.store)
}

func in(names []string, name string) bool { return names == nil || slices.Contains(names, name) }

// fault is a row of the matrix.
type fault struct {
	name  string
	about string // what happens, for docs/reliability.md
	does  string // what the product does then
	rules []rule // the first that matches a cell counts; a cell without one is missing
	short cell   // its phase, engine and store are tried without the build tag, too

	tables int           // that appear on the target meanwhile; 0: 1
	alters bool          // what the target looks like while it lasts counts as new, too
	still  bool          // nothing else changes on the target
	small  bool          // the store is on a small file system
	slow   bool          // waits for long deadlines: its cells run at the same time
	lasts  time.Duration // how long it lasts; 0: until the run has ended
	// strike makes the fault while the run is in the phase, and returns what takes it away again.
	strike func(s *stage) (heal func())
	// play is the whole of a cell that strike cannot tell; nil elsewhere.
	play func(h *hall, t *testing.T, c cell) result
}

// rule is what belongs into the cell.
func (f *fault) rule(c cell) (rule, bool) {
	at := slices.IndexFunc(f.rules, func(r rule) bool { return r.matches(c) })
	if at < 0 {
		return rule{}, false
	}
	return f.rules[at], true
}

// result is what came of a cell.
type result struct {
	na      string
	end     end
	reason  string          // of a failure
	took    []time.Duration // of each request for a page meanwhile
	refused int             // of them, answered with a server error
}

// allCells is the whole matrix, cells without a rule included.
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

func TestNoCellIsMissing(t *testing.T) {
	for _, c := range allCells() {
		r, found := c.fault.rule(c)
		if !found || (r.na == "") == (len(r.want) == 0) {
			t.Errorf("%s says neither what is wanted nor why it makes no sense", c)
		}
	}
	for _, f := range faults {
		if r, _ := f.rule(f.shortest()); r.na != "" {
			t.Errorf("%s is not tried without the build tag: %s", f.name, r.na)
		}
	}
}

// shortest is the cell that is tried without the build tag.
func (f *fault) shortest() cell { return cell{f, f.short.phase, f.short.engine, f.short.store} }

// results are those of this run of the tests.
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
	h := newHall(t)
	got := &results{of: map[cell]result{}}
	for _, f := range faults {
		t.Run(strings.ReplaceAll(f.name, " ", "_"), func(t *testing.T) {
			for _, phase := range phases {
				t.Run(phase, func(t *testing.T) {
					if f.slow {
						defer noLeaks(t, cell{engine: "SQL Server"})()
					}
					h.tryPhase(t, f, phase, got)
				})
			}
			if took, _ := got.pages(f); whole && percentile(took, 99) > pagesWithin {
				t.Errorf("p99 of %d pages is %s", len(took), milliseconds(percentile(took, 99)))
			}
		})
	}
	if whole {
		must(t, got.keep(os.Stdout))
	}
}

// tryPhase tries the cells of one phase. Those of a slow fault wait side by side, each before a target of its own.
func (h *hall) tryPhase(t *testing.T, f *fault, phase string, got *results) {
	for _, store := range stores {
		t.Run(store, func(t *testing.T) {
			for _, engine := range engines {
				c := cell{f, phase, engine, store}
				r, _ := f.rule(c)
				if r.na != "" {
					got.add(c, result{na: r.na})
					continue
				}
				if !whole && c != f.shortest() {
					continue
				}
				t.Run(engine, func(t *testing.T) {
					if f.slow {
						t.Parallel()
					} else {
						defer noLeaks(t, c)()
					}
					got.add(c, h.tryCell(t, c, r.want))
				})
			}
		})
	}
}

func (h *hall) tryCell(t *testing.T, c cell, want []end) result {
	t.Helper()
	began := time.Now()
	got := h.try(t, c)
	t.Logf("%s %s; %d pages, p99 %s, %d refused; %v", got.end, got.reason, len(got.took), milliseconds(percentile(got.took, 99)),
		got.refused, time.Since(began).Round(time.Millisecond))
	if !slices.Contains(want, got.end) {
		t.Errorf("wanted any of %v", want)
	}
	return got
}

// percentile is the p-th of a hundred of the times, 0 of none.
func percentile(times []time.Duration, p int) time.Duration {
	if len(times) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(times))
	return sorted[(len(sorted)*p-1)/100]
}

// pagesWithin is what the slowest but one of a hundred pages may take while a fault lasts.
const pagesWithin = 50 * time.Millisecond

// pages are the times of all pages that were asked for while the fault lasted, and how many were refused.
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

// noLeaks has the test fail when it has left goroutines behind that are not those of its servers.
func noLeaks(t *testing.T, c cell) (check func()) {
	options := []goleak.Option{
		goleak.IgnoreCurrent(),
		goleak.IgnoreAnyFunction("whalefall/testenv.(*Proxy).accept"),
		goleak.IgnoreAnyFunction("whalefall/testenv.startProcess.func1"),
	}
	if c.engine == "Oracle" || c.engine == "SQL Server" { // the emulated ones keep catalogues in SQLite
		options = append(options, goleak.IgnoreAnyFunction("database/sql.(*DB).connectionOpener"))
	}
	return func() { goleak.VerifyNone(t, options...) }
}

func (e end) String() string { return fmt.Sprintf("%s with the %s snapshot", e.status, e.snapshot) }
