package handlers

import (
	"bytes"
	"net/http"
	"net/url"
	"slices"
	"sync"

	"github.com/a-h/templ"
	"github.com/labstack/echo/v4"

	"whalefall/views"
)

// screen is one page: its body, and the parts of it that may be asked for alone.
type screen struct {
	title     string
	body      templ.Component
	fragments []string // names of templ fragments in body; each is also the id of the element that holds it
}

var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// page is what views need to know of this request.
func (h *handlers) page(c echo.Context) views.Page {
	return views.Page{
		Lang: lang(c), Theme: cookieValue(c, themeCookie), User: currentUser(c), CSRF: csrfToken(c),
		URL: c.Request().URL.RequestURI(), Zone: h.Zone, Now: h.now(),
	}
}

// render decides once between fragment, body and page: the fragment an HTMX request aims at, else the
// body for an HTMX request that is neither boosted nor a history restore, else the whole page.
func (h *handlers) render(c echo.Context, status int, p views.Page, s screen) error {
	header := c.Request().Header
	c.Response().Header().Add(echo.HeaderVary, "HX-Request, HX-Target, HX-Boosted, HX-History-Restore-Request, Accept-Language, Cookie")
	partial := header.Get("HX-Request") == "true" && header.Get("HX-Boosted") != "true" &&
		header.Get("HX-History-Restore-Request") != "true"
	target := header.Get("HX-Target")

	buffer := buffers.Get().(*bytes.Buffer)
	defer buffers.Put(buffer)
	buffer.Reset()
	var err error
	switch {
	case partial && slices.Contains(s.fragments, target):
		err = templ.RenderFragments(c.Request().Context(), buffer, s.body, target)
	case partial:
		err = s.body.Render(c.Request().Context(), buffer)
	default:
		err = views.Layout(p, s.title, s.body).Render(c.Request().Context(), buffer)
	}
	if err != nil {
		return err
	}
	return c.HTMLBlob(status, buffer.Bytes())
}

// toLogin sends a person without a login to the login page and back afterwards.
func (h *handlers) toLogin(c echo.Context) error {
	address := "/login?next=" + url.QueryEscape(pageBehind(c))
	if isHTMX(c) {
		c.Response().Header().Set("HX-Redirect", address)
		return c.NoContent(http.StatusUnauthorized)
	}
	return c.Redirect(http.StatusSeeOther, address)
}

// pageBehind is the page that a person was on: what is asked for itself when it is a page, else the page
// that asked.
func pageBehind(c echo.Context) string {
	r := c.Request()
	from := r.Referer()
	switch {
	case isHTMX(c):
		from = r.Header.Get("HX-Current-URL")
	case r.Method == http.MethodGet || r.Method == http.MethodHead:
		return localPath(r.URL.RequestURI())
	}
	if page, ok := ownPage(c, from); ok {
		return page
	}
	return "/instances"
}

// localPath is address when it is a path on this server, else the front page.
func localPath(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "" || u.Host != "" || len(u.Path) == 0 || u.Path[0] != '/' ||
		(len(address) > 1 && (address[1] == '/' || address[1] == '\\')) {
		return "/"
	}
	return address
}

// isHTMX reports whether a part of a page asks, not the browser for a page.
func isHTMX(c echo.Context) bool { return c.Request().Header.Get("HX-Request") == "true" }

// leave ends an action by going to another page, which says what was done.
func (h *handlers) leave(c echo.Context, address, notice string) error {
	if notice != "" {
		h.setCookie(c, noticeCookie, url.QueryEscape(notice), noticeLife)
	}
	if isHTMX(c) {
		c.Response().Header().Set("HX-Redirect", address)
		return c.NoContent(http.StatusOK)
	}
	return c.Redirect(http.StatusSeeOther, address)
}

// pageWithNotice is page with what the action before it left to say.
func (h *handlers) pageWithNotice(c echo.Context) views.Page {
	p := h.page(c)
	if notice, err := url.QueryUnescape(cookieValue(c, noticeCookie)); err == nil && notice != "" && !isHTMX(c) {
		p.Notice = notice
		h.setCookie(c, noticeCookie, "", -1)
	}
	return p
}

// changed ends an action that changed what a page shows: a toast says what was done, and the event makes
// what it concerns read itself again, as the person has it by then.
func (h *handlers) changed(c echo.Context, event, address, notice string) error {
	if !isHTMX(c) {
		return h.leave(c, address, notice)
	}
	c.Response().Header().Set("HX-Trigger", event)
	return h.fragment(c, http.StatusOK, views.Notice(h.page(c), notice))
}
