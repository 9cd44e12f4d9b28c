//go:build bench

package bench

import (
	"fmt"
	"slices"
)

// goal is a row of the table of results.
type goal struct {
	id      string
	section string // heading of the table, and name of the test that measures it
	what    string // what is measured
	reach   string // what is to be reached; empty: nothing
	chinese string // what, for README.zh-CN.md; empty: the row is not in the short tables of the READMEs
}

// goals holds all rows in their order.
var goals = slices.Concat(collectingGoals(10_000), collectingGoals(100_000), otherCollectingGoals,
	storingGoals(onSQLite), storingGoals(onPostgreSQL), readingGoals(onSQLite), readingGoals(onPostgreSQL),
	historyGoals, peerGoals)

var otherCollectingGoals = []goal{
	{
		"maria-server", "Collecting",
		"MariaDB: CPU of the server for a refresh ÷ for `information_schema.TABLES`, 10,000 tables",
		"≤ 0.06", "MariaDB：一次刷新的服务器 CPU ÷ `information_schema.TABLES`，1 万张表",
	},
	{"maria-whole", "Collecting", "MariaDB: whole refresh, stored ÷ `information_schema.TABLES`, 10,000 tables", "", ""},
	{"maria-opened", "Collecting", "MariaDB: tables a refresh opens, of 10,000", "< 100", ""},
	{"maria-cancel", "Collecting", "MariaDB: from cancelling to an idle server", "≤ 1 s", ""},
	{"mysql", "Collecting", "MySQL 8 and later: refresh of 20,000 tables", "≤ 1 s", ""},
	{"binary", "Collecting", "the binary, stripped", "", ""},
}

var historyGoals = []goal{
	{"SQLite-history", "History", "SQLite: history of 365 days × 100,000 tables", "≤ 0.15 GB", "SQLite：10 万张表 365 天的历史"},
	{"SQLite-fastest", "History", "SQLite: top 20 by growth over 30 days", "≤ 350 ms", ""},
	{
		"PostgreSQL-history", "History", "PostgreSQL: history of 365 days × 100,000 tables", "≤ 0.45 GB",
		"PostgreSQL：10 万张表 365 天的历史",
	},
	{"PostgreSQL-fastest", "History", "PostgreSQL: top 20 by growth over 30 days", "≤ 350 ms", ""},
}

var peerGoals = []goal{
	{"peer-postgres-wall", "Peers", "refresh, stored ÷ scrape of postgres_exporter's tables, wall", "≤ 0.4", ""},
	{"peer-postgres-cpu", "Peers", "refresh, stored ÷ scrape of postgres_exporter's tables, CPU", "≤ 0.33", ""},
	{"peer-postgres-rss", "Peers", "peak RSS ÷ that of postgres_exporter", "≤ 0.6", ""},
	{"peer-mysqld-wall", "Peers", "refresh, stored ÷ scrape of mysqld_exporter's tables, wall", "", ""},
	{"peer-mysqld-cpu", "Peers", "refresh, stored ÷ scrape of mysqld_exporter's tables, CPU", "", ""},
}

func collectingGoals(tables int) []goal {
	name := func(id string) string { return sized(id, tables) }
	n := thousands(tables) + " tables"
	listing, short := "≤ 0.45", tables == 10_000
	if !short {
		listing = "≤ 0.5"
	}
	list := []goal{
		{
			name("functions-cpu"), "Collecting", "PostgreSQL: refresh ÷ reference query, CPU, " + n, "≤ 0.95",
			"PostgreSQL：整次刷新 ÷ 参照查询，CPU，1 万张表",
		},
		{name("functions-wall"), "Collecting", "PostgreSQL: refresh ÷ two-call query, wall, " + n, "≤ 1.15", ""},
		{
			name("listing-cpu"), "Collecting", "PostgreSQL, file listing granted: refresh ÷ reference query, CPU, " + n, listing,
			"PostgreSQL，授予文件列表权限：整次刷新 ÷ 参照查询，CPU，1 万张表",
		},
		{
			name("listing-wall"), "Collecting", "PostgreSQL, file listing granted: refresh ÷ reference query, wall, " + n,
			listing, "",
		},
		{name("backend"), "Collecting", "PostgreSQL: memory of the server process, " + n, "≤ 64 MB", ""},
		{name("locked"), "Collecting", "PostgreSQL: how much longer with one table locked, " + n, "≤ 2 s", ""},
		{
			name("cancel"), "Collecting", "PostgreSQL: from cancelling to an idle server, " + n, "≤ 1 s",
			"PostgreSQL：从取消到服务器空闲，1 万张表",
		},
		{
			name("rss"), "Collecting", "peak RSS of the product after these refreshes, " + n, "≤ 150 MB",
			"这些刷新之后 WhaleFall 进程的内存峰值 (RSS)，1 万张表",
		},
	}
	if !short {
		for i := range list {
			list[i].chinese = ""
		}
	}
	return list
}

