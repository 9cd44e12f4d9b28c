package postgresql

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"whalefall/collectors"
	"whalefall/collectors/collectortest"
	"whalefall/models"
	"whalefall/testenv"
)

// asSuperuser returns the target with an account that may list files.
func asSuperuser(t *testing.T, target collectors.Target) collectors.Target {
	t.Helper()
	server := testenv.PostgreSQL(t)
	target.Username, target.Password = server.User, server.Password
	return target
}

// mustSizing runs a whole collection and returns its sizing.
func mustSizing(
	t *testing.T, target collectors.Target, database string,
) (*sizing, map[collectortest.RelationName]models.TableSize) {
	t.Helper()
	z := &sizing{collector: New(), target: target, database: database, sizes: map[int64]relationSize{}}
	catalog, err := z.run(t.Context())
	collectortest.Must(t, err)
	return z, collectortest.ByName(t, catalog.assemble(z.sizes))
}

// everyKind creates every kind of relation that has files.
const everyKind = `
	CREATE UNLOGGED TABLE unlogged (id int PRIMARY KEY, s text);
	CREATE UNLOGGED TABLE unlogged_filled AS SELECT i FROM generate_series(1, 5000) i;
	CREATE MATERIALIZED VIEW mat AS SELECT i, repeat('m', 5000) FROM generate_series(1, 500) i;
	CREATE INDEX ON mat (i);
	CREATE MATERIALIZED VIEW unfilled AS SELECT 1 AS one WITH NO DATA;
	CREATE TABLE with_maps (id int PRIMARY KEY, s text);
	INSERT INTO with_maps SELECT i, repeat('a', 3000) FROM generate_series(1, 3000) i;
	CREATE TABLE emptied (id int PRIMARY KEY, s text);
	INSERT INTO emptied SELECT i, repeat('e', 3000) FROM generate_series(1, 1000) i;
	ANALYZE emptied; TRUNCATE emptied;
	CREATE TABLE deleted (id int PRIMARY KEY);
	INSERT INTO deleted SELECT generate_series(1, 10000); DELETE FROM deleted;
	CREATE TABLE many (a int, b text, c tsvector); CREATE INDEX ON many USING gin (c); CREATE INDEX ON many USING hash (a);
	CREATE INDEX ON many USING brin (a);
	INSERT INTO many SELECT i, i, to_tsvector('simple', i::text) FROM generate_series(1, 5000) i;
	CREATE TABLE plain_parent (id int); CREATE TABLE plain_child (n int) INHERITS (plain_parent);`

// listsFiles skips the test where no account can list files.
func listsFiles(t *testing.T, server *testenv.PostgreSQLServer) {
	t.Helper()
	if server.Version < 110000 {
		t.Skip("files are listed since version 11")
	}
}

func TestCollector_Tables_FilesEqualFunctions(t *testing.T) {
	listsFiles(t, testenv.PostgreSQL(t))
	target, database, address := newDatabase(t, fixtureSQL(), everyKind, "VACUUM",
		"CREATE TABLE doubled (id int); INSERT INTO doubled VALUES (1), (1)")
	invalid := collectortest.ConnectPostgreSQL(t, address)
	if _, err := invalid.Exec(t.Context(), "CREATE UNIQUE INDEX CONCURRENTLY invalid ON doubled (id)"); err == nil {
		t.Fatal("the index is valid")
	}
	const temporary = "CREATE TEMP TABLE temporary AS SELECT i FROM generate_series(1, 10000) i"
	defer collectortest.HoldPostgreSQL(t, address, temporary)()
	functions, want := mustSizing(t, target, database)
	files, got := mustSizing(t, asSuperuser(t, target), database)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if functions.looked == 0 || files.looked != 0 {
		t.Errorf("%d and %d relations were sized by functions", functions.looked, files.looked)
	}
	own := serverSizes(t, address)
	if len(own) != len(got) {
		t.Errorf("%d tables, want %d", len(got), len(own))
	}
	for name, table := range got {
		if !table.RolledUp && (*table.Total != *own[name].Total || *table.Data != *own[name].Data) {
			t.Errorf("%v: %d bytes, want %d", name, *table.Total, *own[name].Total)
		}
	}
}

