package collectortest

import (
	"context"
	"testing"
	"time"

	"whalefall/collectors"
	"whalefall/models"
)

// CancelTables ends a collection some time after it began and returns how long it took to come back.
func CancelTables(t *testing.T, c collectors.Collector, target collectors.Target, database string, after time.Duration) time.Duration {
	t.Helper()
	begun := time.Now()
	return CancelWhen(t, c, target, database, func() bool { return time.Since(begun) >= after })
}

// CancelWhen ends a collection when it has come to where it is to be ended.
func CancelWhen(t *testing.T, c collectors.Collector, target collectors.Target, database string, come func() bool) time.Duration {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() {
		_, err := c.Tables(ctx, target, database)
		done <- err
	}()
	Eventually(t, "the collection never came to where it is to be ended", come)
	cancel()
	ended := time.Now()
	WantError(t, <-done, models.CodeCollection, "collect.cancelled")
	return time.Since(ended)
}
