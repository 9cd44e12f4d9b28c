package handlers

import (
	"net/http"
	"slices"

	"whalefall/handlers/openapi"
	"whalefall/models"
)

const hostsAbout = "Hosts that the password may be sent to: host names, addresses, networks such as `10.1.0.0/16`, " +
	"or patterns such as `*.example.com`, in which `*` stands for any characters between two dots. Nothing is resolved. " +
	"Empty: any. A change that allows other hosts than before needs `password` in the same request; one that leaves out " +
	"the host of an instance that uses the credential is refused."

func credentialOperations() []operation {
	one := struct {
		Credential credentialDetailJSON `json:"credential"`
	}{
		credentialDetailJSON{
			ID:             3,
			Name:           "orders-reader",
			CredentialType: "database",
			DBType:         orNull(string(models.PostgreSQL)),
			Username:       "whalefall",
			Password:       maskedPassword,
			Hosts:          models.Hosts{"db.example.com", "10.1.0.0/16"},
			Description:    "read only",
			CreatedAt:      exampleTime,
			UpdatedAt:      exampleTime,
		},
	}
	items := []credentialItemJSON{{one.Credential, 2}}
	missing := "credential.not_found"
	members := []openapi.Field{
		openapi.Required("name", openapi.Text(maxCredentialName), "Unique, one line."),
		openapi.Required("username", openapi.Text(maxUsername), "User name on the monitored server."),
		openapi.Required("password", openapi.Dict("type", "string", "format", "password"),
			"Exactly as typed, at most 512 bytes. It cannot be read again."),
		openapi.Optional("credential_type", openapi.Default(openapi.Enum("database"), "database"),
			"Kind of credential; always `database`."),
		openapi.Optional("db_type", engineName, "Engine it is for; null or empty: any."),
		openapi.Optional("hosts", openapi.Dict("type", "array", "items", openapi.Text(maxHostBytes), "maxItems", maxHosts),
			hostsAbout),
		openapi.Optional("description", openapi.Text(maxDescription), "Free text."),
	}
	fails := slices.Concat([]*models.Error{
		required("name, password"), models.Invalid("credential.password_long"), models.Invalid("credential.type_invalid"),
		models.Invalid("instance.engine_unknown", "Engine", "db2"), models.Invalid("instance.description_long"),
		models.Invalid("credential.hosts_not_list"), models.Invalid("credential.host_invalid", "Host", "a b"),
		models.Invalid("credential.hosts_too_many", "Limit", maxHosts),
		{Code: models.CodeConflict, Key: "credential.name_taken"},
	}, badText("name", maxCredentialName))
	used := models.Args(
		"instances", []models.CredentialUse{{ID: 7, Name: "orders", Status: "active"}}, "instance_count", 1,
	)
	hostsExclude := &models.Error{
		Code: models.CodeConflict, Key: "credential.hosts_exclude", Args: models.Args("Names", "orders"), Extra: used,
	}
	remove := operation{
		method: http.MethodDelete, path: "/credentials/{id}", id: "deleteCredential", tag: tagCredentials,
		summary: "Delete a credential", about: "Refused while an instance uses it.",
		message: "api.deleted", data: struct {
			CredentialID int64 `json:"credential_id"`
		}{3}, missing: missing, fails: []*models.Error{{
			Code: models.CodeConflict, Key: "credential.in_use", Args: models.Args("Names", "orders"), Extra: used,
		}},
	}
	removeByPost := remove
	removeByPost.method, removeByPost.path = http.MethodPost, "/credentials/{id}/delete"
	removeByPost.id, removeByPost.missing = "deleteCredentialByPost", "instance.credential_missing"
	return []operation{
		remove,
		removeByPost,
		{
			method: http.MethodGet, path: "/credentials", id: "listCredentials", tag: tagCredentials,
			summary: "List credentials",
			query: append([]openapi.Field{
				openapi.Optional("search", openapi.Text(0), "Case-insensitive substring of name, user name and description."),
				openapi.Optional("db_type", engineName, "Only those for this engine."),
			}, pageFields...),
			message: "api.credentials", data: newPage(items, 1, listLimit, 0),
		},
		{
			method:  http.MethodPost,
			path:    "/credentials",
			id:      "createCredential",
			tag:     tagCredentials,
			summary: "Add a credential",
			body:    members,
			example: openapi.Dict("name", "orders-reader", "db_type", "postgresql",
				"username", "whalefall", "password", "p@ss word!"),
			status:  http.StatusCreated,
			message: "api.saved",
			data:    one,
			fails:   fails,
		},
		{
			method: http.MethodGet, path: "/credentials/{id}", id: "getCredential", tag: tagCredentials,
			summary: "Get one credential", message: "api.credential", data: one, missing: missing,
		},
		{
			method: http.MethodPut, path: "/credentials/{id}", id: "updateCredential", tag: tagCredentials,
			summary: "Change a credential", about: "Absent members stay as they are.", body: openapi.AllOptional(members),
			example: openapi.Dict("password", "a new one"), message: "api.updated", data: one, missing: missing,
			fails: slices.Concat(fails, []*models.Error{
				models.Invalid("credential.hosts_password", "Name", "orders-reader"), hostsExclude,
			}),
		},
	}
}
