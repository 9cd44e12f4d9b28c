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

// onSQLite returns a reader of a catalog emulated in SQLite. Statements for which denied returns true are refused.
func onSQLite(t *testing.T, rows catalog.Rows, denied func(text string) bool) *reader {
	t.Helper()
	db, err := catalog.Open(t.Context(), catalog.Views("sqlserver"), rows)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return &reader{
		server: serverInfo{major: release2022},
		each: func(ctx context.Context, text string, scan func(*sql.Rows) error, args ...any) error {
			if denied != nil && denied(text) {
				return mssql.Error{Number: codeStateDenied}
			}
			return collectors.EachRow(ctx, db, text, scan, args...)
		},
	}
}

// needsState reports whether a statement needs VIEW DATABASE STATE.
func needsState(text string) bool { return text == statements["pages"] || text == statements["memory"] }

// caseCheck is the check of one case of the catalog.
type caseCheck struct {
	name string
	run  func(t testing.TB)
}

// caseChecks returns the checks of all cases with access to the statistics of partitions, and of those that support it
// also without.
func caseChecks(t *testing.T) []caseCheck {
	t.Helper()
	var checks []caseCheck
	add := func(name string, reader func() *reader, statsDenied bool, want catalog.Want) {
		reader = sync.OnceValue(reader)
		checks = append(checks, caseCheck{name, func(t testing.TB) {
			t.Helper()
			result, without, err := reader().tables(t.Context())
			if err != nil || without != statsDenied {
				t.Fatalf("got statistics denied %v, %v, want %v", without, err, statsDenied)
			}
			wantTables(t, result, want)
			wantNoDuplicates(t, reader())
		}})
	}
	for _, c := range catalog.Cases(t, "sqlserver") {
		var want catalog.Want
		c.DecodeWant(t, &want)
		add(c.Name, func() *reader { return onSQLite(t, c.Rows, nil) }, false, want)
		if c.Fallback {
			want.Tables = slices.Clone(want.Tables)
			for i := range want.Tables {
				want.Tables[i].Memory = nil
			}
			add(c.Name+" without VIEW DATABASE STATE", func() *reader { return onSQLite(t, c.Rows, needsState) }, true, want)
		}
	}
	return checks
}

// wantNoDuplicates fails if an object is read twice.
func wantNoDuplicates(t testing.TB, reader *reader) {
	t.Helper()
	var found systemCatalog
	if err := reader.objects(t.Context(), &found); err != nil {
		t.Fatal(err)
	}
	seen := map[int64]bool{}
	for _, o := range found.objects {
		if seen[o.id] {
			t.Errorf("%s was read twice", o.name)
		}
		seen[o.id] = true
	}
}

func TestReader_Cases(t *testing.T) {
	for _, check := range caseChecks(t) {
		t.Run(check.name, func(t *testing.T) { check.run(t) })
	}
}

// wantTables fails unless the result is as the case demands.
func wantTables(t testing.TB, got models.TableResult, want catalog.Want) {
	t.Helper()
	if got.Complete != want.Complete || got.Hidden != want.Hidden {
		t.Errorf("got complete %v, %d hidden, want %v, %d", got.Complete, got.Hidden, want.Complete, want.Hidden)
	}
	if collectortest.Text(got.Residual) != collectortest.Text(want.Residual) {
		t.Errorf("got residual %s, want %s", collectortest.Text(got.Residual), collectortest.Text(want.Residual))
	}
	found := make([]catalog.Table, len(got.Tables))
	for i, table := range got.Tables {
		found[i] = catalog.Table{
			Schema: table.Schema, Name: table.Name, Kind: string(table.Kind),
			Total: table.Total, Data: table.Data, Index: table.Index, Unused: table.Unused,
			Rows: table.Rows, RowsSource: string(table.RowsSource), Memory: table.Memory,
			Note: string(table.Note), RelatedSchema: table.RelatedSchema, Related: table.Related,
		}
		unread := table.Kind == models.KindTable && table.Total == nil
		if table.SizeSource != sourceOf(table.Total) || (table.Unread != "") != unread {
			t.Errorf("%q: got %s bytes from %q, unread %q, want %q, unread %v", table.Name,
				collectortest.Text(table.Total), table.SizeSource, table.Unread, sourceOf(table.Total), unread)
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
			t.Errorf("got  %s\nwant %s", describe(one), describe(other))
		}
	}
}

