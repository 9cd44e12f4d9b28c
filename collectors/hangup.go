package collectors

import (
	"context"
	"time"
)

// HangUpAfter calls hangUp if the server has not ended its work HangUpGrace after ctx ended. The function it returns
// calls that off.
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
