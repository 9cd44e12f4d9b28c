package handlers_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"whalefall/models"
)

// serverInstance adds an instance of a networked engine that nothing connects to.
func (a *app) serverInstance(name string, engine models.Engine) string {
	a.Helper()
	r := a.admin.post("/instances", obj{"name": name, "db_type": string(engine), "host": "db.example", "port": 1}).
		want(http.StatusCreated, "实例创建成功")
	return fmt.Sprintf("/instances/%d", r.id("instance", "id"))
}

func TestTheJSONSaysWhatIsKnownBesidesSizes(t *testing.T) {
	onBothStores(t, func(a *app) {
		counted := time.Date(2026, 3, 9, 17, 30, 0, 120_000_000, time.UTC)
		instance := a.serverInstance("ora", models.Oracle)
		tables := a.snapshotOf(instance, "USERS", models.TableResult{
			Complete: true, Scope: "APP", Residual: n(3 << 20), Grant: "GRANT SELECT_CATALOG_ROLE TO app",
			Tables: []models.TableSize{
				{
					Schema: "APP", Name: "told", Kind: models.KindMemoryOptimized, SizeSource: models.SizeNone, Memory: n(0),
					Rows: n(7), RowsSource: models.RowsStatistic, RowsAt: &counted,
					Note: models.NoteClustered, RelatedSchema: "SYS", Related: `C"<b>`,
				},
				{Schema: "APP", Name: "untold", Kind: models.KindTable, Total: n(1 << 20), SizeSource: models.SizeAllocated},
			},
		})
		r := a.guest.get(tables+"/sizes?sort=name").want(http.StatusOK, readTable).
			wantAt("scope", "APP", "residual_size_bytes", 3<<20, "complete", false, "missing_grant", "GRANT SELECT_CATALOG_ROLE TO app",
				"tables.0.kind", "memory_optimized", "tables.0.memory_bytes", 0, "tables.0.rows_at", "2026-03-09T17:30:00.12+00:00",
				"tables.0.note", "clustered", "tables.0.related_schema", "SYS", "tables.0.related_table", `C"<b>`)
		equal(a, "of one of whom nothing is known", members(r.at("tables", 1).(obj)),
			"collected_at kind schema_name size_bytes size_mb size_source table_name")

		plain := a.guest.get(a.snapshotOf(instance, "DATA", models.TableResult{Complete: true}) + "/sizes")
		equal(a, "of one without a scope", members(plain.data),
			"collected_at complete hidden_count kept_count limit offset table_count tables total total_size_bytes unknown_count")
	})
}
