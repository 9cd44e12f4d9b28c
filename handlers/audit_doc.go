package handlers

import (
	"net/http"

	"whalefall/handlers/openapi"
	"whalefall/models"
)

func auditOperations() []operation {
	user, target, status := int64(1), int64(7), http.StatusOK
	return []operation{
		{
			method:  http.MethodGet,
			path:    "/audit",
			id:      "listAudit",
			tag:     tagUsers,
			summary: "Read the audit log",
			about:   "Every write and refresh, newest first: who, what, when, from where, and how it ended.",
			query: append([]openapi.Field{
				openapi.Optional("username", openapi.Text(0), "Exact user name."),
				openapi.Optional("action", openapi.Enum(models.Actions...), "Only this action; an unknown value means all."),
				openapi.Optional("target", openapi.Text(0), "Case-insensitive substring of the target's name."),
				openapi.Optional("result", openapi.Enum(auditResults...), "Only what succeeded, or what did not."),
				startDate, endDate,
			}, pageFields...),
			message: "api.audit",
			data: newPage([]auditEntryJSON{
				{
					ID:         42,
					At:         documentTime,
					UserID:     &user,
					Username:   orNull("admin"),
					Action:     models.ActionSyncInstance,
					TargetID:   &target,
					TargetName: orNull("orders"),
					Method:     orNull(http.MethodPost),
					Path:       orNull("/api/v1/instances/7/actions/sync-capacity"),
					IP:         orNull("192.0.2.10"),
					Status:     &status,
					Result:     models.AuditSuccess,
					RequestID:  orNull("0f1e2d3c4b5a69788796a5b4c3d2e1f0"),
				},
			}, 1, listLimit, 0),
			fails: dayRefusals,
		},
	}
}
