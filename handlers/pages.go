package handlers

import (
	"net/http"

	"github.com/labstack/echo/v4"
)

// pageRoutes are all HTML routes.
func (h *handlers) pageRoutes(e *echo.Echo) {
	e.GET("/", h.guard(loggedIn, h.frontPage))
}

func (h *handlers) frontPage(c echo.Context) error { return c.Redirect(http.StatusSeeOther, "/instances") }
