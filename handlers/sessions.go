package handlers

import (
	"github.com/labstack/echo/v4"

	"whalefall/models"
)

// sessionJSON is a login of the user in one browser.
type sessionJSON struct {
	ID         string `json:"id"` // not what the cookie holds
	CreatedAt  string `json:"created_at"`
	LastSeenAt string `json:"last_seen_at"` // to the minute
	Current    bool   `json:"current"`      // the one of this request
}

func (h *handlers) apiSessions(c echo.Context) error {
	sessions, err := h.Store.Sessions(c.Request().Context(), currentUser(c).ID)
	if err != nil {
		return err
	}
	own := h.keptSession(c)
	return h.ok(c, slicePage(c, sessions, func(s models.Session) sessionJSON {
		return sessionJSON{
			ID: s.ID, CreatedAt: timestamp(s.CreatedAt), LastSeenAt: timestamp(s.SeenAt), Current: s.HasID(own),
		}
	}), "api.sessions")
}

func (h *handlers) apiEndSession(c echo.Context) error {
	if err := h.endOwnSession(c); err != nil {
		return err
	}
	return h.ok(c, nil, "api.session_ended")
}

// endOwnSession ends the session of the path, if it is the user's.
func (h *handlers) endOwnSession(c echo.Context) error {
	user := currentUser(c)
	auditTarget(c, user.ID, user.Username)
	return h.Store.EndUserSession(c.Request().Context(), user.ID, c.Param("session"))
}

func (h *handlers) apiEndSessions(c echo.Context) error {
	ended, err := h.endOtherSessions(c)
	if err != nil {
		return err
	}
	return h.ok(c, echo.Map{"ended_count": ended}, "api.sessions_ended")
}

func (h *handlers) endOtherSessions(c echo.Context) (int64, error) {
	user := currentUser(c)
	auditTarget(c, user.ID, user.Username)
	return h.Store.EndOtherSessions(c.Request().Context(), user.ID, h.keptSession(c))
}

// keptSession returns the id of the request's session, empty for a request with a token.
func (h *handlers) keptSession(c echo.Context) string {
	if currentToken(c) != nil {
		return ""
	}
	return h.sessionID(c)
}
