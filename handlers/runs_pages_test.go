package handlers_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"whalefall/collectors"
	"whalefall/models"
)

const readRuns = "获取采集记录成功"

// refreshTables starts a refresh as the page does, follows it to its end, and returns the bar below the tables.
func (c *client) refreshTables(tables string) *page {
	c.Helper()
	return c.followed(c.submit(tables+"/refresh", url.Values{}, into("tables-run")...).wantStatus(http.StatusOK))
}

// followed polls as the page does until the run has ended.
func (c *client) followed(p *page) *page {
	c.Helper()
	eventually(c, p.what+" shows the end of the run", func() bool {
		if p.doc.Find("#run-figures").Length() == 0 {
			return true
		}
		p = c.visit(p.attr("#run-figures", "hx-get"), into("run-figures")...).wantStatus(http.StatusOK)
		return false
	})
	return p
}

func (p *page) attr(selector, name string) string {
	return p.doc.Find(selector).AttrOr(name, "none")
}

// onePatiently returns an app with an instance whose tables are collected by a patient, and the path of its database.
func onePatiently(t *testing.T) (*app, patient, string) {
	t.Helper()
	t.Parallel()
	p := patient{asked: make(chan string, 10), answer: make(chan error)}
	a := newAppWith(t, t.TempDir()+"/store.db", map[models.Engine]collectors.Collector{models.SQLite: p})
	instance := a.sqliteInstance("被测", "/patient.db")
	a.addDatabase(1, "app")
	return a, p, instance + "/databases/app/tables"
}

func TestRefreshPage_Progress(t *testing.T) {
	a, p, tables := onePatiently(t)
	begun := a.user.submit(tables+"/refresh", url.Values{}, into("tables-run")...).wantStatus(http.StatusOK).
		has(1, "#tables-refresh[aria-disabled]", "#run-figures progress", "form #run-cancel").
		has(0, "#tables-refresh-form").says("刷新中...")
	<-p.asked
	equal(t, "said", strings.Contains(begun.doc.Text(), "已开始刷新"), true)
	moved := begun.attr("#run-figures", "hx-get")
	path, _, _ := strings.Cut(moved, "/progress")

	poll := a.user.visit(path+"/progress?said=queued", into("run-figures")...).
		wantStatus(http.StatusOK).
		has(1, "#run-figures[data-stage=connecting]", "[hx-swap-oob]")
	equal(t, "leads on", poll.attr("#run-figures", "hx-get"), path+"/progress?said=connecting")
	a.user.visit(path+"/progress?said=connecting", into("run-figures")...).wantStatus(http.StatusOK).
		has(1, "#run-figures", "[data-run-elapsed]", "[data-run-remaining][title]").
		has(0, "[hx-swap-oob]", "#run-cancel", "button", "a")

	again := a.admin.submit(tables+"/refresh", url.Values{}, into("tables-run")...).wantStatus(http.StatusOK)
	equal(t, "who else asks joins", strings.HasPrefix(again.attr("#run-figures", "hx-get"), path+"/"), true)
	a.guest.visit(tables).has(1, "#run-figures", "#run-cancel[disabled]", "head noscript").has(0, "form #run-cancel")
	a.user.visit(tables, into("modal")...).has(1, "#tables-run #run-figures", "form #run-cancel")
	a.user.visit(tables, into("tables-run")...).has(1, "#run-figures").has(0, "#tables-run", "#tables-view")

	p.answer <- nil
	ended := a.user.followed(poll)
	ended.has(1, "form #tables-refresh", ".toast.success").says("刷新成功: 写入 1 条, 清理 0 条, 耗时")
	equal(t, "event", ended.header.Get("HX-Trigger"), "tables-changed")
	equal(t, "target", ended.header.Get("HX-Retarget"), "#tables-run")
	receipt := a.user.visit(tables).has(0, "#run-figures", ".run-futile").attr(".receipt-link", "href")
	equal(t, "receipt", a.user.visit(receipt).wantStatus(http.StatusSeeOther).header.Get("Location"), path)
}

