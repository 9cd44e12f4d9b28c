package faults

import (
	"context"
	"fmt"
	"testing"
	"time"

	"whalefall/collectors/jobs"
	"whalefall/models"
	"whalefall/testenv"
)

// runManyInstances refreshes many instances at once, all of one server that allows few connections.
func runManyInstances(h *harness, t *testing.T, c cell) result {
	t.Helper()
	s := newScenario(t, h, c)
	defer s.close()
	count := 1000
	if !whole {
		count = 50
	}
	s.login()
	s.refresh(s.reference)
	wire := s.target.proxy()
	defer wire.Heal(t)
	wire.Delay(5 * time.Millisecond)
	wire.Limit(10)
	runs := s.startAll(count)
	s.run = runs[0]
	pages := s.browse()
	status := map[models.RunStatus]int{}
	for _, id := range runs {
		s.run = id
		if !testenv.WaitAtMost(10*time.Minute, s.ended) {
			t.Fatalf("run %d has not ended", id)
		}
		status[s.currentRun().Status]++
	}
	out := pages.stop()
	out.end = end{models.RunSucceeded, "new"}
	if status[models.RunSucceeded] != count {
		out.end.status, out.reason = models.RunFailed, fmt.Sprint(status)
	}
	if wire.Peak() > 10 {
		t.Errorf("got %d concurrent connections, want 10 at most", wire.Peak())
	}
	testenv.WaitFor(t, "our connections to the target to close", func() bool { return s.target.connections(t) == 0 })
	return out
}

// startAll adds instances of the target and requests a refresh of each.
func (s *scenario) startAll(count int) (runs []int64) {
	s.Helper()
	first, err := s.store.Instance(context.Background(), s.watched)
	must(s, err)
	for i := range count {
		instance := s.target.instance()
		instance.Name, instance.IsActive, instance.TLSMode = fmt.Sprintf("many %d", i), true, models.TLSDisable
		made, err := s.store.CreateInstance(context.Background(), instance, nil, &models.TypedLogin{
			Username: first.Credential.Username, Password: s.target.password(),
		})
		must(s, err)
		run, err := s.runner.Request(context.Background(), jobs.Tables(models.Requester{}, made.ID, s.target.database()))
		must(s, err)
		runs = append(runs, run.ID)
	}
	return runs
}
