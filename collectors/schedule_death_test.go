package collectors

import (
	"log/slog"
	"testing"

	"whalefall/models"
)

// A process that is killed after it found the databases of a round leaves their tables to the next one.
func TestTablesOfARoundOutliveTheProcessThatFoundTheDatabases(t *testing.T) {
	onBothSchedules(t, func(h scheduled) {
		h.tick()
		h.clock.set(*h.schedule().NextAt)
		_, _, err := h.store.ClaimDue(h.Context(), h.clock.Now(), 1)
		must(h.T, err)
		for _, database := range []string{"app", "b/%ad'"} {
			_, err := h.store.AddDatabase(h.Context(), h.instance.ID, database, h.clock.Now())
			must(h.T, err)
		}
		asked, _, err := h.store.RequestRun(h.Context(), models.Run{
			InstanceID: h.instance.ID, Kind: models.RunDatabases, RequestedAt: h.clock.Now(), Configuration: configuration(h.instance),
		})
		must(h.T, err)
		run, err := h.store.ClaimRun(h.Context(), asked.ID, "dies", h.clock.Now())
		must(h.T, err)
		now := h.clock.Now()
		run.Status, run.EndedAt = models.RunSucceeded, &now
		must(h.T, h.store.EndRun(h.Context(), run))
		must(h.T, h.store.ScheduleOutcome(h.Context(), run)) // and is killed

		next := NewService(h.store, map[models.Engine]Collector{models.PostgreSQL: NewPostgreSQL()}, slog.New(slog.DiscardHandler))
		next.now = h.clock.Now
		must(h.T, next.Resume(h.Context()))
		defer func() { must(h.T, next.Close(t.Context())) }()
		for _, database := range []string{"app", "b/%ad'"} {
			h.waitUntil(func() bool { return h.collected(database) })
		}
		if got := h.schedule().LastStatus; got != models.RoundSucceeded {
			h.Errorf("the round is %s", got)
		}
	})
}
