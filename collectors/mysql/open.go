package mysql

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"net"
	"regexp"
	"strconv"
	"strings"
	"time"

	mysqldriver "github.com/go-sql-driver/mysql"
	"gorm.io/driver/mysql"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"whalefall/collectors"
	"whalefall/models"
)

// Error numbers that more than one place knows.
const (
	codeUnknownDatabase  = 1049
	codeUnknownColumn    = 1054
	codeUnknownTable     = 1109
	codeUnknownCharset   = 1115
	codeNoGrants         = 1141
	codeTableDenied      = 1142
	codeColumnDenied     = 1143
	codeLockWait         = 1205
	codePrivilegeMissing = 1227
	codeInterrupted      = 1317
	codeMaxStatementTime = 1969 // MariaDB
	codeMaxExecutionTime = 3024 // MySQL
)

// meaning is what an error number tells the user. One with a reason says that there is no connection.
type meaning struct {
	code   models.Code
	key    string
	reason string
}

var meanings = map[int]meaning{
	1040: {reason: collectors.ReasonBusy},     // too many connections
	1203: {reason: collectors.ReasonBusy},     // of this user
	1226: {reason: collectors.ReasonBusy},     // in this hour
	1044: {reason: collectors.ReasonLogin},    // not this database
	1045: {reason: collectors.ReasonLogin},    // wrong user or password
	1129: {reason: collectors.ReasonLogin},    // host blocked after failures
	1130: {reason: collectors.ReasonLogin},    // host not allowed
	1698: {reason: collectors.ReasonLogin},    // the account logs in without a password, by a socket or plugin
	1820: {reason: collectors.ReasonLogin},    // password expired
	1862: {reason: collectors.ReasonLogin},    // the same, for clients that cannot set a new one
	3118: {reason: collectors.ReasonLogin},    // account locked (MySQL)
	4151: {reason: collectors.ReasonLogin},    // account locked (MariaDB)
	3159: {reason: collectors.ReasonTLS},      // the server insists on encryption
	1053: {reason: collectors.ReasonStarting}, // the server shuts down

	codeUnknownDatabase:  {code: models.CodeCollection, key: collectors.KeyDatabaseGone},
	codeTableDenied:      {code: models.CodeCollection, key: keyDenied},
	codeColumnDenied:     {code: models.CodeCollection, key: keyDenied},
	codePrivilegeMissing: {code: models.CodeCollection, key: keyDenied},
	codeLockWait:         {code: models.CodeCollection, key: "collect.mysql.locked"},
	codeInterrupted:      {code: models.CodeCollection, key: "collect.mysql.interrupted"},
	codeMaxStatementTime: {code: models.CodeTimeout},
	codeMaxExecutionTime: {code: models.CodeTimeout},
}

const keyDenied = "collect.mysql.denied"

// killTimeout is how long ending the statement of a cancelled collection may take. Where the account may log in no
// more, or that takes longer, the statement goes on until its own limit ends it.
const killTimeout = 900 * time.Millisecond

// session is one connection with its limits in force.
type session struct {
	target    collectors.Target
	connector *mysqldriver.Config
	db        *sql.DB
	conn      *sql.Conn
	unwatch   func()

	id       int64  // of the connection
	account  string // user@host, as grants name it
	pageSize int64  // bytes of an InnoDB page; 0 without InnoDB
	version  version

	literalGrants bool // "%" and "_" in grants are letters: MySQL 8 with partial_revokes

	pauses   int // so many more times it waits for locked tables
	measured collectors.Tally
}

type version struct {
	full         string
	mariadb      bool
	major, minor int
	number       string // 10.11.19
}

var versionNumber = regexp.MustCompile(`^(\d+)\.(\d+)(?:\.\d+)?`)

// parseMySQLVersion reads what VERSION() says. Replication made some MariaDB versions put "5.5.5-" before their own.
func parseVersion(text string) version {
	v := version{full: text, mariadb: strings.Contains(strings.ToLower(text), "mariadb")}
	if v.mariadb {
		text = strings.TrimPrefix(text, "5.5.5-")
	}
	if m := versionNumber.FindStringSubmatch(text); m != nil {
		v.number = m[0]
		v.major, _ = strconv.Atoi(m[1])
		v.minor, _ = strconv.Atoi(m[2])
	}
	return v
}

