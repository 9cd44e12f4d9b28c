package sqlserver

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"testing"

	"whalefall/collectors/collectortest"
	"whalefall/models"
	"whalefall/testenv/catalog"
	"whalefall/testenv/sqlserver"
)

// table is an ordinary one, with pages of its own.
func (c *systemCatalog) table(id int64, name string) {
	c.objects = append(c.objects, object{id: id, schema: 1, name: name, kind: "U"})
	c.hold(id, 10)
}

// hold gives an object some pages, as data in use.
func (c *systemCatalog) hold(object, pages int64) {
	c.pages = append(c.pages, pageCounts{object: object, data: pages, used: pages, reserved: pages})
	c.partitions = append(c.partitions, partition{object: object})
}

func newSystemCatalog() systemCatalog {
	return systemCatalog{schemas: map[int64]string{1: "dbo"}, memory: map[int64]int64{}}
}

func rowNamed(t *testing.T, result models.TableResult, name string) models.TableSize {
	t.Helper()
	for _, row := range result.Tables {
		if row.Name == name {
			return row
		}
	}
	t.Fatalf("%s is not listed", name)
	return models.TableSize{}
}

// Types are those of
// https://learn.microsoft.com/sql/relational-databases/system-catalog-views/sys-internal-tables-transact-sql
func TestRuleInternalTables(t *testing.T) {
	for kind, want := range map[int64]struct {
		index int64 // pages
		note  models.Note
	}{
		201: {}, 203: {}, 205: {}, 206: {}, 208: {}, 209: {}, 210: {}, 220: {}, 225: {},
		202: {index: 3}, 204: {index: 3}, 207: {index: 3}, 211: {index: 3}, 236: {index: 3},
		999: {3, models.NoteUnclassified},
	} {
		c := newSystemCatalog()
		c.table(1000, "t")
		c.internals = []internal{{id: 2000, parent: 1000, kind: kind}}
		c.hold(2000, 3)
		result := c.result()
		row := rowNamed(t, result, "t")
		if *row.Index != want.index*pageBytes || row.Note != want.note || *result.Residual != (3-want.index)*pageBytes {
			t.Errorf("%d: %d bytes of index, %d of nobody, note %q", kind, *row.Index, *result.Residual, row.Note)
		}
	}
}

func TestRuleOneUnknownPartIsEnough(t *testing.T) {
	for _, kinds := range [][]int64{{202, 999}, {999, 202}} {
		c := newSystemCatalog()
		c.table(1000, "t")
		for i, kind := range kinds {
			c.internals = append(c.internals, internal{id: 2000 + int64(i), parent: 1000, kind: kind})
			c.hold(2000+int64(i), 3)
		}
		if row := rowNamed(t, c.result(), "t"); row.Note != models.NoteUnclassified || *row.Index != 6*pageBytes {
			t.Errorf("%v: %d bytes, note %q", kinds, *row.Index, row.Note)
		}
	}
}

func TestRuleNobodysPages(t *testing.T) {
	for name, change := range map[string]func(c *systemCatalog){
		"a temporary table":            func(c *systemCatalog) { c.objects[0].name = "#t___0001" },
		"a table of an unknown schema": func(c *systemCatalog) { c.objects[0].schema = 2 },
		"a hidden table":               func(c *systemCatalog) { c.objects = nil },
		"an external one of an unknown schema": func(c *systemCatalog) {
			c.specials = []special{{object: object{id: 1000, schema: 2, name: "t"}, external: true}}
			c.objects = nil
		},
	} {
		c := newSystemCatalog()
		c.table(1000, "t")
		change(&c)
		if result := c.result(); len(result.Tables) != 0 || *result.Residual != 10*pageBytes {
			t.Errorf("%s: %d bytes of nobody, and %v", name, *result.Residual, result.Tables)
		}
	}
}

