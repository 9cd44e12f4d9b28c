package openapi

import (
	"slices"
	"strconv"
	"strings"
)

// Failure describes one way in which an operation can fail.
type Failure struct {
	Status  int
	Code    string // the message code that clients read
	Key     string // tells failures of one code apart; may be empty
	Message string
	Sample  any // example of the whole answer
}

// Status describes an HTTP status of failures.
type Status struct {
	Code              int
	Name, Description string
	Failures          []Failure // of the response that operations share; empty: each has its own
	Headers           []string  // names of Document.Headers
}

// sharedResponses returns the responses that operations refer to.
func (b *builder) sharedResponses() Object {
	var out Object
	for _, s := range b.Statuses {
		if len(s.Failures) > 0 {
			out = out.With(s.Name, b.response(s, s.Failures))
		}
	}
	return out
}

// failure returns a reference to the shared response of the status if it lists the same failures, else a response.
func (b *builder) failure(s Status, failures []Failure) Object {
	same := func(x, y Failure) bool { return x.Code == y.Code && x.Message == y.Message }
	if slices.EqualFunc(failures, s.Failures, same) {
		return Dict("$ref", "#/components/responses/"+s.Name)
	}
	return b.response(s, failures)
}

// response lists the failures by code and message, each with an example.
func (b *builder) response(s Status, failures []Failure) Object {
	about, examples := s.Description+"\n", Object{}
	for _, f := range failures {
		about += "\n- `" + f.Code + "` " + f.Message
		examples = examples.With(b.example(f))
	}

	content := Dict("schema", b.schemas.of(b.Types.Error), "examples", examples)
	return Dict("description", about, "headers", headers(s.Headers...), "content", Dict(mediaJSON, content))
}

// example adds the failure's example to the components and returns its name and a reference to it.
func (b *builder) example(f Failure) (name string, reference Object) {
	base := strings.TrimSuffix(f.Code+"."+f.Key, ".")
	name = base
	for n := 2; b.seen[name] != "" && b.seen[name] != f.Message; n++ {
		name = base + "." + strconv.Itoa(n)
	}

	if b.seen[name] == "" {
		b.seen[name] = f.Message
		b.examples = b.examples.With(name, Dict("summary", f.Message, "value", f.Sample))
	}
	return name, Dict("$ref", "#/components/examples/"+name)
}