// dictionary reports whether the server keeps its tables in a data dictionary, which it reads without opening them.
func (v version) dictionary() bool { return !v.mariadb && v.major >= 8 }

// settings are the statements that make a session harmless. Each exists on this version: an unknown variable is an
// error.
func (v version) settings(statement time.Duration) []string {
	lock := int(math.Ceil(collectors.LockTimeout.Seconds())) // whole seconds are the finest there are
	out := []string{
		"SET SESSION TRANSACTION READ ONLY",
		"SET SESSION sql_mode = ''",
		fmt.Sprintf("SET SESSION lock_wait_timeout = %d", lock),
	}
	switch {
	case v.mariadb:
		out = append(out, fmt.Sprintf("SET SESSION max_statement_time = %.3f", statement.Seconds()))
	case v.major > 5 || v.minor >= 7:
		out = append(out, fmt.Sprintf("SET SESSION max_execution_time = %d", statement.Milliseconds()))
	}
	if v.dictionary() {
		out = append(out, "SET SESSION information_schema_stats_expiry = 0")
	}
	return out
}

func (c *Collector) config(t collectors.Target) (*mysqldriver.Config, error) {
	encrypted, err := collectors.TargetTLS(t)
	if err != nil {
		return nil, err
	}
	config := mysqldriver.NewConfig()
	config.Net, config.Addr = "tcp", net.JoinHostPort(t.Host, strconv.Itoa(t.Port))
	config.User, config.Passwd = t.Username, t.Password
	config.TLS, config.AllowFallbackToPlaintext = encrypted, t.TLSMode == models.TLSPrefer || t.TLSMode == ""
	config.Timeout, config.ReadTimeout, config.WriteTimeout = c.connectTimeout, c.statementTimeout+collectors.ConnectTimeout, collectors.ConnectTimeout
	config.ConnectionAttributes = "program_name:whalefall"
	config.Logger = &mysqldriver.NopLogger{}
	err = config.Apply(mysqldriver.Charset("utf8mb4", ""))
	return config, err
}

// open connects, finds out what the server is, sets the session's limits, and has the server end what it is doing when
// ctx ends.
func (c *Collector) open(ctx context.Context, t collectors.Target) (*session, error) {
	config, err := c.config(t)
	if err != nil {
		return nil, err
	}
	s := &session{target: t, connector: config, unwatch: func() {}, pauses: lockPauses}
	if err := s.connect(ctx, c.connectTimeout); err != nil {
		return nil, err
	}
	s.unwatch = s.killWhenDone(ctx)
	for _, text := range s.version.settings(c.statementTimeout) {
		if _, err := s.conn.ExecContext(ctx, text); err != nil {
			s.close()
			return nil, failure(ctx, t, s.account, err)
		}
	}
	collectors.Reached(ctx, models.PhaseQuerying)
	return s, nil
}

func (s *session) connect(ctx context.Context, timeout time.Duration) (err error) {
	if s.db, err = openSession(s.connector); err != nil {
		return unreachable(s.target, err)
	}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	dial, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if s.conn, err = s.db.Conn(dial); err == nil {
		var version string
		err = s.conn.QueryRowContext(dial, statements["server"]).Scan(&version, &s.id, &s.account)
		s.version = parseVersion(version)
	}
	if err == nil {
		err = s.variables(dial)
	}
	switch {
	case err != nil && ctx.Err() == nil && errorNumber(err) != codeUnknownDatabase:
		return unreachable(s.target, err)
	case err != nil:
		return failure(ctx, s.target, "", err)
	}
	return nil
}

// variables reads those that not every server has.
func (s *session) variables(ctx context.Context) error {
	return s.each(ctx, statements["variables"], func(rows *sql.Rows) error {
		var name, value string
		err := rows.Scan(&name, &value)
		switch name {
		case "partial_revokes":
			s.literalGrants = value == "ON"
		case "innodb_page_size":
			s.pageSize, err = strconv.ParseInt(value, 10, 64)
		}
		return err
	})
}

func openSession(config *mysqldriver.Config) (*sql.DB, error) {
	connector, err := mysqldriver.NewConnector(config)
	if err != nil {
		return nil, err
	}
	opened, err := gorm.Open(mysql.New(mysql.Config{Conn: sql.OpenDB(connector), SkipInitializeWithVersion: true}),
		&gorm.Config{DisableAutomaticPing: true, Logger: logger.Discard})
	if err != nil {
		return nil, err
	}
	db, err := opened.DB()
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	return db, nil
}

