package handlers_test

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"whalefall/models"
)

const offsetRefused = "分页参数已统一为 page/limit，不支持 offset"

func TestDatabaseSizes_LaterPaths(t *testing.T) {
	onBothStores(t, func(a *app) {
		inst := a.serverInstance("pg", models.PostgreSQL)
		id := strings.TrimPrefix(inst, "/instances/")
		older, later := inst+"/databases/sizes?", "/databases/sizes?instance_id="+id+"&"
		empty := a.guest.get(later).
			want(http.StatusOK, readSizes).
			wantAt("total", 0, "page", 1, "pages", 0, "limit", 100, "databases", []any{})
		equal(a, "members", members(empty.data), "databases limit page pages total")

		today := a.now()
		found := []models.DatabaseSize{
			{Name: "app", Total: n(5<<20 + 1)},
			{Name: "App", Total: n(3 << 20)},
			{Name: "gone", Total: n(1)},
		}
		unmeasured := models.DatabaseSize{Name: "unmeasured"}
		a.saveSizes(inst, today.AddDate(0, 0, -2), found...)
		a.saveSizes(inst, today, found[0], found[1], unmeasured)
		for _, filter := range []string{
			"", "latest_only=1", "include_inactive=1", "latest_only=1&include_inactive=YES", "database_name=APP",
			"end_date=2001-01-01", "sort=name&latest_only=on",
		} {
			for _, limit := range []int{1, 2, 2000} {
				checkSamePages(a, older+filter, later+filter, limit)
			}
		}
		a.guest.get(later+"limit=&page=").wantAt("limit", 100, "page", 1)
		a.guest.get(older+"limit=&offset=").wantAt("limit", 100, "offset", 0)
		a.checkDatabaseIDs(later + "latest_only=1")
		for query, want := range map[string]string{
			"": "缺少 instance_id", "instance_id=": "缺少 instance_id", "instance_id=x": "instance_id 必须为整数",
			"instance_id=1.0": "instance_id 必须为整数",
			"instance_id=0":   "instance_id 最小为 1", "instance_id=-1": "instance_id 最小为 1", "offset=0": offsetRefused,
			"instance_id=x&offset=": offsetRefused,
		} {
			a.guest.get("/databases/sizes?"+query).wantCode(http.StatusBadRequest, models.CodeInvalid, want)
		}
		for query, want := range laterRefusals {
			a.guest.get(later+query).wantCode(http.StatusBadRequest, models.CodeInvalid, want)
			a.guest.get("/databases/sizes?instance_id=4711&"+query).wantCode(http.StatusBadRequest, models.CodeInvalid, want)
		}
		a.guest.get(later+"start_date=x").wantCode(http.StatusBadRequest, models.CodeInvalid, "start_date 格式错误,应为 YYYY-MM-DD")
		for _, unknown := range []string{"4711", "99999999999999999999"} {
			a.guest.get("/databases/sizes?instance_id="+unknown).wantCode(http.StatusNotFound, models.CodeNotFound, "实例不存在")
		}
		a.anonymous.get("/databases/sizes").wantCode(http.StatusUnauthorized, models.CodeUnauthenticated, "请先登录")
		a.admin.remove(inst).want(http.StatusOK, "实例已移入回收站")
		a.guest.get(later).wantCode(http.StatusNotFound, models.CodeNotFound, "实例不存在")
	})
}

// checkDatabaseIDs expects each id of the list to lead to the tables of its database, that of a database that was
// never measured, too.
func (a *app) checkDatabaseIDs(list string) {
	a.Helper()
	for _, row := range a.guest.get(list).want(http.StatusOK, readSizes).at("databases").([]any) {
		row := row.(obj)
		id := fmt.Sprintf("%.0f", row["id"])
		equal(a, "id", id, fmt.Sprintf("%.0f", row["database_id"]))
		a.guest.get("/databases/"+id+"/tables/sizes").want(http.StatusOK, readTable)
	}
}

