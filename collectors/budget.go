package collectors

import (
	"context"
	"database/sql"
	"errors"
	"net"
	"sync/atomic"

	"whalefall/models"
)

// What a server may send, in bytes. Memory follows what arrives, and a million tables with their indexes are about half
// of what a connection may send.
const (
	loginBudget      = 1 << 20   // before it has accepted the login
	rowBudget        = 16 << 20  // from one row of EachRow to the next; ours have a few kilobytes
	connectionBudget = 512 << 20 // after the login
)

// Budget bounds what the server of a connection sends. The zero value is ready for the first connection.
type Budget struct {
	read     atomic.Int64 // bytes since the login, or before it
	limit    atomic.Int64
	row      atomic.Int64 // the value of read at the last row; noRow outside EachRow
	exceeded atomic.Pointer[error]
}

// Dial returns a function that connects by dial and counts what is read. Each connection starts afresh.
func (b *Budget) Dial(
	dial func(ctx context.Context, network, address string) (net.Conn, error),
) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return b.Conn(conn), nil
	}
}

// Conn starts afresh with a new connection and returns one whose reads fail beyond the budget: before the login with
// ErrProtocol, after it with a CodeCollection.
func (b *Budget) Conn(conn net.Conn) net.Conn {
	b.start(loginBudget)
	return &budgetedConn{Conn: conn, budget: b}
}

const noRow = -1

func (b *Budget) start(limit int64) {
	b.read.Store(0)
	b.row.Store(noRow)
	b.limit.Store(limit)
}

// LoggedIn says that the server has accepted the login.
func (b *Budget) LoggedIn() { b.start(connectionBudget) }

// EachRow does what the function EachRow does on this connection.
func (b *Budget) EachRow(
	ctx context.Context, q Queryer, text string, scan func(*sql.Rows) error, args ...any,
) error {
	arrived := func() { b.row.Store(b.read.Load()) }
	arrived()
	defer b.row.Store(noRow)
	return b.Explain(EachRow(ctx, q, text, func(rows *sql.Rows) error {
		arrived()
		return scan(rows)
	}, args...))
}

// Explain returns err, joined with why the connection was given up if that was because of the budget: not every driver
// passes on the error of a read.
func (b *Budget) Explain(err error) error {
	if why := b.exceeded.Load(); why != nil && err != nil {
		return errors.Join(*why, err)
	}
	return err
}

// spend counts bytes that were read.
func (b *Budget) spend(n int) error {
	limit, row, read := b.limit.Load(), b.row.Load(), b.read.Add(int64(n))
	if read <= limit && (row == noRow || read-row <= rowBudget) {
		return nil
	}
	why := ErrProtocol
	if limit != loginBudget {
		why = &models.Error{Code: models.CodeCollection, Key: "collect.too_much"}
	}
	b.exceeded.Store(&why)
	return why
}

type budgetedConn struct {
	net.Conn
	budget *Budget
}

func (c *budgetedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if spent := c.budget.spend(n); spent != nil {
		return 0, spent
	}
	return n, err
}
