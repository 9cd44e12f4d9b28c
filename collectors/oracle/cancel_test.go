package oracle

import (
	"context"
	"database/sql/driver"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"whalefall/collectors"
	"whalefall/collectors/collectortest"
	"whalefall/models"
	"whalefall/testenv/oracle"
)

// strayConn is a connection whose driver hangs in one kind of call until it is hung up, whatever the context of that
// says.
type strayConn struct {
	driver.Conn
	in  string
	end chan struct{}
}

func (c *strayConn) HangUp() { close(c.end) }

func (c *strayConn) hang(in string) error {
	if in != c.in {
		return nil
	}
	<-c.end
	return driver.ErrBadConn
}

func (c *strayConn) BeginTx(ctx context.Context, options driver.TxOptions) (driver.Tx, error) {
	tx, err := c.Conn.(driver.ConnBeginTx).BeginTx(ctx, options)
	return strayTx{tx, c}, err
}

func (c *strayConn) ExecContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Result, error) {
	if err := c.hang("exec"); err != nil {
		return nil, err
	}
	return c.Conn.(driver.ExecerContext).ExecContext(context.WithoutCancel(ctx), text, args)
}

func (c *strayConn) QueryContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Rows, error) {
	if strings.Contains(text, "dba_segments") {
		if err := c.hang("query"); err != nil {
			return nil, err
		}
	}
	rows, err := c.Conn.(driver.QueryerContext).QueryContext(context.WithoutCancel(ctx), text, args)
	return strayRows{rows, c, strings.Contains(text, "dba_segments")}, err
}

func (c *strayConn) Close() error { return errors.Join(c.hang("close"), c.Conn.Close()) }

type strayTx struct {
	driver.Tx
	conn *strayConn
}

func (t strayTx) Rollback() error { return errors.Join(t.conn.hang("rollback"), t.Tx.Rollback()) }

type strayRows struct {
	driver.Rows
	conn     *strayConn
	segments bool
}

func (r strayRows) Next(into []driver.Value) error {
	if r.segments {
		if err := r.conn.hang("next"); err != nil {
			return err
		}
	}
	return r.Rows.Next(into)
}

type strayConnector struct {
	driver.Connector
	in string
}

func (c strayConnector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	return &strayConn{conn, c.in, make(chan struct{})}, err
}

// Wherever the driver hangs, a cancelled collection comes back within a second, and the connection is closed.
func TestComesBackFromADriverThatHangs(t *testing.T) {
	server := oracle.New(t, oracle.Options{Rows: collectortest.OracleTwoSchemas()})
	target := collectortest.OracleTarget(t, server, "APP", true)
	for _, in := range []string{"exec", "query", "next"} {
		c := collectorFor(server)
		connector := c.Connector
		c.Connector = func(t collectors.Target) (driver.Connector, error) {
			inner, err := connector(t)
			return strayConnector{inner, in}, err
		}
		if late := collectortest.CancelTables(t, c, target, "USERS", 50*time.Millisecond); late > time.Second {
			t.Errorf("in %s: that took %v", in, late)
		}
		collectortest.Eventually(t, "the server still has our connection", func() bool { return server.Connections() == 0 })
	}
}

// Nor does a collection that is over wait longer for a server that does not say goodbye.
func TestTakesItsLeaveInTime(t *testing.T) {
	server := oracle.New(t, oracle.Options{Rows: collectortest.OracleTwoSchemas()})
	target := collectortest.OracleTarget(t, server, "APP", true)
	for _, in := range []string{"rollback", "close"} {
		c := collectorFor(server)
		connector := c.Connector
		c.Connector = func(t collectors.Target) (driver.Connector, error) {
			inner, err := connector(t)
			return strayConnector{inner, in}, err
		}
		start := time.Now()
		if _, err := c.Tables(t.Context(), target, "USERS"); err != nil {
			t.Errorf("in %s: %v", in, err)
		}
		if elapsed := time.Since(start); elapsed > collectors.HangUpGrace+time.Second {
			t.Errorf("in %s: that took %v", in, elapsed)
		}
	}
}

// The listener accepts and never answers.
func TestComesBackFromAListenerThatIsSilent(t *testing.T) {
	for greeting, what := range map[string]string{
		"": "nothing", tnsPacket(11, ""): "asks to be sent the same again", tnsPacket(11, "")[:4]: "half a packet",
	} {
		address, ended := silent(t, nil, greeting)
		late := collectortest.CancelTables(t, New(nil), collectors.Target{
			Name: "t", Host: "127.0.0.1", Port: address.Port, Database: "orcl", Username: "u", Password: "p",
		}, "USERS", 100*time.Millisecond)
		if late > time.Second {
			t.Errorf("%s: that took %v", what, late)
		}
		<-ended
	}
}

// Rights that are taken away between two collections narrow the scope of the next: it speaks of the account's own
// schema.
func TestRightsRevokedBetweenTwoCollections(t *testing.T) {
	server := oracle.New(t, oracle.Options{Rows: collectortest.OracleTwoSchemas()})
	target := collectortest.OracleTarget(t, server, "APP", true)
	before, err := collectorFor(server).Tables(t.Context(), target, "USERS")
	if err != nil || !before.Complete || before.Scope != "" {
		t.Fatalf("%+v, %v", before, err)
	}
	target = collectortest.OracleTarget(t, server, "APP", false)
	after, err := collectorFor(server).Tables(t.Context(), target, "USERS")
	if err != nil || after.Scope != "APP" || after.Grant == "" {
		t.Errorf("%+v, %v", after, err)
	}
	if slices.ContainsFunc(after.Tables, func(r models.TableSize) bool { return r.Schema != "APP" }) {
		t.Errorf("of others: %+v", after.Tables)
	}
}
