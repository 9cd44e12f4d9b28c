package openapi

import (
	"net/http"
	"regexp"
	"strconv"
)

const (
	mediaJSON   = "application/json"
	mediaUpload = "multipart/form-data"
)

// Operation describes one route.
type Operation struct {
	Method, Path string // the whole path, parameters in braces
	ID, Tag      string
	Summary      string
	Description  string // Markdown

	Query      []Field
	Headers    []Object // parameter objects of request headers
	Body       []Field  // members of the JSON object, or fields of the form, that is sent
	Upload     bool     // the body is a form with files
	BodySample any      // example of the body; nil: none

	Successes []Success
	Failures  []Failure
	Security  []Object // requirements, of which one must be met; empty: open to all
	Extra     Object   // members of ours, named x-…
}

// Success describes a successful answer.
type Success struct {
	Status      int
	Description string
	Headers     []string // names of Document.Headers
	Enveloped   bool     // the answer has the success envelope
	Data        any      // value of the type of the envelope's data; nil: none
	Sample      any      // example of the whole answer
	Files       []File   // what is answered instead of the envelope, or beside it
}

// File describes an answer without the envelope.
type File struct {
	Media  string
	Sample any // nil: none
}

var pathParameter = regexp.MustCompile(`\{(\w+)\}`)

func (b *builder) operation(o Operation) Object {
	out := Dict("tags", []string{o.Tag}, "summary", o.Summary, "description", o.Description, "operationId", o.ID)
	if p := b.parameters(o); len(p) > 0 {
		out = out.With("parameters", p)
	}
	if o.Upload || len(o.Body) > 0 {
		out = out.With("requestBody", requestBody(o))
	}
	return out.With("responses", b.responses(o), "security", o.Security).With(o.Extra.pairs()...)
}

func (b *builder) parameters(o Operation) []Object {
	var out []Object
	for _, m := range pathParameter.FindAllStringSubmatch(o.Path, -1) {
		out = append(out, b.PathParameters[m[1]])
	}
	for _, q := range o.Query {
		out = append(out, q.queryParameter())
	}
	return append(out, o.Headers...)
}

func requestBody(o Operation) Object {
	media := mediaJSON
	if o.Upload {
		media = mediaUpload
	}
	content := Dict("schema", ObjectOf(o.Body))
	if o.BodySample != nil {
		content = content.With("example", o.BodySample)
	}
	return Dict("required", true, "content", Dict(media, content))
}

// responses returns the successes of the operation, then its failures by status.
func (b *builder) responses(o Operation) Object {
	var out Object
	for _, s := range o.Successes {
		out = append(out, Member{strconv.Itoa(s.Status), b.success(s)})
	}

	byStatus := map[int][]Failure{}
	for _, f := range o.Failures {
		byStatus[f.Status] = append(byStatus[f.Status], f)
	}
	for _, s := range b.Statuses {
		if failures := byStatus[s.Code]; len(failures) > 0 {
			out = append(out, Member{strconv.Itoa(s.Code), b.failure(s, failures)})
		}
	}
	return out
}

func (b *builder) success(s Success) Object {
	out := Dict("description", s.Description, "headers", headers(s.Headers...))
	if s.Status == http.StatusNotModified {
		return out
	}

	content := Object{}
	if s.Enveloped {
		content = Dict(mediaJSON, Dict("schema", b.envelope(s.Data), "example", s.Sample))
	}
	for _, f := range s.Files {
		schema := Dict("type", "string")
		if f.Media == mediaJSON {
			schema = Dict("type", "object", "additionalProperties", true)
		}
		media := Dict("schema", schema)
		if f.Sample != nil {
			media = media.With("example", f.Sample)
		}
		content = content.With(f.Media, media)
	}
	return out.With("content", content)
}

// envelope returns the schema of a success with this data.
func (b *builder) envelope(data any) Object {
	properties, required := Object{}, []string{}
	for _, m := range b.Envelope {
		properties = properties.With(m.Name, m.Value)
		required = append(required, m.Name)
	}
	if data != nil {
		properties = properties.With("data", b.schemas.ofValue(data))
		required = append(required, "data")
	}
	return Dict("type", "object", "required", required, "properties", properties)
}

func headers(names ...string) Object {
	out := Object{}
	for _, name := range names {
		out = out.With(name, Dict("$ref", "#/components/headers/"+name))
	}
	return out
}
