package handlers

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"whalefall/models"
	"whalefall/views"
)

func (h *handlers) tokensPage(c echo.Context) error {
	tokens, err := h.listTokens(c)
	if err != nil {
		return err
	}
	p := h.pageWithNotice(c)
	return h.render(c, http.StatusOK, p, screen{
		title: p.T("tokens.title"), fragments: []string{"token-list"},
		body: views.Tokens(p, views.TokenList{Tokens: tokens, All: isYes(c.QueryParam("all"))}),
	})
}

func (h *handlers) newTokenPage(c echo.Context) error {
	p := h.page(c)
	return h.render(c, http.StatusOK, p, tokenScreen(p, views.NewTokenForm(p)))
}

func tokenScreen(p views.Page, f views.TokenForm) screen {
	return screen{title: p.T("tokens.add"), body: views.TokenNew(p, f)}
}

// redisplayTokenForm has the form come back with what was typed if this write is refused.
func (h *handlers) redisplayTokenForm(c echo.Context) {
	var form views.TokenForm
	var role string
	bindTyped(body(c), "name", &form.Name)
	bindTyped(body(c), "role", &role)
	bindTyped(body(c), "expires_at", &form.ExpiresAt)
	form.Role = models.Role(role)
	redisplay(c, func(problem *views.Failure) (screen, error) {
		form.Problem = problem
		return tokenScreen(h.page(c), form), nil
	})
}

// tokensChanged is the event on which the list of tokens reloads itself.
const tokensChanged = "tokens-changed"

// submitToken answers with the secret itself, since a redirect could not carry it.
func (h *handlers) submitToken(c echo.Context) error {
	h.redisplayTokenForm(c)
	token, secret, err := h.createToken(c, body(c))
	if err != nil {
		return err
	}
	p := h.page(c)
	if !isHTMX(c) {
		return h.render(c, http.StatusOK, p, screen{
			title: p.T("tokens.made", "Name", token.Name), body: views.TokenCreatedPage(p, token, secret),
		})
	}
	c.Response().Header().Set("HX-Trigger", tokensChanged)
	return h.retarget(c, http.StatusOK, "token-panel", views.TokenCreated(p, token, secret))
}

func (h *handlers) submitTokenDelete(c echo.Context) error {
	token, err := h.deleteToken(c)
	if err != nil {
		return err
	}
	return h.answerChanged(c, tokensChanged, "/tokens", h.page(c).T("notice.token_deleted", "Name", token.Name))
}
