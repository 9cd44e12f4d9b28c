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
