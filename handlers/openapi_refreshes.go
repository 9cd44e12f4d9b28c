package handlers

import (
	"net/http"

	"whalefall/models"
)

const refreshMissing = "refresh.not_found"

func exampleRun() refreshJSON {
	phase, seen := models.PhaseQuerying, int64(120)
	return refreshJSON{
		ID: 31, InstanceID: 7, InstanceName: "orders", DatabaseName: orNull("shop"), Kind: models.RunTables, Status: models.RunRunning,
		Phase: &phase, TablesSeen: &seen, ElapsedMS: 1840, RequestedBy: orNull("li_na"), RequestedAt: exampleTime, StartedAt: orNull(exampleTime),
	}
}

func exampleEnded() refreshJSON {
	out := exampleRun()
	out.Status, out.Phase, out.EndedAt = models.RunCancelled, nil, orNull(exampleTime)
	return out
}

// refreshStarted is how a refresh answers to who prefers not to wait.
var refreshStarted = &operation{status: http.StatusAccepted, message: "refresh.started", data: exampleRun()}

func refreshOperations() []operation {
	return []operation{
		{
			method: http.MethodGet, path: "/refreshes/{id}", id: "getRefresh", tag: tagTables,
			summary: "How a refresh goes",
			about: "`status` goes from `queued` over `running` to `succeeded` (with `receipt`), `failed` (with `error`, what the answer would have been), " +
				"`cancelled` or `interrupted` (the server stopped).",
			message: "refresh.read", data: exampleRun(), missing: refreshMissing,
		},
		{
			method: http.MethodDelete, path: "/refreshes/{id}", id: "cancelRefresh", tag: tagTables,
			summary: "Cancel a refresh",
			about:   "Also on the monitored server, within a second. Only who started it and administrators may. One that has ended stays as it ended; the message says which.",
			message: "refresh.cancelled", data: exampleEnded(), missing: refreshMissing, fails: []*models.Error{forbidden(models.PermAdmin)},
		},
	}
}
