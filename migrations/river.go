package migrations

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
)

// River brings its own migrations. Another version of its schema is a migration of ours with another number.
const (
	riverMigration = 8
	riverSchema    = 8
)

// queueTables makes the tables of the queue that replicas share.
func queueTables() *goose.Migration {
	return goose.NewGoMigration(riverMigration, &goose.GoFunc{RunDB: upRiver}, nil)
}

// upRiver hands River connections of its own to the same database.
func upRiver(ctx context.Context, db *sql.DB) error {
	config, err := pgxpool.ParseConfig("")
	if err != nil {
		return err
	}
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	err = conn.Raw(func(driver any) error {
		own, ok := driver.(*stdlib.Conn)
		if !ok {
			return fmt.Errorf("a connection by %T", driver)
		}
		config.ConnConfig = own.Conn().Config()
		return nil
	})
	if closed := conn.Close(); err != nil || closed != nil {
		return fmt.Errorf("the queue's connection: %w", errors.Join(err, closed))
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return err
	}
	defer pool.Close()
	migrator, err := rivermigrate.New(riverpgxv5.New(pool), nil)
	if err != nil {
		return err
	}
	_, err = migrator.Migrate(ctx, rivermigrate.DirectionUp, &rivermigrate.MigrateOpts{TargetVersion: riverSchema})
	return err
}