var laterRefusals = map[string]string{
	"offset=0":                  offsetRefused,
	"offset=":                   offsetRefused,
	"offset=x&limit=x":          offsetRefused,
	"page=0":                    "page 最小为 1",
	"page=-1":                   "page 最小为 1",
	"page=x":                    "page 必须为整数",
	"page=99999999999999999999": "page 最大为 1073741",
	"limit=0":                   "limit 最小为 1",
	"limit=2001":                "limit 最大为 2000",
}

// checkSamePages compares the later path style page by page with the older one, which counts rows. The id of a database
// is the database's there, and its measurement's here.
func checkSamePages(a *app, older, later string, limit int) {
	a.Helper()
	list := "databases"
	if strings.Contains(older, "/tables/") {
		list = "tables"
	}
	for page := 1; ; page++ {
		want := a.guest.get(fmt.Sprintf("%s&limit=%d&offset=%d", older, limit, (page-1)*limit)).data
		got := a.guest.get(fmt.Sprintf("%s&limit=%d&page=%d", later, limit, page)).data
		total := int(want["total"].(float64))
		pages := (total + limit - 1) / limit
		equal(a, "page "+later, plain([]any{got["page"], got["pages"]}), plain([]int{page, pages}))
		_, counted := got["offset"]
		equal(a, "offset", counted, false)
		for _, name := range []string{"page", "pages"} {
			delete(got, name)
		}
		delete(want, "offset")
		if list == "databases" {
			for _, row := range want[list].([]any) {
				row.(obj)["id"] = row.(obj)["database_id"]
			}
		}
		equal(a, later, plain(got), plain(want))
		if page > pages {
			equal(a, "behind the last", len(got[list].([]any)), 0)
			return
		}
	}
}

func TestTableSizes_LaterPaths(t *testing.T) {
	onBothStores(t, func(a *app) {
		inst := a.serverInstance("pg", models.PostgreSQL)
		a.snapshotOf(inst, "app", models.TableResult{Complete: true, Tables: oddTables()})
		a.snapshotOf(inst, "empty", models.TableResult{Complete: true})
		paths := a.bothPaths(inst, "app")
		for _, filter := range []string{"", "sort=name", "sort=-growth", "table_name=a&partitions=fold"} {
			checkSamePages(a, paths[0]+"?"+filter, paths[1]+"?"+filter, 7)
		}
		a.guest.get(a.bothPaths(inst, "empty")[1]).wantAt("total", 0, "page", 1, "pages", 0, "limit", 200)
		for query, want := range laterRefusals {
			for _, path := range []string{paths[1], "/databases/4711/tables/sizes", "/databases/x/tables/sizes"} {
				for _, as := range []string{"", "&format=csv"} {
					a.guest.get(path+"?"+query+as).wantCode(http.StatusBadRequest, models.CodeInvalid, want)
				}
			}
		}
		for _, unknown := range []string{"4711", "x", "0", "-1", "01"} {
			a.guest.get("/databases/"+unknown+"/tables/sizes").wantCode(http.StatusNotFound, models.CodeNotFound, "资源不存在")
		}
		a.admin.remove(inst).want(http.StatusOK, "实例已移入回收站")
		a.guest.get(paths[1]).wantCode(http.StatusNotFound, models.CodeNotFound, "实例不存在")
	})
}

