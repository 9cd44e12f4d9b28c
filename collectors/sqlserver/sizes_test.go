package sqlserver

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"testing"

	mssql "github.com/microsoft/go-mssqldb"
	"pgregory.net/rapid"

	"whalefall/collectors"
	"whalefall/collectors/collectortest"
	"whalefall/models"
	"whalefall/testenv/catalog"
)

// onSQLite runs the statements on an emulated catalog; those for which denied is true are refused.
func onSQLite(t *testing.T, rows catalog.Rows, denied func(text string) bool) reader {
	t.Helper()
	db, err := catalog.Open(t.Context(), catalog.Views("sqlserver"), rows)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return reader{
		server: serverInfo{major: release2022},
		each: func(ctx context.Context, text string, scan func(*sql.Rows) error) error {
			if denied != nil && denied(text) {
				return mssql.Error{Number: codeStateDenied}
			}
			return collectors.EachRow(ctx, db, text, scan)
		},
	}
}

// needsState reports whether a statement needs VIEW DATABASE STATE.
func needsState(text string) bool { return text == statements["pages"] || text == statements["memory"] }

// caseCheck is one case, with what is to be found in it.
type caseCheck struct {
	name string
	run  func(t testing.TB)
}

// caseChecks are all cases with the right to read the statistics of partitions, and those without it.
func caseChecks(t *testing.T) []caseCheck {
	t.Helper()
	var checks []caseCheck
	add := func(name string, reader func() reader, stateless bool, want catalog.Want) {
		reader = sync.OnceValue(reader)
		checks = append(checks, caseCheck{name, func(t testing.TB) {
			t.Helper()
			result, without, err := reader().tables(t.Context())
			if err != nil || without != stateless {
				t.Fatal(err, without)
			}
			wantTables(t, result, want)
			wantEachOnce(t, reader())
		}})
	}
	for _, c := range catalog.Cases(t, "sqlserver") {
		var want catalog.Want
		c.DecodeWant(t, &want)
		add(c.Name, func() reader { return onSQLite(t, c.Rows, nil) }, false, want)
		if c.Fallback {
			want.Tables = slices.Clone(want.Tables)
			for i := range want.Tables {
				want.Tables[i].Memory = nil
			}
			add(c.Name+" without VIEW DATABASE STATE", func() reader { return onSQLite(t, c.Rows, needsState) }, true, want)
		}
	}
	return checks
}

// wantEachOnce wants no object to be read twice.
func wantEachOnce(t testing.TB, reader reader) {
	t.Helper()
	var found systemCatalog
	if err := reader.objects(t.Context(), &found); err != nil {
		t.Fatal(err)
	}
	seen := map[int64]bool{}
	for _, o := range found.objects {
		if seen[o.id] {
			t.Errorf("%s is read twice", o.name)
		}
		seen[o.id] = true
	}
}

func TestCases(t *testing.T) {
	for _, check := range caseChecks(t) {
		t.Run(check.name, func(t *testing.T) { check.run(t) })
	}
}

// wantTables compares all that a case says about a result.
func wantTables(t testing.TB, got models.TableResult, want catalog.Want) {
	t.Helper()
	if got.Complete != want.Complete || got.Hidden != want.Hidden {
		t.Errorf("complete is %v, %d are hidden, want %v and %d", got.Complete, got.Hidden, want.Complete, want.Hidden)
	}
	if collectortest.Text(got.Residual) != collectortest.Text(want.Residual) {
		t.Errorf("the residual is %s, want %s", collectortest.Text(got.Residual), collectortest.Text(want.Residual))
	}
	found := make([]catalog.Table, len(got.Tables))
	for i, table := range got.Tables {
		found[i] = catalog.Table{
			Schema: table.Schema, Name: table.Name, Kind: string(table.Kind),
			Total: table.Total, Data: table.Data, Index: table.Index, Unused: table.Unused,
			Rows: table.Rows, RowsSource: string(table.RowsSource), Memory: table.Memory,
			Note: string(table.Note), RelatedSchema: table.RelatedSchema, Related: table.Related,
		}
		if table.SizeSource != sourceOf(table.Total) || (table.Unread != "") != (table.Kind == models.KindTable && table.Total == nil) {
			t.Errorf("%q has %s bytes from %q, unread: %q", table.Name, collectortest.Text(table.Total), table.SizeSource, table.Unread)
		}
	}
	byName := func(a, b catalog.Table) int {
		return cmp.Or(cmp.Compare(a.Schema, b.Schema), cmp.Compare(a.Name, b.Name))
	}
	slices.SortFunc(found, byName)
	slices.SortFunc(want.Tables, byName)
	for i := range max(len(found), len(want.Tables)) {
		var one, other catalog.Table
		if i < len(found) {
			one = found[i]
		}
		if i < len(want.Tables) {
			other = want.Tables[i]
		}
		if !reflect.DeepEqual(one, other) {
			t.Errorf("got  %s\nwant %s", described(one), described(other))
		}
	}
}

func sourceOf(total *int64) models.SizeSource {
	if total == nil {
		return models.SizeNone
	}
	return models.SizeAllocated
}

