package handlers

import (
	"net/http"
	"slices"

	"whalefall/models"
	"whalefall/views"
)

var exampleTag = tagJSON{Name: "production", DisplayName: "生产", Color: "red"}

func tagOperations() []operation {
	one := struct {
		Tag tagDetailJSON `json:"tag"`
	}{tagDetailJSON{ID: 2, Name: exampleTag.Name, DisplayName: exampleTag.DisplayName, Color: exampleTag.Color, InstanceCount: 4}}
	members := []field{
		need("name", text(maxTagName), "Unique, one line."),
		may("display_name", text(maxTagName), "What the pages show; empty: the name."),
		may("color", fallback(oneOf(models.TagColors...), models.TagColors[0]), "Name of a colour of the palette."),
	}
	fails := slices.Concat([]*models.Error{
		required("name"), models.Invalid("tag.color_unknown", "Colors", "gray, blue, …"), {Code: models.CodeConflict, Key: "tag.name_taken"},
	}, badText("name", maxTagName))
	return []operation{
		{
			method: http.MethodGet, path: "/tags", id: "listTags", tag: tagTags, summary: "List tags",
			query:   append([]field{may("search", text(0), "Case-insensitive substring of name or display name, taken literally.")}, pageFields...),
			message: "api.tags", data: newPage([]tagDetailJSON{one.Tag}, 1, instanceLimit, 0),
		},
		{
			method: http.MethodPost, path: "/tags", id: "createTag", tag: tagTags, summary: "Add a tag",
			body: members, example: dict("name", "production", "display_name", "生产", "color", "red"),
			status: http.StatusCreated, message: "api.saved", data: one, fails: fails,
		},
		{
			method: http.MethodPut, path: "/tags/{id}", id: "updateTag", tag: tagTags, summary: "Change a tag",
			about: "What is absent stays as it is.", body: allOptional(members), example: dict("color", "orange"),
			message: "api.updated", data: one, missing: "tag.not_found", fails: fails,
		},
		{
			method: http.MethodDelete, path: "/tags/{id}", id: "deleteTag", tag: tagTags, summary: "Delete a tag",
			about: "The instances that had it stay.", message: "api.deleted", data: struct {
				TagID int64 `json:"tag_id"`
			}{2}, missing: "tag.not_found",
		},
	}
}

func batchOperations() []operation {
	size := int64(1 << 40)
	return []operation{
		{
			method: http.MethodGet, path: "/instances/statistics", id: "getInstanceStatistics", tag: tagInstances,
			summary: "Count the instances", message: "api.statistics", data: statisticsJSON{
				TotalInstances: 12, ActiveInstances: 11, DisabledInstances: 1, DeletedInstances: 2, DatabaseCount: 96, TotalSizeBytes: &size,
				DBTypeStats: []engineCountJSON{{models.MySQL, 8}, {models.PostgreSQL, 4}},
			},
		},
		{
			method: http.MethodGet, path: "/instances/exports", id: "exportInstances", tag: tagInstances,
			summary: "Export instances as CSV",
			about:   "All instances of the filter, ascending by id. Can be imported again; texts that begin like a formula have an apostrophe in front.",
			query:   append(instanceFilter()[:5], exportFields[1]),
			files:   []file{{"text/csv", "name,db_type,host,port,database_name,description,credential_id,…\norders,postgresql,db.example.com,5432,,,3,…\n"}},
		},
		{
			method: http.MethodGet, path: "/instances/imports/template", id: "getImportTemplate", tag: tagInstances,
			summary: "Get a CSV file to fill in for an import", query: exportFields[1:],
			files: []file{{"text/csv", "name,db_type,host,port,database_name,description,credential_id\nexample-mysql-01,mysql,192.0.2.10,3306,,,\n"}},
		},
		{
			method: http.MethodPost, path: "/instances/batch-create", id: "importInstances", tag: tagInstances,
			summary: "Import instances from CSV",
			about: "A form with a file: `curl -F file=@instances.csv`. The file is UTF-8, with or without byte order mark, and has the columns " +
				"`name,db_type,host,port[,database_name,description,credential_id,tls_mode,tags,status]` in any order. What is right is created; the rest is told.",
			upload: true, body: []field{need("file", dict("type", "string", "contentMediaType", "text/csv"), "The file; its name ends in .csv.")},
			message: "import.created", args: []any{"Count", 2}, data: importJSON{
				CreatedCount: 2, CreatedIDs: []int64{8, 9}, Errors: []string{"第 3 行: 端口号必须在1-65535之间"}, DuplicateNames: []string{}, SkippedExistingNames: []string{},
			},
			fails: []*models.Error{
				models.Invalid("import.no_rows"), models.Invalid("import.columns_missing", "Columns", "host, port"),
				models.Invalid("import.column_repeated", "Column", "host"), models.Invalid("import.not_utf8"),
				models.Invalid("import.malformed", "Line", 3), models.Invalid("import.too_many_rows", "Limit", maxImportRows), models.Invalid("body.not_form"),
			},
		},
		{
			method: http.MethodPost, path: "/instances/batch-delete", id: "deleteInstances", tag: tagInstances,
			summary: "Delete instances",
			about: "`soft` moves them to the recycle bin; `hard` removes them with everything that belongs to them, for good. Ids that there are not are told " +
				"in `missing_instance_ids`.",
			body: []field{
				need("instance_ids", dict("type", "array", "items", dict("type", "integer", "format", "int64"), "minItems", 1, "maxItems", maxBatchDelete), "Which."),
				may("deletion_mode", fallback(oneOf(softDeletion, hardDeletion), softDeletion), "How."),
			},
			example: dict("instance_ids", []int{7, 8}, "deletion_mode", "soft"),
			message: "api.instances_deleted", args: []any{"N", 2},
			data: deletionJSON{DeletedCount: 2, DeletionMode: softDeletion, DeletedInstanceIDs: []int64{7, 8}, MissingInstanceIDs: []int64{}},
			fails: []*models.Error{
				models.Invalid("deletion.none_chosen"), models.Invalid("deletion.ids_invalid"), models.Invalid("deletion.mode_invalid"),
				models.Invalid("deletion.too_many", "Limit", maxBatchDelete),
			},
		},
	}
}

