package oracle

import (
	"fmt"
	"maps"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"whalefall/collectors"
	"whalefall/collectors/collectortest"
	"whalefall/models"
)

// randomDictionary draws a dictionary and keeps the bytes of each relation that results must find in it.
type randomDictionary struct {
	t       *rapid.T
	catalog dictionary
	serial  int
	data    map[string]map[spaceRelation]int64 // by tablespace
	index   map[string]map[spaceRelation]int64
	rest    map[string]int64 // of no relation
}

var (
	owners      = []string{"APP", "app", "SYS"}
	tablespaces = []string{"USERS", "INDX", "SYSTEM"}
)

func (b *randomDictionary) pick(from []string, label string) string {
	return rapid.SampledFrom(from).Draw(b.t, label)
}

func (b *randomDictionary) name(prefix string) objectName {
	b.serial++
	return objectName{b.pick(owners, "owner"), fmt.Sprintf("%s%d", prefix, b.serial)}
}

// segments adds one to three segments of a kind, and their bytes to those expected of the relation, or if expected is
// nil to the rest.
func (b *randomDictionary) segments(
	name objectName, kind string, expected map[string]map[spaceRelation]int64, relation spaceRelation,
) {
	for range rapid.IntRange(1, 3).Draw(b.t, "segments") {
		tablespace, bytes := b.pick(tablespaces, "tablespace"), rapid.Int64Range(0, 1<<40).Draw(b.t, "bytes")
		b.catalog.segments = append(b.catalog.segments, dictSegment{name, kind, tablespace, collectors.Number(bytes)})
		if expected == nil {
			b.rest[tablespace] += bytes
			continue
		}
		for _, all := range []map[string]map[spaceRelation]int64{b.data, b.index} {
			if all[tablespace] == nil {
				all[tablespace] = map[spaceRelation]int64{}
			}
			all[tablespace][relation] += 0
		}
		expected[tablespace][relation] += bytes
	}
}

// table adds a table and returns its name.
func (b *randomDictionary) table(t dictTable) objectName {
	t.created = "YES"
	b.catalog.tables[t.objectName] = t
	return t.objectName
}

// parts adds up to four parts that a table can have. They count for the relation, as index if asIndex is set.
func (b *randomDictionary) parts(table objectName, relation spaceRelation, asIndex bool, depth int) {
	data := b.data
	if asIndex {
		data = b.index
	}
	for range rapid.IntRange(0, 4).Draw(b.t, "parts") {
		switch part := b.name("P"); rapid.IntRange(0, 8).Draw(b.t, "part") {
		case 0:
			b.segments(table, b.pick([]string{"TABLE", "TABLE PARTITION", "TABLE SUBPARTITION"}, "kind"), data, relation)
		case 1:
			kind := b.pick([]string{"NORMAL", "BITMAP", "FUNCTION-BASED NORMAL"}, "type")
			b.catalog.indexes[part] = dictIndex{kind: kind, table: table}
			b.segments(part, b.pick([]string{"INDEX", "INDEX PARTITION", "INDEX SUBPARTITION"}, "kind"), b.index, relation)
		case 2:
			b.catalog.indexes[part] = dictIndex{kind: b.pick([]string{"LOB", "IOT - TOP"}, "type"), table: table}
			b.segments(part, b.pick([]string{"INDEX", "INDEX PARTITION", "LOBINDEX"}, "kind"), data, relation)
		case 3:
			b.catalog.lobs[part] = table
			kinds := []string{"LOBSEGMENT", "LOB PARTITION", "LOB SUBPARTITION", "LOBINDEX"}
			b.segments(part, b.pick(kinds, "kind"), data, relation)
		case 4:
			overflow := b.table(dictTable{objectName: objectName{table.owner, part.name}, base: table.name})
			b.segments(overflow, "TABLE", data, relation)
		case 5:
			if depth > 0 {
				nested := objectName{table.owner, part.name}
				b.table(dictTable{objectName: nested})
				b.catalog.parents[nested] = table
				b.segments(nested, "NESTED TABLE", data, relation)
				b.parts(nested, relation, asIndex, depth-1)
			}
		case 6:
			if storage := b.name("DR$"); depth > 0 {
				b.catalog.indexes[part] = dictIndex{kind: "DOMAIN", table: table}
				b.table(dictTable{objectName: storage, secondary: true})
				b.catalog.secondary[storage] = part
				b.segments(storage, "TABLE", b.index, relation)
				b.parts(storage, relation, true, depth-1)
			}
		}
	}
}

