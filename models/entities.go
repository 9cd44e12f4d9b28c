package models

import (
	"slices"
	"strings"
	"time"
)

// Engine names the kind of a monitored server; the values are the contract's db_type.
type Engine string

// The engines of the contract. MariaDB is a flavour of MySQL, found out by asking the server.
const (
	MySQL      Engine = "mysql"
	Oracle     Engine = "oracle"
	PostgreSQL Engine = "postgresql"
	SQLServer  Engine = "sqlserver"
	SQLite     Engine = "sqlite"
)

// Engines lists all engines in the order of the contract's error message.
var Engines = []Engine{MySQL, Oracle, PostgreSQL, SQLServer, SQLite}

var engineAliases = map[string]Engine{"mssql": SQLServer, "postgres": PostgreSQL, "pg": PostgreSQL, "mariadb": MySQL}

// ParseEngine accepts a db_type or one of its aliases in any case.
func ParseEngine(s string) (Engine, bool) {
	s = strings.ToLower(strings.TrimSpace(s))
	if e, ok := engineAliases[s]; ok {
		return e, true
	}
	for _, e := range Engines {
		if string(e) == s {
			return e, true
		}
	}
	return "", false
}

// Role of a user. What each may do is decided in Role.May.
type Role string

// The three roles of the contract.
const (
	RoleAdmin Role = "admin"
	RoleUser  Role = "user"
	RoleGuest Role = "guest"
)

// Roles lists every role, the one that may least first.
var Roles = []Role{RoleGuest, RoleUser, RoleAdmin}

// Known reports whether there is such a role.
func (r Role) Known() bool { return slices.Contains(Roles, r) }

// Covers reports whether r may everything that other may; an unknown role covers none and is covered by none.
func (r Role) Covers(other Role) bool {
	mine, others := slices.Index(Roles, r), slices.Index(Roles, other)
	return others >= 0 && mine >= others
}

// lesser is the role that may less; of an unknown one and any other, none.
func lesser(a, b Role) Role {
	switch {
	case a.Covers(b):
		return b
	case b.Covers(a):
		return a
	}
	return ""
}

// Permission is what a route asks for.
type Permission string

// The contract's permissions.
const (
	PermView   Permission = "view"
	PermCreate Permission = "create"
	PermUpdate Permission = "update"
	PermDelete Permission = "delete"
	PermAdmin  Permission = "admin"
	PermSync   Permission = "instance_management.instance_list.sync_capacity"
)

// Permissions lists every permission in the order in which a session reports them.
var Permissions = []Permission{PermView, PermCreate, PermUpdate, PermDelete, PermAdmin, PermSync}

// May reports whether the role has the permission.
func (r Role) May(p Permission) bool {
	switch r {
	case RoleAdmin:
		return true
	case RoleUser:
		return p == PermView || p == PermSync
	case RoleGuest:
		return p == PermView
	}
	return false
}

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
}

// Session is one login. The cookie holds the id itself, the store only its SHA-256.
type Session struct {
	ID        string `gorm:"primaryKey"` // hex SHA-256 of the cookie's id
	UserID    int64
	User      User // only where it was asked for
	CreatedAt time.Time
	SeenAt    time.Time
}

// Credential is a user name and sealed password for monitored servers.
type Credential struct {
	ID             int64 `gorm:"primaryKey"`
	Name           string
	CredentialType string // always "database"
	DBType         Engine `gorm:"column:db_type"`
	Username       string
	Secret         []byte `json:"-"` // sealed by the keyset with the credential's id as associated data
	Description    string
	CreatedAt      time.Time
	UpdatedAt      time.Time
}

// TLSMode says how a connection to a target is encrypted; docs/operations.md has what it means for each driver.
type TLSMode string

// The contract's tls_mode values.
const (
	TLSDisable    TLSMode = "disable"
	TLSPrefer     TLSMode = "prefer"
	TLSRequire    TLSMode = "require"
	TLSVerifyCA   TLSMode = "verify-ca"
	TLSVerifyFull TLSMode = "verify-full"
)

