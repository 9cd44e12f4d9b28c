package handlers

import (
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"whalefall/models"
	"whalefall/views"
)

// answer is the success envelope of the contract.
type answer struct {
	Success   bool   `json:"success"`
	Error     bool   `json:"error"`
	Message   string `json:"message"`
	Timestamp string `json:"timestamp"`
	Data      any    `json:"data,omitempty"`
}

// ok answers 200 with data. The name, value pairs fill the placeholders of the message.
func (h *handlers) ok(c echo.Context, data any, key string, pairs ...any) error {
	return h.answer(c, http.StatusOK, data, key, pairs...)
}

// created answers 201 with data.
func (h *handlers) created(c echo.Context, data any, key string) error {
	return h.answer(c, http.StatusCreated, data, key)
}

func (h *handlers) answer(c echo.Context, status int, data any, key string, pairs ...any) error {
	return c.JSON(status, answer{
		Success: true, Message: views.Message(lang(c), key, models.Args(pairs...)),
		Timestamp: timestamp(h.now()), Data: data,
	})
}

const bytesPerMB = 1 << 20

// mb returns bytes in whole MiB, rounded down; nil stays nil.
func mb(bytes *int64) *int64 {
	if bytes == nil {
		return nil
	}
	n := *bytes / bytesPerMB
	return &n
}

// timestampOrNull returns a time as the contract writes it; nil stays nil.
func timestampOrNull(t *time.Time) *string {
	if t == nil {
		return nil
	}
	s := timestamp(*t)
	return &s
}

// orNull returns the text, nil if it is empty.
func orNull(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

// timestamp returns a time as the contract writes it: UTC, RFC 3339 with offset, always
// six digits of microseconds: some clients read no other number of digits.
func timestamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000000-07:00") }
