package handlers

import "github.com/labstack/echo/v4"

// healthJSON says that the process answers; whether its store does, /readyz says.
type healthJSON struct {
	Status  string `json:"status"` // always "ok"
	Version string `json:"version"`
}

func (h *handlers) apiPing(c echo.Context) error {
	return h.ok(c, healthJSON{Status: "ok", Version: h.Version}, "api.health")
}
