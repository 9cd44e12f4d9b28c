package handlers

import (
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/labstack/echo/v4"

	"whalefall/models"
	"whalefall/views"
)

// anyone and loggedIn are what a route asks for when it asks for no permission.
const (
	anyone   models.Permission = "anyone"
	loggedIn models.Permission = "logged-in"
)

const (
	userKey      = "user"
	requestIDKey = "request_id"
)

// guard wraps a handler in the checks of the contract, in its order: login, permission, CSRF, size of the body.
// Reading the API hands out a CSRF token (and its cookie) only where anyone may ask for one.
func (h *handlers) guard(perm models.Permission, handler echo.HandlerFunc) echo.HandlerFunc {
	checked := h.protect(refuseLargeBody(handler))
	return func(c echo.Context) error {
		user := currentUser(c)
		if perm != anyone && user == nil {
			return &models.Error{Code: models.CodeUnauthenticated}
		}
		if perm != anyone && perm != loggedIn && !user.Role.May(perm) {
			return forbidden(perm)
		}
		if perm != anyone && isAPI(c) && isRead(c.Request().Method) {
			return handler(c)
		}
		return checked(c)
	}
}

func isRead(method string) bool { return method == http.MethodGet || method == http.MethodHead }

func forbidden(perm models.Permission) *models.Error {
	return &models.Error{Code: models.CodeForbidden, Args: models.Args("Permission", string(perm))}
}

// identify loads the user of the request's session, if there is one. A session that has ended counts as none.
func (h *handlers) identify(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		id := h.sessionID(c)
		if id == "" || strings.HasPrefix(c.Request().URL.Path, "/static/") {
			return next(c)
		}
		user, err := h.Store.SessionUser(c.Request().Context(), id)
		switch {
		case err == nil:
			c.Set(userKey, &user)
		case models.AsError(err).Code != models.CodeUnauthenticated:
			return err
		}
		return next(c)
	}
}

// currentUser is the logged-in user, nil when nobody is.
func currentUser(c echo.Context) *models.User {
	user, _ := c.Get(userKey).(*models.User)
	return user
}

// lang is the language of the answer.
func lang(c echo.Context) string {
	return views.Language(cookieValue(c, langCookie), c.Request().Header.Get("Accept-Language"))
}

func cookieValue(c echo.Context, name string) string {
	cookie, err := c.Cookie(name)
	if err != nil {
		return ""
	}
	return cookie.Value
}

// isAPI reports whether the request belongs to the JSON side.
func isAPI(c echo.Context) bool {
	path := c.Request().URL.Path
	return path == "/api" || strings.HasPrefix(path, "/api/")
}

// secure reports whether the person's browser speaks TLS: to us, or to a proxy we trust.
func (h *handlers) secure(r *http.Request) bool {
	if r.TLS != nil {
		return true
	}
	return r.Header.Get(echo.HeaderXForwardedProto) == "https" && h.fromTrustedProxy(r)
}

func (h *handlers) fromTrustedProxy(r *http.Request) bool {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return false
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return false
	}
	for _, p := range h.TrustedProxies {
		if p.Contains(addr.Unmap()) {
			return true
		}
	}
	return false
}

// secureCookies reports whether cookies of this answer carry the Secure attribute.
func (h *handlers) secureCookies(r *http.Request) bool {
	switch h.CookieSecure {
	case "true":
		return true
	case "false":
		return false
	}
	return h.secure(r)
}

// ipExtractor takes the address of the peer, or of whom a trusted proxy names.
func ipExtractor(trusted []netip.Prefix) echo.IPExtractor {
	if len(trusted) == 0 {
		return echo.ExtractIPDirect()
	}
	options := []echo.TrustOption{echo.TrustLoopback(false), echo.TrustLinkLocal(false), echo.TrustPrivateNet(false)}
	for _, p := range trusted {
		_, network, err := net.ParseCIDR(p.Masked().String())
		if err == nil {
			options = append(options, echo.TrustIPRange(network))
		}
	}
	return echo.ExtractIPFromXFFHeader(options...)
}
