package collectors_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"whalefall/collectors"
	"whalefall/collectors/collectortest"
	"whalefall/collectors/mysql"
	"whalefall/collectors/postgresql"
	"whalefall/migrations"
	"whalefall/models"
	"whalefall/testenv"
)

// fixture is a store with one instance, and a service over it.
type fixture struct {
	*testing.T
	store    *models.Store
	service  *collectors.Service
	instance models.Instance
}

func newFixture(t *testing.T, engine models.Engine, c collectors.Collector, target collectors.Target) fixture {
	t.Helper()
	return newLoggedFixture(t, engine, c, target, io.Discard)
}

// newLoggedFixture returns a fixture whose service logs to a writer.
func newLoggedFixture(
	t *testing.T, engine models.Engine, c collectors.Collector, target collectors.Target, log io.Writer,
) fixture {
	t.Helper()
	keys, err := models.CreateKeyset(filepath.Join(t.TempDir(), "keyset.json"))
	must(t, err)
	store, err := models.Open(t.Context(), models.Options{
		Address: filepath.Join(t.TempDir(), "store.db"), Keyset: keys, Zone: time.UTC, Migrate: migrations.Up,
	})
	must(t, err)
	t.Cleanup(func() { must(t, store.Close()) })
	instance, err := store.CreateInstance(t.Context(), models.Instance{
		Name: "target", DBType: engine, Host: &target.Host, Port: &target.Port, DatabaseName: target.Database,
		TLSMode: target.TLSMode, IsActive: true,
	}, nil, &models.TypedLogin{Username: target.Username, Password: target.Password})
	must(t, err)
	service := collectors.NewService(store, map[models.Engine]collectors.Collector{engine: c},
		slog.New(slog.NewTextHandler(log, nil)))
	return fixture{T: t, store: store, service: service, instance: instance}
}

var (
	must      = collectortest.Must
	wantError = collectortest.WantError
)

// collect prepares a run and executes it, as a runner does.
func (f fixture) collect(ctx context.Context, kind models.RunKind, database string) (collectors.Outcome, error) {
	run, err := f.service.Prepare(ctx, kind, f.instance.ID, database)
	if err != nil {
		return collectors.Outcome{}, err
	}
	run.RequestedAt = time.Now()
	return f.service.Collect(ctx, run)
}

func (f fixture) refresh(database string) (models.Receipt, error) {
	outcome, err := f.collect(f.Context(), models.RunTables, database)
	return outcome.Receipt, err
}

func (f fixture) sync() (collectors.SyncResult, error) {
	outcome, err := f.collect(f.Context(), models.RunDatabases, "")
	if err != nil {
		return collectors.SyncResult{}, err
	}
	return collectors.ParseSyncResult(outcome.Result)
}

// snapshot returns the stored header of a database, and its rows by name.
func (f fixture) snapshot(database string) (models.InstanceDatabase, map[string]models.TableSizeRow) {
	f.Helper()
	known, err := f.store.Database(f.Context(), f.instance.ID, database)
	must(f.T, err)
	page, err := f.store.TableSizes(f.Context(), models.TableQuery{DatabaseID: known.ID, Limit: 1000})
	must(f.T, err)
	rows := map[string]models.TableSizeRow{}
	for _, r := range page.Rows {
		rows[r.Name] = r
	}
	return page.Database, rows
}

// newPostgreSQLFixture returns an instance whose database app has the tables a and b.
func newPostgreSQLFixture(t *testing.T) (fixture, *testenv.PostgreSQLServer, string) {
	t.Helper()
	server := testenv.StartPostgreSQL(t)
	server.Exec(t, "postgres", "CREATE DATABASE app")
	server.Exec(t, "app", "CREATE TABLE a AS SELECT generate_series(1, 1000) AS n", "CREATE TABLE b (n int)")
	f := newFixture(t, models.PostgreSQL, postgresql.New(), collectortest.PlainPostgreSQLTarget(t, server, ""))
	return f, server, "app"
}

