package collectors

import (
	"bytes"
	"context"
	"log/slog"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"whalefall/migrations"
	"whalefall/models"
	"whalefall/testenv"
)

// house is a store, a service over it and one registered instance.
type house struct {
	*testing.T
	store    *models.Store
	service  *Service
	instance models.Instance
}

func newHouse(t *testing.T, engine models.Engine, collector Collector, target Target) house {
	t.Helper()
	keys, err := models.CreateKeyset(filepath.Join(t.TempDir(), "keyset.json"))
	must(t, err)
	store, err := models.Open(t.Context(), models.Options{
		Address: filepath.Join(t.TempDir(), "store.db"), Keyset: keys, Zone: time.UTC, Migrate: migrations.Up,
	})
	must(t, err)
	service := NewService(store, map[models.Engine]Collector{engine: collector}, slog.New(slog.DiscardHandler))
	t.Cleanup(func() {
		must(t, service.Close(context.Background()))
		must(t, store.Close())
	})
	instance, err := store.CreateInstance(t.Context(), models.Instance{
		Name: "target", DBType: engine, Host: &target.Host, Port: &target.Port, DatabaseName: target.Database,
		TLSMode: target.TLSMode, IsActive: true,
	}, nil, &models.NewCredential{Username: target.Username, Password: target.Password})
	must(t, err)
	return house{T: t, store: store, service: service, instance: instance}
}

// snapshot is the stored header and rows by name.
func (h house) snapshot(database string) (models.InstanceDatabase, map[string]models.TableSizeRow) {
	h.Helper()
	known, err := h.store.Database(h.Context(), h.instance.ID, database)
	must(h.T, err)
	page, err := h.store.TableSizes(h.Context(), models.TableQuery{DatabaseID: known.ID, Limit: 1000})
	must(h.T, err)
	rows := map[string]models.TableSizeRow{}
	for _, r := range page.Rows {
		rows[r.Name] = r
	}
	return page.Database, rows
}

func newPostgresHouse(t *testing.T) (house, *testenv.PostgreSQLServer, string) {
	t.Helper()
	server := testenv.StartPostgreSQL(t)
	server.Exec(t, "postgres", "CREATE DATABASE app")
	server.Exec(t, "app", "CREATE TABLE a AS SELECT generate_series(1, 1000) AS n", "CREATE TABLE b (n int)")
	return newHouse(t, models.PostgreSQL, NewPostgreSQL(), plainTarget(t, server, "")), server, "app"
}

func TestRefreshReplacesTheSnapshot(t *testing.T) {
	h, server, app := newPostgresHouse(t)
	receipt, err := h.service.Refresh(t.Context(), models.Requester{}, h.instance.ID, app)
	must(t, err)
	if receipt.Saved != 2 || receipt.Changed != 2 || receipt.Pruned != 0 || !receipt.Complete {
		t.Errorf("first receipt %+v", receipt)
	}
	server.Exec(t, app, "DROP TABLE a", "CREATE TABLE c (n int)")
	receipt, err = h.service.Refresh(t.Context(), models.Requester{}, h.instance.ID, app)
	must(t, err)
	if receipt.Saved != 2 || receipt.Changed != 1 || receipt.Pruned != 1 {
		t.Errorf("second receipt %+v", receipt)
	}
	header, rows := h.snapshot(app)
	if _, there := rows["c"]; !there || len(rows) != 2 || header.SnapshotNo != 2 || !header.CollectedAt.Equal(receipt.CollectedAt) {
		t.Errorf("header %+v, rows %v", header, rows)
	}
}

