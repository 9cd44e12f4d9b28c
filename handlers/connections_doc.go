package handlers

import (
	"net/http"
	"slices"

	"whalefall/handlers/openapi"
	"whalefall/models"
)

func connectionOperations() []operation {
	return append([]operation{
		{
			method:  http.MethodPost,
			path:    "/connections/actions/test",
			id:      "testConnection",
			tag:     tagConnections,
			summary: "Test the connection to an instance or an address",
			about: "With `instance_id` it connects to the saved instance (permission `view`). Without it, it connects to the " +
				"address in the body, with the credential or the user name and password given there. This needs the permission " +
				"`create`, because it can send a stored password to any host that its credential allows.",
			body: append([]openapi.Field{
				openapi.Optional("instance_id", openapi.Dict("type", "integer", "format", "int64"),
					"A saved instance; all other members are then ignored."),
			}, openapi.AllOptional(addressFields())...),
			example: openapi.Dict("instance_id", 7),
			message: "api.instance_connected",
			data: struct {
				Success         bool   `json:"success"`
				Message         string `json:"message"`
				Version         string `json:"version"`
				DatabaseVersion string `json:"database_version"`
				MainVersion     string `json:"main_version"`
				DetailedVersion string `json:"detailed_version"`
			}{true, "连接成功,数据库版本: PostgreSQL 16.14", "PostgreSQL 16.14", "PostgreSQL 16.14", "16", "16.14"},
			missing: instanceMissing,
			fails: slices.Concat([]*models.Error{
				models.Invalid("body.empty"),
				models.Invalid("field.not_integer", "Field", "instance_id"),
				required("db_type, host, port"),
			}, addressRefusals, []*models.Error{
				forbidden(models.PermCreate),
				unreachableError("", "refused"),
				targetError(models.CodeCollection, "collect.no_credential"),
				hostRefused(models.CodeCollection).WithInstanceID(7),
				targetError(models.CodeCollection, "collect.instance_inactive"),
				{Code: models.CodeTimeout},
			}),
		},
	}, batchTestOperation()...)
}

// targetRefusals returns the errors that every collection can end with.
func targetRefusals() []*models.Error {
	return []*models.Error{
		unreachableError("error.unreachable", "login").With("sqlstate", "28P01"),
		targetError(models.CodeCollection, "collect.instance_inactive"),
		targetError(models.CodeCollection, "collect.no_credential"),
		hostRefused(models.CodeCollection).WithInstanceID(7),
		targetError(models.CodeCollection, "collect.instance_changed"),
		targetError(models.CodeCollection, "collect.cancelled"),
		targetError(models.CodeTimeout, ""),
	}
}

// targetError returns an example of an error that a monitored server causes; pairs are added to its extra.
func targetError(code models.Code, key string, pairs ...any) *models.Error {
	return &models.Error{
		Code: code, Key: key, Args: models.Args("Name", "orders"), InstanceID: 7, Extra: models.Args(pairs...),
	}
}

// unreachableError returns an example of why a server cannot be reached.
func unreachableError(key, reason string) *models.Error {
	e := targetError(models.CodeUnreachable, key)
	e.Reason = reason
	return e
}
