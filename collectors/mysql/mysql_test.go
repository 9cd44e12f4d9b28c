package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"whalefall/collectors"
	"whalefall/collectors/collectortest"
	"whalefall/models"
	"whalefall/testenv"
)

// root returns a target whose account is root.
func root(server *testenv.MySQLServer) collectors.Target {
	return collectors.Target{
		Name: "测试", Engine: models.MySQL, Host: server.Host, Port: server.Port, TLSMode: models.TLSPrefer,
		Username: server.User, Password: server.Password,
	}
}

// tablesByName collects the tables of a database and returns the result and its tables by name.
func tablesByName(
	t *testing.T, target collectors.Target, database string,
) (models.TableResult, map[string]models.TableSize) {
	t.Helper()
	result, err := New().Tables(t.Context(), target, database)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]models.TableSize{}
	for _, table := range result.Tables {
		if _, twice := found[table.Name]; twice {
			t.Errorf("%q is listed twice", table.Name)
		}
		if table.Schema != database {
			t.Errorf("%q: got schema %q, want %q", table.Name, table.Schema, database)
		}
		found[table.Name] = table
	}
	return result, found
}

// totalOf returns the total of a table, and ends the test if it has none.
func totalOf(t *testing.T, table models.TableSize) int64 {
	t.Helper()
	if table.Total == nil {
		t.Fatalf("%q has no total: %+v", table.Name, table)
	}
	return *table.Total
}

// onMariaDB returns the shared server, and skips the test if that is a MySQL.
func onMariaDB(t *testing.T) *testenv.MySQLServer {
	t.Helper()
	server := testenv.MySQL(t)
	if server.Flavor != "mariadb" {
		testenv.Missing(t, "MariaDB; this server is MySQL")
	}
	return server
}

// wantFileSizes fails unless each InnoDB table has the size of its files.
func wantFileSizes(t *testing.T, server *testenv.MySQLServer, database string, found map[string]models.TableSize) {
	t.Helper()
	for name, size := range fileSizes(t, server, database) {
		if got := totalOf(t, found[name]); got != size {
			t.Errorf("%q: got %d bytes, want %d as its files", name, got, size)
		}
		if found[name].SizeSource != models.SizeAllocated {
			t.Errorf("%q: got sizes from %q, want %q", name, found[name].SizeSource, models.SizeAllocated)
		}
	}
}

func TestCollector_Tables_OldStatistics(t *testing.T) {
	server := onMariaDB(t)
	database := server.NewDatabase(t)
	server.Exec(t, database,
		"CREATE TABLE loaded (id INT AUTO_INCREMENT PRIMARY KEY, v TEXT, KEY (v(20))) ENGINE=InnoDB STATS_AUTO_RECALC=0",
		"INSERT INTO loaded (v) SELECT REPEAT('x', 400) FROM seq_1_to_32000",
		"CREATE TABLE shrunk LIKE loaded", "INSERT INTO shrunk SELECT * FROM loaded",
		"ANALYZE TABLE shrunk", "TRUNCATE shrunk",
		"UPDATE mysql.innodb_table_stats SET clustered_index_size = 1000, sum_of_other_index_sizes = 500"+
			" WHERE database_name = '"+database+"' AND table_name = 'shrunk'")
	_, found := tablesByName(t, root(server), database)
	wantFileSizes(t, server, database, found)
	if loaded := found["loaded"]; *loaded.Total < 13<<20 || *loaded.Data > 1<<20 || loaded.StatsStale {
		t.Errorf("loaded: got %+v, want the file's total and old statistics", loaded)
	}
	shrunk := found["shrunk"]
	if !shrunk.StatsStale || *shrunk.Unused != 0 || *shrunk.Data+*shrunk.Index != *shrunk.Total {
		t.Errorf("shrunk: got %+v, want stale statistics scaled to the file", shrunk)
	}
}

func TestCollector_Tables_FullTextFiles(t *testing.T) {
	server := onMariaDB(t)
	database := server.NewDatabase(t)
	server.Exec(t, database, "CREATE TABLE ft (id INT AUTO_INCREMENT PRIMARY KEY, v TEXT, FULLTEXT (v)) ENGINE=InnoDB",
		"INSERT INTO ft (v) SELECT CONCAT('word', seq, ' other', seq) FROM seq_1_to_2000",
		"CREATE TABLE `FTS_0000000000000001_CONFIG` (id INT) ENGINE=InnoDB")
	files := func() (own, auxiliary int64) {
		for file, size := range ibdFiles(t, filepath.Join(server.DataDir, database)) {
			switch {
			case file == "ft.ibd":
				own = size
			case file != "FTS_0000000000000001_CONFIG.ibd":
				auxiliary += size
			}
		}
		return own, auxiliary
	}

	own, auxiliary := files()
	var result models.TableResult
	var found map[string]models.TableSize
	for before := int64(-1); before != own+auxiliary; { // the server still writes words into its files
		before = own + auxiliary
		result, found = tablesByName(t, root(server), database)
		own, auxiliary = files()
	}
	if len(found) != 2 || !result.Complete {
		t.Errorf("got tables %v, complete: %v, want 2, complete", slices.Collect(maps.Keys(found)), result.Complete)
	}
	if got := totalOf(t, found["ft"]); auxiliary == 0 || got != own+auxiliary || *found["ft"].Index < auxiliary {
		t.Errorf("got %d bytes, %d of indexes, want %d + %d as the files", got, *found["ft"].Index, own, auxiliary)
	}
}

func TestCollector_Tables_Partitions(t *testing.T) {
	server := onMariaDB(t)
	database := server.NewDatabase(t)
	server.Exec(t, database,
		"CREATE TABLE p (a INT) ENGINE=InnoDB PARTITION BY RANGE (a)"+
			" (PARTITION p0 VALUES LESS THAN (10), PARTITION pMax VALUES LESS THAN MAXVALUE)",
		"CREATE TABLE `s#P#x` (a INT, b DATE) ENGINE=InnoDB PARTITION BY RANGE (a)"+
			" SUBPARTITION BY HASH (TO_DAYS(b)) SUBPARTITIONS 2"+
			" (PARTITION `订` VALUES LESS THAN (10), PARTITION `p@x#p#` VALUES LESS THAN MAXVALUE)",
		"CREATE TABLE s (a INT) ENGINE=InnoDB",
		"INSERT INTO p SELECT seq FROM seq_1_to_500", "ANALYZE TABLE p")
	result, found := tablesByName(t, root(server), database)
	if len(found) != 3 || !result.Complete || found["p"].Kind != models.KindTable || found["p"].RolledUp {
		t.Errorf("got complete: %v, %+v, want 3 plain tables, complete", result.Complete, found)
	}
	wantFileSizes(t, server, database, found)
	if rows := found["p"].Rows; rows == nil || *rows < 400 || *rows > 600 {
		t.Errorf("got %s rows, want about 500", collectortest.Text(rows))
	}
}

