package openapi

import "slices"

// Field describes a member of a request body or a query parameter.
type Field struct {
	Name, Description string
	Schema            Object
	Required          bool
}

// Required returns a field that a request must have.
func Required(name string, schema Object, description string) Field {
	return Field{name, description, schema, true}
}

// Optional returns a field that a request may leave out.
func Optional(name string, schema Object, description string) Field {
	return Field{name, description, schema, false}
}

// AllOptional returns the fields with none of them required, as in a partial update.
func AllOptional(fields []Field) []Field {
	out := slices.Clone(fields)
	for i := range out {
		out[i].Required = false
	}
	return out
}

// queryParameter returns the parameter object of the field.
func (f Field) queryParameter() Object {
	out := Dict("name", f.Name, "in", "query", "required", f.Required, "description", f.Description, "schema", f.Schema)
	if f.Schema.Get("type") == "array" {
		out = out.With("style", "form", "explode", true)
	}
	return out
}

// ObjectOf returns the schema of an object with the given members; other members are allowed and ignored.
func ObjectOf(fields []Field) Object {
	properties, required := Object{}, []string{}
	for _, f := range fields {
		properties = properties.With(f.Name, f.Schema.With("description", f.Description))
		if f.Required {
			required = append(required, f.Name)
		}
	}

	out := Dict("type", "object", "properties", properties)
	if len(required) > 0 {
		out = out.With("required", required)
	}
	return out
}

// Text returns the schema of a string of at most maxLength characters; 0 means no limit.
func Text(maxLength int) Object {
	if maxLength == 0 {
		return Dict("type", "string")
	}
	return Dict("type", "string", "maxLength", maxLength)
}

// Bool returns the schema of a boolean with a default.
func Bool(fallback bool) Object { return Dict("type", "boolean", "default", fallback) }

// IntUpTo returns the schema of an integer from 1 to limit.
func IntUpTo(limit int) Object { return Dict("type", "integer", "minimum", 1, "maximum", limit) }

// List returns the schema of an array whose items have the given schema.
func List(items Object) Object { return Dict("type", "array", "items", items) }

// Enum returns the schema of a string with a fixed set of values.
func Enum[T ~string](values ...T) Object { return Dict("type", "string", "enum", values) }

// Example returns the schema with an example.
func Example(schema Object, value any) Object { return schema.With("examples", []any{value}) }

// Default returns the schema with a default.
func Default(schema Object, value any) Object { return schema.With("default", value) }

// Nullable returns the schema with null allowed.
func Nullable(schema Object) Object {
	if _, isRef := schema.Get("$ref").(string); isRef {
		return Dict("anyOf", []Object{schema, Dict("type", "null")})
	}

	out := slices.Clone(schema)
	for i, m := range out {
		switch values := m.Value.(type) {
		case string:
			if m.Name == "type" {
				out[i].Value = []string{values, "null"}
			}
		case []any:
			if m.Name == "enum" {
				out[i].Value = append(slices.Clone(values), nil)
			}
		}
	}
	return out
}

// Values returns the values as a slice of any, for the enumerations of Types.
func Values[T any](values ...T) []any {
	out := make([]any, len(values))
	for i := range values {
		out[i] = values[i]
	}
	return out
}
