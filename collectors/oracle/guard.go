package oracle

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
)

// guardedConnector opens connections that turn panics of the driver into errors: go-ora panics on answers that it does
// not expect. A panic that passed through database/sql would leave its locks held, and closing the connection would
// wait for them forever.
type guardedConnector struct{ driver.Connector }

func (g guardedConnector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := g.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	guarded, ok := conn.(guardable)
	if !ok {
		return nil, errors.Join(errors.ErrUnsupported, conn.Close())
	}
	return guardedConn{guarded}, nil
}

// guardable lists the methods of a connection that sessions use.
type guardable interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ExecerContext
	driver.QueryerContext
}

var _ guardable = (*oraConn)(nil)

type guardedConn struct{ guardable }

// HangUp closes the socket if the connection supports it.
func (c guardedConn) HangUp() {
	if conn, ok := c.guardable.(interface{ HangUp() }); ok {
		conn.HangUp()
	}
}

// guard turns a panic into the error of a lost connection. It must be deferred.
func (c guardedConn) guard(err *error) {
	if cause := recover(); cause != nil {
		c.HangUp()
		*err = fmt.Errorf("%w: the driver panicked: %v", driver.ErrBadConn, cause)
	}
}

func (c guardedConn) Close() (err error) {
	defer c.guard(&err)
	return c.guardable.Close()
}

func (c guardedConn) BeginTx(ctx context.Context, options driver.TxOptions) (_ driver.Tx, err error) {
	defer c.guard(&err)
	tx, err := c.guardable.BeginTx(ctx, options)
	return guardedTx{tx, c}, err
}

func (c guardedConn) ExecContext(
	ctx context.Context, text string, args []driver.NamedValue,
) (_ driver.Result, err error) {
	defer c.guard(&err)
	return c.guardable.ExecContext(ctx, text, args)
}

func (c guardedConn) QueryContext(
	ctx context.Context, text string, args []driver.NamedValue,
) (_ driver.Rows, err error) {
	defer c.guard(&err)
	rows, err := c.guardable.QueryContext(ctx, text, args)
	if err != nil {
		return nil, err
	}
	return guardedRows{rows, c}, nil
}

type guardedTx struct {
	driver.Tx
	conn guardedConn
}

func (t guardedTx) Rollback() (err error) {
	defer t.conn.guard(&err)
	return t.Tx.Rollback()
}

type guardedRows struct {
	driver.Rows
	conn guardedConn
}

func (r guardedRows) Next(into []driver.Value) (err error) {
	defer r.conn.guard(&err)
	return r.Rows.Next(into)
}

func (r guardedRows) Close() (err error) {
	defer r.conn.guard(&err)
	return r.Rows.Close()
}
