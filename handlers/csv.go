package handlers

import (
	"bufio"
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

// formulaPattern matches text that a spreadsheet would evaluate. It also matches escaped text, so that unescapeFormula
// restores exactly what escapeFormula was given.
var formulaPattern = regexp.MustCompile("^'*[=+\\-@\t\r\n＝＋－＠]")

// escapeFormula returns text that a spreadsheet shows as it is.
func escapeFormula(text string) string {
	if formulaPattern.MatchString(text) {
		return "'" + text
	}
	return text
}

// unescapeFormula returns the text that escapeFormula was given.
func unescapeFormula(text string) string {
	inner, is := strings.CutPrefix(text, "'")
	if is && formulaPattern.MatchString(inner) {
		return inner
	}
	return text
}

// csvWriter writes rows cell by cell. Rows end in LF, so that line breaks in cells survive. All text is quoted: in half
// of the world spreadsheets split unquoted cells at semicolons.
type csvWriter struct {
	out *bufio.Writer
	row []string
	err error
}

// newCSV returns a writer to w. With bom, Excel recognizes the file as UTF-8.
func newCSV(w io.Writer, bom bool) *csvWriter {
	out := &csvWriter{out: bufio.NewWriter(w)}
	if bom {
		_, out.err = out.out.WriteString(byteOrderMark)
	}
	return out
}

// heading adds the name of a column.
func (w *csvWriter) heading(name string) { w.row = append(w.row, name) }

// text adds a text cell, escaped for spreadsheets. No text is an empty cell.
func (w *csvWriter) text(s string) {
	if s != "" {
		s = `"` + strings.ReplaceAll(escapeFormula(s), `"`, `""`) + `"`
	}
	w.row = append(w.row, s)
}

// number adds a number cell; nil is an empty cell.
func (w *csvWriter) number(n *int64) {
	cell := ""
	if n != nil {
		cell = strconv.FormatInt(*n, 10)
	}
	w.row = append(w.row, cell)
}

// flag adds true or false.
func (w *csvWriter) flag(yes bool) { w.row = append(w.row, strconv.FormatBool(yes)) }

// time adds a time in the format of the API; nil is an empty cell.
func (w *csvWriter) time(t *time.Time) {
	cell := ""
	if t != nil {
		cell = timestamp(*t)
	}
	w.row = append(w.row, cell)
}

// end writes the row.
func (w *csvWriter) end() error {
	if w.err == nil {
		_, w.err = w.out.WriteString(strings.Join(w.row, ",") + "\n")
	}
	w.row = w.row[:0]
	return w.err
}

// flush writes buffered rows.
func (w *csvWriter) flush() error {
	if w.err == nil {
		w.err = w.out.Flush()
	}
	return w.err
}

// csvHeaders sets the headers of a CSV download with the file name.
func csvHeaders(c echo.Context, filename string) {
	c.Response().Header().Set(echo.HeaderContentType, "text/csv; charset=utf-8")
	c.Response().Header().Set(echo.HeaderContentDisposition, attachment(filename))
}

var unsafeInFileName = regexp.MustCompile(`[^A-Za-z0-9._-]+`)

// attachment returns the Content-Disposition of a download: the file name in ASCII and, if that changes it, in UTF-8.
func attachment(filename string) string {
	plain := unsafeInFileName.ReplaceAllString(filename, "_")
	header := `attachment; filename="` + plain + `"`
	if plain != filename {
		name := strings.ReplaceAll(url.QueryEscape(strings.ToValidUTF8(filename, "_")), "+", "%20")
		header += "; filename*=UTF-8''" + name
	}
	return header
}

// streamEnded ends a streamed answer. If it failed half-way, it breaks the connection, since a truncated table would
// look complete.
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
