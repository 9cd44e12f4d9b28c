package models

import (
	"context"
	"errors"
	"regexp"
	"strings"
	"time"
	"unicode"

	"golang.org/x/crypto/bcrypt"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// User is a person who can log in.
type User struct {
	ID           int64 `gorm:"primaryKey"`
	Username     string
	PasswordHash string `json:"-"`
	Role         Role
	IsActive     bool
	CreatedAt    time.Time
	UpdatedAt    time.Time
	LastLoginAt  *time.Time // nil: never logged in

	MustChangePassword bool // before anything else in a session: somebody else knows the password
}

// Length of passwords in bytes. bcrypt rejects more than 72.
const (
	passwordMinLength = 8
	passwordMaxLength = 72
)

// passwordCost is the default cost of bcrypt: a quarter of a second.
const passwordCost = 12

var usernamePattern = regexp.MustCompile(`^[A-Za-z0-9_]{3,20}$`)

// CheckPassword returns nil if the password meets the policy, else CodePasswordInvalid.
func CheckPassword(password string) *Error {
	refused := func(key string) *Error { return &Error{Code: CodePasswordInvalid, Key: key} }
	switch {
	case len(password) < passwordMinLength:
		return refused("password.too_short")
	case len(password) > passwordMaxLength:
		return refused("password.too_long")
	case !strings.ContainsFunc(password, unicode.IsUpper):
		return refused("password.no_upper")
	case !strings.ContainsFunc(password, unicode.IsLower):
		return refused("password.no_lower")
	case !strings.ContainsFunc(password, unicode.IsDigit):
		return refused("password.no_digit")
	}
	return nil
}

func (s *Store) hashPassword(password string) (string, error) {
	if err := CheckPassword(password); err != nil {
		return "", err
	}
	hash, err := bcrypt.GenerateFromPassword([]byte(password), s.passwordCost)
	return string(hash), err
}

func (u *User) hasPassword(password string) bool {
	return bcrypt.CompareHashAndPassword([]byte(u.PasswordHash), []byte(password)) == nil
}

// newUnknownUser returns a user with a random password. Comparing with it makes logins of unknown users as slow as
// those with a wrong password.
func newUnknownUser(cost int) (User, error) {
	hash, err := bcrypt.GenerateFromPassword(randomBytes(passwordMaxLength/2), cost)
	return User{PasswordHash: string(hash)}, err
}

// Users returns all users, sorted by id.
func (s *Store) Users(ctx context.Context) ([]User, error) {
	db, done := bounded(ctx, s.reader)
	defer done()
	var users []User
	err := db.Order("id").Find(&users).Error
	return users, err
}

// User returns the user with the id, or CodeNotFound.
func (s *Store) User(ctx context.Context, id int64) (User, error) {
	db, done := bounded(ctx, s.reader)
	defer done()
	return takeUser(db, "id = ?", id)
}

// UserByName returns the user with the exact name, or CodeNotFound.
func (s *Store) UserByName(ctx context.Context, name string) (User, error) {
	if !storable(name) {
		return User{}, NotFound("user.not_found")
	}
	db, done := bounded(ctx, s.reader)
	defer done()
	return takeUser(db, "username = ?", name)
}

func takeUser(tx *gorm.DB, condition string, value any) (User, error) {
	var user User
	err := tx.Take(&user, condition, value).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return User{}, NotFound("user.not_found")
	}
	return user, err
}

func (u *User) check() error {
	if !usernamePattern.MatchString(u.Username) {
		return Invalid("user.name_invalid")
	}
	if !u.Role.Known() {
		return Invalid("user.role_invalid")
	}
	return nil
}

// CreateUser adds a user with u's name, role, state and MustChangePassword. A name in use, in any case, is
// CodeUsernameExists.
func (s *Store) CreateUser(ctx context.Context, u User, password string) (User, error) {
	if err := u.check(); err != nil {
		return User{}, err
	}
	hash, err := s.hashPassword(password)
	if err != nil {
		return User{}, err
	}
	fresh := User{
		Username: u.Username, PasswordHash: hash, Role: u.Role, IsActive: u.IsActive,
		MustChangePassword: u.MustChangePassword,
	}
	err = s.change(ctx, func(tx *gorm.DB) error {
		if err := s.requireFreeName(tx, fresh.Username, 0); err != nil {
			return err
		}
		return nameTaken(tx.Create(&fresh).Error)
	})
	if err != nil {
		return User{}, err
	}
	return fresh, nil
}

