package handlers

import (
	"net/http"
	"slices"

	"whalefall/handlers/openapi"
	"whalefall/models"
)

func tokenOperations() []operation {
	token := tokenJSON{
		ID: 5, UserID: 1, Name: "nightly", Role: models.RoleUser, ExpiresAt: exampleLate, CreatedAt: exampleTime,
	}
	return []operation{
		{
			method: http.MethodGet, path: "/tokens", id: "listTokens", tag: tagTokens,
			summary: "List your own tokens", about: "Expired ones included, newest first, without their secrets.",
			query: slices.Concat([]openapi.Field{
				openapi.Optional("all", openapi.Dict("type", "boolean"), "Those of all users; for admins."),
			}, pageFields),
			fails:   []*models.Error{forbidden(models.PermAdmin)},
			message: "api.tokens", data: newPage([]tokenJSON{token}, 1, listLimit, 0),
		},
		{
			method: http.MethodPost, path: "/tokens", id: "createToken", tag: tagTokens,
			summary: "Create a token", about: "The secret is in this answer only; send it as `Authorization: Bearer <secret>`.",
			body: []openapi.Field{
				openapi.Required("name", openapi.Text(maxTokenName), "Unique among your tokens, one line."),
				openapi.Optional("role", openapi.Enum(models.Roles...),
					"Highest role it acts with, not above your own; absent: your own."),
				openapi.Optional("expires_at", openapi.Dict("type", "string", "examples", []string{"2026-09-30", exampleLate}),
					"RFC 3339 time, or a day at whose end it expires; absent: in 90 days. At most a year ahead. "+
						"Created with a token, it expires no later than that one."),
			},
			example: openapi.Dict("name", "nightly", "role", "user", "expires_at", "2026-09-30"),
			status:  http.StatusCreated, message: "api.saved", data: createdTokenJSON{token, models.TokenPrefix + "kx0S…"},
			fails: slices.Concat([]*models.Error{
				required("name"), models.Invalid("user.role_invalid"), models.Invalid("token.expiry_format"),
				models.Invalid("token.expiry_past"), models.Invalid("token.expiry_far"),
				models.Invalid("token.expiry_beyond"),
				forbidden(models.PermAdmin),
				{Code: models.CodeConflict, Key: "token.name_taken"},
			}, badText("name", maxTokenName)),
		},
		{
			method: http.MethodDelete, path: "/tokens/{id}", id: "deleteToken", tag: tagTokens,
			summary: "Delete a token",
			about:   "One of your own, or anybody's for admins. One that can do more than the request is refused.",
			fails:   []*models.Error{forbidden(models.PermAdmin), forbidden("user")},
			message: "api.deleted", data: struct {
				TokenID int64 `json:"token_id"`
			}{5}, missing: "token.not_found",
		},
	}
}
