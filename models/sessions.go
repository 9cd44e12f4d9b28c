package models

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"math"
	"strings"
	"time"

	"gorm.io/gorm"
)

// Logins. After LoginFailureLimit failures within LoginFailureWindow a name cannot log in from that address
// until the oldest of them is that old.
const (
	LoginFailureLimit  = 10
	LoginFailureWindow = 60 * time.Second
)

// Sessions end after SessionIdle without a request, and after SessionLifetime in any case.
const (
	SessionIdle     = 12 * time.Hour
	SessionLifetime = 7 * 24 * time.Hour

	sessionTouch = time.Minute // SeenAt is this exact
)

// loginFailure is a failed login; its key hides who it was.
type loginFailure struct {
	ID  int64 `gorm:"primaryKey"`
	Key string
	At  time.Time
}

func loginKey(name, from string) string { return digest(strings.ToLower(name) + "\x00" + from) }

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

func randomBytes(n int) []byte {
	random := make([]byte, n)
	rand.Read(random)
	return random
}

// Login checks a name and password given from an address. Too many failures are CodeRateLimited, a wrong name or
// password is CodeInvalidCredentials, and a user who is switched off hears CodeAccountDisabled if the password was right.
func (s *Store) Login(ctx context.Context, name, password, from string) (User, error) {
	left, reset, err := s.LoginBudget(ctx, name, from)
	if err != nil {
		return User{}, err
	}
	if left == 0 {
		return User{}, s.tooManyLogins(reset)
	}
	user, err := s.UserByName(ctx, name)
	if err != nil {
		if AsError(err).Code != CodeNotFound {
			return User{}, err
		}
		if user, err = s.nobody(); err != nil {
			return User{}, err
		}
	}
	if !user.hasPassword(password) {
		return User{}, s.loginFailed(ctx, name, from)
	}
	if !user.IsActive {
		return User{}, &Error{Code: CodeAccountDisabled}
	}
	now := s.Now()
	err = s.change(ctx, func(tx *gorm.DB) error {
		if err := tx.Model(&user).UpdateColumn("last_login_at", now).Error; err != nil {
			return err
		}
		return tx.Delete(&loginFailure{}, "key = ?", loginKey(name, from)).Error
	})
	user.LastLoginAt = &now
	return user, err
}

func (s *Store) tooManyLogins(reset time.Time) *Error {
	wait := int(math.Ceil(reset.Sub(s.Now()).Seconds()))
	limited := &Error{Code: CodeRateLimited}
	return limited.With("limit", LoginFailureLimit).With("remaining", 0).
		With("reset", reset.Unix()).With("retry_after", max(wait, 1))
}

func (s *Store) loginFailed(ctx context.Context, name, from string) error {
	now := s.Now()
	err := s.change(ctx, func(tx *gorm.DB) error {
		if err := tx.Delete(&loginFailure{}, "at <= ?", now.Add(-LoginFailureWindow)).Error; err != nil {
			return err
		}
		return tx.Create(&loginFailure{Key: loginKey(name, from), At: now}).Error
	})
	if err != nil {
		return err
	}
	return &Error{Code: CodeInvalidCredentials}
}

// LoginBudget tells how many more failures name may have from this address, and when one of them is forgotten.
func (s *Store) LoginBudget(ctx context.Context, name, from string) (left int, reset time.Time, err error) {
	now := s.Now()
	var failures []loginFailure
	err = s.reader.WithContext(ctx).Order("at DESC").Limit(LoginFailureLimit).
		Find(&failures, "key = ? AND at > ?", loginKey(name, from), now.Add(-LoginFailureWindow)).Error
	if err != nil {
		return 0, time.Time{}, err
	}
	if len(failures) == 0 {
		return LoginFailureLimit, now.Add(LoginFailureWindow), nil
	}
	oldest := failures[len(failures)-1]
	return LoginFailureLimit - len(failures), oldest.At.Add(LoginFailureWindow), nil
}

// CreateSession logs a user in and returns the id for the cookie; the store keeps only its digest.
func (s *Store) CreateSession(ctx context.Context, userID int64) (id string, err error) {
	id = base64.RawURLEncoding.EncodeToString(randomBytes(32))
	now := s.Now()
	err = s.change(ctx, func(tx *gorm.DB) error {
		ended := tx.Where("created_at <= ? OR seen_at <= ?", now.Add(-SessionLifetime), now.Add(-SessionIdle))
		if err := ended.Delete(&Session{}).Error; err != nil {
			return err
		}
		return tx.Create(&Session{ID: digest(id), UserID: userID, CreatedAt: now, SeenAt: now}).Error
	})
	if errors.Is(err, gorm.ErrForeignKeyViolated) {
		return "", NotFound("user.not_found")
	}
	return id, err
}

// SessionUser is the active user whose cookie holds the id; CodeUnauthenticated when there is none (any more).
func (s *Store) SessionUser(ctx context.Context, id string) (User, error) {
	var session Session
	err := s.reader.WithContext(ctx).Take(&session, "id = ?", digest(id)).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return User{}, &Error{Code: CodeUnauthenticated}
	}
	if err != nil {
		return User{}, err
	}
	now := s.Now()
	if session.endedAt(now) {
		return User{}, &Error{Code: CodeUnauthenticated}
	}
	user, err := s.User(ctx, session.UserID)
	if err != nil {
		return User{}, err
	}
	if !user.IsActive {
		return User{}, &Error{Code: CodeUnauthenticated}
	}
	if now.Sub(session.SeenAt) >= sessionTouch {
		err = s.writer.WithContext(ctx).Model(&session).Update("seen_at", now).Error
	}
	return user, err
}

func (session *Session) endedAt(now time.Time) bool {
	return now.Sub(session.CreatedAt) >= SessionLifetime || now.Sub(session.SeenAt) >= SessionIdle
}

// EndSession logs out. A session that is over already is no error.
func (s *Store) EndSession(ctx context.Context, id string) error {
	return s.writer.WithContext(ctx).Delete(&Session{}, "id = ?", digest(id)).Error
}

// endSessions ends a user's sessions but keep, a cookie's id.
func endSessions(tx *gorm.DB, userID int64, keep string) error {
	return tx.Delete(&Session{}, "user_id = ? AND id <> ?", userID, digest(keep)).Error
}
