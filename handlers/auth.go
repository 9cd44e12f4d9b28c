package handlers

import (
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"whalefall/models"
)

// userJSON is a user as logins and sessions return it.
type userJSON struct {
	ID       int64       `json:"id"`
	Username string      `json:"username"`
	Role     models.Role `json:"role"`
	IsActive bool        `json:"is_active"`

	MustChangePassword bool `json:"must_change_password,omitempty"` // left out unless true, as the original has none
}

func newUserJSON(u models.User) userJSON {
	return userJSON{
		ID: u.ID, Username: u.Username, Role: u.Role, IsActive: u.IsActive, MustChangePassword: u.MustChangePassword,
	}
}

func (h *handlers) apiCSRFToken(c echo.Context) error {
	return h.ok(c, echo.Map{"csrf_token": orNull(csrfToken(c))}, "api.csrf_token")
}

func (h *handlers) apiSession(c echo.Context) error {
	user := currentUser(c)
	permissions := []models.Permission{}
	var who *userJSON
	if user != nil {
		shown := newUserJSON(*user)
		who = &shown
		for _, p := range models.Permissions {
			if user.Role.May(p) {
				permissions = append(permissions, p)
			}
		}
	}
	return h.ok(c, echo.Map{
		"authenticated": user != nil, "user": who, "permissions": permissions, "csrf_token": orNull(csrfToken(c)),
	}, "api.session")
}

// meJSON is the user of the session or token as clients of the original know them.
type meJSON struct {
	ID        int64       `json:"id"`
	Username  string      `json:"username"`
	Email     *string     `json:"email"` // always null: users have none
	Role      models.Role `json:"role"`
	IsActive  bool        `json:"is_active"`
	CreatedAt string      `json:"created_at"`
	LastLogin *string     `json:"last_login"`
}

func (h *handlers) apiMe(c echo.Context) error {
	u := currentUser(c)
	return h.ok(c, meJSON{
		ID: u.ID, Username: u.Username, Role: u.Role, IsActive: u.IsActive,
		CreatedAt: timestamp(u.CreatedAt), LastLogin: timestampOrNull(u.LastLoginAt),
	}, "api.done")
}

func (h *handlers) apiLogin(c echo.Context) error {
	f := body(c)
	user, err := h.login(c, f)
	if err != nil {
		return err
	}
	return h.ok(c, echo.Map{"user": newUserJSON(user)}, "api.logged_in")
}

// login checks user name and password and starts a session. A request with a token gets none.
func (h *handlers) login(c echo.Context, f fields) (models.User, error) {
	name := loginName(f)
	password, _ := f["password"].(string)
	if name == "" || password == "" {
		return models.User{}, models.Invalid("auth.login_incomplete")
	}
	user, err := h.Store.Login(c.Request().Context(), name, password, networkOf(c))
	if err != nil {
		return models.User{}, err
	}
	c.Set(userKey, &user)
	auditTarget(c, user.ID, user.Username)
	if currentToken(c) != nil {
		return user, nil // a request with a token never gets a cookie
	}
	return user, h.startSession(c, user.ID)
}

// loginName returns the user name of a login without surrounding space, which people paste along.
func loginName(f fields) string {
	name, _ := f["username"].(string)
	return strings.TrimSpace(name)
}

func (h *handlers) apiLogout(c echo.Context) error {
	if currentToken(c) == nil {
		if err := h.endSession(c); err != nil {
			return err
		}
	}
	return h.ok(c, nil, "api.logged_out")
}

func (h *handlers) apiChangePassword(c echo.Context) error {
	if err := h.changePassword(c, body(c)); err != nil {
		return err
	}
	return h.ok(c, nil, "api.password_changed")
}

// changePassword changes the password of the current user and ends their sessions except the current one, and
// their tokens if they want that.
func (h *handlers) changePassword(c echo.Context, f fields) error {
	user := currentUser(c)
	auditTarget(c, user.ID, user.Username)
	old, _ := f["old_password"].(string)
	fresh, _ := f["new_password"].(string)
	again, _ := f["confirm_password"].(string)
	switch {
	case old == "" || fresh == "" || again == "":
		return models.Invalid("auth.password_incomplete")
	case fresh != again:
		return &models.Error{Code: models.CodePasswordMismatch}
	}
	change := models.PasswordChange{Old: old, New: fresh}
	if err := f.bindBool("end_tokens", !isAPI(c), &change.EndTokens); err != nil {
		return err
	}
	change.KeepSession = h.keptSession(c)
	return h.Store.ChangePassword(c.Request().Context(), user.ID, change)
}

// throttleLogin rejects a network with too many failures without reading the body, and a user name with too many
// failures from this network before any other check. A body of somebody unknown ends after maxLoginBody.
func (h *handlers) throttleLogin(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if err := h.Store.CheckAddress(networkOf(c)); err != nil {
			return err
		}
		if currentUser(c) == nil {
			limitBody(c, maxLoginBody)
		}
		left, reset, err := h.Store.LoginBudget(c.Request().Context(), loginName(peekFields(c)), networkOf(c))
		if err := h.requireBudget(left, reset, err); err != nil {
			return err
		}
		return next(c)
	}
}

// throttlePassword rejects a user with too many wrong old passwords, before any other check.
func (h *handlers) throttlePassword(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		user := currentUser(c)
		if user == nil {
			return next(c)
		}
		left, reset, err := h.Store.PasswordBudget(c.Request().Context(), user.ID)
		if err := h.requireBudget(left, reset, err); err != nil {
			return err
		}
		return next(c)
	}
}

// requireBudget returns a 429 if no attempts are left, or err if it is not nil.
func (h *handlers) requireBudget(left int, reset time.Time, err error) error {
	if err != nil || left > 0 {
		return err
	}
	return models.RateLimited(models.LoginFailureLimit, reset, h.now())
}
