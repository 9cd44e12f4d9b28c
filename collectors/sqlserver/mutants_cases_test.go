package sqlserver

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"testing"

	"whalefall/collectors"
	"whalefall/collectors/collectortest"
	"whalefall/models"
	"whalefall/testenv/catalog"
	"whalefall/testenv/sqlserver"
)

// addTable adds an ordinary table with 10 pages.
func (c *systemCatalog) addTable(id int64, name string) {
	c.objects = append(c.objects, object{id: id, schema: 1, name: name, kind: "U"})
	c.addPages(id, 10)
}

// addPages gives an object a partition with that many pages, all of them data.
func (c *systemCatalog) addPages(object int64, pages collectors.Number) {
	c.pages = append(c.pages, pageCounts{object: object, data: pages, used: pages, reserved: pages})
	c.partitions = append(c.partitions, partition{object: object})
}

func newSystemCatalog() systemCatalog {
	return systemCatalog{schemas: map[int64]string{1: "dbo"}, memory: map[int64]collectors.Number{}}
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

// The types are documented at
// https://learn.microsoft.com/sql/relational-databases/system-catalog-views/sys-internal-tables-transact-sql
func TestSystemCatalog_Result_InternalTables(t *testing.T) {
	t.Parallel()

	for kind, want := range map[int64]struct {
		index int64 // pages
		note  models.Note
	}{
		201: {}, 203: {}, 205: {}, 206: {}, 208: {}, 209: {}, 210: {}, 220: {}, 225: {},
		202: {index: 3}, 204: {index: 3}, 207: {index: 3}, 211: {index: 3}, 236: {index: 3},
		999: {3, models.NoteUnclassified},
	} {
		c := newSystemCatalog()
		c.addTable(1000, "t")
		c.internals = []internal{{id: 2000, parent: 1000, kind: kind}}
		c.addPages(2000, 3)
		result := c.counts().result()
		row := rowNamed(t, result, "t")
		if *row.Index != want.index*pageBytes || row.Note != want.note || *result.Residual != (3-want.index)*pageBytes {
			t.Errorf("type %d: got %d bytes of index, residual %d, note %q", kind, *row.Index, *result.Residual, row.Note)
		}
	}
}

func TestSystemCatalog_Result_Unclassified(t *testing.T) {
	t.Parallel()

	for _, kinds := range [][]int64{{202, 999}, {999, 202}} {
		c := newSystemCatalog()
		c.addTable(1000, "t")
		for i, kind := range kinds {
			c.internals = append(c.internals, internal{id: 2000 + int64(i), parent: 1000, kind: kind})
			c.addPages(2000+int64(i), 3)
		}
		if row := rowNamed(t, c.counts().result(), "t"); row.Note != models.NoteUnclassified || *row.Index != 6*pageBytes {
			t.Errorf("types %v: got %d bytes of index, note %q, want %d, %q",
				kinds, *row.Index, row.Note, 6*pageBytes, models.NoteUnclassified)
		}
	}
}

func TestSystemCatalog_Result_Residual(t *testing.T) {
	t.Parallel()

	for name, change := range map[string]func(c *systemCatalog){
		"a temporary table":            func(c *systemCatalog) { c.objects[0].name = "#t___0001" },
		"a table in an unknown schema": func(c *systemCatalog) { c.objects[0].schema = 2 },
		"a hidden table":               func(c *systemCatalog) { c.objects = nil },
		"an external table in an unknown schema": func(c *systemCatalog) {
			c.traits = []tableTraits{{object: object{id: 1000, schema: 2, name: "t"}, external: true}}
			c.objects = nil
		},
	} {
		c := newSystemCatalog()
		c.addTable(1000, "t")
		change(&c)
		if result := c.counts().result(); len(result.Tables) != 0 || *result.Residual != 10*pageBytes {
			t.Errorf("%s: got residual %d and tables %v, want %d and none", name, *result.Residual, result.Tables, 10*pageBytes)
		}
	}
}

// Pages of relations that this collection has no size of are in the residual, and told apart there.
func TestSystemCatalog_Result_Unsized(t *testing.T) {
	t.Parallel()

	for name, test := range map[string]struct {
		change func(c *systemCatalog)
		pages  int64
	}{
		"a listed table":    {func(*systemCatalog) {}, 0},
		"a hidden table":    {func(c *systemCatalog) { c.objects = nil }, 10},
		"a temporary table": {func(c *systemCatalog) { c.objects[0].name = "#t___0001" }, 0},
		"a hidden table with an index in an internal table": {func(c *systemCatalog) {
			c.objects, c.internals = nil, []internal{{id: 2000, parent: 1000, kind: 202}}
			c.addPages(2000, 3)
		}, 13},
		"a table whose heap is not counted": {func(c *systemCatalog) { c.pages[0].index = 2 }, 10},
		"an impossible number": {func(c *systemCatalog) {
			c.objects, c.pages[0].reserved = nil, collectors.Impossible
		}, 0},
	} {
		c := newSystemCatalog()
		c.addTable(1000, "t")
		test.change(&c)
		result := c.counts().result()
		if result.Unsized != test.pages*pageBytes || result.Residual != nil && *result.Residual < result.Unsized {
			t.Errorf("%s: got %d unsized of residual %s, want %d", name,
				result.Unsized, collectortest.Text(result.Residual), test.pages*pageBytes)
		}
	}
}

func TestSystemCatalog_Hidden(t *testing.T) {
	t.Parallel()

	for name, c := range map[string]struct {
		objects   []object
		internals []internal
		hidden    bool
	}{
		"no visible object":                  {hidden: true},
		"a table":                            {objects: []object{{id: 1000, schema: 1, kind: "U"}}},
		"a view":                             {objects: []object{{id: 1000, schema: 1, kind: "V"}}},
		"a table in an unknown schema":       {objects: []object{{id: 1000, schema: 2, kind: "U"}}, hidden: true},
		"a view in an unknown schema":        {objects: []object{{id: 1000, schema: 2, kind: "V"}}, hidden: true},
		"the engine's own, without a schema": {objects: []object{{id: 1000, schema: 2, kind: "S"}}},
		"an internal table":                  {internals: []internal{{id: 1000}}},
	} {
		catalog := newSystemCatalog()
		catalog.objects, catalog.internals = c.objects, c.internals
		catalog.partitions = []partition{{object: 1000}, {object: systemID}}
		if hidden := catalog.hidden(); hidden[1000] != c.hidden || hidden[systemID] {
			t.Errorf("%s: got hidden %v, want %v", name, hidden, c.hidden)
		}
	}
}

// The counters may have any values while the engine updates them.
func TestSplitPages(t *testing.T) {
	t.Parallel()

	for counters, want := range map[[3]int64][4]int64{ // data, used, reserved → total, data, index, unused
		{2, 5, 9}:   {9, 2, 3, 4},
		{0, 5, 9}:   {9, 0, 5, 4},
		{0, 0, 9}:   {9, 0, 0, 9},
		{5, 2, 9}:   {9, 5, 0, 4},
		{12, 10, 9}: {9, 9, 0, 0},
		{2, 12, 9}:  {9, 2, 7, 0},
		{1, 1, 0}:   {0, 0, 0, 0},
	} {
		total, data, index, unused := splitPages(counters[0], counters[1], counters[2])
		got := [4]int64{*total, *data, *index, *unused}
		for i := range want {
			want[i] *= pageBytes
		}
		if got != want {
			t.Errorf("%v: got %v, want %v", counters, got, want)
		}
	}
}

// Memory-optimized tables have no pages, so they are not missing from the statistics.
func TestSystemCatalog_MissingStats(t *testing.T) {
	t.Parallel()

	c := newSystemCatalog()
	c.addTable(1000, "t")
	c.partitions = append(c.partitions, partition{object: 2000}, partition{object: 3000})
	c.traits = []tableTraits{{object: object{id: 2000}, memoryOptimized: true}, {object: object{id: 3000}}}
	if got := c.missingStats(); len(got) != 1 || !got[3000] {
		t.Errorf("got %v, want only 3000", got)
	}
}

// The files of a secondary that accepts no connections are read from outside, even if all other databases can be
// entered.
func TestCollector_Databases_UnreadableReplica(t *testing.T) {
	server := sqlserver.Start(t, sqlserver.Options{})
	server.AddDatabase(t, sqlserver.Database{Name: "unreadable", Replica: sqlserver.Unreadable})
	result, err := New().Databases(t.Context(), asLogin(server, "sa"))
	if err != nil {
		t.Fatal(err)
	}
	d := collectortest.DatabaseNamed(t, result, "unreadable")
	if keyOf(d.Err) != keySecondary {
		t.Errorf("got %v, want key %q", d.Err, keySecondary)
	}
	if got, want := collectortest.Text(d.Data), collectortest.Text(mebibytes(8)); got != want {
		t.Errorf("got data %s, want %s", got, want)
	}
	if got, want := collectortest.Text(d.Log), collectortest.Text(mebibytes(2)); got != want {
		t.Errorf("got log %s, want %s", got, want)
	}
}

// sp_spaceused is called once for each table with a name and each view with pages.
func TestCollector_Yardstick_EachRelationOnce(t *testing.T) {
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
		t.Errorf("got relations %q, want %q", names, want)
	}
}

