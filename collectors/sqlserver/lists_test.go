package sqlserver

import (
	"testing"

	"whalefall/collectors/collectortest"
	"whalefall/testenv/catalog"
	"whalefall/testenv/sqlserver"
)

func TestReader_Tables_Cut(t *testing.T) {
	t.Parallel()
	rows := caseNamed(t, "a bit of everything").Rows
	for statement, rows := range map[string]catalog.Rows{
		"partitions": rows, "objects": rows, "internal_tables": rows, "schemas": rows, "pages": rows,
		"tables": withMemory(smallDatabase()), "memory": withMemory(smallDatabase()),
	} {
		t.Run(statement, func(t *testing.T) {
			t.Parallel()
			r := onSQLite(t, rows, nil)
			r.each = collectortest.WithoutFirstRow(r.each, statements[statement])
			collectortest.WantCutShort(t, mustTables(t, r))
		})
	}

	t.Run("units", func(t *testing.T) {
		t.Parallel()
		r := onSQLite(t, rows, needsState)
		r.each = collectortest.WithoutFirstRow(r.each, statements["units"])
		collectortest.WantCutShort(t, mustTables(t, r))
	})
}

func TestCollector_Cut(t *testing.T) {
	t.Parallel()
	server := sqlserver.Start(t, sqlserver.Options{MaxRows: 1})
	server.AddDatabase(t, sqlserver.Database{Name: "app", Rows: caseNamed(t, "a bit of everything").Rows})

	result, err := New().Tables(t.Context(), asLogin(server, "sa"), "app")
	collectortest.Must(t, err)
	collectortest.WantCutShort(t, result)
	databases, err := New().Databases(t.Context(), asLogin(server, "sa"))
	collectortest.WantCutShortDatabases(t, databases, err)
}
