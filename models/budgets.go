package models

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// Intervals of request budgets.
const (
	budgetWindow       = time.Minute            // the period a budget is given for
	budgetShareEvery   = 500 * time.Millisecond // how often processes exchange used requests
	budgetShareTimeout = 2 * time.Second        // deadline of one exchange
	budgetForgetEvery  = time.Minute            // how often unused budgets are deleted
)

// budgets tracks how many of their requests a minute clients have used, by the generic cell rate algorithm: each
// request uses a share of the window and time gives it back, so one moment is all the state of a client.
type budgets struct {
	mu        sync.Mutex
	clients   map[string]*budget
	forgotten time.Time // when unused budgets were last deleted

	stop context.CancelFunc // nil: not shared
	work sync.WaitGroup
}

type budget struct {
	wholeAt  time.Time     // when all requests are available again
	each     time.Duration // share of the window that one request uses
	unshared int64         // requests not yet shared with other processes
}

// TakeRequest uses one of the client's perMinute requests. A client may use all of them in a burst. If none is left it
// returns false and when the next one is available. Processes that share a PostgreSQL store count together, half a
// second behind, and on their own while the store does not answer. TakeRequest never waits for the store.
func (s *Store) TakeRequest(client string, perMinute int) (next time.Time, allowed bool) {
	return s.budgets.request(client, perMinute, s.now(), true)
}

// HasRequest returns what TakeRequest would and uses nothing.
func (s *Store) HasRequest(client string, perMinute int) (next time.Time, allowed bool) {
	return s.budgets.request(client, perMinute, s.now(), false)
}

func (a *budgets) request(client string, perMinute int, now time.Time, take bool) (next time.Time, allowed bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.forget(now)
	b, known := a.clients[client]
	if !known {
		b = &budget{}
		a.clients[client] = b
	}
	b.each = budgetWindow / time.Duration(perMinute)
	used := b.used(now)
	b.wholeAt = now.Add(used)
	if used+b.each > budgetWindow {
		return b.wholeAt.Add(b.each - budgetWindow), false
	}
	if take {
		b.wholeAt = b.wholeAt.Add(b.each)
		b.unshared++
	}
	return now, true
}

// used returns how much of the window the client has used: at most all of it, even after the clock was set back.
func (b *budget) used(now time.Time) time.Duration {
	return min(max(0, b.wholeAt.Sub(now)), budgetWindow)
}

// forget deletes unused budgets once every budgetForgetEvery. The caller holds mu.
func (a *budgets) forget(now time.Time) {
	if age := now.Sub(a.forgotten); age >= 0 && age < budgetForgetEvery {
		return
	}
	a.forgotten = now
	maps.DeleteFunc(a.clients, func(_ string, b *budget) bool { return b.used(now) == 0 })
}

// shareBudgets starts exchanging used requests with the other processes of a PostgreSQL store, until Close.
func (s *Store) shareBudgets(ctx context.Context) {
	ctx, s.budgets.stop = context.WithCancel(context.WithoutCancel(ctx))
	s.budgets.work.Go(func() {
		share, forget := time.NewTicker(budgetShareEvery), time.NewTicker(budgetForgetEvery)
		defer share.Stop()
		defer forget.Stop()
		for {
			var err error
			select {
			case <-ctx.Done():
				return
			case <-share.C:
				err = s.shareUsed(ctx)
			case <-forget.C:
				err = s.forgetBudgets(ctx)
			}
			if err != nil && ctx.Err() == nil {
				s.log.DebugContext(ctx, "request budgets not shared", "error", err)
			}
		}
	})
}

// end stops sharing. It does nothing if the budgets are not shared.
func (a *budgets) end() {
	if a.stop != nil {
		a.stop()
	}
	a.work.Wait()
}

// usedRequests are what clients have used since this process last shared it.
type usedRequests struct {
	clients []string
	micros  []int64 // used share of the window, microseconds
}

// takeUnshared returns what other processes do not know yet, sorted by client: all processes lock the rows in that
// order.
func (a *budgets) takeUnshared() (used usedRequests) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, client := range slices.Sorted(maps.Keys(a.clients)) {
		if b := a.clients[client]; b.unshared > 0 {
			used.clients = append(used.clients, client)
			used.micros = append(used.micros, (time.Duration(b.unshared) * b.each).Microseconds())
			b.unshared = 0
		}
	}
	return used
}

// shareUsed writes what clients have used here and reads what they have used everywhere. If the store does not accept
// it, the other processes never learn of these requests.
func (s *Store) shareUsed(ctx context.Context) error {
	used := s.budgets.takeUnshared()
	if len(used.clients) == 0 {
		return nil
	}
	ctx, done := context.WithTimeoutCause(ctx, budgetShareTimeout, errQueryTimeout)
	defer done()
	rows, err := s.pool.Query(ctx, `INSERT INTO request_budgets AS b (client, whole_at)
		SELECT client, now() + least(micros, $3) * interval '1 microsecond'
		FROM unnest($1::text[], $2::bigint[]) AS used (client, micros)
		ON CONFLICT (client) DO UPDATE SET whole_at =
			least(greatest(b.whole_at, now()) + (excluded.whole_at - now()), now() + $3 * interval '1 microsecond')
		RETURNING client, (extract(epoch FROM whole_at - now()) * 1000000)::bigint`,
		used.clients, used.micros, budgetWindow.Microseconds())
	if err != nil {
		return err
	}
	var client string
	var micros int64
	_, err = pgx.ForEachRow(rows, []any{&client, &micros}, func() error {
		s.budgets.learn(client, time.Duration(micros)*time.Microsecond, s.now())
		return nil
	})
	return err
}

// learn sets what a client has used in all processes, plus what it has used here in the meantime.
func (a *budgets) learn(client string, used time.Duration, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if b, known := a.clients[client]; known {
		b.wholeAt = now.Add(used + time.Duration(b.unshared)*b.each)
	}
}

// forgetBudgets deletes unused budgets from the store and skips rows that another process has locked.
func (s *Store) forgetBudgets(ctx context.Context) error {
	ctx, done := context.WithTimeoutCause(ctx, budgetShareTimeout, errQueryTimeout)
	defer done()
	_, err := s.pool.Exec(ctx, `DELETE FROM request_budgets WHERE client IN (
		SELECT client FROM request_budgets WHERE whole_at < now() FOR UPDATE SKIP LOCKED)`)
	return err
}
