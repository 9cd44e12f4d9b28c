package handlers

import (
	"compress/gzip"
	"strings"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"
)

const contentPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src " +
	"'self'; " +
	"connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

// transportPolicy keeps browsers that have once come by TLS from coming without, for a year.
const transportPolicy = "max-age=31536000"

// securityHeaders sets headers on every answer. Only static files may be cached, unless a handler says otherwise.
func (h *handlers) securityHeaders(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		header := c.Response().Header()
		header.Set(echo.HeaderContentSecurityPolicy, contentPolicy)
		header.Set(echo.HeaderXContentTypeOptions, "nosniff")
		header.Set(echo.HeaderXFrameOptions, "DENY")
		header.Set(echo.HeaderReferrerPolicy, "same-origin")
		header.Set("Cross-Origin-Opener-Policy", "same-origin")
		if h.secure(c.Request()) {
			header.Set(echo.HeaderStrictTransportSecurity, transportPolicy)
		}
		if !strings.HasPrefix(c.Request().URL.Path, "/static/") {
			header.Set(echo.HeaderCacheControl, "no-store")
		}
		return next(c)
	}
}

// compressFrom is the smallest answer that gets compressed, bytes.
const compressFrom = 1400

// compress gzips large answers for clients that accept it. The framework alone would also compress for "gzip;q=0".
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
