package models_test

import (
	"database/sql"
	"fmt"
	"net/url"
	"strings"
	"testing"

	_ "github.com/glebarez/go-sqlite"
	_ "github.com/jackc/pgx/v5/stdlib"

	"whalefall/models"
	"whalefall/testenv"
)

// sql opens the store beside the product.
func (f *fixture) sql() *sql.DB {
	f.Helper()
	driver := "pgx"
	address := f.options.Address
	if f.isSQLite() {
		driver, address = "sqlite", "file:"+(&url.URL{Path: f.Path()}).EscapedPath()
	}
	db, err := sql.Open(driver, address)
	check(f, err)
	f.Cleanup(func() { check(f, db.Close()) })
	return db
}

// history is what the store remembers of the sizes of tables: name, days since the start, change, size.
func (f *fixture) history() string {
	f.Helper()
	rows, err := f.sql().Query(`SELECT t.table_name, h.day, h.delta_bytes, h.size_bytes FROM table_size_history h
		JOIN database_table_size_stats t ON t.id = h.table_id ORDER BY h.day, t.table_name`)
	check(f, err)
	defer func() { _ = rows.Close() }()
	var all []string
	for rows.Next() {
		var name string
		var day, size int64
		var delta sql.NullInt64
		check(f, rows.Scan(&name, &day, &delta, &size))
		change := "?"
		if delta.Valid {
			change = fmt.Sprintf("%+d", delta.Int64)
		}
		all = append(all, fmt.Sprintf("%s@%d:%s=%d", name, day-startDay, change, size))
	}
	check(f, rows.Err())
	return strings.Join(all, " ")
}

// startDay is the day of start in Shanghai, 2026-03-10.
const startDay = 20522

// grown is what each table has grown by, in the order of the query.
func (f *fixture) grown(q models.TableQuery) string {
	f.Helper()
	var all []string
	for _, row := range f.tables(q).Rows {
		growth := "?"
		if row.Growth30 != nil {
			growth = fmt.Sprint(*row.Growth30)
		}
		all = append(all, row.Name+"="+growth)
	}
	return strings.Join(all, " ")
}

func TestStore_SaveTableSizes_HistoryOfChangedSizes(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		database := f.database()
		f.refresh(database, true, table("a", 10), table("b", 20), unread("c", models.UnreadLocked))
		equal(f, "first", f.history(), "a@0:?=10 b@0:?=20")
		f.refresh(database, true, table("a", 11), table("b", 20), unread("c", models.UnreadLocked))
		equal(f, "the same day", f.history(), "a@0:?=11 b@0:?=20")

		f.clock.add(day)
		f.refresh(database, true, table("a", 11), table("b", 25), table("c", 30), table("d", 0))
		f.refresh(database, true, table("a", 11), table("b", 26), unread("c", models.UnreadLocked), table("d", 0))
		equal(f, "the next day", f.history(), "a@0:?=11 b@0:?=20 b@1:+6=26 c@1:?=30 d@1:+0=0")

		f.clock.add(day)
		f.refresh(database, true, table("b", 26), table("c", 30), table("d", 0))
		f.refresh(database, true, table("a", 5), table("b", 26), table("c", 30), table("d", 0))
		equal(f, "a table made anew", f.history(), "a@0:?=11 b@0:?=20 b@1:+6=26 c@1:?=30 d@1:+0=0 a@2:-6=5")
	})
}

func TestStore_SaveTableSizes_GrowthWindow(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		database := f.database()
		q := models.TableQuery{DatabaseID: database.ID, Sort: "name"}
		f.refresh(database, true, table("a", 100), table("b", 200), unread("c", models.UnreadLocked))
		f.refresh(database, true, table("a", 110), table("b", 200), unread("c", models.UnreadLocked))
		equal(f, "one day is no growth", f.grown(q), "a=? b=? c=?")

		f.clock.add(day)
		f.refresh(database, true, table("a", 150), table("b", 200), table("c", 50), table("d", 1))
		equal(f, "since yesterday", f.grown(q), "a=40 b=0 c=? d=1")
		f.clock.add(9 * day)
		f.refresh(database, true, table("a", 170), table("b", 190), table("c", 45), unread("d", models.UnreadLocked))
		equal(f, "since ten days", f.grown(q), "a=60 b=-10 c=-5 d=1")

		f.clock.add(20 * day) // the first of the days is now that of 150
		f.refresh(database, true, table("a", 171), table("b", 190), table("c", 45), table("d", 1))
		equal(f, "the window moves", f.grown(q), "a=21 b=-10 c=-5 d=0")
		f.clock.add(100 * day)
		f.refresh(database, true, table("a", 171), table("b", 190), table("c", 46), table("d", 1))
		equal(f, "after a long pause", f.grown(q), "a=0 b=0 c=1 d=0")
	})
}

