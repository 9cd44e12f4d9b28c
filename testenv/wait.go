package testenv

import (
	"testing"
	"time"

	"go.uber.org/goleak"
)

// Patience limits every wait for something that should happen soon. Only a failing test ever waits that long, so it is
// long enough for a machine that is busy with other things.
const Patience = 2 * time.Minute

// pollInterval is the pause between two looks at a condition.
const pollInterval = 2 * time.Millisecond

// leakPatience limits the wait for goroutines that end by themselves, where goleak would give up after half a second.
const leakPatience = 10 * time.Second

// WaitFor polls the condition until it holds, and fails the test if it does not within Patience. The name completes
// "timed out waiting for …".
func WaitFor(t testing.TB, name string, condition func() bool) {
	t.Helper()
	if !WaitAtMost(Patience, condition) {
		t.Fatalf("timed out waiting for %s", name)
	}
}

// WaitForSignal waits until the channel is closed or delivers, and fails the test if it does not within Patience.
func WaitForSignal[T any](t testing.TB, name string, signal <-chan T) (received T) {
	t.Helper()
	select {
	case received = <-signal:
	case <-time.After(Patience):
		t.Fatalf("timed out waiting for %s", name)
	}
	return received
}

// WaitAtMost polls the condition for no longer than the limit, and reports whether it held.
func WaitAtMost(limit time.Duration, condition func() bool) bool {
	for deadline := time.Now().Add(limit); !condition(); time.Sleep(pollInterval) {
		if time.Now().After(deadline) {
			return false
		}
	}
	return true
}

// NoLeaks fails the test if it leaves goroutines behind, once those that end by themselves have had time to.
func NoLeaks(t testing.TB, options ...goleak.Option) {
	t.Helper()
	WaitAtMost(leakPatience, func() bool { return goleak.Find(options...) == nil })
	goleak.VerifyNone(t, options...)
}
