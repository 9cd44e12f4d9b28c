package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/glebarez/sqlite"
	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"whalefall/collectors"
	"whalefall/collectors/collectortest"
	"whalefall/models"
)

const (
	noServer = "a file has no server to log in to"
	noWaits  = "a reader of a file does not wait for a server; TestSQLiteCancelled has the rest"
)

var engine = collectortest.Engine{Name: "SQLite", Setup: setup, Cannot: map[string]string{
	"names that differ in case":  "SQLite compares table names without case",
	"uncounted rows are unknown": "rows are counted with the pages, always exactly",
	"partitions are rolled up":   "SQLite has no partitions",
	"unreadable database":        "a file has one database",
	"wrong password":             noServer,
	"closed port":                noServer,
	"silent server":              noServer,
	"cancel":                     noWaits,
}}

func setup(t *testing.T) collectortest.Fixture {
	dir := t.TempDir()
	path := filepath.Join(dir, "a ?b#c%20d'表.db")
	db := openFile(t, path)
	for i, name := range collectortest.HostileNames {
		if name != collectortest.TwinLower {
			table := pgx.Identifier{name}.Sanitize()
			execAll(t, db, fmt.Sprintf("CREATE TABLE %s (id INTEGER PRIMARY KEY, s TEXT)", table),
				fmt.Sprintf("CREATE INDEX %s ON %s (s)", pgx.Identifier{"i" + name}.Sanitize(), table),
				fmt.Sprintf("INSERT INTO %s (s) SELECT printf('%%0100d', value) FROM generate(%d)", table, 10+i*100))
		}
	}
	execAll(t, db, "CREATE TABLE empty (id INTEGER PRIMARY KEY)", "CREATE TABLE never_analysed (id)",
		"INSERT INTO never_analysed VALUES (1)")
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return collectortest.Fixture{
		Collector: New([]string{dir}), Target: targetOf(path), Database: "main", Schema: "main",
		Yardstick:   func(t *testing.T) map[collectortest.RelationName]collectortest.Sizes { return serverSizes(t, path) },
		Connections: func(t *testing.T) int { return openFiles(t, path) },
	}
}

func targetOf(path string) collectors.Target {
	return collectors.Target{Name: "target", Engine: models.SQLite, Database: path}
}

