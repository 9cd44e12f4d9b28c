package handlers

import (
	"cmp"
	"net/http"

	"whalefall/handlers/openapi"
	"whalefall/models"
	"whalefall/views"
)

// operation describes one route of the API. Failures that every route of its kind has are added by refusals.
type operation struct {
	method, path string // below /api/v1, parameters in braces
	id, tag      string
	perm         models.Permission // permission of its route
	ownPassword  bool              // whether its route refuses users who must change their password first
	summary      string
	about        string // Markdown; empty if the summary is enough
	query        []openapi.Field
	conditional  bool // answers 304 to a client that has the current state

	body    []openapi.Field // members of the JSON body
	upload  bool            // the body is a form with a file instead
	example openapi.Object  // example of the body

	status  int            // HTTP status of success; 0: 200
	message string         // key of the success message
	args    []any          // name, value pairs of that message
	data    any            // example of the data, in the type that is sent; nil: none
	files   []openapi.File // answers without the envelope
	later   *operation     // the 202 answer with Prefer: respond-async; nil: none
	partial *operation     // the 207 answer if only a part succeeded; nil: none

	missing string          // key of its 404; empty: the path names nothing
	fails   []*models.Error // failures of its own
}

// documentTime is the time of every example.
const documentTime = "2026-07-02T04:30:00.000000+00:00"

// describe returns the operation as the document needs it.
func (o operation) describe() openapi.Operation {
	out := openapi.Operation{
		Method: o.method, Path: "/api/v1" + o.path, ID: o.id, Tag: o.tag, Summary: o.summary, Description: o.description(),
		Query: o.query, Headers: o.requestHeaders(), Body: o.body, Upload: o.upload,
		Successes: []openapi.Success{o.success()}, Failures: describeFailures(o.refusals()), Security: o.security(),
		Extra: openapi.Dict("x-permission", o.permission()),
	}
	if o.example != nil {
		out.BodySample = o.example
	}
	if o.later != nil {
		out.Successes = append(out.Successes, o.later.success())
	}
	if o.partial != nil {
		out.Successes = append(out.Successes, o.partial.success())
	}
	if o.conditional {
		out.Successes = append(out.Successes, openapi.Success{
			Status: http.StatusNotModified, Description: "Nothing changed since.", Headers: []string{"X-Request-ID", "ETag"},
		})
	}
	return out
}

func (o operation) write() bool { return !isRead(o.method) }

// permission returns the permission of the operation as the document writes it.
func (o operation) permission() string {
	if o.perm == public || o.perm == anyone {
		return "anonymous"
	}
	return string(o.perm)
}

func (o operation) description() string {
	text := o.about
	if text != "" {
		text += "\n\n"
	}
	return text + "Permission: `" + o.permission() + "`."
}

// security returns the alternatives of which a request must meet one. The list is empty if it needs no token at all.
func (o operation) security() []openapi.Object {
	none := []string{}
	bearer := openapi.Dict("bearer", none)
	switch {
	case o.perm == anyone && o.write():
		return []openapi.Object{openapi.Dict("csrf", none), bearer}
	case o.perm == public || o.perm == anyone:
		return []openapi.Object{}
	case o.write():
		return []openapi.Object{openapi.Dict("session", none, "csrf", none), bearer}
	}
	return []openapi.Object{openapi.Dict("session", none), bearer}
}

// requestHeaders returns the headers that a client may send with the request.
func (o operation) requestHeaders() []openapi.Object {
	var out []openapi.Object
	if o.later != nil {
		schema := openapi.Dict("type", "string", "examples", []string{"respond-async"})
		out = append(out, openapi.Dict("name", "Prefer", "in", "header", "required", false, "schema", schema,
			"description", "`respond-async`: answer 202 at once with the `Location` of the refresh."))
	}
	if o.conditional {
		schema := openapi.Dict("type", "string")
		out = append(out, openapi.Dict("name", "If-None-Match", "in", "header", "required", false, "schema", schema,
			"description", "The `ETag` of the answer one has; 304 when it is still the newest."))
	}
	return out
}

func (o operation) success() openapi.Success {
	out := openapi.Success{
		Status: cmp.Or(o.status, http.StatusOK), Description: o.summary, Headers: o.successHeaders(),
		Enveloped: o.message != "", Data: o.data, Files: o.files,
	}
	if out.Enveloped {
		out.Description = views.Message(views.Chinese, o.message, models.Args(o.args...))
		out.Sample = answer{Success: true, Message: out.Description, Timestamp: documentTime, Data: o.data}
	}
	return out
}

func (o operation) successHeaders() []string {
	names := []string{"X-Request-ID"}
	if o.conditional {
		names = append(names, "ETag")
	}
	if len(o.files) > 0 && o.message != "" {
		names = append(names, "X-Total-Count", "X-Collected-At")
	}
	if o.status == http.StatusAccepted {
		names = append(names, "Location")
	}
	return names
}

// documentEnvelope lists the members of answer without its data.
var documentEnvelope = openapi.Dict(
	"success", openapi.Dict("type", "boolean", "const", true),
	"error", openapi.Dict("type", "boolean", "const", false),
	"message", openapi.Dict("type", "string", "description", "Text for people, in the language of the request."),
	"timestamp", openapi.Dict("type", "string", "format", "date-time", "description", "When the answer was made, UTC."),
)
