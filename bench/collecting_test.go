//go:build bench

package bench

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"whalefall/testenv"
)

// settle is how long a server process may take to end after its client has disconnected.
const settle = 300 * time.Millisecond

// twoCalls is the cheapest query for every table's bytes: two size functions a table.
const twoCalls = `SELECT n.nspname, c.relname, pg_table_size(c.oid), pg_indexes_size(c.oid), c.reltuples
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'm', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema')
AND n.nspname !~ '^pg_toast'`

// threeSizes is the query of a straightforward program: three size functions a table, sorted by the server.
const threeSizes = `SELECT n.nspname, c.relname,
pg_total_relation_size(c.oid) / 1048576, pg_relation_size(c.oid) / 1048576,
pg_indexes_size(c.oid) / 1048576, c.reltuples
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'm', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema')
AND n.nspname !~ '^pg_toast'
ORDER BY pg_total_relation_size(c.oid) DESC`

// TestCollecting compares refreshes through HTTP with queries that only fetch the sizes.
func TestCollecting(t *testing.T) {
	measured(t, "PostgreSQL", append(idsOf(collectingGoals(fixtureTables)), "binary"), measurePostgreSQL)
	measured(t, "MariaDB", mariaIDs, measureMariaDB)
	measured(t, "MySQL", []string{"mysql"}, measureMySQL)
}

// postgresqlBench is the product with a PostgreSQL server that it reads in two ways.
type postgresqlBench struct {
	*postgresqlFixture
	product        *product
	database       string
	plain, listing int64 // ids of the instances without and with the file listing granted
}

func measurePostgreSQL(t *testing.T) {
	reportBinary(t)
	fixture := newPostgreSQLFixture(t, fixtureTables)
	b := &postgresqlBench{postgresqlFixture: fixture, product: startProduct(t, t.TempDir(), "")}
	b.database = b.clone(t)
	b.plain = b.addInstance(t, plainRole)
	b.listing = b.addInstance(t, listingRole)
	id := func(name string) string { return sized(name, fixtureTables) }
	refresh := []string{id("functions-cpu"), id("functions-wall"), id("listing-cpu"), id("listing-wall")}
	measured(t, "refresh", refresh, b.compareRefreshes)
	measured(t, "backend", []string{id("backend")}, b.measureBackend)
	measured(t, "locked", []string{id("locked")}, b.measureLocked)
	measured(t, "cancel", []string{id("cancel")}, b.measureCancel)
	peak := peakMemory(b.product.pid())
	report(t, id("rss"), megabytes(peak), peak <= 150e6, "its store is SQLite")
}

func reportBinary(t *testing.T) {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	report(t, "binary", fmt.Sprintf("%.1f MB", float64(info.Size())/1e6), true, "")
}

func (b *postgresqlBench) addInstance(t *testing.T, role string) int64 {
	t.Helper()
	return b.product.addInstance(t, role, account{
		engine: "postgresql", host: b.Host, port: b.Port, user: role, password: rolePassword,
	})
}

// meter returns a meter that waits for server processes to end before it reads the CPU: only then their parent has it.
func (b *postgresqlBench) meter(t *testing.T, client func() time.Duration) meter {
	return meter{client: client, server: func() time.Duration {
		time.Sleep(settle)
		return cpuOfServer(t, b.postmaster)
	}}
}

func (b *postgresqlBench) compareRefreshes(t *testing.T) {
	var plain, listing, two, three cost
	product := b.meter(t, func() time.Duration { return cpuOf(t, b.product.pid()) })
	var psqlCPU time.Duration
	psql := b.meter(t, func() time.Duration { return psqlCPU })
	ask := func(query string) func() { return func() { psqlCPU += b.psql(t, query) } }
	refresh := func(instance int64) func() {
		return func() { b.product.refresh(t, instance, b.database, b.tables) }
	}
	for _, warm := range []func(){refresh(b.plain), refresh(b.listing), ask(twoCalls), ask(threeSizes)} {
		warm()
	}
	for range rounds {
		psql.measure(&two, ask(twoCalls))
		product.measure(&plain, refresh(b.plain))
		psql.measure(&three, ask(threeSizes))
		product.measure(&listing, refresh(b.listing))
	}
	reportOne(t, sized("functions-cpu", b.tables), &plain, &three, (*cost).cpu, 0.95)
	reportOne(t, sized("functions-wall", b.tables), &plain, &two, (*cost).elapsed, 1.15)
	goal := map[bool]float64{true: 0.5, false: 0.45}[b.tables > 10_000]
	reportOne(t, sized("listing-cpu", b.tables), &listing, &three, (*cost).cpu, goal)
	reportOne(t, sized("listing-wall", b.tables), &listing, &three, (*cost).elapsed, goal)
}

// psql runs a query and returns the CPU time of the client.
func (b *postgresqlBench) psql(t *testing.T, query string) time.Duration {
	t.Helper()
	out := filepath.Join(t.TempDir(), "rows")
	cmd := exec.Command("psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-o", out, "-c", query,
		"-h", b.Host, "-p", strconv.Itoa(b.Port), "-U", plainRole, "-d", b.database)
	cmd.Env = append(os.Environ(), "PGPASSWORD="+rolePassword, "PGSSLMODE=disable")
	if output, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	rows, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(rows), "\n"); n != b.tables {
		t.Fatalf("psql: got %d tables, want %d", n, b.tables)
	}
	return cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
}

