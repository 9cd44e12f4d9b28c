package models_test

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/pressly/goose/v3"

	"whalefall/migrations"
	"whalefall/models"
	"whalefall/testenv"
)

// firstData is what a store of the first version may hold.
const firstData = `
	INSERT INTO instances (id, name, db_type, database_name, description, is_active, tls_mode, options, database_version,
		main_version, detailed_version, databases_grant, created_at, updated_at)
	VALUES (3, 'old', 'sqlite', '/old.db', '', true, 'prefer', '{}', '', '', '', '', '2026-03-09 17:00:00+00:00',
		'2026-03-09 17:00:00+00:00');
	INSERT INTO instance_databases (id, instance_id, name, name_fold, is_system, first_seen_at, last_seen_at, snapshot_no,
		collected_at, table_count, top_count, total_bytes, unknown_count, kept_count, complete)
	VALUES (5, 3, 'main', 'main', false, '2026-03-09 17:00:00+00:00', '2026-03-09 17:00:00+00:00', 4,
		'2026-03-09 17:00:00+00:00', 2, 2, 10, 1, 1, false);
	INSERT INTO database_table_size_stats (database_id, schema_name, table_name, schema_fold, table_fold, kind,
		parent_schema, parent_name, rolled_up, size_bytes, data_bytes, index_bytes, unused_bytes, row_count, rows_source,
		size_source, stats_stale, unread, kept_from)
	VALUES (5, 'public', 'a', 'public', 'a', 'table', '', '', false, 10, 10, 0, NULL, 0, 'exact', 'allocated', false,
		'', NULL),
		(5, 'public', 'b', 'public', 'b', 'table', '', '', false, NULL, NULL, NULL, NULL, NULL, '', 'none', false, 'locked',
		'2026-03-09 16:00:00+00:00');`

// upgraded makes a store of an earlier version with some data, and then brings it to the current version.
func upgraded(ctx context.Context, db *sql.DB, dialect string, version int64, data string) error {
	names := map[string]goose.Dialect{"sqlite": goose.DialectSQLite3, "postgres": goose.DialectPostgres}
	provider, err := goose.NewProvider(names[dialect], db, os.DirFS(filepath.Join("..", "migrations", dialect)),
		goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return err
	}
	if _, err := provider.UpTo(ctx, version); err != nil {
		return err
	}
	if _, err := db.ExecContext(ctx, data); err != nil {
		return err
	}
	return migrations.Up(ctx, db, dialect)
}

// upgradedFrom opens a store of its own that had the version and the data before.
func (f *fixture) upgradedFrom(version int64, data string) *fixture {
	f.Helper()
	f.options.Address = filepath.Join(f.TempDir(), "old.db")
	if !f.isSQLite() {
		f.options.Address = testenv.PostgreSQL(f.T).NewDatabase(f.T)
	}
	f.options.Migrate = func(ctx context.Context, db *sql.DB, dialect string) error {
		return upgraded(ctx, db, dialect, version, data)
	}
	store, err := models.Open(f.ctx, f.options)
	check(f, err)
	f.Cleanup(func() { check(f, store.Close()) })
	opened := *f
	opened.Store = store
	return &opened
}

func TestOpen_UpgradeFromFirstVersion(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		upgraded := f.upgradedFrom(1, firstData)

		page := upgraded.tables(models.TableQuery{DatabaseID: 5, Sort: "name"})
		equal(f, "rows", describe(page.Rows), "a=10 b=?")
		equal(f, "scope", page.Database.Scope, "")
		equal(f, "residual", page.Database.ResidualBytes, nil)
		equal(f, "kept from", *page.Rows[1].KeptFrom, time.Date(2026, 3, 9, 16, 0, 0, 0, time.UTC))
		for _, row := range page.Rows {
			equal(f, "note", row.Note, "")
			equal(f, "memory", row.Memory, nil)
			equal(f, "counted", row.RowsAt, nil)
		}
		same := table("a", 10)
		same.Rows, same.RowsSource = pointer(int64(0)), models.RowsExact
		receipt := upgraded.refresh(page.Database, true, same, unread("b", models.UnreadLocked))
		equal(f, "changed", receipt.Changed, 0)
		equal(f, "kept", receipt.Kept, 1)
		equal(f, "number", upgraded.tables(models.TableQuery{DatabaseID: 5}).Database.SnapshotNo, 5)
	})
}

// historyWithoutNames is what a store before migration 16 may remember: table 1, which grew, and table 99, which was
// dropped. Its newest snapshot is of day 20522.
const historyWithoutNames = `
	UPDATE instance_databases SET growth_day = 20493;
	UPDATE database_table_size_stats SET base_bytes = 4, base_day = 20493 WHERE id = 1;
	INSERT INTO table_size_history (database_id, day, table_id, size_bytes, delta_bytes)
	VALUES (5, 20493, 1, 4, NULL), (5, 20500, 99, 50, NULL), (5, 20516, 1, 7, 3), (5, 20520, 1, 10, 3);`

func TestStore_Upgrade_KeepsHistory(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		upgraded := f.upgradedFrom(7, firstData+historyWithoutNames)

		row := upgraded.tables(models.TableQuery{DatabaseID: 5, Table: "a"}).Rows[0]
		equal(f, "growth of 30 days", *row.Growth30, 6)
		equal(f, "growth of 7 days", *row.Growth7, 3)
		for count, want := range map[string]string{
			"SELECT CAST(count(*) AS text) FROM table_size_history WHERE index_bytes IS NULL": "4",
			"SELECT CAST(count(*) AS text) FROM snapshot_days WHERE total_bytes IS NULL":      "4",
		} {
			equal(f, count, upgraded.listed(count), want)
		}
		f.clock.add(day)
		upgraded.refresh(models.InstanceDatabase{InstanceID: 3, Name: "main"}, true, table("a", 12))
		equal(f, "growth on the next day", *upgraded.tables(models.TableQuery{DatabaseID: 5, Table: "a"}).Rows[0].Growth7, 5)
	})
}

// runsBeforeHeartbeats are runs as they were stored before migration 10.
const runsBeforeHeartbeats = `
	INSERT INTO collection_runs (id, instance_id, database_name, kind, username, status, phase, requested_at, started_at,
		owner, alive_at, cancel_asked_at)
	VALUES (7, 3, 'main', 'tables', 'user_1', 'running', 'querying', '2026-03-09 17:00:00+00:00',
		'2026-03-09 17:00:00+00:00', 'me', '2026-03-09 17:00:05+00:00', '2026-03-09 17:00:04+00:00'),
		(8, 3, 'app', 'tables', '', 'queued', '', '2026-03-09 17:00:00+00:00', NULL, '', '2026-03-09 17:00:00+00:00', NULL);`

func TestStore_Upgrade_KeepsHeartbeatsOfRuns(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		store := f.upgradedFrom(7, firstData+runsBeforeHeartbeats).Store

		run, err := store.Run(f.ctx, 7)
		check(f, err)
		equal(f, "heartbeat", run.HeartbeatAt, time.Date(2026, 3, 9, 17, 0, 5, 0, time.UTC))
		equal(f, "cancellation", *run.CancelRequestedAt, time.Date(2026, 3, 9, 17, 0, 4, 0, time.UTC))
		cancel, err := store.Heartbeat(f.ctx, run.ID, run.Progress)
		check(f, err)
		equal(f, "cancel requested", cancel, true)
		queued, err := store.Run(f.ctx, 8)
		check(f, err)
		equal(f, "no cancellation", queued.CancelRequestedAt, nil)
	})
}
