package oracle

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"database/sql/driver"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"

	go_ora "github.com/sijms/go-ora/v2"
	"github.com/sijms/go-ora/v2/configurations"
	"github.com/sijms/go-ora/v2/network"

	"whalefall/collectors"
	"whalefall/models"
)

// prefetch is how many rows the server sends at a time.
const prefetch = 1000

// answerTimeout ends the wait for an answer where nothing else has.
const answerTimeout = scanFactor*collectors.StatementTimeout + 2*collectors.HangUpGrace

// errorNumber is the server's or its listener's number for an error, 0 when neither sent it.
func errorNumber(err error) int {
	if refused, ok := errors.AsType[*network.OracleError](err); ok {
		return refused.ErrCode
	}
	return 0
}

// oraDriver makes connectors of the driver go-ora.
type oraDriver struct{ walletDirs []string }

func (d oraDriver) connector(t collectors.Target) (driver.Connector, error) {
	config, err := d.config(t)
	if err != nil {
		return nil, err
	}
	return &oraConnector{config: config}, nil
}

// config sets what people typed member by member: the driver's address would have to be quoted, and is not in all
// places.
func (d oraDriver) config(t collectors.Target) (*configurations.ConnectionConfig, error) {
	sid := t.Options[models.OptionSID]
	if service := t.Database + sid; service == "" || strings.ContainsAny(service, "()='\"\\\r\n\x00") {
		return nil, &models.Error{Code: models.CodeCollection, Key: "collect.oracle.service"}
	}
	encrypted, err := d.encryption(t)
	if err != nil {
		return nil, err
	}
	options := map[string]string{"PROGRAM": "whalefall"}
	if encrypted != nil {
		options["SSL"] = "enable"
	}
	config, err := go_ora.ParseConfig(go_ora.BuildUrl("host", t.Port, "service", "user", "password", options))
	if err != nil {
		return nil, err
	}
	config.Servers[0].Addr = t.Host
	config.UserID, config.Password = t.Username, t.Password
	if strings.EqualFold(t.Username, "SYS") {
		config.DBAPrivilege = configurations.SYSDBA
	}
	config.SID, config.ServiceName = sid, t.Database
	config.TLSConfig = encrypted
	config.Timeout, config.PrefetchRows = answerTimeout, prefetch
	config.ProgramPath = config.ProgramName
	return config, nil
}

// encryption is nil for TCP. A listener's port speaks one protocol, so prefer means TCP: there is nothing to negotiate.
func (d oraDriver) encryption(t collectors.Target) (*tls.Config, error) {
	switch t.TLSMode {
	case models.TLSRequire, models.TLSVerifyCA, models.TLSVerifyFull:
	default:
		return nil, nil //nolint:nilnil // nil is how crypto/tls's users say "no TLS"
	}
	config, err := collectors.TargetTLS(t)
	if err != nil || t.Options[models.OptionWallet] == "" {
		return config, err
	}
	path, err := d.wallet(t)
	if err != nil {
		return nil, err
	}
	wallet, err := readWallet(path)
	if err == nil {
		err = addWallet(config, wallet)
	}
	if err != nil {
		return nil, collectors.Unreachable(t, reasonWallet, err)
	}
	return config, nil
}

// wallet is the real path of the target's wallet, if that is below an allowed directory.
func (d oraDriver) wallet(t collectors.Target) (string, error) {
	path, err := filepath.Abs(filepath.Join(t.Options[models.OptionWallet], "cwallet.sso"))
	if err == nil {
		path = collectors.RealPath(path)
	}
	if err != nil || !collectors.IsBelow(d.walletDirs, path) {
		return "", &models.Error{Code: models.CodeCollection, Key: "collect.oracle.wallet_outside", Err: err}
	}
	return path, nil
}

// readWallet survives what the driver does not: it reads beyond the end of a file that is no wallet.
func readWallet(path string) (wallet *configurations.Wallet, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("no wallet: %v", cause)
		}
	}()
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
		return nil, errors.Join(err, fs.ErrInvalid)
	}
	return configurations.NewWallet(path)
}

// addWallet trusts the authorities of the wallet unless others are given, and shows its certificate to a server that
// asks.
func addWallet(config *tls.Config, wallet *configurations.Wallet) error {
	var chain tls.Certificate
	roots := x509.NewCertPool()
	for _, der := range wallet.Certificates {
		certificate, err := x509.ParseCertificate(der)
		if err != nil {
			return err
		}
		for _, key := range wallet.PrivateKeys {
			private, err := x509.ParsePKCS1PrivateKey(key)
			if err != nil {
				return err
			}
			if private.PublicKey.Equal(certificate.PublicKey) {
				chain = tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private, Leaf: certificate}
			}
		}
		roots.AddCert(certificate)
	}
	if config.RootCAs == nil && len(wallet.Certificates) > 0 {
		config.RootCAs = roots
	}
	if chain.PrivateKey != nil {
		config.Certificates = []tls.Certificate{chain}
	}
	return nil
}

