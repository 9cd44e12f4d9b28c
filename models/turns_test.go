package models_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"whalefall/models"
	"whalefall/testenv"
)

func TestTurns_ByAddressInRotation(t *testing.T) {
	t.Parallel()
	turns := models.NewTurns(1)
	equal(t, "first", turns.Take(t.Context(), "crowd"), true)
	served := make(chan string)
	for i, from := range []string{"crowd", "crowd", "crowd", "crowd", "admin", "crowd"} {
		go func() {
			turns.Take(t.Context(), from)
			served <- from
		}()
		testenv.WaitFor(t, "the next to wait", func() bool { return turns.Waiting() == i+1 })
	}
	var order []string
	for range 6 {
		turns.Done()
		order = append(order, <-served)
	}
	if order[0] != "crowd" || order[1] != "admin" {
		t.Errorf("order %v", order)
	}
}

func TestTurns_GivenUp(t *testing.T) {
	t.Parallel()
	turns := models.NewTurns(2)
	for _, from := range []string{"a", "b"} {
		equal(t, "free", turns.Take(t.Context(), from), true)
	}
	brief, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	for _, from := range []string{"a", "a", "b", "c"} {
		equal(t, "taken", turns.Take(brief, from), false)
	}
	equal(t, "waiting", turns.Waiting(), 0)
	turns.Done()
	equal(t, "free again", turns.Take(t.Context(), "c"), true)
}

// A crowd that guesses with a name each is refused by its address; others are not, nor is who knows a password.
func TestStore_Login_FailuresOfAnAddress(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		f.user("admin", models.RoleAdmin)
		login := func(name, password, from string) error {
			_, err := f.Login(f.ctx, name, password, from)
			return err
		}
		for i := range models.AddressFailureLimit {
			check(f, login("admin", password, "10.0.0.1"))
			wantError(f, login("name"+string(rune('a'+i)), "wrong", "10.0.0.1"), models.CodeInvalidCredentials, "")
		}
		// refused is a login that fails at once. Meanwhile a store of several processes gives failures back by its clock.
		refused := func(name, secret string) error {
			for i := range 10 * models.AddressFailureLimit {
				if err := login(name, secret, "10.0.0.1"); models.Is(err, models.CodeRateLimited) {
					return err
				}
				_ = login(fmt.Sprint("other", i), "wrong", "10.0.0.1")
			}
			return nil
		}
		for name, secret := range map[string]string{"admin": password, "nobody": "wrong"} {
			err := refused(name, secret)
			wantError(f, err, models.CodeRateLimited, "")
			equal(f, "limit", models.AsError(err).Extra["limit"], any(models.AddressFailureLimit))
			equal(f, "wait", models.AsError(err).RetryAfter, time.Second)
		}
		check(f, login("admin", password, "10.0.0.2"))
		testenv.WaitFor(f, "a failure that is given back", func() bool {
			f.clock.add(time.Second)
			return login("admin", password, "10.0.0.1") == nil
		})
	})
}

// More logins than the processors can check are told when to come again.
func TestStore_Login_Crowd(t *testing.T) {
	f := newFixture(t, t.TempDir()+"/store.db")
	f.user("admin", models.RoleAdmin)
	for range models.LoginsAtOnce() {
		release := f.TakeLoginTurn(t.Context(), "10.0.0.1")
		defer release()
	}
	_, err := f.Login(f.ctx, "admin", password, "10.0.0.2")
	wantError(f, err, models.CodeBusy, "")
	equal(t, "wait", models.AsError(err).RetryAfter, 2*time.Second)
	wantError(f, f.ChangePassword(f.ctx, 1, models.PasswordChange{Old: password, New: "Another1234"}), models.CodeBusy, "")
}
