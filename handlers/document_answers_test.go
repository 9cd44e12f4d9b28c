package handlers_test

import (
	"bytes"
	"encoding/json"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"whalefall/handlers"
)

// documentation is the OpenAPI document, with additional members forbidden, against which the tests check answers.
type documentation struct {
	*openapi3.T
	mu       sync.Mutex
	compiler *jsonschema.Compiler
	schemas  map[string]*jsonschema.Schema // by their place in the document
}

var documented = sync.OnceValues(func() (*documentation, error) {
	doc, err := openapi3.NewLoader().LoadFromData(handlers.Document())
	if err != nil {
		return nil, err
	}
	raw, err := jsonschema.UnmarshalJSON(bytes.NewReader(handlers.Document()))
	if err != nil {
		return nil, err
	}
	closeObjects(raw)
	d := &documentation{T: doc, compiler: jsonschema.NewCompiler(), schemas: map[string]*jsonschema.Schema{}}
	d.compiler.AssertFormat()
	return d, d.compiler.AddResource("document.json", raw)
})

// closeObjects forbids members that a schema does not name.
func closeObjects(node any) {
	switch node := node.(type) {
	case map[string]any:
		_, named := node["properties"].(map[string]any)
		if _, told := node["additionalProperties"]; named && !told {
			node["additionalProperties"] = false
		}
		for _, child := range node {
			closeObjects(child)
		}
	case []any:
		for _, child := range node {
			closeObjects(child)
		}
	}
}

// schema returns the schema at the place, compiled once.
func (d *documentation) schema(place ...string) (*jsonschema.Schema, error) {
	pointer := "document.json#"
	for _, step := range place {
		pointer += "/" + strings.NewReplacer("~", "~0", "/", "~1", "%", "%25", "{", "%7B", "}", "%7D").Replace(step)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if s, known := d.schemas[pointer]; known {
		return s, nil
	}
	s, err := d.compiler.Compile(pointer)
	if err == nil {
		d.schemas[pointer] = s
	}
	return s, err
}

// operation returns the documented operation of the method at the best matching path, and how the document writes that
// path; nil: none.
func (d *documentation) operation(method, path string) (template string, found *openapi3.Operation) {
	if method == http.MethodHead {
		method = http.MethodGet
	}
	fewest := len(path)
	for candidate, item := range d.Paths.Map() {
		if parameters, fits := fit(candidate, path); fits && parameters < fewest {
			template, found, fewest = candidate, item.GetOperation(method), parameters
		}
	}
	return template, found
}

// fit reports whether the template matches the path, and with how many parameters.
func fit(template, path string) (parameters int, fits bool) {
	want, have := strings.Split(template, "/"), strings.Split(path, "/")
	if len(want) != len(have) {
		return 0, false
	}
	for i := range want {
		switch {
		case strings.HasPrefix(want[i], "{") && have[i] != "":
			parameters++
		case want[i] != have[i]:
			return 0, false
		}
	}
	return parameters, true
}

// examineDocumented checks an answer of the API against the document.
func examineDocumented(r *response) {
	r.Helper()
	method, address, _ := strings.Cut(r.what, " ")
	path, _, _ := strings.Cut(address, "?")
	if !strings.HasPrefix(path, "/api/v1/") {
		return
	}
	d, err := documented()
	check(r, err)
	template, operation := d.operation(method, path)
	if operation == nil {
		d.examineUnknown(r)
		return
	}
	answer := operation.Responses.Status(r.status)
	if answer == nil {
		r.Errorf("%s: the document knows no %d: %.600s", r.what, r.status, r.raw)
		return
	}
	for name, header := range answer.Value.Headers {
		if header.Value.Required && r.header.Get(name) == "" {
			r.Errorf("%s: %d without the header %s", r.what, r.status, name)
		}
	}
	if method == http.MethodHead || r.status == http.StatusNotModified {
		return
	}
	kind, _, _ := mime.ParseMediaType(r.header.Get("Content-Type"))
	media := answer.Value.Content[kind]
	if media == nil {
		r.Errorf("%s: the document knows no %d of type %q", r.what, r.status, kind)
		return
	}
	if !r.isJSON() {
		return
	}
	place := []string{
		"paths", template, strings.ToLower(operationMethod(method)), "responses", strconv.Itoa(r.status), "content", kind,
		"schema",
	}
	if r.status >= http.StatusBadRequest {
		place = []string{"components", "schemas", "Error"}
		examineCode(r, media)
	}
	d.examineBody(r, place...)
}

func operationMethod(method string) string {
	if method == http.MethodHead {
		return http.MethodGet
	}
	return method
}

// examineUnknown checks answers of paths and methods that are not documented.
func (d *documentation) examineUnknown(r *response) {
	r.Helper()
	switch r.status {
	case http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusUnauthorized, http.StatusTooManyRequests:
	default:
		r.Errorf("%s: %d from what the document does not have: %.600s", r.what, r.status, r.raw)
	}
	if r.status == http.StatusMethodNotAllowed && r.header.Get("Allow") == "" {
		r.Errorf("%s: 405 without Allow", r.what)
	}
	if len(r.raw) > 0 {
		d.examineBody(r, "components", "schemas", "Error")
	}
}

// examineCode looks for the message code among the examples of its status.
func examineCode(r *response, media *openapi3.MediaType) {
	r.Helper()
	var known []string
	for _, e := range media.Examples {
		value, _ := e.Value.Value.(map[string]any)
		code, _ := value["message_code"].(string)
		if code == r.body["message_code"] {
			return
		}
		known = append(known, code)
	}
	r.Errorf("%s: of %d the document knows %v: %.600s", r.what, r.status, known, r.raw)
}

func (d *documentation) examineBody(r *response, place ...string) {
	r.Helper()
	schema, err := d.schema(place...)
	check(r, err)
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(r.raw))
	if err == nil {
		err = schema.Validate(value)
	}
	if err != nil {
		r.Errorf("%s: %d is not what the document says: %v\n%.900s", r.what, r.status, err, r.raw)
	}
}

// TestDocumentation_UnknownMembers tests the test itself: undocumented members are found.
func TestDocumentation_UnknownMembers(t *testing.T) {
	t.Parallel()
	d, err := documented()
	check(t, err)
	path := "/api/v1/auth/csrf-token"
	schema, err := d.schema("paths", path, "get", "responses", "200", "content", "application/json", "schema")
	check(t, err)
	raw, err := json.Marshal(d.Paths.Value(path).Get.Responses.Status(200).Value.Content["application/json"].Example)
	check(t, err)
	for _, c := range []struct {
		change func(obj)
		right  bool
	}{
		{func(obj) {}, true},
		{func(o obj) { o["more"] = 1 }, false},
		{func(o obj) { o["data"].(obj)["more"] = 1 }, false},
		{func(o obj) { delete(o, "data") }, false},
		{func(o obj) { o["timestamp"] = "yesterday" }, false},
		{func(o obj) { o["data"].(obj)["csrf_token"] = nil }, true},
		{func(o obj) { o["success"] = false }, false},
	} {
		var value obj
		check(t, json.Unmarshal(raw, &value))
		c.change(value)
		if err := schema.Validate(value); (err == nil) != c.right {
			t.Errorf("%v: %v", value, err)
		}
	}
}
