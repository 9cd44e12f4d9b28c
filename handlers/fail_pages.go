package handlers

import (
	"net/http"
	"slices"

	"github.com/a-h/templ"
	"github.com/labstack/echo/v4"

	"whalefall/models"
	"whalefall/views"
)

// inlineFailures are the elements that show a failure themselves.
var inlineFailures = []string{"test-result", "login-problem"}

// failHTML shows an error where the person is looking: at the button that failed, in the modal that did
// not open, in the toasts for every other HTMX request, on a page of its own otherwise.
func (h *handlers) failHTML(c echo.Context, e *models.Error, k kind, id string) error {
	p := h.page(c)
	f := failure(c, p, e, k, id)
	c.Response().Header().Set("HX-Push-Url", "false")
	target := c.Request().Header.Get("HX-Target")
	switch {
	case !isHTMX(c) && c.Path() == "/login":
		return h.renderLogin(c, k.status, views.LoginForm{
			Next: localPath(c.FormValue("next")), Username: c.FormValue("username"), Problem: &f,
		})
	case !isHTMX(c):
		return h.render(c, k.status, p, screen{title: f.Message, body: views.FailurePage(p, f)})
	case target == "modal" && c.Request().Method == http.MethodGet:
		return h.retarget(c, k.status, target, views.FailurePanel(p, f))
	case slices.Contains(inlineFailures, target):
		return h.retarget(c, k.status, target, views.FailureInline(p, f))
	}
	return h.fragment(c, k.status, views.FailureToast(p, f))
}

// retarget answers with a failure that belongs somewhere else than in the toasts.
func (h *handlers) retarget(c echo.Context, status int, target string, body templ.Component) error {
	c.Response().Header().Set("HX-Retarget", "#"+target)
	c.Response().Header().Set("HX-Reswap", "innerHTML")
	return h.fragment(c, status, body)
}

// fragment answers with markup that is no part of a screen.
func (h *handlers) fragment(c echo.Context, status int, body templ.Component) error {
	c.Response().Header().Set(echo.HeaderContentType, echo.MIMETextHTMLCharsetUTF8)
	c.Response().WriteHeader(status)
	return body.Render(c.Request().Context(), c.Response())
}

// failure is what a person is told of an error. Trying again is offered where it may help.
func failure(c echo.Context, p views.Page, e *models.Error, k kind, id string) views.Failure {
	f := views.Failure{Status: k.status, Message: message(p.Lang, e), ID: id}
	s := suggestions(p.Lang, k.category)
	f.Advice = s[:]
	if advice, ok := e.Extra["advice"].(string); ok {
		f.Advice = []string{views.Message(p.Lang, advice, e.Args)}
	}
	if e.Code == models.CodeRateLimited {
		if wait, ok := e.Extra["retry_after"].(int); ok {
			f.Advice = []string{p.T("login.wait", "Seconds", wait)}
		}
	}
	f.Grant, _ = e.Extra["grant"].(string)
	hopeless := k.status == http.StatusNotFound || k.status == http.StatusForbidden || k.status == http.StatusMethodNotAllowed
	if c.Request().Method == http.MethodGet && !hopeless {
		f.Retry = c.Request().URL.RequestURI()
	}
	return f
}
