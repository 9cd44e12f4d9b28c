package sqlserver

import (
	"context"
	"database/sql"
	"errors"
	"maps"
	"testing"

	"whalefall/collectors"
	"whalefall/collectors/collectortest"
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
func (r reader) until(statement string, nth int, after reader) reader {
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
func TestRuleDroppedTable(t *testing.T) {
	for name, denied := range map[string]func(string) bool{"with the statistics": nil, "without": needsState} {
		t.Run(name, func(t *testing.T) {
			for _, c := range []struct {
				kept []string
				want map[string]int64
			}{
				{[]string{"kept"}, map[string]int64{"kept": pageBytes}},
				{[]string{"kept", "empty"}, map[string]int64{"kept": pageBytes, "empty": 0}},
			} {
				before := onSQLite(t, tablesNamed(append(c.kept, "dropped")...), denied)
				after := onSQLite(t, tablesNamed(c.kept...), denied)
				wantTotals(t, tablesOf(t, before.until(statements["pages"], 1, after)), c.want)
			}
		})
	}
}

// A table whose pages were read before it was dropped keeps its size.
func TestRuleDroppedOnceMeasured(t *testing.T) {
	before := onSQLite(t, tablesNamed("empty", "measured"), needsState)
	after := onSQLite(t, tablesNamed("empty"), needsState)
	result := tablesOf(t, before.until(statements["objects"], 2, after))
	wantTotals(t, result, map[string]int64{"empty": 0, "measured": pageBytes})
}

// Whether a table was dropped is only asked when one has no pages; those in memory never have any.
func TestRuleDroppedIsNotAskedInVain(t *testing.T) {
	sent := 0
	tablesOf(t, onSQLite(t, withMemory(smallDatabase()), needsState).before(func(text string) error {
		if text == statements["objects"] {
			sent++
		}
		return nil
	}))
	if sent != 1 {
		t.Errorf("objects are read %d times", sent)
	}
}

// Nothing is known of what was dropped when the second look at it fails.
func TestRuleDroppedUnknown(t *testing.T) {
	failure, sent := errors.New("no"), 0
	_, _, err := onSQLite(t, tablesNamed("empty"), needsState).before(func(text string) error {
		if text == statements["objects"] {
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
func TestRuleHiddenIsNoProof(t *testing.T) {
	rows := tablesNamed("seen", "hidden")
	rows["sys.objects"] = rows["sys.objects"][:1]
	if result := tablesOf(t, onSQLite(t, rows, nil)); result.Hidden != 1 || result.Complete || result.Proof != "" {
		t.Errorf("%d hidden, complete is %v by %q", result.Hidden, result.Complete, result.Proof)
	}
}

// Tables and indexed views are counted once, however many indexes they have, and at the end only what is listed.
func TestRuleProgress(t *testing.T) {
	for objects, told := range map[int]string{collectors.TallyStep - 1: collectortest.Text(nil), collectors.TallyStep: collectortest.Text(new(int64(collectors.TallyStep)))} {
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
		ctx, come := collectortest.Watched(t)
		reader := onSQLite(t, rows, nil)
		read := reader.each
		reader.each = func(ctx context.Context, statement string, scan func(*sql.Rows) error) error {
			err := read(ctx, statement, scan)
			if statement == statements["pages"] {
				collectortest.WantCount(t, "all at first", come().TablesTotal, objects)
				if seen := collectortest.Text(come().TablesSeen); seen != told {
					t.Errorf("%s of %d are measured, want %s", seen, objects, told)
				}
			}
			return err
		}
		if _, _, err := reader.tables(ctx); err != nil {
			t.Fatal(err)
		}
		collectortest.WantCount(t, "all", come().TablesTotal, objects-1)
		collectortest.WantCount(t, "seen", come().TablesSeen, objects-1)
	}
}
