package main

import (
	"bufio"
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"whalefall/migrations"
	"whalefall/models"
)

type migrateCmd struct{}

// Run migrates the store and prints a line a migration.
func (migrateCmd) Run(ctx context.Context, s *Settings, io console) error {
	log := newLogger(s, io.err)
	store, err := openStore(ctx, s, log, func(ctx context.Context, db *sql.DB, dialect string) error {
		if err := migrations.Up(ctx, db, dialect); err != nil {
			return err
		}
		states, err := migrations.Status(ctx, db, dialect)
		for _, m := range states {
			fmt.Fprintf(io.out, "%s\tapplied %s\n", m.Name, m.AppliedAt.UTC().Format(time.RFC3339))
		}
		return err
	})
	if err != nil {
		return err
	}
	return store.Close()
}

type userCmd struct {
	List  userListCmd  `cmd:"" help:"List users."`
	Add   userAddCmd   `cmd:"" help:"Add a user; the password is read from standard input."`
	Reset userResetCmd `cmd:"" help:"Set a user's password, read from standard input, and switch the user on."`
}

type userListCmd struct{}

// Run prints a line a user.
func (userListCmd) Run(ctx context.Context, s *Settings, io console) error {
	return withStore(ctx, s, io, func(store *models.Store) error {
		users, err := store.Users(ctx)
		if err != nil {
			return err
		}
		for _, u := range users {
			fmt.Fprintf(io.out, "%s\t%s\tactive=%t\n", u.Username, u.Role, u.IsActive)
		}
		return nil
	})
}

type userAddCmd struct {
	Name string      `arg:"" help:"User name."`
	Role models.Role `enum:"admin,user,guest" default:"user" help:"admin, user or guest."`
}

// Run adds the user.
func (c userAddCmd) Run(ctx context.Context, s *Settings, io console) error {
	return withStore(ctx, s, io, func(store *models.Store) error {
		password, err := readPassword(io)
		if err != nil {
			return err
		}
		user, err := store.CreateUser(ctx, models.User{Username: c.Name, Role: c.Role, IsActive: true}, password)
		noteCommand(ctx, store, io, models.ActionCreateUser, c.Name, user.ID, err)
		return err
	})
}

type userResetCmd struct {
	Name string `arg:"" help:"User name."`
}

// Run sets the password, which ends the user's sessions.
func (c userResetCmd) Run(ctx context.Context, s *Settings, io console) error {
	return withStore(ctx, s, io, func(store *models.Store) error {
		user, err := store.UserByName(ctx, c.Name)
		if err != nil {
			return err
		}
		password, err := readPassword(io)
		if err != nil {
			return err
		}
		user.IsActive = true
		_, err = store.UpdateUser(ctx, user, &password)
		noteCommand(ctx, store, io, models.ActionUpdateUser, c.Name, user.ID, err)
		return err
	})
}

// noteCommand notes in the audit log how a command on a user ended; an id of 0 is none.
func noteCommand(ctx context.Context, store *models.Store, io console, action models.Action, name string, id int64, err error) {
	entry := models.AuditEntry{Username: models.CommandLine, Action: action, TargetName: name}
	if id != 0 {
		entry.TargetID = &id
	}
	if err != nil {
		entry.MessageCode = models.AsError(err).Code
	}
	if err := store.RecordAudit(ctx, entry); err != nil {
		fmt.Fprintln(io.err, "audit entry not kept:", err)
	}
}

func withStore(ctx context.Context, s *Settings, io console, work func(*models.Store) error) error {
	log := newLogger(s, io.err)
	store, err := openStore(ctx, s, log, migrations.Up)
	if err != nil {
		return err
	}
	defer closing(log, "store", store.Close)
	return work(store)
}

func readPassword(io console) (string, error) {
	line, err := bufio.NewReader(io.in).ReadString('\n')
	if line == "" && err != nil {
		return "", fmt.Errorf("no password on standard input: %w", err)
	}
	return strings.TrimRight(line, "\r\n"), nil
}
