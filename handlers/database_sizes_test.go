package handlers_test

import (
	"fmt"
	"net/url"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"whalefall/models"
	"whalefall/testenv"
)

const (
	synced    = "实例 %s 的容量同步任务已成功完成"
	refreshed = "表容量快照刷新成功"
	readTable = "表容量快照获取成功"
	readSizes = "数据库大小数据获取成功"
)

// hostileNames are possible names of tables and databases.
var hostileNames = []string{
	`a"b`, `<script>alert(1)</script>`, `x'; DROP TABLE y; --`, `100%_`, `a/b`, `%2F`, `a%2Fb`, `%`, `%25`, `a\b`,
	"new\nline", "tab\t", strings.Repeat("鲸", 21), "Case", "case", " space ", "?q=1#f", "sizes", "tables", "{{.Name}}",
	"a+b", ";:@&=", "..x", "İstanbul",
}

func TestDatabaseSizes_SQLiteFile(t *testing.T) {
	onBothStores(t, func(a *app) {
		file := a.sqliteFile("CREATE TABLE t (x)",
			"INSERT INTO t WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 30) "+
				"SELECT zeroblob(100000) FROM n")
		info, err := os.Stat(file)
		check(a, err)
		size := info.Size()
		inst := a.sqliteInstance("files", file)
		empty := a.guest.get(inst+"/databases/sizes?latest_only=1").want(200, readSizes).
			wantAt("total", 0, "databases", []any{}, "active_count", 0, "filtered_count", 0, "total_size_mb", 0)
		equal(a, "members", members(empty.data),
			"active_count databases filtered_count limit offset total total_size_bytes total_size_mb")

		r := a.user.post(inst+"/actions/sync-capacity", nil).want(200, fmt.Sprintf(synced, "files"))
		equal(a, "members", members(r.at("result").(obj)),
			"complete database_count databases instance_stat_updated inventory message "+
				"saved_count status total_size_bytes total_size_mb")
		equal(a, "database", members(r.at("result", "databases", 0).(obj)),
			"collected_at collected_date data_size_bytes data_size_mb "+
				"database_name is_system log_size_bytes log_size_mb size_bytes size_mb")
		zone, err := time.LoadLocation("Asia/Shanghai")
		check(a, err)
		today := a.now().In(zone).Format(time.DateOnly)
		r.wantAt("result.status", "completed", "result.database_count", 1, "result.saved_count", 1,
			"result.instance_stat_updated", true, "result.total_size_mb", size>>20, "result.total_size_bytes", size,
			"result.message", "成功采集并保存 1 个数据库的容量信息", "result.databases.0.size_mb", size>>20,
			"result.databases.0.size_bytes", size, "result.databases.0.database_name", "main",
			"result.databases.0.collected_date", today, "result.databases.0.is_system", false, "result.inventory", obj{
				"created": 1, "refreshed": 0, "reactivated": 0, "deactivated": 0, "active_databases": []string{"main"},
				"filtered_databases": []any{}, "synchronized_databases": []string{"main"},
			})
		a.user.post(inst+"/actions/sync-capacity", nil).wantAt("result.inventory.created", 0, "result.inventory.refreshed", 1)

		for _, query := range []string{
			"", "?latest_only=true", "?latest_only=YES&include_inactive=On", "?start_date=" + today + "&end_date=" + today,
		} {
			r := a.guest.get(inst+"/databases/sizes"+query).want(200, readSizes).wantAt("total", 1, "limit", 100, "offset", 0,
				"databases.0.size_mb", size>>20, "databases.0.size_bytes", size, "databases.0.collected_date", today,
				"databases.0.last_seen_date", today, "databases.0.is_active", true, "databases.0.deleted_at", nil)
			equal(a, "row", members(r.at("databases", 0).(obj)),
				"collected_at collected_date data_size_bytes data_size_mb database_id "+
					"database_name deleted_at id is_active is_system last_seen_date log_size_bytes log_size_mb size_bytes size_mb")
			_, counted := r.data["active_count"]
			equal(a, query+" counted", counted, strings.Contains(query, "latest_only"))
		}
		a.guest.get("/instances").wantAt("items.0.active_db_count", 1, "items.0.total_size_bytes", size)
		a.guest.get(inst+"/databases/sizes?start_date=2001-01-01&end_date=2001-12-31").wantAt("total", 0)
		a.guest.get(inst+"/databases/sizes?database_name=MAI&limit=2000&offset=0").wantAt("total", 1, "limit", 2000)
		for _, nothing := range []string{"%00", "%FF", "_", "%25", "'", strings.Repeat("x", 5000)} {
			a.guest.get(inst+"/databases/sizes?database_name="+nothing).wantAt("total", 0)
		}
		a.guest.get(inst+"/databases/sizes?offset=99999999999999999999").
			want(200, readSizes).
			wantAt("databases", []any{}, "total", 1)

		check(a, os.Remove(file))
		a.user.post(inst+"/actions/sync-capacity", nil).wantCode(409, models.CodeUnreachable, "无法连接到实例 files")
	})
}

