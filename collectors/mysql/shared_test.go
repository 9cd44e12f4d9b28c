package mysql

import (
	"fmt"
	"strings"
	"testing"

	"whalefall/collectors"
	"whalefall/collectors/collectortest"
	"whalefall/models"
	"whalefall/testenv"
)

// A sequence of MariaDB is a table with a row to InnoDB, and has a file as tables have. It is listed as what it is,
// with its bytes, also where a schema has so many tables that the kind of each is not asked for.
func TestSequencesAreNoTables(t *testing.T) {
	server := onMariaDB(t)
	database := server.NewDatabase(t)
	var create strings.Builder
	for i := range 4 * singleKindCost {
		fmt.Fprintf(&create, "CREATE TABLE t%d (a INT PRIMARY KEY) ENGINE=InnoDB;", i)
	}
	server.Exec(t, database, create.String(), "CREATE SEQUENCE usual", "CREATE SEQUENCE `序列/1` ENGINE=InnoDB",
		"CREATE SEQUENCE aria ENGINE=Aria", "ANALYZE TABLE usual", "DO NEXTVAL(usual)")
	sequences := []string{"usual", "序列/1", "aria"}
	for name, target := range map[string]collectors.Target{
		"root": root(server), "without statistics": collectortest.MySQLAccount(t, server, "PROCESS, REFERENCES ON *.*"),
		"without files": collectortest.MySQLAccount(t, server, "SELECT ON *.*"),
	} {
		result, found := tableNames(t, target, database)
		if !result.Complete || len(found) != 4*singleKindCost+len(sequences) {
			t.Errorf("%s: complete: %v, %d relations", name, result.Complete, len(found))
		}
		for _, sequence := range sequences {
			if got := found[sequence]; got.Kind != models.KindSequence || totalOf(t, got) == 0 {
				t.Errorf("%s: %+v", name, got)
			}
		}
		if found["t0"].Kind != models.KindTable {
			t.Errorf("%s: %+v", name, found["t0"])
		}
	}
	_, found := tableNames(t, root(server), database)
	wantFileSizes(t, server, database, found)
	var sum int64
	for _, table := range found {
		sum += totalOf(t, table)
	}
	list, err := New().Databases(t.Context(), root(server))
	collectortest.Must(t, err)
	if total := collectortest.DatabaseNamed(t, list, database).Total; total == nil || *total != sum {
		t.Errorf("the database has %s bytes, what is in it %d", collectortest.Text(total), sum)
	}
}

// Where InnoDB keeps a table in the system tablespace its full-text indexes are there, too, and no figure has their
// bytes.
func TestFullTextInASharedTablespaceIsNoted(t *testing.T) {
	server := onMariaDB(t)
	database := server.NewDatabase(t)
	const columns = " (id INT AUTO_INCREMENT PRIMARY KEY, v TEXT"
	server.Exec(t, database, "CREATE TABLE own"+columns+", FULLTEXT (v)) ENGINE=InnoDB",
		"SET GLOBAL innodb_file_per_table=0",
		"CREATE TABLE shared"+columns+", FULLTEXT (v)) ENGINE=InnoDB", "CREATE TABLE `共/享#` "+columns+", FULLTEXT (v)) ENGINE=InnoDB",
		"CREATE TABLE plain"+columns+") ENGINE=InnoDB", "CREATE TABLE `FTS_0000000000000001_CONFIG` (id INT) ENGINE=InnoDB",
		"SET GLOBAL innodb_file_per_table=1",
		"CREATE TABLE other"+columns+", FULLTEXT (v)) ENGINE=Aria",
		"INSERT INTO shared (v) SELECT CONCAT('word', seq) FROM seq_1_to_2000")
	want := map[string]models.Note{
		"own": "", "shared": models.NoteFullText, "共/享#": models.NoteFullText, "plain": "", "FTS_0000000000000001_CONFIG": "", "other": "",
	}
	result, found := tableNames(t, root(server), database)
	if !result.Complete || len(found) != len(want) {
		t.Errorf("complete: %v, %d tables", result.Complete, len(found))
	}
	for name, note := range want {
		if got := found[name]; got.Note != note || got.Total == nil {
			t.Errorf("%s: %+v", name, got)
		}
	}
	server.Exec(t, database, "ALTER TABLE shared DROP INDEX v", "ALTER TABLE `共/享#` ENGINE=InnoDB")
	_, found = tableNames(t, root(server), database)
	for _, name := range []string{"shared", "共/享#"} {
		if got := found[name]; got.Note != "" {
			t.Errorf("%s, without a full-text index or with a file: %+v", name, got)
		}
	}
}

// MariaDB lists the files of tables that were opened since it started, and of those whose pages it had in memory
// before.
func TestFirstRefreshAfterARestartHasTheFiles(t *testing.T) {
	onMariaDB(t)
	server := testenv.StartMySQL(t, "innodb-buffer-pool-load-at-startup=OFF")
	database := server.NewDatabase(t)
	server.Exec(t, database, "CREATE TABLE a (id INT PRIMARY KEY, v TEXT) ENGINE=InnoDB STATS_AUTO_RECALC=0",
		"INSERT INTO a SELECT seq, REPEAT('x', 400) FROM seq_1_to_2000", "CREATE TABLE `表` LIKE a",
		"CREATE TABLE p (a INT) ENGINE=InnoDB PARTITION BY HASH (a) PARTITIONS 3")
	_, before := tableNames(t, root(server), database)
	wantFileSizes(t, server, database, before)
	server.Stop(t)
	server.Start(t)
	_, after := tableNames(t, root(server), database)
	wantFileSizes(t, server, database, after)
}
