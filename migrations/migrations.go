// Package migrations brings a store to the current schema: one folder of embedded SQL a dialect.
package migrations

import (
	"cmp"
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
	"math"
	"time"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

//go:embed sqlite/*.sql postgres/*.sql
var files embed.FS

// State is one migration and when it was applied.
type State struct {
	Name      string
	AppliedAt time.Time // zero: pending
}

// Up applies what is pending. Replicas that start at the same moment on one PostgreSQL wait for each other until ctx
// ends; for a SQLite file the caller sees to that.
func Up(ctx context.Context, db *sql.DB, dialect string) error {
	provider, err := newProvider(db, dialect)
	if err != nil {
		return err
	}
	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("migrate the %s store: %w", dialect, err)
	}
	return nil
}

// Status lists every migration, oldest first.
func Status(ctx context.Context, db *sql.DB, dialect string) ([]State, error) {
	provider, err := newProvider(db, dialect)
	if err != nil {
		return nil, err
	}
	found, err := provider.Status(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the migrations of the %s store: %w", dialect, err)
	}
	states := make([]State, len(found))
	for i, m := range found {
		states[i] = State{Name: cmp.Or(m.Source.Path, fmt.Sprintf("%05d_queue.go", m.Source.Version)), AppliedAt: m.AppliedAt}
	}
	return states, nil
}

// A replica waits for another one that is migrating until ctx ends.
const (
	lockRetrySeconds = 1
	lockRetries      = math.MaxInt32
)

func newProvider(db *sql.DB, dialect string) (*goose.Provider, error) {
	folder, err := fs.Sub(files, dialect)
	if err != nil {
		return nil, err
	}
	switch dialect {
	case "sqlite":
		return goose.NewProvider(goose.DialectSQLite3, db, folder, goose.WithDisableGlobalRegistry(true))
	case "postgres":
		locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(lockRetrySeconds, lockRetries))
		if err != nil {
			return nil, err
		}
		return goose.NewProvider(goose.DialectPostgres, db, folder,
			goose.WithDisableGlobalRegistry(true), goose.WithSessionLocker(locker), goose.WithGoMigrations(queueTables()))
	}
	return nil, fmt.Errorf("no migrations for dialect %q", dialect)
}
