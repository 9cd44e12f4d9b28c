package e2e

import (
	"database/sql"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // asks the monitored server directly

	"whalefall/cli/clitest"
	"whalefall/testenv"
)

// hostileNames are table names that a careless program would break on.
var hostileNames = []string{
	`a"b`, `<script>alert(1)</script>`, `x'; DROP TABLE y; --`, `100%_`, `a/b`,
	strings.Repeat("鲸", 21), `Case`, `case`, "two\nlines",
}

// fixture fills a database with ordinary, hostile, partitioned and empty tables.
func fixture(t *testing.T, server *testenv.PostgreSQLServer, database string) {
	t.Helper()
	var text strings.Builder
	for i, name := range hostileNames {
		quoted := `"` + strings.ReplaceAll(name, `"`, `""`) + `"`
		fmt.Fprintf(&text, "CREATE TABLE %s AS SELECT g AS id, repeat('x', 50) AS filler"+
			" FROM generate_series(1, %d) AS g;\n", quoted, 300*(i+1))
		fmt.Fprintf(&text, "CREATE INDEX ON %s (id);\n", quoted)
	}
	for i := range 60 {
		fmt.Fprintf(&text, "CREATE TABLE plain_%02d (id int PRIMARY KEY, note text);\n", i)
	}
	text.WriteString(`
		CREATE TABLE logs (day date NOT NULL, line text) PARTITION BY RANGE (day);
		CREATE TABLE logs_1 PARTITION OF logs FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
		CREATE TABLE logs_2 PARTITION OF logs FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
		INSERT INTO logs SELECT date '2026-01-01' + g % 50, repeat('y', 100) FROM generate_series(1, 5000) AS g;
		ANALYZE;`)
	server.Exec(t, database, text.String())
}

