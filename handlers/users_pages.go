package handlers

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"whalefall/models"
	"whalefall/views"
)

var userSorts = []string{"name", "role", "status", "last_login", "created"}

func (h *handlers) usersPage(c echo.Context) error {
	m := views.UserList{Listing: bindListing(c, userSorts, "name", false, instanceLimits), Query: bindUserQuery(c)}
	m.Path, m.Target, m.Push = "/users", "user-list", true
	keepFilter(c, &m.Listing, "search", "role", "status")
	m.Query.Sort, m.Query.Desc, m.Query.Limit = m.Sort, m.Desc, m.Limit
	page, err := clampedPage(&m.Listing, func() (models.UserPage, int64, error) {
		m.Query.Offset = m.Offset()
		page, err := h.Store.FindUsers(c.Request().Context(), m.Query)
		return page, page.Total, err
	})
	if err != nil {
		return err
	}
	m.Items, m.Shown = page.Items, len(page.Items)
	p := h.pageWithNotice(c)
	return h.render(c, http.StatusOK, p,
		screen{title: p.T("users.title"), body: views.Users(p, m), fragments: []string{m.Target}})
}

func (h *handlers) newUserPage(c echo.Context) error {
	return h.renderUserForm(c, views.UserForm{Role: models.RoleUser, IsActive: true})
}

func (h *handlers) editUserPage(c echo.Context) error {
	user, err := h.userOf(c)
	if err != nil {
		return err
	}
	return h.renderUserForm(c, userForm(c, user))
}

// userForm returns the form filled with the stored user.
func userForm(c echo.Context, u models.User) views.UserForm {
	return views.UserForm{
		ID:       u.ID,
		Username: u.Username,
		Role:     u.Role,
		IsActive: u.IsActive,
		Own:      u.ID == currentUser(c).ID,
	}
}

func (h *handlers) renderUserForm(c echo.Context, f views.UserForm) error {
	p := h.page(c)
	return h.render(c, http.StatusOK, p, userScreen(p, f))
}

func userScreen(p views.Page, f views.UserForm) screen {
	title := "users.add"
	if f.ID != 0 {
		title = "users.edit"
	}
	return screen{title: p.T(title), body: views.UserEdit(p, f)}
}

// redisplayUserForm has the form come back with what was typed if this write is refused.
func (h *handlers) redisplayUserForm(c echo.Context, form views.UserForm) {
	f := body(c)
	role := string(form.Role)
	bindTyped(f, "username", &form.Username)
	bindTyped(f, "role", &role)
	form.Role = models.Role(role)
	// An unreadable value leaves the form unchanged; binding reports it.
	_ = f.bindBool("is_active", true, &form.IsActive)
	redisplay(c, func(problem *views.Failure) (screen, error) {
		form.Problem = problem
		return userScreen(h.page(c), form), nil
	})
}

// bindTyped stores a text field of a form in value, if there is one.
func bindTyped(f fields, name string, value *string) {
	if text, isText := f[name].(string); isText {
		*value = text
	}
}

func (h *handlers) submitUser(c echo.Context) error {
	h.redisplayUserForm(c, views.UserForm{})
	user, err := h.createUser(c, body(c))
	if err != nil {
		return err
	}
	return h.answerChanged(c, usersChanged, "/users", h.page(c).T("notice.user_created", "Name", user.Username))
}

// usersChanged is the event on which the list of users reloads itself.
const usersChanged = "users-changed"

// submitUserEdit updates the user from the form, or from the switch in a row. An empty password leaves the stored one.
func (h *handlers) submitUserEdit(c echo.Context) error {
	stored, err := h.userOf(c)
	auditTarget(c, stored.ID, stored.Username)
	if err != nil {
		return err
	}
	h.redisplayUserForm(c, userForm(c, stored))
	f := body(c)
	if f.blank("password") {
		delete(f, "password")
	}
	user, err := h.updateUser(c, f, stored)
	if err != nil {
		return err
	}
	notice := h.page(c).T(userNotice(f, user), "Name", user.Username)
	if ownAccountChanged(c, f, user) {
		return h.redirectWithNotice(c, "/", notice)
	}
	return h.answerChanged(c, usersChanged, "/users", notice)
}

// userNotice returns the key of the notice. The switch in a row sends only the state.
func userNotice(f fields, user models.User) string {
	switch {
	case f.given("username"):
		return "notice.user_updated"
	case user.IsActive:
		return "notice.user_on"
	}
	return "notice.user_off"
}

// ownAccountChanged reports whether users changed their own account so that they may no longer see the page.
func ownAccountChanged(c echo.Context, f fields, user models.User) bool {
	return user.ID == currentUser(c).ID && (f.given("password") || !user.IsActive || !user.Role.May(models.PermAdmin))
}
