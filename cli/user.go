package cli

import (
	"bufio"
	"context"
	"fmt"
	"strings"

	"whalefall/models"
)

type userCmd struct {
	List  userListCmd  `cmd:"" help:"List users."`
	Add   userAddCmd   `cmd:"" help:"Add a user; the password is read from standard input."`
	Reset userResetCmd `cmd:"" help:"Set a user's password, read from standard input, and activate the user."`
}

type userListCmd struct{}

// Run prints a line for each user.
func (userListCmd) Run(ctx context.Context, s *Settings, p Program) error {
	return withStore(ctx, s, p, func(store *models.Store) error {
		users, err := store.Users(ctx)
		if err != nil {
			return err
		}
		for _, u := range users {
			fmt.Fprintf(p.Out, "%s\t%s\tactive=%t\n", u.Username, u.Role, u.IsActive)
		}
		return nil
	})
}

type userAddCmd struct {
	Name string      `arg:"" help:"User name."`
	Role models.Role `enum:"admin,user,guest" default:"user" help:"admin, user or guest."`

	MustChangePassword bool `help:"The user must change the password after logging in."`
}

// Run adds the user.
func (c userAddCmd) Run(ctx context.Context, s *Settings, p Program) error {
	return withStore(ctx, s, p, func(store *models.Store) error {
		password, err := readPassword(p)
		if err != nil {
			return err
		}
		fresh := models.User{
			Username: c.Name, Role: c.Role, IsActive: true, MustChangePassword: c.MustChangePassword,
		}
		user, err := store.CreateUser(ctx, fresh, password)
		noteCommand(ctx, store, p, models.ActionCreateUser, c.Name, user.ID, err)
		return err
	})
}

type userResetCmd struct {
	Name string `arg:"" help:"User name."`

	MustChangePassword bool `help:"The user must change the password after logging in."`
}

// Run sets the password, activates the user and ends the user's sessions.
func (c userResetCmd) Run(ctx context.Context, s *Settings, p Program) error {
	return withStore(ctx, s, p, func(store *models.Store) error {
		user, err := store.UserByName(ctx, c.Name)
		if err != nil {
			return err
		}
		password, err := readPassword(p)
		if err != nil {
			return err
		}
		user.IsActive, user.MustChangePassword = true, c.MustChangePassword
		_, err = store.UpdateUser(ctx, user, &password)
		noteCommand(ctx, store, p, models.ActionUpdateUser, c.Name, user.ID, err)
		return err
	})
}

// noteCommand writes an audit entry for a command on a user, with the code of err. id is 0 if the user does not exist.
func noteCommand(
	ctx context.Context, store *models.Store, p Program, action models.Action, name string, id int64, err error,
) {
	entry := models.AuditEntry{Username: models.CommandLine, Action: action, TargetName: name}
	if id != 0 {
		entry.TargetID = &id
	}
	if err != nil {
		entry.MessageCode = models.AsError(err).Code
	}
	if err := store.RecordAudit(ctx, entry); err != nil {
		fmt.Fprintln(p.Err, "audit entry not saved:", err)
	}
}

// readPassword reads a line from standard input.
func readPassword(p Program) (string, error) {
	line, err := bufio.NewReader(p.In).ReadString('\n')
	if line == "" && err != nil {
		return "", fmt.Errorf("no password on standard input: %w", err)
	}
	return strings.TrimRight(line, "\r\n"), nil
}
