package handlers_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"whalefall/models"
)

func TestLedgers(t *testing.T) {
	onBothStores(t, func(a *app) {
		inst := a.serverInstance("pg", models.PostgreSQL)
		today := a.now()
		small, large := int64(5<<20+1), int64(3<<30)
		a.saveSizes(inst, today.AddDate(0, 0, -3), models.DatabaseSize{Name: "app", Total: n(4 << 20)},
			models.DatabaseSize{Name: "old", Total: n(1)}, models.DatabaseSize{Name: "big"}, models.DatabaseSize{Name: "gone"})
		a.saveSizes(inst, today, models.DatabaseSize{Name: "app", Total: &small}, models.DatabaseSize{Name: "old"},
			models.DatabaseSize{Name: "big", Total: &large}, models.DatabaseSize{Name: "never"})
		off := a.sqliteInstance("off", a.dir+"/off.db")
		a.saveSizes(off, today, models.DatabaseSize{Name: "main", Total: n(1)})
		a.admin.remove(off).want(200, "实例已移入回收站")

		r := a.guest.get("/databases/ledgers").want(200, "获取数据库台账成功").
			wantAt("total", 4, "page", 1, "pages", 1, "limit", 20, "page_size", 20, "per_page", 20)
		equal(a, "order", strings.Join(column(r.at("items").([]any), "database_name"), " "), "app big never old")
		app := r.at("items", 0).(obj)
		equal(a, "members", members(app), "capacity database_name db_type id instance sync_status tags trend")
		equal(a, "instance", members(app["instance"].(obj)), "db_type host id name")
		r.wantAt("items.0.capacity.size_mb", 5, "items.0.capacity.size_bytes", small, "items.0.capacity.label", "5 MB",
			"items.0.sync_status", obj{"value": "completed", "label": "已更新", "variant": "success"},
			"items.0.trend", obj{"growth_7d_bytes": small - 4<<20, "sizes_bytes": []any{4 << 20, small}},
			"items.1.capacity.label", "3.00 GB",
			"items.2.capacity", obj{"size_mb": nil, "size_bytes": nil, "label": "未采集", "collected_at": nil},
			"items.2.sync_status", obj{"value": "pending", "label": "待采集", "variant": "secondary"},
			"items.3.sync_status", obj{"value": "failed", "label": "超时", "variant": "danger"})

		a.guest.get("/databases/ledgers?search=PG&per_page=1&page=2").
			wantAt("total", 4, "pages", 4, "per_page", 1, "items.0.database_name", "big")
		for query, total := range map[string]int{
			"db_type=pg": 4, "db_type=oracle": 0, "db_type=nonsense": 0, "tags=none": 0, "instance_id=4711": 0,
			"search=%25": 0, "limit=1000": 4,
		} {
			a.guest.get("/databases/ledgers?"+query).wantAt("total", total)
		}
		for query, message := range map[string]string{
			"page=0": "page 参数必须为正整数", "limit=-1": "limit 参数必须为正整数", "page_size=x": "page_size 参数必须为正整数",
		} {
			a.guest.get("/databases/ledgers?"+query).wantCode(400, models.CodeInvalid, message)
		}
		a.checkTrend(inst, r.id("items", 0, "id"))
	})
}

// checkTrend reads the trend of the database app, whose instance is then deleted.
func (a *app) checkTrend(instance string, id int64) {
	a.Helper()
	path := fmt.Sprintf("/databases/ledgers/%d/capacity-trend", id)
	r := a.guest.get(path).want(200, "获取容量走势成功").
		wantAt("database.name", "app", "database.instance_name", "pg", "database.id", id, "points.0.label", "4 MB",
			"points.1.size_mb", 5)
	equal(a, "members", members(r.at("points", 0).(obj)), "collected_at collected_date label size_bytes size_mb")
	for query, points := range map[string]int{"days=1": 1, "days=3": 1, "days=4": 2, "days=0": 2, "days=5000": 2} {
		equal(a, query, len(a.guest.get(path+"?"+query).at("points").([]any)), points)
	}
	a.guest.get("/databases/ledgers/4711/capacity-trend").wantCode(404, models.CodeNotFound, "数据库不存在或已删除")
	a.admin.remove(instance).want(200, "实例已移入回收站")
	a.guest.get(path).wantCode(404, models.CodeNotFound, "数据库所属实例不存在")
}

