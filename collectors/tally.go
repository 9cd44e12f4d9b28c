package collectors

import "context"

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
