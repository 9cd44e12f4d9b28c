package sqlserver

import (
	"context"
	"database/sql"
	"errors"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"whalefall/testenv/catalog"
	"whalefall/testenv/tds"
)

// forever is a LOCK_TIMEOUT of -1, the default.
const forever = time.Duration(-1)

// settings holds what SET changes and a reset restores.
type settings struct {
	lockTimeout      time.Duration
	deadlockPriority string
	isolation        string
}

var newSettings = settings{lockTimeout: forever, deadlockPriority: "NORMAL", isolation: "READ COMMITTED"}

// session is a connection of a client.
type session struct {
	server *Server
	id     int64
	login  string
	client tds.Login
	home   string // database it started in

	database string // under the server's lock, as set
	set      settings
}

// open creates a session. The caller holds the lock.
func (s *Server) open(login Login, client tds.Login, database string) *session {
	opened := &session{
		server: s, id: lastSession.Add(1), login: login.Name, client: client,
		home: database, database: database, set: newSettings,
	}
	s.sessions[opened.id] = opened
	callers.Store(opened.id, opened)
	return opened
}

// Close implements tds.Session.
func (c *session) Close() {
	callers.Delete(c.id)
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	delete(c.server.sessions, c.id)
}

// Reset implements tds.Session.
func (c *session) Reset() string {
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	c.set = newSettings
	c.database = c.home
	return c.home
}

func (c *session) connection() Connection {
	return Connection{
		Login: c.login, Database: c.database, App: c.client.App, ReadOnlyIntent: c.client.ReadOnlyIntent,
		LockTimeout: c.set.lockTimeout, DeadlockPriority: c.set.deadlockPriority, Isolation: c.set.isolation,
	}
}

// current returns the current login, database and settings of the session.
func (c *session) current() (Login, string, settings) {
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	login, _ := c.server.login(c.login)
	return login, c.database, c.set
}

// Query implements tds.Session.
func (c *session) Query(ctx context.Context, q tds.Query, w *tds.Writer) error {
	defer c.server.ended(ctx)
	tokens, lexical := lex(q.Text)
	_, database, _ := c.current()
	request := Query{
		Login: c.login, Database: database, App: c.client.App, ReadOnlyIntent: c.client.ReadOnlyIntent,
		Text: q.Text, Procedure: q.Procedure, Params: q.Params, Views: views(tokens),
	}
	if err := c.server.record(request); err != nil {
		return err
	}
	if lexical != nil {
		return lexical
	}
	if q.Procedure != "" {
		return c.callByName(ctx, q, w)
	}
	for _, statement := range statements(tokens) {
		if err := c.run(ctx, q, statement, w); err != nil {
			return err
		}
	}
	return nil
}

func (c *session) run(ctx context.Context, q tds.Query, statement []token, w *tds.Writer) error {
	switch first := statement[0]; {
	case first.is("SET"):
		return c.setOption(statement[1:])
	case first.is("USE"):
		return c.use(statement[1:], w)
	case first.is("EXEC"), first.is("EXECUTE"):
		return c.call(ctx, q, statement[1:], w)
	case first.is("SELECT"), first.is("WITH"):
		return c.query(ctx, q, statement, w)
	default:
		return Message(102, first.text)
	}
}

// use moves the session to another database.
func (c *session) use(arguments []token, w *tds.Writer) error {
	if len(arguments) != 1 || !arguments[0].name() {
		return Message(102, "USE")
	}
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	if c.server.azure() {
		return Message(40508)
	}
	wanted := c.server.database(arguments[0].text)
	if wanted == nil {
		return Message(911, arguments[0].text)
	}
	login, _ := c.server.login(c.login)
	if err := c.server.unusable(wanted, login, c.client.ReadOnlyIntent); err != nil {
		return err
	}
	w.Database(wanted.Name, c.database)
	c.database = wanted.Name
	return nil
}

const isolationLevel = "ISOLATION LEVEL "

// switches lists options of SET that are on or off, and have no effect here.
var switches = []string{
	"ANSI_DEFAULTS", "ANSI_NULLS", "ANSI_NULL_DFLT_ON", "ANSI_PADDING", "ANSI_WARNINGS", "ARITHABORT",
	"CONCAT_NULL_YIELDS_NULL", "CURSOR_CLOSE_ON_COMMIT", "IMPLICIT_TRANSACTIONS", "NOCOUNT", "NUMERIC_ROUNDABORT",
	"QUOTED_IDENTIFIER", "XACT_ABORT",
}

var (
	isolations = []string{
		isolationLevel + "READ UNCOMMITTED", isolationLevel + "READ COMMITTED", isolationLevel + "REPEATABLE READ",
		isolationLevel + "SNAPSHOT", isolationLevel + "SERIALIZABLE",
	}
	priorities = regexp.MustCompile(`^(LOW|NORMAL|HIGH|-?(10|[0-9]))$`)
	timeouts   = regexp.MustCompile(`^(-1|[0-9]{1,9})$`)
	onOff      = []string{"ON", "OFF"}
)

// setOption runs SET name value.
func (c *session) setOption(words []token) error {
	name, value := option(words)
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	switch {
	case name == "LOCK_TIMEOUT" && timeouts.MatchString(value):
		milliseconds, _ := strconv.Atoi(value)
		c.set.lockTimeout = time.Duration(milliseconds) * time.Millisecond
	case name == "DEADLOCK_PRIORITY" && priorities.MatchString(value):
		c.set.deadlockPriority = value
	case name == "TRANSACTION" && slices.Contains(isolations, value):
		c.set.isolation = strings.TrimPrefix(value, isolationLevel)
	case slices.Contains(switches, name) && slices.Contains(onOff, value):
	case slices.Contains([]string{"LOCK_TIMEOUT", "DEADLOCK_PRIORITY", "TRANSACTION"}, name),
		slices.Contains(switches, name), value == "":
		return Message(102, value)
	default:
		return Message(195, name, "SET option")
	}
	return nil
}