func TestAFailedRefreshChangesNothing(t *testing.T) {
	h, server, app := newPostgresHouse(t)
	_, err := h.service.Refresh(t.Context(), models.Requester{}, h.instance.ID, app)
	must(t, err)
	header, rows := h.snapshot(app)
	server.Stop(t)
	_, err = h.service.Refresh(t.Context(), models.Requester{}, h.instance.ID, app)
	wantError(t, err, models.CodeUnreachable, "error.unreachable")
	if e := models.AsError(err); e.Extra["instance_id"] != h.instance.ID || e.Extra["database_name"] != app {
		t.Errorf("extra %v", e.Extra)
	}
	after, rowsAfter := h.snapshot(app)
	if after.SnapshotNo != header.SnapshotNo || !after.CollectedAt.Equal(*header.CollectedAt) || len(rowsAfter) != len(rows) {
		t.Errorf("before %+v, after %+v", header, after)
	}
}

func TestADatabaseThatIsGoneKeepsItsSnapshot(t *testing.T) {
	h, server, app := newPostgresHouse(t)
	_, err := h.service.Refresh(t.Context(), models.Requester{}, h.instance.ID, app)
	must(t, err)
	server.DropDatabase(t, app)
	_, err = h.service.Refresh(t.Context(), models.Requester{}, h.instance.ID, app)
	wantError(t, err, models.CodeCollection, KeyDatabaseGone)
	header, rows := h.snapshot(app)
	if header.GoneAt == nil || header.SnapshotNo != 1 || len(rows) != 2 {
		t.Errorf("header %+v, %d rows", header, len(rows))
	}
	_, err = h.service.Refresh(t.Context(), models.Requester{}, h.instance.ID, "never heard of")
	wantError(t, err, models.CodeCollection, KeyDatabaseGone)
	_, err = h.store.Database(t.Context(), h.instance.ID, "never heard of")
	wantError(t, err, models.CodeNotFound, "database.not_found")
}

func TestADatabaseHasOneName(t *testing.T) {
	h, server, app := newPostgresHouse(t)
	literal := `\x61pp`
	server.Exec(t, "postgres", `CREATE DATABASE "`+literal+`"`)
	for _, alias := range []string{literal, `a\x70p`, `a\x00b`, "a\x00b", app + "\x00"} {
		_, err := h.service.Refresh(t.Context(), models.Requester{}, h.instance.ID, alias)
		wantError(t, err, models.CodeCollection, KeyDatabaseGone)
		_, err = h.store.Database(t.Context(), h.instance.ID, alias)
		wantError(t, err, models.CodeNotFound, "database.not_found")
	}
	for _, name := range []string{app, ValidName(literal)} {
		_, err := h.service.Refresh(t.Context(), models.Requester{}, h.instance.ID, name)
		must(t, err)
	}
}

func TestALockedTableKeepsItsOldValue(t *testing.T) {
	h, server, app := newPostgresHouse(t)
	_, err := h.service.Refresh(t.Context(), models.Requester{}, h.instance.ID, app)
	must(t, err)
	first, before := h.snapshot(app)
	release := hold(t, server.URL(app), "LOCK TABLE a IN ACCESS EXCLUSIVE MODE")
	receipt, err := h.service.Refresh(t.Context(), models.Requester{}, h.instance.ID, app)
	must(t, err)
	release()
	_, after := h.snapshot(app)
	if receipt.Kept != 1 || after["a"].Unread != models.UnreadLocked || *after["a"].Total != *before["a"].Total ||
		after["a"].KeptFrom == nil || !after["a"].KeptFrom.Equal(*first.CollectedAt) || after["b"].KeptFrom != nil {
		t.Errorf("receipt %+v, row %+v", receipt, after["a"])
	}
}

func TestARootWithALockedPartitionKeepsItsOldValue(t *testing.T) {
	h, server, app := newPostgresHouse(t)
	server.Exec(t, app, "CREATE TABLE tree (i int) PARTITION BY RANGE (i)", "CREATE TABLE leaf PARTITION OF tree FOR VALUES FROM (0) TO (1000)",
		"INSERT INTO tree SELECT generate_series(0, 999)")
	_, err := h.service.Refresh(t.Context(), models.Requester{}, h.instance.ID, app)
	must(t, err)
	_, before := h.snapshot(app)
	defer hold(t, server.URL(app), "LOCK TABLE ONLY leaf IN ACCESS EXCLUSIVE MODE")()
	_, err = h.service.Refresh(t.Context(), models.Requester{}, h.instance.ID, app)
	must(t, err)
	_, after := h.snapshot(app)
	root := after["tree"]
	if root.Unread != models.UnreadLocked || root.Total == nil || *root.Total != *before["tree"].Total || root.KeptFrom == nil {
		t.Errorf("%+v", root)
	}
}

