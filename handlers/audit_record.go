package handlers

import (
	"net/http"
	"regexp"
	"slices"

	"github.com/labstack/echo/v4"

	"whalefall/models"
)

// target is what a write acts on, for its audit entry.
type target struct {
	id   *int64
	name string
}

const targetKey = "target"

// Longer texts of an entry are truncated, in characters. A target may list the names of many instances.
const (
	maxAuditTarget = 4000
	maxAuditPath   = 500
)

// auditTarget notes the target of this write for its audit entry. An id of 0 stands for no target, or for several.
func auditTarget(c echo.Context, id int64, name string) {
	t := target{name: truncate(name, maxAuditTarget)}
	if id != 0 {
		t.id = &id
	}
	c.Set(targetKey, t)
}

// record adds an audit entry for the write after it ended.
func (h *handlers) record(action models.Action, handler echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		err := handler(c)
		if !isAudited(c, action, err) {
			return err
		}
		r := c.Request()
		entry := models.AuditEntry{
			Action: action, Method: r.Method, Path: truncate(r.URL.Path, maxAuditPath), IP: c.RealIP(),
			Status: c.Response().Status, RequestID: requestIDOf(c),
		}
		if t, ok := c.Get(targetKey).(target); ok {
			entry.TargetID, entry.TargetName = t.id, t.name
		}
		if err != nil {
			e := classify(err)
			entry.MessageCode, entry.Status = e.Code, kinds[e.Code].status
		}
		entry = withActor(c, entry)
		if failed := h.Store.RecordAudit(r.Context(), entry); failed != nil {
			h.Metrics.auditFailures.Inc()
			h.Log.ErrorContext(r.Context(), "audit entry not saved", "error", failed, "action", action,
				"username", entry.Username, "status", entry.Status, "request_id", entry.RequestID)
		}
		return err
	}
}

// isAudited reports whether a write gets an audit entry. It needs a known user, or a password check: checking one is
// slow enough that outsiders cannot flood the log.
func isAudited(c echo.Context, action models.Action, err error) bool {
	if action != models.ActionLogin {
		return currentUser(c) != nil
	}
	return err == nil ||
		slices.Contains([]models.Code{models.CodeInvalidCredentials, models.CodeAccountDisabled}, classify(err).Code)
}

// possibleName matches possible user names. People type passwords into the wrong field; those are not kept.
var possibleName = regexp.MustCompile(`^[A-Za-z0-9_]{3,20}$`)

// withActor returns the entry with the user and token that acted. A login belongs to the user it logs in, or to the
// name that was tried, no matter who was logged in before.
func withActor(c echo.Context, e models.AuditEntry) models.AuditEntry {
	user, token := currentUser(c), currentToken(c)
	if e.Action == models.ActionLogin {
		token = nil
	}
	if e.Action == models.ActionLogin && !e.Succeeded() {
		if name := loginName(body(c)); possibleName.MatchString(name) {
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

// isRead reports whether requests with the method change nothing.
func isRead(method string) bool { return method == http.MethodGet || method == http.MethodHead }