func TestDatabaseSizes_InvalidQueries(t *testing.T) {
	a := newApp(t, t.TempDir()+"/store.db")
	inst := a.sqliteInstance("files", a.dir+"/none.db")
	for query, want := range map[string]string{
		"limit=x": "limit 必须为整数", "limit=1.5": "limit 必须为整数", "limit=1e2": "limit 必须为整数",
		"limit=0x1": "limit 必须为整数",
		"limit=0":   "limit 最小为 1", "limit=-5": "limit 最小为 1", "limit=-99999999999999999999": "limit 最小为 1",
		"limit=2001": "limit 最大为 2000", "limit=99999999999999999999": "limit 最大为 2000",
		"offset=x": "offset 必须为整数", "offset=1.0": "offset 必须为整数", "offset=%00": "offset 必须为整数",
		"offset=-1": "offset 不能为负数", "offset=-99999999999999999999": "offset 不能为负数",
	} {
		a.guest.get(inst+"/databases/sizes?"+query).wantCode(400, models.CodeInvalid, want)
		a.guest.get(tablesPath(inst, "main")+"?"+query).wantCode(400, models.CodeInvalid, want)
		a.user.post(tablesPath(inst, "main")+"/actions/refresh?"+query, nil).wantCode(400, models.CodeInvalid, want)
	}
	for query, want := range map[string]string{
		"start_date=2026-02-30": "start_date 格式错误,应为 YYYY-MM-DD", "start_date=20260101": "start_date 格式错误,应为 YYYY-MM-DD",
		"end_date=2026-1-1": "end_date 格式错误,应为 YYYY-MM-DD", "end_date=x%00": "end_date 格式错误,应为 YYYY-MM-DD",
		"end_date=2026-01-01T00:00:00Z":             "end_date 格式错误,应为 YYYY-MM-DD",
		"start_date=2026-01-02&end_date=2026-01-01": "start_date 不能晚于 end_date",
	} {
		a.guest.get(inst+"/databases/sizes?"+query).wantCode(400, models.CodeInvalid, want)
	}
	for query, want := range map[string]string{
		"sort=nonsense":   "sort 仅支持：size, data, index, unused, rows, name, schema, growth, growth_7",
		"cursor=nonsense": "cursor 无效",
	} {
		file := a.sqliteInstance("f-"+strconv.Itoa(len(query)), a.sqliteFile("CREATE TABLE t (x)"))
		a.user.post(tablesPath(file, "main")+"/actions/refresh", nil).want(200, refreshed)
		a.guest.get(tablesPath(file, "main")+"?"+query).wantCode(400, models.CodeInvalid, want)
	}
	a.guest.get(inst+"/databases/sizes?start_date=&end_date=&nonsense=1&limit=1&limit=x").want(200, readSizes)
}