func TestCollector_Tables_FilesInTablespaces(t *testing.T) {
	server := testenv.StartPostgreSQL(t)
	if server.Version < 150000 {
		t.Skip("tablespaces within the data directory came with version 15")
	}
	server.Exec(t, "postgres", "SET allow_in_place_tablespaces = on", "CREATE ROLE plain LOGIN PASSWORD 'plain'",
		"CREATE TABLESPACE near LOCATION ''", "CREATE TABLESPACE far LOCATION ''")
	server.Exec(t, "postgres", "CREATE DATABASE moved TEMPLATE template0 TABLESPACE far",
		"CREATE DATABASE usual TEMPLATE template0")
	for _, database := range []string{"usual", "moved"} {
		server.Exec(t, database, fixtureSQL(), `
			CREATE TABLE a (id int PRIMARY KEY, s text) TABLESPACE near;
			INSERT INTO a SELECT i, repeat('a', 4000) FROM generate_series(1, 5000) i;
			CREATE INDEX ON a (s) TABLESPACE pg_default;
			CREATE TABLE b (id int PRIMARY KEY USING INDEX TABLESPACE near, s text) TABLESPACE pg_default;
			INSERT INTO b SELECT i, i FROM generate_series(1, 5000) i;
			CREATE TABLE tree_3 PARTITION OF tree FOR VALUES FROM (5000) TO (6000) TABLESPACE near;
			INSERT INTO tree SELECT i, i FROM generate_series(5000, 5999) i;`)
		plain := collectortest.PostgreSQLTarget(server, database)
		plain.Username, plain.Password = "plain", "plain"
		_, want := mustSizing(t, plain, database)
		z, got := mustSizing(t, collectortest.PostgreSQLTarget(server, database), database)
		if diff := cmp.Diff(want, got); diff != "" || z.looked != 0 {
			t.Errorf("%s: %d by functions, %s", database, z.looked, diff)
		}
	}
}

func TestCollector_Tables_FilesInSegments(t *testing.T) {
	server := testenv.StartPostgreSQL(t)
	listsFiles(t, server)
	server.Exec(t, "postgres", "CREATE TABLE big (id int PRIMARY KEY); CREATE ROLE plain LOGIN PASSWORD 'plain'")
	conn := collectortest.ConnectPostgreSQL(t, server.URL("postgres"))
	var directory, file string
	row := conn.QueryRow(t.Context(), "SELECT current_setting('data_directory'), pg_relation_filepath('big')")
	collectortest.Must(t, row.Scan(&directory, &file))
	path := filepath.Join(directory, file)
	collectortest.Must(t, os.Truncate(path, 1<<30))
	collectortest.Must(t, os.WriteFile(path+".1", make([]byte, 3*8192), 0o644))
	plain := collectortest.PostgreSQLTarget(server, "postgres")
	plain.Username, plain.Password = "plain", "plain"
	_, want := mustSizing(t, plain, "postgres")
	z, got := mustSizing(t, collectortest.PostgreSQLTarget(server, "postgres"), "postgres")
	if diff := cmp.Diff(want, got); diff != "" || z.looked != 0 {
		t.Errorf("%d by functions, %s", z.looked, diff)
	}
	if big := got[collectortest.Relation("public", "big")]; *big.Data != 1<<30+3*8192 {
		t.Errorf("got %d", *big.Data)
	}
	collectortest.Must(t, os.Remove(path+".1"))
	collectortest.Must(t, os.Truncate(path, 0))
}

