package collectors

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"whalefall/models"
	"whalefall/testenv"
)

// between is a collector that something happens to while it collects.
type between struct {
	Collector
	before func()                    // right before each collection
	after  func(*models.TableResult) // to what it returns
}

func (b between) Tables(ctx context.Context, t Target, database string) (models.TableResult, error) {
	if b.before != nil {
		b.before()
	}
	result, err := b.Collector.Tables(ctx, t, database)
	if err == nil && b.after != nil {
		b.after(&result)
	}
	return result, err
}

func mustCheck(t *testing.T, c Collector, target Target, database string, tries int) Check {
	t.Helper()
	check, err := SelfCheck(t.Context(), c, target, database, tries)
	if err != nil {
		t.Fatal(err)
	}
	return check
}

// relationOf is the verdict on one relation.
func relationOf(t *testing.T, c Check, name string) Compared {
	t.Helper()
	for _, r := range c.Relations {
		if r.Name == name {
			return r
		}
	}
	t.Fatalf("%q was not looked at", name)
	return Compared{}
}

// checkSelfcheck is a check of the conformance suite.
func checkSelfcheck(t *testing.T, f fixture) {
	check := mustCheck(t, f.collector, f.target, f.database, 3)
	if !check.Passed() || check.Means == "" {
		t.Errorf("the engine does not agree: %+v %+v", unequal(check.Relations), unequal(check.Sums))
	}
	if check.Count(Equal)+len(check.Sums) == 0 || len(check.Relations) < len(hostileNames) {
		t.Errorf("only %d relations and %d sums were compared", check.Count(Equal), len(check.Sums))
	}
	liar := between{Collector: f.collector, after: func(r *models.TableResult) {
		i := slices.IndexFunc(r.Tables, func(t models.TableSize) bool { return t.Name == twinUpper })
		lie := *r.Tables[i].Total + 1
		r.Tables[i].Total = &lie
	}}
	caught := mustCheck(t, liar, f.target, f.database, 3)
	if caught.Passed() {
		t.Error("one byte too many was not seen")
	}
	for _, r := range append(unequal(caught.Relations), unequal(caught.Sums)...) {
		single := r.Name == twinUpper && caught.Count(Different) == 1
		if part := r.Parts[0]; part.Name != "total" || *part.Ours != *part.Engine+1 || !single && len(caught.Sums) == 0 {
			t.Errorf("got %+v", r)
		}
	}
}

func unequal(compared []Compared) (out []Compared) {
	for _, r := range compared {
		if r.Verdict != Equal && r.Verdict != NoWord {
			out = append(out, r)
		}
	}
	return out
}

func TestSelfCheckOfPostgresComparesPartitionTreesAndTOAST(t *testing.T) {
	f := setupPostgres(t)
	small := NewPostgreSQL()
	small.batch = 3
	check := mustCheck(t, small, f.target, f.database, 1)
	for _, name := range []string{"tree", "tree_2", "tree_2_a", "toasty"} {
		if r := relationOf(t, check, name); r.Verdict != Equal {
			t.Errorf("%+v", r)
		}
	}
	if n := check.Count(Equal); n != len(check.Relations) || n != len(f.yardstick(t)) {
		t.Errorf("%d of %d are equal, the server has %d", n, len(check.Relations), len(f.yardstick(t)))
	}
}

