package oracle

import (
	"cmp"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/sijms/go-ora/v2/network"
)

type connector struct {
	server *Server
	login  Login
}

// Connect opens a session, or returns the error that go-ora would.
func (c connector) Connect(ctx context.Context) (driver.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s := c.server
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failLogin != nil {
		if err := s.failLogin(c.login); err != nil {
			return nil, err
		}
	}
	user, err := s.admit(c.login)
	if err != nil {
		return nil, err
	}
	s.connections++
	return &conn{server: s, user: user, schema: cmp.Or(s.options.CurrentSchema, user)}, nil
}

// Driver implements driver.Connector; nothing uses it.
func (c connector) Driver() driver.Driver { return unnamed{} }

type unnamed struct{}

func (unnamed) Open(string) (driver.Conn, error) { return nil, errors.New("use Server.Connector") }

// admit returns the user of the login. Errors of the listener have no text, since go-ora makes them itself.
func (s *Server) admit(login Login) (string, error) {
	if login.SID != "" && !strings.EqualFold(login.SID, s.options.SID) {
		return "", network.NewOracleError(12505)
	}
	if login.SID == "" && !strings.EqualFold(login.Service, s.options.Service) {
		return "", network.NewOracleError(12514)
	}
	user, ok := s.users[folded(login.Username)]
	switch {
	case !ok:
		return "", refused(1017)
	case user.Locked:
		return "", refused(28000)
	case user.Password != login.Password:
		return "", refused(1017)
	case user.Expired:
		return "", refused(28001)
	}
	return user.Name, nil
}

// folded returns a name as the dictionary has it.
func folded(name string) string {
	if quoted := strings.Trim(name, `"`); len(quoted) == len(name)-2 {
		return quoted
	}
	return strings.ToUpper(name)
}

type conn struct {
	server *Server
	user   string
	schema string // CURRENT_SCHEMA
	bad    bool
}

var (
	_ driver.QueryerContext     = (*conn)(nil)
	_ driver.ExecerContext      = (*conn)(nil)
	_ driver.ConnBeginTx        = (*conn)(nil)
	_ driver.ConnPrepareContext = (*conn)(nil)
	_ driver.Pinger             = (*conn)(nil)
	_ driver.SessionResetter    = (*conn)(nil)
	_ driver.StmtQueryContext   = (*stmt)(nil)
	_ driver.StmtExecContext    = (*stmt)(nil)
)

// Close ends the session.
func (c *conn) Close() error {
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	c.server.connections--
	return nil
}

// ResetSession rejects a lost connection.
func (c *conn) ResetSession(context.Context) error {
	if c.bad {
		return driver.ErrBadConn
	}
	return nil
}

// Ping runs no statement, but is blocked like one.
func (c *conn) Ping(ctx context.Context) error { return c.wait(ctx) }

// wait returns once the database is not blocked.
func (c *conn) wait(ctx context.Context) error {
	c.server.mu.Lock()
	blocked := c.server.blocked
	if blocked != nil {
		c.server.waiting++
	}
	c.server.mu.Unlock()
	if blocked != nil {
		select {
		case <-blocked:
		case <-ctx.Done():
		}
		c.server.mu.Lock()
		c.server.waiting--
		c.server.mu.Unlock()
	}
	if ctx.Err() != nil {
		return refused(1013)
	}
	return nil
}

// begin records the statement and returns the error that the test wants for it.
func (c *conn) begin(ctx context.Context, text string) error {
	c.server.mu.Lock()
	c.server.queries = append(c.server.queries, text)
	fail := c.server.fail
	c.server.mu.Unlock()
	if err := c.wait(ctx); err != nil {
		return err
	}
	if fail == nil {
		return nil
	}
	err := fail(text)
	c.bad = c.bad || err != nil && lost(err)
	return err
}

// QueryContext reads the whole result at once.
func (c *conn) QueryContext(ctx context.Context, query string, arguments []driver.NamedValue) (driver.Rows, error) {
	if err := c.begin(ctx, query); err != nil {
		if lost(err) {
			return nil, driver.ErrBadConn
		}
		return nil, err
	}
	statement, err := c.translate(query)
	if err != nil {
		return nil, err
	}
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	if err := c.allowed(statement.views); err != nil {
		return nil, err
	}
	values, err := bound(statement.binds, arguments)
	if err != nil {
		return nil, err
	}
	db, err := c.server.dictionary(ctx, c.user)
	if err != nil {
		return nil, err
	}
	found, err := read(ctx, db, query, statement.sql, values)
	if limit := c.server.options.MaxRows; err == nil && limit > 0 {
		found.rows = found.rows[:min(limit, len(found.rows))]
	}
	return found, err
}

