package tds

import (
	"encoding/binary"
	"math"
	"time"
)

// readValue reads the type and value of a parameter. It knows the types that a driver sends for values of database/sql;
// any other is malformed.
func readValue(r *reader) any {
	switch kind := r.u8(); kind {
	case wireNull:
		return nil
	case wireVarBinary, wireNVarChar:
		return readVariable(r, kind)
	case wireIntN, wireBitN, wireFloatN, wireDateTimeOffset:
		r.u8() // the width, or the scale: a driver sends the largest
		return readShort(r, kind)
	default:
		r.err = errMalformed
		return nil
	}
}

// readVariable reads text or bytes with a length of two bytes, or in chunks for a (max) type.
func readVariable(r *reader, kind byte) any {
	limit := r.u16()
	if kind == wireNVarChar {
		r.bytes(len(collation))
	}
	var data []byte
	if limit == noLimit {
		data = readLong(r)
	} else if length := r.u16(); length != nullShort {
		data = r.bytes(int(length))
	}
	switch {
	case data == nil || r.err != nil:
		return nil
	case kind == wireVarBinary:
		return data
	default:
		return decodeText(data)
	}
}

// readLong reads a value in chunks; nil is NULL.
func readLong(r *reader) []byte {
	total := r.u64()
	if total == nullLong {
		return nil
	}
	data := []byte{}
	for chunk := r.u32(); chunk > 0; chunk = r.u32() {
		data = append(data, r.bytes(int(chunk))...)
	}
	if total != unknownLong && total != uint64(len(data)) {
		r.err = errMalformed
	}
	return data
}

// readShort reads a value with a length of one byte.
func readShort(r *reader, kind byte) any {
	data := r.bytes(int(r.u8()))
	if len(data) == 0 || r.err != nil {
		return nil
	}
	value := decode(kind, data)
	if value == nil {
		r.err = errMalformed
	}
	return value
}

// decode decodes a value; nil if its type has no values of that length.
func decode(kind byte, data []byte) any {
	number := littleEndian(data)
	switch length := len(data); {
	case kind == wireBitN && length == 1:
		return number != 0
	case kind == wireIntN && length == 1:
		return int64(number)
	case kind == wireIntN && length == 2:
		return int64(int16(number))
	case kind == wireIntN && length == 4:
		return int64(int32(number))
	case kind == wireIntN && length == 8:
		return int64(number)
	case kind == wireFloatN && length == 4:
		return float64(math.Float32frombits(uint32(number)))
	case kind == wireFloatN && length == 8:
		return math.Float64frombits(number)
	case kind == wireDateTimeOffset && length == 10:
		return decodeDateTimeOffset(data)
	default:
		return nil
	}
}

// littleEndian decodes a number of up to eight bytes.
func littleEndian(data []byte) uint64 {
	var number uint64
	for i, b := range data[:min(len(data), 8)] {
		number |= uint64(b) << (8 * i)
	}
	return number
}

// decodeDateTimeOffset reads 100 ns since midnight, days, and the minutes of the zone.
func decodeDateTimeOffset(data []byte) time.Time {
	clock := time.Duration(littleEndian(data[:5])) * hundredNanos
	days := int(littleEndian(data[5:8]))
	minutes := int(int16(binary.LittleEndian.Uint16(data[8:])))
	return dayOne.AddDate(0, 0, days).Add(clock).In(time.FixedZone("", minutes*60))
}
