// Package openapi builds an OpenAPI 3.1 document from descriptions of operations and the Go types of their answers. It
// knows nothing about the resources that the document describes.
package openapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// Document describes a whole API.
type Document struct {
	Info            Object
	Servers         []Object
	Tags            []Tag
	Operations      []Operation
	PathParameters  map[string]Object // parameter objects by name
	Headers         Object            // of answers, by name
	Envelope        Object            // schemas of the members of a success, all required; data is added to them
	Statuses        []Status          // of failures, in the order in which operations list them
	SecuritySchemes Object
	Types           Types
}

// Tag is a group of operations.
type Tag struct{ Name, Description string }

// builder collects the components while the operations are written.
type builder struct {
	Document
	schemas  *schemas
	examples Object
	seen     map[string]string // messages of examples by name
}

func newBuilder(d Document) *builder {
	return &builder{Document: d, schemas: newSchemas(d.Types), seen: map[string]string{}}
}

// JSON returns the document, indented by one space, with a newline at its end.
func (d Document) JSON() []byte {
	b := newBuilder(d)

	var tags []Object
	for _, t := range d.Tags {
		tags = append(tags, Dict("name", t.Name, "description", t.Description))
	}
	paths := b.paths()
	responses := b.sharedResponses()
	out := Dict(
		"openapi", "3.1.0",
		"info", d.Info,
		"servers", d.Servers,
		"tags", tags,
		"paths", paths,
		"components", Dict(
			"schemas", b.schemas.components,
			"responses", responses,
			"examples", b.examples,
			"headers", d.Headers,
			"securitySchemes", d.SecuritySchemes,
		),
	)

	var buffer bytes.Buffer
	e := json.NewEncoder(&buffer)
	e.SetEscapeHTML(false)
	e.SetIndent("", " ")
	// Encoding cannot fail: the document consists of strings, numbers and objects.
	_ = e.Encode(out)
	return buffer.Bytes()
}

func (b *builder) paths() Object {
	var paths Object
	for _, o := range b.Operations {
		item, _ := paths.Get(o.Path).(Object)
		paths = paths.With(o.Path, item.With(strings.ToLower(o.Method), b.operation(o)))
	}
	return paths
}

// Compare returns an error that names the first line in which two documents differ, nil if they are equal.
func Compare(name string, have, want []byte) error {
	haveLines, wantLines := bytes.Split(have, []byte("\n")), bytes.Split(want, []byte("\n"))
	for i := range max(len(haveLines), len(wantLines)) {
		h, w := lineAt(haveLines, i), lineAt(wantLines, i)
		if h != w {
			return fmt.Errorf("%s is not what the routes produce; line %d\n- %s\n+ %s", name, i+1, h, w)
		}
	}
	return nil
}

func lineAt(lines [][]byte, i int) string {
	if i >= len(lines) {
		return "(end)"
	}
	return string(bytes.TrimSpace(lines[i]))
}
