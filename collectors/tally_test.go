package collectors

import (
	"testing"
)

func TestTally_Add(t *testing.T) {
	t.Parallel()
	ctx, progress := Watch(t.Context())
	var n Tally
	for range TallyStep - 1 {
		n.Add(ctx)
	}
	if seen := progress().TablesSeen; seen != nil {
		t.Errorf("got %d tables before the first step", *seen)
	}
	n.Add(ctx)
	if seen := progress().TablesSeen; seen == nil || *seen != TallyStep {
		t.Errorf("got %v tables, want %d", seen, TallyStep)
	}
}
