package collectors

import (
	"context"
	"errors"
	"time"
)

// Queue decides which process carries out a run, and when: several replicas over one store share it, a single process has
// its own. Runs are rows of the store; a queue holds no more than their ids.
type Queue interface {
	// Start has the duties done until Stop.
	Start(ctx context.Context, d duties) error
	// Add has a queued run carried out once, soon. Those of a schedule leave room for those that a person waits for.
	Add(ctx context.Context, j job) error
	// Stop takes nothing more and waits until ctx ends for what is being carried out.
	Stop(ctx context.Context) error
}

// job is a run that waits to be carried out.
type job struct {
	run       int64
	scheduled bool
}

// duties are what a queue calls.
type duties struct {
	// carryOut carries out a run; models.ErrInstanceBusy asks to be called again later.
	carryOut func(ctx context.Context, run int64) error
	// tick is called every minute, in one of the processes that share a store.
	tick func(ctx context.Context) error
}

// Bounds of a process.
const (
	parallelRuns = 8  // targets that are read at a time
	MostParallel = 64 // the same where somebody wants more
	busyRetry    = time.Second
	tickEvery    = time.Minute
	tickTimeout  = 10 * time.Minute
)

// scheduledRuns is how many of the runs that a process carries out at a time may be a schedule's: a quarter is kept for
// what persons ask for.
func scheduledRuns(parallel int) int { return max(1, parallel-max(1, parallel/4)) }

var errTick = errors.New("what is due every minute took too long")
