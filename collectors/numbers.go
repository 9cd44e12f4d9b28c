package collectors

import (
	"math"
	"math/big"
	"strings"

	"whalefall/models"
)

// Number is a number of bytes, pages or rows that a server sent, or a sum of such numbers. A negative one is none:
// Unknown or Impossible. The zero value is 0.
type Number int64

// What is no number.
const (
	Unknown    Number = -1 // the server sent NULL
	Impossible Number = -2 // what the server sent cannot be: negative, not finite, or beyond MaxNumber
)

// MaxNumber is the largest number that is believed: 64 PiB, or as many pages or rows. It leaves room for sums of stored
// numbers.
const MaxNumber = 1 << 56

// numberBits is the precision that holds all 40 digits of Oracle's NUMBER.
const numberBits = 140

// Scan implements sql.Scanner. It truncates fractions and never returns an error: one number of one table must not fail
// a collection.
func (n *Number) Scan(value any) error {
	switch v := value.(type) {
	case nil:
		*n = Unknown
	case int64:
		*n = Checked(v)
	case uint64:
		*n = Checked(int64(min(v, math.MaxInt64)))
	case float64:
		*n = Rounded(math.Trunc(v))
	case []byte:
		*n = parsed(string(v))
	case string:
		*n = parsed(v)
	default:
		*n = Impossible
	}
	return nil
}

// parsed returns the number that a text is, in any notation that servers and drivers use.
func parsed(text string) Number {
	const longest = 400 // characters; numbers have fewer
	if len(text) > longest || strings.ContainsAny(text, "xXpP_") {
		return Impossible
	}
	number, _, err := new(big.Float).SetPrec(numberBits).Parse(text, 10)
	if err != nil || number.IsInf() {
		return Impossible
	}
	whole, _ := number.Int64() // the nearest, if it is none
	return Checked(whole)
}

// Checked returns n if it is possible.
func Checked(n int64) Number {
	if n < 0 || n > MaxNumber {
		return Impossible
	}
	return Number(n)
}

// Rounded returns the integer next to f if it is possible.
func Rounded(f float64) Number {
	if f = math.Round(f); f >= 0 && f <= MaxNumber {
		return Number(f)
	}
	return Impossible
}

// Plus returns the sum. It is none if one of them is none, and Impossible if it is not possible.
func (n Number) Plus(m Number) Number {
	if n < 0 || m < 0 {
		return min(n, m)
	}
	return Checked(int64(n) + int64(m))
}

// Times returns the product with a positive factor. It is Impossible if it is not possible.
func (n Number) Times(factor int64) Number {
	switch {
	case n < 0:
		return n
	case int64(n) > MaxNumber/factor:
		return Impossible
	}
	return n * Number(factor)
}

// Known reports whether it is a number.
func (n Number) Known() bool { return n >= 0 }

// Pointer returns the number, nil for none.
func (n Number) Pointer() *int64 {
	if n < 0 {
		return nil
	}
	return new(int64(n))
}

// AddKnown returns the sum of two numbers, nil if one of them is unknown or the sum is not possible.
func AddKnown(a, b *int64) *int64 {
	if a == nil || b == nil {
		return nil
	}
	return Checked(*a).Plus(Checked(*b)).Pointer()
}

// ErrImpossible returns the error for a database whose size, as the server tells it, cannot be.
func ErrImpossible(database string) *models.Error {
	return &models.Error{Code: models.CodeCollection, Key: "collect.impossible", Args: models.Args("Name", database)}
}
