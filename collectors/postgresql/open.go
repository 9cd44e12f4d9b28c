package postgresql

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"os"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"whalefall/collectors"
	"whalefall/models"
)

// SQLSTATEs that we handle.
const (
	codeProtocolViolation     = "08P01"
	codeInvalidCatalogName    = "3D000"
	codeInsufficientPrivilege = "42501"
	codeUndefinedObject       = "42704"
	codeTooManyConnections    = "53300"
	codeNotInPrerequisite     = "55000"
	codeLockNotAvailable      = "55P03"
	codeQueryCanceled         = "57014"
	codeAdminShutdown         = "57P01"
)

// textNoSuchDatabase is in a pooler's error, a protocol violation, for a database that it does not know (PgBouncer).
const textNoSuchDatabase = "no such database"

// baseConfig is the configuration every connection starts from. It is made while the package is initialized, as that
// changes the environment for a moment.
var baseConfig, errBaseConfig = configWithoutEnvironment()

// configWithoutEnvironment parses a configuration, which is the only way to make one, with libpq's variables removed:
// they, and the files they name, would change it.
func configWithoutEnvironment() (*pgx.ConnConfig, error) {
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

func (c *Collector) config(t collectors.Target, database string) (*pgx.ConnConfig, error) {
	if errBaseConfig != nil {
		return nil, errBaseConfig
	}
	encrypted, err := collectors.TargetTLS(t)
	if err != nil {
		return nil, err
	}
	config := baseConfig.Copy()
	config.Host, config.Port, config.Database = t.Host, uint16(t.Port), collectors.ServerName(database)
	config.User, config.Password = t.Username, t.Password
	config.ConnectTimeout = c.connectTimeout
	config.MaxProtocolMessageBodyLen = messageLimit
	for _, name := range loginParameters {
		config.RuntimeParams[name] = c.Settings[name]
	}
	config.TLSConfig = encrypted
	config.DialFunc = dialEarly(config.DialFunc)
	if collectors.OnlyChallenges(t) {
		config.AfterNetConnect = requireChallenge
	}
	if t.TLSMode == models.TLSPrefer || t.TLSMode == "" {
		config.Fallbacks = []*pgconn.FallbackConfig{{Host: config.Host, Port: config.Port}}
	}
	config.DefaultQueryExecMode = pgx.QueryExecModeExec // no prepared statements: poolers may not keep them
	return config, nil
}

// requireChallenge makes the login fail where the server asks for the password itself on a line that is not encrypted.
func requireChallenge(_ context.Context, config *pgconn.Config, conn net.Conn) (net.Conn, error) {
	config.RequireAuth = ""
	if _, encrypted := conn.(*tls.Conn); !encrypted {
		config.RequireAuth = "!password"
	}
	return conn, nil
}

// messageLimit is the number of bytes of the longest message that a server may send; a row of ours has a few kilobytes.
const messageLimit = 16 << 20

// dialEarly returns a dialer whose connections fail when the other side is not PostgreSQL. The driver takes every
// answer to its request for TLS, except consent, for a refusal.
func dialEarly(dial pgconn.DialFunc) pgconn.DialFunc {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &earlyConn{Conn: conn}, nil
	}
}

// firstBytes are the bytes a server's first answer can begin with: consent to TLS or its refusal, an error, a request
// to log in, a protocol version.
const firstBytes = "SNERv"

// earlyConn is a connection that checks the first byte it receives.
type earlyConn struct {
	net.Conn
	answered bool
}

func (c *earlyConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 && !c.answered {
		c.answered = true
		if !strings.ContainsRune(firstBytes, rune(b[0])) {
			return 0, collectors.ErrProtocol
		}
	}
	return n, err
}

// openAny connects to the target's database, or where it names none to one that every server is created with.
func (c *Collector) openAny(ctx context.Context, t collectors.Target) (*session, error) {
	if t.Database != "" {
		return c.open(ctx, t, t.Database)
	}
	s, err := c.open(ctx, t, "postgres")
	if models.Is(err, models.CodeCollection) {
		return c.open(ctx, t, "template1")
	}
	return s, err
}

// open logs in as any other client does, so that triggers and poolers see nothing unusual, and takes the session over.
func (c *Collector) open(ctx context.Context, t collectors.Target, database string) (*session, error) {
	config, err := c.config(t, database)
	if err != nil {
		return nil, c.classify(ctx, t, database, err)
	}
	s, err := c.logIn(ctx, config)
	if err != nil {
		return nil, c.classify(ctx, t, database, err)
	}
	if err := s.takeOver(ctx, c.Settings); err != nil {
		s.close()
		return nil, c.classify(ctx, t, database, err)
	}
	collectors.Reached(ctx, models.PhaseQuerying)
	return s, nil
}

// loginParameters are the settings that are sent with the login. Every pooler accepts them.
var loginParameters = []string{"application_name", "client_encoding"}