func TestCollector_Tables_StorageEngines(t *testing.T) {
	server := onMariaDB(t)
	database := server.NewDatabase(t)
	server.Exec(t, database,
		"CREATE TABLE child1 (a INT, KEY (a)) ENGINE=MyISAM", "INSERT INTO child1 SELECT seq FROM seq_1_to_1000",
		"CREATE TABLE child2 LIKE child1", "CREATE TABLE merged (a INT, KEY (a)) ENGINE=MERGE UNION=(child1, child2)",
		"CREATE TABLE aria (a INT) ENGINE=Aria", "INSERT INTO aria SELECT seq FROM seq_1_to_1000",
		"CREATE TABLE memory (a INT) ENGINE=MEMORY",
		"CREATE TABLE csv (a INT NOT NULL) ENGINE=CSV", "INSERT INTO csv VALUES (1)",
		"CREATE SEQUENCE counter", "CREATE TABLE versioned (a INT) ENGINE=InnoDB WITH SYSTEM VERSIONING",
		"CREATE VIEW broken AS SELECT * FROM memory", "DROP TABLE memory", "CREATE TABLE memory (b INT) ENGINE=MEMORY",
		"FLUSH TABLES")
	result, found := tablesByName(t, root(server), database)
	if !result.Complete || len(found) != 8 {
		t.Fatalf("got complete: %v, %d tables %v, want 8, complete",
			result.Complete, len(found), slices.Sorted(maps.Keys(found)))
	}
	onDisk := func(names ...string) (sum int64) {
		for _, name := range names {
			info, err := os.Stat(filepath.Join(server.DataDir, database, name))
			if err != nil {
				t.Fatal(err)
			}
			sum += info.Size()
		}
		return sum
	}
	if got, want := totalOf(t, found["child1"]), onDisk("child1.MYD", "child1.MYI"); got != want {
		t.Errorf("MyISAM: got %d bytes, want %d", got, want)
	}
	if got, want := totalOf(t, found["aria"]), onDisk("aria.MAD", "aria.MAI"); got != want {
		t.Errorf("Aria: got %d bytes, want %d", got, want)
	}
	for _, name := range []string{"child1", "aria"} {
		got := found[name]
		if *got.Rows != 1000 || got.RowsSource != models.RowsExact || got.SizeSource != models.SizeAllocated {
			t.Errorf("%s: got %+v, want exactly 1000 rows and allocated bytes", name, got)
		}
	}
	unknown := models.TableSize{
		Schema: database, Name: "merged", Kind: models.KindMerge, RolledUp: true, SizeSource: models.SizeNone,
	}
	if diff := cmp.Diff(unknown, found["merged"]); diff != "" {
		t.Error(diff)
	}
	unknown = models.TableSize{Schema: database, Name: "csv", Kind: models.KindTable, SizeSource: models.SizeNone}
	if diff := cmp.Diff(unknown, found["csv"]); diff != "" {
		t.Error(diff)
	}
	for name, kind := range map[string]models.Kind{
		"memory": models.KindMemory, "counter": models.KindSequence, "versioned": models.KindTable,
	} {
		if found[name].Kind != kind || found[name].Total == nil {
			t.Errorf("%s: got %+v, want a total and kind %q", name, found[name], kind)
		}
	}
}

// hardNames returns names with letters that file names encode in different ways, names of devices and names with file
// extensions.
func hardNames() []string {
	names := slices.Clone(collectortest.HostileNames)
	for _, span := range [][2]rune{
		{0xC0, 0x24F},
		{0x386, 0x3FF},
		{0x400, 0x52F},
		{0x531, 0x587},
		{0x1E00, 0x1EFF},
		{0x1F00, 0x1FFE},
		{0x2160, 0x217F},
		{0x24B6, 0x24E9},
		{0x3041, 0x30FF},
		{0xAC00, 0xAC40},
		{0xFF21, 0xFF5A},
		{0x21, 0x7E},
	} {
		var letters []rune
		for r := span[0]; r <= span[1]; r++ {
			letters = append(letters, r)
		}
		for chunk := range slices.Chunk(letters, 16) {
			names = append(names, "n"+string(chunk)+"n")
		}
	}
	return append(names, "con", "NUL", "lpt1", "we$ird/na me", "#sql-x", "a@b", "@0041", "a#P#b", "a.ibd", "123",
		strings.Repeat("x", 64))
}

func TestCollector_Tables_HardNames(t *testing.T) {
	server := testenv.MySQL(t)
	for _, database := range []string{"szt", "Szt", "sz-t.x", "we/ird #p# `名`"} {
		server.CreateDatabase(t, database)
	}
	names := append(hardNames(), "plain", "Plain", "uni")
	for _, name := range names {
		server.Exec(t, "szt", "CREATE TABLE "+testenv.QuoteMySQLName(name)+" (id INT PRIMARY KEY) ENGINE=InnoDB")
	}
	for _, database := range []string{"Szt", "sz-t.x", "we/ird #p# `名`"} {
		server.Exec(t, database, "CREATE TABLE plain (id INT PRIMARY KEY, v TEXT) ENGINE=InnoDB",
			"CREATE TABLE `a/b#p#c` (id INT PRIMARY KEY) ENGINE=InnoDB")
		result, found := tablesByName(t, root(server), database)
		if !result.Complete || len(found) != 2 || found["plain"].SizeSource != models.SizeAllocated ||
			found["a/b#p#c"].SizeSource != models.SizeAllocated {
			t.Errorf("%q: got complete: %v, %+v, want 2 allocated, complete", database, result.Complete, found)
		}
	}
	result, found := tablesByName(t, root(server), "szt")
	if !result.Complete || result.Hidden != 0 || len(found) != len(names) {
		t.Errorf("got complete: %v, %d hidden, %d tables, want complete, 0 hidden, %d tables",
			result.Complete, result.Hidden, len(found), len(names))
	}
	for _, name := range names {
		if table, ok := found[name]; !ok || table.SizeSource != models.SizeAllocated {
			t.Errorf("%q: got listed: %v, sizes from %q, want %q", name, ok, table.SizeSource, models.SizeAllocated)
		}
	}
	if server.Flavor == "mariadb" {
		wantFileSizes(t, server, "szt", found)
	}
}

