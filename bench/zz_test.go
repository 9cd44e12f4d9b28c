//go:build bench

package bench

import ("testing";"bytes";"fmt")

func BenchmarkBare(b *testing.B) {
	rows := make([]bareTable, 50)
	for i, m := range madeUpTables(50) {
		rows[i] = bareTable{ID: int64(i), SchemaName: m.Schema, TableName: m.Name, SizeBytes: m.Total, DataBytes: m.Data, IndexBytes: m.Index, UnusedBytes: m.Unused, RowCount: m.Rows}
	}
	_ = fmt.Sprint()
	var page bytes.Buffer
	b.ReportAllocs()
	for b.Loop() {
		page.Reset()
		barePage(bareDatabase{1, "app", 5, 6}, rows).Render(b.Context(), &page)
	}
	b.ReportMetric(float64(page.Len()), "page-bytes")
}
