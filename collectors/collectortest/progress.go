package collectortest

import (
	"context"
	"testing"
	"time"

	"whalefall/collectors"
	"whalefall/models"
)

// Watched returns a context for a collection and a function that returns the progress of the collection.
func Watched(t *testing.T) (context.Context, func() models.Progress) {
	p := collectors.NewProgress(time.Now)
	return collectors.WithProgress(t.Context(), p), p.Snapshot
}

// WantCount fails unless a count of tables is reported and is as wanted.
func WantCount(t *testing.T, what string, got *int64, want int) {
	t.Helper()
	if got == nil || *got != int64(want) {
		t.Errorf("%s: %s tables, want %d", what, Text(got), want)
	}
}

// checkProgress fails unless a collection reports every table that it lists, as expected and as counted.
func checkProgress(t *testing.T, f Fixture) {
	ctx, progress := Watched(t)
	result, err := f.Collector.Tables(ctx, f.Target, f.Database)
	if err != nil || len(result.Tables) == 0 {
		t.Fatalf("%+v, %v", result, err)
	}

	p := progress()
	WantCount(t, "seen", p.TablesSeen, len(result.Tables))
	WantCount(t, "all", p.TablesTotal, len(result.Tables))
}

// CheckTotalFirst fails unless the number of tables is reported before the first of them is measured, which the
// fixture's block prevents.
func CheckTotalFirst(t *testing.T, f Fixture) {
	t.Helper()
	release := f.Block(t)
	ctx, progress := Watched(t)
	done := make(chan models.TableResult, 1)
	go func() {
		result, err := f.Collector.Tables(ctx, f.Target, f.Database)
		if err != nil {
			t.Error(err)
		}
		done <- result
	}()
	Eventually(t, "the number of tables was not reported", func() bool { return progress().TablesTotal != nil })

	if seen := progress().TablesSeen; seen != nil {
		t.Errorf("%d tables are measured", *seen)
	}
	total := *progress().TablesTotal
	release()
	if result := <-done; int64(len(result.Tables)) != total {
		t.Errorf("got %d tables, %d were reported", len(result.Tables), total)
	}
}
