package models_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"whalefall/models"
)

// export reads all rows that the query selects.
func (f *fixture) export(q models.TableQuery) (header models.TableExport, rows []models.TableSizeRow) {
	f.Helper()
	check(f, f.ExportTables(f.ctx, q, func(export models.TableExport) error {
		header = export
		for row, err := range export.Rows {
			check(f, err)
			rows = append(rows, row)
		}
		return nil
	}))
	return header, rows
}

func TestStore_ExportTables(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		database := f.database()
		all := tables(12_000) // more than two readings of the store
		for i := range all {
			if i%7 == 0 {
				all[i].Total, all[i].Data, all[i].Index = nil, nil, nil
			}
		}
		part := table("part", 10)
		part.Parent, part.ParentSchema, part.Kind = "table_000001", "public", models.KindPartition
		all[1].Kind, all[1].RolledUp = models.KindPartitioned, true
		f.refresh(database, true, append(all, part)...)
		for _, sort := range []string{"", "-size", "size", "-rows", "name", "-schema", "growth", "-unused"} {
			column, desc := strings.CutPrefix(sort, "-")
			q := models.TableQuery{DatabaseID: database.ID, Sort: column, Desc: desc, Limit: 3, Offset: 5, Cursor: "ignored"}
			header, rows := f.export(q)
			q.Limit, q.Offset, q.Cursor = len(all)+1, 0, ""
			want := f.tables(q)
			equal(f, sort+" total", header.Total, want.Total)
			equal(f, sort+" header", *header.Database.CollectedAt, *want.Database.CollectedAt)
			same := slices.EqualFunc(rows, want.Rows, func(a, b models.TableSizeRow) bool {
				return a.Name == b.Name && a.PartitionCount == b.PartitionCount
			})
			equal(f, fmt.Sprintf("%s: %d rows", sort, len(rows)), same, true)
		}
		q := models.TableQuery{DatabaseID: database.ID, Table: "TABLE_00000", FoldPartitions: true, Sort: "name"}
		header, rows := f.export(q)
		equal(f, "total of the filter", header.Total, 10)
		equal(f, "rows of the filter", len(rows), 10)
		header, rows = f.export(models.TableQuery{DatabaseID: 4711})
		equal(f, "unknown", header.Database.ID+header.Total+int64(len(rows)), 0)
	})
}

// TestStore_ExportTables_Limit: half of the connections stay for those who wait at a page.
func TestStore_ExportTables_Limit(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		database := f.database()
		f.refresh(database, true, table("a", 10))
		q := models.TableQuery{DatabaseID: database.ID}
		hurry, cancel := context.WithTimeout(f.ctx, 20*time.Second)
		defer cancel()
		running := 0
		var nested func(models.TableExport) error
		nested = func(models.TableExport) error {
			running++
			equal(f, "a page beside exports", f.tables(q).Total, 1)
			short, cancel := context.WithTimeout(hurry, 200*time.Millisecond)
			defer cancel()
			return f.ExportTables(short, q, nested)
		}
		err := f.ExportTables(hurry, q, nested)
		equal(f, "the next waits", errors.Is(err, context.DeadlineExceeded), true)
		if running == 0 || running > 8 {
			f.Errorf("%d at once", running)
		}
		f.export(q)
	})
}
