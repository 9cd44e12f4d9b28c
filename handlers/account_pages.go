package handlers

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"whalefall/views"
)

func (h *handlers) accountPage(c echo.Context) error {
	p := h.pageWithNotice(c)
	s, err := h.accountScreen(c, p, nil)
	if err != nil {
		return err
	}
	return h.render(c, http.StatusOK, p, s)
}

func (h *handlers) accountScreen(c echo.Context, p views.Page, problem *views.Failure) (screen, error) {
	ctx := c.Request().Context()
	tokens, err := h.Store.Tokens(ctx, p.User.ID)
	if err != nil {
		return screen{}, err
	}
	sessions, err := h.Store.Sessions(ctx, p.User.ID)
	body := views.AccountPage(p, views.Account{Tokens: len(tokens), Sessions: sessions, Problem: problem})
	return screen{title: p.T("account.title"), body: body}, err
}

func (h *handlers) submitEndSessions(c echo.Context) error {
	if _, err := h.endOtherSessions(c); err != nil {
		return err
	}
	return h.redirectWithNotice(c, "/account", h.page(c).T("notice.sessions_ended"))
}

// submitPassword ends in a full navigation, so that no password stays in the page.
func (h *handlers) submitPassword(c echo.Context) error {
	redisplay(c, func(problem *views.Failure) (screen, error) { return h.accountScreen(c, h.page(c), problem) })
	if err := h.changePassword(c, body(c)); err != nil {
		return err
	}
	return h.redirectWithNotice(c, "/account", h.page(c).T("notice.password_changed"))
}
