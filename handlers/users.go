package handlers

import (
	"slices"

	"github.com/labstack/echo/v4"

	"whalefall/models"
)

// userDetailJSON is a user as administrators see it.
type userDetailJSON struct {
	userJSON
	CreatedAt   string  `json:"created_at"`
	UpdatedAt   string  `json:"updated_at"`
	LastLoginAt *string `json:"last_login_at"`
}

func newUserDetail(u models.User) userDetailJSON {
	return userDetailJSON{
		userJSON: newUserJSON(u), CreatedAt: timestamp(u.CreatedAt), UpdatedAt: timestamp(u.UpdatedAt),
		LastLoginAt: timestampOrNull(u.LastLoginAt),
	}
}

func (h *handlers) apiUsers(c echo.Context) error {
	q := bindUserQuery(c)
	found, err := h.Store.FindUsers(c.Request().Context(), q)
	if err != nil {
		return err
	}
	items := make([]userDetailJSON, len(found.Items))
	for i := range found.Items {
		items[i] = newUserDetail(found.Items[i])
	}
	return h.ok(c, newPage(items, found.Total, q.Limit, q.Offset), "api.users")
}

// bindUserQuery reads the filter of the user list. Invalid values fall back to their defaults.
func bindUserQuery(c echo.Context) models.UserQuery {
	q := models.UserQuery{Search: c.QueryParam("search"), Sort: "id"}
	q.Limit, q.Offset = bindPage(c)
	if role := models.Role(c.QueryParam("role")); slices.Contains(models.Roles, role) {
		q.Role = role
	}
	if status := c.QueryParam("status"); status == "active" || status == "inactive" {
		q.Status = status
	}
	return q
}

func (h *handlers) apiUser(c echo.Context) error {
	user, err := h.userOf(c)
	if err != nil {
		return err
	}
	return h.ok(c, echo.Map{"user": newUserDetail(user)}, "api.user")
}

// userOf returns the user of the path. On an error only its ID may be set.
func (h *handlers) userOf(c echo.Context) (models.User, error) {
	id, err := pathID(c, "user.not_found")
	if err != nil {
		return models.User{}, err
	}
	user, err := h.Store.User(c.Request().Context(), id)
	if err != nil {
		return models.User{ID: id}, err
	}
	return user, nil
}

func (h *handlers) apiCreateUser(c echo.Context) error {
	user, err := h.createUser(c, body(c))
	if err != nil {
		return err
	}
	return h.created(c, echo.Map{"user": newUserDetail(user)}, "api.user_created")
}

// createUser stores the user described by the body of either door.
func (h *handlers) createUser(c echo.Context, f fields) (models.User, error) {
	if err := f.require("username", "password", "role"); err != nil {
		return models.User{}, err
	}
	user, password, err := bindUser(c, f, models.User{IsActive: true})
	if err != nil {
		return user, err
	}
	auditTarget(c, 0, user.Username)
	created, err := h.Store.CreateUser(c.Request().Context(), user, *password)
	auditTarget(c, created.ID, user.Username)
	return created, err
}

func (h *handlers) apiUpdateUser(c echo.Context) error {
	f := body(c)
	stored, err := h.userOf(c)
	auditTarget(c, stored.ID, stored.Username)
	if models.Is(err, models.CodeNotFound) {
		// The store checks the input before it looks for the user, and returns the 404 itself.
		stored, err = models.User{Username: "unknown", Role: models.RoleGuest}, nil
	}
	if err != nil {
		return err
	}
	user, err := h.updateUser(c, f, stored)
	if err != nil {
		return err
	}
	return h.ok(c, echo.Map{"user": newUserDetail(user)}, "api.user_updated")
}

// updateUser stores the changes described by the body of either door.
func (h *handlers) updateUser(c echo.Context, f fields, stored models.User) (models.User, error) {
	user, password, err := bindUser(c, f, stored)
	if err != nil {
		return user, err
	}
	return h.Store.UpdateUser(c.Request().Context(), user, password)
}

// bindUser returns the user with the changes of the body. The password is nil if it does not change.
func bindUser(c echo.Context, f fields, user models.User) (models.User, *string, error) {
	role := string(user.Role)
	if err := f.bindText("username", &user.Username); err != nil {
		return user, nil, err
	}
	if err := f.bindText("role", &role); err != nil {
		return user, nil, err
	}
	user.Role = models.Role(role)
	if err := f.bindBool("is_active", !isAPI(c), &user.IsActive); err != nil {
		return user, nil, err
	}

	password, err := bindUserPassword(c, f, &user)
	return user, password, err
}

// bindUserPassword returns the password that the body gives the user, nil if there is none. It must be changed if an
// admin typed it into a form for somebody else, or if the API says so.
func bindUserPassword(c echo.Context, f fields, user *models.User) (*string, error) {
	password, given, err := f.text("password")
	if err != nil {
		return nil, err
	}
	if given {
		user.MustChangePassword = !isAPI(c) && user.ID != currentUser(c).ID
	}
	if isAPI(c) {
		err = f.bindBool("must_change_password", false, &user.MustChangePassword)
	}
	if err != nil || !given {
		return nil, err
	}
	return &password, nil
}

func (h *handlers) apiDeleteUser(c echo.Context) error {
	user, err := h.userOf(c)
	auditTarget(c, user.ID, user.Username)
	switch {
	case err != nil:
		return notFoundAs(err, "user.missing")
	case user.ID == currentUser(c).ID:
		return models.Invalid("user.own_undeletable")
	}
	if err := h.Store.DeleteUser(c.Request().Context(), user.ID); err != nil {
		return notFoundAs(err, "user.missing")
	}
	return h.ok(c, nil, "api.user_deleted")
}

// notFoundAs returns a CodeNotFound with another message key, any other error as it is.
func notFoundAs(err error, key string) error {
	if models.Is(err, models.CodeNotFound) {
		return models.NotFound(key)
	}
	return err
}

// userStatisticsJSON counts users.
type userStatisticsJSON struct {
	Total    int64 `json:"total"`
	Active   int64 `json:"active"`
	Inactive int64 `json:"inactive"`
	Admin    int64 `json:"admin"`
	User     int64 `json:"user"`
	Guest    int64 `json:"guest"`
}

func (h *handlers) apiUserStatistics(c echo.Context) error {
	found, err := h.Store.UserStatistics(c.Request().Context())
	if err != nil {
		return err
	}
	return h.ok(c, userStatisticsJSON{
		Total: found.Total, Active: found.Active, Inactive: found.Inactive,
		Admin: found.Admins, User: found.Users, Guest: found.Guests,
	}, "api.user_stats")
}
