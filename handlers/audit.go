package handlers

import (
	"slices"

	"github.com/labstack/echo/v4"

	"whalefall/models"
)

// auditResults lists the outcomes of an action.
var auditResults = []string{models.AuditSuccess, models.AuditFailure}

// auditEntryJSON is one audit entry. Entries of the command line have neither request nor answer.
type auditEntryJSON struct {
	ID          int64         `json:"id"`
	At          string        `json:"at"`
	UserID      *int64        `json:"user_id"`
	Username    *string       `json:"username"`   // of a failed login the name that was tried
	TokenName   *string       `json:"token_name"` // null: a session
	Action      models.Action `json:"action"`
	TargetID    *int64        `json:"target_id"` // null: none, or several
	TargetName  *string       `json:"target_name"`
	Method      *string       `json:"method"`
	Path        *string       `json:"path"`
	IP          *string       `json:"ip"`
	Status      *int          `json:"status"` // HTTP status of the answer
	Result      string        `json:"result"`
	MessageCode *string       `json:"message_code"` // null: success
	RequestID   *string       `json:"request_id"`
}

func newAuditEntry(e models.AuditEntry) auditEntryJSON {
	out := auditEntryJSON{
		ID: e.ID, At: timestamp(e.At), UserID: e.UserID, Username: orNull(e.Username), TokenName: orNull(e.TokenName),
		Action: e.Action, TargetID: e.TargetID, TargetName: orNull(e.TargetName), Method: orNull(e.Method),
		Path: orNull(e.Path), IP: orNull(e.IP), Result: e.Result(), MessageCode: orNull(string(e.MessageCode)),
		RequestID: orNull(e.RequestID),
	}
	if e.Status != 0 {
		out.Status = &e.Status
	}
	return out
}

func (h *handlers) apiAudit(c echo.Context) error {
	q, err := bindAuditQuery(c)
	if err != nil {
		return err
	}
	q.Limit, q.Offset = bindPage(c)
	page, err := h.Store.AuditLog(c.Request().Context(), q)
	if err != nil {
		return err
	}
	items := make([]auditEntryJSON, len(page.Entries))
	for i, e := range page.Entries {
		items[i] = newAuditEntry(e)
	}
	return h.ok(c, newPage(items, page.Total, q.Limit, q.Offset), "api.audit")
}

// bindAuditQuery reads the filter of the audit log. An unknown action or result is ignored.
func bindAuditQuery(c echo.Context) (models.AuditQuery, error) {
	q := models.AuditQuery{Username: c.QueryParam("username"), Target: c.QueryParam("target")}
	if action := models.Action(c.QueryParam("action")); slices.Contains(models.Actions, action) {
		q.Action = action
	}
	if result := c.QueryParam("result"); slices.Contains(auditResults, result) {
		q.Result = result
	}
	var err error
	q.StartDay, q.EndDay, err = queryDays(c)
	return q, err
}
