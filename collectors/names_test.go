package collectors

import (
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestValidName(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"orders": "orders", `a\b`: `a\b`, "表": "表", "\uFFFD": "\uFFFD", "": "",
		"caf\xe9": `caf\xe9`, `caf\xe9`: `caf\\xe9`, "\\\xff": `\\\xff`,
	} {
		if got := ValidName(name); got != want {
			t.Errorf("ValidName(%q): got %q, want %q", name, got, want)
		}
	}
}

func TestServerName_InvertsValidName(t *testing.T) {
	t.Parallel()
	pieces := rapid.SampledFrom([]string{"a", `\`, `\x`, "x", "e9", "\xe9", "\xff", "表", "\uFFFD"})
	rapid.Check(t, func(t *rapid.T) {
		var name string
		for _, piece := range rapid.SliceOf(pieces).Draw(t, "pieces") {
			name += piece
		}
		valid := ValidName(name)
		if !utf8.ValidString(valid) {
			t.Fatalf("%q is not valid", valid)
		}
		if back := ServerName(valid); back != name {
			t.Fatalf("%q: got %q by way of %q", name, back, valid)
		}
	})
}

func TestServerName_OtherNames(t *testing.T) {
	t.Parallel()
	for _, name := range []string{`\x61pp`, `a\x00b`, `caf\xE9`, `\\x61\`, "\xff\\x61", `\x`, `\xg0`, `\\a\xff\x00`} {
		if back := ServerName(name); back != name || IsStoredName(name) {
			t.Errorf("%q: got %q, stored: %v", name, back, IsStoredName(name))
		}
	}
	if IsStoredName("a\x00b") {
		t.Error("no server has NUL in a name")
	}
	longest := ValidName(strings.Repeat("\xff", 128))
	if IsStoredName(strings.Repeat(longest, 3)) {
		t.Error("no server has names that long")
	}
	for _, name := range []string{"app", `a\b`, `caf\xe9`, `caf\\xe9`, "表", longest} {
		if !IsStoredName(name) {
			t.Errorf("%q is a name", name)
		}
	}
}
