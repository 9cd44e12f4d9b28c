package handlers

import (
	"encoding/json"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"whalefall/models"
)

// given reports whether the member is present and not null.
func (f fields) given(name string) bool { return f[name] != nil }

// text returns the member as typed and whether it was given. A value that is not text is a 400.
func (f fields) text(name string) (string, bool, error) {
	if !f.given(name) {
		return "", false, nil
	}
	s, ok := f[name].(string)
	if !ok {
		return "", false, models.Invalid("field.not_text", "Field", name)
	}
	if !utf8.ValidString(s) {
		return "", false, models.Invalid("field.bad_characters", "Field", name)
	}
	return s, true, nil
}

// line is text that must be one line without control characters, of at most limit characters.
func (f fields) line(name string, limit int) (string, bool, error) {
	s, given, err := f.text(name)
	switch {
	case err != nil:
		return "", false, err
	case strings.ContainsFunc(s, unicode.IsControl):
		return "", false, models.Invalid("field.bad_characters", "Field", name)
	case utf8.RuneCountInString(s) > limit:
		return "", false, models.Invalid("field.too_long", "Field", name, "Limit", limit)
	}
	return s, given, nil
}

// paragraph is text that may have line breaks and tabs but no other control characters.
func (f fields) paragraph(name string) (string, bool, error) {
	s, given, err := f.text(name)
	if err == nil && strings.ContainsFunc(s, notInParagraph) {
		err = models.Invalid("field.bad_characters", "Field", name)
	}
	return s, given, err
}

func notInParagraph(r rune) bool { return unicode.IsControl(r) && !strings.ContainsRune("\n\r\t", r) }

// blank reports whether the member is absent, null or white space. A password may be white space.
func (f fields) blank(name string) bool {
	s, isText := f[name].(string)
	if name != "password" {
		s = strings.TrimSpace(s)
	}
	return !f.given(name) || isText && s == ""
}

// require returns a 400 that lists the members that are blank.
func (f fields) require(names ...string) error {
	missing := slices.DeleteFunc(slices.Clone(names), func(name string) bool { return !f.blank(name) })
	if len(missing) > 0 {
		return models.Invalid("field.required", "Fields", strings.Join(missing, ", "))
	}
	return nil
}

// refuseBlank returns a 400 that lists the members that are given but blank.
func (f fields) refuseBlank(names ...string) error {
	return f.require(slices.DeleteFunc(slices.Clone(names), func(name string) bool { return !f.given(name) })...)
}

// bindText stores the member in target, as text does, if the request has it.
func (f fields) bindText(name string, target *string) error {
	s, given, err := f.text(name)
	if err == nil && given {
		*target = s
	}
	return err
}

// bindLine stores the member in target, as line does, if the request has it.
func (f fields) bindLine(name string, limit int, target *string) error {
	s, given, err := f.line(name, limit)
	if err == nil && given {
		*target = s
	}
	return err
}

// bindBool stores the member in target, as boolean does, if the request has it.
func (f fields) bindBool(name string, form bool, target *bool) error {
	value, given, err := f.boolean(name, form)
	if err == nil && given {
		*target = value
	}
	return err
}

// boolean returns a boolean member and whether the request has it. Forms write it in words; a check box with a hidden
// companion is true if either says so.
func (f fields) boolean(name string, form bool) (value, given bool, err error) {
	switch v := f[name].(type) {
	case nil:
		return false, false, nil
	case bool:
		return v, true, nil
	case string:
		if form {
			return isYes(v), true, nil
		}
	case []any:
		if form {
			return slices.ContainsFunc(v, func(one any) bool { s, _ := one.(string); return isYes(s) }), true, nil
		}
	}
	return false, false, models.Invalid("field.not_boolean", "Field", name)
}

// isYes reports whether a query parameter or form value means true.
func isYes(s string) bool {
	return slices.Contains([]string{"true", "1", "on", "yes"}, strings.ToLower(strings.TrimSpace(s)))
}

var integerPattern = regexp.MustCompile(`^[+-]?[0-9]+$`)

// integer returns a JSON number or text as an integer, clamped to int64, and whether it is one.
func integer(v any) (int64, bool) {
	var s string
	switch v := v.(type) {
	case json.Number:
		s = v.String()
	case string:
		s = strings.TrimSpace(v)
	}
	if !integerPattern.MatchString(s) {
		return 0, false
	}
	// The only possible error is the range; n is then the nearest int64.
	n, _ := strconv.ParseInt(s, 10, 64)
	return n, true
}
