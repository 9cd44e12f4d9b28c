package mysql

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"math/big"
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

// Error numbers of the server.
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
	codeOptionPrevents   = 1290
	codeInterrupted      = 1317
	codeMaxStatementTime = 1969 // MariaDB
	codeMaxExecutionTime = 3024 // MySQL
)

// meaning is how an error number is reported. A reason makes it an unreachable target.
type meaning struct {
	code   models.Code
	key    string
	reason string
}

var meanings = map[int]meaning{
	1040: {reason: collectors.ReasonBusy},     // too many connections
	1203: {reason: collectors.ReasonBusy},     // too many connections of this account
	1226: {reason: collectors.ReasonBusy},     // too many connections of this account in an hour
	1044: {reason: collectors.ReasonLogin},    // no access to the database
	1045: {reason: collectors.ReasonLogin},    // wrong user or password
	1129: {reason: collectors.ReasonLogin},    // host blocked after too many failures
	1130: {reason: collectors.ReasonLogin},    // host not allowed
	1698: {reason: collectors.ReasonLogin},    // account authenticates by socket or plugin, not by password
	1820: {reason: collectors.ReasonLogin},    // password expired
	1862: {reason: collectors.ReasonLogin},    // password expired, for clients that cannot set a new one
	3118: {reason: collectors.ReasonLogin},    // account locked (MySQL)
	4151: {reason: collectors.ReasonLogin},    // account locked (MariaDB)
	3159: {reason: collectors.ReasonTLS},      // server requires TLS
	1053: {reason: collectors.ReasonStarting}, // server is shutting down

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

// limitVariables are the variables of the server that an error is due to: it sends the error if their values are too
// small for a statement of ours.
var limitVariables = map[int]string{
	1104: "max_join_size", 1153: "max_allowed_packet", 1461: "max_prepared_stmt_count",
	codeMaxStatementTime: "max_statement_time", codeMaxExecutionTime: "max_execution_time",
}

// optionPreventing matches the option in the message of codeOptionPrevents.
var optionPreventing = regexp.MustCompile(`--([a-z_-]+)`)

// variableOf returns the variable of the server that its error is due to, "" if that is unknown.
func variableOf(err error) string {
	sent, ok := errors.AsType[*mysqldriver.MySQLError](err)
	if !ok {
		return ""
	}
	if option := optionPreventing.FindStringSubmatch(sent.Message); sent.Number == codeOptionPrevents && option != nil {
		return strings.ReplaceAll(option[1], "-", "_")
	}
	return limitVariables[int(sent.Number)]
}

// settingError returns the error for one that is due to a variable of the server.
func settingError(variable string, err error) *models.Error {
	number := errorNumber(err)
	return &models.Error{
		Code: models.CodeCollection, Key: "collect.mysql.setting",
		Args: models.Args("Setting", variable, "Number", number), Err: err,
		Extra: map[string]any{"error_number": number},
	}
}

// killTimeout limits how long killing the connection of a cancelled collection may take. If that takes longer, or the
// account can no longer log in, the statement runs until the server's own limit ends it.
const killTimeout = 900 * time.Millisecond

// session is one connection whose settings are ours.
type session struct {
	target    collectors.Target
	connector *mysqldriver.Config
	budget    collectors.Budget
	db        *sql.DB
	conn      *sql.Conn
	unwatch   func()
	statement time.Duration // how long a statement may take

	id       int64  // of the connection
	mark     string // a comment in every statement, which nobody can guess
	server   serverName
	account  string // user@host, as in grants
	pageSize int64  // bytes of an InnoDB page; 0 without InnoDB
	version  version

	literalGrants bool // "%" and "_" in grants are no wildcards: MySQL 8 with partial_revokes

	short       bool          // some list arrived with fewer rows than the server counts
	gone        int64         // tables of the schema being read that were listed and then not found
	lockRetries int           // how many more times it waits for locked tables
	openBudget  time.Duration // left for opening tables
	measured    collectors.Tally
}

type version struct {
	full         string
	mariadb      bool
	major, minor int
	number       string // 10.11.19
}

var versionNumber = regexp.MustCompile(`^(\d+)\.(\d+)(?:\.\d+)?`)

// parseVersion parses the text of VERSION(). Some MariaDB versions prefix theirs with "5.5.5-", for replication.
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

// dictionary reports whether the server has a data dictionary, so that it lists tables without opening them.
func (v version) dictionary() bool { return !v.mariadb && v.major >= 8 }

// settings returns the statements that make a session read-only, limit its statements and its waits, and set the
// variables that would change what our statements return. DEFAULT would be the server's global value. It leaves out
// variables that the version lacks, since the server rejects unknown ones.
func (v version) settings(statement time.Duration) []string {
	pause := int(collectors.StatementTimeout.Seconds())
	lock := int(math.Ceil(collectors.LockTimeout.Seconds())) // the server takes whole seconds only
	out := []string{
		"sql_mode = ''", "sql_quote_show_create = 1", "max_error_count = 64", "autocommit = 1",
		fmt.Sprintf("lock_wait_timeout = %d", lock), fmt.Sprintf("wait_timeout = %d", pause),
		fmt.Sprintf("net_read_timeout = %d", pause), fmt.Sprintf("net_write_timeout = %d", pause),
	}
	switch {
	case v.mariadb:
		out = append(out, fmt.Sprintf("max_statement_time = %.3f", statement.Seconds()))
	case v.major > 5 || v.minor >= 7:
		out = append(out, fmt.Sprintf("max_execution_time = %d", statement.Milliseconds()))
	}
	if v.mariadb && (v.major > 10 || v.minor >= 3) {
		out = append(out, "tmp_disk_table_size = 18446744073709551615", "max_session_mem_used = 9223372036854775807")
	}
	if v.dictionary() {
		out = append(out, "information_schema_stats_expiry = 0")
	}
	return []string{
		"SET SESSION " + strings.Join(out, ", "),
		"SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY",
	}
}

// noKey names a public key that can encrypt nothing. On a line that is not encrypted the driver takes it instead of
// asking whoever answers for a key to send the password with.
var noKey = func() string {
	const name = "whalefall-none"
	mysqldriver.RegisterServerPubKey(name, &rsa.PublicKey{N: big.NewInt(1), E: 3})
	return name
}()

// textNoKey begins the error of encrypting with noKey.
const textNoKey = "crypto/rsa: "

func (c *Collector) config(t collectors.Target) (*mysqldriver.Config, error) {
	encrypted, err := collectors.TargetTLS(t)
	if err != nil {
		return nil, err
	}
	config := mysqldriver.NewConfig()
	config.Net, config.Addr = "tcp", net.JoinHostPort(t.Host, strconv.Itoa(t.Port))
	config.User, config.Passwd = t.Username, t.Password
	config.TLS, config.AllowFallbackToPlaintext = encrypted, t.TLSMode == models.TLSPrefer || t.TLSMode == ""
	config.Timeout, config.WriteTimeout = c.connectTimeout, collectors.ConnectTimeout
	config.ReadTimeout = c.statementTimeout + collectors.ConnectTimeout
	if collectors.OnlyChallenges(t) {
		config.ServerPubKey = noKey
	}
	config.ConnectionAttributes = "program_name:whalefall"
	config.Logger = &mysqldriver.NopLogger{}
	err = config.Apply(mysqldriver.Charset("utf8mb4", ""))
	return config, err
}

// open connects and makes the session ours. When ctx ends, the server's end of the connection is killed.
func (c *Collector) open(ctx context.Context, t collectors.Target) (*session, error) {
	config, err := c.config(t)
	if err != nil {
		return nil, err
	}
	s := &session{
		target: t, connector: config, unwatch: func() {}, statement: c.statementTimeout,
		lockRetries: maxLockRetries, openBudget: openBudget,
		mark: "/* whalefall " + rand.Text() + " */ ",
	}
	if err := s.connect(ctx, c.connectTimeout); err != nil {
		return nil, err
	}

	s.unwatch = s.killWhenDone(ctx)
	collectors.Reached(ctx, models.PhaseQuerying)
	return s, nil
}

func (s *session) connect(ctx context.Context, timeout time.Duration) (err error) {
	config := s.connector.Clone()
	config.DialFunc = s.budget.Dial(new(net.Dialer).DialContext)
	if s.db, err = openSession(config); err != nil {
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
		s.budget.LoggedIn()
		err = s.identify(dial)
	}
	err = s.budget.Explain(err)

	switch variable := variableOf(err); {
	case err == nil:
		return nil
	case collectors.Settled(ctx, err) != nil, errorNumber(err) == codeUnknownDatabase:
		return classify(ctx, s.target, "", err)
	case variable != "":
		return settingError(variable, err)
	}
	return unreachable(s.target, err)
}

// wholeLists lets every statement return all of its rows: no limit from the server's configuration or its init_connect
// holds. It is run before any statement that returns rows.
const wholeLists = "SET SESSION sql_select_limit = 18446744073709551615, max_join_size = 18446744073709551615, " +
	"sql_big_selects = 1"

// identify reads the version, name and settings of the server, and which connection and account the session has. It
// makes our settings as soon as it knows the version.
func (s *session) identify(ctx context.Context) error {
	if _, err := s.conn.ExecContext(ctx, wholeLists); err != nil {
		return err
	}
	var version string
	err := s.conn.QueryRowContext(ctx, statements["server"]).Scan(&version, &s.id, &s.account)
	if err != nil {
		return err
	}
	s.version = parseVersion(version)
	for _, text := range s.version.settings(s.statement) {
		if _, err := s.conn.ExecContext(ctx, text); err != nil {
			return err
		}
	}
	if err := s.variables(ctx); err != nil {
		return err
	}
	s.server, err = s.nameServer(ctx)
	return err
}

// variables reads the settings that not every server has.
func (s *session) variables(ctx context.Context) error {
	return s.each(ctx, statements["variables"], func(rows *sql.Rows) error {
		var name, value string
		if err := rows.Scan(&name, &value); err != nil {
			return err
		}

		var err error
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

// killWhenDone kills the connection on the server when ctx ends: the driver only closes its own socket, and the server
// would go on with the statement. The function it returns stops watching ctx and waits for a kill in progress. It kills
// the connection itself if ctx ended the statement before the watch noticed.
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

// killStep is how long a kill waits before it looks again what the connection does.
const killStep = 20 * time.Millisecond

// kill ends the whole connection, not only its statement, since another one may already have been sent. The address may
// lead to another server, where the id is somebody else's: it kills only what is proved to be ours, a connection of the
// same server and user that runs a statement with our mark. Errors are ignored: the connection may have ended by
// itself, and a server that cannot be reached is left to its own limits.
func (s *session) kill(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, killTimeout)
	defer cancel()
	killer := &session{target: s.target, connector: s.connector, unwatch: func() {}, statement: s.statement}
	if err := killer.connect(ctx, killTimeout); err != nil {
		return
	}
	defer killer.close()
	if !killer.server.is(s.server) {
		return
	}

	for ctx.Err() == nil {
		open, ours := killer.finds(ctx, s)
		if ours {
			_, _ = killer.conn.ExecContext(ctx, "KILL CONNECTION "+strconv.FormatInt(s.id, 10))
		}
		if ours || !open {
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(killStep):
		}
	}
}

// finds reports whether a connection of our user with the id of the other session is open, and whether it runs a
// statement of that session.
func (s *session) finds(ctx context.Context, other *session) (open, ours bool) {
	err := s.each(ctx, statements["connection"], func(rows *sql.Rows) error {
		open = true
		return rows.Scan(&ours)
	}, other.mark, other.id)
	return open && err == nil, ours && err == nil
}

// each runs a statement and calls scan for each row.
func (s *session) each(ctx context.Context, text string, scan func(*sql.Rows) error, args ...any) error {
	return s.budget.EachRow(ctx, s.conn, s.mark+text, scan, args...)
}

// list runs a statement that lists something and notes if rows are missing.
func (s *session) list(ctx context.Context, text string, scan func(*sql.Rows) error, args ...any) error {
	return collectors.Reader(s.each).ListNoting(ctx, &s.short, text, scan, args...)
}

// classify returns the *models.Error for an error of this session.
func (s *session) classify(ctx context.Context, err error) error {
	return classify(ctx, s.target, s.account, err)
}

// errorNumber returns the number of an error that the server sent, 0 for any other error.
func errorNumber(err error) int {
	if sent, ok := errors.AsType[*mysqldriver.MySQLError](err); ok {
		return int(sent.Number)
	}
	return 0
}

// answered returns e with the number and the text of the server's error.
func answered(e *models.Error, err error) *models.Error {
	if sent, ok := errors.AsType[*mysqldriver.MySQLError](err); ok {
		return e.With("error_number", int(sent.Number)).WithServerText(sent.Message)
	}
	return e
}

// classify returns the *models.Error for an error of a connection. The account is user@host, as in grants.
func classify(ctx context.Context, t collectors.Target, account string, err error) error {
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
	return serverError(t, account, number, err)
}

// serverError returns the error for one that the server sent, with its number.
func serverError(t collectors.Target, account string, number int, err error) *models.Error {
	known, ok := meanings[number]
	out := &models.Error{Code: known.code, Key: known.key, Err: err}
	switch variable := variableOf(err); {
	case !ok && variable != "":
		return settingError(variable, err)
	case !ok:
		out = &models.Error{
			Code: models.CodeCollection, Key: "collect.mysql.failed", Args: models.Args("Number", number), Err: err,
		}
	case known.reason != "":
		return unreachable(t, err)
	case known.key == collectors.KeyDatabaseGone:
		out = collectors.DatabaseGone(t.Database, err)
	case known.key == keyDenied:
		out = out.WithGrant(grant(account))
	}
	return answered(out, err)
}

// unreachable returns the error for a connection that failed or broke.
func unreachable(t collectors.Target, err error) *models.Error {
	number := errorNumber(err)
	switch {
	case errors.Is(err, mysqldriver.ErrCleartextPassword), strings.HasPrefix(err.Error(), textNoKey):
		err = errors.Join(collectors.ErrCleartext, err)
	case errors.Is(err, mysqldriver.ErrNoTLS):
		err = errors.Join(collectors.ErrNoTLS, err)
	}
	if number == 0 {
		return collectors.Unreachable(t, connectReason(err), err)
	}
	reason := cmp.Or(meanings[number].reason, collectors.ReasonAnswered)
	return answered(collectors.Unreachable(t, reason, err), err)
}

// connectReason returns the reason for an error that the server did not send, including the driver's own errors.
func connectReason(err error) string {
	switch {
	case errors.Is(err, mysqldriver.ErrMalformPkt), errors.Is(err, mysqldriver.ErrPktSync),
		errors.Is(err, mysqldriver.ErrPktSyncMul):
		return collectors.ReasonProtocol
	}
	return collectors.ConnectReason(err)
}
