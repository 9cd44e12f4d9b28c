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

// Sizes, by environment.
var (
	manyInstances = size("BENCH_INSTANCES", 1000) // collected by their schedules
	askedRuns     = size("BENCH_ASKED", 100)      // refreshes whose start is waited for
)

const (
	roundTrip     = 20 * time.Millisecond // one way, to a target on another network
	distantCopies = 120                   // instances there
	mostReplicas  = 3
)

// TestReplicas measures what replicas over one store add. What it prints stands in docs/scaling.md; nothing is a goal, as
// all of it runs on one machine.
func TestReplicas(t *testing.T) {
	dir, store := t.TempDir(), testenv.PostgreSQL(t).NewDatabase(t)
	watch, err := pgx.Connect(t.Context(), store)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = watch.Close(context.Background()) })
	first := startProduct(t, dir, store)
	local := addFiles(t, first, dir, manyInstances)
	fmt.Printf("start of a refresh that finds room, PostgreSQL store: %s\n", startOf(t, first, local[0]))
	alone := t.TempDir()
	embedded := startProduct(t, alone, "")
	fmt.Printf("start of a refresh that finds room, SQLite store: %s\n", startOf(t, embedded, addFiles(t, embedded, alone, 1)[0]))
	far := addDistant(t, first)
	for replicas := 1; ; replicas++ {
		rate, connections := refreshAll(t, watch, first, far)
		fmt.Printf("%d replicas, %d targets %v away: %.0f refreshes a minute, %d connections to the store\n",
			replicas, len(far), 2*roundTrip, rate, connections)
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
		ids = append(ids, addInstance(t, p, map[string]any{"name": fmt.Sprint("file_", i), "db_type": "sqlite", "database_name": path}))
	}
	return ids
}

// addDistant adds instances of one PostgreSQL server behind a slow wire.
func addDistant(t *testing.T, p *product) (ids []int64) {
	t.Helper()
	server := testenv.PostgreSQL(t)
	wire := testenv.NewProxy(t, server.Host, server.Port)
	wire.Delay(roundTrip)
	var account struct{ Credential struct{ ID int64 } }
	p.call(t, http.MethodPost, "/api/v1/credentials", map[string]any{
		"name": "distant", "credential_type": "database", "db_type": "postgresql", "username": server.User, "password": server.Password,
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

// ask asks for a refresh without waiting for its end, and returns the id of its run.
func ask(t *testing.T, p *product, instance int64, database string) int64 {
	t.Helper()
	var run struct{ ID int64 }
	path := fmt.Sprintf("/api/v1/instances/%d/databases/%s/tables/sizes/actions/refresh", instance, database)
	p.callPreferring(t, "respond-async", http.MethodPost, path, nil, &run)
	return run.ID
}

// startOf is the time from asking for a refresh to its start, where nothing else goes on.
func startOf(t *testing.T, p *product, instance int64) string {
	t.Helper()
	var waits []time.Duration
	for range askedRuns {
		id := ask(t, p, instance, "main")
		var run struct {
			RequestedAt, StartedAt, EndedAt *time.Time
		}
		for run.EndedAt == nil {
			var look struct {
				Requested *time.Time `json:"requested_at"`
				Started   *time.Time `json:"started_at"`
				Ended     *time.Time `json:"ended_at"`
			}
			p.call(t, http.MethodGet, fmt.Sprint("/api/v1/refreshes/", id), nil, &look)
			run.RequestedAt, run.StartedAt, run.EndedAt = look.Requested, look.Started, look.Ended
			time.Sleep(5 * time.Millisecond)
		}
		waits = append(waits, run.StartedAt.Sub(*run.RequestedAt))
	}
	slices.Sort(waits)
	return fmt.Sprintf("p50 %.1f ms, p95 %.1f ms", milli(waits[len(waits)/2]), milli(waits[len(waits)*95/100]))
}

func milli(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// refreshAll refreshes every instance once, all asked for at once.
func refreshAll(t *testing.T, watch *pgx.Conn, p *product, instances []int64) (perMinute float64, connections int) {
	t.Helper()
	began := time.Now()
	for _, id := range instances {
		ask(t, p, id, "postgres")
	}
	connections = untilIdle(t, watch)
	return float64(len(instances)) / time.Since(began).Minutes(), connections
}

// untilIdle waits until no run goes on, and returns the most connections to the store that it saw, without its own.
func untilIdle(t *testing.T, watch *pgx.Conn) (connections int) {
	t.Helper()
	for open := 1; open > 0; time.Sleep(50 * time.Millisecond) {
		var now int
		err := watch.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM collection_runs WHERE ended_at IS NULL),
			(SELECT count(*) - 1 FROM pg_stat_activity WHERE datname = current_database())`).Scan(&open, &now)
		if err != nil {
			t.Fatal(err)
		}
		connections = max(connections, now)
	}
	return connections
}

// collectAll has the schedules of all files come due, and measures from the first run asked for to the last one's end.
func collectAll(t *testing.T, watch *pgx.Conn, files int) (runs int, took time.Duration, connections int) {
	t.Helper()
	const ours = "SELECT id FROM instances WHERE db_type = 'sqlite'"
	number := func(query string, args ...any) (n int) {
		if err := watch.QueryRow(t.Context(), query, args...).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	for number("SELECT count(*) FROM instance_schedules WHERE next_at IS NOT NULL AND instance_id IN ("+ours+")") < files {
		time.Sleep(time.Second) // until a minute is over
	}
	before := number("SELECT max(id) FROM collection_runs")
	if _, err := watch.Exec(t.Context(), "UPDATE instance_schedules SET next_at = now() WHERE instance_id IN ("+ours+")"); err != nil {
		t.Fatal(err)
	}
	for number("SELECT count(DISTINCT instance_id) FROM collection_runs WHERE kind = 'tables' AND id > $1", before) < files {
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
