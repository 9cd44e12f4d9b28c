package sqlserver

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"testing"
	"time"

	"whalefall/collectors"
	"whalefall/collectors/collectortest"
	"whalefall/models"
	"whalefall/testenv/sqlserver"
	"whalefall/testenv/tds"
)

// loginRefuser refuses every login. A client that receives the refusal has completed the handshake.
type loginRefuser struct{}

func (loginRefuser) Login(_ context.Context, login tds.Login) (tds.Welcome, error) {
	return tds.Welcome{}, sqlserver.Message(codeLoginFailed, login.User)
}

// Half of the certificates that servers before 2019 generate for themselves have a negative serial number, which Go
// rejects unless the module sets x509negativeserial. https://github.com/microsoft/go-mssqldb/issues/217
func TestCollector_Version_NegativeSerialNumber(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(0x7a51), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	der = bytes.Replace(der, []byte{2, 2, 0x7a, 0x51}, []byte{2, 2, 0xfa, 0x51}, 1)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := tds.Serve(listener, loginRefuser{}, tds.Options{
		Encryption: tds.Full, Certificate: tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key},
	})
	t.Cleanup(server.Close)
	for _, mode := range []models.TLSMode{models.TLSPrefer, models.TLSRequire} {
		_, err := New().Version(t.Context(), collectors.Target{
			Name: "t", Host: "127.0.0.1", Port: listener.Addr().(*net.TCPAddr).Port,
			Username: "u", Password: "p", TLSMode: mode,
		})
		collectortest.WantUnreachable(t, err, collectors.ReasonLogin)
	}
}

// Firewalls and gateways may route by the server name, so it is sent in every mode.
func TestCollector_Config_ServerName(t *testing.T) {
	t.Parallel()

	for _, mode := range []models.TLSMode{models.TLSPrefer, models.TLSRequire, models.TLSVerifyCA, models.TLSVerifyFull} {
		config, err := New().config(collectors.Target{Host: "db.example", Port: 1433, TLSMode: mode}, "master", false)
		if err != nil || config.TLSConfig.ServerName != "db.example" {
			t.Errorf("%s: got server name %q, %v, want db.example", mode, config.TLSConfig.ServerName, err)
		}
	}
}
