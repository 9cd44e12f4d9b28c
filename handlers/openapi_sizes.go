package handlers

import (
	"net/http"
	"slices"
	"strings"

	"whalefall/models"
)

var (
	startDate = may("start_date", dict("type", "string", "format", "date"), "First day, YYYY-MM-DD, in the zone of the server.")
	endDate   = may("end_date", dict("type", "string", "format", "date"), "Last day, YYYY-MM-DD, inclusive.")

	dayRefusals = []*models.Error{
		models.Invalid("query.not_day", "Name", "start_date"), models.Invalid("query.not_day", "Name", "end_date"), models.Invalid("query.days_reversed"),
	}
	limitRefusals = []*models.Error{
		models.Invalid("query.not_integer", "Name", "limit"), models.Invalid("query.too_small", "Name", "limit", "Limit", 1),
		models.Invalid("query.too_large", "Name", "limit", "Limit", maxSizeLimit),
	}
	windowRefusals = append(slices.Clone(limitRefusals),
		models.Invalid("query.not_integer", "Name", "offset"), models.Invalid("query.negative", "Name", "offset"))
	numberedRefusals = append(slices.Clone(limitRefusals),
		models.Invalid("query.offset_unsupported"), models.Invalid("query.not_integer", "Name", "page"),
		models.Invalid("query.too_small", "Name", "page", "Limit", 1), models.Invalid("query.too_large", "Name", "page", "Limit", maxOffset/maxSizeLimit))
)

// windowFields read a part of a long list; numberedFields do in the later path style.
func windowFields(rows int) []field {
	return []field{
		may("limit", fallback(whole(maxSizeLimit), rows), "Rows of the answer."),
		may("offset", fallback(dict("type", "integer", "minimum", 0), 0), "Rows left out before the first."),
	}
}

func numberedFields(rows int) []field {
	return []field{
		may("limit", fallback(whole(maxSizeLimit), rows), "Rows of a page. There is no `offset` here: sending one is 400."),
		may("page", fallback(whole(maxOffset/maxSizeLimit), 1), "Number of the page."),
	}
}

// signed are sort columns with and without the minus that reverses them.
func signed(columns []string) object {
	var all []string
	for _, c := range columns {
		all = append(all, c, "-"+c)
	}
	return oneOf(all...)
}

func databaseFilter() []field {
	return []field{
		startDate, endDate,
		may("database_name", text(0), "Case-insensitive substring of the name, taken literally."),
		may("latest_only", yesNo(false), "The newest row of each database instead of the history. `true`, `1`, `on` and `yes` count, in any case."),
		may("include_inactive", yesNo(false), "Also databases that are gone."),
		may("sort", signed(databaseSorts), "Column to sort by, descending with `-`; absent: newest day first, or with `latest_only` largest first."),
	}
}

func exampleDatabases(numbered bool) databaseSizesJSON {
	id, size, data, megabytes, one, none := int64(11), int64(92_274_688), int64(92_274_688), int64(88), int64(1), int64(0)
	return databaseSizesJSON{
		windowJSON: newWindow(1, databaseLimit, 0, numbered), ActiveCount: &one, FilteredCount: &none, TotalSizeMB: &megabytes, TotalSizeBytes: &size,
		Databases: []databaseSizeJSON{{
			ID: &id, DatabaseID: 4, DatabaseName: "shop", SizeMB: &megabytes, DataSizeMB: &megabytes, SizeBytes: &size, DataSizeBytes: &data,
			CollectedDate: orNull("2026-07-01"), CollectedAt: orNull(exampleTime), IsActive: true, LastSeenDate: "2026-07-01",
		}},
	}
}

func exampleSync() syncResultJSON {
	size, megabytes := int64(92_274_688), int64(88)
	return syncResultJSON{
		Status: "completed", DatabaseCount: 1, TotalSizeMB: megabytes, TotalSizeBytes: size, SavedCount: 1, InstanceStatUpdated: true, Complete: true,
		Databases: []syncedDatabaseJSON{{
			DatabaseName: "shop", SizeMB: &megabytes, DataSizeMB: &megabytes, SizeBytes: &size, DataSizeBytes: &size,
			CollectedDate: "2026-07-01", CollectedAt: exampleTime,
		}},
		Inventory: inventoryJSON{
			Created: 1, ActiveDatabases: []string{"shop"}, FilteredDatabases: []string{}, SynchronizedDatabases: []string{"shop"},
		},
		Message: "实例 orders 的容量同步任务已成功完成",
	}
}