func TestRuleHidden(t *testing.T) {
	for name, c := range map[string]struct {
		objects   []object
		internals []internal
		hidden    bool
	}{
		"nothing is known of it":              {hidden: true},
		"a table":                             {objects: []object{{id: 1000, schema: 1, kind: "U"}}},
		"a view":                              {objects: []object{{id: 1000, schema: 1, kind: "V"}}},
		"a table of an unknown schema":        {objects: []object{{id: 1000, schema: 2, kind: "U"}}, hidden: true},
		"a view of an unknown schema":         {objects: []object{{id: 1000, schema: 2, kind: "V"}}, hidden: true},
		"the engine's, which needs no schema": {objects: []object{{id: 1000, schema: 2, kind: "S"}}},
		"an internal table":                   {internals: []internal{{id: 1000}}},
	} {
		catalog := newSystemCatalog()
		catalog.objects, catalog.internals = c.objects, c.internals
		catalog.partitions = []partition{{object: 1000}, {object: systemID}}
		if hidden := catalog.hidden(); hidden[1000] != c.hidden || hidden[systemID] {
			t.Errorf("%s: %v", name, hidden)
		}
	}
}

// Counters that the engine is about to change may be anything.
func TestRuleSplit(t *testing.T) {
	for given, want := range map[[3]int64][4]int64{ // data, used, reserved → total, data, index, unused
		{2, 5, 9}:    {9, 2, 3, 4},
		{0, 5, 9}:    {9, 0, 5, 4},
		{0, 0, 9}:    {9, 0, 0, 9},
		{-1, 5, 9}:   {9, 0, 5, 4},
		{2, -1, 9}:   {9, 2, 0, 7},
		{5, 2, 9}:    {9, 5, 0, 4},
		{12, 10, 9}:  {9, 9, 0, 0},
		{2, 12, 9}:   {9, 2, 7, 0},
		{-1, -1, -1}: {0, 0, 0, 0},
		{1, 1, -1}:   {0, 0, 0, 0},
		{1, 1, 0}:    {0, 0, 0, 0},
	} {
		total, data, index, unused := splitPages(given[0], given[1], given[2])
		got := [4]int64{*total, *data, *index, *unused}
		for i := range want {
			want[i] *= pageBytes
		}
		if got != want {
			t.Errorf("%v: got %v, want %v", given, got, want)
		}
	}
}

// Tables in memory have no pages, so no other source need be asked for them.
func TestRuleUnstated(t *testing.T) {
	c := newSystemCatalog()
	c.table(1000, "t")
	c.partitions = append(c.partitions, partition{object: 2000}, partition{object: 3000})
	c.specials = []special{{object: object{id: 2000}, memoryOptimized: true}, {object: object{id: 3000}}}
	if got := c.unstated(); len(got) != 1 || !got[3000] {
		t.Errorf("got %v", got)
	}
}

// What a secondary that takes no connections holds is read from outside, also where every other database lets us in.
func TestDatabasesOfAReplica(t *testing.T) {
	server := sqlserver.Start(t, sqlserver.Options{})
	server.AddDatabase(t, sqlserver.Database{Name: "unreadable", Replica: sqlserver.Unreadable})
	result, err := New().Databases(t.Context(), asLogin(server, "sa"))
	if err != nil {
		t.Fatal(err)
	}
	d := collectortest.DatabaseNamed(t, result, "unreadable")
	if keyOf(d.Err) != keySecondary || collectortest.Text(d.Data) != collectortest.Text(mebibytes(8)) || collectortest.Text(d.Log) != collectortest.Text(mebibytes(2)) {
		t.Errorf("data %s, log %s, %v", collectortest.Text(d.Data), collectortest.Text(d.Log), d.Err)
	}
}

