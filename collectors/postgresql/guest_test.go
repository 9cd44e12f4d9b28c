package postgresql

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"whalefall/collectors"
	"whalefall/collectors/collectortest"
	"whalefall/models"
	"whalefall/testenv"
)

// stallAt makes the server sleep after it has looked for locks and before it sizes the table.
func stallAt(t *testing.T, address, table string, seconds int) {
	t.Helper()
	statement := statements["sizes"]
	t.Cleanup(func() { statements["sizes"] = statement })
	statements["sizes"] = strings.Replace(statement, "CASE WHEN a.free THEN", fmt.Sprintf(
		"CASE WHEN a.free AND (a.oid <> %s OR pg_catalog.pg_sleep(%d)::text IS NOT NULL) THEN",
		oidOf(t, address, table), seconds), 1)
}

// stalled waits until the server sleeps.
func stalled(t *testing.T, database string) {
	t.Helper()
	waitFor(t, testenv.PostgreSQL(t).URL("postgres"),
		"SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = $1", database)
}

type tablesEnd struct {
	sizing *sizing
	tables []models.TableSize
	err    error
}

// begin starts a collection in the background.
func begin(t *testing.T, c *Collector, target collectors.Target, database string) <-chan tablesEnd {
	t.Helper()
	end := make(chan tablesEnd, 1)
	go func() {
		z := &sizing{collector: c, target: target, database: database, sizes: map[int64]relationSize{}}
		catalog, err := z.run(t.Context())
		if err != nil {
			err = z.ended(t.Context(), err)
		}
		end <- tablesEnd{z, catalog.assemble(z.sizes), err}
	}()
	return end
}

// crowd returns statements that create that many tables first_…, the table stall, and as many tables last_….
func crowd(tables int) string {
	return fmt.Sprintf(`DO $$ BEGIN
		FOR i IN 1..%[1]d LOOP EXECUTE format('CREATE TABLE first_%%s (id int PRIMARY KEY, s text)', i); END LOOP;
		CREATE TABLE stall (id int);
		FOR i IN 1..%[1]d LOOP EXECUTE format('CREATE TABLE last_%%s (id int PRIMARY KEY, s text)', i); END LOOP;
	END $$`, tables)
}

func TestSizing_LocksTakenMeanwhile(t *testing.T) {
	const tables = 30
	target, database, address := newDatabase(t, crowd(tables))
	stallAt(t, address, "stall", 1)
	end := begin(t, New(), target, database)
	stalled(t, database)
	var lock []string
	for i := 2; i <= tables; i += 2 {
		lock = append(lock, fmt.Sprintf("LOCK TABLE first_%d, last_%[1]d IN ACCESS EXCLUSIVE MODE", i))
	}
	defer collectortest.HoldPostgreSQL(t, address, lock...)()
	got := <-end
	collectortest.Must(t, got.err)
	unread := 0
	for name, table := range collectortest.ByName(t, got.tables) {
		var i int
		_, err := fmt.Sscanf(name.Name, "last_%d", &i)
		if locked := err == nil && i%2 == 0; (table.Unread == models.UnreadLocked) != locked ||
			(table.Total == nil) != locked {
			t.Errorf("%s: unread %q, %s bytes", name.Name, table.Unread, collectortest.Text(table.Total))
		}
		if table.Unread != "" {
			unread++
		}
	}
	if len(got.tables) != 2*tables+1 || unread != tables/2 || got.sizing.stuck != 0 {
		t.Errorf("%d tables, %d unread", len(got.tables), unread)
	}
}

