package models

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// How long things about budgets take.
const (
	budgetWindow       = time.Minute            // for which a budget is told, and in which it becomes whole
	budgetShareEvery   = 500 * time.Millisecond // processes tell each other what clients have used
	budgetShareTimeout = 2 * time.Second        // a store that is slower is not told
	budgetForgetEvery  = time.Minute            // whole ones
)

// budgets are what clients have used of their requests a minute. Each request uses up a share of the minute, and time gives
// it back (the generic cell rate algorithm), so that one moment tells all there is to know of a client.
type budgets struct {
	mu        sync.Mutex
	clients   map[string]*budget
	forgotten time.Time // when whole ones were last forgotten

	stop context.CancelFunc // nil: nobody shares them
	work sync.WaitGroup
}

type budget struct {
	wholeAt  time.Time     // nothing is used from then on
	each     time.Duration // of the window that a request uses
	unshared int64         // requests that other processes do not know of
}

// TakeRequest uses one of the requests that a client has a minute; as many may come at once. When there is none left, it is
// refused, and next is when there is one. Processes that share a PostgreSQL store count together, half a second late, and
// each for itself while the store does not answer. The store is not waited for.
func (s *Store) TakeRequest(client string, perMinute int) (next time.Time, allowed bool) {
	now := s.now()
	s.budgets.mu.Lock()
	defer s.budgets.mu.Unlock()
	s.budgets.forget(now)
	b, known := s.budgets.clients[client]
	if !known {
		b = &budget{}
		s.budgets.clients[client] = b
	}
	b.each = budgetWindow / time.Duration(perMinute)
	used := b.used(now)
	b.wholeAt = now.Add(used)
	if used+b.each > budgetWindow {
		return b.wholeAt.Add(b.each - budgetWindow), false
	}
	b.wholeAt = b.wholeAt.Add(b.each)
	b.unshared++
	return now, true
}

// used is the part of the window that the client has used; all of it at most, also after the clock was set back.
func (b *budget) used(now time.Time) time.Duration {
	return min(max(0, b.wholeAt.Sub(now)), budgetWindow)
}

// forget forgets whole budgets once in a while. The caller holds mu, as for every field.
func (a *budgets) forget(now time.Time) {
	if age := now.Sub(a.forgotten); age >= 0 && age < budgetForgetEvery {
		return
	}
	a.forgotten = now
	maps.DeleteFunc(a.clients, func(_ string, b *budget) bool { return b.used(now) == 0 })
}

// shareBudgets has the processes of a PostgreSQL store count together until Close.
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
				s.log.DebugContext(ctx, "requests are counted by this process alone", "error", err)
			}
		}
	})
}

// end is safe to call on budgets that nobody shares.
func (a *budgets) end() {
	if a.stop != nil {
		a.stop()
	}
	a.work.Wait()
}

// usedRequests are what clients have used since it was last told.
type usedRequests struct {
	clients []string
	micros  []int64 // of the window
}

// takeUnshared is in one order, in which all processes lock the rows.
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

// shareUsed tells what clients have used, and learns what they have used elsewhere. What the store does not take stays
// unknown to the others.
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

// learn keeps what a client has used everywhere. What it used here meanwhile comes on top.
func (a *budgets) learn(client string, used time.Duration, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if b, known := a.clients[client]; known {
		b.wholeAt = now.Add(used + time.Duration(b.unshared)*b.each)
	}
}

// forgetBudgets leaves those to others that they are changing.
func (s *Store) forgetBudgets(ctx context.Context) error {
	ctx, done := context.WithTimeoutCause(ctx, budgetShareTimeout, errQueryTimeout)
	defer done()
	_, err := s.pool.Exec(ctx, `DELETE FROM request_budgets WHERE client IN (
		SELECT client FROM request_budgets WHERE whole_at < now() FOR UPDATE SKIP LOCKED)`)
	return err
}
