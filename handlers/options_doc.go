package handlers

import (
	"net/http"

	"whalefall/handlers/openapi"
	"whalefall/models"
)

func optionOperations() []operation {
	return []operation{
		{
			method: http.MethodGet, path: "/common/instances/options", id: "listInstanceOptions", tag: tagInstances,
			summary: "List the active instances to choose from",
			query: []openapi.Field{
				openapi.Optional("db_type", openapi.Text(0), "Only this engine, in any case; no aliases."),
			},
			message: "api.instance_options", data: instanceOptionsJSON{[]instanceOptionJSON{
				{ID: 7, Name: "orders", DBType: models.PostgreSQL, DisplayName: "orders (POSTGRESQL)"},
			}},
		},
		{
			method: http.MethodGet, path: "/common/databases/options", id: "listDatabaseOptions", tag: tagDatabases,
			summary: "List the databases of an instance to choose from", about: "Sorted by name; those that are gone, too.",
			query: []openapi.Field{
				openapi.Required("instance_id", openapi.Dict("type", "integer", "minimum", 1, "examples", []int{7}),
					"The instance."),
				openapi.Optional("limit", openapi.Default(openapi.IntUpTo(maxDatabaseOptions), databaseLimit),
					"Rows of the answer."),
				openapi.Optional("offset", openapi.Default(openapi.Dict("type", "integer", "minimum", 0), 0),
					"Rows to skip before the first."),
			},
			message: "api.database_options", data: databaseOptionsJSON{[]databaseOptionJSON{{
				ID: 4, DatabaseName: "shop", IsActive: true, FirstSeenDate: "2026-01-01", LastSeenDate: "2026-07-01",
			}}, 1, databaseLimit, 0},
			missing: instanceMissing, fails: []*models.Error{
				models.Invalid("query.instance_required"), models.Invalid("query.options_window"),
				models.Invalid("query.too_small", "Name", "limit", "Limit", 1),
				models.Invalid("query.too_large", "Name", "limit", "Limit", maxDatabaseOptions),
				models.Invalid("query.negative", "Name", "offset"),
			},
		},
		{
			method: http.MethodGet, path: "/common/database-types/options", id: "listDatabaseTypeOptions", tag: tagInstances,
			summary: "List the database types of the original to choose from",
			message: "api.engine_options", data: engineOptions,
		},
	}
}

func connectionStatusOperations() []operation {
	port := 5432
	return []operation{
		{
			method: http.MethodGet, path: "/connections/status/{id}", id: "getConnectionStatus", tag: tagConnections,
			summary: "How long ago WhaleFall last connected to an instance", message: "connections.status",
			data: connectionStatusJSON{
				InstanceID: 7, InstanceName: "orders", DBType: models.PostgreSQL, Host: orNull("db.example.com"), Port: &port,
				LastConnected: orNull(exampleTime), Status: "good", IsActive: true,
			},
			missing: instanceMissing,
		},
		{
			method: http.MethodPost, path: "/connections/actions/validate-params", id: "validateConnection",
			tag: tagConnections, summary: "Check an address without connecting to it",
			body: []openapi.Field{
				openapi.Required("db_type", openapi.Text(0), "Engine, or an alias of it."),
				openapi.Optional("port", openapi.IntUpTo(65535), "Port; SQLite has none."),
				openapi.Optional("credential_id", openapi.Dict("type", "integer"), "A credential, which must exist."),
			},
			example: openapi.Dict("db_type", "mysql", "port", 3306, "credential_id", 3),
			message: "connections.valid", missing: "instance.credential_missing",
			fails: []*models.Error{
				models.Invalid("body.empty"), models.Invalid("connections.engine_unknown", "Engine", "db2"),
				models.Invalid("connections.port_not_number"), models.Invalid("instance.port_range"),
				models.Invalid("connections.credential_not_integer"),
			},
		},
	}
}
