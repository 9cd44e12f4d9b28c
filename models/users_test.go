package models_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"whalefall/models"
	"whalefall/testenv"
)

const password = "Correct1horse"

func (f *fixture) user(name string, role models.Role) models.User {
	f.Helper()
	user, err := f.CreateUser(f.ctx, models.User{Username: name, Role: role, IsActive: true}, password)
	check(f, err)
	return user
}

func TestCheckPassword(t *testing.T) {
	t.Parallel()
	for given, key := range map[string]string{
		"Aa34567":                          "password.too_short",
		strings.Repeat("鲸", 24) + "Aa1":    "password.too_long",
		"alllower1":                        "password.no_upper",
		"ALLUPPER1":                        "password.no_lower",
		"NoDigits":                         "password.no_digit",
		"Aa345678":                         "",
		strings.Repeat("x", 70) + "A1":     "",
		"mit Leerzeichen und Ümläuten 1 Ä": "",
	} {
		got := ""
		if err := models.CheckPassword(given); err != nil {
			equal(t, given, err.Code, models.CodePasswordInvalid)
			got = err.Key
		}
		equal(t, given, got, key)
	}
}

func TestStore_Users(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		admin := f.user("admin", models.RoleAdmin)
		equal(f, "created", admin.CreatedAt, f.clock.Now())
		found, err := f.UserByName(f.ctx, "admin")
		check(f, err)
		equal(f, "id", found.ID, admin.ID)
		equal(f, "created", found.CreatedAt, admin.CreatedAt)

		for _, name := range []string{"ab", strings.Repeat("a", 21), "a b c", "鲸鲸鲸", "abc\n"} {
			_, err := f.CreateUser(f.ctx, models.User{Username: name, Role: models.RoleUser}, password)
			wantError(f, err, models.CodeInvalid, "user.name_invalid")
		}
		_, err = f.CreateUser(f.ctx, models.User{Username: "abc", Role: "root"}, password)
		wantError(f, err, models.CodeInvalid, "user.role_invalid")
		_, err = f.CreateUser(f.ctx, models.User{Username: "admin", Role: models.RoleUser}, password)
		wantError(f, err, models.CodeUsernameExists, "user.name_taken")
		_, err = f.User(f.ctx, 4711)
		wantError(f, err, models.CodeNotFound, "user.not_found")
		_, err = f.UserByName(f.ctx, "a\x00b")
		wantError(f, err, models.CodeNotFound, "user.not_found")

		other := f.user("other", models.RoleGuest)
		other.Username = "admin"
		_, err = f.UpdateUser(f.ctx, other, nil)
		wantError(f, err, models.CodeUsernameExists, "user.name_taken")
		other.Username, other.Role = "renamed", models.RoleUser
		other, err = f.UpdateUser(f.ctx, other, nil)
		check(f, err)
		equal(f, "role", other.Role, models.RoleUser)
		all, err := f.Users(f.ctx)
		check(f, err)
		equal(f, "users", len(all), 2)
		equal(f, "renamed", all[1].Username, "renamed")
	})
}

func TestStore_UpdateUser_LastAdmin(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		admins := []models.User{f.user("first", models.RoleAdmin), f.user("second", models.RoleAdmin)}
		errs := make([]error, len(admins))
		var both sync.WaitGroup
		for i, admin := range admins {
			both.Go(func() {
				admin.IsActive = false
				_, errs[i] = f.UpdateUser(f.ctx, admin, nil)
			})
		}
		both.Wait()
		failed := 0
		for i, err := range errs {
			if err == nil {
				continue
			}
			failed++
			wantError(f, err, models.CodeLastAdmin, "user.last_admin")
			admins[i].Role = models.RoleUser
			_, err = f.UpdateUser(f.ctx, admins[i], nil)
			wantError(f, err, models.CodeLastAdmin, "user.last_admin")
		}
		equal(f, "refused", failed, 1)
	})
}

func TestStore_Login_Throttled(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		f.user("admin", models.RoleAdmin)
		fail := func(name string) {
			f.Helper()
			_, err := f.Login(f.ctx, name, "wrong", "10.0.0.1")
			wantError(f, err, models.CodeInvalidCredentials, "")
		}
		for range models.LoginFailureLimit - 1 {
			fail("admin")
		}
		_, err := f.Login(f.ctx, "admin", password, "10.0.0.1")
		check(f, err)
		for i := range models.LoginFailureLimit {
			left, reset, err := f.LoginBudget(f.ctx, "admin", "10.0.0.1")
			check(f, err)
			equal(f, "left", left, models.LoginFailureLimit-i)
			if i > 0 {
				equal(f, "reset", reset, start.Add(models.LoginFailureWindow))
			}
			fail("admin")
			f.clock.add(time.Second)
		}
		_, err = f.Login(f.ctx, "ADMIN", password, "10.0.0.1")
		wantError(f, err, models.CodeRateLimited, "")
		extra := models.AsError(err).Members()
		equal(f, "limit", extra["limit"], any(models.LoginFailureLimit))
		equal(f, "remaining", extra["remaining"], any(0))
		equal(f, "retry_after", extra["retry_after"], any(50))
		equal(f, "reset", extra["reset"], any(start.Add(time.Minute).Unix()))

		_, err = f.Login(f.ctx, "admin", password, "10.0.0.2")
		check(f, err)
		f.clock.add(50 * time.Second)
		user, err := f.Login(f.ctx, "admin", password, "10.0.0.1")
		check(f, err)
		equal(f, "last login", *user.LastLoginAt, f.clock.Now())

		fail("nobody")
		fail("no\x00body")
		fail(strings.Repeat("x", 100_000))
	})
}

