package mysql

import (
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"whalefall/collectors"
	"whalefall/collectors/collectortest"
	"whalefall/testenv"
)

var engine = collectortest.Engine{
	Name:  "MySQL",
	Setup: setup,
	Cannot: map[string]string{
		"empty table has exactly 0 rows": "InnoDB only estimates rows",
		"uncounted rows are unknown":     "InnoDB samples tables on its own; an old estimate looks like a new one",
		"partitions are rolled up":       "a partitioned table is one row, with the bytes of its partitions",
	},
}

func setup(t *testing.T) collectortest.Fixture {
	server := testenv.MySQL(t)
	database := server.NewDatabase(t)
	for _, name := range append([]string{"never_analysed", "tree"}, collectortest.HostileNames...) {
		server.Exec(t, database, "CREATE TABLE "+testenv.QuoteMySQLName(name)+
			" (id INT AUTO_INCREMENT PRIMARY KEY, v VARCHAR(200), KEY (v)) ENGINE=InnoDB",
			"INSERT INTO "+testenv.QuoteMySQLName(name)+" (v) VALUES ('one'), ('two'), ('three')")
	}
	server.Exec(t, database, "CREATE TABLE `empty` (id INT) ENGINE=InnoDB",
		"ALTER TABLE tree PARTITION BY HASH (id) PARTITIONS 4")
	target := collectortest.MySQLAccount(t, server, "ALL PRIVILEGES ON *.*")
	impatient := New()
	impatient.connectTimeout = collectortest.Impatience
	return collectortest.Fixture{
		Collector: New(), Impatient: impatient, Target: target, Database: database, Schema: database,
		Yardstick: func(t *testing.T) map[collectortest.RelationName]collectortest.Sizes {
			return serverSizes(t, server, database)
		},
		Connections: func(t *testing.T) int { return connections(t, server, target.Username) },
		Block:       func(t *testing.T) func() { return collectortest.LockMySQL(t, server) },
		Denied: func(t *testing.T) (collectors.Target, string, string) {
			readable := server.NewDatabase(t)
			server.Exec(t, readable, "CREATE TABLE a (id INT PRIMARY KEY)")
			target := collectortest.MySQLAccount(t, server, "SHOW DATABASES ON *.*", "SELECT ON "+readable+".*")
			return target, database, readable
		},
	}
}

// serverSizes returns the bytes of each table's files in the file system.
func serverSizes(
	t *testing.T, server *testenv.MySQLServer, database string,
) map[collectortest.RelationName]collectortest.Sizes {
	t.Helper()
	out := map[collectortest.RelationName]collectortest.Sizes{}
	for name, total := range fileSizes(t, server, database) {
		out[collectortest.Relation(database, name)] = collectortest.Sizes{Total: &total}
	}
	return out
}

// fileSizes returns the bytes of the .ibd files of each InnoDB table, including partitions but not full-text files.
func fileSizes(t *testing.T, server *testenv.MySQLServer, database string) map[string]int64 {
	t.Helper()
	if server.DataDir == "" || server.Flavor != "mariadb" {
		testenv.Missing(t, "a private MariaDB, whose files can be read")
	}
	db := server.DB(t)
	out := map[string]int64{}
	for file, size := range ibdFiles(t, filepath.Join(server.DataDir, database)) {
		encoded, _, _ := strings.Cut(strings.TrimSuffix(file, ".ibd"), "#")
		if strings.HasPrefix(encoded, "FTS_") {
			continue
		}
		var name string
		const decode = "SELECT CONVERT(CONVERT(CAST(? AS BINARY) USING filename) USING utf8mb4)"
		collectortest.Must(t, db.QueryRow(decode, encoded).Scan(&name))
		out[strings.TrimRight(name, "\x00")] += size
	}
	return out
}

// ibdFiles returns the bytes of each .ibd file in the directory.
func ibdFiles(t *testing.T, dir string) map[string]int64 {
	t.Helper()
	out := map[string]int64{}
	entries, err := fs.Glob(os.DirFS(dir), "*.ibd")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		info, err := os.Stat(filepath.Join(dir, entry))
		if err != nil {
			t.Fatal(err)
		}
		out[entry] = info.Size()
	}
	return out
}

// connections returns how many connections of the user the server has.
func connections(t *testing.T, server *testenv.MySQLServer, user string) (n int) {
	t.Helper()
	err := server.DB(t).QueryRow("SELECT COUNT(*) FROM information_schema.processlist WHERE user = ?", user).Scan(&n)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// status returns a global status variable of the server.
func status(t *testing.T, server *testenv.MySQLServer, name string) int64 {
	t.Helper()
	var ignored, value string
	row := server.DB(t).QueryRow("SHOW GLOBAL STATUS LIKE " + testenv.QuoteMySQL(name))
	collectortest.Must(t, row.Scan(&ignored, &value))
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
