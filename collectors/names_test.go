package collectors

import (
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestNamesStayAsTheyAreOrBecomeValid(t *testing.T) {
	for name, want := range map[string]string{
		"orders": "orders", `a\b`: `a\b`, "表": "表", "\uFFFD": "\uFFFD", "": "",
		"caf\xe9": `caf\xe9`, `caf\xe9`: `caf\\xe9`, "\\\xff": `\\\xff`,
	} {
		if got := validName(name); got != want {
			t.Errorf("%q became %q, want %q", name, got, want)
		}
	}
}

func TestNamesCanBeTurnedBack(t *testing.T) {
	pieces := rapid.SampledFrom([]string{"a", `\`, `\x`, "x", "e9", "\xe9", "\xff", "表", "\uFFFD"})
	rapid.Check(t, func(t *rapid.T) {
		var name string
		for _, piece := range rapid.SliceOf(pieces).Draw(t, "pieces") {
			name += piece
		}
		valid := validName(name)
		if !utf8.ValidString(valid) {
			t.Fatalf("%q is not valid", valid)
		}
		if back := serverName(valid); back != name {
			t.Fatalf("%q became %q and then %q", name, valid, back)
		}
	})
}
