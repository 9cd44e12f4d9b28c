package openapi

import (
	"bytes"
	"encoding/json"
	"slices"
)

// Object is a JSON object whose members keep their order.
type Object []Member

// Member is one name and value of an Object.
type Member struct {
	Name  string
	Value any
}

// Dict returns an object of the given name, value pairs.
func Dict(pairs ...any) Object { return Object{}.With(pairs...) }

// With returns a copy of the object in which the members of the given name, value pairs are added or replaced.
func (o Object) With(pairs ...any) Object {
	out := slices.Clone(o)
	for i := 0; i+1 < len(pairs); i += 2 {
		name, _ := pairs[i].(string)

		at := slices.IndexFunc(out, func(m Member) bool { return m.Name == name })
		if at < 0 {
			out = append(out, Member{name, pairs[i+1]})
			continue
		}
		out[at].Value = pairs[i+1]
	}
	return out
}

// Get returns the value of the named member, nil if the object has none of that name.
func (o Object) Get(name string) any {
	for _, m := range o {
		if m.Name == name {
			return m.Value
		}
	}
	return nil
}

// pairs returns the members as name, value pairs.
func (o Object) pairs() []any {
	var out []any
	for _, m := range o {
		out = append(out, m.Name, m.Value)
	}
	return out
}

// MarshalJSON writes the members in their order.
func (o Object) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)

	b.WriteByte('{')
	for i, m := range o {
		if i > 0 {
			b.WriteByte(',')
		}
		if err := e.Encode(m.Name); err != nil {
			return nil, err
		}
		b.WriteByte(':')
		if err := e.Encode(m.Value); err != nil {
			return nil, err
		}
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}