func TestSelfCheckOfPostgresKnowsEveryKindOfRelation(t *testing.T) {
	target, database, _ := postgresWith(t, `
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
	check := mustCheck(t, NewPostgreSQL(), target, database, 1)
	for _, name := range []string{"parent", "child", "unlogged", "matview", "tree", "leaf", "kept"} {
		if r := relationOf(t, check, name); r.Verdict != Equal {
			t.Errorf("%+v", r)
		}
	}
	if len(check.Relations) != 7 || !check.Passed() {
		t.Errorf("%+v", check.Relations)
	}
}

func TestSelfCheckLooksAgainAtWhatGrew(t *testing.T) {
	target, database, _ := postgresWith(t, "CREATE TABLE grows (n int)", "CREATE TABLE stays (n int)")
	server := testenv.PostgreSQL(t)
	grow := func(times int) between {
		return between{Collector: NewPostgreSQL(), before: func() {
			if times > 0 {
				server.Exec(t, database, "INSERT INTO grows SELECT generate_series(1, 10000)")
			}
			times--
		}}
	}
	once := mustCheck(t, grow(1), target, database, 3)
	if !once.Passed() || once.Tries != 2 {
		t.Errorf("after one change: %d tries, %+v", once.Tries, once.Relations)
	}
	always := mustCheck(t, grow(3), target, database, 3)
	want := map[string]Verdict{"grows": Changed, "stays": Equal}
	for _, r := range always.Relations {
		if r.Verdict != want[r.Name] {
			t.Errorf("%+v", r)
		}
	}
	if always.Passed() || always.Tries != 3 {
		t.Errorf("what never held still has passed after %d tries", always.Tries)
	}
}

func TestSelfCheckSaysWhatIsLocked(t *testing.T) {
	target, database, address := postgresWith(t, "CREATE TABLE free (n int PRIMARY KEY)", "CREATE TABLE busy (n int PRIMARY KEY)")
	defer hold(t, address, "LOCK TABLE busy IN ACCESS EXCLUSIVE MODE")()
	check := mustCheck(t, NewPostgreSQL(), target, database, 1)
	if r := relationOf(t, check, "busy"); r.Verdict != Unread || r.Why != string(models.UnreadLocked) {
		t.Errorf("%+v", r)
	}
	if relationOf(t, check, "free").Verdict != Equal || check.Passed() {
		t.Errorf("%+v", check.Relations)
	}
}

func TestSelfCheckOfMySQLComparesEveryKindOfFile(t *testing.T) {
	server := testenv.MySQL(t)
	database := server.NewDatabase(t)
	compressed := "page_compressed=1"
	if server.Flavor != "mariadb" {
		compressed = "COMPRESSION='zlib'"
	}
	server.Exec(
		t, database, "CREATE TABLE words (id INT PRIMARY KEY, v TEXT, FULLTEXT (v))", "INSERT INTO words VALUES (1, 'quick brown fox')",
		"CREATE TABLE `Tree#P#1` (id INT PRIMARY KEY) PARTITION BY RANGE (id) SUBPARTITION BY HASH (id) SUBPARTITIONS 2 "+
			"(PARTITION pLow VALUES LESS THAN (10), PARTITION pMax VALUES LESS THAN MAXVALUE)",
		"CREATE TABLE zipped (id INT PRIMARY KEY) ROW_FORMAT=COMPRESSED",
		"CREATE TABLE holes (id INT PRIMARY KEY, v LONGTEXT) "+compressed, "INSERT INTO holes VALUES (1, REPEAT('x', 2000000))",
		"CREATE TABLE `sales/2024 ü$#` (id INT PRIMARY KEY)", "CREATE TABLE elsewhere (id INT) ENGINE=MyISAM",
	)
	check := mustCheck(t, NewMySQL(), mysqlAccount(t, server, "ALL PRIVILEGES ON *.*"), database, 5)
	for _, r := range check.Relations {
		want := Equal
		if r.Name == "elsewhere" {
			want = NoWord
		}
		if r.Verdict != want {
			t.Errorf("%+v", r)
		}
	}
	if len(check.Relations) != 6 || !check.Passed() {
		t.Errorf("%d relations: %+v", len(check.Relations), check.Relations)
	}
}

func TestSelfCheckOfMySQLNeedsThePrivilegesItTells(t *testing.T) {
	server := testenv.MySQL(t)
	database := server.NewDatabase(t)
	server.Exec(t, database, "CREATE TABLE shown (id INT) ENGINE=InnoDB", "CREATE TABLE hidden (id INT) ENGINE=InnoDB")
	_, err := SelfCheck(t.Context(), NewMySQL(), mysqlAccount(t, server, "SELECT ON "+database+".*"), database, 1)
	wantError(t, err, models.CodeCollection, keyMySQLDenied)
	check := mustCheck(t, NewMySQL(), mysqlAccount(t, server, "PROCESS ON *.*", "SELECT ON "+database+".shown"), database, 1)
	if r := relationOf(t, check, "hidden"); r.Verdict != Unread || r.Why != string(models.UnreadHidden) {
		t.Errorf("%+v", r)
	}
	if relationOf(t, check, "shown").Verdict != Equal || check.Passed() {
		t.Errorf("%+v", check.Relations)
	}
}

