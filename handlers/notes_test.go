package handlers_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"whalefall/collectors"
	"whalefall/models"
)

// serverInstance adds an instance of a networked engine that is never connected to.
func (a *app) serverInstance(name string, engine models.Engine) string {
	a.Helper()
	r := a.admin.post("/instances", obj{"name": name, "db_type": string(engine), "host": "db.example", "port": 1}).
		want(http.StatusCreated, "实例创建成功")
	return fmt.Sprintf("/instances/%d", r.id("instance", "id"))
}

func TestTableSizes_Notes(t *testing.T) {
	onBothStores(t, func(a *app) {
		counted := time.Date(2026, 3, 9, 17, 30, 0, 120_000_000, time.UTC)
		instance := a.serverInstance("ora", models.Oracle)
		tables := a.snapshotOf(instance, "USERS", models.TableResult{
			Complete: true, Scope: "APP", Residual: n(3 << 20), Grant: "GRANT SELECT_CATALOG_ROLE TO app",
			Tables: []models.TableSize{
				{
					Schema: "APP", Name: "told", Kind: models.KindMemoryOptimized, SizeSource: models.SizeNone, Memory: n(0),
					Rows: n(7), RowsSource: models.RowsStatistic, RowsAt: &counted,
					Note: models.NoteClustered, RelatedSchema: "SYS", Related: `C"<b>`,
				},
				{Schema: "APP", Name: "untold", Kind: models.KindTable, Total: n(1 << 20), SizeSource: models.SizeAllocated},
			},
		})
		r := a.guest.get(tables+"/sizes?sort=name").want(http.StatusOK, readTable).
			wantAt("scope", "APP", "residual_size_bytes", 3<<20, "complete", false,
				"missing_grant", "GRANT SELECT_CATALOG_ROLE TO app",
				"tables.0.kind", "memory_optimized", "tables.0.memory_bytes", 0,
				"tables.0.rows_at", "2026-03-09T17:30:00.120000+00:00",
				"tables.0.note", "clustered", "tables.0.related_schema", "SYS", "tables.0.related_table", `C"<b>`)
		equal(a, "of one of whom nothing is known", members(r.at("tables", 1).(obj)),
			"collected_at kind schema_name size_bytes size_mb size_source table_name unused_bytes")

		plain := a.guest.get(a.snapshotOf(instance, "DATA", models.TableResult{Complete: true}) + "/sizes")
		equal(a, "of one without a scope", members(plain.data),
			"collected_at complete hidden_count kept_count limit offset table_count tables total total_size_bytes unknown_count")
	})
}

func TestInstancePage_OracleTablespaces(t *testing.T) {
	t.Parallel()
	a := newApp(t, t.TempDir()+"/store.db")
	oracle, other := a.serverInstance("ora", models.Oracle), a.serverInstance("mssql", models.SQLServer)
	tables := a.snapshotOf(oracle, "USERS", models.TableResult{Complete: true})
	empty := a.admin.visit(oracle + "?q=nothing").wantStatus(http.StatusOK)
	listed := a.admin.visit(oracle).wantStatus(http.StatusOK).says("共 1 个表空间").says("表空间容量信息").says("服务名")
	for _, p := range []*page{empty, listed, a.admin.visit(tables).says("该表空间没有表")} {
		if text := p.doc.Find("main").Text(); strings.Contains(text, "数据库") {
			t.Errorf("%s speaks of databases: %s", p.what, text)
		}
	}
	equal(t, "search", listed.doc.Find("#database-search").AttrOr("placeholder", ""), "搜索表空间")
	equal(t, "column", strings.TrimSpace(listed.doc.Find("#database-list thead th").First().Text()), "表空间")
	a.admin.visit(other).says("共 0 个数据库").says("数据库容量信息")
}

