package collectors

import (
	"net"
	"testing"

	"whalefall/models"
)

// listener is a server that sends the same to all who connect, and goes on listening to them.
func listener(t *testing.T, greeting string) *net.TCPAddr {
	t.Helper()
	server, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := server.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Write([]byte(greeting))
			_ = conn.(*net.TCPConn).CloseWrite()
			_, _ = conn.Read(make([]byte, 1024))
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() { _ = server.Close(); <-done })
	return server.Addr().(*net.TCPAddr)
}

func TestAnotherProtocolIsNoTLSProblem(t *testing.T) {
	for _, c := range []struct {
		name, greeting, reason string
		collector              Collector
		mode                   models.TLSMode
	}{
		{"HTTP", "HTTP/1.1 400 Bad Request\r\n\r\n", reasonProtocol, NewPostgreSQL(), models.TLSPrefer},
		{"HTTP, TLS required", "HTTP/1.1 400 Bad Request\r\n\r\n", reasonProtocol, NewPostgreSQL(), models.TLSRequire},
		{"HTTP, without TLS", "HTTP/1.1 400 Bad Request\r\n\r\n", reasonProtocol, NewPostgreSQL(), models.TLSDisable},
		{"PostgreSQL without TLS", "N", reasonTLS, NewPostgreSQL(), models.TLSRequire},
		{"out of order", "\x05\x00\x00\x07hello", reasonProtocol, NewMySQL(), models.TLSPrefer},
	} {
		t.Run(c.name, func(t *testing.T) {
			address := listener(t, c.greeting)
			_, err := c.collector.Version(t.Context(), Target{
				Name: "t", Host: address.IP.String(), Port: address.Port, Username: "u", Password: "p", TLSMode: c.mode,
			})
			known := models.AsError(err)
			if known.Code != models.CodeUnreachable || known.Extra["reason"] != c.reason {
				t.Errorf("%v with %v, want %s", err, known.Extra, c.reason)
			}
		})
	}
}
