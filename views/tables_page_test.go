package views

import (
	"bytes"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"whalefall/models"
)

// tablesPageLimit is the largest HTML of a page of 50 tables, in bytes, without compression.
const tablesPageLimit = 45 << 10

// fiftyTables returns the first of many pages of a snapshot: plain tables, as a PostgreSQL database has them.
func fiftyTables() TableSizes {
	collected := time.Date(2026, 7, 3, 11, 0, 0, 0, time.UTC)
	rows := make([]models.TableSizeRow, 50)
	for i := range rows {
		data := int64(4_294_967_296 - i*81_920_123)
		index := data / 7
		total, count := data+index, data/100
		rows[i].ID = int64(i)
		rows[i].TableSize = models.TableSize{
			Schema: fmt.Sprintf("app%d", i%20), Name: fmt.Sprintf("orders_%06d", i), Kind: models.KindTable,
			Total: &total, Data: &data, Index: &index, Unused: new(int64), Rows: &count,
			RowsSource: models.RowsStatistic, SizeSource: models.SizeAllocated,
		}
	}

	database := models.InstanceDatabase{ID: 7, InstanceID: 3, Name: "app", Snapshot: models.Snapshot{
		CollectedAt: &collected, TableCount: 100_000, TopCount: 100_000, TotalBytes: 5 << 40, Complete: true,
	}}
	path := TablesPath(3, 7, "app")
	return TableSizes{
		Listing: Listing{
			Path: path, Filter: url.Values{}, Sort: "size", Desc: true, Page: 1, Limit: 50, Limits: []int{50, 100, 200},
			Shown: 50, Total: 100_000, Next: strings.Repeat("WyItNDI5NDk2NzI5NiJd", 4), Target: "tables-view",
		},
		Instance: models.Instance{ID: 3, Name: "orders-primary", DBType: models.PostgreSQL},
		Can:      models.Capabilities{ListsPartitions: true, NamesHiddenTables: true},
		Name:     "app",
		Sizes:    models.TablePage{Database: database, Rows: rows, Total: 100_000},
		Query:    models.TableQuery{FoldPartitions: true},
		Bar:      RunBar{Kind: models.RunTables, Path: path},
	}
}

func tablesPage(lang string) Page {
	return Page{
		Lang: lang, CSRF: strings.Repeat("x", 88), URL: TablesPath(3, 7, "app"), Zone: time.UTC,
		Now:  time.Date(2026, 7, 3, 12, 0, 0, 0, time.UTC),
		User: &models.User{Username: "admin", Role: models.RoleAdmin},
	}
}

func TestTables_PageSize(t *testing.T) {
	t.Parallel()

	for _, lang := range []string{Chinese, English} {
		t.Run(lang, func(t *testing.T) {
			t.Parallel()

			var page bytes.Buffer
			p := tablesPage(lang)
			if err := Layout(p, "app", Tables(p, fiftyTables())).Render(t.Context(), &page); err != nil {
				t.Fatal(err)
			}
			if page.Len() > tablesPageLimit {
				t.Errorf("got a page of %d bytes, want at most %d", page.Len(), tablesPageLimit)
			}
		})
	}
}

func BenchmarkTables_Page(b *testing.B) {
	p, m := tablesPage(Chinese), fiftyTables()
	var page bytes.Buffer
	b.ReportAllocs()
	for b.Loop() {
		page.Reset()
		if err := Layout(p, "app", Tables(p, m)).Render(b.Context(), &page); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(page.Len()), "page-bytes")
}
