package views

import (
	"strconv"
	"strings"
	"time"

	"whalefall/models"
)

// AuditLog is the page with what was done by whom.
type AuditLog struct {
	Listing
	Entries []models.AuditEntry
	Query   models.AuditQuery
}

// machineTime is a time as attributes for programs have it.
func machineTime(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// Today is the calendar day of the page's zone, YYYY-MM-DD.
func (p Page) Today() string { return p.Now.In(p.Zone).Format(time.DateOnly) }

// auditOutcome is how the answer of a failed action says what was wrong: "403 PERMISSION_REQUIRED".
func auditOutcome(e models.AuditEntry) string {
	if e.Status == 0 {
		return string(e.MessageCode)
	}
	return strconv.Itoa(e.Status) + " " + string(e.MessageCode)
}

// auditRequest is what was asked, and the id under which the log has it.
func auditRequest(e models.AuditEntry) string {
	return strings.TrimSpace(e.Method + " " + visible(e.Path) + "\n" + e.RequestID)
}
