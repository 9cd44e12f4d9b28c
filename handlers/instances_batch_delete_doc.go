package handlers

import (
	"net/http"

	"whalefall/handlers/openapi"
	"whalefall/models"
)

func batchDeleteOperations() []operation {
	return []operation{
		{
			method:  http.MethodPost,
			path:    "/instances/batch-delete",
			id:      "deleteInstances",
			tag:     tagInstances,
			summary: "Delete instances",
			about: "`soft` moves them to the recycle bin; `hard` permanently deletes them with everything that belongs " +
				"to them. IDs that do not exist are listed in `missing_instance_ids`.",
			body: []openapi.Field{
				openapi.Required("instance_ids",
					openapi.Dict("type", "array", "items", openapi.Dict("type", "integer", "format", "int64"),
						"minItems", 1, "maxItems", maxBatchDelete),
					"IDs of the instances."),
				openapi.Optional("deletion_mode", openapi.Default(openapi.Enum(softDeletion, hardDeletion), softDeletion),
					"`soft`: to the recycle bin; `hard`: permanently."),
			},
			example: openapi.Dict("instance_ids", []int{7, 8}, "deletion_mode", "soft"),
			message: "api.instances_deleted",
			args:    []any{"N", 2},
			data: deletionJSON{
				DeletedCount:       2,
				DeletionMode:       softDeletion,
				DeletedInstanceIDs: []int64{7, 8},
				MissingInstanceIDs: []int64{},
			},
			fails: []*models.Error{
				models.Invalid("deletion.none_chosen"),
				models.Invalid("deletion.ids_invalid"),
				models.Invalid("deletion.mode_invalid"),
				models.Invalid("deletion.too_many", "Limit", maxBatchDelete),
			},
		},
	}
}
