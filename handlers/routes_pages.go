package handlers

import (
	"net/http"
	"slices"

	"github.com/labstack/echo/v4"

	"whalefall/models"
	"whalefall/views"
)

// pageRoutes lists the routes of the HTML pages.
func (h *handlers) pageRoutes() []route {
	return slices.Concat(
		h.accountRoutes(), h.peopleRoutes(), h.labelRoutes(), h.instanceRoutes(),
		h.tableRoutes("/instances/:id/databases/:name"), h.tableRoutes("/databases/:id"),
	)
}

// accountRoutes lists the pages of the user who is, or is about to be, logged in.
func (h *handlers) accountRoutes() []route {
	return []route{
		get("/", loggedIn, h.frontPage),
		get("/login", anyone, h.loginPage),
		post("/login", anyone, models.ActionLogin, h.submitLogin).behind(h.throttleLogin),
		post("/logout", loggedIn, models.ActionLogout, h.submitLogout).withAnyPassword(),
		get("/preferences", anyone, h.setPreference),

		get("/account", loggedIn, h.accountPage).withAnyPassword(),
		post("/account/password", loggedIn, models.ActionChangePassword, h.submitPassword).
			behind(h.throttlePassword).withAnyPassword(),
		post("/account/sessions/:session/end", loggedIn, models.ActionEndSession, h.submitEndSession),
		post("/account/sessions/end", loggedIn, models.ActionEndSessions, h.submitEndSessions),
		get("/tokens", loggedIn, h.tokensPage),
		get("/tokens/new", loggedIn, h.newTokenPage),
		post("/tokens", loggedIn, models.ActionCreateToken, h.submitToken),
		post("/tokens/:id/delete", loggedIn, models.ActionDeleteToken, h.submitTokenDelete),
	}
}

// peopleRoutes lists the pages about users and what they did.
func (h *handlers) peopleRoutes() []route {
	return []route{
		get("/users", models.PermAdmin, h.usersPage),
		get("/users/new", models.PermAdmin, h.newUserPage),
		post("/users", models.PermAdmin, models.ActionCreateUser, h.submitUser),
		get("/users/:id", models.PermAdmin, redirectToForm),
		get("/users/:id/edit", models.PermAdmin, h.editUserPage),
		post("/users/:id", models.PermAdmin, models.ActionUpdateUser, h.submitUserEdit),
		get("/audit", models.PermAdmin, h.auditPage),
	}
}

// labelRoutes lists the pages about credentials and tags.
func (h *handlers) labelRoutes() []route {
	return []route{
		get("/credentials", models.PermView, h.credentialsPage),
		get("/credentials/new", models.PermCreate, h.newCredentialPage),
		post("/credentials", models.PermCreate, models.ActionCreateCredential, h.submitCredential),
		get("/credentials/:id", models.PermUpdate, redirectToForm),
		get("/credentials/:id/edit", models.PermUpdate, h.editCredentialPage),
		post("/credentials/:id", models.PermUpdate, models.ActionUpdateCredential, h.submitCredentialEdit),
		post("/credentials/:id/delete", models.PermDelete, models.ActionDeleteCredential, h.submitCredentialDelete),

		get("/tags", models.PermView, h.tagsPage),
		get("/tags/new", models.PermCreate, h.newTagPage),
		post("/tags", models.PermCreate, models.ActionCreateTag, h.submitTag),
		get("/tags/:id/edit", models.PermUpdate, h.editTagPage),
		post("/tags/:id", models.PermUpdate, models.ActionUpdateTag, h.submitTagEdit),
		post("/tags/:id/delete", models.PermDelete, models.ActionDeleteTag, h.submitTagDelete),
	}
}

// instanceRoutes lists the pages about instances and their runs.
func (h *handlers) instanceRoutes() []route {
	return []route{
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
		get(views.EchoPath, models.PermView, h.schedulePreview),
		post("/instances/:id/test", models.PermView, models.ActionTestConnection, h.testSavedConnection),
		post("/instances/:id/sync", models.PermSync, models.ActionSyncInstance, h.syncInstance),

		get("/instances/:id/runs", models.PermView, h.runsPage),
		get("/refreshes/:id", models.PermView, h.runPage),
		get("/refreshes/:id/progress", models.PermView, h.runProgress),
		post("/refreshes/:id/cancel", models.PermSync, models.ActionCancelRefresh, h.cancelRun),
	}
}

// tableRoutes lists the pages of one database. Since "." and ".." cannot be part of a path, every database also has one
// by its ID.
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

// redirectToForm redirects from the address that a form is sent to to the form.
func redirectToForm(c echo.Context) error {
	return c.Redirect(http.StatusSeeOther, c.Request().URL.EscapedPath()+"/edit")
}
