package handlers

import (
	"cmp"
	"net/http"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"whalefall/models"
)

// apiRoutes lists the routes of the JSON API, below /api/v1.
func (h *handlers) apiRoutes() []route {
	return slices.Concat(
		h.apiOpenRoutes(), h.apiPeopleRoutes(), h.apiLabelRoutes(), h.apiInstanceRoutes(), h.apiSizeRoutes(),
		h.apiRunRoutes(),
	)
}

// apiOpenRoutes lists the routes that are the same for everybody.
func (h *handlers) apiOpenRoutes() []route {
	return []route{
		get("/health/ping", public, h.apiPing),
		get("/health/basic", public, h.apiBasicHealth),
		get("/health/health", public, h.apiStoreHealth),
		get("/admin/app-info", public, h.apiAppInfo),
		get("/openapi.json", public, h.apiDocument),
		get("/docs", public, h.apiDocs),
	}
}

// apiPeopleRoutes lists the routes about users, their logins and tokens, and what they did.
func (h *handlers) apiPeopleRoutes() []route {
	return []route{
		get("/auth/csrf-token", anyone, h.apiCSRFToken),
		get("/auth/session", anyone, h.apiSession),
		get("/auth/me", loggedIn, h.apiMe).withAnyPassword(),
		post("/auth/login", anyone, models.ActionLogin, h.apiLogin).behind(h.throttleLogin),
		post("/auth/logout", loggedIn, models.ActionLogout, h.apiLogout).withAnyPassword(),
		post("/auth/change-password", loggedIn, models.ActionChangePassword, h.apiChangePassword).
			behind(h.throttlePassword).withAnyPassword(),

		get("/auth/sessions", loggedIn, h.apiSessions),
		remove("/auth/sessions", loggedIn, models.ActionEndSessions, h.apiEndSessions),
		remove("/auth/sessions/:session", loggedIn, models.ActionEndSession, h.apiEndSession),

		get("/tokens", loggedIn, h.apiTokens),
		post("/tokens", loggedIn, models.ActionCreateToken, h.apiCreateToken),
		remove("/tokens/:id", loggedIn, models.ActionDeleteToken, h.apiDeleteToken),

		get("/users", models.PermAdmin, h.apiUsers),
		post("/users", models.PermAdmin, models.ActionCreateUser, h.apiCreateUser),
		get("/users/:id", models.PermAdmin, h.apiUser),
		put("/users/:id", models.PermAdmin, models.ActionUpdateUser, h.apiUpdateUser),
		remove("/users/:id", models.PermDelete, models.ActionDeleteUser, h.apiDeleteUser),
		get("/users/stats", models.PermAdmin, h.apiUserStatistics),
		get("/audit", models.PermAdmin, h.apiAudit),
	}
}

// apiLabelRoutes lists the routes about credentials and tags.
func (h *handlers) apiLabelRoutes() []route {
	return []route{
		get("/credentials", models.PermView, h.apiCredentials),
		post("/credentials", models.PermCreate, models.ActionCreateCredential, h.apiCreateCredential),
		get("/credentials/:id", models.PermView, h.apiCredential),
		put("/credentials/:id", models.PermUpdate, models.ActionUpdateCredential, h.apiUpdateCredential),
		remove("/credentials/:id", models.PermDelete, models.ActionDeleteCredential, h.apiDeleteCredential),
		post("/credentials/:id/delete", models.PermDelete, models.ActionDeleteCredential, h.apiDeleteCredentialByPost),

		get("/tags", models.PermView, h.apiTags),
		post("/tags", models.PermCreate, models.ActionCreateTag, h.apiCreateTag),
		get("/tags/options", models.PermView, h.apiTagOptions),
		get("/tags/categories", models.PermView, h.apiTagCategories),
		get("/tags/:id", models.PermView, h.apiTag),
		get("/tags/by-name/:tag", models.PermView, h.apiTagByName),
		put("/tags/:id", models.PermUpdate, models.ActionUpdateTag, h.apiUpdateTag),
		remove("/tags/:id", models.PermDelete, models.ActionDeleteTag, h.apiDeleteTag),
		post("/tags/:id/delete", models.PermDelete, models.ActionDeleteTag, h.apiDeleteTagByPost),
		post("/tags/batch-delete", models.PermDelete, models.ActionDeleteTags, h.apiDeleteTags),
		get("/tags/bulk/instances", models.PermView, h.apiBulkInstances),
		get("/tags/bulk/tags", models.PermView, h.apiBulkTags),
		post("/tags/bulk/instance-tags", models.PermView, unrecorded, h.apiInstanceTags),
		post("/tags/bulk/assign", models.PermCreate, models.ActionAssignTags, h.apiAssignTags),
		post("/tags/bulk/actions/assign", models.PermCreate, models.ActionAssignTags, h.apiAssignTags),
		post("/tags/bulk/remove", models.PermCreate, models.ActionRemoveTags, h.apiRemoveTags),
		post("/tags/bulk/actions/remove", models.PermCreate, models.ActionRemoveTags, h.apiRemoveTags),
		post("/tags/bulk/remove-all", models.PermCreate, models.ActionRemoveTags, h.apiRemoveAllTags),
		post("/tags/bulk/actions/remove-all", models.PermCreate, models.ActionRemoveTags, h.apiRemoveAllTags),
	}
}

