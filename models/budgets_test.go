package models_test

import (
	"path/filepath"
	"testing"
	"time"

	"whalefall/models"
	"whalefall/testenv"
)

// take takes requests of a client that has 60 a minute until one is refused, or until it has as many.
func (f *fixture) take(client string, most int) (taken int) {
	f.Helper()
	for ; taken < most; taken++ {
		next, allowed := f.TakeRequest(client, 60)
		if allowed {
			continue
		}
		if wait := next.Sub(f.clock.Now()); wait <= 0 || wait > time.Second {
			f.Errorf("the next after %v", wait)
		}
		break
	}
	return taken
}

func TestStore_TakeRequest(t *testing.T) {
	f := newFixture(t, filepath.Join(t.TempDir(), "store.db"))
	equal(t, "at once", f.take("a", 100), 60)
	equal(t, "of another client", f.take("b", 100), 60)
	f.clock.add(time.Second)
	equal(t, "after a second", f.take("a", 100), 1)
	f.clock.add(-time.Hour)
	equal(t, "after the clock was set back", f.take("a", 100), 0)
	f.clock.add(time.Second)
	equal(t, "a second later", f.take("a", 100), 1)
	f.clock.add(time.Hour)
	equal(t, "after an hour", f.take("a", 100), 60)
}

func TestStore_TakeRequest_SharedByProcesses(t *testing.T) {
	f := newFixture(t, testenv.PostgreSQL(t).NewDatabase(t))
	f.options.Now = nil
	other, err := models.Open(t.Context(), f.options)
	check(t, err)
	t.Cleanup(func() { check(t, other.Close()) })
	equal(t, "of the first process", f.take("a", 100), 60)
	taken := 0
	for ; taken < 60; taken++ {
		if _, allowed := other.TakeRequest("a", 60); !allowed {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	if taken > 40 {
		t.Errorf("the other process allowed %d more", taken)
	}
}

func TestStore_TakeRequest_StoreAway(t *testing.T) {
	server := testenv.StartPostgreSQL(t)
	f := newFixture(t, server.NewDatabase(t))
	server.Kill(t)
	for begin := time.Now(); time.Since(begin) < time.Second; time.Sleep(100 * time.Millisecond) {
		f.take("a", 1) // while what was taken is told in vain
	}
	f.take("a", 100)
	equal(t, "beyond the budget", f.take("a", 100), 0)
	server.Start(t)
}
