package handlers

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/labstack/echo/v4"
)

// answerShape must be increased whenever the same stored figures are written differently.
const answerShape = 1

// entityTag returns the ETag of the answer that the parts determine. It is weak, because the envelope has the time and
// the answer may be compressed.
func (h *handlers) entityTag(c echo.Context, parts ...any) string {
	sum := sha256.New()
	all := append([]any{h.Version, answerShape, lang(c)}, parts...)
	_, _ = fmt.Fprintf(sum, "%#v", all) // writing to a hash never fails
	return `W/"` + hex.EncodeToString(sum.Sum(nil)[:16]) + `"`
}

// allowRevalidation lets the client cache the answer and revalidate it with the ETag. Shared caches must not, since the
// answer depends on who asks.
func allowRevalidation(c echo.Context, tag string) {
	header := c.Response().Header()
	header.Set("ETag", tag)
	header.Set(echo.HeaderCacheControl, "private, no-cache")
	header.Add(echo.HeaderVary, "Accept, Accept-Language, Cookie, Authorization")
}

// hasCurrent reports whether the client has the answer with the tag. Weak and strong tags are the same to a read.
func hasCurrent(c echo.Context, tag string) bool {
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