func openFile(t *testing.T, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open(sqlite.DriverName, strings.Replace(address(path, false), "mode=ro&readonly_shm=1", "mode=rwc", 1))
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// execAll runs statements; "generate(n)" stands for the numbers from 1 to n.
func execAll(t *testing.T, db *sql.DB, statements ...string) {
	t.Helper()
	for _, text := range statements {
		if before, n, ok := strings.Cut(text, "generate("); ok {
			text = before + "(WITH RECURSIVE g (value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM g WHERE value < " + n +
				" SELECT value FROM g)"
		}
		if _, err := db.ExecContext(t.Context(), text); err != nil {
			t.Fatalf("%v\nin: %s", err, text)
		}
	}
}

// serverSizes returns the sums of each table's own tree and of its indexes, from dbstat.
func serverSizes(t *testing.T, path string) map[collectortest.RelationName]collectortest.Sizes {
	t.Helper()
	db := openFile(t, path)
	defer func() { _ = db.Close() }()
	own := map[collectortest.RelationName]collectortest.Sizes{}
	err := collectors.EachRow(t.Context(), db, `
		SELECT t.name, (SELECT sum(pgsize) FROM dbstat WHERE aggregate = TRUE
				AND name IN (SELECT name FROM sqlite_schema WHERE tbl_name = t.name)),
			(SELECT pgsize - unused FROM dbstat WHERE aggregate = TRUE AND name = t.name),
			(SELECT coalesce(sum(pgsize - unused), 0) FROM dbstat WHERE aggregate = TRUE
				AND name IN (SELECT name FROM sqlite_schema WHERE type = 'index' AND tbl_name = t.name))
		FROM sqlite_schema t WHERE t.type = 'table' AND t.rootpage > 0 AND t.name NOT LIKE 'sqlite^_%' ESCAPE '^'`,
		func(rows *sql.Rows) error {
			var name string
			var total, data, index int64
			err := rows.Scan(&name, &total, &data, &index)
			own[collectortest.Relation("main", name)] = collectortest.Sizes{Total: &total, Data: &data, Index: &index}
			return err
		})
	if err != nil {
		t.Fatal(err)
	}
	return own
}

// openFiles returns how many descriptors of the path this process has, 0 where the system does not say.
func openFiles(t *testing.T, path string) int {
	t.Helper()
	links, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, link := range links {
		if to, err := os.Readlink(link); err == nil && to == path {
			n++
		}
	}
	return n
}

func filesIn(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	names := make([]string, len(entries))
	for i, entry := range entries {
		names[i] = entry.Name()
	}
	return names
}

func TestCollector_Tables_Unused(t *testing.T) {
	t.Parallel()
	for pageSize, tells := range map[string]bool{"4096": true, "512": false, "65536": false} {
		t.Run("pages of "+pageSize, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			path := filepath.Join(dir, "target.db")
			db := openFile(t, path)
			execAll(
				t, db, "PRAGMA page_size = "+pageSize, "CREATE TABLE t (id INTEGER PRIMARY KEY, s TEXT, b BLOB)",
				"CREATE INDEX t_s ON t (s)", "INSERT INTO t SELECT value, printf('%0100d', value), NULL FROM generate(5000)",
				"UPDATE t SET b = zeroblob(100000) WHERE id = 1", "DELETE FROM t WHERE id % 10 > 1",
			)
			var total, unused int64
			err := db.QueryRowContext(t.Context(), "SELECT sum(pgsize), sum(unused) FROM dbstat WHERE name IN ('t', 't_s')").
				Scan(&total, &unused)
			if err != nil {
				t.Fatal(err)
			}
			_ = db.Close()

			table := mustTablesOf(t, New([]string{dir}), path)[collectortest.Relation("main", "t")]
			rest := total - *table.Data - *table.Index
			if *table.Total != total || tells && rest != unused || !tells && rest != 0 {
				t.Errorf("%d bytes without %d, want %d without %d", *table.Total, rest, total, unused)
			}
			if (table.Unused != nil) != tells || tells && (*table.Unused != unused || unused < 50_000) {
				t.Errorf("%s bytes are unused, want %d (told: %v)", collectortest.Text(table.Unused), unused, tells)
			}
		})
	}
}

