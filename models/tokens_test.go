package models_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"whalefall/models"
)

// token adds a token that lasts a day and returns it with its secret.
func (f *fixture) token(user models.User, name string, role models.Role) (models.Token, string) {
	f.Helper()
	token, secret, err := f.CreateToken(f.ctx, models.Token{
		UserID: user.ID, Name: name, Role: role, ExpiresAt: f.clock.Now().Add(24 * time.Hour),
	})
	check(f, err)
	return token, secret
}

// actsAs checks for whom and with what role the secret acts.
func (f *fixture) actsAs(secret string, user models.User, role models.Role) {
	f.Helper()
	found, token, err := f.TokenUser(f.ctx, secret)
	check(f, err)
	equal(f, "user", found.ID, user.ID)
	equal(f, "of the token", token.UserID, user.ID)
	equal(f, "role", found.Role, role)
}

func (f *fixture) refuses(secrets ...string) {
	f.Helper()
	for _, secret := range secrets {
		user, token, err := f.TokenUser(f.ctx, secret)
		wantError(f, err, models.CodeUnauthenticated, "")
		equal(f, "no user", user.ID, 0)
		equal(f, "no token", token.ID, 0)
	}
}

func TestStore_Tokens(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		admin, other := f.user("admin", models.RoleAdmin), f.user("other", models.RoleUser)
		first, secret := f.token(admin, "ci", models.RoleUser)
		if !strings.HasPrefix(secret, models.TokenPrefix) || strings.Contains(first.Digest, secret) || len(secret) < 50 {
			t.Errorf("secret %q, stored as %q", secret, first.Digest)
		}
		equal(f, "created", first.CreatedAt, f.clock.Now())
		second, _ := f.token(admin, "backup", models.RoleGuest)
		theirs, _ := f.token(other, "ci", models.RoleUser)

		_, _, err := f.CreateToken(f.ctx, models.Token{UserID: admin.ID, Name: "ci", Role: models.RoleUser})
		wantError(f, err, models.CodeConflict, "token.name_taken")
		_, _, err = f.CreateToken(f.ctx, models.Token{UserID: 4711, Name: "ci", Role: models.RoleUser})
		wantError(f, err, models.CodeNotFound, "user.not_found")
		_, _, err = f.CreateToken(f.ctx, models.Token{UserID: admin.ID, Name: "a\x00b", Role: models.RoleUser})
		wantError(f, err, models.CodeInvalid, "text.not_storable")
		_, _, err = f.CreateToken(f.ctx, models.Token{UserID: admin.ID, Name: "root", Role: "root"})
		wantError(f, err, models.CodeInvalid, "user.role_invalid")

		all, err := f.Tokens(f.ctx, admin.ID)
		check(f, err)
		equal(f, "tokens", len(all), 2)
		equal(f, "newest first", all[0].ID, second.ID)
		if all[1].LastUsedAt != nil {
			t.Errorf("never used, but at %s", all[1].LastUsedAt)
		}
		equal(f, "expires", all[1].ExpiresAt, first.ExpiresAt)

		_, err = f.DeleteToken(f.ctx, admin.ID, theirs.ID, models.RoleAdmin)
		wantError(f, err, models.CodeNotFound, "token.not_found")
		deleted, err := f.DeleteToken(f.ctx, admin.ID, first.ID, models.RoleAdmin)
		check(f, err)
		equal(f, "deleted", deleted.Name, "ci")
		_, err = f.DeleteToken(f.ctx, admin.ID, first.ID, models.RoleAdmin)
		wantError(f, err, models.CodeNotFound, "token.not_found")
		f.refuses(secret)
		f.token(admin, "ci", models.RoleUser)
	})
}

func TestStore_TokenUser_Role(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		f.user("keeper", models.RoleAdmin)
		user := f.user("changing", models.RoleAdmin)
		secrets := map[models.Role]string{}
		for _, role := range models.Roles {
			_, secrets[role] = f.token(user, string(role), role)
		}
		for of, want := range map[models.Role][3]models.Role{ // of guest, user and admin tokens
			models.RoleAdmin: {models.RoleGuest, models.RoleUser, models.RoleAdmin},
			models.RoleUser:  {models.RoleGuest, models.RoleUser, models.RoleUser},
			models.RoleGuest: {models.RoleGuest, models.RoleGuest, models.RoleGuest},
		} {
			user.Role = of
			_, err := f.UpdateUser(f.ctx, user, nil)
			check(f, err)
			for i, role := range models.Roles {
				f.actsAs(secrets[role], user, want[i])
			}
		}
		user.IsActive = false
		_, err := f.UpdateUser(f.ctx, user, nil)
		check(f, err)
		f.refuses(secrets[models.RoleAdmin], secrets[models.RoleGuest])
		user.IsActive, user.Role = true, models.RoleUser
		_, err = f.UpdateUser(f.ctx, user, nil)
		check(f, err)
		f.refuses(secrets[models.RoleAdmin], secrets[models.RoleGuest])
		_, secrets[models.RoleUser] = f.token(user, "new", models.RoleUser)
		f.actsAs(secrets[models.RoleUser], user, models.RoleUser)
		f.refuses("", models.TokenPrefix, "x", secrets[models.RoleUser]+"x", strings.ToUpper(secrets[models.RoleUser]),
			strings.TrimPrefix(secrets[models.RoleUser], models.TokenPrefix), models.TokenPrefix+"a\x00b\xff")
	})
}

