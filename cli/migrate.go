package cli

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"whalefall/migrations"
)

type migrateCmd struct{}

// Run migrates the store and prints a line for each applied migration.
func (migrateCmd) Run(ctx context.Context, s *Settings, p Program) error {
	log := newLogger(s, p.Err)
	store, err := openStore(ctx, s, log, func(ctx context.Context, db *sql.DB, dialect string) error {
		if err := migrations.Up(ctx, db, dialect); err != nil {
			return err
		}
		states, err := migrations.Status(ctx, db, dialect)
		for _, m := range states {
			fmt.Fprintf(p.Out, "%s\tapplied %s\n", m.Name, m.AppliedAt.UTC().Format(time.RFC3339))
		}
		return err
	})
	if err != nil {
		return err
	}
	return store.Close()
}
