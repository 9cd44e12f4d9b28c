package tds

import (
	"context"
	"encoding/binary"
	"io"
	"strconv"
)

// Tokens of an answer.
const (
	tokenReturnStatus = 0x79
	tokenColumns      = 0x81
	tokenError        = 0xaa
	tokenInfo         = 0xab
	tokenLoginAck     = 0xad
	tokenRow          = 0xd1
	tokenChange       = 0xe3
	tokenDone         = 0xfd
	tokenDoneProc     = 0xfe
	tokenDoneInProc   = 0xff
)

// Bits of a done token.
const (
	doneMore        = 0x0001
	doneError       = 0x0002
	doneCount       = 0x0010
	doneAttention   = 0x0020
	doneServerError = 0x0100
)

// Kinds of a change of the session's environment.
const (
	changeDatabase   = 1
	changePacketSize = 4
	changeCollation  = 7
	changeBegin      = 8
	changeCommit     = 9
	changeRollback   = 10
	changeReset      = 18
)

const (
	commandSelect = 0xc1
	fatalClass    = 20 // errors of this class or above end the connection
	failedStatus  = 1  // what a procedure returns after an error
)

// collation is Latin1_General_CI_AS, code page 1252: the default of SQL Server's setup.
var collation = []byte{0x09, 0x04, 0xd0, 0x00, 0x34}

// Writer writes the answer of one request: any number of result sets, each of Columns, Row and Done.
type Writer struct {
	packets   *packetWriter
	columns   []Column
	procedure bool   // whether it answers a procedure call
	pending   []byte // done token of the last result, held back until it is known whether another follows
}

func newWriter(out io.Writer, packetSize int) *Writer {
	return &Writer{packets: newPacketWriter(out, packetReply, packetSize)}
}

func (w *Writer) token(b []byte) {
	if w.pending != nil {
		w.pending[1] |= doneMore
		_, _ = w.packets.Write(w.pending)
		w.pending = nil
	}
	_, _ = w.packets.Write(b)
}

// Columns begins a result set.
func (w *Writer) Columns(columns ...Column) error {
	w.columns = columns
	b := binary.LittleEndian.AppendUint16([]byte{tokenColumns}, uint16(len(columns)))
	for _, column := range columns {
		b = append(b, 0, 0, 0, 0, nullable, 0) // user type, flags
		b = column.appendType(b)
		b = appendText8(b, column.Name)
	}
	w.token(b)
	return w.packets.err
}

// Row writes a row. If a value does not fit its column, it returns an Error and writes nothing.
func (w *Writer) Row(ctx context.Context, values ...any) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	b := []byte{tokenRow}
	for i, column := range w.columns {
		var err error
		if b, err = column.appendValue(b, values[i]); err != nil {
			return err
		}
	}
	w.token(b)
	return w.packets.err
}

// Done ends a result set with the number of its rows.
func (w *Writer) Done(rows int64) {
	w.token(nil)
	w.pending = w.done(doneCount, commandSelect, rows)
}

// Info sends an informational message.
func (w *Writer) Info(message Error) { w.token(appendMessage(tokenInfo, message)) }

// Database reports a change of the current database.
func (w *Writer) Database(now, before string) {
	w.change(changeDatabase, appendText8(appendText8(nil, now), before))
}

func (w *Writer) done(status, command uint16, rows int64) []byte {
	kind := byte(tokenDone)
	if w.procedure {
		kind = tokenDoneInProc
	}
	return appendDone(kind, status, command, rows)
}

func appendDone(kind byte, status, command uint16, rows int64) []byte {
	b := binary.LittleEndian.AppendUint16([]byte{kind}, status)
	b = binary.LittleEndian.AppendUint16(b, command)
	return binary.LittleEndian.AppendUint64(b, uint64(rows))
}

func appendMessage(kind byte, e Error) []byte {
	body := binary.LittleEndian.AppendUint32(nil, uint32(e.Number))
	body = append(body, e.State, e.Class)
	body = appendText16(body, e.Message)
	body = appendText8(body, e.Server)
	body = appendText8(body, e.Procedure)
	body = binary.LittleEndian.AppendUint32(body, uint32(e.Line))
	return append(binary.LittleEndian.AppendUint16([]byte{kind}, uint16(len(body))), body...)
}

// finish ends the answer. It returns an error of a fatal class, so that the connection ends.
func (w *Writer) finish(failures Errors) error {
	var fatal error
	var status uint16
	for _, failure := range failures {
		w.token(appendMessage(tokenError, failure))
		status |= doneError
		if failure.Class >= fatalClass {
			status |= doneServerError
			fatal = failure
		}
	}
	switch {
	case w.procedure:
		returned := uint32(0)
		if status != 0 {
			returned = failedStatus
		}
		w.token(binary.LittleEndian.AppendUint32([]byte{tokenReturnStatus}, returned))
		w.token(appendDone(tokenDoneProc, status, 0, 0))
	case w.pending != nil && status == 0:
		_, _ = w.packets.Write(w.pending)
	default:
		w.token(w.done(status, 0, 0))
	}
	if err := w.packets.end(); err != nil {
		return err
	}
	return fatal
}

// attention ends the answer to a cancelled request, or acknowledges an attention that came too late.
func (w *Writer) attention() error {
	w.token(appendDone(tokenDone, doneAttention, 0, 0))
	return w.packets.end()
}

// refuse answers a failed login.
func (w *Writer) refuse(err error) error { return w.finish(messages(err)) }

// welcome answers a successful login.
func (w *Writer) welcome(welcome Welcome, version [4]byte, packetSize int) error {
	for _, failure := range welcome.Errors {
		w.token(appendMessage(tokenError, failure))
	}
	w.Database(welcome.Database, "master")
	w.Info(Error{Number: 5701, State: 2, Message: "Changed database context to '" + welcome.Database + "'.", Line: 1})
	w.changeBytes(changeCollation, collation, nil)
	body := append([]byte{1}, 0x74, 0, 0, 4) // an SQL interface, TDS 7.4
	body = appendText8(body, serverName)
	body = append(body, version[:]...)
	w.token(append(binary.LittleEndian.AppendUint16([]byte{tokenLoginAck}, uint16(len(body))), body...))
	size := strconv.Itoa(packetSize)
	w.change(changePacketSize, appendText8(appendText8(nil, size), strconv.Itoa(defaultPacketSize)))
	return w.finish(nil)
}

// resetDone reports that the session has been reset.
func (w *Writer) resetDone(database string) {
	w.Database(database, database)
	w.changeBytes(changeReset, nil, nil)
}

func (w *Writer) changeBytes(kind byte, now, before []byte) {
	body := append([]byte{byte(len(now))}, now...)
	w.change(kind, append(append(body, byte(len(before))), before...))
}

func (w *Writer) change(kind byte, body []byte) {
	b := binary.LittleEndian.AppendUint16([]byte{tokenChange}, uint16(len(body)+1))
	w.token(append(append(b, kind), body...))
}
