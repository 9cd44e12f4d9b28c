// Package testenv gives tests real servers: private ones, started from the installed programs on a free port of
// 127.0.0.1 and stopped when the test process ends, or those that TEST_* variables name. Only tests import it.
package testenv

import (
	"crypto/rand"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

var shared struct {
	sync.Mutex
	stop    []func()          // for what was started once for the whole process
	skipped map[string]string // what was missing, by the name of the test
}

// Run runs the tests, stops the servers they started, and prints a line "SKIPPED: test: reason" for each test that
// called Missing. It returns the exit code.
func Run(m *testing.M) int { return runner{m: m}.Run() }

// Main does what Run does, fails if the tests leave goroutines behind, and exits.
func Main(m *testing.M, options ...goleak.Option) {
	goleak.VerifyTestMain(runner{m, true, options}, options...)
}

type runner struct {
	m       *testing.M
	leaks   bool // waits for goroutines that are about to end
	options []goleak.Option
}

func (r runner) Run() int {
	code := r.m.Run()
	shared.Lock()
	defer shared.Unlock()
	for _, stop := range slices.Backward(shared.stop) {
		stop()
	}
	names := make([]string, 0, len(shared.skipped))
	for name := range shared.skipped {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		fmt.Printf("SKIPPED: %s: %s\n", name, shared.skipped[name])
	}
	if r.leaks && code == 0 {
		WaitAtMost(leakPatience, func() bool { return goleak.Find(r.options...) == nil })
	}
	return code
}

// Missing ends a test for lack of the named thing: it is skipped and listed by Run, or fails if CI=true.
func Missing(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("missing: %s", what)
	}
	shared.Lock()
	if shared.skipped == nil {
		shared.skipped = map[string]string{}
	}
	shared.skipped[t.Name()] = what
	shared.Unlock()
	t.Skipf("missing: %s", what)
}

// stopAtExit makes Run call stop after the last test.
func stopAtExit(stop func()) {
	shared.Lock()
	defer shared.Unlock()
	shared.stop = append(shared.stop, stop)
}

// randomName returns a unique lower-case identifier.
func randomName(prefix string) string { return prefix + strings.ToLower(rand.Text()) }