func TestSelfCheckOfSQLiteAccountsForEveryPage(t *testing.T) {
	for _, settings := range [][2]string{{"512", "NONE"}, {"512", "FULL"}, {"1024", "INCREMENTAL"}, {"65536", "FULL"}} {
		t.Run(strings.Join(settings[:], " "), func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "target.db")
			db := openSQLite(t, path)
			execSQLite(
				t, db, "PRAGMA page_size = "+settings[0], "PRAGMA auto_vacuum = "+settings[1],
				"CREATE TABLE kept (id INTEGER PRIMARY KEY AUTOINCREMENT, s TEXT UNIQUE)",
				"INSERT INTO kept (s) SELECT printf('%0200d', value) FROM generate(5000)",
				"CREATE TABLE dropped (b BLOB)", "INSERT INTO dropped VALUES (randomblob(100000))", "DROP TABLE dropped", "ANALYZE",
			)
			_ = db.Close()
			check := mustCheck(t, NewSQLite([]string{dir}), sqliteTarget(path), "main", 1)
			if len(check.Sums) != 1 || !check.Passed() || *check.Sums[0].Parts[0].Engine != fileSize(path) {
				t.Errorf("%s, the file has %d bytes", sumsText(check), fileSize(path))
			}
		})
	}
}

func sumsText(c Check) string {
	var text strings.Builder
	for _, s := range c.Sums {
		fmt.Fprintf(&text, "%s %s", s.Name, s.Verdict)
		for _, p := range s.Parts {
			fmt.Fprintf(&text, " ours %d, engine's %d", *p.Ours, *p.Engine)
		}
	}
	return text.String()
}

func TestSQLitePagesThatHoldNoRows(t *testing.T) {
	const lots = 3 << 20 // pages of 512 bytes: 1.5 GiB
	for name, test := range map[string]struct {
		file sqliteFile
		want int64
	}{
		"nothing":                      {sqliteFile{pages: 0, pageSize: 4096}, 0},
		"one page has no map":          {sqliteFile{pages: 1, pageSize: 4096, maps: true}, 0},
		"the second page is a map":     {sqliteFile{pages: 2, pageSize: 4096, maps: true}, 4096},
		"a map covers 819 pages":       {sqliteFile{pages: 821, pageSize: 4096, maps: true}, 4096},
		"the next is a map again":      {sqliteFile{pages: 822, pageSize: 4096, maps: true}, 2 * 4096},
		"reserved bytes hold none":     {sqliteFile{pages: 815, pageSize: 4096, maps: true, reserved: 32}, 2 * 4096},
		"free pages and own tables":    {sqliteFile{pages: 100, pageSize: 512, free: 7, internal: 2}, 9 * 512},
		"the page of the lock byte":    {sqliteFile{pages: lots, pageSize: 512}, 512},
		"a file that just ends before": {sqliteFile{pages: sqliteLockByte / 512, pageSize: 512}, 0},
	} {
		if got := test.file.rest(); got != test.want {
			t.Errorf("%s: %d, want %d", name, got, test.want)
		}
	}
}

func TestSelfCheckOfSQLiteReadsReservedBytes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "header")
	if n := sqliteReserved(path); n != 0 {
		t.Errorf("a file that is not there reserves %d", n)
	}
	header := make([]byte, 100)
	header[20] = 12
	if err := os.WriteFile(path, header, 0o600); err != nil {
		t.Fatal(err)
	}
	if n := sqliteReserved(path); n != 12 {
		t.Errorf("%d bytes are reserved", n)
	}
}

