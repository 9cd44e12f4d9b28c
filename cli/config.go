package cli

import (
	"fmt"
	"log/slog"
	"reflect"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/alecthomas/kong"
)

type configCmd struct{}

// Help is shown beside the flags.
func (configCmd) Help() string {
	return "Prints a line VARIABLE=value for every setting, quoted for a shell: set -a; . ./whalefall.env; whalefall" +
		" starts with the same settings. A line with a secret is a comment, so that nothing takes what is shown for" +
		" the secret."
}

// Run prints every setting as a line that a shell can read; secrets are comments.
func (configCmd) Run(s *Settings, p Program) error {
	v, t := reflect.ValueOf(*s), reflect.TypeFor[Settings]()
	for i := range t.NumField() {
		field := t.Field(i)
		text := settingText(v.Field(i).Interface(), field.Tag)
		if field.Name == "Store" && text == "" {
			text = s.storeAddress()
		}

		comment := ""
		if kind, secret := field.Tag.Lookup("secret"); secret && text != "" {
			if shown := redact(kind, text); shown != text {
				text, comment = shown, "# "
			}
		}
		if comment == "" {
			text = quote(text)
		}
		if _, err := fmt.Fprintf(p.Out, "%s%s=%s\n", comment, field.Tag.Get("env"), text); err != nil {
			return err
		}
	}
	return nil
}

// settingText returns the value as its variable takes it.
func settingText(value any, tag reflect.StructTag) string {
	if level, ok := value.(slog.Level); ok {
		return strings.ToLower(level.String())
	}
	v := reflect.ValueOf(value)
	if v.Kind() != reflect.Slice {
		return fmt.Sprint(value)
	}

	elements := make([]string, v.Len())
	for i := range elements {
		elements[i] = fmt.Sprint(v.Index(i).Interface())
	}
	separator := ','
	if text := tag.Get("sep"); text != "" {
		separator, _ = utf8.DecodeRuneInString(text)
	}
	return kong.JoinEscaped(elements, separator)
}

// plain matches what a shell takes as it is.
var plain = regexp.MustCompile(`^[A-Za-z0-9_./:@%+,=-]*$`)

// quote puts text into single quotes where a shell would change it.
func quote(text string) string {
	if plain.MatchString(text) {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
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
