package jobs

import (
	"bytes"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestRiverQueue_Shared starts two queues over one store, as two processes do.
func TestRiverQueue_Shared(t *testing.T) {
	t.Parallel()
	f := newQueueFixture(t, postgresStore(t))
	first, second := f.start(), f.start()
	ticks := func() int { return first.get(&first.ticks) + second.get(&second.ticks) }
	eventually(t, "a tick", func() bool { return ticks() == 1 })
	for run := range int64(2 * defaultParallel) {
		first.add(requested(1 + run)...)
		second.add(requested(1 + run)...)
	}
	all := func() []int64 { return slices.Sorted(slices.Values(append(first.runs(), second.runs()...))) }
	eventually(t, "all runs started", func() bool { return len(all()) == 2*defaultParallel })
	if len(first.runs()) != defaultParallel || len(slices.Compact(all())) != 2*defaultParallel || ticks() != 1 {
		t.Errorf("got %v and %v started, %d ticks, want %d different runs each and one tick",
			first.runs(), second.runs(), ticks(), defaultParallel)
	}

	leader, heir := first, second
	if leader.get(&leader.ticks) == 0 {
		leader, heir = second, first
	}
	heir.add(requested(100, 101)...)
	leader.release()
	must(t, leader.queue.Stop(t.Context()))
	eventually(t, "a tick in the other process", func() bool { return heir.get(&heir.ticks) == 1 })
	heir.release()
	eventually(t, "the waiting runs started", func() bool {
		return slices.Contains(all(), 100) && slices.Contains(all(), 101)
	})
}

// TestRiverQueue_DeadProcess makes jobs look as if their process had been killed before it executed them.
func TestRiverQueue_DeadProcess(t *testing.T) {
	t.Parallel()
	f := newQueueFixture(t, postgresStore(t))
	dead := f.start()
	dead.release()
	dead.add(requested(1)...)
	dead.add(fromSchedule(2)...)
	eventually(t, "both runs ended", func() bool { return dead.get(&dead.ended) == 2 })
	must(t, dead.queue.Stop(t.Context()))
	_, err := f.store.Pool().Exec(t.Context(), `UPDATE river_job SET state = 'running', finalized_at = NULL,
		attempted_at = now() - interval '1 minute' WHERE kind = 'collection_run'`)
	must(t, err)
	heir := f.start()
	heir.add(requested(1)...) // as reconcile does again and again with queued runs
	eventually(t, "both runs started again", func() bool { return slices.Equal(heir.runs(), []int64{1, 2}) })
}

func TestWarnings(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	handler := newWarnings(slog.NewTextHandler(&out, nil))
	asked := handler.WithAttrs([]slog.Attr{slog.String("queue", "asked")})
	all := []slog.Handler{handler, asked, handler.WithGroup("river")}
	begin := time.Date(2026, 3, 9, 17, 30, 0, 0, time.UTC)
	messages := []string{"Error fetching jobs", "Job stuck"}
	for second := range 150 {
		now := begin.Add(time.Duration(second) * time.Second)
		for _, h := range all {
			for _, message := range messages {
				must(t, h.Handle(t.Context(), slog.NewRecord(now, slog.LevelError, message, 0)))
			}
		}
	}
	for _, message := range messages {
		if n := strings.Count(out.String(), message); n != 3 {
			t.Errorf("got %q %d times in 2.5 minutes, want 3", message, n)
		}
	}
	if handler.Enabled(t.Context(), slog.LevelInfo) || !handler.Enabled(t.Context(), slog.LevelWarn) {
		t.Error("got infos or no warnings, want warnings only")
	}
}
