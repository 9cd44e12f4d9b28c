package handlers

import (
	"bytes"
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"whalefall/models"
	"whalefall/views"
)

// operation describes one route of the API for the OpenAPI document.
type operation struct {
	method, path string // below /api/v1, parameters in braces
	id, tag      string
	perm         models.Permission // of its route
	summary      string
	about        string // more about it, in Markdown; empty: the summary says it all
	query        []field
	conditional  bool // answers 304 to a client that has the newest state

	body    []field // members of the JSON object that is sent
	upload  bool    // the body is a form with files instead
	example object  // of the body

	status  int        // of success; 0: 200
	message string     // key of its message in the catalogue
	args    []any      // name, value pairs of the message
	data    any        // an example of its data, in the type that is sent; nil: none
	files   []file     // what is answered instead of the envelope, or beside it
	later   *operation // how it answers 202 to who prefers not to wait; nil: it does not

	missing string          // key of its 404; empty: nothing is named in the path
	fails   []*models.Error // refusals of its own
}

// file is an answer that is no envelope.
type file struct {
	media   string
	example any
}

// operations are all routes of the API in the order in which the document tells of them.
func operations() []operation {
	all := slices.Concat(authOperations(), instanceOperations(), connectionOperations(), databaseOperations(), tableOperations(), refreshOperations(),
		credentialOperations(), tagOperations(), userOperations(), tokenOperations(), documentOperations())
	permissions := map[string]models.Permission{}
	for _, r := range new(handlers).apiRoutes() {
		permissions[r.method+" "+routeParameter.ReplaceAllString(r.path, "{$1}")] = r.perm
	}
	for i, o := range all {
		all[i].perm = permissions[o.method+" "+o.path]
	}
	return all
}

// routeParameter is a parameter as routes write it.
var routeParameter = regexp.MustCompile(`:(\w+)`)

// documentTime is the time of every example.
const documentTime = "2026-07-02T04:30:00+00:00"

// document is the OpenAPI document under construction.
type document struct {
	schemas  *schemas
	examples object
	seen     map[string]string // messages of examples by name
}

// Document is the OpenAPI 3.1 document that the routes produce.
func Document() []byte {
	d := &document{schemas: newSchemas(), seen: map[string]string{}}
	paths, tags := d.paths(), object{}
	responses := d.sharedResponses()
	for _, t := range documentTags {
		tags = append(tags, member{"", dict("name", t.name, "description", t.about)})
	}
	out := dict(
		"openapi", "3.1.0",
		"info", dict("title", "鲸落", "version", "v1", "summary", documentSummary, "description", documentAbout,
			"license", dict("name", "MIT", "identifier", "MIT")),
		"servers", []object{dict("url", "/", "description", "this WhaleFall")},
		"tags", tags.values(),
		"paths", paths,
		"components", dict(
			"schemas", d.schemas.components,
			"responses", responses,
			"examples", d.examples,
			"headers", documentHeaders,
			"securitySchemes", documentSecurity,
		),
	)
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", " ")
	// The document is made of texts, numbers and objects alone.
	_ = e.Encode(out)
	return b.Bytes()
}

func (d *document) paths() object {
	var paths object
	for _, o := range operations() {
		path := "/api/v1" + o.path
		item, _ := paths.get(path).(object)
		paths = paths.with(path, item.with(strings.ToLower(o.method), d.operation(o)))
	}
	return paths
}

func (d *document) operation(o operation) object {
	out := dict("tags", []string{o.tag}, "summary", o.summary, "description", o.description(), "operationId", o.id)
	if p := o.parameters(); len(p) > 0 {
		out = out.with("parameters", p)
	}
	if o.upload || len(o.body) > 0 {
		out = out.with("requestBody", o.requestBody())
	}
	return out.with("responses", d.responses(o), "security", o.security(), "x-permission", o.permission())
}

func (o operation) write() bool { return !isRead(o.method) }

// permission is what the operation asks for, as the document says it.
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

// security is an empty list for what anybody may do without any token.
func (o operation) security() []object {
	none := []string{}
	switch {
	case o.perm == anyone && o.write():
		return []object{dict("csrf", none), dict("bearer", none)}
	case o.perm == public || o.perm == anyone:
		return []object{}
	case o.write():
		return []object{dict("session", none, "csrf", none), dict("bearer", none)}
	}
	return []object{dict("session", none), dict("bearer", none)}
}