// anyDictionary draws a dictionary of up to seven relations, some of whose segments belong to no relation.
func anyDictionary(t *rapid.T) *randomDictionary {
	b := &randomDictionary{
		t:    t,
		data: map[string]map[spaceRelation]int64{}, index: map[string]map[spaceRelation]int64{}, rest: map[string]int64{},
		catalog: dictionary{
			tablespaces: map[string]bool{}, tables: map[objectName]dictTable{}, indexes: map[objectName]dictIndex{},
			lobs: map[objectName]objectName{}, parents: map[objectName]objectName{}, clusters: map[objectName]string{},
			secondary: map[objectName]objectName{},
		},
	}
	for range rapid.IntRange(0, 7).Draw(t, "relations") {
		switch name := b.name("T"); rapid.IntRange(0, 4).Draw(t, "relation") {
		case 0, 1:
			b.parts(b.table(dictTable{objectName: name}), spaceRelation{name, models.KindTable}, false, 2)
		case 2:
			bin := spaceRelation{objectName{name.owner, recycleBin}, models.KindRecycleBin}
			b.table(dictTable{objectName: name, dropped: true})
			b.segments(name, "TABLE", b.data, bin)
			kinds := []string{"INDEX", "LOBSEGMENT", "LOBINDEX", "TABLE"}
			b.segments(objectName{name.owner, recycleBin + name.name}, b.pick(kinds, "kind"), b.data, bin)
		case 3:
			cluster, index := spaceRelation{name, models.KindCluster}, b.name("CI")
			b.catalog.clusters[name] = ""
			b.segments(name, "CLUSTER", b.data, cluster)
			b.catalog.indexes[index] = dictIndex{kind: "CLUSTER", table: name, onCluster: true}
			b.segments(index, "INDEX", b.data, cluster)
		case 4:
			kinds := []string{
				"TABLE", "INDEX", "LOBSEGMENT", "LOBINDEX", "CLUSTER",
				"TYPE2 UNDO", "ROLLBACK", "TEMPORARY", "CACHE", "TABLE SHARD",
			}
			b.segments(name, b.pick(kinds, "kind"), nil, spaceRelation{})
		}
	}
	return b
}

func TestDictionary_Results_Properties(t *testing.T) {
	t.Parallel()

	t.Run("every byte is counted once, for its relation", rapid.MakeCheck(func(t *rapid.T) {
		b := anyDictionary(t)
		results := b.catalog.results()
		for _, tablespace := range tablespaces {
			data, index := map[spaceRelation]int64{}, map[spaceRelation]int64{}
			for _, row := range results[tablespace].Tables {
				relation := spaceRelation{objectName{row.Schema, row.Name}, row.Kind}
				if _, twice := data[relation]; twice {
					t.Errorf("%s: got %v twice", tablespace, relation)
				}
				data[relation], index[relation] = *row.Data, *row.Index
				if *row.Total != *row.Data+*row.Index || row.SizeSource != models.SizeAllocated {
					t.Errorf("%v: got total %d, want %d + %d", relation, *row.Total, *row.Data, *row.Index)
				}
			}
			wantSame(t, tablespace+" data", b.data[tablespace], data)
			wantSame(t, tablespace+" index", b.index[tablespace], index)

			residual, want := results[tablespace].Residual, b.rest[tablespace]
			if residual == nil && want != 0 || residual != nil && *residual != want {
				t.Errorf("%s: got residual %s, want %d", tablespace, collectortest.Text(residual), want)
			}
		}
	}))
	t.Run("the order of segments does not matter", rapid.MakeCheck(func(t *rapid.T) {
		b := anyDictionary(t)
		before := b.catalog.results()
		b.catalog.segments = rapid.Permutation(b.catalog.segments).Draw(t, "order")
		if difference := cmp.Diff(before, b.catalog.results()); difference != "" {
			t.Errorf("(-before +after)\n%s", difference)
		}
	}))
	t.Run("an unknown segment makes one sum unknown", rapid.MakeCheck(func(t *rapid.T) {
		b := anyDictionary(t)
		if len(b.catalog.segments) == 0 {
			t.Skip("no segments")
		}
		before := unknownSums(b.catalog.results())
		i := rapid.IntRange(0, len(b.catalog.segments)-1).Draw(t, "segment")
		b.catalog.segments[i].bytes = collectors.Unknown
		if after := unknownSums(b.catalog.results()); before != 0 || after != 1 {
			t.Errorf("got %d unknown sums before and %d after, want 0 and 1", before, after)
		}
	}))
}

