package sqlserver

import (
	"testing"

	"whalefall/collectors"
	"whalefall/collectors/collectortest"
	"whalefall/testenv/catalog"
	"whalefall/testenv/sqlserver"
)

var engine = collectortest.Engine{
	Name:  "SQLServer",
	Setup: setup,
	Cannot: map[string]string{
		"empty table has exactly 0 rows": "the documentation calls every row count of the catalog approximate, even 0",
		"uncounted rows are unknown":     "the server keeps a count of the rows of every partition",
		"partitions are rolled up":       "partitions have no names; a partitioned table is one row with their bytes",
	},
}

func setup(t *testing.T) collectortest.Fixture {
	const database = "app"
	server := sqlserver.Start(t, sqlserver.Options{})
	b := catalogBuilder{rows: catalog.Rows{}}
	b.add("sys.schemas", map[string]any{"schema_id": 1, "name": "dbo"})
	for _, name := range append([]string{"empty", "never_analysed", "tree"}, collectortest.HostileNames...) {
		b.addTable(name)
	}
	server.AddDatabase(t, sqlserver.Database{Name: database, Rows: b.rows})
	server.AddDatabase(t, sqlserver.Database{Name: "readable"})
	server.AddLogin(t, sqlserver.Login{
		Name: "whalefall", Permissions: []string{"CONNECT ANY DATABASE", "VIEW ANY DEFINITION", "VIEW SERVER STATE"},
	})
	server.AddLogin(t, sqlserver.Login{Name: "small", Users: map[string]sqlserver.User{"readable": {}}})
	impatient := New()
	impatient.connectTimeout = collectortest.Impatience
	target := asLogin(server, "whalefall")
	return collectortest.Fixture{
		Collector: New(), Impatient: impatient, Target: target, Database: database, Schema: "dbo",
		Yardstick:   func(t *testing.T) sizesByName { return spaceUsed(t, target, database) },
		Connections: func(*testing.T) int { return len(server.Connections()) },
		Block:       func(t *testing.T) func() { return server.Block(t, "sys.partitions") },
		Denied: func(*testing.T) (collectors.Target, string, string) {
			return asLogin(server, "small"), database, "readable"
		},
	}
}

type sizesByName = map[collectortest.RelationName]collectortest.Sizes

// spaceUsed returns the sizes by sp_spaceused.
func spaceUsed(t *testing.T, target collectors.Target, database string) sizesByName {
	t.Helper()
	yardstick, err := New().Yardstick(t.Context(), target, database)
	if err != nil {
		t.Fatal(err)
	}
	out := sizesByName{}
	for _, r := range yardstick.Relations {
		if r.Total == nil {
			t.Errorf("sp_spaceused returned no size of %q", r.Name)
		}
		out[collectortest.Relation(r.Schema, r.Name)] = collectortest.Sizes{Total: r.Total, Data: r.Data, Index: r.Index}
	}
	return out
}

// catalogBuilder builds a catalog of tables of different sizes, each with a clustered and a nonclustered index.
type catalogBuilder struct {
	rows   catalog.Rows
	tables int64
}

func (b *catalogBuilder) add(view string, row map[string]any) {
	b.rows[view] = append(b.rows[view], row)
}

func (b *catalogBuilder) addTable(name string) {
	b.tables++
	id := 1000 + b.tables
	object := map[string]any{"object_id": id, "schema_id": 1, "name": name, "type": "U", "is_ms_shipped": false}
	b.add("sys.objects", object)
	b.add("sys.tables", map[string]any{
		"object_id": id, "schema_id": 1, "name": name, "type": "U", "is_ms_shipped": false,
		"temporal_type": 0, "is_memory_optimized": false, "is_external": false,
	})
	rows := 10 * b.tables
	if name == "empty" {
		rows = 0
	}
	partitions := int64(1)
	if name == "tree" {
		partitions = 3
	}
	for index := int64(1); index <= 2; index++ {
		for n := range partitions {
			b.addPartition(id, index, n+1, rows, 7*b.tables/index+n)
		}
	}
}

// addPartition adds a partition that has one index page above its leaf pages, one map page and at least one unused
// page.
func (b *catalogBuilder) addPartition(object, index, number, rows, leaf int64) {
	id := object*100 + index*10 + number
	used, reserved := leaf+2, (leaf+10)/8*8+1
	b.add("sys.partitions", map[string]any{
		"partition_id": id, "hobt_id": id, "object_id": object, "index_id": index,
		"partition_number": number, "rows": rows,
	})
	b.add("sys.allocation_units", map[string]any{
		"allocation_unit_id": id, "type": 1, "container_id": id,
		"data_pages": leaf, "used_pages": used, "total_pages": reserved,
	})
	b.add("sys.dm_db_partition_stats", map[string]any{
		"partition_id": id, "object_id": object, "index_id": index, "partition_number": number, "row_count": rows,
		"in_row_data_page_count": leaf, "in_row_used_page_count": used, "in_row_reserved_page_count": reserved,
		"lob_used_page_count": 0, "lob_reserved_page_count": 0, "row_overflow_used_page_count": 0,
		"row_overflow_reserved_page_count": 0, "used_page_count": used, "reserved_page_count": reserved,
	})
}