func TestCapacity(t *testing.T) {
	onBothStores(t, func(a *app) {
		inst := a.serverInstance("pg", models.PostgreSQL)
		noon := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC) // a Monday
		for day, total := range map[int]int64{-1: 100 << 20, 0: 103 << 20, 1: 113 << 20} {
			a.saveSizes(inst, noon.AddDate(0, 0, day), models.DatabaseSize{Name: "app", Total: &total, Data: &total},
				models.DatabaseSize{Name: "new", Total: n(1 << 20)})
		}

		list := a.guest.get("/capacity/databases?period_type=weekly&database_name=app").
			want(200, "数据库统计聚合数据获取成功").
			wantAt("total", 2, "pages", 1, "has_prev", false, "has_next", false, "items.0.period_start", "2026-03-02",
				"items.0.period_end", "2026-03-08", "items.0.data_count", 2, "items.0.avg_size_mb", 108,
				"items.0.size_change_mb", 8, "items.0.size_change_percent", 8, "items.0.growth_rate", 8,
				"items.0.data_size_change_mb", 8, "items.0.log_size_change_mb", nil, "items.0.instance.name", "pg",
				"items.1.size_change_mb", 0, "items.1.size_change_percent", 0)
		equal(a, "members", members(list.at("items", 0).(obj)), "avg_data_size_mb avg_log_size_mb avg_size_mb calculated_at "+
			"created_at data_count data_size_change_mb data_size_change_percent database_name growth_rate id instance "+
			"instance_id log_size_change_mb log_size_change_percent max_data_size_mb max_log_size_mb max_size_mb "+
			"min_data_size_mb min_log_size_mb min_size_mb period_end period_start period_type size_change_mb "+
			"size_change_percent")
		a.guest.get("/capacity/databases?limit=1&page=2&period_type=daily").
			wantAt("total", 6, "pages", 6, "has_prev", true, "has_next", true)
		a.guest.get("/capacity/databases?get_all=true&period_type=daily&limit=1").
			wantAt("total", 6, "pages", 1, "limit", 6, "items.0.period_start", "2026-03-01")
		a.guest.get("/capacity/databases?end_date=2001-01-01").wantAt("total", 0, "pages", 0, "items", []any{})
		a.guest.get("/capacity/databases/summary").want(200, "数据库统计聚合汇总获取成功").
			wantAt("summary", obj{
				"total_databases": 2, "total_instances": 1, "total_size_mb": 114, "avg_size_mb": 57,
				"max_size_mb": 113, "growth_rate": 0,
			})
		a.checkInstanceCapacity()
	})
}

func (a *app) checkInstanceCapacity() {
	a.Helper()
	list := a.guest.get("/capacity/instances?period_type=weekly").want(200, "操作成功").
		wantAt("total", 2, "items.0.total_size_mb", 109, "items.0.avg_size_mb", 54, "items.0.database_count", 2,
			"items.0.total_size_change_mb", 8, "items.0.total_size_change_percent", 7.92, "items.0.trend_direction", "growing",
			"items.0.database_count_change", 0, "items.1.trend_direction", "stable", "items.1.total_size_change_mb", 0)
	equal(a, "members", members(list.at("items", 0).(obj)), "avg_database_count avg_size_mb calculated_at created_at "+
		"data_count database_count database_count_change database_count_change_percent growth_rate id instance instance_id "+
		"max_database_count max_size_mb min_database_count min_size_mb period_end period_start period_type "+
		"total_size_change_mb total_size_change_percent total_size_mb trend_direction")
	a.guest.get("/capacity/instances?start_date=2026-02-24&period_type=weekly").wantAt("total", 1)
	a.guest.get("/capacity/instances?end_date=2001-01-01").wantAt("total", 0, "pages", 1)
	a.guest.get("/capacity/instances?time_range=100000").wantAt("total", 3+2+1+1)
	a.guest.get("/capacity/instances/summary?period_type=monthly").want(200, "操作成功").
		wantAt("summary", obj{
			"total_instances": 1, "total_size_mb": 114, "avg_size_mb": 114, "max_size_mb": 114,
			"period_type": "monthly", "source": "instance_size_stats",
		})
	a.guest.get("/capacity/instances/summary?end_date=2001-01-01").
		wantAt("summary.total_instances", 0, "summary.avg_size_mb", 0, "summary.period_type", "all")
	for query, message := range map[string]string{
		"time_range=x": "time_range 必须为整数(天)", "start_date=x": "start_date 格式错误,应为 YYYY-MM-DD",
		"period_type=yearly": "period_type 仅支持 daily、weekly、monthly 或 quarterly",
	} {
		a.guest.get("/capacity/instances?"+query).wantCode(400, models.CodeInvalid, message)
	}
}

