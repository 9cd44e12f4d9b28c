package handlers

import (
	"net/http"
	"slices"

	"whalefall/handlers/openapi"
	"whalefall/models"
)

var (
	newPassword = openapi.Example(openapi.Dict("type", "string", "minLength", 8, "maxLength", 72, "format", "password"),
		"Correct1horse")
	anyPassword = openapi.Example(openapi.Dict("type", "string", "format", "password"), "Correct1horse")
)

const passwordRule = "8 to 72 bytes with an upper-case letter, a lower-case letter and a digit."

var passwordRefusals = []*models.Error{
	{Code: models.CodePasswordInvalid, Key: "password.too_short"},
	{Code: models.CodePasswordInvalid, Key: "password.too_long"},
	{Code: models.CodePasswordInvalid, Key: "password.no_upper"},
	{Code: models.CodePasswordInvalid, Key: "password.no_lower"},
	{Code: models.CodePasswordInvalid, Key: "password.no_digit"},
}

func userOperations() []operation {
	one := struct {
		User userDetailJSON `json:"user"`
	}{
		userDetailJSON{
			userJSON: userJSON{
				ID:       2,
				Username: "li_na",
				Role:     models.RoleUser,
				IsActive: true,
			},
			CreatedAt: exampleTime,
			UpdatedAt: exampleTime,
		},
	}
	members := []openapi.Field{
		openapi.Required("username", openapi.Dict("type", "string", "pattern", "^[A-Za-z0-9_]{3,20}$"),
			"Unique in any case."),
		openapi.Required("password", newPassword, passwordRule),
		openapi.Required("role", openapi.Enum(models.Roles...), "Role: what the user is allowed to do."),
		openapi.Optional("is_active", openapi.Bool(true), "Whether the user can log in."),
		openapi.Optional("must_change_password", openapi.Bool(false), "Whether sessions of the user answer 403 "+
			"`PASSWORD_CHANGE_REQUIRED` until the user has changed the password. Absent, a new password sets it to false."),
	}
	fails := slices.Concat([]*models.Error{
		required("username, password, role"), models.Invalid("user.name_invalid"), models.Invalid("user.role_invalid"),
		models.Invalid("field.not_boolean", "Field", "is_active"), models.Invalid("field.not_text", "Field", "password"),
		models.Invalid("field.not_boolean", "Field", "must_change_password"),
		{Code: models.CodeUsernameExists},
	}, passwordRefusals)
	return []operation{
		{
			method: http.MethodGet, path: "/users", id: "listUsers", tag: tagUsers,
			summary: "List users",
			query: append([]openapi.Field{
				openapi.Optional("search", openapi.Text(0), "Case-insensitive substring of the user name."),
				openapi.Optional("role", openapi.Enum(models.Roles...), "Only users with this role."),
				openapi.Optional("status", openapi.Enum("active", "inactive"), "Only users who can log in, or only those who "+
					"cannot."),
			}, pageFields...),
			message: "api.users", data: newPage([]userDetailJSON{one.User}, 1, listLimit, 0),
		},
		{
			method:  http.MethodPost,
			path:    "/users",
			id:      "createUser",
			tag:     tagUsers,
			summary: "Add a user",
			body:    members,
			example: openapi.Dict("username", "li_na", "password", "Correct1horse", "role", "user"),
			status:  http.StatusCreated,
			message: "api.user_created",
			data:    one,
			fails:   fails,
		},
		{
			method: http.MethodGet, path: "/users/{id}", id: "getUser", tag: tagUsers,
			summary: "Get one user", message: "api.user", data: one, missing: "user.not_found",
		},
		{
			method:  http.MethodPut,
			path:    "/users/{id}",
			id:      "updateUser",
			tag:     tagUsers,
			summary: "Change a user",
			about: "Absent members stay as they are. A new password or deactivation ends the user's sessions and tokens. The " +
				"last active administrator can be neither deactivated nor given another role.",
			body:    openapi.AllOptional(members),
			example: openapi.Dict("is_active", false),
			message: "api.user_updated",
			data:    one,
			missing: "user.not_found",
			fails:   append(slices.Clone(fails), &models.Error{Code: models.CodeLastAdmin}),
		},
		{
			method: http.MethodDelete, path: "/users/{id}", id: "deleteUser", tag: tagUsers, summary: "Delete a user",
			about: "Also deletes the user's sessions and tokens. The audit log and the receipts of runs keep the name. To " +
				"only lock a user out, deactivate them.",
			message: "api.user_deleted", missing: "user.missing",
			fails: []*models.Error{models.Invalid("user.own_undeletable"), models.Invalid("user.last_admin_undeletable")},
		},
		{
			method: http.MethodGet, path: "/users/stats", id: "getUserStatistics", tag: tagUsers,
			summary: "Count the users", message: "api.user_stats",
			data: userStatisticsJSON{Total: 12, Active: 11, Inactive: 1, Admin: 2, User: 8, Guest: 2},
		},
	}
}
