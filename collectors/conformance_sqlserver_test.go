package collectors

import (
	"testing"

	"whalefall/testenv/catalog"
	"whalefall/testenv/sqlserver"
)

var sqlserverEngine = engine{
	name:  "SQLServer",
	setup: sqlserverConformance,
	cannot: map[string]string{
		"an empty table has 0 rows, exactly": "the reference calls every row count of the catalog approximate, 0 too",
		"rows nobody counted are unknown":    "the server counts the rows of every partition as they come and go",
		"partitions are rolled up once":      "a partition has no name; a partitioned table is one row, with the bytes of its partitions",
	},
}

func sqlserverConformance(t *testing.T) fixture {
	const database = "app"
	server := sqlserver.Start(t, sqlserver.Options{})
	b := sqlserverTables{rows: catalog.Rows{}}
	b.add("sys.schemas", map[string]any{"schema_id": 1, "name": "dbo"})
	for _, name := range append([]string{"empty", "never_analysed", "tree"}, hostileNames...) {
		b.table(name)
	}
	server.AddDatabase(t, sqlserver.Database{Name: database, Rows: b.rows})
	server.AddDatabase(t, sqlserver.Database{Name: "readable"})
	server.AddLogin(t, sqlserver.Login{
		Name: "whalefall", Permissions: []string{"CONNECT ANY DATABASE", "VIEW ANY DEFINITION", "VIEW SERVER STATE"},
	})
	server.AddLogin(t, sqlserver.Login{Name: "small", Users: map[string]sqlserver.User{"readable": {}}})
	impatient := NewSQLServer()
	impatient.connectTimeout = impatience
	target := asLogin(server, "whalefall")
	return fixture{
		collector: NewSQLServer(), impatient: impatient, target: target, database: database, schema: "dbo",
		yardstick:   func(t *testing.T) map[relationName]yard { return sqlserverSpaceUsed(t, target, database) },
		connections: func(*testing.T) int { return len(server.Connections()) },
		block:       func(t *testing.T) func() { return server.Block(t, "sys.partitions") },
		denied:      func(*testing.T) (Target, string, string) { return asLogin(server, "small"), database, "readable" },
	}
}

// sqlserverSpaceUsed is what sp_spaceused says.
func sqlserverSpaceUsed(t *testing.T, target Target, database string) map[relationName]yard {
	t.Helper()
	word, err := NewSQLServer().Yardstick(t.Context(), target, database)
	if err != nil {
		t.Fatal(err)
	}
	out := map[relationName]yard{}
	for _, r := range word.Relations {
		if r.Total == nil {
			t.Errorf("sp_spaceused says nothing of %q", r.Name)
		}
		out[relationName{r.Schema, r.Name}] = yard{r.Total, r.Data, r.Index}
	}
	return out
}

// sqlserverTables makes the catalog of tables that each have a clustered and a nonclustered index; no two are alike.
type sqlserverTables struct {
	rows   catalog.Rows
	tables int64
}

func (b *sqlserverTables) add(view string, row map[string]any) {
	b.rows[view] = append(b.rows[view], row)
}

func (b *sqlserverTables) table(name string) {
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
			b.partition(id, index, n+1, rows, 7*b.tables/index+n)
		}
	}
}

// partition has one page of an index above its leaf pages and a map, and at least one unused page.
func (b *sqlserverTables) partition(object, index, number, rows, leaf int64) {
	id := object*100 + index*10 + number
	used, reserved := leaf+2, (leaf+10)/8*8+1
	b.add("sys.partitions", map[string]any{
		"partition_id": id, "hobt_id": id, "object_id": object, "index_id": index, "partition_number": number, "rows": rows,
	})
	b.add("sys.allocation_units", map[string]any{
		"allocation_unit_id": id, "type": 1, "container_id": id, "data_pages": leaf, "used_pages": used, "total_pages": reserved,
	})
	b.add("sys.dm_db_partition_stats", map[string]any{
		"partition_id": id, "object_id": object, "index_id": index, "partition_number": number, "row_count": rows,
		"in_row_data_page_count": leaf, "in_row_used_page_count": used, "in_row_reserved_page_count": reserved,
		"lob_used_page_count": 0, "lob_reserved_page_count": 0, "row_overflow_used_page_count": 0,
		"row_overflow_reserved_page_count": 0, "used_page_count": used, "reserved_page_count": reserved,
	})
}
