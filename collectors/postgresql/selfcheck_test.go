package postgresql

import (
	"testing"

	"whalefall/collectors"
	"whalefall/collectors/collectortest"
	"whalefall/models"
	"whalefall/testenv"
)

func TestCollector_Yardstick_PartitionTreesAndTOAST(t *testing.T) {
	f := setup(t)
	small := New()
	small.batch = 3
	check := collectortest.SelfCheck(t, small, f.Target, f.Database, 1)
	for _, name := range []string{"tree", "tree_2", "tree_2_a", "toasty"} {
		if r := collectortest.RelationNamed(t, check, name); r.Verdict != collectors.Equal {
			t.Errorf("%+v", r)
		}
	}
	if n := check.Count(collectors.Equal); n != len(check.Relations) || n != len(f.Yardstick(t)) {
		t.Errorf("%d of %d are equal, the server has %d", n, len(check.Relations), len(f.Yardstick(t)))
	}
}

func TestCollector_Yardstick_Kinds(t *testing.T) {
	target, database, _ := newDatabase(t, `
		CREATE TABLE parent (n int);
		CREATE TABLE child () INHERITS (parent);
		CREATE UNLOGGED TABLE unlogged (n int PRIMARY KEY);
		CREATE MATERIALIZED VIEW matview AS SELECT generate_series(1, 1000) AS n;
		CREATE VIEW view AS SELECT 1 AS n;
		CREATE SEQUENCE sequence;
		CREATE FOREIGN DATA WRAPPER nowhere;
		CREATE SERVER elsewhere FOREIGN DATA WRAPPER nowhere;
		CREATE TABLE tree (n int) PARTITION BY RANGE (n);
		CREATE TABLE leaf PARTITION OF tree FOR VALUES FROM (0) TO (1000);
		CREATE FOREIGN TABLE far PARTITION OF tree FOR VALUES FROM (1000) TO (2000) SERVER elsewhere;
		CREATE SCHEMA "pg toast_""s";
		CREATE TABLE "pg toast_""s".kept (n int);
		INSERT INTO child SELECT generate_series(1, 1000);
		INSERT INTO leaf SELECT generate_series(0, 999);
		CREATE INDEX ON leaf (n)`)
	check := collectortest.SelfCheck(t, New(), target, database, 1)
	for _, name := range []string{"parent", "child", "unlogged", "matview", "tree", "leaf", "kept"} {
		if r := collectortest.RelationNamed(t, check, name); r.Verdict != collectors.Equal {
			t.Errorf("%+v", r)
		}
	}
	if len(check.Relations) != 7 || !check.Passed() {
		t.Errorf("%+v", check.Relations)
	}
}

func TestSelfCheck_RetriesChanged(t *testing.T) {
	target, database, _ := newDatabase(t, "CREATE TABLE grows (n int)", "CREATE TABLE stays (n int)")
	server := testenv.PostgreSQL(t)
	grow := func(times int) collectortest.Between {
		return collectortest.Between{Collector: New(), Before: func() {
			if times > 0 {
				server.Exec(t, database, "INSERT INTO grows SELECT generate_series(1, 10000)")
			}
			times--
		}}
	}
	once := collectortest.SelfCheck(t, grow(1), target, database, 3)
	if !once.Passed() || once.Tries != 2 {
		t.Errorf("after one change: %d tries, %+v", once.Tries, once.Relations)
	}
	always := collectortest.SelfCheck(t, grow(3), target, database, 3)
	want := map[string]collectors.Verdict{"grows": collectors.Changed, "stays": collectors.Equal}
	for _, r := range always.Relations {
		if r.Verdict != want[r.Name] {
			t.Errorf("%+v", r)
		}
	}
	if always.Passed() || always.Tries != 3 {
		t.Errorf("what never held still has passed after %d tries", always.Tries)
	}
}

func TestCollector_Yardstick_Locked(t *testing.T) {
	target, database, address := newDatabase(t,
		"CREATE TABLE free (n int PRIMARY KEY)", "CREATE TABLE busy (n int PRIMARY KEY)")
	defer collectortest.HoldPostgreSQL(t, address, "LOCK TABLE busy IN ACCESS EXCLUSIVE MODE")()
	check := collectortest.SelfCheck(t, New(), target, database, 1)
	busy := collectortest.RelationNamed(t, check, "busy")
	if busy.Verdict != collectors.Unread || busy.Why != string(models.UnreadLocked) {
		t.Errorf("%+v", busy)
	}
	if collectortest.RelationNamed(t, check, "free").Verdict != collectors.Equal || check.Passed() {
		t.Errorf("%+v", check.Relations)
	}
}
