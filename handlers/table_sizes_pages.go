package handlers

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"whalefall/models"
	"whalefall/views"
)

// partitionLimit is how many partitions open under their table; beyond them a link leads to all.
const partitionLimit = 500

func (h *handlers) tablesPage(c echo.Context) error {
	m, err := h.tableSizes(c)
	if err != nil {
		return err
	}
	p := h.pageWithNotice(c)
	if run := h.followed(c, m.Instance.ID, m.Name); run != nil && run.Status == models.RunSucceeded {
		p.Notice = refreshed(p, run.Receipt)
	}
	p.Reload = reloadsWith(m.Bar)
	return h.render(c, http.StatusOK, p, screen{
		title: p.T("tables.page_title", "Name", m.Name), body: views.Tables(p, m), fragments: []string{m.Target, tablesRun},
	})
}

// tablesRun is the foot of the tables.
const tablesRun = "tables-run"

// tableSizes is what the address asks to see of a database's snapshot.
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
	m.Query.FoldPartitions = c.QueryParam("partitions") != "all" && m.Query.Parent == "" && m.Query.Table == "" && !m.Query.Unsettled
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
	m.Sizes, err = lastPageAtMost(&m.Listing, func() (models.TablePage, int64, error) {
		m.Query.Offset = m.Offset()
		page, err := h.Store.TableSizes(c.Request().Context(), m.Query)
		return page, page.Total, err
	})
	m.Next, m.Shown = m.Sizes.NextCursor, len(m.Sizes.Rows)
	m.Path = views.TablesPath(m.Instance.ID, m.Sizes.Database.ID, m.Name)
	return err
}

// bindPathDatabase sets which database the page is about. A name in the path need not be known to the inventory.
func (h *handlers) bindPathDatabase(c echo.Context, m *views.TableSizes) error {
	if c.Param("name") == "" {
		d, err := h.databaseByID(c)
		m.Instance, m.Name, m.Query.DatabaseID = d.instance, d.header.Name, d.header.ID
		return err
	}
	d, err := h.databaseByName(c)
	m.Instance, m.Name = d.instance, d.header.Name
	m.Query.InstanceID, m.Query.Database = d.instance.ID, d.header.Name
	return err
}

// partitionRows are the rows below one table, to be opened in place.
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
	// Below its table everything is shown as it is; only what has partitions itself stays folded.
	m.Query.FoldPartitions = true
	return h.fragment(c, http.StatusOK, views.Partitions(h.page(c), m))
}

// refreshed is what a refresh did, and whether a part of it is missing.
func refreshed(p views.Page, r models.Receipt) string {
	notice := p.T("tables.refreshed", "Saved", r.Saved, "Pruned", r.Pruned, "Elapsed", r.ElapsedMS)
	switch {
	case r.Kept > 0:
		return notice + p.T("tables.refreshed_kept", "N", r.Kept)
	case !r.Complete:
		return notice + p.T("tables.refreshed_incomplete")
	}
	return notice
}

// submitRefresh begins to collect the tables, or joins who does.
func (h *handlers) submitRefresh(c echo.Context) error {
	d, err := h.databaseOfPath(c)
	auditTarget(c, d.instance.ID, d.title())
	if err != nil {
		return err
	}
	run, err := h.Collect.StartRefresh(c.Request().Context(), requester(c), d.instance.ID, d.header.Name)
	if err != nil {
		return err
	}
	return h.follow(c, views.TablesPath(d.instance.ID, d.header.ID, d.header.Name), d.instance, run)
}
