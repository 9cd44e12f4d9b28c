package handlers_test

import (
	"testing"
	"time"
)

// conditionTimeout is how long a test waits for a condition. It is generous: on a loaded machine only the wait gets
// longer.
const (
	conditionTimeout  = 60 * time.Second
	conditionInterval = 10 * time.Millisecond
)

// eventually waits until the condition holds.
func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	deadline := time.After(conditionTimeout)
	for !condition() {
		select {
		case <-deadline:
			t.Fatalf("%s: not within %s", what, conditionTimeout)
		case <-t.Context().Done():
			t.Fatalf("%s: %v", what, t.Context().Err())
		case <-time.After(conditionInterval):
		}
	}
}
