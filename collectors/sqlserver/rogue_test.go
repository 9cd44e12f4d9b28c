package sqlserver

import (
	"errors"
	"sync"
	"testing"

	"whalefall/collectors/collectortest"
	"whalefall/models"
	"whalefall/testenv/sqlserver"
	"whalefall/testenv/tds"
)

// A login has the password, so it goes in clear only where that was chosen, or on this computer.
func TestCollector_Version_Rogue(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		mode models.TLSMode
		host string // "0.0.0.0" dials the local host, but is none by its name
		sent bool
	}{
		{models.TLSPrefer, "0.0.0.0", false},
		{"", "0.0.0.0", false},
		{models.TLSDisable, "0.0.0.0", true},
		{models.TLSPrefer, "127.0.0.1", true},
		{models.TLSPrefer, "localhost", true},
	} {
		t.Run(string(c.mode)+" "+c.host, func(t *testing.T) {
			t.Parallel()
			server := sqlserver.Start(t, sqlserver.Options{Encryption: tds.Plain})
			var mu sync.Mutex
			sent := false
			server.FailLogin(func(login tds.Login) error {
				mu.Lock()
				defer mu.Unlock()
				sent = sent || login.Password == sqlserver.Password
				return nil
			})
			target := asLogin(server, "sa")
			target.Host, target.TLSMode = c.host, c.mode
			_, err := New().Version(t.Context(), target)
			if !c.sent {
				collectortest.WantUnreachable(t, err, reasonPlainLogin)
			} else if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			if sent != c.sent {
				t.Errorf("got the password %v, want %v", sent, c.sent)
			}
		})
	}
}

// A server on this computer may route its clients to another one.
func TestDialer_Loopback(t *testing.T) {
	t.Parallel()
	d := &dialer{loopback: true}
	for _, address := range []string{"0.0.0.0:1433", "192.0.2.1:1433", "[2001:db8::1]:1433", "db.example:1433", "x"} {
		if _, err := d.DialContext(t.Context(), "tcp", address); !errors.Is(err, errPlainLogin) {
			t.Errorf("%s: got %v, want %v", address, err, errPlainLogin)
		}
	}
}
