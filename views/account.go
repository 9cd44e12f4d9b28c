package views

import (
	"time"

	"whalefall/models"
)

// Account is the model of the page of the user who is logged in.
type Account struct {
	Tokens   int              // API tokens of the user, expired ones included
	Sessions []models.Session // of the user, the last used first
	Current  string           // ID of the session that shows the page
	Next     string           // where to go once the password is changed, a local path; empty: back to this page
	Problem  *Failure         // why the new password was refused; nil: it was not
}

// TokenList is the model of the page with the API tokens of the user who is logged in, or of all users.
type TokenList struct {
	Tokens []models.Token
	All    bool
}

// Path returns the address of the page.
func (l TokenList) Path() string {
	if l.All {
		return "/tokens?all=1"
	}
	return "/tokens"
}

// TokenForm holds the input for a new API token.
type TokenForm struct {
	Name      string
	Role      models.Role
	ExpiresAt string   // YYYY-MM-DD; the token is valid until the end of this day
	Problem   *Failure // why it was refused; nil: it was not
}

// NewTokenForm returns a form with the defaults: the user's own role and the usual lifetime.
func NewTokenForm(p Page) TokenForm {
	return TokenForm{Role: p.User.Role, ExpiresAt: p.Now.Add(models.TokenLifetime).In(p.Zone).Format(time.DateOnly)}
}

// grantable returns the roles that the user may give to a token, the most powerful first.
func grantable(p Page) []models.Role {
	var all []models.Role
	for _, r := range roles() {
		if p.User.Role.Covers(r) {
			all = append(all, r)
		}
	}
	return all
}

// InAYear returns the last day on which a token made today may expire, YYYY-MM-DD.
func (p Page) InAYear() string {
	return p.Now.In(p.Zone).AddDate(models.TokenYears, 0, 0).Format(time.DateOnly)
}
