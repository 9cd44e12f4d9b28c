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

// hostilePasswords would mean something in an address.
var hostilePasswords = []string{
	`:@/?%"'`, `p@ss:w/rd?x=1&y#z`, `%2F%40%25`, `a b+c`, "tab\tline\nend", `密码\`, `{{.}}`, `),(`, strings.Repeat("x", 512), " ", "wallet=/x",
}

func TestPasswordsArriveAsTheyAre(t *testing.T) {
	for _, password := range hostilePasswords {
		for _, user := range []string{"whalefall", `"We:ird@/x"`, "sys"} {
			config, err := oraDriver{}.config(collectors.Target{
				Host: "::1", Port: 1521, Database: "sales.example.com", Username: user, Password: password,
			})
			if err != nil {
				t.Errorf("%q: %v", password, err)
				continue
			}
			if config.Password != password || config.UserID != user || config.AuthType != configurations.Normal {
				t.Errorf("%q of %q arrives as %q of %q", password, user, config.Password, config.UserID)
			}
			if address := config.Servers[0].NetworkAddr(); address != "[::1]:1521" || len(config.Servers) != 1 {
				t.Errorf("the address is %s", address)
			}
			if config.ServiceName != "sales.example.com" || config.SID != "" || config.ProgramName != "whalefall" || config.TLSConfig != nil {
				t.Errorf("got %+v", config)
			}
			if privileged := config.DBAPrivilege == configurations.SYSDBA; privileged != (user == "sys") {
				t.Errorf("%s is privileged: %v", user, privileged)
			}
		}
	}
}

func TestServiceOrSID(t *testing.T) {
	for _, c := range []struct{ service, sid, want string }{
		{"orcl", "", "(SERVICE_NAME=orcl)"},
		{"", "ORCL", "(SID=ORCL)"},
		{"sales.example.com", "ORCL", "(SID=ORCL)"},
		{"", "", ""},
		{"x)(SERVER=other", "", ""},
		{"", "x\ny", ""},
	} {
		config, err := oraDriver{}.config(collectors.Target{
			Host: "h", Port: 1521, Username: "u", Password: "p", Database: c.service, Options: map[string]string{models.OptionSID: c.sid},
		})
		if c.want == "" {
			collectortest.WantError(t, err, models.CodeCollection, "collect.oracle.service")
		} else if err != nil || !strings.Contains(config.ConnectionData(), c.want) {
			t.Errorf("%q, %q: %v, %v", c.service, c.sid, config, err)
		}
	}
}

func TestTLSModes(t *testing.T) {
	for mode, protocol := range map[models.TLSMode]string{
		"": "tcp", models.TLSDisable: "tcp", models.TLSPrefer: "tcp",
		models.TLSRequire: "tcps", models.TLSVerifyCA: "tcps", models.TLSVerifyFull: "tcps",
	} {
		config, err := oraDriver{}.config(collectors.Target{Host: "h", Port: 2484, Database: "s", Username: "u", Password: "p", TLSMode: mode})
		if err != nil || config.Protocol != protocol || (config.TLSConfig != nil) != (protocol == "tcps") {
			t.Errorf("%q: %v, %v", mode, config, err)
		}
	}
}

// tnsPacket is a packet of the type with the rest after its header.
func tnsPacket(kind byte, rest string) string {
	return string([]byte{0, byte(tnsHeader + len(rest)), 0, 0, kind, 0, 0, 0}) + rest
}

// tnsRefusal is how a listener refuses.
func tnsRefusal(number int) string {
	text := fmt.Sprintf("(DESCRIPTION=(TMP=)(VSNNUM=0)(ERR=%d)(ERROR_STACK=(ERROR=(CODE=%d)(EMFI=4))))", number, number)
	return tnsPacket(4, string([]byte{0, 0, 0, byte(len(text))})+text)
}

func TestListeners(t *testing.T) {
	for _, c := range []struct {
		name, greeting, reason string
		mode                   models.TLSMode
	}{
		{"knows no such service", tnsRefusal(12514), reasonService, models.TLSPrefer},
		{"has no handler", tnsRefusal(12516), collectors.ReasonBusy, models.TLSPrefer},
		{"has an instance that starts", tnsRefusal(12528), collectors.ReasonStarting, models.TLSPrefer},
		{"refuses without a word", tnsPacket(4, "\x00\x00\x00\x00"), reasonService, models.TLSPrefer},
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
				Name: "t", Host: address.IP.String(), Port: address.Port, Database: "orcl", Username: "u", Password: "s3cret!x", TLSMode: c.mode,
			}
			start := time.Now()
			_, err := New(nil).Version(t.Context(), target)
			collectortest.WantUnreachable(t, err, c.reason)
			if strings.Contains(fmt.Sprint(err), target.Password) {
				t.Error("the error tells the password")
			}
			if elapsed := time.Since(start); elapsed > time.Second {
				t.Errorf("that took %v", elapsed)
			}
			goleak.VerifyNone(t, before)
		})
	}
}

// tnsAcceptance has a listener's client go on with the login.
var tnsAcceptance = tnsPacket(2, "\x01\x3a\x00\x00\x20\x00\x7f\xff\x00\x00\x00\x00\x00\x20"+strings.Repeat("\x00", 10))

// silent accepts, says what it is given and nothing more; with a certificate it speaks TLS. It tells when a
// connection has ended.
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

func TestSilentServers(t *testing.T) {
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
				Name: "t", Host: "127.0.0.1", Port: address.Port, Database: "orcl", Username: "u", Password: "p", TLSMode: c.mode,
				Options: map[string]string{models.OptionCACertificate: ca},
			})
			collectortest.WantUnreachable(t, err, collectors.ReasonTimeout)
			if elapsed := time.Since(start); elapsed < collectortest.Impatience || elapsed > 3*collectortest.Impatience {
				t.Errorf("that took %v", elapsed)
			}
			select {
			case <-ended:
			case <-time.After(5 * time.Second):
				t.Error("the connection was left open")
			}
			goleak.VerifyNone(t, before)
		})
	}
}

func TestChecksCertificates(t *testing.T) {
	certificate, _ := selfSigned(t)
	for _, mode := range []models.TLSMode{models.TLSVerifyCA, models.TLSVerifyFull} {
		address, _ := silent(t, &certificate, "")
		_, err := New(nil).Version(t.Context(), collectors.Target{
			Name: "t", Host: "127.0.0.1", Port: address.Port, Database: "orcl", Username: "u", Password: "p", TLSMode: mode,
		})
		collectortest.WantUnreachable(t, err, collectors.ReasonTLS)
	}
}

func TestStopsConnectingWhenCancelled(t *testing.T) {
	address, ended := silent(t, nil, "")
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	start := time.Now()
	_, err := New(nil).Version(ctx, collectors.Target{
		Name: "t", Host: "127.0.0.1", Port: address.Port, Database: "orcl", Username: "u", Password: "p",
	})
	collectortest.WantError(t, err, models.CodeCollection, "collect.cancelled")
	if elapsed := time.Since(start); elapsed > time.Second {
		t.Errorf("that took %v", elapsed)
	}
	<-ended
}

// selfSigned is a certificate for 127.0.0.1 and its own authority as PEM.
func selfSigned(t *testing.T) (tls.Certificate, string) {
	t.Helper()
	certificate, path := testenv.Certificate(t)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return certificate, string(text)
}

func TestTakesWhatAWalletHolds(t *testing.T) {
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
	wallet := &configurations.Wallet{Certificates: [][]byte{block.Bytes, der}, PrivateKeys: [][]byte{x509.MarshalPKCS1PrivateKey(key)}}
	trusting := &tls.Config{}
	if err := addWallet(trusting, wallet); err != nil {
		t.Fatal(err)
	}
	if trusting.RootCAs == nil || len(trusting.Certificates) != 1 || !slices.Equal(trusting.Certificates[0].Certificate[0], der) {
		t.Errorf("got %+v", trusting)
	}
	given := x509.NewCertPool()
	told := &tls.Config{RootCAs: given}
	if err := addWallet(told, wallet); err != nil || told.RootCAs != given {
		t.Errorf("the authorities that were given are not kept: %v", err)
	}
	empty := &tls.Config{}
	if err := addWallet(empty, &configurations.Wallet{}); err != nil || empty.RootCAs != nil || empty.Certificates != nil {
		t.Errorf("an empty wallet gives %+v, %v", empty, err)
	}
	if err := addWallet(empty, &configurations.Wallet{Certificates: [][]byte{{1}}}); err == nil {
		t.Error("a certificate that is none passes")
	}
}

func TestWalletsLieBelowAllowedDirectories(t *testing.T) {
	allowed, outside := t.TempDir(), t.TempDir()
	for path, content := range map[string]string{
		filepath.Join(allowed, "empty", "cwallet.sso"):    "",
		filepath.Join(allowed, "junk", "cwallet.sso"):     "\xa1\xf8\x4e6 this is no wallet, though it begins like one",
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
			Name: "t", Host: "127.0.0.1", Port: 1, Database: "orcl", Username: "u", Password: "p", TLSMode: models.TLSVerifyFull,
			Options: map[string]string{models.OptionWallet: c.dir},
		})
		if c.reason == "" {
			collectortest.WantError(t, err, models.CodeCollection, "collect.oracle.wallet_outside")
		} else {
			collectortest.WantUnreachable(t, err, c.reason)
		}
	}
}

// redirection sends a client to another address, as listeners of clusters do.
func redirection(protocol string, to *net.TCPAddr) string {
	address := fmt.Sprintf("(DESCRIPTION=(ADDRESS=(PROTOCOL=%s)(HOST=%s)(PORT=%d)))", protocol, to.IP, to.Port)
	return tnsPacket(5, string([]byte{0, byte(len(address))})+address)
}

func TestFollowsRedirections(t *testing.T) {
	certificate, ca := selfSigned(t)
	for _, c := range []struct {
		name, protocol string
		mode           models.TLSMode
		greeting       string
		reason         string
	}{
		{"plain", "tcp", models.TLSPrefer, tnsRefusal(12514), reasonService},
		{"plain, to what speaks something else", "tcp", models.TLSPrefer, "SSH-2.0-OpenSSH_9.2p1\r\n", collectors.ReasonProtocol},
		{"encrypted", "tcps", models.TLSVerifyFull, tnsRefusal(12514), reasonService},
		{"encrypted, to a port that is not", "tcp", models.TLSRequire, tnsRefusal(12514), collectors.ReasonTLS},
		{"checked, to a port that is not encrypted", "tcp", models.TLSVerifyFull, tnsRefusal(12514), collectors.ReasonTLS},
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
				Name: "t", Host: "127.0.0.1", Port: first.Port, Database: "orcl", Username: "u", Password: "p", TLSMode: c.mode,
				Options: map[string]string{models.OptionCACertificate: ca},
			})
			collectortest.WantUnreachable(t, err, c.reason)
			goleak.VerifyNone(t, before)
		})
	}
}

// TestOracleSurvivesItsDriver has the driver panic where it reads what a server sends.
func TestSurvivesItsDriver(t *testing.T) {
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
			t.Errorf("%d connections are left after a panic over %s", left, statement)
		}
	}
}

// brittle panics once it is told to.
type brittle struct {
	guardable
	broken, hungUp bool
}

func (b *brittle) Connect(context.Context) (driver.Conn, error) { return b, nil }
func (b *brittle) Driver() driver.Driver                        { return nil }
func (b *brittle) HangUp()                                      { b.hungUp = true }
func (b *brittle) Rollback() error                              { panic("slice bounds out of range") }
func (b *brittle) Commit() error                                { return nil }
func (b *brittle) Columns() []string                            { return []string{"X"} }

func (b *brittle) BeginTx(context.Context, driver.TxOptions) (driver.Tx, error) { return b, nil }

func (b *brittle) QueryContext(context.Context, string, []driver.NamedValue) (driver.Rows, error) {
	return b, nil
}

func (b *brittle) Next([]driver.Value) error {
	if b.broken {
		panic("slice bounds out of range")
	}
	b.broken = true
	return nil
}

func (b *brittle) Close() error {
	if b.broken {
		panic("nil pointer")
	}
	return nil
}

func TestADriverMayPanicAnywhere(t *testing.T) {
	before := goleak.IgnoreCurrent()
	b := &brittle{}
	db := sql.OpenDB(guardedConnector{b})
	tx, err := db.BeginTx(t.Context(), nil)
	collectortest.Must(t, err)
	read := collectors.EachRow(t.Context(), tx, "SELECT x FROM dual", func(*sql.Rows) error { return nil })
	if !errors.Is(read, driver.ErrBadConn) || !b.hungUp {
		t.Errorf("%v, hung up: %v", read, b.hungUp)
	}
	if err := tx.Rollback(); !errors.Is(err, driver.ErrBadConn) {
		t.Errorf("the rollback gives %v", err)
	}
	if err := db.Close(); err != nil && !errors.Is(err, driver.ErrBadConn) {
		t.Error(err)
	}
	goleak.VerifyNone(t, before)
}
