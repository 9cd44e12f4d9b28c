package collectors

import (
	"context"
	"database/sql"
	_ "embed"
	"errors"
	"maps"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"whalefall/models"
)

//go:embed sql/postgresql/limits.sql
var pgLimitsSQL string

// SQLSTATEs that mean something to us.
const (
	pgProtocolViolation     = "08P01"
	pgInvalidCatalogName    = "3D000"
	pgInsufficientPrivilege = "42501"
	pgUndefinedObject       = "42704"
	pgTooManyConnections    = "53300"
	pgNotInPrerequisite     = "55000"
	pgLockNotAvailable      = "55P03"
	pgQueryCanceled         = "57014"
	pgAdminShutdown         = "57P01"
)

// pgBase is what every connection starts from. It is made before anything else runs, as that touches the environment.
var pgBase, errPgBase = pgWithoutEnvironment()

// pgWithoutEnvironment parses a configuration, which is the only way to one, while libpq's variables are put away:
// they and the files they name would have a say in it.
func pgWithoutEnvironment() (*pgx.ConnConfig, error) {
	hidden := map[string]string{}
	for _, variable := range os.Environ() {
		if name, value, _ := strings.Cut(variable, "="); strings.HasPrefix(name, "PG") {
			hidden[name] = value
			_ = os.Unsetenv(name)
		}
	}
	defer func() {
		for name, value := range hidden {
			_ = os.Setenv(name, value)
		}
	}()
	return pgx.ParseConfig("host=localhost user=x password=x sslmode=disable")
}

func (c *PostgreSQL) config(t Target, database string) (*pgx.ConnConfig, error) {
	if errPgBase != nil {
		return nil, errPgBase
	}
	encrypted, err := targetTLS(t)
	if err != nil {
		return nil, err
	}
	config := pgBase.Copy()
	config.Host, config.Port, config.Database = t.Host, uint16(t.Port), serverName(database)
	config.User, config.Password = t.Username, t.Password
	config.ConnectTimeout = c.connectTimeout
	config.RuntimeParams = maps.Clone(c.parameters)
	config.TLSConfig = encrypted
	config.DialFunc = pgDial(config.DialFunc)
	if t.TLSMode == models.TLSPrefer || t.TLSMode == "" {
		config.Fallbacks = []*pgconn.FallbackConfig{{Host: config.Host, Port: config.Port}}
	}
	config.DefaultQueryExecMode = pgx.QueryExecModeExec // no prepared statements: poolers may not keep them
	return config, nil
}

// pgDial has a connection fail whose other side is no PostgreSQL. The driver takes every answer to its request for TLS but
// consent for a refusal.
func pgDial(dial pgconn.DialFunc) pgconn.DialFunc {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &pgConn{Conn: conn}, nil
	}
}

// pgFirstBytes are what a server's first answer can begin with: consent to TLS or refusal of it, an error, a request to log
// in, a protocol version.
const pgFirstBytes = "SNERv"

// pgConn looks at the first byte that it receives.
type pgConn struct {
	net.Conn
	answered bool
}

func (c *pgConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 && !c.answered {
		c.answered = true
		if !strings.ContainsRune(pgFirstBytes, rune(b[0])) {
			return 0, errProtocol
		}
	}
	return n, err
}

// pgSession is one connection with its limits in force.
type pgSession struct {
	db     *sql.DB
	limits map[string]string // to set in every transaction; nil when the session has them from its start
}

// openAny connects to the target's database, or without one to the first that every server is created with.
func (c *PostgreSQL) openAny(ctx context.Context, t Target) (*pgSession, error) {
	if t.Database != "" {
		return c.open(ctx, t, t.Database)
	}
	s, err := c.open(ctx, t, "postgres")
	if models.Is(err, models.CodeCollection) {
		return c.open(ctx, t, "template1")
	}
	return s, err
}

// open connects with the limits as start-up parameters. A pooler refuses or ignores those, and a version that lacks one
// of them refuses; they are then set in each transaction, since with a pooler the session belongs to others, too.
func (c *PostgreSQL) open(ctx context.Context, t Target, database string) (*pgSession, error) {
	config, err := c.config(t, database)
	if err != nil {
		return nil, c.classify(ctx, t, database, err)
	}
	s, err := c.connect(ctx, config)
	if state := sqlState(err); state == pgProtocolViolation || state == pgUndefinedObject {
		config.RuntimeParams = map[string]string{}
		for _, name := range pgPoolerParameters {
			config.RuntimeParams[name] = c.parameters[name]
		}
		s, err = c.connect(ctx, config)
	}
	if err != nil {
		return nil, c.classify(ctx, t, database, err)
	}
	if err := c.limit(ctx, s); err != nil {
		s.close()
		return nil, c.classify(ctx, t, database, err)
	}
	reached(ctx, models.PhaseQuerying)
	return s, nil
}

// pgPoolerParameters are the start-up parameters that every pooler knows.
var pgPoolerParameters = []string{"application_name", "client_encoding"}

