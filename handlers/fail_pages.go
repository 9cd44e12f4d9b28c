package handlers

import (
	"net/http"

	"github.com/a-h/templ"
	"github.com/labstack/echo/v4"

	"whalefall/models"
	"whalefall/views"
)

// failHTML shows an error where the person is looking: at the button that failed, in the modal that did
// not open, in the toasts for every other HTMX request, on a page of its own otherwise.
func (h *handlers) failHTML(c echo.Context, e *models.Error, k kind, id string) error {
	p := h.page(c)
	f := failure(c, p, e, k, id)
	header := c.Response().Header()
	header.Set("HX-Push-Url", "false")
	switch request := c.Request().Header; {
	case request.Get("HX-Request") != "true":
		return h.render(c, k.status, p, screen{title: f.Message, body: views.FailurePage(p, f)})
	case request.Get("HX-Target") == "modal" && c.Request().Method == http.MethodGet:
		return h.retarget(c, k.status, "#modal", views.FailurePanel(p, f))
	case request.Get("HX-Target") == "test-result":
		return h.retarget(c, k.status, "#test-result", views.FailureInline(p, f))
	}
	return h.fragment(c, k.status, views.FailureToast(p, f))
}

// retarget answers with a fragment that belongs somewhere else than where errors usually go.
func (h *handlers) retarget(c echo.Context, status int, target string, body templ.Component) error {
	c.Response().Header().Set("HX-Retarget", target)
	c.Response().Header().Set("HX-Reswap", "innerHTML")
	return h.fragment(c, status, body)
}

// fragment answers with a fragment that is no part of a screen.
func (h *handlers) fragment(c echo.Context, status int, body templ.Component) error {
	c.Response().Header().Set(echo.HeaderContentType, echo.MIMETextHTMLCharsetUTF8)
	c.Response().WriteHeader(status)
	return body.Render(c.Request().Context(), c.Response())
}

func failure(c echo.Context, p views.Page, e *models.Error, k kind, id string) views.Failure {
	f := views.Failure{Status: k.status, Message: message(p.Lang, e), ID: id}
	if advice, ok := e.Extra["advice"].(string); ok {
		f.Advice = append(f.Advice, views.Message(p.Lang, advice, e.Args))
	} else {
		for _, s := range suggestions(p.Lang, k.category) {
			f.Advice = append(f.Advice, s)
		}
	}
	f.Grant, _ = e.Extra["grant"].(string)
	if c.Request().Method == http.MethodGet && k.status != http.StatusNotFound && k.status != http.StatusForbidden {
		f.Retry = c.Request().URL.RequestURI()
	}
	return f
}