// sp_spaceused is asked once about each table that has a name and each view that has pages.
func TestSelfCheckAsksOnce(t *testing.T) {
	server := sqlserver.Start(t, sqlserver.Options{})
	server.AddDatabase(t, sqlserver.Database{Name: "app", Rows: catalog.Rows{
		"sys.schemas": {{"schema_id": 1, "name": "dbo"}},
		"sys.objects": {
			{"object_id": 1000, "schema_id": 1, "name": "t", "type": "U "},
			{"object_id": 1001, "schema_id": 1, "name": "#t", "type": "U "},
			{"object_id": 1002, "schema_id": 9, "name": "lost", "type": "U "},
			{"object_id": 2000, "schema_id": 1, "name": "plain", "type": "V "},
			{"object_id": 2001, "schema_id": 1, "name": "indexed", "type": "V "},
			{"object_id": 2002, "schema_id": 9, "name": "gone", "type": "V "},
		},
		"sys.tables": {
			{"object_id": 1000, "schema_id": 1, "name": "t", "type": "U "},
			{"object_id": 1001, "schema_id": 1, "name": "#t", "type": "U "},
			{"object_id": 1002, "schema_id": 9, "name": "lost", "type": "U "},
		},
		"sys.views": {
			{"object_id": 2000, "schema_id": 1, "name": "plain", "type": "V "},
			{"object_id": 2001, "schema_id": 1, "name": "indexed", "type": "V "},
			{"object_id": 2002, "schema_id": 9, "name": "gone", "type": "V "},
		},
		"sys.indexes": {
			{"object_id": 1000, "index_id": 0, "type": 0},
			{"object_id": 2001, "index_id": 1, "type": 1},
			{"object_id": 2001, "index_id": 2, "type": 2},
			{"object_id": 2002, "index_id": 1, "type": 1},
		},
	}})
	y, err := New().Yardstick(t.Context(), asLogin(server, "sa"), "app")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, r := range y.Relations {
		names = append(names, r.Schema+"."+r.Name)
	}
	slices.Sort(names)
	if want := []string{"dbo.indexed", "dbo.t"}; !slices.Equal(names, want) {
		t.Errorf("asked about %q, want %q", names, want)
	}
}

// smallDatabase has the table t, whose pages are said differently by the two sources that tell of pages.
func smallDatabase() catalog.Rows {
	return catalog.Rows{
		"sys.schemas":               {{"schema_id": 1, "name": "dbo"}},
		"sys.objects":               {{"object_id": 1000, "schema_id": 1, "name": "t", "type": "U ", "is_ms_shipped": false}},
		"sys.partitions":            {{"partition_id": 1, "hobt_id": 1, "object_id": 1000, "index_id": 0, "rows": 3}},
		"sys.dm_db_partition_stats": {statistics(1000, 5)},
		"sys.allocation_units":      {{"type": 1, "container_id": 1, "data_pages": 10, "used_pages": 20, "total_pages": 50}},
	}
}

func statistics(object, pages int64) map[string]any {
	return map[string]any{
		"object_id": object, "index_id": 0, "in_row_data_page_count": pages, "lob_used_page_count": 0, "row_overflow_used_page_count": 0,
		"used_page_count": pages, "reserved_page_count": pages, "row_count": 3,
	}
}

// withMemory adds the memory-optimised table m.
func withMemory(rows catalog.Rows) catalog.Rows {
	m := map[string]any{"object_id": 2000, "schema_id": 1, "name": "m", "type": "U ", "is_ms_shipped": false}
	rows["sys.objects"] = append(rows["sys.objects"], m)
	rows["sys.tables"] = []map[string]any{{
		"object_id": 2000, "schema_id": 1, "name": "m", "is_ms_shipped": false, "temporal_type": 0, "is_memory_optimized": true, "is_external": false,
	}}
	rows["sys.partitions"] = append(rows["sys.partitions"], map[string]any{
		"partition_id": 2, "hobt_id": 2, "object_id": 2000, "index_id": 0, "rows": 4,
	})
	rows["sys.dm_db_xtp_table_memory_stats"] = []map[string]any{
		{"object_id": 2000, "memory_used_by_table_kb": 1, "memory_used_by_indexes_kb": 2}, {"object_id": 2000}, {"memory_used_by_table_kb": 9},
	}
	return rows
}

// before has f see each statement before it runs, and refuse it by an error.
func (r reader) before(f func(text string) error) reader {
	each := r.each
	r.each = func(ctx context.Context, text string, scan func(*sql.Rows) error) error {
		if err := f(text); err != nil {
			return err
		}
		return each(ctx, text, scan)
	}
	return r
}

