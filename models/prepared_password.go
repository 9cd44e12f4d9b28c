package models

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/xdg-go/stringprep"
)

// PreparedPassword returns a password as PostgreSQL prepares it for SCRAM, and whether that changes it. The driver
// prepares compatibility characters, such as those of full width, differently.
func PreparedPassword(password string) (prepared string, changed bool) {
	prepared, err := stringprep.SASLprep.Prepare(password)
	if err != nil {
		return password, false
	}
	return prepared, prepared != password
}

// PasswordRejected reports whether a PostgreSQL server rejected the password.
func PasswordRejected(err error) bool {
	refused, ok := errors.AsType[*pgconn.PgError](err)
	return ok && refused.Code == "28P01"
}

// preparePassword replaces the password by the prepared one if the server rejects it as it is. Any other error is left
// to the connections that follow.
func preparePassword(ctx context.Context, config *pgx.ConnConfig) {
	prepared, changed := PreparedPassword(config.Password)
	if !changed {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	conn, err := pgx.ConnectConfig(ctx, config)
	if err == nil {
		_ = conn.Close(ctx)
	} else if PasswordRejected(err) {
		config.Password = prepared
	}
}