func TestService_Test_LongVersion(t *testing.T) {
	t.Parallel()
	f := newScriptedFixture(t, &scriptedCollector{version: func() (models.Version, error) {
		long := strings.Repeat("1", 100)
		return models.Version{Full: strings.Repeat("鲸", 10_000), Main: long, Detailed: long}, nil
	}})
	got, err := f.service.TestInstance(t.Context(), f.instance.ID)
	must(t, err)
	want := models.Version{
		Full: strings.Repeat("鲸", 500/3), Main: strings.Repeat("1", 64), Detailed: strings.Repeat("1", 64),
	}
	if got != want {
		t.Errorf("got %d, %d and %d bytes of a version", len(got.Full), len(got.Main), len(got.Detailed))
	}
}

func TestService_Collect_ReplacesSnapshot(t *testing.T) {
	t.Parallel()
	f, server, app := newPostgreSQLFixture(t)
	receipt, err := f.refresh(app)
	must(t, err)
	if receipt.Saved != 2 || receipt.Changed != 2 || receipt.Pruned != 0 || !receipt.Complete {
		t.Errorf("first receipt %+v", receipt)
	}
	server.Exec(t, app, "DROP TABLE a", "CREATE TABLE c (n int)")
	receipt, err = f.refresh(app)
	must(t, err)
	if receipt.Saved != 2 || receipt.Changed != 1 || receipt.Pruned != 1 {
		t.Errorf("second receipt %+v", receipt)
	}
	header, rows := f.snapshot(app)
	if _, there := rows["c"]; !there || len(rows) != 2 || header.SnapshotNo != 2 ||
		!header.CollectedAt.Equal(receipt.CollectedAt) {
		t.Errorf("header %+v, rows %v", header, rows)
	}
}

func TestService_Collect_FailureChangesNothing(t *testing.T) {
	t.Parallel()
	f, server, app := newPostgreSQLFixture(t)
	_, err := f.refresh(app)
	must(t, err)
	header, rows := f.snapshot(app)
	server.Stop(t)
	_, err = f.refresh(app)
	wantError(t, err, models.CodeUnreachable, "error.unreachable")
	if e := models.AsError(err); e.InstanceID != f.instance.ID || e.Extra["database_name"] != app {
		t.Errorf("extra %v", e.Extra)
	}
	after, rowsAfter := f.snapshot(app)
	if after.SnapshotNo != header.SnapshotNo || !after.CollectedAt.Equal(*header.CollectedAt) ||
		len(rowsAfter) != len(rows) {
		t.Errorf("before %+v, after %+v", header, after)
	}
}

func TestService_Collect_GoneDatabaseKeepsSnapshot(t *testing.T) {
	t.Parallel()
	f, server, app := newPostgreSQLFixture(t)
	_, err := f.refresh(app)
	must(t, err)
	server.DropDatabase(t, app)
	_, err = f.refresh(app)
	wantError(t, err, models.CodeCollection, collectors.KeyDatabaseGone)
	header, rows := f.snapshot(app)
	if header.GoneAt == nil || header.SnapshotNo != 1 || len(rows) != 2 {
		t.Errorf("header %+v, %d rows", header, len(rows))
	}
	_, err = f.refresh("never heard of")
	wantError(t, err, models.CodeCollection, collectors.KeyDatabaseGone)
	_, err = f.store.Database(t.Context(), f.instance.ID, "never heard of")
	wantError(t, err, models.CodeNotFound, "database.not_found")
}

func TestService_Collect_NoAliasOfDatabase(t *testing.T) {
	t.Parallel()
	f, server, app := newPostgreSQLFixture(t)
	literal := `\x61pp`
	server.Exec(t, "postgres", `CREATE DATABASE "`+literal+`"`)
	for _, alias := range []string{literal, `a\x70p`, `a\x00b`, "a\x00b", app + "\x00"} {
		_, err := f.refresh(alias)
		wantError(t, err, models.CodeCollection, collectors.KeyDatabaseGone)
		_, err = f.store.Database(t.Context(), f.instance.ID, alias)
		wantError(t, err, models.CodeNotFound, "database.not_found")
	}
	for _, name := range []string{app, collectors.ValidName(literal)} {
		_, err := f.refresh(name)
		must(t, err)
	}
}

