// Package handlers is the HTTP side of WhaleFall: HTML under /, JSON under /api/v1. It is the only package that knows
// Echo. The routes of the two doors are listed in routes_api.go and routes_pages.go.
package handlers

import (
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"github.com/gorilla/sessions"
	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"

	"whalefall/collectors"
	"whalefall/collectors/jobs"
	"whalefall/models"
	"whalefall/static"
)

// Config is what the handlers need.
type Config struct {
	Store          *models.Store
	Collect        *collectors.Service // tests connections
	Runs           *jobs.Runner        // collects
	Metrics        *Metrics            // nil: collections are not counted
	Zone           *time.Location
	APILanguage    string         // of the API's answers to clients that ask for none; empty: Chinese
	CookieSecure   string         // "auto" (only on TLS requests), "true" or "false"
	TrustedProxies []netip.Prefix // whose X-Forwarded-For and X-Forwarded-Proto are believed
	Limits         Limits
	MetricsToken   string // token of /metrics; empty: /metrics is closed
	Log            *slog.Logger
	Version        string
}

type handlers struct {
	Config
	sessions *sessions.CookieStore
	csrf     map[bool]http.Handler // by whether the request is encrypted
	now      func() time.Time
	started  time.Time
	routes   map[string]bool // the patterns that requests are counted by
}

// Largest request bodies, bytes. A larger one is a 413.
const (
	maxBody      = 1 << 20
	maxLoginBody = 8 << 10
)

// New returns the whole HTTP surface.
func New(cfg Config) http.Handler {
	now := cfg.Store.Clock()
	h := &handlers{Config: cfg, now: now, started: now()}
	key := cfg.Store.CookieKey()
	h.sessions = newSessionStore(key, h.Store.SessionLifetime())
	h.csrf = newCSRF(key)
	if h.Metrics == nil {
		h.Metrics = NewMetrics(cfg.Store, cfg.Version)
	}

	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.HTTPErrorHandler = h.fail
	e.IPExtractor = ipExtractor(cfg.TrustedProxies)
	e.Use(
		requestID,
		h.chooseAPILanguage,
		h.measureRequests,
		h.logRequests,
		middleware.Recover(),
		h.securityHeaders,
		compress(),
		limitBodies,
		h.identify,
		h.limitRate,
		refuseBadToken,
	)
	h.addRoutes(e)
	h.routes = patterns(e)
	return e
}

// patterns returns the paths of all routes.
func patterns(e *echo.Echo) map[string]bool {
	all := map[string]bool{}
	for _, r := range e.Routes() {
		all[r.Path] = true
	}
	return all
}

func (h *handlers) addRoutes(e *echo.Echo) {
	for _, method := range []string{http.MethodGet, http.MethodHead} {
		e.Add(method, "/healthz", h.healthz)
		e.Add(method, "/readyz", h.readyz)
		e.Add(method, "/metrics", h.readMetrics())
	}
	e.GET("/static/*", echo.WrapHandler(http.StripPrefix("/static/", static.Handler())))
	for _, r := range h.pageRoutes() {
		h.add(e, "", r)
	}
	e.Use(refuseSubpaths, refuseOptions)
	for _, r := range h.apiRoutes() {
		h.add(e, "/api/v1", r)
	}
}
