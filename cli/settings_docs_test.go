package cli

import (
	"bytes"
	"log/slog"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"whalefall/migrations"
	"whalefall/models"
)

// setting describes a field of Settings.
type setting struct {
	env, flag, fallback string
	secret              bool
}

// allSettings returns the settings in the order of the struct.
func allSettings() []setting {
	var all []setting
	for field := range reflect.TypeFor[Settings]().Fields() {
		flag := field.Tag.Get("name")
		if flag == "" {
			flag = strings.ToLower(regexp.MustCompile(`([a-z])([A-Z])`).ReplaceAllString(field.Name, "$1-$2"))
		}
		_, secret := field.Tag.Lookup("secret")
		all = append(all, setting{
			env: field.Tag.Get("env"), flag: "--" + flag, fallback: field.Tag.Get("default"), secret: secret,
		})
	}
	return all
}

// tableRow matches a row of the READMEs' tables of settings: variable, flag, default.
var tableRow = regexp.MustCompile("(?m)^\\| `(WHALEFALL_[A-Z_]+)` \\| `(--[a-z-]+)` \\| (.+?) \\| .+ \\|$")

func TestSettings_READMEs(t *testing.T) {
	for _, file := range []string{"../README.md", "../README.zh-CN.md"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}

		var got [][2]string
		fallback := map[string]string{}
		for _, row := range tableRow.FindAllStringSubmatch(string(text), -1) {
			got = append(got, [2]string{row[1], row[2]})
			fallback[row[1]] = row[3]
		}
		var want [][2]string
		for _, s := range allSettings() {
			want = append(want, [2]string{s.env, s.flag})
			if shown := fallback[s.env]; s.fallback != "" && shown != "`"+s.fallback+"`" {
				t.Errorf("%s: the default of %s is %s, want `%s`", file, s.env, shown, s.fallback)
			}
			if s.secret && strings.Count(string(text), "`"+s.env+"`") < 2 {
				t.Errorf("%s: %s is not in the list of secrets", file, s.env)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s has the settings %q\nwant %q", file, got, want)
		}
	}
}

func TestSettings_Help(t *testing.T) {
	status, out, errs := runOnce(t, Program{}, "--help")
	if status != 0 || errs != "" {
		t.Fatalf("status %d, %q", status, errs)
	}
	for _, s := range allSettings() {
		entry := regexp.MustCompile(`(?ms)^ +` + s.flag + `=.*?\(\$` + s.env + `\)`).FindString(out)
		if entry == "" || s.fallback != "" && !strings.Contains(entry, s.fallback) {
			t.Errorf("%s with the default %q is not in\n%s", s.flag, s.fallback, out)
		}
	}
}

func TestSettings_SessionDefaults(t *testing.T) {
	t.Parallel()
	s := parseSettings(t)
	if s.SessionIdle != models.DefaultSessionIdle || s.SessionLifetime != models.DefaultSessionLifetime {
		t.Errorf("got %v and %v, want what models have: %v and %v",
			s.SessionIdle, s.SessionLifetime, models.DefaultSessionIdle, models.DefaultSessionLifetime)
	}
}

func TestOpenStore_Sessions(t *testing.T) {
	t.Parallel()
	s := parseSettings(t, "--data-dir="+t.TempDir(), "--session-idle=1h", "--session-lifetime=2h")
	store, err := openStore(t.Context(), &s, slog.New(slog.DiscardHandler), migrations.Up)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	if got, want := store.SessionLifetime(), 2*time.Hour; got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}

// parseSettings returns the settings that a command line and the environment give.
func parseSettings(t *testing.T, args ...string) Settings {
	t.Helper()
	var c commands
	parser, err := c.parser(t.Context(), Program{Out: &bytes.Buffer{}, Err: &bytes.Buffer{}}, func(int) {})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parser.Parse(append([]string{"config"}, args...)); err != nil {
		t.Fatal(err)
	}
	return c.Settings
}
