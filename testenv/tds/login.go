package tds

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
)

// Options of a prelogin message.
const (
	preloginVersion    = 0
	preloginEncryption = 1
	preloginMARS       = 4
	preloginEnd        = 0xff
)

// Values of the prelogin's encryption option.
const (
	encryptOff          = 0
	encryptOn           = 1
	encryptNotSupported = 2
	encryptRequired     = 3
)

// login does everything up to the answer to a login. It returns the transport for what follows.
func (s *Server) login(ctx context.Context, conn net.Conn) (io.ReadWriter, Login, int, error) {
	encryption, err := s.prelogin(conn)
	if err != nil {
		return nil, Login{}, 0, err
	}
	var loginFrom, rest io.ReadWriter = conn, conn
	if encryption != encryptNotSupported {
		secure, err := s.secure(ctx, conn)
		if err != nil {
			return nil, Login{}, 0, err
		}
		loginFrom = secure
		if encryption != encryptOff {
			rest = secure
		}
	}
	m, err := readMessage(loginFrom)
	if err != nil {
		return nil, Login{}, 0, err
	}
	if m.kind != packetLogin {
		return nil, Login{}, 0, errMalformed
	}
	login, packetSize, err := parseLogin(m.body)
	return rest, login, packetSize, err
}

// prelogin negotiates encryption.
func (s *Server) prelogin(conn net.Conn) (byte, error) {
	m, err := readMessage(conn)
	if err != nil {
		return 0, err
	}
	if m.kind != packetPrelogin {
		return 0, errMalformed
	}
	wanted, err := preloginOption(m.body, preloginEncryption)
	if err != nil {
		return 0, err
	}
	answer, refused := s.options.Encryption.answer(wanted)
	out := newPacketWriter(conn, packetReply, defaultPacketSize)
	_, _ = out.Write(preloginAnswer(s.version(), answer))
	if err := out.end(); err != nil {
		return 0, err
	}
	if refused {
		return 0, errMalformed
	}
	return answer, nil
}

// answer returns the server's side of the encryption table in [MS-TDS] 2.2.6.5. A refused client is disconnected.
func (e Encryption) answer(client byte) (answer byte, refused bool) {
	switch {
	case e == Plain:
		return encryptNotSupported, false
	case client == encryptNotSupported:
		if e == Full {
			return encryptRequired, true
		}
		return encryptNotSupported, false
	case client != encryptOff:
		return encryptOn, false
	case e == Full:
		return encryptRequired, false
	default:
		return encryptOff, false
	}
}

// preloginOption returns an option of one byte.
func preloginOption(body []byte, wanted byte) (byte, error) {
	list := reader{b: body}
	for {
		option := list.u8()
		if list.err != nil || option == preloginEnd {
			return 0, errMalformed
		}
		place := list.bytes(4)
		if place == nil {
			return 0, errMalformed
		}
		if option == wanted {
			value := reader{b: body}
			value.bytes(int(binary.BigEndian.Uint16(place)))
			return value.u8(), value.err
		}
	}
}

func preloginAnswer(version [4]byte, encryption byte) []byte {
	const options = 3
	values := [options][]byte{{version[0], version[1], version[2], version[3], 0, 0}, {encryption}, {0}}
	var list, data []byte
	for i, option := range [options]byte{preloginVersion, preloginEncryption, preloginMARS} {
		list = append(list, option)
		list = binary.BigEndian.AppendUint16(list, uint16(5*options+1+len(data)))
		list = binary.BigEndian.AppendUint16(list, uint16(len(values[i])))
		data = append(data, values[i]...)
	}
	return append(append(list, preloginEnd), data...)
}

// secure performs a TLS handshake whose records are wrapped in prelogin packets; after it they are not.
func (s *Server) secure(ctx context.Context, conn net.Conn) (net.Conn, error) {
	wrapped := &wrappedConn{Conn: conn, wrapping: true}
	secure := tls.Server(wrapped, &tls.Config{
		Certificates:           []tls.Certificate{s.options.Certificate},
		MinVersion:             tls.VersionTLS12,
		SessionTicketsDisabled: true, // a ticket would be sent after the handshake, when wrapping has ended
	})
	if err := secure.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	if err := wrapped.flush(); err != nil {
		return nil, err
	}
	wrapped.wrapping = false
	return secure, nil
}

// wrappedConn wraps what is written between two reads in one prelogin message.
type wrappedConn struct {
	net.Conn
	wrapping bool
	in, out  bytes.Buffer
}

func (c *wrappedConn) Read(b []byte) (int, error) {
	if !c.wrapping {
		return c.Conn.Read(b)
	}
	if err := c.flush(); err != nil {
		return 0, err
	}
	for c.in.Len() == 0 {
		header, body, err := readPacket(c.Conn)
		if err != nil {
			return 0, err
		}
		if header[0] != packetPrelogin {
			return 0, errMalformed
		}
		c.in.Write(body)
	}
	return c.in.Read(b)
}

func (c *wrappedConn) Write(b []byte) (int, error) {
	if c.wrapping {
		return c.out.Write(b)
	}
	return c.Conn.Write(b)
}

func (c *wrappedConn) flush() error {
	if c.out.Len() == 0 {
		return nil
	}
	packets := newPacketWriter(c.Conn, packetPrelogin, defaultPacketSize)
	_, _ = c.out.WriteTo(packets)
	return packets.end()
}

// Places of the fields of a LOGIN7 message, and the bits of its flags.
const (
	loginPacketSize = 8
	loginFlags1     = 24
	loginTypeFlags  = 26
	loginHost       = 36
	loginUser       = 40
	loginPassword   = 44
	loginApp        = 48
	loginServer     = 52
	loginDatabase   = 68
	loginFixedSize  = 94

	flagDatabaseFatal = 0x40
	flagReadOnly      = 0x20
)

func parseLogin(body []byte) (Login, int, error) {
	if len(body) < loginFixedSize {
		return Login{}, 0, errMalformed
	}
	var failed error
	field := func(place int) []byte {
		r := reader{b: body}
		r.bytes(int(binary.LittleEndian.Uint16(body[place:])))
		out := r.bytes(2 * int(binary.LittleEndian.Uint16(body[place+2:])))
		if r.err != nil {
			failed = r.err
		}
		return out
	}
	login := Login{
		Host:           decodeText(field(loginHost)),
		User:           decodeText(field(loginUser)),
		Password:       decodeText(clearPassword(field(loginPassword))),
		App:            decodeText(field(loginApp)),
		Server:         decodeText(field(loginServer)),
		Database:       decodeText(field(loginDatabase)),
		ReadOnlyIntent: body[loginTypeFlags]&flagReadOnly != 0,
		DatabaseFatal:  body[loginFlags1]&flagDatabaseFatal != 0,
	}
	size := int(binary.LittleEndian.Uint32(body[loginPacketSize:]))
	return login, min(max(size, minPacketSize), maxPacketSize), failed
}

// clearPassword removes the obfuscation of a password.
func clearPassword(masked []byte) []byte {
	out := make([]byte, len(masked))
	for i, b := range masked {
		b ^= 0xa5
		out[i] = b<<4 | b>>4
	}
	return out
}
