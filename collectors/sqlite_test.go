package collectors

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

	"whalefall/models"
)

const (
	noServer = "a file has no server to log in to"
	noWaits  = "a reader of a file does not wait for a server; TestSQLiteCancelled has the rest"
)

var sqliteEngine = engine{name: "SQLite", setup: setupSQLite, cannot: map[string]string{
	"names that differ in case are two":                "SQLite compares table names without case",
	"rows nobody counted are unknown":                  "rows are counted with the pages, always exactly",
	"partitions are rolled up once":                    "SQLite has no partitions",
	"one unreadable database does not fail the list":   "a file has one database",
	"a wrong password is unreachable":                  noServer,
	"a closed port is unreachable":                     noServer,
	"a silent server is unreachable in time":           noServer,
	"cancelling ends at once and leaves no connection": noWaits,
}}

func setupSQLite(t *testing.T) fixture {
	dir := t.TempDir()
	path := filepath.Join(dir, "a ?b#c%20d'表.db")
	db := openSQLite(t, path)
	for i, name := range hostileNames {
		if name != twinLower {
			table := pgx.Identifier{name}.Sanitize()
			execSQLite(t, db, fmt.Sprintf("CREATE TABLE %s (id INTEGER PRIMARY KEY, s TEXT)", table),
				fmt.Sprintf("CREATE INDEX %s ON %s (s)", pgx.Identifier{"i" + name}.Sanitize(), table),
				fmt.Sprintf("INSERT INTO %s (s) SELECT printf('%%0100d', value) FROM generate(%d)", table, 10+i*100))
		}
	}
	execSQLite(t, db, "CREATE TABLE empty (id INTEGER PRIMARY KEY)", "CREATE TABLE never_analysed (id)", "INSERT INTO never_analysed VALUES (1)")
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return fixture{
		collector: NewSQLite([]string{dir}), target: sqliteTarget(path), database: "main", schema: "main",
		yardstick:   func(t *testing.T) map[relationName]yard { return sqliteYardstick(t, path) },
		connections: func(t *testing.T) int { return openFiles(t, path) },
	}
}

func sqliteTarget(path string) Target {
	return Target{Name: "target", Engine: models.SQLite, Database: path}
}

