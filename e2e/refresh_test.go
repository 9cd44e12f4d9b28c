package e2e

import (
	"database/sql"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"whalefall/cli/clitest"
	"whalefall/testenv"
)

// walkTables is the number of tables in the refreshed database, unless WALK_TABLES is set.
const walkTables = 2500

// serverStops is how long after a cancellation the monitored server may still run a statement of ours.
const serverStops = 5 * time.Second

// watched is a database with many tables, and how to find our sessions on its server.
type watched struct {
	engine         string // value of the form's field
	database       string
	user, password string
	readers        string  // counts our sessions that run a statement
	admin          *sql.DB // runs readers
	host           string
	port           int
}

// TestWalk_Refresh watches a refresh of many tables, cancels it, and watches others until they finish, on two engines.
// The network to the server is slow while the walk looks at a running refresh.
func TestWalk_Refresh(t *testing.T) {
	t.Parallel()
	const slow = 500 * time.Millisecond
	tables := walkTables
	if n, err := strconv.Atoi(os.Getenv("WALK_TABLES")); err == nil {
		tables = n
	}
	for name, server := range map[string]func(*testing.T, int) watched{
		"PostgreSQL": manyOnPostgres,
		"MariaDB":    manyOnMariaDB,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := server(t, tables)
			proxy := testenv.NewProxy(t, s.host, s.port)
			s.host, s.port = proxy.Host, proxy.Port
			a := clitest.Start(t, "--data-dir", t.TempDir())
			w := walk{browser: newBrowser(t), app: a, lang: "zh-CN", theme: "light", database: s.database}
			w.logIn("admin", a.Password)
			w.addWatched(s)
			w.click("#sync-capacity")
			w.see(w.row())
			proxy.Delay(slow)
			w.startAndLeave()
			w.cancelRefresh(s)
			proxy.Delay(0)
			w.runAgain(tables)
			proxy.Delay(slow)
			w.readMeanwhile()
			proxy.Delay(0)
			w.finish(tables)
			w.readReceipts(s)
			w.quiet()
		})
	}
}

// fill runs the batches over four connections at a time.
func fill(t *testing.T, db *sql.DB, batches []string) {
	t.Helper()
	var work sync.WaitGroup
	next := make(chan string)
	for range 4 {
		work.Go(func() {
			for batch := range next {
				if _, err := db.ExecContext(t.Context(), batch); err != nil {
					t.Error(err)
				}
			}
		})
	}

	for _, batch := range batches {
		next <- batch
	}
	close(next)
	work.Wait()
	if t.Failed() {
		t.FailNow()
	}
}

// fillBatch is the number of tables that one statement of fill creates.
const fillBatch = 500

