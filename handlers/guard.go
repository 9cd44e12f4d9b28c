package handlers

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"whalefall/models"
	"whalefall/views"
)

// What a route asks for when it asks for no permission.
const (
	public   models.Permission = "public"    // a document for everybody, without a cookie
	anyone   models.Permission = "anyone"    // everybody, with a form token
	loggedIn models.Permission = "logged-in" // whoever is logged in
)

const (
	userKey      = "user"
	requestIDKey = "request_id"
)

// guard wraps a handler in the checks of the contract, in its order: login, permission, CSRF, body.
// Reading the API hands out a CSRF token (and its cookie) only where anyone may ask for one.
func (h *handlers) guard(perm models.Permission, handler echo.HandlerFunc) echo.HandlerFunc {
	return h.guardWith(perm, bindBody, handler)
}

// guardUpload is guard for a body that is a form with files.
func (h *handlers) guardUpload(perm models.Permission, handler echo.HandlerFunc) echo.HandlerFunc {
	return h.guardWith(perm, requireUpload, handler)
}

func (h *handlers) guardWith(perm models.Permission, read func(echo.Context) error, handler echo.HandlerFunc) echo.HandlerFunc {
	withBody := func(c echo.Context) error {
		if err := read(c); err != nil {
			return err
		}
		return handler(c)
	}
	checked := h.protect(withBody)
	return func(c echo.Context) error {
		user := currentUser(c)
		if err := allowed(user, perm); err != nil {
			return err
		}
		withoutToken := perm == public || perm != anyone && isAPI(c) && isRead(c.Request().Method)
		if withoutToken || currentToken(c) != nil {
			return withBody(c)
		}
		return checked(c)
	}
}

// allowed refuses whoever may not have what a route asks for.
func allowed(user *models.User, perm models.Permission) error {
	switch {
	case perm == anyone || perm == public:
		return nil
	case user == nil:
		return &models.Error{Code: models.CodeUnauthenticated}
	case perm != loggedIn && !user.Role.May(perm):
		return forbidden(perm)
	}
	return nil
}

func forbidden(perm models.Permission) *models.Error {
	return &models.Error{Code: models.CodeForbidden, Args: models.Args("Permission", string(perm))}
}

// identify loads the user of the request's token or session, if there is one. A session that has ended counts as none.
func (h *handlers) identify(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if forAnybody(c) {
			return next(c)
		}
		user, token, err := h.whoAsks(c)
		switch {
		case models.Is(err, models.CodeUnauthenticated):
			return next(c)
		case err != nil:
			return err
		}
		c.Set(userKey, &user)
		if token.ID != 0 {
			c.Set(tokenKey, &token)
		}
		return next(c)
	}
}

// open are what machines ask whether this one is well, and the documents about it: nobody need be known for them.
var open = []string{"/healthz", "/readyz", "/metrics", "/api/v1/health/ping", "/api/v1/openapi.json", "/api/v1/docs"}

// forAnybody reports whether the answer is the same whoever asks.
func forAnybody(c echo.Context) bool {
	path := c.Request().URL.Path
	return strings.HasPrefix(path, "/static/") || slices.Contains(open, path)
}

// whoAsks is the user of the request and the token that acts for it; a token's id is 0 for a session. A token counts
// alone: whoever sends one is not checked for a form token, so the cookie beside it is not looked at.
func (h *handlers) whoAsks(c echo.Context) (models.User, models.Token, error) {
	ctx := c.Request().Context()
	if secret, given := bearerOf(c); given {
		return h.Store.TokenUser(ctx, secret)
	}
	id := h.sessionID(c)
	if id == "" {
		return models.User{}, models.Token{}, &models.Error{Code: models.CodeUnauthenticated}
	}
	user, err := h.Store.SessionUser(ctx, id)
	return user, models.Token{}, err
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
