package oracle

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
	"time"

	"whalefall/collectors"
	"whalefall/models"
)

// scanFactor is how many times as long as another statement one over all segments may take for an answer: the server
// may read the header of each before it sends anything.
const scanFactor = 10

// errOracleSilent is why a statement was given up whose server has sent nothing for as long as one may take.
var errSilent = errors.New("no answer in time")

// session is one connection with a read-only transaction on it.
type session struct {
	target   collectors.Target
	db       *sql.DB
	conn     *sql.Conn
	tx       *sql.Tx
	hangUp   func() // ends the connection at once, whatever it is doing
	patience time.Duration

	version version
	user    string // SESSION_USER
}

type version struct {
	product      string // "Oracle Database 19c Enterprise Edition"
	number       string // "19.0.0.0.0"
	major, minor int
}

// main is 11.2, 12.1, 12.2, and from 18 on the major version alone: the second part has become that of an update.
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

// open connects, begins a read-only transaction and finds out what the server is and who we are.
func (c *Collector) open(ctx context.Context, t collectors.Target) (*session, error) {
	connector, err := c.Connector(t)
	if err != nil {
		return nil, failure(ctx, t, err, true)
	}
	s := &session{target: t, db: sql.OpenDB(guardedConnector{connector}), hangUp: func() {}, patience: c.statementTimeout}
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
		if able, ok := conn.(interface{ HangUp() }); ok {
			s.hangUp = able.HangUp
		}
		return nil
	})
}

// begin has the transaction outlive ctx: its end would send a rollback into the statement that ctx ends.
func (s *session) begin(ctx context.Context, timeout time.Duration) (err error) {
	if s.tx, err = s.conn.BeginTx(context.WithoutCancel(ctx), nil); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, errMute)
	defer cancel()
	defer collectors.HangUpAfter(ctx, s.hangUp)()
	_, err = s.tx.ExecContext(ctx, "SET TRANSACTION READ ONLY")
	if err != nil && errors.Is(context.Cause(ctx), errMute) {
		return collectors.Unreachable(s.target, collectors.ReasonTimeout, err)
	}
	return err
}

var errMute = errors.New("the first statement after the login took too long")

// identify refuses what cannot be collected from: releases that lack columns, and the root of a container database,
// which holds no data of anybody's.
func (s *session) identify(ctx context.Context) (err error) {
	if s.version, err = s.readVersion(ctx, "products"); err != nil {
		return err
	}
	if s.version.major < 11 || s.version.major == 11 && s.version.minor < 2 {
		return &models.Error{Code: models.CodeCollection, Key: "collect.oracle.too_old", Args: models.Args("Version", s.version.number)}
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

// readVersion is that of the database; servers list other components, too.
func (s *session) readVersion(ctx context.Context, statement string) (version version, err error) {
	err = s.each(ctx, statement, func(rows *sql.Rows) error {
		var product, number textColumn
		err := rows.Scan(&product, &number)
		if strings.Contains(string(product), "Oracle") {
			version = parseVersion(string(product), string(number))
		}
		return err
	})
	return version, err
}

func (s *session) text(ctx context.Context, statement string) (string, error) {
	var text textColumn
	err := s.each(ctx, statement, func(rows *sql.Rows) error { return rows.Scan(&text) })
	return string(text), err
}

// each runs a statement and hands every row to scan. The server may take as long as one statement may for each
// answer, not for all of them: the segments of a large database are read for minutes, a thousand at a time.
func (s *session) each(ctx context.Context, statement string, scan func(*sql.Rows) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	limit := s.limit(statements[statement])
	patience := time.AfterFunc(limit, func() { cancel(errSilent) })
	defer patience.Stop()
	defer collectors.HangUpAfter(ctx, s.hangUp)()
	err := collectors.EachRow(ctx, s.tx, statements[statement], func(rows *sql.Rows) error {
		patience.Reset(limit)
		return scan(rows)
	})
	if err != nil && errors.Is(context.Cause(ctx), errSilent) {
		return &models.Error{Code: models.CodeTimeout, Err: errors.Join(errSilent, err)}
	}
	return err
}

// limit is how long the server may take for each answer to a statement.
func (s *session) limit(text string) time.Duration {
	if strings.Contains(text, "_segments") {
		return scanFactor * s.patience
	}
	return s.patience
}

func (s *session) close() {
	goodbye := time.AfterFunc(collectors.HangUpGrace, s.hangUp)
	defer goodbye.Stop()
	if s.tx != nil {
		_ = s.tx.Rollback()
	}
	if s.conn != nil {
		_ = s.conn.Close()
	}
	_ = s.db.Close()
}

// textColumn is a name or word of the dictionary; NULL is the empty one, as it is for the server.
type textColumn string

// Scan takes what a driver makes of a VARCHAR2.
func (t *textColumn) Scan(value any) error {
	var text sql.NullString
	err := text.Scan(value)
	*t = textColumn(collectors.ValidName(text.String))
	return err
}

// numberColumn is a whole NUMBER; nil is NULL.
type numberColumn struct{ value *int64 }

// Scan takes what a driver makes of a NUMBER: text, an integer or a float. A fraction is cut off.
func (n *numberColumn) Scan(value any) error {
	n.value = nil
	number := new(big.Float)
	switch v := value.(type) {
	case nil:
		return nil
	case int64:
		n.value = &v
		return nil
	case float64:
		if math.IsNaN(v) {
			return errNumber
		}
		number.SetFloat64(v)
	default:
		if _, _, err := number.SetPrec(numberBits).Parse(fmt.Sprintf("%s", v), 10); err != nil {
			return fmt.Errorf("%w: %w", errNumber, err)
		}
	}
	if whole, _ := number.Int(nil); whole != nil && whole.IsInt64() {
		out := whole.Int64()
		n.value = &out
		return nil
	}
	return errNumber
}

var errNumber = errors.New("no number that bytes or rows can have")

// numberBits hold the 40 digits of a NUMBER.
const numberBits = 140
