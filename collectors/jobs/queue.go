package jobs

import "context"

// queue decides which process executes a run, and when. Processes that share a store share its queue; a single process
// has its own. Runs are rows of the store: a queue holds their ids only.
type queue interface {
	// Start calls the handlers until Stop.
	Start(ctx context.Context, h handlers) error
	// Add has a queued run executed once, soon. A job that the queue has already is ignored, except that a user's request
	// for a scheduled one takes it out of its turn. Scheduled jobs leave room for those that users wait for.
	Add(ctx context.Context, j job) error
	// Stop takes no more jobs and waits for the running ones until ctx ends.
	Stop(ctx context.Context) error
}

// job is a run that waits to be executed.
type job struct {
	run       int64
	scheduled bool
}

// handlers are the functions that a queue calls.
type handlers struct {
	// execute executes a run. ErrInstanceBusy asks to be called again later.
	execute func(ctx context.Context, run int64) error
	// tick is called every minute, in one of the processes that share a store.
	tick func(ctx context.Context) error
}

// maxScheduled returns how many scheduled runs a process executes at a time: a quarter is reserved for users.
func maxScheduled(parallel int) int { return max(1, parallel-max(1, parallel/4)) }