// TestTableSizesPage_Badges checks that each badge has its reason as a title, and that nothing unknown looks like a
// number.
func TestTableSizesPage_Badges(t *testing.T) {
	t.Parallel()
	a := newApp(t, t.TempDir()+"/store.db")
	counted := a.now().Add(-49 * time.Hour)
	hostile := `"><script>alert(1)</script>`
	row := func(name string, kind models.Kind, total *int64) models.TableSize {
		return models.TableSize{
			Schema:     "dbo",
			Name:       name,
			Kind:       kind,
			Total:      total,
			Data:       total,
			SizeSource: models.SizeAllocated,
		}
	}
	inMemory, history := row("hot", models.KindMemoryOptimized, nil), row("h", models.KindTable, n(8192))
	odd, view := row("odd", models.KindTable, n(8192)), row("v", models.KindIndexedView, n(8192))
	inMemory.Memory, inMemory.SizeSource = n(12<<20), models.SizeNone
	history.Note, history.RelatedSchema, history.Related = models.NoteHistory, "dbo", hostile
	history.Rows, history.RowsSource, history.RowsAt = n(70), models.RowsStatistic, &counted
	odd.Note = models.NoteUnclassified
	p := a.admin.visit(a.snapshotOf(a.serverInstance("mssql", models.SQLServer), "app", models.TableResult{
		Complete: true, Residual: n(3 << 30), Tables: []models.TableSize{inMemory, history, odd, view},
	})).wantStatus(http.StatusOK).has(0, "tbody script", "#incomplete").says("另有 3.00 GiB 不属于任何表")
	title := func(selector string) string { return p.doc.Find(selector).First().AttrOr("title", "none") }
	for selector, want := range map[string]string{
		"#tables-residual":                 "3,221,225,472 B · 系统表、查询存储",
		"tr[data-table=hot] .badge":        "内存优化表",
		"[data-memory]":                    "占用内存 12,582,912 B",
		"tr[data-table=hot] td.size":       "数据在内存中",
		"[data-note=history]":              "dbo." + hostile + " 的历史表",
		"[data-note=unclassified]":         "计入了索引",
		"tr[data-table=h] td:nth-child(7)": "（2 天前）",
		"tr[data-table=v] .badge":          "建有聚集索引的视图",
	} {
		if got := title(selector); !strings.Contains(got, want) {
			t.Errorf("%s: title %q, want %q", selector, got, want)
		}
	}
	equal(t, "memory", p.doc.Find("[data-memory]").Text(), "内存 12.0 MiB")
	equal(t, "size", p.doc.Find("tr[data-table=hot] .amount").Text(), "—")
	equal(t, "unused", p.doc.Find("tr[data-table=h] td:nth-child(6)").AttrOr("title", ""), "该引擎只给出已分配的空间，不给出其中的空闲部分")
}

func TestTableSizesPage_Scope(t *testing.T) {
	t.Parallel()
	a := newApp(t, t.TempDir()+"/store.db")
	instance := a.serverInstance("ora", models.Oracle)
	grant := "GRANT SELECT_CATALOG_ROLE TO app"
	own := models.TableSize{
		Schema:     "APP",
		Name:       "t",
		Kind:       models.KindTable,
		Total:      n(8192),
		SizeSource: models.SizeAllocated,
	}
	narrow := models.TableResult{Complete: true, Scope: "APP", Grant: grant, Tables: []models.TableSize{own}}
	p := a.admin.visit(a.snapshotOf(instance, "USERS", narrow)).has(1, "#incomplete").says("仅显示 APP 用户自己的对象")
	equal(t, "grant to copy", p.doc.Find("#incomplete [data-copy]").AttrOr("data-copy", ""), grant)

	p.has(1, ".switch[hidden] #unfold") // partitions are part of their table's row
	other := own
	other.Schema = "HR"
	a.snapshotOf(instance, "DATA", models.TableResult{Complete: true, Tables: []models.TableSize{own, other}})
	p = a.admin.visit(a.snapshotOf(instance, "DATA", narrow)).says("仅更新了 APP 用户自己的对象").says("1 张表本次未能测量")
	equal(t, "kept", p.doc.Find("tr.kept").AttrOr("data-schema", ""), "HR")
	a.admin.visit(a.snapshotOf(instance, "NONE", models.TableResult{Complete: true, Scope: "APP"})).
		has(1, "[data-empty=denied]").
		has(0, "[data-empty=denied] [data-copy]").
		says("请联系 DBA 授权后再刷新")
}

