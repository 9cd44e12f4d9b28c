package tds

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/big"
	"time"
)

// Type is a column's type.
type Type int

// The types, by their names in SQL.
const (
	BigInt Type = iota
	Int
	SmallInt
	TinyInt
	Bit
	Float
	Decimal // with Precision and Scale; values are text
	NVarChar
	VarBinary
	UniqueIdentifier // 16 bytes in their order on the wire
	DateTime
	DateTime2
)

// Column is a column of a result set.
type Column struct {
	Name             string
	Type             Type
	Size             int // of NVarChar in UTF-16 code units, of VarBinary in bytes; 0: max
	Precision, Scale uint8
}

// Numbers of the types on the wire.
const (
	wireNull           = 0x1f
	wireGUID           = 0x24
	wireIntN           = 0x26
	wireDateTime2      = 0x2a
	wireDateTimeOffset = 0x2b
	wireBitN           = 0x68
	wireDecimal        = 0x6a
	wireFloatN         = 0x6d
	wireDateTimeN      = 0x6f
	wireVarBinary      = 0xa5
	wireNVarChar       = 0xe7
)

const (
	nullable       = 1
	noLimit        = 0xffff             // the length of a (max) type
	nullShort      = 0xffff             // NULL of a type whose length has two bytes
	nullLong       = math.MaxUint64     // NULL of a (max) type
	unknownLong    = math.MaxUint64 - 1 // a (max) value of unknown length
	scaleMax       = 7                  // of times: 100 ns
	hundredNanos   = 100
	ticksPerSecond = 300 // of datetime
	decimalWords   = 16  // bytes of the widest decimal
	maxShortUnits  = 4000
	maxShortBytes  = 8000
	secondsPerDay  = 24 * 60 * 60
)

var (
	dayOne  = time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC)    // day 0 of datetime2 and datetimeoffset
	day1900 = time.Date(1900, 1, 1, 0, 0, 0, 0, time.UTC) // day 0 of datetime
)

// widths holds the wire type and the width in bytes of types with a fixed width.
var widths = map[Type]struct{ wire, width byte }{
	BigInt:           {wireIntN, 8},
	Int:              {wireIntN, 4},
	SmallInt:         {wireIntN, 2},
	TinyInt:          {wireIntN, 1},
	Bit:              {wireBitN, 1},
	Float:            {wireFloatN, 8},
	UniqueIdentifier: {wireGUID, 16},
	DateTime:         {wireDateTimeN, 8},
}

func (c Column) appendType(b []byte) []byte {
	if fixed, ok := widths[c.Type]; ok {
		return append(b, fixed.wire, fixed.width)
	}
	switch c.Type {
	case Decimal:
		return append(b, wireDecimal, decimalWords+1, c.Precision, c.Scale)
	case DateTime2:
		return append(b, wireDateTime2, scaleMax)
	case VarBinary:
		return binary.LittleEndian.AppendUint16(append(b, wireVarBinary), c.wireSize())
	default:
		b = binary.LittleEndian.AppendUint16(append(b, wireNVarChar), c.wireSize())
		return append(b, collation...)
	}
}

func (c Column) long() bool {
	return c.Size == 0 || (c.Type == NVarChar && c.Size > maxShortUnits) || c.Size > maxShortBytes
}

func (c Column) wireSize() uint16 {
	switch {
	case c.long():
		return noLimit
	case c.Type == NVarChar:
		return uint16(2 * c.Size)
	default:
		return uint16(c.Size)
	}
}

func (c Column) variable() bool { return c.Type == NVarChar || c.Type == VarBinary }

func (c Column) appendValue(b []byte, value any) ([]byte, error) {
	if value == nil {
		switch {
		case !c.variable():
			return append(b, 0), nil
		case c.long():
			return binary.LittleEndian.AppendUint64(b, nullLong), nil
		default:
			return binary.LittleEndian.AppendUint16(b, nullShort), nil
		}
	}
	data, err := c.encode(value)
	switch {
	case err != nil:
		return b, err
	case !c.variable():
		return append(append(b, byte(len(data))), data...), nil
	case c.long():
		return appendLong(b, data), nil
	case len(data) > int(c.wireSize()):
		return b, Error{
			Number: 2628, Class: 16, State: 1, Line: 1,
			Message: fmt.Sprintf("String or binary data would be truncated in column '%s'.", c.Name),
		}
	default:
		return append(binary.LittleEndian.AppendUint16(b, uint16(len(data))), data...), nil
	}
}

