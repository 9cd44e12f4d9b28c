package collectors

import (
	"testing"
	"time"
)

func TestTally_Add(t *testing.T) {
	t.Parallel()
	p := NewProgress(time.Now)
	ctx := WithProgress(t.Context(), p)
	var n Tally
	for range TallyStep - 1 {
		n.Add(ctx)
	}
	if seen := p.Snapshot().TablesSeen; seen != nil {
		t.Errorf("got %d tables before the first step", *seen)
	}
	n.Add(ctx)
	if seen := p.Snapshot().TablesSeen; seen == nil || *seen != TallyStep {
		t.Errorf("got %v tables, want %d", seen, TallyStep)
	}
}
