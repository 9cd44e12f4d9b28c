//go:build bench

package bench

import (
	"context"
	"database/sql"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"testing"
	"time"

	_ "github.com/glebarez/go-sqlite" // database/sql knows it as sqlite
	"github.com/jackc/pgx/v5"

	"whalefall/testenv"
)

// Sizes, which environment variables change.
var (
	manyInstances = size("BENCH_INSTANCES", 1000) // collected by their schedules
	startedRuns   = size("BENCH_ASKED", 100)      // refreshes whose start is measured
)

const (
	latency       = 20 * time.Millisecond // one way, to a target on another network
	distantCopies = 120                   // instances of that target
	mostReplicas  = 3
	idleTimeout   = time.Hour // for all runs to end
)

// TestReplicas measures what replicas with a common store add, and prints the figures of docs/scaling.md. They are no
// goals, since everything runs on one machine.
func TestReplicas(t *testing.T) {
	dir, store := t.TempDir(), testenv.PostgreSQL(t).NewDatabase(t)
	watch, err := pgx.Connect(t.Context(), store)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = watch.Close(context.Background()) })
	first := startProduct(t, dir, store)
	local := addFiles(t, first, dir, manyInstances)
	fmt.Printf("start of a refresh on an idle system, PostgreSQL store: %s\n", startOf(t, first, local[0]))
	alone := t.TempDir()
	embedded := startProduct(t, alone, "")
	fmt.Printf("start of a refresh on an idle system, SQLite store: %s\n",
		startOf(t, embedded, addFiles(t, embedded, alone, 1)[0]))
	far := addDistant(t, first)
	for replicas := 1; ; replicas++ {
		rate, connections := refreshAll(t, watch, first, far)
		fmt.Printf("%d replicas, %d targets %v away: %.0f refreshes a minute, %d connections to the store\n",
			replicas, len(far), 2*latency, rate, connections)
		runs, took, connections := collectAll(t, watch, len(local))
		fmt.Printf("%d replicas, %d instances by schedule: %d runs in %.1f s, %.0f a minute, %d connections to the store\n",
			replicas, len(local), runs, took.Seconds(), float64(runs)/took.Minutes(), connections)
		if replicas == mostReplicas {
			return
		}
		startProduct(t, dir, store)
	}
}

// addFiles adds instances of small SQLite files.
func addFiles(t *testing.T, p *product, dir string, count int) (ids []int64) {
	t.Helper()
	for i := range count {
		path := filepath.Join(dir, fmt.Sprintf("target-%d.db", i))
		db, err := sql.Open("sqlite", path)
		if err != nil {
			t.Fatal(err)
		}
		_, err = db.ExecContext(t.Context(), "CREATE TABLE a (n); CREATE TABLE b (n); CREATE TABLE c (n)")
		if err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, addInstance(t, p, map[string]any{
			"name": fmt.Sprint("file_", i), "db_type": "sqlite", "database_name": path,
		}))
	}
	return ids
}

// addDistant adds instances of one PostgreSQL server behind a slow network.
func addDistant(t *testing.T, p *product) (ids []int64) {
	t.Helper()
	server := testenv.PostgreSQL(t)
	wire := testenv.NewProxy(t, server.Host, server.Port)
	wire.Delay(latency)
	var account struct{ Credential struct{ ID int64 } }
	p.call(t, http.MethodPost, "/api/v1/credentials", map[string]any{
		"name": "distant", "credential_type": "database", "db_type": "postgresql",
		"username": server.User, "password": server.Password,
	}, &account)
	for i := range distantCopies {
		ids = append(ids, addInstance(t, p, map[string]any{
			"name": fmt.Sprint("distant_", i), "db_type": "postgresql", "tls_mode": "disable", "database_name": "postgres",
			"host": "127.0.0.1", "port": wire.Port, "credential_id": account.Credential.ID,
		}))
	}
	return ids
}

func addInstance(t *testing.T, p *product, instance map[string]any) int64 {
	t.Helper()
	var added struct{ Instance struct{ ID int64 } }
	p.call(t, http.MethodPost, "/api/v1/instances", instance, &added)
	return added.Instance.ID
}

