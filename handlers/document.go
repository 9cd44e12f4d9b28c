package handlers

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"net/http"
	"regexp"
	"slices"

	"github.com/labstack/echo/v4"

	"whalefall/handlers/openapi"
	"whalefall/views"
)

// committed is the document in the repository, which is served.
//
//go:embed openapi.json
var committed []byte

var committedTag = func() string {
	sum := sha256.Sum256(committed)
	return `W/"` + hex.EncodeToString(sum[:16]) + `"`
}()

// Document returns the OpenAPI 3.1 document of the routes.
func Document() []byte {
	d := openapi.Document{
		Info: openapi.Dict("title", "鲸落", "version", "v1", "summary", documentSummary, "description", documentAbout,
			"license", openapi.Dict("name", "MIT", "identifier", "MIT")),
		Servers:         []openapi.Object{openapi.Dict("url", "/", "description", "this WhaleFall")},
		Tags:            documentTags,
		PathParameters:  documentPathParameters,
		Headers:         documentHeaders,
		Envelope:        documentEnvelope,
		SecuritySchemes: documentSecurity,
		Types:           documentTypes(),
	}
	for _, o := range operations() {
		d.Operations = append(d.Operations, o.describe())
	}
	for _, s := range failureStatuses {
		d.Statuses = append(d.Statuses, openapi.Status{
			Code: s.status, Name: s.name, Description: s.about, Failures: describeFailures(s.refusals),
			Headers: append([]string{"X-Request-ID"}, s.headers...),
		})
	}
	return d.JSON()
}

// CheckDocument returns an error that names the first line in which the committed document differs from Document.
func CheckDocument() error { return openapi.Compare("openapi.json", committed, Document()) }

// operations returns all routes of the API in the order of the document.
func operations() []operation {
	all := slices.Concat(
		authOperations(),
		instanceOperations(),
		connectionOperations(),
		connectionStatusOperations(),
		databaseOperations(),
		ledgerOperations(),
		capacityOperations(),
		optionOperations(),
		tableOperations(),
		refreshOperations(),
		credentialOperations(),
		tagOperations(),
		userOperations(),
		auditOperations(),
		tokenOperations(),
		documentOperations(),
	)
	routes := map[string]route{}
	for _, r := range new(handlers).apiRoutes() {
		routes[r.method+" "+routeParameter.ReplaceAllString(r.path, "{$1}")] = r
	}
	for i, o := range all {
		r := routes[o.method+" "+o.path]
		all[i].perm, all[i].ownPassword = r.perm, r.needsOwnPassword()
	}
	return all
}

// routeParameter matches a path parameter as Echo writes it.
var routeParameter = regexp.MustCompile(`:(\w+)`)

func (h *handlers) apiDocument(c echo.Context) error {
	header := c.Response().Header()
	header.Set("ETag", committedTag)
	header.Set(echo.HeaderCacheControl, "no-cache")
	if hasCurrent(c, committedTag) {
		return c.NoContent(http.StatusNotModified)
	}
	return c.Blob(http.StatusOK, echo.MIMEApplicationJSON, committed)
}

func (h *handlers) apiDocs(c echo.Context) error {
	c.Response().Header().Set(echo.HeaderContentType, echo.MIMETextHTMLCharsetUTF8)
	return views.APIDocs(h.page(c)).Render(c.Request().Context(), c.Response())
}
