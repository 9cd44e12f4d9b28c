package handlers

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"whalefall/models"
	"whalefall/views"
)

var auditLimits = []int{50, 100, 200}

func (h *handlers) auditPage(c echo.Context) error {
	m, err := h.auditLog(c)
	if err != nil {
		return err
	}
	p := h.pageWithNotice(c)
	return h.render(c, http.StatusOK, p,
		screen{title: p.T("audit.title"), body: views.Audit(p, m), fragments: []string{m.Target}})
}

func (h *handlers) auditLog(c echo.Context) (views.AuditLog, error) {
	m := views.AuditLog{Listing: bindListing(c, nil, "at", true, auditLimits)}
	m.Path, m.Target, m.Push = "/audit", "audit-list", true
	keepFilter(c, &m.Listing, "username", "action", "result", "target", "start_date", "end_date")
	var err error
	if m.Query, err = bindAuditQuery(c); err != nil {
		return m, auditPageError(err)
	}
	m.Query.Limit = m.Limit
	page, err := clampedPage(&m.Listing, func() (models.AuditPage, int64, error) {
		m.Query.Offset = m.Offset()
		page, err := h.Store.AuditLog(c.Request().Context(), m.Query)
		return page, page.Total, err
	})
	m.Entries, m.Shown = page.Entries, len(page.Entries)
	return m, err
}

// auditPageError replaces the message about reversed days with one in the words of the page.
func auditPageError(err error) error {
	if models.AsError(err).Key == "query.days_reversed" {
		return models.Invalid("audit.days_reversed")
	}
	return err
}