// limit has the limits set in each transaction unless the session started with them. It asks by a statement that no
// search path can give another meaning.
func (c *PostgreSQL) limit(ctx context.Context, s *pgSession) error {
	var path string
	err := s.each(ctx, "SHOW search_path", func(rows *sql.Rows) error { return rows.Scan(&path) })
	if err != nil || path == pgSearchPath {
		return err
	}
	s.limits = maps.Clone(c.parameters)
	for _, name := range pgPoolerParameters {
		delete(s.limits, name)
	}
	return nil
}

func (c *PostgreSQL) connect(ctx context.Context, config *pgx.ConnConfig) (*pgSession, error) {
	dialector := postgres.New(postgres.Config{Conn: stdlib.OpenDB(*config, stdlib.OptionAfterConnect(pgRawNames))})
	opened, err := gorm.Open(dialector, &gorm.Config{DisableAutomaticPing: true, Logger: logger.Discard})
	if err != nil {
		return nil, err
	}
	db, err := opened.DB()
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	ctx, cancel := context.WithTimeout(ctx, c.connectTimeout)
	defer cancel()
	if err := db.PingContext(ctx); err != nil {
		_ = db.Close()
		return nil, err
	}
	return &pgSession{db: db}, nil
}

// pgRawNames asks a database that never checked its names to send them as they are: checked, one bad name fails the query.
func pgRawNames(ctx context.Context, conn *pgx.Conn) error {
	if conn.PgConn().ParameterStatus("server_encoding") != "SQL_ASCII" {
		return nil
	}
	_, err := conn.Exec(ctx, "SET client_encoding TO 'SQL_ASCII'")
	return err
}

func (s *pgSession) close() { _ = s.db.Close() }

// pgAnswerTimeout ends a statement whose server does not end it.
const pgAnswerTimeout = statementTimeout + 5*time.Second

// each runs a statement and hands every row to scan.
func (s *pgSession) each(ctx context.Context, text string, scan func(*sql.Rows) error, args ...any) error {
	ctx, cancel := context.WithTimeout(ctx, pgAnswerTimeout)
	defer cancel()
	if s.limits == nil {
		return eachRow(ctx, s.db, text, scan, args...)
	}
	tx, err := s.db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	names := slices.Sorted(maps.Keys(s.limits))
	values := make([]string, len(names))
	for i, name := range names {
		values[i] = s.limits[name]
	}
	if _, err := tx.ExecContext(ctx, pgLimitsSQL, names, values); err != nil {
		return err
	}
	return eachRow(ctx, tx, text, scan, args...)
}

// sqlState is the server's code for an error, "" when the server did not send it.
func sqlState(err error) string {
	var refused *pgconn.PgError
	if errors.As(err, &refused) {
		return refused.Code
	}
	return ""
}

// classify makes a *models.Error of an error that came about while the database was asked.
func (c *PostgreSQL) classify(ctx context.Context, t Target, database string, err error) error {
	if known := settled(ctx, err); known != nil {
		return known
	}
	state := sqlState(err)
	switch {
	case pgOffline(state), state == "" && connectionLost(err):
		return pgUnreachable(t, state, err)
	case state == pgQueryCanceled, errors.Is(err, context.DeadlineExceeded):
		return &models.Error{Code: models.CodeTimeout, Err: err}
	case state == "":
		return &models.Error{Code: models.CodeCollection, Err: err}
	}
	return pgRefused(t, database, state, err)
}

// pgRefused is the error for what the server answered instead of rows.
func pgRefused(t Target, database, state string, err error) *models.Error {
	refused := &models.Error{Code: models.CodeCollection, Args: models.Args("Name", database), Err: err}
	connecting := errors.As(err, new(*pgconn.ConnectError))
	switch {
	case state == pgInvalidCatalogName:
		refused = databaseGone(database, err)
	case state == pgInsufficientPrivilege && connecting:
		refused.Key = "collect.pg.connect_denied"
		refused = refused.With("grant", pgGrantConnect(t, serverName(database)))
	case state == pgInsufficientPrivilege:
		refused.Key = "collect.pg.denied"
		refused = refused.With("grant", pgGrantRole(t))
	case state == pgNotInPrerequisite && connecting:
		refused.Key = "collect.pg.not_connectable"
	default:
		refused.Key, refused.Args = "collect.pg.failed", models.Args("SQLState", state)
	}
	return refused.With("sqlstate", state)
}

// pgUnreachable is the error for a connection that did not come about or broke.
func pgUnreachable(t Target, state string, err error) *models.Error {
	if state == "" {
		return unreachable(t, connectReason(err), err)
	}
	reason := reasonLost
	switch {
	case state[:2] == "28":
		reason = reasonLogin
	case state == pgTooManyConnections:
		reason = reasonBusy
	case state[:3] == "57P":
		reason = reasonStarting
	}
	return unreachable(t, reason, err).With("sqlstate", state)
}

// pgOffline reports whether a code says that there is no connection: connection and login failures, too many
// connections, and a server that starts or stops.
func pgOffline(state string) bool {
	if len(state) != 5 {
		return false
	}
	switch state {
	case pgTooManyConnections, pgAdminShutdown, "57P02", "57P03", "57P05":
		return true
	}
	return state[:2] == "08" || state[:2] == "28"
}
