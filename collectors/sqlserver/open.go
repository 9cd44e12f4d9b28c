package sqlserver

import (
	"cmp"
	"context"
	"crypto/tls"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	mssql "github.com/microsoft/go-mssqldb"
	"github.com/microsoft/go-mssqldb/msdsn"
	"gorm.io/driver/sqlserver"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"whalefall/collectors"
	"whalefall/models"
)

// serverInfo is what a server reports about itself; the zero value is an unknown server.
type serverInfo struct {
	number   string // 16.0.4125.3
	major    int    // 16; grows with each release, except in Azure
	edition  string
	engine   int    // EngineEdition
	database string // the current one
}

// Values of EngineEdition other than those of a self-hosted server.
const (
	engineAzureDatabase = 5
	engineAzureSynapse  = 6
	engineAzureInstance = 8
	engineServerless    = 11
	engineFabric        = 12
)

// azure reports whether each database acts as a server of its own: there is no USE, and no view covers all databases.
func (v serverInfo) azure() bool {
	return v.engine == engineAzureDatabase || v.engine == engineFabric
}

// since reports whether the server has the features of a major version. Azure always reports 12 and has all of them.
func (v serverInfo) since(major int) bool {
	return v.azure() || v.engine == engineAzureInstance || v.major >= major
}

var years = map[string]string{
	"11.0": "2012", "12.0": "2014", "13.0": "2016", "14.0": "2017", "15.0": "2019", "16.0": "2022", "17.0": "2025",
}

// version returns the version to show: "SQL Server 2022 (16.0.4125.3) Developer Edition (64-bit)".
func (v serverInfo) version() models.Version {
	parts := strings.SplitN(v.number, ".", 3)
	out := models.Version{Main: strings.Join(parts[:min(2, len(parts))], "."), Detailed: v.number}
	switch v.engine {
	case engineAzureDatabase:
		out.Full = fmt.Sprintf("Azure SQL Database (%s)", v.number)
	case engineAzureInstance:
		out.Full = fmt.Sprintf("Azure SQL Managed Instance (%s)", v.number)
	default:
		product := strings.TrimRight("SQL Server "+years[out.Main], " ")
		out.Full = fmt.Sprintf("%s (%s) %s", product, v.number, v.edition)
	}
	return out
}

func quoted(name string) string { return mssql.TSQLQuoter{}.ID(name) }

// use returns the USE that has to precede a statement for a database. It is empty in Azure, where a session cannot
// change its database, and on an unknown server.
func (v serverInfo) use(database string) string {
	if v.azure() || v.engine == 0 {
		return ""
	}
	return "USE " + quoted(database) + "; "
}

// grantEntry returns the statement that gives the account access to one database.
func (v serverInfo) grantEntry(t collectors.Target, database string) string {
	user := quoted(t.Username)
	return v.use(database) + "CREATE USER " + user + " FOR LOGIN " + user + ";"
}

// grantNames returns the statement that lets the account see all names in one database, and no data. An account with
// access by a server permission is made a user first: permissions in a database can only be granted to its users.
func (v serverInfo) grantNames(t collectors.Target, database string) string {
	user := quoted(t.Username)
	literal := mssql.TSQLQuoter{}.Value(t.Username)
	return v.use(database) + "IF DATABASE_PRINCIPAL_ID(N" + literal + ") IS NULL CREATE USER " + user +
		" FOR LOGIN " + user + "; GRANT VIEW DEFINITION TO " + user + ";"
}

// grantState returns the statement that lets the account see the statistics of the current database, of which it has to
// be a user.
func (v serverInfo) grantState(t collectors.Target) string {
	permission := "VIEW DATABASE STATE"
	if v.since(release2022) {
		permission = "VIEW DATABASE PERFORMANCE STATE"
	}
	return "GRANT " + permission + " TO " + quoted(t.Username) + ";"
}

