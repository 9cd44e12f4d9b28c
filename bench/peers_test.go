//go:build bench

package bench

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"whalefall/testenv"
)

// TestPeers compares a refresh with a scrape of other programs that read the sizes of tables. See peers.md.
func TestPeers(t *testing.T) {
	if os.Getenv("BENCH_PEERS") != "1" {
		t.Skip("runs only with BENCH_PEERS=1")
	}
	measured(t, "postgres_exporter", []string{"peer-postgres-wall", "peer-postgres-cpu", "peer-postgres-rss"},
		besidePostgreSQLExporter)
	measured(t, "mysqld_exporter", []string{"peer-mysqld-wall", "peer-mysqld-cpu"}, besideMysqldExporter)
}

// peer is a running exporter.
type peer struct {
	version string
	pid     int
	address string
	metric  string // has one sample a table
}

// findPeer returns the path of a program, found in PATH by one of its names or built from its module.
func findPeer(t *testing.T, module string, names ...string) string {
	t.Helper()
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	install := exec.Command("go", "install", module)
	install.Dir = scratch // outside of this module
	install.Env = append(os.Environ(), "GOBIN="+scratch, "GOFLAGS=-mod=mod", "CGO_ENABLED=0")
	if out, err := install.CombinedOutput(); err != nil {
		testenv.Missing(t, fmt.Sprintf("%s in PATH, and it cannot be built: %.300s", names[0], out))
	}
	return filepath.Join(scratch, names[0])
}

func startPeer(t *testing.T, path, metric string, environment []string, flags ...string) *peer {
	t.Helper()
	listen := "127.0.0.1:" + strconv.Itoa(testenv.FreePort(t))
	var log bytes.Buffer
	cmd := exec.Command(path, append(flags, "--web.listen-address="+listen)...)
	cmd.Env, cmd.Stdout, cmd.Stderr = append(os.Environ(), environment...), &log, &log
	process := testenv.StartProcess(t, cmd)
	about, _ := exec.Command(path, "--version").CombinedOutput()
	version, _, _ := strings.Cut(string(about), " (")
	p := &peer{version: strings.TrimSpace(version), pid: process.PID(), address: "http://" + listen, metric: metric}
	ready := testenv.WaitAtMost(testenv.Patience, func() bool {
		response, err := http.Get(p.address + "/")
		if err == nil {
			_ = response.Body.Close()
		}
		return err == nil || process.Ended()
	})
	if !ready || process.Ended() {
		process.Kill()
		t.Fatalf("%s does not answer\n%s", path, log.String())
	}
	return p
}