func TestSizing_MaxLockWaits(t *testing.T) {
	target, database, address := newDatabase(t, crowd(10))
	lock := "LOCK TABLE " + strings.Join(lasts(10), ", ") + " IN ACCESS EXCLUSIVE MODE"
	defer collectortest.HoldPostgreSQL(t, address, lock)()
	statement := statements["sizes"]
	defer func() { statements["sizes"] = statement }()
	statements["sizes"] = strings.Replace(statement, "l.mode = 'AccessExclusiveLock'", "l.mode = 'unseen'", 1)
	z, found := mustSizing(t, target, database)
	if z.waits != maxLockWaits {
		t.Errorf("waited %d times at the end", z.waits)
	}
	for name, table := range found {
		if locked := strings.HasPrefix(name.Name, "last_"); (table.Unread == models.UnreadLocked) != locked {
			t.Errorf("%s: unread %q", name.Name, table.Unread)
		}
	}
}

func lasts(tables int) (names []string) {
	for i := range tables {
		names = append(names, fmt.Sprintf("last_%d", i+1))
	}
	return names
}

func TestSizing_RetriesLocked(t *testing.T) {
	target, database, address := newDatabase(t, crowd(1))
	stallAt(t, address, "stall", 1)
	release := collectortest.HoldPostgreSQL(t, address, "LOCK TABLE first_1 IN ACCESS EXCLUSIVE MODE")
	end := begin(t, New(), target, database)
	stalled(t, database)
	release()
	got := <-end
	collectortest.Must(t, got.err)
	for _, table := range got.tables {
		if table.Unread != "" {
			t.Errorf("%s is unread: %s", table.Name, table.Unread)
		}
	}
}

