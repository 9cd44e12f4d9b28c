package collectors

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"whalefall/models"
)

// oneTable is a catalog of a table with 20 reserved pages and of 7 more in an internal table of the given type.
func oneTable(name string, kind int64) sqlserverCatalog {
	return sqlserverCatalog{
		schemas:    map[int64]string{1: "dbo"},
		objects:    []sqlserverObject{{id: 1000, schema: 1, name: name, kind: "U"}},
		internals:  []sqlserverInternal{{id: 1001, parent: 1000, kind: kind}},
		partitions: []sqlserverPartition{{id: 1, hobt: 1, object: 1000, rows: 3}, {id: 2, hobt: 2, object: 1001, index: 1, rows: 9}},
		pages: []sqlserverPages{
			{object: 1000, data: 10, used: 12, reserved: 20, rows: 3}, {object: 1001, index: 1, data: 4, used: 5, reserved: 7, rows: 9},
		},
	}
}

// The types are those of the reference page of sys.internal_tables and of the text of sp_spaceused.
func TestSQLServerPropertiesOfInternalTables(t *testing.T) {
	indexes := []int64{202, 204, 207, 211, 212, 213, 214, 215, 216, 221, 222, 236}
	database := []int64{201, 203, 205, 206, 208, 209, 210, 220, 225}
	for kind := range int64(256) {
		result := oneTable("t", kind).result()
		if len(result.Tables) != 1 {
			t.Fatalf("%d: %d tables", kind, len(result.Tables))
		}
		table := result.Tables[0]
		pages, index, note := int64(27), int64(7), models.NoteUnclassified
		switch {
		case slices.Contains(indexes, kind):
			note = ""
		case slices.Contains(database, kind):
			pages, index, note = 20, 2, ""
		}
		if *table.Total != pages*sqlserverPage || *table.Data != 10*sqlserverPage || *table.Index != index*sqlserverPage ||
			*table.Rows != 3 || table.Note != note || *result.Residual != (27-pages)*sqlserverPage {
			t.Errorf("type %d: total %d, data %d, index %d, note %q, %d left over", kind, *table.Total, *table.Data, *table.Index, table.Note, *result.Residual)
		}
	}
}

// A temporary table belongs to its session: it is not listed, and its pages are those of no table.
func TestSQLServerPropertiesOfTemporaryTables(t *testing.T) {
	result := oneTable("#t", 202).result()
	if len(result.Tables) != 0 || *result.Residual != 27*sqlserverPage {
		t.Errorf("%d tables, %d left over", len(result.Tables), *result.Residual)
	}
}

// Only what has an id of users' objects can be hidden, and what has a name is not.
func TestSQLServerPropertiesOfHiddenObjects(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := randomCatalog(t)
		visible := map[int64]bool{}
		for _, o := range c.objects {
			listable := o.kind == "U" || o.kind == "V"
			visible[o.id] = !listable || c.schemas[o.schema] != ""
		}
		for _, i := range c.internals {
			visible[i.id] = true
		}
		want := map[int64]bool{}
		for _, p := range c.partitions {
			if p.object >= 101 && !visible[p.object] {
				want[p.object] = true
			}
		}
		got := c.hidden()
		if len(got) != len(want) {
			t.Fatalf("%v are hidden, want %v", got, want)
		}
		for id := range want {
			if !got[id] {
				t.Fatalf("%d is hidden", id)
			}
		}
	})
}

// What is reserved is the total, whatever the counters say, and used pages that are fewer than those of data are unused.
func TestSQLServerPropertiesOfContradictions(t *testing.T) {
	for _, c := range []struct{ data, used, reserved, wantTotal, wantData, wantIndex, wantUnused int64 }{
		{10, 12, 17, 17, 10, 2, 5},
		{10, 8, 17, 17, 10, 0, 7},
		{10, 20, 17, 17, 10, 7, 0},
		{30, 20, 17, 17, 17, 0, 0},
		{0, 0, 0, 0, 0, 0, 0},
		{-1, 5, 8, 8, 0, 5, 3},
		{-1, -1, 8, 8, 0, 0, 8},
		{1, 1, -1, 0, 0, 0, 0},
	} {
		total, data, index, unused := sqlserverSplit(c.data, c.used, c.reserved)
		got := [4]int64{*total / sqlserverPage, *data / sqlserverPage, *index / sqlserverPage, *unused / sqlserverPage}
		if want := [4]int64{c.wantTotal, c.wantData, c.wantIndex, c.wantUnused}; got != want {
			t.Errorf("%d of %d of %d: got %v, want %v", c.data, c.used, c.reserved, got, want)
		}
	}
}

// The pages of an object that the statistics leave out are looked for in the catalog, but not those that are in memory.
func TestSQLServerPropertiesOfWhatIsUnstated(t *testing.T) {
	c := oneTable("t", 202)
	c.partitions = append(c.partitions, sqlserverPartition{object: 1002}, sqlserverPartition{object: 1003})
	c.specials = []sqlserverSpecial{{object: sqlserverObject{id: 1002}, memoryOptimized: true}, {object: sqlserverObject{id: 1003}, history: true}}
	if got := c.unstated(); len(got) != 1 || !got[1003] {
		t.Errorf("got %v", got)
	}
}
