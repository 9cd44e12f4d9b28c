package models_test

import (
	"database/sql"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"whalefall/models"
)

// events returns the events of tables: name, days since the start, event, size.
func (f *fixture) events() string {
	f.Helper()
	return f.listed(`SELECT t.table_name || '@' || (e.day - 20522) || ':' || e.event || '=' ||
			COALESCE(CAST(e.size_bytes AS text), '?')
		FROM table_events e JOIN (SELECT id, table_name FROM database_table_size_stats
			UNION ALL SELECT id, table_name FROM dropped_tables) t ON t.id = e.table_id
		WHERE e.event <> '' ORDER BY e.day, t.table_name`)
}

// listed returns the texts that a query of the store finds.
func (f *fixture) listed(query string) string {
	f.Helper()
	rows, err := f.sql().QueryContext(f.ctx, query)
	check(f, err)
	defer func() { check(f, rows.Close()) }()
	var all []string
	for rows.Next() {
		var text string
		check(f, rows.Scan(&text))
		all = append(all, text)
	}
	check(f, rows.Err())
	return strings.Join(all, " ")
}

// ids returns the id of each table of the database, dropped ones included.
func (f *fixture) ids(db *sql.DB, database models.InstanceDatabase) map[string]int64 {
	f.Helper()
	rows, err := db.QueryContext(f.ctx, fmt.Sprintf(`SELECT table_name, id FROM database_table_size_stats
		WHERE database_id = %[1]d UNION ALL SELECT table_name, id FROM dropped_tables WHERE database_id = %[1]d`,
		database.ID))
	check(f, err)
	defer func() { check(f, rows.Close()) }()
	ids := map[string]int64{}
	for rows.Next() {
		var name string
		var id int64
		check(f, rows.Scan(&name, &id))
		if ids[name] != 0 {
			f.Errorf("%s has two ids", name)
		}
		ids[name] = id
	}
	check(f, rows.Err())
	return ids
}

func TestStore_SaveTableSizes_DroppedTableReturns(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		database := f.database()
		f.refresh(database, true, table("a", 10), table("b", 20))
		db := f.sql()
		before := f.ids(db, database)
		f.clock.add(day)
		f.refresh(database, true, table("b", 20))
		equal(f, "dropped", f.events(), "a@1:dropped=10")
		f.clock.add(day)
		f.refresh(database, false, table("b", 20))
		f.clock.add(day)
		f.refresh(database, false, table("a", 7), table("b", 20))
		equal(f, "returned", f.events(), "a@1:dropped=10 a@3:new=7")
		if after := f.ids(db, database); !maps.Equal(before, after) {
			f.Errorf("ids: got %v, want %v", after, before)
		}
		equal(f, "growth", f.grown(models.TableQuery{DatabaseID: database.ID, Sort: "name"}), "a=7 b=0")

		f.refresh(database, true, table("b", 20))
		equal(f, "came and went within a day", f.events(), "a@1:dropped=10")
		f.refresh(database, true, table("a", 8), table("b", 20))
		equal(f, "and came again", f.events(), "a@1:dropped=10 a@3:new=8")
	})
}

// A table is new only if the snapshot before proves that it was not there.
func TestStore_SaveTableSizes_NewOrFirstMeasured(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		database := f.database()
		f.refresh(database, false, table("a", 10))
		f.clock.add(day)
		f.refresh(database, true, table("a", 10), table("hidden_so_far", 20))
		equal(f, "after an incomplete snapshot", f.events(), "")
		f.clock.add(day)
		f.refresh(database, true, table("a", 10), table("hidden_so_far", 20), table("made", 30),
			unread("locked", models.UnreadLocked))
		equal(f, "after a complete one", f.events(), "locked@2:new=? made@2:new=30")
		equal(f, "growth", f.grown(models.TableQuery{DatabaseID: database.ID, Sort: "name"}),
			"a=0 hidden_so_far=0 locked=? made=30")
	})
}

// The tables of a database that is added to a completely listed server are new, those of the first list are not.
func TestStore_SaveTableSizes_NewDatabase(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		instance := f.instance("n")
		refresh := func(name string) {
			f.Helper()
			database, err := f.Database(f.ctx, instance.ID, name)
			check(f, err)
			f.refresh(database, true, table("of_"+name, 10))
		}
		f.saveInventory(instance, true, "old", "late")
		refresh("old")
		f.clock.add(day)
		f.saveInventory(instance, true, "old", "late", "tenant", "seldom")
		refresh("tenant")
		refresh("late")
		equal(f, "events", f.events(), "of_tenant@1:new=10")
		f.clock.add(3 * day)
		refresh("seldom")
		equal(f, "long after it appeared", f.events(), "of_tenant@1:new=10")
	})
}