func databaseOperations() []operation {
	about := "History by default: order `collected_date` descending, then name; databases known to be gone are left out without `include_inactive`. " +
		"With `latest_only` the newest row of each database, those that were never measured included (`id` null, `size_mb` 0, `size_bytes` null), " +
		"largest first, and the counts and sums of all pages."
	return []operation{
		{
			method: http.MethodPost, path: "/instances/{id}/actions/sync-capacity", id: "syncCapacity", tag: tagDatabases,
			summary: "Find the databases of an instance and measure them",
			about: "A database that refuses does not fail the rest: it is listed with `size_mb` null and its `error`. A second run on a day replaces that " +
				"day's figures. What was found out about which databases exist is kept even when nothing could be measured (409).",
			message: "api.synced", args: []any{"Name", "orders"}, data: struct {
				Result syncResultJSON `json:"result"`
			}{exampleSync()},
			missing: instanceMissing, fails: append(targetRefusals(), targetError(models.CodeCollection, "collect.nothing_measured")),
		},
		{
			method: http.MethodGet, path: "/instances/{id}/databases/sizes", id: "listDatabaseSizes", tag: tagDatabases,
			summary: "Sizes of an instance's databases", about: about, query: append(databaseFilter(), windowFields(databaseLimit)...),
			conditional: true, message: "api.database_sizes", data: exampleDatabases(false), missing: instanceMissing,
			fails: append(slices.Clone(dayRefusals), windowRefusals...),
		},
		{
			method: http.MethodGet, path: "/databases/sizes", id: "listDatabaseSizesByQuery", tag: tagDatabases,
			summary: "Sizes of an instance's databases, by page number", about: about,
			query: slices.Concat([]field{need("instance_id", dict("type", "integer", "format", "int64", "minimum", 1, "examples", []int{7}), "The instance.")},
				databaseFilter(), numberedFields(databaseLimit)),
			conditional: true, message: "api.database_sizes", data: exampleDatabases(true), missing: instanceMissing,
			fails: slices.Concat([]*models.Error{
				models.Invalid("query.instance_missing"), models.Invalid("query.not_integer", "Name", "instance_id"),
				models.Invalid("query.too_small", "Name", "instance_id", "Limit", 1),
			}, dayRefusals, numberedRefusals),
		},
	}
}

// targetRefusals are what can go wrong with every collection.
func targetRefusals() []*models.Error {
	return []*models.Error{
		targetError(models.CodeUnreachable, "error.unreachable", "reason", "login", "sqlstate", "28P01"),
		targetError(models.CodeCollection, "collect.instance_inactive"), targetError(models.CodeCollection, "collect.no_credential"),
		targetError(models.CodeCollection, "collect.instance_changed"), targetError(models.CodeCollection, "collect.cancelled"),
		targetError(models.CodeTimeout, ""),
	}
}

func tableFilter() []field {
	return []field{
		may("schema_name", text(0), "Case-insensitive substring of the schema, taken literally."),
		may("table_name", text(0), "Case-insensitive substring of the table's name, taken literally."),
		may("sort", fallback(signed(tableSorts), "-size"), "Column to sort by, descending with `-`. Unknown values come last."),
		may("partitions", oneOf("fold"), "`fold`: leave partitions out; their sizes are in the rolled-up row of their table."),
		may("parent_schema", text(0), "Exact schema of `parent_table`."),
		may("parent_table", text(0), "Only the partitions of this table, exact."),
		may("only", oneOf("unsettled"), "`unsettled`: only rows that were kept from an earlier run or whose size is unknown."),
		may("cursor", text(0), "`next_cursor` of the page before, with the same filter and sort: pages of equal cost however far down."),
	}
}

func tableRefusals() []*models.Error {
	return []*models.Error{
		models.Invalid("query.sort", "Choices", strings.Join(tableSorts, ", ")), models.Invalid("query.cursor"),
	}
}

func exampleTables(numbered bool) tableSizesJSON {
	size, data, index, unused, rows := int64(14_680_064), int64(10_485_760), int64(4_194_304), int64(0), int64(120_000)
	megabytes, dataMB, indexMB, growth := int64(14), int64(10), int64(4), int64(1<<20)
	return tableSizesJSON{
		windowJSON: newWindow(1, tableLimit, 0, numbered), CollectedAt: orNull(exampleTime),
		Tables: []tableSizeJSON{{
			SchemaName: "public", TableName: "orders", Kind: models.KindTable, SizeMB: &megabytes, DataSizeMB: &dataMB, IndexSizeMB: &indexMB,
			SizeBytes: &size, DataSizeBytes: &data, IndexSizeBytes: &index, UnusedBytes: &unused, RowCount: &rows, GrowthBytes: &growth,
			RowsSource: models.RowsStatistic, SizeSource: models.SizeAllocated, CollectedAt: exampleTime,
		}},
		snapshotJSON: &snapshotJSON{Complete: true, TableCount: 1, TotalBytes: size},
	}
}