func TestVerdicts(t *testing.T) {
	table := func(total int64) models.TableSize {
		return models.TableSize{Schema: "s", Name: "t", Total: &total, Data: &total, Index: new(int64)}
	}
	word := func(total int64) []models.YardstickRelation {
		return []models.YardstickRelation{{Schema: "s", Name: "t", Total: &total}}
	}
	locked := models.TableSize{Schema: "s", Name: "t", Unread: models.UnreadLocked}
	for name, test := range map[string]struct {
		ours          []models.TableSize
		before, after []models.YardstickRelation
		whole         bool
		want          Compared
	}{
		"equal":               {[]models.TableSize{table(7)}, word(7), word(7), true, Compared{Verdict: Equal}},
		"a byte less":         {[]models.TableSize{table(6)}, word(7), word(7), true, differs("", new(int64(6)), new(int64(7)))},
		"unknown to us":       {[]models.TableSize{{Schema: "s", Name: "t"}}, word(7), word(7), true, differs("", nil, new(int64(7)))},
		"grown":               {[]models.TableSize{table(7)}, word(7), word(8), true, Compared{Verdict: Changed}},
		"created":             {[]models.TableSize{table(7)}, nil, word(7), true, Compared{Verdict: Changed}},
		"dropped":             {nil, word(7), nil, true, Compared{Verdict: Changed}},
		"dropped, still seen": {[]models.TableSize{table(7)}, word(7), nil, true, Compared{Verdict: Changed}},
		"missing":             {nil, word(7), word(7), true, differs(NotListed, nil, new(int64(7)))},
		"invented":            {[]models.TableSize{table(7)}, nil, nil, true, differs(NotKnown, new(int64(7)), nil)},
		"no word":             {[]models.TableSize{table(7)}, nil, nil, false, Compared{Verdict: NoWord}},
		"external":            {[]models.TableSize{{Schema: "s", Name: "t", Kind: models.KindExternal}}, word(7), word(7), true, Compared{Verdict: NoWord}},
		"no number": {
			[]models.TableSize{table(7)},
			[]models.YardstickRelation{{Schema: "s", Name: "t"}},
			[]models.YardstickRelation{{Schema: "s", Name: "t"}},
			true,
			Compared{Verdict: NoWord},
		},
		"twice":  {[]models.TableSize{table(7), table(7)}, word(7), word(7), true, Compared{Verdict: Different, Why: ListedTwice}},
		"locked": {[]models.TableSize{locked}, word(7), word(7), true, Compared{Verdict: Unread, Why: "locked"}},
		"locked for the engine": {
			[]models.TableSize{table(7)},
			[]models.YardstickRelation{{Schema: "s", Name: "t", Unread: models.UnreadLocked}},
			[]models.YardstickRelation{{Schema: "s", Name: "t", Unread: models.UnreadLocked}},
			true,
			Compared{Verdict: Unread, Why: "locked"},
		},
	} {
		out := compare(models.TableResult{Tables: test.ours},
			models.Yardstick{Relations: test.before, Whole: test.whole}, models.Yardstick{Relations: test.after, Whole: test.whole})
		test.want.Schema, test.want.Name = "s", "t"
		if diff := cmp.Diff(verdicts{{"s", "t"}: test.want}, out.relations); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func differs(why string, ours, engine *int64) Compared {
	return Compared{Verdict: Different, Why: why, Parts: []Part{{"total", ours, engine}}}
}

func TestVerdictsOnSums(t *testing.T) {
	a, b := int64(5), int64(3)
	tables := []models.TableSize{
		{Schema: "a", Name: "1", Total: &a},
		{Schema: "b", Name: "2", Total: &b},
		{Schema: "a", Name: "unknown"},
		{Schema: "a", Name: "root", Total: &a, RolledUp: true},
	}
	for name, test := range map[string]struct {
		residual *int64
		unread   bool
		sum      models.YardstickSum
		want     Verdict
	}{
		"all":                    {nil, false, models.YardstickSum{Total: 8}, Equal},
		"a byte more":            {nil, false, models.YardstickSum{Total: 9}, Different},
		"with a rest":            {nil, false, models.YardstickSum{Total: 9, Rest: 1}, Equal},
		"of a schema":            {nil, false, models.YardstickSum{Schema: "b", Total: 3}, Equal},
		"with our residual":      {new(int64(2)), false, models.YardstickSum{Total: 10, Residual: true}, Equal},
		"residual not asked for": {new(int64(2)), false, models.YardstickSum{Total: 8}, Equal},
		"residual unknown":       {nil, false, models.YardstickSum{Total: 10, Residual: true}, NoWord},
		"one is locked":          {nil, true, models.YardstickSum{Total: 8}, Unread},
		"one elsewhere is":       {nil, true, models.YardstickSum{Schema: "b", Total: 3}, Equal},
	} {
		ours := models.TableResult{Tables: slices.Clone(tables), Residual: test.residual}
		if test.unread {
			ours.Tables = append(ours.Tables, models.TableSize{Schema: "a", Name: "locked", Unread: models.UnreadLocked})
		}
		y := models.Yardstick{Sums: []models.YardstickSum{test.sum}}
		for _, got := range compare(ours, y, y).sums {
			if got.Verdict != test.want {
				t.Errorf("%s: %+v", name, got)
			}
		}
		grown := test.sum
		grown.Total++
		for _, got := range compare(ours, models.Yardstick{Sums: []models.YardstickSum{grown}}, y).sums {
			if got.Verdict != Changed {
				t.Errorf("%s, and changed meanwhile: %+v", name, got)
			}
		}
	}
}

// drawNumber is a few bytes or unknown.
func drawNumber(t *rapid.T, name string) *int64 {
	if rapid.Bool().Draw(t, name+" known") {
		return new(rapid.Int64Range(0, 3).Draw(t, name))
	}
	return nil
}

func drawYardstick(t *rapid.T, name string) models.Yardstick {
	var y models.Yardstick
	for _, key := range rapid.SliceOfDistinct(rapid.SampledFrom([]string{"a", "b", "c", "d"}), rapid.ID).Draw(t, name) {
		y.Relations = append(y.Relations, models.YardstickRelation{Name: key, Total: drawNumber(t, name+" total"), Rows: drawNumber(t, name+" rows")})
	}
	return y
}

func drawTables(t *rapid.T, name string) (r models.TableResult) {
	for _, key := range rapid.SliceOf(rapid.SampledFrom([]string{"a", "b", "c", "d"})).Draw(t, name) {
		r.Tables = append(r.Tables, models.TableSize{Name: key, Total: drawNumber(t, name+" total"), Rows: drawNumber(t, name+" rows")})
	}
	return r
}

// asListed is a collection that says what the engine says.
func asListed(y models.Yardstick) (r models.TableResult) {
	for _, w := range y.Relations {
		r.Tables = append(r.Tables, models.TableSize{Schema: w.Schema, Name: w.Name, Total: w.Total, Rows: w.Rows})
	}
	return r
}

func TestEveryRelationHasOneVerdict(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ours, before, after := drawTables(t, "ours"), drawYardstick(t, "before"), drawYardstick(t, "after")
		names := map[string]bool{}
		for _, r := range ours.Tables {
			names[r.Name] = true
		}
		for _, r := range append(slices.Clone(before.Relations), after.Relations...) {
			names[r.Name] = true
		}
		out := compare(ours, before, after).relations
		for name := range names {
			if out[relationKey{"", name}].Verdict == "" {
				t.Errorf("no verdict on %s", name)
			}
		}
		if len(out) != len(names) {
			t.Errorf("%d verdicts on %d relations", len(out), len(names))
		}
	})
}

