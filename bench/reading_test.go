//go:build bench

package bench

import (
	"bytes"
	"database/sql"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"whalefall/models"
)

const (
	pageRows  = 50
	pageBlock = 100 // pages that one measurement reads
)

// TestReading reads pages of random databases from a store with many rows.
func TestReading(t *testing.T) {
	eachStore(t, func(t *testing.T, kind string) {
		measured(t, "pages", idsOf(readingGoals(kind)), func(t *testing.T) {
			r := newReading(t, kind)
			id := func(name string) string { return kind + "-" + name }
			measured(t, "first", []string{id("first-page"), id("offset"), id("totals")}, r.readFirst)
			measured(t, "cursor", []string{id("cursor-page")}, r.readByCursor)
			measured(t, "contains", []string{id("contains")}, r.readContaining)
			measured(t, "requests", []string{id("json"), id("html"), id("html-cpu"), id("html-bare")}, r.request)
		})
	})
}

// reading is a store of many databases, each with savedTables tables.
type reading struct {
	*filled
	ids     []int64
	product *product
	bare    *bareServer
	setting string // statement that precedes those of bare SQL; empty: none
}

func newReading(t *testing.T, kind string) *reading {
	t.Helper()
	r := &reading{filled: newFilled(t, newPlace(t, kind))}
	for i := range max(1, storedRows/savedTables) {
		database := r.database(t, databaseName(i))
		r.save(t, database, madeUpTables(savedTables))
		r.ids = append(r.ids, database.ID)
	}
	r.tidy(t)
	return r
}

func (r *reading) any() int64 { return r.ids[rand.IntN(len(r.ids))] }

func (r *reading) page(t *testing.T, q models.TableQuery) models.TablePage {
	t.Helper()
	q.Limit, q.Sort, q.Desc = pageRows, "size", true
	page, err := r.store.TableSizes(t.Context(), q)
	if err != nil || len(page.Rows) == 0 {
		t.Fatalf("%d rows, %v", len(page.Rows), err)
	}
	return page
}

const (
	headerColumns = `snapshot_no, collected_at, table_count, top_count, total_bytes, unknown_count, kept_count,
		hidden_count, complete`
	rowColumns = `id, schema_name, table_name, kind, parent_schema, parent_name, rolled_up, size_bytes, data_bytes,
		index_bytes, unused_bytes, memory_bytes, row_count, rows_source, rows_at, size_source, stats_stale, unread, kept_from,
		note, related_schema, related_name`
	bySize = " ORDER BY size_bytes DESC NULLS LAST, schema_name, table_name LIMIT 51"
)

