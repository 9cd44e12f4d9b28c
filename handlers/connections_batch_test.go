package handlers_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"whalefall/collectors"
	"whalefall/models"
	"whalefall/testenv"
)

const batchTest = "/connections/actions/batch-test"

// reachableInstance adds an instance for a server with its credential and returns its ID.
func (a *app) reachableInstance(name, engine, host string, port int, user, password string) int64 {
	a.Helper()
	credential := a.admin.post("/credentials", obj{"name": name, "username": user, "password": password}).
		want(201, "数据保存成功").
		id("credential", "id")
	return a.admin.post("/instances", obj{
		"name": name, "db_type": engine, "host": host, "port": port, "credential_id": credential,
	}).
		want(201, "实例创建成功").
		id("instance", "id")
}

func TestConnectionBatch_RealServers(t *testing.T) {
	postgres, maria := testenv.PostgreSQL(t), testenv.MySQL(t)
	onBothStores(t, func(a *app) {
		pg := a.reachableInstance("pg", "pg", postgres.Host, postgres.Port, postgres.User, postgres.Password)
		my := a.reachableInstance("my", "mysql", maria.Host, maria.Port, maria.User, maria.Password)
		wrong := a.reachableInstance("wrong", "pg", postgres.Host, postgres.Port, "nobody", "wrong")
		refused := a.reachableInstance("refused", "mysql", "127.0.0.1", testenv.FreePort(t), "u", "p")
		silent := a.reachableInstance("silent", "pg", "127.0.0.1", testenv.SilentPort(t), "u", "p")
		bare := a.admin.post("/instances", obj{"name": "bare", "db_type": "mysql", "host": "h", "port": 1}).
			id("instance", "id")
		file := a.admin.post("/instances", obj{"name": "file", "db_type": "sqlite", "database_name": a.sqliteFile()}).
			id("instance", "id")
		gone := a.admin.post("/instances", obj{"name": "gone", "db_type": "sqlite", "database_name": a.dir}).
			id("instance", "id")
		a.admin.remove("/instances/" + plain(gone))

		r := a.guest.post(batchTest, obj{"instance_ids": []any{
			silent, pg, file, my, pg, refused, 4711, gone, bare, wrong, -1,
		}}).
			want(200, "批量连接测试完成")
		r.wantAt("summary", obj{"total": 10, "success": 3, "failed": 7})
		results := r.data["results"].([]any)
		order := []int64{silent, pg, file, my, refused, 4711, gone, bare, wrong, -1}
		for i, id := range order {
			equal(a, "order", r.id("results", i, "instance_id"), id)
		}
		for i, code := range map[int]models.Code{
			0: models.CodeUnreachable, 4: models.CodeUnreachable, 5: models.CodeNotFound, 6: models.CodeNotFound,
			7: models.CodeCollection,
			8: models.CodeUnreachable, 9: models.CodeNotFound,
		} {
			one := results[i].(obj)
			equal(a, plain(order[i])+" error_code", one["error_code"], any(string(code)))
			equal(a, plain(order[i])+" success", one["success"], any(false))
			equal(a, plain(order[i])+" error", one["error"], one["message"])
			for _, member := range []string{"version", "database_version", "main_version", "detailed_version"} {
				if value, there := one[member]; value != nil || !there {
					a.Errorf("%d: %s is %v", order[i], member, value)
				}
			}
		}
		r.wantAt("results.0.message", "数据库连接失败", "results.0.extra.reason", "timeout", "results.4.extra.reason", "refused",
			"results.8.extra.reason", "login", "results.5.message", "实例不存在", "results.5.instance_name", nil,
			"results.6.instance_name", nil, "results.7.message", "实例未配置凭据", "results.0.instance_name", "silent",
			"results.0.extra.instance_id", silent)
		if advice, _ := results[4].(obj)["extra"].(obj)["advice"].(string); advice == "" {
			a.Errorf("no advice: %v", results[4])
		}
		for _, i := range []int{1, 2, 3} {
			one := results[i].(obj)
			single := a.guest.post("/connections/actions/test", obj{"instance_id": order[i]}).want(200, "实例连接测试成功").data
			for member, value := range single {
				equal(a, plain(order[i])+" "+member, plain(one[member]), plain(value))
			}
			equal(a, "error_code", one["error_code"], nil)
			equal(a, "error", one["error"], nil)
		}
		a.guest.get("/instances/"+plain(pg)).wantAt("instance.database_version", results[1].(obj)["version"])
		english := a.guest.with("Accept-Language", "en").post(batchTest, obj{"instance_ids": []any{4711}})
		english.want(200, "Connection tests finished").wantAt("results.0.message", "This instance does not exist")
	})
}

