package handlers

import (
	"net/http"
	"slices"
	"strings"

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

// databaseName is the database of the path, byte-exact.
func databaseName(c echo.Context) (string, error) {
	name, err := pathSegment(c, "name")
	if err == nil && name == "" {
		err = models.NotFound("database.not_found")
	}
	return name, err
}

// tablePage is a page of the database's snapshot; a database nobody knows has an empty one.
func (h *handlers) tablePage(c echo.Context, q models.TableQuery, instanceID int64, name string) (models.TablePage, error) {
	known, err := h.Store.Database(c.Request().Context(), instanceID, name)
	switch {
	case models.Is(err, models.CodeNotFound):
		return models.TablePage{}, nil
	case err != nil:
		return models.TablePage{}, err
	}
	q.DatabaseID = known.ID
	return h.Store.TableSizes(c.Request().Context(), q)
}

// bindTablePageQuery reads the query of the later path style.
func bindTablePageQuery(c echo.Context) (models.TableQuery, error) {
	limit, offset, err := bindPageWindow(c, tableLimit)
	if err != nil {
		return models.TableQuery{}, err
	}
	q, err := bindTableFilter(c, 0)
	q.Limit, q.Offset = limit, offset
	return q, err
}

// databaseOf is the database with the id of the path; one of a deleted instance is not found.
func (h *handlers) databaseOf(c echo.Context) (models.InstanceDatabase, error) {
	id, err := pathID(c, "database.not_found")
	if err != nil {
		return models.InstanceDatabase{}, err
	}
	database, err := h.Store.DatabaseByID(c.Request().Context(), id)
	if err != nil {
		return models.InstanceDatabase{}, err
	}
	instance, err := h.Store.InstanceHead(c.Request().Context(), database.InstanceID)
	if err == nil {
		about(c, instance.ID, databaseTitle(instance.Name, database.Name))
	}
	return database, err
}

// bindTableQuery reads the filter of one database's table sizes.
func bindTableQuery(c echo.Context, databaseID int64) (models.TableQuery, error) {
	q, err := bindTableFilter(c, databaseID)
	if err == nil {
		q.Limit, q.Offset, err = bindWindow(c, tableLimit)
	}
	return q, err
}

// bindTableFilter is bindTableQuery without the part of the answer that is wanted.
func bindTableFilter(c echo.Context, databaseID int64) (models.TableQuery, error) {
	q := models.TableQuery{
		DatabaseID: databaseID, Schema: c.QueryParam("schema_name"), Table: c.QueryParam("table_name"),
		FoldPartitions: c.QueryParam("partitions") == "fold",
		ParentSchema:   c.QueryParam("parent_schema"), Parent: c.QueryParam("parent_table"),
		Unsettled: c.QueryParam("only") == "unsettled",
		Sort:      "size", Desc: true, Cursor: c.QueryParam("cursor"),
	}
	if given := c.QueryParam("sort"); given != "" {
		q.Sort, q.Desc = signedSort(given)
		if !slices.Contains(tableSorts, q.Sort) {
			return q, models.Invalid("query.sort", "Choices", strings.Join(tableSorts, ", "))
		}
	}
	return q, q.CheckCursor()
}