func openSQLite(t *testing.T, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open(sqlite.DriverName, strings.Replace(sqliteAddress(path, false), "mode=ro", "mode=rwc", 1))
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// execSQLite runs statements; "generate(n)" stands for the numbers from 1 to n.
func execSQLite(t *testing.T, db *sql.DB, statements ...string) {
	t.Helper()
	for _, text := range statements {
		if before, n, ok := strings.Cut(text, "generate("); ok {
			text = before + "(WITH RECURSIVE g (value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM g WHERE value < " + n + " SELECT value FROM g)"
		}
		if _, err := db.ExecContext(t.Context(), text); err != nil {
			t.Fatalf("%v\nin: %s", err, text)
		}
	}
}

// sqliteYardstick asks dbstat for the sum of each table's own tree and of its indexes.
func sqliteYardstick(t *testing.T, path string) map[relationName]yard {
	t.Helper()
	db := openSQLite(t, path)
	defer func() { _ = db.Close() }()
	own := map[relationName]yard{}
	err := eachRow(t.Context(), db, `
		SELECT t.name, (SELECT pgsize FROM dbstat WHERE aggregate = TRUE AND name = t.name),
			(SELECT coalesce(sum(pgsize), 0) FROM dbstat WHERE aggregate = TRUE
				AND name IN (SELECT name FROM sqlite_schema WHERE type = 'index' AND tbl_name = t.name))
		FROM sqlite_schema t WHERE t.type = 'table' AND t.rootpage > 0 AND t.name NOT LIKE 'sqlite^_%' ESCAPE '^'`,
		func(rows *sql.Rows) error {
			var name string
			var data, index int64
			err := rows.Scan(&name, &data, &index)
			own[relationName{"main", name}] = yard{Total: new(data + index), Data: &data, Index: &index}
			return err
		})
	if err != nil {
		t.Fatal(err)
	}
	return own
}

// openFiles counts the descriptors this process has on the path; 0 where the system does not tell.
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

func TestSQLiteCountsEveryPageOfTheFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "target.db")
	db := openSQLite(t, path)
	execSQLite(
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
	err := db.QueryRowContext(t.Context(), `SELECT (SELECT sum(pgsize) FROM dbstat WHERE aggregate = TRUE AND name LIKE 'sqlite^_s%' ESCAPE '^'),
		(SELECT freelist_count * page_size FROM pragma_freelist_count, pragma_page_size)`).Scan(&internal, &free)
	if err != nil {
		t.Fatal(err)
	}
	_ = db.Close()
	found := mustTablesOf(t, NewSQLite([]string{dir}), path)
	sum := internal + free
	for _, table := range found {
		sum += *table.Total
	}
	if size := fileSize(path); sum != size || free == 0 {
		t.Errorf("tables and the rest are %d, the file has %d", sum, size)
	}
	for name, rows := range map[string]int64{"plain": 5000, "keyed": 3000, "blobs": 20} {
		if table := found[relationName{"main", name}]; *table.Rows != rows || table.RowsSource != models.RowsExact || table.Kind != models.KindTable {
			t.Errorf("%s: %s rows, %d inserted", name, text(table.Rows), rows)
		}
	}
	if blobs := found[relationName{"main", "blobs"}]; *blobs.Data < 1_000_000 || *blobs.Index != 0 {
		t.Errorf("overflow pages are data: %+v", blobs)
	}
	if keyed := found[relationName{"main", "keyed"}]; *keyed.Data < 900_000 || *keyed.Index == 0 {
		t.Errorf("the rows of a table without rowid are data: %d, index %d", *keyed.Data, *keyed.Index)
	}
	if shadow := found[relationName{"main", "words_content"}]; shadow.Kind != models.KindShadow {
		t.Errorf("words_content is a %q", shadow.Kind)
	}
	for _, name := range []string{"words", "view", "sqlite_sequence", "sqlite_stat1", "sqlite_schema"} {
		if _, ok := found[relationName{"main", name}]; ok {
			t.Errorf("%s is listed", name)
		}
	}
}

func mustTablesOf(t *testing.T, c *SQLite, path string) map[relationName]models.TableSize {
	t.Helper()
	return mustTables(t, c, sqliteTarget(path), "main")
}

