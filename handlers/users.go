package handlers

import (
	"cmp"

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
		LastLoginAt: moment(u.LastLoginAt),
	}
}

func (h *handlers) apiUsers(c echo.Context) error {
	users, err := h.Store.Users(c.Request().Context())
	if err != nil {
		return err
	}
	return h.ok(c, slicePage(c, users, newUserDetail), "api.users")
}

func (h *handlers) apiUser(c echo.Context) error {
	user, err := h.userOf(c)
	if err != nil {
		return err
	}
	return h.ok(c, echo.Map{"user": newUserDetail(user)}, "api.user")
}

func (h *handlers) userOf(c echo.Context) (models.User, error) {
	id, err := pathID(c, "user.not_found")
	if err != nil {
		return models.User{}, err
	}
	user, err := h.Store.User(c.Request().Context(), id)
	about(c, id, user.Username)
	return user, err
}

func (h *handlers) apiCreateUser(c echo.Context) error {
	f := body(c)
	if err := f.require("username", "password", "role"); err != nil {
		return err
	}
	user, password, err := bindUser(c, f, models.User{IsActive: true})
	if err != nil {
		return err
	}
	about(c, 0, user.Username)
	user, err = h.Store.CreateUser(c.Request().Context(), user, *password)
	if err != nil {
		return err
	}
	about(c, user.ID, user.Username)
	return h.created(c, echo.Map{"user": newUserDetail(user)}, "api.user_created")
}

func (h *handlers) apiUpdateUser(c echo.Context) error {
	f := body(c)
	stored, err := h.userOf(c)
	if models.AsError(err).Code == models.CodeNotFound {
		// The store judges the input before it looks for the user and says 404 itself.
		stored, err = models.User{Username: "unknown", Role: models.RoleGuest}, nil
	}
	if err != nil {
		return err
	}
	user, password, err := bindUser(c, f, stored)
	if err != nil {
		return err
	}
	user, err = h.Store.UpdateUser(c.Request().Context(), user, password)
	if err != nil {
		return err
	}
	return h.ok(c, echo.Map{"user": newUserDetail(user)}, "api.user_updated")
}

// bindUser is the user with what the body says instead; the password is nil when it stays as it is.
func bindUser(c echo.Context, f fields, user models.User) (models.User, *string, error) {
	role := string(user.Role)
	password, given, err := f.text("password")
	err = cmp.Or(
		into(&user.Username)(f.text("username")),
		into(&role)(f.text("role")),
		into(&user.IsActive)(f.flag("is_active", !isAPI(c))),
		err,
	)
	user.Role = models.Role(role)
	if err != nil || !given {
		return user, nil, err
	}
	return user, &password, nil
}
