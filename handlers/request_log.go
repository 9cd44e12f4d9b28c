package handlers

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/labstack/echo/v4"

	"whalefall/models"
)

const failureKey = "failure"

// requestID gives the request an ID for its answer, its log line and its errors.
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

// newID returns 32 random hexadecimal digits.
func newID() string {
	var b [16]byte
	// crypto/rand.Read never fails on the platforms Go supports.
	_, _ = rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// logRequests writes one line for each request after it was answered, even if the connection was aborted.
func (h *handlers) logRequests(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		started := time.Now()
		defer func() { h.logRequest(c, time.Since(started)) }()
		if err := next(c); err != nil {
			c.Error(err)
		}
		return nil
	}
}

// failed describes the failure of a request for its log line.
type failed struct {
	err *models.Error
	id  string
	kind
}

// noteFailure keeps the failure for the log line of the request.
func noteFailure(c echo.Context, e *models.Error, k kind, id string) {
	c.Set(failureKey, failed{e, id, k})
}

// probes lists the paths that machines poll. Their log lines are at debug level unless they fail.
var probes = []string{"/healthz", "/readyz", "/metrics", "/api/v1/health/ping"}

// logRequest writes the log line of an answered request: our own faults are errors, those of monitored servers
// warnings. The query is left out, since it may contain what people search for.
func (h *handlers) logRequest(c echo.Context, elapsed time.Duration) {
	r, response := c.Request(), c.Response()
	ctx := context.WithoutCancel(r.Context())
	attributes := []slog.Attr{
		slog.String("method", r.Method), slog.String("path", r.URL.Path), slog.Int("status", response.Status),
		slog.Int64("bytes", response.Size), slog.Int64("elapsed_ms", elapsed.Milliseconds()),
		slog.String("request_id", requestIDOf(c)), slog.String("ip", c.RealIP()),
	}
	if user := currentUser(c); user != nil {
		attributes = append(attributes, slog.String("user", user.Username))
	}

	f, isFailure := c.Get(failureKey).(failed)
	if isFailure {
		attributes = append(attributes, slog.String("error_id", f.id), slog.Any("error", f.err))
	}
	switch {
	case isFailure && f.err.Code == models.CodeInternal:
		h.Log.LogAttrs(ctx, slog.LevelError, "request failed", attributes...)
	case isFailure && f.category == "external":
		h.Log.LogAttrs(ctx, slog.LevelWarn, "request refused", attributes...)
	case isFailure:
		h.Log.LogAttrs(ctx, slog.LevelInfo, "request refused", attributes...)
	case slices.Contains(probes, r.URL.Path) && response.Status < http.StatusBadRequest:
		h.Log.LogAttrs(ctx, slog.LevelDebug, "request served", attributes...)
	default:
		h.Log.LogAttrs(ctx, slog.LevelInfo, "request served", attributes...)
	}
}