func tablesOf(t *testing.T, r reader) models.TableResult {
	t.Helper()
	result, _, err := r.tables(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// What is complete is read once, and nothing is read for tables that are not there.
func TestRuleOneReading(t *testing.T) {
	sent := map[string]int{}
	reader := onSQLite(t, smallDatabase(), nil).before(func(text string) error {
		sent[text]++
		return nil
	})
	if row := rowNamed(t, tablesOf(t, reader), "t"); *row.Total != 5*pageBytes {
		t.Errorf("%d bytes, which are not the statistics'", *row.Total)
	}
	for _, text := range []string{statements["units"], statements["memory"]} {
		if sent[text] > 0 {
			t.Errorf("not needed: %s", text)
		}
	}
	for text, times := range sent {
		if times > 1 {
			t.Errorf("sent %d times: %s", times, text)
		}
	}
}

// A table that goes between two statements looks hidden, and so does one that comes; neither does twice.
func TestRuleHiddenTwice(t *testing.T) {
	first, second := smallDatabase(), smallDatabase()
	for object, rows := range map[int64]catalog.Rows{1001: first, 1002: second} {
		rows["sys.partitions"] = append(rows["sys.partitions"], map[string]any{
			"partition_id": object, "hobt_id": object, "object_id": object, "index_id": 0, "rows": 0,
		})
	}
	then, readings := onSQLite(t, second, nil), 0
	reader := onSQLite(t, first, nil)
	now := reader.each
	reader.each = func(ctx context.Context, text string, scan func(*sql.Rows) error) error {
		if text == statements["partitions"] {
			readings++
		}
		if readings > 1 {
			return then.each(ctx, text, scan)
		}
		return now(ctx, text, scan)
	}
	if result := tablesOf(t, reader); result.Hidden != 0 || !result.Complete || readings != 2 {
		t.Errorf("%d hidden after %d readings, complete: %v", result.Hidden, readings, result.Complete)
	}
}

func TestRuleMemory(t *testing.T) {
	rows := withMemory(smallDatabase())
	rows["sys.dm_db_partition_stats"] = nil // of t, so that the other source is asked
	result := tablesOf(t, onSQLite(t, rows, nil))
	if m := rowNamed(t, result, "m"); collectortest.Text(m.Memory) != "3072" || collectortest.Text(m.Rows) != "4" {
		t.Errorf("memory %s, rows %s", collectortest.Text(m.Memory), collectortest.Text(m.Rows))
	}
	if row := rowNamed(t, result, "t"); collectortest.Text(row.Total) != collectortest.Text(new(int64(50*pageBytes))) {
		t.Errorf("t has %s bytes", collectortest.Text(row.Total))
	}
	for name, denied := range map[string]func(string) bool{
		"of no statistics": needsState,
		"of no memory":     func(text string) bool { return text == statements["memory"] },
	} {
		result, stateless, err := onSQLite(t, rows, denied).tables(t.Context())
		if err != nil || stateless != denied(statements["pages"]) {
			t.Fatal(name, stateless, err)
		}
		if m := rowNamed(t, result, "m"); m.Memory != nil || collectortest.Text(m.Rows) != "4" {
			t.Errorf("%s: memory %s, rows %s", name, collectortest.Text(m.Memory), collectortest.Text(m.Rows))
		}
	}
	tablesOf(t, onSQLite(t, rows, needsState).before(func(text string) error {
		if text == statements["memory"] {
			t.Error("asks for the memory without the right to know it")
		}
		return nil
	}))
}

// A statement that fails fails the collection, whichever it is.
func TestRuleEveryStatementIsNeeded(t *testing.T) {
	failure := errors.New("no")
	for _, failing := range []string{
		statements["partitions"], statements["objects"], statements["tables"], statements["internal_tables"], statements["schemas"],
		statements["pages"], statements["units"], statements["memory"],
	} {
		rows := withMemory(smallDatabase())
		rows["sys.dm_db_partition_stats"] = nil
		_, _, err := onSQLite(t, rows, nil).before(func(text string) error {
			if text == failing {
				return failure
			}
			return nil
		}).tables(t.Context())
		if !errors.Is(err, failure) {
			t.Errorf("got %v without %s", err, failing)
		}
	}
}

func TestRuleTemporalTablesSince2016(t *testing.T) {
	c := stateCase(t, "temporal table")
	reader := onSQLite(t, c.Rows, nil)
	reader.server.major = release2016
	wantTables(t, tablesOf(t, reader), wantOf(t, c))
}