// refusing is a server that answers everything with the same error.
type refusing struct{ err *models.Error }

func (r refusing) Version(context.Context, collectors.Target) (models.Version, error) {
	return models.Version{}, r.err
}

func (r refusing) Databases(context.Context, collectors.Target) (models.DatabaseResult, error) {
	return models.DatabaseResult{}, r.err
}

func (r refusing) Tables(context.Context, collectors.Target, string) (models.TableResult, error) {
	return models.TableResult{}, r.err
}

func (r refusing) Capabilities() models.Capabilities { return models.Capabilities{} }

func (r refusing) Yardstick(context.Context, collectors.Target, string) (models.Yardstick, error) {
	return models.Yardstick{}, r.err
}

// TestFailure_ErrorNumber expects the advice first, then the number to search for, then the statement to run.
func TestFailure_ErrorNumber(t *testing.T) {
	t.Parallel()
	refused := &models.Error{
		Code: models.CodeCollection, Key: "collect.mysql.denied",
		Grant: "GRANT SELECT_CATALOG_ROLE TO app", Extra: map[string]any{"error_number": 942},
	}
	unreachable := &models.Error{
		Code: models.CodeUnreachable, Key: "error.unreachable", Args: models.Args("Name", "mssql"),
		Reason: "login", Extra: map[string]any{"error_number": int32(18456)},
	}
	a := newAppWith(t, t.TempDir()+"/store.db", map[models.Engine]collectors.Collector{
		models.Oracle: refusing{refused}, models.SQLServer: refusing{unreachable},
	})
	add := func(engine models.Engine) string {
		r := a.admin.post("/instances", obj{
			"name": string(engine), "db_type": string(engine), "host": "db.example", "port": 1, "username": "u", "password": "p",
		}).want(http.StatusCreated, "实例创建成功")
		return fmt.Sprintf("/instances/%d", r.id("instance", "id"))
	}
	oracle, mssql := add(models.Oracle), add(models.SQLServer)

	toast := a.admin.refreshTables(oracle + "/databases/USERS/tables")
	equal(t, "number", toast.doc.Find(".error-number").Text(), "ORA-00942")
	equal(t, "to copy", toast.doc.Find("[data-copy]").AttrOr("data-copy", ""), "GRANT SELECT_CATALOG_ROLE TO app")
	text := toast.doc.Find(".toast-text").Text()
	explained, numbered := strings.Index(text, "权限不足"), strings.Index(text, "ORA-00942")
	granted := strings.Index(text, "GRANT")
	if explained < 0 || explained > numbered || numbered > granted {
		t.Errorf("order: %q", text)
	}
	toast = a.admin.submit(mssql+"/test", url.Values{}, into("toasts")...).wantStatus(http.StatusConflict).says("登录被拒绝")
	equal(t, "number", toast.doc.Find(".error-number").Text(), "SQL Server 错误号 18456")
	form := url.Values{
		"db_type":  {"sqlserver"},
		"host":     {"db.example"},
		"port":     {"1"},
		"username": {"u"},
		"password": {"p"},
	}
	typed := a.admin.submit("/connections/test", form, into("test-result")...).wantStatus(http.StatusConflict)
	equal(t, "number", typed.doc.Find(".error-number").Text(), "SQL Server 错误号 18456")

	extra := a.user.post(oracle+"/databases/USERS/tables/sizes/actions/refresh", nil).
		wantCode(http.StatusConflict, models.CodeCollection, "采集账号权限不足，请由 DBA 执行给出的授权语句").body["extra"].(obj)
	equal(t, "extra", members(extra), "database_name error_number grant instance_id")
}

