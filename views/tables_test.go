package views

import (
	"testing"
	"time"

	"whalefall/models"
)

var chinesePage = Page{Lang: Chinese, Zone: time.UTC, Now: time.Date(2026, 7, 3, 12, 0, 0, 0, time.UTC)}

func TestPage_In(t *testing.T) {
	t.Parallel()

	english := Page{Lang: English}
	for _, c := range []struct {
		got, want string
	}{
		{chinesePage.In(models.Oracle, "databases.name"), "表空间"},
		{chinesePage.In(models.SQLServer, "databases.name"), "数据库"},
		{chinesePage.In("", "databases.name"), "数据库"},
		{english.In(models.Oracle, "databases.total", "N", 7), "Tablespaces: 7"},
		{english.In(models.PostgreSQL, "databases.total", "N", 7), "Databases: 7"},
		{english.In(models.Oracle, "tables.title"), "Table sizes"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}

// measuredRow returns a stored row with the measurement.
func measuredRow(t models.TableSize) models.TableSizeRow {
	return models.TableSizeRow{DatabaseTableSizeStat: models.DatabaseTableSizeStat{TableSize: t}}
}

func TestWhyUnknown(t *testing.T) {
	t.Parallel()

	for _, c := range []struct {
		row           models.TableSize
		total, unused string
	}{
		{models.TableSize{Kind: models.KindMemoryOptimized}, "kind.memory_optimized_size", "kind.memory_optimized_size"},
		{models.TableSize{Kind: models.KindTemporary}, "kind.temporary_size", "kind.temporary_size"},
		{models.TableSize{Kind: models.KindExternal}, "kind.external_size", "kind.external_size"},
		{models.TableSize{Kind: models.KindTable}, "unread.failed", "unread.failed"},
		{models.TableSize{Kind: models.KindTable, Total: new(int64(1))}, "size.untold", "unused.untold"},
		{models.TableSize{Kind: models.KindMemoryOptimized, Unread: models.UnreadLocked}, "unread.locked", "unread.locked"},
	} {
		r := measuredRow(c.row)
		if got := whyUnknown(chinesePage, r); got != chinesePage.T(c.total) {
			t.Errorf("%+v: got %q, want the message %s", c.row, got, c.total)
		}
		if got := whyUnused(chinesePage, r); got != chinesePage.T(c.unused) {
			t.Errorf("unused of %+v: got %q, want the message %s", c.row, got, c.unused)
		}
	}
	r := measuredRow(models.TableSize{
		Kind: models.KindTable, Note: models.NoteClustered, RelatedSchema: "HR", Related: "C\n1",
	})
	if got, want := whyUnknown(chinesePage, r), "行存放在聚簇 HR.C␊1 中，空间计在该聚簇上"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestWhyRows_Estimated(t *testing.T) {
	t.Parallel()

	at := time.Date(2026, 7, 1, 11, 0, 0, 0, time.UTC)
	r := measuredRow(models.TableSize{Rows: new(int64(5)), RowsSource: models.RowsStatistic, RowsAt: &at})
	const want = "估算行数，来自引擎于 2026-07-01 11:00:00 UTC 收集的统计信息（2 天前）"
	if got := whyRows(chinesePage, r); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	r.RowsAt = nil
	if got := whyRows(chinesePage, r); got != "" {
		t.Errorf("got %q, want nothing: the header of the column has it", got)
	}
}

func TestWhyRows_Unknown(t *testing.T) {
	t.Parallel()

	for key, row := range map[string]models.TableSize{
		"rows.unknown":     {Kind: models.KindTable},
		"rows.cluster":     {Kind: models.KindCluster},
		"rows.recycle_bin": {Kind: models.KindRecycleBin},
		"unread.locked":    {Kind: models.KindTable, Unread: models.UnreadLocked},
	} {
		if got, want := whyRows(chinesePage, measuredRow(row)), chinesePage.T(key); got != want {
			t.Errorf("%+v: %q, want %q", row, got, want)
		}
	}
}

// TestTableSizes_Residual covers SQL Server, whose hidden tables are known by their bytes, not by their names.
func TestTableSizes_Residual(t *testing.T) {
	t.Parallel()

	for _, c := range []struct {
		header    models.InstanceDatabase
		key, hint string
		listed    bool
	}{
		{models.InstanceDatabase{}, "tables.residual", "tables.residual_hint.sqlserver", false},
		{
			models.InstanceDatabase{Snapshot: models.Snapshot{HiddenCount: 2}},
			"tables.residual_hidden", "tables.residual_hidden_hint", false,
		},
		{
			models.InstanceDatabase{Snapshot: models.Snapshot{HiddenCount: 2, KeptCount: 1}},
			"tables.residual_hidden", "tables.residual_hidden_kept_hint", true,
		},
	} {
		m := TableSizes{Instance: models.Instance{DBType: models.SQLServer}, Sizes: models.TablePage{Database: c.header}}
		if got := m.residualKey(); got != c.key {
			t.Errorf("%+v: got key %s, want %s", c.header, got, c.key)
		}
		if got, want := m.residualHint(chinesePage), chinesePage.T(c.hint); got != want {
			t.Errorf("%+v: got hint %q, want %q", c.header, got, want)
		}
		if got := m.listsUnsettled(); got != c.listed {
			t.Errorf("%+v: got listsUnsettled %t, want %t", c.header, got, c.listed)
		}
	}
	m := TableSizes{
		Instance: models.Instance{DBType: models.Oracle},
		Sizes:    models.TablePage{Database: models.InstanceDatabase{Snapshot: models.Snapshot{Scope: "APP"}}},
	}
	if got, want := m.residualHint(chinesePage), "用户 APP 的段中不属于任何表的部分，不计入合计"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestErrorNumber(t *testing.T) {
	t.Parallel()

	number := func(n any) map[string]any { return map[string]any{"error_number": n} }
	state := func(s string) map[string]any { return map[string]any{"sqlstate": s} }
	for _, c := range []struct {
		lang   string
		engine models.Engine
		extra  map[string]any
		key    string
		args   map[string]any
		want   string
	}{
		{Chinese, models.SQLServer, number(int32(262)), "error.unreachable", nil, "SQL Server 错误号 262"},
		{English, models.SQLServer, number(int32(262)), "error.unreachable", nil, "SQL Server error 262"},
		{Chinese, models.Oracle, number(942), "error.unreachable", models.Args("Number", "00942"), "ORA-00942"},
		{English, models.Oracle, number(12514), "", nil, "ORA-12514"},
		{English, models.MySQL, number(1045), "", nil, "MySQL error 1045"},
		{English, models.MySQL, number(1205), "collect.mysql.failed", models.Args("Number", 1205), ""},
		{
			Chinese, models.PostgreSQL, state("42501"), "collect.postgresql.denied", models.Args("Name", "db"),
			"SQLSTATE 42501",
		},
		{Chinese, models.PostgreSQL, state("XX000"), "collect.postgresql.failed", models.Args("SQLState", "XX000"), ""},
		{Chinese, models.Oracle, map[string]any{"reason": "refused"}, "", nil, ""},
	} {
		if got := ErrorNumber(c.lang, c.engine, &models.Error{Key: c.key, Extra: c.extra, Args: c.args}); got != c.want {
			t.Errorf("%s %v: got %q, want %q", c.engine, c.extra, got, c.want)
		}
	}
}