func TestStore_TokenUser_Expired(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		user := f.user("user", models.RoleUser)
		token, secret := f.token(user, "ci", models.RoleUser)
		used := func() *time.Time {
			f.Helper()
			all, err := f.Tokens(f.ctx, user.ID)
			check(f, err)
			return all[0].LastUsedAt
		}
		f.clock.add(time.Hour)
		// That it was used may be lost once on a busy machine.
		for range 3 {
			f.actsAs(secret, user, models.RoleUser)
		}
		equal(f, "last use", *used(), start.Add(time.Hour))
		f.clock.add(30 * time.Second)
		f.actsAs(secret, user, models.RoleUser)
		equal(f, "last use, to the minute", *used(), start.Add(time.Hour))

		f.clock.add(token.ExpiresAt.Sub(f.clock.Now()) - time.Microsecond)
		f.actsAs(secret, user, models.RoleUser)
		last := *used()
		f.clock.add(time.Microsecond)
		f.refuses(secret)
		equal(f, "an expired one is not used", *used(), last)
		all, err := f.Tokens(f.ctx, user.ID)
		check(f, err)
		equal(f, "expired ones are listed", all[0].ExpiredAt(f.clock.Now()), true)
	})
}

func TestStore_TokenUser_ConcurrentDelete(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		user := f.user("user", models.RoleUser)
		token, secret := f.token(user, "ci", models.RoleUser)
		errs := make([]error, 40)
		var all sync.WaitGroup
		for i := range errs {
			all.Go(func() { _, _, errs[i] = f.TokenUser(f.ctx, secret) })
		}
		all.Wait()
		for _, err := range errs {
			check(f, err)
		}
		deletions := make([]error, 4)
		for i := range deletions {
			all.Go(func() { _, deletions[i] = f.DeleteToken(f.ctx, user.ID, token.ID, models.RoleAdmin) })
		}
		all.Wait()
		deleted := 0
		for _, err := range deletions {
			if err == nil {
				deleted++
				continue
			}
			wantError(f, err, models.CodeNotFound, "token.not_found")
		}
		equal(f, "deleted", deleted, 1)
		f.refuses(secret)
	})
}

func TestStore_ChangePassword_Throttled(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		user, other := f.user("user", models.RoleUser), f.user("other", models.RoleUser)
		again, err := models.Open(f.ctx, f.options)
		check(f, err)
		defer func() { check(f, again.Close()) }()

		var counting sync.Mutex
		var all sync.WaitGroup
		answers := map[models.Code]int{}
		for i := range 30 {
			all.Go(func() {
				replica := []*models.Store{f.Store, again}[i%2]
				err := replica.ChangePassword(f.ctx, user.ID, models.PasswordChange{Old: "Wrong1234", New: "Another1234"})
				counting.Lock()
				defer counting.Unlock()
				answers[models.AsError(err).Code]++
			})
		}
		all.Wait()
		equal(f, "wrong", answers[models.CodeInvalidOldPassword], models.LoginFailureLimit)
		equal(f, "throttled", answers[models.CodeRateLimited], 30-models.LoginFailureLimit)
		left, reset, err := f.PasswordBudget(f.ctx, user.ID)
		check(f, err)
		equal(f, "left", left, 0)
		equal(f, "reset", reset, start.Add(models.LoginFailureWindow))

		wantError(f, f.ChangePassword(f.ctx, user.ID, models.PasswordChange{Old: password, New: "Another1234"}),
			models.CodeRateLimited, "")
		check(f, f.ChangePassword(f.ctx, other.ID, models.PasswordChange{Old: password, New: "Another1234"}))
		_, err = f.Login(f.ctx, "user", password, "10.0.0.1")
		check(f, err)

		f.clock.add(models.LoginFailureWindow)
		wantError(f, f.ChangePassword(f.ctx, user.ID, models.PasswordChange{Old: "Wrong1234", New: "Another1234"}),
			models.CodeInvalidOldPassword, "")
		check(f, f.ChangePassword(f.ctx, user.ID, models.PasswordChange{Old: password, New: "Another1234"}))
		left, _, err = f.PasswordBudget(f.ctx, user.ID)
		check(f, err)
		equal(f, "left after a success", left, models.LoginFailureLimit)
	})
}