func TestRevokedGrantsPruneNothing(t *testing.T) {
	server := testenv.MySQL(t)
	app := server.NewDatabase(t)
	account := "'revoked'@'%'"
	server.Exec(t, app, "CREATE TABLE a (n INT)", "CREATE TABLE b (n INT)",
		"CREATE USER "+account+" IDENTIFIED BY 'pass'", "GRANT PROCESS, REFERENCES ON *.* TO "+account)
	t.Cleanup(func() { server.Exec(t, "", "DROP USER "+account) })
	h := newHouse(t, models.MySQL, NewMySQL(), Target{
		Host: server.Host, Port: server.Port, Username: "revoked", Password: "pass", TLSMode: models.TLSPrefer,
	})
	receipt, err := h.service.Refresh(t.Context(), models.Requester{}, h.instance.ID, app)
	must(t, err)
	if receipt.Saved != 2 || !receipt.Complete {
		t.Fatalf("receipt %+v", receipt)
	}
	server.Exec(t, app, "REVOKE ALL PRIVILEGES, GRANT OPTION FROM "+account, "GRANT SELECT ON `"+app+"`.a TO "+account)
	receipt, err = h.service.Refresh(t.Context(), models.Requester{}, h.instance.ID, app)
	must(t, err)
	header, rows := h.snapshot(app)
	if receipt.Complete || receipt.Pruned != 0 || len(rows) != 2 || rows["b"].KeptFrom == nil || header.Grant == "" {
		t.Errorf("receipt %+v, header %+v, row b %+v", receipt, header, rows["b"])
	}
}

// slowCollector counts how often it is asked and answers when it is told to.
type slowCollector struct {
	asked  atomic.Int32
	answer chan struct{}
}

func (c *slowCollector) Version(context.Context, Target) (models.Version, error) {
	return models.Version{Full: "slow 1"}, nil
}

func (c *slowCollector) Databases(context.Context, Target) (models.DatabaseResult, error) {
	return models.DatabaseResult{Complete: true}, nil
}

func (c *slowCollector) Capabilities() models.Capabilities { return models.Capabilities{} }

func (c *slowCollector) Yardstick(context.Context, Target, string) (models.Yardstick, error) {
	return models.Yardstick{}, nil
}

func (c *slowCollector) Tables(ctx context.Context, _ Target, _ string) (models.TableResult, error) {
	c.asked.Add(1)
	select {
	case <-c.answer:
		return models.TableResult{Complete: true, Tables: []models.TableSize{{Name: "t"}}}, nil
	case <-ctx.Done():
		return models.TableResult{}, context.Cause(ctx)
	}
}

func TestRefreshesOfOneDatabaseJoin(t *testing.T) {
	slow := &slowCollector{answer: make(chan struct{})}
	h := newHouse(t, models.MySQL, slow, Target{Host: "127.0.0.1", Port: 1})
	const callers = 20
	receipts := make([]models.Receipt, callers)
	var all sync.WaitGroup
	for i := range callers {
		all.Go(func() {
			var err error
			if receipts[i], err = h.service.Refresh(t.Context(), models.Requester{}, h.instance.ID, "app"); err != nil {
				t.Error(err)
			}
		})
	}
	other := make(chan error, 1)
	go func() {
		_, err := h.service.Refresh(t.Context(), models.Requester{}, h.instance.ID, "other")
		other <- err
	}()
	eventually(t, "the database was never asked for", func() bool { return slow.asked.Load() == 1 })
	time.Sleep(50 * time.Millisecond) // whoever would ask once more has done so by now
	close(slow.answer)
	all.Wait()
	must(t, <-other)
	if n := slow.asked.Load(); n != 2 {
		t.Errorf("the target was asked %d times for two databases", n)
	}
	for i, r := range receipts {
		if r != receipts[0] {
			t.Errorf("caller %d got %+v, caller 0 %+v", i, r, receipts[0])
		}
	}
}

