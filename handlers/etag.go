package handlers

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/labstack/echo/v4"
)

// answerShape goes up with every change of how the same stored figures are written.
const answerShape = 1

// entityTag tells one answer from every other. It is weak: the envelope has the time, and what is sent may be compressed.
func (h *handlers) entityTag(c echo.Context, parts ...any) string {
	sum := sha256.New()
	_, _ = fmt.Fprintf(sum, "%#v", append([]any{h.Version, answerShape, lang(c)}, parts...)) // a hash takes everything
	return `W/"` + hex.EncodeToString(sum.Sum(nil)[:16]) + `"`
}

// revalidated lets whoever asked keep the answer and ask again whether it is still true. Only they may: who asks decides
// whether there is an answer at all.
func revalidated(c echo.Context, tag string) {
	header := c.Response().Header()
	header.Set("ETag", tag)
	header.Set(echo.HeaderCacheControl, "private, no-cache")
	header.Add(echo.HeaderVary, "Accept, Accept-Language, Cookie, Authorization")
}

// isKept reports whether the asker has the answer with the tag already. Nothing but the tag itself is compared: whether one
// side calls it weak does not matter to a read.
func isKept(c echo.Context, tag string) bool {
	opaque := strings.TrimPrefix(tag, "W/")
	for _, line := range c.Request().Header.Values("If-None-Match") {
		if strings.TrimSpace(line) == "*" {
			return true
		}
		for member := range strings.SplitSeq(line, ",") {
			if strings.TrimPrefix(strings.TrimSpace(member), "W/") == opaque {
				return true
			}
		}
	}
	return false
}
