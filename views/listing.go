package views

import (
	"maps"
	"net/url"
	"strconv"
)

// Listing is the state of a sorted, paged list as its address has it.
type Listing struct {
	Path   string     // address without its query
	Filter url.Values // query members that narrow the list down; nothing else
	Sort   string     // column
	Desc   bool
	Page   int // from 1
	Limit  int // rows a page
	Limits []int
	Shown  int // rows on this page
	Total  int64
	Next   string // cursor of the next page; empty: pages go by number
	Target string // id of the element that holds the list
	Push   bool   // each view of the list is a step of the history
}

// sortValue is a column and direction as addresses have them: "-size".
func sortValue(column string, desc bool) string {
	if desc {
		return "-" + column
	}
	return column
}

func (l Listing) address(sort string, page, limit int, cursor string) string {
	query := maps.Clone(l.Filter)
	if query == nil {
		query = url.Values{}
	}
	query.Set("sort", sort)
	if page > 1 {
		query.Set("page", strconv.Itoa(page))
	}
	if cursor != "" {
		query.Set("cursor", cursor)
	}
	if limit != l.Limits[0] {
		query.Set("limit", strconv.Itoa(limit))
	}
	return l.Path + "?" + query.Encode()
}

// SortURL sorts by the column; by the one that sorts already, in the other direction.
func (l Listing) SortURL(column string, descFirst bool) string {
	desc := descFirst
	if l.Sort == column {
		desc = !l.Desc
	}
	return l.address(sortValue(column, desc), 1, l.Limit, "")
}

// AriaSort is the aria-sort of the column's header.
func (l Listing) AriaSort(column string) string {
	switch {
	case l.Sort != column:
		return "none"
	case l.Desc:
		return "descending"
	}
	return "ascending"
}

// PageURL is a page by its number; the next page carries the cursor, too.
func (l Listing) PageURL(page int) string {
	cursor := ""
	if page == l.Page+1 {
		cursor = l.Next
	}
	return l.address(sortValue(l.Sort, l.Desc), page, l.Limit, cursor)
}

// LimitURL is the first page with another number of rows.
func (l Listing) LimitURL(limit int) string {
	return l.address(sortValue(l.Sort, l.Desc), 1, limit, "")
}

// ClearURL is the list without its filter.
func (l Listing) ClearURL() string {
	l.Filter = nil
	return l.LimitURL(l.Limit)
}

// Offset is how many rows come before this page.
func (l Listing) Offset() int { return (l.Page - 1) * l.Limit }

// Pages is the number of pages, at least 1.
func (l Listing) Pages() int { return max(1, int((l.Total+int64(l.Limit)-1)/int64(l.Limit))) }

// Window is the page numbers to link to, 0 for a gap: the first, the last, and those around this one.
func (l Listing) Window() []int {
	var window []int
	last := 0
	for _, page := range []int{1, l.Page - 1, l.Page, l.Page + 1, l.Pages()} {
		if page <= last || page > l.Pages() {
			continue
		}
		if page > last+1 {
			window = append(window, 0)
		}
		window = append(window, page)
		last = page
	}
	return window
}

// Filtered reports whether anything narrows the list down.
func (l Listing) Filtered() bool { return len(l.Filter) > 0 }
