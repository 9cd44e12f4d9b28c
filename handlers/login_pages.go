package handlers

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"whalefall/views"
)

func (h *handlers) loginPage(c echo.Context) error {
	next := localPath(c.QueryParam("next"))
	if currentUser(c) != nil {
		return c.Redirect(http.StatusSeeOther, next)
	}
	return h.renderLogin(c, http.StatusOK, views.LoginForm{Next: next})
}

func (h *handlers) renderLogin(c echo.Context, status int, f views.LoginForm) error {
	p := h.pageWithNotice(c)
	return h.render(c, status, p, screen{title: p.T("login.title"), body: views.Login(p, f)})
}

// submitLogin ends in a full navigation, so that no CSRF token from before the login stays in the page.
func (h *handlers) submitLogin(c echo.Context) error {
	f := body(c)
	if _, err := h.login(c, f); err != nil {
		return err
	}
	next, _ := f["next"].(string)
	return h.redirectWithNotice(c, localPath(next), "")
}

func (h *handlers) submitLogout(c echo.Context) error {
	if err := h.endSession(c); err != nil {
		return err
	}
	return h.redirectWithNotice(c, "/login", h.page(c).T("login.logged_out"))
}
