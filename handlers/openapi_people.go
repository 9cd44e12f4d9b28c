package handlers

import (
	"net/http"
	"slices"

	"whalefall/models"
)

// pageFields are the query of a list that is read by page number; what makes no sense falls back to its default.
var pageFields = []field{
	may("page", example(dict("type", "integer", "default", 1), 1), "Number of the page, from 1."),
	may("limit", example(dict("type", "integer", "default", instanceLimit), 20), "Rows of a page, 1 to 100; anything else is the default."),
	may("page_size", dict("type", "integer"), "The same as `limit`, which wins."),
}

// required is the refusal that names what is missing.
func required(fields string) *models.Error { return models.Invalid("field.required", "Fields", fields) }

// badText are the refusals of texts that are none, too long, or hold control characters.
func badText(name string, limit int) []*models.Error {
	return []*models.Error{
		models.Invalid("field.not_text", "Field", name), models.Invalid("field.bad_characters", "Field", name),
		models.Invalid("field.too_long", "Field", name, "Limit", limit),
	}
}

// Times of examples.
const (
	exampleTime = "2026-07-01T02:00:00+00:00"
	exampleLate = "2026-09-30T15:59:59+00:00"
)

func credentialOperations() []operation {
	one := struct {
		Credential credentialDetailJSON `json:"credential"`
	}{credentialDetailJSON{
		ID: 3, Name: "orders-reader", CredentialType: "database", DBType: orNull(string(models.PostgreSQL)), Username: "whalefall",
		Password: maskedPassword, Description: "read only", CreatedAt: exampleTime, UpdatedAt: exampleTime,
	}}
	items := []credentialItemJSON{{one.Credential, 2}}
	missing := "credential.not_found"
	members := []field{
		need("name", text(maxCredentialName), "Unique, one line."),
		need("username", text(maxUsername), "User name on the monitored server."),
		need("password", dict("type", "string", "format", "password"), "Exactly as typed, at most 512 bytes. Never comes out again."),
		may("credential_type", fallback(oneOf("database"), "database"), "What it opens."),
		may("db_type", engineName, "Engine that it is for; null or empty: for any."),
		may("description", text(maxDescription), "For people."),
	}
	fails := slices.Concat([]*models.Error{
		required("name, password"), models.Invalid("credential.password_long"), models.Invalid("credential.type_invalid"),
		models.Invalid("instance.engine_unknown", "Engine", "db2"), models.Invalid("instance.description_long"),
		{Code: models.CodeConflict, Key: "credential.name_taken"},
	}, badText("name", maxCredentialName))
	return []operation{
		{
			method: http.MethodGet, path: "/credentials", id: "listCredentials", tag: tagCredentials,
			summary: "List credentials",
			query: append([]field{
				may("search", text(0), "Case-insensitive substring of name, user name and description."),
				may("db_type", engineName, "Only those for this engine."),
			}, pageFields...),
			message: "api.credentials", data: newPage(items, 1, instanceLimit, 0),
		},
		{
			method: http.MethodPost, path: "/credentials", id: "createCredential", tag: tagCredentials,
			summary: "Add a credential", body: members,
			example: dict("name", "orders-reader", "db_type", "postgresql", "username", "whalefall", "password", "p@ss word!"),
			status:  http.StatusCreated, message: "api.saved", data: one, fails: fails,
		},
		{
			method: http.MethodGet, path: "/credentials/{id}", id: "getCredential", tag: tagCredentials,
			summary: "Get one credential", message: "api.credential", data: one, missing: missing,
		},
		{
			method: http.MethodPut, path: "/credentials/{id}", id: "updateCredential", tag: tagCredentials,
			summary: "Change a credential", about: "What is absent stays as it is.", body: allOptional(members),
			example: dict("password", "a new one"), message: "api.updated", data: one, missing: missing, fails: fails,
		},
		{
			method: http.MethodDelete, path: "/credentials/{id}", id: "deleteCredential", tag: tagCredentials,
			summary: "Delete a credential", about: "Refused while an instance uses it.",
			message: "api.deleted", data: struct {
				CredentialID int64 `json:"credential_id"`
			}{3}, missing: missing, fails: []*models.Error{{
				Code: models.CodeConflict, Key: "credential.in_use", Args: models.Args("Names", "orders"), Extra: models.Args(
					"instances", []models.CredentialUse{{ID: 7, Name: "orders", Status: "active"}}, "instance_count", 1),
			}},
		},
	}
}

// allOptional are the members of a change: what is absent stays as it is.
func allOptional(fields []field) []field {
	out := slices.Clone(fields)
	for i := range out {
		out[i].required = false
	}
	return out
}

