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

// To InnoDB a sequence of MariaDB is a table with one row and a file. It is listed as a sequence with its bytes, even
// if the schema has so many tables that their kinds are not queried.
func TestCollector_Tables_Sequences(t *testing.T) {
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
		result, found := tablesByName(t, target, database)
		if !result.Complete || len(found) != 4*singleKindCost+len(sequences) {
			t.Errorf("%s: got complete: %v, %d relations, want %d, complete",
				name, result.Complete, len(found), 4*singleKindCost+len(sequences))
		}
		for _, sequence := range sequences {
			if got := found[sequence]; got.Kind != models.KindSequence || totalOf(t, got) == 0 {
				t.Errorf("%s: got %+v, want a sequence with bytes", name, got)
			}
		}
		if found["t0"].Kind != models.KindTable {
			t.Errorf("%s: got %+v, want kind %q", name, found["t0"], models.KindTable)
		}
	}
	_, found := tablesByName(t, root(server), database)
	wantFileSizes(t, server, database, found)
	var sum int64
	for _, table := range found {
		sum += totalOf(t, table)
	}
	list, err := New().Databases(t.Context(), root(server))
	collectortest.Must(t, err)
	if total := collectortest.DatabaseNamed(t, list, database).Total; total == nil || *total != sum {
		t.Errorf("got a database of %s bytes, want %d as its tables", collectortest.Text(total), sum)
	}
}

// The full-text indexes of a table in the system tablespace are there, too, and no figure includes their bytes.
func TestCollector_Tables_FullTextInSharedTablespace(t *testing.T) {
	server := onMariaDB(t)
	database := server.NewDatabase(t)
	const columns = " (id INT AUTO_INCREMENT PRIMARY KEY, v TEXT"
	server.Exec(t, database, "CREATE TABLE own"+columns+", FULLTEXT (v)) ENGINE=InnoDB",
		"SET GLOBAL innodb_file_per_table=0",
		"CREATE TABLE shared"+columns+", FULLTEXT (v)) ENGINE=InnoDB",
		"CREATE TABLE `共/享#` "+columns+", FULLTEXT (v)) ENGINE=InnoDB",
		"CREATE TABLE plain"+columns+") ENGINE=InnoDB", "CREATE TABLE `FTS_0000000000000001_CONFIG` (id INT) ENGINE=InnoDB",
		"SET GLOBAL innodb_file_per_table=1",
		"CREATE TABLE other"+columns+", FULLTEXT (v)) ENGINE=Aria",
		"INSERT INTO shared (v) SELECT CONCAT('word', seq) FROM seq_1_to_2000")
	want := map[string]models.Note{
		"own": "", "shared": models.NoteFullText, "共/享#": models.NoteFullText,
		"plain": "", "FTS_0000000000000001_CONFIG": "", "other": "",
	}
	result, found := tablesByName(t, root(server), database)
	if !result.Complete || len(found) != len(want) {
		t.Errorf("got complete: %v, %d tables, want %d, complete", result.Complete, len(found), len(want))
	}
	for name, note := range want {
		if got := found[name]; got.Note != note || got.Total == nil {
			t.Errorf("%s: got %+v, want a total and note %q", name, got, note)
		}
	}
	server.Exec(t, database, "ALTER TABLE shared DROP INDEX v", "ALTER TABLE `共/享#` ENGINE=InnoDB")
	_, found = tablesByName(t, root(server), database)
	for _, name := range []string{"shared", "共/享#"} {
		if got := found[name]; got.Note != "" {
			t.Errorf("%s, without a full-text index or with its own file: got %+v, want no note", name, got)
		}
	}
}

// After a start MariaDB lists only the files of tables that were opened since, and of those whose pages it reloads.
func TestCollector_Tables_FilesAfterRestart(t *testing.T) {
	onMariaDB(t)
	server := testenv.StartMySQL(t, "innodb-buffer-pool-load-at-startup=OFF")
	database := server.NewDatabase(t)
	server.Exec(t, database, "CREATE TABLE a (id INT PRIMARY KEY, v TEXT) ENGINE=InnoDB STATS_AUTO_RECALC=0",
		"INSERT INTO a SELECT seq, REPEAT('x', 400) FROM seq_1_to_2000", "CREATE TABLE `表` LIKE a",
		"CREATE TABLE p (a INT) ENGINE=InnoDB PARTITION BY HASH (a) PARTITIONS 3")
	_, before := tablesByName(t, root(server), database)
	wantFileSizes(t, server, database, before)
	server.Stop(t)
	server.Start(t)
	_, after := tablesByName(t, root(server), database)
	wantFileSizes(t, server, database, after)
}