func read(ctx context.Context, db *sql.DB, query, translated string, values []any) (*rows, error) {
	found, err := db.QueryContext(ctx, translated, values...)
	if err != nil {
		return nil, stopped(ctx, err)
	}
	defer func() { _ = found.Close() }()
	names, err := found.Columns()
	if err != nil {
		return nil, err
	}
	result := &rows{columns: headings(query, names)}
	for found.Next() {
		row := make([]any, len(names))
		into := make([]any, len(names))
		for i := range row {
			into[i] = &row[i]
		}
		if err := found.Scan(into...); err != nil {
			return nil, err
		}
		for i := range row {
			if row[i], err = answered(row[i]); err != nil {
				return nil, err
			}
		}
		result.rows = append(result.rows, row)
	}
	if err := found.Err(); err != nil {
		return nil, stopped(ctx, err)
	}
	return result, nil
}

// stopped returns the error of a statement that was cancelled or could not be run.
func stopped(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return refused(1013)
	}
	return notRun(err)
}

// headings returns the column names in upper case, except for aliases in double quotes.
func headings(query string, names []string) []string {
	all := slices.Clone(names)
	for i, name := range names {
		if !strings.Contains(query, `"`+name+`"`) {
			all[i] = strings.ToUpper(name)
		}
	}
	return all
}

var (
	setting    = regexp.MustCompile(`(?is)^\s*(ALTER\s+SESSION\s|SET\s+TRANSACTION\s|COMMIT|ROLLBACK)`)
	setsSchema = regexp.MustCompile(`(?is)^\s*ALTER\s+SESSION\s+SET\s+CURRENT_SCHEMA\s*=\s*("[^"]*"|[\w$#]+)\s*$`)
)

// ExecContext accepts statements that set up a session or transaction and rejects all others: the accounts only read.
func (c *conn) ExecContext(ctx context.Context, query string, _ []driver.NamedValue) (driver.Result, error) {
	if err := c.begin(ctx, query); err != nil {
		return nil, err
	}
	if strings.HasSuffix(strings.TrimSpace(query), ";") {
		return nil, refused(911)
	}
	if !setting.MatchString(query) {
		return nil, refused(1031)
	}
	if schema := setsSchema.FindStringSubmatch(query); schema != nil {
		c.schema = folded(schema[1])
	}
	return driver.RowsAffected(0), nil
}

// Begin opens a transaction.
func (c *conn) Begin() (driver.Tx, error) { return transaction{}, nil }

// BeginTx rejects the options that go-ora rejects.
func (c *conn) BeginTx(_ context.Context, options driver.TxOptions) (driver.Tx, error) {
	if options.ReadOnly {
		return nil, errors.New("readonly transaction is not supported")
	}
	if options.Isolation != 0 {
		return nil, errors.New("only support default value for isolation")
	}
	return transaction{}, nil
}

type transaction struct{}

func (transaction) Commit() error   { return nil }
func (transaction) Rollback() error { return nil }

// Prepare does what PrepareContext does.
func (c *conn) Prepare(query string) (driver.Stmt, error) { return &stmt{c, query}, nil }

// PrepareContext sends nothing to the database, like go-ora.
func (c *conn) PrepareContext(_ context.Context, query string) (driver.Stmt, error) {
	return c.Prepare(query)
}

type stmt struct {
	conn *conn
	text string
}

func (s *stmt) Close() error  { return nil }
func (s *stmt) NumInput() int { return -1 }

func (s *stmt) QueryContext(ctx context.Context, arguments []driver.NamedValue) (driver.Rows, error) {
	return s.conn.QueryContext(ctx, s.text, arguments)
}

func (s *stmt) ExecContext(ctx context.Context, arguments []driver.NamedValue) (driver.Result, error) {
	return s.conn.ExecContext(ctx, s.text, arguments)
}

// Query implements driver.Stmt; database/sql uses QueryContext.
func (s *stmt) Query([]driver.Value) (driver.Rows, error) { return nil, driver.ErrSkip }

// Exec implements driver.Stmt; database/sql uses ExecContext.
func (s *stmt) Exec([]driver.Value) (driver.Result, error) { return nil, driver.ErrSkip }

type rows struct {
	columns []string
	rows    [][]any
}

func (r *rows) Columns() []string { return r.columns }
func (r *rows) Close() error      { return nil }

func (r *rows) Next(into []driver.Value) error {
	if len(r.rows) == 0 {
		return io.EOF
	}
	for i, value := range r.rows[0] {
		into[i] = value
	}
	r.rows = r.rows[1:]
	return nil
}
