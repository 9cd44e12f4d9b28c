package collectortest

import (
	"fmt"
	"testing"
	"time"
)

// Text returns a number for messages.
func Text(n *int64) string {
	if n == nil {
		return "unknown"
	}
	return fmt.Sprint(*n)
}

// Eventually fails with the complaint unless ok returns true within five seconds.
func Eventually(t *testing.T, complaint string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Error(complaint)
			return
		}
	}
}
