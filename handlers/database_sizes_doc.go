package handlers

import (
	"net/http"
	"slices"

	"whalefall/handlers/openapi"
	"whalefall/models"
)

func databaseFilter() []openapi.Field {
	return []openapi.Field{
		startDate,
		endDate,
		openapi.Optional("database_name", openapi.Text(0), "Case-insensitive substring of the name, taken literally."),
		openapi.Optional("latest_only", openapi.Bool(false),
			"The newest row of each database instead of the history. `true`, `1`, `on` and `yes` count, in any case."),
		openapi.Optional("include_inactive", openapi.Bool(false), "Also databases that are gone."),
		openapi.Optional("sort", signed(databaseSorts),
			"Column to sort by, descending with `-`; absent: newest day first, or with `latest_only` largest first."),
	}
}

func exampleDatabases(numbered bool) databaseSizesJSON {
	id, size, data, megabytes, one, none := int64(11), int64(92_274_688), int64(92_274_688), int64(88), int64(1), int64(0)
	return databaseSizesJSON{
		windowJSON:     newWindow(1, databaseLimit, 0, numbered),
		ActiveCount:    &one,
		FilteredCount:  &none,
		TotalSizeMB:    &megabytes,
		TotalSizeBytes: &size,
		Databases: []databaseSizeJSON{
			{
				ID:            &id,
				DatabaseID:    4,
				DatabaseName:  "shop",
				SizeMB:        &megabytes,
				DataSizeMB:    &megabytes,
				SizeBytes:     &size,
				DataSizeBytes: &data,
				CollectedDate: orNull("2026-07-01"),
				CollectedAt:   orNull(exampleTime),
				IsActive:      true,
				LastSeenDate:  "2026-07-01",
			},
		},
	}
}

func databaseOperations() []operation {
	about := "History by default: order `collected_date` descending, then name; databases known to be gone are left " +
		"out without `include_inactive`. " +
		"With `latest_only` the newest row of each database, those that were never measured included (`id` null, " +
		"`size_mb` 0, `size_bytes` null), " +
		"largest first, and the counts and sums of all pages."
	return []operation{
		{
			method:  http.MethodPost,
			path:    "/instances/{id}/actions/sync-capacity",
			id:      "syncCapacity",
			tag:     tagDatabases,
			summary: "Find the databases of an instance and measure them",
			about: "A database that refuses access does not fail the others: it is listed with `size_mb` null and its " +
				"`error`. A second sync on the same day replaces that day's figures. The list of existing databases is stored " +
				"even if nothing could be measured (409).",
			message: "api.synced",
			args:    []any{"Name", "orders"},
			data: struct {
				Result syncResultJSON `json:"result"`
			}{exampleSync()},
			missing: instanceMissing,
			fails:   append(targetRefusals(), targetError(models.CodeCollection, "collect.nothing_measured")),
		},
		{
			method:      http.MethodGet,
			path:        "/instances/{id}/databases/sizes",
			id:          "listDatabaseSizes",
			tag:         tagDatabases,
			summary:     "Sizes of an instance's databases",
			about:       about,
			query:       append(databaseFilter(), windowFields(databaseLimit)...),
			conditional: true,
			message:     "api.database_sizes",
			data:        exampleDatabases(false),
			missing:     instanceMissing,
			fails:       append(slices.Clone(dayRefusals), windowRefusals...),
		},
		{
			method:  http.MethodGet,
			path:    "/databases/sizes",
			id:      "listDatabaseSizesByQuery",
			tag:     tagDatabases,
			summary: "Sizes of an instance's databases, by page number",
			about:   about,
			query: slices.Concat(
				[]openapi.Field{
					openapi.Required("instance_id",
						openapi.Dict("type", "integer", "format", "int64", "minimum", 1, "examples", []int{7}),
						"The instance."),
				},
				databaseFilter(),
				numberedFields(databaseLimit),
			),
			conditional: true,
			message:     "api.database_sizes",
			data:        exampleDatabases(true),
			missing:     instanceMissing,
			fails: slices.Concat([]*models.Error{
				models.Invalid("query.instance_missing"), models.Invalid("query.not_integer", "Name", "instance_id"),
				models.Invalid("query.too_small", "Name", "instance_id", "Limit", 1),
			}, dayRefusals, numberedRefusals),
		},
	}
}