func TestConnectionBatch_InvalidIDs(t *testing.T) {
	onBothStores(t, func(a *app) {
		many := slices.Repeat([]int{1}, 51)
		for _, c := range []struct {
			body    any
			message string
		}{
			{nil, "缺少实例ID列表"},
			{obj{}, "缺少实例ID列表"},
			{obj{"instance_ids": nil}, "缺少实例ID列表"},
			{obj{"instance_ids": []int{}}, "实例ID列表不能为空"},
			{obj{"instance_ids": 1}, "实例ID列表必须为整数"},
			{obj{"instance_ids": "1,2"}, "实例ID列表必须为整数"},
			{obj{"instance_ids": []any{1, "x"}}, "实例ID列表必须为整数"},
			{obj{"instance_ids": []any{1.5}}, "实例ID列表必须为整数"},
			{obj{"instance_ids": []any{true}}, "实例ID列表必须为整数"},
			{obj{"instance_ids": []any{nil}}, "实例ID列表必须为整数"},
			{obj{"instance_ids": many}, "批量测试数量不能超过50个"},
		} {
			a.guest.post(batchTest, c.body).wantCode(400, models.CodeInvalid, c.message)
		}
		a.guest.post(batchTest, obj{"instance_ids": many[:50]}).want(200, "批量连接测试完成").wantAt("summary.total", 1)
		a.guest.post(batchTest, `{"instance_ids": [99999999999999999999]}`).want(200, "批量连接测试完成").wantAt("summary.failed", 1)
		a.anonymous.post(batchTest, obj{"instance_ids": many}).want(401, "请先登录")
	})
}

const slowTest = 20 * time.Millisecond

// slowCollector takes a while to connect.
type slowCollector struct {
	collectors.Collector
	now, most atomic.Int64
	wanted    int64 // number of tests that must run at once before any of them ends
	stuck     bool  // blocks until its context ends
}

func (s *slowCollector) Version(ctx context.Context, _ collectors.Target) (models.Version, error) {
	now := s.now.Add(1)
	defer s.now.Add(-1)
	for most := s.most.Load(); now > most && !s.most.CompareAndSwap(most, now); most = s.most.Load() {
	}
	for ctx.Err() == nil && (s.stuck || s.most.Load() < s.wanted) {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(slowTest)
	return models.Version{Full: "slow"}, context.Cause(ctx)
}

// TestConnectionBatch_Concurrency tests fifty slow targets and counts how many are tested at once.
func TestConnectionBatch_Concurrency(t *testing.T) {
	slow := &slowCollector{wanted: 8}
	a := newAppWith(t, t.TempDir()+"/store.db", map[models.Engine]collectors.Collector{models.SQLite: slow})
	var ids []int64
	for i := range 50 {
		ids = append(
			ids,
			a.admin.post("/instances", obj{"name": "n" + plain(i), "db_type": "sqlite", "database_name": "x"}).
				id("instance", "id"),
		)
	}
	started := time.Now()
	a.guest.post(batchTest, obj{"instance_ids": ids}).
		want(200, "批量连接测试完成").
		wantAt("summary", obj{"total": 50, "success": 50, "failed": 0})
	equal(t, "tests at the same time", slow.most.Load(), int64(8))
	if took := time.Since(started); took < 7*slowTest {
		t.Errorf("fifty tests of %s, eight at a time, took %s", slowTest, took)
	}
}

// TestConnectionBatch_Timeout tests servers that never answer: all tests end with a timeout, including those that never
// started.
func TestConnectionBatch_Timeout(t *testing.T) {
	a := newAppWith(t, t.TempDir()+"/store.db",
		map[models.Engine]collectors.Collector{models.SQLite: &slowCollector{stuck: true}})
	var ids []int64
	for i := range 10 {
		ids = append(
			ids,
			a.admin.post("/instances", obj{"name": "n" + plain(i), "db_type": "sqlite", "database_name": "x"}).
				id("instance", "id"),
		)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	w := a.admin.serve(ctx, t, http.MethodPost, batchTest,
		strings.NewReader(plain(obj{"instance_ids": ids})), "application/json")
	var answer struct {
		Data struct {
			Results []struct {
				InstanceName string `json:"instance_name"`
				ErrorCode    string `json:"error_code"`
				Message      string
			}
		}
	}
	check(t, json.Unmarshal(w.Body.Bytes(), &answer))
	equal(t, "results", len(answer.Data.Results), len(ids))
	for i, r := range answer.Data.Results {
		equal(t, "result", r.InstanceName+" "+r.ErrorCode+" "+r.Message, fmt.Sprintf("n%d COLLECTION_TIMEOUT 采集超时", i))
	}
}
