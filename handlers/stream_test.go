package handlers_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"whalefall/models"
	"whalefall/testenv"
)

// file is an answer without envelope.
type file struct {
	status int
	header http.Header
	text   string
}

// ask opens an answer. Headers are name, value pairs. Nothing is decompressed automatically.
func (c *client) ask(method, address string, headers ...string) *http.Response {
	c.Helper()
	request, err := http.NewRequestWithContext(c.Context(), method, c.url+address, http.NoBody)
	check(c, err)
	request.Header.Set("Accept-Encoding", "identity")
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	answer, err := c.http.Do(request)
	check(c, err)
	return answer
}

// download reads a whole answer of the API.
func (c *client) download(path string, headers ...string) file {
	c.Helper()
	return c.read(http.MethodGet, "/api/v1"+path, headers...)
}

// read reads a whole answer.
func (c *client) read(method, address string, headers ...string) file {
	c.Helper()
	answer := c.ask(method, address, headers...)
	defer answer.Body.Close()
	raw, err := io.ReadAll(answer.Body)
	check(c, err)
	return file{answer.StatusCode, answer.Header, string(raw)}
}

// oddTables returns rows with every member that a row may have, and with names that a spreadsheet would evaluate.
func oddTables() []models.TableSize {
	counted := time.Date(2026, 3, 9, 17, 30, 0, 0, time.UTC)
	all := []models.TableSize{
		{
			Schema:        "=cmd|' /C calc'!A0",
			Name:          "-2+3",
			Kind:          models.KindPartitioned,
			RolledUp:      true,
			Total:         n(9007199254740993),
			Data:          n(9007199254740000),
			Index:         n(900),
			Unused:        n(93),
			Rows:          n(0),
			RowsSource:    models.RowsStatistic,
			RowsAt:        &counted,
			SizeSource:    models.SizeStatistic,
			StatsStale:    true,
			Memory:        n(1),
			Note:          models.NoteHistory,
			RelatedSchema: "@x",
			Related:       "\tz",
		},
		{
			Schema:       "s",
			Name:         "+part",
			Kind:         models.KindPartition,
			ParentSchema: "=cmd|' /C calc'!A0",
			Parent:       "-2+3",
			Total:        n(0),
			Data:         n(0),
			Index:        n(0),
			SizeSource:   models.SizeAllocated,
			Unread:       models.UnreadLocked,
		},
		{Schema: "", Name: "unknown", Kind: models.KindExternal, SizeSource: models.SizeNone},
	}
	for _, name := range hostileNames {
		all = append(
			all,
			models.TableSize{
				Schema:     "s",
				Name:       name,
				Kind:       models.KindTable,
				Total:      new(int64(len(name))),
				SizeSource: models.SizeAllocated,
			},
		)
	}
	return all
}

// manyTables returns enough rows that sending them takes a while.
func manyTables(count int) []models.TableSize {
	all := make([]models.TableSize, count)
	for i := range all {
		all[i] = models.TableSize{
			Schema:     strings.Repeat("s", 128),
			Name:       fmt.Sprintf("table_%06d", i),
			Kind:       models.KindTable,
			Total:      new(int64(i)),
			Data:       new(int64(i)),
			Index:      n(0),
			SizeSource: models.SizeAllocated,
		}
	}
	return all
}

// bothPaths returns the paths of a database's table sizes in the older and the later style.
func (a *app) bothPaths(instance, database string) [2]string {
	a.Helper()
	return [2]string{
		tablesPath(instance, database),
		fmt.Sprintf("/databases/%d/tables/sizes", a.databaseID(instance, database)),
	}
}

func (a *app) databaseID(instance, database string) int64 {
	a.Helper()
	var id int64
	_, err := fmt.Sscanf(instance, "/instances/%d", &id)
	check(a, err)
	known, err := a.store.Database(a.Context(), id, database)
	check(a, err)
	return known.ID
}