// TestDatabaseSizes_Latest expects one row per database on all pages, and sums over those that are not gone.
func TestDatabaseSizes_Latest(t *testing.T) {
	onBothStores(t, func(a *app) {
		inst := a.serverInstance("pg", models.PostgreSQL)
		refused := &models.Error{
			Code: models.CodeCollection,
			Key:  "collect.postgresql.not_connectable",
			Args: models.Args("Name", "closed"),
		}
		first, today := a.now().AddDate(0, 0, -3), a.now()
		a.saveSizes(inst, first, models.DatabaseSize{Name: "a", Total: n(9 << 20)},
			models.DatabaseSize{Name: "gone", Total: n(700 << 20)}, models.DatabaseSize{Name: "late", Total: n(1<<20 - 1)},
			models.DatabaseSize{Name: "closed", Err: refused})
		a.saveSizes(inst, today, models.DatabaseSize{Name: "a", Total: n(2<<20 - 1), Data: n(1 << 20), Log: n(0)},
			models.DatabaseSize{Name: "A", Total: n(2<<20 - 1)}, models.DatabaseSize{Name: "late", Err: refused},
			models.DatabaseSize{Name: "closed", Err: refused}, models.DatabaseSize{Name: "zero", Total: n(0)})
		sizes := inst + "/databases/sizes?"
		for _, page := range []string{"", "&limit=1", "&limit=1&offset=3", "&offset=100"} {
			a.guest.get(sizes+"latest_only=1"+page).
				wantAt("total", 5, "active_count", 5, "filtered_count", 0,
					"total_size_mb", 2, "total_size_bytes", 2*(2<<20-1)+(1<<20-1))
			a.guest.get(sizes+"latest_only=1&include_inactive=1"+page).
				wantAt("total", 6, "active_count", 5, "filtered_count", 1, "total_size_mb", 2)
		}
		latest := a.guest.get(sizes + "latest_only=1&include_inactive=1").at("databases").([]any)
		equal(a, "order", strings.Join(column(latest, "database_name"), " "), "gone A a late zero closed")
		equal(a, "size_mb", strings.Join(column(latest, "size_mb"), " "), "700 1 1 0 0 0")
		equal(a, "size_bytes", strings.Join(column(latest, "size_bytes"), " "), "734003200 2097151 2097151 1048575 0 <nil>")
		never, measured := latest[5].(obj), latest[2].(obj)
		for _, null := range []string{"id", "collected_at", "collected_date", "deleted_at", "data_size_mb", "log_size_mb"} {
			equal(a, null, never[null], nil)
		}
		equal(a, "data",
			plain([]any{measured["data_size_mb"], measured["log_size_mb"], measured["log_size_bytes"]}), "[1,0,0]")
		reason := plain(obj{
			"code":    models.CodeCollection,
			"message": "数据库 closed 不接受连接：datallowconn 为 false，或有未完成的 DROP DATABASE",
		})
		for i, want := range []string{"null", "null", "null", reason, "null", reason} {
			equal(a, "error of "+latest[i].(obj)["database_name"].(string), plain(latest[i].(obj)["error"]), want)
		}
		a.guest.with("Accept-Language", "en").
			get(sizes+"latest_only=1&database_name=closed").
			wantAt("databases.0.error.code", models.CodeCollection)
		history := a.guest.get(sizes).wantAt("total", 5)
		equal(a, "days", strings.Join(column(history.at("databases").([]any), "database_name"), " "), "A a zero a late")
		all := a.guest.get(sizes+"include_inactive=1").wantAt("total", 6)
		equal(a, "days of all",
			strings.Join(column(all.at("databases").([]any), "database_name"), " "), "A a zero a gone late")
		if strings.Contains(history.raw, `"error":{`) || strings.Contains(history.raw, "active_count") {
			a.Errorf("history: %s", history.raw)
		}
	})
}

// column returns one member of each row.
func column(rows []any, name string) []string {
	out := make([]string, len(rows))
	for i, row := range rows {
		out[i] = fmt.Sprint(row.(obj)[name])
		if v, ok := row.(obj)[name].(float64); ok {
			out[i] = fmt.Sprintf("%.0f", v)
		}
	}
	return out
}