// apiInstanceRoutes lists the routes about instances and connections to them.
func (h *handlers) apiInstanceRoutes() []route {
	return []route{
		get("/instances", models.PermView, h.apiInstances),
		post("/instances", models.PermCreate, models.ActionCreateInstance, h.apiCreateInstance),
		get("/instances/statistics", models.PermView, h.apiStatistics),
		get("/instances/exports", models.PermView, h.apiExportInstances),
		get("/files/instance-export", models.PermView, h.apiExportInstances),
		get("/instances/imports/template", models.PermView, h.apiImportTemplate),
		get("/files/template-download", models.PermView, h.apiImportTemplate),
		post("/instances/batch-create", models.PermCreate, models.ActionImportInstances, h.apiImportInstances).
			guardedBy(h.guardUpload),
		post("/instances/batch-delete", models.PermDelete, models.ActionDeleteInstances, h.apiDeleteInstances),
		get("/instances/:id", models.PermView, h.apiInstance),
		put("/instances/:id", models.PermUpdate, models.ActionUpdateInstance, h.apiUpdateInstance),
		remove("/instances/:id", models.PermDelete, models.ActionDeleteInstance, h.apiDeleteInstance),
		post("/instances/:id/delete", models.PermDelete, models.ActionDeleteInstance, h.apiDeleteInstance),
		post("/instances/:id/restore", models.PermUpdate, models.ActionRestoreInstance, h.apiRestoreInstance),
		post("/instances/:id/actions/restore", models.PermUpdate, models.ActionRestoreInstance, h.apiRestoreInstance),
		post("/instances/:id/actions/resume-schedule", models.PermUpdate, models.ActionResumeSchedule, h.apiResumeSchedule),
		post("/connections/actions/test", models.PermView, models.ActionTestConnection, h.apiTestConnection).
			guardedBy(h.guardConnectionTest),
		get("/connections/status/:id", models.PermView, h.apiConnectionStatus),
		post("/connections/actions/validate-params", models.PermView, unrecorded, h.apiValidateConnection),
		post("/connections/actions/batch-test", models.PermView, models.ActionTestConnections, h.apiBatchTest),
	}
}

// apiSizeRoutes lists the routes about the sizes of databases and tables.
func (h *handlers) apiSizeRoutes() []route {
	return []route{
		post("/instances/:id/actions/sync-capacity", models.PermSync, models.ActionSyncInstance, h.apiSyncCapacity),
		get("/instances/:id/databases/sizes", models.PermView, h.apiDatabaseSizes),
		get("/instances/:id/databases/:name/tables/sizes", models.PermView, h.apiTableSizes),
		post("/instances/:id/databases/:name/tables/sizes/actions/refresh", models.PermSync,
			models.ActionRefreshTables, h.apiRefreshTables),
		get("/databases/ledgers", models.PermView, h.apiLedgers),
		get("/databases/ledgers/:id/capacity-trend", models.PermView, h.apiCapacityTrend),
		get("/capacity/databases", models.PermView, h.apiDatabaseCapacities),
		get("/capacity/databases/summary", models.PermView, h.apiDatabaseCapacitySummary),
		get("/capacity/instances", models.PermView, h.apiInstanceCapacities),
		get("/capacity/instances/summary", models.PermView, h.apiInstanceCapacitySummary),
		get("/common/instances/options", models.PermView, h.apiInstanceOptions),
		get("/common/databases/options", models.PermView, h.apiDatabaseOptions),
		get("/common/database-types/options", models.PermView, h.apiEngineOptions),
		get("/databases/sizes", models.PermView, h.apiDatabaseSizesByQuery),
		get("/databases/:id/tables/sizes", models.PermView, h.apiTableSizesByID),
		post("/databases/:id/tables/sizes/actions/refresh", models.PermSync,
			models.ActionRefreshTables, h.apiRefreshTablesByID),
	}
}

// apiRunRoutes lists the routes about runs.
func (h *handlers) apiRunRoutes() []route {
	return []route{
		get("/instances/:id/refreshes", models.PermView, h.apiRefreshes),
		get("/refreshes", models.PermView, h.apiRefreshes),
		get("/refreshes/:id", models.PermView, h.apiRefresh),
		remove("/refreshes/:id", models.PermSync, models.ActionCancelRefresh, h.apiCancelRefresh),
	}
}

// refuseSubpaths rejects paths below a route that ends with a parameter, since the router takes the rest for its value.
func refuseSubpaths(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		address := c.Request().URL
		if isAPI(c) && strings.Count(cmp.Or(address.RawPath, address.Path), "/") != strings.Count(c.Path(), "/") {
			return echo.ErrNotFound
		}
		return next(c)
	}
}

// refuseOptions answers OPTIONS on the API with 405 and keeps the router from listing it in Allow.
func refuseOptions(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		allowed, found := c.Get(echo.ContextKeyHeaderAllow).(string)
		if !isAPI(c) || !found {
			return next(c)
		}
		allowed = strings.TrimPrefix(allowed, http.MethodOptions+", ")
		c.Set(echo.ContextKeyHeaderAllow, allowed)
		if c.Request().Method != http.MethodOptions {
			return next(c)
		}
		c.Response().Header().Set(echo.HeaderAllow, allowed)
		return echo.ErrMethodNotAllowed
	}
}