func TestRights(t *testing.T) {
	server := testenv.MySQL(t)
	database := server.NewDatabase(t)
	server.Exec(t, database,
		"CREATE TABLE one (a INT, b INT) ENGINE=InnoDB", "CREATE TABLE `订单/2` (a INT) ENGINE=InnoDB",
		"CREATE TABLE my (a INT) ENGINE=MyISAM")
	const all = 3
	cases := []struct {
		name                 string
		grants               []string
		seen                 int // tables with sizes; -1 if the database is not visible
		hidden               int64
		complete, everything bool // Complete of Tables and of Databases
		source               models.SizeSource
	}{
		{"none", nil, -1, 0, false, false, ""},
		{"process", []string{"PROCESS ON *.*"}, -1, 0, false, false, ""},
		{"show databases", []string{"SHOW DATABASES ON *.*"}, 0, 0, false, true, ""},
		{"select on the database", []string{"SELECT ON " + database + ".*"}, all, 0, true, false, models.SizeStatistic},
		{"select on one column", []string{"SELECT (a) ON " + database + ".one"}, 1, 0, false, false, models.SizeStatistic},
		{
			"select on one table and process",
			[]string{"SELECT ON " + database + ".one", "PROCESS ON *.*"},
			1, 1, false, false, models.SizeAllocated,
		},
		{"select", []string{"SELECT ON *.*"}, all, 0, true, true, models.SizeStatistic},
		{"references", []string{"REFERENCES ON *.*"}, all, 0, true, true, models.SizeStatistic},
		{"show view and process", []string{"SHOW VIEW, PROCESS ON *.*"}, all, 0, true, true, models.SizeAllocated},
		{"the suggested grant", []string{"PROCESS, REFERENCES ON *.*"}, all, 0, true, true, models.SizeAllocated},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			target := collectortest.MySQLAccount(t, server, c.grants...)
			databases, err := New().Databases(t.Context(), target)
			if err != nil || databases.Complete != c.everything {
				t.Errorf("got databases complete: %v, %v, want %v", databases.Complete, err, c.everything)
			}
			for _, d := range databases.Databases {
				if d.Name == database && (d.Total != nil) != c.complete {
					t.Errorf("got %s bytes, %v, want known: %v", collectortest.Text(d.Total), d.Err, c.complete)
				}
			}
			if c.seen < 0 {
				_, err := New().Tables(t.Context(), target, database)
				collectortest.WantError(t, err, models.CodeCollection, "collect.mysql.not_visible")
				want := "GRANT PROCESS, REFERENCES ON *.* TO '" + target.Username + "'@'%';"
				if grant := models.AsError(err).Grant; grant != want {
					t.Errorf("got grant %v, want %s", grant, want)
				}
				return
			}

			result, found := tablesByName(t, target, database)
			if result.Complete != c.complete || result.Hidden != c.hidden ||
				len(found) != c.seen+int(c.hidden) || (result.Grant == "") != c.complete {
				t.Errorf("got complete: %v, %d hidden, grant %q, tables %+v, want complete: %v, %d hidden, %d seen",
					result.Complete, result.Hidden, result.Grant, found, c.complete, c.hidden, c.seen)
			}
			one := found["one"]
			if c.seen > 0 && (totalOf(t, one) == 0 || one.SizeSource != c.source || one.Data == nil) {
				t.Errorf("one: got %+v, want sizes from %q", one, c.source)
			}
			if c.hidden > 0 && found["订单/2"].Unread != models.UnreadHidden {
				t.Errorf("hidden table: got %+v, want unread %q", found["订单/2"], models.UnreadHidden)
			}
		})
	}
}

func TestGrant_Executable(t *testing.T) {
	server := testenv.MySQL(t)
	database := server.NewDatabase(t)
	server.Exec(t, database, "CREATE TABLE secret (a INT) ENGINE=InnoDB")
	target := collectortest.MySQLAccount(t, server, "SELECT ON "+database+".*")
	list, err := New().Databases(t.Context(), target)
	if err != nil || list.Complete {
		t.Fatalf("before the grant: got complete: %v, %v, want incomplete", list.Complete, err)
	}
	server.Exec(t, "", list.Grant)
	list, err = New().Databases(t.Context(), target)
	if err != nil || !list.Complete || list.Grant != "" {
		t.Fatalf("after the grant: got complete: %v, grant %q, %v, want complete", list.Complete, list.Grant, err)
	}
	for _, d := range list.Databases {
		full, empty := d.Name == database || d.Name == "mysql", virtualSchema(d.Name)
		if d.Total == nil || d.Err != nil || full && *d.Total == 0 || empty && *d.Total != 0 {
			t.Errorf("%s: got %s bytes, %v, want a total", d.Name, collectortest.Text(d.Total), d.Err)
		}
		if d.IsSystem != slices.Contains(systemSchemas, d.Name) {
			t.Errorf("%s: got system database: %v, want %v", d.Name, d.IsSystem, !d.IsSystem)
		}
	}
}

// Schemas and rights may change after the view was read and before the tables are.
func TestSession_RereadView(t *testing.T) {
	server := testenv.MySQL(t)
	cases := []struct {
		name, grant, statement string // the statement is executed in between
		key                    string // of the error of tablesInView
		listed, complete       bool   // in the result of databasesInView, and whether that is complete
	}{
		{"nothing", "SELECT ON %s.*", "DO 1", "", true, false},
		{
			"revoked from the schema", "SELECT ON %s.*", "REVOKE SELECT ON %s.* FROM %s",
			"collect.mysql.not_visible", false, false,
		},
		{"dropped, not all schemas seen", "SELECT ON %s.*", "DROP DATABASE %s", "collect.mysql.not_visible", false, false},
		{"dropped", "SELECT ON *.*", "DROP DATABASE %s", collectors.KeyDatabaseGone, false, true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			database := server.NewDatabase(t)
			server.Exec(t, database, "CREATE TABLE a (n INT) ENGINE=InnoDB")
			target := collectortest.MySQLAccount(t, server, strings.ReplaceAll(c.grant, "%s", database))
			s, err := New().open(t.Context(), target)
			collectortest.Must(t, err)
			defer s.close()
			ofTables, err := s.readView(t.Context(), database)
			collectortest.Must(t, err)
			ofDatabases, err := s.readView(t.Context(), "")
			collectortest.Must(t, err)

			statement := strings.Replace(c.statement, "%s", database, 1)
			server.Exec(t, "", strings.Replace(statement, "%s", testenv.QuoteMySQL(target.Username), 1))

			tables, err := s.tablesInView(t.Context(), &ofTables, database)
			if c.key != "" {
				collectortest.WantError(t, err, models.CodeCollection, c.key)
			} else if err != nil || !tables.Complete || len(tables.Tables) != 1 {
				t.Errorf("got %+v, %v, want 1 table, complete", tables, err)
			}
			list, err := s.databasesInView(t.Context(), &ofDatabases)
			collectortest.Must(t, err)
			listed := slices.ContainsFunc(list.Databases, func(d models.DatabaseSize) bool { return d.Name == database })
			if listed != c.listed || list.Complete != c.complete {
				t.Errorf("got listed: %v, complete: %v, want %v, %v", listed, list.Complete, c.listed, c.complete)
			}
		})
	}
}