func TestTableSizes_SQLiteFile(t *testing.T) {
	onBothStores(t, func(a *app) {
		statements := []string{
			"CREATE TABLE big (x)",
			"INSERT INTO big WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 30) SELECT " +
				"zeroblob(100000) FROM n",
			"CREATE INDEX big_x ON big (x)",
		}
		for _, name := range hostileNames {
			if name != "case" { // the same table to SQLite
				statements = append(statements, `CREATE TABLE "`+strings.ReplaceAll(name, `"`, `""`)+`" (x)`)
			}
		}
		file := a.sqliteFile(statements...)
		inst := a.sqliteInstance("files", file)
		path := tablesPath(inst, "main")
		never := a.guest.get(path).
			want(200, readTable).
			wantAt("total", 0, "collected_at", nil, "tables", []any{}, "limit", 200, "offset", 0)
		equal(a, "members", members(never.data), "collected_at limit offset tables total")

		tables := len(hostileNames)
		r := a.user.post(path+"/actions/refresh?limit=3", nil).want(200, refreshed).
			wantAt("total", tables, "limit", 3, "offset", 0, "saved_count", tables, "deleted_count", 0, "complete", true,
				"tables.0.table_name", "big", "tables.0.schema_name", "main", "tables.0.row_count", 30, "tables.0.kind", "table")
		equal(a, "page", len(r.at("tables").([]any)), 3)
		if ms, ok := r.at("elapsed_ms").(float64); !ok || ms < 0 {
			a.Errorf("elapsed_ms %v", r.at("elapsed_ms"))
		}
		big := r.at("tables", 0).(obj)
		total, data, index := big["size_bytes"].(float64), big["data_size_bytes"].(float64), big["index_size_bytes"].(float64)
		equal(a, "sum", total, data+index+big["unused_bytes"].(float64))
		equal(a, "size_mb", big["size_mb"], any(float64(int64(total)>>20)))
		equal(a, "collected_at of a row", big["collected_at"], r.at("collected_at"))
		if total < 6_000_000 || strings.Contains(r.raw, "null") {
			a.Errorf("big: %s", r.raw)
		}
		read := a.guest.get(path+"?limit=3").want(200, readTable)
		equal(a, "read", plain(read.at("tables")), plain(r.at("tables")))

		checkTableNames(a, path)
		checkTableFilters(a, path, r.at("collected_at"))
		checkTableFailures(a, inst, file)
	})
}

// checkTableNames reads the whole snapshot page by page.
func checkTableNames(a *app, path string) {
	tables := len(hostileNames)
	names := map[string]bool{}
	cursor := ""
	for range tables {
		page := a.guest.get(path + "?limit=4&sort=name&cursor=" + url.QueryEscape(cursor))
		for _, row := range page.at("tables").([]any) {
			names[row.(obj)["table_name"].(string)] = true
		}
		if cursor, _ = page.data["next_cursor"].(string); cursor == "" {
			break
		}
	}
	for _, name := range hostileNames {
		equal(a, fmt.Sprintf("%q", name), names[name], name != "case")
	}
	equal(a, "all by cursor", len(names), tables)
}

func checkTableFilters(a *app, path string, collectedAt any) {
	tables := len(hostileNames)
	for query, want := range map[string]int{
		"table_name=BIG": 1, "table_name=%25": 5, "table_name=_": 1, "table_name=CASE": 1, "table_name='": 1,
		"table_name=%22": 1,
		"table_name=%00": 0, "table_name=%FF": 0, "schema_name=MAI": tables, "schema_name=x": 0, "table_name=鲸鲸": 1,
		"table_name=%5C": 1,
		"table_name=%0A": 1, "table_name=&schema_name=": tables, "offset=4000": tables, "offset=99999999999999999999": tables,
		"table_name=" + strings.Repeat("x", 5000): 0,
	} {
		got := a.guest.get(path+"?"+query).want(200, readTable).wantAt("total", want)
		equal(a, "collected_at "+query, got.at("collected_at"), collectedAt)
	}
	a.guest.get(path+"?sort=size&limit=1&offset="+strconv.Itoa(tables-1)).wantAt("tables.0.table_name", "big")
	for _, sort := range []string{
		"data", "-index", "rows", "-rows", "name", "-name", "schema", "growth", "-growth", "unused",
	} {
		a.guest.get(path+"?sort="+sort).want(200, readTable).wantAt("total", tables)
	}
}

