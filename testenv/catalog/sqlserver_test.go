package catalog_test

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"whalefall/models"
	"whalefall/testenv/catalog"
)

const pageBytes = 8192

func sqlServerCases(t *testing.T, check func(t *testing.T, rows sqlServerRows, want catalog.Want)) {
	t.Helper()
	for _, c := range catalog.Cases(t, "sqlserver") {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			var want catalog.Want
			c.DecodeWant(t, &want)
			check(t, sqlServerRows(c.Rows), want)
		})
	}
}

type sqlServerRows catalog.Rows

// number returns the integer in a column; 0 for NULL.
func number(t *testing.T, row map[string]any, column string) int64 {
	t.Helper()
	value, ok := row[column]
	if !ok {
		t.Fatalf("a row lacks %s: %v", column, row)
	}
	if value == nil {
		return 0
	}
	n, err := value.(json.Number).Int64()
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func (r sqlServerRows) ids(t *testing.T, view, column string) map[int64]bool {
	t.Helper()
	ids := map[int64]bool{}
	for _, row := range r[view] {
		ids[number(t, row, column)] = true
	}
	return ids
}

func (r sqlServerRows) refers(t *testing.T, view, column string, to map[int64]bool) {
	t.Helper()
	for _, row := range r[view] {
		if id := number(t, row, column); !to[id] {
			t.Errorf("%s.%s %d is nowhere else", view, column, id)
		}
	}
}

func TestSQLServerCases_IDsAgree(t *testing.T) {
	t.Parallel()
	sqlServerCases(t, func(t *testing.T, rows sqlServerRows, _ catalog.Want) {
		objects := rows.ids(t, "sys.objects", "object_id")
		rows.refers(t, "sys.objects", "schema_id", rows.ids(t, "sys.schemas", "schema_id"))
		for _, view := range []string{
			"sys.tables", "sys.views", "sys.internal_tables", "sys.external_tables", "sys.indexes",
		} {
			rows.refers(t, view, "object_id", objects)
		}
		partitions := rows.ids(t, "sys.partitions", "partition_id")
		rows.refers(t, "sys.dm_db_partition_stats", "partition_id", partitions)
		for view, column := range map[string]string{
			"sys.objects": "object_id", "sys.partitions": "partition_id", "sys.allocation_units": "allocation_unit_id",
			"sys.dm_db_partition_stats": "partition_id",
		} {
			if len(rows.ids(t, view, column)) != len(rows[view]) {
				t.Errorf("%s.%s is not unique", view, column)
			}
		}
	})
}

// pages holds the figures of a partition, which two sources have.
type pages struct {
	object, index, number             int64
	data, inRow, lob, overflow        int64 // used ones, and those with data
	rInRow, rLOB, rOverflow, reserved int64
}

func (r sqlServerRows) byStatistics(t *testing.T) map[int64]pages {
	t.Helper()
	all := map[int64]pages{}
	for _, row := range r["sys.dm_db_partition_stats"] {
		p := pages{
			object: number(t, row, "object_id"), index: number(t, row, "index_id"), number: number(t, row, "partition_number"),
			data: number(t, row, "in_row_data_page_count"), inRow: number(t, row, "in_row_used_page_count"),
			lob: number(t, row, "lob_used_page_count"), overflow: number(t, row, "row_overflow_used_page_count"),
			rInRow: number(t, row, "in_row_reserved_page_count"), rLOB: number(t, row, "lob_reserved_page_count"),
			rOverflow: number(t, row, "row_overflow_reserved_page_count"), reserved: number(t, row, "reserved_page_count"),
		}
		if p.reserved != p.rInRow+p.rLOB+p.rOverflow || number(t, row, "used_page_count") != p.inRow+p.lob+p.overflow {
			t.Errorf("the sums of partition %d are wrong", number(t, row, "partition_id"))
		}
		all[number(t, row, "partition_id")] = p
	}
	return all
}

func (r sqlServerRows) byUnits(t *testing.T) map[int64]pages {
	t.Helper()
	all := map[int64]pages{}
	for _, row := range r["sys.partitions"] {
		p := pages{
			object: number(t, row, "object_id"), index: number(t, row, "index_id"), number: number(t, row, "partition_number"),
		}
		for _, unit := range r["sys.allocation_units"] {
			total, used := number(t, unit, "total_pages"), number(t, unit, "used_pages")
			container := number(t, unit, "container_id")
			switch kind := number(t, unit, "type"); {
			case kind == 1 && container == number(t, row, "hobt_id"):
				p.data, p.inRow, p.rInRow = p.data+number(t, unit, "data_pages"), p.inRow+used, p.rInRow+total
			case kind == 2 && container == number(t, row, "partition_id"):
				p.lob, p.rLOB = p.lob+used, p.rLOB+total
			case kind == 3 && container == number(t, row, "hobt_id"):
				p.overflow, p.rOverflow = p.overflow+used, p.rOverflow+total
			default:
				continue
			}
			p.reserved += total
		}
		all[number(t, row, "partition_id")] = p
	}
	return all
}

func TestSQLServerCases_SourcesAgree(t *testing.T) {
	t.Parallel()
	sqlServerCases(t, func(t *testing.T, rows sqlServerRows, _ catalog.Want) {
		statistics, units := rows.byStatistics(t), rows.byUnits(t)
		for id := range units {
			if _, ok := statistics[id]; !ok {
				delete(units, id) // the statistics leave out memory-optimized tables and may leave out what is hidden
			}
		}
		if diff := cmp.Diff(statistics, units, cmp.AllowUnexported(pages{})); diff != "" {
			t.Error(diff)
		}
	})
}

func TestSQLServerCases_BytesAddUp(t *testing.T) {
	t.Parallel()
	sqlServerCases(t, func(t *testing.T, rows sqlServerRows, want catalog.Want) {
		var all, found int64
		for _, p := range rows.byUnits(t) {
			all += p.reserved * pageBytes
		}
		for _, table := range want.Tables {
			if table.Total == nil {
				continue
			}
			found += *table.Total
			if sum := *table.Data + *table.Index + *table.Unused; sum != *table.Total {
				t.Errorf("%s: the parts are %d and the total is %d", table.Name, sum, *table.Total)
			}
			if *table.Data < 0 || *table.Index < 0 || *table.Unused < 0 {
				t.Errorf("%s: a part is negative", table.Name)
			}
		}
		if want.Residual == nil || found+*want.Residual != all {
			t.Errorf("the tables have %d, the rest %v, all partitions %d bytes", found, want.Residual, all)
		}
	})
}

func TestSQLServerCases_AreWellFormed(t *testing.T) {
	t.Parallel()
	kinds := []models.Kind{models.KindTable, models.KindIndexedView, models.KindMemoryOptimized, models.KindExternal}
	notes := []models.Note{"", models.NoteUnclassified, models.NoteHistory, models.NoteShipped}
	sqlServerCases(t, func(t *testing.T, rows sqlServerRows, want catalog.Want) {
		if want.Complete != (want.Hidden == 0) {
			t.Errorf("complete %v with %d hidden", want.Complete, want.Hidden)
		}
		names := map[[2]string]bool{}
		for _, table := range want.Tables {
			names[[2]string{table.Schema, table.Name}] = true
			if !slices.Contains(kinds, models.Kind(table.Kind)) || !slices.Contains(notes, models.Note(table.Note)) {
				t.Errorf("%s: kind %q, note %q", table.Name, table.Kind, table.Note)
			}
			if (table.Rows == nil) != (table.RowsSource == "") {
				t.Errorf("%s: rows and their source do not agree", table.Name)
			}
		}
		if len(names) != len(want.Tables) {
			t.Errorf("%d names of %d relations", len(names), len(want.Tables))
		}
		visible := rows.names(t)
		for name := range names {
			if !visible[name] {
				t.Errorf("no object is named %q", name)
			}
		}
	})
}

// names returns the schema and name of every visible object.
func (r sqlServerRows) names(t *testing.T) map[[2]string]bool {
	t.Helper()
	schemas := map[int64]string{}
	for _, row := range r["sys.schemas"] {
		schemas[number(t, row, "schema_id")] = row["name"].(string)
	}
	names := map[[2]string]bool{}
	for _, row := range r["sys.objects"] {
		names[[2]string{schemas[number(t, row, "schema_id")], row["name"].(string)}] = true
	}
	return names
}