func TestARefreshOutlivesWhoAskedAndEndsWithTheService(t *testing.T) {
	slow := &slowCollector{answer: make(chan struct{})}
	h := newHouse(t, models.MySQL, slow, Target{Host: "127.0.0.1", Port: 1})
	ctx, leave := context.WithCancel(t.Context())
	left := make(chan error, 1)
	go func() {
		_, err := h.service.Refresh(ctx, models.Requester{}, h.instance.ID, "app")
		left <- err
	}()
	eventually(t, "never asked", func() bool { return slow.asked.Load() == 1 })
	leave()
	wantError(t, <-left, models.CodeTimeout, "collect.still_running")
	joined := make(chan error, 1)
	go func() {
		_, err := h.service.Refresh(t.Context(), models.Requester{}, h.instance.ID, "app")
		joined <- err
	}()
	select {
	case err := <-joined:
		t.Fatalf("the collection had ended: %v", err)
	case <-time.After(100 * time.Millisecond):
	}
	must(t, h.service.Close(t.Context()))
	if err := <-joined; err == nil || slow.asked.Load() != 1 {
		t.Errorf("error %v, asked %d times", err, slow.asked.Load())
	}
}

func TestSyncKeepsTheInventoryWhenNothingCouldBeMeasured(t *testing.T) {
	server := testenv.StartPostgreSQL(t)
	server.Exec(t, "postgres", "CREATE DATABASE closed", "CREATE ROLE nobody_in_particular LOGIN PASSWORD 'x'",
		"REVOKE CONNECT ON DATABASE closed FROM PUBLIC")
	target := postgresTarget(server, "postgres")
	target.Username, target.Password = "nobody_in_particular", "x"
	h := newHouse(t, models.PostgreSQL, NewPostgreSQL(), target)
	result, err := h.service.SyncCapacity(t.Context(), models.Requester{}, h.instance.ID)
	must(t, err)
	if result.Saved != 1 || result.Inventory.Created != 2 {
		t.Errorf("saved %d, inventory %+v", result.Saved, result.Inventory)
	}
	page, err := h.store.Databases(t.Context(), models.DatabaseQuery{InstanceID: h.instance.ID, LatestOnly: true, Limit: 10})
	must(t, err)
	for _, d := range page.Rows {
		if measured := d.SizeBytes != nil; measured != (d.Name == "postgres") {
			t.Errorf("%s: measured %t", d.Name, measured)
		}
	}
	server.Exec(t, "postgres", "CREATE DATABASE late", "REVOKE CONNECT ON DATABASE late FROM PUBLIC")
	result, err = h.service.SyncCapacity(t.Context(), models.Requester{}, h.instance.ID)
	must(t, err)
	instance, err := h.store.Instance(t.Context(), h.instance.ID)
	must(t, err)
	if result.Inventory.Created != 1 || instance.MainVersion != strconv.Itoa(server.Version/10000) || instance.LastConnected == nil {
		t.Errorf("inventory %+v, instance %+v", result.Inventory, instance)
	}
}

func TestWhatCannotBeCollectedIsRefusedBeforeTheTargetIsAsked(t *testing.T) {
	h, _, app := newPostgresHouse(t)
	off := h.instance
	off.IsActive = false
	_, err := h.store.UpdateInstance(t.Context(), off, nil, nil)
	must(t, err)
	_, err = h.service.Refresh(t.Context(), models.Requester{}, h.instance.ID, app)
	wantError(t, err, models.CodeCollection, "collect.instance_inactive")
	bare, err := h.store.CreateInstance(t.Context(), models.Instance{
		Name: "bare", DBType: models.PostgreSQL, Host: h.instance.Host, Port: h.instance.Port, IsActive: true, TLSMode: models.TLSPrefer,
	}, nil, nil)
	must(t, err)
	_, err = h.service.SyncCapacity(t.Context(), models.Requester{}, bare.ID)
	wantError(t, err, models.CodeCollection, "collect.no_credential")
	_, err = h.service.Refresh(t.Context(), models.Requester{}, 404, app)
	wantError(t, err, models.CodeNotFound, "instance.not_found")
}

