package jobs

import (
	"errors"
	"time"
)

// Deadlines and intervals of runs.
const (
	defaultWait             = 120 * time.Second      // Wait, where the options do not say otherwise
	heartbeatInterval       = 15 * time.Second       // between two heartbeats of a run, and two reconciliations
	sharedHeartbeatInterval = 500 * time.Millisecond // the same on a shared store; they also bring cancellations
	orphanedAfter           = time.Minute            // without a heartbeat
	cancelTimeout           = 10 * time.Second       // how long a cancellation, and a request behind one, wait for the end
	pollMin                 = 50 * time.Millisecond  // first interval of polling for the end of a run;
	pollMax                 = time.Second            // it doubles up to this one
	outcomeTimeout          = 30 * time.Second       // for the store to save an outcome
	outcomeRetryInterval    = time.Second            // between two attempts to save an outcome that the store rejected
)

// Deadlines and intervals of queues.
const (
	tickInterval   = time.Minute
	tickTimeout    = 10 * time.Minute
	busyRetry      = time.Second            // until a run of a busy instance is tried again
	fetchCooldown  = 5 * time.Millisecond   // least time between two fetches of River
	rescueAfter    = time.Minute            // until River starts an unfinished job again, as its process may be dead
	stuckAfter     = 2 * time.Hour          // longer than any run
	finishedJobs   = 24 * time.Hour         // how long River keeps finished jobs
	riverStopGrace = 100 * time.Millisecond // for running jobs to finish before River cancels them
	repeatAfter    = time.Minute            // until a repeated message of River is logged again
)

// Sizes of batches and queues.
const (
	defaultParallel = 8    // Parallel, where the options do not say otherwise
	MaxParallel     = 64   // most runs that one process may execute at a time
	requeueBatch    = 1000 // queued runs that one reconciliation adds to the queue
	claimBatch      = 100  // due instances that one transaction of the store claims
	queueAttempts   = 5    // of River to start a run; what fails within a run is stored with the run
)

// Causes of cancelled contexts.
var (
	errClosing         = errors.New("the process is stopping")
	errCancelRequested = errors.New("cancellation was requested")
	errTickTimeout     = errors.New("the work that is due every minute took too long")
)