func TestCollector_Tables_ChangedWhileListingFiles(t *testing.T) {
	var statements []string
	changes := map[string]string{
		"truncated": "TRUNCATE truncated", "rewritten": "VACUUM FULL rewritten", "reindexed": "REINDEX TABLE reindexed",
		"indexed": "CREATE INDEX ON indexed (s)", "toast_reindexed": "REINDEX TABLE toast_reindexed",
		"renamed": "ALTER TABLE renamed RENAME TO renamed_since", "created": "CREATE TABLE created (id int PRIMARY KEY)",
		"unindexed": "DROP INDEX unindexed_s", "dropped": "DROP TABLE dropped", "same": "INSERT INTO same SELECT 7, 'seven'",
	}
	for name := range changes {
		if name != "created" {
			statements = append(statements, fmt.Sprintf("CREATE TABLE %s (id int, s text); CREATE INDEX %[1]s_s ON %[1]s (s); "+
				"INSERT INTO %[1]s SELECT i, repeat('x', 3000) FROM generate_series(1, 200) i", name))
		}
	}
	target, database, address := newDatabase(t, statements...)
	z := newSizing(t, asSuperuser(t, target), database)
	oldest, err := z.session.oldest(t.Context())
	collectortest.Must(t, err)
	files, err := z.session.files(t.Context(), 0)
	collectortest.Must(t, err)
	conn := collectortest.ConnectPostgreSQL(t, address)
	for _, change := range changes {
		_, err := conn.Exec(t.Context(), change)
		collectortest.Must(t, err)
	}
	catalog, err := z.session.catalog(t.Context())
	collectortest.Must(t, err)
	sums, err := z.session.sumFiles(t.Context(), catalog.sizeable(), files, oldest)
	collectortest.Must(t, err)
	var unsure []string
	for _, r := range catalog.relations {
		if sums[r.oid].unsure {
			unsure = append(unsure, r.name)
		}
	}
	slices.Sort(unsure)
	want := []string{"created", "indexed", "reindexed", "renamed_since", "rewritten", "toast_reindexed", "truncated"}
	if diff := cmp.Diff(want, unsure); diff != "" {
		t.Error(diff)
	}
}

func TestCollector_Tables_MissingFiles(t *testing.T) {
	file := fileID{1663, 5}
	var vanished fileBytes
	vanished.add(8192, true)
	vanished.add(collectors.Unknown, false)
	vanished.add(8192, false)
	for name, c := range map[string]struct {
		part   part
		bytes  fileBytes
		found  bool
		unsure bool
	}{
		"there":       {part{self: true, file: file}, fileBytes{8192, 8192}, true, false},
		"not listed":  {part{self: true, file: file}, fileBytes{}, false, true},
		"vanished":    {part{self: true, file: file}, vanished, true, true},
		"changed":     {part{self: true, file: file, changed: true}, fileBytes{8192, 8192}, true, true},
		"partitioned": {part{self: true, bare: true}, fileBytes{}, false, false},
	} {
		var sum fileSum
		if sum.add(c.part, c.bytes, c.found); sum.unsure != c.unsure || !sum.exists {
			t.Errorf("%s: %+v", name, sum)
		}
	}
}

func TestParseFileName(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]struct {
		number   uint32
		main, ok bool
	}{
		"16384": {16384, true, true}, "16384.1": {16384, true, true},
		"16384_fsm": {16384, false, true}, "16384_vm.12": {16384, false, true},
		"16384_init": {16384, false, true}, "4294967295": {4294967295, true, true},
		"t3_16384": {}, "PG_VERSION": {}, "pg_filenode.map": {}, "pg_internal.init.77": {},
		"": {}, "4294967296": {}, "16384_": {},
		"16384.bak": {}, "16384_old": {}, "16384_vm.x": {}, "16384.": {}, "-1": {},
	} {
		number, main, ok := parseFileName(name)
		if ok != want.ok || ok && (number != want.number || main != want.main) {
			t.Errorf("%q: %d, main %v, %v", name, number, main, ok)
		}
	}
}