// manyOnPostgres starts a PostgreSQL server with a database of many tables.
func manyOnPostgres(t *testing.T, tables int) watched {
	server := testenv.StartPostgreSQL(t, "max_locks_per_transaction=512", "autovacuum=off")
	server.Exec(t, "postgres",
		"CREATE DATABASE many", "CREATE ROLE reader LOGIN PASSWORD 'Reads1only' IN ROLE pg_monitor")
	db, err := sql.Open("pgx", server.URL("many"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	var batches []string
	for from := 0; from < tables; from += fillBatch {
		batches = append(batches, fmt.Sprintf(`DO $$ BEGIN FOR i IN %d..%d LOOP
			EXECUTE format('CREATE TABLE order_%%s AS SELECT g AS id FROM generate_series(1, %%s) g',
				to_char(i, 'FM000000'), CASE i %% 10 WHEN 0 THEN i %% 1000 ELSE 0 END);
			END LOOP; END $$`, from, min(from+fillBatch, tables)-1))
	}
	fill(t, db, batches)
	return watched{
		engine: "postgresql", database: "many", user: "reader", password: "Reads1only",
		host: server.Host, port: server.Port, admin: db,
		readers: "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'whalefall' AND state = 'active'",
	}
}

// manyOnMariaDB starts a MariaDB server with a database of many tables.
func manyOnMariaDB(t *testing.T, tables int) watched {
	server := testenv.StartMySQL(t)
	server.Exec(t, "", "CREATE DATABASE many",
		"CREATE USER reader IDENTIFIED BY 'Reads1only'", "GRANT SELECT, PROCESS ON *.* TO reader")
	db := server.DB(t)
	var batches []string
	for from := 0; from < tables; from += fillBatch {
		var batch strings.Builder
		for i := from; i < min(from+fillBatch, tables); i++ {
			fmt.Fprintf(&batch, "CREATE TABLE many.order_%06d (id INT);", i)
		}
		batches = append(batches, batch.String())
	}
	fill(t, db, batches)
	return watched{
		engine: "mysql", database: "many", user: "reader", password: "Reads1only",
		host: server.Host, port: server.Port, admin: db,
		readers: "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE USER = 'reader' AND COMMAND = 'Query'",
	}
}

// addWatched adds the server as an instance.
func (w *walk) addWatched(s watched) {
	w.t.Helper()
	w.open(w.app.URL + "/instances/new")
	w.fill(`input[name=name]`, "订单库_"+s.engine)
	if s.engine != "postgresql" { // the default
		w.choose("#instance-type", s.engine)
		w.until(`document.querySelector("input[name=shown_type]").value == "` + s.engine + `"`)
	}
	w.fill(`input[name=host]`, s.host)
	w.fill(`input[name=port]`, strconv.Itoa(s.port))
	w.fill(`input[name=username]`, s.user)
	w.fill(`input[name=password]`, s.password)
	w.click("#instance-save")
	w.until(`/^\/instances\/\d+$/.test(location.pathname)`)
	w.instance = w.address()
}

// startAndLeave starts a refresh, closes the modal and opens it again: the refresh continues.
func (w *walk) startAndLeave() {
	w.t.Helper()
	w.click(w.row() + " a[data-primary]")
	w.see("#modal [data-empty=never]")
	w.click("#tables-refresh")
	w.see("#run-figures progress")
	if got := w.text("#tables-refresh"); got != "刷新中..." {
		w.t.Errorf("refresh button: got %q, want 刷新中...", got)
	}
	if focused := evaluate[string](w.browser, `document.activeElement.id`); focused != "tables-refresh" {
		w.t.Errorf("focus: got %q, want tables-refresh", focused)
	}
	w.see("#modal [data-empty=never]")
	w.press("\x1b")
	w.until(`!document.querySelector("#modal-dialog").open`)
	w.click(w.row() + " a[data-primary]")
	w.see("#modal #run-figures progress")
	w.until(`["connecting", "querying"].includes(document.querySelector("#run-figures").dataset.stage)`)
	w.look("refresh-first")
}

// cancelRefresh waits with the focus on the button, which polling must not take away, and cancels.
func (w *walk) cancelRefresh(s watched) {
	w.t.Helper()
	w.run(`document.querySelector("#run-cancel").focus(); window.polls = 0;
		document.addEventListener("htmx:afterSwap", e => { if (e.detail.target.id == "run-figures") window.polls++; })`)
	w.until(`window.polls >= 2`)
	if focused := evaluate[string](w.browser, `document.activeElement.id`); focused != "run-cancel" {
		w.t.Errorf("focus after polling: got %q, want run-cancel", focused)
	}
	w.click("#run-cancel")
	w.see("[data-run-status=cancelled]")
	if got := w.text("#tables-run"); !strings.Contains(got, "已取消") || !strings.Contains(got, "重新刷新") {
		w.t.Errorf("below the tables: got %q, want 已取消 and 重新刷新 in it", got)
	}
	if focused := evaluate[string](w.browser, `document.activeElement.id`); focused != "tables-refresh" {
		w.t.Errorf("focus: got %q, want tables-refresh", focused)
	}
	w.look("refresh-cancelled")
	eventually(w.t, serverStops, "the server runs no statement of ours", func() bool {
		var n int
		if err := s.admin.QueryRowContext(w.t.Context(), s.readers).Scan(&n); err != nil {
			w.t.Fatal(err)
		}
		return n == 0
	})
}

// runAgain refreshes by pressing a key, and expects all tables.
func (w *walk) runAgain(tables int) {
	w.t.Helper()
	w.watch()
	start := time.Now()
	w.run(`document.querySelector("#modal-title").focus()`)
	w.press("r")
	w.until(`!!document.querySelector("#toasts .toast.success")`)
	took := time.Since(start).Round(10 * time.Millisecond)
	w.t.Logf("%d tables: refreshed in %v; the page showed %s", tables, took, w.watchedSteps())
	w.wantWritten(tables)
	w.see("#tables-view tbody tr")
	w.gone("#run-figures")
	if got := w.text("#tables-refresh"); got != "刷新" {
		w.t.Errorf("refresh button: got %q, want 刷新", got)
	}
}

// watch records the progress that the page shows from now on.
func (w *walk) watch() {
	w.t.Helper()
	w.run(`window.steps = []; window.seen = new MutationObserver(() => {
		const text = document.querySelector("#run-figures")?.innerText.replace(/\s+/g, " ");
		if (text && steps.at(-1) != text) steps.push(text);
	}); seen.observe(document.querySelector("#tables-run"), {childList: true, subtree: true})`)
}

// watchedSteps returns what watch has recorded, and ends it.
func (w *walk) watchedSteps() string {
	w.t.Helper()
	return strings.Join(evaluate[[]string](w.browser, `(() => { seen.disconnect(); return steps })()`), " | ")
}

// wantWritten checks the toast of a refresh that stored this many tables.
func (w *walk) wantWritten(tables int) {
	w.t.Helper()
	want := fmt.Sprintf("刷新成功: 写入 %d 条, 清理 0 条, 耗时", tables)
	if got := w.text("#toasts .toast.success"); !strings.HasPrefix(got, want) {
		w.t.Errorf("toast: got %q, want %q at its beginning", got, want)
	}
}

// readMeanwhile starts a refresh, and filters the rows of the last one while it runs. The checks that need a running
// refresh come before those that take long.
func (w *walk) readMeanwhile() {
	w.t.Helper()
	w.click("#tables-refresh")
	w.see("#run-figures [data-run-remaining]")
	w.until(`document.querySelector("#run-figures").dataset.stage != "queued"`)
	w.fill("#filter-table", "ORDER_0000")
	w.until(`location.search.includes("q=ORDER_0000") &&
		document.querySelectorAll("#tables-view tbody tr").length == 50`)
	w.see("#run-figures progress")
	w.look("refresh-running")
	w.resize(1280, 800)
	if w.overflows("#modal-dialog") {
		w.t.Error("the content of the modal is wider than the modal")
	}
	w.look("refresh-running-1280")
	w.resize(1440, 900)
}

// finish waits for the end of the refresh that readMeanwhile started: the filter still applies.
func (w *walk) finish(tables int) {
	w.t.Helper()
	w.until(`!!document.querySelector("#toasts .toast.success")`)
	w.wantWritten(tables)
	w.until(`document.querySelectorAll("#tables-view tbody tr").length == 50 &&
		location.search.includes("q=ORDER_0000")`)
	w.look("refresh-finished")
}

// readReceipts follows the link of the snapshot's time to its receipt, and from there to the instance's collection log.
func (w *walk) readReceipts(s watched) {
	w.t.Helper()
	w.click(".receipt-link")
	w.until(`/^\/refreshes\/\d+$/.test(location.pathname)`)
	w.see("#run-detail .status.succeeded")
	w.look("receipt")
	w.click("#run-panel .panel-foot [data-close]")
	w.until(`location.pathname == "` + w.instance + `/runs"`)
	w.see("#run-list tbody tr")
	states := evaluate[[]string](w.browser,
		`[...document.querySelectorAll("#run-list tbody tr")].map(r => r.dataset.runStatus)`)
	const want = "succeeded succeeded cancelled succeeded"
	if got := strings.Join(states, " "); got != want {
		w.t.Errorf("collection log: got %s, want %s", got, want)
	}
	w.look("receipts")
	w.resize(1280, 800)
	if w.overflows("#run-list .table-wrap") {
		w.t.Error("the collection log does not fit into a window of 1280 pixels")
	}
	w.look("receipts-1280")
	w.resize(1440, 900)
	w.choose("#run-filter select[name=status]", "cancelled")
	w.until(`document.querySelectorAll("#run-list tbody tr").length == 1`)
	w.click("#run-list tbody a[data-primary]")
	w.see("#modal #run-detail .notice")
	w.look("receipt-cancelled")
	w.open(w.app.URL + "/preferences?lang=en&theme=dark")
	w.open(w.app.URL + w.instance + "/runs")
	w.look("receipts-en-dark")
	w.open(w.app.URL + w.instance + "/databases/" + s.database + "/tables")
	w.click("#tables-refresh")
	w.see("#run-figures progress, #toasts .toast")
	w.look("refresh-en-dark")
}
