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

// walkTables is how many tables a refresh is watched of, unless WALK_TABLES names another number.
const walkTables = 2500

// serverStops is how long after a cancellation the monitored server may still work for us.
const serverStops = 5 * time.Second

// watched is a database of many tables, and how the monitored server knows who reads it.
type watched struct {
	engine         string // as the form calls it
	database       string
	user, password string
	readers        string // counts our sessions on the server
	ask            *sql.DB
	host           string
	port           int
}

// TestWalk_Refresh sees a refresh of many tables run, cancels it, runs it again and sees it finish, on both engines.
// The network to the server is slow where something is to be seen, and else as fast as it is.
func TestWalk_Refresh(t *testing.T) {
	t.Parallel()
	const slow = 500 * time.Millisecond
	tables := walkTables
	if n, err := strconv.Atoi(os.Getenv("WALK_TABLES")); err == nil {
		tables = n
	}
	for name, server := range map[string]func(*testing.T, int) watched{"PostgreSQL": manyOnPostgres, "MariaDB": manyOnMariaDB} {
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
			w.beginAndLeave()
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

// fill runs the batches over several connections at once.
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

const fillBatch = 500

func manyOnPostgres(t *testing.T, tables int) watched {
	server := testenv.StartPostgreSQL(t, "max_locks_per_transaction=512", "autovacuum=off")
	server.Exec(t, "postgres", "CREATE DATABASE many", "CREATE ROLE reader LOGIN PASSWORD 'Reads1only' IN ROLE pg_monitor")
	db, err := sql.Open("pgx", server.URL("many"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	var batches []string
	for from := 0; from < tables; from += fillBatch {
		batches = append(batches, fmt.Sprintf(`DO $$ BEGIN FOR i IN %d..%d LOOP
			EXECUTE format('CREATE TABLE order_%%s AS SELECT g AS id FROM generate_series(1, %%s) g', to_char(i, 'FM000000'), CASE i %% 10 WHEN 0 THEN i %% 1000 ELSE 0 END);
			END LOOP; END $$`, from, min(from+fillBatch, tables)-1))
	}
	fill(t, db, batches)
	return watched{
		engine: "postgresql", database: "many", user: "reader", password: "Reads1only", host: server.Host, port: server.Port, ask: db,
		readers: "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'whalefall' AND state = 'active'",
	}
}

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
		engine: "mysql", database: "many", user: "reader", password: "Reads1only", host: server.Host, port: server.Port, ask: db,
		readers: "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE USER = 'reader' AND COMMAND = 'Query'",
	}
}

func (w *walk) addWatched(s watched) {
	w.t.Helper()
	w.open(w.app.URL + "/instances/new")
	w.fill(`input[name=name]`, "订单库_"+s.engine)
	if s.engine != "postgresql" { // which is chosen already
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

// beginAndLeave starts a refresh, closes the modal and opens it again: the refresh goes on.
func (w *walk) beginAndLeave() {
	w.t.Helper()
	w.click(w.row() + " a[data-primary]")
	w.see("#modal [data-empty=never]")
	w.click("#tables-refresh")
	w.see("#run-figures progress")
	if got := w.text("#tables-refresh"); got != "刷新中..." {
		w.t.Errorf("the button says %q", got)
	}
	if focused := ask[string](w.browser, `document.activeElement.id`); focused != "tables-refresh" {
		w.t.Errorf("the focus is at %q", focused)
	}
	w.see("#modal [data-empty=never]")
	w.press("\x1b")
	w.until(`!document.querySelector("#modal-dialog").open`)
	w.click(w.row() + " a[data-primary]")
	w.see("#modal #run-figures progress")
	w.until(`["connecting", "querying"].includes(document.querySelector("#run-figures").dataset.stage)`)
	w.look("refresh-first")
}

// cancelRefresh waits a while at the button, which must stay where it is, and cancels.
func (w *walk) cancelRefresh(s watched) {
	w.t.Helper()
	w.run(`document.querySelector("#run-cancel").focus(); window.polls = 0;
		document.addEventListener("htmx:afterSwap", e => { if (e.detail.target.id == "run-figures") window.polls++; })`)
	w.until(`window.polls >= 2`)
	if focused := ask[string](w.browser, `document.activeElement.id`); focused != "run-cancel" {
		w.t.Errorf("polling moved the focus to %q", focused)
	}
	w.click("#run-cancel")
	w.see("[data-run-status=cancelled]")
	if got := w.text("#tables-run"); !strings.Contains(got, "已取消") || !strings.Contains(got, "重新刷新") {
		w.t.Errorf("the foot says %q", got)
	}
	if focused := ask[string](w.browser, `document.activeElement.id`); focused != "tables-refresh" {
		w.t.Errorf("the focus is at %q", focused)
	}
	w.look("refresh-cancelled")
	eventually(w.t, serverStops, "no statement of ours on the server", func() bool {
		var n int
		if err := s.ask.QueryRowContext(w.t.Context(), s.readers).Scan(&n); err != nil {
			w.t.Fatal(err)
		}
		return n == 0
	})
}

// runAgain does so by the key, and sees all tables come.
func (w *walk) runAgain(tables int) {
	w.t.Helper()
	w.watch()
	began := time.Now()
	w.run(`document.querySelector("#modal-title").focus()`)
	w.press("r")
	w.until(`!!document.querySelector("#toasts .toast.success")`)
	w.t.Logf("%d tables: refreshed in %v; the page showed %s", tables, time.Since(began).Round(10*time.Millisecond), w.watchedSteps())
	w.wantWritten(tables)
	w.see("#tables-view tbody tr")
	w.gone("#run-figures")
	if got := w.text("#tables-refresh"); got != "刷新" {
		w.t.Errorf("the button says %q", got)
	}
}

// watch notes what the foot of the tables shows from now on.
func (w *walk) watch() {
	w.t.Helper()
	w.run(`window.steps = []; window.seen = new MutationObserver(() => {
		const text = document.querySelector("#run-figures")?.innerText.replace(/\s+/g, " ");
		if (text && steps.at(-1) != text) steps.push(text);
	}); seen.observe(document.querySelector("#tables-run"), {childList: true, subtree: true})`)
}

func (w *walk) watchedSteps() string {
	w.t.Helper()
	return strings.Join(ask[[]string](w.browser, `(() => { seen.disconnect(); return steps })()`), " | ")
}

func (w *walk) wantWritten(tables int) {
	w.t.Helper()
	want := fmt.Sprintf("刷新成功: 写入 %d 条, 清理 0 条, 耗时", tables)
	if got := w.text("#toasts .toast.success"); !strings.HasPrefix(got, want) {
		w.t.Errorf("the toast says %q, want %s…", got, want)
	}
}

// readMeanwhile refreshes once more and reads the old rows below, sorted and filtered, while that goes on.
func (w *walk) readMeanwhile() {
	w.t.Helper()
	w.click("#tables-refresh")
	w.see("#run-figures [data-run-remaining]")
	w.until(`document.querySelector("#run-figures").dataset.stage != "queued"`)
	w.look("refresh-running")
	w.fill("#filter-table", "ORDER_0000")
	w.until(`location.search.includes("q=ORDER_0000") && document.querySelectorAll("#tables-view tbody tr").length == 50`)
	w.see("#run-figures progress")
	w.resize(1280, 800)
	if ask[bool](w.browser, `document.querySelector("#modal-dialog").scrollWidth > document.querySelector("#modal-dialog").clientWidth`) {
		w.t.Error("the modal is wider than it is")
	}
	w.look("refresh-running-1280")
	w.resize(1440, 900)
}

func (w *walk) finish(tables int) {
	w.t.Helper()
	w.until(`!!document.querySelector("#toasts .toast.success")`)
	w.wantWritten(tables)
	w.until(`document.querySelectorAll("#tables-view tbody tr").length == 50 && location.search.includes("q=ORDER_0000")`)
	w.look("refresh-finished")
}

// readReceipts follows the snapshot's time to its receipt, and from there to all of the instance's.
func (w *walk) readReceipts(s watched) {
	w.t.Helper()
	w.click(".receipt-link")
	w.until(`/^\/refreshes\/\d+$/.test(location.pathname)`)
	w.see("#run-detail .status.succeeded")
	w.look("receipt")
	w.click("#run-panel .panel-foot [data-close]")
	w.until(`location.pathname == "` + w.instance + `/runs"`)
	states := ask[[]string](w.browser, `[...document.querySelectorAll("#run-list tbody tr")].map(r => r.dataset.runStatus)`)
	if got := strings.Join(states, " "); got != "succeeded succeeded cancelled succeeded" {
		w.t.Errorf("the log has %s", got)
	}
	w.look("receipts")
	w.resize(1280, 800)
	if ask[bool](w.browser, `document.querySelector("#run-list .table-wrap").scrollWidth > document.querySelector("#run-list .table-wrap").clientWidth`) {
		w.t.Error("the log is wider than 1280 pixels leave room for")
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