func TestTableSizesExport_SameRowsAsPages(t *testing.T) {
	onBothStores(t, func(a *app) {
		inst := a.serverInstance("pg", models.PostgreSQL)
		all := oddTables()
		a.snapshotOf(inst, `a"b/鲸`, models.TableResult{Complete: true, Tables: all})
		for _, path := range a.bothPaths(inst, `a"b/鲸`) {
			for _, filter := range []string{
				"", "sort=size", "sort=-name", "sort=rows", "sort=growth", "partitions=fold", "table_name=%25",
				"schema_name=S&sort=name",
				"parent_table=-2%2B3&parent_schema=" + url.QueryEscape("=cmd|' /C calc'!A0"), "table_name=nothing",
				"only=unsettled",
			} {
				checkExport(a, path, filter)
			}
			// Paging parameters must be valid but are ignored: all rows are sent.
			lines := a.guest.download(path + "?format=ndjson&limit=1")
			equal(a, "lines", strings.Count(lines.text, "\n"), len(all))
			for query, want := range map[string]string{
				"format=csv&limit=0": "limit 最小为 1", "format=csv&cursor=x": "cursor 无效",
				"format=csv&sort=x": "sort 仅支持：size, data, index, unused, rows, name, schema, growth, growth_7",
				"format=xml":        "format 仅支持：json, csv, ndjson", "format=CSV": "format 仅支持：json, csv, ndjson",
			} {
				a.guest.get(path+"?"+query).wantCode(http.StatusBadRequest, models.CodeInvalid, want)
			}
		}
	})
}

// checkExport compares both formats with the rows of the pages with the same filter.
func checkExport(a *app, path, filter string) {
	a.Helper()
	page := a.guest.get(path+"?limit=2000&"+filter).want(http.StatusOK, readTable)
	rows := page.at("tables").([]any)
	ndjson := a.guest.download(path + "?format=ndjson&" + filter)
	var lines []any
	for line := range strings.Lines(ndjson.text) {
		var row any
		check(a, json.Unmarshal([]byte(line), &row))
		lines = append(lines, row)
	}
	equal(a, filter+" ndjson", plain(lines), plain(append([]any(nil), rows...)))
	table := a.guest.download(path + "?format=csv&" + filter)
	records, err := csv.NewReader(strings.NewReader(table.text)).ReadAll()
	check(a, err)
	equal(a, filter+" csv rows", len(records)-1, len(rows))
	for i, record := range records[1:] {
		checkRecord(a, records[0], record, rows[i].(obj))
	}
	for _, f := range []file{ndjson, table} {
		equal(a, "status", f.status, http.StatusOK)
		equal(a, "count", f.header.Get("X-Total-Count"), strconv.Itoa(len(rows)))
		equal(a, "collected", f.header.Get("X-Collected-At"), page.at("collected_at").(string))
	}
}

func checkRecord(a *app, names, record []string, row obj) {
	a.Helper()
	for i, name := range names {
		var want string
		switch v := row[name].(type) {
		case nil:
			want = map[string]string{"rolled_up": "false", "stats_stale": "false", "kept": "false", "partition_count": "0"}[name]
		case string:
			if want = v; strings.ContainsAny(v[:min(len(v), 1)], "=+-@\t\r\n") {
				want = "'" + v
			}
		case float64:
			want = strconv.FormatFloat(v, 'f', -1, 64)
		default:
			want = fmt.Sprint(v)
		}
		if name == "size_bytes" && want == "9007199254740992" {
			want = "9007199254740993" // beyond the precision of float64
		}
		equal(a, fmt.Sprintf("%s of %v", name, row["table_name"]), record[i], want)
	}
	for name := range row {
		if !slices.Contains(names, name) {
			a.Errorf("no column %s", name)
		}
	}
}