// oraConnector makes connections of one configuration.
type oraConnector struct {
	config *configurations.ConnectionConfig
}

// Driver is asked for by nobody.
func (c *oraConnector) Driver() driver.Driver { return go_ora.NewDriver() }

// Connect ends when ctx does. The driver gets a context without an end, as it would close the connection under its own
// reader; and it does not close the ones it failed on, which is done here.
func (c *oraConnector) Connect(ctx context.Context) (_ driver.Conn, err error) {
	wire := &wire{}
	stop := context.AfterFunc(ctx, wire.hangUp)
	defer func() {
		if cause := recover(); cause != nil { // the driver, over packets that it does not expect
			err = fmt.Errorf("%w: %v", collectors.ErrProtocol, cause)
		}
		stop()
		if err != nil {
			wire.hangUp()
			err = errors.Join(context.Cause(ctx), err)
		}
	}()
	config := *c.config
	config.TLSConfig = config.TLSConfig.Clone()
	config.RegisterDial(func(_ context.Context, network, address string) (net.Conn, error) {
		return wire.dial(ctx, network, address, config.TLSConfig != nil)
	})
	conn, err := go_ora.NewConnection("", &config)
	if err != nil {
		return nil, err
	}
	if err := conn.OpenWithContext(context.WithoutCancel(ctx)); err != nil {
		return nil, err
	}
	return &oraConn{Connection: conn, wire: wire}, nil
}

// oraConn is a connection of the driver that can be ended at once.
type oraConn struct {
	*go_ora.Connection
	wire *wire
}

// HangUp closes the socket, whatever the connection is doing. The server notices when it sends the next rows.
func (c *oraConn) HangUp() { c.wire.hangUp() }

// wire is the socket of a connection. A listener may send the driver to another one.
type wire struct {
	mu    sync.Mutex
	conn  net.Conn
	ended bool
}

func (w *wire) dial(ctx context.Context, network, address string, encrypted bool) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended {
		_ = conn.Close()
		return nil, net.ErrClosed
	}
	w.conn = conn
	if encrypted {
		return &tlsConn{Conn: conn}, nil
	}
	return &tnsConn{Conn: conn}, nil
}

func (w *wire) hangUp() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ended = true
	if w.conn != nil {
		_ = w.conn.Close()
	}
}

// tlsConn lets nothing out before a TLS handshake: the driver goes on without TLS when a listener redirects it to a
// port that has none.
type tlsConn struct {
	net.Conn
	begun bool
}

// tlsHandshake is how the first record of a TLS client begins.
const tlsHandshake = 22

func (c *tlsConn) Write(b []byte) (int, error) {
	if !c.begun && (len(b) == 0 || b[0] != tlsHandshake) {
		return 0, tls.RecordHeaderError{Msg: "the listener redirects to a port without TLS"}
	}
	c.begun = true
	return c.Conn.Write(b)
}

// tnsConn has a connection fail whose other side does not speak TNS: the driver takes anything for a packet, and its
// first two bytes for a length.
type tnsConn struct {
	net.Conn
	head []byte
}

// tnsFirstPackets are what a listener's first packet may be, and how many bytes it has at least: the driver panics over
// one that is shorter, with a lock in its hands for which its own goroutine waits.
var tnsFirstPackets = map[byte]int{
	2:  32,        // accept
	4:  12,        // refuse
	5:  10,        // redirect
	11: tnsHeader, // resend
}

// tnsHeader is the length of a packet's header: two bytes of length, two of checksum, the type, three more.
const tnsHeader = 8

func (c *tnsConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if len(c.head) < tnsHeader {
		c.head = append(c.head, b[:min(n, tnsHeader-len(c.head))]...)
		if strange := strangeTNS(c.head); strange != nil {
			return 0, strange
		}
	}
	return n, err
}

// strangeTNS is what is wrong with the beginning of a listener's first packet.
func strangeTNS(head []byte) error {
	switch {
	case len(head) >= 2 && head[0] == 21 && head[1] == 3:
		return tls.RecordHeaderError{Msg: "the port speaks TLS"}
	case len(head) >= 2 && head[0] == 0 && head[1] < tnsHeader:
		return collectors.ErrProtocol
	case len(head) < 5:
		return nil
	}
	shortest, known := tnsFirstPackets[head[4]]
	if !known || int(binary.BigEndian.Uint16(head)) < shortest {
		return collectors.ErrProtocol
	}
	return nil
}