// smallDatabase returns a catalog with the table t, whose pages differ between the statistics of partitions and the
// allocation units.
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
		"object_id": object, "index_id": 0, "in_row_data_page_count": pages,
		"lob_used_page_count": 0, "row_overflow_used_page_count": 0,
		"used_page_count": pages, "reserved_page_count": pages, "row_count": 3,
	}
}

// withMemory adds the memory-optimised table m.
func withMemory(rows catalog.Rows) catalog.Rows {
	m := map[string]any{"object_id": 2000, "schema_id": 1, "name": "m", "type": "U ", "is_ms_shipped": false}
	rows["sys.objects"] = append(rows["sys.objects"], m)
	rows["sys.tables"] = []map[string]any{{
		"object_id": 2000, "schema_id": 1, "name": "m", "is_ms_shipped": false,
		"temporal_type": 0, "is_memory_optimized": true, "is_external": false,
	}}
	rows["sys.partitions"] = append(rows["sys.partitions"], map[string]any{
		"partition_id": 2, "hobt_id": 2, "object_id": 2000, "index_id": 0, "rows": 4,
	})
	rows["sys.dm_db_xtp_table_memory_stats"] = []map[string]any{
		{"object_id": 2000, "memory_used_by_table_kb": 1, "memory_used_by_indexes_kb": 2},
		{"object_id": 2000},
		{"memory_used_by_table_kb": 9},
	}
	return rows
}

