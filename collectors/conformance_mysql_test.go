package collectors

import (
	"context"
	"database/sql"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"whalefall/models"
	"whalefall/testenv"
)

var mysqlEngine = engine{
	name:  "MySQL",
	setup: mysqlFixture,
	cannot: map[string]string{
		"an empty table has 0 rows, exactly": "InnoDB only estimates rows",
		"rows nobody counted are unknown":    "InnoDB counts a sample on its own; an old estimate looks like a new one",
		"partitions are rolled up once":      "a partitioned table is one row, with the bytes of its partitions",
	},
}

func mysqlFixture(t *testing.T) fixture {
	server := testenv.MySQL(t)
	database := server.NewDatabase(t)
	for _, name := range append([]string{"never_analysed", "tree"}, hostileNames...) {
		server.Exec(t, database, "CREATE TABLE "+testenv.QuoteMySQLName(name)+
			" (id INT AUTO_INCREMENT PRIMARY KEY, v VARCHAR(200), KEY (v)) ENGINE=InnoDB",
			"INSERT INTO "+testenv.QuoteMySQLName(name)+" (v) VALUES ('one'), ('two'), ('three')")
	}
	server.Exec(t, database, "CREATE TABLE `empty` (id INT) ENGINE=InnoDB",
		"ALTER TABLE tree PARTITION BY HASH (id) PARTITIONS 4")
	target := mysqlAccount(t, server, "ALL PRIVILEGES ON *.*")
	impatient := NewMySQL()
	impatient.connectTimeout = impatience
	return fixture{
		collector: NewMySQL(), impatient: impatient, target: target, database: database, schema: database,
		yardstick:   func(t *testing.T) map[relationName]yard { return mysqlYardstick(t, server, database) },
		connections: func(t *testing.T) int { return mysqlConnections(t, server, target.Username) },
		block:       func(t *testing.T) func() { return mysqlBlock(t, server) },
		denied: func(t *testing.T) (Target, string, string) {
			readable := server.NewDatabase(t)
			server.Exec(t, readable, "CREATE TABLE a (id INT PRIMARY KEY)")
			return mysqlAccount(t, server, "SHOW DATABASES ON *.*", "SELECT ON "+readable+".*"), database, readable
		},
	}
}

// mysqlAccount creates a user with the grants, dropped when the test ends, and is the server as that user sees it.
func mysqlAccount(t *testing.T, server *testenv.MySQLServer, grants ...string) Target {
	t.Helper()
	const password = `p:@/%20? '"\x`
	name := strings.TrimPrefix(server.NewDatabase(t), "t_")[:20]
	user := testenv.QuoteMySQL(name) + "@'%'"
	server.Exec(t, "", "CREATE USER "+user+" IDENTIFIED BY "+testenv.QuoteMySQL(password))
	t.Cleanup(func() { server.Exec(t, "", "DROP USER IF EXISTS "+user) })
	for _, grant := range grants {
		server.Exec(t, "", "GRANT "+grant+" TO "+user)
	}
	return Target{
		Name: "测试", Engine: models.MySQL, Host: server.Host, Port: server.Port, TLSMode: models.TLSPrefer,
		Username: name, Password: password,
	}
}

// mysqlYardstick is what the file system says: the bytes of each table's files, under the names the server gave them.
func mysqlYardstick(t *testing.T, server *testenv.MySQLServer, database string) map[relationName]yard {
	t.Helper()
	out := map[relationName]yard{}
	for name, total := range mysqlFileSizes(t, server, database) {
		out[relationName{database, name}] = yard{Total: &total}
	}
	return out
}

// mysqlFileSizes sums the .ibd files of each InnoDB table of a database, partitions included, full-text files left out.
func mysqlFileSizes(t *testing.T, server *testenv.MySQLServer, database string) map[string]int64 {
	t.Helper()
	if server.DataDir == "" || server.Flavor != "mariadb" {
		testenv.Missing(t, "a private MariaDB, whose files can be looked at")
	}
	db := server.DB(t)
	out := map[string]int64{}
	for file, size := range ibdFiles(t, filepath.Join(server.DataDir, database)) {
		encoded, _, _ := strings.Cut(strings.TrimSuffix(file, ".ibd"), "#")
		if strings.HasPrefix(encoded, "FTS_") {
			continue
		}
		var name string
		if err := db.QueryRow("SELECT CONVERT(CONVERT(CAST(? AS BINARY) USING filename) USING utf8mb4)", encoded).Scan(&name); err != nil {
			t.Fatal(err)
		}
		out[strings.TrimRight(name, "\x00")] += size
	}
	return out
}

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

func mysqlConnections(t *testing.T, server *testenv.MySQLServer, user string) (n int) {
	t.Helper()
	err := server.DB(t).QueryRow("SELECT COUNT(*) FROM information_schema.processlist WHERE user = ?", user).Scan(&n)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// mysqlBlock locks what a collection reads.
func mysqlBlock(t *testing.T, server *testenv.MySQLServer) (release func()) {
	t.Helper()
	if server.Flavor != "mariadb" {
		testenv.Missing(t, "MariaDB; on MySQL nothing a collection reads can be locked")
	}
	conn := mysqlConn(t, server)
	if _, err := conn.ExecContext(t.Context(), "LOCK TABLES mysql.innodb_table_stats WRITE"); err != nil {
		t.Fatal(err)
	}
	return func() {
		if _, err := conn.ExecContext(context.WithoutCancel(t.Context()), "UNLOCK TABLES"); err != nil {
			t.Error(err)
		}
	}
}

func mysqlConn(t *testing.T, server *testenv.MySQLServer) *sql.Conn {
	t.Helper()
	conn, err := server.DB(t).Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func mysqlStatus(t *testing.T, server *testenv.MySQLServer, name string) int64 {
	t.Helper()
	var ignored, value string
	if err := server.DB(t).QueryRow("SHOW GLOBAL STATUS LIKE "+testenv.QuoteMySQL(name)).Scan(&ignored, &value); err != nil {
		t.Fatal(err)
	}
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