// session is one connection to one database with its limits in force.
type session struct {
	target  collectors.Target
	server  serverInfo
	db      *sql.DB
	conn    *sql.Conn
	budget  *collectors.Budget
	hangUp  func()        // closes the connection at once
	timeout time.Duration // of each statement
	short   bool          // some list arrived with fewer rows than the server counts
}

func (c *Collector) config(t collectors.Target, database string, readOnly bool) (msdsn.Config, error) {
	encrypted, err := collectors.TargetTLS(t)
	if err != nil {
		return msdsn.Config{}, err
	}
	config := msdsn.Config{
		Host: t.Host, Port: uint64(t.Port), Database: database, User: t.Username, Password: t.Password,
		Encryption: msdsn.EncryptionRequired, TLSConfig: encrypted,
		ReadOnlyIntent: readOnly, AppName: "whalefall",
		DisableRetry: true, DialTimeout: -1, Protocols: []string{"tcp"},
	}
	switch {
	case encrypted == nil:
		config.Encryption = msdsn.EncryptionDisabled
	case encrypted.MinVersion == 0:
		encrypted.ServerName = t.Host           // not verified, but gateways such as those of Azure may route by it
		encrypted.MinVersion = tls.VersionTLS10 // servers before 2016 have nothing newer without an update
	}
	return config, nil
}

// open connects to one database, if necessary with the opposite read intent. It returns the driver's errors.
func (c *Collector) open(ctx context.Context, t collectors.Target, database string, readOnly bool) (*session, error) {
	config, err := c.config(t, database, readOnly)
	if err != nil {
		return nil, err
	}
	s, routed, err := c.connect(ctx, t, config)
	if err != nil && ctx.Err() == nil && otherIntent(err, readOnly, routed) {
		config.ReadOnlyIntent = !readOnly
		s, _, err = c.connect(ctx, t, config)
	}
	return s, err
}

// connect encrypts as the target's mode demands. With "prefer" it falls back to plain text if the server has no TLS,
// but only on this computer, as the login has the password.
func (c *Collector) connect(
	ctx context.Context, t collectors.Target, config msdsn.Config,
) (s *session, routed bool, err error) {
	s, routed, err = c.dial(ctx, t, config, false)
	if err == nil || t.TLSMode != models.TLSPrefer && t.TLSMode != "" || !strings.Contains(err.Error(), textNoTLS) {
		return s, routed, err
	}
	config.Encryption, config.TLSConfig = msdsn.EncryptionDisabled, nil
	return c.dial(ctx, t, config, true)
}

// dial connects once, on request only to this computer. For a connection that failed, routed reports whether the server
// had routed it to another one.
func (c *Collector) dial(
	ctx context.Context, t collectors.Target, config msdsn.Config, loopback bool,
) (s *session, routed bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, c.connectTimeout)
	defer cancel()

	dialer := &dialer{budget: new(collectors.Budget), loopback: loopback}
	connector := mssql.NewConnectorConfig(config)
	connector.Dialer = dialer
	s = &session{target: t, timeout: c.statementTimeout, budget: dialer.budget, hangUp: dialer.hangUp}
	if s.db, err = openSession(connector); err != nil {
		return nil, false, err
	}

	s.conn, err = s.db.Conn(ctx)
	dialer.established()
	if err == nil {
		s.budget.LoggedIn()
		err = s.start(ctx)
	}
	if err != nil {
		s.close()
		return nil, dialer.dials > 1, errors.Join(ctx.Err(), s.budget.Explain(err))
	}
	collectors.Reached(ctx, models.PhaseQuerying)
	return s, false, nil
}