func userOperations() []operation {
	one := struct {
		User userDetailJSON `json:"user"`
	}{userDetailJSON{
		userJSON: userJSON{ID: 2, Username: "li_na", Role: models.RoleUser, IsActive: true}, CreatedAt: exampleTime, UpdatedAt: exampleTime,
	}}
	members := []field{
		need("username", dict("type", "string", "pattern", "^[A-Za-z0-9_]{3,20}$"), "Unique in any case."),
		need("password", newPassword, passwordRule),
		need("role", oneOf(models.Roles...), "What the user may do."),
		may("is_active", yesNo(true), "Whether the user may log in."),
	}
	fails := slices.Concat([]*models.Error{
		required("username, password, role"), models.Invalid("user.name_invalid"), models.Invalid("user.role_invalid"),
		models.Invalid("field.not_boolean", "Field", "is_active"), models.Invalid("field.not_text", "Field", "password"),
		{Code: models.CodeUsernameExists},
	}, passwordRefusals)
	return []operation{
		{
			method: http.MethodGet, path: "/users", id: "listUsers", tag: tagUsers,
			summary: "List users",
			query: append([]field{
				may("search", text(0), "Case-insensitive substring of the user name."),
				may("role", oneOf(models.Roles...), "Only users with this role."),
				may("status", oneOf("active", "inactive"), "Only users who may log in, or who may not."),
			}, pageFields...),
			message: "api.users", data: newPage([]userDetailJSON{one.User}, 1, instanceLimit, 0),
		},
		{
			method: http.MethodPost, path: "/users", id: "createUser", tag: tagUsers,
			summary: "Add a user", body: members, example: dict("username", "li_na", "password", "Correct1horse", "role", "user"),
			status: http.StatusCreated, message: "api.user_created", data: one, fails: fails,
		},
		{
			method: http.MethodGet, path: "/users/{id}", id: "getUser", tag: tagUsers,
			summary: "Get one user", message: "api.user", data: one, missing: "user.not_found",
		},
		{
			method: http.MethodPut, path: "/users/{id}", id: "updateUser", tag: tagUsers,
			summary: "Change a user",
			about: "What is absent stays as it is. A new password or switching off ends the user's sessions. Users are switched off, not deleted; " +
				"the last active administrator can be neither switched off nor given another role.",
			body: allOptional(members), example: dict("is_active", false), message: "api.user_updated", data: one, missing: "user.not_found",
			fails: append(slices.Clone(fails), &models.Error{Code: models.CodeLastAdmin}),
		},
		auditOperation(),
	}
}

func auditOperation() operation {
	user, target, status := int64(1), int64(7), http.StatusOK
	return operation{
		method: http.MethodGet, path: "/audit", id: "listAudit", tag: tagUsers,
		summary: "Read the audit log", about: "Every write and refresh, newest first: who, what, when, from where, and how it ended.",
		query: append([]field{
			may("username", text(0), "Exact user name."),
			may("action", oneOf(models.Actions...), "Only this action; one that there is not means all."),
			may("target", text(0), "Case-insensitive substring of the name of what it was done to."),
			may("result", oneOf(auditResults...), "Only what succeeded, or what did not."),
			startDate, endDate,
		}, pageFields...),
		message: "api.audit", data: newPage([]auditEntryJSON{{
			ID: 42, At: documentTime, UserID: &user, Username: orNull("admin"), Action: models.ActionSyncInstance, TargetID: &target,
			TargetName: orNull("orders"), Method: orNull(http.MethodPost), Path: orNull("/api/v1/instances/7/actions/sync-capacity"),
			IP: orNull("192.0.2.10"), Status: &status, Result: models.AuditSuccess, RequestID: orNull("0f1e2d3c4b5a69788796a5b4c3d2e1f0"),
		}}, 1, instanceLimit, 0),
		fails: dayRefusals,
	}
}

func tokenOperations() []operation {
	token := tokenJSON{ID: 5, Name: "nightly", Role: models.RoleUser, ExpiresAt: exampleLate, CreatedAt: exampleTime}
	return []operation{
		{
			method: http.MethodGet, path: "/tokens", id: "listTokens", tag: tagTokens,
			summary: "List one's own tokens", about: "Expired ones included, newest first, without their secrets.",
			query: pageFields, message: "api.tokens", data: newPage([]tokenJSON{token}, 1, instanceLimit, 0),
		},
		{
			method: http.MethodPost, path: "/tokens", id: "createToken", tag: tagTokens,
			summary: "Make a token", about: "The secret is in this answer only; send it as `Authorization: Bearer <secret>`.",
			body: []field{
				need("name", text(maxTokenName), "Unique among one's tokens, one line."),
				may("role", oneOf(models.Roles...), "What it may do at most, not above one's own role; absent: one's own."),
				may("expires_at", dict("type", "string", "examples", []string{"2026-09-30", exampleLate}),
					"RFC 3339 time, or a day at whose end it expires; absent: in 90 days. Made with a token, it ends with that one at the latest."),
			},
			example: dict("name", "nightly", "role", "user", "expires_at", "2026-09-30"),
			status:  http.StatusCreated, message: "api.saved", data: createdTokenJSON{token, models.TokenPrefix + "kx0S…"},
			fails: slices.Concat([]*models.Error{
				required("name"), models.Invalid("user.role_invalid"), models.Invalid("token.expiry_format"),
				models.Invalid("token.expiry_past"), models.Invalid("token.expiry_far", "Year", maxTokenYear),
				models.Invalid("token.expiry_beyond"),
				forbidden(models.PermAdmin),
				{Code: models.CodeConflict, Key: "token.name_taken"},
			}, badText("name", maxTokenName)),
		},
		{
			method: http.MethodDelete, path: "/tokens/{id}", id: "deleteToken", tag: tagTokens,
			summary: "Delete one's own token", message: "api.deleted", data: struct {
				TokenID int64 `json:"token_id"`
			}{5}, missing: "token.not_found",
		},
	}
}