func TestOptions(t *testing.T) {
	onBothStores(t, func(a *app) {
		inst := a.serverInstance("pg", models.PostgreSQL)
		id := strings.TrimPrefix(inst, "/instances/")
		file := a.sqliteInstance("file", a.dir+"/none.db")
		a.admin.remove(a.sqliteInstance("binned", a.dir+"/gone.db")).want(200, "实例已移入回收站")
		a.saveSizes(inst, a.now().AddDate(0, 0, -1), models.DatabaseSize{Name: "b"}, models.DatabaseSize{Name: "gone"})
		a.saveSizes(inst, a.now(), models.DatabaseSize{Name: "b"}, models.DatabaseSize{Name: "a"})

		r := a.guest.get("/common/instances/options").want(200, "实例选项获取成功").
			wantAt("instances.0.display_name", "file (SQLITE)", "instances.1.display_name", "pg (POSTGRESQL)")
		equal(a, "instances", len(r.at("instances").([]any)), 2)
		equal(a, "members", members(r.at("instances", 0).(obj)), "db_type display_name id name")
		for query, count := range map[string]int{"PostgreSQL": 1, "pg": 0, "nonsense": 0, "": 2} {
			options := a.guest.get("/common/instances/options?db_type=" + query).at("instances").([]any)
			equal(a, query, len(options), count)
		}

		path := "/common/databases/options?instance_id=" + id
		r = a.guest.get(path).want(200, "数据库选项获取成功").wantAt("total_count", 3, "limit", 100, "offset", 0,
			"databases.0.database_name", "a", "databases.2.database_name", "gone", "databases.2.is_active", false)
		equal(a, "members", members(r.at("databases", 0).(obj)),
			"database_name deleted_at first_seen_date id is_active last_seen_date")
		a.guest.get(path+"&limit=1&offset=1").wantAt("total_count", 3, "databases.0.database_name", "b")
		for query, message := range map[string]string{
			"": "instance_id 为必填参数", "?instance_id=0": "instance_id 为必填参数", "?instance_id=x": "instance_id 为必填参数",
			"?instance_id=1&limit=x": "limit/offset 必须为整数", "?instance_id=1&offset=1.5": "limit/offset 必须为整数",
			"?instance_id=1&limit=-1": "limit 最小为 1", "?instance_id=1&limit=1001": "limit 最大为 1000",
			"?instance_id=1&offset=-1": "offset 不能为负数",
		} {
			a.guest.get("/common/databases/options"+query).wantCode(400, models.CodeInvalid, message)
		}
		a.guest.get("/common/databases/options?instance_id=4711").wantCode(404, models.CodeNotFound, "实例不存在")

		types := a.guest.get("/common/database-types/options").want(200, "数据库类型选项获取成功").
			wantAt("options.2", obj{"value": "sqlserver", "text": "SQL Server", "icon": "fa-server", "color": "warning"})
		equal(a, "types", len(types.at("options").([]any)), 4)
		a.checkConnectionStatus(file)
	})
}

// checkConnectionStatus reads how long ago an instance was connected to.
func (a *app) checkConnectionStatus(instance string) {
	a.Helper()
	var id int64
	_, err := fmt.Sscanf(instance, "/instances/%d", &id)
	check(a, err)
	path := fmt.Sprintf("/connections/status/%d", id)
	r := a.guest.get(path).want(200, "获取连接状态成功").
		wantAt("status", "unknown", "last_connected", nil, "instance_name", "file", "host", nil, "is_active", true)
	equal(a, "members", members(r.data), "db_type host instance_id instance_name is_active last_connected port status")
	for status, age := range map[string]time.Duration{"good": 0, "warning": 2 * time.Hour, "poor": 25 * time.Hour} {
		check(a, a.store.RecordConnection(a.Context(), id, models.Version{}, a.now().Add(-age)))
		a.guest.get(path).wantAt("status", status)
	}
}

func TestConnectionParameters(t *testing.T) {
	t.Parallel()
	a := newApp(t, t.TempDir()+"/store.db")
	for _, body := range []obj{
		{"db_type": "PG", "port": 5432}, {"db_type": "mssql", "port": "1433"}, {"db_type": "sqlite"},
	} {
		r := a.guest.post("/connections/actions/validate-params", body).want(200, "连接参数验证通过")
		equal(t, "data", len(r.data), 0)
	}
	for _, bad := range []struct {
		body    obj
		message string
	}{
		{obj{}, "请求数据不能为空"},
		{obj{"port": 1}, "不支持的数据库类型: "},
		{obj{"db_type": "DB2", "port": 1}, "不支持的数据库类型: db2"},
		{obj{"db_type": "pg", "port": nil}, "端口号必须是有效的数字"},
		{obj{"db_type": "pg", "port": "x"}, "端口号必须是有效的数字"},
		{obj{"db_type": "pg"}, "端口号必须在1-65535之间"},
		{obj{"db_type": "pg", "port": 65536}, "端口号必须在1-65535之间"},
		{obj{"db_type": "pg", "port": 1, "credential_id": "x"}, "credential_id 必须是整数"},
	} {
		a.guest.post("/connections/actions/validate-params", bad.body).wantCode(400, models.CodeInvalid, bad.message)
	}
	a.guest.post("/connections/actions/validate-params", obj{"db_type": "pg", "port": 1, "credential_id": 4711}).
		wantCode(404, models.CodeNotFound, "凭据不存在")
}
