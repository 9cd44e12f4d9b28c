package models

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// Limits of logins. After LoginFailureLimit failures within LoginFailureWindow, a name cannot log in from the same
// address until the oldest of them has left the window. The same applies to a user's wrong old passwords, whatever the
// address. An address may fail AddressFailureLimit times a minute in all, whatever the names.
const (
	LoginFailureLimit   = 10
	LoginFailureWindow  = 60 * time.Second
	AddressFailureLimit = 60

	// maxLoginsAtOnce must be far below LoginFailureLimit: a guess counts as failed until it is checked.
	maxLoginsAtOnce = 4
	loginWait       = 1500 * time.Millisecond // for other logins
	loginRetry      = 2 * time.Second         // when to try again after that
	loginTimeout    = 30 * time.Second        // includes waiting for the store
)

var errLoginTimeout = fmt.Errorf("login took longer than %s", loginTimeout)

// loginsAtOnce returns how many passwords are checked at a time. Each check keeps a processor busy.
func loginsAtOnce() int { return min(maxLoginsAtOnce, runtime.GOMAXPROCS(0)) }

// loginFailure is a wrong or undecided login or old password. Its key hides the name.
type loginFailure struct {
	ID  int64 `gorm:"primaryKey"`
	Key string
	At  time.Time
}

func loginKey(name, from string) string { return digest(strings.ToLower(name) + "\x00" + from) }

// passwordKey returns the key of a user's old passwords. It differs from every login's, which contains an address.
func passwordKey(userID int64) string { return loginKey("", strconv.FormatInt(userID, 10)) }

// Login checks a name and password given from an address. Too many failures are CodeRateLimited, too many logins at a
// time CodeBusy, a wrong name or password is CodeInvalidCredentials, and an inactive user with the right password is
// CodeAccountDisabled.
func (s *Store) Login(ctx context.Context, name, password, from string) (User, error) {
	var user User
	err := s.inTurn(ctx, from, func(ctx context.Context) (err error) {
		user, err = s.checkLogin(ctx, name, password, from)
		return err
	})
	return user, err
}

func (s *Store) checkLogin(ctx context.Context, name, password, from string) (User, error) {
	if err := s.CheckAddress(from); err != nil {
		return User{}, err
	}
	guess, err := s.startGuess(ctx, loginKey(name, from))
	if err != nil {
		return User{}, err
	}
	user, err := s.userOrUnknown(ctx, name)
	if err != nil {
		return User{}, err
	}
	if !user.hasPassword(password) {
		s.TakeRequest(failuresOf(from), AddressFailureLimit)
		return User{}, &Error{Code: CodeInvalidCredentials}
	}
	if !user.IsActive {
		return User{}, errors.Join(&Error{Code: CodeAccountDisabled}, s.forgetGuess(ctx, guess))
	}
	return s.finishLogin(ctx, user, guess)
}

// failuresOf returns the name of the budget that failed logins from an address use.
func failuresOf(from string) string { return "failures " + from }

// CheckAddress returns CodeRateLimited if the address has used up its failed logins, whatever the names. It never
// waits.
func (s *Store) CheckAddress(from string) error {
	next, left := s.HasRequest(failuresOf(from), AddressFailureLimit)
	if left {
		return nil
	}
	return RateLimited(AddressFailureLimit, next, s.now())
}

// inTurn runs a check of passwords, a few at a time. Who has to wait longer than loginWait for others, or longer than
// loginTimeout for the store, gets CodeBusy.
func (s *Store) inTurn(ctx context.Context, from string, check func(context.Context) error) error {
	wait, stop := context.WithTimeout(ctx, loginWait)
	defer stop()
	if !s.logins.take(wait, from) {
		return &Error{Code: CodeBusy, RetryAfter: loginRetry}
	}
	defer s.logins.done()

	ctx, cancel := context.WithTimeoutCause(ctx, loginTimeout, errLoginTimeout)
	defer cancel()
	err := check(ctx)
	if err != nil && errors.Is(context.Cause(ctx), errLoginTimeout) {
		return &Error{Code: CodeBusy, RetryAfter: loginRetry, Err: err}
	}
	return err
}

