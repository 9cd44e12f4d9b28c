package handlers

import (
	"compress/gzip"
	"strings"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"
)

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
