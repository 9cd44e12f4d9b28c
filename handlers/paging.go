package handlers

import "github.com/labstack/echo/v4"

// pageJSON is one page of a numbered list.
type pageJSON[T any] struct {
	Items []T   `json:"items"`
	Total int64 `json:"total"`
	Page  int   `json:"page"`
	Pages int64 `json:"pages"`
	Limit int   `json:"limit"`
}

func newPage[T any](items []T, total int64, limit, offset int) pageJSON[T] {
	return pageJSON[T]{
		Items: items,
		Total: total,
		Page:  pageNumber(limit, offset),
		Pages: pageCount(total, limit),
		Limit: limit,
	}
}

// windowJSON describes the part of the rows in an answer: from an offset, or by page number in the later path style.
type windowJSON struct {
	Total  int64  `json:"total"`
	Limit  int    `json:"limit"`
	Offset *int   `json:"offset,omitempty"`
	Page   *int   `json:"page,omitempty"`
	Pages  *int64 `json:"pages,omitempty"`
}

func newWindow(total int64, limit, offset int, numbered bool) windowJSON {
	if !numbered {
		return windowJSON{Total: total, Limit: limit, Offset: &offset}
	}
	number, pages := pageNumber(limit, offset), pageCount(total, limit)
	return windowJSON{Total: total, Limit: limit, Page: &number, Pages: &pages}
}

func pageNumber(limit, offset int) int { return offset/limit + 1 }

func pageCount(total int64, limit int) int64 { return (total + int64(limit) - 1) / int64(limit) }

// slicePage returns the requested page of a list that is complete in memory.
func slicePage[T, J any](c echo.Context, all []T, shape func(T) J) pageJSON[J] {
	limit, offset := bindPage(c)
	items := []J{}
	for i := min(offset, len(all)); i < min(offset+limit, len(all)); i++ {
		items = append(items, shape(all[i]))
	}
	return newPage(items, int64(len(all)), limit, offset)
}