func TestService_Collect_LockedTableKeepsValue(t *testing.T) {
	t.Parallel()
	f, server, app := newPostgreSQLFixture(t)
	_, err := f.refresh(app)
	must(t, err)
	first, before := f.snapshot(app)
	release := collectortest.HoldPostgreSQL(t, server.URL(app), "LOCK TABLE a IN ACCESS EXCLUSIVE MODE")
	receipt, err := f.refresh(app)
	must(t, err)
	release()
	_, after := f.snapshot(app)
	if receipt.Kept != 1 || after["a"].Unread != models.UnreadLocked || *after["a"].Total != *before["a"].Total ||
		after["a"].KeptFrom == nil || !after["a"].KeptFrom.Equal(*first.CollectedAt) || after["b"].KeptFrom != nil {
		t.Errorf("receipt %+v, row %+v", receipt, after["a"])
	}
}

func TestService_Collect_LockedPartitionKeepsValueOfRoot(t *testing.T) {
	t.Parallel()
	f, server, app := newPostgreSQLFixture(t)
	server.Exec(t, app, "CREATE TABLE tree (i int) PARTITION BY RANGE (i)",
		"CREATE TABLE leaf PARTITION OF tree FOR VALUES FROM (0) TO (1000)",
		"INSERT INTO tree SELECT generate_series(0, 999)")
	_, err := f.refresh(app)
	must(t, err)
	_, before := f.snapshot(app)
	defer collectortest.HoldPostgreSQL(t, server.URL(app), "LOCK TABLE ONLY leaf IN ACCESS EXCLUSIVE MODE")()
	_, err = f.refresh(app)
	must(t, err)
	_, after := f.snapshot(app)
	root := after["tree"]
	if root.Unread != models.UnreadLocked || root.Total == nil ||
		*root.Total != *before["tree"].Total || root.KeptFrom == nil {
		t.Errorf("%+v", root)
	}
}

func TestService_Collect_RevokedGrantsPruneNothing(t *testing.T) {
	t.Parallel()
	server := testenv.MySQL(t)
	app := server.NewDatabase(t)
	account := "'revoked'@'%'"
	server.Exec(t, app, "CREATE TABLE a (n INT)", "CREATE TABLE b (n INT)",
		"CREATE USER "+account+" IDENTIFIED BY 'pass'", "GRANT PROCESS, REFERENCES ON *.* TO "+account)
	t.Cleanup(func() { server.Exec(t, "", "DROP USER "+account) })
	f := newFixture(t, models.MySQL, mysql.New(), collectors.Target{
		Host: server.Host, Port: server.Port, Username: "revoked", Password: "pass", TLSMode: models.TLSPrefer,
	})
	receipt, err := f.refresh(app)
	must(t, err)
	if receipt.Saved != 2 || !receipt.Complete {
		t.Fatalf("receipt %+v", receipt)
	}
	server.Exec(t, app, "REVOKE ALL PRIVILEGES, GRANT OPTION FROM "+account, "GRANT SELECT ON `"+app+"`.a TO "+account)
	receipt, err = f.refresh(app)
	must(t, err)
	header, rows := f.snapshot(app)
	if receipt.Complete || receipt.Pruned != 0 || len(rows) != 2 || rows["b"].KeptFrom == nil || header.Grant == "" {
		t.Errorf("receipt %+v, header %+v, row b %+v", receipt, header, rows["b"])
	}
}

func TestService_Collect_SyncKeepsInventory(t *testing.T) {
	t.Parallel()
	server := testenv.StartPostgreSQL(t)
	server.Exec(t, "postgres", "CREATE DATABASE closed", "CREATE ROLE nobody_in_particular LOGIN PASSWORD 'x'",
		"REVOKE CONNECT ON DATABASE closed FROM PUBLIC")
	target := collectortest.PostgreSQLTarget(server, "postgres")
	target.Username, target.Password = "nobody_in_particular", "x"
	f := newFixture(t, models.PostgreSQL, postgresql.New(), target)
	result, err := f.sync()
	must(t, err)
	if result.Saved != 1 || result.Inventory.Created != 2 {
		t.Errorf("saved %d, inventory %+v", result.Saved, result.Inventory)
	}
	page, err := f.store.Databases(t.Context(),
		models.DatabaseQuery{InstanceID: f.instance.ID, LatestOnly: true, Limit: 10})
	must(t, err)
	for _, d := range page.Rows {
		if measured := d.SizeBytes != nil; measured != (d.Name == "postgres") {
			t.Errorf("%s: measured %t", d.Name, measured)
		}
	}
	server.Exec(t, "postgres", "CREATE DATABASE late", "REVOKE CONNECT ON DATABASE late FROM PUBLIC")
	result, err = f.sync()
	must(t, err)
	instance, err := f.store.Instance(t.Context(), f.instance.ID)
	must(t, err)
	if result.Inventory.Created != 1 || instance.MainVersion != strconv.Itoa(server.Version/10000) ||
		instance.LastConnected == nil {
		t.Errorf("inventory %+v, instance %+v", result.Inventory, instance)
	}
}

