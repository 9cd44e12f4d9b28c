package handlers_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"whalefall/collectors"
	"whalefall/models"
	"whalefall/testenv"
)

func instanceID(path string) int64 {
	var id int64
	_, _ = fmt.Sscanf(path, "/instances/%d", &id)
	return id
}

func TestInstancesBatchDelete(t *testing.T) {
	onBothStores(t, func(a *app) {
		const path = "/instances/batch-delete"
		var paths []string
		var ids []int64
		for _, name := range []string{"a", "b", "c", "d"} {
			paths = append(paths, a.serverInstance(name, models.MySQL))
			ids = append(ids, instanceID(paths[len(paths)-1]))
		}
		a.snapshotOf(paths[2], "app",
			models.TableResult{Complete: true, Tables: []models.TableSize{{Schema: "s", Name: "t", Total: n(1)}}})
		a.admin.remove(paths[0]).want(200, "实例已移入回收站")

		soft := a.admin.post(path, obj{"instance_ids": []any{ids[0], fmt.Sprint(ids[1]), 999}}).want(200, "成功移入回收站 1 个实例").
			wantAt("deleted_count", 1, "deletion_mode", "soft",
				"deleted_instance_ids", ids[1:2], "missing_instance_ids", []int64{999})
		equal(a, "members", members(soft.data), "deleted_count deleted_instance_ids deletion_mode missing_instance_ids")
		a.guest.get(paths[1]).wantCode(404, models.CodeNotFound, "实例不存在")
		a.guest.get("/instances?status=deleted").wantAt("total", 2)

		a.admin.post(path, obj{"instance_ids": []any{ids[2], ids[1], ids[2], 998}, "deletion_mode": "hard"}).
			want(200, "成功删除 2 个实例").
			wantAt("deleted_count", 2, "deletion_mode", "hard",
				"deleted_instance_ids", ids[1:3], "missing_instance_ids", []int64{998})
		a.guest.get("/instances?include_deleted=1").wantAt("total", 2)
		a.admin.post(paths[1]+"/restore", nil).wantCode(404, models.CodeNotFound, "实例不存在")
		a.admin.post(path, obj{"instance_ids": ids[1:2], "deletion_mode": "hard"}).want(200, "成功删除 0 个实例").
			wantAt("deleted_instance_ids", []any{}, "missing_instance_ids", ids[1:2])

		entries, err := a.store.AuditLog(a.Context(), models.AuditQuery{Action: models.ActionDeleteInstances, Limit: 10})
		check(a, err)
		equal(a, "audited", entries.Entries[1].TargetName+"; "+entries.Entries[2].TargetName, "hard: b, c; soft: b")
		equal(a, "target", *entries.Entries[2].TargetID, ids[1])
	})
}