// appendLong appends a value of a (max) type: its length, one chunk, and the end of chunks.
func appendLong(b, data []byte) []byte {
	b = binary.LittleEndian.AppendUint64(b, uint64(len(data)))
	if len(data) > 0 {
		b = binary.LittleEndian.AppendUint32(b, uint32(len(data)))
		b = append(b, data...)
	}
	return binary.LittleEndian.AppendUint32(b, 0)
}

func (c Column) encode(value any) ([]byte, error) {
	switch v := value.(type) {
	case int:
		return c.encodeInteger(int64(v))
	case int64:
		return c.encodeInteger(v)
	case bool:
		if c.Type == Bit {
			return []byte{bit(v)}, nil
		}
	case float64:
		if c.Type == Float {
			return binary.LittleEndian.AppendUint64(nil, math.Float64bits(v)), nil
		}
	case string:
		switch c.Type {
		case NVarChar:
			return encodeText(v), nil
		case Decimal:
			return c.encodeDecimal(v)
		default: // no other type is written as text
		}
	case []byte:
		if c.Type == VarBinary || (c.Type == UniqueIdentifier && len(v) == 16) {
			return v, nil
		}
	case time.Time:
		return c.encodeTime(v)
	}
	return nil, c.mismatch(value)
}

func (c Column) mismatch(value any) error {
	return Error{
		Number: 8114, Class: 16, State: 5, Line: 1,
		Message: fmt.Sprintf("Error converting data type %T in column '%s'.", value, c.Name),
	}
}

func bit(v bool) byte {
	if v {
		return 1
	}
	return 0
}

func (c Column) encodeInteger(v int64) ([]byte, error) {
	switch c.Type {
	case Bit:
		return []byte{bit(v != 0)}, nil
	case Float:
		return c.encode(float64(v))
	case Decimal:
		return c.encodeDecimal(fmt.Sprint(v))
	case BigInt, Int, SmallInt, TinyInt:
	default:
		return nil, c.mismatch(v)
	}
	width := widths[c.Type].width
	unused := 64 - 8*uint(width)
	if kept := v << unused >> unused; (c.Type == TinyInt && uint64(v) > math.MaxUint8) ||
		(c.Type != TinyInt && kept != v) {
		return nil, Error{
			Number: 8115, Class: 16, State: 2, Line: 1,
			Message: fmt.Sprintf("Arithmetic overflow error converting expression to data type of column '%s'.", c.Name),
		}
	}
	return binary.LittleEndian.AppendUint64(nil, uint64(v))[:width], nil
}

func (c Column) encodeDecimal(text string) ([]byte, error) {
	number, ok := new(big.Rat).SetString(text)
	if !ok {
		return nil, c.mismatch(text)
	}
	number.Mul(number, new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(c.Scale)), nil)))
	whole := new(big.Int).Quo(number.Num(), number.Denom())
	if whole.BitLen() > 8*decimalWords {
		return nil, c.mismatch(text)
	}
	out := make([]byte, 1+decimalWords)
	out[0] = bit(whole.Sign() >= 0)
	for i, digit := range whole.FillBytes(make([]byte, decimalWords)) {
		out[decimalWords-i] = digit
	}
	return out, nil
}

func (c Column) encodeTime(t time.Time) ([]byte, error) {
	switch c.Type {
	case DateTime2:
		return appendDateTime2(t), nil
	case DateTime:
		midnight := time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC)
		ticks := int64(sinceMidnight(t)) * ticksPerSecond / int64(time.Second)
		b := binary.LittleEndian.AppendUint32(nil, uint32(midnight.Sub(day1900).Hours()/24))
		return binary.LittleEndian.AppendUint32(b, uint32(ticks)), nil
	default:
		return nil, c.mismatch(t)
	}
}

func sinceMidnight(t time.Time) time.Duration {
	return time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute +
		time.Duration(t.Second())*time.Second + time.Duration(t.Nanosecond())
}

// appendDateTime2 writes 100 ns since midnight in five bytes and days in three.
func appendDateTime2(t time.Time) []byte {
	midnight := time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC)
	days := (midnight.Unix() - dayOne.Unix()) / secondsPerDay
	b := binary.LittleEndian.AppendUint64(nil, uint64(sinceMidnight(t)/hundredNanos))[:5]
	return append(b, byte(days), byte(days>>8), byte(days>>16))
}