func TestService_Prepare(t *testing.T) {
	t.Parallel()
	f, _, app := newPostgreSQLFixture(t)
	off := f.instance
	off.IsActive = false
	_, err := f.store.UpdateInstance(t.Context(), off, nil, nil)
	must(t, err)
	_, err = f.refresh(app)
	wantError(t, err, models.CodeCollection, "collect.instance_inactive")
	bare, err := f.store.CreateInstance(t.Context(), models.Instance{
		Name: "bare", DBType: models.PostgreSQL, Host: f.instance.Host, Port: f.instance.Port,
		IsActive: true, TLSMode: models.TLSPrefer,
	}, nil, nil)
	must(t, err)
	_, err = f.service.Prepare(t.Context(), models.RunDatabases, bare.ID, "")
	wantError(t, err, models.CodeCollection, "collect.no_credential")
	_, err = f.service.Prepare(t.Context(), models.RunTables, 404, app)
	wantError(t, err, models.CodeNotFound, "instance.not_found")
}

// scriptedCollector is a collector that answers as the test says.
type scriptedCollector struct {
	version   func() (models.Version, error) // nil: some version
	databases models.DatabaseResult
	tables    func(context.Context, collectors.Target) (models.TableResult, error)
}

func (c *scriptedCollector) Version(context.Context, collectors.Target) (models.Version, error) {
	if c.version != nil {
		return c.version()
	}
	return models.Version{Full: "scripted 1"}, nil
}

func (c *scriptedCollector) Databases(context.Context, collectors.Target) (models.DatabaseResult, error) {
	return c.databases, nil
}

func (c *scriptedCollector) Capabilities() models.Capabilities { return models.Capabilities{} }

func (c *scriptedCollector) Yardstick(context.Context, collectors.Target, string) (models.Yardstick, error) {
	return models.Yardstick{}, nil
}

func (c *scriptedCollector) Tables(ctx context.Context, t collectors.Target, _ string) (models.TableResult, error) {
	return c.tables(ctx, t)
}

func newScriptedFixture(t *testing.T, c *scriptedCollector) fixture {
	t.Helper()
	return newFixture(t, models.MySQL, c, scriptedTarget)
}

var scriptedTarget = collectors.Target{Host: "old", Port: 1, TLSMode: models.TLSPrefer}

func TestService_Collect_Panic(t *testing.T) {
	t.Parallel()
	c := &scriptedCollector{tables: func(context.Context, collectors.Target) (models.TableResult, error) {
		panic("odd answer")
	}}
	var log bytes.Buffer
	f := newLoggedFixture(t, models.MySQL, c, scriptedTarget, &log)
	_, err := f.refresh("app")
	wantError(t, err, models.CodeCollection, "collect.failed_unexpectedly")
	if !strings.Contains(log.String(), "odd answer") || !strings.Contains(log.String(), "service_test.go") {
		t.Errorf("the log does not say what panicked where: %s", log.String())
	}
	c.tables = func(context.Context, collectors.Target) (models.TableResult, error) {
		return models.TableResult{Complete: true}, nil
	}
	_, err = f.refresh("app")
	must(t, err)
}

func TestService_TestInstance_Panic(t *testing.T) {
	t.Parallel()
	f := newScriptedFixture(t, &scriptedCollector{version: func() (models.Version, error) { panic("odd greeting") }})
	_, err := f.service.TestInstance(t.Context(), f.instance.ID)
	wantError(t, err, models.CodeCollection, "collect.failed_unexpectedly")
}

// A crowd of tests takes one connection of an instance.
func TestService_TestInstance_OneAtATime(t *testing.T) {
	t.Parallel()
	connected, release := make(chan bool), make(chan bool)
	f := newScriptedFixture(t, &scriptedCollector{version: func() (models.Version, error) {
		connected <- true
		<-release
		return models.Version{Full: "scripted 1"}, nil
	}})
	first := make(chan error)
	begin := func() {
		_, err := f.service.TestInstance(t.Context(), f.instance.ID)
		first <- err
	}
	for range 2 {
		go begin()
		<-connected
		for range 10 {
			_, err := f.service.TestInstance(t.Context(), f.instance.ID)
			wantError(t, err, models.CodeRateLimited, "")
		}
		release <- true
		must(t, <-first)
	}
}