// checkTableFailures prunes two tables, then requests missing things and breaks the file.
func checkTableFailures(a *app, inst, file string) {
	tables, path := len(hostileNames), tablesPath(inst, "main")
	a.exec(file, `DROP TABLE big`, `DROP TABLE "100%_"`)
	r := a.user.post(path+"/actions/refresh", nil).
		want(200, refreshed).
		wantAt("deleted_count", 2, "saved_count", tables-2, "total", tables-2)
	a.user.post(tablesPath(inst, "other")+"/actions/refresh", nil).wantCode(409, models.CodeCollection, "数据库不存在: other")
	a.guest.get(tablesPath(inst, "other")).want(200, readTable).wantAt("total", 0, "collected_at", nil)
	a.user.post(tablesPath(inst, "a\x00b")+"/actions/refresh", nil).
		wantCode(400, models.CodeInvalid, "字段 'database_name' 包含不允许的字符")
	a.guest.get(tablesPath(inst, "a\x00b")).want(200, readTable).wantAt("total", 0)
	a.guest.get(tablesPath(inst, "\xff")).want(200, readTable).wantAt("total", 0)
	a.guest.get(tablesPath(inst, strings.Repeat("长", 3000))).want(200, readTable).wantAt("total", 0)

	check(a, os.WriteFile(file, []byte("no database"), 0o600))
	broken := a.user.post(path+"/actions/refresh", nil)
	equal(a, broken.raw, broken.status, 409)
	equal(a, "instance_id", plain(broken.body["extra"].(obj)["instance_id"]), strings.TrimPrefix(inst, "/instances/"))
	equal(a, "database_name", broken.body["extra"].(obj)["database_name"], any("main"))
	a.guest.get(path).want(200, readTable).wantAt("total", tables-2, "collected_at", r.at("collected_at"))

	a.admin.remove(inst).want(200, "实例已移入回收站")
	a.guest.get(path).wantCode(404, models.CodeNotFound, "实例不存在")
	a.user.post(path+"/actions/refresh", nil).wantCode(404, models.CodeNotFound, "实例不存在")
}

// postgresTarget adds an instance for the server and returns its path under /api/v1.
func (a *app) postgresTarget(name string, s *testenv.PostgreSQLServer, user, password string) string {
	a.Helper()
	r := a.admin.post("/instances", obj{
		"name":          name,
		"db_type":       "pg",
		"host":          s.Host,
		"port":          s.Port,
		"database_name": "postgres",
		"username":      user,
		"password":      password,
	}).want(201, "实例创建成功")
	return fmt.Sprintf("/instances/%d", r.id("instance", "id"))
}

