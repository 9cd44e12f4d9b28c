package handlers

import (
	"net/http"
	"net/url"

	"github.com/labstack/echo/v4"

	"whalefall/views"
)

// setPreference stores the chosen language or theme in a cookie and returns to the previous page.
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
	return c.Redirect(http.StatusSeeOther, previousPage(c))
}

// previousPage returns the page that led here. Referer is more recent than the link, because filters change the address
// without reloading the page.
func previousPage(c echo.Context) string {
	if page, ok := ownPage(c, c.Request().Referer()); ok {
		return page
	}
	return localPath(c.QueryParam("next"))
}

// ownPage returns path and query of a full address, and whether it is on this server.
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