// logIn connects, and if the server rejects the password, once more with the prepared one.
func (c *Collector) logIn(ctx context.Context, config *pgx.ConnConfig) (*session, error) {
	s, err := c.connect(ctx, config)
	prepared, changed := models.PreparedPassword(config.Password)
	if !changed || !models.PasswordRejected(err) {
		return s, err
	}
	config.Password = prepared
	return c.connect(ctx, config)
}

func (c *Collector) connect(ctx context.Context, config *pgx.ConnConfig) (*session, error) {
	s := &session{}
	config = config.Copy()
	config.DialFunc = s.budget.Dial(config.DialFunc)
	dialector := postgres.New(postgres.Config{Conn: stdlib.OpenDB(*config)})
	opened, err := gorm.Open(dialector, &gorm.Config{DisableAutomaticPing: true, Logger: logger.Discard})
	if err != nil {
		return nil, err
	}
	db, err := opened.DB()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, c.connectTimeout)
	defer cancel()
	if err := s.connect(ctx, db); err != nil {
		return nil, err
	}
	return s, nil
}

// sqlState returns the server's code of an error, "" when the server did not send it.
func sqlState(err error) string {
	if refused, ok := errors.AsType[*pgconn.PgError](err); ok {
		return refused.Code
	}
	return ""
}

// answered returns e with the code and the text of the server's error.
func answered(e *models.Error, err error) *models.Error {
	if sent, ok := errors.AsType[*pgconn.PgError](err); ok {
		return e.With("sqlstate", sent.Code).WithServerText(strings.TrimSpace(sent.Message + " " + sent.Detail))
	}
	return e
}

// classify returns the *models.Error for an error that occurred while the database was queried.
func (c *Collector) classify(ctx context.Context, t collectors.Target, database string, err error) error {
	if known := collectors.Settled(ctx, err); known != nil {
		return known
	}
	state := sqlState(err)
	switch {
	case state == codeProtocolViolation && strings.Contains(err.Error(), textNoSuchDatabase):
		return answered(collectors.DatabaseGone(database, err), err)
	case isOffline(state), state == "" && connectionLost(err):
		return unreachable(t, state, err)
	case state == codeQueryCanceled, errors.Is(err, context.DeadlineExceeded):
		return &models.Error{Code: models.CodeTimeout, Err: err}
	case state == "":
		return &models.Error{Code: models.CodeCollection, Err: err}
	}
	return refused(t, database, state, err)
}

// refused returns the error for a server's refusal.
func refused(t collectors.Target, database, state string, err error) *models.Error {
	refused := &models.Error{Code: models.CodeCollection, Args: models.Args("Name", database), Err: err}
	connecting := errors.As(err, new(*pgconn.ConnectError))
	switch {
	case state == codeInvalidCatalogName:
		refused = collectors.DatabaseGone(database, err)
	case state == codeInsufficientPrivilege && connecting:
		refused.Key = "collect.postgresql.connect_denied"
		refused = refused.WithGrant(grantConnect(t, collectors.ServerName(database)))
	case unreadable(err):
		refused.Key = "collect.postgresql.unreadable"
	case state == codeInsufficientPrivilege:
		refused.Key = "collect.postgresql.denied"
		refused = refused.WithGrant(grantRole(t))
	case state == codeNotInPrerequisite && connecting:
		refused.Key = "collect.postgresql.not_connectable"
	default:
		refused.Key, refused.Args = "collect.postgresql.failed", models.Args("SQLState", state)
	}
	return answered(refused, err)
}

// unreachable returns the error for a connection that could not be made or broke.
func unreachable(t collectors.Target, state string, err error) *models.Error {
	switch text := err.Error(); {
	case strings.Contains(text, textCleartext):
		err = errors.Join(collectors.ErrCleartext, err)
	case strings.Contains(text, textNoTLS):
		err = errors.Join(collectors.ErrNoTLS, err)
	}
	if state == "" {
		return collectors.Unreachable(t, collectors.ConnectReason(err), err)
	}
	reason := collectors.ReasonAnswered
	switch {
	case state[:2] == "28":
		reason = collectors.ReasonLogin
	case state == codeTooManyConnections:
		reason = collectors.ReasonBusy
	case state[:3] == "57P":
		reason = collectors.ReasonStarting
	}
	return answered(collectors.Unreachable(t, reason, err), err)
}

// isOffline reports whether a code means that there is no connection: failures to connect or log in, too many
// connections, and a server that is starting or stopping.
func isOffline(state string) bool {
	if len(state) != 5 {
		return false
	}
	switch state {
	case codeTooManyConnections, codeAdminShutdown, "57P02", "57P03", "57P05":
		return true
	}
	return state[:2] == "08" || state[:2] == "28"
}

// Texts of errors for which the driver has no value to compare with.
const (
	textNoTLS     = "server refused TLS"
	textCleartext = "require_auth check failed"
)

// connectionLost reports whether an error came from connecting or from the network rather than from the server.
func connectionLost(err error) bool {
	return errors.As(err, new(*pgconn.ConnectError)) || collectors.ConnectionLost(err)
}