func TestRefreshPage_Cancel(t *testing.T) {
	a, p, tables := onePatiently(t)
	begun := a.user.submit(tables+"/refresh", url.Values{}, into("tables-run")...).wantStatus(http.StatusOK)
	<-p.asked
	path, _, _ := strings.Cut(begun.attr("#run-figures", "hx-get"), "/progress")
	a.guest.submit(path+"/cancel", url.Values{}, into("toasts")...).wantStatus(http.StatusForbidden)
	cancelled := a.user.submit(path+"/cancel", url.Values{}, into("toasts")...).wantStatus(http.StatusOK).says("采集已取消")
	equal(t, "event", cancelled.header.Get("HX-Trigger"), "run-changed")
	ended := a.user.followed(begun)
	ended.has(1, "form #tables-refresh", "[data-run-status=cancelled]").has(0, ".toast").says("重新刷新")
	equal(t, "event", ended.header.Get("HX-Trigger"), "")
	a.user.visit(tables).has(1, "[data-run-status=cancelled]").says("上次刷新已取消")

	begun = a.user.submit(tables+"/refresh", url.Values{}, into("tables-run")...).wantStatus(http.StatusOK)
	<-p.asked
	p.answer <- &models.Error{
		Code: models.CodeUnreachable, Key: "error.unreachable", Args: models.Args("Name", "被测"),
		Reason: "refused",
	}
	a.user.followed(begun).has(1, "[data-run-status=failed]", ".toast.error .advice").says("无法连接到实例 被测").says("重新刷新")
}

func TestRefreshPage_WithoutScripts(t *testing.T) {
	a, p, tables := onePatiently(t)
	sent := a.user.submit(tables+"/refresh", url.Values{}).wantStatus(http.StatusSeeOther).header.Get("Location")
	<-p.asked
	id := strings.TrimPrefix(sent, tables+"?run=")
	a.user.visit(sent).wantStatus(http.StatusOK).has(1, "head noscript", "form[action='/refreshes/"+id+"/cancel']")
	a.user.submit("/refreshes/"+id+"/cancel", url.Values{}, "Referer", a.url+sent).wantStatus(http.StatusSeeOther)
	a.user.visit(sent).has(0, "head noscript").says("重新刷新")

	sent = a.user.submit(tables+"/refresh", url.Values{}).wantStatus(http.StatusSeeOther).header.Get("Location")
	<-p.asked
	p.answer <- nil
	a.user.ended(strings.Replace(sent, tables+"?run=", "/refreshes/", 1))
	a.user.visit(sent).has(1, "#toasts .toast.success").says("刷新成功: 写入 1 条")
	a.user.visit(tables+"?run=99").wantStatus(http.StatusOK).has(0, "#toasts .toast")
	shown := a.user.submit(tables+"/refresh", url.Values{"show": {"run"}}, htmx...)
	<-p.asked
	equal(t, "from a receipt", strings.HasPrefix(shown.header.Get("HX-Redirect"), "/refreshes/"), true)
	p.answer <- nil
}