func TestStore_TableSizes_SortByGrowth(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		database := f.database()
		var before, after []models.TableSize
		for i := range 40 {
			before = append(before, table(fmt.Sprintf("t%02d", i), 1000))
			after = append(after, table(fmt.Sprintf("t%02d", i), int64(1000+(i*7%5-2)*10)))
		}
		f.refresh(database, true, before...)
		f.clock.add(day)
		f.refresh(database, true, append(after, table("new", 15), unread("lost", models.UnreadFailed),
			unread("hidden", models.UnreadFailed))...)
		for _, desc := range []bool{false, true} {
			q := models.TableQuery{DatabaseID: database.ID, Sort: "growth", Desc: desc, Limit: 100}
			whole := strings.Split(f.grown(q), " ")
			equal(f, "rows", len(whole), 43)
			equal(f, "unknown last", strings.Join(whole[41:], " "), "hidden=? lost=?")
			if first := whole[0]; strings.HasSuffix(first, "=20") != desc {
				f.Errorf("desc %t begins with %s", desc, first)
			}
			q.Limit = 7
			var paged []string
			for page := f.tables(q); ; page = f.tables(q) {
				paged = append(paged, strings.Split(f.grown(q), " ")...)
				if q.Cursor = page.NextCursor; q.Cursor == "" {
					break
				}
			}
			equal(f, "by cursor", strings.Join(paged, " "), strings.Join(whole, " "))
		}
	})
}

func TestStore_PruneHistory_KeepsGrowth(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		f.options.HistoryDays = 40
		store, err := models.Open(f.ctx, f.options)
		check(f, err)
		defer func() { check(f, store.Close()) }()
		database := f.database()
		f.refresh(database, true, tables(6000)...)
		f.refresh(database, true, tables(5999)...)
		f.clock.add(20 * day)
		f.refresh(database, true, table("table_000000", 7))
		f.clock.add(19 * day)
		f.refresh(database, true, table("table_000000", 9))

		pruned, err := store.PruneHistory(f.ctx)
		check(f, err)
		equal(f, "all of 40 days stays", pruned, 0)
		f.clock.add(day)
		pruned, err = store.PruneHistory(f.ctx)
		check(f, err)
		equal(f, "that of tables that are gone goes, too", pruned, 6000+3) // with 1 event, 1 dropped table and 1 total
		equal(f, "the rest", f.history(), "table_000000@20:+7=7 table_000000@39:+2=9")
		f.refresh(database, true, table("table_000000", 10))
		equal(f, "growth", f.grown(models.TableQuery{DatabaseID: database.ID}), "table_000000=10")
		f.clock.add(12 * day)
		f.refresh(database, true, table("table_000000", 10))
		equal(f, "growth in the window", f.grown(models.TableQuery{DatabaseID: database.ID}), "table_000000=3")
	})
}

func TestStore_DestroyInstances_History(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		database := f.database()
		f.refresh(database, true, tables(10)...)
		_, err := f.DeleteInstance(f.ctx, database.InstanceID)
		check(f, err)
		_, err = f.DestroyDeletedInstance(f.ctx, database.InstanceID)
		check(f, err)
		var left int
		check(f, f.sql().QueryRow("SELECT count(*) FROM table_size_history").Scan(&left))
		equal(f, "rows", left, 0)
	})
}

// The counts are those at which parameters run out: 32,766 and 65,535, in 11 columns or one.
func TestStore_SaveTableSizes_AnyCount(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		database := f.database()
		db := f.sql()
		for round, n := range []int{2978, 2979, 5957, 5958, 65_535, 65_536, 100_000} {
			all := tables(n)
			var sum int64
			for i := range all {
				all[i].Total = pointer(int64(i + round))
				sum += int64(i + round)
			}
			receipt := f.refresh(database, true, all...)
			equal(f, fmt.Sprintf("%d saved", n), receipt.Saved, int64(n))
			equal(f, fmt.Sprintf("%d changed", n), receipt.Changed, int64(n))
			var stored, bytes int64
			check(f, db.QueryRow(`SELECT count(*), sum(size_bytes) FROM database_table_size_stats`).Scan(&stored, &bytes))
			equal(f, fmt.Sprintf("%d rows", n), stored, int64(n))
			equal(f, fmt.Sprintf("%d bytes", n), bytes, sum)
			page := f.tables(models.TableQuery{DatabaseID: database.ID, Limit: 1})
			equal(f, fmt.Sprintf("%d in the header", n), page.Database.TotalBytes, sum)
		}
		equal(f, "pruned", f.refresh(database, true).Pruned, 100_000)
	})
}

