package handlers

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"fmt"
	"net/http"

	"github.com/labstack/echo/v4"

	"whalefall/views"
)

// committed is the document as it is kept beside the code and served.
//
//go:embed openapi.json
var committed []byte

var committedTag = func() string {
	sum := sha256.Sum256(committed)
	return `W/"` + hex.EncodeToString(sum[:16]) + `"`
}()

// CheckDocument is an error that names the first line in which the committed document is not what the routes produce.
func CheckDocument() error {
	want, have := bytes.Split(Document(), []byte("\n")), bytes.Split(committed, []byte("\n"))
	for i := range max(len(want), len(have)) {
		if w, h := lineAt(want, i), lineAt(have, i); w != h {
			return fmt.Errorf("openapi.json is not what the routes produce; line %d\n- %s\n+ %s", i+1, h, w)
		}
	}
	return nil
}

func lineAt(lines [][]byte, i int) string {
	if i >= len(lines) {
		return "(end)"
	}
	return string(bytes.TrimSpace(lines[i]))
}

func (h *handlers) apiDocument(c echo.Context) error {
	header := c.Response().Header()
	header.Set("ETag", committedTag)
	header.Set(echo.HeaderCacheControl, "no-cache")
	if isKept(c, committedTag) {
		return c.NoContent(http.StatusNotModified)
	}
	return c.Blob(http.StatusOK, echo.MIMEApplicationJSON, committed)
}

func (h *handlers) apiDocs(c echo.Context) error {
	c.Response().Header().Set(echo.HeaderContentType, echo.MIMETextHTMLCharsetUTF8)
	return views.APIDocs(h.page(c)).Render(c.Request().Context(), c.Response())
}