// Instance is one monitored server, or one SQLite file.
type Instance struct {
	ID              int64 `gorm:"primaryKey"`
	Name            string
	DBType          Engine  `gorm:"column:db_type"`
	Host            *string // nil for SQLite
	Port            *int    // nil for SQLite
	DatabaseName    string  // database to connect to first; for SQLite the file's path; may be empty
	CredentialID    *int64
	Description     string
	IsActive        bool
	TLSMode         TLSMode           `gorm:"column:tls_mode"`
	Options         map[string]string `gorm:"serializer:json"` // engine specific, documented in docs/operations.md
	DatabaseVersion string            // as the server says it; empty: never connected
	MainVersion     string            // "16", "10.11", "9.7"
	DetailedVersion string
	LastConnected   *time.Time // nil: never
	LastSyncTime    *time.Time // last successful capacity sync; nil: never

	DatabasesComplete *bool  // the last listing proved that no database is missing; nil: never listed
	DatabasesGrant    string // statement that would make it complete; empty when none is needed or known

	DeletedAt *time.Time // nil: not in the recycle bin. A plain column: reading the bin is a filter like any other
	CreatedAt time.Time
	UpdatedAt time.Time

	Credential *Credential
	Tags       []Tag `gorm:"many2many:instance_tags"`

	Schedule *ScheduleEdit `gorm:"-"` // to be written with it; nil: stays as it is. See Store.Schedule
}

// Status is active, inactive or deleted, as the contract has it.
func (i *Instance) Status() string {
	switch {
	case i.DeletedAt != nil:
		return "deleted"
	case i.IsActive:
		return "active"
	}
	return "inactive"
}

// Tag groups instances.
type Tag struct {
	ID          int64 `gorm:"primaryKey"`
	Name        string
	DisplayName string
	Color       string // palette name: blue, green, …
}

// InstanceDatabase is one database of an instance (for Oracle: a tablespace) and the header of its table-size snapshot.
type InstanceDatabase struct {
	ID          int64 `gorm:"primaryKey"`
	InstanceID  int64
	Name        string // byte-exact
	IsSystem    bool
	FirstSeenAt time.Time
	LastSeenAt  time.Time
	GoneAt      *time.Time // nil: on the server when last asked

	Snapshot `gorm:"embedded"`
}

// Snapshot is the header of a database's stored table sizes: all of it is zero and nil until the first refresh succeeds.
type Snapshot struct {
	SnapshotNo   int64      // counts successful refreshes; 0: never collected
	CollectedAt  *time.Time // when the newest refresh ended; nil: never
	TableCount   int64      // stored rows, partitions and roll-ups included
	TopCount     int64      // stored rows that are no partition of another row
	TotalBytes   int64      // Σ known total bytes of rows that are not rolled up
	UnknownCount int64      // rows, roll-ups left out, whose total is unknown
	KeptCount    int64      // rows carried over from an earlier run
	HiddenCount  int64      // relations the server has but whose names the account may not see
	Complete     bool       // the collector proved that nothing is missing
	Grant        string     `gorm:"column:missing_grant"` // statement that would make it complete; empty when none is known
	ElapsedMS    int64      `gorm:"column:elapsed_ms"`    // collect and store, milliseconds

	Scope         string // not empty: the newest refresh looked at this schema alone, and Complete is false
	ResidualBytes *int64 // allocated in the database to no row, in no sum; nil: unknown
	GrowthDay     *int64 // day, counted from 1970-01-01, from which growth is counted; nil: not counted yet
}

// DatabaseSizeStat is the size of one database on one calendar day of the configured zone.
type DatabaseSizeStat struct {
	ID          int64 `gorm:"primaryKey"`
	DatabaseID  int64
	Day         string // YYYY-MM-DD
	SizeBytes   *int64 // nil: unknown
	DataBytes   *int64 // nil: unknown, or the engine does not tell data from the rest
	LogBytes    *int64 // nil: unknown, or the engine has no log of one database
	CollectedAt time.Time
}

// InstanceSizeStat is the size of one instance on one calendar day.
type InstanceSizeStat struct {
	ID            int64 `gorm:"primaryKey"`
	InstanceID    int64
	Day           string // YYYY-MM-DD
	SizeBytes     int64  // Σ of the sizes known of that day
	DatabaseCount int64  // databases with a size known of that day
	CollectedAt   time.Time
}
