package handlers

import (
	"compress/gzip"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"

	"whalefall/models"
)

// requestID names the request in its answer, its log line and its errors.
func requestID(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		id := newID()
		c.Set(requestIDKey, id)
		c.Response().Header().Set(echo.HeaderXRequestID, id)
		return next(c)
	}
}

func requestIDOf(c echo.Context) string {
	id, _ := c.Get(requestIDKey).(string)
	return id
}

// logRequests writes one line a request, after it was answered.
func (h *handlers) logRequests(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		started := time.Now()
		if err := next(c); err != nil {
			c.Error(err)
		}
		h.Log.DebugContext(c.Request().Context(), "request",
			"method", c.Request().Method, "path", c.Request().URL.Path, "status", c.Response().Status,
			"elapsed_ms", time.Since(started).Milliseconds(), "request_id", requestIDOf(c), "ip", c.RealIP())
		return nil
	}
}

const contentPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; " +
	"connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

// securityHeaders are on every answer; what the API and the pages say is never cached by default.
func securityHeaders(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		header := c.Response().Header()
		header.Set(echo.HeaderContentSecurityPolicy, contentPolicy)
		header.Set(echo.HeaderXContentTypeOptions, "nosniff")
		header.Set(echo.HeaderXFrameOptions, "DENY")
		header.Set(echo.HeaderReferrerPolicy, "same-origin")
		header.Set("Cross-Origin-Opener-Policy", "same-origin")
		if !strings.HasPrefix(c.Request().URL.Path, "/static/") {
			header.Set(echo.HeaderCacheControl, "no-store")
		}
		return next(c)
	}
}

// rateLimitHeaders tells a throttled client when to come back.
func rateLimitHeaders(c echo.Context, e *models.Error) {
	if e.Code != models.CodeRateLimited {
		return
	}
	header := c.Response().Header()
	for name, member := range map[string]string{
		echo.HeaderRetryAfter: "retry_after", "X-RateLimit-Limit": "limit",
		"X-RateLimit-Remaining": "remaining", "X-RateLimit-Reset": "reset",
	} {
		switch v := e.Extra[member].(type) {
		case int:
			header.Set(name, strconv.Itoa(v))
		case int64:
			header.Set(name, strconv.FormatInt(v, 10))
		}
	}
}

// compressFrom is the smallest answer worth compressing, bytes.
const compressFrom = 1400

// compress sends large answers by gzip to whoever accepts that. The framework looks for the word alone, also in "gzip;q=0".
func compress() echo.MiddlewareFunc {
	gzip := middleware.GzipWithConfig(middleware.GzipConfig{Level: gzip.BestSpeed, MinLength: compressFrom})
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		compressed := gzip(next)
		return func(c echo.Context) error {
			header := c.Request().Header
			if acceptsGzip(strings.Join(header.Values(echo.HeaderAcceptEncoding), ",")) {
				header.Set(echo.HeaderAcceptEncoding, "gzip")
			} else {
				header.Del(echo.HeaderAcceptEncoding)
			}
			return compressed(c)
		}
	}
}

// limitBody ends a body after maxBody bytes, wherever it is read.
func limitBody(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		r.Body = http.MaxBytesReader(c.Response(), r.Body, maxBody)
		return next(c)
	}
}

func (h *handlers) healthz(c echo.Context) error { return c.String(http.StatusOK, "ok\n") }

// readyz reports whether the store answers.
func (h *handlers) readyz(c echo.Context) error {
	if err := h.Store.Ping(c.Request().Context()); err != nil {
		h.Log.WarnContext(c.Request().Context(), "store does not answer", "error", err)
		return c.String(http.StatusServiceUnavailable, "store unavailable\n")
	}
	return c.String(http.StatusOK, "ok\n")
}
