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

// logRequests writes one line for each request after it was answered, also if the connection was broken off.
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

// failed is how a request failed, for its log line.
type failed struct {
	err *models.Error
	id  string
	kind
}

// noteFailure keeps the failure for the log line of the request, which is written when its answer is known.
func noteFailure(c echo.Context, e *models.Error, k kind, id string) {
	c.Set(failureKey, failed{e, id, k})
}

// probes are the paths that machines ask all the time. Their log lines are at debug level unless they fail.
var probes = []string{"/healthz", "/readyz", "/metrics", "/api/v1/health/ping"}

// logRequest writes the log line of an answered request. The query is left out: it may hold what people search for.
func (h *handlers) logRequest(c echo.Context, elapsed time.Duration) {
	r, response := c.Request(), c.Response()
	level, message := slog.LevelInfo, "request served"
	if slices.Contains(probes, r.URL.Path) && response.Status < http.StatusBadRequest {
		level = slog.LevelDebug
	}
	attributes := []slog.Attr{
		slog.String("method", r.Method), slog.String("path", r.URL.Path), slog.Int("status", response.Status),
		slog.Int64("bytes", response.Size), slog.Int64("elapsed_ms", elapsed.Milliseconds()),
		slog.String("request_id", requestIDOf(c)), slog.String("ip", c.RealIP()),
	}
	if user := currentUser(c); user != nil {
		attributes = append(attributes, slog.String("user", user.Username))
	}
	if f, ok := c.Get(failureKey).(failed); ok {
		level, message = f.severityOf()
		attributes = append(attributes, slog.String("error_id", f.id), slog.Any("error", f.err))
	}
	h.Log.LogAttrs(context.WithoutCancel(r.Context()), level, message, attributes...)
}

// severityOf returns level and message of the log line of a failed request: our own faults are errors, those of monitored
// servers warnings.
func (f failed) severityOf() (slog.Level, string) {
	switch {
	case f.err.Code == models.CodeInternal:
		return slog.LevelError, "request failed"
	case f.category == "external":
		return slog.LevelWarn, "request refused"
	}
	return slog.LevelInfo, "request refused"
}
