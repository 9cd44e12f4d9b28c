package handlers

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
	"strings"

	"whalefall/models"
)

// object is a JSON object that keeps the order of its members.
type object []member

type member struct {
	name  string
	value any
}

// dict is an object of name, value pairs.
func dict(pairs ...any) object { return object{}.with(pairs...) }

// with is the object with more members, or other values of those it has.
func (o object) with(pairs ...any) object {
	out := slices.Clone(o)
	for i := 0; i+1 < len(pairs); i += 2 {
		name, _ := pairs[i].(string)
		at := slices.IndexFunc(out, func(m member) bool { return m.name == name })
		if at < 0 {
			out = append(out, member{name, pairs[i+1]})
			continue
		}
		out[at].value = pairs[i+1]
	}
	return out
}

// get is the value of the member; nil when there is none.
func (o object) get(name string) any {
	for _, m := range o {
		if m.name == name {
			return m.value
		}
	}
	return nil
}

func (o object) values() []any {
	out := make([]any, len(o))
	for i, m := range o {
		out[i] = m.value
	}
	return out
}

// MarshalJSON writes the members in their order.
func (o object) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	b.WriteByte('{')
	for i, m := range o {
		if i > 0 {
			b.WriteByte(',')
		}
		if err := e.Encode(m.name); err != nil {
			return nil, err
		}
		b.WriteByte(':')
		if err := e.Encode(m.value); err != nil {
			return nil, err
		}
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// field is a member of a request body, or a query parameter.
type field struct {
	name, about string
	schema      object
	required    bool
}

func need(name string, schema object, about string) field { return field{name, about, schema, true} }

func may(name string, schema object, about string) field { return field{name, about, schema, false} }

func (f field) parameter() object {
	out := dict("name", f.name, "in", "query", "required", f.required, "description", f.about, "schema", f.schema)
	if f.schema.get("type") == "array" {
		out = out.with("style", "form", "explode", true)
	}
	return out
}

// objectOf is the schema of an object with these members; what else is sent is ignored.
func objectOf(fields []field) object {
	properties, required := object{}, []string{}
	for _, f := range fields {
		properties = properties.with(f.name, f.schema.with("description", f.about))
		if f.required {
			required = append(required, f.name)
		}
	}
	out := dict("type", "object", "properties", properties)
	if len(required) > 0 {
		out = out.with("required", required)
	}
	return out
}

// Schemas of what clients send.
func text(maxLength int) object {
	if maxLength == 0 {
		return dict("type", "string")
	}
	return dict("type", "string", "maxLength", maxLength)
}
func yesNo(fallback bool) object      { return dict("type", "boolean", "default", fallback) }
func whole(high int) object           { return dict("type", "integer", "minimum", 1, "maximum", high) }
func list(of object) object           { return dict("type", "array", "items", of) }
func oneOf[T ~string](of ...T) object { return dict("type", "string", "enum", of) }
func orNone(schema object) object     { return nullable(schema) }
func example(s object, v any) object  { return s.with("examples", []any{v}) }
func fallback(s object, v any) object { return s.with("default", v) }

// schemas makes JSON schemas of Go types. A named struct becomes a component.
type schemas struct {
	components object
	known      map[reflect.Type]string
}

func newSchemas() *schemas {
	s := &schemas{known: map[reflect.Type]string{}}
	s.of(reflect.TypeFor[problem]())
	return s
}

// componentName is what the document calls a struct: instanceItemJSON is InstanceItem, pages of it are InstanceItemPage.
func componentName(t reflect.Type) string {
	name, inner, generic := strings.Cut(t.Name(), "[")
	if generic {
		inner = inner[strings.LastIndex(inner, ".")+1:]
		name = strings.TrimSuffix(inner, "]")
	}
	if other, ok := componentNames[name]; ok {
		return other
	}
	name = strings.TrimSuffix(name, "JSON")
	name = strings.ToUpper(name[:1]) + name[1:]
	if generic {
		name += "Page"
	}
	return name
}

var componentNames = map[string]string{"problem": "Error", "problemContext": "ErrorContext", "extraJSON": "ErrorExtra"}

// extraMembers are the members whose type says less than what they hold.
var extraMembers = []string{"Error.extra", "ConnectionResult.extra", "RunError.extra"}

func (s *schemas) ofValue(v any) object { return s.of(reflect.TypeOf(v)) }

func (s *schemas) of(t reflect.Type) object {
	if values, ok := enums[t]; ok {
		return dict("type", "string", "enum", values)
	}
	switch t.Kind() {
	case reflect.Pointer:
		return nullable(s.of(t.Elem()))
	case reflect.Bool:
		return dict("type", "boolean")
	case reflect.String:
		return dict("type", "string")
	case reflect.Int, reflect.Int64:
		return dict("type", "integer", "format", "int64")
	case reflect.Slice:
		return dict("type", "array", "items", s.of(t.Elem()))
	case reflect.Array:
		return dict("type", "array", "items", s.of(t.Elem()), "minItems", t.Len(), "maxItems", t.Len())
	case reflect.Map:
		return dict("type", "object", "additionalProperties", s.of(t.Elem()))
	case reflect.Struct:
		return s.ofStruct(t)
	}
	return object{}
}

// nullable is the schema, or null.
func nullable(schema object) object {
	if _, isRef := schema.get("$ref").(string); isRef {
		return dict("anyOf", []object{schema, dict("type", "null")})
	}
	out := slices.Clone(schema)
	for i, m := range out {
		switch values := m.value.(type) {
		case string:
			if m.name == "type" {
				out[i].value = []string{values, "null"}
			}
		case []any:
			if m.name == "enum" {
				out[i].value = append(slices.Clone(values), nil)
			}
		}
	}
	return out
}

func (s *schemas) ofStruct(t reflect.Type) object {
	if t.Name() == "" {
		return s.structure("", t)
	}
	name, known := s.known[t]
	if !known {
		name = componentName(t)
		s.known[t] = name
		at := len(s.components)
		s.components = append(s.components, member{name, nil})
		s.components[at].value = s.structure(name, t)
	}
	return dict("$ref", "#/components/schemas/"+name)
}

func (s *schemas) structure(component string, t reflect.Type) object {
	properties, required := s.properties(component, t, false)
	out := dict("type", "object")
	if about := words[component]; about != "" {
		out = out.with("description", about)
	}
	if len(required) > 0 {
		out = out.with("required", required)
	}
	return out.with("properties", properties)
}

// properties are the members of a struct as encoding/json writes them; those of an embedded pointer may be left out.
func (s *schemas) properties(component string, t reflect.Type, optional bool) (properties object, required []string) {
	for i := range t.NumField() {
		f := t.Field(i)
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
		if slices.Contains(extraMembers, component+"."+name) {
			kind = reflect.TypeFor[extraJSON]()
		}
		properties = properties.with(name, describe(component, name, s.of(kind)))
		if !omit && !optional {
			required = append(required, name)
		}
	}
	return properties, required
}

// describe adds to the schema of a member what its name says beyond its type.
func describe(component, name string, schema object) object {
	if f := textFormat(name); f != "" && isText(schema) {
		schema = schema.with("format", f)
	}
	for _, key := range []string{component + "." + name, name} {
		if values, ok := memberEnums[key]; ok && schema.get("enum") == nil && isText(schema) {
			schema = schema.with("enum", values)
		}
		if about, ok := words[key]; ok {
			return schema.with("description", about)
		}
	}
	return schema
}

func isText(schema object) bool {
	kinds, _ := schema.get("type").([]string)
	return schema.get("type") == "string" || slices.Contains(kinds, "string")
}

// textFormat is the format of texts that are times and days.
func textFormat(name string) string {
	switch {
	case strings.HasSuffix(name, "_at"), slices.Contains([]string{"timestamp", "last_connected", "last_sync_time"}, name):
		return "date-time"
	case strings.HasSuffix(name, "_date"):
		return "date"
	}
	return ""
}

func values[T any](of ...T) []any {
	out := make([]any, len(of))
	for i := range of {
		out[i] = of[i]
	}
	return out
}

// enums are the types of text that have a few values only.
var enums = map[reflect.Type][]any{
	reflect.TypeFor[models.Engine]():         values(models.Engines...),
	reflect.TypeFor[models.Role]():           values(models.Roles...),
	reflect.TypeFor[models.Permission]():     values(models.Permissions...),
	reflect.TypeFor[models.TLSMode]():        values(tlsModes...),
	reflect.TypeFor[models.ScheduleStatus](): values(models.ScheduleStatuses...),
	reflect.TypeFor[models.Action]():         values(models.Actions...),
	reflect.TypeFor[models.Code]():           codes(),
	reflect.TypeFor[models.Kind](): values(
		models.KindTable, models.KindPartitioned, models.KindPartition, models.KindMatview, models.KindSequence, models.KindMerge,
		models.KindMemory, models.KindExternal, models.KindShadow, models.KindIndexedView, models.KindMemoryOptimized,
		models.KindCluster, models.KindRecycleBin, models.KindTemporary,
	),
	reflect.TypeFor[models.Note](): values(
		models.NoteUnclassified, models.NoteClustered, models.NoteHistory, models.NoteShipped, models.NoteFullText,
	),
	reflect.TypeFor[models.RunKind]():  values(models.RunTables, models.RunDatabases),
	reflect.TypeFor[models.RunPhase](): values(models.PhaseConnecting, models.PhaseQuerying, models.PhaseStoring),
	reflect.TypeFor[models.RunStatus](): values(
		models.RunQueued, models.RunRunning, models.RunSucceeded, models.RunFailed, models.RunCancelled, models.RunInterrupted,
	),
	reflect.TypeFor[models.RowsSource](): values(models.RowsExact, models.RowsStatistic),
	reflect.TypeFor[models.SizeSource](): values(models.SizeAllocated, models.SizeStatistic, models.SizeNone),
	reflect.TypeFor[models.Unread]():     values(models.UnreadLocked, models.UnreadHidden, models.UnreadFailed),
}

// codes are the message codes that clients see, in alphabetical order.
func codes() []any {
	var all []models.Code
	for code := range kinds {
		if code != models.CodeMethodNotAllowed {
			all = append(all, code)
		}
	}
	slices.Sort(all)
	return values(all...)
}
