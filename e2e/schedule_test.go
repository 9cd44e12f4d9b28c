package e2e

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"whalefall/cli/clitest"
	"whalefall/migrations"
	"whalefall/models"
)

// TestWalk_Schedule gives an instance a schedule, has it paused by failures, and resumes it.
func TestWalk_Schedule(t *testing.T) {
	t.Parallel()
	for _, way := range []struct{ lang, theme, daily, paused string }{
		{"zh-CN", "light", "每天 04:30 (Asia/Shanghai)", "连续失败 5 次"},
		{"en", "dark", "Daily at 04:30 (Asia/Shanghai)", "failures in a row: 5"},
	} {
		t.Run(way.lang+"-"+way.theme, func(t *testing.T) {
			t.Parallel()
			a := clitest.Start(t, "--data-dir", t.TempDir())
			store := openStore(t, a.Dir)
			w := walk{browser: newBrowser(t), app: a, lang: way.lang, theme: way.theme}
			w.logIn("admin", a.Password)
			w.typeSchedule("scheduled_"+way.theme, way.daily)
			w.quiet("400")
			w.pauseAndResume(store, way.paused)
			w.quiet("400")
		})
	}
}

// openStore opens the store of a running WhaleFall a second time.
func openStore(t *testing.T, dir string) *models.Store {
	t.Helper()
	keyset, err := models.LoadKeyset(filepath.Join(dir, "keyset.json"), "")
	if err != nil {
		t.Fatal(err)
	}
	zone, err := time.LoadLocation("Asia/Shanghai")
	if err != nil {
		t.Fatal(err)
	}
	store, err := models.Open(t.Context(), models.Options{
		Address: filepath.Join(dir, "whalefall.db"), Keyset: keyset, Zone: zone,
		Migrate: migrations.Up, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return store
}

// typeSchedule adds an instance with a schedule of its own, after one that is refused.
func (w *walk) typeSchedule(name, daily string) {
	w.t.Helper()
	w.open(w.app.URL + "/instances")
	w.click("#add-instance")
	w.fill("#modal input[name=name]", name)
	w.fill("#modal input[name=host]", "127.0.0.1")
	w.fill("#modal input[name=port]", "1")
	w.fill("#modal input[name=username]", "u")
	w.fill("#modal input[name=password]", "p")
	w.run(`document.querySelector("#schedule-echo").scrollIntoView()`)
	w.see("#schedule-echo .echo:not(.error)")
	w.look("schedule-default")
	w.fill(`#modal input[name="schedule.cron"]`, "* * * * *")
	w.see("#schedule-echo .echo.error")
	w.look("schedule-too-often")
	w.click("#instance-save")
	w.see("#test-result .inline-result.error")
	w.look("schedule-refused")
	w.fill(`#modal input[name="schedule.cron"]`, "30 4 * * *")
	w.fill(`#modal input[name="schedule.blackout"]`, "09:00-12:00,22:00-02:00")
	w.fill(`#modal input[name="schedule.jitter_minutes"]`, "0")
	w.until(fmt.Sprintf(`document.querySelector("#schedule-echo").textContent.includes(%q)`, daily))
	w.look("schedule-typed")
	w.click("#instance-save")
	w.until(`/^\/instances\/\d+$/.test(location.pathname)`)
	w.instance = w.address()
	if shown := w.text("#fact-schedule dd"); shown != daily {
		w.t.Errorf("schedule: got %q, want %q", shown, daily)
	}
	if next := w.text("#fact-next dd"); !strings.HasSuffix(next, "04:30") {
		w.t.Errorf("next collection: got %q, want 04:30 at its end", next)
	}
	w.look("schedule-facts")
	w.click("#edit-instance")
	w.see(`#modal input[name="schedule.cron"]`)
	cron := evaluate[string](w.browser, `document.querySelector('#modal input[name="schedule.cron"]').value`)
	if want := "30 4 * * *"; cron != want {
		w.t.Errorf("cron field: got %q, want %q", cron, want)
	}
	w.press("\x1b")
	w.until(`!document.querySelector("#modal-dialog").open`)
}

// pauseAndResume records failures until the instance is paused, and resumes it.
func (w *walk) pauseAndResume(store *models.Store, paused string) {
	w.t.Helper()
	w.open(w.app.URL + w.instance)
	w.click("#sync-capacity")
	w.see("#toasts .toast.error")
	w.see("#sync-run [data-run-status=failed]")
	w.until(`!document.querySelector(".htmx-request")`)
	var id int64
	if _, err := fmt.Sscanf(w.instance, "/instances/%d", &id); err != nil {
		w.t.Fatal(err)
	}
	w.quiet("400")
	failUntilPaused(w.t, store, id)
	w.findPaused(paused)
	w.open(w.app.URL + w.instance)
	if notice := w.text("#schedule-paused"); !strings.Contains(notice, paused) {
		w.t.Errorf("notice: got %q, want %q in it", notice, paused)
	}
	w.look("schedule-paused")
	w.resize(1280, 800)
	if w.overflows(":root") {
		w.t.Error("the page is wider than 1280 pixels")
	}
	w.look("schedule-paused-1280")
	w.resize(1440, 900)
	w.quiet()
	w.click("#resume-schedule")
	w.see("#toasts .toast.success")
	w.gone("#schedule-paused")
	w.until(`document.querySelector("#fact-next time") != null`)
	w.look("schedule-resumed")
}

// findPaused finds the instance marked as paused in the list, with the reason, and filters the list for paused ones.
func (w *walk) findPaused(paused string) {
	w.t.Helper()
	w.resize(1280, 800)
	w.open(w.app.URL + "/instances")
	row := `tr[data-instance="` + strings.TrimPrefix(w.instance, "/instances/") + `"]`
	w.see(row + " [data-paused]")
	reason := evaluate[string](w.browser, `document.querySelector('`+row+` [data-paused]').title`)
	if !strings.Contains(reason, paused) || strings.Count(reason, "\n") != 2 {
		w.t.Errorf("reason: got %q, want %q in it and three lines", reason, paused)
	}
	if w.overflows("#instance-list .table-wrap") {
		w.t.Error("the list does not fit into a window of 1280 pixels")
	}
	w.look("instances-paused-1280")
	w.choose("#instance-filter select[name=status]", "paused")
	w.until(`location.search.includes("status=paused") &&
		document.querySelectorAll("#instance-list tbody tr").length == 1`)
	w.see(row)
	w.resize(1440, 900)
	w.look("instances-only-paused")
}

// failUntilPaused gives scheduled runs the outcome of the instance's failed run until the instance is paused.
func failUntilPaused(t *testing.T, store *models.Store, id int64) {
	t.Helper()
	page, err := store.Runs(t.Context(), models.RunQuery{InstanceID: id, Limit: 1})
	if err != nil || page.Total == 0 {
		t.Fatalf("got %d runs and error %v, want one", page.Total, err)
	}
	now := time.Now()
	for range 100 {
		s, err := store.Schedule(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if s.PausedAt != nil {
			return
		}
		if err := store.PlanSchedules(t.Context(), now); err != nil {
			t.Fatal(err)
		}
		if _, _, err := store.ClaimDue(t.Context(), now, 100); err != nil {
			t.Fatal(err)
		}
		if err := store.ScheduleOutcome(t.Context(), page.Runs[0]); err != nil {
			t.Fatal(err)
		}
		now = now.Add(6 * time.Hour)
	}
	t.Fatal("not paused after 100 failures")
}
