package sqlserver

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"testing"

	"whalefall/collectors"
	"whalefall/collectors/collectortest"
	"whalefall/models"
	"whalefall/testenv/catalog"
)

// tablesNamed returns a catalog of tables with one page each; the table "empty" has none.
func tablesNamed(names ...string) catalog.Rows {
	rows := catalog.Rows{"sys.schemas": {{"schema_id": 1, "name": "dbo"}}}
	for i, name := range names {
		object, pages := 1000+i, 1
		if name == "empty" {
			pages = 0
		}
		add := func(view string, row map[string]any) { rows[view] = append(rows[view], row) }
		add("sys.objects", map[string]any{
			"object_id": object, "schema_id": 1, "name": name, "type": "U", "is_ms_shipped": 0,
		})
		add("sys.partitions", map[string]any{
			"partition_id": object, "hobt_id": object, "object_id": object, "index_id": 1, "rows": 10,
		})
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

// switchTo returns a reader that changes to another catalog when the statement is sent for the nth time.
func (r *reader) switchTo(statement string, nth int, after *reader) *reader {
	before, sent := r.each, 0
	r.each = func(ctx context.Context, text string, scan func(*sql.Rows) error, args ...any) error {
		if text == statement {
			sent++
		}
		if sent >= nth {
			return after.each(ctx, text, scan, args...)
		}
		return before(ctx, text, scan, args...)
	}
	return r
}

func wantTotals(t *testing.T, result models.TableResult, want map[string]int64) {
	t.Helper()
	if !result.Complete || result.Proof != models.ProofMetadata {
		t.Errorf("got complete %v, proof %q, want true, %q", result.Complete, result.Proof, models.ProofMetadata)
	}
	totals := map[string]int64{}
	for _, table := range result.Tables {
		if table.Total == nil || table.Unread != "" {
			t.Fatalf("%s has no size, unread: %q", table.Name, table.Unread)
		}
		totals[table.Name] = *table.Total
	}
	if !maps.Equal(totals, want) {
		t.Errorf("got totals %v, want %v", totals, want)
	}
}

// A table that is dropped after it was listed and before its pages are read is left out.
func TestReader_Tables_DroppedBeforeMeasured(t *testing.T) {
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
				wantTotals(t, mustTables(t, before.switchTo(statements["pages"], 1, after)), c.want)
			}
		})
	}
}

// A table that only some of the readings of the objects list was created and dropped meanwhile, and is left out. One
// that stays is measured.
func TestReader_Tables_CreatedMeanwhile(t *testing.T) {
	for name, denied := range map[string]func(string) bool{"with the statistics": nil, "without": needsState} {
		for _, listed := range []int{1, 2} {
			t.Run(fmt.Sprintf("%s, listed %d times", name, listed), func(t *testing.T) {
				reader := onSQLite(t, tablesNamed("kept"), denied)
				without, with, sent := reader.each, onSQLite(t, tablesNamed("kept", "created"), denied), 0
				reader.each = func(ctx context.Context, text string, scan func(*sql.Rows) error, args ...any) error {
					if text == statements["objects"] {
						sent++
					}
					if text == statements["objects"] && sent <= listed {
						return with.each(ctx, text, scan, args...)
					}
					return without(ctx, text, scan, args...)
				}
				wantTotals(t, mustTables(t, reader), map[string]int64{"kept": pageBytes})
			})
		}
		t.Run(name+", in place of a dropped one", func(t *testing.T) {
			rows := tablesNamed("kept", "dropped")
			rows["sys.objects"] = rows["sys.objects"][:1]
			after := onSQLite(t, tablesNamed("kept", "created"), denied)
			reader := onSQLite(t, rows, denied).switchTo(statements["partitions"], 2, after)
			wantTotals(t, mustTables(t, reader), map[string]int64{"kept": pageBytes, "created": pageBytes})
		})
		t.Run(name+", stays", func(t *testing.T) {
			stays := onSQLite(t, tablesNamed("kept", "created"), denied)
			reader := onSQLite(t, tablesNamed("kept"), denied).switchTo(statements["objects"], 1, stays)
			wantTotals(t, mustTables(t, reader), map[string]int64{"kept": pageBytes, "created": pageBytes})
		})
	}
}

// A table that is dropped after its pages were read keeps its size.
func TestReader_Tables_DroppedAfterMeasured(t *testing.T) {
	before := onSQLite(t, tablesNamed("empty", "measured"), needsState)
	after := onSQLite(t, tablesNamed("empty"), needsState)
	result := mustTables(t, before.switchTo(statements["objects"], 2, after))
	wantTotals(t, result, map[string]int64{"empty": 0, "measured": pageBytes})
}

// The objects are read again only if a table has no pages, which is normal for memory-optimized and external ones.
func TestReader_Tables_ObjectsReadOnce(t *testing.T) {
	sent := 0
	rows := withMemory(smallDatabase())
	rows["sys.tables"] = append(rows["sys.tables"], map[string]any{
		"object_id": 3000, "schema_id": 1, "name": "x", "is_ms_shipped": false,
		"temporal_type": 0, "is_memory_optimized": false, "is_external": true,
	})
	mustTables(t, onSQLite(t, rows, needsState).intercept(func(text string) error {
		if text == statements["objects"] {
			sent++
		}
		return nil
	}))
	if sent != 1 {
		t.Errorf("objects were read %d times, want once", sent)
	}
}

// When reading the objects again fails, so does the collection.
func TestReader_Tables_SecondReadingFails(t *testing.T) {
	failure, sent := errors.New("no"), 0
	_, _, err := onSQLite(t, tablesNamed("empty"), needsState).intercept(func(text string) error {
		if text == statements["objects"] {
			sent++
		}
		if sent == 2 {
			return failure
		}
		return nil
	}).tables(t.Context())
	if !errors.Is(err, failure) {
		t.Errorf("got %v, want %v", err, failure)
	}
}

// An object that is hidden in both readings makes the result incomplete.
func TestReader_Tables_HiddenObject(t *testing.T) {
	rows := tablesNamed("seen", "hidden")
	rows["sys.objects"] = rows["sys.objects"][:1]
	if result := mustTables(t, onSQLite(t, rows, nil)); result.Hidden != 1 || result.Complete || result.Proof != "" {
		t.Errorf("got %d hidden, complete %v, proof %q, want 1, false, none", result.Hidden, result.Complete, result.Proof)
	}
}

// Progress counts each table and indexed view once, however many indexes it has; the final counts cover only the listed
// ones.
func TestReader_Tables_Progress(t *testing.T) {
	for objects, want := range map[int]string{
		collectors.TallyStep - 1: collectortest.Text(nil),
		collectors.TallyStep:     collectortest.Text(new(int64(collectors.TallyStep))),
	} {
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
		ctx, progress := collectortest.Watched(t)
		reader := onSQLite(t, rows, nil)
		read := reader.each
		reader.each = func(ctx context.Context, statement string, scan func(*sql.Rows) error, args ...any) error {
			err := read(ctx, statement, scan, args...)
			if statement == statements["pages"] {
				collectortest.WantCount(t, "tables expected at first", progress().TablesTotal, objects)
				if seen := collectortest.Text(progress().TablesSeen); seen != want {
					t.Errorf("got %s of %d tables measured, want %s", seen, objects, want)
				}
			}
			return err
		}
		if _, _, err := reader.tables(ctx); err != nil {
			t.Fatal(err)
		}
		collectortest.WantCount(t, "tables expected", progress().TablesTotal, objects-1)
		collectortest.WantCount(t, "tables seen", progress().TablesSeen, objects-1)
	}
}