func TestService_Collect_InstanceChanged(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(f fixture){
		"another host": func(f fixture) {
			moved := f.instance
			moved.Host = new("new")
			_, err := f.store.UpdateInstance(f.Context(), moved, nil, &models.TypedLogin{Again: true})
			must(f.T, err)
		},
		"another password": func(f fixture) {
			_, err := f.store.UpdateCredential(f.Context(), *f.instance.Credential, new("changed"))
			must(f.T, err)
		},
		"deleted": func(f fixture) {
			_, err := f.store.DeleteInstance(f.Context(), f.instance.ID)
			must(f.T, err)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			asked, answer := make(chan string, 2), make(chan struct{})
			tables := func(_ context.Context, target collectors.Target) (models.TableResult, error) {
				asked <- target.Host + " " + target.Password
				<-answer
				table := models.TableSize{Name: "of " + target.Host, Kind: models.KindTable}
				return models.TableResult{Complete: true, Tables: []models.TableSize{table}}, nil
			}
			f := newScriptedFixture(t, &scriptedCollector{tables: tables})
			first, second := make(chan error, 1), make(chan error, 1)
			refresh := func(done chan<- error) {
				_, err := f.refresh("app")
				done <- err
			}
			go refresh(first)
			before := <-asked
			change(f)
			if name == "deleted" {
				close(answer)
				wantError(t, <-first, models.CodeCollection, "collect.instance_changed")
				_, err := f.store.Database(t.Context(), f.instance.ID, "app")
				wantError(t, err, models.CodeNotFound, "database.not_found")
				return
			}
			go refresh(second)
			close(answer)
			wantError(t, <-first, models.CodeCollection, "collect.instance_changed")
			must(t, <-second)
			if after := <-asked; after == before {
				t.Errorf("%s was asked again", after)
			}
			if header, _ := f.snapshot("app"); header.SnapshotNo != 1 {
				t.Errorf("%d snapshots were stored", header.SnapshotNo)
			}
		})
	}
}

func TestService_Collect_NothingMeasured(t *testing.T) {
	t.Parallel()
	const grant = "GRANT pg_monitor TO someone"
	denied := &models.Error{
		Code: models.CodeCollection, Key: "collect.postgresql.size_denied", Args: models.Args("Name", "app"),
	}
	f := newScriptedFixture(t, &scriptedCollector{databases: models.DatabaseResult{
		Complete: true, Grant: grant, Databases: []models.DatabaseSize{{Name: "app", Err: denied}},
	}})
	_, err := f.sync()
	wantError(t, err, models.CodeCollection, "collect.nothing_measured")
	if got := models.AsError(err).Grant; got != grant {
		t.Errorf("the grant is %v", got)
	}
	page, err := f.store.Databases(t.Context(),
		models.DatabaseQuery{InstanceID: f.instance.ID, LatestOnly: true, Limit: 10})
	must(t, err)
	if len(page.Rows) != 1 || page.Rows[0].Failed == nil || page.Rows[0].Failed.Key != denied.Key {
		t.Errorf("rows %+v", page.Rows)
	}
}

// TestService_Collect_EndedStoresNothing ends collections whose collectors report that or not.
func TestService_Collect_EndedStoresNothing(t *testing.T) {
	t.Parallel()
	errStopped := errors.New("stopped")
	silently := func(context.Context) error { return nil }
	for name, end := range map[string]struct {
		limit  time.Duration
		answer func(context.Context) error
		code   models.Code
		key    string
	}{
		"cancelled, silently":     {time.Hour, silently, models.CodeCollection, "collect.cancelled"},
		"cancelled, unclassified": {time.Hour, context.Cause, models.CodeCollection, "collect.cancelled"},
		"too late, silently":      {time.Millisecond, silently, models.CodeTimeout, ""},
		"too late, unclassified":  {time.Millisecond, context.Cause, models.CodeTimeout, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			tables := func(ctx context.Context, _ collectors.Target) (models.TableResult, error) {
				if end.limit == time.Hour {
					cancel(errStopped)
				}
				<-ctx.Done()
				return models.TableResult{Complete: true}, end.answer(ctx)
			}
			f := newScriptedFixture(t, &scriptedCollector{tables: tables})
			f.service.SetTimeout(end.limit)
			_, err := f.collect(ctx, models.RunTables, "app")
			wantError(t, err, end.code, end.key)
			_, err = f.store.Database(t.Context(), f.instance.ID, "app")
			wantError(t, err, models.CodeNotFound, "database.not_found")
		})
	}
}

