package oracle

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"database/sql/driver"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sijms/go-ora/v2/configurations"
	"go.uber.org/goleak"

	"whalefall/collectors"
	"whalefall/collectors/collectortest"
	"whalefall/models"
	"whalefall/testenv"
	"whalefall/testenv/oracle"
)

// hostilePasswords contain what has a meaning in URLs, connect descriptors, wallets or templates.
var hostilePasswords = []string{
	`:@/?%"'`, `p@ss:w/rd?x=1&y#z`, `%2F%40%25`, `a b+c`, "tab\tline\nend", `密码\`, `{{.}}`, `),(`,
	strings.Repeat("x", 512), " ", "wallet=/x",
}

func TestOraDriver_Config_Credentials(t *testing.T) {
	t.Parallel()

	for _, password := range hostilePasswords {
		for _, user := range []string{"whalefall", `"We:ird@/x"`, "sys"} {
			config, err := oraDriver{}.config(collectors.Target{
				Host: "::1", Port: 1521, Database: "sales.example.com", Username: user, Password: password,
			})
			if err != nil {
				t.Errorf("password %q: got error %v, want none", password, err)
				continue
			}
			if config.Password != password || config.UserID != user || config.AuthType != configurations.Normal {
				t.Errorf("got password %q of %q, want %q of %q", config.Password, config.UserID, password, user)
			}
			if address := config.Servers[0].NetworkAddr(); address != "[::1]:1521" || len(config.Servers) != 1 {
				t.Errorf("got address %s of %d, want [::1]:1521 of 1", address, len(config.Servers))
			}
			if config.ServiceName != "sales.example.com" || config.SID != "" {
				t.Errorf("got service %q, SID %q, want service sales.example.com", config.ServiceName, config.SID)
			}
			if config.ProgramName != "whalefall" || config.TLSConfig != nil {
				t.Errorf("got program %q, TLS %v, want whalefall without TLS", config.ProgramName, config.TLSConfig)
			}
			if sysdba := config.DBAPrivilege == configurations.SYSDBA; sysdba != (user == "sys") {
				t.Errorf("user %s: got SYSDBA %v, want %v", user, sysdba, !sysdba)
			}
		}
	}
}

func TestOraDriver_Config_ServiceOrSID(t *testing.T) {
	t.Parallel()

	for _, c := range []struct{ service, sid, want string }{
		{"orcl", "", "(SERVICE_NAME=orcl)"},
		{"", "ORCL", "(SID=ORCL)"},
		{"sales.example.com", "ORCL", "(SID=ORCL)"},
		{"", "", ""},
		{"x)(SERVER=other", "", ""},
		{"", "x\ny", ""},
	} {
		config, err := oraDriver{}.config(collectors.Target{
			Host: "h", Port: 1521, Username: "u", Password: "p", Database: c.service,
			Options: map[string]string{models.OptionSID: c.sid},
		})
		if c.want == "" {
			collectortest.WantError(t, err, models.CodeCollection, "collect.oracle.service")
		} else if err != nil || !strings.Contains(config.ConnectionData(), c.want) {
			t.Errorf("service %q, SID %q: got %v, %v, want %s", c.service, c.sid, config, err, c.want)
		}
	}
}

func TestOraDriver_Config_TLSModes(t *testing.T) {
	t.Parallel()

	for mode, protocol := range map[models.TLSMode]string{
		"": "tcp", models.TLSDisable: "tcp", models.TLSPrefer: "tcp",
		models.TLSRequire: "tcps", models.TLSVerifyCA: "tcps", models.TLSVerifyFull: "tcps",
	} {
		config, err := oraDriver{}.config(collectors.Target{
			Host: "h", Port: 2484, Database: "s", Username: "u", Password: "p", TLSMode: mode,
		})
		if err != nil || config.Protocol != protocol || (config.TLSConfig != nil) != (protocol == "tcps") {
			t.Errorf("mode %q: got %v, %v, want protocol %s", mode, config, err, protocol)
		}
	}
}

// tnsPacket returns a packet of a type with the rest after its header.
func tnsPacket(kind byte, rest string) string {
	return string([]byte{0, byte(tnsHeader + len(rest)), 0, 0, kind, 0, 0, 0}) + rest
}

// tnsRefusal returns the packet with which a listener refuses a connection.
func tnsRefusal(number int) string {
	text := fmt.Sprintf("(DESCRIPTION=(TMP=)(VSNNUM=0)(ERR=%d)(ERROR_STACK=(ERROR=(CODE=%d)(EMFI=4))))", number, number)
	return tnsPacket(4, string([]byte{0, 0, 0, byte(len(text))})+text)
}

func TestCollector_Version_Listeners(t *testing.T) {
	for _, c := range []struct {
		name, greeting, reason string
		mode                   models.TLSMode
	}{
		{"knows no such service", tnsRefusal(12514), reasonService, models.TLSPrefer},
		{"has no handler", tnsRefusal(12516), collectors.ReasonBusy, models.TLSPrefer},
		{"has an instance that is starting", tnsRefusal(12528), collectors.ReasonStarting, models.TLSPrefer},
		{"refuses without an explanation", tnsPacket(4, "\x00\x00\x00\x00"), reasonService, models.TLSPrefer},
		{"refuses too briefly", tnsPacket(4, ""), collectors.ReasonProtocol, models.TLSPrefer},
		{"accepts too briefly", tnsPacket(2, ""), collectors.ReasonProtocol, models.TLSPrefer},
		{"redirects to nowhere", tnsPacket(5, "\x00\x02()"), collectors.ReasonLost, models.TLSPrefer},
		{"sends too short a packet", "\x00\x07\x00\x00\x02\x00\x00\x00", collectors.ReasonProtocol, models.TLSPrefer},
		{"sends zeros", strings.Repeat("\x00", 64), collectors.ReasonProtocol, models.TLSPrefer},
		{"closes at once", "", collectors.ReasonLost, models.TLSPrefer},
		{"closes in the header", "\x00\x40\x00", collectors.ReasonLost, models.TLSPrefer},
		{"is a web server", "HTTP/1.1 400 Bad Request\r\n\r\n", collectors.ReasonProtocol, models.TLSPrefer},
		{"is SSH", "SSH-2.0-OpenSSH_9.2p1\r\n", collectors.ReasonProtocol, models.TLSDisable},
		{"speaks TLS", "\x15\x03\x03\x00\x02\x02\x46", collectors.ReasonTLS, models.TLSPrefer},
		{"is a web server instead of TLS", "HTTP/1.1 400 Bad Request\r\n\r\n", collectors.ReasonTLS, models.TLSRequire},
	} {
		t.Run(c.name, func(t *testing.T) {
			address := collectortest.Listener(t, c.greeting)
			before := goleak.IgnoreCurrent()
			target := collectors.Target{
				Name: "t", Host: address.IP.String(), Port: address.Port, Database: "orcl",
				Username: "u", Password: "s3cret!x", TLSMode: c.mode,
			}
			start := time.Now()
			_, err := New(nil).Version(t.Context(), target)
			collectortest.WantUnreachable(t, err, c.reason)
			if strings.Contains(fmt.Sprint(err), target.Password) {
				t.Errorf("got the password in the error: %v", err)
			}
			if elapsed := time.Since(start); elapsed > time.Second {
				t.Errorf("took %v, want at most 1s", elapsed)
			}
			goleak.VerifyNone(t, before)
		})
	}
}

// tnsAcceptance is the packet with which a listener accepts a connection; the login follows.
var tnsAcceptance = tnsPacket(2, "\x01\x3a\x00\x00\x20\x00\x7f\xff\x00\x00\x00\x00\x00\x20"+strings.Repeat("\x00", 10))

// silent starts a server that sends each client the greeting and nothing else, over TLS if it has a certificate. The
// channel receives a value when a connection ends.
func silent(t *testing.T, certificate *tls.Certificate, greeting string) (address *net.TCPAddr, ended chan struct{}) {
	t.Helper()
	server, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done, ended := make(chan struct{}), make(chan struct{}, 100)
	go func() {
		defer close(done)
		for {
			conn, err := server.Accept()
			if err != nil {
				return
			}
			go func() {
				if certificate != nil {
					conn = tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{*certificate}})
				}
				_, _ = io.WriteString(conn, greeting)
				_, _ = io.Copy(io.Discard, conn)
				_ = conn.Close()
				ended <- struct{}{}
			}()
		}
	}()
	t.Cleanup(func() { _ = server.Close(); <-done })
	return server.Addr().(*net.TCPAddr), ended
}

func TestCollector_Version_SilentServers(t *testing.T) {
	certificate, ca := selfSigned(t)
	for _, c := range []struct {
		name        string
		certificate *tls.Certificate
		mode        models.TLSMode
		greeting    string
	}{
		{"plain", nil, models.TLSPrefer, ""},
		{"after half a packet", nil, models.TLSPrefer, tnsAcceptance[:20]},
		{"after the listener", nil, models.TLSPrefer, tnsAcceptance},
		{"no TLS", nil, models.TLSRequire, ""},
		{"TLS", &certificate, models.TLSRequire, ""},
		{"TLS, after the listener", &certificate, models.TLSRequire, tnsAcceptance},
		{"a known authority", &certificate, models.TLSVerifyCA, ""},
		{"a known name", &certificate, models.TLSVerifyFull, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			address, ended := silent(t, c.certificate, c.greeting)
			before := goleak.IgnoreCurrent()
			impatient := New(nil)
			impatient.connectTimeout = collectortest.Impatience
			start := time.Now()
			_, err := impatient.Version(t.Context(), collectors.Target{
				Name: "t", Host: "127.0.0.1", Port: address.Port, Database: "orcl",
				Username: "u", Password: "p", TLSMode: c.mode,
				Options: map[string]string{models.OptionCACertificate: ca},
			})
			collectortest.WantUnreachable(t, err, collectors.ReasonTimeout)
			least, most := collectortest.Impatience, 3*collectortest.Impatience
			if elapsed := time.Since(start); elapsed < least || elapsed > most {
				t.Errorf("took %v, want %v to %v", elapsed, least, most)
			}
			select {
			case <-ended:
			case <-time.After(5 * time.Second):
				t.Error("the connection is still open")
			}
			goleak.VerifyNone(t, before)
		})
	}
}

func TestCollector_Version_UntrustedCertificate(t *testing.T) {
	certificate, _ := selfSigned(t)
	for _, mode := range []models.TLSMode{models.TLSVerifyCA, models.TLSVerifyFull} {
		address, _ := silent(t, &certificate, "")
		_, err := New(nil).Version(t.Context(), collectors.Target{
			Name: "t", Host: "127.0.0.1", Port: address.Port, Database: "orcl", Username: "u", Password: "p", TLSMode: mode,
		})
		collectortest.WantUnreachable(t, err, collectors.ReasonTLS)
	}
}

func TestCollector_Version_CancelConnecting(t *testing.T) {
	address, ended := silent(t, nil, "")
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	start := time.Now()
	_, err := New(nil).Version(ctx, collectors.Target{
		Name: "t", Host: "127.0.0.1", Port: address.Port, Database: "orcl", Username: "u", Password: "p",
	})
	collectortest.WantError(t, err, models.CodeCollection, "collect.cancelled")
	if elapsed := time.Since(start); elapsed > time.Second {
		t.Errorf("took %v, want at most 1s", elapsed)
	}
	<-ended
}

// selfSigned returns a self-signed certificate for 127.0.0.1, and the same as PEM.
func selfSigned(t *testing.T) (tls.Certificate, string) {
	t.Helper()
	certificate, path := testenv.Certificate(t)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return certificate, string(text)
}

func TestAddWallet(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	_, authority := selfSigned(t)
	block, _ := pem.Decode([]byte(authority))
	wallet := &configurations.Wallet{
		Certificates: [][]byte{block.Bytes, der}, PrivateKeys: [][]byte{x509.MarshalPKCS1PrivateKey(key)},
	}

	added := &tls.Config{}
	if err := addWallet(added, wallet); err != nil {
		t.Fatal(err)
	}
	if added.RootCAs == nil || len(added.Certificates) != 1 || !slices.Equal(added.Certificates[0].Certificate[0], der) {
		t.Errorf("got %+v, want authorities and one client certificate", added)
	}

	pool := x509.NewCertPool()
	given := &tls.Config{RootCAs: pool}
	if err := addWallet(given, wallet); err != nil || given.RootCAs != pool {
		t.Errorf("got authorities replaced, %v, want those of the configuration", err)
	}

	empty := &tls.Config{}
	if err := addWallet(empty, &configurations.Wallet{}); err != nil || empty.RootCAs != nil || empty.Certificates != nil {
		t.Errorf("empty wallet: got %+v, %v, want no change", empty, err)
	}
	if err := addWallet(empty, &configurations.Wallet{Certificates: [][]byte{{1}}}); err == nil {
		t.Error("invalid certificate: got no error")
	}
}

func TestCollector_Version_Wallets(t *testing.T) {
	allowed, outside := t.TempDir(), t.TempDir()
	for path, content := range map[string]string{
		filepath.Join(allowed, "empty", "cwallet.sso"):    "",
		filepath.Join(allowed, "junk", "cwallet.sso"):     "\xa1\xf8\x4e6 begins like a wallet and is not one",
		filepath.Join(allowed, "dir", "cwallet.sso", "x"): "",
		filepath.Join(outside, "cwallet.sso"):             "secret",
	} {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(allowed, "file"), 0o700); err != nil {
		t.Fatal(err)
	}
	for link, to := range map[string]string{
		filepath.Join(allowed, "link"):                outside,
		filepath.Join(allowed, "file", "cwallet.sso"): filepath.Join(outside, "cwallet.sso"),
	} {
		if err := os.Symlink(to, link); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		dir, reason string
	}{
		{outside, ""},
		{filepath.Join(allowed, "link"), ""},
		{filepath.Join(allowed, "file"), ""},
		{filepath.Join(allowed, "..", filepath.Base(outside)), ""},
		{"cwallet.sso", ""},
		{filepath.Join(allowed, "none"), reasonWallet},
		{filepath.Join(allowed, "empty"), reasonWallet},
		{filepath.Join(allowed, "junk"), reasonWallet},
		{filepath.Join(allowed, "dir"), reasonWallet},
	} {
		_, err := New([]string{allowed}).Version(t.Context(), collectors.Target{
			Name: "t", Host: "127.0.0.1", Port: 1, Database: "orcl",
			Username: "u", Password: "p", TLSMode: models.TLSVerifyFull,
			Options: map[string]string{models.OptionWallet: c.dir},
		})
		if c.reason == "" {
			collectortest.WantError(t, err, models.CodeCollection, "collect.oracle.wallet_outside")
		} else {
			collectortest.WantUnreachable(t, err, c.reason)
		}
	}
}

// redirection returns the packet with which a listener of a cluster sends a client to another address.
func redirection(protocol string, to *net.TCPAddr) string {
	address := fmt.Sprintf("(DESCRIPTION=(ADDRESS=(PROTOCOL=%s)(HOST=%s)(PORT=%d)))", protocol, to.IP, to.Port)
	return tnsPacket(5, string([]byte{0, byte(len(address))})+address)
}

func TestCollector_Version_Redirections(t *testing.T) {
	certificate, ca := selfSigned(t)
	for _, c := range []struct {
		name, protocol string
		mode           models.TLSMode
		greeting       string
		reason         string
	}{
		{"plain", "tcp", models.TLSPrefer, tnsRefusal(12514), reasonService},
		{"plain, to another protocol", "tcp", models.TLSPrefer, "SSH-2.0-OpenSSH_9.2p1\r\n", collectors.ReasonProtocol},
		{"encrypted", "tcps", models.TLSVerifyFull, tnsRefusal(12514), reasonService},
		{"encrypted, to a port without TLS", "tcp", models.TLSRequire, tnsRefusal(12514), collectors.ReasonTLS},
		{"verified, to a port without TLS", "tcp", models.TLSVerifyFull, tnsRefusal(12514), collectors.ReasonTLS},
	} {
		t.Run(c.name, func(t *testing.T) {
			var second, first *net.TCPAddr
			if c.mode == models.TLSPrefer {
				second, _ = silent(t, nil, c.greeting)
				first, _ = silent(t, nil, redirection(c.protocol, second))
			} else {
				var behind *tls.Certificate
				if c.protocol == "tcps" {
					behind = &certificate
				}
				second, _ = silent(t, behind, c.greeting)
				first, _ = silent(t, &certificate, redirection(c.protocol, second))
			}
			before := goleak.IgnoreCurrent()
			_, err := New(nil).Version(t.Context(), collectors.Target{
				Name: "t", Host: "127.0.0.1", Port: first.Port, Database: "orcl",
				Username: "u", Password: "p", TLSMode: c.mode,
				Options: map[string]string{models.OptionCACertificate: ca},
			})
			collectortest.WantUnreachable(t, err, c.reason)
			goleak.VerifyNone(t, before)
		})
	}
}

// The driver panics while it reads an answer.
func TestCollector_Tables_DriverPanics(t *testing.T) {
	server := oracle.New(t, oracle.Options{Rows: collectortest.OracleTwoSchemas()})
	target := collectortest.OracleTarget(t, server, "APP", true)
	for _, statement := range []string{"SET TRANSACTION", "product_component_version", "dba_segments"} {
		server.Fail(func(text string) error {
			if strings.Contains(text, statement) {
				panic("index out of range")
			}
			return nil
		})
		_, err := collectorFor(server).Tables(t.Context(), target, "USERS")
		collectortest.WantUnreachable(t, err, collectors.ReasonLost)
		if left := server.Connections(); left != 0 {
			t.Errorf("panic in %s: got %d open connections, want none", statement, left)
		}
	}
}

// panickingConn is a connection, transaction and result that panics in every call after the first row.
type panickingConn struct {
	guardable
	panics, hungUp bool
}

func (b *panickingConn) Connect(context.Context) (driver.Conn, error) { return b, nil }
func (b *panickingConn) Driver() driver.Driver                        { return nil }
func (b *panickingConn) HangUp()                                      { b.hungUp = true }
func (b *panickingConn) Rollback() error                              { panic("slice bounds out of range") }
func (b *panickingConn) Commit() error                                { return nil }
func (b *panickingConn) Columns() []string                            { return []string{"X"} }

func (b *panickingConn) BeginTx(context.Context, driver.TxOptions) (driver.Tx, error) { return b, nil }

func (b *panickingConn) QueryContext(context.Context, string, []driver.NamedValue) (driver.Rows, error) {
	return b, nil
}

func (b *panickingConn) Next([]driver.Value) error {
	if b.panics {
		panic("slice bounds out of range")
	}
	b.panics = true
	return nil
}

func (b *panickingConn) Close() error {
	if b.panics {
		panic("nil pointer")
	}
	return nil
}

func TestGuardedConn_Panics(t *testing.T) {
	before := goleak.IgnoreCurrent()
	b := &panickingConn{}
	db := sql.OpenDB(guardedConnector{b})
	tx, err := db.BeginTx(t.Context(), nil)
	collectortest.Must(t, err)
	read := collectors.EachRow(t.Context(), tx, "SELECT x FROM dual", func(*sql.Rows) error { return nil })
	if !errors.Is(read, driver.ErrBadConn) || !b.hungUp {
		t.Errorf("query: got %v, hung up %v, want %v, hung up", read, b.hungUp, driver.ErrBadConn)
	}
	if err := tx.Rollback(); !errors.Is(err, driver.ErrBadConn) {
		t.Errorf("rollback: got %v, want %v", err, driver.ErrBadConn)
	}
	if err := db.Close(); err != nil && !errors.Is(err, driver.ErrBadConn) {
		t.Errorf("close: got %v, want %v or none", err, driver.ErrBadConn)
	}
	goleak.VerifyNone(t, before)
}