// What is written when nothing has changed is the header alone.
func TestStore_SaveTableSizes_UnchangedWritesNoRow(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		database := f.database()
		all := append(tables(3000), unread("locked", models.UnreadLocked))
		f.refresh(database, true, all...)
		var refuse []string
		for _, table := range []string{"database_table_size_stats", "table_size_history"} {
			if !f.isSQLite() {
				refuse = append(refuse, `CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql
					AS 'BEGIN RAISE EXCEPTION ''written''; END'`,
					"CREATE TRIGGER refuse BEFORE INSERT OR UPDATE OR DELETE ON "+table+" FOR EACH ROW EXECUTE FUNCTION refuse()")
				continue
			}
			for _, change := range []string{"INSERT", "UPDATE", "DELETE"} {
				refuse = append(refuse, fmt.Sprintf("CREATE TRIGGER %s_%s BEFORE %[1]s ON %[2]s "+
					"BEGIN SELECT RAISE(ABORT, 'written'); END", change, table))
			}
		}
		for _, statement := range refuse {
			_, err := f.sql().Exec(statement)
			check(f, err)
		}
		receipt := f.refresh(database, true, all...)
		equal(f, "saved", receipt.Saved, 3001)
		equal(f, "changed", receipt.Changed, 0)
		all[0] = table("table_000000", 1)
		in := saved(database, all...)
		in.Started, in.CollectedAt = f.clock.Now(), f.clock.Now()
		_, err := f.SaveTableSizes(f.ctx, in)
		if err == nil || !strings.Contains(err.Error(), "written") {
			f.Errorf("a changed row: %v", err)
		}
		equal(f, "took back", *f.tables(models.TableQuery{DatabaseID: database.ID, Table: "_000000"}).Rows[0].Total, 0)
	})
}

// A PostgreSQL without the extensions, or a role that may not create them, has a store that searches more slowly.
func TestOpen_WithoutTrigrams(t *testing.T) {
	t.Parallel()
	server := testenv.PostgreSQL(t)
	address := server.NewDatabase(t)
	u, err := url.Parse(address)
	check(t, err)
	name := strings.TrimPrefix(u.Path, "/")
	role := "plain_" + name
	server.Exec(t, name, fmt.Sprintf("CREATE ROLE %q LOGIN PASSWORD 'x'", role),
		fmt.Sprintf("GRANT USAGE, CREATE ON SCHEMA public TO %q", role))
	u.User = url.UserPassword(role, "x")
	f := newFixture(t, u.String())
	database := f.database()
	f.refresh(database, true, table("orders", 1), table("customers", 2))
	equal(f, "found", describe(f.tables(models.TableQuery{DatabaseID: database.ID, Table: "RDER"}).Rows), "orders=1")
	var indexes int
	const count = "SELECT count(*) FROM pg_indexes WHERE indexname = 'database_table_size_stats_search'"
	check(f, f.sql().QueryRow(count).Scan(&indexes))
	equal(f, "index", indexes, 0)
	check(t, f.Close())
	server.Exec(t, name, fmt.Sprintf("DROP OWNED BY %q", role), fmt.Sprintf("DROP ROLE %q", role))
}

// Two collections of one database that end at the same moment store one after the other.
func TestStore_SaveTableSizes_Overtaken(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		database := f.database()
		done := make(chan error)
		for i := range 8 {
			go func() {
				_, err := f.SaveTableSizes(f.ctx, saved(database, table("a", int64(i)), table(fmt.Sprint("only", i), 1)))
				done <- err
			}()
		}
		for range 8 {
			check(f, <-done)
		}
		page := f.tables(models.TableQuery{DatabaseID: database.ID, Sort: "name"})
		equal(f, "number", page.Database.SnapshotNo, 8)
		names := strings.Fields(describe(page.Rows))
		if len(names) != 2 {
			f.Fatalf("rows %v", names)
		}
		equal(f, "of one result", strings.TrimPrefix(names[0], "a="),
			strings.TrimSuffix(strings.TrimPrefix(names[1], "only"), "=1"))
	})
}

// Pages of SQLite that are filled in another order than that of the key stay half empty.
func TestStore_SaveTableSizes_HistorySize(t *testing.T) {
	t.Parallel()
	f := newFixture(t, t.TempDir()+"/store.db")
	database := f.database()
	all := tables(20_000)
	for i := range all {
		all[i].Total = pointer(int64(1<<30 + i%777*8192))
	}
	f.refresh(database, true, all...)
	rows := int64(len(all))
	for round := range 5 {
		f.clock.add(day)
		for i := round; i < len(all); i += 10 {
			all[i].Total = pointer(*all[i].Total + int64(i%100+1)*8192)
			rows++
		}
		f.refresh(database, true, all...)
	}
	var stored, bytes int64
	check(f, f.sql().QueryRow(`SELECT count(*) FROM table_size_history`).Scan(&stored))
	equal(f, "rows", stored, rows)
	check(f, f.sql().QueryRow(`SELECT sum(pgsize) FROM dbstat WHERE name = 'table_size_history'`).Scan(&bytes))
	if a := bytes / rows; a > 32 {
		f.Errorf("%d bytes a row", a)
	}
	t.Log("bytes a row:", float64(bytes)/float64(rows))
}
