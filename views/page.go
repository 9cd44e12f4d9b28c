// Package views turns read models into HTML: templ pages and fragments, numbers, times and words. It
// does no SQL and knows no HTTP.
package views

import (
	"time"

	"whalefall/models"
)

// Page is what every page and fragment needs beside its own model.
type Page struct {
	Lang   string         // "zh-CN" or "en"
	Theme  string         // "light", "dark", or empty: as the system has it
	User   *models.User   // nil: nobody is logged in
	CSRF   string         // token for forms and HTMX requests
	URL    string         // path and query of this request
	Zone   *time.Location // times are shown in it
	Now    time.Time
	Notice string // what the action before this page did; empty: nothing
	Reload int    // seconds after which a browser without scripts loads the page again; 0: never
}

// T is the message with the key in the page's language; pairs are placeholder names and values.
func (p Page) T(key string, pairs ...any) string {
	return Message(p.Lang, key, models.Args(pairs...))
}

// In is the message in the words of the engine where the catalogue has it so, as <key>.<engine>: what is a database
// elsewhere is a tablespace in Oracle.
func (p Page) In(e models.Engine, key string, pairs ...any) string {
	own := key + "." + string(e)
	if text := p.T(own, pairs...); text != own {
		return text
	}
	return p.T(key, pairs...)
}

// Can reports whether the person looking may do what needs the permission.
func (p Page) Can(perm models.Permission) bool { return p.User != nil && p.User.Role.May(perm) }