// scriptedCollector answers as it is told to.
type scriptedCollector struct {
	version   func() (models.Version, error) // nil: it tells one
	databases models.DatabaseResult
	tables    func(context.Context, Target) (models.TableResult, error)
}

func (c *scriptedCollector) Version(context.Context, Target) (models.Version, error) {
	if c.version != nil {
		return c.version()
	}
	return models.Version{Full: "scripted 1"}, nil
}

func (c *scriptedCollector) Databases(context.Context, Target) (models.DatabaseResult, error) {
	return c.databases, nil
}

func (c *scriptedCollector) Capabilities() models.Capabilities { return models.Capabilities{} }

func (c *scriptedCollector) Yardstick(context.Context, Target, string) (models.Yardstick, error) {
	return models.Yardstick{}, nil
}

func (c *scriptedCollector) Tables(ctx context.Context, t Target, _ string) (models.TableResult, error) {
	return c.tables(ctx, t)
}

func newScriptedHouse(t *testing.T, c *scriptedCollector) house {
	t.Helper()
	return newHouse(t, models.MySQL, c, Target{Host: "old", Port: 1, TLSMode: models.TLSPrefer})
}

func TestAPanicFailsOneCollectionOnly(t *testing.T) {
	c := &scriptedCollector{tables: func(context.Context, Target) (models.TableResult, error) { panic("odd answer") }}
	h := newScriptedHouse(t, c)
	var log bytes.Buffer
	h.service.log = slog.New(slog.NewTextHandler(&log, nil))
	_, err := h.service.Refresh(t.Context(), models.Requester{}, h.instance.ID, "app")
	wantError(t, err, models.CodeCollection, "collect.failed_unexpectedly")
	if !strings.Contains(log.String(), "odd answer") || !strings.Contains(log.String(), "service_test.go") {
		t.Errorf("the log does not say what panicked where: %s", log.String())
	}
	c.tables = func(context.Context, Target) (models.TableResult, error) {
		return models.TableResult{Complete: true}, nil
	}
	_, err = h.service.Refresh(t.Context(), models.Requester{}, h.instance.ID, "app")
	must(t, err)
}

func TestAPanicFailsOneConnectionTestOnly(t *testing.T) {
	h := newScriptedHouse(t, &scriptedCollector{version: func() (models.Version, error) { panic("odd greeting") }})
	_, err := h.service.TestInstance(t.Context(), h.instance.ID)
	wantError(t, err, models.CodeCollection, "collect.failed_unexpectedly")
}

