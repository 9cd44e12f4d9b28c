package openapi

import (
	"encoding/json"
	"reflect"
	"testing"
)

type failureJSON struct {
	Message string         `json:"message"`
	Extra   map[string]any `json:"extra,omitempty"`
}

type extraJSON struct {
	Seconds *int64 `json:"seconds,omitempty"`
}

type color string

type moreJSON struct {
	Weight int64 `json:"weight"`
}

type thingJSON struct {
	ID      int64     `json:"id"`
	Name    *string   `json:"name"`
	Color   color     `json:"color"`
	Shades  [2]string `json:"shades"`
	MadeAt  string    `json:"made_at"`
	SeenOn  string    `json:"seen_date"`
	State   string    `json:"state"`
	Skipped bool      `json:"skipped,omitempty"`
	*moreJSON
}

type listJSON[T any] struct {
	Items []T `json:"items"`
}

func testTypes() Types {
	return Types{
		Error:        reflect.TypeFor[failureJSON](),
		Names:        map[string]string{"failureJSON": "Problem"},
		Enums:        map[reflect.Type][]any{reflect.TypeFor[color](): Values("red", "blue")},
		MemberEnums:  map[string][]any{"state": Values("new", "old"), "Thing.state": Values("on", "off")},
		MemberTypes:  map[string]reflect.Type{"Problem.extra": reflect.TypeFor[extraJSON]()},
		Descriptions: map[string]string{"Thing": "A thing.", "id": "Identifier.", "Thing.id": "Number of the thing."},
	}
}

func TestSchemas_OfValue(t *testing.T) {
	t.Parallel()
	thing := `{"type":"object","description":"A thing.",` +
		`"required":["id","name","color","shades","made_at","seen_date","state"],"properties":{` +
		`"id":{"type":"integer","format":"int64","description":"Number of the thing."},` +
		`"name":{"type":["string","null"]},` +
		`"color":{"type":"string","enum":["red","blue"]},` +
		`"shades":{"type":"array","items":{"type":"string"},"minItems":2,"maxItems":2},` +
		`"made_at":{"type":"string","format":"date-time"},` +
		`"seen_date":{"type":"string","format":"date"},` +
		`"state":{"type":"string","enum":["on","off"]},` +
		`"skipped":{"type":"boolean"},` +
		`"weight":{"type":"integer","format":"int64"}}}`

	for _, test := range []struct {
		name, component string
		value           any
		schema, want    string // of the value, of the component
	}{
		{"named struct", "Thing", thingJSON{}, `{"$ref":"#/components/schemas/Thing"}`, thing},
		{
			"generic struct", "ThingPage",
			listJSON[thingJSON]{},
			`{"$ref":"#/components/schemas/ThingPage"}`,
			`{"type":"object","required":["items"],` +
				`"properties":{"items":{"type":"array","items":{"$ref":"#/components/schemas/Thing"}}}}`,
		},
		{
			"anonymous struct", "",
			struct {
				Thing *thingJSON `json:"thing"`
			}{},
			`{"type":"object","required":["thing"],` +
				`"properties":{"thing":{"anyOf":[{"$ref":"#/components/schemas/Thing"},{"type":"null"}]}}}`, "",
		},
		{
			"error with members of another type", "Problem",
			failureJSON{},
			`{"$ref":"#/components/schemas/Problem"}`,
			`{"type":"object","required":["message"],` +
				`"properties":{"message":{"type":"string"},"extra":{"$ref":"#/components/schemas/ErrorExtra"}}}`,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			types := testTypes()
			types.Names["extraJSON"] = "ErrorExtra"
			s := newSchemas(types)

			if got := encoded(t, s.ofValue(test.value)); got != test.schema {
				t.Errorf("schema: got %s, want %s", got, test.schema)
			}
			if test.component == "" {
				return
			}
			if got := encoded(t, s.components.Get(test.component)); got != test.want {
				t.Errorf("component %s:\ngot  %s\nwant %s", test.component, got, test.want)
			}
		})
	}
}

func TestBuilder_Responses_Failures(t *testing.T) {
	t.Parallel()
	missing := Failure{Status: 404, Code: "NOT_FOUND", Message: "not found", Sample: "x"}
	other := Failure{Status: 404, Code: "NOT_FOUND", Message: "no such thing", Sample: "y"}
	statuses := []Status{{Code: 404, Name: "NotFound", Description: "Not found.", Failures: []Failure{missing}}}
	b := newBuilder(Document{Statuses: statuses, Types: testTypes()})

	shared := encoded(t, b.responses(Operation{Failures: []Failure{missing}}))
	if want := `{"404":{"$ref":"#/components/responses/NotFound"}}`; shared != want {
		t.Errorf("same failures as others: got %s, want %s", shared, want)
	}

	b.responses(Operation{Failures: []Failure{missing, other}})
	want := `{"NOT_FOUND":{"summary":"not found","value":"x"},"NOT_FOUND.2":{"summary":"no such thing","value":"y"}}`
	if got := encoded(t, b.examples); got != want {
		t.Errorf("examples: got %s, want %s", got, want)
	}
}

func TestCompare(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, have, want, message string }{
		{"equal", "a\nb\n", "a\nb\n", ""},
		{"another line", "a\nb\n", "a\nc\n", "d.json is not what the routes produce; line 2\n- b\n+ c"},
		{"shorter", "a", "a\nb", "d.json is not what the routes produce; line 2\n- (end)\n+ b"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			err := Compare("d.json", []byte(test.have), []byte(test.want))
			got := ""
			if err != nil {
				got = err.Error()
			}
			if got != test.message {
				t.Errorf("got %q, want %q", got, test.message)
			}
		})
	}
}

func encoded(t *testing.T, v any) string {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}