// option returns the name of an option and its value with single spaces, both in upper case.
func option(words []token) (name, value string) {
	if len(words) == 0 {
		return "", ""
	}
	for i, word := range words[1:] {
		if i > 0 && word.kind == wordToken {
			value += " "
		}
		value += strings.ToUpper(word.text)
	}
	return strings.ToUpper(words[0].text), value
}

// query runs a SELECT.
func (c *session) query(ctx context.Context, q tds.Query, statement []token, w *tds.Writer) error {
	named := views(statement)
	if err := c.permitted(statement, named); err != nil {
		return err
	}
	if err := c.waitForLocks(ctx, named); err != nil {
		return err
	}
	db, err := c.catalog(ctx)
	if err != nil {
		return err
	}
	result, err := read(ctx, db, rewrite(q.Text, statement, c.id), q.Params)
	if err != nil {
		return err
	}
	if limit := c.server.options.MaxRows; limit > 0 {
		result.rows = result.rows[:min(limit, len(result.rows))]
	}
	return result.write(ctx, w)
}

// permitted refuses what needs a permission that the login lacks, and views that are named without their schema, which
// the emulated catalog would find but a server does not.
func (c *session) permitted(statement []token, named []string) error {
	for i := 1; i < len(statement); i++ {
		reads := statement[i-1].is("FROM") || statement[i-1].is("JOIN")
		qualified := i+1 < len(statement) && statement[i+1].sign(".")
		if reads && !qualified && statement[i].name() && c.server.hasView(statement[i].text) {
			return Message(208, statement[i].text)
		}
	}
	login, database, _ := c.current()
	permission := "VIEW DATABASE STATE"
	const split = 16 // the version that split it
	if c.server.azure() || c.server.major() >= split {
		permission = "VIEW DATABASE PERFORMANCE STATE"
	}
	for _, view := range named {
		if strings.HasPrefix(view, "sys.dm_db_") && c.server.hasView(strings.TrimPrefix(view, "sys.")) &&
			!login.in(database, permission) {
			return tds.Errors{Message(262, permission, database), Message(297)}
		}
	}
	return nil
}

func (s *Server) hasView(name string) bool {
	return slices.ContainsFunc(s.views, func(v catalog.View) bool { return strings.EqualFold(v.Name, name) })
}

// waitForLocks waits for what a test blocks.
func (c *session) waitForLocks(ctx context.Context, named []string) error {
	if len(named) == 0 {
		return nil
	}
	released := c.server.blocked(Query{Views: named})
	if released == nil {
		return nil
	}
	c.server.wait(1)
	defer c.server.wait(-1)
	var expired <-chan time.Time
	if _, _, set := c.current(); set.lockTimeout >= 0 {
		timer := time.NewTimer(set.lockTimeout)
		defer timer.Stop()
		expired = timer.C
	}
	select {
	case <-released:
		return nil
	case <-expired:
		return Message(1222)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// here gives the session's database and login, or why the session may not go on in it. The lock is held.
func (c *session) here() (*Database, Login, error) {
	login, _ := c.server.login(c.login)
	database := c.server.database(c.database)
	if database == nil {
		return nil, login, Message(911, c.database)
	}
	return database, login, c.server.unusable(database, login, c.client.ReadOnlyIntent)
}

// read runs a statement that names its parameters as the client does.
func read(ctx context.Context, db *sql.DB, text string, params []tds.Param) (*result, error) {
	arguments := make([]any, 0, len(params))
	for _, p := range params {
		if name := strings.TrimPrefix(p.Name, "@"); name != "" {
			arguments = append(arguments, sql.Named(name, p.Value))
		}
	}
	rows, err := db.QueryContext(ctx, text, arguments...)
	if err != nil {
		return nil, translate(err)
	}
	defer func() { _ = rows.Close() }()
	return readResult(rows)
}

// about returns a translation to the message of a number, whose only argument is what SQLite names.
func about(number int32) func(string) tds.Error {
	return func(what string) tds.Error { return Message(number, what) }
}

// translations are what SQLite complains of, and the server's error for it.
var translations = []struct {
	pattern *regexp.Regexp
	message func(what string) tds.Error
}{
	{regexp.MustCompile(`no such table: (.+?)(?: \(\d+\))?$`), about(208)},
	{regexp.MustCompile(`no such column: (?:.*\.)?(.+?)(?: \(\d+\))?$`), about(207)},
	{regexp.MustCompile(`ambiguous column name: (?:.*\.)?(.+?)(?: \(\d+\))?$`), about(209)},
	{regexp.MustCompile(`no such function: (.+?)(?: \(\d+\))?$`), func(what string) tds.Error {
		return Message(195, what, "built-in function name")
	}},
	{regexp.MustCompile(`near "(.+?)": syntax error`), about(102)},
	{regexp.MustCompile(`(incomplete input|unrecognized token.*)`), about(102)},
	{regexp.MustCompile(`missing named argument "(.+)"`), about(137)},
	{regexp.MustCompile(`(integer overflow)`), func(string) tds.Error { return Message(8115, "bigint") }},
}

func translate(err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	for _, t := range translations {
		if found := t.pattern.FindStringSubmatch(err.Error()); found != nil {
			return t.message(found[1])
		}
	}
	return err
}
