package handlers

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"whalefall/models"
	"whalefall/views"
)

func (h *handlers) instancesPage(c echo.Context) error {
	m, err := h.instanceList(c)
	if err != nil {
		return err
	}
	p := h.pageWithNotice(c)
	return h.render(c, http.StatusOK, p, screen{
		title: p.T("instances.title"), body: views.Instances(p, m), fragments: []string{m.Target},
	})
}

func (h *handlers) instanceList(c echo.Context) (views.InstanceList, error) {
	ctx := c.Request().Context()
	m := views.InstanceList{
		Listing: bindListing(c, instanceSorts, "name", false, instanceLimits),
		Query:   bindInstanceQuery(c),
	}
	m.Path, m.Target, m.Push = "/instances", "instance-list", true
	keepFilter(c, &m.Listing, "search", "db_type", "status", "tags")
	m.Query.Sort, m.Query.Desc, m.Query.Limit = m.Sort, m.Desc, m.Limit
	page, err := clampedPage(&m.Listing, func() (models.InstancePage, int64, error) {
		m.Query.Offset = m.Offset()
		page, err := h.Store.Instances(ctx, m.Query)
		return page, page.Total, err
	})
	if err != nil {
		return m, err
	}
	m.Items, m.Shown = page.Items, len(page.Items)
	m.Tags, err = h.Store.Tags(ctx)
	return m, err
}

func (h *handlers) submitInstanceRestore(c echo.Context) error {
	id, err := pathID(c, "instance.not_found")
	if err != nil {
		return err
	}
	restored, _, err := h.restoreInstance(c, id)
	if err != nil {
		return err
	}
	p := h.page(c)
	notice := p.T("notice.restored", "Name", restored.Name)
	if !restored.IsActive {
		notice = p.T("notice.restored_inactive", "Name", restored.Name)
	}
	return h.answerChanged(c, "instances-changed", views.InstancePath(id), notice)
}

func (h *handlers) submitInstanceDelete(c echo.Context) error {
	id, err := pathID(c, "instance.not_found")
	if err != nil {
		return err
	}
	deleted, err := h.deleteInstance(c, id)
	if err != nil {
		return err
	}
	return h.redirectWithNotice(c, "/instances", h.page(c).T("notice.deleted", "Name", deleted.Name))
}

func (h *handlers) instancePage(c echo.Context) error {
	m, err := h.instanceDetail(c)
	if err != nil {
		return err
	}
	p := h.pageWithNotice(c)
	if run := h.followedRun(c, m.Instance.ID, ""); run != nil && run.Status == models.RunSucceeded {
		p.Notice = syncNotice(p, m.Instance.DBType, *run)
	}
	p.Reload = reloadInterval(m.Bar)
	return h.render(c, http.StatusOK, p, screen{
		title: m.Instance.Name, body: views.Instance(p, m),
		fragments: []string{"instance-facts", "schedule-notice", "capacity-cards", syncRun, m.Target},
	})
}

func (h *handlers) instanceDetail(c echo.Context) (views.InstanceDetail, error) {
	ctx := c.Request().Context()
	m := views.InstanceDetail{Listing: bindListing(c, databaseSorts, "size", true, databaseLimits)}
	id, err := pathID(c, "instance.not_found")
	if err != nil {
		return m, err
	}
	if m.Instance, err = h.Store.Instance(ctx, id); err != nil {
		return m, err
	}
	if m.Schedule, err = h.scheduleShown(c, m.Instance); err != nil {
		return m, err
	}
	if m.Bar, err = h.syncBar(c, m.Instance); err != nil {
		return m, err
	}
	if m.Cards, err = h.Store.Cards(ctx, id); err != nil {
		return m, err
	}
	m.Path, m.Target = views.InstancePath(id), "database-list"
	m.Name, m.ShowGone = c.QueryParam("q"), isYes(c.QueryParam("gone"))
	keepFilter(c, &m.Listing, "q", "gone")
	m.Sizes, err = clampedPage(&m.Listing, func() (models.DatabaseSizePage, int64, error) {
		page, err := h.Store.Databases(ctx, models.DatabaseQuery{
			InstanceID: id, Name: m.Name, IncludeInactive: m.ShowGone, LatestOnly: true,
			Sort: m.Sort, Desc: m.Desc, Limit: m.Limit, Offset: m.Offset(),
		})
		return page, page.Total, err
	})
	m.Shown = len(m.Sizes.Rows)
	return m, err
}

// inventoryChanged is the event on which the page of an instance reloads what it shows.
const inventoryChanged = "inventory-changed"

func (h *handlers) testSavedConnection(c echo.Context) error {
	instance, err := h.instanceHeadOf(c)
	auditTarget(c, instance.ID, instance.Name)
	if err != nil {
		return err
	}
	version, err := h.Collect.TestInstance(c.Request().Context(), instance.ID)
	if err != nil {
		return err
	}
	return h.answerChanged(c, inventoryChanged, views.InstancePath(instance.ID),
		h.page(c).T("notice.connected", "Version", version.Full))
}
