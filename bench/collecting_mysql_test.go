//go:build bench

package bench

import (
	"database/sql"
	"fmt"
	"os"
	"testing"
	"time"

	"whalefall/testenv"
)

// wholeSchema is the query of a straightforward program. The server opens every table for it.
const wholeSchema = `SELECT table_schema, table_name, data_length, index_length, table_rows
FROM information_schema.TABLES WHERE table_schema = '` + mariaDatabase + `'`

// mysqlBench is the product with a MariaDB or MySQL server.
type mysqlBench struct {
	*testenv.MySQLServer
	product  *product
	db       *sql.DB
	instance int64
	tables   int
}

const (
	mariaTables = 10_000
	mysqlTables = 20_000
)

func newMySQLBench(t *testing.T, name string, tables int, settings ...string) *mysqlBench {
	t.Helper()
	product := startProduct(t, t.TempDir(), "")
	statements, count := mariaStatements(tables)
	server := testenv.SavedMySQL(t, fmt.Sprintf("bench-%s-%d", name, tables), statements, settings...)
	server.Exec(t, "", fmt.Sprintf("CREATE USER %s@'127.0.0.1' IDENTIFIED BY '%s'", plainRole, rolePassword),
		fmt.Sprintf("GRANT PROCESS, REFERENCES ON *.* TO %s@'127.0.0.1'", plainRole),
		fmt.Sprintf("GRANT SELECT ON mysql.innodb_table_stats TO %s@'127.0.0.1'", plainRole))
	b := &mysqlBench{MySQLServer: server, product: product, db: server.DB(t), tables: count}
	b.instance = b.product.addInstance(t, name, account{
		engine: "mysql", host: server.Host, port: server.Port, user: plainRole, password: rolePassword,
	})
	return b
}

func (b *mysqlBench) refresh(t *testing.T) {
	t.Helper()
	b.product.refresh(t, b.instance, mariaDatabase, b.tables)
}

var mariaIDs = []string{"maria-server", "maria-whole", "maria-opened", "maria-cancel"}

func measureMariaDB(t *testing.T) {
	if os.Getenv("TEST_MYSQL_BIN") != "" {
		t.Skip("TEST_MYSQL_BIN names another server")
	}
	b := newMySQLBench(t, "mariadb", min(fixtureTables, mariaTables))
	measured(t, "refresh", mariaIDs[:3], b.compareRefreshes)
	measured(t, "cancel", mariaIDs[3:], b.measureCancel)
}

func (b *mysqlBench) compareRefreshes(t *testing.T) {
	product := meter{
		client: func() time.Duration { return cpuOf(t, b.product.pid()) },
		server: func() time.Duration { return cpuOf(t, b.PID()) },
	}
	direct := product
	direct.client = ownCPU
	var ours, theirs cost
	b.refresh(t)
	opened := b.status(t, "Opened_tables")
	b.refresh(t)
	opened = b.status(t, "Opened_tables") - opened
	for range rounds {
		b.Exec(t, "", "FLUSH TABLES") // as on a server that is read once a day
		product.measure(&ours, func() { b.refresh(t) })
		b.Exec(t, "", "FLUSH TABLES")
		direct.measure(&theirs, func() { b.query(t, wholeSchema) })
	}
	report(t, "maria-opened", fmt.Sprint(opened), opened < 100, "the second refresh")
	burden := quotient(median(ours.server), median(theirs.server))
	report(t, "maria-server", fmt.Sprintf("%.2f", burden), burden <= 0.06,
		text(median(ours.server))+" ÷ "+text(median(theirs.server)))
	reportRatio(t, "maria-whole", &ours, &theirs, 1)
}

func (b *mysqlBench) query(t *testing.T, query string) {
	t.Helper()
	rows, err := b.db.QueryContext(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	n := 0
	for rows.Next() {
		n++
	}
	if err := rows.Err(); err != nil || n != b.tables {
		t.Fatalf("got %d tables, %v, want %d", n, err, b.tables)
	}
}

func (b *mysqlBench) status(t *testing.T, name string) (n int64) {
	t.Helper()
	if err := b.db.QueryRowContext(t.Context(), "SHOW GLOBAL STATUS LIKE '"+name+"'").Scan(&name, &n); err != nil {
		t.Fatal(err)
	}
	return n
}

func (b *mysqlBench) measureCancel(t *testing.T) {
	took := b.product.cancelTimes(t, b.instance, mariaDatabase, func() (n int) {
		if err := b.db.QueryRowContext(t.Context(), `SELECT COUNT(*) FROM information_schema.processlist
			WHERE user = ?`, plainRole).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	})
	reportCancel(t, "maria-cancel", took)
}

// measureMySQL measures the MySQL 8 or later that TEST_MYSQL_BIN names.
func measureMySQL(t *testing.T) {
	if os.Getenv("TEST_MYSQL_BIN") == "" {
		results.absent("mysql", "no server here")
		t.Skip("no server here; TEST_MYSQL_BIN names one")
	}
	b := newMySQLBench(t, "mysql", min(2*fixtureTables, mysqlTables))
	product := meter{
		client: func() time.Duration { return cpuOf(t, b.product.pid()) },
		server: func() time.Duration { return cpuOf(t, b.PID()) },
	}
	var ours cost
	b.refresh(t)
	for range rounds {
		product.measure(&ours, func() { b.refresh(t) })
	}
	report(t, "mysql", text(ours.elapsed()), ours.elapsed() <= time.Second, ours.String())
}
