package views

import (
	"net/url"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestListing_Window(t *testing.T) {
	t.Parallel()

	for _, c := range []struct {
		page  int
		total int64
		want  []int
	}{
		{1, 0, []int{1}},
		{1, 50, []int{1}},
		{1, 51, []int{1, 2}},
		{1, 100_000, []int{1, 2, 0, 2000}},
		{3, 100_000, []int{1, 2, 3, 4, 0, 2000}},
		{1000, 100_000, []int{1, 0, 999, 1000, 1001, 0, 2000}},
		{2000, 100_000, []int{1, 0, 1999, 2000}},
		{9, 100, []int{1, 2}}, // beyond the end
	} {
		l := Listing{Page: c.page, Limit: 50, Total: c.total}
		if diff := cmp.Diff(c.want, l.Window()); diff != "" {
			t.Errorf("page %d of %d rows: %s", c.page, c.total, diff)
		}
	}
}

func TestListing_URLs(t *testing.T) {
	t.Parallel()

	l := Listing{
		Path: "/instances/7/databases/a%2Fb/tables", Filter: url.Values{"q": {"100%_&"}},
		Sort: "size", Desc: true, Page: 3, Limit: 50, Limits: []int{50, 100}, Next: "c1",
	}
	for name, c := range map[string]struct{ got, query string }{
		"other column":   {l.SortURL("rows", true), "q=100%25_%26&sort=-rows"},
		"same column":    {l.SortURL("size", true), "q=100%25_%26&sort=size"},
		"next page":      {l.PageURL(4), "cursor=c1&page=4&q=100%25_%26&sort=-size"},
		"page before":    {l.PageURL(2), "page=2&q=100%25_%26&sort=-size"},
		"first page":     {l.PageURL(1), "q=100%25_%26&sort=-size"},
		"more rows":      {l.LimitURL(100), "limit=100&q=100%25_%26&sort=-size"},
		"without filter": {l.ClearURL(), "sort=-size"},
	} {
		if want := l.Path + "?" + c.query; c.got != want {
			t.Errorf("%s: %s, want %s", name, c.got, want)
		}
	}
}