// guessAtOnce logs in many times at once and counts the answers by code; the empty one is success.
func guessAtOnce(f *fixture, password string) map[models.Code]int {
	f.Helper()
	again, err := models.Open(f.ctx, f.options)
	check(f, err)
	defer func() { check(f, again.Close()) }()
	var counting sync.Mutex
	var all sync.WaitGroup
	answers := map[models.Code]int{}
	for i := range 60 {
		all.Go(func() {
			replica := []*models.Store{f.Store, again}[i%2]
			_, err := replica.Login(f.ctx, "admin", password, "10.0.0.1")
			for models.Is(err, models.CodeBusy) { // come again, as a busy machine says
				_, err = replica.Login(f.ctx, "admin", password, "10.0.0.1")
			}
			counting.Lock()
			defer counting.Unlock()
			if err == nil {
				answers[""]++
				return
			}
			answers[models.AsError(err).Code]++
		})
	}
	all.Wait()
	return answers
}

func TestStore_Login_ConcurrentGuesses(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		f.user("admin", models.RoleAdmin)
		for range 2 {
			equal(f, "wrong", fmt.Sprint(guessAtOnce(f, "wrong")), "map[INVALID_CREDENTIALS:10 RATE_LIMIT_EXCEEDED:50]")
			f.clock.add(models.LoginFailureWindow)
		}
		equal(f, "right", fmt.Sprint(guessAtOnce(f, password)), "map[:60]")
	})
}

func TestStore_Login_InactiveUserIsNoFailure(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		user := f.user("user", models.RoleUser)
		user.IsActive = false
		_, err := f.UpdateUser(f.ctx, user, nil)
		check(f, err)
		for range models.LoginFailureLimit + 1 {
			_, err = f.Login(f.ctx, "user", password, "::1")
			wantError(f, err, models.CodeAccountDisabled, "")
		}
	})
}

func TestStore_Login_InactiveUser(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		user := f.user("user", models.RoleUser)
		session, err := f.CreateSession(f.ctx, user.ID)
		check(f, err)
		user.IsActive = false
		_, err = f.UpdateUser(f.ctx, user, nil)
		check(f, err)

		_, err = f.SessionUser(f.ctx, session)
		wantError(f, err, models.CodeUnauthenticated, "")
		_, err = f.Login(f.ctx, "user", "wrong", "::1")
		wantError(f, err, models.CodeInvalidCredentials, "")
		_, err = f.Login(f.ctx, "user", password, "::1")
		wantError(f, err, models.CodeAccountDisabled, "")
	})
}

// visit uses a session until that is recorded, which a busy machine may have no time for at first.
func (f *fixture) visit(s *models.Store, session string) {
	f.Helper()
	testenv.WaitFor(f, "the use of the session", func() bool {
		_, err := s.SessionUser(f.ctx, session)
		check(f, err)
		seen, err := s.SessionSeen(f.ctx, session)
		check(f, err)
		return f.Now().Sub(seen) < time.Minute
	})
}

func TestStore_SessionUser_Ended(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		user := f.user("user", models.RoleUser)
		open := func() string {
			f.Helper()
			id, err := f.CreateSession(f.ctx, user.ID)
			check(f, err)
			return id
		}
		ended := func(id string) {
			f.Helper()
			_, err := f.SessionUser(f.ctx, id)
			wantError(f, err, models.CodeUnauthenticated, "")
		}
		idle, out := open(), open()
		f.clock.add(models.DefaultSessionIdle - time.Second)
		f.visit(f.Store, idle)
		f.clock.add(models.DefaultSessionIdle - time.Second)
		f.visit(f.Store, idle)
		check(f, f.EndSession(f.ctx, out))
		check(f, f.EndSession(f.ctx, out))
		ended(out)
		ended("")
		f.clock.add(models.DefaultSessionIdle)
		ended(idle)

		busy := open()
		for left := models.DefaultSessionLifetime; left > time.Hour; left -= time.Hour {
			f.clock.add(time.Hour)
			f.visit(f.Store, busy)
		}
		f.clock.add(time.Hour)
		ended(busy)
		_, err := f.CreateSession(f.ctx, 4711)
		wantError(f, err, models.CodeNotFound, "user.not_found")
	})
}

