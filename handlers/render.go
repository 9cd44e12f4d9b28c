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

// screen is a page: its body, and the parts of it that may be requested alone.
type screen struct {
	title     string
	body      templ.Component
	fragments []string // names of templ fragments in body, which are also the IDs of their elements
}

var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// page returns what views need to know about the request.
func (h *handlers) page(c echo.Context) views.Page {
	return views.Page{
		Lang: lang(c), Theme: cookieValue(c, themeCookie), User: currentUser(c), CSRF: csrfToken(c),
		URL: c.Request().URL.RequestURI(), Zone: h.Zone, Now: h.now(),
	}
}

// render writes the fragment that an HTMX request targets, else the body for an HTMX request that is neither boosted
// nor a history restore, else the whole page.
func (h *handlers) render(c echo.Context, status int, p views.Page, s screen) error {
	c.Response().
		Header().
		Add(echo.HeaderVary, "HX-Request, HX-Target, HX-Boosted, HX-History-Restore-Request, Accept-Language, Cookie")
	partial := isPartial(c)
	target := c.Request().Header.Get("HX-Target")

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

// redirectVia sends the client to a page with something to do first, and back afterwards. An HTMX request gets the
// status.
func (h *handlers) redirectVia(c echo.Context, page string, status int) error {
	address := page + "?next=" + url.QueryEscape(returnPath(c))
	if isHTMX(c) {
		c.Response().Header().Set("HX-Redirect", address)
		return c.NoContent(status)
	}
	return c.Redirect(http.StatusSeeOther, address)
}

// returnPath returns the page to go back to afterwards: the requested one if it is a page, else the one it came
// from.
func returnPath(c echo.Context) string {
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

// localPath returns the address if it is a path on this server, else the front page.
func localPath(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "" || u.Host != "" || len(u.Path) == 0 || u.Path[0] != '/' ||
		(len(address) > 1 && (address[1] == '/' || address[1] == '\\')) {
		return "/"
	}
	return address
}

// isHTMX reports whether HTMX sent the request.
func isHTMX(c echo.Context) bool { return c.Request().Header.Get("HX-Request") == "true" }

// isPartial reports whether HTMX sent the request for a part of the page that is open, not for another page.
func isPartial(c echo.Context) bool {
	header := c.Request().Header
	return isHTMX(c) && header.Get("HX-Boosted") != "true" && header.Get("HX-History-Restore-Request") != "true"
}

// redirectWithNotice ends an action on another page, which shows the notice.
func (h *handlers) redirectWithNotice(c echo.Context, address, notice string) error {
	if notice != "" {
		h.setCookie(c, noticeCookie, url.QueryEscape(notice), noticeLife)
	}
	if isHTMX(c) {
		c.Response().Header().Set("HX-Redirect", address)
		return c.NoContent(http.StatusOK)
	}
	return c.Redirect(http.StatusSeeOther, address)
}

// pageWithNotice is page with the notice of the previous action.
func (h *handlers) pageWithNotice(c echo.Context) views.Page {
	p := h.page(c)
	if notice, err := url.QueryUnescape(cookieValue(c, noticeCookie)); err == nil && notice != "" && !isHTMX(c) {
		p.Notice = notice
		h.setCookie(c, noticeCookie, "", -1)
	}
	return p
}

// answerChanged ends an action that changed what a page shows. A toast shows the notice, and the event makes the
// affected parts of the page reload themselves.
func (h *handlers) answerChanged(c echo.Context, event, address, notice string) error {
	if !isHTMX(c) {
		return h.redirectWithNotice(c, address, notice)
	}
	c.Response().Header().Set("HX-Trigger", event)
	return h.fragment(c, http.StatusOK, views.Notice(h.page(c), notice))
}
