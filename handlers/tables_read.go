package handlers

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"whalefall/models"
)

// tableRead is a question about a stored snapshot, as it was understood.
type tableRead struct {
	query    models.TableQuery
	format   format
	bom      bool
	numbered bool // the later path style, which counts pages

	instance models.Instance
	header   models.InstanceDatabase // its ID is 0 when the database is not known
}

// bindTableRead reads what both path styles ask for; window reads the part of the rows that is wanted. Formats that give
// all rows have none, though what is said of it must be right.
func bindTableRead(c echo.Context, window func(echo.Context) (models.TableQuery, error)) (r tableRead, err error) {
	if r.query, err = window(c); err != nil {
		return r, err
	}
	if r.format, err = bindFormat(c); err != nil {
		return r, err
	}
	if r.format != formatJSON {
		r.query.Limit, r.query.Offset = 0, 0
		r.bom = r.format == formatCSV && isYes(c.QueryParam("bom"))
	}
	return r, nil
}

func (h *handlers) apiTableSizes(c echo.Context) error {
	r, err := bindTableRead(c, func(c echo.Context) (models.TableQuery, error) { return bindTableQuery(c, 0) })
	if err != nil {
		return err
	}
	if r.instance, err = h.instanceHeadOf(c); err != nil {
		return err
	}
	name, err := databaseName(c)
	if err != nil {
		return err
	}
	r.header, err = h.Store.Database(c.Request().Context(), r.instance.ID, name)
	switch {
	case models.Is(err, models.CodeNotFound):
		r.header = models.InstanceDatabase{InstanceID: r.instance.ID, Name: name}
	case err != nil:
		return err
	}
	return h.readTables(c, r)
}

func (h *handlers) apiTableSizesByID(c echo.Context) error {
	r, err := bindTableRead(c, bindTablePageQuery)
	if err != nil {
		return err
	}
	r.numbered = true
	if r.header, err = h.databaseOf(c); err != nil {
		return err
	}
	if r.instance, err = h.Store.InstanceHead(c.Request().Context(), r.header.InstanceID); err != nil {
		return err
	}
	return h.readTables(c, r)
}

// readTables answers from the stored snapshot. Its header alone tells whether the asker has the answer already.
func (h *handlers) readTables(c echo.Context, r tableRead) error {
	r.query.DatabaseID = r.header.ID
	if err := r.query.CheckCursor(); err != nil {
		return err
	}
	if tag := h.tableTag(c, r, r.header); isKept(c, tag) {
		revalidated(c, tag)
		return c.NoContent(http.StatusNotModified)
	}
	if r.format != formatJSON {
		return h.exportTables(c, r)
	}
	page, err := h.Store.TableSizes(c.Request().Context(), r.query)
	if err != nil {
		return err
	}
	if err := r.requireStill(page.Database); err != nil {
		return err
	}
	revalidated(c, h.tableTag(c, r, page.Database))
	return h.ok(c, newTableSizes(r.query, page, r.numbered), "api.table_sizes")
}

// requireStill refuses what was deleted, with its instance, after the question was understood: to answer that it holds
// no table would be wrong.
func (r tableRead) requireStill(found models.InstanceDatabase) error {
	if found.ID != r.header.ID {
		return models.NotFound("instance.not_found")
	}
	return nil
}

// tableTag is the tag of what r asks about the snapshot with the header. The header's ID is 0 when the database is not
// known, or not any more.
func (h *handlers) tableTag(c echo.Context, r tableRead, header models.InstanceDatabase) string {
	var collected int64
	if header.CollectedAt != nil {
		collected = header.CollectedAt.UnixMicro()
	}
	return h.entityTag(c, r.instance.ID, r.header.Name, r.numbered, r.format, r.bom, r.query,
		header.ID, header.SnapshotNo, collected)
}
