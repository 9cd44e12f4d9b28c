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

// hangingConn is a connection whose driver hangs in one kind of call until HangUp, ignoring the call's context.
type hangingConn struct {
	driver.Conn
	in  string
	end chan struct{}
}

func (c *hangingConn) HangUp() { close(c.end) }

func (c *hangingConn) hang(in string) error {
	if in != c.in {
		return nil
	}
	<-c.end
	return driver.ErrBadConn
}

func (c *hangingConn) BeginTx(ctx context.Context, options driver.TxOptions) (driver.Tx, error) {
	tx, err := c.Conn.(driver.ConnBeginTx).BeginTx(ctx, options)
	return hangingTx{tx, c}, err
}

func (c *hangingConn) ExecContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Result, error) {
	if err := c.hang("exec"); err != nil {
		return nil, err
	}
	return c.Conn.(driver.ExecerContext).ExecContext(context.WithoutCancel(ctx), text, args)
}

func (c *hangingConn) QueryContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Rows, error) {
	if strings.Contains(text, "dba_segments") {
		if err := c.hang("query"); err != nil {
			return nil, err
		}
	}
	rows, err := c.Conn.(driver.QueryerContext).QueryContext(context.WithoutCancel(ctx), text, args)
	return hangingRows{rows, c, strings.Contains(text, "dba_segments")}, err
}

func (c *hangingConn) Close() error { return errors.Join(c.hang("close"), c.Conn.Close()) }

type hangingTx struct {
	driver.Tx
	conn *hangingConn
}

func (t hangingTx) Rollback() error { return errors.Join(t.conn.hang("rollback"), t.Tx.Rollback()) }

type hangingRows struct {
	driver.Rows
	conn     *hangingConn
	segments bool
}

func (r hangingRows) Next(into []driver.Value) error {
	if r.segments {
		if err := r.conn.hang("next"); err != nil {
			return err
		}
	}
	return r.Rows.Next(into)
}

type hangingConnector struct {
	driver.Connector
	in string
}

func (c hangingConnector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	return &hangingConn{conn, c.in, make(chan struct{})}, err
}

func TestCollector_Tables_CancelHungDriver(t *testing.T) {
	server := oracle.New(t, oracle.Options{Rows: collectortest.OracleTwoSchemas()})
	target := collectortest.OracleTarget(t, server, "APP", true)
	for _, in := range []string{"exec", "query", "next"} {
		c := collectorFor(server)
		connector := c.Connector
		c.Connector = func(t collectors.Target) (driver.Connector, error) {
			inner, err := connector(t)
			return hangingConnector{inner, in}, err
		}
		if late := collectortest.CancelTables(t, c, target, "USERS", 50*time.Millisecond); late > time.Second {
			t.Errorf("hung in %s: returned %v after the cancel, want at most 1s", in, late)
		}
		closed := func() bool { return server.Connections() == 0 }
		collectortest.Eventually(t, "the connection is still open on the server", closed)
	}
}

func TestCollector_Tables_DriverHangsWhileClosing(t *testing.T) {
	server := oracle.New(t, oracle.Options{Rows: collectortest.OracleTwoSchemas()})
	target := collectortest.OracleTarget(t, server, "APP", true)
	for _, in := range []string{"rollback", "close"} {
		c := collectorFor(server)
		connector := c.Connector
		c.Connector = func(t collectors.Target) (driver.Connector, error) {
			inner, err := connector(t)
			return hangingConnector{inner, in}, err
		}
		start := time.Now()
		if _, err := c.Tables(t.Context(), target, "USERS"); err != nil {
			t.Errorf("hung in %s: got error %v, want none", in, err)
		}
		limit := collectors.HangUpGrace + time.Second
		if elapsed := time.Since(start); elapsed > limit {
			t.Errorf("hung in %s: took %v, want at most %v", in, elapsed, limit)
		}
	}
}

func TestCollector_Tables_CancelSilentListener(t *testing.T) {
	for greeting, name := range map[string]string{
		"": "sends nothing", tnsPacket(11, ""): "asks to resend", tnsPacket(11, "")[:4]: "sends half a packet",
	} {
		address, ended := silent(t, nil, greeting)
		late := collectortest.CancelTables(t, New(nil), collectors.Target{
			Name: "t", Host: "127.0.0.1", Port: address.Port, Database: "orcl", Username: "u", Password: "p",
		}, "USERS", 100*time.Millisecond)
		if late > time.Second {
			t.Errorf("%s: returned %v after the cancel, want at most 1s", name, late)
		}
		<-ended
	}
}

// Revoked privileges limit the scope of the next collection to the account's own schema.
func TestCollector_Tables_PrivilegesRevoked(t *testing.T) {
	server := oracle.New(t, oracle.Options{Rows: collectortest.OracleTwoSchemas()})
	target := collectortest.OracleTarget(t, server, "APP", true)
	before, err := collectorFor(server).Tables(t.Context(), target, "USERS")
	if err != nil || !before.Complete || before.Scope != "" {
		t.Fatalf("before: got %+v, %v, want a complete result without a scope", before, err)
	}
	target = collectortest.OracleTarget(t, server, "APP", false)
	after, err := collectorFor(server).Tables(t.Context(), target, "USERS")
	if err != nil || after.Scope != "APP" || after.Grant == "" {
		t.Errorf("after: got %+v, %v, want the scope APP and a grant", after, err)
	}
	if slices.ContainsFunc(after.Tables, func(r models.TableSize) bool { return r.Schema != "APP" }) {
		t.Errorf("after: got %+v, want only tables of APP", after.Tables)
	}
}
