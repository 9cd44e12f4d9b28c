package handlers

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"whalefall/handlers/openapi"
)

func documentOperations() []operation {
	return []operation{
		{
			method: http.MethodGet, path: "/health/ping", id: "ping", tag: tagDocuments,
			summary: "Check that WhaleFall answers", message: "api.health", data: healthJSON{Status: "ok", Version: "v0.4.0"},
		},
		{
			method: http.MethodGet, path: "/health/basic", id: "basicHealth", tag: tagDocuments,
			summary: "Check that WhaleFall answers, as the original does", message: "api.healthy",
			data: basicHealthJSON{Status: "healthy", Timestamp: 1782966600.5, Version: "v0.4.0"},
		},
		{
			method: http.MethodGet, path: "/health/health", id: "storeHealth", tag: tagDocuments,
			summary: "Check that WhaleFall and its store answer",
			about:   "200 even if the store does not answer: see `status`. Probes had better ask `/readyz`.",
			message: "api.done", data: storeHealthJSON{
				Status: "healthy", Database: "connected", Timestamp: documentTime, Uptime: "3天 4小时 5分钟",
			},
		},
		{
			method: http.MethodGet, path: "/admin/app-info", id: "getAppInfo", tag: tagDocuments,
			summary: "Name and version of this WhaleFall", message: "api.app_info",
			data: appInfoJSON{AppName: "鲸落", AppVersion: "v0.4.0"},
		},
		{
			method: http.MethodGet, path: "/openapi.json", id: "getDocument", tag: tagDocuments,
			summary: "This document", about: "OpenAPI 3.1, without the envelope.", conditional: true,
			files: []openapi.File{{Media: echo.MIMEApplicationJSON}},
		},
		{
			method: http.MethodGet, path: "/docs", id: "getDocs", tag: tagDocuments,
			summary: "This document as a page to read and try", files: []openapi.File{{Media: "text/html"}},
		},
	}
}
