// Package views turns read models into HTML: templ pages and fragments, numbers, times and messages. It runs no SQL and
// knows no HTTP.
package views

import (
	"time"

	"whalefall/models"
)

// Page holds what every page and fragment needs beside its own model.
type Page struct {
	Lang   string         // "zh-CN" or "en"
	Theme  string         // "light", "dark", or empty: follow the system
	User   *models.User   // nil: not logged in
	CSRF   string         // token for forms and htmx requests
	URL    string         // path and query of this request
	Zone   *time.Location // zone of all times shown
	Now    time.Time
	Notice string // outcome of the action that led here; empty: none
	Reload int    // seconds after which a browser without scripts reloads the page; 0: never
}

// T returns the message with the key in the page's language. pairs are names and values of placeholders.
func (p Page) T(key string, pairs ...any) string {
	return Message(p.Lang, key, models.Args(pairs...))
}

// In returns the message <key>.<engine> if the catalog has one, else the message with the key: Oracle has tablespaces
// where other engines have databases.
func (p Page) In(e models.Engine, key string, pairs ...any) string {
	own := key + "." + string(e)
	if text := p.T(own, pairs...); text != own {
		return text
	}
	return p.T(key, pairs...)
}

// Can reports whether the user has the permission.
func (p Page) Can(perm models.Permission) bool { return p.User != nil && p.User.Role.May(perm) }
