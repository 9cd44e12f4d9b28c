package handlers

import (
	"cmp"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"whalefall/models"
	"whalefall/views"
)

// Routes that need no permission of a role.
const (
	public   models.Permission = "public"    // the same for everybody, without a cookie
	anyone   models.Permission = "anyone"    // everybody, with a CSRF token
	loggedIn models.Permission = "logged-in" // any logged-in user
)

const (
	userKey      = "user"
	requestIDKey = "request_id"
	langKey      = "lang" // language of the answer, if it is not that of pages
)

// guard wraps a handler in the checks of the contract, in its order: login, permission, CSRF, body. Reads of the API
// get a CSRF token and its cookie only on routes for anyone.
func (h *handlers) guard(perm models.Permission, handler echo.HandlerFunc) echo.HandlerFunc {
	return h.guardWith(perm, bindBody, handler)
}

// guardUpload is guard for a body that is a form with a file.
func (h *handlers) guardUpload(perm models.Permission, handler echo.HandlerFunc) echo.HandlerFunc {
	return h.guardWith(perm, requireUpload, handler)
}

func (h *handlers) guardWith(
	perm models.Permission, read func(echo.Context) error, handler echo.HandlerFunc,
) echo.HandlerFunc {
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

// allowed returns a 401 or 403 if the user lacks what the route requires. A nil user is nobody.
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

// requireOwnPassword refuses sessions of users whose password somebody else knows until they have changed it. Tokens
// have nothing to do with that password.
func requireOwnPassword(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if user := currentUser(c); user != nil && user.MustChangePassword && currentToken(c) == nil {
			return &models.Error{Code: models.CodePasswordChange}
		}
		return next(c)
	}
}

func forbidden(perm models.Permission) *models.Error {
	return &models.Error{Code: models.CodeForbidden, Args: models.Args("Permission", string(perm))}
}

// identify loads the user of the request's token or session, if any. An expired session counts as none.
func (h *handlers) identify(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if isOpen(c) {
			return next(c)
		}
		user, token, err := h.authenticate(c)
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

// openPaths lists health probes and documentation, which do not depend on who asks.
var openPaths = []string{
	"/healthz",
	"/readyz",
	"/metrics",
	"/api/v1/health/ping",
	"/api/v1/health/basic",
	"/api/v1/health/health",
	"/api/v1/admin/app-info",
	"/api/v1/openapi.json",
	"/api/v1/docs",
}

// isOpen reports whether the answer does not depend on who asks.
func isOpen(c echo.Context) bool {
	path := c.Request().URL.Path
	return strings.HasPrefix(path, "/static/") || slices.Contains(openPaths, path)
}

// authenticate returns the user of the request and its token, whose ID is 0 for a session. With a token the cookie is
// ignored, since such requests skip the CSRF check.
func (h *handlers) authenticate(c echo.Context) (models.User, models.Token, error) {
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

// currentUser returns the logged-in user, nil if there is none.
func currentUser(c echo.Context) *models.User {
	user, _ := c.Get(userKey).(*models.User)
	return user
}

// lang returns the language of the answer.
func lang(c echo.Context) string {
	if chosen, ok := c.Get(langKey).(string); ok {
		return chosen
	}
	return views.Language(cookieValue(c, langCookie), c.Request().Header.Get("Accept-Language"), views.Chinese)
}

// chooseAPILanguage has the API answer in its configured language unless the cookie or the client's own Accept-Language
// prefers another. A browser sends that header with whatever a script requests, so there it says nothing about the
// script. Pages of the API, which the browser itself opens, follow the browser.
func (h *handlers) chooseAPILanguage(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		header := c.Request().Header
		isPage := strings.Contains(header.Get(echo.HeaderAccept), echo.MIMETextHTML)
		if !isAPI(c) || isPage {
			return next(c)
		}

		accepted := header.Get("Accept-Language")
		if strings.HasPrefix(header.Get("User-Agent"), "Mozilla/") {
			accepted = ""
		}
		fallback := cmp.Or(h.APILanguage, views.Chinese)
		c.Set(langKey, views.Language(cookieValue(c, langCookie), accepted, fallback))
		return next(c)
	}
}

func cookieValue(c echo.Context, name string) string {
	cookie, err := c.Cookie(name)
	if err != nil {
		return ""
	}
	return cookie.Value
}

// isAPI reports whether the request is for the JSON API.
func isAPI(c echo.Context) bool {
	path := c.Request().URL.Path
	return path == "/api" || strings.HasPrefix(path, "/api/")
}

// secure reports whether the client's connection is encrypted: to us, or to a trusted proxy.
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

// secureCookies reports whether cookies of the answer get the Secure attribute.
func (h *handlers) secureCookies(r *http.Request) bool {
	switch h.CookieSecure {
	case "true":
		return true
	case "false":
		return false
	}
	return h.secure(r)
}

// ipExtractor returns the address of the peer, or of the client that a trusted proxy reports.
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
