package handlers

import (
	"net/http"
	"slices"
	"strings"

	"whalefall/handlers/openapi"
	"whalefall/models"
)

func tableFilter() []openapi.Field {
	return []openapi.Field{
		openapi.Optional("schema_name", openapi.Text(0), "Case-insensitive substring of the schema, taken literally."),
		openapi.Optional("table_name", openapi.Text(0), "Case-insensitive substring of the table's name, taken literally."),
		openapi.Optional("sort", openapi.Default(signed(tableSorts), "-size"),
			"Column to sort by, descending with `-`. Unknown values come last."),
		openapi.Optional("partitions", openapi.Enum("fold"),
			"`fold`: leave partitions out; their sizes are in the rolled-up row of their table."),
		openapi.Optional("parent_schema", openapi.Text(0), "Exact schema of `parent_table`."),
		openapi.Optional("parent_table", openapi.Text(0), "Only the partitions of this table, exact."),
		openapi.Optional("only", openapi.Enum("unsettled"), "`unsettled`: only rows with an old value or of unknown size."),
		openapi.Optional("cursor", openapi.Text(0),
			"`next_cursor` of the previous page, with the same filter and sort: every page costs the same, however deep."),
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
		Tables: []tableSizeJSON{
			{
				SchemaName:     "public",
				TableName:      "orders",
				Kind:           models.KindTable,
				SizeMB:         &megabytes,
				DataSizeMB:     &dataMB,
				IndexSizeMB:    &indexMB,
				SizeBytes:      &size,
				DataSizeBytes:  &data,
				IndexSizeBytes: &index,
				UnusedBytes:    &unused,
				RowCount:       &rows,
				GrowthBytes:    &growth,
				RowsSource:     models.RowsStatistic,
				SizeSource:     models.SizeAllocated,
				CollectedAt:    exampleTime,
			},
		},
		snapshotJSON: &snapshotJSON{Complete: true, TableCount: 1, TotalBytes: size},
	}
}

func exampleRefresh(numbered bool) tableSizesJSON {
	out := exampleTables(numbered)
	out.receiptJSON = &receiptJSON{SavedCount: 1, DeletedCount: 0, ChangedCount: 1, ElapsedMS: 84}
	return out
}

// tableFiles are the formats of a snapshot that contain all rows of the filter.
var tableFiles = []openapi.File{
	{Media: "text/csv", Sample: "schema_name,table_name,size_mb,…\npublic,orders,14,…\n"},
	{Media: "application/x-ndjson", Sample: "{\"schema_name\":\"public\",\"table_name\":\"orders\",\"size_mb\":14}\n"},
}

var exportFields = []openapi.Field{
	openapi.Optional("format", openapi.Default(openapi.Enum(formats...), string(formatJSON)),
		"`csv` and `ndjson` stream all rows of the filter; the header `Accept` does the same."),
	openapi.Optional("bom", openapi.Bool(false), "Begin CSV with a byte order mark, for Excel."),
}

func tableOperations() []operation {
	read := operation{
		method:  http.MethodGet,
		path:    "/instances/{id}/databases/{name}/tables/sizes",
		id:      "listTableSizes",
		tag:     tagTables,
		summary: "Sizes of a database's tables",
		about: "Reads the stored snapshot; never contacts the server. A database without one, known or not, has `total` 0 " +
			"and `collected_at` null. " +
			"A member that is unknown is left out. In CSV, texts that look like a formula get a leading apostrophe.",
		query:       slices.Concat(tableFilter(), windowFields(tableLimit), exportFields),
		conditional: true,
		message:     "api.table_sizes",
		data:        exampleTables(false),
		files:       tableFiles,
		missing:     instanceMissing,
		fails: slices.Concat(
			tableRefusals(),
			windowRefusals,
			[]*models.Error{models.Invalid("export.format", "Choices", strings.Join(formats, ", "))},
		),
	}
	refresh := operation{
		method:  http.MethodPost,
		path:    "/instances/{id}/databases/{name}/tables/sizes/actions/refresh",
		id:      "refreshTableSizes",
		tag:     tagTables,
		summary: "Collect the sizes of a database's tables now",
		about: "Connects, collects, stores, and answers with the new page. On any failure the stored snapshot stays " +
			"as it was. A database that is not known yet is looked up on the server and added if it exists; one that is " +
			"gone answers 409, is marked gone, and keeps its snapshot. A refresh of a database that is being refreshed " +
			"joins the run in progress. The request waits up to 120 s, then answers 504 while the refresh continues: " +
			"`Location` and `extra.refresh_id` name it. With the header `Prefer: respond-async` it answers 202 at once.",
		query:   slices.Concat(tableFilter(), windowFields(tableLimit)),
		later:   refreshStarted,
		message: "api.tables_refreshed",
		data:    exampleRefresh(false),
		missing: instanceMissing,
		fails: slices.Concat(
			tableRefusals(),
			windowRefusals,
			[]*models.Error{models.Invalid("field.bad_characters", "Field", "database_name")},
			tableCollectionRefusals(),
		),
	}
	readByID, refreshByID := read, refresh
	readByID.path, readByID.id = "/databases/{id}/tables/sizes", "listTableSizesByID"
	readByID.summary, readByID.missing = "Sizes of a database's tables, by page number", "database.not_found"
	readByID.query = slices.Concat(tableFilter(), numberedFields(tableLimit), exportFields)
	readByID.data = exampleTables(true)
	readByID.fails = slices.Concat(
		tableRefusals(),
		numberedRefusals,
		[]*models.Error{models.Invalid("export.format", "Choices", strings.Join(formats, ", "))},
	)
	refreshByID.path, refreshByID.id = "/databases/{id}/tables/sizes/actions/refresh", "refreshTableSizesByID"
	refreshByID.summary = "Collect the sizes of a database's tables now, by the database's ID"
	refreshByID.missing = "database.not_found"
	refreshByID.query, refreshByID.data = slices.Concat(tableFilter(), numberedFields(tableLimit)), exampleRefresh(true)
	refreshByID.fails = slices.Concat(tableRefusals(), numberedRefusals, tableCollectionRefusals())
	return []operation{read, refresh, readByID, refreshByID}
}

func tableCollectionRefusals() []*models.Error {
	return append(
		targetRefusals(),
		targetError(models.CodeCollection, "collect.database_gone", "database_name", "shop"),
		targetError(models.CodeCollection, "collect.oracle.denied", "database_name", "USERS").
			WithGrant("GRANT READ ON sys.dba_segments TO WHALEFALL;"),
	)
}