// A remaining privilege keeps the schema listed while its tables are hidden, so that an empty result is not complete.
func TestSession_RereadView_TablePrivilegeRevoked(t *testing.T) {
	server := testenv.MySQL(t)
	database := server.NewDatabase(t)
	server.Exec(t, database, "CREATE TABLE a (n INT) ENGINE=InnoDB")
	target := collectortest.MySQLAccount(t, server, "SELECT, EXECUTE ON "+database+".*")
	s, err := New().open(t.Context(), target)
	collectortest.Must(t, err)
	defer s.close()
	ofTables, err := s.readView(t.Context(), database)
	collectortest.Must(t, err)
	ofDatabases, err := s.readView(t.Context(), "")
	collectortest.Must(t, err)
	server.Exec(t, "", "REVOKE SELECT ON "+database+".* FROM "+testenv.QuoteMySQL(target.Username))
	tables, err := s.tablesInView(t.Context(), &ofTables, database)
	if err != nil || tables.Complete || tables.Grant == "" || len(tables.Tables) != 0 {
		t.Errorf("got %+v, %v, want no tables, incomplete, with a grant", tables, err)
	}
	list, err := s.databasesInView(t.Context(), &ofDatabases)
	collectortest.Must(t, err)
	if d := collectortest.DatabaseNamed(t, list, database); d.Total != nil || d.Err == nil {
		t.Errorf("got %s bytes, %v, want an error", collectortest.Text(d.Total), d.Err)
	}
}

func TestSession_DatabasesInView_TableDropped(t *testing.T) {
	server := testenv.MySQL(t)
	database := server.NewDatabase(t)
	server.Exec(t, database, "CREATE TABLE a (n INT) ENGINE=InnoDB", "CREATE TABLE b (n INT) ENGINE=InnoDB")
	s, err := New().open(t.Context(), root(server))
	collectortest.Must(t, err)
	defer s.close()
	seen, err := s.readView(t.Context(), "")
	collectortest.Must(t, err)
	server.Exec(t, database, "DROP TABLE b")
	list, err := s.databasesInView(t.Context(), &seen)
	collectortest.Must(t, err)
	if d := collectortest.DatabaseNamed(t, list, database); d.Total == nil || *d.Total == 0 || d.Err != nil {
		t.Errorf("got %s bytes, %v, want a total", collectortest.Text(d.Total), d.Err)
	}
}

func TestCollector_Version_AccountCannotLogIn(t *testing.T) {
	server := testenv.MySQL(t)
	for _, state := range []string{"ACCOUNT LOCK", "PASSWORD EXPIRE"} {
		target := collectortest.MySQLAccount(t, server, "PROCESS, REFERENCES ON *.*")
		server.Exec(t, "", "ALTER USER "+testenv.QuoteMySQL(target.Username)+" "+state)
		_, err := New().Version(t.Context(), target)
		collectortest.WantError(t, err, models.CodeUnreachable, "error.unreachable")
		if reason := models.AsError(err).Reason; reason != collectors.ReasonLogin {
			t.Errorf("%s: got reason %v, %v, want %s", state, reason, err, collectors.ReasonLogin)
		}
	}
}

func TestCollector_WithoutInnoDB(t *testing.T) {
	onMariaDB(t)
	server := testenv.StartMySQL(t, "skip-innodb", "default-storage-engine=Aria")
	database := server.NewDatabase(t)
	server.Exec(t, database, "CREATE TABLE a (n INT)", "INSERT INTO a SELECT seq FROM seq_1_to_1000")
	result, found := tablesByName(t, root(server), database)
	if !result.Complete || len(found) != 1 || totalOf(t, found["a"]) == 0 || *found["a"].Rows != 1000 {
		t.Errorf("got %+v, want 1 table of 1000 rows, complete", result)
	}
	list, err := New().Databases(t.Context(), root(server))
	collectortest.Must(t, err)
	d := collectortest.DatabaseNamed(t, list, database)
	if !list.Complete || d.Total == nil || *d.Total != *found["a"].Total {
		t.Errorf("got complete: %v, %+v, want %d bytes, complete", list.Complete, d, *found["a"].Total)
	}
}

// With partial_revokes MySQL takes patterns for names; otherwise "_" matches any character.
func TestRights_Patterns(t *testing.T) {
	server := testenv.MySQL(t)
	patterns := server.Flavor == "mariadb"
	if !patterns {
		server = testenv.StartMySQL(t, "partial-revokes=ON")
	}
	for _, database := range []string{"a_b", "axb"} {
		server.CreateDatabase(t, database)
		server.Exec(t, database, "CREATE TABLE seen (n INT)", "CREATE TABLE t (n INT)")
	}
	target := collectortest.MySQLAccount(t, server, "SELECT ON `a_b`.*", "SELECT ON `axb`.`seen`")
	if result, found := tablesByName(t, target, "a_b"); !result.Complete || len(found) != 2 {
		t.Errorf("a_b: got %+v, want 2 tables, complete", result)
	}
	if result, found := tablesByName(t, target, "axb"); result.Complete != patterns || (len(found) == 2) != patterns {
		t.Errorf("axb: got %+v, want complete: %v", result, patterns)
	}
	target = collectortest.MySQLAccount(t, server, "SELECT ON `a\\_b`.*", "SELECT ON `a_b`.`seen`")
	if result, found := tablesByName(t, target, "a_b"); result.Complete != (len(found) == 2) {
		t.Errorf("escaped: got %+v with %d tables, want complete only with 2", result, len(found))
	}
}

