package tds

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/big"
	"time"

	"golang.org/x/text/encoding/charmap"
)

// readValue takes a parameter's type and value.
func readValue(r *reader) any {
	kind := r.u8()
	switch kind {
	case wireNull:
		return nil
	case wireInt1, wireBit, wireInt2, wireInt4, wireInt8, wireFloat4, wireFloat8:
		return readFixed(r, kind)
	case wireVarBinary, wireBinary, wireVarChar, wireChar, wireNVarChar, wireNChar:
		return readVariable(r, kind)
	case wireDate:
		return decodeShort(r, kind, 0)
	case wireTime, wireDateTime2, wireDateTimeOffset:
		return decodeShort(r, kind, r.u8())
	case wireDecimal, wireNumeric:
		r.bytes(2) // width, precision
		return decodeShort(r, kind, r.u8())
	case wireGUID, wireIntN, wireBitN, wireFloatN, wireMoneyN, wireDateTimeN:
		r.u8() // width
		return decodeShort(r, kind, 0)
	default:
		r.err = errMalformed
		return nil
	}
}

func readFixed(r *reader, kind byte) any {
	switch kind {
	case wireBit:
		return r.u8() != 0
	case wireInt1:
		return int64(r.u8())
	case wireInt2:
		return int64(int16(r.u16()))
	case wireInt4:
		return int64(int32(r.u32()))
	case wireInt8:
		return int64(r.u64())
	case wireFloat4:
		return float64(math.Float32frombits(r.u32()))
	default:
		return math.Float64frombits(r.u64())
	}
}

// readVariable takes a text or bytes that count in two bytes, or in chunks for a (max) type.
func readVariable(r *reader, kind byte) any {
	limit := r.u16()
	binaryKind := kind == wireVarBinary || kind == wireBinary
	if !binaryKind {
		r.bytes(len(collation))
	}
	data, null := readShort(r, limit)
	switch {
	case null || r.err != nil:
		return nil
	case binaryKind:
		return data
	case kind == wireNVarChar || kind == wireNChar:
		return decodeText(data)
	default:
		text, _ := charmap.Windows1252.NewDecoder().Bytes(data)
		return string(text)
	}
}

func readShort(r *reader, limit uint16) (data []byte, null bool) {
	if limit == noLimit {
		return readLong(r)
	}
	length := r.u16()
	if length == nullShort {
		return nil, true
	}
	return r.bytes(int(length)), false
}

func readLong(r *reader) (data []byte, null bool) {
	total := r.u64()
	if total == nullLong {
		return nil, true
	}
	data = []byte{}
	for r.err == nil {
		chunk := r.u32()
		if chunk == 0 {
			break
		}
		data = append(data, r.bytes(int(chunk))...)
	}
	if total != unknownLong && total != uint64(len(data)) {
		r.err = errMalformed
	}
	return data, false
}

// decodeShort takes a value that counts in one byte.
func decodeShort(r *reader, kind, scale byte) any {
	data := r.bytes(int(r.u8()))
	if len(data) == 0 || r.err != nil {
		return nil
	}
	value, ok := decode(kind, scale, data)
	if !ok {
		r.err = errMalformed
	}
	return value
}

func decode(kind, scale byte, data []byte) (any, bool) {
	switch kind {
	case wireIntN:
		return decodeInteger(data)
	case wireBitN:
		return data[0] != 0, len(data) == 1
	case wireFloatN:
		return decodeFloat(data)
	case wireDecimal, wireNumeric:
		return decodeDecimal(data, scale), true
	case wireMoneyN:
		return decodeMoney(data)
	case wireGUID:
		return data, len(data) == 16
	case wireDateTimeN:
		return decodeDateTime(data)
	default:
		return decodeTime(kind, scale, data)
	}
}

func decodeInteger(data []byte) (any, bool) {
	switch len(data) {
	case 1:
		return int64(data[0]), true
	case 2:
		return int64(int16(binary.LittleEndian.Uint16(data))), true
	case 4:
		return int64(int32(binary.LittleEndian.Uint32(data))), true
	case 8:
		return int64(binary.LittleEndian.Uint64(data)), true
	default:
		return nil, false
	}
}

func decodeFloat(data []byte) (any, bool) {
	switch len(data) {
	case 4:
		return float64(math.Float32frombits(binary.LittleEndian.Uint32(data))), true
	case 8:
		return math.Float64frombits(binary.LittleEndian.Uint64(data)), true
	default:
		return nil, false
	}
}

// littleEndian is a number of any length, least byte first.
func littleEndian(data []byte) *big.Int {
	reversed := make([]byte, len(data))
	for i, b := range data {
		reversed[len(data)-1-i] = b
	}
	return new(big.Int).SetBytes(reversed)
}

func decodeDecimal(data []byte, scale byte) string {
	number := littleEndian(data[1:])
	if data[0] == 0 {
		number.Neg(number)
	}
	power := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(scale)), nil)
	return new(big.Rat).SetFrac(number, power).FloatString(int(scale))
}

// decodeMoney reads ten-thousandths, of which the high four bytes come first.
func decodeMoney(data []byte) (any, bool) {
	const scale = 10_000
	var amount int64
	switch len(data) {
	case 4:
		amount = int64(int32(binary.LittleEndian.Uint32(data)))
	case 8:
		amount = int64(int32(binary.LittleEndian.Uint32(data)))<<32 | int64(binary.LittleEndian.Uint32(data[4:]))
	default:
		return nil, false
	}
	return big.NewRat(amount, scale).FloatString(4), true
}

func decodeDateTime(data []byte) (any, bool) {
	switch len(data) {
	case 4:
		minutes := time.Duration(binary.LittleEndian.Uint16(data[2:])) * time.Minute
		return day1900.AddDate(0, 0, int(binary.LittleEndian.Uint16(data))).Add(minutes), true
	case 8:
		nanos := int64(binary.LittleEndian.Uint32(data[4:])) * int64(time.Second) / ticksPerSecond
		return day1900.AddDate(0, 0, int(int32(binary.LittleEndian.Uint32(data)))).Add(time.Duration(nanos)), true
	default:
		return nil, false
	}
}

// decodeTime reads date, time, datetime2 and datetimeoffset: a time of day, then days, then minutes, as far as the
// type has them.
func decodeTime(kind, scale byte, data []byte) (any, bool) {
	tail := map[byte]int{wireDate: 3, wireTime: 0, wireDateTime2: 3, wireDateTimeOffset: 5}[kind]
	if len(data) < tail || len(data) > tail+5 || scale > scaleMax {
		return nil, false
	}
	clock := littleEndian(data[:len(data)-tail]).Int64()
	for range scaleMax - int(scale) {
		clock *= 10
	}
	if clock < 0 || clock > secondsPerDay*tenMillionthsPS {
		return nil, false
	}
	if kind == wireTime {
		return fmt.Sprint(time.Time{}.Add(time.Duration(clock) * hundredNanos).Format("15:04:05.0000000")), true
	}
	data = data[len(data)-tail:]
	t := dayOne.AddDate(0, 0, int(littleEndian(data[:3]).Int64())).Add(time.Duration(clock) * hundredNanos)
	if kind == wireDateTimeOffset {
		minutes := int(int16(binary.LittleEndian.Uint16(data[3:])))
		t = t.In(time.FixedZone("", minutes*60))
	}
	return t, true
}