// measureBackend measures the memory of the server's process during a refresh, without the shared buffers.
func (b *postgresqlBench) measureBackend(t *testing.T) {
	known := testenv.ChildProcesses(b.postmaster)
	done, peak := make(chan struct{}), make(chan int64)
	go func() {
		var most int64
		for {
			select {
			case <-done:
				peak <- most
				return
			case <-time.After(5 * time.Millisecond):
			}
			for _, pid := range testenv.ChildProcesses(b.postmaster) {
				if !slices.Contains(known, pid) {
					most = max(most, memoryOf(pid, "RssAnon"))
				}
			}
		}
	}()
	b.product.refresh(t, b.plain, b.database, b.tables)
	close(done)
	most := <-peak
	report(t, sized("backend", b.tables), megabytes(most), 0 < most && most <= 64e6,
		"RssAnon, every 5 ms, by the functions")
}

// measureLocked refreshes while one table is locked in ACCESS EXCLUSIVE mode. The table must keep its values.
func (b *postgresqlBench) measureLocked(t *testing.T) {
	var free, locked cost
	product := b.meter(t, func() time.Duration { return cpuOf(t, b.product.pid()) })
	refresh := func() { b.product.refresh(t, b.plain, b.database, b.tables) }
	for range rounds {
		product.measure(&free, refresh)
		release := b.lock(t, "app0.t_1")
		product.measure(&locked, refresh)
		release()
	}
	longer := median(locked.wall) - median(free.wall)
	b.wantKept(t, "app0", "t_1")
	report(t, sized("locked", b.tables), text(longer), longer <= 2*time.Second,
		fmt.Sprintf("%s − %s", text(median(locked.wall)), text(median(free.wall))))
}

func (b *postgresqlBench) lock(t *testing.T, table string) (release func()) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), b.URL(b.database))
	if err == nil {
		_, err = conn.Exec(t.Context(), "BEGIN; LOCK TABLE "+table+" IN ACCESS EXCLUSIVE MODE")
	}
	if err != nil {
		t.Fatal(err)
	}
	return func() { _ = conn.Close(t.Context()) }
}

// wantKept checks that the product reports the table as unread and keeps its values.
func (b *postgresqlBench) wantKept(t *testing.T, schema, name string) {
	t.Helper()
	var page struct {
		Tables []struct {
			Schema string `json:"schema_name"`
			Name   string `json:"table_name"`
			Unread string
			Kept   bool
			Bytes  *int64 `json:"size_bytes"`
		}
	}
	b.product.call(t, http.MethodGet, tableSizes(b.plain, b.database)+"?only=unsettled", nil, &page)
	if len(page.Tables) != 1 {
		t.Fatalf("got %d tables that are not settled, want 1", len(page.Tables))
	}
	got := page.Tables[0]
	if got.Schema != schema || got.Name != name || got.Unread != "locked" || !got.Kept || got.Bytes == nil {
		t.Fatalf("got %+v, want the locked table with its earlier values", got)
	}
}

// measureCancel cancels refreshes while the server works for them.
func (b *postgresqlBench) measureCancel(t *testing.T) {
	watch, err := pgx.Connect(t.Context(), b.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = watch.Close(t.Context()) }()
	took := b.product.cancelTimes(t, b.plain, b.database, func() (n int) {
		if err := watch.QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_activity
			WHERE usename = $1 AND state = 'active'`, plainRole).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	})
	reportCancel(t, sized("cancel", b.tables), took)
}

func reportCancel(t *testing.T, id string, took []time.Duration) {
	t.Helper()
	worst := slices.Max(took)
	report(t, id, text(worst), worst <= time.Second,
		fmt.Sprintf("the longest of %d, median %s", len(took), text(median(took))))
}

// cancelTimes are the times from asking to cancel a refresh to a server that does nothing for it; statements counts
// what it does. A refresh that was over before does not count.
func (p *product) cancelTimes(
	t *testing.T, instance int64, database string, statements func() int,
) (took []time.Duration) {
	t.Helper()
	for range 20 * rounds {
		if len(took) == rounds {
			return took
		}
		var run struct{ ID int64 }
		p.callPreferring(t, "respond-async", http.MethodPost, tableSizes(instance, database)+"/actions/refresh", nil, &run)
		path := fmt.Sprintf("/api/v1/refreshes/%d", run.ID)
		for end := time.Now().Add(10 * time.Second); statements() == 0 && time.Now().Before(end); {
			if p.statusOf(t, path) == "succeeded" {
				break
			}
		}
		start := time.Now()
		var ended struct{ Status string }
		p.call(t, http.MethodDelete, path, nil, &ended)
		for statements() > 0 {
			if time.Since(start) > time.Minute {
				t.Fatal("the server still works for a cancelled refresh")
			}
			time.Sleep(time.Millisecond)
		}
		if ended.Status == "cancelled" {
			took = append(took, time.Since(start))
		}
	}
	t.Fatalf("only %d refreshes could be cancelled", len(took))
	return nil
}

func (p *product) statusOf(t *testing.T, path string) string {
	t.Helper()
	var run struct{ Status string }
	p.call(t, http.MethodGet, path, nil, &run)
	return run.Status
}