// TestTableSizesPage_ExportLink follows a plain link.
func TestTableSizesPage_ExportLink(t *testing.T) {
	t.Parallel()
	a := newApp(t, t.TempDir()+"/store.db")
	inst := a.serverInstance("pg", models.PostgreSQL)
	a.snapshotOf(inst, "..", models.TableResult{Complete: true, Tables: oddTables()})
	page := strings.TrimSuffix(a.bothPaths(inst, "..")[1], "/sizes")
	for _, filter := range []string{
		"", "?sort=name", "?sort=-rows&limit=100", "?q=%25&sort=size", "?schema=S&sort=-schema", "?partitions=all",
		"?only=unsettled", "?q=nothing",
		"?parent=-2%2B3&parent_schema=" + url.QueryEscape("=cmd|' /C calc'!A0"),
	} {
		p := a.guest.visit(page + filter).wantStatus(http.StatusOK)
		var shown []string
		for _, row := range p.doc.Find("#tables-view tbody tr").EachIter() {
			shown = append(shown, row.AttrOr("data-table", ""))
		}
		href, linked := p.doc.Find("a#tables-export").Attr("href")
		equal(t, filter+" linked", linked, len(shown) > 0)
		if !linked {
			continue
		}
		records, err := csv.NewReader(strings.NewReader(a.guest.download(strings.TrimPrefix(href, "/api/v1")).text)).ReadAll()
		check(t, err)
		for i, name := range shown {
			equal(t, filter, strings.TrimPrefix(records[i+1][1], "'"), strings.TrimPrefix(name, "'"))
		}
		equal(t, filter, len(records)-1, len(shown))
	}
}

func TestTableSizesExport_Headers(t *testing.T) {
	onBothStores(t, func(a *app) {
		inst := a.serverInstance("pg", models.PostgreSQL)
		name := "a\"b/鲸\r\nX-Evil: 1;.."
		a.snapshotOf(inst, name, models.TableResult{Complete: true, Tables: manyTables(3)})
		path := tablesPath(inst, name)
		const header = "schema_name,table_name,size_mb,data_size_mb,index_size_mb,row_count,collected_at," +
			"size_bytes,data_size_bytes,index_size_bytes,unused_bytes,growth_7d_bytes,growth_bytes,kind,parent_schema," +
			"parent_table,rolled_up,partition_count,rows_source,size_source,stats_stale,kept,unread," +
			"memory_bytes,rows_at,note,related_schema,related_table\n"
		table := a.guest.download(path + "?format=csv")
		equal(a, "columns", strings.SplitAfter(table.text, "\n")[0], header)
		equal(a, "media", table.header.Get("Content-Type"), "text/csv; charset=utf-8")
		equal(a, "evil", table.header.Get("X-Evil"), "")
		disposition := table.header.Get("Content-Disposition")
		if !strings.HasPrefix(disposition, `attachment; filename="pg-a_b_`) || strings.ContainsAny(disposition, "\r\n/鲸") {
			a.Errorf("disposition %s", disposition)
		}
		for bom, want := range map[string]bool{"1": true, "true": true, "0": false, "": false} {
			got := strings.HasPrefix(a.guest.download(path+"?format=csv&bom="+bom).text, "\ufeffschema_name,")
			equal(a, "bom="+bom, got, want)
		}
		lines := a.guest.download(path + "?format=ndjson&bom=1")
		equal(a, "media", lines.header.Get("Content-Type"), "application/x-ndjson")
		equal(a, "no bom", lines.text[:1], "{")

		inst = a.serverInstance("other", models.PostgreSQL)
		for _, format := range []string{"csv", "ndjson"} {
			head := a.guest.read(http.MethodHead, "/api/v1"+path+"?format="+format)
			equal(a, "HEAD", head.status, http.StatusOK)
			equal(a, "HEAD count", head.header.Get("X-Total-Count"), "3")
			never := a.guest.download(tablesPath(inst, "never") + "?format=" + format)
			equal(a, format+" of none", never.text, map[string]string{"csv": header, "ndjson": ""}[format])
			equal(a, "count of none", never.header.Get("X-Total-Count"), "0")
			equal(a, "time of none", never.header.Get("X-Collected-At"), "")
			a.anonymous.get(path+"?format="+format).wantCode(http.StatusUnauthorized, models.CodeUnauthenticated, "请先登录")
			a.guest.get("/instances/4711/databases/x/tables/sizes?format="+format).
				wantCode(http.StatusNotFound, models.CodeNotFound, "实例不存在")
		}
	})
}

