package collectors_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"testing"
	"time"

	"whalefall/collectors"
	"whalefall/models"
)

// certificate creates a self-signed certificate of a server and returns it with its PEM text.
func certificate(t *testing.T, change func(*x509.Certificate)) (tls.Certificate, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "db"}, DNSNames: []string{"db.example"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if change != nil {
		change(template)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, string(text)
}

// handshake returns the error of a client with the target's configuration at a server, which may refuse only when the
// client reads. A nil configuration is a server without TLS.
func handshake(t *testing.T, target collectors.Target, config *tls.Config) error {
	t.Helper()
	wanted, err := collectors.TargetTLS(target)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	ours, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer ours.Close()
	theirs, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		defer theirs.Close()
		if config == nil {
			_, _ = theirs.Write([]byte("no TLS here"))
			return
		}
		_ = tls.Server(theirs, config).Handshake()
	}()

	client := tls.Client(ours, wanted)
	if err = client.Handshake(); err == nil {
		_, err = client.Read(make([]byte, 1))
	}
	return err
}

func TestUnreachable_TLSCheck(t *testing.T) {
	t.Parallel()
	_, otherCA := certificate(t, nil)
	for name, test := range map[string]struct {
		change func(*x509.Certificate)
		server func(*tls.Config) *tls.Config
		target collectors.Target
		want   any
	}{
		"another issuer": {target: collectors.Target{Options: map[string]string{
			models.OptionCACertificate: otherCA,
		}}, want: "issuer"},
		"another name": {target: collectors.Target{Host: "other.example"}, want: "name"},
		"expired":      {change: func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }, want: "time"},
		"not yet":      {change: func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Minute) }, want: "time"},
		"for clients": {change: func(c *x509.Certificate) {
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
		}, want: "use"},
		"old": {server: func(c *tls.Config) *tls.Config { c.MaxVersion = tls.VersionTLS11; return c }, want: "version"},
		"wants a certificate": {server: func(c *tls.Config) *tls.Config {
			c.ClientAuth = tls.RequireAnyClientCert
			return c
		}, want: "client"},
		"no TLS": {server: func(*tls.Config) *tls.Config { return nil }, want: "absent"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pair, own := certificate(t, test.change)
			config := &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS10}
			if test.server != nil {
				config = test.server(config)
			}
			target := test.target
			target.TLSMode = models.TLSVerifyFull
			if target.Host == "" {
				target.Host = "db.example"
			}
			if target.Options == nil {
				target.Options = map[string]string{models.OptionCACertificate: own}
			}
			err := handshake(t, target, config)
			reason := collectors.ConnectReason(err)
			e := collectors.Unreachable(target, reason, err)
			if reason != collectors.ReasonTLS || e.Extra["tls_check"] != test.want {
				t.Errorf("%v: got reason %q, check %v, want %v", err, reason, e.Extra["tls_check"], test.want)
			}
		})
	}
}
