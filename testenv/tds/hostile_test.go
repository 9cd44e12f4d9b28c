package tds_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"whalefall/testenv"
	"whalefall/testenv/tds"
)

func packet(kind byte, body ...byte) []byte {
	b := []byte{kind, 1, 0, 0, 0, 0, 1, 0}
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)+len(body)))
	return append(b, body...)
}

// prelogin asks for no encryption.
var prelogin = packet(18, 1, 0, 6, 0, 1, 0xff, 2)

// login is a whole login, of user "a" with the password that the fake server wants.
var login = func() []byte {
	body := make([]byte, 94)
	masked := bytes.Clone([]byte("p\x00'\x00\xe4\x00%\x00\xa2\x8b\"\x00"))
	for i, b := range masked {
		masked[i] = (b<<4 | b>>4) ^ 0xa5
	}
	body = append(append(body, masked...), 'a', 0)
	binary.LittleEndian.PutUint16(body[40:], uint16(94+len(masked)))
	binary.LittleEndian.PutUint16(body[42:], 1)
	binary.LittleEndian.PutUint16(body[44:], 94)
	binary.LittleEndian.PutUint16(body[46:], uint16(len(masked)/2))
	return packet(16, body...)
}()

var noHeaders = []byte{4, 0, 0, 0}

// hostile holds what a hostile client may send. The server must close the connection and keep running.
var hostile = map[string][]byte{
	"nothing":                       {},
	"a web request":                 []byte("GET / HTTP/1.1\r\n\r\n"),
	"TLS at once":                   {0x16, 3, 1, 0, 8, 0, 0, 0},
	"a short packet":                {18, 1, 0, 7, 0, 0, 1, 0},
	"a long packet":                 {18, 1, 0xff, 0xff, 0, 0, 1, 0},
	"no options":                    packet(18),
	"no end of options":             packet(18, 0, 0, 6, 0, 1),
	"an option outside":             packet(18, 1, 0xff, 0xff, 0, 1, 0xff, 2),
	"a login first":                 login,
	"no login":                      append(bytes.Clone(prelogin), packet(1, noHeaders...)...),
	"an empty login":                append(bytes.Clone(prelogin), packet(16)...),
	"a login that points elsewhere": append(bytes.Clone(prelogin), packet(16, bytes.Repeat([]byte{0xff}, 94)...)...),
	"an unknown request":            loggedIn(99),
	"a batch without headers":       loggedIn(1),
	"headers of no length":          loggedIn(1, 0, 0, 0, 0),
	"headers beyond the end":        loggedIn(1, 0xff, 0xff, 0xff, 0xff, 0, 0),
	"a call without a name":         loggedIn(3, append(noHeaders, 9, 0)...),
	"sp_executesql without a text":  loggedIn(3, append(noHeaders, 0xff, 0xff, 10, 0, 0, 0)...),
	"sp_executesql of a number":     loggedIn(3, append(noHeaders, 0xff, 0xff, 10, 0, 0, 0, 0, 0, 0x26, 1, 1, 1)...),
	"an unknown type":               loggedIn(3, append(noHeaders, 0xff, 0xff, 10, 0, 0, 0, 0, 0, 0x62, 1)...),
	"an integer of three bytes":     loggedIn(3, append(noHeaders, 0xff, 0xff, 10, 0, 0, 0, 0, 0, 0x26, 4, 3, 1, 2, 3)...),
	"a chunk beyond the end": loggedIn(3, append(noHeaders, 0xff, 0xff, 10, 0, 0, 0, 0, 0, 0xa5, 0xff, 0xff,
		1, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff)...),
	"a moment of two bytes":    loggedIn(3, append(noHeaders, 0xff, 0xff, 10, 0, 0, 0, 0, 0, 0x2b, 7, 2, 1, 2)...),
	"a transaction of no kind": loggedIn(14, noHeaders...),
}

func loggedIn(kind byte, body ...byte) []byte {
	return bytes.Join([][]byte{prelogin, login, packet(kind, body...)}, nil)
}

// send returns what the server sent until it closed the connection.
func send(t testing.TB, server net.Addr, sent []byte) []byte {
	t.Helper()
	conn, err := net.Dial("tcp", server.String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(testenv.Patience))
	if _, err := conn.Write(sent); err != nil {
		return nil
	}
	_ = conn.(*net.TCPConn).CloseWrite()
	answer, err := io.ReadAll(conn)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal("the connection stays open")
	}
	return answer
}

func TestServer_HostileClients(t *testing.T) {
	t.Parallel()
	listener := listen(t)
	server := tds.Serve(listener, &fake{}, tds.Options{})
	t.Cleanup(server.Close)
	for name, bytes := range hostile {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			send(t, listener.Addr(), bytes)
		})
	}
	const okToken = 0xad
	answer := send(t, listener.Addr(), append(bytes.Clone(prelogin), login...))
	if !bytes.Contains(answer, []byte{okToken}) {
		t.Errorf("the login of these tests is rejected, so they prove little: got %x", answer)
	}
}

func FuzzRequests(f *testing.F) {
	for _, sent := range hostile {
		f.Add(sent)
	}
	f.Add(append(bytes.Clone(prelogin), login...))
	listener := listen(f)
	server := tds.Serve(listener, &fake{}, tds.Options{})
	f.Cleanup(server.Close)
	f.Fuzz(func(t *testing.T, sent []byte) { send(t, listener.Addr(), sent) })
}
