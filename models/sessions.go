package models

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// Session is one login. The cookie holds the id, the store only its SHA-256.
type Session struct {
	ID        string `gorm:"primaryKey"` // hex SHA-256 of the cookie's id
	UserID    int64
	User      User // loaded by SessionUser only
	CreatedAt time.Time
	SeenAt    time.Time
}

// Defaults of Options.SessionIdle and Options.SessionLifetime.
const (
	DefaultSessionIdle     = 12 * time.Hour
	DefaultSessionLifetime = 7 * 24 * time.Hour
)

const (
	sessionTouch = time.Minute           // precision of Session.SeenAt
	touchTimeout = 50 * time.Millisecond // pages do not wait for the writer longer, which a large refresh may hold
)

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

func randomBytes(n int) []byte {
	random := make([]byte, n)
	rand.Read(random)
	return random
}

// SessionLifetime returns how long a session lasts at most, however busy it is.
func (s *Store) SessionLifetime() time.Duration { return s.sessionLifetime }

// CreateSession starts a session of a user and returns its id for the cookie. An unknown user is CodeNotFound.
func (s *Store) CreateSession(ctx context.Context, userID int64) (id string, err error) {
	id = base64.RawURLEncoding.EncodeToString(randomBytes(32))
	now := s.Now()
	err = s.change(ctx, func(tx *gorm.DB) error {
		if err := tx.Create(&Session{ID: digest(id), UserID: userID, CreatedAt: now, SeenAt: now}).Error; err != nil {
			return err
		}
		return s.deleteEndedSessions(tx, now)
	})
	if errors.Is(err, gorm.ErrForeignKeyViolated) {
		return "", NotFound("user.not_found")
	}
	return id, err
}

// deleteEndedSessions skips sessions that another transaction has locked: waiting for them could deadlock.
func (s *Store) deleteEndedSessions(tx *gorm.DB, now time.Time) error {
	ended := tx.Model(&Session{}).Select("id").
		Where("created_at <= ? OR seen_at <= ?", now.Add(-s.sessionLifetime), now.Add(-s.sessionIdle)).
		Clauses(clause.Locking{Strength: clause.LockingStrengthUpdate, Options: clause.LockingOptionsSkipLocked})
	return tx.Delete(&Session{}, "id IN (?)", ended).Error
}

// SessionUser returns the active user whose session has the id. If there is none, or it has ended, it returns the zero
// User and CodeUnauthenticated. It updates seen_at at most once a minute, and only if the writer is free.
func (s *Store) SessionUser(ctx context.Context, id string) (User, error) {
	db, done := bounded(ctx, s.reader)
	defer done()
	var session Session
	err := db.InnerJoins("User").Take(&session, "sessions.id = ?", digest(id)).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return User{}, &Error{Code: CodeUnauthenticated}
	}
	if err != nil {
		return User{}, err
	}
	now := s.Now()
	if s.sessionEnded(session, now) || !session.User.IsActive {
		return User{}, &Error{Code: CodeUnauthenticated}
	}
	if now.Sub(session.SeenAt) >= sessionTouch {
		s.touch(ctx, &Session{ID: session.ID}, "seen_at", now)
	}
	return session.User, nil
}

// touch updates the time at which a session or token was last used, best effort.
func (s *Store) touch(ctx context.Context, login any, column string, now time.Time) {
	limited, cancel := context.WithTimeout(ctx, touchTimeout)
	defer cancel()
	if err := s.writer.WithContext(limited).Model(login).Update(column, now).Error; err != nil {
		s.log.DebugContext(ctx, "last use of session or token not saved", "error", err)
	}
}

func (s *Store) sessionEnded(session Session, now time.Time) bool {
	return now.Sub(session.CreatedAt) >= s.sessionLifetime || now.Sub(session.SeenAt) >= s.sessionIdle
}

// Sessions returns a user's sessions that have not ended, the last used first.
func (s *Store) Sessions(ctx context.Context, userID int64) ([]Session, error) {
	db, done := bounded(ctx, s.reader)
	defer done()
	now := s.Now()
	var sessions []Session
	err := db.Where("user_id = ? AND created_at > ? AND seen_at > ?",
		userID, now.Add(-s.sessionLifetime), now.Add(-s.sessionIdle)).
		Order("seen_at DESC, created_at DESC, id").Find(&sessions).Error
	return sessions, err
}

// HasID reports whether the cookie's id is the session's.
func (s *Session) HasID(id string) bool { return id != "" && s.ID == digest(id) }

// EndOtherSessions ends a user's sessions except the one with the id in the cookie, and returns how many.
func (s *Store) EndOtherSessions(ctx context.Context, userID int64, keep string) (int64, error) {
	db, done := bounded(ctx, s.writer)
	defer done()
	ended := endSessions(db, userID, keep)
	return ended.RowsAffected, ended.Error
}

// EndUserSession ends a user's session with the Session.ID. One that has ended, or is another user's, is CodeNotFound.
func (s *Store) EndUserSession(ctx context.Context, userID int64, id string) error {
	if !storable(id) {
		return NotFound("session.not_found")
	}
	db, done := bounded(ctx, s.writer)
	defer done()
	ended := db.Delete(&Session{}, "user_id = ? AND id = ?", userID, id)
	if ended.Error == nil && ended.RowsAffected == 0 {
		return NotFound("session.not_found")
	}
	return ended.Error
}

// EndSession deletes the session with the id in the cookie. One that has ended is no error.
func (s *Store) EndSession(ctx context.Context, id string) error {
	db, done := bounded(ctx, s.writer)
	defer done()
	return db.Delete(&Session{}, "id = ?", digest(id)).Error
}

// endSessions deletes a user's sessions except the one with the id keep (as in the cookie).
func endSessions(tx *gorm.DB, userID int64, keep string) *gorm.DB {
	return tx.Delete(&Session{}, "user_id = ? AND id <> ?", userID, digest(keep))
}
