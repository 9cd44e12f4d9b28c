package collectors

import (
	"context"
	"database/sql"
	"errors"
	"maps"
	"testing"

	"whalefall/models"
	"whalefall/testenv/catalog"
)

// tablesNamed is a catalog of tables that have one page each; one that is named empty has none.
func tablesNamed(names ...string) catalog.Rows {
	rows := catalog.Rows{"sys.schemas": {{"schema_id": 1, "name": "dbo"}}}
	for i, name := range names {
		object, pages := 1000+i, 1
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

// until reads this catalog up to the time when a statement is sent for the nth time, and the other one from there.
func (r sqlserverReader) until(statement string, nth int, after sqlserverReader) sqlserverReader {
	before, sent := r.each, 0
	r.each = func(ctx context.Context, text string, scan func(*sql.Rows) error) error {
		if text == statement {
			sent++
		}
		if sent >= nth {
			return after.each(ctx, text, scan)
		}
		return before(ctx, text, scan)
	}
	return r
}

func wantTotals(t *testing.T, result models.TableResult, want map[string]int64) {
	t.Helper()
	if !result.Complete || result.Proof != models.ProofMetadata {
		t.Errorf("complete is %v, by %q", result.Complete, result.Proof)
	}
	totals := map[string]int64{}
	for _, table := range result.Tables {
		if table.Total == nil || table.Unread != "" {
			t.Fatalf("%s has no size: %q", table.Name, table.Unread)
		}
		totals[table.Name] = *table.Total
	}
	if !maps.Equal(totals, want) {
		t.Errorf("got %v, want %v", totals, want)
	}
}

// TestSQLServerRuleDroppedTable drops a table after it was listed and before its pages are read.
func TestSQLServerRuleDroppedTable(t *testing.T) {
	for name, denied := range map[string]func(string) bool{"with the statistics": nil, "without": needsState} {
		t.Run(name, func(t *testing.T) {
			for _, c := range []struct {
				kept []string
				want map[string]int64
			}{
				{[]string{"kept"}, map[string]int64{"kept": sqlserverPage}},
				{[]string{"kept", "empty"}, map[string]int64{"kept": sqlserverPage, "empty": 0}},
			} {
				before := sqlserverOnSQLite(t, tablesNamed(append(c.kept, "dropped")...), denied)
				after := sqlserverOnSQLite(t, tablesNamed(c.kept...), denied)
				wantTotals(t, tablesOf(t, before.until(sqlserverPagesSQL, 1, after)), c.want)
			}
		})
	}
}

// A table whose pages were read before it was dropped keeps its size.
func TestSQLServerRuleDroppedOnceMeasured(t *testing.T) {
	before := sqlserverOnSQLite(t, tablesNamed("empty", "measured"), needsState)
	after := sqlserverOnSQLite(t, tablesNamed("empty"), needsState)
	result := tablesOf(t, before.until(sqlserverObjectsSQL, 2, after))
	wantTotals(t, result, map[string]int64{"empty": 0, "measured": sqlserverPage})
}

// Whether a table was dropped is only asked when one has no pages; those in memory never have any.
func TestSQLServerRuleDroppedIsNotAskedInVain(t *testing.T) {
	sent := 0
	tablesOf(t, sqlserverOnSQLite(t, withMemory(smallDatabase()), needsState).before(func(text string) error {
		if text == sqlserverObjectsSQL {
			sent++
		}
		return nil
	}))
	if sent != 1 {
		t.Errorf("objects are read %d times", sent)
	}
}

// Nothing is known of what was dropped when the second look at it fails.
func TestSQLServerRuleDroppedUnknown(t *testing.T) {
	failure, sent := errors.New("no"), 0
	_, _, err := sqlserverOnSQLite(t, tablesNamed("empty"), needsState).before(func(text string) error {
		if text == sqlserverObjectsSQL {
			sent++
		}
		if sent == 2 {
			return failure
		}
		return nil
	}).tables(t.Context())
	if !errors.Is(err, failure) {
		t.Errorf("got %v", err)
	}
}

// What is hidden for good is no proof of anything.
func TestSQLServerRuleHiddenIsNoProof(t *testing.T) {
	rows := tablesNamed("seen", "hidden")
	rows["sys.objects"] = rows["sys.objects"][:1]
	if result := tablesOf(t, sqlserverOnSQLite(t, rows, nil)); result.Hidden != 1 || result.Complete || result.Proof != "" {
		t.Errorf("%d hidden, complete is %v by %q", result.Hidden, result.Complete, result.Proof)
	}
}

// Tables and indexed views are counted once, however many indexes they have, and at the end only what is listed.
func TestSQLServerRuleProgress(t *testing.T) {
	for objects, told := range map[int]string{tallyStep - 1: text(nil), tallyStep: text(new(int64(tallyStep)))} {
		names := make([]string, objects+2)
		for i := range names {
			names[i] = "t"
		}
		names[0] = "#temporary"
		rows := tablesNamed(names...)
		rows["sys.objects"][1]["type"] = "V"
		for _, own := range rows["sys.objects"][objects:] {
			own["type"] = "S"
		}
		stats := rows["sys.dm_db_partition_stats"]
		rows["sys.dm_db_partition_stats"] = append(stats, stats...)
		ctx, come := watched(t)
		reader := sqlserverOnSQLite(t, rows, nil)
		read := reader.each
		reader.each = func(ctx context.Context, statement string, scan func(*sql.Rows) error) error {
			err := read(ctx, statement, scan)
			if statement == sqlserverPagesSQL {
				wantCount(t, "all at first", come().TablesTotal, objects)
				if seen := text(come().TablesSeen); seen != told {
					t.Errorf("%s of %d are measured, want %s", seen, objects, told)
				}
			}
			return err
		}
		if _, _, err := reader.tables(ctx); err != nil {
			t.Fatal(err)
		}
		wantCount(t, "all", come().TablesTotal, objects-1)
		wantCount(t, "seen", come().TablesSeen, objects-1)
	}
}