func TestWhoRepeatsTheEngineAgreesWithItAndWhoAltersANumberDoesNot(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		y := drawYardstick(t, "word")
		y.Whole = rapid.Bool().Draw(t, "whole")
		ours := asListed(y)
		for key, r := range compare(ours, y, y).relations {
			if r.Verdict != Equal && r.Verdict != NoWord {
				t.Errorf("%v: %+v", key, r)
			}
		}
		if len(ours.Tables) == 0 {
			return
		}
		altered := &ours.Tables[rapid.IntRange(0, len(ours.Tables)-1).Draw(t, "altered")]
		if altered.Total == nil {
			return
		}
		altered.Total = new(*altered.Total + rapid.SampledFrom([]int64{-1, 1}).Draw(t, "by"))
		for key, r := range compare(ours, y, y).relations {
			if (r.Verdict == Different) != (key.name == altered.Name) {
				t.Errorf("%v: %+v", key, r)
			}
		}
	})
}

func TestATryNeverUnsettlesWhatIsSettled(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var all comparison
		for range 3 {
			next := compare(drawTables(t, "ours"), drawYardstick(t, "before"), drawYardstick(t, "after"))
			earlier := all
			all = all.then(next)
			for key, r := range earlier.relations {
				if r.Verdict != Changed && cmp.Diff(r, all.relations[key]) != "" {
					t.Errorf("%v was %+v and is %+v", key, r, all.relations[key])
				}
			}
		}
	})
}