func quoted(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

func TestPostgreSQLTarget(t *testing.T) {
	t.Parallel()
	server := testenv.StartPostgreSQL(t)
	a := newApp(t, t.TempDir()+"/store.db")
	names := append([]string{".", ".."}, hostileNames...)
	for i, name := range names {
		server.Exec(t, "postgres", "CREATE DATABASE "+quoted(name))
		server.Exec(t, name,
			fmt.Sprintf("CREATE TABLE only_%d (x int); INSERT INTO only_%d SELECT generate_series(1, 10)", i, i))
	}
	inst := a.postgresTarget("pg", server, server.User, server.Password)
	r := a.user.post(inst+"/actions/sync-capacity", nil).want(200, fmt.Sprintf(synced, "pg"))
	ids := map[string]int64{}
	for _, row := range a.guest.get(inst + "/databases/sizes?latest_only=1&limit=2000").at("databases").([]any) {
		ids[row.(obj)["database_name"].(string)] = int64(row.(obj)["database_id"].(float64))
	}
	for i, name := range names {
		table := fmt.Sprintf("only_%d", i)
		byID := fmt.Sprintf("/databases/%d/tables/sizes", ids[name])
		a.user.post(byID+"/actions/refresh?limit=1&page=1", nil).want(200, refreshed).
			wantAt("total", 1, "page", 1, "pages", 1, "limit", 1, "saved_count", 1,
				"tables.0.table_name", table, "tables.0.schema_name", "public")
		a.guest.get(byID).
			want(200, readTable).
			wantAt("tables.0.table_name", table, "total", 1, "page", 1, "pages", 1, "limit", 200)
		if name == "." || name == ".." {
			continue
		}
		a.user.post(tablesPath(inst, name)+"/actions/refresh", nil).
			want(200, refreshed).
			wantAt("total", 1, "tables.0.table_name", table)
		a.guest.get(tablesPath(inst, name)).want(200, readTable).wantAt("total", 1, "tables.0.table_name", table)
	}
	one := fmt.Sprintf("/databases/%d/tables/sizes", ids["Case"])
	for query, want := range map[string]string{
		"offset=0": "分页参数已统一为 page/limit，不支持 offset", "offset=": "分页参数已统一为 page/limit，不支持 offset",
		"page=0": "page 最小为 1", "page=x": "page 必须为整数", "limit=2001": "limit 最大为 2000", "sort=x": "sort 仅支持：size, data, " +
			"index, unused, rows, name, schema, growth, growth_7",
	} {
		a.guest.get(one+"?"+query).wantCode(400, models.CodeInvalid, want)
		a.user.post(one+"/actions/refresh?"+query, nil).wantCode(400, models.CodeInvalid, want)
	}
	a.guest.get("/databases/999999/tables/sizes").wantCode(404, models.CodeNotFound, "资源不存在")
	equal(t, "listed", len(r.at("result", "databases").([]any)), len(names)+1)

	a.user.post(tablesPath(inst, strings.Repeat("x", 64))+"/actions/refresh", nil).
		wantCode(409, models.CodeCollection, "数据库不存在: "+strings.Repeat("x", 64))
	server.DropDatabase(t, "Case")
	a.user.post(one+"/actions/refresh", nil).wantCode(409, models.CodeCollection, "数据库不存在: Case")
	a.guest.get(one).wantAt("total", 1)
	gone := a.guest.get(inst + "/databases/sizes?latest_only=1&include_inactive=1&limit=1&database_name=Case")
	gone.wantAt("total", 2, "active_count", 1, "filtered_count", 1)
	a.guest.get(inst+"/databases/sizes?latest_only=1&database_name=Case").
		wantAt("total", 1, "databases.0.database_name", "case")
	a.guest.get(inst+"/databases/sizes?database_name=Case").wantAt("total", 1)
	a.guest.get(inst+"/databases/sizes?database_name=Case&include_inactive=true").wantAt("total", 2)
	server.Exec(t, "postgres", `CREATE DATABASE "Case"`)
	a.user.post(inst+"/actions/sync-capacity", nil).wantAt("result.inventory.reactivated", 1)

	server.Stop(t)
	down := a.user.post(tablesPath(inst, "case")+"/actions/refresh", nil).
		wantCode(409, models.CodeUnreachable, "无法连接到实例 pg")
	equal(t, "extra", plain(down.body["extra"].(obj)["database_name"]), `"case"`)
	a.user.post(inst+"/actions/sync-capacity", nil).wantCode(409, models.CodeUnreachable, "无法连接到实例 pg")
	a.guest.get(tablesPath(inst, "case")).want(200, readTable).wantAt("total", 1)
}

func TestPostgreSQLTarget_Refuses(t *testing.T) {
	t.Parallel()
	server := testenv.StartPostgreSQL(t)
	a := newApp(t, t.TempDir()+"/store.db")
	server.Exec(t, "postgres", "CREATE DATABASE closed", "REVOKE CONNECT ON DATABASE closed FROM PUBLIC",
		"CREATE ROLE limited LOGIN PASSWORD 'l:@/%'")
	limited := a.postgresTarget("limited", server, "limited", "l:@/%")
	r := a.user.post(limited+"/actions/sync-capacity", nil).want(200, fmt.Sprintf(synced, "limited"))
	refused := 0
	for _, d := range r.at("result", "databases").([]any) {
		if d.(obj)["database_name"] == "closed" {
			refused++
			equal(t, "size_mb", d.(obj)["size_mb"], nil)
			equal(t, "error", members(d.(obj)["error"].(obj)), "code message")
		}
	}
	equal(t, "refused", refused, 1)
	latest := a.guest.get(limited+"/databases/sizes?latest_only=1&database_name=closed").
		wantAt("total", 1, "active_count", 1)
	latest.wantAt("databases.0.size_bytes", nil, "databases.0.collected_at", nil,
		"databases.0.size_mb", 0, "databases.0.id", nil)

	wrong := a.postgresTarget("wrong", server, server.User, "not the password")
	for _, r := range []*response{
		a.user.post(wrong+"/actions/sync-capacity", nil), a.user.post(tablesPath(wrong, "postgres")+"/actions/refresh", nil),
	} {
		r.wantCode(409, models.CodeUnreachable, "无法连接到实例 wrong")
		if strings.Contains(r.raw, "not the password") {
			t.Errorf("tells the password: %s", r.raw)
		}
	}
}