func TestTableSizesExport_Format(t *testing.T) {
	t.Parallel()
	a := newApp(t, t.TempDir()+"/store.db")
	inst := a.serverInstance("pg", models.PostgreSQL)
	a.snapshotOf(inst, "app", models.TableResult{Complete: true, Tables: manyTables(1)})
	const jsonMedia, csvMedia, linesMedia = "application/json", "text/csv; charset=utf-8", "application/x-ndjson"
	for accept, want := range map[string]string{
		"": jsonMedia, "*/*": jsonMedia, "image/png": jsonMedia, "nonsense": jsonMedia, ",;q=,": jsonMedia,
		"application/json": jsonMedia,
		"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8": jsonMedia,
		"text/csv": csvMedia, "TEXT/CSV; charset=utf-8": csvMedia, "text/*": csvMedia, "text/csv, */*": csvMedia,
		"*/*, text/csv":                          csvMedia,
		"text/csv;q=0.5, application/json;q=0.4": csvMedia, "text/csv;q=0.4, application/json;q=0.5": jsonMedia,
		"text/csv, */*;q=0.1": csvMedia,
		"text/csv;q=0":        jsonMedia, "text/csv;q=0, text/*": jsonMedia,
		"text/csv;q=nan": jsonMedia, "text/csv;q=2": jsonMedia,
		"text/csv;q=x, */*":         jsonMedia,
		"application/json;q=0, */*": csvMedia, "application/x-ndjson": linesMedia,
		"application/x-ndjson, text/csv": linesMedia, "text/csv, application/json": csvMedia,
		"application/*": jsonMedia, "*/*;q=0": jsonMedia,
	} {
		got := a.guest.download(tablesPath(inst, "app"), "Accept", accept)
		equal(t, accept, got.header.Get("Content-Type"), want)
		got = a.guest.download(tablesPath(inst, "app")+"?format=ndjson", "Accept", accept)
		equal(t, "named, "+accept, got.header.Get("Content-Type"), linesMedia)
	}
}

// TestTableSizesExport_WhileSaving reads slowly while a refresh saves: the export is consistent and the refresh does
// not wait.
func TestTableSizesExport_WhileSaving(t *testing.T) {
	onBothStores(t, func(a *app) {
		const count = 7000 // more than the store reads at a time
		inst := a.serverInstance("pg", models.PostgreSQL)
		a.snapshotOf(inst, "app", models.TableResult{Complete: true, Tables: manyTables(count)})
		path := tablesPath(inst, "app")
		before := a.guest.get(path + "?limit=1").at("collected_at").(string)
		answer := a.guest.stream(path+"?format=ndjson&sort=name", func() {
			a.snapshotOf(inst, "app", models.TableResult{Complete: true, Tables: manyTables(10)})
			a.guest.get(path).want(http.StatusOK, readTable).wantAt("total", 10)
		})
		equal(a, "rows of the moment", strings.Count(answer.Body.String(), "\n"), count)
		equal(a, "X-Total-Count", answer.Header().Get("X-Total-Count"), strconv.Itoa(count))
		equal(a, "X-Collected-At", answer.Header().Get("X-Collected-At"), before)
		equal(a, "last", strings.Contains(answer.Body.String(), fmt.Sprintf("table_%06d", count-1)), true)
	})
}

// TestTableSizesExport_DeletedMeanwhile expects a 404, since a file without rows would mean that there is no table.
func TestTableSizesExport_DeletedMeanwhile(t *testing.T) {
	onBothStores(t, func(a *app) {
		inst := a.serverInstance("pg", models.PostgreSQL)
		a.snapshotOf(inst, "app", models.TableResult{Complete: true, Tables: manyTables(10)})
		other := a.serverInstance("other", models.PostgreSQL)
		a.snapshotOf(other, "app", models.TableResult{Complete: true, Tables: manyTables(1)})
		answer := make(chan file, 1)
		a.whileExportsWait(other, "app", func() {
			go func() { answer <- a.guest.download(tablesPath(inst, "app") + "?format=csv") }()
			// Nothing shows that the request waits for its export. The answer is the same if it does not yet.
			time.Sleep(300 * time.Millisecond)
			id := strings.TrimPrefix(inst, "/instances/")
			a.admin.post("/instances/batch-delete", obj{"instance_ids": []any{id}, "deletion_mode": "hard"}).
				want(http.StatusOK, "成功删除 1 个实例")
		})
		got := <-answer
		equal(a, "status", got.status, http.StatusNotFound)
		equal(a, "answer", strings.Contains(got.text, "实例不存在"), true)
		equal(a, "Content-Disposition", got.header.Get("Content-Disposition"), "")
	})
}