func TestService_Save_OutlivesCollection(t *testing.T) {
	t.Parallel()
	f := newScriptedFixture(t, &scriptedCollector{})
	ctx, cancel := context.WithCancel(t.Context())
	err := f.service.Save(ctx, f.instance, func(ctx context.Context) error {
		cancel()
		if deadline, ok := ctx.Deadline(); !ok || time.Until(deadline) > collectors.SaveTimeout {
			t.Errorf("got deadline %v, want at most %v from now", deadline, collectors.SaveTimeout)
		}
		return ctx.Err()
	})
	must(t, err)
}

// cancelsWithinASecond cancels a refresh that a lock on the server blocks, and waits until no statement of ours is left
// there.
func (f fixture) cancelsWithinASecond(database string, statements func() int) {
	f.Helper()
	ctx, cancel := context.WithCancel(f.Context())
	defer cancel()
	progress := collectors.NewProgress(time.Now)
	progress.Start(time.Now())
	done := make(chan error, 1)
	go func() {
		_, err := f.collect(collectors.WithProgress(ctx, progress), models.RunTables, database)
		done <- err
	}()
	collectortest.Eventually(f.T, "no statement is blocked", func() bool { return statements() == 1 })
	if p := progress.Snapshot(); p.Status != models.RunRunning || p.Phase != models.PhaseQuerying ||
		p.ConnectingMS == nil {
		f.Errorf("got %+v while the statement is blocked, want the phase querying", p)
	}

	began := time.Now()
	cancel()
	wantError(f.T, <-done, models.CodeCollection, "collect.cancelled")
	for statements() > 0 {
		if time.Since(began) > time.Second {
			f.Fatal("got a statement on the server after a second, want none")
		}
		time.Sleep(5 * time.Millisecond)
	}
	if took := time.Since(began); took > time.Second {
		f.Errorf("cancelled after %v, want at most a second", took)
	}
	_, err := f.store.Database(f.Context(), f.instance.ID, database)
	wantError(f.T, err, models.CodeNotFound, "database.not_found")
}

func TestService_Collect_CancelPostgreSQL(t *testing.T) {
	t.Parallel()
	server := testenv.StartPostgreSQL(t)
	server.Exec(t, "postgres", "CREATE DATABASE app")
	server.Exec(t, "app", "CREATE TABLE a (n int)")
	c := postgresql.New()
	c.Settings["lock_timeout"] = "0"
	f := newFixture(t, models.PostgreSQL, c, collectortest.PostgreSQLTarget(server, ""))
	const lock = "LOCK TABLE pg_catalog.pg_inherits IN ACCESS EXCLUSIVE MODE"
	defer collectortest.HoldPostgreSQL(t, server.URL("app"), lock)()
	watch := collectortest.ConnectPostgreSQL(t, server.URL("postgres"))
	f.cancelsWithinASecond("app", func() (n int) {
		must(t, watch.QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_activity
			WHERE application_name = 'whalefall' AND state = 'active' AND wait_event_type = 'Lock'`).Scan(&n))
		return n
	})
}

func TestService_Collect_CancelMariaDB(t *testing.T) {
	server := testenv.MySQL(t) // blocked for everybody: not parallel
	app := server.NewDatabase(t)
	server.Exec(t, app, "CREATE TABLE a (n INT)")
	target := collectortest.MySQLAccount(t, server, "ALL PRIVILEGES ON *.*")
	f := newFixture(t, models.MySQL, mysql.New(), target)
	defer collectortest.LockMySQL(t, server)()
	watch := collectortest.ConnectMySQL(t, server)
	f.cancelsWithinASecond(app, func() (n int) {
		must(t, watch.QueryRowContext(t.Context(), `SELECT COUNT(*) FROM information_schema.processlist
			WHERE user = ? AND state LIKE 'Waiting for % lock'`, target.Username).Scan(&n))
		return n
	})
}
