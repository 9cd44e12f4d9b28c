package models

import (
	"context"
	"database/sql/driver"
	"errors"
	"io"
	"net"

	gosqlite "github.com/glebarez/go-sqlite"
	"github.com/jackc/pgx/v5/pgconn"
	"gorm.io/gorm"
)

// Message keys of a store that needs attention.
const (
	keyStoreFull        = "store.full"
	keyStoreReadOnly    = "store.read_only"
	keyStoreBroken      = "store.broken"
	keyStoreUnavailable = "store.unavailable"
)

// keyLongName is the message key of a collected name that an index of PostgreSQL does not take. Only a SQLite file has
// one, or what is no database at all.
const keyLongName = "store.long_name"

// sqliteTroubles maps primary result codes of SQLite (https://sqlite.org/rescode.html) to message keys.
var sqliteTroubles = map[int]string{
	8: keyStoreReadOnly, 10: keyStoreBroken, 11: keyStoreBroken, 13: keyStoreFull, 14: keyStoreBroken, 26: keyStoreBroken,
}

// sqlitePrimary masks the primary code of a result code.
const sqlitePrimary = 0xff

// postgresTroubles maps SQLSTATEs (https://www.postgresql.org/docs/current/errcodes-appendix.html) to message keys.
var postgresTroubles = map[string]string{
	"25006": keyStoreReadOnly,
	"53100": keyStoreFull,
	"58030": keyStoreBroken, "XX001": keyStoreBroken, "XX002": keyStoreBroken,
	"53300": keyStoreUnavailable,
	"57P01": keyStoreUnavailable, "57P02": keyStoreUnavailable, "57P03": keyStoreUnavailable,
	"57P04": keyStoreUnavailable, "57P05": keyStoreUnavailable,
	"54000": keyLongName,
}

// driverDialector is what gorm requires of a driver, with the optional interfaces ours implement.
type driverDialector interface {
	gorm.Dialector
	gorm.SavePointerDialectorInterface
	gorm.ErrorTranslator
}

// classifying wraps a driver to classify the errors of the store.
type classifying struct{ driverDialector }

// Translate implements gorm.ErrorTranslator.
func (c classifying) Translate(err error) error {
	if _, classified := errors.AsType[*Error](err); classified {
		return err
	}
	err = c.driverDialector.Translate(err)
	switch key := storeTrouble(err); key {
	case "":
		return err
	case keyLongName:
		return &Error{Code: CodeCollection, Key: key, Err: err}
	default:
		return &Error{Code: CodeInternal, Key: key, Err: err}
	}
}

// classifyRows translates the errors of Rows, the only statements that gorm does not translate itself.
func classifyRows(tx *gorm.DB) {
	if translator, ok := tx.Dialector.(gorm.ErrorTranslator); ok && tx.Error != nil {
		tx.Error = translator.Translate(tx.Error)
	}
}

// storeTrouble returns the message key of an error that concerns the store as a whole or a name that it does not take,
// empty for any other.
func storeTrouble(err error) string {
	var file *gosqlite.Error
	var server *pgconn.PgError
	switch {
	case errors.Is(err, context.Canceled):
		return ""
	case errors.As(err, &file):
		return sqliteTroubles[file.Code()&sqlitePrimary]
	case errors.As(err, new(*pgconn.ConnectError)):
		return keyStoreUnavailable
	case errors.As(err, &server):
		return postgresTroubles[server.Code]
	case errors.Is(err, context.DeadlineExceeded):
		return ""
	case errors.As(err, new(*net.OpError)), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF),
		errors.Is(err, driver.ErrBadConn), pgconn.SafeToRetry(err):
		return keyStoreUnavailable
	}
	return ""
}
