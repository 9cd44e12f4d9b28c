package handlers

import (
	"encoding/csv"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
)

const byteOrderMark = "\ufeff"

// formulaPattern is text that a spreadsheet would calculate. Text that was guarded before counts too: what takes the guard
// off again then gives back exactly what was there.
var formulaPattern = regexp.MustCompile("^'*[=+\\-@\t\r\n＝＋－＠]")

// guarded is text that a spreadsheet shows as it is.
func guarded(text string) string {
	if formulaPattern.MatchString(text) {
		return "'" + text
	}
	return text
}

// unguarded is the text that guarded was given.
func unguarded(text string) string {
	inner, is := strings.CutPrefix(text, "'")
	if is && formulaPattern.MatchString(inner) {
		return inner
	}
	return text
}

// csvWriter writes a table cell by cell. Rows end in LF, so that a line break within a cell stays what it is.
type csvWriter struct {
	rows *csv.Writer
	row  []string
	err  error
}

// newCSV writes to w; with bom, Excel knows it for UTF-8.
func newCSV(w io.Writer, bom bool) *csvWriter {
	out := &csvWriter{rows: csv.NewWriter(w)}
	if bom {
		_, out.err = io.WriteString(w, byteOrderMark)
	}
	return out
}

// text adds a cell that no spreadsheet takes for a formula.
func (w *csvWriter) text(s string) { w.row = append(w.row, guarded(s)) }

// number adds a cell with a number, an empty one for nil.
func (w *csvWriter) number(n *int64) {
	cell := ""
	if n != nil {
		cell = strconv.FormatInt(*n, 10)
	}
	w.row = append(w.row, cell)
}

// flag adds a cell with true or false.
func (w *csvWriter) flag(yes bool) { w.row = append(w.row, strconv.FormatBool(yes)) }

// time adds a cell with a time as the API writes it, an empty one for nil.
func (w *csvWriter) time(t *time.Time) {
	cell := ""
	if t != nil {
		cell = timestamp(*t)
	}
	w.row = append(w.row, cell)
}

// end ends the row.
func (w *csvWriter) end() error {
	if w.err == nil {
		w.err = w.rows.Write(w.row)
	}
	w.row = w.row[:0]
	return w.err
}

// flush sends what is held back.
func (w *csvWriter) flush() error {
	if w.err == nil {
		w.rows.Flush()
		w.err = w.rows.Error()
	}
	return w.err
}

// csvHeaders announces a CSV file to be kept under the name.
func csvHeaders(c echo.Context, filename string) {
	c.Response().Header().Set(echo.HeaderContentType, "text/csv; charset=utf-8")
	c.Response().Header().Set(echo.HeaderContentDisposition, attachment(filename))
}

var unsafeInFileName = regexp.MustCompile(`[^A-Za-z0-9._-]+`)

// attachment is the header that names a file to be kept, in ASCII and, where that changes it, as it is.
func attachment(filename string) string {
	plain := unsafeInFileName.ReplaceAllString(filename, "_")
	header := `attachment; filename="` + plain + `"`
	if plain != filename {
		name := strings.ReplaceAll(url.QueryEscape(strings.ToValidUTF8(filename, "_")), "+", "%20")
		header += "; filename*=UTF-8''" + name
	}
	return header
}

// streamEnded ends an answer that is sent while it is read. One that fails half-way breaks the connection: cut short, a
// table would look complete.
func (h *handlers) streamEnded(c echo.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case c.Response().Committed:
		h.fail(err, c)
		panic(http.ErrAbortHandler)
	}
	c.Response().Header().Del(echo.HeaderContentDisposition)
	return err
}
