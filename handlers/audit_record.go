package handlers

import (
	"net/http"
	"regexp"

	"github.com/labstack/echo/v4"

	"whalefall/models"
)

// target is what a write was done to, for the audit log.
type target struct {
	id   *int64
	name string
}

const targetKey = "target"

// about notes what this write is done to. An id of 0 stands for none, or for more than one.
func about(c echo.Context, id int64, name string) {
	t := target{name: abbreviated(name)}
	if id != 0 {
		t.id = &id
	}
	c.Set(targetKey, t)
}

// record notes in the audit log how a write ended: of everybody who is known, and of everybody who tries to log in.
func (h *handlers) record(action models.Action, handler echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		err := handler(c)
		user := currentUser(c)
		if user == nil && action != models.ActionLogin {
			return err
		}
		entry := models.AuditEntry{
			Action: action, Method: c.Request().Method, Path: c.Request().URL.Path, IP: c.RealIP(),
			Status: c.Response().Status, RequestID: requestIDOf(c),
		}
		entry.Username, entry.UserID, entry.TokenName = actor(c, user)
		if t, ok := c.Get(targetKey).(target); ok {
			entry.TargetID, entry.TargetName = t.id, t.name
		}
		if err != nil {
			e := classify(err)
			entry.MessageCode, entry.Status = e.Code, kinds[e.Code].status
		}
		if failed := h.Store.RecordAudit(c.Request().Context(), entry); failed != nil {
			h.Log.ErrorContext(c.Request().Context(), "audit entry not kept", "error", failed, "action", action,
				"username", entry.Username, "status", entry.Status, "request_id", entry.RequestID)
		}
		return err
	}
}

// loginName is what can be the name of a user. People type passwords where names go; those are not kept.
var loginName = regexp.MustCompile(`^[A-Za-z0-9_]{3,20}$`)

// actor is who did it: the user, or the name with which somebody tried to become one.
func actor(c echo.Context, user *models.User) (name string, id *int64, token string) {
	if user == nil {
		name, _ = body(c)["username"].(string)
		if !loginName.MatchString(name) {
			name = ""
		}
		return name, nil, ""
	}
	if t := currentToken(c); t != nil {
		token = t.Name
	}
	return user.Username, &user.ID, token
}

// isRead reports whether a method changes nothing.
func isRead(method string) bool { return method == http.MethodGet || method == http.MethodHead }
