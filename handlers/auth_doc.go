package handlers

import (
	"net/http"

	"whalefall/handlers/openapi"
	"whalefall/models"
)

const exampleSession = "6b1f0c8e5a7d4932b0e1f4a6c8d7035992ab41ce7780d3f65e14c2b9a0f7d861"

func authOperations() []operation {
	admin := userJSON{ID: 1, Username: "admin", Role: models.RoleAdmin, IsActive: true}
	token := "Zm9ybSB0b2tlbiBvZiB0aGlzIGNvb2tpZQ=="
	return []operation{
		{
			method: http.MethodGet, path: "/auth/csrf-token", id: "getCSRFToken", tag: tagAuth,
			summary: "Get a CSRF token", about: "Sets the cookie that the token belongs to. Needed once for each cookie jar.",
			message: "api.csrf_token", data: struct {
				CSRFToken *string `json:"csrf_token"`
			}{&token},
		},
		{
			method:  http.MethodPost,
			path:    "/auth/login",
			id:      "login",
			tag:     tagAuth,
			summary: "Log in",
			about: "Sets the session's cookie. After ten failures for a user name from one address within 60 seconds, " +
				"logins answer 429 until the oldest failure is 60 seconds old. A success clears them. An address that fails " +
				"60 times within a minute, whatever the names, gets 429 until one failure a second is given back. Logins that " +
				"would wait longer than 1.5 seconds for others answer 503. The body has at most 8 KiB, unless " +
				"somebody is logged in already. A request with a bearer token gets no cookie.",
			body: []openapi.Field{
				openapi.Required("username", openapi.Example(openapi.Dict("type", "string"), "admin"), "User name, in any case."),
				openapi.Required("password", anyPassword, "Password."),
			},
			example: openapi.Dict("username", "admin", "password", "Correct1horse"),
			message: "api.logged_in",
			data: struct {
				User userJSON `json:"user"`
			}{admin},
			fails: []*models.Error{
				models.Invalid("auth.login_incomplete"),
				{Code: models.CodeInvalidCredentials},
				{Code: models.CodeAccountDisabled},
				{Code: models.CodeTooLarge, Key: "body.login_too_large"},
				busy,
			},
		},
		{
			method: http.MethodPost, path: "/auth/logout", id: "logout", tag: tagAuth,
			summary: "Log out", about: "Ends the session. Tokens stay valid.", message: "api.logged_out",
		},
		{
			method:  http.MethodGet,
			path:    "/auth/session",
			id:      "getSession",
			tag:     tagAuth,
			summary: "Get the current session",
			about: "Also 200 when nobody is logged in. `csrf_token` is null for a request with a bearer token, which needs " +
				"none.",
			message: "api.session",
			data: struct {
				Authenticated bool                `json:"authenticated"`
				User          *userJSON           `json:"user"`
				Permissions   []models.Permission `json:"permissions"`
				CSRFToken     *string             `json:"csrf_token"`
			}{true, &admin, models.Permissions, &token},
		},
		{
			method: http.MethodGet, path: "/auth/me", id: "getMe", tag: tagAuth,
			summary: "Get the user of the session or token", message: "api.done",
			data: meJSON{
				ID: 1, Username: "admin", Role: models.RoleAdmin, IsActive: true,
				CreatedAt: exampleTime, LastLogin: orNull(exampleTime),
			},
		},
		{
			method: http.MethodGet, path: "/auth/sessions", id: "listSessions", tag: tagAuth,
			summary: "List your own logins", about: "Those that have not ended, the last used first.",
			query: pageFields, message: "api.sessions",
			data: newPage([]sessionJSON{{exampleSession, exampleTime, exampleTime, true}}, 1, listLimit, 0),
		},
		{
			method: http.MethodDelete, path: "/auth/sessions", id: "endSessions", tag: tagAuth,
			summary: "End your other logins", about: "All but the one of this request. Tokens stay valid.",
			message: "api.sessions_ended", data: struct {
				EndedCount int64 `json:"ended_count"`
			}{2},
		},
		{
			method: http.MethodDelete, path: "/auth/sessions/{session}", id: "endSession", tag: tagAuth,
			summary: "End one of your logins", about: "That of this request, too.",
			message: "api.session_ended", missing: "session.not_found",
		},
		{
			method:  http.MethodPost,
			path:    "/auth/change-password",
			id:      "changePassword",
			tag:     tagAuth,
			summary: "Change your own password",
			about:   "Ends the user's other sessions. After ten wrong old passwords within 60 seconds, requests answer 429.",
			body: []openapi.Field{
				openapi.Required("old_password", anyPassword, "The current password."),
				openapi.Required("new_password", newPassword, passwordRule),
				openapi.Required("confirm_password", newPassword, "The new password again."),
				openapi.Optional("end_tokens", openapi.Dict("type", "boolean"), "Also delete the user's API tokens."),
			},
			example: openapi.Dict("old_password", "Correct1horse", "new_password", "Another1horse",
				"confirm_password", "Another1horse"),
			message: "api.password_changed",
			fails: append([]*models.Error{
				models.Invalid("auth.password_incomplete"),
				{Code: models.CodePasswordMismatch},
				{Code: models.CodePasswordDuplicated},
				{Code: models.CodeInvalidOldPassword},
				busy,
			}, passwordRefusals...),
		},
	}
}