// startGuess counts a guess as failed before the password is checked, so concurrent guesses cannot exceed the limit.
func (s *Store) startGuess(ctx context.Context, key string) (loginFailure, error) {
	guess := loginFailure{Key: key, At: s.Now()}
	err := s.change(ctx, func(tx *gorm.DB) error {
		if err := s.dialect.lockText(tx, key); err != nil {
			return err
		}
		left, reset, err := loginBudget(tx, key, guess.At)
		if err != nil {
			return err
		}
		if left == 0 {
			return RateLimited(LoginFailureLimit, reset, guess.At)
		}
		if err := forgetOldGuesses(tx, guess.At); err != nil {
			return err
		}
		return tx.Create(&guess).Error
	})
	return guess, err
}

// forgetOldGuesses deletes failures outside the window and skips rows that another login has locked: waiting could
// deadlock.
func forgetOldGuesses(tx *gorm.DB, now time.Time) error {
	old := tx.Model(&loginFailure{}).Select("id").Where("at <= ?", now.Add(-LoginFailureWindow)).
		Clauses(clause.Locking{Strength: clause.LockingStrengthUpdate, Options: clause.LockingOptionsSkipLocked})
	return tx.Delete(&loginFailure{}, "id IN (?)", old).Error
}

func (s *Store) userOrUnknown(ctx context.Context, name string) (User, error) {
	user, err := s.UserByName(ctx, name)
	if Is(err, CodeNotFound) {
		return s.unknownUser()
	}
	return user, err
}

func (s *Store) forgetGuess(ctx context.Context, guess loginFailure) error {
	return s.change(ctx, func(tx *gorm.DB) error { return tx.Delete(&guess).Error })
}

// finishLogin deletes the failures of the guess's key and records the login.
func (s *Store) finishLogin(ctx context.Context, user User, guess loginFailure) (User, error) {
	now := s.Now()
	err := s.change(ctx, func(tx *gorm.DB) error {
		if err := s.forgetGuesses(tx, guess.Key); err != nil {
			return err
		}
		return tx.Model(&user).UpdateColumn("last_login_at", now).Error
	})
	user.LastLoginAt = &now
	return user, err
}

func (s *Store) forgetGuesses(tx *gorm.DB, key string) error {
	if err := s.dialect.lockText(tx, key); err != nil {
		return err
	}
	return tx.Delete(&loginFailure{}, "key = ?", key).Error
}

// LoginBudget returns how many more failures name may have from the address, and when the oldest one expires.
func (s *Store) LoginBudget(ctx context.Context, name, from string) (left int, reset time.Time, err error) {
	return s.guessBudget(ctx, loginKey(name, from))
}

// PasswordBudget returns how many more wrong old passwords the user may give, and when the oldest one expires.
func (s *Store) PasswordBudget(ctx context.Context, userID int64) (left int, reset time.Time, err error) {
	return s.guessBudget(ctx, passwordKey(userID))
}

func (s *Store) guessBudget(ctx context.Context, key string) (left int, reset time.Time, err error) {
	db, done := bounded(ctx, s.reader)
	defer done()
	return loginBudget(db, key, s.Now())
}

func loginBudget(tx *gorm.DB, key string, now time.Time) (left int, reset time.Time, err error) {
	var failures []loginFailure
	err = tx.Order("at DESC").Limit(LoginFailureLimit).
		Find(&failures, "key = ? AND at > ?", key, now.Add(-LoginFailureWindow)).Error
	if err != nil {
		return 0, time.Time{}, err
	}
	if len(failures) == 0 {
		return LoginFailureLimit, now.Add(LoginFailureWindow), nil
	}
	oldest := failures[len(failures)-1]
	return LoginFailureLimit - len(failures), oldest.At.Add(LoginFailureWindow), nil
}
