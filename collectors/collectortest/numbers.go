package collectortest

import (
	"math"

	"pgregory.net/rapid"

	"whalefall/models"
)

// HostileNumber draws what a server may send for a number of bytes, pages or rows.
func HostileNumber() *rapid.Generator[any] {
	return rapid.Custom(func(t *rapid.T) any {
		return rapid.SampledFrom([]any{
			nil, int64(0), int64(7), int64(-1), int64(math.MinInt64), int64(math.MaxInt64), int64(1 << 56), int64(1 << 50),
			1e30, -1e30, 0.5, "18446744073709551615", "-9223372036854775809", "1e400", "NaN", "Infinity", "x",
		}).Draw(t, "number")
	})
}

// CheckSizes fails unless the sizes and rows of the tables are possible, and add up where all are known.
func CheckSizes(t rapid.TB, tables []models.TableSize) {
	t.Helper()
	for _, table := range tables {
		for _, n := range []*int64{table.Total, table.Data, table.Index, table.Unused, table.Memory, table.Rows} {
			if n != nil && (*n < 0 || *n > 1<<56) {
				t.Errorf("%s: got %d, want a possible number", table.Name, *n)
			}
		}
		if table.Unread != "" && (table.Total != nil || table.Rows != nil) {
			t.Errorf("%s: got %+v, want no figures of an unread table", table.Name, table)
		}
		if table.Total == nil || table.Data == nil || table.Index == nil {
			continue
		}
		sum := *table.Data + *table.Index
		if table.Unused != nil {
			sum += *table.Unused
		}
		if sum != *table.Total {
			t.Errorf("%s: got total %d, want %d", table.Name, *table.Total, sum)
		}
	}
}
