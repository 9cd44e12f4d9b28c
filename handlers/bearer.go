package handlers

import (
	"strings"

	"github.com/labstack/echo/v4"

	"whalefall/models"
)

const tokenKey = "token"

// bearerOf is the token in the request's Authorization header; false when there is none. Pages take no tokens.
func bearerOf(c echo.Context) (secret string, given bool) {
	scheme, secret, _ := strings.Cut(c.Request().Header.Get(echo.HeaderAuthorization), " ")
	return strings.TrimSpace(secret), isAPI(c) && strings.EqualFold(scheme, "Bearer")
}

// currentToken is the API token that acts for the user, nil for a session.
func currentToken(c echo.Context) *models.Token {
	token, _ := c.Get(tokenKey).(*models.Token)
	return token
}

// refuseBadToken ends a request whose token is none (any more): nothing of the API answers to it. Without a valid token
// but with a header that looks like one there is no check of a form token, so the cookie must not count either.
func refuseBadToken(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if _, given := bearerOf(c); given && currentToken(c) == nil && !forAnybody(c) {
			c.Response().Header().Set(echo.HeaderWWWAuthenticate, `Bearer error="invalid_token"`)
			return &models.Error{Code: models.CodeUnauthenticated}
		}
		return next(c)
	}
}
