package handlers

import (
	"net/url"
	"strconv"

	"github.com/labstack/echo/v4"

	"whalefall/models"
)

// pathID returns the path parameter id. Anything but a positive integer is a 404 with the message key.
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

// pathSegment returns a URL-encoded path parameter, byte-exact. If the request has a raw path, Echo matches on that and
// the parameter is still encoded.
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