func TestCollector_Tables_CountsEveryPage(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "target.db")
	db := openFile(t, path)
	execAll(
		t, db, "CREATE TABLE plain (id INTEGER PRIMARY KEY AUTOINCREMENT, s TEXT UNIQUE)",
		"INSERT INTO plain (s) SELECT printf('%0200d', value) FROM generate(5000)",
		"CREATE TABLE keyed (k TEXT PRIMARY KEY, s TEXT) WITHOUT ROWID", "CREATE INDEX keyed_s ON keyed (s)",
		"INSERT INTO keyed SELECT printf('%0300d', value), value FROM generate(3000)",
		"CREATE TABLE blobs (b BLOB)", "INSERT INTO blobs SELECT randomblob(50000) FROM generate(20)",
		"CREATE TABLE dropped (b BLOB)", "INSERT INTO dropped VALUES (randomblob(100000))", "DROP TABLE dropped",
		"CREATE VIRTUAL TABLE words USING fts5 (body)", "INSERT INTO words VALUES ('quick brown fox')",
		"CREATE VIEW view AS SELECT 1", "ANALYZE",
	)
	var internal, free int64
	err := db.QueryRowContext(t.Context(), `SELECT
		(SELECT sum(pgsize) FROM dbstat WHERE aggregate = TRUE AND name LIKE 'sqlite^_s%' ESCAPE '^'),
		(SELECT freelist_count * page_size FROM pragma_freelist_count, pragma_page_size)`).Scan(&internal, &free)
	if err != nil {
		t.Fatal(err)
	}
	_ = db.Close()
	found := mustTablesOf(t, New([]string{dir}), path)
	sum := internal + free
	for _, table := range found {
		sum += *table.Total
	}
	if size := fileSize(path); sum != size || free == 0 {
		t.Errorf("tables and the rest are %d, the file has %d", sum, size)
	}
	for name, rows := range map[string]int64{"plain": 5000, "keyed": 3000, "blobs": 20} {
		table := found[collectortest.Relation("main", name)]
		if *table.Rows != rows || table.RowsSource != models.RowsExact || table.Kind != models.KindTable {
			t.Errorf("%s: %s rows, %d inserted", name, collectortest.Text(table.Rows), rows)
		}
	}
	if blobs := found[collectortest.Relation("main", "blobs")]; *blobs.Data < 1_000_000 || *blobs.Index != 0 {
		t.Errorf("overflow pages are data: %+v", blobs)
	}
	if keyed := found[collectortest.Relation("main", "keyed")]; *keyed.Data < 900_000 || *keyed.Index == 0 {
		t.Errorf("the rows of a table without rowid are data: %d, index %d", *keyed.Data, *keyed.Index)
	}
	if shadow := found[collectortest.Relation("main", "words_content")]; shadow.Kind != models.KindShadow {
		t.Errorf("words_content is a %q", shadow.Kind)
	}
	for _, name := range []string{"words", "view", "sqlite_sequence", "sqlite_stat1", "sqlite_schema"} {
		if _, ok := found[collectortest.Relation("main", name)]; ok {
			t.Errorf("%s is listed", name)
		}
	}
}

func mustTablesOf(t *testing.T, c *Collector, path string) map[collectortest.RelationName]models.TableSize {
	t.Helper()
	return collectortest.Tables(t, c, targetOf(path), "main")
}

