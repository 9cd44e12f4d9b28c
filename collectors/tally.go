package collectors

import (
	"context"
	"time"

	"whalefall/models"
)

// Tally counts the tables of a collection as they are measured and reports the count every TallyStep tables.
type Tally int

// TallyStep is after how many tables a Tally reports its count.
const TallyStep = 500

// Add counts one more table.
func (t *Tally) Add(ctx context.Context) {
	if *t++; *t%TallyStep == 0 {
		Counted(ctx, int(*t))
	}
}

// Watch returns a context that collects the progress of the collections it is given to, and a function that returns the
// progress so far.
func Watch(ctx context.Context) (context.Context, func() models.Progress) {
	p := &progress{now: time.Now}
	return withProgress(ctx, p), p.snapshot
}
