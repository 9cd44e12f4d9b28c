package handlers_test

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"whalefall/collectors"
	"whalefall/collectors/jobs"
	"whalefall/handlers"
	"whalefall/models"
	"whalefall/testenv"
)

// patient collects tables when it is told to or cancelled.
type patient struct {
	refusing
	asked  chan string
	answer chan error
}

func (p patient) Tables(ctx context.Context, _ collectors.Target, database string) (models.TableResult, error) {
	p.asked <- database
	select {
	case err := <-p.answer:
		return models.TableResult{Complete: true, Tables: []models.TableSize{
			{Schema: "main", Name: "t", Kind: models.KindTable, Total: n(1 << 20), SizeSource: models.SizeAllocated},
		}}, err
	case <-ctx.Done():
		return models.TableResult{}, context.Cause(ctx)
	}
}

// onBothStoresPatiently runs the test with an instance whose tables are collected by a patient.
func onBothStoresPatiently(t *testing.T, test func(a *app, p patient, refresh string)) {
	t.Parallel()
	onBothStoresWaiting(t, 0, test)
}

// onBothStoresWaiting is onBothStoresPatiently whose requests wait as long for the end of a run; 0: the default.
func onBothStoresWaiting(t *testing.T, wait time.Duration, test func(a *app, p patient, refresh string)) {
	t.Helper()
	for store, address := range map[string]func(*testing.T) string{
		"sqlite":   func(t *testing.T) string { return filepath.Join(t.TempDir(), "store.db") },
		"postgres": func(t *testing.T) string { return testenv.PostgreSQL(t).NewDatabase(t) },
	} {
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			p := patient{asked: make(chan string, 10), answer: make(chan error)}
			others := map[models.Engine]collectors.Collector{models.SQLite: p}
			a := newAppWaiting(t, address(t), others, handlers.Limits{}, jobs.Options{Wait: wait})
			test(a, p, tablesPath(a.sqliteInstance("被测", "/patient.db"), "app")+"/actions/refresh")
		})
	}
}

// begin starts a refresh in the background and returns its path.
func (c *client) begin(refresh string) string {
	c.Helper()
	r := c.with("Prefer", "respond-async").post(refresh, nil).want(http.StatusAccepted, "采集任务正在后台运行")
	path := strings.TrimPrefix(r.header.Get("Location"), "/api/v1")
	equal(c, "location", path, fmt.Sprintf("/refreshes/%d", r.id("id")))
	equal(c, "applied", r.header.Get("Preference-Applied"), "respond-async")
	return path
}

const readRefresh = "获取采集任务成功"

// ended waits for the refresh to end and returns it.
func (c *client) ended(path string) *response {
	c.Helper()
	var r *response
	eventually(c, path+" has ended", func() bool {
		r = c.get(path).want(http.StatusOK, readRefresh)
		status := r.at("status")
		return status != "running" && status != "queued"
	})
	return r
}

func TestRefreshes_Async(t *testing.T) {
	onBothStoresPatiently(t, func(a *app, p patient, refresh string) {
		path := a.user.begin(refresh)
		<-p.asked
		r := a.guest.get(path).want(http.StatusOK, readRefresh).wantAt("status", "running", "phase", "connecting",
			"tables_seen", nil, "instance_name", "被测", "database_name", "app",
			"kind", "tables", "requested_by", "user_1", "ended_at", nil, "error", nil, "receipt", nil)
		equal(a, "members", members(r.data), "attempt connecting_ms database_name elapsed_ms ended_at error id instance_id "+
			"instance_name kind phase querying_ms receipt remaining_ms requested_at requested_by started_at status "+
			"storing_ms tables_seen tables_total")
		equal(a, "who else asks joins", a.admin.begin(refresh), path)
		a.anonymous.get(path).wantCode(http.StatusUnauthorized, models.CodeUnauthenticated, "请先登录")
		p.answer <- nil
		r = a.guest.ended(path).
			wantAt("status", "succeeded", "phase", nil, "tables_seen", 1, "error", nil, "requested_by", "user_1",
				"receipt.saved_count", 1, "receipt.changed_count", 1, "receipt.deleted_count", 0, "receipt.kept_count", 0,
				"receipt.complete", true)
		equal(a, "ended", r.at("ended_at") != nil, true)
		a.guest.get(strings.TrimSuffix(refresh, "/actions/refresh")).want(http.StatusOK, readTable).
			wantAt("total", 1, "collected_at", r.at("receipt", "collected_at"))
		equal(a, "another one", a.user.begin(refresh) != path, true)
		p.answer <- nil
	})
}

