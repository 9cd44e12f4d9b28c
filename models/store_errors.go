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

// Message keys of a store that somebody has to look after.
const (
	keyStoreFull        = "store.full"
	keyStoreReadOnly    = "store.read_only"
	keyStoreBroken      = "store.broken"
	keyStoreUnavailable = "store.unavailable"
)

// sqliteTroubles are the primary result codes of SQLite, https://sqlite.org/rescode.html.
var sqliteTroubles = map[int]string{
	8: keyStoreReadOnly, 10: keyStoreBroken, 11: keyStoreBroken, 13: keyStoreFull, 14: keyStoreBroken, 26: keyStoreBroken,
}

// sqlitePrimary are the bits of a result code that hold the primary one.
const sqlitePrimary = 0xff

// postgresTroubles are SQLSTATEs of PostgreSQL, https://www.postgresql.org/docs/current/errcodes-appendix.html.
var postgresTroubles = map[string]string{
	"25006": keyStoreReadOnly, "53100": keyStoreFull, "58030": keyStoreBroken, "XX001": keyStoreBroken, "XX002": keyStoreBroken,
	"53300": keyStoreUnavailable, "57P01": keyStoreUnavailable, "57P02": keyStoreUnavailable, "57P03": keyStoreUnavailable,
	"57P04": keyStoreUnavailable, "57P05": keyStoreUnavailable,
}

// driverDialector is what gorm asks of a driver, and what it asks for where it is there.
type driverDialector interface {
	gorm.Dialector
	gorm.SavePointerDialectorInterface
	gorm.ErrorTranslator
}

// classifying classifies the errors of a store.
type classifying struct{ driverDialector }

// Translate is called by gorm.
func (c classifying) Translate(err error) error {
	if _, classified := errors.AsType[*Error](err); classified {
		return err
	}
	err = c.driverDialector.Translate(err)
	if key := storeTrouble(err); key != "" {
		return &Error{Code: CodeInternal, Key: key, Err: err}
	}
	return err
}

// classifyRows does so after the only statements whose errors gorm has nobody translate.
func classifyRows(tx *gorm.DB) {
	if translator, ok := tx.Dialector.(gorm.ErrorTranslator); ok && tx.Error != nil {
		tx.Error = translator.Translate(tx.Error)
	}
}

// storeTrouble is the message key of an error about the store as a whole, "" for any other.
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