// A table that is being rebuilt keeps its file until then, so that an InnoDB table can be measured all the same. A
// table of another engine would have to be opened.
func TestCollector_Tables_Locked(t *testing.T) {
	server := onMariaDB(t)
	database := server.NewDatabase(t)
	server.Exec(t, database, "CREATE TABLE free (a INT) ENGINE=InnoDB", "CREATE TABLE rebuilt (a INT) ENGINE=InnoDB",
		"INSERT INTO rebuilt SELECT seq FROM seq_1_to_20000", "CREATE TABLE locked (a INT) ENGINE=Aria",
		"INSERT INTO locked SELECT seq FROM seq_1_to_20000", "ANALYZE TABLE rebuilt")
	_, before := tablesByName(t, root(server), database)
	defer lockTable(t, server, database, "locked")()
	defer lockTable(t, server, database, "rebuilt")()

	start := time.Now()
	result, found := tablesByName(t, root(server), database)
	if elapsed := time.Since(start); elapsed > 2500*time.Millisecond {
		t.Errorf("took %v, want at most 2.5 s", elapsed)
	}
	want := models.TableSize{
		Schema: database, Name: "locked", Kind: models.KindTable,
		SizeSource: models.SizeNone, Unread: models.UnreadLocked,
	}
	if diff := cmp.Diff(want, found["locked"]); diff != "" || totalOf(t, found["free"]) == 0 || !result.Complete {
		t.Errorf("got complete: %v, free: %+v, want complete; locked (-want +got):\n%s", result.Complete, found["free"], diff)
	}
	if diff := cmp.Diff(before["rebuilt"], found["rebuilt"]); diff != "" || totalOf(t, found["rebuilt"]) == 0 {
		t.Error(diff)
	}
}

// A collection does not wait a second for each of a hundred locked tables, and measures all that are not locked.
func TestCollector_Tables_ManyLocked(t *testing.T) {
	server := onMariaDB(t)
	database := server.NewDatabase(t)
	const count = 100
	var create strings.Builder
	names := make([]string, count)
	for i := range names {
		names[i] = fmt.Sprintf("t%03d", i)
		fmt.Fprintf(&create, "CREATE TABLE %s (a INT) ENGINE=Aria;", names[i])
	}
	server.Exec(t, database, create.String(),
		"CREATE TABLE zz (a INT) ENGINE=Aria", "CREATE TABLE free (a INT) ENGINE=Aria")
	defer queueDrop(t, server, database, append(names, "zz"))()

	start := time.Now()
	result, found := tablesByName(t, root(server), database)
	if elapsed := time.Since(start); elapsed > 2*time.Second {
		t.Errorf("took %v, want at most 2 s", elapsed)
	}
	free, locked := found["free"], found["t000"]
	if !result.Complete || len(found) != count+2 || free.Total == nil || locked.Unread != models.UnreadLocked {
		t.Errorf("got complete: %v, %d tables, %+v, %+v, want %d, complete, the first with a total, the second locked",
			result.Complete, len(found), free, locked, count+2)
	}
	for _, table := range found {
		if (table.Total == nil) != (table.Unread == models.UnreadLocked) {
			t.Errorf("got %+v, want either a total or locked", table)
		}
	}
}

// queueDrop runs a DROP that locks all tables but the last, for which it waits until release is called.
func queueDrop(t *testing.T, server *testenv.MySQLServer, database string, tables []string) (release func()) {
	t.Helper()
	reader, dropper := collectortest.ConnectMySQL(t, server), collectortest.ConnectMySQL(t, server)

	last := tables[len(tables)-1]
	_, err := reader.ExecContext(t.Context(), "LOCK TABLES "+database+"."+last+" READ")
	collectortest.Must(t, err)
	var id int64
	collectortest.Must(t, dropper.QueryRowContext(t.Context(), "SELECT CONNECTION_ID()").Scan(&id))
	done := make(chan error, 1)
	go func() {
		_, err := dropper.ExecContext(t.Context(), "DROP TABLE "+database+"."+strings.Join(tables, ", "+database+"."))
		done <- err
	}()
	waitForState(t, server, id, "Waiting%")

	return func() {
		server.Exec(t, "", fmt.Sprintf("KILL QUERY %d", id))
		if err := <-done; errorNumber(err) != codeInterrupted {
			t.Errorf("DROP: got %v, want error %d; the tables were not locked throughout the test", err, codeInterrupted)
		}
		_, err := reader.ExecContext(context.WithoutCancel(t.Context()), "UNLOCK TABLES")
		collectortest.Must(t, err)
	}
}

// waitForState waits until the state of a connection matches the LIKE pattern.
func waitForState(t *testing.T, server *testenv.MySQLServer, id int64, pattern string) {
	t.Helper()
	const count = "SELECT COUNT(*) FROM information_schema.processlist WHERE id = ? AND state LIKE ?"
	collectortest.Eventually(t, "the statement did not reach the state "+pattern, func() bool {
		var n int
		err := server.DB(t).QueryRow(count, id, pattern).Scan(&n)
		return err == nil && n == 1
	})
}

// Locks for reading and writing rows do not keep a collection from measuring.
func TestCollector_Tables_ReadAndWriteLocks(t *testing.T) {
	server := onMariaDB(t)
	database := server.NewDatabase(t)
	server.Exec(t, database, "CREATE TABLE a (a INT) ENGINE=Aria", "CREATE TABLE b (a INT) ENGINE=InnoDB")
	for _, lock := range []string{"LOCK TABLES a WRITE, b WRITE", "FLUSH TABLES WITH READ LOCK", "BACKUP STAGE START"} {
		conn := collectortest.ConnectMySQL(t, server)
		for _, text := range []string{"USE " + database, lock} {
			_, err := conn.ExecContext(t.Context(), text)
			collectortest.Must(t, err)
		}
		result, found := tablesByName(t, root(server), database)
		if !result.Complete || found["a"].Total == nil || found["b"].Total == nil {
			t.Errorf("%s: got %+v, want 2 totals, complete", lock, result)
		}
		for _, text := range []string{"UNLOCK TABLES", "BACKUP STAGE END"} {
			_, err := conn.ExecContext(t.Context(), text)
			if number := errorNumber(err); err != nil && number == 0 {
				t.Fatal(err)
			}
		}
	}
}

// lockTable rebuilds a table under an exclusive lock until release is called. Meanwhile the server returns NULL for it
// with a warning.
func lockTable(t *testing.T, server *testenv.MySQLServer, database, table string) (release func()) {
	t.Helper()
	alter := collectortest.ConnectMySQL(t, server)
	var id int64
	if err := alter.QueryRowContext(t.Context(), "SELECT CONNECTION_ID()").Scan(&id); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		_, err := alter.ExecContext(t.Context(), "ALTER TABLE "+database+"."+table+
			" ADD COLUMN b INT DEFAULT (LENGTH(SHA2(REPEAT(a, 1000000), 512))), ALGORITHM=COPY, LOCK=EXCLUSIVE")
		done <- err
	}()
	waitForState(t, server, id, "copy%")

	return func() {
		server.Exec(t, "", fmt.Sprintf("KILL QUERY %d", id))
		if err := <-done; errorNumber(err) != codeInterrupted {
			t.Errorf("ALTER: got %v, want error %d; the table was not locked throughout the test", err, codeInterrupted)
		}
	}
}

