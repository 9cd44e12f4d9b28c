package postgresql

import (
	"crypto/tls"
	"net"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"

	"whalefall/collectors"
	"whalefall/collectors/collectortest"
	"whalefall/models"
	"whalefall/testenv"
)

// rogue is a server that asks for the password itself, and unless it is given a certificate claims to have no TLS. It
// returns its port, and what it gets from each client that asks to log in.
func rogue(t *testing.T, certificates ...tls.Certificate) (port int, stolen <-chan string) {
	t.Helper()
	got := make(chan string, 10)
	port = testenv.Listen(t, func(conn net.Conn) {
		server := pgproto3.NewBackend(conn, conn)
		message, err := server.ReceiveStartupMessage()
		if _, asksForTLS := message.(*pgproto3.SSLRequest); asksForTLS && len(certificates) == 0 {
			_, _ = conn.Write([]byte("N"))
			return
		} else if asksForTLS {
			_, _ = conn.Write([]byte("S"))
			conn = tls.Server(conn, &tls.Config{Certificates: certificates, MinVersion: tls.VersionTLS12})
			server = pgproto3.NewBackend(conn, conn)
			_, err = server.ReceiveStartupMessage()
		}
		if err != nil {
			return
		}
		server.Send(&pgproto3.AuthenticationCleartextPassword{})
		_ = server.Flush()
		answer, _ := server.Receive()
		password, _ := answer.(*pgproto3.PasswordMessage)
		if password == nil {
			password = &pgproto3.PasswordMessage{}
		}
		got <- password.Password
	})
	return port, got
}

// A password goes to nobody in clear, whoever asks, except on this computer.
func TestCollector_Version_Rogue(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		mode models.TLSMode
		host string // "0.0.0.0" dials the local host, but is none by its name
		want string
	}{
		{models.TLSPrefer, "0.0.0.0", ""},
		{models.TLSDisable, "0.0.0.0", ""},
		{models.TLSPrefer, "127.0.0.1", "s3cret"},
		{models.TLSDisable, "localhost", "s3cret"},
	} {
		t.Run(string(c.mode)+" "+c.host, func(t *testing.T) {
			t.Parallel()
			port, stolen := rogue(t)
			_, err := New().Version(t.Context(), collectors.Target{
				Name: "t", Host: c.host, Port: port, Username: "u", Password: "s3cret", TLSMode: c.mode,
			})
			if got := <-stolen; got != c.want {
				t.Errorf("got password %q, want %q", got, c.want)
			}
			if c.want == "" {
				collectortest.WantUnreachable(t, err, collectors.ReasonCleartext)
			}
		})
	}
}

// Where the line is encrypted, a server may ask for the password itself, as with LDAP.
func TestCollector_Version_CleartextOverTLS(t *testing.T) {
	t.Parallel()
	certificate, _ := testenv.Certificate(t)
	for _, mode := range []models.TLSMode{models.TLSPrefer, models.TLSRequire} {
		port, stolen := rogue(t, certificate)
		_, err := New().Version(t.Context(), collectors.Target{
			Name: "t", Host: "0.0.0.0", Port: port, Username: "u", Password: "s3cret", TLSMode: mode,
		})
		if got := <-stolen; got != "s3cret" {
			t.Errorf("%s: got password %q and %v", mode, got, err)
		}
	}
}
