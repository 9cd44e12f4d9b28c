package views

import (
	"time"

	"whalefall/models"
)

// Account is the page of whoever looks at it.
type Account struct {
	Tokens  int      // that the user has, expired ones included
	Problem *Failure // why the new password was refused; nil: it was not
}

// TokenList is the page with the API tokens of whoever looks at it.
type TokenList struct {
	Tokens []models.Token
}

// TokenForm is what a person typed about a new API token.
type TokenForm struct {
	Name      string
	Role      models.Role
	ExpiresAt string   // YYYY-MM-DD; the token is good until the day ends
	Problem   *Failure // why it was refused; nil: it was not
}

// NewTokenForm suggests what a token is when nothing is said.
func NewTokenForm(p Page) TokenForm {
	return TokenForm{Role: p.User.Role, ExpiresAt: p.Now.Add(models.TokenLifetime).In(p.Zone).Format(time.DateOnly)}
}

// grantable are the roles that the user can give a token, the one that may most first.
func grantable(p Page) []models.Role {
	var all []models.Role
	for _, r := range roles() {
		if p.User.Role.Covers(r) {
			all = append(all, r)
		}
	}
	return all
}