func sourceOf(total *int64) models.SizeSource {
	if total == nil {
		return models.SizeNone
	}
	return models.SizeAllocated
}

func describe(t catalog.Table) string {
	text := collectortest.Text
	return fmt.Sprintf("%s %q.%q: total %s, data %s, index %s, unused %s, rows %s (%s), memory %s, note %q %q.%q",
		t.Kind, t.Schema, t.Name, text(t.Total), text(t.Data), text(t.Index), text(t.Unused),
		text(t.Rows), t.RowsSource, text(t.Memory), t.Note, t.RelatedSchema, t.Related)
}

// schemaOf returns the schema of a random object; schema 9 has no name.
func schemaOf(id int64) int64 { return []int64{1, 5, 9}[id%3] }

// randomCatalog draws a catalog in which any object may belong to any other.
func randomCatalog(t *rapid.T) systemCatalog {
	ids := rapid.Int64Range(95, 125)
	pages := rapid.Map(rapid.Int64Range(0, 1000), func(n int64) collectors.Number { return collectors.Number(n) })
	c := systemCatalog{schemas: map[int64]string{1: "dbo", 5: "sales"}, memory: map[int64]collectors.Number{}}
	kinds := []string{"U", "U", "U", "V", "IT", "S", "TT", "SQ"}
	for _, id := range rapid.SliceOfDistinct(ids, rapid.ID).Draw(t, "objects") {
		c.objects = append(c.objects, object{
			id: id, schema: schemaOf(id), name: fmt.Sprint("o", id),
			kind: rapid.SampledFrom(kinds).Draw(t, "kind"), shipped: rapid.Bool().Draw(t, "shipped"),
		})
	}
	for _, id := range rapid.SliceOfDistinct(ids, rapid.ID).Draw(t, "specials") {
		s := tableTraits{object: object{id: id, schema: schemaOf(id), name: fmt.Sprint("o", id), kind: "U"}}
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
		c.traits = append(c.traits, s)
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

// Without the permission to read the memory of tables, only their memory is unknown.
func TestReader_Tables_MemoryDenied(t *testing.T) {
	c := caseNamed(t, "memory-optimised tables")
	want := wantOf(t, c)
	for i := range want.Tables {
		want.Tables[i].Memory = nil
	}
	reader := onSQLite(t, c.Rows, func(text string) bool { return text == statements["memory"] })
	result, statsDenied, err := reader.tables(t.Context())
	if err != nil || statsDenied {
		t.Fatalf("got statistics denied %v, %v, want false", statsDenied, err)
	}
	wantTables(t, result, want)
	each, broken := reader.each, errors.New("broken")
	reader.each = func(ctx context.Context, text string, scan func(*sql.Rows) error, args ...any) error {
		if text == statements["memory"] {
			return broken
		}
		return each(ctx, text, scan, args...)
	}
	if _, _, err := reader.tables(t.Context()); !errors.Is(err, broken) {
		t.Errorf("got %v, want %v", err, broken)
	}
}

func TestSystemCatalog_Result_Properties(t *testing.T) {
	t.Parallel()

	rapid.Check(t, func(t *rapid.T) {
		c := randomCatalog(t)
		result := c.counts().result()
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
					t.Fatalf("%q has parts, but no total", name)
				}
				continue
			}
			if *table.Data < 0 || *table.Index < 0 || *table.Unused < 0 ||
				*table.Total != *table.Data+*table.Index+*table.Unused {
				t.Fatalf("%q: got total %d, want the sum of %d, %d and %d, none of them negative",
					name, *table.Total, *table.Data, *table.Index, *table.Unused)
			}
			sum += *table.Total
		}
		for _, p := range c.pages {
			reserved += int64(p.reserved) * pageBytes
		}
		if sum+*result.Residual != reserved {
			t.Fatalf("got %d bytes in tables and residual %d, want %d together", sum, *result.Residual, reserved)
		}
		for _, o := range c.objects {
			name := collectortest.Relation(c.schemas[o.schema], o.name)
			if (o.kind == "U" || o.kind == "V") && name.Schema != "" && !listed[name] {
				t.Fatalf("%q is not listed", name)
			}
		}
	})
}