func batchTestOperation() []operation {
	code := models.CodeUnreachable
	return []operation{{
		method: http.MethodPost, path: "/connections/actions/batch-test", id: "testConnections", tag: tagConnections,
		summary: "Connect to many instances", about: "The answer is 200 whatever the tests say; `error_code` and `extra` tell what a single test would answer.",
		body: []field{
			need("instance_ids", dict("type", "array", "items", dict("type", "integer", "format", "int64"), "minItems", 1, "maxItems", maxBatchTests), "Which."),
		},
		example: dict("instance_ids", []int{7, 8}),
		message: "connections.tested", data: batchTestJSON{
			Results: []connectionResultJSON{
				{
					InstanceID: 7, InstanceName: orNull("orders"), Success: true, Message: "连接成功,数据库版本: PostgreSQL 16.14",
					Version: orNull("PostgreSQL 16.14"), DatabaseVersion: orNull("PostgreSQL 16.14"), MainVersion: orNull("16"), DetailedVersion: orNull("16.14"),
				},
				{
					InstanceID: 8, InstanceName: orNull("billing"), Message: views.Message(views.Chinese, string(code), nil), ErrorCode: &code,
					Extra: map[string]any{"instance_id": 8, "reason": "refused", "advice": views.Message(views.Chinese, "reason.refused", nil)},
				},
			},
			Summary: batchSummaryJSON{Total: 2, Success: 1, Failed: 1},
		},
		fails: []*models.Error{
			models.Invalid("connections.ids_missing"), models.Invalid("connections.ids_not_integers"), models.Invalid("connections.ids_empty"),
			models.Invalid("connections.too_many", "Limit", maxBatchTests),
		},
	}}
}

func documentOperations() []operation {
	return []operation{
		{
			method: http.MethodGet, path: "/health/ping", id: "ping", tag: tagDocuments,
			summary: "Does the server answer", message: "api.health", data: healthJSON{Status: "ok", Version: "v0.4.0"},
		},
		{
			method: http.MethodGet, path: "/openapi.json", id: "getDocument", tag: tagDocuments,
			summary: "This document", about: "OpenAPI 3.1, without the envelope.", conditional: true,
			files: []file{{echoJSON, nil}},
		},
		{
			method: http.MethodGet, path: "/docs", id: "getDocs", tag: tagDocuments,
			summary: "This document as a page to read and try", files: []file{{"text/html", nil}},
		},
	}
}