// TestTableSizes_Contract covers sums, folding, cursors and unknown values.
func TestTableSizes_Contract(t *testing.T) {
	onBothStores(t, func(a *app) {
		inst := a.serverInstance("pg", models.PostgreSQL)
		table := func(name string, total *int64) models.TableSize {
			return models.TableSize{
				Schema:     "S",
				Name:       name,
				Kind:       models.KindTable,
				Total:      total,
				SizeSource: models.SizeAllocated,
			}
		}
		all := []models.TableSize{
			table("İx", n(1<<20-1)),
			table("ix", n(3<<20)),
			table("100%", nil),
			table("part", n(5<<20)),
			table("whole", n(5<<20)),
		}
		all[3].Kind, all[3].ParentSchema, all[3].Parent = models.KindPartition, "S", "whole"
		all[4].Kind, all[4].RolledUp = models.KindPartitioned, true
		a.snapshotOf(inst, "app", models.TableResult{Complete: true, Tables: all})
		path := tablesPath(inst, "app")
		r := a.guest.get(path).
			wantAt("total", 5, "table_count", 5, "total_size_bytes", 9<<20-1, "unknown_count", 1, "limit", 200, "offset", 0)
		rows := r.at("tables").([]any)
		equal(a, "order", strings.Join(column(rows, "table_name"), " "), "part whole ix İx 100%")
		equal(a, "size_mb", strings.Join(column(rows, "size_mb"), " "), "5 5 3 0 <nil>")
		equal(a, "unknown is left out", strings.Join(slices.Sorted(maps.Keys(rows[4].(obj))), " "),
			"collected_at kind schema_name size_source table_name unused_bytes")
		equal(a, "unused", rows[4].(obj)["unused_bytes"], nil)
		equal(a, "partition",
			plain([]any{rows[0].(obj)["parent_schema"], rows[0].(obj)["parent_table"], rows[1].(obj)["rolled_up"]}),
			`["S","whole",true]`)
		folded := a.guest.get(path+"?partitions=fold&limit=1").
			wantAt("total", 4, "tables.0.table_name", "whole", "tables.0.partition_count", 1)
		equal(a, "fold by cursor", walkCursor(a, path+"?partitions=fold&limit=1", folded), "whole ix İx 100%")
		for query, want := range map[string]string{
			"table_name=IX": "ix", "table_name=%C4%B0X": "İx", "table_name=%25": "100%", "schema_name=s&table_name=X": "ix İx",
			"table_name=WHOLE": "whole",
			"sort=growth":      "100% ix part whole İx", "sort=-growth": "100% ix part whole İx", "sort=name": "100% ix part " +
				"whole İx",
			"sort=size&schema_name=s": "İx ix part whole 100%", "table_name=i": "ix İx", "offset=4": "100%", "offset=5": "",
		} {
			first := a.guest.get(path + "?limit=1&" + query)
			if !strings.HasPrefix(query, "offset") {
				equal(a, query+" by cursor", walkCursor(a, path+"?limit=1&"+query, first), want)
			}
			page := a.guest.get(path + "?" + query)
			equal(a, query, strings.Join(column(page.at("tables").([]any), "table_name"), " "), want)
			if !strings.HasPrefix(query, "offset") {
				page.wantAt("total", len(strings.Fields(want)))
			}
		}
		collected := r.at("collected_at").(string)
		a.snapshotOf(inst, "app", models.TableResult{Tables: all[:2]})
		kept := a.guest.get(path+"?sort=name").wantAt("kept_count", 3)
		for _, row := range kept.at("tables").([]any) {
			isKept, _ := row.(obj)["kept"].(bool)
			equal(a, "run of "+row.(obj)["table_name"].(string), row.(obj)["collected_at"] == any(collected), isKept)
		}
		equal(a, "kept", len(a.guest.get(path+"?only=unsettled").at("tables").([]any)), 3)
		a.snapshotOf(inst, "app", models.TableResult{Complete: true})
		gone := a.guest.get(path+"?table_name=x").wantAt("total", 0)
		equal(a, "time of an empty snapshot",
			gone.at("collected_at") == nil || gone.at("collected_at") == any(collected), false)
	})
}

// walkCursor returns the tables of the page and of all following ones.
func walkCursor(a *app, path string, page *response) string {
	a.Helper()
	total := page.at("total")
	var names []string
	for range 100 {
		names = append(names, column(page.at("tables").([]any), "table_name")...)
		next, more := page.data["next_cursor"].(string)
		if !more {
			break
		}
		page = a.guest.get(path + "&cursor=" + url.QueryEscape(next))
		equal(a, "total behind a cursor", page.at("total"), total)
	}
	return strings.Join(names, " ")
}
