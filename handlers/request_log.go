package handlers

import (
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

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

func (h *handlers) logFailure(c echo.Context, e *models.Error, k kind, id string) {
	level := h.Log.WarnContext
	switch {
	case k.status >= http.StatusInternalServerError && e.Code == models.CodeInternal:
		level = h.Log.ErrorContext
	case k.category != "external":
		level = h.Log.InfoContext
	}
	level(c.Request().Context(), "request refused", "error", e, "error_id", id,
		"request_id", requestIDOf(c), "status", k.status)
}

func newID() string {
	var b [16]byte
	// crypto/rand.Read never fails on the platforms Go supports.
	_, _ = rand.Read(b[:])
	return hex.EncodeToString(b[:])
}
