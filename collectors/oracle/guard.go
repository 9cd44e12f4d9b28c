package oracle

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
)

// guardedConnector makes connections whose driver may panic, as go-ora does over answers that it does not expect. A
// panic that went through database/sql would leave its locks behind, and whoever closes the connection waiting for
// them.
type guardedConnector struct{ driver.Connector }

func (g guardedConnector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := g.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	able, ok := conn.(guardable)
	if !ok {
		return nil, errors.Join(errors.ErrUnsupported, conn.Close())
	}
	return guardedConn{able}, nil
}

// guardable is what a session uses of a connection.
type guardable interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ExecerContext
	driver.QueryerContext
}

var _ guardable = (*oraConn)(nil)

type guardedConn struct{ guardable }

// HangUp closes the socket if the connection is one that has it.
func (c guardedConn) HangUp() {
	if able, ok := c.guardable.(interface{ HangUp() }); ok {
		able.HangUp()
	}
}

// guard makes a panic the error of a connection that is lost.
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

func (c guardedConn) ExecContext(ctx context.Context, text string, args []driver.NamedValue) (_ driver.Result, err error) {
	defer c.guard(&err)
	return c.guardable.ExecContext(ctx, text, args)
}

func (c guardedConn) QueryContext(ctx context.Context, text string, args []driver.NamedValue) (_ driver.Rows, err error) {
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
