package handlers

import (
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"whalefall/models"
	"whalefall/views"
)

// healthJSON says that the process answers. Whether its store does is asked at /readyz.
type healthJSON struct {
	Status  string `json:"status"` // always "ok"
	Version string `json:"version"`
}

func (h *handlers) apiPing(c echo.Context) error {
	return h.ok(c, healthJSON{Status: "ok", Version: h.Version}, "api.health")
}

// basicHealthJSON is healthJSON as clients of the original know it.
type basicHealthJSON struct {
	Status    string  `json:"status"`    // always "healthy"
	Timestamp float64 `json:"timestamp"` // seconds since 1970
	Version   string  `json:"version"`
}

func (h *handlers) apiBasicHealth(c echo.Context) error {
	const microseconds = 1e6
	now := float64(h.now().UnixMicro()) / microseconds
	return h.ok(c, basicHealthJSON{Status: "healthy", Timestamp: now, Version: h.Version}, "api.healthy")
}

// storeHealthJSON also says whether the store answers.
type storeHealthJSON struct {
	Status    string  `json:"status"`   // healthy|unhealthy
	Database  string  `json:"database"` // connected|error
	Redis     *string `json:"redis"`    // always null: there is none
	Timestamp string  `json:"timestamp"`
	Uptime    string  `json:"uptime"`
}

// apiStoreHealth answers 200 even if the store does not; probes ask /readyz.
func (h *handlers) apiStoreHealth(c echo.Context) error {
	out := storeHealthJSON{
		Status: "healthy", Database: "connected", Timestamp: timestamp(h.now()), Uptime: h.uptime(lang(c)),
	}
	if !h.storeAnswers(c) {
		out.Status, out.Database = "unhealthy", "error"
	}
	return h.ok(c, out, "api.done")
}

func (h *handlers) uptime(lang string) string {
	const day = 24 * time.Hour
	since := h.now().Sub(h.started)
	return views.Message(lang, "api.uptime", models.Args(
		"Days", int(since/day), "Hours", int(since%day/time.Hour), "Minutes", int(since%time.Hour/time.Minute)))
}

type appInfoJSON struct {
	AppName    string `json:"app_name"`
	AppVersion string `json:"app_version"`
}

func (h *handlers) apiAppInfo(c echo.Context) error {
	return h.ok(c, appInfoJSON{AppName: "鲸落", AppVersion: h.Version}, "api.app_info")
}

func (h *handlers) healthz(c echo.Context) error { return c.String(http.StatusOK, "ok\n") }

// readyz reports whether the store answers.
func (h *handlers) readyz(c echo.Context) error {
	if !h.storeAnswers(c) {
		return c.String(http.StatusServiceUnavailable, "store unavailable\n")
	}
	return c.String(http.StatusOK, "ok\n")
}

func (h *handlers) storeAnswers(c echo.Context) bool {
	err := h.Store.Ping(c.Request().Context())
	if err != nil {
		h.Log.WarnContext(c.Request().Context(), "store does not answer", "error", err)
	}
	return err == nil
}
