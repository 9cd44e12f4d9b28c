package handlers

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"whalefall/models"
	"whalefall/views"
)

// answer is the contract's success envelope.
type answer struct {
	Success   bool   `json:"success"`
	Error     bool   `json:"error"`
	Message   string `json:"message"`
	Timestamp string `json:"timestamp"`
	Data      any    `json:"data,omitempty"`
}

// ok answers 200 with data; pairs fill the placeholders of the message.
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
