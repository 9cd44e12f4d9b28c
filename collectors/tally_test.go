package collectors

import (
	"testing"
)

func TestTallyTellsNotOfEach(t *testing.T) {
	ctx, come := Watch(t.Context())
	var n Tally
	for range TallyStep - 1 {
		n.Add(ctx)
	}
	if seen := come().TablesSeen; seen != nil {
		t.Errorf("told of %d", *seen)
	}
	n.Add(ctx)
	if seen := come().TablesSeen; seen == nil || *seen != TallyStep {
		t.Errorf("told of %v, want %d", seen, TallyStep)
	}
}
