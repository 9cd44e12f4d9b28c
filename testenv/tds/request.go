package tds

import (
	"encoding/binary"
	"fmt"
)

// Requests of the transaction manager.
const (
	transactionBegin    = 5
	transactionCommit   = 7
	transactionRollback = 8
)

const (
	byID          = 0xffff // in place of the length of a procedure's name
	executeSQL    = 10     // the number of sp_executesql
	executeByName = "sp_executesql"
)

// skipHeaders drops the headers that precede every request.
func skipHeaders(r *reader) {
	length := int(r.u32())
	r.bytes(length - 4)
}

func parseBatch(body []byte) (Query, error) {
	r := reader{b: body}
	skipHeaders(&r)
	return Query{Text: decodeText(r.b)}, r.err
}

func parseRPC(body []byte) (Query, error) {
	r := reader{b: body}
	skipHeaders(&r)
	var q Query
	if length := r.u16(); length == byID {
		id := r.u16()
		q.Procedure = fmt.Sprintf("procedure %d", id)
		if id == executeSQL {
			q.Procedure = executeByName
		}
	} else {
		q.Procedure = r.text(int(length))
	}
	r.u16() // option flags
	for r.err == nil && len(r.b) > 0 {
		name := r.text(int(r.u8()))
		r.u8() // status flags
		q.Params = append(q.Params, Param{Name: name, Value: readValue(&r)})
	}
	if r.err != nil || q.Procedure != executeByName {
		return q, r.err
	}
	return unwrapExecuteSQL(q)
}

// unwrapExecuteSQL turns a call of sp_executesql into its statement and the statement's parameters.
func unwrapExecuteSQL(q Query) (Query, error) {
	if len(q.Params) == 0 {
		return q, errMalformed
	}
	text, ok := q.Params[0].Value.(string)
	if !ok {
		return q, errMalformed
	}
	return Query{Text: text, Params: q.Params[min(2, len(q.Params)):]}, nil
}

// manageTransaction numbers transactions, which is all that a driver needs.
func (c *conn) manageTransaction(w *Writer, body []byte) error {
	r := reader{b: body}
	skipHeaders(&r)
	kind := r.u16()
	if r.err != nil {
		return r.err
	}
	number := binary.LittleEndian.AppendUint64(nil, 1)
	switch {
	case kind == transactionBegin && c.transaction == 0:
		c.transaction = 1
		w.changeBytes(changeBegin, number, nil)
	case kind == transactionCommit && c.transaction != 0:
		c.transaction = 0
		w.changeBytes(changeCommit, nil, number)
	case kind == transactionRollback && c.transaction != 0:
		c.transaction = 0
		w.changeBytes(changeRollback, nil, number)
	default:
		return w.finish(Errors{{
			Number: 3902, Class: 16, State: 1, Line: 1,
			Message: "The transaction request has no corresponding transaction.",
		}})
	}
	return w.finish(nil)
}
