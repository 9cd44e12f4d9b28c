package handlers_test

import (
	"context"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"whalefall/collectors"
	"whalefall/models"
	"whalefall/testenv"
)

// slowLister reports requests and lists one database when allowed to.
type slowLister struct {
	refusing
	asked  chan struct{}
	answer chan error
}

func (l slowLister) Version(context.Context, collectors.Target) (models.Version, error) {
	return models.Version{Full: "slow 1", Main: "1", Detailed: "1"}, nil
}

func (l slowLister) Databases(ctx context.Context, _ collectors.Target) (models.DatabaseResult, error) {
	l.asked <- struct{}{}
	select {
	case err := <-l.answer:
		return models.DatabaseResult{Complete: true, Databases: []models.DatabaseSize{{Name: "app", Total: n(1 << 20)}}}, err
	case <-ctx.Done():
		return models.DatabaseResult{}, context.Cause(ctx)
	}
}

// onBothStoresSlowly runs the test with an instance whose databases are listed by a slowLister.
func onBothStoresSlowly(t *testing.T, test func(a *app, l slowLister, instance string)) {
	t.Parallel()
	for store, address := range map[string]func(*testing.T) string{
		"sqlite":   func(t *testing.T) string { return filepath.Join(t.TempDir(), "store.db") },
		"postgres": func(t *testing.T) string { return testenv.PostgreSQL(t).NewDatabase(t) },
	} {
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			l := slowLister{asked: make(chan struct{}, 10), answer: make(chan error)}
			a := newAppWith(t, address(t), map[models.Engine]collectors.Collector{models.SQLite: l})
			test(a, l, a.sqliteInstance("被测", "/slow.db"))
		})
	}
}

// sync starts a sync as the page does and returns what replaces the button.
func (c *client) sync(instance string) *page {
	c.Helper()
	return c.submit(instance+"/sync", url.Values{}, into("sync-run")...).wantStatus(http.StatusOK)
}

// syncEnded polls as the page does until the sync has ended.
func (c *client) syncEnded(p *page) *page {
	c.Helper()
	eventually(c, p.what+" shows the end of the sync", func() bool {
		if p.doc.Find("#sync-figures").Length() == 0 {
			return true
		}
		p = c.visit(p.attr("#sync-figures", "hx-get"), into("sync-figures")...).wantStatus(http.StatusOK)
		return false
	})
	return p
}

func TestSyncPage_Progress(t *testing.T) {
	onBothStoresSlowly(t, func(a *app, l slowLister, instance string) {
		begun := a.user.sync(instance).has(1, "#sync-capacity[aria-disabled]", "#sync-figures progress", "form #sync-cancel").
			has(0, "#sync-capacity-form", "#sync-run").says("同步中...").says("已开始同步容量")
		<-l.asked
		equal(a, "event", begun.header.Get("HX-Trigger"), "run-begun")
		moved := begun.attr("#sync-figures", "hx-get")
		path, _, _ := strings.Cut(moved, "/progress")
		equal(a, "who else asks joins",
			strings.HasPrefix(a.admin.sync(instance).attr("#sync-figures", "hx-get"), path+"/"), true)

		for _, address := range []string{instance, instance + "/runs"} {
			a.guest.visit(address).
				has(1, "#sync-run #sync-figures", "#sync-cancel[disabled]", "head noscript").
				has(0, "form #sync-cancel")
		}
		a.user.visit(instance, into("sync-run")...).has(1, "#sync-figures", "form #sync-cancel").has(0, "#sync-run", ".cards")
		a.user.visit(instance, into("database-list")...).has(0, "#sync-figures")

		l.answer <- nil
		ended := a.user.syncEnded(begun).has(1, "form #sync-capacity", ".toast.success").says("实例 被测 的容量同步任务已成功完成")
		equal(a, "event", ended.header.Get("HX-Trigger"), "inventory-changed")
		equal(a, "target", ended.header.Get("HX-Retarget"), "#sync-run")
		a.user.visit(instance).has(0, "#sync-figures", ".run-futile", "head noscript").has(1, "tr[data-database=app]")
	})
}

func TestSyncPage_CancelAndFailure(t *testing.T) {
	onBothStoresSlowly(t, func(a *app, l slowLister, instance string) {
		begun := a.user.sync(instance)
		<-l.asked
		path, _, _ := strings.Cut(begun.attr("#sync-figures", "hx-get"), "/progress")
		a.guest.submit(path+"/cancel", url.Values{}, into("toasts")...).wantStatus(http.StatusForbidden)
		a.user.submit(path+"/cancel", url.Values{}, into("toasts")...).wantStatus(http.StatusOK).says("采集已取消")
		a.user.syncEnded(begun).has(1, "form #sync-capacity", "[data-run-status=cancelled]").has(0, ".toast").says("上次同步已取消")
		a.user.visit(instance).has(1, "#sync-run [data-run-status=cancelled]")

		begun = a.user.sync(instance)
		<-l.asked
		l.answer <- &models.Error{
			Code: models.CodeCollection, Key: "collect.permission",
			Grant: "GRANT pg_monitor TO x", Reason: "refused", Extra: obj{"sqlstate": "42501"},
		}
		failed := a.user.syncEnded(begun).
			has(1, "[data-run-status=failed]", ".toast.error .advice", ".toast.error .grant").
			says("GRANT pg_monitor TO x")
		equal(a, "event", failed.header.Get("HX-Trigger"), "inventory-changed")
	})
}

func TestSyncPage_WithoutScripts(t *testing.T) {
	onBothStoresSlowly(t, func(a *app, l slowLister, instance string) {
		begin := func() string {
			sent := a.user.submit(instance+"/sync", url.Values{}).wantStatus(http.StatusSeeOther).header.Get("Location")
			<-l.asked
			return sent
		}
		sent := begin()
		id := strings.TrimPrefix(sent, instance+"?run=")
		a.user.visit(sent).
			wantStatus(http.StatusOK).
			has(1, "head noscript", "#sync-figures", "form[action='/refreshes/"+id+"/cancel']")
		a.user.submit("/refreshes/"+id+"/cancel", url.Values{}, "Referer", a.url+sent).wantStatus(http.StatusSeeOther)
		a.user.visit(sent).has(0, "head noscript").says("上次同步已取消")

		sent = begin()
		l.answer <- nil
		a.user.ended(strings.Replace(sent, instance+"?run=", "/refreshes/", 1))
		a.user.visit(sent).has(1, "#toasts .toast.success").says("实例 被测 的容量同步任务已成功完成")
		a.user.visit(instance).has(0, "#toasts .toast")
		shown := a.user.submit(instance+"/sync", url.Values{"show": {"run"}}, htmx...)
		<-l.asked
		equal(a, "from a receipt", strings.HasPrefix(shown.header.Get("HX-Redirect"), "/refreshes/"), true)
		l.answer <- nil
	})
}

func TestSyncPage_Refusals(t *testing.T) {
	onBothStoresSlowly(t, func(a *app, _ slowLister, instance string) {
		a.admin.put(instance, obj{"name": "被测", "db_type": "sqlite", "database_name": "/slow.db", "is_active": false}).
			want(http.StatusOK, "实例更新成功")
		a.user.submit(instance+"/sync", url.Values{}, into("sync-run")...).
			wantStatus(http.StatusConflict).
			has(1, ".toast.error").
			says("实例已停用")
	})
}