var pathParameter = regexp.MustCompile(`\{(\w+)\}`)

func (o operation) parameters() []object {
	var out []object
	for _, m := range pathParameter.FindAllStringSubmatch(o.path, -1) {
		out = append(out, pathParameters[m[1]])
	}
	for _, q := range o.query {
		out = append(out, q.parameter())
	}
	if o.later != nil {
		out = append(out, dict("name", "Prefer", "in", "header", "required", false, "schema", dict("type", "string", "examples", []string{"respond-async"}),
			"description", "`respond-async`: answer 202 at once with the `Location` of the refresh."))
	}
	if o.conditional {
		out = append(out, dict("name", "If-None-Match", "in", "header", "required", false, "schema", dict("type", "string"),
			"description", "The `ETag` of the answer one has; 304 when it is still the newest."))
	}
	return out
}

func (o operation) requestBody() object {
	media := echoJSON
	if o.upload {
		media = "multipart/form-data"
	}
	schema := objectOf(o.body)
	content := dict("schema", schema)
	if o.example != nil {
		content = content.with("example", o.example)
	}
	return dict("required", true, "content", dict(media, content))
}

const echoJSON = "application/json"

// responses are the success of the operation and all its refusals, by status.
func (d *document) responses(o operation) object {
	out := object{member{strconv.Itoa(o.successStatus()), d.success(o)}}
	if o.later != nil {
		out = append(out, member{"202", d.success(*o.later)})
	}
	if o.conditional {
		out = append(out, member{"304", dict("description", "Nothing changed since.", "headers", headers("X-Request-ID", "ETag"))})
	}
	byStatus := map[int][]*models.Error{}
	for _, e := range o.refusals() {
		status := kinds[e.Code].status
		byStatus[status] = append(byStatus[status], e)
	}
	for _, s := range sharedStatuses {
		if refusals := byStatus[s.status]; len(refusals) > 0 {
			out = append(out, member{strconv.Itoa(s.status), d.refusal(s, refusals)})
		}
	}
	return out
}

func (o operation) successStatus() int {
	if o.status == 0 {
		return http.StatusOK
	}
	return o.status
}

func (d *document) success(o operation) object {
	content := object{}
	if o.message != "" {
		content = dict(echoJSON, dict("schema", d.envelope(o), "example", answerExample(o.message, o.args, o.data)))
	}
	for _, f := range o.files {
		schema := dict("type", "string")
		if f.media == echoJSON {
			schema = dict("type", "object", "additionalProperties", true)
		}
		media := dict("schema", schema)
		if f.example != nil {
			media = media.with("example", f.example)
		}
		content = content.with(f.media, media)
	}
	about := o.summary
	if o.message != "" {
		about = views.Message(views.Chinese, o.message, models.Args(o.args...))
	}
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
	return dict("description", about, "headers", headers(names...), "content", content)
}

// envelope is the schema of a success with this data.
func (d *document) envelope(o operation) object {
	properties := object{}
	for _, name := range []string{"success", "error", "message", "timestamp"} {
		properties = properties.with(name, envelopeMembers[name])
	}
	required := []string{"success", "error", "message", "timestamp"}
	if o.data != nil {
		properties = properties.with("data", d.schemas.ofValue(o.data))
		required = append(required, "data")
	}
	return dict("type", "object", "required", required, "properties", properties)
}

var envelopeMembers = map[string]object{
	"success":   dict("type", "boolean", "const", true),
	"error":     dict("type", "boolean", "const", false),
	"message":   dict("type", "string", "description", "For people, in their language."),
	"timestamp": dict("type", "string", "format", "date-time", "description", "When the answer was made, UTC."),
}

func answerExample(key string, args []any, data any) answer {
	return answer{Success: true, Message: views.Message(views.Chinese, key, models.Args(args...)), Timestamp: documentTime, Data: data}
}

func headers(names ...string) object {
	out := object{}
	for _, name := range names {
		out = out.with(name, dict("$ref", "#/components/headers/"+name))
	}
	return out
}
