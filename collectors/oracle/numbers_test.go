package oracle

import (
	"testing"

	"pgregory.net/rapid"

	"whalefall/collectors"
	"whalefall/collectors/collectortest"
	"whalefall/models"
	"whalefall/testenv/oracle"
)

// Impossible numbers concern their table only.
func TestCollector_Tables_ImpossibleNumbers(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		rows := collectortest.OracleTwoSchemas()
		for view, column := range map[string]string{"DBA_SEGMENTS": "BYTES", "DBA_TABLES": "NUM_ROWS"} {
			for i := range rows[view] {
				if rapid.Bool().Draw(r, "touch") {
					rows[view][i][column] = collectortest.HostileNumber().Draw(r, "value")
				}
			}
		}
		server := oracle.New(t, oracle.Options{Rows: rows})
		target := collectortest.OracleTarget(t, server, "WHALEFALL", true)
		result, err := collectorFor(server).Tables(t.Context(), target, "USERS")
		if err != nil || len(result.Tables) != 2 || !result.Complete {
			r.Fatalf("got %+v, %v; want two tables", result, err)
		}
		collectortest.CheckSizes(r, result.Tables)
		if _, err := collectorFor(server).Databases(t.Context(), target); err != nil {
			r.Fatal(err)
		}
	})
}

func TestDictionary_Row_Impossible(t *testing.T) {
	t.Parallel()
	for bytes, want := range map[collectors.Number]models.Unread{8: "", collectors.Impossible: models.UnreadFailed} {
		catalog := dictionary{
			segments: []dictSegment{appSegment("T", "TABLE", bytes), appSegment("T", "TABLE", 1)},
			tables:   appTables(appTable(dictTable{tablespace: "USERS", impossible: true}, "T")),
		}
		rows, _ := tablesOf(t, catalog)
		row := rows["T"]
		if row.Unread != want || (row.Total == nil) != (want != "") || row.Rows != nil {
			t.Errorf("%d bytes: got %+v, want unread %q", bytes, row, want)
		}
		if want == "" && row.Note != models.NoteImpossible {
			t.Errorf("%d bytes: got note %q, want %q", bytes, row.Note, models.NoteImpossible)
		}
	}
}