func TestWhatWasAskedOfAnotherConfigurationIsNotStored(t *testing.T) {
	for name, change := range map[string]func(h house){
		"another host": func(h house) {
			moved := h.instance
			moved.Host = new("new")
			_, err := h.store.UpdateInstance(h.Context(), moved, nil, nil)
			must(h.T, err)
		},
		"another password": func(h house) {
			_, err := h.store.UpdateCredential(h.Context(), *h.instance.Credential, new("changed"))
			must(h.T, err)
		},
		"deleted": func(h house) {
			_, err := h.store.DeleteInstance(h.Context(), h.instance.ID)
			must(h.T, err)
		},
	} {
		t.Run(name, func(t *testing.T) {
			asked, answer := make(chan string, 2), make(chan struct{})
			h := newScriptedHouse(t, &scriptedCollector{tables: func(_ context.Context, target Target) (models.TableResult, error) {
				asked <- target.Host + " " + target.Password
				<-answer
				return models.TableResult{Complete: true, Tables: []models.TableSize{{Name: "of " + target.Host, Kind: models.KindTable}}}, nil
			}})
			first, second := make(chan error, 1), make(chan error, 1)
			refresh := func(done chan<- error) {
				_, err := h.service.Refresh(t.Context(), models.Requester{}, h.instance.ID, "app")
				done <- err
			}
			go refresh(first)
			before := <-asked
			change(h)
			if name == "deleted" {
				close(answer)
				wantError(t, <-first, models.CodeCollection, "collect.instance_changed")
				_, err := h.store.Database(t.Context(), h.instance.ID, "app")
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
			if header, _ := h.snapshot("app"); header.SnapshotNo != 1 {
				t.Errorf("%d snapshots were stored", header.SnapshotNo)
			}
		})
	}
}

func TestTheReasonsAreKeptWhenNothingWasMeasured(t *testing.T) {
	const grant = "GRANT pg_monitor TO someone"
	denied := &models.Error{Code: models.CodeCollection, Key: "collect.postgresql.size_denied", Args: models.Args("Name", "app")}
	h := newScriptedHouse(t, &scriptedCollector{databases: models.DatabaseResult{
		Complete: true, Grant: grant, Databases: []models.DatabaseSize{{Name: "app", Err: denied}},
	}})
	_, err := h.service.SyncCapacity(t.Context(), models.Requester{}, h.instance.ID)
	wantError(t, err, models.CodeCollection, "collect.nothing_measured")
	if got := models.AsError(err).Extra["grant"]; got != grant {
		t.Errorf("the grant is %v", got)
	}
	page, err := h.store.Databases(t.Context(), models.DatabaseQuery{InstanceID: h.instance.ID, LatestOnly: true, Limit: 10})
	must(t, err)
	if len(page.Rows) != 1 || page.Rows[0].Failed == nil || page.Rows[0].Failed.Key != denied.Key {
		t.Errorf("rows %+v", page.Rows)
	}
}

// What a collector hands over after its collection was ended is nothing to rely on, whether it says so or not.
func TestACollectionThatIsEndedSaysSoAndStoresNothing(t *testing.T) {
	for name, end := range map[string]struct {
		limit  time.Duration
		answer func(context.Context) error
		code   models.Code
		key    string
	}{
		"closed, silently":      {time.Hour, func(context.Context) error { return nil }, models.CodeCollection, "collect.cancelled"},
		"closed, unclassified":  {time.Hour, context.Cause, models.CodeCollection, "collect.cancelled"},
		"too late, silently":    {time.Millisecond, func(context.Context) error { return nil }, models.CodeTimeout, ""},
		"too late, unclassifed": {time.Millisecond, context.Cause, models.CodeTimeout, ""},
	} {
		t.Run(name, func(t *testing.T) {
			started, done := make(chan struct{}), make(chan error, 1)
			h := newScriptedHouse(t, &scriptedCollector{tables: func(ctx context.Context, _ Target) (models.TableResult, error) {
				close(started)
				<-ctx.Done()
				return models.TableResult{Complete: true}, end.answer(ctx)
			}})
			h.service.limit = func(models.RunKind) time.Duration { return end.limit }
			go func() {
				_, err := h.service.Refresh(t.Context(), models.Requester{}, h.instance.ID, "app")
				done <- err
			}()
			if end.limit == time.Hour { // the others may be too late before they have started
				<-started
				must(t, h.service.Close(t.Context()))
			}
			wantError(t, <-done, end.code, end.key)
			_, err := h.store.Database(t.Context(), h.instance.ID, "app")
			wantError(t, err, models.CodeNotFound, "database.not_found")
		})
	}
}

func TestStoringOutlivesTheCollection(t *testing.T) {
	h := newScriptedHouse(t, &scriptedCollector{})
	ctx, cancel := context.WithCancel(t.Context())
	err := h.service.save(ctx, h.instance, func(ctx context.Context) error {
		cancel()
		if deadline, ok := ctx.Deadline(); !ok || time.Until(deadline) > saveTimeout {
			t.Errorf("storing ends at %v", deadline)
		}
		return ctx.Err()
	})
	must(t, err)
}
