package handlers

import (
	"net/http"
	"time"

	"github.com/gorilla/sessions"
	"github.com/labstack/echo/v4"
)

const (
	sessionCookie = "whalefall_session"
	langCookie    = "lang"
	themeCookie   = "theme"
)

// hostCookie returns the name of a cookie. Browsers take a secure one only from this very host, so that neither a
// neighboring domain nor somebody on a plain connection can plant one.
func hostCookie(name string, secure bool) string {
	if secure {
		return "__Host-" + name
	}
	return name
}

// newSessionStore returns a store that signs the cookie with the ID of a session. The session itself is a row of the
// store and decides when it ends; the cookie lasts as long as the row can at most.
func newSessionStore(key []byte, lifetime time.Duration) *sessions.CookieStore {
	s := sessions.NewCookieStore(key)
	s.Options = &sessions.Options{Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode}
	s.MaxAge(int(lifetime.Seconds()))
	return s
}

// sessionID returns the ID in the request's cookie, "" if there is none or its signature is wrong.
func (h *handlers) sessionID(c echo.Context) string {
	session, err := h.sessions.Get(c.Request(), hostCookie(sessionCookie, h.secureCookies(c.Request())))
	if err != nil {
		return ""
	}
	id, _ := session.Values["id"].(string)
	return id
}

// startSession replaces the client's session by a new one, so that an ID known before the login is worthless after it.
func (h *handlers) startSession(c echo.Context, userID int64) error {
	ctx := c.Request().Context()
	if old := h.sessionID(c); old != "" {
		if err := h.Store.EndSession(ctx, old); err != nil {
			return err
		}
	}
	id, err := h.Store.CreateSession(ctx, userID)
	if err != nil {
		return err
	}
	return h.saveSession(c, id)
}

// endSession ends the client's session, if it has one.
func (h *handlers) endSession(c echo.Context) error {
	if id := h.sessionID(c); id != "" {
		if err := h.Store.EndSession(c.Request().Context(), id); err != nil {
			return err
		}
	}
	return h.saveSession(c, "")
}

// saveSession writes the cookie. An empty ID removes it.
func (h *handlers) saveSession(c echo.Context, id string) error {
	// An error is about the old cookie, which is being replaced.
	session, _ := h.sessions.Get(c.Request(), hostCookie(sessionCookie, h.secureCookies(c.Request())))
	session.Options.Secure = h.secureCookies(c.Request())
	session.Values = map[any]any{"id": id}
	if id == "" {
		session.Options.MaxAge = -1
	}
	return session.Save(c.Request(), c.Response())
}
