package collectors

import (
	"context"
	"database/sql"
	"testing"

	"whalefall/models"
)

// TestARunSaysWhatIsWrongWithTheStore has the store refuse a snapshot as a full disk and a standby do.
func TestARunSaysWhatIsWrongWithTheStore(t *testing.T) {
	address := seams["river"](t)
	h := emptyHouse(t, address, &scriptedCollector{tables: func(context.Context, Target) (models.TableResult, error) {
		total := int64(8192)
		return models.TableResult{Complete: true, Tables: []models.TableSize{
			{Schema: "public", Name: "t", Kind: models.KindTable, Total: &total, SizeSource: models.SizeAllocated},
		}}, nil
	}})
	must(t, h.service.Resume(t.Context()))
	t.Cleanup(func() { must(t, h.service.Close(context.Background())) })
	db, err := sql.Open("pgx", address)
	must(t, err)
	defer db.Close()
	for key, state := range map[string]string{"store.full": "53100", "store.read_only": "25006"} {
		for _, text := range []string{
			"CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '" + state + "'; END $$",
			"CREATE OR REPLACE TRIGGER refuse BEFORE INSERT ON database_table_size_stats EXECUTE FUNCTION refuse()",
		} {
			_, err := db.ExecContext(t.Context(), text)
			must(t, err)
		}
		asked, err := h.service.StartRefresh(t.Context(), models.Requester{Username: "someone"}, h.instance.ID, "app")
		must(t, err)
		var row models.Run
		patiently(t, "not ended", func() bool {
			row, err = h.store.Run(t.Context(), asked.ID)
			must(t, err)
			return row.Ended()
		})
		if row.Status != models.RunFailed || row.Failure == nil || row.Failure.Code != models.CodeInternal || row.Failure.Key != key {
			t.Errorf("want %s, the run is %s: %v", key, row.Status, row.Failure)
		}
	}
}