// whileExportsWait calls do while the largest number of concurrent exports read the database.
func (a *app) whileExportsWait(instance, database string, do func()) {
	a.Helper()
	q := models.TableQuery{DatabaseID: a.databaseID(instance, database)}
	// The store returns it while waiting for a free export; a slow one fails otherwise.
	noPlace := errors.New("no place for another export")
	var nested func(models.TableExport) error
	nested = func(models.TableExport) error {
		// On a loaded machine an attempt may begin after its time is over, so that only the second refusal counts.
		refused := 0
		for patience := 200 * time.Millisecond; do != nil; patience *= 2 {
			short, cancel := context.WithTimeoutCause(a.Context(), patience, noPlace)
			err := a.store.ExportTables(short, q, nested)
			cancel()
			switch {
			case do == nil:
			case errors.Is(err, noPlace):
				if refused++; refused == 2 {
					do()
					do = nil
				}
			case !errors.Is(err, context.DeadlineExceeded):
				check(a, err)
			}
		}
		return nil
	}
	check(a, a.store.ExportTables(a.Context(), q, nested))
}

// TestTableSizesExport_BrokenOff checks that a truncated file cannot be taken for the whole, compressed or not.
func TestTableSizesExport_BrokenOff(t *testing.T) {
	t.Parallel()
	server := testenv.StartPostgreSQL(t)
	a := newApp(t, server.NewDatabase(t))
	const count = 7000
	inst := a.serverInstance("pg", models.PostgreSQL)
	a.snapshotOf(inst, "app", models.TableResult{Complete: true, Tables: manyTables(count)})
	for _, encoding := range []string{"", "gzip"} {
		broken := func() (reason any) {
			defer func() { reason = recover() }()
			a.guest.stream(tablesPath(inst, "app")+"?format=csv", func() {
				server.Exec(t, "postgres",
					"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'")
			}, "Accept-Encoding", encoding)
			return nil
		}()
		equal(t, encoding+" ended with", broken, any(http.ErrAbortHandler))
		a.guest.get(tablesPath(inst, "app")+"?limit=1").want(http.StatusOK, readTable).wantAt("total", count)
	}
}

func unzipped(t testing.TB, packed string) string {
	t.Helper()
	z, err := gzip.NewReader(strings.NewReader(packed))
	check(t, err)
	text, err := io.ReadAll(z)
	check(t, err)
	return string(text)
}

