package handlers

import (
	"net/http"

	"github.com/labstack/echo/v4"
)

// healthJSON says that the process answers. Whether its store does is asked at /readyz.
type healthJSON struct {
	Status  string `json:"status"` // always "ok"
	Version string `json:"version"`
}

func (h *handlers) apiPing(c echo.Context) error {
	return h.ok(c, healthJSON{Status: "ok", Version: h.Version}, "api.health")
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