func TestRefreshes_Cancel(t *testing.T) {
	onBothStoresPatiently(t, func(a *app, p patient, refresh string) {
		waiting := make(chan *response, 1)
		go func() { waiting <- a.admin.post(refresh, nil) }()
		<-p.asked
		path := a.user.begin(refresh)
		a.user.remove(path).wantCode(http.StatusForbidden, models.CodeForbidden, "需要 admin 权限")
		a.guest.remove(path).
			wantCode(http.StatusForbidden, models.CodeForbidden, "需要 instance_management.instance_list.sync_capacity 权限")
		a.admin.with("X-CSRFToken", "").remove(path).wantCode(http.StatusForbidden, models.CodeCSRFMissing, "缺少 CSRF 令牌")
		a.admin.get(path).wantAt("status", "running", "requested_by", "admin")

		began := time.Now()
		a.admin.remove(path).
			want(http.StatusOK, "采集已取消").
			wantAt("status", "cancelled", "phase", nil, "error", nil, "receipt", nil)
		if took := time.Since(began); took > time.Second {
			a.Errorf("cancelling took %v", took)
		}
		(<-waiting).wantCode(http.StatusConflict, models.CodeCollection, "采集已取消")
		a.guest.get(path).wantAt("status", "cancelled")
		a.admin.remove(path).want(http.StatusOK, "采集任务已结束，无需取消").wantAt("status", "cancelled")
		a.admin.with("Accept-Language", "en").
			remove(path).
			want(http.StatusOK, "The collection has already ended; nothing to cancel")
		a.guest.get(strings.TrimSuffix(refresh, "/actions/refresh")).wantAt("total", 0, "collected_at", nil)

		own := a.user.begin(refresh)
		<-p.asked
		a.user.remove(own).want(http.StatusOK, "采集已取消").wantAt("status", "cancelled", "requested_by", "user_1")
		other := a.user.begin(refresh)
		<-p.asked
		a.admin.remove(other).want(http.StatusOK, "采集已取消")

		log, err := a.store.AuditLog(a.Context(),
			models.AuditQuery{Action: models.ActionCancelRefresh, Target: "被测 / app", Limit: 50})
		check(a, err)
		equal(a, "cancelled in the audit log", log.Total, 6)
		log, err = a.store.AuditLog(a.Context(),
			models.AuditQuery{Action: models.ActionRefreshTables, Target: "被测 / app", Limit: 50})
		check(a, err)
		equal(a, "refreshed in the audit log", log.Total, 4)
	})
}

func TestRefreshes_Timeout(t *testing.T) {
	t.Parallel()
	onBothStoresWaiting(t, 100*time.Millisecond, func(a *app, p patient, refresh string) {
		r := a.user.post(refresh, nil).wantCode(http.StatusGatewayTimeout, models.CodeTimeout, "采集超时")
		extra := r.body["extra"].(obj)
		equal(a, "database", extra["database_name"], any("app"))
		path := strings.TrimPrefix(r.header.Get("Location"), "/api/v1")
		equal(a, "location", path, fmt.Sprintf("/refreshes/%.0f", extra["refresh_id"]))
		<-p.asked // it may still be queued when the answer comes
		a.user.get(path).wantAt("status", "running")
		p.answer <- nil
		a.user.ended(path).wantAt("status", "succeeded", "receipt.saved_count", 1)
	})
}

func TestRefreshes_Failure(t *testing.T) {
	onBothStoresPatiently(t, func(a *app, p patient, refresh string) {
		path := a.user.begin(refresh)
		p.answer <- &models.Error{
			Code: models.CodeUnreachable, Key: "error.unreachable", Args: models.Args("Name", "被测"),
			Reason: "refused",
		}
		r := a.user.ended(path).
			wantAt("status", "failed", "error.code", "DATABASE_CONNECTION_ERROR", "error.message", "无法连接到实例 被测",
				"error.extra.reason", "refused", "error.extra.database_name", "app", "receipt", nil)
		equal(a, "advice", r.at("error", "extra", "advice") != nil, true)
		a.user.with("Accept-Language", "en").get(path).wantAt("error.message", "Cannot connect to instance 被测")
		a.user.remove(path).want(http.StatusOK, "采集任务已结束，无需取消").wantAt("status", "failed")

		path = a.user.begin(refresh)
		p.answer <- fmt.Errorf("secret of the inside")
		r = a.user.ended(path).wantAt("status", "failed", "error.code", "INTERNAL_ERROR")
		equal(a, "tells the inside", strings.Contains(r.raw, "secret"), false)

		path = a.user.begin(refresh)
		p.answer <- &models.Error{Code: models.CodeInternal, Key: "store.full", Err: fmt.Errorf("secret of the inside")}
		r = a.user.ended(path).wantAt("status", "failed", "error.code", "INTERNAL_ERROR")
		equal(a, "says what to do", strings.Contains(r.raw, "空间已满"), true)
		equal(a, "tells the inside", strings.Contains(r.raw, "secret"), false)
	})
}