// TestInstancePage_InaccessibleDatabase covers offline databases, whose files the server still knows.
func TestInstancePage_InaccessibleDatabase(t *testing.T) {
	t.Parallel()
	a := newApp(t, t.TempDir()+"/store.db")
	instance := a.serverInstance("mssql", models.SQLServer)
	var id int64
	_, err := fmt.Sscanf(instance, "/instances/%d", &id)
	check(t, err)
	barred := &models.Error{
		Code: models.CodeCollection,
		Key:  "collect.postgresql.not_connectable",
		Args: models.Args("Name", "archive"),
	}
	found := models.DatabaseResult{Complete: true, Databases: []models.DatabaseSize{
		{Name: "archive", Total: n(3 << 30), Log: n(1 << 30), Err: barred}, {Name: "lost", Err: barred},
	}}
	now := a.now()
	_, err = a.store.SaveInventory(t.Context(), id, found, now)
	check(t, err)
	_, err = a.store.SaveDatabaseSizes(t.Context(), id, found, now)
	check(t, err)
	p := a.admin.visit(instance).wantStatus(http.StatusOK).has(2, "#database-list .badge.warning")
	equal(t, "size", p.doc.Find("tr[data-database=archive] .amount").Text(), "3.00 GiB")
	equal(t, "size of the other", p.doc.Find("tr[data-database=lost] .amount").Text(), "—")
	for _, selector := range []string{
		"tr[data-database=archive] .badge", "tr[data-database=archive] td.muted", "tr[data-database=lost] td.size",
	} {
		equal(t, selector, p.doc.Find(selector).First().AttrOr("title", ""),
			"数据库 archive 不接受连接：datallowconn 为 false，或有未完成的 DROP DATABASE")
	}
}

// TestInstancePage_MissingGrant covers a complete list with databases that could not be measured.
func TestInstancePage_MissingGrant(t *testing.T) {
	t.Parallel()
	a := newApp(t, t.TempDir()+"/store.db")
	instance := a.serverInstance("mssql", models.SQLServer)
	var id int64
	_, err := fmt.Sscanf(instance, "/instances/%d", &id)
	check(t, err)
	barred := &models.Error{
		Code: models.CodeCollection,
		Key:  "collect.postgresql.not_connectable",
		Args: models.Args("Name", "hr"),
	}
	const grant = "USE [master]; GRANT CONNECT ANY DATABASE TO [u];"
	_, err = a.store.SaveInventory(t.Context(), id, models.DatabaseResult{
		Complete: true, Grant: grant, Databases: []models.DatabaseSize{{Name: "hr", Err: barred}},
	}, a.now())
	check(t, err)
	p := a.guest.visit(instance).has(0, "#databases-incomplete").has(1, "#databases-barred").says("部分数据库未能测量")
	equal(t, "to copy", p.doc.Find("#databases-barred [data-copy]").AttrOr("data-copy", ""), grant)
}

// TestFailure_UnsavedInstance checks a server that is tested before it is saved, which has no stored data.
func TestFailure_UnsavedInstance(t *testing.T) {
	t.Parallel()
	refused := &models.Error{Code: models.CodeCollection, Key: "collect.oracle.cdb_root"}
	a := newAppWith(t, t.TempDir()+"/store.db", map[models.Engine]collectors.Collector{models.Oracle: refusing{refused}})
	form := url.Values{"db_type": {"oracle"}, "host": {"db.example"}, "port": {"1"}, "username": {"u"}, "password": {"p"}}
	p := a.admin.submit("/connections/test", form, into("test-result")...).wantStatus(http.StatusConflict).says("CDB$ROOT")
	equal(t, "advice", p.doc.Find(".advice").Length(), 0)
}
