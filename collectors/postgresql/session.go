package postgresql

import (
	"context"
	"database/sql"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"whalefall/collectors"
)

// session is one connection whose settings are ours.
type session struct {
	budget   collectors.Budget
	db       *sql.DB
	conn     *sql.Conn
	settings map[string]string
	process  int64  // number of the server process, as the server told it when we connected
	encoding string // of the database

	pooled   bool   // by a pooler, which shares the server process: the settings have to be made in each transaction
	begun    bool   // the transaction of snapshot is open
	onServer string // which server it is connected to; behind a pooler, which one its first transaction was on
	short    bool   // some list arrived with fewer rows than the server counts
}

// connect connects. A connection that breaks is not replaced by another one, which would not be taken over.
func (s *session) connect(ctx context.Context, db *sql.DB) (err error) {
	s.db = db
	if s.conn, err = db.Conn(ctx); err == nil {
		s.budget.LoggedIn()
		err = s.conn.Raw(func(conn any) error {
			server := conn.(interface{ Conn() *pgx.Conn }).Conn().PgConn()
			s.process, s.encoding = int64(server.PID()), server.ParameterStatus("server_encoding")
			return nil
		})
	}
	if err != nil {
		s.close()
	}
	return s.budget.Explain(err)
}

// takeOver makes the settings, and those that the server is built with for all others, hold for the session: neither
// its configuration nor what was set for the role or the database changes what we read. Behind a pooler they hold for
// each transaction only. A pooler tells us another process than that which answers.
func (s *session) takeOver(ctx context.Context, settings map[string]string) error {
	s.settings = maps.Clone(settings)
	if s.encoding != encodingUTF8 && !s.converts() {
		// Names arrive as they are stored: one that the server cannot convert would fail a whole statement.
		s.settings["client_encoding"] = encodingNone
	}
	if err := s.start(ctx, readCommitted); err != nil {
		return err
	}
	process, server, err := s.set(ctx)
	if err != nil {
		return err
	}
	if s.pooled = process != s.process; !s.pooled {
		s.onServer = server
	}
	return s.run(ctx, "COMMIT")
}

// converts reports whether the server converts the names that it sends.
func (s *session) converts() bool {
	_, decodes := encodings[s.encoding]
	return !decodes && s.encoding != encodingNone && s.encoding != encodingUTF8
}

// name returns the stored name of something in the database, for collectors.ValidName.
func (s *session) name(stored string) string { return decoded(s.encoding, stored) }

func (s *session) close() {
	if s.conn != nil {
		_ = s.conn.Close()
	}
	_ = s.db.Close()
}

// answerTimeout ends a statement that the server itself does not end.
const answerTimeout = collectors.StatementTimeout + 5*time.Second

// each runs a statement and calls scan for each row.
func (s *session) each(ctx context.Context, text string, scan func(*sql.Rows) error, args ...any) error {
	if s.pooled && !s.begun {
		if err := s.begin(ctx, readCommitted); err != nil {
			return err
		}
		defer s.rollBack(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	return s.budget.EachRow(ctx, s.conn, text, scan, args...)
}

// run runs a text of statements that return no rows.
func (s *session) run(ctx context.Context, text string) error {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	_, err := s.conn.ExecContext(ctx, text, pgx.QueryExecModeSimpleProtocol)
	return s.budget.Explain(err)
}

// list runs a statement that lists something and notes if rows are missing.
func (s *session) list(ctx context.Context, text string, scan func(*sql.Rows) error, args ...any) error {
	return collectors.Reader(s.each).ListNoting(ctx, &s.short, text, scan, args...)
}

// snapshot calls read, whose statements all see the same state of the same server, even behind a pooler.
func (s *session) snapshot(ctx context.Context, read func() error) error {
	if err := s.begin(ctx, repeatableRead); err != nil {
		return err
	}
	s.begun = true
	defer func() {
		s.rollBack(ctx)
		s.begun = false
	}()
	return read()
}

// begin starts a transaction with the settings in force.
func (s *session) begin(ctx context.Context, isolation string) error {
	err := s.start(ctx, isolation)
	if err != nil || !s.pooled {
		return err
	}
	_, server, err := s.set(ctx)
	switch {
	case err != nil:
	case s.onServer == "":
		s.onServer = server
	case s.onServer != server: // than the first transaction
		err = collectors.OtherServer()
	}
	if err != nil {
		s.rollBack(ctx)
	}
	return err
}

// Isolation levels of our transactions. That of the session may be serializable, which a standby refuses, and which
// makes deferrable transactions wait for all others to end.
const (
	readCommitted  = "READ COMMITTED"
	repeatableRead = "REPEATABLE READ"
)

// earlySettings are those without which the statement that makes the others may fail: the role's own may end it, or the
// session that pauses before it, or let it have too little memory or take too much.
var earlySettings = []string{"statement_timeout", "idle_in_transaction_session_timeout", "work_mem", "geqo"}

// start starts a transaction with the early settings in force.
func (s *session) start(ctx context.Context, isolation string) error {
	text := []string{"BEGIN ISOLATION LEVEL " + isolation + " READ ONLY NOT DEFERRABLE"}
	for _, name := range earlySettings {
		text = append(text, "SET LOCAL "+name+" TO "+s.settings[name])
	}
	return s.run(ctx, strings.Join(text, "; "))
}

func (s *session) rollBack(ctx context.Context) { _ = s.run(ctx, "ROLLBACK") }

// set makes the settings within a transaction. For a session whose process nobody shares they outlast it. It returns
// the number of the server process, and what tells the server from others.
func (s *session) set(ctx context.Context) (process int64, server string, err error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	names := slices.Sorted(maps.Keys(s.settings))
	values := make([]string, len(names))
	for i, name := range names {
		values[i] = s.settings[name]
	}
	err = s.budget.EachRow(ctx, s.conn, statements["take_over"], func(rows *sql.Rows) error {
		return rows.Scan(&process, &server, new(int64))
	}, names, values, s.process, s.pooled)
	return process, server, err
}
