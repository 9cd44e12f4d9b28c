package collectors

import "context"

// tally counts the tables of a run as they are measured. It tells how many they are every now and then, not of each.
type tally int

const tallyStep = 500

func (t *tally) more(ctx context.Context) {
	if *t++; *t%tallyStep == 0 {
		counted(ctx, int(*t))
	}
}