func TestSQLiteLeavesNothingBesideAQuietFile(t *testing.T) {
	for _, mode := range []string{"DELETE", "WAL"} {
		t.Run(mode, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "target.db")
			db := openSQLite(t, path)
			execSQLite(t, db, "PRAGMA journal_mode = "+mode, "CREATE TABLE a (x)", "INSERT INTO a VALUES (1)")
			_ = db.Close()
			before, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if found := mustTablesOf(t, NewSQLite([]string{dir}), path); *found[relationName{"main", "a"}].Rows != 1 {
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

func TestSQLiteSeesWhatIsStillInTheLog(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "target.db")
	db := openSQLite(t, path)
	execSQLite(t, db, "PRAGMA journal_mode = WAL", "PRAGMA wal_autocheckpoint = 0", "CREATE TABLE a (x)",
		"INSERT INTO a SELECT value FROM generate(10000)")
	before := filesIn(t, dir)
	c := NewSQLite([]string{dir})
	if rows := *mustTablesOf(t, c, path)[relationName{"main", "a"}].Rows; rows != 10000 {
		t.Errorf("%d rows", rows)
	}
	result, err := c.Databases(t.Context(), sqliteTarget(path))
	if err != nil {
		t.Fatal(err)
	}
	main := databaseNamed(t, result, "main")
	if *main.Log != fileSize(path+"-wal") || *main.Log < 100_000 || *main.Total != *main.Data+*main.Log || *main.Data <= fileSize(path) {
		t.Errorf("data %d, log %d, total %d, file %d", *main.Data, *main.Log, *main.Total, fileSize(path))
	}
	if diff := cmp.Diff(before, filesIn(t, dir)); diff != "" {
		t.Error(diff)
	}
	execSQLite(t, db, "INSERT INTO a VALUES (1)") // the writer is not disturbed
}

func TestSQLiteOpensOnlyWhatIsAllowed(t *testing.T) {
	allowed, outside := t.TempDir(), t.TempDir()
	secret := filepath.Join(outside, "secret.db")
	execSQLite(t, openSQLite(t, secret), "CREATE TABLE a (x)")
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
		_, err := NewSQLite([]string{allowed}).Tables(t.Context(), sqliteTarget(path), "main")
		if !models.Is(err, want.code) || models.AsError(err).Key != want.key {
			t.Errorf("%q: %v", path, err)
		}
		if _, err := NewSQLite([]string{allowed}).Version(t.Context(), sqliteTarget(path)); err == nil {
			t.Errorf("%q passes the connection test", path)
		}
	}
	if exists(filepath.Join(allowed, "missing.db")) {
		t.Error("a missing file was created")
	}
}

func TestSQLiteListensToNothingInTheFile(t *testing.T) {
	names := []string{"dbstat", "pragma_table_list", "pragma_index_list", "pragma_page_count", "pragma_page_size", "target", "main"}
	const columns = "(name, type, wr, schema, origin, pgsize, ncell, pagetype, page_count, page_size)"
	for what, define := range map[string]func(name string) []string{
		"tables": func(name string) []string {
			return []string{"CREATE TABLE " + name + columns, "INSERT INTO " + name + " VALUES ('a', 'table', 1, 'target', 'pk', 777, 99, 'leaf', 7, 7)"}
		},
		"endless views": func(name string) []string {
			return []string{"CREATE VIEW " + name + columns + ` AS WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i FROM n)
				SELECT 'a', 'table', 1, 'target', 'pk', i, i, 'leaf', i, i FROM n`}
		},
	} {
		t.Run(what, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "target.db")
			db := openSQLite(t, path)
			execSQLite(t, db, "CREATE TABLE a (x)", "INSERT INTO a SELECT value FROM generate(1000)")
			for _, name := range names {
				execSQLite(t, db, define(name)...)
			}
			_ = db.Close()
			a := mustTablesWithin(t, NewSQLite([]string{dir}), path)[relationName{"main", "a"}]
			if *a.Rows != 1000 || *a.Data < 8192 || *a.Data%4096 != 0 || *a.Index != 0 {
				t.Errorf("a has %d rows in %d bytes", *a.Rows, *a.Data)
			}
			result, err := NewSQLite([]string{dir}).Databases(t.Context(), sqliteTarget(path))
			if err != nil || *databaseNamed(t, result, "main").Total != fileSize(path) {
				t.Errorf("%+v, %v; the file has %d", result, err, fileSize(path))
			}
		})
	}
}

// Each view doubles what there is to do to know the next one's columns.
func TestSQLiteResolvesNoViews(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "target.db")
	db := openSQLite(t, path)
	execSQLite(t, db, "CREATE TABLE a (x)", "CREATE VIEW v0 AS SELECT 1 AS n")
	for i := range 60 {
		execSQLite(t, db, fmt.Sprintf("CREATE VIEW v%d AS SELECT 1 AS n FROM v%d AS x, v%[2]d AS y", i+1, i))
	}
	_ = db.Close()
	if found := mustTablesWithin(t, NewSQLite([]string{dir}), path); len(found) != 1 {
		t.Errorf("got %v", found)
	}
}

// mustTablesWithin fails instead of waiting for a statement that does not end.
func mustTablesWithin(t *testing.T, c *SQLite, path string) map[relationName]models.TableSize {
	t.Helper()
	type answer struct {
		result models.TableResult
		err    error
	}
	answered := make(chan answer, 1)
	go func() {
		result, err := c.Tables(t.Context(), sqliteTarget(path), "main")
		answered <- answer{result, err}
	}()
	select {
	case a := <-answered:
		must(t, a.err)
		return byName(t, a.result.Tables)
	case <-time.After(10 * time.Second):
		t.Fatal("the collection does not end")
		return nil
	}
}

