package handlers

import (
	"net/http"
	"slices"

	"whalefall/handlers/openapi"
	"whalefall/models"
)

const refreshMissing = "refresh.not_found"

func exampleRun() refreshJSON {
	phase, seen, total, left, connecting := models.PhaseQuerying, int64(1200), int64(4800), int64(5520), int64(40)
	return refreshJSON{
		ID:           31,
		InstanceID:   7,
		InstanceName: "orders",
		DatabaseName: orNull("shop"),
		Kind:         models.RunTables,
		Status:       models.RunRunning,
		Phase:        &phase,
		TablesSeen:   &seen,
		TablesTotal:  &total,
		ElapsedMS:    1880,
		RemainingMS:  &left,
		ConnectingMS: &connecting,
		Attempt:      1,
		RequestedBy:  orNull("li_na"),
		RequestedAt:  exampleTime,
		StartedAt:    orNull(exampleTime),
	}
}

func exampleEnded() refreshJSON {
	out := exampleRun()
	out.Status, out.Phase, out.EndedAt = models.RunCancelled, nil, orNull(exampleTime)
	return out
}

func exampleReceipt() refreshJSON {
	out := exampleEnded()
	seen, querying, storing, peak := int64(4800), int64(7210), int64(310), int64(18<<20)
	out.Status, out.TablesSeen, out.RemainingMS = models.RunSucceeded, &seen, nil
	out.QueryingMS, out.StoringMS = &querying, &storing
	out.ElapsedMS = 7560
	out.Receipt = &runReceiptJSON{
		receiptJSON: receiptJSON{
			SavedCount:   4800,
			ChangedCount: 212,
			DeletedCount: 3,
			ElapsedMS:    7520,
		},
		CollectedAt:     exampleTime,
		Complete:        true,
		Proof:           orNull(string(models.ProofCatalog)),
		KeptCount:       1,
		LockedCount:     1,
		ServerPeakBytes: &peak,
	}
	return out
}

// runFilter describes the query of a list of runs.
func runFilter(more ...openapi.Field) []openapi.Field {
	return slices.Concat(more, []openapi.Field{
		openapi.Optional("database_name", openapi.Text(0),
			"Case-insensitive substring of a database's name, taken literally."),
		openapi.Optional("kind", openapi.Enum(models.RunKinds...), "Only this kind; an unknown value means all."),
		openapi.Optional("status", openapi.Enum(models.RunStatuses...), "Only this status; an unknown value means all."),
	}, pageFields)
}

// refreshStarted is the answer to a client that prefers not to wait.
var refreshStarted = &operation{status: http.StatusAccepted, message: "refresh.started", data: exampleRun()}

func refreshOperations() []operation {
	list := newPage([]refreshJSON{exampleRun(), exampleReceipt()}, 2, listLimit, 0)
	return []operation{
		{
			method:  http.MethodGet,
			path:    "/instances/{id}/refreshes",
			id:      "listInstanceRefreshes",
			tag:     tagTables,
			summary: "List the collections of an instance",
			about:   "Refreshes of tables and capacity syncs with their receipts, newest first.",
			query:   runFilter(),
			message: "api.runs",
			data:    list,
			missing: "instance.not_found",
		},
		{
			method:  http.MethodGet,
			path:    "/refreshes",
			id:      "listRefreshes",
			tag:     tagTables,
			summary: "List the collections of all instances",
			about: "Refreshes of tables and capacity syncs with their receipts, newest first, without those of instances " +
				"in the recycle bin.",
			query: runFilter(openapi.Optional("instance_id",
				openapi.Dict("type", "integer", "format", "int64", "minimum", 1, "examples", []int{7}),
				"Only of this instance.")),
			message: "api.runs",
			data:    list,
			missing: "instance.not_found",
			fails: []*models.Error{
				models.Invalid("query.instance_missing"), models.Invalid("query.not_integer", "Name", "instance_id"),
				models.Invalid("query.too_small", "Name", "instance_id", "Limit", 1),
			},
		},
		{
			method:  http.MethodGet,
			path:    "/refreshes/{id}",
			id:      "getRefresh",
			tag:     tagTables,
			summary: "Get the state of a refresh",
			about: "`status` goes from `queued` through `running` to `succeeded` (with `receipt`), `failed` (with `error`, " +
				"the error that a waiting request would have received), " +
				"`cancelled` or `interrupted` (WhaleFall stopped).",
			message: "refresh.read",
			data:    exampleRun(),
			missing: refreshMissing,
		},
		{
			method:  http.MethodDelete,
			path:    "/refreshes/{id}",
			id:      "cancelRefresh",
			tag:     tagTables,
			summary: "Cancel a refresh",
			about: "Also ends its statement on the monitored server, within a second. Only the user who started it and " +
				"administrators can. A run that has already ended is left as it is, and the message says so.",
			message: "refresh.cancelled",
			data:    exampleEnded(),
			missing: refreshMissing,
			fails:   []*models.Error{forbidden(models.PermAdmin)},
		},
	}
}
