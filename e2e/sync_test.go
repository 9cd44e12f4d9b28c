package e2e

import (
	"strings"
	"testing"

	"whalefall/cli/clitest"
	"whalefall/testenv"
)

// listsDatabases is part of the statement at which the proxy pauses a sync, so that the walk can look at it.
const listsDatabases = "pg_catalog.pg_database"

// TestWalk_CapacitySync starts a sync, leaves its page and returns, cancels it, and watches others finish and fail.
func TestWalk_CapacitySync(t *testing.T) {
	t.Parallel()
	for _, look := range []struct{ lang, theme, busy, cancelled, synced, failed string }{
		{"zh-CN", "light", "同步中...", "上次同步已取消", "的容量同步任务已成功完成", "上次同步失败"},
		{"en", "dark", "Syncing...", "The last sync was cancelled", "Capacity sync of", "The last sync failed"},
	} {
		t.Run(look.lang, func(t *testing.T) {
			t.Parallel()
			server := testenv.StartPostgreSQL(t)
			proxy := testenv.NewProxy(t, server.Host, server.Port)
			a := clitest.Start(t, "--data-dir", t.TempDir())
			w := walk{browser: newBrowser(t), app: a, lang: look.lang, theme: look.theme, database: "postgres"}
			w.logIn("admin", a.Password)
			w.addWatched(watched{
				engine: "postgresql", user: server.User, password: server.Password, host: proxy.Host, port: proxy.Port,
			})
			w.see("[data-empty=never], #database-list .state")

			proxy.Pause(listsDatabases)
			w.startSync(look.busy)
			w.cancelSync(look.cancelled)
			proxy.Resume()
			proxy.Pause(listsDatabases)
			w.press("r")
			w.see("#sync-figures progress")
			proxy.Resume()
			w.see("#toasts .toast.success")
			w.gone("#sync-figures")
			w.see(w.row())
			w.see("#fact-version dd span[title]")
			if got := w.text("#toasts .toast.success"); !strings.Contains(got, look.synced) {
				t.Errorf("toast: got %q, want %q in it", got, look.synced)
			}
			w.see("#sync-capacity:not([aria-disabled])")
			w.look("sync-finished")
			w.syncFromLog(proxy)
			w.loseSync(proxy)
			w.failSync(proxy, look.failed)
			w.quiet()
		})
	}
}

// startSync starts a sync, leaves the page and returns: the sync continues.
func (w *walk) startSync(busy string) {
	w.t.Helper()
	w.resize(1280, 800)
	w.click("#sync-capacity")
	w.see("#sync-figures progress")
	if got := w.text("#sync-capacity"); got != busy {
		w.t.Errorf("sync button: got %q, want %q", got, busy)
	}
	if focused := evaluate[string](w.browser, `document.activeElement.id`); focused != "sync-capacity" {
		w.t.Errorf("focus: got %q, want sync-capacity", focused)
	}
	w.until(`["connecting", "querying"].includes(document.querySelector("#sync-figures").dataset.stage)`)
	if w.overflows(":root") {
		w.t.Error("the page is wider than 1280 pixels")
	}
	w.look("sync-running-1280")
	w.resize(1440, 900)
	w.look("sync-running")
	const run = `document.querySelector("#sync-figures").getAttribute("hx-get").split("/progress")[0]`
	first := evaluate[string](w.browser, run)
	w.open(w.app.URL + "/instances")
	w.open(w.app.URL + w.instance)
	w.see("#sync-figures progress")
	if again := evaluate[string](w.browser, run); again != first {
		w.t.Errorf("run on the page: got %s, want %s", again, first)
	}
}

// cancelSync waits with the focus on the button, which polling must not take away, and cancels.
func (w *walk) cancelSync(cancelled string) {
	w.t.Helper()
	w.run(`document.querySelector("#sync-cancel").focus(); window.polls = 0;
		document.addEventListener("htmx:afterSwap", e => { if (e.detail.target.id == "sync-figures") window.polls++; })`)
	w.until(`window.polls >= 2`)
	if focused := evaluate[string](w.browser, `document.activeElement.id`); focused != "sync-cancel" {
		w.t.Errorf("focus after polling: got %q, want sync-cancel", focused)
	}
	w.click("#sync-cancel")
	w.see("#sync-run [data-run-status=cancelled]")
	if got := w.text("#sync-run"); !strings.Contains(got, cancelled) {
		w.t.Errorf("beside the button: got %q, want %q in it", got, cancelled)
	}
	if focused := evaluate[string](w.browser, `document.activeElement.id`); focused != "sync-capacity" {
		w.t.Errorf("focus: got %q, want sync-capacity", focused)
	}
	w.look("sync-cancelled")
	w.resize(1280, 800)
	w.look("sync-cancelled-1280")
	w.resize(1440, 900)
	w.run(`document.activeElement.blur()`)
}

// syncFromLog starts a sync on the page of the collection log, which shows it while it runs.
func (w *walk) syncFromLog(proxy *testenv.Proxy) {
	w.t.Helper()
	w.open(w.app.URL + w.instance + "/runs")
	proxy.Pause(listsDatabases)
	w.click("#sync-capacity")
	w.see("#sync-figures")
	w.see("#run-list tr[data-run-status=running]")
	w.look("sync-in-the-log")
	proxy.Resume()
	w.see("#toasts .toast.success")
	w.until(`document.querySelectorAll("#run-list tr[data-run-status=succeeded]").length == 2`)
}

// loseSync removes the figures of a sync while the poll is on its way that finds the sync ended.
func (w *walk) loseSync(proxy *testenv.Proxy) {
	w.t.Helper()
	w.open(w.app.URL + w.instance)
	w.run(`window.polling = "held"; const figures = (e) => e.detail.elt.id == "sync-figures";
		document.addEventListener("htmx:beforeRequest", (e) => {
			if (!figures(e)) return;
			if (window.polling == "held") return e.preventDefault();
			e.detail.xhr.addEventListener("loadend", () => setTimeout(() => { window.polling = "answered"; }));
			e.detail.elt.remove();
		})`)
	proxy.Pause(listsDatabases)
	w.click("#sync-capacity")
	w.see("#sync-figures")
	w.run(`const poll = document.querySelector("#sync-figures").getAttribute("hx-get");
		void async function look() {
			const answer = await fetch(poll, { headers: { "HX-Request": "true" } });
			if (answer.headers.has("HX-Retarget")) window.polling = "released";
			else setTimeout(look, 100);
		}()`)
	proxy.Resume()
	w.until(`window.polling == "answered"`)
}

// failSync syncs while the server refuses connections.
func (w *walk) failSync(proxy *testenv.Proxy, failed string) {
	w.t.Helper()
	proxy.Refuse()
	w.open(w.app.URL + w.instance)
	w.click("#sync-capacity")
	w.see("#toasts .toast.error .advice")
	w.see("#sync-run [data-run-status=failed]")
	if got := w.text("#sync-run"); !strings.Contains(got, failed) {
		w.t.Errorf("beside the button: got %q, want %q in it", got, failed)
	}
	w.see(w.row())
	w.look("sync-failed")
	w.resize(1280, 800)
	w.open(w.app.URL + w.instance)
	w.see("#sync-run [data-run-status=failed]")
	if w.overflows(":root") {
		w.t.Error("the page is wider than 1280 pixels")
	}
	w.look("sync-failed-1280")
	w.resize(1440, 900)
}
