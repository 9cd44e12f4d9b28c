package handlers

import (
	"context"
	"errors"
	"net/http"

	"github.com/gorilla/csrf"
	"github.com/labstack/echo/v4"

	"whalefall/models"
)

const (
	csrfHeader = "X-CSRFToken"
	csrfField  = "csrf_token"
	csrfCookie = "whalefall_csrf"
)

// csrfCall carries one request through the net/http handler that checks its token.
type csrfCall struct {
	c    echo.Context
	next echo.HandlerFunc
	err  error
}

type csrfCallKey struct{}

// newCSRF returns the token check for plain and for TLS requests, which differ in the Secure attribute of the cookie.
func newCSRF(key []byte) map[bool]http.Handler {
	pass := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		call := r.Context().Value(csrfCallKey{}).(*csrfCall)
		call.c.SetRequest(r)
		call.err = call.next(call.c)
	})
	refuse := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		call := r.Context().Value(csrfCallKey{}).(*csrfCall)
		call.err = csrfError(csrf.FailureReason(r))
		if limit, reached := limitReached(r); reached && !isAPI(call.c) {
			call.err = bodyUnread(limit) // too large for its token to be read
		}
	})
	build := func(secure bool) http.Handler {
		return csrf.Protect(key,
			csrf.RequestHeader(csrfHeader), csrf.FieldName(csrfField), csrf.CookieName(hostCookie(csrfCookie, secure)),
			csrf.Path("/"), csrf.HttpOnly(true), csrf.SameSite(csrf.SameSiteLaxMode), csrf.Secure(secure),
			csrf.ErrorHandler(refuse))(pass)
	}
	return map[bool]http.Handler{false: build(false), true: build(true)}
}

func csrfError(reason error) *models.Error {
	if errors.Is(reason, csrf.ErrNoToken) {
		return &models.Error{Code: models.CodeCSRFMissing, Err: reason}
	}
	return &models.Error{Code: models.CodeCSRFInvalid, Err: reason}
}

var crossOrigin = http.NewCrossOriginProtection()

// protect checks origin and CSRF token of a write, and provides the token to the handler.
func (h *handlers) protect(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		if err := crossOrigin.Check(r); err != nil {
			return csrfError(err)
		}
		call := &csrfCall{c: c, next: next}
		r = r.WithContext(context.WithValue(r.Context(), csrfCallKey{}, call))
		// A client that sends no Origin is no browser page. Requiring a Referer of it would only break scripts.
		if !h.secure(r) || r.Header.Get(echo.HeaderOrigin) == "" {
			r = csrf.PlaintextHTTPRequest(r)
		}
		h.csrf[h.secureCookies(r)].ServeHTTP(c.Response(), r)
		return call.err
	}
}

// csrfToken returns the token that the client's next write must carry.
func csrfToken(c echo.Context) string { return csrf.Token(c.Request()) }
