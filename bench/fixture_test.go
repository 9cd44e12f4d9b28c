//go:build bench

package bench

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"whalefall/testenv"
)

const (
	plainRole    = "bench_plain"   // has the grants of the README
	listingRole  = "bench_listing" // may also list files
	rolePassword = "Measure-me-1"
)

// postgresqlFixture is a server with a database of many tables, of which every measurement gets a copy.
type postgresqlFixture struct {
	*testenv.PostgreSQLServer
	postmaster int // process id
	tables     int
}

const postgresqlTemplate = "tables"

func newPostgreSQLFixture(t *testing.T, tables int) *postgresqlFixture {
	t.Helper()
	server := testenv.StartPostgreSQL(t, postgresqlSettings...)
	f := &postgresqlFixture{PostgreSQLServer: server, postmaster: server.PID(), tables: tables}
	for _, role := range []string{plainRole, listingRole} {
		f.Exec(t, "postgres", fmt.Sprintf("CREATE ROLE %s LOGIN PASSWORD '%s' IN ROLE pg_monitor", role, rolePassword))
	}
	f.Exec(t, "postgres", "CREATE DATABASE "+postgresqlTemplate+" TEMPLATE template0")
	for schema := range 10 {
		f.Exec(t, postgresqlTemplate, fmt.Sprintf(postgresqlTables, schema, tables/10))
	}
	f.Exec(t, postgresqlTemplate, grantListing, "ANALYZE", "CHECKPOINT")
	return f
}

// grantListing allows the role to list files, in one database.
const grantListing = "GRANT EXECUTE ON FUNCTION pg_ls_dir(text, boolean, boolean), pg_stat_file(text, boolean) TO " +
	listingRole

// postgresqlTables creates the tables of a schema: 60 % with a primary key and a text, 25 % with two more indexes, 10 %
// plain heaps, 5 % partitions and their parents. A tenth of them has rows.
const postgresqlTables = `
	CREATE SCHEMA app%[1]d;
	SET search_path = app%[1]d;
	DO $$
	DECLARE name text;
	BEGIN
		FOR i IN 1..%[2]d LOOP
			name := format('t_%%s', i);
			IF i %% 20 < 12 THEN
				EXECUTE format('CREATE TABLE %%I (id bigint PRIMARY KEY, body text)', name);
			ELSIF i %% 20 < 17 THEN
				EXECUTE format('CREATE TABLE %%I (id bigint PRIMARY KEY, body text)', name);
				EXECUTE format('CREATE INDEX ON %%I (body)', name);
				EXECUTE format('CREATE INDEX ON %%I (body, id)', name);
			ELSIF i %% 20 < 19 THEN
				EXECUTE format('CREATE TABLE %%I (id bigint, n int)', name);
			ELSIF i %% 200 = 19 THEN
				EXECUTE format('CREATE TABLE %%I (id bigint, body text) PARTITION BY RANGE (id)', name);
			ELSE
				EXECUTE format('CREATE TABLE %%I PARTITION OF %%I FOR VALUES FROM (%%s) TO (%%s)',
					name, format('t_%%s', i / 200 * 200 + 19), i * 1000, i * 1000 + 1000);
			END IF;
			IF i %% 10 = 3 THEN
				EXECUTE format('INSERT INTO %%I SELECT g, g FROM generate_series(1, 500) g', name);
			END IF;
		END LOOP;
	END $$`

// clone copies the database and returns the name of the copy.
func (f *postgresqlFixture) clone(t *testing.T) string {
	t.Helper()
	u, err := url.Parse(f.CloneDatabase(t, postgresqlTemplate))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimPrefix(u.Path, "/")
}

// mariaDatabase is the monitored database of mariaStatements.
const mariaDatabase = "app"

// mariaStatements returns statements that create the same mix on MariaDB or MySQL, where partitions are no tables, and
// the number of tables.
func mariaStatements(tables int) (statements []string, count int) {
	var out strings.Builder
	statements = []string{"CREATE DATABASE " + mariaDatabase}
	for i := range tables {
		if i%20 == 19 && i%200 != 19 {
			continue // a partition of the table before
		}
		count++
		create(&out, i)
		if i%500 == 499 {
			statements = append(statements, "USE "+mariaDatabase+";"+out.String())
			out.Reset()
		}
	}
	if out.Len() > 0 {
		statements = append(statements, "USE "+mariaDatabase+";"+out.String())
	}
	return statements, count
}

func create(out *strings.Builder, i int) {
	switch {
	case i%20 < 12:
		fmt.Fprintf(out, "CREATE TABLE t_%d (id BIGINT PRIMARY KEY, body VARCHAR(200));", i)
	case i%20 < 17:
		fmt.Fprintf(out, "CREATE TABLE t_%d (id BIGINT PRIMARY KEY, body VARCHAR(200), INDEX (body), INDEX (body, id));", i)
	case i%20 < 19:
		fmt.Fprintf(out, "CREATE TABLE t_%d (id BIGINT, n INT);", i)
	default:
		fmt.Fprintf(out, "CREATE TABLE t_%d (id BIGINT PRIMARY KEY, body VARCHAR(200)) "+
			"PARTITION BY HASH (id) PARTITIONS 10;", i)
	}
	if i%10 == 3 {
		fmt.Fprintf(out, `INSERT INTO t_%d WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 500)
			SELECT n, n FROM s;`, i)
	}
}