func TestInstancesBatchDelete_Refusals(t *testing.T) {
	onBothStores(t, func(a *app) {
		const path = "/instances/batch-delete"
		id := instanceID(a.serverInstance("stays", models.MySQL))
		many := make([]any, 1001)
		for i := range many {
			many[i] = id
		}
		for _, bad := range []struct {
			body    any
			message string
		}{
			{nil, "请选择要删除的实例"},
			{obj{}, "请选择要删除的实例"},
			{obj{"instance_ids": nil, "deletion_mode": "hard"}, "请选择要删除的实例"},
			{obj{"instance_ids": []any{}}, "请选择要删除的实例"},
			{obj{"instance_ids": id}, "实例ID列表无效"},
			{obj{"instance_ids": "1,2"}, "实例ID列表无效"},
			{obj{"instance_ids": obj{}}, "实例ID列表无效"},
			{obj{"instance_ids": []any{id, 0}}, "实例ID列表无效"},
			{obj{"instance_ids": []any{id, -1}}, "实例ID列表无效"},
			{obj{"instance_ids": []any{id, 1.5}}, "实例ID列表无效"},
			{obj{"instance_ids": []any{id, "x"}}, "实例ID列表无效"},
			{obj{"instance_ids": []any{id, nil}}, "实例ID列表无效"},
			{obj{"instance_ids": []any{id, true}}, "实例ID列表无效"},
			{obj{"instance_ids": []any{[]any{id}}}, "实例ID列表无效"},
			{obj{"instance_ids": []any{id}, "deletion_mode": "HARD!"}, "删除模式无效"},
			{obj{"instance_ids": []any{id}, "deletion_mode": ""}, "删除模式无效"},
			{obj{"instance_ids": []any{id}, "deletion_mode": 1}, "删除模式无效"},
			{obj{"instance_ids": many}, "批量删除数量不能超过 1000 个"},
		} {
			a.admin.post(path, bad.body).wantCode(400, models.CodeInvalid, bad.message)
		}
		for _, c := range []*client{a.user, a.guest} {
			c.post(path, obj{"instance_ids": []any{id}}).wantCode(403, models.CodeForbidden, "需要 delete 权限")
		}
		a.admin.with("X-CSRFToken", "").
			post(path, obj{"instance_ids": []any{id}}).
			wantCode(403, models.CodeCSRFMissing, "缺少 CSRF 令牌")
		a.admin.post(path, `{"instance_ids": [99999999999999999999999], "deletion_mode": "hard"}`).want(200, "成功删除 0 个实例")
		a.guest.get("/instances").wantAt("total", 1)
	})
}

func TestInstancesStatistics(t *testing.T) {
	onBothStores(t, func(a *app) {
		empty := a.guest.get("/instances/statistics").want(200, "获取实例统计信息成功").wantAt(
			"total_instances", 0, "active_instances", 0, "disabled_instances", 0, "deleted_instances", 0, "db_type_stats",
			[]any{},
			"database_count", 0, "total_size_bytes", nil)
		equal(a, "members", members(empty.data),
			"active_instances database_count db_type_stats db_types_count deleted_instances disabled_instances "+
				"inactive_instances normal_instances port_stats total_instances total_size_bytes version_stats")
		a.serverInstance("a", models.Oracle)
		a.serverInstance("b", models.SQLServer)
		a.serverInstance("c", models.SQLServer)
		off, gone := a.serverInstance("d", models.MySQL), a.serverInstance("e", models.PostgreSQL)
		a.admin.put(off, obj{"name": "d", "db_type": "mysql", "host": "h", "port": 1, "is_active": false}).want(200, "实例更新成功")
		a.admin.remove(gone).want(200, "实例已移入回收站")
		a.guest.get("/instances/statistics").want(200, "获取实例统计信息成功").wantAt(
			"total_instances", 4, "active_instances", 3, "disabled_instances", 1, "deleted_instances", 1,
			"db_type_stats", []any{
				obj{"db_type": "sqlserver", "count": 2}, obj{"db_type": "mysql", "count": 1}, obj{"db_type": "oracle", "count": 1},
			})
		a.anonymous.get("/instances/statistics").wantCode(401, models.CodeUnauthenticated, "请先登录")
	})
}

func TestInstancesPage_Destroy(t *testing.T) {
	t.Parallel()
	a := newApp(t, t.TempDir()+"/store.db")
	path := a.serverInstance("gone", models.MySQL)
	a.admin.visit("/instances").has(0, "form[action$=destroy]")
	a.admin.submit(path+"/destroy", url.Values{}, htmx...).wantStatus(http.StatusConflict).says("实例不在回收站中")
	a.admin.remove(path).want(200, "实例已移入回收站")
	a.admin.visit("/instances?status=deleted").has(1, "form[action$=destroy]").says("彻底删除 gone？")
	a.guest.visit("/instances?status=deleted").has(0, "form[action$=destroy]", ".row-actions")
	a.user.submit(path+"/destroy", url.Values{}).wantStatus(http.StatusForbidden)
	answer := a.admin.submit(path+"/destroy", url.Values{}, htmx...).wantStatus(200).says("实例 gone 已彻底删除")
	equal(t, "event", answer.header.Get("HX-Trigger"), "instances-changed")
	a.admin.visit("/instances?status=deleted").has(0, "tbody tr").says("回收站是空的")
	a.admin.submit(path+"/destroy", url.Values{}).wantStatus(http.StatusNotFound)
	a.admin.submit("/instances/x/destroy", url.Values{}).wantStatus(http.StatusNotFound)
}