func (s *session) close() {
	s.unwatch()
	if s.conn != nil {
		_ = s.conn.Close()
	}
	_ = s.db.Close()
}

// killWhenDone ends the session's statement on the server when ctx ends: the driver only closes its own socket, and
// the server would go on. What it returns stops watching, waits for a kill that is under way, and kills where the end
// of ctx reached the statement before it reached the watch.
func (s *session) killWhenDone(ctx context.Context) func() {
	killed := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(killed)
		s.kill(context.WithoutCancel(ctx))
	})
	return func() {
		switch {
		case !stop():
			<-killed
		case ctx.Err() != nil:
			s.kill(context.WithoutCancel(ctx))
		}
	}
}

// kill ends the whole connection, since a statement may be on its way there. It has no error: a connection that has
// ended already cannot be killed, and a server that is gone runs nothing.
func (s *session) kill(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, killTimeout)
	defer cancel()
	side, err := openSession(s.connector)
	if err != nil {
		return
	}
	defer func() { _ = side.Close() }()
	_, _ = side.ExecContext(ctx, "KILL CONNECTION "+strconv.FormatInt(s.id, 10))
}

// each runs a statement and hands every row to scan.
func (s *session) each(ctx context.Context, text string, scan func(*sql.Rows) error, args ...any) error {
	return collectors.EachRow(ctx, s.conn, text, scan, args...)
}

// failed classifies an error that came about on this session.
func (s *session) failed(ctx context.Context, err error) error {
	return failure(ctx, s.target, s.account, err)
}

// errorNumber is the server's number for an error, 0 when the server did not send it.
func errorNumber(err error) int {
	if refused, ok := errors.AsType[*mysqldriver.MySQLError](err); ok {
		return int(refused.Number)
	}
	return 0
}

// failure makes a *models.Error of an error that came about on a connection. The account is as grants name it.
func failure(ctx context.Context, t collectors.Target, account string, err error) error {
	if known := collectors.Settled(ctx, err); known != nil {
		return known
	}
	number := errorNumber(err)
	switch {
	case number == 0 && errors.Is(err, context.DeadlineExceeded):
		return &models.Error{Code: models.CodeTimeout, Err: err}
	case number == 0 && (collectors.ConnectionLost(err) || errors.Is(err, mysqldriver.ErrInvalidConn)):
		return unreachable(t, err)
	case number == 0:
		return &models.Error{Code: models.CodeCollection, Err: err}
	}
	return refused(t, account, number, err)
}

// refused is the error for what the server answered instead of rows.
func refused(t collectors.Target, account string, number int, err error) *models.Error {
	known, ok := meanings[number]
	refused := &models.Error{Code: known.code, Key: known.key, Err: err}
	switch {
	case !ok:
		refused = &models.Error{
			Code: models.CodeCollection, Key: "collect.mysql.failed", Args: models.Args("Number", number), Err: err,
		}
	case known.reason != "":
		return unreachable(t, err)
	case known.key == collectors.KeyDatabaseGone:
		refused = collectors.DatabaseGone(t.Database, err)
	case known.key == keyDenied:
		refused = refused.WithGrant(grant(account))
	}
	return refused.With("error_number", number)
}

// unreachable is the error for a connection that did not come about or broke.
func unreachable(t collectors.Target, err error) *models.Error {
	number := errorNumber(err)
	if number == 0 {
		return collectors.Unreachable(t, connectReason(err), err)
	}
	return collectors.Unreachable(t, cmp.Or(meanings[number].reason, collectors.ReasonLost), err).With("error_number", number)
}

// connectReason returns the reason for an error that the server did not send, with what the driver tells of it.
func connectReason(err error) string {
	switch {
	case errors.Is(err, mysqldriver.ErrMalformPkt), errors.Is(err, mysqldriver.ErrPktSync), errors.Is(err, mysqldriver.ErrPktSyncMul):
		return collectors.ReasonProtocol
	case errors.Is(err, mysqldriver.ErrNoTLS):
		return collectors.ReasonTLS
	}
	return collectors.ConnectReason(err)
}
