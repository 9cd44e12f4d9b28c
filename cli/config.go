package cli

import (
	"fmt"
	"reflect"
	"strings"
)

type configCmd struct{}

// Run prints every setting as a line VARIABLE=value.
func (configCmd) Run(s *Settings, p Program) error {
	v, t := reflect.ValueOf(*s), reflect.TypeOf(*s)
	for i := range t.NumField() {
		field := t.Field(i)
		text := fmt.Sprint(v.Field(i).Interface())
		if kind, secret := field.Tag.Lookup("secret"); secret && text != "" {
			text = redact(kind, text)
		}
		if field.Name == "Store" && text == "" {
			text = s.storeAddress()
		}
		if _, err := fmt.Fprintf(p.Out, "%s=%s\n", field.Tag.Get("env"), text); err != nil {
			return err
		}
	}
	return nil
}

// redact hides a secret: the password and the parameters of an address, or all of anything else that is not a path.
func redact(kind, text string) string {
	if kind != "dsn" || keywords.MatchString(text) {
		return "(redacted)"
	}
	if !strings.Contains(text, "://") {
		return text
	}
	u, err := parseAddress(text)
	if err != nil {
		return "(redacted)"
	}
	u.RawQuery, u.Fragment, u.RawFragment = "", "", ""
	return u.Redacted()
}