// slow is a server that reports when it is asked and answers when told to.
type slow struct {
	refusing
	asked, answer chan struct{}
}

func (s slow) Version(context.Context, collectors.Target) (models.Version, error) {
	return models.Version{Full: "slow 1"}, nil
}

func (s slow) Databases(context.Context, collectors.Target) (models.DatabaseResult, error) {
	s.asked <- struct{}{}
	<-s.answer
	return models.DatabaseResult{Complete: true, Databases: []models.DatabaseSize{{Name: "app", Total: n(1 << 20)}}}, nil
}

func (s slow) Tables(context.Context, collectors.Target, string) (models.TableResult, error) {
	s.asked <- struct{}{}
	<-s.answer
	return models.TableResult{
		Complete: true,
		Tables:   []models.TableSize{{Schema: "app", Name: "t", Total: n(1 << 20)}},
	}, nil
}

// TestInstancesBatchDelete_WhileCollecting checks that the collection fails and restores nothing.
func TestInstancesBatchDelete_WhileCollecting(t *testing.T) { //nolint:tparallel // both stores use one collector
	t.Parallel()
	server := slow{asked: make(chan struct{}), answer: make(chan struct{})}
	stores(t, map[models.Engine]collectors.Collector{models.MySQL: server}, func(a *app) {
		for i, action := range []string{"/actions/sync-capacity", "/databases/app/tables/sizes/actions/refresh"} {
			made := a.admin.post("/instances", obj{
				"name":          fmt.Sprint("slow", i),
				"db_type":       "mysql",
				"host":          "h",
				"port":          1,
				"credential_id": a.credential(fmt.Sprint("c", i)),
			}).want(201, "实例创建成功")
			id := made.id("instance", "id")
			path := fmt.Sprintf("/instances/%d", id)
			a.snapshotOf(path, "app",
				models.TableResult{Complete: true, Tables: []models.TableSize{{Schema: "app", Name: "t", Total: n(1)}}})
			answered := make(chan *response, 1)
			go func() { answered <- a.admin.post(path+action, nil) }()
			<-server.asked
			a.admin.post("/instances/batch-delete", obj{"instance_ids": []any{id}, "deletion_mode": "hard"}).
				want(200, "成功删除 1 个实例")
			server.answer <- struct{}{}
			r := <-answered
			if r.status != 404 && r.status != 409 || strings.Contains(r.raw, string(models.CodeInternal)) {
				a.Errorf("%s: %d %s", action, r.status, r.raw)
			}
			a.guest.get("/instances?include_deleted=1").wantAt("total", 0)
			_, err := a.store.Database(a.Context(), id, "app")
			equal(a, "database", models.AsError(err).Code, models.CodeNotFound)
		}
		s, err := a.store.InstanceStatistics(a.Context())
		check(a, err)
		equal(a, "databases left", s.DatabaseCount, 0)
	})
}

// stores runs the test on both stores, one after the other, with its own collectors.
func stores(t *testing.T, engines map[models.Engine]collectors.Collector, test func(a *app)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { test(newAppWith(t, t.TempDir()+"/store.db", engines)) })
	t.Run("postgres", func(t *testing.T) { test(newAppWith(t, testenv.PostgreSQL(t).NewDatabase(t), engines)) })
}

// credential adds a credential and returns its ID.
func (a *app) credential(name string) int64 {
	a.Helper()
	return a.admin.post("/credentials", obj{"name": name, "username": "u", "password": "p"}).
		want(201, "数据保存成功").
		id("credential", "id")
}
