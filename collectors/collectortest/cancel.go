package collectortest

import (
	"context"
	"testing"
	"time"

	"whalefall/collectors"
	"whalefall/models"
)

// CancelTables cancels a collection some time after its start and returns how long it took to return.
func CancelTables(
	t *testing.T, c collectors.Collector, target collectors.Target, database string, after time.Duration,
) time.Duration {
	t.Helper()
	begun := time.Now()
	return CancelWhen(t, c, target, database, func() bool { return time.Since(begun) >= after })
}

// CancelWhen cancels a collection as soon as reached returns true and returns how long it took to return.
func CancelWhen(
	t *testing.T, c collectors.Collector, target collectors.Target, database string, reached func() bool,
) time.Duration {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() {
		_, err := c.Tables(ctx, target, database)
		done <- err
	}()
	Eventually(t, "the collection did not reach the point to cancel it at", reached)
	cancel()
	ended := time.Now()
	WantError(t, <-done, models.CodeCollection, "collect.cancelled")
	return time.Since(ended)
}