func exampleRefresh(numbered bool) tableSizesJSON {
	out := exampleTables(numbered)
	out.receiptJSON = &receiptJSON{SavedCount: 1, DeletedCount: 0, ChangedCount: 1, ElapsedMS: 84}
	return out
}

// tableFiles are a snapshot in the formats that give all rows of the filter.
var tableFiles = []file{
	{"text/csv", "schema_name,table_name,size_mb,…\npublic,orders,14,…\n"},
	{"application/x-ndjson", "{\"schema_name\":\"public\",\"table_name\":\"orders\",\"size_mb\":14}\n"},
}

var exportFields = []field{
	may("format", fallback(oneOf(formats...), string(formatJSON)), "`csv` and `ndjson` stream all rows of the filter; the header `Accept` says the same."),
	may("bom", yesNo(false), "Begin CSV with a byte order mark, for Excel."),
}

func tableOperations() []operation {
	read := operation{
		method: http.MethodGet, path: "/instances/{id}/databases/{name}/tables/sizes", id: "listTableSizes", tag: tagTables,
		summary: "Sizes of a database's tables",
		about: "Reads the stored snapshot; never contacts the server. A database without one, known or not, has `total` 0 and `collected_at` null. " +
			"A member that is unknown is left out. In CSV, texts that begin like a formula have an apostrophe in front.",
		query:       slices.Concat(tableFilter(), windowFields(tableLimit), exportFields),
		conditional: true, message: "api.table_sizes", data: exampleTables(false), files: tableFiles, missing: instanceMissing,
		fails: slices.Concat(tableRefusals(), windowRefusals, []*models.Error{models.Invalid("export.format", "Choices", strings.Join(formats, ", "))}),
	}
	refresh := operation{
		method: http.MethodPost, path: "/instances/{id}/databases/{name}/tables/sizes/actions/refresh", id: "refreshTableSizes", tag: tagTables,
		summary: "Collect the sizes of a database's tables now",
		about: "Connects, collects, stores, and answers with the new page. On any failure the stored snapshot stays as it was. A database that is not known yet is " +
			"asked for on the server and added if it is there; one that is gone is 409, marked gone, and its snapshot kept. A refresh of a database that is being " +
			"refreshed joins the one under way. The answer waits up to 120 s, then is 504 while the refresh goes on: `Location` and `extra.refresh_id` tell where to ask. " +
			"With the header `Prefer: respond-async` it is 202 at once.",
		query: slices.Concat(tableFilter(), windowFields(tableLimit)), later: refreshStarted,
		message: "api.tables_refreshed", data: exampleRefresh(false), missing: instanceMissing,
		fails: slices.Concat(tableRefusals(), windowRefusals, []*models.Error{models.Invalid("field.bad_characters", "Field", "database_name")}, tableCollectionRefusals()),
	}
	readByID, refreshByID := read, refresh
	readByID.path, readByID.id = "/databases/{id}/tables/sizes", "listTableSizesByID"
	readByID.summary, readByID.missing = "Sizes of a database's tables, by page number", "database.not_found"
	readByID.query, readByID.data = slices.Concat(tableFilter(), numberedFields(tableLimit), exportFields), exampleTables(true)
	readByID.fails = slices.Concat(tableRefusals(), numberedRefusals, []*models.Error{models.Invalid("export.format", "Choices", strings.Join(formats, ", "))})
	refreshByID.path, refreshByID.id = "/databases/{id}/tables/sizes/actions/refresh", "refreshTableSizesByID"
	refreshByID.summary, refreshByID.missing = "Collect the sizes of a database's tables now, by the database's id", "database.not_found"
	refreshByID.query, refreshByID.data = slices.Concat(tableFilter(), numberedFields(tableLimit)), exampleRefresh(true)
	refreshByID.fails = slices.Concat(tableRefusals(), numberedRefusals, tableCollectionRefusals())
	return []operation{read, refresh, readByID, refreshByID}
}

func tableCollectionRefusals() []*models.Error {
	return append(targetRefusals(),
		targetError(models.CodeCollection, "collect.database_gone", "database_name", "shop"),
		targetError(models.CodeCollection, "collect.oracle.denied", "database_name", "USERS", "grant", "GRANT READ ON sys.dba_segments TO WHALEFALL;"),
	)
}
