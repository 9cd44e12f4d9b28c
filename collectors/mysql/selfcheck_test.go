package mysql

import (
	"testing"

	"whalefall/collectors"
	"whalefall/collectors/collectortest"
	"whalefall/models"
	"whalefall/testenv"
)

func TestCollector_Yardstick_Files(t *testing.T) {
	server := testenv.MySQL(t)
	database := server.NewDatabase(t)
	compressed := "page_compressed=1"
	if server.Flavor != "mariadb" {
		compressed = "COMPRESSION='zlib'"
	}
	server.Exec(
		t, database,
		"CREATE TABLE words (id INT PRIMARY KEY, v TEXT, FULLTEXT (v))", "INSERT INTO words VALUES (1, 'quick brown fox')",
		"CREATE TABLE `Tree#P#1` (id INT PRIMARY KEY) PARTITION BY RANGE (id) SUBPARTITION BY HASH (id) SUBPARTITIONS 2 "+
			"(PARTITION pLow VALUES LESS THAN (10), PARTITION pMax VALUES LESS THAN MAXVALUE)",
		"CREATE TABLE zipped (id INT PRIMARY KEY) ROW_FORMAT=COMPRESSED",
		"CREATE TABLE holes (id INT PRIMARY KEY, v LONGTEXT) "+compressed,
		"INSERT INTO holes VALUES (1, REPEAT('x', 2000000))",
		"CREATE TABLE `sales/2024 ü$#` (id INT PRIMARY KEY)", "CREATE TABLE elsewhere (id INT) ENGINE=MyISAM",
	)
	target := collectortest.MySQLAccount(t, server, "ALL PRIVILEGES ON *.*")
	check := collectortest.SelfCheck(t, New(), target, database, 5)
	for _, r := range check.Relations {
		want := collectors.Equal
		if r.Name == "elsewhere" {
			want = collectors.NoWord
		}
		if r.Verdict != want {
			t.Errorf("got %+v, want %v", r, want)
		}
	}
	if len(check.Relations) != 6 || !check.Passed() {
		t.Errorf("got %d relations %+v, want 6, passed", len(check.Relations), check.Relations)
	}
}

func TestSelfCheck_MissingPrivileges(t *testing.T) {
	server := testenv.MySQL(t)
	database := server.NewDatabase(t)
	server.Exec(t, database, "CREATE TABLE shown (id INT) ENGINE=InnoDB", "CREATE TABLE hidden (id INT) ENGINE=InnoDB")
	target := collectortest.MySQLAccount(t, server, "SELECT ON "+database+".*")
	_, err := collectors.SelfCheck(t.Context(), New(), target, database, 1)
	collectortest.WantError(t, err, models.CodeCollection, keyDenied)

	target = collectortest.MySQLAccount(t, server, "PROCESS ON *.*", "SELECT ON "+database+".shown")
	check := collectortest.SelfCheck(t, New(), target, database, 1)
	hidden := collectortest.RelationNamed(t, check, "hidden")
	if hidden.Verdict != collectors.Unread || hidden.Why != string(models.UnreadHidden) {
		t.Errorf("hidden: got %+v, want it unread, hidden", hidden)
	}
	if collectortest.RelationNamed(t, check, "shown").Verdict != collectors.Equal || check.Passed() {
		t.Errorf("got %+v, want shown equal, not passed", check.Relations)
	}
}
