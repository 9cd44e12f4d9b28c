package postgresql

import (
	"errors"
	"net"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"

	"whalefall/collectors"
	"whalefall/collectors/collectortest"
	"whalefall/models"
	"whalefall/testenv"
)

func TestCollector_Version_OtherProtocols(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, greeting, reason string
		mode                   models.TLSMode
	}{
		{"HTTP", "HTTP/1.1 400 Bad Request\r\n\r\n", collectors.ReasonProtocol, models.TLSPrefer},
		{"HTTP, TLS required", "HTTP/1.1 400 Bad Request\r\n\r\n", collectors.ReasonProtocol, models.TLSRequire},
		{"HTTP, without TLS", "HTTP/1.1 400 Bad Request\r\n\r\n", collectors.ReasonProtocol, models.TLSDisable},
		{"PostgreSQL without TLS", "N", collectors.ReasonTLS, models.TLSRequire},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			collectortest.CheckGreeting(t, New(), c.mode, c.greeting, c.reason)
		})
	}
}

// TestCollector_Tables_RefusedLogin answers the startup with an error, as servers, proxies and poolers do.
func TestCollector_Tables_RefusedLogin(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, state, message, reason string // an empty reason: the database is gone
	}{
		{"pooler without the database", "08P01", "no such database: app", ""},
		{"server without the database", "3D000", `database "app" does not exist`, ""},
		{"pooler's other violation", "08P01", "server login has been failing", collectors.ReasonAnswered},
		{"limit of the database", "53300", `too many connections for database "app"`, collectors.ReasonBusy},
		{"wrong password", "28P01", "password authentication failed", collectors.ReasonLogin},
		{"restore", "57P03", "the database system is starting up", collectors.ReasonStarting},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			port := testenv.Listen(t, func(conn net.Conn) {
				server := pgproto3.NewBackend(conn, conn)
				if _, err := server.ReceiveStartupMessage(); err != nil {
					return
				}
				server.Send(&pgproto3.ErrorResponse{Severity: "FATAL", Code: c.state, Message: c.message})
				_ = server.Flush()
			})
			_, err := New().Tables(t.Context(), collectors.Target{
				Name: "t", Host: "127.0.0.1", Port: port, Username: "u", Password: "p", TLSMode: models.TLSDisable,
			}, "app")
			e := models.AsError(err)
			if c.reason != "" {
				collectortest.WantUnreachable(t, err, c.reason)
			} else if !collectors.IsGone(err) {
				t.Errorf("got %v, want a database that is gone", err)
			}
			if e.Extra["sqlstate"] != c.state {
				t.Errorf("got SQLSTATE %v, want %s", e.Extra["sqlstate"], c.state)
			}
		})
	}
}

func TestCollector_Version_PreparedPassword(t *testing.T) {
	t.Parallel()
	server := testenv.PostgreSQL(t)
	role := collectortest.PostgreSQLRole(t, server)
	for _, password := range []string{
		"ＡＢＣ１２３全角", "½①ﬁ", "soft\u00adhyphen", "no\u00a0break", "e\u0301", "Å", "plain", "never\u0007prepared",
	} {
		server.Exec(t, "postgres", "SET password_encryption = 'scram-sha-256'",
			"ALTER ROLE "+role+" PASSWORD '"+password+"'")
		target := collectortest.PostgreSQLTarget(server, "postgres")
		target.Username, target.Password = role, password
		if _, err := New().Version(t.Context(), target); err != nil {
			t.Errorf("%+q: %v", password, err)
		}
		target.Password += "x"
		_, err := New().Version(t.Context(), target)
		collectortest.WantUnreachable(t, err, collectors.ReasonLogin)
	}
}

// TestCollector_Version_MessageTooLong has a server announce more than the driver may allocate.
func TestCollector_Version_MessageTooLong(t *testing.T) {
	t.Parallel()
	port := testenv.Listen(t, func(conn net.Conn) {
		server := pgproto3.NewBackend(conn, conn)
		if _, err := server.ReceiveStartupMessage(); err != nil {
			return
		}
		server.Send(&pgproto3.AuthenticationOk{})
		server.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
		_ = server.Flush()
		for {
			switch message, err := server.Receive(); message.(type) {
			case nil:
				return
			case *pgproto3.Query: // the ping
				server.Send(&pgproto3.EmptyQueryResponse{})
				server.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
				_ = server.Flush()
			default:
				_, _ = conn.Write([]byte{'D', 0x40, 0, 0, 0})
				if err != nil {
					return
				}
			}
		}
	})
	_, err := New().Version(t.Context(), collectors.Target{
		Name: "t", Host: "127.0.0.1", Port: port, Username: "u", Password: "p", TLSMode: models.TLSDisable,
	})
	tooLong, ok := errors.AsType[*pgproto3.ExceededMaxBodyLenErr](err)
	if !ok || tooLong.MaxExpectedBodyLen != messageLimit {
		t.Errorf("got %v", err)
	}
}
