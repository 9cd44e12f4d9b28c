package collectors

import (
	"context"
	"database/sql"
	"maps"
	"testing"

	"whalefall/testenv/catalog"
)

// twoTables is a catalog of the tables kept, which has pages, and empty, which has none, and of those that are named, which
// have some.
func twoTables(others ...string) catalog.Rows {
	rows := catalog.Rows{"sys.schemas": {{"schema_id": 1, "name": "dbo"}}}
	for i, name := range append([]string{"kept", "empty"}, others...) {
		object, pages := 1000+i, 9
		if name == "empty" {
			pages = 0
		}
		add := func(view string, row map[string]any) { rows[view] = append(rows[view], row) }
		add("sys.objects", map[string]any{"object_id": object, "schema_id": 1, "name": name, "type": "U", "is_ms_shipped": 0})
		add("sys.partitions", map[string]any{"partition_id": object, "hobt_id": object, "object_id": object, "index_id": 1, "rows": 10})
		add("sys.allocation_units", map[string]any{
			"type": 1, "container_id": object, "data_pages": pages, "used_pages": pages, "total_pages": pages,
		})
		add("sys.dm_db_partition_stats", map[string]any{
			"object_id": object, "index_id": 1, "in_row_data_page_count": pages, "lob_used_page_count": 0,
			"row_overflow_used_page_count": 0, "used_page_count": pages, "reserved_page_count": pages, "row_count": 10,
		})
	}
	return rows
}

// TestSQLServerDroppedTable drops a table after it was listed and before its pages are read.
func TestSQLServerDroppedTable(t *testing.T) {
	for name, denied := range map[string]func(string) bool{"with the statistics": nil, "without": needsState} {
		t.Run(name, func(t *testing.T) {
			before, after := sqlserverOnSQLite(t, twoTables("dropped"), denied), sqlserverOnSQLite(t, twoTables(), denied)
			reader, dropped := before, false
			reader.each = func(ctx context.Context, text string, scan func(*sql.Rows) error) error {
				if dropped = dropped || text == sqlserverPagesSQL; dropped {
					return after.each(ctx, text, scan)
				}
				return before.each(ctx, text, scan)
			}
			result, _, err := reader.tables(t.Context())
			if err != nil || !result.Complete {
				t.Fatalf("complete is %v: %v", result.Complete, err)
			}
			totals := map[string]int64{}
			for _, table := range result.Tables {
				if table.Total == nil || table.Unread != "" {
					t.Fatalf("%s has no size: %q", table.Name, table.Unread)
				}
				totals[table.Name] = *table.Total
			}
			if want := map[string]int64{"kept": 9 * sqlserverPage, "empty": 0}; !maps.Equal(totals, want) {
				t.Errorf("got %v, want %v", totals, want)
			}
		})
	}
}
