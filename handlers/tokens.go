package handlers

import (
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"whalefall/models"
)

const maxTokenName = 100 // characters

// tokenJSON is an API token without its secret.
type tokenJSON struct {
	ID         int64       `json:"id"`
	UserID     int64       `json:"user_id"`
	Name       string      `json:"name"`
	Role       models.Role `json:"role"` // upper bound; the user's current role limits it further
	ExpiresAt  string      `json:"expires_at"`
	CreatedAt  string      `json:"created_at"`
	LastUsedAt *string     `json:"last_used_at"`
	Expired    bool        `json:"expired"`
}

// createdTokenJSON is a new token with the only copy of its secret.
type createdTokenJSON struct {
	Token  tokenJSON `json:"token"`
	Secret string    `json:"secret"`
}

func (h *handlers) newToken(t models.Token) tokenJSON {
	return tokenJSON{
		ID: t.ID, UserID: t.UserID, Name: t.Name, Role: t.Role,
		ExpiresAt: timestamp(t.ExpiresAt), CreatedAt: timestamp(t.CreatedAt),
		LastUsedAt: timestampOrNull(t.LastUsedAt), Expired: t.ExpiredAt(h.now()),
	}
}

func (h *handlers) apiTokens(c echo.Context) error {
	tokens, err := h.listTokens(c)
	if err != nil {
		return err
	}
	return h.ok(c, slicePage(c, tokens, h.newToken), "api.tokens")
}

// listTokens returns the user's own tokens, or everybody's if an admin asks for all.
func (h *handlers) listTokens(c echo.Context) ([]models.Token, error) {
	user := currentUser(c)
	owner := user.ID
	if isYes(c.QueryParam("all")) {
		if err := allowed(user, models.PermAdmin); err != nil {
			return nil, err
		}
		owner = 0
	}
	return h.Store.Tokens(c.Request().Context(), owner)
}

func (h *handlers) apiCreateToken(c echo.Context) error {
	token, secret, err := h.createToken(c, body(c))
	if err != nil {
		return err
	}
	return h.created(c, createdTokenJSON{h.newToken(token), secret}, "api.saved")
}

func (h *handlers) createToken(c echo.Context, f fields) (models.Token, string, error) {
	token, err := h.bindToken(f, *currentUser(c))
	if err == nil {
		token.ExpiresAt, err = withinLife(token.ExpiresAt, f, currentToken(c))
	}
	if err != nil {
		return models.Token{}, "", err
	}
	auditTarget(c, 0, token.Name)
	token, secret, err := h.Store.CreateToken(c.Request().Context(), token)
	if err == nil {
		auditTarget(c, token.ID, token.Name)
	}
	return token, secret, err
}

// bindToken returns the token described by the body. Its role must not exceed the user's.
func (h *handlers) bindToken(f fields, user models.User) (models.Token, error) {
	token := models.Token{UserID: user.ID, Role: user.Role}
	role := string(user.Role)
	if err := f.require("name"); err != nil {
		return token, err
	}
	if err := f.bindLine("name", maxTokenName, &token.Name); err != nil {
		return token, err
	}
	if err := f.bindText("role", &role); err != nil {
		return token, err
	}
	expires, err := h.bindExpiry(f)
	if err != nil {
		return token, err
	}

	token.ExpiresAt = expires
	token.Role = models.Role(role)
	if token.Role.Known() && !user.Role.Covers(token.Role) {
		return token, forbidden(models.Permission(token.Role))
	}
	return token, nil
}

// bindExpiry returns when the token expires: at a time, or at the end of a day in the configured zone.
func (h *handlers) bindExpiry(f fields) (time.Time, error) {
	text, _, err := f.text("expires_at")
	if err != nil {
		return time.Time{}, err
	}
	now := h.now()
	text = strings.TrimSpace(text)
	if text == "" {
		return now.Add(models.TokenLifetime), nil
	}
	expires, err := time.Parse(time.RFC3339, text)
	if day, notDay := time.ParseInLocation(time.DateOnly, text, h.Zone); notDay == nil {
		expires, err = day.AddDate(0, 0, 1).Add(-time.Second), nil
	}
	switch {
	case err != nil:
		return time.Time{}, models.Invalid("token.expiry_format", "Field", "expires_at")
	case !expires.After(now):
		return time.Time{}, models.Invalid("token.expiry_past", "Field", "expires_at")
	case expires.After(now.AddDate(models.TokenYears, 0, 1)): // the end of that day, in any zone
		return time.Time{}, models.Invalid("token.expiry_far", "Field", "expires_at")
	}
	return expires, nil
}

// withinLife returns the expiry of a token made with the token maker, nil for a session. It must not be later than that
// of maker, or a stolen token could be renewed forever.
func withinLife(expires time.Time, f fields, maker *models.Token) (time.Time, error) {
	switch {
	case maker == nil || !expires.After(maker.ExpiresAt):
		return expires, nil
	case f.blank("expires_at"):
		return maker.ExpiresAt, nil
	}
	return time.Time{}, models.Invalid("token.expiry_beyond", "Field", "expires_at")
}

func (h *handlers) apiDeleteToken(c echo.Context) error {
	token, err := h.deleteToken(c)
	if err != nil {
		return err
	}
	return h.ok(c, echo.Map{"token_id": token.ID}, "api.deleted")
}

// deleteToken deletes the token of the path: the current user's, or anybody's if that is an admin. To others, tokens
// of others are not found.
func (h *handlers) deleteToken(c echo.Context) (models.Token, error) {
	id, err := pathID(c, "token.not_found")
	if err != nil {
		return models.Token{}, err
	}
	user := currentUser(c)
	owner := user.ID
	if user.Role.May(models.PermAdmin) {
		owner = 0
	}
	token, err := h.Store.DeleteToken(c.Request().Context(), owner, id, user.Role)
	auditTarget(c, id, token.Name)
	return token, err
}