// intercept returns a reader that calls f before each statement, which fails with the error of f.
func (r *reader) intercept(f func(text string) error) *reader {
	each := r.each
	r.each = func(ctx context.Context, text string, scan func(*sql.Rows) error, args ...any) error {
		if err := f(text); err != nil {
			return err
		}
		return each(ctx, text, scan, args...)
	}
	return r
}

func mustTables(t *testing.T, r *reader) models.TableResult {
	t.Helper()
	result, _, err := r.tables(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// A complete catalog is read once, and statements for kinds of tables that it lacks are not sent.
func TestReader_Tables_StatementsOnce(t *testing.T) {
	sent := map[string]int{}
	reader := onSQLite(t, smallDatabase(), nil).intercept(func(text string) error {
		sent[text]++
		return nil
	})
	if row := rowNamed(t, mustTables(t, reader), "t"); *row.Total != 5*pageBytes {
		t.Errorf("got %d bytes, want %d as in the statistics", *row.Total, 5*pageBytes)
	}
	for _, text := range []string{statements["units"], statements["memory"]} {
		if sent[text] > 0 {
			t.Errorf("sent, though not needed: %s", text)
		}
	}
	for text, times := range sent {
		if times > 1 {
			t.Errorf("sent %d times, want once: %s", times, text)
		}
	}
}

// A table that is dropped or created between two statements looks hidden, but only in one reading.
func TestReader_Tables_HiddenInOneReading(t *testing.T) {
	first, second := smallDatabase(), smallDatabase()
	for object, rows := range map[int64]catalog.Rows{1001: first, 1002: second} {
		rows["sys.partitions"] = append(rows["sys.partitions"], map[string]any{
			"partition_id": object, "hobt_id": object, "object_id": object, "index_id": 0, "rows": 0,
		})
	}
	then, readings := onSQLite(t, second, nil), 0
	reader := onSQLite(t, first, nil)
	now := reader.each
	reader.each = func(ctx context.Context, text string, scan func(*sql.Rows) error, args ...any) error {
		if text == statements["partitions"] {
			readings++
		}
		if readings > 1 {
			return then.each(ctx, text, scan, args...)
		}
		return now(ctx, text, scan, args...)
	}
	if result := mustTables(t, reader); result.Hidden != 0 || !result.Complete || readings != 2 {
		t.Errorf("got %d hidden after %d readings, complete %v, want 0, 2, true", result.Hidden, readings, result.Complete)
	}
}

func TestReader_Tables_Memory(t *testing.T) {
	rows := withMemory(smallDatabase())
	rows["sys.dm_db_partition_stats"] = nil // so that the allocation units of t are read
	result := mustTables(t, onSQLite(t, rows, nil))
	if m := rowNamed(t, result, "m"); collectortest.Text(m.Memory) != "3072" || collectortest.Text(m.Rows) != "4" {
		t.Errorf("got memory %s, rows %s, want 3072, 4", collectortest.Text(m.Memory), collectortest.Text(m.Rows))
	}
	if row := rowNamed(t, result, "t"); row.Total == nil || *row.Total != 50*pageBytes {
		t.Errorf("got %s bytes of t, want %d", collectortest.Text(row.Total), 50*pageBytes)
	}
	for name, denied := range map[string]func(string) bool{
		"statistics denied": needsState,
		"memory denied":     func(text string) bool { return text == statements["memory"] },
	} {
		result, statsDenied, err := onSQLite(t, rows, denied).tables(t.Context())
		if err != nil || statsDenied != denied(statements["pages"]) {
			t.Fatal(name, statsDenied, err)
		}
		if m := rowNamed(t, result, "m"); m.Memory != nil || collectortest.Text(m.Rows) != "4" {
			t.Errorf("%s: got memory %s, rows %s, want unknown, 4",
				name, collectortest.Text(m.Memory), collectortest.Text(m.Rows))
		}
	}
	mustTables(t, onSQLite(t, rows, needsState).intercept(func(text string) error {
		if text == statements["memory"] {
			t.Error("memory was read without the permission for it")
		}
		return nil
	}))
}

// An error of any statement fails the collection.
func TestReader_Tables_StatementFails(t *testing.T) {
	failure := errors.New("no")
	for _, failing := range []string{
		statements["partitions"], statements["objects"], statements["tables"], statements["internal_tables"],
		statements["schemas"], statements["pages"], statements["units"], statements["memory"],
	} {
		rows := withMemory(smallDatabase())
		rows["sys.dm_db_partition_stats"] = nil
		_, _, err := onSQLite(t, rows, nil).intercept(func(text string) error {
			if text == failing {
				return failure
			}
			return nil
		}).tables(t.Context())
		if !errors.Is(err, failure) {
			t.Errorf("got %v, want %v from %s", err, failure, failing)
		}
	}
}

func TestReader_Tables_TemporalTablesSince2016(t *testing.T) {
	c := caseNamed(t, "temporal table")
	reader := onSQLite(t, c.Rows, nil)
	reader.server.major = release2016
	wantTables(t, mustTables(t, reader), wantOf(t, c))
}
