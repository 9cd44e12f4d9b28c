//go:build bench

package bench

import (
	"fmt"
	"testing"
	"time"

	"whalefall/models"
)

const (
	wholeDays   = 365
	wholeTables = 100_000
)

// TestHistory stores a database every day, with a tenth of its tables changed.
func TestHistory(t *testing.T) {
	eachStore(t, func(t *testing.T, kind string) {
		measured(t, "days", []string{kind + "-history", kind + "-fastest"}, func(t *testing.T) { measureHistory(t, kind) })
	})
}

func measureHistory(t *testing.T, kind string) {
	f := newFilled(t, newPlace(t, kind))
	database, tables := f.database(t, databaseName(0)), madeUpTables(historyTables)
	now := time.Now()
	for day := range historyDays {
		at := now.AddDate(0, 0, day+1-historyDays)
		grow(tables, day)
		f.saveAt(t, database, tables, at)
		if day%10 == 9 {
			f.tidy(t)
		}
	}
	f.reportHistory(t, database.ID)
	var took []time.Duration
	for range 3 * rounds {
		start := time.Now()
		query := models.TableQuery{DatabaseID: database.ID, Sort: "growth", Desc: true, Limit: 20}
		page, err := f.store.TableSizes(t.Context(), query)
		took = append(took, time.Since(start))
		if err != nil || len(page.Rows) != 20 || page.Rows[0].Growth30 == nil || *page.Rows[0].Growth30 <= 0 {
			t.Fatalf("got %d tables, %v, want 20 with growth", len(page.Rows), err)
		}
	}
	report(t, kind+"-fastest", text(median(took)), median(took) <= 350*time.Millisecond,
		fmt.Sprintf("of %s tables, median of %d", thousands(historyTables), len(took)))
}

// reportHistory reports the size of the history, scaled by its rows to a year of many tables.
func (f *filled) reportHistory(t *testing.T, database int64) {
	t.Helper()
	size := "SELECT sum(pgsize) FROM dbstat WHERE name = 'table_size_history'"
	goal := 0.15
	if f.kind == onPostgreSQL {
		size, goal = "SELECT pg_total_relation_size('table_size_history')", 0.45
	}
	rows := f.count(t, "SELECT count(*) FROM table_size_history WHERE database_id = ?", database)
	bytes := f.count(t, size)
	whole := int64(wholeTables + (wholeDays-1)*wholeTables/10)
	gigabytes := float64(bytes) / float64(rows) * float64(whole) / 1e9
	how := fmt.Sprintf("%.1f MB for %s tables × %d days", float64(bytes)/1e6, thousands(historyTables), historyDays)
	if rows < whole {
		how += fmt.Sprintf(", scaled by its rows from %s to %s", thousands(int(rows)), thousands(int(whole)))
	}
	report(t, f.kind+"-history", fmt.Sprintf("%.2f GB", gigabytes), gigabytes <= goal, how)
}