func (p *peer) scrape(t *testing.T, want int) {
	t.Helper()
	response, err := http.Get(p.address + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if n := bytes.Count(text, []byte("\n"+p.metric+"{")); err != nil || n < want {
		t.Fatalf("%s: got %d tables, %v, want %d", p.version, n, err, want)
	}
}

// userTables is the query of postgres_exporter's stat_user_tables collector, for releases without it.
const userTables = `pg_stat_user_tables:
  query: |
    SELECT current_database() AS datname, schemaname, relname, seq_scan, seq_tup_read,
      coalesce(idx_scan, 0) AS idx_scan,
      coalesce(idx_tup_fetch, 0) AS idx_tup_fetch, n_tup_ins, n_tup_upd, n_tup_del, n_live_tup, n_dead_tup,
      vacuum_count, autovacuum_count, analyze_count, autoanalyze_count,
      pg_table_size(relid) AS table_size, pg_indexes_size(relid) AS index_size
    FROM pg_stat_user_tables
  metrics:
    - datname: {usage: LABEL, description: database}
    - schemaname: {usage: LABEL, description: schema}
    - relname: {usage: LABEL, description: table}
    - seq_scan: {usage: COUNTER, description: scans}
    - seq_tup_read: {usage: COUNTER, description: rows of scans}
    - idx_scan: {usage: COUNTER, description: scans of indexes}
    - idx_tup_fetch: {usage: COUNTER, description: rows by indexes}
    - n_tup_ins: {usage: COUNTER, description: rows inserted}
    - n_tup_upd: {usage: COUNTER, description: rows updated}
    - n_tup_del: {usage: COUNTER, description: rows deleted}
    - n_live_tup: {usage: GAUGE, description: rows}
    - n_dead_tup: {usage: GAUGE, description: dead rows}
    - vacuum_count: {usage: COUNTER, description: vacuums}
    - autovacuum_count: {usage: COUNTER, description: automatic vacuums}
    - analyze_count: {usage: COUNTER, description: analyses}
    - autoanalyze_count: {usage: COUNTER, description: automatic analyses}
    - table_size: {usage: GAUGE, description: bytes of the table}
    - index_size: {usage: GAUGE, description: bytes of its indexes}
`

func besidePostgreSQLExporter(t *testing.T) {
	path := findPeer(t, "github.com/prometheus-community/postgres_exporter/cmd/postgres_exporter@latest",
		"postgres_exporter", "prometheus-postgres-exporter")
	p := startProduct(t, t.TempDir(), "")
	f := newPostgreSQLFixture(t, fixtureTables)
	b := &postgresqlBench{postgresqlFixture: f, product: p, database: f.clone(t)}
	b.listing = b.addInstance(t, listingRole)
	help, _ := exec.Command(path, "--help").CombinedOutput()
	flags, how := []string{"--collector.stat_user_tables"}, "its collector stat_user_tables, and defaults"
	if !strings.Contains(string(help), "collector.stat_user_tables") {
		queries := filepath.Join(t.TempDir(), "queries.yaml")
		if err := os.WriteFile(queries, []byte(userTables), 0o600); err != nil {
			t.Fatal(err)
		}
		flags, how = []string{"--extend.query-path=" + queries}, "a query as newer releases have it, and defaults"
	}
	source := url.URL{
		Scheme: "postgresql", User: url.UserPassword(plainRole, rolePassword), Host: fmt.Sprintf("%s:%d", f.Host, f.Port),
		Path: "/" + b.database, RawQuery: "sslmode=disable",
	}
	exporter := startPeer(t, path, "pg_stat_user_tables_n_live_tup",
		[]string{"DATA_SOURCE_NAME=" + source.String()}, flags...)
	leaves := f.tables - f.tables/200 // it leaves out tables that have partitions
	refresh := func() { b.product.refresh(t, b.listing, b.database, b.tables) }
	ours, theirs := besides(t, b.meter(t, nil), b.product.pid(), exporter, leaves, refresh)
	how = exporter.version + ", " + how + ", storing nothing; ours with the file listing granted; "
	reportPeer(t, "peer-postgres", ours, theirs, 0.4, 0.33, how)
	own, its := peakMemory(b.product.pid()), peakMemory(exporter.pid)
	ratio := quotient(own, its)
	report(t, "peer-postgres-rss", fmt.Sprintf("%.2f", ratio), ratio <= 0.6, how+megabytes(own)+" ÷ "+megabytes(its))
}

func besideMysqldExporter(t *testing.T) {
	path := findPeer(t, "github.com/prometheus/mysqld_exporter@latest", "mysqld_exporter", "prometheus-mysqld-exporter")
	b := newMySQLBench(t, "mariadb", min(fixtureTables, mariaTables))
	b.Exec(t, "", "CREATE USER peer@'127.0.0.1' IDENTIFIED BY '"+rolePassword+"'",
		"GRANT SELECT, PROCESS ON *.* TO peer@'127.0.0.1'")
	config := filepath.Join(t.TempDir(), "my.cnf")
	text := fmt.Sprintf("[client]\nuser=peer\npassword=%s\nhost=%s\nport=%d\n", rolePassword, b.Host, b.Port)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p := startPeer(t, path, "mysql_info_schema_table_rows", nil, "--config.my-cnf="+config,
		"--collect.info_schema.tables", "--collect.info_schema.tables.databases="+mariaDatabase)
	server := meter{server: func() time.Duration { return cpuOf(t, b.PID()) }}
	ours, theirs := besides(t, server, b.product.pid(), p, b.tables, func() { b.refresh(t) })
	reportPeer(t, "peer-mysqld", ours, theirs, 1, 1,
		p.version+", --collect.info_schema.tables, and defaults; it stores nothing; ")
}

// besides measures refreshes and scrapes in turns. The meter needs no client CPU.
func besides(t *testing.T, m meter, product int, p *peer, tables int, refresh func()) (ours, theirs *cost) {
	t.Helper()
	ours, theirs = &cost{}, &cost{}
	own, its := m, m
	own.client = func() time.Duration { return cpuOf(t, product) }
	its.client = func() time.Duration { return cpuOf(t, p.pid) }
	refresh()
	p.scrape(t, tables)
	for range rounds {
		own.measure(ours, refresh)
		its.measure(theirs, func() { p.scrape(t, tables) })
	}
	return ours, theirs
}

func reportPeer(t *testing.T, id string, ours, theirs *cost, wall, cpu float64, how string) {
	t.Helper()
	how += fmt.Sprintf("%s ÷ %s", ours, theirs)
	elapsed, used := quotient(ours.elapsed(), theirs.elapsed()), quotient(ours.cpu(), theirs.cpu())
	report(t, id+"-wall", fmt.Sprintf("%.2f", elapsed), elapsed <= wall, how)
	report(t, id+"-cpu", fmt.Sprintf("%.2f", used), used <= cpu, how)
}
