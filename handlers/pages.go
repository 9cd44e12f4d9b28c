package handlers

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"whalefall/models"
	"whalefall/views"
)

// pageRoutes are all routes of the HTML side.
func (h *handlers) pageRoutes() []route {
	return slices.Concat([]route{
		get("/", loggedIn, h.frontPage),
		get("/login", anyone, h.loginPage),
		post("/login", anyone, models.ActionLogin, h.submitLogin).behind(h.throttleLogin),
		post("/logout", loggedIn, models.ActionLogout, h.submitLogout),
		get("/preferences", anyone, h.setPreference),

		get("/account", loggedIn, h.accountPage),
		post("/account/password", loggedIn, models.ActionChangePassword, h.submitPassword).behind(h.throttlePassword),
		get("/tokens", loggedIn, h.tokensPage),
		get("/tokens/new", loggedIn, h.newTokenPage),
		post("/tokens", loggedIn, models.ActionCreateToken, h.submitToken),
		post("/tokens/:id/delete", loggedIn, models.ActionDeleteToken, h.submitTokenDelete),

		get("/users", models.PermAdmin, h.usersPage),
		get("/users/new", models.PermAdmin, h.newUserPage),
		post("/users", models.PermAdmin, models.ActionCreateUser, h.submitUser),
		get("/users/:id", models.PermAdmin, formOfPath),
		get("/users/:id/edit", models.PermAdmin, h.editUserPage),
		post("/users/:id", models.PermAdmin, models.ActionUpdateUser, h.submitUserEdit),
		get("/audit", models.PermAdmin, h.auditPage),

		get("/credentials", models.PermView, h.credentialsPage),
		get("/credentials/new", models.PermCreate, h.newCredentialPage),
		post("/credentials", models.PermCreate, models.ActionCreateCredential, h.submitCredential),
		get("/credentials/:id", models.PermUpdate, formOfPath),
		get("/credentials/:id/edit", models.PermUpdate, h.editCredentialPage),
		post("/credentials/:id", models.PermUpdate, models.ActionUpdateCredential, h.submitCredentialEdit),
		post("/credentials/:id/delete", models.PermDelete, models.ActionDeleteCredential, h.submitCredentialDelete),

		get("/tags", models.PermView, h.tagsPage),
		get("/tags/new", models.PermCreate, h.newTagPage),
		post("/tags", models.PermCreate, models.ActionCreateTag, h.submitTag),
		get("/tags/:id/edit", models.PermUpdate, h.editTagPage),
		post("/tags/:id", models.PermUpdate, models.ActionUpdateTag, h.submitTagEdit),
		post("/tags/:id/delete", models.PermDelete, models.ActionDeleteTag, h.submitTagDelete),

		get("/instances", models.PermView, h.instancesPage),
		get("/instances/new", models.PermCreate, h.newInstancePage),
		post("/instances", models.PermCreate, models.ActionCreateInstance, h.submitInstance),
		get("/instances/import", models.PermCreate, h.importPage),
		post("/instances/import", models.PermCreate, models.ActionImportInstances, h.submitImport).guardedBy(h.guardUpload),
		post("/connections/test", models.PermCreate, models.ActionTestConnection, h.testTypedConnection),
		get("/instances/:id", models.PermView, h.instancePage),
		get("/instances/:id/edit", models.PermUpdate, h.editInstancePage),
		post("/instances/:id", models.PermUpdate, models.ActionUpdateInstance, h.submitInstanceEdit),
		post("/instances/:id/delete", models.PermDelete, models.ActionDeleteInstance, h.submitInstanceDelete),
		post("/instances/:id/destroy", models.PermDelete, models.ActionDeleteInstances, h.submitInstanceDestroy),
		post("/instances/:id/restore", models.PermUpdate, models.ActionRestoreInstance, h.submitInstanceRestore),
		post("/instances/:id/resume-schedule", models.PermUpdate, models.ActionResumeSchedule, h.submitResumeSchedule),
		get(views.EchoPath, models.PermView, h.scheduleEcho),
		post("/instances/:id/test", models.PermView, models.ActionTestConnection, h.testSavedConnection),
		post("/instances/:id/sync", models.PermSync, models.ActionSyncInstance, h.syncInstance),

		get("/instances/:id/runs", models.PermView, h.runsPage),
		get("/refreshes/:id", models.PermView, h.runPage),
		get("/refreshes/:id/progress", models.PermView, h.runProgress),
		post("/refreshes/:id/cancel", models.PermSync, models.ActionCancelRefresh, h.cancelRun),
	}, h.tableRoutes("/instances/:id/databases/:name"), h.tableRoutes("/databases/:id"))
}

// tableRoutes are the pages of one database. Names "." and ".." cannot be in an address, so every database also goes by
// its id.
func (h *handlers) tableRoutes(database string) []route {
	return []route{
		get(database+"/tables", models.PermView, h.tablesPage),
		get(database+"/tables/partitions", models.PermView, h.partitionRows),
		get(database+"/tables/receipt", models.PermView, h.tablesReceipt),
		post(database+"/tables/refresh", models.PermSync, models.ActionRefreshTables, h.submitRefresh),
	}
}

func (h *handlers) frontPage(c echo.Context) error {
	return c.Redirect(http.StatusSeeOther, "/instances")
}

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

// bindListing reads how a list is sorted and paged; what makes no sense falls back to the defaults: the
// given sort, the first of the limits.
func bindListing(c echo.Context, sorts []string, sort string, desc bool, limits []int) views.Listing {
	l := views.Listing{Sort: sort, Desc: desc, Page: 1, Limit: limits[0], Limits: limits, Filter: url.Values{}}
	if column, descending := signedSort(c.QueryParam("sort")); slices.Contains(sorts, column) {
		l.Sort, l.Desc = column, descending
	}
	if n, ok := integer(c.QueryParam("limit")); ok && slices.Contains(limits, int(n)) {
		l.Limit = int(n)
	}
	if n, ok := integer(c.QueryParam("page")); ok && n > 1 && n <= maxOffset/maxSizeLimit {
		l.Page = int(n)
	}
	return l
}

// keepFilter notes the query members that narrow the list down.
func keepFilter(c echo.Context, l *views.Listing, names ...string) {
	for _, name := range names {
		for _, value := range c.QueryParams()[name] {
			if strings.TrimSpace(value) != "" {
				l.Filter.Add(name, value)
			}
		}
	}
}
