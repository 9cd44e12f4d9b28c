package sqlserver

import (
	"testing"

	"whalefall/collectors/collectortest"
	"whalefall/testenv/sqlserver"
)

func TestCollector_TotalFirst(t *testing.T) {
	f := setup(t)
	server := sqlserver.Start(t, sqlserver.Options{})
	b := catalogBuilder{rows: map[string][]map[string]any{}}
	b.add("sys.schemas", map[string]any{"schema_id": 1, "name": "dbo"})
	b.addTable("one")
	server.AddDatabase(t, sqlserver.Database{Name: "app", Rows: b.rows})
	f.Target = asLogin(server, "sa")
	f.Block = func(t *testing.T) func() { return server.Block(t, "sys.dm_db_partition_stats") }

	collectortest.CheckTotalFirst(t, f)
}