func wantSame(t *rapid.T, what string, want, got map[spaceRelation]int64) {
	t.Helper()
	if !maps.Equal(want, got) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// unknownSums returns how many totals and residuals are unknown.
func unknownSums(results map[string]models.TableResult) (n int) {
	for _, r := range results {
		if r.Residual == nil {
			n++
		}
		for _, row := range r.Tables {
			if row.Total == nil {
				n++
			}
		}
	}
	return n
}

// Tables, clusters and indexes have namespaces of their own, so that all three may have the same name.
func TestDictionary_Results_SameNames(t *testing.T) {
	t.Parallel()

	name, index, lost := objectName{"APP", "T"}, objectName{"APP", "I"}, objectName{"APP", "L"}
	catalog := dictionary{
		segments: []dictSegment{
			{name, "TABLE", "USERS", 8},
			{name, "CLUSTER", "USERS", 4},
			{index, "INDEX", "USERS", 2},
			{lost, "INDEX", "USERS", 1},
		},
		tables:   map[objectName]dictTable{name: {objectName: name}, {"APP", "U"}: {objectName: objectName{"APP", "U"}}},
		clusters: map[objectName]string{name: ""},
		indexes: map[objectName]dictIndex{
			index: {kind: "NORMAL", table: name},
			lost:  {kind: "CLUSTER", table: objectName{"APP", "U"}, onCluster: true},
			name:  {kind: "DOMAIN", table: objectName{"APP", "U"}},
		},
		secondary: map[objectName]objectName{name: name},
	}
	result := catalog.results()["USERS"]
	want := "APP.T 10, APP.T (cluster) 4"
	if got := totals(result); got != want || *result.Residual != 1 {
		t.Errorf("got %s, residual %d, want %s, residual 1", got, *result.Residual, want)
	}
}

// A table with deferred segment creation may get its segment after its row in DBA_ALL_TABLES was read.
func TestDictionary_Results_SegmentCreatedMeanwhile(t *testing.T) {
	t.Parallel()

	name := objectName{"APP", "T"}
	rows := int64(5)
	for _, size := range []collectors.Number{8192, collectors.Unknown} {
		catalog := dictionary{
			segments: []dictSegment{{name, "TABLE", "USERS", size}},
			tables:   map[objectName]dictTable{name: {objectName: name, tablespace: "USERS", created: "NO", rows: &rows}},
		}
		table := catalog.results()["USERS"].Tables[0]
		if table.RowsSource != models.RowsStatistic || *table.Rows != rows {
			t.Errorf("got rows %d from %q, want %d from %q", *table.Rows, table.RowsSource, rows, models.RowsStatistic)
		}
		wantBytes(t, "total", table.Total, collectortest.Text(size.Pointer()))
	}
}

func TestDictionary_Results_TablespaceOfTemporaryTables(t *testing.T) {
	t.Parallel()

	name := objectName{"APP", "BASKET"}
	catalog := dictionary{
		tables:   map[objectName]dictTable{name: {objectName: name, temporary: true}},
		defaults: map[string]string{"APP": "DATA"},
	}
	for _, c := range []struct {
		name string
		all  bool
		list map[string]bool
		want int
	}{
		{"listed", true, map[string]bool{"DATA": true}, 1},
		{"dropped", true, map[string]bool{"USERS": true}, 0},
		{"not visible", false, map[string]bool{"USERS": true}, 1},
	} {
		catalog.allTablespaces, catalog.tablespaces = c.all, c.list
		result, there := catalog.results()["DATA"]
		if len(result.Tables) != c.want || there != (c.want == 1) || there && *result.Residual != 0 {
			t.Errorf("%s: got %+v, want tables: %d", c.name, result, c.want)
		}
	}
}

func TestDictionary_Home_Cycle(t *testing.T) {
	t.Parallel()

	one, other := objectName{"APP", "ONE"}, objectName{"APP", "OTHER"}
	const bytes = collectors.Number(8192)
	catalog := dictionary{
		segments: []dictSegment{{one, "NESTED TABLE", "USERS", bytes}},
		tables:   map[objectName]dictTable{one: {objectName: one}, other: {objectName: other}},
		parents:  map[objectName]objectName{one: other, other: one},
	}
	result := catalog.results()["USERS"]
	if len(result.Tables) != 0 || *result.Residual != int64(bytes) {
		t.Errorf("got %+v, want no tables, residual %d", result, bytes)
	}
}

func TestVersion_Main(t *testing.T) {
	t.Parallel()

	for number, want := range map[string]string{
		"11.2.0.4.0": "11.2", "12.1.0.2.0": "12.1", "12.2.0.1.0": "12.2",
		"18.0.0.0.0": "18", "19.21.0.0.0": "19", "23.4.0.24.05": "23",
	} {
		if got := parseVersion("Oracle Database", number).main(); got != want {
			t.Errorf("%s: got %s, want %s", number, got, want)
		}
	}
}

func TestAccount(t *testing.T) {
	t.Parallel()

	for login, want := range map[string]string{"a": "A", `"a b"`: "a b", `"a"`: "a"} {
		if got := account(login); got != want {
			t.Errorf("%s: got %s, want %s", login, got, want)
		}
	}
}