func openSession(connector *mssql.Connector) (*sql.DB, error) {
	opened, err := gorm.Open(sqlserver.New(sqlserver.Config{Conn: sql.OpenDB(connector)}),
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

// lockWait is how long a statement waits for a lock. It is longer than for other engines, because a lock that is not
// granted fails the whole collection, and our waiting delays no other session.
const lockWait = 2 * time.Second

// settings limit what a session can do to others: it does not wait long for locks, is chosen as the victim of deadlocks
// and takes no locks on what it reads.
var settings = []string{
	"SET LOCK_TIMEOUT " + collectors.Milliseconds(lockWait),
	"SET DEADLOCK_PRIORITY LOW",
	"SET TRANSACTION ISOLATION LEVEL READ UNCOMMITTED",
	"SET NOCOUNT ON",
}

// start sets the session's limits and reads its serverInfo.
func (s *session) start(ctx context.Context) error {
	defer collectors.HangUpAfter(ctx, s.hangUp)()
	for _, text := range settings {
		if _, err := s.conn.ExecContext(ctx, text); err != nil {
			return err
		}
	}

	var number, edition, database sql.NullString
	err := collectors.EachRow(ctx, s.conn, statements["session"], func(rows *sql.Rows) error {
		return rows.Scan(&number, &edition, &s.server.engine, &database)
	})
	if err != nil {
		return err
	}

	s.server.number, s.server.edition, s.server.database = number.String, edition.String, database.String
	first, _, _ := strings.Cut(number.String, ".")
	s.server.major, _ = strconv.Atoi(first)
	return nil
}

func (s *session) close() {
	if s.conn != nil {
		_ = s.conn.Close()
	}
	_ = s.db.Close()
}

// each runs a statement and calls scan for each row. At the timeout the driver asks the server to cancel the statement
// and waits for the confirmation; if that takes too long, the connection is closed.
func (s *session) each(ctx context.Context, text string, scan func(*sql.Rows) error, args ...any) error {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	defer collectors.HangUpAfter(ctx, s.hangUp)()
	if err := s.budget.EachRow(ctx, s.conn, text, scan, args...); err != nil {
		return errors.Join(ctx.Err(), err)
	}
	return nil
}

// eachListed runs a statement that lists something and notes if rows are missing.
func (s *session) eachListed(ctx context.Context, text string, scan func(*sql.Rows) error) error {
	return collectors.Reader(s.each).ListNoting(ctx, &s.short, text, scan)
}

// failed classifies an error that occurred on this session.
func (s *session) failed(ctx context.Context, err error) error {
	return failure(ctx, s.target, s.server, s.server.database, err)
}

// dialer opens connections that fail when the context ends, until they are established: the driver itself checks the
// context before and after the handshakes, but not during them.
type dialer struct {
	net      net.Dialer
	budget   *collectors.Budget
	loopback bool // connects to nothing else, wherever a server routes it to
	dials    int
	stop     func() bool // detaches the connection from the context
	conn     net.Conn
}

// errPlainLogin says that the password would be readable on a line that is not encrypted.
var errPlainLogin = errors.New("the server has no encryption for the login")

// HostName returns "", which makes the driver leave the resolution of names to the dialer.
func (d *dialer) HostName() string { return "" }

// DialContext connects to an address.
func (d *dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	d.established()
	d.dials++
	if host, _, err := net.SplitHostPort(address); d.loopback && (err != nil || !models.IsLoopback(host)) {
		return nil, errPlainLogin
	}
	conn, err := d.net.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	d.conn = conn
	d.stop = context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	return &earlyConn{Conn: d.budget.Conn(conn)}, nil
}

// established detaches the connection from the context that it was opened with.
func (d *dialer) established() {
	if d.stop != nil && d.stop() {
		_ = d.conn.SetDeadline(time.Time{})
	}
}

// hangUp closes the socket.
func (d *dialer) hangUp() {
	if d.conn != nil {
		_ = d.conn.Close()
	}
}

// replyPacket is the first byte of every packet from a server.
const replyPacket = 4

// earlyConn is a connection that checks the first byte it receives, as the other side may not be SQL Server.
type earlyConn struct {
	net.Conn
	answered bool
}

func (c *earlyConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 && !c.answered {
		c.answered = true
		if b[0] != replyPacket {
			return 0, collectors.ErrProtocol
		}
	}
	return n, err
}

// defaultDatabase returns the database for statements about the whole server: the target's or master.
func defaultDatabase(t collectors.Target) string {
	return cmp.Or(collectors.ServerName(t.Database), master)
}

const master = "master"
