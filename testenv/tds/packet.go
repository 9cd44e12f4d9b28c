package tds

import (
	"encoding/binary"
	"errors"
	"io"
	"unicode/utf16"
)

// Packet types.
const (
	packetBatch       = 1
	packetRPC         = 3
	packetReply       = 4
	packetAttention   = 6
	packetTransaction = 14
	packetLogin       = 16
	packetPrelogin    = 18
)

// Bits of a packet's status.
const (
	statusLast      = 0x01
	statusReset     = 0x08
	statusResetKeep = 0x10 // reset, but keep the transaction
)

const (
	headerSize        = 8
	defaultPacketSize = 4096
	minPacketSize     = 512
	maxPacketSize     = 32767
	maxMessage        = 16 << 20 // bytes of one request; a longer one ends the connection
)

var errMalformed = errors.New("malformed packet")

// message is all packets of one request.
type message struct {
	kind  byte
	reset bool
	body  []byte
}

func readPacket(r io.Reader) (header [headerSize]byte, body []byte, err error) {
	if _, err = io.ReadFull(r, header[:]); err != nil {
		return header, nil, err
	}
	size := int(binary.BigEndian.Uint16(header[2:]))
	if size < headerSize || size > maxPacketSize {
		return header, nil, errMalformed
	}
	body = make([]byte, size-headerSize)
	_, err = io.ReadFull(r, body)
	return header, body, err
}

func readMessage(r io.Reader) (message, error) {
	var m message
	for first := true; ; first = false {
		header, body, err := readPacket(r)
		if err != nil {
			return m, err
		}
		if first {
			m.kind = header[0]
			m.reset = header[1]&(statusReset|statusResetKeep) != 0
		}
		if header[0] != m.kind || len(m.body)+len(body) > maxMessage {
			return m, errMalformed
		}
		m.body = append(m.body, body...)
		if header[1]&statusLast != 0 {
			return m, nil
		}
	}
}

// packetWriter cuts a message into packets. Its first error stays.
type packetWriter struct {
	out  io.Writer
	kind byte
	size int // of a packet with its header, bytes
	buf  []byte
	seq  byte
	err  error
}

func newPacketWriter(out io.Writer, kind byte, size int) *packetWriter {
	return &packetWriter{out: out, kind: kind, size: size, buf: make([]byte, headerSize, size)}
}

func (p *packetWriter) Write(b []byte) (int, error) {
	written := 0
	for len(b) > 0 && p.err == nil {
		if len(p.buf) == p.size {
			p.flush(0)
		}
		n := min(len(b), p.size-len(p.buf))
		p.buf = append(p.buf, b[:n]...)
		b = b[n:]
		written += n
	}
	return written, p.err
}

// end sends what is left as the last packet of the message.
func (p *packetWriter) end() error {
	p.flush(statusLast)
	return p.err
}

func (p *packetWriter) flush(status byte) {
	p.seq++
	p.buf[0], p.buf[1], p.buf[6] = p.kind, status, p.seq
	binary.BigEndian.PutUint16(p.buf[2:], uint16(len(p.buf)))
	if p.err == nil {
		_, p.err = p.out.Write(p.buf)
	}
	p.buf = p.buf[:headerSize]
}

// reader takes values off a message. Its first error stays, and every value after it is zero.
type reader struct {
	b   []byte
	err error
}

func (r *reader) bytes(n int) []byte {
	if r.err != nil || n < 0 || n > len(r.b) {
		r.err = errMalformed
		return nil
	}
	out := r.b[:n:n]
	r.b = r.b[n:]
	return out
}

func (r *reader) u8() byte {
	if b := r.bytes(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) u16() uint16 {
	if b := r.bytes(2); b != nil {
		return binary.LittleEndian.Uint16(b)
	}
	return 0
}

func (r *reader) u32() uint32 {
	if b := r.bytes(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

func (r *reader) u64() uint64 {
	if b := r.bytes(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

// text takes n UTF-16 code units.
func (r *reader) text(n int) string { return decodeText(r.bytes(2 * n)) }

func decodeText(b []byte) string {
	units := make([]uint16, len(b)/2)
	for i := range units {
		units[i] = binary.LittleEndian.Uint16(b[2*i:])
	}
	return string(utf16.Decode(units))
}

func encodeText(s string) []byte {
	out := make([]byte, 0, 2*len(s))
	for _, unit := range utf16.Encode([]rune(s)) {
		out = binary.LittleEndian.AppendUint16(out, unit)
	}
	return out
}

// appendText8 appends a text that counts its code units in one byte, cut where it is longer.
func appendText8(b []byte, s string) []byte {
	text := encodeText(s)
	text = text[:min(len(text), 2*0xff)]
	return append(append(b, byte(len(text)/2)), text...)
}

// appendText16 appends a text that counts its code units in two bytes, cut at what one message of an error may hold.
func appendText16(b []byte, s string) []byte {
	const maxUnits = 16000
	text := encodeText(s)
	text = text[:min(len(text), 2*maxUnits)]
	return append(binary.LittleEndian.AppendUint16(b, uint16(len(text)/2)), text...)
}