func TestOptions_Session(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		equal(f, "default lifetime", f.SessionLifetime(), models.DefaultSessionLifetime)
		user := f.user("user", models.RoleUser)
		f.options.SessionIdle, f.options.SessionLifetime = time.Hour, 90*time.Minute
		short, err := models.Open(f.ctx, f.options)
		check(f, err)
		defer func() { check(f, short.Close()) }()
		equal(f, "lifetime", short.SessionLifetime(), 90*time.Minute)

		ended := func(id string) {
			f.Helper()
			_, err := short.SessionUser(f.ctx, id)
			wantError(f, err, models.CodeUnauthenticated, "")
		}
		idle, err := short.CreateSession(f.ctx, user.ID)
		check(f, err)
		busy, err := short.CreateSession(f.ctx, user.ID)
		check(f, err)
		f.clock.add(time.Hour - time.Second)
		f.visit(short, busy)
		f.clock.add(time.Second)
		ended(idle)
		f.visit(short, busy)
		f.clock.add(30 * time.Minute)
		ended(busy)
		f.visit(f.Store, busy) // the other store's options let it live longer
	})
}

func TestStore_ChangePassword(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		user := f.user("user", models.RoleUser)
		mine, err := f.CreateSession(f.ctx, user.ID)
		check(f, err)
		other, err := f.CreateSession(f.ctx, user.ID)
		check(f, err)

		wantError(f, f.ChangePassword(f.ctx, user.ID, models.PasswordChange{Old: password, New: password, KeepSession: mine}),
			models.CodePasswordDuplicated, "password.same")
		wantError(f, f.ChangePassword(f.ctx, user.ID, models.PasswordChange{Old: password, New: "short", KeepSession: mine}),
			models.CodePasswordInvalid, "password.too_short")
		change := models.PasswordChange{Old: "Wrong1234", New: "Another1234", KeepSession: mine}
		wantError(f, f.ChangePassword(f.ctx, user.ID, change), models.CodeInvalidOldPassword, "auth.old_password_wrong")
		change.Old = password
		check(f, f.ChangePassword(f.ctx, user.ID, change))

		_, err = f.SessionUser(f.ctx, mine)
		check(f, err)
		_, err = f.SessionUser(f.ctx, other)
		wantError(f, err, models.CodeUnauthenticated, "")
		_, err = f.Login(f.ctx, "user", password, "::1")
		wantError(f, err, models.CodeInvalidCredentials, "")
		_, err = f.Login(f.ctx, "user", "Another1234", "::1")
		check(f, err)

		reset := "Reset12345"
		_, err = f.UpdateUser(f.ctx, user, &reset)
		check(f, err)
		_, err = f.SessionUser(f.ctx, mine)
		wantError(f, err, models.CodeUnauthenticated, "")
	})
}

func TestStore_SessionUser_WriterBusy(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		user := f.user("user", models.RoleUser)
		session, err := f.CreateSession(f.ctx, user.ID)
		check(f, err)
		f.clock.add(models.DefaultSessionIdle / 2)
		check(f, f.Occupy(f.ctx, func() {
			began := time.Now()
			found, err := f.SessionUser(f.ctx, session)
			if err != nil {
				f.Error(err)
			}
			equal(f, "user", found.ID, user.ID)
			if waited := time.Since(began); waited > 2*time.Second {
				f.Errorf("waited %s", waited)
			}
		}))
		f.visit(f.Store, session)
		f.clock.add(models.DefaultSessionIdle - time.Second)
		f.visit(f.Store, session) // it was seen when the writer was free
	})
}

func TestStore_DeleteUser(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		add := func(name string, role models.Role, active bool) models.User {
			user, err := f.CreateUser(f.ctx, models.User{Username: name, Role: role, IsActive: active}, "Passw0rd")
			check(f, err)
			return user
		}
		admin, second := add("admin", models.RoleAdmin, true), add("second", models.RoleAdmin, true)
		off := add("off", models.RoleAdmin, false)
		guest := add("guest", models.RoleGuest, true)
		session, err := f.CreateSession(f.ctx, second.ID)
		check(f, err)
		_, secret, err := f.CreateToken(f.ctx, models.Token{
			UserID: second.ID, Name: "t", Role: models.RoleAdmin, ExpiresAt: f.clock.Now().Add(time.Hour),
		})
		check(f, err)

		check(f, f.DeleteUser(f.ctx, second.ID))
		_, err = f.SessionUser(f.ctx, session)
		wantError(f, err, models.CodeUnauthenticated, "")
		_, _, err = f.TokenUser(f.ctx, secret)
		wantError(f, err, models.CodeUnauthenticated, "")
		wantError(f, f.DeleteUser(f.ctx, admin.ID), models.CodeInvalid, "user.last_admin_undeletable")
		wantError(f, f.DeleteUser(f.ctx, second.ID), models.CodeNotFound, "user.not_found")
		check(f, f.DeleteUser(f.ctx, off.ID))
		check(f, f.DeleteUser(f.ctx, guest.ID))

		found, err := f.UserStatistics(f.ctx)
		check(f, err)
		equal(f, "left", found, models.UserStatistics{Total: 1, Active: 1, Admins: 1})
	})
}