// A table that exceeds the limit of a statement is the only one unread.
func TestSession_LookUp_StatementTimeout(t *testing.T) {
	server := onMariaDB(t)
	database := server.NewDatabase(t)
	server.Exec(t, database, "CREATE TABLE free (a INT) ENGINE=MyISAM", "CREATE TABLE slow (a INT) ENGINE=InnoDB",
		"INSERT INTO slow SELECT seq FROM seq_1_to_20000")
	c := New()
	c.statementTimeout = 300 * time.Millisecond
	s, err := c.open(t.Context(), root(server))
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	tables, err := s.names(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	defer lockTable(t, server, database, "slow")()
	if err := s.lookUp(t.Context(), database, tables, withoutStatistics(tables)); err != nil {
		t.Fatal(err)
	}
	if slow := tables["slow"].size(database); slow.Unread == "" || slow.Total != nil {
		t.Errorf("slow: got %+v, want it unread", slow)
	}
	if free := tables["free"].size(database); free.Unread != "" || free.Total == nil {
		t.Errorf("free: got %+v, want a total", free)
	}
}

func TestCollector_SharedTablespace(t *testing.T) {
	server := testenv.MySQL(t)
	database := server.NewDatabase(t)
	statements := []string{"CREATE TABLE shared (a INT) ENGINE=InnoDB TABLESPACE=innodb_system"}
	if server.Flavor == "mariadb" {
		statements = []string{
			"SET GLOBAL innodb_file_per_table=0", "CREATE TABLE shared (a INT) ENGINE=InnoDB",
			"SET GLOBAL innodb_file_per_table=1",
		}
	}
	server.Exec(t, database, append(statements, "INSERT INTO shared VALUES (1)")...)
	result, found := tablesByName(t, root(server), database)
	shared := found["shared"]
	if !result.Complete || shared.SizeSource != models.SizeStatistic || totalOf(t, shared) != 16384 {
		t.Errorf("got complete: %v, %+v, want 16384 bytes from statistics, complete", result.Complete, shared)
	}
	list, err := New().Databases(t.Context(), root(server))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, d := range list.Databases {
		names = append(names, d.Name)
	}
	for _, name := range append([]string{database}, systemSchemas...) {
		if !slices.Contains(names, name) {
			t.Errorf("got databases %q, want %s among them", names, name)
		}
	}
	for _, name := range []string{"innodb_system", "innodb_temporary", "innodb_undo001"} {
		if slices.Contains(names, name) {
			t.Errorf("got tablespace %s as a database", name)
		}
	}
}

// InnoDB opens every table to fill these views.
func TestStatements_OpenNoTables(t *testing.T) {
	texts, err := fs.Glob(sqlFiles, "sql/*.sql")
	collectortest.Must(t, err)
	if len(texts) == 0 {
		t.Fatal("no statements")
	}
	for _, name := range texts {
		text, err := fs.ReadFile(sqlFiles, name)
		collectortest.Must(t, err)
		for _, never := range []string{"innodb_sys_tablestats", "innodb_tablestats"} {
			if strings.Contains(strings.ToLower(string(text)), never) {
				t.Errorf("%s: got %s in its text, want none", name, never)
			}
		}
	}
}

func TestCollector_OpensFewTables(t *testing.T) {
	server := testenv.MySQL(t)
	database := server.NewDatabase(t)
	const count = 2000
	var create strings.Builder
	for i := range count {
		fmt.Fprintf(&create, "CREATE TABLE t%d (a INT) ENGINE=InnoDB;", i)
	}
	server.Exec(t, database, create.String(), "FLUSH TABLES")
	for name, target := range map[string]collectors.Target{
		"root": root(server), "the suggested grant": collectortest.MySQLAccount(t, server, "PROCESS, REFERENCES ON *.*"),
	} {
		before := status(t, server, "Opened_tables")
		result, found := tablesByName(t, target, database)
		list, err := New().Databases(t.Context(), target)
		if err != nil {
			t.Fatal(err)
		}
		if opened := status(t, server, "Opened_tables") - before; opened >= 100 {
			t.Errorf("%s: got %d tables opened, want less than 100", name, opened)
		}
		var sum int64
		for _, table := range found {
			sum += totalOf(t, table)
		}
		if !result.Complete || len(found) != count {
			t.Errorf("%s: got complete: %v, %d tables, want %d, complete", name, result.Complete, len(found), count)
		}
		if total := collectortest.DatabaseNamed(t, list, database).Total; total == nil || *total != sum {
			t.Errorf("%s: got a database of %s bytes, want %d as its tables", name, collectortest.Text(total), sum)
		}
	}
}

// A collection reads the files of its own schema only, even if the file system encodes the name of the schema.
func TestSession_Files_OneSchema(t *testing.T) {
	server := testenv.MySQL(t)
	for i, name := range []string{"con", "Üñï 表", "a_b", "axb", "a%", "a", `q"'` + "`/.", "con@@@"} {
		server.CreateDatabase(t, name)
		server.Exec(t, name, "CREATE TABLE `con` (a INT) ENGINE=InnoDB", "CREATE TABLE `ü/#p#` (a INT) ENGINE=InnoDB",
			fmt.Sprintf("CREATE TABLE own_%d (a INT) ENGINE=InnoDB", i))
	}
	s, err := New().open(t.Context(), root(server))
	collectortest.Must(t, err)
	defer s.close()
	all, err := s.readView(t.Context(), "")
	collectortest.Must(t, err)
	for name := range all.schemas {
		one, err := s.readView(t.Context(), name)
		collectortest.Must(t, err)
		if got, want := len(one.files.bySchema[name]), len(all.files.bySchema[name]); got != want {
			t.Errorf("%q: got %d files, want %d as in the list of all schemas", name, got, want)
		}
		for other, files := range one.files.bySchema {
			if server.Flavor == "mariadb" && other != name && len(files) > 0 {
				t.Errorf("%q: got files of %q, want none", name, other)
			}
		}
	}
	for name := range all.schemas {
		result, found := tablesByName(t, root(server), name)
		if !result.Complete {
			t.Errorf("%q: got %+v, want it complete", name, result)
		}
		if table, ours := found["con"]; ours && (totalOf(t, table) == 0 || table.SizeSource != models.SizeAllocated) {
			t.Errorf("%q: got %+v, want allocated bytes", name, table)
		}
	}
}

// A table that is dropped between two statements of a collection is not in its result.
func TestSession_Measure_TableDropped(t *testing.T) {
	server := testenv.MySQL(t)
	for _, engine := range []string{"InnoDB", "MyISAM"} {
		database := server.NewDatabase(t)
		server.Exec(t, database, "CREATE TABLE a (n INT) ENGINE="+engine, "CREATE TABLE b (n INT) ENGINE="+engine)
		s, err := New().open(t.Context(), root(server))
		collectortest.Must(t, err)
		defer s.close()
		seen, err := s.readView(t.Context(), database)
		collectortest.Must(t, err)
		tables, err := s.names(t.Context(), database)
		collectortest.Must(t, err)
		_, err = seen.files.attribute(database, tables, s.tableIDs(t.Context(), &seen.files))
		collectortest.Must(t, err)
		server.Exec(t, database, "DROP TABLE b")
		collectortest.Must(t, s.measure(t.Context(), database, tables, seen.files.known, true))
		if len(tables) != 1 || tables["a"].size(database).Total == nil {
			t.Errorf("%s: got %d tables, want 1 with a total", engine, len(tables))
		}
	}
}

func TestRights_Revoked(t *testing.T) {
	server := testenv.MySQL(t)
	database := server.NewDatabase(t)
	server.Exec(t, database, "CREATE TABLE a (n INT) ENGINE=InnoDB", "CREATE TABLE b (n INT) ENGINE=InnoDB")
	target := collectortest.MySQLAccount(t, server, "PROCESS, REFERENCES ON *.*")
	if result, found := tablesByName(t, target, database); !result.Complete || len(found) != 2 {
		t.Fatalf("got %+v, want 2 tables, complete", result)
	}
	user := testenv.QuoteMySQL(target.Username)
	server.Exec(t, "", "REVOKE REFERENCES ON *.* FROM "+user)
	_, err := New().Tables(t.Context(), target, database)
	collectortest.WantError(t, err, models.CodeCollection, "collect.mysql.not_visible")
	server.Exec(t, "", "GRANT SELECT ON "+database+".a TO "+user)
	result, found := tablesByName(t, target, database)
	if result.Complete || result.Hidden != 1 || len(found) != 2 || found["b"].Unread != models.UnreadHidden {
		t.Errorf("got %+v, want 2 tables, 1 of them hidden", result)
	}
	server.Exec(t, "", "REVOKE PROCESS ON *.* FROM "+user)
	if result, found := tablesByName(t, target, database); result.Complete || result.Grant == "" || len(found) != 1 {
		t.Errorf("got %+v, want 1 table, incomplete, with a grant", result)
	}
}

// The connection, the statement or the database ends while a collection waits for a lock.
func TestCollector_Tables_Interrupted(t *testing.T) {
	server := onMariaDB(t)
	for name, c := range map[string]struct {
		statement string
		code      models.Code
		key       string
	}{
		"connection killed": {"KILL %d", models.CodeUnreachable, "error.unreachable"},
		"query killed":      {"KILL QUERY %d", models.CodeCollection, "collect.mysql.interrupted"},
		"database dropped":  {"DROP DATABASE %s", models.CodeCollection, collectors.KeyDatabaseGone},
	} {
		t.Run(name, func(t *testing.T) {
			database := server.NewDatabase(t)
			server.Exec(t, database, "CREATE TABLE a (n INT) ENGINE=InnoDB")
			target := collectortest.MySQLAccount(t, server, "ALL PRIVILEGES ON *.*")
			release := collectortest.LockMySQL(t, server)
			done := make(chan error, 1)
			go func() {
				_, err := New().Tables(t.Context(), target, database)
				done <- err
			}()
			var id int64
			collectortest.Eventually(t, "the collection does not wait", func() bool {
				return server.DB(t).QueryRow("SELECT id FROM information_schema.processlist"+
					" WHERE user = ? AND state LIKE 'Waiting%'", target.Username).Scan(&id) == nil
			})
			if strings.Contains(c.statement, "%d") {
				server.Exec(t, "", fmt.Sprintf(c.statement, id))
				collectortest.WantError(t, <-done, c.code, c.key)
				release()
			} else {
				dropWhileLocked(t, server, fmt.Sprintf(c.statement, database), release)
				if err := <-done; err != nil {
					collectortest.WantError(t, err, c.code, c.key)
				}
			}
			wantNoConnections(t, server, target.Username)
		})
	}
}

// dropWhileLocked executes a DROP, which also deletes statistics, and calls release once it has ended or waits for
// them.
func dropWhileLocked(t *testing.T, server *testenv.MySQLServer, statement string, release func()) {
	t.Helper()
	dropped := make(chan bool)
	go func() {
		defer close(dropped)
		server.Exec(t, "", statement)
	}()

	const waiting = "SELECT COUNT(*) FROM information_schema.processlist" +
		" WHERE info = ? AND (state LIKE 'Waiting%' OR time_ms >= 50)"
	collectortest.Eventually(t, "the DROP neither ends nor waits", func() bool {
		select {
		case <-dropped:
			return true
		default:
		}
		var n int
		err := server.DB(t).QueryRow(waiting, statement).Scan(&n)
		return err == nil && n == 1
	})
	release()
	<-dropped
}

func TestCollector_Tables_PageCompression(t *testing.T) {
	server := onMariaDB(t)
	database := server.NewDatabase(t)
	server.Exec(t, database, "CREATE TABLE sparse (a INT PRIMARY KEY, b TEXT) ENGINE=InnoDB PAGE_COMPRESSED=1",
		"CREATE TABLE packed (a INT PRIMARY KEY, b TEXT) ENGINE=InnoDB ROW_FORMAT=COMPRESSED KEY_BLOCK_SIZE=4",
		"INSERT INTO sparse SELECT seq, REPEAT('a', 3000) FROM seq_1_to_2000", "INSERT INTO packed SELECT * FROM sparse",
		"FLUSH TABLES sparse FOR EXPORT", "UNLOCK TABLES", "ANALYZE TABLE packed")
	syscall.Sync()
	_, found := tablesByName(t, root(server), database)
	info, err := os.Stat(filepath.Join(server.DataDir, database, "sparse.ibd"))
	if err != nil {
		t.Fatal(err)
	}
	allocated := info.Sys().(*syscall.Stat_t).Blocks * 512
	if allocated == 0 || allocated >= info.Size() {
		testenv.Missing(t, "a file system with holes in files")
	}
	if got := totalOf(t, found["sparse"]); got != allocated {
		t.Errorf("got %d bytes, want %d, allocated for a file of %d", got, allocated, info.Size())
	}
	var data int64
	row := server.DB(t).QueryRow("SELECT data_length FROM information_schema.tables"+
		" WHERE table_schema = ? AND table_name = 'packed'", database)
	collectortest.Must(t, row.Scan(&data))
	if got := found["packed"]; *got.Data != data || got.StatsStale {
		t.Errorf("packed: got %d bytes of data, stale: %v, want %d, not stale", *got.Data, got.StatsStale, data)
	}
}

func TestCollector_Tables_DiscardedTablespace(t *testing.T) {
	server := testenv.MySQL(t)
	database := server.NewDatabase(t)
	server.Exec(t, database,
		"CREATE TABLE discarded (a INT PRIMARY KEY) ENGINE=InnoDB", "ALTER TABLE discarded DISCARD TABLESPACE")
	result, found := tablesByName(t, root(server), database)
	if got := totalOf(t, found["discarded"]); got != 0 || !result.Complete {
		t.Errorf("got complete: %v, %d bytes, want 0, complete", result.Complete, got)
	}
}

func TestSession_Kill(t *testing.T) {
	server := testenv.MySQL(t)
	target := collectortest.MySQLAccount(t, server)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s, err := New().open(ctx, target)
	if err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(200*time.Millisecond, cancel)
	defer timer.Stop()
	err = s.classify(ctx, s.each(ctx, "SELECT SLEEP(30)", func(*sql.Rows) error { return nil }))
	collectortest.WantError(t, err, models.CodeCollection, "collect.cancelled")
	start := time.Now()
	s.close()
	collectortest.Eventually(t, "the statement still runs", func() bool {
		return connections(t, server, target.Username) == 0
	})
	if elapsed := time.Since(start); elapsed > time.Second {
		t.Errorf("the statement ended after %v, want at most 1 s", elapsed)
	}
}

func TestSession_StatementTimeout(t *testing.T) {
	server := testenv.MySQL(t)
	c := New()
	c.statementTimeout = 200 * time.Millisecond
	s, err := c.open(t.Context(), root(server))
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	var n int
	err = s.conn.QueryRowContext(t.Context(), "SELECT COUNT(*)"+
		" FROM information_schema.columns a, information_schema.columns b, information_schema.columns c").Scan(&n)
	collectortest.WantError(t, s.classify(t.Context(), err), models.CodeTimeout, "")
	if number := errorNumber(err); number != codeMaxStatementTime && number != codeMaxExecutionTime {
		t.Errorf("got error %d, want %d or %d", number, codeMaxStatementTime, codeMaxExecutionTime)
	}
}

func TestSession_ReadOnly(t *testing.T) {
	server := testenv.MySQL(t)
	database := server.NewDatabase(t)
	s, err := New().open(t.Context(), root(server))
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	const readOnly = 1792
	if _, err := s.conn.ExecContext(t.Context(), "CREATE TABLE "+database+".t (a INT)"); errorNumber(err) != readOnly {
		t.Errorf("got %v, want error %d", err, readOnly)
	}
}

func TestCollector_TLSModes(t *testing.T) {
	server := onMariaDB(t)
	if server.Certificate == "" {
		testenv.Missing(t, "a private MariaDB with a certificate")
	}
	plain := testenv.StartMySQL(t, "skip-ssl")
	trusted := map[string]string{models.OptionCACertificate: server.Certificate}
	const otherName = "0.0.0.0" // dials the local host, but is not in the certificate
	cases := []struct {
		name      string
		server    *testenv.MySQLServer
		mode      models.TLSMode
		options   map[string]string
		host      string
		ok        bool
		encrypted bool
	}{
		{"disable", server, models.TLSDisable, nil, "127.0.0.1", true, false},
		{"prefer", server, models.TLSPrefer, nil, "127.0.0.1", true, true},
		{"prefer, server without TLS", plain, models.TLSPrefer, nil, "127.0.0.1", true, false},
		{"prefer, only challenges", plain, models.TLSPrefer, nil, otherName, true, false},
		{"require", server, models.TLSRequire, nil, "127.0.0.1", true, true},
		{"require, server without TLS", plain, models.TLSRequire, nil, "127.0.0.1", false, false},
		{"verify-ca", server, models.TLSVerifyCA, trusted, "localhost", true, true},
		{"verify-ca, other CA", server, models.TLSVerifyCA, nil, "127.0.0.1", false, false},
		{"verify-full", server, models.TLSVerifyFull, trusted, "127.0.0.1", true, true},
		{"verify-full, other host name", server, models.TLSVerifyFull, trusted, otherName, false, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			target := root(c.server)
			target.Host, target.TLSMode, target.Options = c.host, c.mode, c.options
			s, err := New().open(t.Context(), target)
			if !c.ok {
				collectortest.WantError(t, err, models.CodeUnreachable, "error.unreachable")
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer s.close()
			var name, cipher string
			row := s.conn.QueryRowContext(t.Context(), "SHOW SESSION STATUS LIKE 'Ssl_cipher'")
			collectortest.Must(t, row.Scan(&name, &cipher))
			if (cipher != "") != c.encrypted {
				t.Errorf("got cipher %q, want encrypted: %v", cipher, c.encrypted)
			}
		})
	}
	target := root(server)
	target.TLSMode = models.TLSVerifyCA
	target.Options = map[string]string{models.OptionCACertificate: "no certificate"}
	_, err := New().Version(t.Context(), target)
	collectortest.WantError(t, err, models.CodeCollection, "collect.ca_certificate")
}

func TestCollector_ServerStops(t *testing.T) {
	server := testenv.StartMySQL(t)
	database := server.NewDatabase(t)
	server.Exec(t, database, "CREATE TABLE a (id INT)")
	server.Stop(t)
	_, err := New().Tables(t.Context(), root(server), database)
	collectortest.WantError(t, err, models.CodeUnreachable, "error.unreachable")
	var e *models.Error
	if !errors.As(err, &e) || e.Args["Name"] != "测试" {
		t.Errorf("got %v, want the target's name", err)
	}
	server.Start(t)
	if result, _ := tablesByName(t, root(server), database); len(result.Tables) != 1 {
		t.Errorf("after the restart: got %+v, want 1 table", result)
	}
}