// requireFreeName refuses a name that another user has in any case: "Admin" beside "admin" would only mislead.
func (s *Store) requireFreeName(tx *gorm.DB, name string, own int64) error {
	lower := strings.ToLower(name)
	if err := s.dialect.lockText(tx, "username "+lower); err != nil {
		return err
	}
	var taken int64
	err := tx.Model(&User{}).Where("lower(username) = ? AND id <> ?", lower, own).Count(&taken).Error
	if err == nil && taken > 0 {
		err = nameTaken(gorm.ErrDuplicatedKey)
	}
	return err
}

func nameTaken(err error) error {
	if errors.Is(err, gorm.ErrDuplicatedKey) {
		return &Error{Code: CodeUsernameExists, Key: "user.name_taken", Err: err}
	}
	return err
}

// UpdateUser writes name, role, state and MustChangePassword of the user with u's id, and the password unless it is
// nil. A new password or deactivation ends the user's sessions and tokens: somebody else may know them.
func (s *Store) UpdateUser(ctx context.Context, u User, password *string) (User, error) {
	if err := u.check(); err != nil {
		return User{}, err
	}
	change := map[string]any{
		"username": u.Username, "role": u.Role, "is_active": u.IsActive, "must_change_password": u.MustChangePassword,
	}
	if password != nil {
		hash, err := s.hashPassword(*password)
		if err != nil {
			return User{}, err
		}
		change["password_hash"] = hash
	}
	var user User
	err := s.change(ctx, func(tx *gorm.DB) error {
		if err := keepAnAdmin(tx, u); err != nil {
			return err
		}
		var err error
		if user, err = takeUser(tx.Clauses(clause.Locking{Strength: "UPDATE"}), "id = ?", u.ID); err != nil {
			return err
		}
		if user.Username != u.Username {
			if err := s.requireFreeName(tx, u.Username, u.ID); err != nil {
				return err
			}
		}
		if err := tx.Model(&user).Updates(change).Error; err != nil {
			return nameTaken(err)
		}
		if password != nil || !u.IsActive {
			return errors.Join(endSessions(tx, u.ID, "").Error, endTokens(tx, u.ID))
		}
		return nil
	})
	return user, err
}

// keepAnAdmin refuses an update after which there is no active admin. It locks all active admins, so two of them who
// deactivate each other at the same time wait for each other.
func keepAnAdmin(tx *gorm.DB, u User) error {
	if u.Role == RoleAdmin && u.IsActive {
		return nil
	}
	var admins []User
	err := tx.Clauses(clause.Locking{Strength: "UPDATE"}).Order("id").
		Find(&admins, "role = ? AND is_active", RoleAdmin).Error
	if err != nil {
		return err
	}
	if len(admins) == 1 && admins[0].ID == u.ID {
		return &Error{Code: CodeLastAdmin, Key: "user.last_admin"}
	}
	return nil
}

// PasswordChange is a change of a user's own password. It ends the user's other sessions.
type PasswordChange struct {
	Old, New    string
	KeepSession string // id in the cookie; empty: none
	EndTokens   bool
}

// ChangePassword replaces a user's own password by one that nobody else knows. Too many wrong old passwords are
// CodeRateLimited, too many logins at a time CodeBusy.
func (s *Store) ChangePassword(ctx context.Context, userID int64, p PasswordChange) error {
	if p.Old == p.New {
		return &Error{Code: CodePasswordDuplicated, Key: "password.same"}
	}
	if err := CheckPassword(p.New); err != nil {
		return err
	}
	key := passwordKey(userID)
	return s.inTurn(ctx, key, func(ctx context.Context) error {
		guess, err := s.startGuess(ctx, key)
		if err != nil {
			return err
		}
		user, err := s.User(ctx, userID)
		if err != nil {
			return err
		}
		if !user.hasPassword(p.Old) {
			return &Error{Code: CodeInvalidOldPassword, Key: "auth.old_password_wrong"}
		}
		return s.replacePassword(ctx, user, p, guess)
	})
}

