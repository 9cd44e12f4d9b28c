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

// prefetch is how many rows the server sends in one answer.
const prefetch = 1000

// answerTimeout is how long the driver waits for an answer that no other deadline has ended.
const answerTimeout = scanFactor*collectors.StatementTimeout + 2*collectors.HangUpGrace

// errorNumber returns the number of an error that the server or its listener sent, 0 for any other error.
func errorNumber(err error) int {
	if refused, ok := errors.AsType[*network.OracleError](err); ok {
		return refused.ErrCode
	}
	return 0
}

// oraDriver returns connectors that use go-ora.
type oraDriver struct{ walletDirs []string }

func (d oraDriver) connector(t collectors.Target) (driver.Connector, error) {
	config, err := d.config(t)
	if err != nil {
		return nil, err
	}
	return &oraConnector{config: config}, nil
}

// config returns the driver's configuration for a target. It sets each value that a user entered as a field: in a
// connection URL they would need escaping, which the driver does not undo everywhere.
func (d oraDriver) config(t collectors.Target) (*configurations.ConnectionConfig, error) {
	sid := t.Options[models.OptionSID]
	if service := t.Database + sid; service == "" || strings.ContainsAny(service, "()='\"\\\r\n\x00") {
		return nil, &models.Error{Code: models.CodeCollection, Key: "collect.oracle.service"}
	}
	tlsConfig, err := d.tlsConfig(t)
	if err != nil {
		return nil, err
	}

	options := map[string]string{"PROGRAM": "whalefall"}
	if tlsConfig != nil {
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
	config.TLSConfig = tlsConfig
	config.Timeout, config.PrefetchRows = answerTimeout, prefetch
	config.ProgramPath = config.ProgramName
	return config, nil
}

// tlsConfig returns the TLS configuration of a target, nil for TCP. A listener's port speaks only one protocol, so
// there is nothing to negotiate and prefer means TCP.
func (d oraDriver) tlsConfig(t collectors.Target) (*tls.Config, error) {
	switch t.TLSMode {
	case models.TLSRequire, models.TLSVerifyCA, models.TLSVerifyFull:
	default:
		return nil, nil //nolint:nilnil // a nil configuration means no TLS, as usual
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

// wallet returns the path of the target's wallet with all links resolved, or an error unless it is below an allowed
// directory.
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

// readWallet reads a wallet. On a file that is not one, the driver reads past the end and panics; readWallet returns
// that as an error.
func readWallet(path string) (wallet *configurations.Wallet, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("not a wallet: %v", cause)
		}
	}()
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
		return nil, errors.Join(err, fs.ErrInvalid)
	}
	return configurations.NewWallet(path)
}

// addWallet adds the wallet's certificates to config: its authorities unless config already has some, and its client
// certificate.
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

// oraConnector opens go-ora connections with one configuration.
type oraConnector struct {
	config *configurations.ConnectionConfig
}

// Driver implements driver.Connector; nothing calls it.
func (c *oraConnector) Driver() driver.Driver { return go_ora.NewDriver() }

// Connect opens a connection; the end of ctx aborts it. The driver gets a context that is never cancelled, because it
// would close the connection under its own reader. It does not close connections whose login failed, so Connect does.
func (c *oraConnector) Connect(ctx context.Context) (_ driver.Conn, err error) {
	socket := &socket{}
	stop := context.AfterFunc(ctx, socket.hangUp)
	defer func() {
		if cause := recover(); cause != nil { // the driver panics on packets that it does not expect
			err = fmt.Errorf("%w: %v", collectors.ErrProtocol, cause)
		}
		stop()
		if err != nil {
			socket.hangUp()
			err = errors.Join(context.Cause(ctx), socket.budget.Explain(err))
		}
	}()

	config := *c.config
	config.TLSConfig = config.TLSConfig.Clone()
	config.RegisterDial(func(_ context.Context, network, address string) (net.Conn, error) {
		return socket.dial(ctx, network, address, config.TLSConfig != nil)
	})

	conn, err := go_ora.NewConnection("", &config)
	if err != nil {
		return nil, err
	}
	if err := conn.OpenWithContext(context.WithoutCancel(ctx)); err != nil {
		return nil, err
	}
	socket.budget.LoggedIn()
	return &oraConn{Connection: conn, socket: socket}, nil
}

// oraConn is a go-ora connection whose socket can be closed at any time.
type oraConn struct {
	*go_ora.Connection
	socket *socket
}

// HangUp closes the socket, whatever the connection is doing. The server notices when it next sends rows.
func (c *oraConn) HangUp() { c.socket.hangUp() }

// socket holds the current socket of a connection. A listener may redirect the driver to another address, which makes
// it dial again.
type socket struct {
	budget collectors.Budget
	mu     sync.Mutex
	conn   net.Conn
	closed bool
}

func (s *socket) dial(ctx context.Context, network, address string, encrypted bool) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		_ = conn.Close()
		return nil, net.ErrClosed
	}
	s.conn = conn
	conn = s.budget.Conn(conn)
	if encrypted {
		return &tlsConn{Conn: conn}, nil
	}
	return &tnsConn{Conn: conn}, nil
}

func (s *socket) hangUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if s.conn != nil {
		_ = s.conn.Close()
	}
}

// tlsConn refuses to write anything before a TLS handshake: the driver continues without TLS when a listener redirects
// it to a port that has none.
type tlsConn struct {
	net.Conn
	started bool // the first byte of a handshake was written
}

// tlsHandshake is the first byte that a TLS client sends: the type of a handshake record.
const tlsHandshake = 22

func (c *tlsConn) Write(b []byte) (int, error) {
	if !c.started && (len(b) == 0 || b[0] != tlsHandshake) {
		return 0, tls.RecordHeaderError{Msg: "the listener redirected to a port without TLS"}
	}
	c.started = true
	return c.Conn.Write(b)
}

// tnsConn fails reads if the other side does not speak TNS. The driver takes anything for a packet, and its first two
// bytes for a length.
type tnsConn struct {
	net.Conn
	head []byte // of the first packet, up to tnsHeader bytes
}

// tnsFirstPackets maps the types that a listener's first packet may have to their minimum lengths in bytes. On a
// shorter packet the driver panics holding a lock that its own goroutine waits for.
var tnsFirstPackets = map[byte]int{
	2:  32,        // accept
	4:  12,        // refuse
	5:  10,        // redirect
	11: tnsHeader, // resend
}

// tnsHeader is the length of a packet header in bytes: two for the length, two for a checksum, one for the type, three
// more.
const tnsHeader = 8

func (c *tnsConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if len(c.head) < tnsHeader {
		c.head = append(c.head, b[:min(n, tnsHeader-len(c.head))]...)
		if err := checkTNS(c.head); err != nil {
			return 0, err
		}
	}
	return n, err
}

// checkTNS returns an error if head cannot be the beginning of a listener's first packet. A head too short to tell
// passes.
func checkTNS(head []byte) error {
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
