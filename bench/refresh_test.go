//go:build bench

package bench

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"whalefall/testenv"
)

const (
	fixtureTables = 10_000
	rounds        = 5
	// settle is how long a server process may take to end after its client has left.
	settle = 300 * time.Millisecond
)

// twoCalls is the least a server can be asked for every table's bytes.
const twoCalls = `SELECT n.nspname, c.relname, pg_table_size(c.oid), pg_indexes_size(c.oid), c.reltuples
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'm', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_toast'`

// reference is what a straightforward program asks: each size by a function of its own, sorted by the server.
const reference = `SELECT n.nspname, c.relname, pg_total_relation_size(c.oid) / 1048576, pg_relation_size(c.oid) / 1048576,
pg_indexes_size(c.oid) / 1048576, c.reltuples
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'm', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_toast'
ORDER BY pg_total_relation_size(c.oid) DESC`

// cost of one way to collect.
type cost struct {
	wall   []time.Duration
	server []time.Duration // CPU
	client []time.Duration // CPU
}

func (c *cost) cpu() time.Duration { return median(c.server) + median(c.client) }

func (c *cost) String() string {
	return fmt.Sprintf("wall %s, CPU %s (server %s, client %s)",
		ms(median(c.wall)), ms(c.cpu()), ms(median(c.server)), ms(median(c.client)))
}

type refreshBench struct {
	server     *testenv.PostgresServer
	postmaster int
	database   string
}

// measureRefresh compares a refresh through HTTP with queries through psql that only fetch the sizes.
func measureRefresh(t *testing.T, r *report, binary string) {
	server := testenv.StartPostgres(t, "shared_buffers=512MB", "jit=off")
	address, err := url.Parse(server.NewDatabase(t))
	if err != nil {
		t.Fatal(err)
	}
	b := &refreshBench{server: server, database: strings.TrimPrefix(address.Path, "/")}
	b.fill(t)
	b.postmaster = b.findPostmaster(t)

	p := startProduct(t, binary, t.TempDir(), "")
	refresh := tableSizes(p.addPostgres(t, server), b.database) + "/actions/refresh"
	first := b.viaHTTP(t, p, refresh, &cost{})
	var product, two, three cost
	b.viaPsql(t, twoCalls, &cost{})
	for range rounds {
		b.viaPsql(t, twoCalls, &two)
		b.viaHTTP(t, p, refresh, &product)
		b.viaPsql(t, reference, &three)
	}

	what := fmt.Sprintf("PostgreSQL %d, %d tables: ", server.Version/10000, fixtureTables)
	r.add(what+"refresh through HTTP", product.String(), "stored again, nothing changed; "+ms(first)+" the first time")
	r.add(what+"two-call query through psql", two.String(), "nothing stored")
	r.add(what+"reference query through psql", three.String(), "three sizes and a sort, nothing stored")
	r.add(what+"refresh ÷ two-call query, wall", ratio(median(product.wall), median(two.wall)), "to reach: ≤ 1.15")
	r.add(what+"refresh ÷ two-call query, CPU", ratio(product.cpu(), two.cpu()), "")
	r.add(what+"refresh ÷ reference query, CPU", ratio(product.cpu(), three.cpu()), "to reach: ≤ 0.95")
	r.add("peak RSS of the product, after those refreshes", fmt.Sprintf("%.0f MB", float64(peakMemory(t, p.cmd.Process.Pid))/1e6), "to reach: ≤ 150 MB")
}

// fill makes the tables: 60 % with primary key and text, 25 % with two more indexes, 10 % bare heaps, 5 % partitions and
// their parents; a tenth has rows.
func (b *refreshBench) fill(t *testing.T) {
	t.Helper()
	for schema := range 10 {
		b.server.Exec(t, b.database, fmt.Sprintf(`
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
			END $$`, schema, fixtureTables/10))
	}
	b.server.Exec(t, b.database, "ANALYZE", "CHECKPOINT")
}

// findPostmaster is the process id of the server: the parent of any of its own.
func (b *refreshBench) findPostmaster(t *testing.T) int {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), b.server.URL(b.database))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	var pid int
	if err := conn.QueryRow(t.Context(), "SELECT pg_backend_pid()").Scan(&pid); err != nil {
		t.Fatal(err)
	}
	backend, err := readProcess(pid)
	if err != nil {
		t.Fatal(err)
	}
	return backend.parent
}

func (b *refreshBench) viaHTTP(t *testing.T, p *product, path string, c *cost) time.Duration {
	t.Helper()
	time.Sleep(settle)
	server, client, start := cpuOfServer(t, b.postmaster), cpuOf(t, p.cmd.Process.Pid), time.Now()
	var got struct {
		Saved  int `json:"saved_count"`
		Tables []struct{}
	}
	p.call(t, http.MethodPost, path, nil, &got)
	wall := time.Since(start)
	time.Sleep(settle)
	if got.Saved != fixtureTables || len(got.Tables) == 0 {
		t.Fatalf("the refresh stored %d tables and shows %d", got.Saved, len(got.Tables))
	}
	c.wall = append(c.wall, wall)
	c.server = append(c.server, cpuOfServer(t, b.postmaster)-server)
	c.client = append(c.client, cpuOf(t, p.cmd.Process.Pid)-client)
	return wall
}

func (b *refreshBench) viaPsql(t *testing.T, query string, c *cost) {
	t.Helper()
	time.Sleep(settle)
	out := filepath.Join(t.TempDir(), "rows")
	cmd := exec.Command("psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-o", out, "-c", query,
		"-h", b.server.Host, "-p", strconv.Itoa(b.server.Port), "-U", b.server.User, "-d", b.database)
	cmd.Env = append(os.Environ(), "PGPASSWORD="+b.server.Password, "PGSSLMODE=disable")
	server, start := cpuOfServer(t, b.postmaster), time.Now()
	if output, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	wall := time.Since(start)
	time.Sleep(settle)
	rows, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(rows), "\n"); n != fixtureTables {
		t.Fatalf("psql shows %d tables", n)
	}
	c.wall = append(c.wall, wall)
	c.server = append(c.server, cpuOfServer(t, b.postmaster)-server)
	c.client = append(c.client, cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime())
}
