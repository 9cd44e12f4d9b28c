package models

import (
	"context"
	"database/sql"
	"log/slog"
	"time"
)

// Store is the only thing that talks to WhaleFall's own database, on SQLite or PostgreSQL alike.
type Store struct {
	Keys Keyset
	Zone *time.Location
}

// Keyset seals secrets; see keyset.go.
type Keyset struct{}

// Migrate brings a database to the current schema; dialect is "sqlite" or "postgres".
type Migrate func(ctx context.Context, db *sql.DB, dialect string) error

// Options of Open.
type Options struct {
	Address string // postgres:// URL or path of a SQLite file
	Keyset  Keyset
	Zone    *time.Location // calendar days are counted in it
	Migrate Migrate
	Log     *slog.Logger
}

// Open opens (and creates, for SQLite) the store and migrates it. A wrong keyset fails here.
func Open(ctx context.Context, o Options) (*Store, error) { panic("stub") }

// Close ends all connections.
func (s *Store) Close() error { panic("stub") }

// Ping reports whether the store answers.
func (s *Store) Ping(ctx context.Context) error { panic("stub") }

// Day is the calendar day of t in the configured zone, YYYY-MM-DD.
func (s *Store) Day(t time.Time) string { return t.In(s.Zone).Format(time.DateOnly) }

// Path is the SQLite file of an embedded store, "" for PostgreSQL.
func (s *Store) Path() string { panic("stub") }

// CookieKey is the 32-byte key that signs cookies and CSRF tokens, the same for all replicas.
func (s *Store) CookieKey() []byte { panic("stub") }

// Users, logins and sessions.

func (s *Store) Users(ctx context.Context) ([]User, error)                             { panic("stub") }
func (s *Store) User(ctx context.Context, id int64) (User, error)                      { panic("stub") }
func (s *Store) UserByName(ctx context.Context, name string) (User, error)             { panic("stub") }
func (s *Store) CreateUser(ctx context.Context, u User, password string) (User, error) { panic("stub") }
func (s *Store) UpdateUser(ctx context.Context, u User, password *string) (User, error) {
	panic("stub")
}
func (s *Store) ChangePassword(ctx context.Context, userID int64, old, fresh, keepSession string) error {
	panic("stub")
}
func (s *Store) Login(ctx context.Context, name, password, from string) (User, error) { panic("stub") }
func (s *Store) LoginBudget(ctx context.Context, name, from string) (left int, reset time.Time, err error) {
	panic("stub")
}
func (s *Store) CreateSession(ctx context.Context, userID int64) (id string, err error) {
	panic("stub")
}
func (s *Store) SessionUser(ctx context.Context, id string) (User, error) { panic("stub") }
func (s *Store) EndSession(ctx context.Context, id string) error          { panic("stub") }

// Credentials.

func (s *Store) Credentials(ctx context.Context) ([]Credential, error)        { panic("stub") }
func (s *Store) Credential(ctx context.Context, id int64) (Credential, error) { panic("stub") }
func (s *Store) Password(c Credential) (string, error)                        { panic("stub") }
func (s *Store) CreateCredential(ctx context.Context, c Credential, password string) (Credential, error) {
	panic("stub")
}
func (s *Store) UpdateCredential(ctx context.Context, c Credential, password *string) (Credential, error) {
	panic("stub")
}
func (s *Store) DeleteCredential(ctx context.Context, id int64) error { panic("stub") }

// Instances and tags.

func (s *Store) Instances(ctx context.Context, q InstanceQuery) (InstancePage, error) { panic("stub") }
func (s *Store) Instance(ctx context.Context, id int64) (Instance, error)             { panic("stub") }
func (s *Store) CreateInstance(ctx context.Context, i Instance, tagNames []string, newCredential *NewCredential) (Instance, error) {
	panic("stub")
}
func (s *Store) UpdateInstance(ctx context.Context, i Instance, tagNames *[]string, newCredential *NewCredential) (Instance, error) {
	panic("stub")
}
func (s *Store) DeleteInstance(ctx context.Context, id int64) (Instance, error)        { panic("stub") }
func (s *Store) RestoreInstance(ctx context.Context, id int64) (Instance, bool, error) { panic("stub") }
func (s *Store) RecordConnection(ctx context.Context, id int64, v Version, at time.Time) error {
	panic("stub")
}
func (s *Store) Tags(ctx context.Context) ([]Tag, error) { panic("stub") }

// NewCredential is a user name and password typed into the instance form; it is created in the same transaction.
type NewCredential struct{ Username, Password string }

// Sizes.

func (s *Store) SaveInventory(ctx context.Context, instanceID int64, r DatabaseResult, at time.Time) (InventoryChange, error) {
	panic("stub")
}
func (s *Store) SaveDatabaseSizes(ctx context.Context, instanceID int64, r DatabaseResult, at time.Time) (saved int64, err error) {
	panic("stub")
}
func (s *Store) Databases(ctx context.Context, q DatabaseQuery) (DatabaseSizePage, error) {
	panic("stub")
}
func (s *Store) Cards(ctx context.Context, instanceID int64) (CapacityCards, error) { panic("stub") }
func (s *Store) Database(ctx context.Context, instanceID int64, name string) (InstanceDatabase, error) {
	panic("stub")
}
func (s *Store) AddDatabase(ctx context.Context, instanceID int64, name string, at time.Time) (InstanceDatabase, error) {
	panic("stub")
}
func (s *Store) MarkGone(ctx context.Context, databaseID int64, at time.Time) error { panic("stub") }
func (s *Store) SaveTableSizes(ctx context.Context, in SaveTables) (Receipt, error) { panic("stub") }
func (s *Store) TableSizes(ctx context.Context, q TableQuery) (TablePage, error)    { panic("stub") }