func TestCollector_Tables_FilesNotGranted(t *testing.T) {
	server := testenv.PostgreSQL(t)
	listsFiles(t, server)
	target, database, _ := newDatabase(t, fixtureSQL())
	role := collectortest.PostgreSQLRole(t, server)
	target.Username, target.Password = role, role
	functions := []string{"pg_ls_dir(text, boolean, boolean)", "pg_stat_file(text, boolean)"}
	z, want := mustSizing(t, target, database)
	if z.looked == 0 {
		t.Error("without a grant, files were listed")
	}
	server.Exec(t, database, "GRANT EXECUTE ON FUNCTION "+functions[0]+" TO "+role)
	if z, _ := mustSizing(t, target, database); z.looked == 0 {
		t.Error("with half of the grant, files were listed")
	}
	server.Exec(t, database, "GRANT EXECUTE ON FUNCTION "+functions[1]+" TO "+role)
	z, got := mustSizing(t, target, database)
	if diff := cmp.Diff(want, got); diff != "" || z.looked != 0 {
		t.Errorf("%d by functions, %s", z.looked, diff)
	}
	server.Exec(t, database, "REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC")
	z, got = mustSizing(t, target, database)
	if diff := cmp.Diff(want, got); diff != "" || z.looked == 0 {
		t.Errorf("refused in the middle: %d by functions, %s", z.looked, diff)
	}
	server.Exec(t, database, "DROP OWNED BY "+role)
}

func TestCollector_Tables_CancelListingFiles(t *testing.T) {
	target, database, _ := newDatabase(t, "CREATE TABLE a (id int)")
	server := testenv.PostgreSQL(t)
	listsFiles(t, server)
	statement := statements["files"]
	defer func() { statements["files"] = statement }()
	statements["files"] = strings.Replace(statement, "SELECT s.oid", "SELECT pg_sleep(50) IS NULL, s.oid", 1)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		_, err := New().Tables(ctx, asSuperuser(t, target), database)
		done <- err
	}()
	const sleeping = "SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = $1"
	waitFor(t, server.URL("postgres"), sleeping, database)
	cancel()
	collectortest.WantError(t, <-done, models.CodeCollection, "collect.cancelled")
	waitFor(t, server.URL("postgres"), "SELECT count(*) = 0 FROM pg_stat_activity WHERE datname = $1", database)
}

// waitFor waits up to a second for the query to return true.
func waitFor(t *testing.T, address, query string, args ...any) {
	t.Helper()
	conn := collectortest.ConnectPostgreSQL(t, address)
	for until := time.Now().Add(time.Second); ; time.Sleep(10 * time.Millisecond) {
		var is bool
		collectortest.Must(t, conn.QueryRow(t.Context(), query, append([]any{pgx.QueryExecModeExec}, args...)...).Scan(&is))
		if is {
			return
		}
		if time.Now().After(until) {
			t.Fatalf("still not: %s", query)
		}
	}
}

func TestCollector_Tables_ServerBytes(t *testing.T) {
	target, database, _ := newDatabase(t, fixtureSQL())
	server := testenv.PostgreSQL(t)
	plain, err := New().Tables(t.Context(), target, database)
	collectortest.Must(t, err)
	files, err := New().Tables(t.Context(), asSuperuser(t, target), database)
	collectortest.Must(t, err)
	role := collectortest.PostgreSQLRole(t, server)
	server.Exec(t, "postgres", "GRANT pg_monitor TO "+role)
	target.Username, target.Password = role, role
	functions, err := New().Tables(t.Context(), target, database)
	collectortest.Must(t, err)
	if plain.ServerBytes != nil {
		t.Errorf("without the right to: %d bytes", *plain.ServerBytes)
	}
	for name, result := range map[string]models.TableResult{"files": files, "functions": functions} {
		known := server.Version >= 150000 || name == "files" && server.Version >= 140000
		if (result.ServerBytes != nil) != known || known && *result.ServerBytes < 1<<20 {
			t.Errorf("%s: %s bytes", name, collectortest.Text(result.ServerBytes))
		}
	}
}
