package handlers

import (
	"net/http"
	"net/url"

	"github.com/labstack/echo/v4"

	"whalefall/views"
)

// setPreference keeps a choice of language or theme in a cookie and goes back to where it was made.
func (h *handlers) setPreference(c echo.Context) error {
	if l := c.QueryParam("lang"); l == views.Chinese || l == views.English {
		h.setCookie(c, langCookie, l, preferenceLife)
	}
	switch theme := c.QueryParam("theme"); theme {
	case "light", "dark":
		h.setCookie(c, themeCookie, theme, preferenceLife)
	case "auto":
		h.setCookie(c, themeCookie, "", -1)
	}
	return c.Redirect(http.StatusSeeOther, cameFrom(c))
}

// cameFrom is the page that led here. What the browser says of it is newer than the link, because
// filters change the address without loading the page again.
func cameFrom(c echo.Context) string {
	if page, ok := ownPage(c, c.Request().Referer()); ok {
		return page
	}
	return localPath(c.QueryParam("next"))
}

// ownPage is path and query of a full address; false when it is not of this server.
func ownPage(c echo.Context, address string) (string, bool) {
	u, err := url.Parse(address)
	if err != nil || u.Host != c.Request().Host {
		return "", false
	}
	return localPath(u.RequestURI()), true
}

const (
	preferenceLife = 365 * 24 * 60 * 60 // seconds
	noticeCookie   = "notice"
	noticeLife     = 60 // seconds
)

func (h *handlers) setCookie(c echo.Context, name, value string, seconds int) {
	c.SetCookie(&http.Cookie{
		Name: name, Value: value, Path: "/", MaxAge: seconds, HttpOnly: true,
		Secure: h.secureCookies(c.Request()), SameSite: http.SameSiteLaxMode,
	})
}
