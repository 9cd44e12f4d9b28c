package handlers

import (
	"strings"

	"github.com/labstack/echo/v4"

	"whalefall/models"
)

const tokenKey = "token"

// bearerOf returns the token in the Authorization header of an API request, and whether there is one.
func bearerOf(c echo.Context) (secret string, given bool) {
	scheme, secret, _ := strings.Cut(c.Request().Header.Get(echo.HeaderAuthorization), " ")
	return strings.TrimSpace(secret), isAPI(c) && strings.EqualFold(scheme, "Bearer")
}

// currentToken returns the API token of the request, nil if it has a session or nothing.
func currentToken(c echo.Context) *models.Token {
	token, _ := c.Get(tokenKey).(*models.Token)
	return token
}

// refuseBadToken rejects API requests whose token is invalid. Such requests skip the CSRF check, so a cookie sent
// beside the token must not count either.
func refuseBadToken(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if _, given := bearerOf(c); given && currentToken(c) == nil && !isOpen(c) {
			c.Response().Header().Set(echo.HeaderWWWAuthenticate, `Bearer error="invalid_token"`)
			return &models.Error{Code: models.CodeUnauthenticated}
		}
		return next(c)
	}
}
