package views

import (
	"strconv"
	"strings"
	"time"

	"whalefall/models"
)

// AuditLog is the model of the page with the audit log.
type AuditLog struct {
	Listing
	Entries []models.AuditEntry
	Query   models.AuditQuery
}

// machineTime formats a time for attributes that programs read, in UTC.
func machineTime(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// Today returns the current day in the page's zone, as YYYY-MM-DD.
func (p Page) Today() string { return p.Now.In(p.Zone).Format(time.DateOnly) }

// auditOutcome returns the status and code with which a failed action was answered: "403 PERMISSION_REQUIRED".
func auditOutcome(e models.AuditEntry) string {
	if e.Status == 0 {
		return string(e.MessageCode)
	}
	return strconv.Itoa(e.Status) + " " + string(e.MessageCode)
}

// auditRequest returns the request line of an action and the request ID to look for in the log.
func auditRequest(e models.AuditEntry) string {
	return strings.TrimSpace(e.Method + " " + visible(e.Path) + "\n" + e.RequestID)
}
