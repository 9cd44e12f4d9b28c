package e2e

import (
	"encoding/csv"
	"strings"
	"testing"

	"whalefall/cli/clitest"
)

// TestWalk_TableExport filters and sorts a snapshot: the export link returns a file with exactly the rows shown.
func TestWalk_TableExport(t *testing.T) {
	t.Parallel()
	for _, look := range [][2]string{{"zh-CN", "light"}, {"en", "dark"}} {
		t.Run(look[0], func(t *testing.T) {
			t.Parallel()
			a := clitest.Start(t, "--data-dir", t.TempDir())
			w := walk{browser: newBrowser(t), app: a, lang: look[0], theme: look[1]}
			w.logIn("admin", a.Password)
			w.resize(1280, 800)
			w.open(a.URL + "/instances/1") // WhaleFall's own store
			w.click("#sync-capacity")
			w.click(`tr[data-database=main] a[data-primary]`)
			w.see("#modal [data-empty=never]")
			w.gone("#tables-export")
			w.run(`window.toastsExpire = true`)
			w.click("#tables-refresh")
			w.see("#tables-export")
			w.gone("#toasts .toast")
			w.look("tables-export")
			w.fill("#filter-table", "_size_stats")
			w.until(`document.querySelectorAll("#tables-view tbody tr").length == 3`)
			w.click("#tables-view-sort-name")
			w.until(`document.querySelector("#tables-view-sort-name").closest("th").ariaSort == "ascending"`)
			w.wantExportOfRows()
			w.quiet()
		})
	}
}

// wantExportOfRows compares the exported file with the rows on the page.
func (w *walk) wantExportOfRows() {
	w.t.Helper()
	w.run(`fetch(document.querySelector("#tables-export").href)
		.then(r => r.text()).then(text => { window.exported = text })`)
	w.until(`window.exported !== undefined`)
	shown := evaluate[[]string](w.browser,
		`[...document.querySelectorAll("#tables-view tbody tr")].map(r => r.dataset.table)`)
	rows, err := csv.NewReader(strings.NewReader(evaluate[string](w.browser, `window.exported`))).ReadAll()
	if err != nil || len(rows) != len(shown)+1 {
		w.t.Fatalf("got %d lines and error %v, want %d: a header and the rows shown", len(rows), err, len(shown)+1)
	}
	for i, name := range shown {
		if row := rows[i+1]; row[0] != "main" || row[1] != name {
			w.t.Errorf("line %d: got %q, want table %q", i+2, row, name)
		}
	}
}
