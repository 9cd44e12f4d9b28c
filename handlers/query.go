package handlers

import (
	"math"
	"slices"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"whalefall/models"
)

// Limits of the contract on how many rows one answer holds.
const (
	instanceLimit, maxInstanceLimit = 20, 100
	databaseLimit, tableLimit       = 100, 200
	maxSizeLimit                    = 2000
	// maxOffset keeps sums of offset and limit within every integer type on the way.
	maxOffset = math.MaxInt32
)

var (
	instanceSorts = []string{"id", "name", "db_type", "host", "last_sync_time", "status", "active_dbs", "size", "growth"}
	databaseSorts = []string{"size", "name", "data", "log", "status", "collected"}
	tableSorts    = []string{"size", "data", "index", "unused", "rows", "name", "schema", "growth"}
)

// bindPage reads page and limit of a list whose parameters fall back to their defaults.
func bindPage(c echo.Context) (limit, offset int) {
	within := func(name string, fallback, highest int) int {
		n, ok := integer(c.QueryParam(name))
		if !ok || n < 1 || n > int64(highest) {
			return fallback
		}
		return int(n)
	}
	limit = within("limit", within("page_size", instanceLimit, maxInstanceLimit), maxInstanceLimit)
	return limit, (within("page", 1, maxOffset/maxInstanceLimit) - 1) * limit
}

// bindInstanceQuery reads the filter of the instance list; what makes no sense falls back to its default.
func bindInstanceQuery(c echo.Context) models.InstanceQuery {
	q := models.InstanceQuery{
		Search: c.QueryParam("search"), IncludeDeleted: isYes(c.QueryParam("include_deleted")),
		Sort: "id", Desc: !strings.EqualFold(c.QueryParam("order"), "asc"),
	}
	q.Limit, q.Offset = bindPage(c)
	q.DBType, _ = models.ParseEngine(c.QueryParam("db_type"))
	if sort := c.QueryParam("sort"); slices.Contains(instanceSorts, sort) {
		q.Sort = sort
	}
	if status := c.QueryParam("status"); slices.Contains([]string{"active", "inactive", "paused", "deleted"}, status) {
		q.Status = status
	}
	for _, tag := range c.QueryParams()["tags"] {
		if tag = strings.TrimSpace(tag); tag != "" {
			q.Tags = append(q.Tags, tag)
		}
	}
	return q
}

// bindDatabaseQuery reads the filter of one instance's database sizes; window reads the part of the answer that is wanted.
func bindDatabaseQuery(c echo.Context, window func(echo.Context, int) (limit, offset int, err error)) (models.DatabaseQuery, error) {
	q := models.DatabaseQuery{
		Name:       c.QueryParam("database_name"),
		LatestOnly: isYes(c.QueryParam("latest_only")), IncludeInactive: isYes(c.QueryParam("include_inactive")),
	}
	var err error
	if q.StartDay, q.EndDay, err = queryDays(c); err != nil {
		return q, err
	}
	if sort, desc := signedSort(c.QueryParam("sort")); slices.Contains(databaseSorts, sort) {
		q.Sort, q.Desc = sort, desc
	}
	q.Limit, q.Offset, err = window(c, databaseLimit)
	return q, err
}

// bindInstanceID is the instance that the query names.
func bindInstanceID(c echo.Context) (int64, error) {
	if c.QueryParam("instance_id") == "" {
		return 0, models.Invalid("query.instance_missing")
	}
	id, err := queryInteger(c, "instance_id", 0, math.MaxInt)
	return int64(id), err
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

// signedSort splits "-size" into its column and whether it is descending.
func signedSort(s string) (sort string, desc bool) {
	sort, desc = strings.CutPrefix(s, "-")
	return sort, desc
}

// bindWindow reads limit and offset.
func bindWindow(c echo.Context, fallback int) (limit, offset int, err error) {
	if limit, err = queryInteger(c, "limit", fallback, maxSizeLimit); err != nil {
		return 0, 0, err
	}
	if !c.QueryParams().Has("offset") {
		return limit, 0, nil
	}
	n, ok := integer(c.QueryParam("offset"))
	switch {
	case !ok:
		return 0, 0, models.Invalid("query.not_integer", "Name", "offset")
	case n < 0:
		return 0, 0, models.Invalid("query.negative", "Name", "offset")
	}
	return limit, int(min(n, maxOffset)), nil
}

// bindPageWindow reads limit and page of the later path style, which knows no offset.
func bindPageWindow(c echo.Context, fallback int) (limit, offset int, err error) {
	if c.QueryParams().Has("offset") {
		return 0, 0, models.Invalid("query.offset_unsupported")
	}
	if limit, err = queryInteger(c, "limit", fallback, maxSizeLimit); err != nil {
		return 0, 0, err
	}
	page, err := queryInteger(c, "page", 1, maxOffset/maxSizeLimit)
	return limit, (page - 1) * limit, err
}

// queryInteger is a parameter between 1 and highest; absent it is the fallback.
func queryInteger(c echo.Context, name string, fallback, highest int) (int, error) {
	if !c.QueryParams().Has(name) {
		return fallback, nil
	}
	n, ok := integer(c.QueryParam(name))
	switch {
	case !ok:
		return 0, models.Invalid("query.not_integer", "Name", name)
	case n < 1:
		return 0, models.Invalid("query.too_small", "Name", name, "Limit", 1)
	case n > int64(highest):
		return 0, models.Invalid("query.too_large", "Name", name, "Limit", highest)
	}
	return int(n), nil
}

// queryDays are the first and the last calendar day; empty where none is given.
func queryDays(c echo.Context) (first, last string, err error) {
	if first, err = queryDay(c, "start_date"); err != nil {
		return "", "", err
	}
	if last, err = queryDay(c, "end_date"); err != nil {
		return "", "", err
	}
	if first != "" && last != "" && first > last {
		return "", "", models.Invalid("query.days_reversed")
	}
	return first, last, nil
}

// queryDay is a calendar day; empty when it is not given.
func queryDay(c echo.Context, name string) (string, error) {
	day := c.QueryParam(name)
	if day == "" {
		return "", nil
	}
	if _, err := time.Parse(time.DateOnly, day); err != nil {
		return "", models.Invalid("query.not_day", "Name", name)
	}
	return day, nil
}
