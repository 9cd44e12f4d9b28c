package collectors

import (
	"context"
	"time"
)

// hangUpGrace is how long a server may take to end what was given up, and to say goodbye.
const hangUpGrace = 500 * time.Millisecond

// hangUpAfter ends a connection if its server goes on when ctx has ended. What it returns calls that off.
func hangUpAfter(ctx context.Context, hangUp func()) func() {
	done := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		select {
		case <-done:
		case <-time.After(hangUpGrace):
			hangUp()
		}
	})
	return func() {
		stop()
		close(done)
	}
}