func storingGoals(store string) []goal {
	name := func(id string) string { return store + "-" + id }
	wal, tenth, tenthWAL := "≤ 4 pages", "≤ 0.2", ""
	if store == onPostgreSQL {
		wal, tenth, tenthWAL = "≤ 0.12", "≤ 0.35", "≤ 0.35"
	}
	return []goal{
		{
			name("unchanged"), "Storing", store + ": nothing changed ÷ ORM in batches", "≤ 0.12",
			store + "：保存快照，无变化 ÷ ORM 分批写入",
		},
		{name("unchanged-wal"), "Storing", store + ": nothing changed, write-ahead log", wal, ""},
		{name("unchanged-rate"), "Storing", store + ": nothing changed, rows a second", "≥ 200,000", ""},
		{name("tenth"), "Storing", store + ": a tenth changed ÷ ORM in batches", tenth, store + "：保存快照，十分之一有变化 ÷ ORM 分批写入"},
		{name("tenth-wal"), "Storing", store + ": a tenth changed ÷ ORM in batches, write-ahead log", tenthWAL, ""},
		{name("first"), "Storing", store + ": first snapshot ÷ ORM in batches", "", ""},
		{name("single"), "Storing", store + ": one row at a time through the ORM ÷ ORM in batches", "never done", ""},
		{name("growth"), "Storing", store + ": cost a row, 100,000 tables ÷ 1,000", "≤ 2", ""},
		{name("limits"), "Storing", store + ": rows lost at the limits of parameters", "none", ""},
	}
}

func readingGoals(store string) []goal {
	name := func(id string) string { return store + "-" + id }
	contains := "≤ 0.2"
	if store == onPostgreSQL {
		contains = "≤ 0.05"
	}
	return []goal{
		{name("first-page"), "Reading", store + ": first page of 50 by size ÷ bare SQL", "≤ 1.5", ""},
		{name("cursor-page"), "Reading", store + ": page by cursor ÷ bare SQL", "≤ 1.5", ""},
		{
			name("contains"), "Reading", store + ": names that contain ÷ with the plain index", contains,
			store + "：按名称包含筛选 ÷ 普通索引",
		},
		{name("offset"), "Reading", store + ": page at offset 50,000", "", ""},
		{name("totals"), "Reading", store + ": first page with its totals ÷ COUNT(*)", "< 1", ""},
		{name("json"), "Reading", store + ": whole request as JSON, p99", "≤ 5 ms", store + "：一页 JSON 整个请求，p99"},
		{name("html"), "Reading", store + ": whole request as HTML, p99", "≤ 5 ms", store + "：一页 HTML 整个请求，p99"},
		{name("html-cpu"), "Reading", store + ": CPU of a page as HTML", "≤ 1.2 ms", ""},
		{name("html-bare"), "Reading", store + ": CPU of a page as HTML ÷ bare Echo, GORM and templ", "≤ 1.3", ""},
	}
}

func sized(id string, tables int) string { return fmt.Sprintf("%s-%d", id, tables) }

// thousands formats a number with commas.
func thousands(n int) string {
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
