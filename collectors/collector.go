// Package collectors defines what a collector of sizes is, holds what the collectors of all engines share, and has
// Service, which runs them and stores what they find. Each engine is a package below this one.
package collectors

import (
	"context"

	"whalefall/models"
)

// Target is everything needed to connect to one monitored server.
type Target struct {
	InstanceID int64  // 0 for a target that is not saved yet
	Name       string // the instance's name, for messages
	Engine     models.Engine
	Host       string
	Port       int
	Database   string // database to connect to first; for SQLite the path of the file
	Username   string
	Password   string
	TLSMode    models.TLSMode
	Options    map[string]string
}

// Collector reads servers of one engine. Every method opens its own connection, closes it before it returns, and
// returns driver errors as *models.Error: CodeUnreachable when no connection came about, CodeTimeout when a
// deadline passed, CodeCollection for everything else, with the engine's number in Extra.
type Collector interface {
	// Capabilities returns what the callers of this collector must know about it.
	Capabilities() models.Capabilities
	// Version connects and returns the version of the server.
	Version(ctx context.Context, t Target) (models.Version, error)
	// Databases lists every database, with its size in bytes where the account may measure it.
	Databases(ctx context.Context, t Target) (models.DatabaseResult, error)
	// Tables measures every relation of one database. A database that does not exist is ErrDatabaseGone.
	Tables(ctx context.Context, t Target, database string) (models.TableResult, error)
	// Yardstick returns the engine's own sizes of one database, read by statements that share nothing with those of
	// Tables. It may be slow: only a selfcheck calls it.
	Yardstick(ctx context.Context, t Target, database string) (models.Yardstick, error)
}

// KeyDatabaseGone is the message key of the error for a database that the target does not have.
const KeyDatabaseGone = "collect.database_gone"

// DatabaseGone returns the error for a database that does not exist on the target.
func DatabaseGone(name string, cause error) *models.Error {
	return &models.Error{
		Code: models.CodeCollection, Key: KeyDatabaseGone, Args: models.Args("Name", name),
		Extra: map[string]any{"database_name": name}, Err: cause,
	}
}

// KeyTablespaceGone replaces KeyDatabaseGone for Oracle, whose databases are tablespaces.
const KeyTablespaceGone = "collect.tablespace_gone"

// TablespaceGone returns the error for a tablespace that does not exist on the target.
func TablespaceGone(name string) *models.Error {
	gone := DatabaseGone(name, nil)
	gone.Key = KeyTablespaceGone
	return gone
}

// IsGone reports whether an error says that the database or tablespace does not exist on the target.
func IsGone(err error) bool {
	key := models.AsError(err).Key
	return key == KeyDatabaseGone || key == KeyTablespaceGone
}