func TestCollector_CreatesNoFiles(t *testing.T) {
	for _, mode := range []string{"DELETE", "WAL"} {
		t.Run(mode, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "target.db")
			db := openFile(t, path)
			execAll(t, db, "PRAGMA journal_mode = "+mode, "CREATE TABLE a (x)", "INSERT INTO a VALUES (1)")
			_ = db.Close()
			before, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if found := mustTablesOf(t, New([]string{dir}), path); *found[collectortest.Relation("main", "a")].Rows != 1 {
				t.Errorf("got %v", found)
			}
			after, err := os.ReadFile(path)
			if err != nil || !slices.Equal(before, after) {
				t.Errorf("the file was changed (%v)", err)
			}
			if diff := cmp.Diff([]string{"target.db"}, filesIn(t, dir)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestCollector_Tables_WriteAheadLog(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "target.db")
	db := openFile(t, path)
	execAll(t, db, "PRAGMA journal_mode = WAL", "PRAGMA wal_autocheckpoint = 0", "CREATE TABLE a (x)",
		"INSERT INTO a SELECT value FROM generate(10000)")
	before := filesIn(t, dir)
	c := New([]string{dir})
	if rows := *mustTablesOf(t, c, path)[collectortest.Relation("main", "a")].Rows; rows != 10000 {
		t.Errorf("%d rows", rows)
	}
	result, err := c.Databases(t.Context(), targetOf(path))
	if err != nil {
		t.Fatal(err)
	}
	main := collectortest.DatabaseNamed(t, result, "main")
	if *main.Log != fileSize(path+"-wal") || *main.Log < 100_000 ||
		*main.Total != *main.Data+*main.Log || *main.Data <= fileSize(path) {
		t.Errorf("data %d, log %d, total %d, file %d", *main.Data, *main.Log, *main.Total, fileSize(path))
	}
	if diff := cmp.Diff(before, filesIn(t, dir)); diff != "" {
		t.Error(diff)
	}
	execAll(t, db, "INSERT INTO a VALUES (1)") // the writer is not disturbed
}

func TestCollector_Tables_Encodings(t *testing.T) {
	t.Parallel()
	for _, encoding := range []string{"UTF-8", "UTF-16le", "UTF-16be"} {
		dir := t.TempDir()
		path := filepath.Join(dir, "target.db")
		db := openFile(t, path)
		execAll(t, db, "PRAGMA encoding = '"+encoding+"'", `CREATE TABLE "订单" (x)`, `INSERT INTO "订单" VALUES ('鲸')`)
		var used string
		if err := db.QueryRowContext(t.Context(), "PRAGMA encoding").Scan(&used); err != nil || used != encoding {
			t.Fatalf("the file is in %s (%v)", used, err)
		}
		_ = db.Close()
		if table, found := mustTablesOf(t, New([]string{dir}), path)[collectortest.Relation("main", "订单")]; !found ||
			*table.Rows != 1 {
			t.Errorf("%s: got %+v", encoding, table)
		}
	}
}

// journalHeader begins the journal of a transaction that has written to its file.
const journalHeader = "\xd9\xd5\x05\xf9\x20\xa1\x63\xd7\x00\x00\x00\x01"

// TestCollector_Tables_LeftBehind reads the files of a program that was killed.
func TestCollector_Tables_LeftBehind(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ mode, companion, key string }{
		{"WAL", "-wal", "collect.sqlite.log_without_index"},
		{"DELETE", "-journal", "collect.sqlite.interrupted"},
	} {
		t.Run(c.mode, func(t *testing.T) {
			t.Parallel()
			path, dir := filepath.Join(t.TempDir(), "target.db"), t.TempDir()
			db := openFile(t, path)
			execAll(t, db, "PRAGMA journal_mode = "+c.mode, "PRAGMA wal_autocheckpoint = 0", "CREATE TABLE a (x)",
				"INSERT INTO a VALUES (1)")
			if c.mode == "DELETE" {
				mustWrite(t, path+c.companion, []byte(journalHeader))
			}
			left := filepath.Join(dir, "left.db")
			for _, suffix := range []string{"", c.companion} {
				content, err := os.ReadFile(path + suffix)
				if err != nil {
					t.Fatal(err)
				}
				mustWrite(t, left+suffix, content)
			}

			before := filesIn(t, dir)
			_, err := New([]string{dir}).Tables(t.Context(), targetOf(left), "main")
			collectortest.WantError(t, err, models.CodeCollection, c.key)
			if diff := cmp.Diff(before, filesIn(t, dir)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func mustWrite(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestCollector_AllowedDirectories(t *testing.T) {
	t.Parallel()
	allowed, outside := t.TempDir(), t.TempDir()
	secret := filepath.Join(outside, "secret.db")
	execAll(t, openFile(t, secret), "CREATE TABLE a (x)")
	link := filepath.Join(allowed, "link.db")
	if err := os.Symlink(secret, link); err != nil {
		t.Fatal(err)
	}
	text := filepath.Join(allowed, "notes.txt")
	if err := os.WriteFile(text, []byte(strings.Repeat("no database ", 200)), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]struct {
		code models.Code
		key  string
	}{
		secret: {models.CodeCollection, "collect.sqlite.outside"},
		link:   {models.CodeCollection, "collect.sqlite.outside"},
		allowed + "/../" + filepath.Base(outside) + "/secret.db": {models.CodeCollection, "collect.sqlite.outside"},
		filepath.Join(outside, "missing.db"):                     {models.CodeCollection, "collect.sqlite.outside"},
		allowed + "x/missing.db":                                 {models.CodeCollection, "collect.sqlite.outside"},
		"":                                                       {models.CodeCollection, "collect.sqlite.outside"},
		filepath.Join(allowed, "missing.db"):                     {models.CodeUnreachable, "error.unreachable"},
		allowed:                                                  {models.CodeUnreachable, "error.unreachable"},
		text:                                                     {models.CodeCollection, "collect.sqlite.not_a_database"},
	} {
		_, err := New([]string{allowed}).Tables(t.Context(), targetOf(path), "main")
		if !models.Is(err, want.code) || models.AsError(err).Key != want.key {
			t.Errorf("%q: %v", path, err)
		}
		if _, err := New([]string{allowed}).Version(t.Context(), targetOf(path)); err == nil {
			t.Errorf("%q passes the connection test", path)
		}
	}
	if exists(filepath.Join(allowed, "missing.db")) {
		t.Error("a missing file was created")
	}
}

func TestCollector_RunsNothingOfTheFile(t *testing.T) {
	t.Parallel()
	names := []string{
		"dbstat", "pragma_table_list", "pragma_index_list", "pragma_page_count", "pragma_page_size", "target", "main",
	}
	const columns = "(name, type, wr, schema, origin, pgsize, unused, ncell, pagetype, page_count, page_size)"
	for what, define := range map[string]func(name string) []string{
		"tables": func(name string) []string {
			return []string{
				"CREATE TABLE " + name + columns,
				"INSERT INTO " + name + " VALUES ('a', 'table', 1, 'target', 'pk', 777, 5, 99, 'leaf', 7, 7)",
			}
		},
		"endless views": func(name string) []string {
			return []string{"CREATE VIEW " + name + columns + ` AS WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i FROM n)
				SELECT 'a', 'table', 1, 'target', 'pk', i, i, i, 'leaf', i, i FROM n`}
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			path := filepath.Join(dir, "target.db")
			db := openFile(t, path)
			execAll(t, db, "CREATE TABLE a (x)", "INSERT INTO a SELECT value FROM generate(1000)")
			for _, name := range names {
				execAll(t, db, define(name)...)
			}
			_ = db.Close()
			a := mustTablesWithin(t, New([]string{dir}), path)[collectortest.Relation("main", "a")]
			if *a.Rows != 1000 || *a.Total < 8192 || *a.Total%4096 != 0 || *a.Index != 0 {
				t.Errorf("a has %d rows in %d bytes", *a.Rows, *a.Total)
			}
			result, err := New([]string{dir}).Databases(t.Context(), targetOf(path))
			if err != nil || *collectortest.DatabaseNamed(t, result, "main").Total != fileSize(path) {
				t.Errorf("%+v, %v; the file has %d", result, err, fileSize(path))
			}
		})
	}
}

// Each view doubles the work to resolve the columns of the next one.
func TestCollector_Tables_ResolvesNoViews(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "target.db")
	db := openFile(t, path)
	execAll(t, db, "CREATE TABLE a (x)", "CREATE VIEW v0 AS SELECT 1 AS n")
	for i := range 60 {
		execAll(t, db, fmt.Sprintf("CREATE VIEW v%d AS SELECT 1 AS n FROM v%d AS x, v%[2]d AS y", i+1, i))
	}
	_ = db.Close()
	if found := mustTablesWithin(t, New([]string{dir}), path); len(found) != 1 {
		t.Errorf("got %v", found)
	}
}

// mustTablesWithin fails instead of waiting for a statement that does not end.
func mustTablesWithin(t *testing.T, c *Collector, path string) map[collectortest.RelationName]models.TableSize {
	t.Helper()
	type answer struct {
		result models.TableResult
		err    error
	}
	answered := make(chan answer, 1)
	go func() {
		result, err := c.Tables(t.Context(), targetOf(path), "main")
		answered <- answer{result, err}
	}()
	select {
	case a := <-answered:
		collectortest.Must(t, a.err)
		return collectortest.ByName(t, a.result.Tables)
	case <-time.After(10 * time.Second):
		t.Fatal("the collection does not end")
		return nil
	}
}

func TestCatalog_Shadow(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "target.db")
	db := openFile(t, path)
	execAll(t, db, "CREATE VIRTUAL TABLE Words USING fts5 (body)", "CREATE VIRTUAL TABLE boxes USING rtree (id, a, b)",
		"CREATE TABLE words_archive (x)", "CREATE TABLE plain_data (x)")
	kinds := map[string]models.Kind{}
	err := collectors.EachRow(t.Context(), db, "SELECT name, iif(type = 'shadow', 'shadow', 'table') "+
		"FROM pragma_table_list WHERE schema = 'main' AND type IN ('table', 'shadow') AND name NOT LIKE 'sqlite%'",
		func(rows *sql.Rows) error {
			var name string
			var kind models.Kind
			err := rows.Scan(&name, &kind)
			kinds[name] = kind
			return err
		})
	collectortest.Must(t, err)
	_ = db.Close()
	got := map[string]models.Kind{}
	for name, table := range mustTablesOf(t, New([]string{dir}), path) {
		got[name.Name] = table.Kind
	}
	if diff := cmp.Diff(kinds, got); diff != "" || len(kinds) != 10 {
		t.Errorf("%d tables: %s", len(kinds), diff)
	}
}

func TestCollector_BusyWriter(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "target.db")
	db := openFile(t, path)
	execAll(t, db, "CREATE TABLE a (x)", "BEGIN EXCLUSIVE", "INSERT INTO a VALUES (1)")
	_, err := New([]string{dir}).Tables(t.Context(), targetOf(path), "main")
	collectortest.WantError(t, err, models.CodeCollection, "collect.sqlite.busy")
	execAll(t, db, "COMMIT")
	if rows := *mustTablesOf(t, New([]string{dir}), path)[collectortest.Relation("main", "a")].Rows; rows != 1 {
		t.Errorf("%d rows", rows)
	}
}

func TestCollector_Tables_Cancelled(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "target.db")
	db := openFile(t, path)
	execAll(t, db, "PRAGMA page_size = 512", "PRAGMA journal_mode = OFF", "CREATE TABLE a (x)",
		"INSERT INTO a SELECT zeroblob(200000) FROM generate(100)")
	_ = db.Close()
	ctx, cancel := context.WithCancel(t.Context())
	timer := time.AfterFunc(5*time.Millisecond, cancel)
	defer timer.Stop()
	start := time.Now()
	_, err := New([]string{dir}).Tables(ctx, targetOf(path), "main")
	collectortest.WantError(t, err, models.CodeCollection, "collect.cancelled")
	if elapsed := time.Since(start); elapsed > time.Second {
		t.Errorf("that took %v", elapsed)
	}
	collectortest.Eventually(t, "the file is still open", func() bool { return openFiles(t, path) == 0 })
}

// Cancelling ends a reading within a second wherever it is, also between the first two rows of a statement.
func TestCollector_Tables_CancelledAnywhere(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "target.db")
	db := openFile(t, path)
	var create strings.Builder
	for i := range 500 {
		fmt.Fprintf(&create, "CREATE TABLE t%d (a PRIMARY KEY, b UNIQUE);", i)
	}
	execAll(t, db, "PRAGMA page_size = 4096", "PRAGMA journal_mode = OFF", "BEGIN", create.String(),
		"CREATE TABLE large (x)", "INSERT INTO large SELECT zeroblob(5000000) FROM generate(4)", "COMMIT")
	_ = db.Close()
	c := New([]string{dir})
	mustTablesOf(t, c, path)
	whole := time.Now()
	mustTablesOf(t, c, path)
	took := time.Since(whole)
	cancelled := 0
	for tenth := range 10 { // of the time a whole reading takes
		ctx, cancel := context.WithCancel(t.Context())
		after := time.Duration(tenth) * (took / 10)
		time.AfterFunc(after, cancel)
		start := time.Now()
		_, err := c.Tables(ctx, targetOf(path), "main")
		if late := time.Since(start) - after; late > time.Second {
			t.Errorf("cancelled after %v of %v, that took %v", after, took, late)
		}
		if err != nil { // else it was faster this time
			collectortest.WantError(t, err, models.CodeCollection, "collect.cancelled")
			cancelled++
		}
		cancel()
	}
	if cancelled < 3 {
		t.Errorf("%d readings were cancelled", cancelled)
	}
	collectortest.Eventually(t, "the file is still open", func() bool { return openFiles(t, path) == 0 })
}
