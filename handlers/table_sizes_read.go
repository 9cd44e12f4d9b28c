package handlers

import (
	"net/http"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"whalefall/models"
)

// tableRead is a validated request for a stored snapshot.
type tableRead struct {
	query    models.TableQuery
	format   format
	bom      bool
	numbered bool // the later path style, which counts pages

	pathDatabase
}

// bindTableRead reads what both path styles have in common; window reads filter, limit and offset. Formats with all
// rows ignore limit and offset, but these must still be valid.
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
	r, err := bindTableRead(c, bindTableQuery)
	if err != nil {
		return err
	}
	if r.pathDatabase, err = h.databaseOfPath(c); err != nil {
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
	if r.pathDatabase, err = h.databaseOfPath(c); err != nil {
		return err
	}
	return h.readTables(c, r)
}

// readTables answers from the stored snapshot. The header alone decides whether the client has the current answer.
func (h *handlers) readTables(c echo.Context, r tableRead) error {
	r.query.DatabaseID = r.header.ID
	if err := r.query.CheckCursor(); err != nil {
		return err
	}
	if tag := h.tableTag(c, r, r.header); hasCurrent(c, tag) {
		allowRevalidation(c, tag)
		return c.NoContent(http.StatusNotModified)
	}
	if r.format != formatJSON {
		return h.exportTables(c, r)
	}
	q := r.query
	q.Known = r.header
	page, err := h.Store.TableSizes(c.Request().Context(), q)
	if err != nil {
		return err
	}
	if err := r.requireSame(page.Database); err != nil {
		return err
	}
	allowRevalidation(c, h.tableTag(c, r, page.Database))
	return h.ok(c, newTableSizes(r.query, page, r.numbered), "api.table_sizes")
}

// requireSame returns a 404 if the instance was deleted since the request was validated. Answering with an empty
// snapshot would be wrong.
func (r tableRead) requireSame(found models.InstanceDatabase) error {
	if found.ID != r.header.ID {
		return models.NotFound("instance.not_found")
	}
	return nil
}

// tableTag returns the ETag of the answer to r from the snapshot with the header. The header's ID is 0 if the database
// is unknown by now.
func (h *handlers) tableTag(c echo.Context, r tableRead, header models.InstanceDatabase) string {
	var collected int64
	if header.CollectedAt != nil {
		collected = header.CollectedAt.UnixMicro()
	}
	return h.entityTag(c, r.instance.ID, r.header.Name, r.numbered, r.format, r.bom, r.query,
		header.ID, header.SnapshotNo, collected)
}

// databaseName returns the database name of the path, byte-exact.
func databaseName(c echo.Context) (string, error) {
	name, err := pathSegment(c, "name")
	if err == nil && name == "" {
		err = models.NotFound("database.not_found")
	}
	return name, err
}

// bindTablePageQuery reads the query of the later path style.
func bindTablePageQuery(c echo.Context) (models.TableQuery, error) {
	limit, offset, err := bindPageWindow(c, tableLimit)
	if err != nil {
		return models.TableQuery{}, err
	}
	q, err := bindAPITableFilter(c)
	q.Limit, q.Offset = limit, offset
	return q, err
}

// pathDatabase is the database that a path names.
type pathDatabase struct {
	instance models.Instance         // without credential and tags
	header   models.InstanceDatabase // its ID is 0 if the inventory does not know the database
}

// title returns what the audit log calls the database.
func (d pathDatabase) title() string { return databaseTitle(d.instance.Name, d.header.Name) }

// databaseOfPath returns the database that the path names by its ID, or by instance and name.
func (h *handlers) databaseOfPath(c echo.Context) (pathDatabase, error) {
	if c.Param("name") == "" {
		return h.databaseByID(c)
	}
	id, malformed := pathID(c, "instance.not_found")
	name, unnamed := databaseName(c)
	if malformed == nil && unnamed == nil {
		header, instance, err := h.Store.PlacedDatabase(c.Request().Context(), id, name)
		if !models.Is(err, models.CodeNotFound) {
			return pathDatabase{instance: instance, header: header}, err
		}
	}
	return h.databaseByName(c)
}

// databaseByID returns the database whose ID is in the path. One of a deleted instance is not found.
func (h *handlers) databaseByID(c echo.Context) (pathDatabase, error) {
	id, err := pathID(c, "database.not_found")
	if err != nil {
		return pathDatabase{}, err
	}
	header, instance, err := h.Store.PlacedDatabaseByID(c.Request().Context(), id)
	return pathDatabase{instance: instance, header: header}, err
}

// databaseByName returns the database whose instance and name are in the path, without asking the inventory for it. On
// an error only ID and name of the instance may be set.
func (h *handlers) databaseByName(c echo.Context) (d pathDatabase, err error) {
	if d.instance, err = h.instanceHeadOf(c); err != nil {
		return d, err
	}
	name, err := databaseName(c)
	d.header = models.InstanceDatabase{InstanceID: d.instance.ID, Name: name}
	return d, err
}

// bindTableQuery reads the filter of one database's table sizes.
func bindTableQuery(c echo.Context) (models.TableQuery, error) {
	q, err := bindAPITableFilter(c)
	if err != nil {
		return q, err
	}
	q.Limit, q.Offset, err = bindWindow(c, tableLimit)
	return q, err
}

// tableParameters holds the query parameters of the filter whose names differ between pages and API.
type tableParameters struct{ schema, table, parent string }

var (
	apiTableParameters  = tableParameters{schema: "schema_name", table: "table_name", parent: "parent_table"}
	pageTableParameters = tableParameters{schema: "schema", table: "q", parent: "parent"}
)

// bindTableFilter reads the filter of table sizes, for pages and API alike.
func bindTableFilter(c echo.Context, names tableParameters) models.TableQuery {
	return models.TableQuery{
		Schema: c.QueryParam(names.schema), Table: c.QueryParam(names.table),
		Parent: c.QueryParam(names.parent), ParentSchema: c.QueryParam("parent_schema"),
		Unsettled: c.QueryParam("only") == "unsettled", Cursor: c.QueryParam("cursor"),
	}
}

// bindAPITableFilter reads filter and order of the API. By default it lists partitions and sorts the largest tables
// first.
func bindAPITableFilter(c echo.Context) (models.TableQuery, error) {
	q := bindTableFilter(c, apiTableParameters)
	q.FoldPartitions = c.QueryParam("partitions") == "fold"
	q.Sort, q.Desc = "size", true
	if given := c.QueryParam("sort"); given != "" {
		q.Sort, q.Desc = signedSort(given)
		if !slices.Contains(tableSorts, q.Sort) {
			return q, models.Invalid("query.sort", "Choices", strings.Join(tableSorts, ", "))
		}
	}
	err := q.CheckCursor()
	return q, err
}
