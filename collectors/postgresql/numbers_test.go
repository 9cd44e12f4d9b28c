package postgresql

import (
	"testing"

	"whalefall/collectors/collectortest"
	"whalefall/models"
	"whalefall/testenv"
)

// Impossible statistics concern their table only.
func TestCollector_Tables_ImpossibleStatistics(t *testing.T) {
	t.Parallel()
	server := testenv.PostgreSQL(t)
	database := collectortest.DatabaseOf(t, server.NewDatabase(t))
	impossible := map[string]string{
		"huge": "1e30", "infinite": "infinity", "nan": "nan", "fine": "5", "unknown": "-1", "negative": "-infinity",
	}
	for name, tuples := range impossible {
		server.Exec(t, database, "CREATE TABLE "+name+" AS SELECT generate_series(1, 1000) AS n", "ANALYZE "+name,
			"UPDATE pg_class SET reltuples = '"+tuples+"' WHERE relname = '"+name+"'")
	}
	target := collectortest.PostgreSQLTarget(server, database)
	result, err := New().Tables(t.Context(), target, database)
	collectortest.Must(t, err)
	collectortest.CheckSizes(t, result.Tables)
	for _, table := range result.Tables {
		switch table.Name {
		case "fine", "unknown":
			if table.Note != "" || table.Total == nil {
				t.Errorf("%s: got %+v, want no note", table.Name, table)
			}
		default:
			if table.Note != models.NoteImpossible || table.Rows != nil || table.RowsSource != "" || table.Total == nil {
				t.Errorf("%s: got %+v, want a note and bytes without rows", table.Name, table)
			}
		}
	}
	if len(result.Tables) != len(impossible) {
		t.Errorf("got %d tables, want %d", len(result.Tables), len(impossible))
	}
}
