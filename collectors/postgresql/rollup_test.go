package postgresql

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"whalefall/collectors/collectortest"
	"whalefall/models"
)

// drawCatalog draws a forest: the parent of every partition is a partitioned table before it.
func drawCatalog(t *rapid.T) (relationCatalog, map[int64]relationSize) {
	catalog := relationCatalog{parents: map[int64]int64{}, server: serverInfo{blockSize: 8192}}
	sizes := map[int64]relationSize{}
	bytes := rapid.Int64Range(0, 1<<40)
	var roots []int64
	for oid := range int64(rapid.IntRange(0, 30).Draw(t, "relations")) {
		r := relation{
			oid: oid, schema: "s", name: fmt.Sprint(oid),
			kind:   rapid.SampledFrom([]string{"r", "r", "p", "m", "f"}).Draw(t, "kind"),
			tuples: float64(rapid.IntRange(-1, 1000).Draw(t, "tuples")), pages: rapid.Int64Range(0, 1000).Draw(t, "pages"),
		}
		if len(roots) > 0 && r.kind != "m" && rapid.Bool().Draw(t, "partition") {
			r.partition = true
			catalog.parents[oid] = rapid.SampledFrom(roots).Draw(t, "parent")
		}
		if r.kind == "p" {
			roots = append(roots, oid)
		}
		catalog.relations = append(catalog.relations, r)
		if r.kind == "f" {
			continue
		}
		sizes[oid] = relationSize{
			data: new(bytes.Draw(t, "data")), index: new(bytes.Draw(t, "index")), main: new(bytes.Draw(t, "main")),
		}
		switch rapid.IntRange(0, 9).Draw(t, "fate") {
		case 0:
			unread := rapid.SampledFrom([]models.Unread{models.UnreadLocked, models.UnreadFailed})
			sizes[oid] = relationSize{unread: unread.Draw(t, "unread")}
		case 1:
			sizes[oid] = relationSize{}
		}
	}
	return catalog, sizes
}

func TestRelationCatalog_Assemble(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		catalog, sizes := drawCatalog(t)
		rows := map[string]models.TableSize{}
		for _, row := range catalog.assemble(sizes) {
			rows[row.Name] = row
		}
		below := map[int64][]int64{} // a relation and everything below it, walked upwards, unlike the code
		for _, r := range catalog.relations {
			for oid, ok := r.oid, true; ok; oid, ok = catalog.parents[oid] {
				below[oid] = append(below[oid], r.oid)
			}
		}
		for _, r := range catalog.relations {
			row, listed := rows[r.name]
			if want := r.kind != "f" && !sizes[r.oid].gone(); listed != want {
				t.Fatalf("%s is listed: %v", r.name, listed)
			}
			if !listed {
				continue
			}
			if row.RolledUp != (r.kind == "p") || (row.Parent != "") != r.partition {
				t.Fatalf("%+v of %+v", row, r)
			}
			want, known, reasons := int64(0), true, []models.Unread{}
			for _, oid := range below[r.oid] {
				size := sizes[oid]
				if size.unread != "" {
					known, reasons = false, append(reasons, size.unread)
				}
				if size.data != nil {
					want += *size.data + *size.index
				}
			}
			if (row.Total != nil) != known || row.Unused != nil ||
				known && (*row.Total != want || *row.Total != *row.Data+*row.Index) {
				t.Fatalf("%s has %s bytes, want %d (known: %v)", r.name, collectortest.Text(row.Total), want, known)
			}
			if (row.Unread == "") != known ||
				!known && (!slices.Contains(reasons, row.Unread) || row.Rows != nil || row.SizeSource != models.SizeNone) {
				t.Fatalf("%+v is unread for %v", row, reasons)
			}
			if (row.Rows == nil) != (row.RowsSource == "") {
				t.Fatalf("%s: %s rows from %q", r.name, collectortest.Text(row.Rows), row.RowsSource)
			}
		}
	})
}

func TestRelationCatalog_Rows(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		tuples float64
		pages  int64
		main   int64
		want   *int64
		source models.RowsSource
	}{
		{"nothing stored", -1, 0, 0, new(int64(0)), models.RowsExact},
		{"emptied since the statistics", 500, 5, 0, new(int64(0)), models.RowsExact},
		{"never analysed, 14 and later", -1, 0, 8192, nil, ""},
		{"never analysed, before 14", 0, 0, 8192, nil, ""},
		{"all rows deleted, space kept", 0, 4, 4 * 8192, new(int64(0)), models.RowsStatistic},
		{"unchanged", 500, 5, 5 * 8192, new(int64(500)), models.RowsStatistic},
		{"three times as big", 500, 5, 15 * 8192, new(int64(1500)), models.RowsStatistic},
		{"beyond all numbers", 1e30, 5, 5 * 8192, nil, models.RowsStatistic},
		{"infinite", math.Inf(1), 5, 5 * 8192, nil, models.RowsStatistic},
		{"not a number", math.NaN(), 5, 5 * 8192, nil, models.RowsStatistic},
	} {
		catalog := relationCatalog{server: serverInfo{blockSize: 8192}}
		got, source := catalog.rows(relation{tuples: c.tuples, pages: c.pages}, relationSize{main: &c.main})
		if collectortest.Text(got.Pointer()) != collectortest.Text(c.want) || source != c.source {
			t.Errorf("%s: %s rows (%s), want %s (%s)",
				c.name, collectortest.Text(got.Pointer()), source, collectortest.Text(c.want), c.source)
		}
	}
}
