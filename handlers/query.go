package handlers

import (
	"math"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"whalefall/models"
)

// Page sizes of the contract, rows.
const (
	listLimit, maxListLimit   = 20, 200
	databaseLimit, tableLimit = 100, 200
	maxSizeLimit              = 2000
	// maxOffset keeps offset plus limit within every integer type on the way.
	maxOffset = math.MaxInt32
)

var (
	instanceSorts = []string{"id", "name", "db_type", "host", "last_sync_time", "status", "active_dbs", "size", "growth"}
	databaseSorts = []string{"size", "name", "data", "log", "status", "collected"}
	tableSorts    = []string{"size", "data", "index", "unused", "rows", "name", "schema", "growth", "growth_7"}
)

// bindPage reads page and limit. A limit above the maximum counts as the maximum, any other invalid value as absent.
func bindPage(c echo.Context) (limit, offset int) {
	limit = listLimit
	for _, name := range limitNames {
		if n, ok := integer(c.QueryParam(name)); ok && n >= 1 {
			limit = int(min(n, maxListLimit))
		}
	}

	page, ok := integer(c.QueryParam("page"))
	if !ok || page < 1 || page > maxOffset/maxListLimit {
		page = 1
	}
	return limit, (int(page) - 1) * limit
}

// limitNames lists the names of the number of rows of a page; later ones take precedence.
var limitNames = []string{"per_page", "page_size", "limit"}

// bindStrictPage reads the page like bindPage, but rejects what is no positive number.
func bindStrictPage(c echo.Context) (limit, offset int, err error) {
	for _, name := range append([]string{"page"}, limitNames...) {
		text := c.QueryParam(name)
		if n, ok := integer(text); text != "" && (!ok || n < 1) {
			return 0, 0, models.Invalid("query.not_positive", "Name", name)
		}
	}
	limit, offset = bindPage(c)
	return limit, offset, nil
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
	if c.QueryParam("offset") == "" {
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

// bindPageWindow reads limit and page of the later path style, which has no offset.
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

// queryInteger returns a parameter between 1 and highest, or the fallback if it is absent or empty.
func queryInteger(c echo.Context, name string, fallback, highest int) (int, error) {
	if c.QueryParam(name) == "" {
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

// queryDays returns start_date and end_date as YYYY-MM-DD, "" if absent.
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

// queryDay returns a calendar day as YYYY-MM-DD, "" if absent.
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
