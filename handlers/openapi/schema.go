package openapi

import (
	"reflect"
	"slices"
	"strings"
)

// Types says about Go types and members of answers what reflection cannot see. Where a map goes by member, the key is
// "Component.member", or "member" where it holds for every component.
type Types struct {
	Error        reflect.Type            // of the error envelope, the first component
	Names        map[string]string       // of components whose name does not follow from that of their Go type
	Enums        map[reflect.Type][]any  // values of the string types that have a fixed set of them
	MemberEnums  map[string][]any        // values of strings, by member
	MemberTypes  map[string]reflect.Type // types of members whose Go type says less than what they hold
	TimeMembers  []string                // strings that are times although their name does not end in _at
	Descriptions map[string]string       // by member, and of components by their name
}

// schemas builds the JSON schemas of Go types. Each named struct becomes a component.
type schemas struct {
	Types
	components Object
	known      map[reflect.Type]string
}

func newSchemas(types Types) *schemas {
	s := &schemas{Types: types, known: map[reflect.Type]string{}}
	s.of(types.Error)
	return s
}

// componentName returns the name of a struct in the document: instanceItemJSON is InstanceItem, a generic type of it
// InstanceItemPage.
func (s *schemas) componentName(t reflect.Type) string {
	name, inner, generic := strings.Cut(t.Name(), "[")
	if generic {
		inner = inner[strings.LastIndex(inner, ".")+1:]
		name = strings.TrimSuffix(inner, "]")
	}
	if other, ok := s.Names[name]; ok {
		return other
	}

	name = strings.TrimSuffix(name, "JSON")
	name = strings.ToUpper(name[:1]) + name[1:]
	if generic {
		name += "Page"
	}
	return name
}

func (s *schemas) ofValue(v any) Object { return s.of(reflect.TypeOf(v)) }

func (s *schemas) of(t reflect.Type) Object {
	if values, ok := s.Enums[t]; ok {
		return Dict("type", "string", "enum", values)
	}

	switch t.Kind() {
	case reflect.Pointer:
		return Nullable(s.of(t.Elem()))
	case reflect.Bool:
		return Dict("type", "boolean")
	case reflect.String:
		return Dict("type", "string")
	case reflect.Int, reflect.Int64:
		return Dict("type", "integer", "format", "int64")
	case reflect.Slice:
		return List(s.of(t.Elem()))
	case reflect.Array:
		return List(s.of(t.Elem())).With("minItems", t.Len(), "maxItems", t.Len())
	case reflect.Map:
		return Dict("type", "object", "additionalProperties", s.of(t.Elem()))
	case reflect.Struct:
		return s.ofStruct(t)
	}
	return Object{}
}

// ofStruct returns a reference to the component of a named struct, or the schema of an anonymous one.
func (s *schemas) ofStruct(t reflect.Type) Object {
	if t.Name() == "" {
		return s.structure("", t)
	}

	name, known := s.known[t]
	if !known {
		name = s.componentName(t)
		s.known[t] = name
		at := len(s.components)
		s.components = append(s.components, Member{name, nil})
		s.components[at].Value = s.structure(name, t)
	}
	return Dict("$ref", "#/components/schemas/"+name)
}

func (s *schemas) structure(component string, t reflect.Type) Object {
	properties, required := s.properties(component, t, false)
	out := Dict("type", "object")
	if about := s.Descriptions[component]; about != "" {
		out = out.With("description", about)
	}
	if len(required) > 0 {
		out = out.With("required", required)
	}
	return out.With("properties", properties)
}

// properties returns the members of a struct as encoding/json writes them. Members of an embedded pointer are optional.
func (s *schemas) properties(component string, t reflect.Type, optional bool) (properties Object, required []string) {
	for f := range t.Fields() {
		name, rest, _ := strings.Cut(f.Tag.Get("json"), ",")

		if f.Anonymous && name == "" {
			embedded, isPointer := f.Type, f.Type.Kind() == reflect.Pointer
			if isPointer {
				embedded = embedded.Elem()
			}
			more, needed := s.properties(component, embedded, optional || isPointer)
			properties, required = append(properties, more...), append(required, needed...)
			continue
		}

		omit := strings.Contains(rest, "omitempty")
		kind := f.Type
		if omit && kind.Kind() == reflect.Pointer {
			kind = kind.Elem()
		}
		if better, ok := s.MemberTypes[component+"."+name]; ok {
			kind = better
		}
		properties = properties.With(name, s.describe(component, name, s.of(kind)))
		if !omit && !optional {
			required = append(required, name)
		}
	}
	return properties, required
}

// describe adds to the schema of a member what its name says beyond its type: format, values, description.
func (s *schemas) describe(component, name string, schema Object) Object {
	if f := s.format(name); f != "" && isText(schema) {
		schema = schema.With("format", f)
	}
	for _, key := range []string{component + "." + name, name} {
		if values, ok := s.MemberEnums[key]; ok && schema.Get("enum") == nil && isText(schema) {
			schema = schema.With("enum", values)
		}
		if about, ok := s.Descriptions[key]; ok {
			return schema.With("description", about)
		}
	}
	return schema
}

// format returns the format of strings that are times or days, else "".
func (s *schemas) format(member string) string {
	switch {
	case strings.HasSuffix(member, "_at"), slices.Contains(s.TimeMembers, member):
		return "date-time"
	case strings.HasSuffix(member, "_date"):
		return "date"
	}
	return ""
}

func isText(schema Object) bool {
	kinds, _ := schema.Get("type").([]string)
	return schema.Get("type") == "string" || slices.Contains(kinds, "string")
}
