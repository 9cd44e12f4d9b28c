package sqlite

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"whalefall/collectors"
	"whalefall/collectors/collectortest"
)

func TestCollector_Yardstick(t *testing.T) {
	t.Parallel()
	for _, settings := range [][2]string{{"512", "NONE"}, {"512", "FULL"}, {"1024", "INCREMENTAL"}, {"65536", "FULL"}} {
		t.Run(strings.Join(settings[:], " "), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			path := filepath.Join(dir, "target.db")
			db := openFile(t, path)
			execAll(
				t, db, "PRAGMA page_size = "+settings[0], "PRAGMA auto_vacuum = "+settings[1],
				"CREATE TABLE kept (id INTEGER PRIMARY KEY AUTOINCREMENT, s TEXT UNIQUE)",
				"INSERT INTO kept (s) SELECT printf('%0200d', value) FROM generate(5000)",
				"CREATE TABLE dropped (b BLOB)", "INSERT INTO dropped VALUES (randomblob(100000))", "DROP TABLE dropped", "ANALYZE",
			)
			_ = db.Close()
			check := collectortest.SelfCheck(t, New([]string{dir}), targetOf(path), "main", 1)
			if len(check.Sums) != 1 || !check.Passed() || *check.Sums[0].Parts[0].Engine != fileSize(path) {
				t.Errorf("%s, the file has %d bytes", sumsText(check), fileSize(path))
			}
		})
	}
}

func sumsText(c collectors.Check) string {
	var text strings.Builder
	for _, s := range c.Sums {
		fmt.Fprintf(&text, "%s %s", s.Name, s.Verdict)
		for _, p := range s.Parts {
			fmt.Fprintf(&text, " ours %d, engine's %d", *p.Ours, *p.Engine)
		}
	}
	return text.String()
}

func TestFileHeader_Rest(t *testing.T) {
	t.Parallel()
	const lots = 3 << 20 // pages of 512 bytes: 1.5 GiB
	for name, test := range map[string]struct {
		file fileHeader
		want int64
	}{
		"nothing":                      {fileHeader{pages: 0, pageSize: 4096}, 0},
		"one page has no map":          {fileHeader{pages: 1, pageSize: 4096, maps: true}, 0},
		"the second page is a map":     {fileHeader{pages: 2, pageSize: 4096, maps: true}, 4096},
		"a map covers 819 pages":       {fileHeader{pages: 821, pageSize: 4096, maps: true}, 4096},
		"the next is a map again":      {fileHeader{pages: 822, pageSize: 4096, maps: true}, 2 * 4096},
		"reserved bytes hold none":     {fileHeader{pages: 815, pageSize: 4096, maps: true, reserved: 32}, 2 * 4096},
		"free pages and own tables":    {fileHeader{pages: 100, pageSize: 512, free: 7, internal: 2}, 9 * 512},
		"the page of the lock byte":    {fileHeader{pages: lots, pageSize: 512}, 512},
		"a file that just ends before": {fileHeader{pages: lockByte / 512, pageSize: 512}, 0},
	} {
		if got := test.file.rest(); got != test.want {
			t.Errorf("%s: %d, want %d", name, got, test.want)
		}
	}
}

func TestReservedBytes(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "header")
	if n := reservedBytes(path); n != 0 {
		t.Errorf("a file that is not there reserves %d", n)
	}
	header := make([]byte, 100)
	header[20] = 12
	if err := os.WriteFile(path, header, 0o600); err != nil {
		t.Fatal(err)
	}
	if n := reservedBytes(path); n != 12 {
		t.Errorf("%d bytes are reserved", n)
	}
}
