package collectors

import (
	"context"
	"time"
)

// HangUpAfter ends a connection if its server goes on when ctx has ended. What it returns calls that off.
func HangUpAfter(ctx context.Context, hangUp func()) func() {
	done := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		select {
		case <-done:
		case <-time.After(HangUpGrace):
			hangUp()
		}
	})
	return func() {
		stop()
		close(done)
	}
}
