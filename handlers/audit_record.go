package handlers

import (
	"net/http"
	"regexp"
	"slices"

	"github.com/labstack/echo/v4"

	"whalefall/models"
)

// target is what a write was done to, for the audit log.
type target struct {
	id   *int64
	name string
}

const targetKey = "target"

// Texts of an entry are cut to so many characters. A target may be the names of many instances.
const (
	maxAuditTarget = 4000
	maxAuditPath   = 500
)

// auditTarget notes the target of this write for its audit entry. An id of 0 stands for no target, or for several.
func auditTarget(c echo.Context, id int64, name string) {
	t := target{name: cut(name, maxAuditTarget)}
	if id != 0 {
		t.id = &id
	}
	c.Set(targetKey, t)
}

// record notes in the audit log how a write ended.
func (h *handlers) record(action models.Action, handler echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		err := handler(c)
		if !worthNoting(c, action, err) {
			return err
		}
		r := c.Request()
		entry := models.AuditEntry{
			Action: action, Method: r.Method, Path: cut(r.URL.Path, maxAuditPath), IP: c.RealIP(),
			Status: c.Response().Status, RequestID: requestIDOf(c),
		}
		if t, ok := c.Get(targetKey).(target); ok {
			entry.TargetID, entry.TargetName = t.id, t.name
		}
		if err != nil {
			e := classify(err)
			entry.MessageCode, entry.Status = e.Code, kinds[e.Code].status
		}
		entry = by(c, entry)
		if failed := h.Store.RecordAudit(r.Context(), entry); failed != nil {
			h.metrics.auditFailures.Inc()
			h.Log.ErrorContext(r.Context(), "audit entry not kept", "error", failed, "action", action,
				"username", entry.Username, "status", entry.Status, "request_id", entry.RequestID)
		}
		return err
	}
}

// worthNoting reports whether an entry can tell of somebody: who is known, or whose name and password were looked at. That
// takes so long that nobody can fill the log from outside.
func worthNoting(c echo.Context, action models.Action, err error) bool {
	if action != models.ActionLogin {
		return currentUser(c) != nil
	}
	return err == nil || slices.Contains([]models.Code{models.CodeInvalidCredentials, models.CodeAccountDisabled}, classify(err).Code)
}

// loginName is what can be the name of a user. People type passwords where names go; those are not kept.
var loginName = regexp.MustCompile(`^[A-Za-z0-9_]{3,20}$`)

// by is the entry with who did it: the user and token of the request. A login is of the user it made, or of the name
// with which somebody tried, whoever was logged in before.
func by(c echo.Context, e models.AuditEntry) models.AuditEntry {
	user, token := currentUser(c), currentToken(c)
	if e.Action == models.ActionLogin {
		token = nil
	}
	if e.Action == models.ActionLogin && !e.Succeeded() {
		if name, _ := body(c)["username"].(string); loginName.MatchString(name) {
			e.Username = name
		}
		return e
	}
	e.Username, e.UserID = user.Username, &user.ID
	if token != nil {
		e.TokenName = token.Name
	}
	return e
}

// isRead reports whether a method changes nothing.
func isRead(method string) bool { return method == http.MethodGet || method == http.MethodHead }
