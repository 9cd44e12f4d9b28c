package handlers

import (
	"net/url"
	"strconv"

	"github.com/labstack/echo/v4"

	"whalefall/models"
)

// pathID is the path parameter id, a positive integer; anything else names nothing.
func pathID(c echo.Context, missingKey string) (int64, error) {
	text, err := pathSegment(c, "id")
	if err != nil {
		return 0, models.NotFound(missingKey)
	}
	id, err := strconv.ParseInt(text, 10, 64)
	if err != nil || id < 1 || strconv.FormatInt(id, 10) != text {
		return 0, models.NotFound(missingKey)
	}
	return id, nil
}

// pathSegment is one URL-encoded path parameter, byte-exact. Echo matches on the raw path when there is
// one and hands the parameter over as it was sent; otherwise it is already decoded.
func pathSegment(c echo.Context, name string) (string, error) {
	value := c.Param(name)
	if c.Request().URL.RawPath == "" {
		return value, nil
	}
	decoded, err := url.PathUnescape(value)
	if err != nil {
		return "", &models.Error{Code: models.CodeNotFound, Err: err}
	}
	return decoded, nil
}