func TestRunsPage(t *testing.T) {
	a, p, tables := onePatiently(t)
	instance, _, _ := strings.Cut(tables, "/databases")
	runs := instance + "/runs"
	a.guest.visit(runs).wantStatus(http.StatusOK).has(1, "#run-list .state", `.tabs a[aria-current=page]`).says("暂无采集记录")
	a.guest.visit(instance).has(1, `.tabs a[href="`+runs+`"]`)

	begin := func() string {
		begun := a.user.submit(tables+"/refresh", url.Values{}, into("tables-run")...).wantStatus(http.StatusOK)
		<-p.asked
		path, _, _ := strings.Cut(begun.attr("#run-figures", "hx-get"), "/progress")
		return path
	}
	good := begin()
	a.guest.visit(runs).has(1, "tr[data-run-status=running] progress", "#run-list [hx-trigger='every 2s']")
	a.user.visit(good).has(1, "form #run-cancel", "#run-detail progress").has(0, "#run-again")
	a.guest.visit(good).has(1, "#run-cancel[disabled]")
	p.answer <- nil
	a.user.ended(good)
	bad := begin()
	p.answer <- &models.Error{
		Code: models.CodeCollection, Key: "collect.permission",
		Grant: "GRANT pg_monitor TO x", Extra: obj{"sqlstate": "42501"},
	}
	a.user.ended(bad)

	a.guest.visit(runs).has(2, "tbody tr").has(0, "[hx-trigger='every 2s']").
		has(1, "tr[data-run-status=succeeded]", "tr[data-run-status=failed]", `a[data-primary][href="`+good+`"]`).
		says("user_1").says("1 / 1 / 0")
	a.guest.visit(runs+"?status=failed", into("run-list")...).has(1, "tbody tr")
	a.guest.visit(runs+"?kind=databases", into("run-list")...).has(1, ".state").says("清除")
	a.guest.visit(runs+"?database=AP", into("run-list")...).has(2, "tbody tr")
	a.guest.visit(runs+"?database=x", into("run-list")...).has(0, "tbody tr")
	detail := a.guest.visit(good).
		has(1, "#run-panel", "#run-detail").
		has(0, "#run-again", "#run-cancel", "progress").
		says("完整")
	equal(t, "tables", detail.doc.Find(`a[href="`+tables+`"]`).Length() > 0, true)
	a.user.visit(bad).has(1, "#run-again", ".inline-result.error").says("GRANT pg_monitor TO x").says("42501")

	whole := a.user.visit(good+"?while=running", into("run-detail")...).has(1, "#run-panel")
	equal(t, "target", whole.header.Get("HX-Retarget"), "#run-panel")
	a.user.visit(good+"?while=succeeded", into("run-detail")...).has(0, "#run-panel").has(1, "#run-detail")
	for _, missing := range []string{"/refreshes/99", "/refreshes/x", "/refreshes/99/progress", "/instances/99/runs"} {
		a.admin.visit(missing).wantStatus(http.StatusNotFound)
	}
	a.admin.submit(instance+"/delete", url.Values{}).wantStatus(http.StatusSeeOther)
	for _, missing := range []string{good, good + "/progress", runs} {
		a.admin.visit(missing).wantStatus(http.StatusNotFound)
	}
}

func TestRefreshes_List(t *testing.T) {
	onBothStoresPatiently(t, func(a *app, p patient, refresh string) {
		instance, _, _ := strings.Cut(refresh, "/databases")
		good := a.user.begin(refresh)
		<-p.asked
		p.answer <- nil
		a.user.ended(good)
		open := a.admin.begin(refresh)
		<-p.asked
		defer func() { p.answer <- nil }()

		for _, list := range []string{
			instance + "/refreshes", "/refreshes", "/refreshes?instance_id=" + strings.TrimPrefix(instance, "/instances/"),
		} {
			r := a.guest.get(list).want(http.StatusOK, readRuns).wantAt("total", 2, "page", 1,
				"items.0.status", "running", "items.0.requested_by", "admin",
				"items.1.status", "succeeded", "items.1.attempt", 1, "items.1.remaining_ms", nil,
				"items.1.receipt.locked_count", 0, "items.1.receipt.failed_count", 0, "items.1.receipt.hidden_count", 0,
				"items.1.receipt.duplicate_count", 0, "items.1.receipt.changed_count", 1, "items.1.receipt.proof", nil,
				"items.1.receipt.server_peak_bytes", nil, "items.1.receipt.complete", true)
			equal(a, "newest first", fmt.Sprintf("/refreshes/%d", r.id("items", 0, "id")), open)
			equal(a, "storing", r.at("items", 1, "storing_ms") != nil, true)
		}
		count := func(query string, want int) {
			a.Helper()
			a.guest.get(instance+"/refreshes?"+query).want(http.StatusOK, readRuns).wantAt("total", want)
		}
		count("status=succeeded", 1)
		count("kind=databases", 0)
		count("database_name=AP", 2)
		count("database_name=x", 0)
		a.guest.get("/refreshes?limit=1&page=2").wantAt("total", 2, "pages", 2, "items.0.status", "succeeded")
		a.guest.get("/instances/404/refreshes").wantCode(http.StatusNotFound, models.CodeNotFound, "实例不存在")
		a.guest.get("/refreshes?instance_id=404").wantCode(http.StatusNotFound, models.CodeNotFound, "实例不存在")
		a.anonymous.get("/refreshes").wantCode(http.StatusUnauthorized, models.CodeUnauthenticated, "请先登录")
	})
}