func TestSQLiteTellsShadowsFromTablesBesideThem(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "target.db")
	db := openSQLite(t, path)
	execSQLite(t, db, "CREATE VIRTUAL TABLE Words USING fts5 (body)", "CREATE VIRTUAL TABLE boxes USING rtree (id, a, b)",
		"CREATE TABLE words_archive (x)", "CREATE TABLE plain_data (x)")
	kinds := map[string]models.Kind{}
	err := eachRow(t.Context(), db, "SELECT name, iif(type = 'shadow', 'shadow', 'table') FROM pragma_table_list WHERE schema = 'main' AND type IN ('table', 'shadow') AND name NOT LIKE 'sqlite%'",
		func(rows *sql.Rows) error {
			var name string
			var kind models.Kind
			err := rows.Scan(&name, &kind)
			kinds[name] = kind
			return err
		})
	must(t, err)
	_ = db.Close()
	got := map[string]models.Kind{}
	for name, table := range mustTablesOf(t, NewSQLite([]string{dir}), path) {
		got[name.Name] = table.Kind
	}
	if diff := cmp.Diff(kinds, got); diff != "" || len(kinds) != 10 {
		t.Errorf("%d tables: %s", len(kinds), diff)
	}
}

func TestSQLiteBusyWriterIsSaid(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "target.db")
	db := openSQLite(t, path)
	execSQLite(t, db, "CREATE TABLE a (x)", "BEGIN EXCLUSIVE", "INSERT INTO a VALUES (1)")
	_, err := NewSQLite([]string{dir}).Tables(t.Context(), sqliteTarget(path), "main")
	wantError(t, err, models.CodeCollection, "collect.sqlite.busy")
	execSQLite(t, db, "COMMIT")
	if rows := *mustTablesOf(t, NewSQLite([]string{dir}), path)[relationName{"main", "a"}].Rows; rows != 1 {
		t.Errorf("%d rows", rows)
	}
}

func TestSQLiteCancelled(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "target.db")
	db := openSQLite(t, path)
	execSQLite(t, db, "PRAGMA page_size = 512", "PRAGMA journal_mode = OFF", "CREATE TABLE a (x)",
		"INSERT INTO a SELECT zeroblob(200000) FROM generate(100)")
	_ = db.Close()
	ctx, cancel := context.WithCancel(t.Context())
	timer := time.AfterFunc(5*time.Millisecond, cancel)
	defer timer.Stop()
	start := time.Now()
	_, err := NewSQLite([]string{dir}).Tables(ctx, sqliteTarget(path), "main")
	wantError(t, err, models.CodeCollection, "collect.cancelled")
	if elapsed := time.Since(start); elapsed > time.Second {
		t.Errorf("that took %v", elapsed)
	}
	eventually(t, "the file is still open", func() bool { return openFiles(t, path) == 0 })
}

// However far a reading is, also between the first two rows of a statement, cancelling ends it within a second.
func TestSQLiteCancelledAnywhere(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "target.db")
	db := openSQLite(t, path)
	var create strings.Builder
	for i := range 500 {
		fmt.Fprintf(&create, "CREATE TABLE t%d (a PRIMARY KEY, b UNIQUE);", i)
	}
	execSQLite(t, db, "PRAGMA page_size = 4096", "PRAGMA journal_mode = OFF", "BEGIN", create.String(), "CREATE TABLE large (x)",
		"INSERT INTO large SELECT zeroblob(5000000) FROM generate(4)", "COMMIT")
	_ = db.Close()
	c := NewSQLite([]string{dir})
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
		_, err := c.Tables(ctx, sqliteTarget(path), "main")
		if late := time.Since(start) - after; late > time.Second {
			t.Errorf("cancelled after %v of %v, that took %v", after, took, late)
		}
		if err != nil { // else it was faster this time
			wantError(t, err, models.CodeCollection, "collect.cancelled")
			cancelled++
		}
		cancel()
	}
	if cancelled < 3 {
		t.Errorf("%d readings were cancelled", cancelled)
	}
	eventually(t, "the file is still open", func() bool { return openFiles(t, path) == 0 })
}
