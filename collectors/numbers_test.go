package collectors_test

import (
	"fmt"
	"math"
	"math/big"
	"runtime"
	"testing"

	"pgregory.net/rapid"

	"whalefall/collectors"
)

func TestNumber_Scan(t *testing.T) {
	t.Parallel()
	const impossible, unknown = collectors.Impossible, collectors.Unknown
	for _, test := range []struct {
		value any
		want  collectors.Number
	}{
		{nil, unknown},
		{int64(0), 0},
		{int64(5), 5},
		{int64(-1), impossible},
		{int64(math.MinInt64), impossible},
		{int64(collectors.MaxNumber), collectors.MaxNumber},
		{int64(collectors.MaxNumber + 1), impossible},
		{uint64(7), 7},
		{uint64(math.MaxUint64), impossible},
		{1.9, 1},
		{1e30, impossible},
		{-0.5, 0},
		{-1.5, impossible},
		{math.NaN(), impossible},
		{math.Inf(1), impossible},
		{math.Inf(-1), impossible},
		{"4503599627370497", 4503599627370497},
		{[]byte("18446744073709551615"), impossible},
		{"18446744073709551616", impossible},
		{"-9223372036854775808", impossible},
		{"1E+3", 1000},
		{"12.75", 12},
		{"1e999999999", impossible},
		{"Infinity", impossible},
		{"NaN", impossible},
		{"", impossible},
		{"0x10", impossible},
		{"twelve", impossible},
		{true, impossible},
	} {
		var n collectors.Number
		if err := n.Scan(test.value); err != nil || n != test.want {
			t.Errorf("%v (%T): got %d, %v; want %d", test.value, test.value, n, err, test.want)
		}
	}
}

// A few characters of a server must not fill the memory. No other test runs meanwhile.
func TestNumber_Scan_HugeExponent(t *testing.T) {
	const most = 1 << 20 // bytes
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	var n collectors.Number
	if err := n.Scan("1e300000000"); err != nil || n != collectors.Impossible {
		t.Errorf("got %d, %v", n, err)
	}
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; used > most {
		t.Errorf("%d bytes were allocated, want at most %d", used, most)
	}
}

// anything draws a value as a driver may return one for a number.
func anything() *rapid.Generator[any] {
	return rapid.Custom(func(t *rapid.T) any {
		switch rapid.IntRange(0, 6).Draw(t, "type") {
		case 0:
			return rapid.Int64().Draw(t, "integer")
		case 1:
			return rapid.Uint64().Draw(t, "unsigned")
		case 2:
			return rapid.Float64().Draw(t, "float")
		case 3:
			return rapid.SampledFrom([]any{math.NaN(), math.Inf(1), math.Inf(-1), nil}).Draw(t, "special")
		case 4:
			return rapid.StringMatching(`-?[0-9]{1,45}(\.[0-9]{1,3})?([eE][+-]?[0-9]{1,4})?`).Draw(t, "text")
		case 5:
			return []byte(rapid.StringMatching(`[0-9]{1,20}`).Draw(t, "digits"))
		}
		return rapid.String().Draw(t, "noise")
	})
}

// Whatever a server sends for a number, the result is that number or none, and so are sums and products.
func TestNumber_Properties(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		sum, exact, none := collectors.Number(0), new(big.Int), false
		for i, value := range rapid.SliceOfN(anything(), 1, 9).Draw(t, "values") {
			var n collectors.Number
			if err := n.Scan(value); err != nil || n < collectors.Impossible || n > collectors.MaxNumber {
				t.Fatalf("%v: got %d, %v", value, n, err)
			}
			if p := n.Pointer(); (p != nil) != n.Known() || p != nil && *p < 0 {
				t.Fatalf("%v: got pointer %v for %d", value, p, n)
			}
			if v, ok := value.(int64); ok && v >= 0 && v <= collectors.MaxNumber && int64(n) != v {
				t.Fatalf("value %d of %d: got %d", i, v, n)
			}

			factor := rapid.Int64Range(1, 1<<20).Draw(t, "factor")
			product := n.Times(factor)
			if want := new(big.Int).Mul(big.NewInt(int64(n)), big.NewInt(factor)); product.Known() &&
				want.Cmp(big.NewInt(int64(product))) != 0 {
				t.Fatalf("%d times %d: got %d", n, factor, product)
			}
			sum, none = sum.Plus(n), none || !n.Known()
			exact.Add(exact, big.NewInt(int64(n)))
		}
		possible := !none && exact.Cmp(big.NewInt(collectors.MaxNumber)) <= 0
		if sum.Known() != possible || possible && fmt.Sprint(exact) != fmt.Sprint(int64(sum)) {
			t.Fatalf("got sum %d, want %v, possible %v", sum, exact, possible)
		}
	})
}