func TestRefreshes_Refusals(t *testing.T) {
	onBothStoresPatiently(t, func(a *app, _ patient, refresh string) {
		async := a.user.with("Prefer", "respond-async")
		async.post(refresh+"?limit=0", nil).wantCode(http.StatusBadRequest, models.CodeInvalid, "limit 最小为 1")
		async.post(tablesPath("/instances/404", "app")+"/actions/refresh", nil).
			wantCode(http.StatusNotFound, models.CodeNotFound, "实例不存在")
		a.guest.with("Prefer", "respond-async").post(refresh, nil).wantCode(http.StatusForbidden, models.CodeForbidden,
			"需要 instance_management.instance_list.sync_capacity 权限")
		bare := tablesPath(a.serverInstance("bare", models.PostgreSQL), "app") + "/actions/refresh"
		async.post(bare, nil).wantCode(http.StatusConflict, models.CodeCollection, "实例未配置凭据")

		instance, _, _ := strings.Cut(refresh, "/databases")
		noise := make([]byte, 2000) // an index of PostgreSQL would compress repetitions
		_, err := rand.Read(noise)
		check(a, err)
		long := hex.EncodeToString(noise)
		async.post(tablesPath(instance, long)+"/actions/refresh", nil).
			wantCode(http.StatusConflict, models.CodeCollection, "数据库不存在: "+long)

		path := a.user.begin(refresh)
		for _, missing := range []string{
			"/refreshes/404404", "/refreshes/0", "/refreshes/-1", "/refreshes/x", "/refreshes/01", path + "x",
			"/refreshes/99999999999999999999",
		} {
			a.admin.get(missing).wantCode(http.StatusNotFound, models.CodeNotFound, "资源不存在")
			a.admin.remove(missing).wantCode(http.StatusNotFound, models.CodeNotFound, "资源不存在")
		}
		a.admin.remove(path).want(http.StatusOK, "采集已取消")
		a.admin.put(instance, obj{"name": "被测", "db_type": "sqlite", "database_name": "/patient.db", "is_active": false}).
			want(http.StatusOK, "实例更新成功")
		async.post(refresh, nil).wantCode(http.StatusConflict, models.CodeCollection, "实例已停用")
		var id int64
		_, err = fmt.Sscanf(instance, "/instances/%d", &id)
		check(a, err)
		_, err = a.store.DestroyInstances(a.Context(), []int64{id})
		check(a, err)
		a.admin.get(path).wantCode(http.StatusNotFound, models.CodeNotFound, "资源不存在")
	})
}

func TestRefreshes_PreferHeader(t *testing.T) {
	t.Parallel()
	a := newApp(t, filepath.Join(t.TempDir(), "store.db"))
	refresh := tablesPath(a.sqliteInstance("own", a.sqliteFile("CREATE TABLE t (n int)")), "main") + "/actions/refresh"
	for status, headers := range map[int][][]string{
		http.StatusAccepted: {
			{"respond-async"},
			{"Respond-Async"},
			{"return=minimal, respond-async"},
			{"wait=5", " respond-async ;foo=bar"},
			{`foo="a\", b", respond-async`},
			{"handling=lenient,RESPOND-ASYNC,wait=1"},
		},
		http.StatusOK: {
			{},
			{""},
			{"wait=5"},
			{"respond-asynchronously"},
			{`foo="x, respond-async, y"`},
			{"return=respond-async"},
			{"no respond-async"},
		},
	} {
		for _, lines := range headers {
			c := a.user.with("Prefer", "")
			c.header["Prefer"] = lines
			if r := c.post(refresh, nil); r.status != status {
				t.Errorf("%q: %d, want %d", lines, r.status, status)
			}
		}
	}
}
