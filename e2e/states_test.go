package e2e

import (
	"context"
	"database/sql"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	_ "github.com/glebarez/go-sqlite" // changes times in the store directly

	"whalefall/cli/clitest"
	"whalefall/testenv"
)

// TestWalk_ListStates looks at lists that are loading, empty, failed and stale, on a real MariaDB server with an
// account that may see only some of it.
func TestWalk_ListStates(t *testing.T) {
	t.Parallel()
	server := testenv.MySQL(t)
	seen, hidden := server.NewDatabase(t), server.NewDatabase(t)
	empty, open := server.NewDatabase(t), server.NewDatabase(t)
	server.Exec(t, seen, "CREATE TABLE visible (id INT PRIMARY KEY)", "CREATE TABLE secret (id INT PRIMARY KEY)")
	server.Exec(t, hidden, "CREATE TABLE secret (id INT PRIMARY KEY)")
	server.Exec(t, "",
		"CREATE USER 'half'@'%' IDENTIFIED BY 'Half1Blind'", "GRANT PROCESS, SHOW DATABASES ON *.* TO 'half'@'%'",
		"GRANT SELECT ON `"+seen+"`.visible TO 'half'@'%'", "GRANT SELECT ON `"+open+"`.* TO 'half'@'%'")
	t.Cleanup(func() { server.Exec(t, "", "DROP USER 'half'@'%'") })
	a := clitest.Start(t, "--data-dir", t.TempDir())
	w := walk{browser: newBrowser(t), app: a, lang: "zh-CN", theme: "light"}
	w.logIn("admin", a.Password)

	w.open(a.URL + "/instances?search=nobody")
	w.see("#instance-list .state")
	w.look("instances-empty")
	w.open(a.URL + "/instances/404")
	w.see(".failure")
	w.look("failure-page")
	w.quiet("404")

	w.addMariaDB(server, "half", "Half1Blind")
	w.click("#sync-capacity")
	w.see(`tr[data-database="` + seen + `"]`)
	badge := `document.querySelector('tr[data-database="` + hidden + `"] .badge.warning')`
	if reason := evaluate[string](w.browser, badge+`.title`); !strings.Contains(reason, hidden) {
		t.Errorf("reason: got %q, want %q in it", reason, hidden)
	}
	w.look("databases-refused")
	w.states(seen, hidden)
	w.age(seen)
	w.addMariaDB(server, server.User, server.Password)
	w.open(a.URL + w.instance + "/databases/" + empty + "/tables")
	w.click("#tables-refresh")
	w.see("[data-empty=none]")
	w.look("tables-none")
	w.quiet()
}

// addMariaDB adds the server as an instance.
func (w *walk) addMariaDB(server *testenv.MySQLServer, user, password string) {
	w.t.Helper()
	w.open(w.app.URL + "/instances")
	w.click("#add-instance")
	w.fill(`#modal input[name=name]`, "mariadb_"+user)
	w.choose("#instance-type", "mysql")
	w.until(`document.querySelector("input[name=shown_type]").value == "mysql"`)
	w.fill(`input[name=host]`, server.Host)
	w.fill(`input[name=port]`, strconv.Itoa(server.Port))
	w.fill(`input[name=username]`, user)
	w.fill(`input[name=password]`, password)
	w.click("#instance-save")
	w.until(`/^\/instances\/\d+$/.test(location.pathname)`)
	w.instance = w.address()
	w.see("#sync-capacity")
}

// states opens the tables while they load, without a network, and with a privilege on some or none of them.
func (w *walk) states(seen, hidden string) {
	w.t.Helper()
	link := `tr[data-database="` + seen + `"] a[data-primary]`
	w.click("#toasts .toast.success button") // it may cover the link
	w.gone("#toasts .toast.success")
	w.slow(10 * time.Second)
	w.click(link)
	w.see("#modal .skeleton")
	w.look("tables-loading")
	w.slow(0)
	w.see("#modal [data-empty=never]")

	w.click("#tables-refresh")
	w.see("#incomplete")
	w.see(`tr[data-table=secret]`)
	if got := w.text(`tr[data-table=secret] td.size .amount`); got != "—" {
		w.t.Errorf("size of a hidden table: got %q, want —", got)
	}
	w.look("tables-incomplete")
	w.click("#show-unsettled")
	w.see("#unsettled-filter")
	w.gone(`tr[data-table=visible]`)
	w.see(`tr[data-table=secret]`)

	w.open(w.app.URL + w.instance + "/databases/" + hidden + "/tables")
	w.click("#tables-refresh")
	w.see("#incomplete, [data-empty=denied]")
	w.look("tables-denied")

	w.open(w.app.URL + w.instance)
	w.offline(true)
	w.click(link)
	w.see("#modal [data-retry]")
	w.look("tables-offline")
	w.offline(false)
	w.click("#modal [data-retry]")
	w.see(`tr[data-table=visible]`)
	w.quiet("ERR_INTERNET_DISCONNECTED", "htmx:sendError", "afterRequest")
}

// age makes the stored data ten days old and looks at it.
func (w *walk) age(database string) {
	w.t.Helper()
	store, err := sql.Open("sqlite", filepath.Join(w.app.Dir, "whalefall.db")+"?_pragma=busy_timeout(60000)")
	if err != nil {
		w.t.Fatal(err)
	}
	defer store.Close()
	old := time.Now().Add(-10 * 24 * time.Hour).UTC().Format("2006-01-02 15:04:05.999999-07:00")
	for _, statement := range []string{
		"UPDATE instance_databases SET collected_at = ?",
		"UPDATE instances SET last_sync_time = ?",
		"UPDATE database_size_stats SET collected_at = ?",
	} {
		if _, err := store.ExecContext(w.t.Context(), statement, old); err != nil {
			w.t.Fatal(err)
		}
	}
	w.open(w.app.URL + "/instances")
	w.see(".age.stale")
	w.look("instances-stale")
	w.open(w.app.URL + w.instance)
	w.see(".age.stale")
	w.look("databases-stale")
	w.click(`tr[data-database="` + database + `"] a[data-primary]`)
	w.see("#modal .age.stale")
	w.look("tables-stale")
	w.quiet()
}

// slow delays every response that the browser receives; 0 ends it.
func (b *browser) slow(latency time.Duration) {
	b.t.Helper()
	b.conditions(false, latency)
}

// offline takes the network from the browser, or gives it back.
func (b *browser) offline(cut bool) {
	b.t.Helper()
	b.conditions(cut, 0)
}

// conditions sets the conditions of the browser's network.
func (b *browser) conditions(offline bool, latency time.Duration) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if _, err := chromedp.Call(ctx, network.Enable, network.EnableParams{}); err != nil {
		b.t.Fatal(err)
	}
	if _, err := chromedp.Call(ctx, network.EmulateNetworkConditionsByRule, network.EmulateNetworkConditionsByRuleParams{
		MatchedNetworkConditions: []*network.Conditions{{
			Offline: offline, Latency: float64(latency.Milliseconds()), DownloadThroughput: -1, UploadThroughput: -1,
		}},
	}); err != nil {
		b.t.Fatal(err)
	}
}
