package handlers

import (
	"net/http"
	"slices"

	"whalefall/handlers/openapi"
	"whalefall/models"
)

func ledgerOperations() []operation {
	size, megabytes, growth := int64(92_274_688), int64(88), int64(1_048_576)
	item := ledgerItemJSON{
		ID: 4, DatabaseName: "shop", DBType: models.PostgreSQL, Tags: []tagJSON{exampleTag},
		Instance: ledgerInstanceJSON{ID: 7, Name: "orders", Host: orNull("db.example.com"), DBType: models.PostgreSQL},
		Capacity: ledgerCapacityJSON{
			SizeMB: &megabytes, SizeBytes: &size, Label: "88 MB", CollectedAt: orNull(exampleTime),
		},
		SyncStatus: ledgerStatusJSON{Value: "completed", Label: "已更新", Variant: "success"},
		Trend:      ledgerTrendJSON{Growth7dBytes: &growth, SizesBytes: []int64{size - growth, size}},
	}
	return []operation{
		{
			method: http.MethodGet, path: "/databases/ledgers", id: "listLedger", tag: tagDatabases,
			summary: "List the databases of all instances with newest size and trend",
			about:   "Databases that are on the servers of active instances, sorted by instance and name.",
			query: append([]openapi.Field{
				openapi.Optional("search", openapi.Text(0), "Case-insensitive substring of the database's or instance's name, or "+
					"of the host."),
				openapi.Optional("db_type", openapi.Text(0), "Only this engine; `all` or empty: every one."),
				openapi.Optional("instance_id", openapi.Dict("type", "integer"), "Only this instance."),
				openapi.Optional("tags", openapi.List(openapi.Text(0)), "Names of tags, any of which the instance has; also "+
					"separated by commas."),
			}, strictPageFields...),
			message: "api.ledgers",
			data:    ledgerPageJSON{newPage([]ledgerItemJSON{item}, 1, listLimit, 0), listLimit, listLimit},
			fails:   strictPageRefusals,
		},
		{
			method: http.MethodGet, path: "/databases/ledgers/{id}/capacity-trend", id: "getCapacityTrend", tag: tagDatabases,
			summary: "How a database grew", about: "Oldest day first; days without a measurement are left out.",
			query: []openapi.Field{openapi.Optional("days",
				openapi.Default(openapi.Dict("type", "integer", "minimum", 0), trendDays),
				"Days, today included, at most 90; more count as 90.")},
			message: "api.capacity_trend", data: capacityTrendJSON{
				trendDatabaseJSON{ID: 4, Name: "shop", InstanceID: 7, InstanceName: "orders", DBType: models.PostgreSQL},
				[]trendPointJSON{{
					CollectedAt: exampleTime, CollectedDate: "2026-07-01", SizeMB: &megabytes, SizeBytes: &size, Label: "88 MB",
				}},
			},
			missing: "ledger.database_missing",
			fails: []*models.Error{
				models.Invalid("query.not_integer", "Name", "days"), models.Invalid("query.negative", "Name", "days"),
				models.NotFound("ledger.instance_missing"),
			},
		},
	}
}

func capacityOperations() []operation {
	size, before, count := 92_274_688.0, 90_177_536.0, 3.0
	bytes, databases, day := int64(92_274_688), int64(3), "2026-06-22"
	row := models.CapacityRow{
		ID: 11, InstanceID: 7, InstanceName: "orders", DBType: models.PostgreSQL, DatabaseID: 4, DatabaseName: "shop",
		Period: models.Weekly, StartDay: "2026-06-29", BeforeDay: &day, Days: 3,
		Size:      models.Measure{Avg: &size, Max: &bytes, Min: &bytes, Before: &before},
		Data:      models.Measure{Avg: &size, Max: &bytes, Min: &bytes, Before: &before},
		Databases: models.Measure{Avg: &count, Max: &databases, Min: &databases, Before: &count},
	}
	list := slices.Concat(capacityFields, []openapi.Field{
		openapi.Optional("get_all", openapi.Bool(false), "All periods of the 100 largest instead of a page."),
	}, strictPageFields)
	fails := slices.Concat([]*models.Error{models.Invalid("query.period")}, dayRefusals, strictPageRefusals)
	about := "Computed from the daily measurements of active instances. Weeks begin on Monday; a change compares the " +
		"average with that of the period directly before and is 0 without one. "
	ranged := append(slices.Clone(fails), models.Invalid("query.time_range"),
		models.Invalid("query.negative", "Name", "time_range"))
	return []operation{
		{
			method: http.MethodGet, path: "/capacity/databases", id: "listDatabaseCapacity", tag: tagDatabases,
			summary: "Sizes of databases by day, week, month and quarter",
			about:   about + "Periods that end within the range.",
			query:   list, message: "api.database_capacities", data: databaseCapacitiesJSON{
				newPage([]databaseCapacityJSON{newDatabaseCapacity(row)}, 1, listLimit, 0), false, false,
			}, fails: fails,
		},
		{
			method: http.MethodGet, path: "/capacity/databases/summary", id: "getDatabaseCapacity", tag: tagDatabases,
			summary: "Sum of the newest period of each database", about: "Without `period_type` of the newest day.",
			query: capacityFields, message: "api.database_capacity_summary", data: struct {
				Summary databaseCapacitySummaryJSON `json:"summary"`
			}{databaseCapacitySummaryJSON{
				TotalDatabases: 3, TotalInstances: 1, TotalSizeMB: 120, AvgSizeMB: 40, MaxSizeMB: 88,
			}}, fails: fails,
		},
		{
			method: http.MethodGet, path: "/capacity/instances", id: "listInstanceCapacity", tag: tagDatabases,
			summary: "Sizes of instances by day, week, month and quarter",
			about:   about + "Periods that lie within the range.",
			query:   append(slices.Clone(list), timeRange), message: "api.done", data: instanceCapacitiesJSON{
				newPage([]instanceCapacityJSON{newInstanceCapacity(row)}, 1, listLimit, 0), false, false,
			}, fails: ranged,
		},
		{
			method: http.MethodGet, path: "/capacity/instances/summary", id: "getInstanceCapacity", tag: tagDatabases,
			summary: "Sum of the newest day of each instance",
			query:   append(slices.Clone(capacityFields), timeRange), message: "api.done", data: struct {
				Summary instanceCapacitySummaryJSON `json:"summary"`
			}{instanceCapacitySummaryJSON{
				TotalInstances: 2, TotalSizeMB: 240, AvgSizeMB: 120, MaxSizeMB: 152, PeriodType: allPeriods,
				Source: "instance_size_stats",
			}}, fails: ranged,
		},
	}
}

// capacityFields describes the filter that bindCapacity reads.
var capacityFields = []openapi.Field{
	openapi.Optional("instance_id", openapi.Dict("type", "integer"), "Only this instance."),
	openapi.Optional("database_id", openapi.Dict("type", "integer"), "Only this database."),
	openapi.Optional("database_name", openapi.Text(0), "Only databases with this name, exactly."),
	openapi.Optional("db_type", openapi.Text(0), "Only this engine; `all` or empty: every one."),
	openapi.Optional("period_type", openapi.Enum(append(slices.Clone(models.Periods), allPeriods)...),
		"Kind of period; absent: all."),
	startDate, endDate,
}

var timeRange = openapi.Optional("time_range", openapi.Dict("type", "integer", "minimum", 0),
	"Days back from today, unless there is a first or last day.")