// serverSizes asks the server for total, data and index size in bytes of every table that is not a partition.
func serverSizes(t *testing.T, address string) map[string][3]int64 {
	t.Helper()
	db, err := sql.Open("pgx", address)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.QueryContext(t.Context(), `
		SELECT c.relname, sum(pg_total_relation_size(p.relid)), sum(pg_table_size(p.relid)), sum(pg_indexes_size(p.relid))
		FROM pg_class c CROSS JOIN LATERAL (
			SELECT relid FROM pg_partition_tree(c.oid) UNION SELECT c.oid) p
		WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relnamespace = 'public'::regnamespace
		GROUP BY c.relname`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	sizes := map[string][3]int64{}
	for rows.Next() {
		var name string
		var s [3]int64
		if err := rows.Scan(&name, &s[0], &s[1], &s[2]); err != nil {
			t.Fatal(err)
		}
		sizes[name] = s
	}
	if err := rows.Err(); err != nil || len(sizes) == 0 {
		t.Fatalf("got %d tables and error %v", len(sizes), err)
	}
	return sizes
}

// exactBytes is a JavaScript function that returns the digits of a cell's size in bytes, from its tooltip or, without
// one, from its text. It returns "" if the size is unknown.
const exactBytes = `cell => /^(-?[\d,]+) B/.exec(cell.title || cell.innerText)?.[1].replaceAll(",", "") ?? ""`

// shownSizes reads name, total, data and index of every row in the open table list.
func shownSizes(b *browser) map[string][3]int64 {
	rows := evaluate[[][]string](b, `[...document.querySelectorAll("#tables-view tbody tr")].map(r =>
		[r.dataset.table, ...[...r.cells].slice(2, 5).map(`+exactBytes+`)])`)
	sizes := map[string][3]int64{}
	for _, r := range rows {
		var s [3]int64
		for i := range s {
			n, err := strconv.ParseInt(r[i+1], 10, 64)
			if err != nil {
				b.t.Fatalf("row %q: %v", r, err)
			}
			s[i] = n
		}
		sizes[r[0]] = s
	}
	return sizes
}

// words are texts that the pages must contain in each language; the empty ones are not checked.
var words = map[string]struct{ login, sync, tables, never, refreshed, deleted string }{
	"zh-CN": {"登录", "同步容量", "表容量", "暂无表容量快照", "刷新成功: 写入 72 条, 清理 0 条, 耗时", "已移入回收站"},
	"en":    {"Log in", "Sync capacity", "Table sizes", "", "", ""},
}

// TestWalk_MainJob adds an instance, syncs it, and refreshes and reads its tables, in both languages and both themes,
// on a real PostgreSQL server that stops and restarts in between.
func TestWalk_MainJob(t *testing.T) {
	t.Parallel()
	for _, lang := range []string{"zh-CN", "en"} {
		for _, theme := range []string{"light", "dark"} {
			t.Run(lang+"-"+theme, func(t *testing.T) {
				t.Parallel()
				const database = "walk"
				server := testenv.StartPostgreSQL(t, "autovacuum=off")
				server.Exec(t, "postgres", "CREATE DATABASE "+database)
				fixture(t, server, database)
				serverSizes(t, server.URL(database)) // the first connection writes a cache file, which counts as part of it
				w := walk{
					browser: newBrowser(t), app: clitest.Start(t, "--data-dir", t.TempDir(), clitest.PrintPassword),
					server: server, database: database, lang: lang, theme: theme,
				}
				w.submitLogin("admin", w.app.Password)
				w.choosePassword("Another1Horse")
				w.addInstance()
				w.syncCapacity()
				w.refreshTables()
				w.filterSortAndPage()
				w.openByDoubleClick()
				w.restartServer()
				w.deleteAndRestore()
				w.checkUserRole()
			})
		}
	}
}

// walk is one user's way through the pages of a running WhaleFall.
type walk struct {
	*browser
	app                   *clitest.App
	server                *testenv.PostgreSQLServer
	database, lang, theme string
	instance              string // path of the page of the instance added last
}

// logIn sets language and theme, and logs in after a wrong password.
func (w *walk) logIn(name, password string) {
	w.t.Helper()
	w.submitLogin(name, password)
	w.seeInstances()
	w.quiet("401")
}

// seeInstances waits for the list of instances, the first page after the login.
func (w *walk) seeInstances() {
	w.t.Helper()
	w.until(`location.pathname == "/instances"`)
	w.see("#instance-list table")
	w.look("instances")
}

// choosePassword changes the password that WhaleFall printed at its first start, before which nothing else is possible.
func (w *walk) choosePassword(password string) {
	w.t.Helper()
	w.see("#password-due")
	w.open(w.app.URL + "/instances/1")
	w.see("#password-due")
	w.look("password-due")
	w.fill("input[name=old_password]", w.app.Password)
	for _, field := range []string{"new_password", "confirm_password"} {
		w.fill("input[name="+field+"]", password)
	}
	w.click("#password-save")
	w.until(`location.pathname == "/instances/1"`)
	w.see("#toasts .toast.success")
	w.open(w.app.URL)
	w.seeInstances()
	w.quiet("401")
}

// submitLogin sets language and theme, and submits the login after a wrong password.
func (w *walk) submitLogin(name, password string) {
	w.t.Helper()
	w.open(w.app.URL + "/")
	w.until(`location.pathname == "/login"`)
	if evaluate[string](w.browser, `document.documentElement.lang`) != w.lang {
		w.click(`a[hreflang="` + w.lang + `"]`)
		w.until(`document.documentElement.lang == "` + w.lang + `"`)
	}
	if evaluate[string](w.browser, `document.documentElement.dataset.theme`) != w.theme {
		w.click(`a[href*="theme=` + w.theme + `"]`)
		w.until(`document.documentElement.dataset.theme == "` + w.theme + `"`)
	}
	if !strings.Contains(w.text("#login-form"), words[w.lang].login) {
		w.t.Errorf("login form: want %q in it", words[w.lang].login)
	}
	w.fill(`input[name=username]`, name)
	w.fill(`input[name=password]`, "wrong")
	w.click("#login-submit")
	w.see("#login-problem .inline-result")
	w.look("login-refused")
	w.fill(`input[name=password]`, password)
	w.click("#login-submit")
}

// addInstance adds the server as an instance, after a test with a wrong password.
func (w *walk) addInstance() {
	w.t.Helper()
	w.click("#add-instance")
	w.see("#modal #instance-form")
	w.fill(`input[name=name]`, "生产库_"+w.lang)
	w.choose("#instance-type", "postgresql")
	w.until(`document.querySelector("input[name=shown_type]").value == "postgresql"`)
	w.fill(`input[name=host]`, w.server.Host)
	w.fill(`input[name=port]`, strconv.Itoa(w.server.Port))
	w.fill(`input[name=username]`, w.server.User)
	w.fill(`input[name=tag_names]`, "prod, 核心")
	w.fill(`textarea[name=description]`, "<b>not bold</b>")
	w.fill(`input[name=password]`, "not the password")
	w.click("#test-connection")
	w.see("#test-result .error")
	w.look("connection-refused")
	w.quiet("409")
	w.fill(`input[name=password]`, w.server.Password)
	w.click("#test-connection")
	w.see("#test-result .success")
	w.look("instance-form")
	w.click("#instance-save")
	w.until(`/^\/instances\/\d+$/.test(location.pathname)`)
	w.instance = w.address()
	w.see("#sync-capacity")
	w.look("instance-never-synced")
	w.quiet()
}

// syncCapacity syncs the instance and compares the size of the database with the server's.
func (w *walk) syncCapacity() {
	w.t.Helper()
	if got := w.text("#sync-capacity"); !strings.Contains(got, words[w.lang].sync) {
		w.t.Errorf("sync button: got %q, want %q in it", got, words[w.lang].sync)
	}
	w.click("#sync-capacity")
	w.see(w.row())
	w.see("#toasts .toast.success")
	shown := evaluate[string](w.browser, `(`+exactBytes+`)(document.querySelector('`+w.row()+` td.size'))`)
	var bytes string
	db, err := sql.Open("pgx", w.server.URL(w.database))
	if err != nil {
		w.t.Fatal(err)
	}
	defer db.Close()
	err = db.QueryRowContext(w.t.Context(), "SELECT pg_database_size($1)", w.database).Scan(&bytes)
	if err != nil || bytes != shown {
		w.t.Errorf("database size: got %s bytes, want %s (error %v)", shown, bytes, err)
	}
	w.look("instance-synced")
	w.fill("#database-search", "no such database")
	w.gone(w.row())
	w.look("databases-filtered-out")
	w.fill("#database-search", strings.ToUpper(w.database))
	w.see(w.row())
	w.quiet()
}

// row selects the row of the database in the list of databases.
func (w *walk) row() string { return `tr[data-database="` + w.database + `"]` }

// refreshTables refreshes the tables for the first time and compares their sizes with the server's.
func (w *walk) refreshTables() {
	w.t.Helper()
	w.click(w.row() + " a[data-primary]")
	w.see(`#modal [data-empty=never]`)
	want := words[w.lang]
	if got := w.text("#modal"); !strings.Contains(got, want.tables) || !strings.Contains(got, want.never) {
		w.t.Errorf("modal: got %q, want %q and %q in it", got, want.tables, want.never)
	}
	w.look("tables-never")
	w.click("#tables-refresh")
	w.see("#tables-view tbody tr")
	if got := w.text("#toasts .toast.success:last-child"); !strings.Contains(got, want.refreshed) {
		w.t.Errorf("toast: got %q, want %q in it", got, want.refreshed)
	}
	if got := w.text("#tables-view [data-position]"); !strings.HasSuffix(got, "/ 70") && !strings.HasSuffix(got, "/ 70 ") {
		w.t.Errorf("position: got %q, want … / 70", got)
	}
	w.look("tables")
	w.open(w.app.URL + w.address())
	w.see("#tables-view tbody tr")
	w.look("tables-own-page")
	shown := shownSizes(w.browser)
	w.click("#tables-view-next")
	w.until(`document.querySelector("#tables-view [aria-current=page]").textContent == "2"`)
	maps.Copy(shown, shownSizes(w.browser))
	if sizes := serverSizes(w.t, w.server.URL(w.database)); !maps.Equal(shown, sizes) {
		w.t.Errorf("sizes in the list: got %v\nwant %v", shown, sizes)
	}
	if evaluate[bool](w.browser, `[...document.scripts].some(s => s.textContent.includes("alert(1)"))`) {
		w.t.Error("a table name was run as a script")
	}
	w.quiet()
}

// filterSortAndPage filters and sorts the list of tables and opens a partitioned one.
func (w *walk) filterSortAndPage() {
	w.t.Helper()
	w.open(w.app.URL + w.instance)
	w.click(w.row() + " a[data-primary]")
	w.fill("#filter-table", "100%_")
	w.until(`document.querySelectorAll("#tables-view tbody tr").length == 1`)
	found := evaluate[string](w.browser, `document.querySelector("#tables-view tbody tr").dataset.table`)
	if found != "100%_" {
		w.t.Errorf("filtered: got %q, want 100%%_", found)
	}
	w.fill("#filter-table", "nothing is called this")
	w.see("#tables-view [data-empty=filtered]")
	w.look("tables-filtered-out")
	w.click("#clear-filter")
	w.until(`document.querySelectorAll("#tables-view tbody tr").length == 50`)
	w.click("#tables-view-sort-name")
	w.until(`document.querySelector("#tables-view-sort-name").closest("th").ariaSort == "ascending"`)
	names := evaluate[[]string](w.browser,
		`[...document.querySelectorAll("#tables-view tbody tr")].map(r => r.dataset.table)`)
	for i := 1; i < len(names); i++ {
		if names[i-1] >= names[i] {
			w.t.Errorf("sorted by name: got %q before %q", names[i-1], names[i])
		}
	}
	if !strings.Contains(w.address(), "sort=name") {
		w.t.Errorf("address: got %s, want sort=name in it", w.address())
	}
	w.fill("#filter-table", "LOGS_")
	w.until(`document.querySelectorAll("#tables-view tbody tr").length == 2`)
	w.fill("#filter-table", " ")
	w.fill("#filter-table", "\b")
	w.see(`tr[data-table=logs] [data-fold]`)
	w.click(`tr[data-table=logs] [data-fold]`)
	w.until(`document.querySelectorAll("tr[data-parent=logs]").length == 2`)
	w.look("tables-partitions")
	w.press("\x1b")
	w.until(`!document.querySelector("#modal-dialog").open && location.pathname == "` + w.instance + `"`)
	w.quiet()
}

// restartServer refreshes while the server is stopped, which changes nothing on the page, and after it has restarted.
func (w *walk) restartServer() {
	w.t.Helper()
	w.click(w.row() + " a[data-primary]")
	w.see("#tables-view tbody tr")
	before, collected := shownSizes(w.browser), w.text("#collected-at")
	w.server.Stop(w.t)
	w.click("#tables-refresh")
	w.see("#toasts .toast.error")
	w.look("refresh-failed")
	if after := shownSizes(w.browser); !maps.Equal(before, after) || w.text("#collected-at") != collected {
		w.t.Error("a failed refresh changed what is shown")
	}
	w.quiet("409")
	w.server.Start(w.t)
	w.server.Exec(w.t, w.database,
		"DROP TABLE plain_00", "CREATE TABLE newcomer AS SELECT generate_series(1, 9000) AS n")
	w.click("#tables-refresh")
	w.until(`document.querySelector("#collected-at").textContent != "` + collected + `"`)
	w.see(`tr[data-table=newcomer]`)
	if got := w.text("#toasts .toast.success:last-child"); !strings.Contains(got, "1") {
		w.t.Errorf("toast: got %q, want 1 in it", got)
	}
	w.filterWhileRefreshing()
	w.resize(1280, 800)
	if evaluate[bool](w.browser, `document.documentElement.scrollWidth > innerWidth`) {
		w.t.Error("the page is wider than 1280 pixels")
	}
	w.resize(400, 800)
	w.look("tables-phone")
	w.resize(1440, 900)
	w.quiet()
}

// filterWhileRefreshing filters between a click on refresh and its response: the filter must still apply afterwards.
// Its request may abort the one that reloads the list after the refresh, which htmx writes to the console.
func (w *walk) filterWhileRefreshing() {
	w.t.Helper()
	w.quiet()
	collected := evaluate[string](w.browser, `document.querySelector("#collected-at").dateTime`)
	w.slow(time.Second)
	w.click("#tables-refresh")
	w.fill("#filter-table", "plain_1")
	w.slow(0)
	w.until(`document.querySelector("#collected-at").dateTime != "` + collected + `"`)
	w.until(`document.querySelectorAll("#tables-view tbody tr").length == 10 &&
		location.search.includes("q=plain_1")`)
	w.fill("#filter-table", " ")
	w.fill("#filter-table", "\b")
	w.see(`tr[data-table=newcomer]`)
	w.quiet("htmx:sendAbort", "htmx:afterRequest, [object HTMLDivElement]") // other failures log a second, named event
}

// openByDoubleClick opens the tables by two quick clicks, of which the second hits the backdrop of the modal, and drags
// out of a field. Neither closes the modal; a click on the backdrop does.
func (w *walk) openByDoubleClick() {
	w.t.Helper()
	w.open(w.app.URL + w.instance)
	link := w.row() + " a[data-primary]"
	w.see(link)
	backdrop := `for (const type of ["pointerdown", "click"]) {
		document.querySelector("#modal-dialog").dispatchEvent(new PointerEvent(type, {bubbles: true}));
	}`
	w.run(`document.querySelector('` + link + `').click();` + backdrop)
	w.see("#tables-view tbody tr")
	w.until(`(window.waited ??= performance.now()) < performance.now() - 500`)
	w.run(`document.querySelector("#filter-table").dispatchEvent(new PointerEvent("pointerdown", {bubbles: true}));
		document.querySelector("#modal-dialog").click()`)
	if !evaluate[bool](w.browser, `document.querySelector("#modal-dialog").open`) {
		w.t.Error("a drag out of a field closed the modal")
	}
	w.run(backdrop)
	w.until(`!document.querySelector("#modal-dialog").open && location.pathname == "` + w.instance + `"`)
	w.reopenAtOnce(link)
	w.quiet()
}

// reopenAtOnce closes the tables and opens them again before the browser has sent the event of the closing.
func (w *walk) reopenAtOnce(link string) {
	w.t.Helper()
	w.click(link)
	w.see("#tables-view tbody tr")
	w.until(`location.pathname.endsWith("/tables")`)
	w.run(`document.querySelector("#modal-dialog").close(); document.querySelector('` + link + `').click()`)
	w.until(`!document.querySelector("#modal .skeleton") && !!document.querySelector("#tables-view tbody tr") &&
		location.pathname.endsWith("/tables")`)
	w.press("\x1b")
	w.until(`!document.querySelector("#modal-dialog").open && location.pathname == "` + w.instance + `"`)
}

// deleteAndRestore renames the instance, moves it to the recycle bin, and restores it, still active.
func (w *walk) deleteAndRestore() {
	w.t.Helper()
	w.open(w.app.URL + w.instance)
	w.click("#edit-instance")
	w.see("#modal #instance-form")
	w.fill(`input[name=name]`, "改名_"+w.lang)
	w.click("#instance-save")
	w.until(`document.querySelector("h1")?.textContent == "改名_` + w.lang + `"`)
	w.click("#delete-instance")
	w.click("#delete-confirmed")
	w.until(`location.pathname == "/instances"`)
	if got := w.text("#toasts .toast.success"); !strings.Contains(got, words[w.lang].deleted) {
		w.t.Errorf("toast: got %q, want %q in it", got, words[w.lang].deleted)
	}
	w.open(w.app.URL + "/instances?status=deleted")
	w.look("recycle-bin")
	restore := `#instance-list form[action$="/restore"] button`
	w.click(restore)
	w.until(`!document.querySelector('` + restore + `')`)
	w.open(w.app.URL + w.instance)
	w.see("#instance-facts")
	w.see(".status.active")
	w.quiet()
}

// checkUserRole logs in with the role user, which may only look and refresh.
func (w *walk) checkUserRole() {
	w.t.Helper()
	w.click("#logout")
	w.until(`location.pathname == "/login"`)
	status, _, errs := clitest.Run(w.t, "Correct1Horse\n", "user", "add", "looker", "--data-dir", w.app.Dir)
	if status != 0 {
		w.t.Fatalf("user add: exit status %d: %s", status, errs)
	}
	w.logIn("looker", "Correct1Horse")
	if evaluate[bool](w.browser, `!!document.querySelector("#add-instance")`) {
		w.t.Error("a user sees the button to add instances")
	}
	w.open(w.app.URL + w.instance)
	w.see("#sync-capacity:not(:disabled)")
	if evaluate[bool](w.browser, `!!document.querySelector("#edit-instance, #delete-instance")`) {
		w.t.Error("a user sees buttons whose requests the server refuses")
	}
	w.click(w.row() + " a[data-primary]")
	w.see("#tables-refresh:not(:disabled)")
	w.look("as-user")
	for _, action := range []string{w.instance + "/delete", w.instance, "/instances"} {
		status := evaluate[int](w.browser, fmt.Sprintf(`(() => {
			const x = new XMLHttpRequest();
			x.open("POST", %q, false);
			x.setRequestHeader("X-CSRFToken", JSON.parse(document.body.getAttribute("hx-headers"))["X-CSRFToken"]);
			x.send();
			return x.status;
		})()`, action))
		if status != http.StatusForbidden {
			w.t.Errorf("POST %s: got status %d, want 403", action, status)
		}
	}
	w.quiet("403")
}

// TestPages_WithoutScripts reads pages with a client that runs no scripts.
func TestPages_WithoutScripts(t *testing.T) {
	t.Parallel()
	a := clitest.Start(t, "--data-dir", t.TempDir())
	client := a.LogIn(t)
	for path, want := range map[string]string{
		"/instances":                         "本机存储",
		"/instances/1":                       "数据库容量信息",
		"/instances/1/databases/main/tables": "暂无表容量快照",
		"/instances/new":                     "测试连接",
	} {
		resp, err := client.Get(a.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Errorf("%s: got status %d and error %v, want 200", path, resp.StatusCode, err)
		}
		for _, text := range []string{want, "</html>"} {
			if !strings.Contains(string(body), text) {
				t.Errorf("%s: got %.300q…, want %s in it", path, body, text)
			}
		}
	}
}
