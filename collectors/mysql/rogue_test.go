package mysql

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"encoding/pem"
	"io"
	"net"
	"slices"
	"testing"

	"whalefall/collectors"
	"whalefall/collectors/collectortest"
	"whalefall/models"
	"whalefall/testenv"
)

// rogueSeed is what the rogue's clients have to answer.
var rogueSeed = []byte("01234567890123456789")

// rogue is a server that claims to have no TLS and asks for the password by a plugin, which it sends its own key.
type rogue struct {
	plugin string
	key    *rsa.PrivateKey
	stolen chan string // what it gets from each client
}

// newRogue starts a rogue and returns its port.
func newRogue(t *testing.T, plugin string) (*rogue, int) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	collectortest.Must(t, err)
	r := &rogue{plugin: plugin, key: key, stolen: make(chan string, 10)}
	return r, testenv.Listen(t, func(conn net.Conn) { r.stolen <- r.serve(conn) })
}

// serve returns the password that it gets from a client, empty if it gets none.
func (r *rogue) serve(conn net.Conn) string {
	send := func(sequence byte, payload []byte) {
		_, _ = conn.Write(append([]byte{byte(len(payload)), byte(len(payload) >> 8), 0, sequence}, payload...))
	}
	send(0, r.greeting())
	_, sequence := readRoguePacket(conn)
	if r.plugin == "caching_sha2_password" {
		send(sequence+1, []byte{1, 4}) // "send the password itself"
	} else {
		send(sequence+1, slices.Concat([]byte{0xfe}, []byte(r.plugin), []byte{0}, rogueSeed, []byte{0}))
	}
	for {
		answer, sequence := readRoguePacket(conn)
		switch {
		case sequence == 0:
			return ""
		case len(answer) == 1: // asks for the key
			send(sequence+1, append([]byte{1}, r.publicKey()...))
		default:
			return r.decrypt(answer)
		}
	}
}

// greeting returns a greeting without the capability TLS.
func (r *rogue) greeting() []byte {
	return slices.Concat(
		[]byte{10}, []byte("8.0.36\x00"), []byte{1, 0, 0, 0}, rogueSeed[:8], []byte{0},
		[]byte{0x01, 0x82, 45, 2, 0, 0x08, 0, 21}, make([]byte, 10), rogueSeed[8:], []byte{0},
		[]byte("caching_sha2_password\x00"),
	)
}

func (r *rogue) publicKey() []byte {
	der, err := x509.MarshalPKIXPublicKey(&r.key.PublicKey)
	if err != nil {
		return nil
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

// decrypt returns the password of an answer, which is encrypted with the rogue's key or not at all.
func (r *rogue) decrypt(answer []byte) string {
	plain, err := rsa.DecryptOAEP(sha1.New(), nil, r.key, answer, nil)
	if err != nil {
		return string(bytes.TrimRight(answer, "\x00"))
	}
	for i := range plain {
		plain[i] ^= rogueSeed[i%len(rogueSeed)]
	}
	return string(bytes.TrimRight(plain, "\x00"))
}

// readRoguePacket reads a packet and returns its payload and its number, 0 if there is none.
func readRoguePacket(conn net.Conn) (payload []byte, sequence byte) {
	var header [4]byte
	if _, err := io.ReadFull(conn, header[:]); err != nil {
		return nil, 0
	}
	payload = make([]byte, int(header[0])|int(header[1])<<8)
	if _, err := io.ReadFull(conn, payload); err != nil {
		return nil, 0
	}
	return payload, header[3]
}

// A password goes to nobody in clear or with the key of whoever asks, except the latter on this computer.
func TestCollector_Version_Rogue(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		plugin string
		mode   models.TLSMode
		host   string // "0.0.0.0" dials the local host, but is none by its name
		want   string
	}{
		{"caching_sha2_password", models.TLSPrefer, "0.0.0.0", ""},
		{"caching_sha2_password", models.TLSDisable, "0.0.0.0", ""},
		{"caching_sha2_password", models.TLSPrefer, "127.0.0.1", "s3cret"},
		{"sha256_password", models.TLSPrefer, "0.0.0.0", ""},
		{"sha256_password", models.TLSDisable, "0.0.0.0", ""},
		{"sha256_password", models.TLSDisable, "localhost", "s3cret"},
		{"mysql_clear_password", models.TLSPrefer, "0.0.0.0", ""},
		{"mysql_clear_password", models.TLSDisable, "0.0.0.0", ""},
		{"mysql_clear_password", models.TLSPrefer, "127.0.0.1", ""},
	} {
		t.Run(c.plugin+" "+string(c.mode)+" "+c.host, func(t *testing.T) {
			t.Parallel()
			r, port := newRogue(t, c.plugin)
			_, err := New().Version(t.Context(), collectors.Target{
				Name: "t", Host: c.host, Port: port, Username: "u", Password: "s3cret", TLSMode: c.mode,
			})
			if got := <-r.stolen; got != c.want {
				t.Errorf("got password %q, want %q", got, c.want)
			}
			if c.want == "" {
				collectortest.WantUnreachable(t, err, collectors.ReasonCleartext)
			}
		})
	}
}
