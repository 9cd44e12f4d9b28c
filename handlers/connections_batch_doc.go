package handlers

import (
	"net/http"

	"whalefall/handlers/openapi"
	"whalefall/models"
	"whalefall/views"
)

func batchTestOperation() []operation {
	code := models.CodeUnreachable
	return []operation{
		{
			method:  http.MethodPost,
			path:    "/connections/actions/batch-test",
			id:      "testConnections",
			tag:     tagConnections,
			summary: "Test the connections of many instances",
			about:   "Answers 200 whatever the results; `error_code` and `extra` are those of a single test.",
			body: []openapi.Field{
				openapi.Required("instance_ids",
					openapi.Dict("type", "array", "items", openapi.Dict("type", "integer", "format", "int64"),
						"minItems", 1, "maxItems", maxBatchTests),
					"IDs of the instances."),
			},
			example: openapi.Dict("instance_ids", []int{7, 8}),
			message: "connections.tested",
			data: batchTestJSON{
				Results: []connectionResultJSON{
					{
						InstanceID:      7,
						InstanceName:    orNull("orders"),
						Success:         true,
						Message:         "连接成功,数据库版本: PostgreSQL 16.14",
						Version:         orNull("PostgreSQL 16.14"),
						DatabaseVersion: orNull("PostgreSQL 16.14"),
						MainVersion:     orNull("16"),
						DetailedVersion: orNull("16.14"),
					},
					{
						InstanceID:   8,
						InstanceName: orNull("billing"),
						Message:      views.Message(views.Chinese, string(code), nil),
						Error:        orNull(views.Message(views.Chinese, string(code), nil)),
						ErrorCode:    &code,
						Extra: map[string]any{
							"instance_id": 8,
							"reason":      "refused",
							"advice":      views.Message(views.Chinese, "reason.refused", nil),
						},
					},
				},
				Summary: batchSummaryJSON{Total: 2, Success: 1, Failed: 1},
			},
			fails: []*models.Error{
				models.Invalid("connections.ids_missing"),
				models.Invalid("connections.ids_not_integers"),
				models.Invalid("connections.ids_empty"),
				models.Invalid("connections.too_many", "Limit", maxBatchTests),
			},
		},
	}
}