// plain reads what a page needs by bare SQL: the header of the database and its rows, in one transaction.
func (r *reading) plain(t *testing.T, from, condition string, database int64, values ...any) {
	t.Helper()
	tx, err := r.raw.BeginTx(t.Context(), &sql.TxOptions{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }()
	if r.setting != "" {
		if _, err := tx.ExecContext(t.Context(), r.setting); err != nil {
			t.Fatal(err)
		}
	}
	r.each(t, tx, "SELECT "+headerColumns+" FROM instance_databases WHERE id = ?", database)
	query := "SELECT " + rowColumns + " FROM " + from + " WHERE database_id = ?" + condition + bySize
	rows := r.each(t, tx, query, append([]any{database}, values...)...)
	if rows == 0 {
		t.Fatal("bare SQL found no rows")
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
}

func (r *reading) each(t *testing.T, tx *sql.Tx, query string, values ...any) (n int) {
	t.Helper()
	for i := 1; r.kind == onPostgreSQL && strings.Contains(query, "?"); i++ {
		query = strings.Replace(query, "?", fmt.Sprintf("$%d", i), 1)
	}
	rows, err := tx.QueryContext(t.Context(), query, values...)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	row := make([]any, len(columns))
	for i := range row {
		row[i] = new(any)
	}
	for ; rows.Next(); n++ {
		if err := rows.Scan(row...); err != nil {
			t.Fatal(err)
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return n
}

// turns measures blocks of two ways to read in turns, after a warm-up of each.
func (r *reading) turns(t *testing.T, block int, ours, theirs func()) (o, th cost) {
	t.Helper()
	m := r.meter(t)
	m.log = nil
	repeat := func(do func()) func() {
		return func() {
			for range block {
				do()
			}
		}
	}
	repeat(ours)()
	repeat(theirs)()
	for range rounds {
		m.measure(&o, repeat(ours))
		m.measure(&th, repeat(theirs))
	}
	return o, th
}

// perPage formats the cost of one page of a block.
func (c *cost) perPage(block int) string {
	n := time.Duration(block)
	return fmt.Sprintf("%s, CPU %s", text(c.elapsed()/n), text(c.cpu()/n))
}

func (r *reading) reportPages(t *testing.T, id string, block int, ours, theirs *cost, goal float64) {
	t.Helper()
	wall, cpu := quotient(ours.elapsed(), theirs.elapsed()), quotient(ours.cpu(), theirs.cpu())
	report(t, r.kind+"-"+id, fmt.Sprintf("%.2f wall, %.2f CPU", wall, cpu), wall <= goal && cpu <= goal,
		ours.perPage(block)+" ÷ "+theirs.perPage(block))
}

func (r *reading) readFirst(t *testing.T) {
	first, bare := r.turns(t, pageBlock,
		func() { r.page(t, models.TableQuery{DatabaseID: r.any()}) },
		func() { r.plain(t, bareRows, "", r.any()) })
	r.reportPages(t, "first-page", pageBlock, &first, &bare, 1.5)

	const block = pageBlock / 10
	far, count := r.turns(t, block,
		func() { r.page(t, models.TableQuery{DatabaseID: r.any(), Offset: savedTables / 2}) },
		func() { r.count(t, "SELECT count(*) FROM "+bareRows+" WHERE database_id = ?", r.any()) })
	report(t, r.kind+"-offset", text(far.elapsed()/block), true, far.perPage(block)+"; pages use cursors")
	ratio := quotient(first.elapsed()/pageBlock, count.elapsed()/block)
	report(t, r.kind+"-totals", fmt.Sprintf("%.2f", ratio), ratio < 1,
		fmt.Sprintf("%s ÷ %s; the totals are kept with the snapshot", first.perPage(pageBlock), count.perPage(block)))
}

func (r *reading) readByCursor(t *testing.T) {
	type place struct {
		database int64
		cursor   string
		last     models.TableSizeRow
	}
	places := make([]place, len(r.ids))
	for i, id := range r.ids {
		page := r.page(t, models.TableQuery{DatabaseID: id})
		places[i] = place{id, page.NextCursor, page.Rows[len(page.Rows)-1]}
	}
	random := func() place { return places[rand.IntN(len(places))] }
	ours, bare := r.turns(t, pageBlock,
		func() {
			p := random()
			r.page(t, models.TableQuery{DatabaseID: p.database, Cursor: p.cursor})
		},
		func() {
			p := random()
			r.plain(t, bareRows, " AND size_bytes <= ? AND NOT (size_bytes = ? AND (schema_name, table_name) <= (?, ?))",
				p.database, *p.last.Total, *p.last.Total, p.last.Schema, p.last.Name)
		})
	r.reportPages(t, "cursor-page", pageBlock, &ours, &bare, 1.5)
}

// readContaining searches for a part of a name that ten tables of a database have. The comparison is, for SQLite, a
// copy of the rows that has no index but one by size; for PostgreSQL, the same rows without the bitmap scans of the
// trigram index.
func (r *reading) readContaining(t *testing.T) {
	from, condition := bareRows, " AND table_fold LIKE '%' || ? || '%'"
	if r.kind == onPostgreSQL {
		r.setting = "SET LOCAL enable_bitmapscan = off"
		defer func() { r.setting = "" }()
	} else {
		from, condition = r.copied(t), " AND instr(table_fold, ?) > 0"
	}
	part := func() string { return fmt.Sprintf("_%05d", rand.IntN(savedTables/10)) }
	const block = 5
	ours, plain := r.turns(t, block,
		func() { r.page(t, models.TableQuery{DatabaseID: r.ids[0], Table: part()}) },
		func() { r.plain(t, from, condition, r.ids[0], part()) })
	r.reportPages(t, "contains", block, &ours, &plain, map[string]float64{onSQLite: 0.2, onPostgreSQL: 0.05}[r.kind])
}

// copied copies the rows of the first database into a new table and returns its name.
func (r *reading) copied(t *testing.T) string {
	for _, statement := range []string{
		"CREATE TABLE plain AS SELECT * FROM " + bareRows +
			fmt.Sprintf(" WHERE database_id = %d ORDER BY schema_name, table_name", r.ids[0]),
		"CREATE INDEX plain_size ON plain (database_id, size_bytes DESC)",
		"ANALYZE plain",
	} {
		if _, err := r.raw.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	return "plain"
}

// request requests pages through HTTP with one client, in turns from the product and from the bare server.
func (r *reading) request(t *testing.T) {
	r.product, r.bare = startProduct(t, r.dataDir, r.address), startBare(t, r.address)
	const requests = 200 // of each kind, every round
	var asJSON, asHTML []time.Duration
	var product, bare cost
	productMeter, bareMeter := r.meter(t), r.meter(t)
	productMeter.client, productMeter.log = func() time.Duration { return cpuOf(t, r.product.pid()) }, nil
	bareMeter.client, bareMeter.log = func() time.Duration { return cpuOf(t, r.bare.pid) }, nil
	for round := range rounds + 1 {
		if round == 1 { // the first was the warm-up
			asJSON, asHTML, product, bare = nil, nil, cost{}, cost{}
		}
		for range requests {
			address := fmt.Sprintf("%s%s?limit=%d", r.product.base, tableSizes(r.instance.ID, r.anyName()), pageRows)
			asJSON = append(asJSON, r.fetch(t, r.product.client, address))
		}
		productMeter.measure(&product, func() {
			for range requests {
				asHTML = append(asHTML, r.fetch(t, r.product.client, r.pageAddress(r.anyName())))
			}
		})
		bareMeter.measure(&bare, func() {
			for range requests {
				r.fetch(t, r.bare.client, r.bare.base+barePath(rand.IntN(len(r.ids))))
			}
		})
	}
	r.reportLatency(t, "json", asJSON)
	r.reportLatency(t, "html", asHTML)
	cpu := product.cpu() / requests
	how := fmt.Sprintf("bare: %s, %d KB a page; ours: %d KB", text(bare.cpu()/requests),
		r.bytes(t, r.bare.client, r.bare.base+barePath(0))>>10,
		r.bytes(t, r.product.client, r.pageAddress(databaseName(0)))>>10)
	report(t, r.kind+"-html-cpu", text(cpu), cpu <= 1200*time.Microsecond, "with the store's server; "+how)
	ratio := quotient(product.cpu(), bare.cpu())
	report(t, r.kind+"-html-bare", fmt.Sprintf("%.2f", ratio), ratio <= 1.3, how)
}

// pageAddress returns the address of a database's page of tables.
func (r *reading) pageAddress(database string) string {
	return fmt.Sprintf("%s/instances/%d/databases/%s/tables", r.product.base, r.instance.ID, database)
}

func (r *reading) anyName() string { return databaseName(rand.IntN(len(r.ids))) }

func (r *reading) reportLatency(t *testing.T, id string, times []time.Duration) {
	t.Helper()
	p99 := percentile(times, 99)
	report(t, r.kind+"-"+id, text(p99), p99 <= 5*time.Millisecond,
		fmt.Sprintf("p50 %s, %d requests, 1 client", text(median(times)), len(times)))
}

// fetch gets a page and returns how long it took to the last byte.
func (r *reading) fetch(t *testing.T, client *http.Client, address string) time.Duration {
	t.Helper()
	start := time.Now()
	r.bytes(t, client, address)
	return time.Since(start)
}

// bytes gets a page and returns its length. A page without rows fails the test.
func (r *reading) bytes(t *testing.T, client *http.Client, address string) int {
	t.Helper()
	response, err := client.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if rows := bytes.Count(body, []byte("orders_")); err != nil || rows < pageRows {
		t.Fatalf("%s: %s, %d rows, %v", address, response.Status, rows, err)
	}
	return len(body)
}
