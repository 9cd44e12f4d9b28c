// Package faults breaks things while WhaleFall collects and looks at what it makes of them: one matrix of fault, phase,
// engine and store. A run of all cells needs the build tag faults (task faults); without it each fault is tried once.
package faults

import (
	"os"
	"testing"
	"time"

	"whalefall/testenv"
)

func TestMain(m *testing.M) { os.Exit(testenv.Run(m)) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// patience is how long anything may take that should come soon.
const patience = 20 * time.Second

// eventually waits until done, or ends the test.
func eventually(t testing.TB, what string, done func() bool) {
	t.Helper()
	if !within(patience, done) {
		t.Fatalf("waited in vain: %s", what)
	}
}

// within reports whether done became true in time.
func within(limit time.Duration, done func() bool) bool {
	for deadline := time.Now().Add(limit); !done(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			return false
		}
	}
	return true
}

// await waits until what is closed, or ends the test.
func await(t testing.TB, what string, closed <-chan struct{}) {
	t.Helper()
	select {
	case <-closed:
	case <-time.After(patience):
		t.Fatalf("waited in vain: %s", what)
	}
}