// Whatever happens, the changes between two days are the difference of their totals, and a name keeps its id.
func TestStore_SaveTableSizes_ChangesAddUp(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		pairs, instance := 0, f.instance("n")
		for seed := range uint64(10) {
			database := f.addDatabase(instance.ID, fmt.Sprint("d", seed))
			history := randomHistory{fixture: f, database: database, random: rand.New(rand.NewPCG(seed, 13))}
			totals := history.live(80)
			days := slices.Sorted(maps.Keys(totals))
			changes := f.changesByDay(database)
			for i, from := range days {
				sum := totals[from]
				for j, to := range days[i+1:] {
					for d := days[i+j] + 1; d <= to; d++ {
						sum += changes[d]
					}
					pairs++
					if sum != totals[to] {
						f.Fatalf("seed %d, from day %d to %d: got %d, want %d", seed, from-startDay, to-startDay, sum, totals[to])
					}
				}
			}
		}
		if pairs < 10_000 {
			f.Errorf("%d pairs of days", pairs)
		}
	})
}

// changesByDay returns by how much the history says that the sum of all sizes changed on each day.
func (f *fixture) changesByDay(database models.InstanceDatabase) map[int64]int64 {
	f.Helper()
	rows, err := f.sql().QueryContext(f.ctx, fmt.Sprintf(`
		SELECT day, CAST(sum(COALESCE(delta_bytes, size_bytes, 0)) AS bigint)
		FROM table_size_history WHERE database_id = %d GROUP BY day`, database.ID))
	check(f, err)
	defer func() { check(f, rows.Close()) }()
	changes := map[int64]int64{}
	for rows.Next() {
		var day, change int64
		check(f, rows.Scan(&day, &change))
		changes[day] = change
	}
	check(f, rows.Err())
	return changes
}

// randomHistory makes the history of a database whose tables grow, shrink, come, go and hide, while clocks and runs
// fail.
type randomHistory struct {
	*fixture
	database models.InstanceDatabase
	random   *rand.Rand
	sizes    map[string]int64
	known    map[string]int64 // ids
	db       *sql.DB
}

// live collects n times and returns the total of each day's last snapshot.
func (h *randomHistory) live(n int) map[int64]int64 {
	h.Helper()
	h.sizes, h.known, h.db = map[string]int64{}, map[string]int64{}, h.sql()
	totals := map[int64]int64{}
	for range n {
		h.clock.add(h.pause())
		h.change()
		h.refresh(h.database, h.random.IntN(4) > 0, h.seen()...)
		midnight, err := time.Parse(time.DateOnly, h.DayAfter(h.clock.Now(), 0))
		check(h, err)
		today := midnight.Unix() / int64(day/time.Second)
		maps.DeleteFunc(totals, func(day, _ int64) bool { return day > today })
		totals[today] = h.tables(models.TableQuery{DatabaseID: h.database.ID, Limit: 1}).Database.TotalBytes
		h.keepIDs()
	}
	return totals
}

func (h *randomHistory) pause() time.Duration {
	switch h.random.IntN(12) {
	case 0:
		return -2 * day
	case 1:
		return 40 * day
	case 2, 3:
		return time.Hour
	}
	return day
}

func (h *randomHistory) change() {
	for range 1 + h.random.IntN(6) {
		name := fmt.Sprintf("t%02d", h.random.IntN(25))
		if _, there := h.sizes[name]; there && h.random.IntN(3) == 0 {
			delete(h.sizes, name)
			continue
		}
		h.sizes[name] = h.random.Int64N(1000)
	}
}

func (h *randomHistory) seen() []models.TableSize {
	var all []models.TableSize
	for _, name := range slices.Sorted(maps.Keys(h.sizes)) {
		t := table(name, h.sizes[name])
		switch h.random.IntN(12) {
		case 0:
			t = unread(name, models.UnreadLocked)
		case 1:
			t.Total, t.Data, t.Index, t.SizeSource = nil, nil, nil, models.SizeNone
		case 2:
			continue // an incomplete run misses it; a complete one takes it for dropped
		}
		all = append(all, t)
	}
	return all
}

// keepIDs fails the test if a table has another id than before.
func (h *randomHistory) keepIDs() {
	h.Helper()
	for name, id := range h.ids(h.db, h.database) {
		if known := h.known[name]; known != 0 && known != id {
			h.Fatalf("%s had the id %d and has %d", name, known, id)
		}
		h.known[name] = id
	}
}
