package handlers

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"whalefall/collectors/jobs"
	"whalefall/models"
	"whalefall/views"
)

// partitionLimit is how many partitions open below their table. A link leads to the rest.
const partitionLimit = 500

func (h *handlers) tablesPage(c echo.Context) error {
	m, err := h.tableSizes(c)
	if err != nil {
		return err
	}
	p := h.pageWithNotice(c)
	if run := h.followedRun(c, m.Instance.ID, m.Name); run != nil && run.Status == models.RunSucceeded {
		p.Notice = refreshNotice(p, run.Receipt)
	}
	p.Reload = reloadInterval(m.Bar)
	return h.render(c, http.StatusOK, p, screen{
		title: p.T("tables.page_title", "Name", m.Name), body: views.Tables(p, m), fragments: []string{m.Target, tablesRun},
	})
}

// tablesRun is the element below the tables with the progress of a refresh.
const tablesRun = "tables-run"

// tableSizes returns the part of a snapshot that the request asks for.
func (h *handlers) tableSizes(c echo.Context) (views.TableSizes, error) {
	m := views.TableSizes{Listing: bindListing(c, tableSorts, "size", true, tableLimits)}
	m.Target, m.Query = "tables-view", bindTableFilter(c, pageTableParameters)
	if err := h.bindPathDatabase(c, &m); err != nil {
		return m, err
	}
	m.Can = h.Collect.Capabilities(m.Instance.DBType)
	keepFilter(c, &m.Listing, "schema", "q", "partitions", "parent", "parent_schema", "only")
	m.Query.Sort, m.Query.Desc, m.Query.Limit = m.Sort, m.Desc, m.Limit
	// A search by name may be for a partition.
	m.Query.FoldPartitions = c.QueryParam("partitions") != "all" && m.Query.Parent == "" && m.Query.Table == "" &&
		!m.Query.Unsettled
	if c.Request().Header.Get("HX-Target") != m.Target { // before the sizes, which a run may store meanwhile
		var err error
		if m.Bar, err = h.runBar(c, m); err != nil {
			return m, err
		}
	}
	err := h.readSizes(c, &m)
	m.Bar.Path = m.Path
	return m, err
}

func (h *handlers) readSizes(c echo.Context, m *views.TableSizes) (err error) {
	m.Sizes, err = clampedPage(&m.Listing, func() (models.TablePage, int64, error) {
		m.Query.Offset = m.Offset()
		page, err := h.Store.TableSizes(c.Request().Context(), m.Query)
		return page, page.Total, err
	})
	m.Next, m.Shown = m.Sizes.NextCursor, len(m.Sizes.Rows)
	m.Path = views.TablesPath(m.Instance.ID, m.Sizes.Database.ID, m.Name)
	return err
}

// bindPathDatabase sets the database of the page. A name in the path need not be in the inventory.
func (h *handlers) bindPathDatabase(c echo.Context, m *views.TableSizes) error {
	d, err := h.databaseOfPath(c)
	m.Instance, m.Name = d.instance, d.header.Name
	m.Query.Known, m.Query.InstanceID, m.Query.Database = d.header, d.instance.ID, d.header.Name
	return err
}

// partitionRows answers with the partitions of one table, to be shown below it.
func (h *handlers) partitionRows(c echo.Context) error {
	m := views.TableSizes{Listing: bindListing(c, tableSorts, "size", true, tableLimits)}
	m.Target = "tables-view"
	if err := h.bindPathDatabase(c, &m); err != nil {
		return err
	}
	keepFilter(c, &m.Listing, "parent", "parent_schema")
	filter := bindTableFilter(c, pageTableParameters)
	m.Query.Parent, m.Query.ParentSchema = filter.Parent, filter.ParentSchema
	m.Query.Sort, m.Query.Desc, m.Query.Limit = m.Sort, m.Desc, partitionLimit
	var err error
	if m.Sizes, err = h.Store.TableSizes(c.Request().Context(), m.Query); err != nil {
		return err
	}
	if m.Query.Parent == "" || m.Sizes.Database.ID == 0 {
		return models.NotFound("database.not_found")
	}
	m.Path = views.TablesPath(m.Instance.ID, m.Sizes.Database.ID, m.Name)
	// Partitions are listed; only those with partitions of their own stay folded.
	m.Query.FoldPartitions = true
	return h.fragment(c, http.StatusOK, views.Partitions(h.page(c), m))
}

// refreshNotice returns the notice about a finished refresh.
func refreshNotice(p views.Page, r models.Receipt) string {
	notice := p.T("tables.refreshed", "Saved", r.Saved, "Pruned", r.Pruned, "Elapsed", r.ElapsedMS)
	switch {
	case r.Kept > 0:
		return notice + p.T("tables.refreshed_kept", "N", r.Kept)
	case !r.Complete:
		return notice + p.T("tables.refreshed_incomplete")
	}
	return notice
}

// submitRefresh requests a refresh of the tables, or joins a running one.
func (h *handlers) submitRefresh(c echo.Context) error {
	d, err := h.databaseOfPath(c)
	auditTarget(c, d.instance.ID, d.title())
	if err != nil {
		return err
	}
	run, err := h.Runs.Request(c.Request().Context(), jobs.Tables(requester(c), d.instance.ID, d.header.Name))
	if err != nil {
		return err
	}
	return h.followRun(c, views.TablesPath(d.instance.ID, d.header.ID, d.header.Name), d.instance, run)
}
