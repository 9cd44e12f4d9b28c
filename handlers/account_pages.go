package handlers

import (
	"cmp"
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

// accountScreen returns the page of the user's account, with only the form for the password if that comes first.
func (h *handlers) accountScreen(c echo.Context, p views.Page, problem *views.Failure) (screen, error) {
	m := views.Account{Next: cmp.Or(c.QueryParam("next"), posted(c, "next")), Problem: problem}
	if p.User.MustChangePassword {
		return screen{title: p.T("account.password"), body: views.PasswordDue(p, m)}, nil
	}

	ctx := c.Request().Context()
	tokens, err := h.Store.Tokens(ctx, p.User.ID)
	if err != nil {
		return screen{}, err
	}
	m.Tokens = len(tokens)
	m.Sessions, err = h.Store.Sessions(ctx, p.User.ID)
	own := h.keptSession(c)
	for _, s := range m.Sessions {
		if s.HasID(own) {
			m.Current = s.ID
		}
	}
	return screen{title: p.T("account.title"), body: views.AccountPage(p, m)}, err
}

func (h *handlers) submitEndSession(c echo.Context) error {
	if err := h.endOwnSession(c); err != nil {
		return err
	}
	return h.redirectWithNotice(c, "/account", h.page(c).T("notice.session_ended"))
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
	next := cmp.Or(posted(c, "next"), "/account")
	return h.redirectWithNotice(c, localPath(next), h.page(c).T("notice.password_changed"))
}
