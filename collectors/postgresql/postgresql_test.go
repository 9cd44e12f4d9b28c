package postgresql

import (
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"os"
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

var engine = collectortest.Engine{Name: "PostgreSQL", Setup: setup}

func setup(t *testing.T) collectortest.Fixture {
	server := testenv.PostgreSQL(t)
	address := server.NewDatabase(t)
	database := collectortest.DatabaseOf(t, address)
	server.Exec(t, database, fixtureSQL())
	impatient := New()
	impatient.connectTimeout = collectortest.Impatience
	return collectortest.Fixture{
		Collector: New(), Impatient: impatient,
		Target: collectortest.PlainPostgreSQLTarget(t, server, database), Database: database, Schema: "public",
		Yardstick:   func(t *testing.T) map[collectortest.RelationName]collectortest.Sizes { return serverSizes(t, address) },
		Connections: func(t *testing.T) int { return connections(t, server, database) },
		Block: func(t *testing.T) func() {
			return collectortest.HoldPostgreSQL(t, address, "LOCK TABLE pg_catalog.pg_inherits IN ACCESS EXCLUSIVE MODE")
		},
		Denied: func(t *testing.T) (collectors.Target, string, string) {
			closed := collectortest.DatabaseOf(t, server.NewDatabase(t))
			role := collectortest.PostgreSQLRole(t, server)
			server.Exec(t, "postgres", "REVOKE CONNECT ON DATABASE "+closed+" FROM PUBLIC")
			target := collectortest.PostgreSQLTarget(server, database)
			target.Username, target.Password = role, role
			return target, closed, database
		},
	}
}

// fixtureSQL returns the statements for the suite's fixture and a table with much TOAST.
func fixtureSQL() string {
	var text strings.Builder
	for i, name := range collectortest.HostileNames {
		table := pgx.Identifier{name}.Sanitize()
		fmt.Fprintf(&text, "CREATE TABLE %s (id int PRIMARY KEY, s text); "+
			"INSERT INTO %[1]s SELECT i, repeat('x', 100) FROM generate_series(1, %d) i; ANALYZE %[1]s;\n", table, 10+i*100)
	}
	text.WriteString(`
		CREATE TABLE empty (id int PRIMARY KEY);
		CREATE TABLE never_analysed (id int) WITH (autovacuum_enabled = false);
		INSERT INTO never_analysed SELECT generate_series(1, 1000);
		CREATE TABLE tree (id int, s text) PARTITION BY RANGE (id);
		CREATE TABLE tree_1 PARTITION OF tree FOR VALUES FROM (0) TO (1000);
		CREATE TABLE tree_2 PARTITION OF tree FOR VALUES FROM (1000) TO (2000) PARTITION BY RANGE (id);
		CREATE TABLE tree_2_a PARTITION OF tree_2 FOR VALUES FROM (1000) TO (1500);
		CREATE TABLE tree_2_b PARTITION OF tree_2 FOR VALUES FROM (1500) TO (2000);
		INSERT INTO tree SELECT i, repeat('y', 50) FROM generate_series(0, 1999) i;
		CREATE INDEX ON tree_1 (id);
		ANALYZE tree_1; ANALYZE tree_2_a; ANALYZE tree_2_b;
		CREATE TABLE toasty (id int PRIMARY KEY, s text);
		ALTER TABLE toasty ALTER s SET STORAGE EXTERNAL;
		INSERT INTO toasty SELECT i, repeat('z', 12800) FROM generate_series(1, 500) i;
		`)
	return text.String()
}

func serverSizes(t *testing.T, address string) map[collectortest.RelationName]collectortest.Sizes {
	t.Helper()
	rows, err := collectortest.ConnectPostgreSQL(t, address).Query(t.Context(), `
		SELECT n.nspname, c.relname, pg_total_relation_size(c.oid), pg_table_size(c.oid), pg_indexes_size(c.oid)
		FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE c.relkind IN ('r', 'm', 'p') AND c.relpersistence <> 't'
			AND n.nspname NOT IN ('pg_catalog', 'information_schema')`)
	if err != nil {
		t.Fatal(err)
	}
	own := map[collectortest.RelationName]collectortest.Sizes{}
	var name collectortest.RelationName
	var total, data, index int64
	_, err = pgx.ForEachRow(rows, []any{&name.Schema, &name.Name, &total, &data, &index}, func() error {
		own[name] = collectortest.Sizes{Total: new(total), Data: new(data), Index: new(index)}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return own
}

func connections(t *testing.T, s *testenv.PostgreSQLServer, database string) (n int) {
	t.Helper()
	err := collectortest.ConnectPostgreSQL(t, s.URL("postgres")).QueryRow(t.Context(),
		"SELECT count(*) FROM pg_stat_activity WHERE application_name = 'whalefall' AND datname = $1", database).Scan(&n)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// newDatabase creates a database, runs the statements in it and returns a target whose account may not list files.
func newDatabase(t *testing.T, statements ...string) (target collectors.Target, database, address string) {
	t.Helper()
	server := testenv.PostgreSQL(t)
	address = server.NewDatabase(t)
	database = collectortest.DatabaseOf(t, address)
	server.Exec(t, database, statements...)
	return collectortest.PlainPostgreSQLTarget(t, server, database), database, address
}

func TestCollector_Tables_TOAST(t *testing.T) {
	target, database, _ := newDatabase(t, fixtureSQL())
	toasty := collectortest.Tables(t, New(), target, database)[collectortest.Relation("public", "toasty")]
	if *toasty.Data < 6_000_000 || *toasty.Index <= 0 || *toasty.Index > 100_000 {
		t.Errorf("data %d, index %d", *toasty.Data, *toasty.Index)
	}
}

func TestCollector_Tables_Kinds(t *testing.T) {
	target, database, address := newDatabase(t, `
		CREATE SCHEMA "sch""ema";
		CREATE TABLE plain (id int PRIMARY KEY);
		CREATE TABLE child () INHERITS (plain);
		CREATE UNLOGGED TABLE unlogged (id int PRIMARY KEY);
		CREATE MATERIALIZED VIEW "sch""ema".mat AS SELECT 1 AS one;
		CREATE VIEW view AS SELECT 1;
		CREATE SEQUENCE seq;
		CREATE FOREIGN DATA WRAPPER nowhere;
		CREATE SERVER far FOREIGN DATA WRAPPER nowhere;
		CREATE FOREIGN TABLE elsewhere (id int) SERVER far;
		CREATE TABLE tree (id int) PARTITION BY LIST (id);
		CREATE TABLE leaf PARTITION OF tree FOR VALUES IN (1);
		CREATE FOREIGN TABLE foreign_leaf PARTITION OF tree FOR VALUES IN (2) SERVER far;
		CREATE TABLE bare (id int) PARTITION BY LIST (id)`)
	defer collectortest.HoldPostgreSQL(t, address, "CREATE TEMP TABLE temporary AS SELECT 1")()
	got := map[string]models.Kind{}
	found := collectortest.Tables(t, New(), target, database)
	for name, table := range found {
		got[name.Schema+"."+name.Name] = table.Kind
	}
	want := map[string]models.Kind{
		"public.plain": models.KindTable, "public.child": models.KindTable, "public.unlogged": models.KindTable,
		`sch"ema.mat`: models.KindMatview, "public.tree": models.KindPartitioned, "public.leaf": models.KindPartition,
		"public.bare": models.KindPartitioned,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if tree := found[collectortest.Relation("public", "tree")]; tree.Total == nil || tree.Rows != nil {
		t.Errorf("a foreign partition's bytes are elsewhere and its rows unknown, got %s bytes and %s rows",
			collectortest.Text(tree.Total), collectortest.Text(tree.Rows))
	}
	if bare := found[collectortest.Relation("public", "bare")]; bare.Rows == nil || *bare.Rows != 0 || *bare.Total != 0 {
		t.Errorf("without partitions: %s rows, %s bytes", collectortest.Text(bare.Rows), collectortest.Text(bare.Total))
	}
	if unlogged := found[collectortest.Relation("public", "unlogged")]; *unlogged.Index <= 8192 {
		t.Errorf("the init fork of the index is not in its %d bytes", *unlogged.Index)
	}
	if child := found[collectortest.Relation("public", "child")]; child.Parent != "" {
		t.Errorf("plain inheritance is no partition, but its parent is %q", child.Parent)
	}
}

func TestCollector_Tables_RowEstimates(t *testing.T) {
	target, database, _ := newDatabase(t, `
		CREATE TABLE grown (id int) WITH (autovacuum_enabled = false);
		INSERT INTO grown SELECT generate_series(1, 10000); ANALYZE grown;
		INSERT INTO grown SELECT generate_series(1, 10000);
		CREATE TABLE filled_after (id int) WITH (autovacuum_enabled = false);
		ANALYZE filled_after; INSERT INTO filled_after VALUES (1)`)
	found := collectortest.Tables(t, New(), target, database)
	grown := found[collectortest.Relation("public", "grown")]
	if grown.Rows == nil || *grown.Rows < 19_500 || *grown.Rows > 20_500 || grown.RowsSource != models.RowsStatistic {
		t.Errorf("20000 rows, half of them analysed: got %s (%s)", collectortest.Text(grown.Rows), grown.RowsSource)
	}
	if after := found[collectortest.Relation("public", "filled_after")]; after.Rows != nil {
		t.Errorf("analysed while empty: got %s rows", collectortest.Text(after.Rows))
	}
}

func TestCollector_Tables_Locked(t *testing.T) {
	for _, c := range []struct{ name, statement string }{
		{"the table", "LOCK TABLE locked IN ACCESS EXCLUSIVE MODE"},
		{"one of its indexes", "REINDEX INDEX locked_pkey"},
		{"the index of its TOAST", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			target, database, address := newDatabase(t, fixtureSQL(), "CREATE TABLE locked (id int PRIMARY KEY, s text)")
			if c.statement == "" {
				c.statement = "REINDEX INDEX pg_toast.pg_toast_" + oidOf(t, address, "locked") + "_index"
			}
			defer collectortest.HoldPostgreSQL(t, address, c.statement)()
			start := time.Now()
			result, err := New().Tables(t.Context(), target, database)
			if err != nil {
				t.Fatal(err)
			}
			if elapsed := time.Since(start); elapsed > 10*time.Second {
				t.Errorf("that took %v", elapsed)
			}
			found := collectortest.ByName(t, result.Tables)
			if len(found) != len(collectortest.HostileNames)+len(collectortest.TreeChildren)+5 || !result.Complete {
				t.Errorf("%d tables, complete: %v", len(found), result.Complete)
			}
			for name, table := range found {
				if isLocked := name.Name == "locked"; (table.Unread == models.UnreadLocked) != isLocked ||
					(table.Total == nil) != isLocked {
					t.Errorf("%q: unread %q, %s bytes", name, table.Unread, collectortest.Text(table.Total))
				}
			}
		})
	}
}

func TestSizing_VisibleLocks(t *testing.T) {
	target, database, address := newDatabase(t,
		`CREATE TABLE locked (id int PRIMARY KEY, s text); CREATE TABLE free (id int)`)
	for _, statement := range []string{
		"LOCK TABLE locked IN ACCESS EXCLUSIVE MODE", "REINDEX INDEX locked_pkey",
		"REINDEX INDEX pg_toast.pg_toast_" + oidOf(t, address, "locked") + "_index",
	} {
		release := collectortest.HoldPostgreSQL(t, address, statement)
		z := newSizing(t, target, database)
		catalog, err := z.session.catalog(t.Context())
		collectortest.Must(t, err)
		collectortest.Must(t, z.byFunctions(t.Context(), catalog.sizeable()))
		if z.waits != maxLockWaits-1 || len(z.locked) != 1 || len(z.sizes) != 2 {
			t.Errorf("%s: %d locked, %d sized", statement, len(z.locked), len(z.sizes))
		}
		release()
	}
}

// newSizing returns a collection that is connected and has sized nothing.
func newSizing(t *testing.T, target collectors.Target, database string) *sizing {
	t.Helper()
	c := New()
	s, err := c.open(t.Context(), target, database)
	collectortest.Must(t, err)
	z := &sizing{collector: c, target: target, database: database, session: s, sizes: map[int64]relationSize{}}
	t.Cleanup(func() { z.session.close() })
	return z
}

func oidOf(t *testing.T, address, table string) (oid string) {
	t.Helper()
	row := collectortest.ConnectPostgreSQL(t, address).QueryRow(t.Context(), "SELECT $1::text::regclass::oid::text", table)
	if err := row.Scan(&oid); err != nil {
		t.Fatal(err)
	}
	return oid
}

func TestCollector_Tables_LockedPartition(t *testing.T) {
	target, database, address := newDatabase(t, fixtureSQL())
	defer collectortest.HoldPostgreSQL(t, address, "LOCK TABLE ONLY tree_2_a IN ACCESS EXCLUSIVE MODE")()
	found := collectortest.Tables(t, New(), target, database)
	for name, known := range map[string]bool{
		"tree": false, "tree_1": true, "tree_2": false, "tree_2_a": false, "tree_2_b": true,
	} {
		table := found[collectortest.Relation("public", name)]
		if (table.Total != nil) != known || (table.SizeSource == models.SizeNone) == known ||
			(table.Unread == models.UnreadLocked) == known {
			t.Errorf("%s: %s bytes from %q, unread %q", name, collectortest.Text(table.Total), table.SizeSource, table.Unread)
		}
	}
}

func TestCollector_Databases_Templates(t *testing.T) {
	server := testenv.PostgreSQL(t)
	marked := collectortest.DatabaseOf(t, server.NewDatabase(t))
	server.Exec(t, "postgres", "ALTER DATABASE "+marked+" IS_TEMPLATE true")
	t.Cleanup(func() { server.Exec(t, "postgres", "ALTER DATABASE "+marked+" IS_TEMPLATE false") })
	result, err := New().Databases(t.Context(), collectortest.PostgreSQLTarget(server, ""))
	collectortest.Must(t, err)
	if collectortest.DatabaseNamed(t, result, marked).Total == nil {
		t.Error("it was not measured")
	}
	for _, d := range result.Databases {
		if d.Name == "template0" || d.Name == "template1" {
			t.Errorf("%s is listed", d.Name)
		}
	}
}

func TestCollector_Tables_Batches(t *testing.T) {
	target, database, _ := newDatabase(t, fixtureSQL())
	whole, small := New(), New()
	small.batch = 3
	want, got := collectortest.Tables(t, whole, target, database), collectortest.Tables(t, small, target, database)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestCollector_Databases_SumOfTables(t *testing.T) {
	target, database, address := newDatabase(t, fixtureSQL(), "CREATE SEQUENCE seq", "CHECKPOINT")
	var rest int64 // system relations, sequences, and the files that belong to no relation
	err := collectortest.ConnectPostgreSQL(t, address).QueryRow(t.Context(), `
		SELECT (SELECT sum(pg_total_relation_size(c.oid)) FROM pg_class c
			WHERE NOT c.relisshared AND (c.relkind = 'S' OR c.relkind IN ('r', 'm')
				AND c.relnamespace IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)))
		+ (SELECT sum((pg_stat_file(d.path || '/' || f)).size)
			FROM (SELECT 'base/' || oid AS path FROM pg_database WHERE datname = current_database()) d, pg_ls_dir(d.path) f
			WHERE f !~ '^[0-9]')`).Scan(&rest)
	if err != nil {
		t.Fatal(err)
	}
	sum, own := int64(0), serverSizes(t, address)
	for name, table := range collectortest.Tables(t, New(), target, database) {
		if table.RolledUp {
			sum += *own[name].Total // 0, before version 12 an empty TOAST table
		} else {
			sum += *table.Total
		}
	}
	result, err := New().Databases(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	if got := *collectortest.DatabaseNamed(t, result, database).Total; sum+rest != got {
		t.Errorf("tables %d and the rest %d are not the database's %d", sum, rest, got)
	}
}

func TestCollector_Databases_InvalidAndClosed(t *testing.T) {
	server := testenv.PostgreSQL(t)
	invalid := collectortest.DatabaseOf(t, server.NewDatabase(t))
	closed := collectortest.DatabaseOf(t, server.NewDatabase(t))
	server.Exec(t, "postgres", "UPDATE pg_database SET datconnlimit = -2 WHERE datname = '"+invalid+"'",
		"UPDATE pg_database SET datallowconn = false WHERE datname = '"+closed+"'")
	target := collectortest.PostgreSQLTarget(server, "")
	result, err := New().Databases(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{invalid, closed} {
		if d := collectortest.DatabaseNamed(t, result, name); d.Total == nil || d.Err != nil || d.Log != nil ||
			*d.Data != *d.Total {
			t.Errorf("got %+v", d)
		}
		if name == invalid && server.Version < 110000 {
			continue // lets a superuser in
		}
		_, err = New().Tables(t.Context(), target, name)
		collectortest.WantError(t, err, models.CodeCollection, "collect.postgresql.not_connectable")
	}
	if !collectortest.DatabaseNamed(t, result, "postgres").IsSystem {
		t.Error("postgres is a system database")
	}
	for _, d := range result.Databases {
		if strings.HasPrefix(d.Name, "template") {
			t.Errorf("%s is a template", d.Name)
		}
	}
}

func TestSession_DatabaseSize_Vanished(t *testing.T) {
	c, target := New(), collectortest.PostgreSQLTarget(testenv.PostgreSQL(t), "")
	s, err := c.openAny(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	if _, err := s.databaseSize(t.Context(), database{oid: 4_000_000_000}); !errors.Is(err, errVanished) {
		t.Errorf("got %v", err)
	}
}

func TestCollector_MissingGrants(t *testing.T) {
	server := testenv.PostgreSQL(t)
	database, role := collectortest.DatabaseOf(t, server.NewDatabase(t)), collectortest.PostgreSQLRole(t, server)
	server.Exec(t, "postgres", "REVOKE CONNECT ON DATABASE "+database+" FROM PUBLIC")
	target := collectortest.PostgreSQLTarget(server, "")
	target.Username, target.Password = role, role
	_, err := New().Tables(t.Context(), target, database)
	collectortest.WantError(t, err, models.CodeCollection, "collect.postgresql.connect_denied")
	grant := fmt.Sprintf(`GRANT CONNECT ON DATABASE "%s" TO "%s"`, database, role)
	want := map[string]any{"sqlstate": "42501", "grant": grant}
	if diff := cmp.Diff(want, models.AsError(err).Members()); diff != "" {
		t.Fatal(diff)
	}
	server.Exec(t, "postgres", want["grant"].(string))
	t.Cleanup(func() {
		server.Exec(t, "postgres", fmt.Sprintf(`REVOKE CONNECT ON DATABASE "%s" FROM "%s"`, database, role))
	})
	if _, err := New().Tables(t.Context(), target, database); err != nil {
		t.Errorf("after the grant: %v", err)
	}
}

// pooled returns a target whose address leads to the same server by a pooler.
func pooled(t *testing.T, target collectors.Target) (collectors.Target, *collectortest.Pooler) {
	t.Helper()
	p := collectortest.NewPooler(t, testenv.PostgreSQL(t), &target)
	return target, p
}

// Our settings hold for every statement. Of a server process that a pooler shares, nobody else sees them.
func TestCollector_Open_Settings(t *testing.T) {
	target, database, _ := newDatabase(t, fixtureSQL())
	byPooler, pooler := pooled(t, target)
	want := map[string]string{
		"statement_timeout": "1min", "lock_timeout": "300ms", "default_transaction_read_only": "on", "jit": "off",
		"application_name": "whalefall", "idle_in_transaction_session_timeout": "1min", "search_path": searchPath,
	}
	if testenv.PostgreSQL(t).Version < 110000 {
		delete(want, "jit")
	}
	found := collectortest.Tables(t, New(), target, database)
	if diff := cmp.Diff(found, collectortest.Tables(t, New(), byPooler, database)); diff != "" {
		t.Error(diff)
	}
	for _, target := range []collectors.Target{target, byPooler} {
		s, err := New().open(t.Context(), target, database)
		collectortest.Must(t, err)
		defer s.close()
		if s.pooled != (target.Port == byPooler.Port) {
			t.Errorf("port %d: pooled is %v", target.Port, s.pooled)
		}
		for setting, want := range want {
			var got string
			scan := func(rows *sql.Rows) error { return rows.Scan(&got) }
			err := s.each(t.Context(), "SELECT current_setting($1)", scan, setting)
			if err != nil || got != want {
				t.Errorf("port %d: %s is %q (%v), want %q", target.Port, setting, got, err, want)
			}
		}
	}
	if left := pooler.Left(t, database); len(left) > 0 {
		t.Errorf("a pooler's processes are left with %v", left)
	}
}

func TestCollector_IgnoresObjectsOfTheDatabase(t *testing.T) {
	hostile := `
		CREATE FUNCTION public.pg_table_size(oid) RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN RAISE 'ran'; END $$;
		CREATE FUNCTION public.ran(text, text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE 'ran'; END $$;
		CREATE FUNCTION public.ran(oid, oid) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE 'ran'; END $$;
		CREATE FUNCTION public.ran(name, name) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE 'ran'; END $$;
		CREATE OPERATOR public.= (LEFTARG = text, RIGHTARG = text, PROCEDURE = public.ran);
		CREATE OPERATOR public.= (LEFTARG = oid, RIGHTARG = oid, PROCEDURE = public.ran);
		CREATE OPERATOR public.= (LEFTARG = name, RIGHTARG = name, PROCEDURE = public.ran);
		CREATE FUNCTION public.version() RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE 'ran'; END $$;
		CREATE FUNCTION public.set_config(text, text, boolean) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE 'ran'; END $$;
		CREATE DOMAIN public.oid AS text; CREATE DOMAIN public.text AS int;`
	target, database, address := newDatabase(t, fixtureSQL())
	want := collectortest.Tables(t, New(), target, database)
	testenv.PostgreSQL(t).Exec(t, database, hostile, "ALTER DATABASE "+database+" SET search_path = public, pg_catalog")
	conn := collectortest.ConnectPostgreSQL(t, address)
	if _, err := conn.Exec(t.Context(), "SELECT pg_table_size(1::pg_catalog.oid)"); err == nil {
		t.Fatal("the trap is not set")
	}
	byPooler, _ := pooled(t, target)
	for name, target := range map[string]collectors.Target{"direct": target, "by a pooler": byPooler} {
		if diff := cmp.Diff(want, collectortest.Tables(t, New(), target, database)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		if _, err := New().Version(t.Context(), target); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		result, err := New().Databases(t.Context(), target)
		if err != nil || collectortest.DatabaseNamed(t, result, database).Total == nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCollector_IgnoresTheEnvironment(t *testing.T) {
	target, database, _ := newDatabase(t, "CREATE TABLE a (id int)")
	for name, value := range map[string]string{
		"PGHOST": "203.0.113.1", "PGPORT": "1", "PGDATABASE": "nowhere", "PGUSER": "nobody", "PGPASSWORD": "wrong",
		"PGSSLMODE": "verify-full", "PGSSLROOTCERT": "/nowhere.pem", "PGSSLCERT": "/nowhere.pem", "PGTZ": "Mars",
		"PGOPTIONS": "-c work_mem=64kB", "PGAPPNAME": "other", "PGTARGETSESSIONATTRS": "standby",
		"PGREQUIREAUTH": "none", "PGCHANNELBINDING": "require", "PGSERVICE": "nowhere", "PGSERVICEFILE": "/nowhere",
		"PGSSLSNI": "bogus", "PGSSLCERTMODE": "bogus", "PGMINPROTOCOLVERSION": "bogus",
	} {
		t.Setenv(name, value)
	}
	got, err := configWithoutEnvironment()
	collectortest.Must(t, err)
	if got.ConnString() != baseConfig.ConnString() || len(got.RuntimeParams) != 0 ||
		got.Host != "localhost" || got.Port != 5432 {
		t.Errorf("got %+v", got)
	}
	if os.Getenv("PGSERVICE") != "nowhere" {
		t.Error("the environment was not put back")
	}
	if found := collectortest.Tables(t, New(), target, database); len(found) != 1 {
		t.Errorf("got %v", found)
	}
}

func TestCollector_TLSModes(t *testing.T) {
	plain, encrypted := testenv.StartPostgreSQL(t), testenv.StartPostgreSQL(t, "ssl=on")
	ca, stranger := encrypted.Certificate, plain.Certificate
	for _, c := range []struct {
		server *testenv.PostgreSQLServer
		mode   models.TLSMode
		host   string
		ca     string
		want   string // "plain", "encrypted", or refused
	}{
		{plain, models.TLSDisable, "127.0.0.1", "", "plain"},
		{plain, models.TLSPrefer, "127.0.0.1", "", "plain"},
		{plain, models.TLSPrefer, "0.0.0.0", "", "plain"}, // where only a challenge is answered
		{plain, models.TLSRequire, "127.0.0.1", "", "refused"},
		{plain, models.TLSVerifyCA, "127.0.0.1", stranger, "refused"},
		{encrypted, models.TLSDisable, "127.0.0.1", "", "plain"},
		{encrypted, models.TLSPrefer, "127.0.0.1", "", "encrypted"},
		{encrypted, models.TLSRequire, "127.0.0.1", "", "encrypted"},
		{encrypted, models.TLSVerifyCA, "127.0.0.1", "", "refused"},
		{encrypted, models.TLSVerifyCA, "127.0.0.1", stranger, "refused"},
		{encrypted, models.TLSVerifyCA, "localhost", ca, "encrypted"},
		{encrypted, models.TLSVerifyFull, "0.0.0.0", ca, "refused"}, // dials the local host, but is not in the certificate
		{encrypted, models.TLSVerifyFull, "127.0.0.1", ca, "encrypted"},
		{encrypted, models.TLSVerifyFull, "127.0.0.1", stranger, "refused"},
	} {
		target := collectortest.PostgreSQLTarget(c.server, "postgres")
		target.TLSMode, target.Host, target.Options = c.mode, c.host, map[string]string{models.OptionCACertificate: c.ca}
		got := "refused"
		s, err := New().openAny(t.Context(), target)
		if err == nil {
			got = encryptionOf(t, s)
			s.close()
		} else {
			collectortest.WantError(t, err, models.CodeUnreachable, "error.unreachable")
		}
		if got != c.want {
			t.Errorf("%s to %s (server encrypts: %v): %s, want %s: %v", c.mode, c.host, c.server == encrypted, got, c.want, err)
		}
	}
}

func encryptionOf(t *testing.T, s *session) string {
	t.Helper()
	var encrypted bool
	err := s.each(t.Context(), "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()", func(rows *sql.Rows) error {
		return rows.Scan(&encrypted)
	})
	if err != nil {
		t.Fatal(err)
	}
	if encrypted {
		return "encrypted"
	}
	return "plain"
}

func TestCollector_InvalidCACertificate(t *testing.T) {
	_, err := New().Version(t.Context(), collectors.Target{
		TLSMode: models.TLSVerifyCA, Options: map[string]string{models.OptionCACertificate: "no PEM"},
	})
	collectortest.WantError(t, err, models.CodeCollection, "collect.ca_certificate")
}

func TestCollector_Tables_NamesWithoutEncoding(t *testing.T) {
	server := testenv.PostgreSQL(t)
	database := "ascii_" + collectortest.DatabaseOf(t, server.NewDatabase(t))
	server.Exec(t, "postgres", "CREATE DATABASE "+database+
		" ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
	t.Cleanup(func() { server.DropDatabase(t, database) })
	server.Exec(t, database, `DO $$ BEGIN
		EXECUTE 'CREATE TABLE "caf' || E'\xe9' || '" (x int)';
		EXECUTE 'CREATE TABLE "caf' || E'\xe8' || '" (x int)';
		EXECUTE 'CREATE TABLE "caf\xe9" (x int)';
	END $$`)
	found := collectortest.Tables(t, New(), collectortest.PostgreSQLTarget(server, database), database)
	byName := func(a, b collectortest.RelationName) int { return strings.Compare(a.Name, b.Name) }
	got := slices.SortedFunc(maps.Keys(found), byName)
	want := []collectortest.RelationName{
		collectortest.Relation("public", `caf\\xe9`), collectortest.Relation("public", `caf\xe8`),
		collectortest.Relation("public", `caf\xe9`),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestCollector_ServerStops(t *testing.T) {
	server := testenv.StartPostgreSQL(t)
	target := collectortest.PostgreSQLTarget(server, "postgres")
	s, err := New().openAny(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	server.Stop(t)
	_, err = s.server(t.Context())
	err = New().classify(t.Context(), target, "postgres", err)
	collectortest.WantError(t, err, models.CodeUnreachable, "error.unreachable")
	server.Start(t)
	if _, err := New().Version(t.Context(), target); err != nil {
		t.Error(err)
	}
}
