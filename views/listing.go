package views

import (
	"maps"
	"net/url"
	"strconv"
)

// Listing is the state of a sorted, paged list, as encoded in its address.
type Listing struct {
	Path   string     // address without its query
	Filter url.Values // query parameters of the filter only
	Sort   string     // column
	Desc   bool
	Page   int // from 1
	Limit  int // rows per page
	Limits []int
	Shown  int // rows on this page
	Total  int64
	Next   string // cursor of the next page; empty: pages are addressed by number
	Target string // ID of the element that contains the list
	Push   bool   // each view of the list is an entry of the browser's history
}

// sortValue encodes a column and direction for an address: "-size".
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

// SortURL returns the list sorted by the column; reversed if it is sorted by it already.
func (l Listing) SortURL(column string, descFirst bool) string {
	desc := descFirst
	if l.Sort == column {
		desc = !l.Desc
	}
	return l.address(sortValue(column, desc), 1, l.Limit, "")
}

// AriaSort returns the aria-sort of the column's header.
func (l Listing) AriaSort(column string) string {
	switch {
	case l.Sort != column:
		return "none"
	case l.Desc:
		return "descending"
	}
	return "ascending"
}

// PageURL returns the address of a page by its number. That of the next page has the cursor, too.
func (l Listing) PageURL(page int) string {
	cursor := ""
	if page == l.Page+1 {
		cursor = l.Next
	}
	return l.address(sortValue(l.Sort, l.Desc), page, l.Limit, cursor)
}

// LimitURL returns the address of the first page with another number of rows.
func (l Listing) LimitURL(limit int) string {
	return l.address(sortValue(l.Sort, l.Desc), 1, limit, "")
}

// ClearURL returns the address of the list without its filter.
func (l Listing) ClearURL() string {
	l.Filter = nil
	return l.LimitURL(l.Limit)
}

// Offset returns how many rows precede this page.
func (l Listing) Offset() int { return (l.Page - 1) * l.Limit }

// Pages returns the number of pages, at least 1.
func (l Listing) Pages() int { return max(1, int((l.Total+int64(l.Limit)-1)/int64(l.Limit))) }

// Window returns the page numbers to link to: the first, the last, and those around this one, with 0 for a gap.
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

// Filtered reports whether the list has a filter.
func (l Listing) Filtered() bool { return len(l.Filter) > 0 }