func described(t catalog.Table) string {
	return fmt.Sprintf("%s %q.%q: total %s, data %s, index %s, unused %s, rows %s (%s), memory %s, note %q %q.%q", t.Kind, t.Schema, t.Name,
		collectortest.Text(t.Total), collectortest.Text(t.Data), collectortest.Text(t.Index), collectortest.Text(t.Unused), collectortest.Text(t.Rows), t.RowsSource, collectortest.Text(t.Memory), t.Note, t.RelatedSchema, t.Related)
}

// schemaOf is the schema of a random object; 9 has no name.
func schemaOf(id int64) int64 { return []int64{1, 5, 9}[id%3] }

// randomCatalog is a catalog in which anything may belong to anything.
func randomCatalog(t *rapid.T) systemCatalog {
	ids := rapid.Int64Range(95, 125)
	pages := rapid.Int64Range(0, 1000)
	c := systemCatalog{schemas: map[int64]string{1: "dbo", 5: "sales"}, memory: map[int64]int64{}}
	kinds := []string{"U", "U", "U", "V", "IT", "S", "TT", "SQ"}
	for _, id := range rapid.SliceOfDistinct(ids, rapid.ID).Draw(t, "objects") {
		c.objects = append(c.objects, object{
			id: id, schema: schemaOf(id), name: fmt.Sprint("o", id),
			kind: rapid.SampledFrom(kinds).Draw(t, "kind"), shipped: rapid.Bool().Draw(t, "shipped"),
		})
	}
	for _, id := range rapid.SliceOfDistinct(ids, rapid.ID).Draw(t, "specials") {
		s := special{object: object{id: id, schema: schemaOf(id), name: fmt.Sprint("o", id), kind: "U"}}
		switch rapid.IntRange(0, 3).Draw(t, "special") {
		case 0:
			s.memoryOptimized = true
		case 1:
			s.external = true
		case 2:
			s.history = true
		default:
			s.historyTable = new(int64)
			*s.historyTable = ids.Draw(t, "history")
		}
		c.specials = append(c.specials, s)
	}
	for _, id := range rapid.SliceOfDistinct(ids, rapid.ID).Draw(t, "internals") {
		c.internals = append(c.internals, internal{
			id: id, parent: ids.Draw(t, "parent"), kind: rapid.SampledFrom([]int64{201, 202, 209, 236, 250}).Draw(t, "type"),
		})
	}
	for range rapid.IntRange(0, 40).Draw(t, "partitions") {
		p := pageCounts{
			object: ids.Draw(t, "object"), index: rapid.Int64Range(0, 6).Draw(t, "index"), rows: pages.Draw(t, "rows"),
			data: pages.Draw(t, "data"), used: pages.Draw(t, "used"), reserved: pages.Draw(t, "reserved"),
		}
		c.pages = append(c.pages, p)
		c.partitions = append(c.partitions, partition{object: p.object, index: p.index, rows: p.rows})
	}
	return c
}

// Without the right to know how much memory tables use, that alone is unknown.
func TestMemoryDenied(t *testing.T) {
	c := stateCase(t, "memory-optimised tables")
	want := wantOf(t, c)
	for i := range want.Tables {
		want.Tables[i].Memory = nil
	}
	reader := onSQLite(t, c.Rows, func(text string) bool { return text == statements["memory"] })
	result, stateless, err := reader.tables(t.Context())
	if err != nil || stateless {
		t.Fatal(err, stateless)
	}
	wantTables(t, result, want)
	each, broken := reader.each, errors.New("broken")
	reader.each = func(ctx context.Context, text string, scan func(*sql.Rows) error) error {
		if text == statements["memory"] {
			return broken
		}
		return each(ctx, text, scan)
	}
	if _, _, err := reader.tables(t.Context()); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}

func TestProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := randomCatalog(t)
		result := c.result()
		var sum, reserved int64
		listed := map[collectortest.RelationName]bool{}
		for _, table := range result.Tables {
			name := collectortest.Relation(table.Schema, table.Name)
			if listed[name] {
				t.Fatalf("%q is listed twice", name)
			}
			listed[name] = true
			if table.Total == nil {
				if table.Data != nil || table.Index != nil || table.Unused != nil || table.SizeSource != models.SizeNone {
					t.Fatalf("%q has parts without a total", name)
				}
				continue
			}
			if *table.Data < 0 || *table.Index < 0 || *table.Unused < 0 || *table.Total != *table.Data+*table.Index+*table.Unused {
				t.Fatalf("%q: %d is not %d + %d + %d", name, *table.Total, *table.Data, *table.Index, *table.Unused)
			}
			sum += *table.Total
		}
		for _, p := range c.pages {
			reserved += p.reserved * pageBytes
		}
		if sum+*result.Residual != reserved {
			t.Fatalf("%d in tables and %d in none, %d are reserved", sum, *result.Residual, reserved)
		}
		for _, o := range c.objects {
			name := collectortest.Relation(c.schemas[o.schema], o.name)
			if (o.kind == "U" || o.kind == "V") && name.Schema != "" && !listed[name] {
				t.Fatalf("%q is lost", name)
			}
		}
	})
}
