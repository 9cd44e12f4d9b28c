package sqlserver

import (
	"testing"

	"pgregory.net/rapid"

	"whalefall/collectors"
	"whalefall/collectors/collectortest"
	"whalefall/models"
)

// measures are the columns of numbers that sizes and rows are computed from.
var measures = map[string][]string{
	"sys.partitions":       {"rows"},
	"sys.allocation_units": {"data_pages", "used_pages", "total_pages"},
	"sys.dm_db_partition_stats": {
		"in_row_data_page_count", "lob_used_page_count", "row_overflow_used_page_count", "used_page_count",
		"reserved_page_count", "row_count",
	},
	"sys.dm_db_xtp_table_memory_stats": {"memory_used_by_table_kb", "memory_used_by_indexes_kb"},
}

// Impossible numbers concern their table only.
func TestReader_Tables_ImpossibleNumbers(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		rows := withMemory(tablesNamed("a", "b", "c"))
		for view, columns := range measures {
			for i := range rows[view] {
				if rapid.Bool().Draw(r, "touch") {
					rows[view][i][rapid.SampledFrom(columns).Draw(r, "column")] = collectortest.HostileNumber().Draw(r, "value")
				}
			}
		}
		denied := func(text string) bool { return rapid.Bool().Draw(r, "denied") && needsState(text) }
		result, _, err := onSQLite(t, rows, denied).tables(t.Context())
		if err != nil || len(result.Tables) < 3 || !result.Complete {
			r.Fatalf("got %d tables, complete %v, %v; want all", len(result.Tables), result.Complete, err)
		}
		collectortest.CheckSizes(r, result.Tables)
	})
}

func TestReader_Tables_ImpossibleNumberOfOne(t *testing.T) {
	t.Parallel()
	rows := tablesNamed("a", "b", "c")
	stats := rows["sys.dm_db_partition_stats"]
	stats[0]["reserved_page_count"], stats[1]["row_count"] = int64(1)<<62, -5
	stats[2]["reserved_page_count"] = int64(collectors.MaxNumber / pageBytes)
	result := mustTables(t, onSQLite(t, rows, nil))
	a, b, c := rowNamed(t, result, "a"), rowNamed(t, result, "b"), rowNamed(t, result, "c")
	if a.Unread != models.UnreadFailed || a.Total != nil {
		t.Errorf("a: got %+v, want it unread", a)
	}
	if b.Note != models.NoteImpossible || b.Rows != nil || b.RowsSource != "" || b.Total == nil || *b.Total != pageBytes {
		t.Errorf("b: got %+v, want a note, bytes and no rows", b)
	}
	if c.Note != "" || c.Total == nil || *c.Total != collectors.MaxNumber || c.Rows == nil || *c.Rows != 10 {
		t.Errorf("c: got %+v, want all figures", c)
	}
}

func TestFileSums_Plus(t *testing.T) {
	t.Parallel()
	var sums fileSums
	for _, pages := range []collectors.Number{1 << 42, 1 << 42, 1 << 43} {
		sums = sums.plus(0, pages)
	}
	if sums = sums.plus(fileLog, 3); sums.data != collectors.Impossible || sums.log != 3*pageBytes {
		t.Errorf("got %d, %d; want impossible data and a log", sums.data, sums.log)
	}
}
