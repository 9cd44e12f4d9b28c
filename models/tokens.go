package models

import (
	"context"
	"encoding/base64"
	"errors"
	"strings"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// TokenPrefix makes leaked tokens recognizable.
const (
	TokenPrefix   = "whalefall_"
	TokenLifetime = 90 * 24 * time.Hour // of a token created without an expiry
	TokenYears    = 1                   // the longest life of a token

	tokenTouch = time.Minute // precision of Token.LastUsedAt
)

// Token lets a program act for a user. The store holds only a digest of its secret.
type Token struct {
	ID         int64 `gorm:"primaryKey"`
	UserID     int64
	Username   string `gorm:"->;-:migration"` // set by Tokens only
	Name       string // unique among the user's tokens
	Digest     string `json:"-"` // hex SHA-256 of the secret
	Role       Role   // upper limit; the user's current role limits it further
	ExpiresAt  time.Time
	CreatedAt  time.Time
	LastUsedAt *time.Time // nil: never
}

// TableName returns the name of the table of tokens.
func (Token) TableName() string { return "api_tokens" }

// ExpiredAt reports whether the token has expired at the given time.
func (t *Token) ExpiredAt(now time.Time) bool { return !t.ExpiresAt.After(now) }

// Tokens returns a user's tokens, or everybody's if userID is 0, expired ones included, newest first.
func (s *Store) Tokens(ctx context.Context, userID int64) ([]Token, error) {
	db, done := bounded(ctx, s.reader)
	defer done()
	query := db.Select("api_tokens.*, u.username").Joins("JOIN users u ON u.id = api_tokens.user_id")
	if userID != 0 {
		query = query.Where("user_id = ?", userID)
	}
	var tokens []Token
	err := query.Order("api_tokens.id DESC").Find(&tokens).Error
	return tokens, err
}

// CreateToken adds a token with t's user, name, role and expiry and returns its secret, which cannot be read again. A
// name that another token of the user has is CodeConflict.
func (s *Store) CreateToken(ctx context.Context, t Token) (Token, string, error) {
	if err := requireStorable(t.Name); err != nil {
		return Token{}, "", err
	}
	if !t.Role.Known() {
		return Token{}, "", Invalid("user.role_invalid")
	}
	secret := TokenPrefix + base64.RawURLEncoding.EncodeToString(randomBytes(32))
	fresh := Token{
		UserID: t.UserID, Name: t.Name, Digest: digest(secret), Role: t.Role,
		ExpiresAt: stamp(t.ExpiresAt), CreatedAt: s.Now(),
	}
	db, done := bounded(ctx, s.writer)
	defer done()
	err := db.Create(&fresh).Error
	switch {
	case errors.Is(err, gorm.ErrDuplicatedKey):
		return Token{}, "", conflict("token.name_taken", err)
	case errors.Is(err, gorm.ErrForeignKeyViolated):
		return Token{}, "", NotFound("user.not_found")
	}
	return fresh, secret, err
}

// DeleteToken deletes a user's token, or anybody's if userID is 0, and returns it, or CodeNotFound. A token that can do
// more than the role may is CodeForbidden.
func (s *Store) DeleteToken(ctx context.Context, userID, id int64, role Role) (Token, error) {
	var token Token
	err := s.change(ctx, func(tx *gorm.DB) error {
		query := tx.Clauses(clause.Locking{Strength: "UPDATE"})
		if userID != 0 {
			query = query.Where("user_id = ?", userID)
		}
		err := query.Omit("username").Take(&token, "id = ?", id).Error
		if errors.Is(err, gorm.ErrRecordNotFound) {
			return NotFound("token.not_found")
		}
		if err != nil {
			return err
		}
		owner, err := takeUser(tx, "id = ?", token.UserID)
		if err != nil {
			return err
		}
		if can := lesser(owner.Role, token.Role); !role.Covers(can) {
			return &Error{Code: CodeForbidden, Args: Args("Permission", string(can))}
		}
		return tx.Delete(&token).Error
	})
	return token, err
}

// endTokens deletes a user's tokens.
func endTokens(tx *gorm.DB, userID int64) error {
	return tx.Delete(&Token{}, "user_id = ?", userID).Error
}

// TokenUser returns the token with the secret and its user, whose role is lowered to the token's. If there is none,
// the token has expired or the user is inactive, it returns zero values and CodeUnauthenticated. It updates
// last_used_at at most once a minute, and only if the writer is free.
func (s *Store) TokenUser(ctx context.Context, secret string) (User, Token, error) {
	refused := &Error{Code: CodeUnauthenticated}
	if !strings.HasPrefix(secret, TokenPrefix) {
		return User{}, Token{}, refused
	}
	db, done := bounded(ctx, s.reader)
	defer done()
	var token Token
	err := db.Take(&token, "digest = ?", digest(secret)).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return User{}, Token{}, refused
	}
	if err != nil {
		return User{}, Token{}, err
	}
	now := s.Now()
	user, err := s.User(ctx, token.UserID)
	if err != nil {
		return User{}, Token{}, err
	}
	if !user.IsActive || token.ExpiredAt(now) {
		return User{}, Token{}, refused
	}
	if token.LastUsedAt == nil || now.Sub(*token.LastUsedAt) >= tokenTouch {
		s.touch(ctx, &Token{ID: token.ID}, "last_used_at", now)
	}
	user.Role = lesser(user.Role, token.Role)
	return user, token, nil
}