// requestRefresh requests a refresh without waiting for its end, and returns the id of its run.
func requestRefresh(t *testing.T, p *product, instance int64, database string) int64 {
	t.Helper()
	var run struct{ ID int64 }
	path := fmt.Sprintf("/api/v1/instances/%d/databases/%s/tables/sizes/actions/refresh", instance, database)
	p.callPreferring(t, "respond-async", http.MethodPost, path, nil, &run)
	return run.ID
}

// startOf measures the time from the request of a refresh to its start while the system is idle.
func startOf(t *testing.T, p *product, instance int64) string {
	t.Helper()
	var waits []time.Duration
	for range startedRuns {
		id := requestRefresh(t, p, instance, "main")
		var run struct {
			Requested time.Time  `json:"requested_at"`
			Started   time.Time  `json:"started_at"`
			Ended     *time.Time `json:"ended_at"`
		}
		testenv.WaitFor(t, "the run to end", func() bool {
			p.call(t, http.MethodGet, fmt.Sprint("/api/v1/refreshes/", id), nil, &run)
			return run.Ended != nil
		})
		waits = append(waits, run.Started.Sub(run.Requested))
	}
	slices.Sort(waits)
	return fmt.Sprintf("p50 %.1f ms, p95 %.1f ms", milli(waits[len(waits)/2]), milli(waits[len(waits)*95/100]))
}

func milli(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// refreshAll requests a refresh of every instance at once, and returns the rate at which they were done.
func refreshAll(t *testing.T, watch *pgx.Conn, p *product, instances []int64) (perMinute float64, connections int) {
	t.Helper()
	start := time.Now()
	for _, id := range instances {
		requestRefresh(t, p, id, "postgres")
	}
	connections = untilIdle(t, watch)
	return float64(len(instances)) / time.Since(start).Minutes(), connections
}

// untilIdle waits until all runs have ended, and returns the peak number of connections to the store, without its own.
func untilIdle(t *testing.T, watch *pgx.Conn) (connections int) {
	t.Helper()
	testenv.WaitAtMost(idleTimeout, func() bool {
		var open, now int
		err := watch.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM collection_runs WHERE ended_at IS NULL),
			(SELECT count(*) - 1 FROM pg_stat_activity WHERE datname = current_database())`).Scan(&open, &now)
		if err != nil {
			t.Fatal(err)
		}
		connections = max(connections, now)
		return open == 0
	})
	return connections
}

// collectAll makes the schedules of all files due, and measures the time from the first request to the end of the last
// run.
func collectAll(t *testing.T, watch *pgx.Conn, files int) (runs int, took time.Duration, connections int) {
	t.Helper()
	const ours = "SELECT id FROM instances WHERE db_type = 'sqlite'"
	number := func(query string, args ...any) (n int) {
		if err := watch.QueryRow(t.Context(), query, args...).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	testenv.WaitFor(t, "all instances to have a schedule", func() bool {
		const scheduled = "SELECT count(*) FROM instance_schedules " +
			"WHERE next_at IS NOT NULL AND instance_id IN (" + ours + ")"
		return number(scheduled) >= files
	})
	before := number("SELECT max(id) FROM collection_runs")
	const makeDue = "UPDATE instance_schedules SET next_at = now() WHERE instance_id IN (" + ours + ")"
	if _, err := watch.Exec(t.Context(), makeDue); err != nil {
		t.Fatal(err)
	}
	const collected = "SELECT count(DISTINCT instance_id) FROM collection_runs WHERE kind = 'tables' AND id > $1"
	for number(collected, before) < files {
		connections = max(connections, untilIdle(t, watch))
	}
	untilIdle(t, watch)
	var seconds float64
	err := watch.QueryRow(t.Context(), `SELECT count(*), extract(epoch FROM max(ended_at) - min(requested_at))::float8
		FROM collection_runs WHERE id > $1 AND status = 'succeeded'`, before).Scan(&runs, &seconds)
	if err != nil {
		t.Fatal(err)
	}
	return runs, time.Duration(seconds * float64(time.Second)), connections
}