func TestSizing_KeepsSizesBeforeDeadline(t *testing.T) {
	target, database, address := newDatabase(t, fixtureSQL(), crowd(20))
	want := collectortest.Tables(t, New(), target, database)
	stallAt(t, address, "stall", 50)
	c := New()
	c.Settings["statement_timeout"] = "500"
	got := collectortest.Tables(t, c, target, database)
	name := collectortest.Relation("public", "stall")
	if stall := got[name]; stall.Unread != models.UnreadFailed || stall.Total != nil ||
		stall.SizeSource != models.SizeNone {
		t.Errorf("got %+v", stall)
	}
	delete(want, name)
	delete(got, name)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestSizing_MaxStuck(t *testing.T) {
	target, database, _ := newDatabase(t, crowd(5))
	statement := statements["sizes"]
	defer func() { statements["sizes"] = statement }()
	statements["sizes"] = strings.Replace(statement, "CASE WHEN a.free THEN",
		"CASE WHEN pg_catalog.pg_sleep(50)::text IS NOT NULL THEN", 1)
	c := New()
	c.Settings["statement_timeout"] = "100"
	_, err := c.Tables(t.Context(), target, database)
	collectortest.WantError(t, err, models.CodeTimeout, "")
	if n := connections(t, testenv.PostgreSQL(t), database); n != 0 {
		t.Errorf("%d connections are left", n)
	}
}

func TestSizing_Connections(t *testing.T) {
	target, database, address := newDatabase(t, crowd(5))
	sessions := func() (n int) {
		row := collectortest.ConnectPostgreSQL(t, address).QueryRow(t.Context(),
			"SELECT sessions FROM pg_stat_database WHERE datname = $1", pgx.QueryExecModeExec, database)
		collectortest.Must(t, row.Scan(&n))
		return n
	}
	if testenv.PostgreSQL(t).Version < 150000 {
		t.Skip("sessions are counted late before version 15")
	}
	for _, way := range []collectors.Target{target, asSuperuser(t, target)} {
		before := sessions()
		collectortest.Tables(t, New(), way, database)
		// one of them is our own, which asks
		if n := sessions() - before; n != 2 {
			t.Errorf("%d connections", n-1)
		}
	}
}

func TestSizing_DatabaseDroppedBetweenBatches(t *testing.T) {
	server := testenv.PostgreSQL(t)
	for name, statements := range map[string][]string{
		"dropped": {"DROP DATABASE %[1]s"},
		"renamed": {"ALTER DATABASE %[1]s RENAME TO %[1]s_since"},
		"another one has its name now": {
			"ALTER DATABASE %[1]s RENAME TO %[1]s_since", "CREATE DATABASE %[1]s TEMPLATE template0",
		},
	} {
		t.Run(name, func(t *testing.T) {
			target, database, _ := newDatabase(t, crowd(2))
			t.Cleanup(func() { server.DropDatabase(t, database+"_since") })
			z := newSizing(t, target, database)
			z.collector.batch = 2
			catalog, err := z.session.catalog(t.Context())
			collectortest.Must(t, err)
			z.server, z.onServer = catalog.server, z.session.onServer
			wanted := catalog.sizeable()
			collectortest.Must(t, z.batches(t.Context(), wanted[:2]))
			z.session.close()
			waitFor(t, server.URL("postgres"), "SELECT count(*) = 0 FROM pg_stat_activity WHERE datname = $1", database)
			for _, statement := range statements {
				server.Exec(t, "postgres", fmt.Sprintf(statement, database))
			}
			err = z.ended(t.Context(), z.batches(t.Context(), wanted[2:]))
			collectortest.WantError(t, err, models.CodeCollection, collectors.KeyDatabaseGone)
		})
	}
}

func TestCollector_Tables_DatabaseDroppedByForce(t *testing.T) {
	server := testenv.PostgreSQL(t)
	if server.Version < 130000 {
		t.Skip("came with version 13")
	}
	target, database, address := newDatabase(t, crowd(2))
	stallAt(t, address, "stall", 50)
	end := begin(t, New(), target, database)
	stalled(t, database)
	server.Exec(t, "postgres", "DROP DATABASE "+database+" WITH (FORCE)")
	collectortest.WantError(t, (<-end).err, models.CodeCollection, collectors.KeyDatabaseGone)
}

func TestCollector_Tables_ConnectionTerminated(t *testing.T) {
	server := testenv.PostgreSQL(t)
	target, database, address := newDatabase(t, crowd(2))
	stallAt(t, address, "stall", 50)
	end := begin(t, New(), target, database)
	stalled(t, database)
	server.Exec(t, "postgres", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '"+database+"'")
	collectortest.WantError(t, (<-end).err, models.CodeUnreachable, "error.unreachable")
}

func TestCollector_Tables_DroppedWhileSized(t *testing.T) {
	target, database, address := newDatabase(t, crowd(3))
	stallAt(t, address, "stall", 1)
	end := begin(t, New(), target, database)
	stalled(t, database)
	testenv.PostgreSQL(t).Exec(t, database, "DROP TABLE first_1, last_2")
	got := <-end
	collectortest.Must(t, got.err)
	names := collectortest.ByName(t, got.tables)
	for _, name := range []string{"first_1", "first_2", "first_3", "stall", "last_1", "last_3"} {
		if names[collectortest.Relation("public", name)].Total == nil {
			t.Errorf("%s has no size", name)
		}
		delete(names, collectortest.Relation("public", name))
	}
	if len(names) != 0 {
		t.Errorf("also listed: %v", slices.Collect(maps.Keys(names)))
	}
}

func TestCollector_Tables_DroppedMeanwhile(t *testing.T) {
	target, database, address := newDatabase(t, "CREATE TABLE stays (id int); CREATE TABLE goes (id int)")
	for name, target := range map[string]collectors.Target{"functions": target, "files": asSuperuser(t, target)} {
		conn := collectortest.ConnectPostgreSQL(t, address)
		z := newSizing(t, target, database)
		catalog, err := z.session.catalog(t.Context())
		collectortest.Must(t, err)
		z.server = catalog.server
		_, err = conn.Exec(t.Context(), "DROP TABLE goes")
		collectortest.Must(t, err)
		wanted, err := z.byFiles(t.Context(), catalog.sizeable())
		collectortest.Must(t, err)
		collectortest.Must(t, z.byFunctions(t.Context(), wanted))
		if tables := catalog.assemble(z.sizes); len(tables) != 1 || tables[0].Name != "stays" {
			t.Errorf("%s: got %+v", name, tables)
		}
		_, err = conn.Exec(t.Context(), "CREATE TABLE goes (id int)")
		collectortest.Must(t, err)
	}
}
