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

// Session is one login. The cookie holds the id itself, the store only its SHA-256.
type Session struct {
	ID        string `gorm:"primaryKey"` // hex SHA-256 of the cookie's id
	UserID    int64
	User      User // only where it was asked for
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
	touchTimeout = 50 * time.Millisecond // for the store's writer: a page does not wait for a large refresh
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

// SessionLifetime returns how long a session lasts at most, however busy it is. A cookie need not outlive it.
func (s *Store) SessionLifetime() time.Duration { return s.sessionLifetime }

// CreateSession logs a user in and returns the id for the cookie; the store keeps only its digest.
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

// SessionUser is the active user whose cookie holds the id; CodeUnauthenticated, with the zero User, when there is none
// (any more). That the session was seen is kept when the store is free to.
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

// touch notes when a session or token was used.
func (s *Store) touch(ctx context.Context, login any, column string, now time.Time) {
	limited, cancel := context.WithTimeout(ctx, touchTimeout)
	defer cancel()
	if err := s.writer.WithContext(limited).Model(login).Update(column, now).Error; err != nil {
		s.log.DebugContext(ctx, "a session or token looks less recent than it is", "error", err)
	}
}

func (s *Store) sessionEnded(session Session, now time.Time) bool {
	return now.Sub(session.CreatedAt) >= s.sessionLifetime || now.Sub(session.SeenAt) >= s.sessionIdle
}

// EndSession logs out. A session that is over already is no error.
func (s *Store) EndSession(ctx context.Context, id string) error {
	db, done := bounded(ctx, s.writer)
	defer done()
	return db.Delete(&Session{}, "id = ?", digest(id)).Error
}

// endSessions ends a user's sessions but keep, a cookie's id.
func endSessions(tx *gorm.DB, userID int64, keep string) error {
	return tx.Delete(&Session{}, "user_id = ? AND id <> ?", userID, digest(keep)).Error
}
