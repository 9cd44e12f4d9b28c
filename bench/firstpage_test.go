//go:build bench

package bench

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"whalefall/migrations"
	"whalefall/models"
)

const (
	storedDatabases = 10
	storedTables    = 100_000 // of each database
	pageRequests    = 1000
)

// measureFirstPage asks for the first page of a random database in a store of a million rows. An empty address is the
// embedded store.
func measureFirstPage(t *testing.T, r *report, binary, kind, address string) {
	dataDir := t.TempDir()
	saving := fillStore(t, dataDir, cmp.Or(address, filepath.Join(dataDir, "whalefall.db")))
	p := startProduct(t, binary, dataDir, address)
	store := fmt.Sprintf("%s store of %d rows: ", kind, storedDatabases*storedTables)
	r.add(store+fmt.Sprintf("a snapshot of %d new tables saved", storedTables), ms(saving), "median")
	pages := []struct{ name, path string }{
		{"first page as JSON", "/api/v1/instances/1/databases/%s/tables/sizes?limit=50"},
		{"first page as HTML", "/instances/1/databases/%s/tables"},
	}
	for _, page := range pages {
		times := make([]time.Duration, pageRequests)
		for i := range times {
			times[i] = p.fetch(t, fmt.Sprintf(page.path, databaseName(rand.IntN(storedDatabases))))
		}
		r.add(store+page.name, fmt.Sprintf("p50 %s, p99 %s", ms(median(times)), ms(percentile(times, 99))),
			fmt.Sprintf("%d requests, 1 client; to reach: p99 ≤ 5 ms", pageRequests))
	}
}

// fetch gets a page and says how long it took to its last byte.
func (p *product) fetch(t *testing.T, path string) time.Duration {
	t.Helper()
	start := time.Now()
	response, err := p.client.Get(p.base + path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	took := time.Since(start)
	if rows := bytes.Count(body, []byte("orders_")); err != nil || rows < 50 {
		t.Fatalf("%s: %s, %d rows, %v", path, response.Status, rows, err)
	}
	return took
}

func databaseName(i int) string { return fmt.Sprintf("db%02d", i) }

// fillStore saves the snapshots as the product does and says how long one took.
func fillStore(t *testing.T, dataDir, address string) time.Duration {
	t.Helper()
	ctx := t.Context()
	keyset, err := models.CreateKeyset(filepath.Join(dataDir, "keyset.json"))
	if err != nil {
		t.Fatal(err)
	}
	store, err := models.Open(ctx, models.Options{
		Address: address, Keyset: keyset, Zone: time.UTC, Migrate: migrations.Up, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = store.Close() }()
	host, port := "127.0.0.1", 5432
	instance, err := store.CreateInstance(ctx, models.Instance{
		Name: "bench", DBType: models.PostgreSQL, Host: &host, Port: &port, IsActive: true, TLSMode: models.TLSPrefer,
	}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	var took []time.Duration
	for i := range storedDatabases {
		now := time.Now()
		database, err := store.AddDatabase(ctx, instance.ID, databaseName(i), now)
		if err != nil {
			t.Fatal(err)
		}
		tables := models.SaveTables{
			DatabaseID: database.ID, Result: models.TableResult{Tables: madeUpTables(), Complete: true}, Started: now, CollectedAt: now,
		}
		start := time.Now()
		if _, err := store.SaveTableSizes(ctx, tables); err != nil {
			t.Fatal(err)
		}
		took = append(took, time.Since(start))
	}
	return median(took)
}

func madeUpTables() []models.TableSize {
	tables := make([]models.TableSize, storedTables)
	for i := range tables {
		data, index := rand.Int64N(1<<32), rand.Int64N(1<<30)
		total, rows := data+index, data/100
		tables[i] = models.TableSize{
			Schema: fmt.Sprintf("app%d", i%20), Name: fmt.Sprintf("orders_%06d", i), Kind: models.KindTable,
			Total: &total, Data: &data, Index: &index, Unused: new(int64), Rows: &rows,
			RowsSource: models.RowsStatistic, SizeSource: models.SizeAllocated,
		}
	}
	return tables
}