// replacePassword writes the new password, deletes the failures of the guess's key and ends what the change ends.
func (s *Store) replacePassword(ctx context.Context, user User, p PasswordChange, guess loginFailure) error {
	hash, err := s.hashPassword(p.New)
	if err != nil {
		return err
	}
	return s.change(ctx, func(tx *gorm.DB) error {
		if err := s.forgetGuesses(tx, guess.Key); err != nil {
			return err
		}
		change := map[string]any{"password_hash": hash, "must_change_password": false}
		if err := tx.Model(&user).Updates(change).Error; err != nil {
			return err
		}
		if p.EndTokens {
			if err := endTokens(tx, user.ID); err != nil {
				return err
			}
		}
		return endSessions(tx, user.ID, p.KeepSession).Error
	})
}

// UserQuery selects and orders a page of users. Zero values mean no filter.
type UserQuery struct {
	Search        string // case-insensitive substring of the name, taken literally
	Role          Role
	Status        string // active|inactive
	Sort          string // id|name|role|status|last_login|created
	Desc          bool
	Limit, Offset int // rows
}

// UserPage is one page of users and the number of all that match.
type UserPage struct {
	Items []User
	Total int64
}

var userOrders = map[string]string{
	"id": "id", "name": "lower(username)", "last_login": "last_login_at", "created": "created_at",
	"role":   "CASE role WHEN 'admin' THEN 0 WHEN 'user' THEN 1 ELSE 2 END",
	"status": "CASE WHEN is_active THEN 0 ELSE 1 END",
}

// FindUsers returns a page of the users that q selects. An unknown sort means by id.
func (s *Store) FindUsers(ctx context.Context, q UserQuery) (UserPage, error) {
	var page UserPage
	err := s.view(ctx, func(tx *gorm.DB) error {
		if err := s.filterUsers(tx, q).Count(&page.Total).Error; err != nil {
			return err
		}
		return s.filterUsers(tx, q).Order(listOrder(userOrders, q.Sort, q.Desc, "id")).
			Limit(q.Limit).Offset(q.Offset).Find(&page.Items).Error
	})
	return page, err
}

func (s *Store) filterUsers(tx *gorm.DB, q UserQuery) *gorm.DB {
	tx = equal(tx.Model(&User{}), "role", string(q.Role))
	if q.Status != "" {
		tx = tx.Where("is_active = ?", q.Status == "active")
	}
	return s.search(tx, q.Search, "lower(username)")
}

// DeleteUser deletes a user with their sessions and tokens; runs and the audit log keep the name. The last active admin
// is CodeInvalid.
func (s *Store) DeleteUser(ctx context.Context, id int64) error {
	return s.change(ctx, func(tx *gorm.DB) error {
		if err := keepAnAdmin(tx, User{ID: id}); Is(err, CodeLastAdmin) {
			return Invalid("user.last_admin_undeletable")
		} else if err != nil {
			return err
		}
		gone := tx.Delete(&User{}, "id = ?", id)
		if gone.Error == nil && gone.RowsAffected == 0 {
			return NotFound("user.not_found")
		}
		return gone.Error
	})
}

// UserStatistics counts users.
type UserStatistics struct {
	Total, Active, Inactive int64
	Admins, Users, Guests   int64 // by role, active or not
}

// UserStatistics returns the statistics of all users.
func (s *Store) UserStatistics(ctx context.Context) (UserStatistics, error) {
	db, done := bounded(ctx, s.reader)
	defer done()
	var out UserStatistics
	err := db.Raw(`SELECT count(*) AS total,
		count(*) FILTER (WHERE is_active) AS active, count(*) FILTER (WHERE NOT is_active) AS inactive,
		count(*) FILTER (WHERE role = ?) AS admins, count(*) FILTER (WHERE role = ?) AS users,
		count(*) FILTER (WHERE role = ?) AS guests FROM users`, RoleAdmin, RoleUser, RoleGuest).Scan(&out).Error
	return out, err
}
