package handlers

import (
	"net/url"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"whalefall/views"
)

// bindListing reads sort order and page of a list. Invalid values fall back to the given sort and the first limit.
func bindListing(c echo.Context, sorts []string, sort string, desc bool, limits []int) views.Listing {
	l := views.Listing{Sort: sort, Desc: desc, Page: 1, Limit: limits[0], Limits: limits, Filter: url.Values{}}
	if column, descending := signedSort(c.QueryParam("sort")); slices.Contains(sorts, column) {
		l.Sort, l.Desc = column, descending
	}
	if n, ok := integer(c.QueryParam("limit")); ok && slices.Contains(limits, int(n)) {
		l.Limit = int(n)
	}
	if n, ok := integer(c.QueryParam("page")); ok && n > 1 && n <= maxOffset/maxSizeLimit {
		l.Page = int(n)
	}
	return l
}

// keepFilter copies query parameters that filter the list, for the links of its pages.
func keepFilter(c echo.Context, l *views.Listing, names ...string) {
	for _, name := range names {
		for _, value := range c.QueryParams()[name] {
			if strings.TrimSpace(value) != "" {
				l.Filter.Add(name, value)
			}
		}
	}
}

// Selectable page sizes, rows; the first is the default.
var (
	instanceLimits = []int{20, 50, 100}
	databaseLimits = []int{50, 100, 200}
	tableLimits    = []int{50, 100, 200}
)

// clampedPage reads a page of a list, or its last page if l is beyond the end, and sets the total.
func clampedPage[T any](l *views.Listing, read func() (page T, total int64, err error)) (T, error) {
	page, total, err := read()
	l.Total = total
	if err != nil || l.Page <= l.Pages() {
		return page, err
	}
	l.Page = l.Pages()
	page, l.Total, err = read()
	return page, err
}
