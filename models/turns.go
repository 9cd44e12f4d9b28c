package models

import (
	"context"
	"slices"
	"sync"
)

// turns lets a few at a time do what is expensive. Those who wait get their turns by address, in rotation, so that a
// crowd at one address hardly delays the others.
type turns struct {
	mu      sync.Mutex
	free    int
	waiting []line // of each address that waits, in the order of their next turns
}

// line is who waits at one address, in order of arrival. A channel is closed when its turn has come.
type line struct {
	from string
	who  []chan struct{}
}

// take waits for a turn and reports whether there was one before ctx ended. If so, the caller must call done.
func (t *turns) take(ctx context.Context, from string) bool {
	t.mu.Lock()
	if t.free > 0 {
		t.free--
		t.mu.Unlock()
		return true
	}
	turn := t.join(from)
	t.mu.Unlock()

	select {
	case <-turn:
		return true
	case <-ctx.Done():
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.leave(from, turn) {
		t.next() // the turn has come in the meantime
	}
	return false
}

// done ends a turn.
func (t *turns) done() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.next()
}

// join returns a new place at the end of the address's line. The caller holds mu, as for leave and next.
func (t *turns) join(from string) chan struct{} {
	turn := make(chan struct{})
	if i := t.lineOf(from); i >= 0 {
		t.waiting[i].who = append(t.waiting[i].who, turn)
	} else {
		t.waiting = append(t.waiting, line{from, []chan struct{}{turn}})
	}
	return turn
}

func (t *turns) lineOf(from string) int {
	return slices.IndexFunc(t.waiting, func(l line) bool { return l.from == from })
}

// leave gives a place up and reports whether its turn had not come yet.
func (t *turns) leave(from string, turn chan struct{}) bool {
	i := t.lineOf(from)
	if i < 0 {
		return false
	}
	place := slices.Index(t.waiting[i].who, turn)
	if place < 0 {
		return false
	}
	t.waiting[i].who = slices.Delete(t.waiting[i].who, place, place+1)
	if len(t.waiting[i].who) == 0 {
		t.waiting = slices.Delete(t.waiting, i, i+1)
	}
	return true
}

// next passes a turn on to the first line, which then goes to the end.
func (t *turns) next() {
	if len(t.waiting) == 0 {
		t.free++
		return
	}
	first := t.waiting[0]
	t.waiting = slices.Delete(t.waiting, 0, 1)
	close(first.who[0])
	if first.who = first.who[1:]; len(first.who) > 0 {
		t.waiting = append(t.waiting, first)
	}
}
