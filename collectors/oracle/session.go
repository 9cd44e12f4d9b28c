package oracle

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"whalefall/collectors"
	"whalefall/models"
)

// scanFactor multiplies the statement timeout for statements over all segments: the server may read the header of each
// segment before it sends anything.
const scanFactor = 10

// errNoAnswer is the cause of a statement that was aborted because the server sent nothing before the timeout.
var errNoAnswer = errors.New("no answer in time")

// errNoFirstAnswer is the cause of a session that was aborted because the server did not answer its first statement.
var errNoFirstAnswer = errors.New("the first statement after the login took too long")

// session is one connection with an open read-only transaction.
type session struct {
	target           collectors.Target
	db               *sql.DB
	conn             *sql.Conn
	tx               *sql.Tx
	hangUp           func()        // closes the socket, whatever the connection is doing
	statementTimeout time.Duration // for each answer of the server

	version version
	user    string // SESSION_USER
	short   bool   // some list arrived with fewer rows than the server counts
}

type version struct {
	product      string // "Oracle Database 19c Enterprise Edition"
	number       string // "19.0.0.0.0"
	major, minor int
}

// main returns the release: 11.2, 12.1 or 12.2, since 18 only the major version, as the second part numbers updates.
func (v version) main() string {
	if v.major >= 18 {
		return strconv.Itoa(v.major)
	}
	return fmt.Sprintf("%d.%d", v.major, v.minor)
}

func parseVersion(product, number string) version {
	v := version{product: strings.TrimSpace(product), number: number}
	parts := strings.SplitN(number, ".", 3)
	v.major, _ = strconv.Atoi(parts[0])
	if len(parts) > 1 {
		v.minor, _ = strconv.Atoi(parts[1])
	}
	return v
}

// open connects, begins a read-only transaction, and reads the server's version and the session's user.
func (c *Collector) open(ctx context.Context, t collectors.Target) (*session, error) {
	connector, err := c.Connector(t)
	if err != nil {
		return nil, failure(ctx, t, err, true)
	}
	s := &session{
		target: t, db: sql.OpenDB(guardedConnector{connector}), hangUp: func() {}, statementTimeout: c.statementTimeout,
	}
	s.db.SetMaxOpenConns(1)

	if err := s.connect(ctx, c.connectTimeout); err != nil {
		s.close()
		return nil, failure(ctx, t, err, true)
	}

	if err = s.begin(ctx, c.connectTimeout); err == nil {
		err = s.identify(ctx)
	}
	if err != nil {
		s.close()
		return nil, s.failed(ctx, err)
	}
	collectors.Reached(ctx, models.PhaseQuerying)
	return s, nil
}

func (s *session) connect(ctx context.Context, timeout time.Duration) (err error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if s.conn, err = s.db.Conn(ctx); err != nil {
		return err
	}
	return s.conn.Raw(func(conn any) error {
		if c, ok := conn.(interface{ HangUp() }); ok {
			s.hangUp = c.HangUp
		}
		return nil
	})
}

// begin begins the transaction. It must outlive ctx: database/sql would otherwise roll it back while the statement that
// ctx ends is still running.
func (s *session) begin(ctx context.Context, timeout time.Duration) (err error) {
	if s.tx, err = s.conn.BeginTx(context.WithoutCancel(ctx), nil); err != nil {
		return err
	}

	ctx, cancel := context.WithTimeoutCause(ctx, timeout, errNoFirstAnswer)
	defer cancel()
	defer collectors.HangUpAfter(ctx, s.hangUp)()
	_, err = s.tx.ExecContext(ctx, "SET TRANSACTION READ ONLY")
	if err != nil && errors.Is(context.Cause(ctx), errNoFirstAnswer) {
		return collectors.Unreachable(s.target, collectors.ReasonTimeout, err)
	}
	return err
}

// identify sets version and user. It refuses servers that cannot be collected from: releases that lack columns, and
// the root of a container database, which holds no user data.
func (s *session) identify(ctx context.Context) (err error) {
	if s.version, err = s.readVersion(ctx, "products"); err != nil {
		return err
	}
	if s.version.major < 11 || s.version.major == 11 && s.version.minor < 2 {
		return &models.Error{
			Code: models.CodeCollection, Key: "collect.oracle.too_old", Args: models.Args("Version", s.version.number),
		}
	}

	if s.user, err = s.text(ctx, "session_user"); err != nil || s.version.major < 12 {
		return err
	}

	container, err := s.text(ctx, "container")
	if err == nil && container == "CDB$ROOT" {
		return &models.Error{Code: models.CodeCollection, Key: "collect.oracle.cdb_root"}
	}
	return err
}

// readVersion returns the version of the database. The statement may list other components as well.
func (s *session) readVersion(ctx context.Context, statement string) (version version, err error) {
	err = s.each(ctx, statement, func(rows *sql.Rows) error {
		var product, number textColumn
		if err := rows.Scan(&product, &number); err != nil {
			return err
		}

		if strings.Contains(string(product), "Oracle") {
			version = parseVersion(string(product), string(number))
		}
		return nil
	})
	return version, err
}

// text returns the only column of the only row of a statement.
func (s *session) text(ctx context.Context, statement string) (string, error) {
	var text textColumn
	err := s.each(ctx, statement, func(rows *sql.Rows) error { return rows.Scan(&text) })
	return string(text), err
}

// each runs a statement and calls scan for every row. The timeout applies to each answer of the server, not to all of
// them: reading the segments of a large database takes minutes, a thousand rows at a time.
func (s *session) each(ctx context.Context, statement string, scan func(*sql.Rows) error) error {
	return s.run(ctx, statements[statement], scan)
}

// list runs a statement that lists something and notes if rows are missing.
func (s *session) list(ctx context.Context, statement string, scan func(*sql.Rows) error) error {
	return collectors.Reader(s.run).ListNoting(ctx, &s.short, statements[statement], scan)
}

func (s *session) run(ctx context.Context, text string, scan func(*sql.Rows) error, args ...any) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	timeout := s.timeout(text)
	timer := time.AfterFunc(timeout, func() { cancel(errNoAnswer) })
	defer timer.Stop()
	defer collectors.HangUpAfter(ctx, s.hangUp)()

	err := collectors.EachRow(ctx, s.tx, text, func(rows *sql.Rows) error {
		timer.Reset(timeout)
		return scan(rows)
	}, args...)
	if err != nil && errors.Is(context.Cause(ctx), errNoAnswer) {
		return &models.Error{Code: models.CodeTimeout, Err: errors.Join(errNoAnswer, err)}
	}
	return err
}

// timeout returns how long the server may take for each answer to a statement.
func (s *session) timeout(text string) time.Duration {
	if strings.Contains(text, "_segments") {
		return scanFactor * s.statementTimeout
	}
	return s.statementTimeout
}

// close rolls back and closes the connection, and closes the socket if that takes longer than HangUpGrace.
func (s *session) close() {
	timer := time.AfterFunc(collectors.HangUpGrace, s.hangUp)
	defer timer.Stop()
	if s.tx != nil {
		_ = s.tx.Rollback()
	}
	if s.conn != nil {
		_ = s.conn.Close()
	}
	_ = s.db.Close()
}

// textColumn scans a VARCHAR2 of the dictionary. NULL is the empty string, as in the server.
type textColumn string

// Scan implements sql.Scanner. Bytes that are not UTF-8 are escaped as ValidName does.
func (t *textColumn) Scan(value any) error {
	var text sql.NullString
	err := text.Scan(value)
	*t = textColumn(collectors.ValidName(text.String))
	return err
}