func TestCompress(t *testing.T) {
	t.Parallel()
	a := newApp(t, t.TempDir()+"/store.db")
	inst := a.serverInstance("pg", models.PostgreSQL)
	a.snapshotOf(inst, "big", models.TableResult{Complete: true, Tables: manyTables(1500)})
	a.snapshotOf(inst, "small", models.TableResult{Complete: true, Tables: manyTables(1)})
	big, small := "/api/v1"+tablesPath(inst, "big"), "/api/v1"+tablesPath(inst, "small")
	for _, address := range []string{big, big + "?format=csv", big + "?format=ndjson", inst, staticAddress(a)} {
		whole := a.guest.read(http.MethodGet, address)
		packed := a.guest.read(http.MethodGet, address, "Accept-Encoding", "br, gzip;q=0.5")
		equal(t, address+" unasked", whole.header.Get("Content-Encoding"), "")
		equal(t, address, packed.header.Get("Content-Encoding"), "gzip")
		equal(t, address+" length", len(timeless(unzipped(t, packed.text))), len(timeless(whole.text)))
		for _, f := range []file{whole, packed} {
			equal(t, address+" vary", strings.Contains(strings.Join(f.header.Values("Vary"), ","), "Accept-Encoding"), true)
		}
	}
	for accept, want := range map[string]string{
		"gzip": "gzip", "gzip;q=0": "", "*": "gzip", "*;q=0": "", "gzip;q=0, *": "", "identity, gzip;q=0.0": "", "x": "",
		"": "", "GZIP": "gzip",
	} {
		equal(t, "Accept-Encoding: "+accept,
			a.guest.read(http.MethodGet, big, "Accept-Encoding", accept).header.Get("Content-Encoding"), want)
	}
	for _, address := range []string{small + "?format=csv", small + "?format=ndjson", small, "/healthz"} {
		equal(t, address, a.guest.read(http.MethodGet, address, "Accept-Encoding", "gzip").header.Get("Content-Encoding"), "")
	}
	for _, address := range []string{big, big + "?format=csv", small} {
		head := a.guest.read(http.MethodHead, address, "Accept-Encoding", "gzip")
		equal(t, "HEAD", fmt.Sprintf("%d %d", head.status, len(head.text)), "200 0")
		kept := a.guest.read(http.MethodGet, address, "Accept-Encoding", "gzip", "If-None-Match", head.header.Get("ETag"))
		equal(t, "kept", fmt.Sprintf("%d %d %s", kept.status, len(kept.text), kept.header.Get("Content-Encoding")), "304 0 ")
	}
}

var answerTime = regexp.MustCompile(`"timestamp":"[^"]*"`)

// timeless returns an answer without its timestamp.
func timeless(text string) string { return answerTime.ReplaceAllString(text, "") }

// staticAddress returns the address of the style sheet.
func staticAddress(a *app) string {
	href, _ := a.guest.visit("/instances").doc.Find("link[rel=stylesheet]").First().Attr("href")
	return href
}

// flushed is an answer with its length at each flush.
type flushed struct {
	*httptest.ResponseRecorder
	at        []int
	deadlines int
	first     func() // runs at the first flush, before the client has read the rest
}

func (f *flushed) Flush() {
	if f.at = append(f.at, f.Body.Len()); len(f.at) == 1 {
		f.first()
	}
}

func (f *flushed) SetWriteDeadline(time.Time) error { f.deadlines++; return nil }

// stream reads an answer of the API as the handler sends it. Headers are name, value pairs.
func (c *client) stream(path string, first func(), headers ...string) *flushed {
	c.Helper()
	server, err := url.Parse(c.url)
	check(c, err)
	request := httptest.NewRequestWithContext(c.Context(), http.MethodGet, c.url+"/api/v1"+path, http.NoBody)
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	for _, cookie := range c.http.Jar.Cookies(server) {
		request.AddCookie(cookie)
	}
	answer := &flushed{ResponseRecorder: httptest.NewRecorder(), first: first}
	c.handler.ServeHTTP(answer, request)
	return answer
}

// TestTableSizesExport_Streaming checks that neither rows nor compression are held back until the end.
func TestTableSizesExport_Streaming(t *testing.T) {
	t.Parallel()
	a := newApp(t, t.TempDir()+"/store.db")
	inst := a.serverInstance("pg", models.PostgreSQL)
	const count = 2500
	a.snapshotOf(inst, "app", models.TableResult{Complete: true, Tables: manyTables(count)})
	for _, format := range []string{"csv", "ndjson"} {
		for _, encoding := range []string{"", "gzip"} {
			answer := a.guest.stream(tablesPath(inst, "app")+"?format="+format, func() {}, "Accept-Encoding", encoding)
			equal(t, "flushes", len(answer.at), count/1000)
			equal(t, "deadlines", answer.deadlines, count/1000+2)
			var first io.Reader = bytes.NewReader(answer.Body.Bytes()[:answer.at[0]])
			if encoding == "gzip" {
				unpacked, err := gzip.NewReader(first)
				check(t, err)
				first = unpacked
			}
			text, _ := io.ReadAll(first) // a gzip stream without its end
			lines := strings.Count(string(text), "\n") - strings.Count(string(text), "schema_name,")
			equal(t, format+encoding+": rows at the first flush", lines, 1000)
		}
	}
}
