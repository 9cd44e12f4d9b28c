package cli

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"whalefall/testenv"
)

func TestConfig_Secrets(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("Hunter22Hunter22\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("WHALEFALL_ADMIN_PASSWORD_FILE", secret)
	t.Setenv("WHALEFALL_STORE", "postgres://me:s3cret@127.0.0.1/whalefall?sslpassword=other")
	status, out, errs := runOnce(t, Program{}, "config")
	if status != 0 {
		t.Fatal(errs)
	}
	for _, hidden := range []string{"Hunter22", "s3cret", "other"} {
		if strings.Contains(out, hidden) {
			t.Errorf("%s in %s", hidden, out)
		}
	}
	for _, want := range []string{
		"# WHALEFALL_ADMIN_PASSWORD=(redacted)", "# WHALEFALL_STORE=postgres://me:xxxxx@127.0.0.1/whalefall",
		"WHALEFALL_TIMEZONE=Asia/Shanghai", "WHALEFALL_ADDR=127.0.0.1:8080",
	} {
		if !strings.Contains("\n"+out, "\n"+want+"\n") {
			t.Errorf("no %s in\n%s", want, out)
		}
	}
}

func TestRedact(t *testing.T) {
	for given, shown := range map[string]string{
		"postgres://u:p@ss@h/db":                       "postgres://u:xxxxx@h/db",
		"postgres://u@h/db?password=secret&x=1#secret": "postgres://u@h/db",
		"postgres://u:1/cret@h/db":                     "(redacted)",
		"password=secret":                              "(redacted)",
		"/var/lib/a b=c.db":                            "/var/lib/a b=c.db",
	} {
		if got := redact("dsn", given); got != shown {
			t.Errorf("%s is shown as %s", given, got)
		}
	}
}

// otherValues returns a value other than the default for each setting, with characters that are special to a shell.
func otherValues(dir string) map[string]string {
	return map[string]string{
		"WHALEFALL_ADDR":             "[::1]:9000",
		"WHALEFALL_STORE":            dir + "/a store;of 'mine' & $HOME.db",
		"WHALEFALL_DATA_DIR":         dir + "/data `dir`",
		"WHALEFALL_TIMEZONE":         "America/Argentina/Buenos_Aires",
		"WHALEFALL_TRUSTED_PROXIES":  "10.0.0.0/8,::1/128",
		"WHALEFALL_COOKIE_SECURE":    "true",
		"WHALEFALL_SQLITE_DIRS":      dir + "/b c:" + dir + `/d\:e`,
		"WHALEFALL_WALLET_DIRS":      dir + "/wallets",
		"WHALEFALL_RATE_TOKEN":       "7",
		"WHALEFALL_RATE_ADDRESS":     "0",
		"WHALEFALL_SESSION_IDLE":     "1h30m",
		"WHALEFALL_SESSION_LIFETIME": "36h",
		"WHALEFALL_API_LANGUAGE":     "en",
		"WHALEFALL_SCHEDULE":         "*/30 8-18 * * 1,5",
		"WHALEFALL_SCHEDULE_JITTER":  "90s",
		"WHALEFALL_PAUSE_AFTER":      "0",
		"WHALEFALL_PARALLEL":         "3",
		"WHALEFALL_RUNS_DAYS":        "0",
		"WHALEFALL_AUDIT_DAYS":       "30",
		"WHALEFALL_HISTORY_DAYS":     "31",
		"WHALEFALL_LOG_LEVEL":        "warn",
		"WHALEFALL_LOG_FORMAT":       "json",

		"WHALEFALL_ADMIN_PASSWORD": "secret`1'",
		"WHALEFALL_KEYSET":         `{"secret": 1}`,
		"WHALEFALL_METRICS_TOKEN":  "secret 2",
	}
}

// TestConfig_RoundTrip lets a shell read the output of config, and expects the same settings again.
func TestConfig_RoundTrip(t *testing.T) {
	sh, err := exec.LookPath("sh")
	if err != nil {
		testenv.Missing(t, "sh")
	}
	dir := t.TempDir()
	values, ordinary := otherValues(dir), parseSettings(t)
	for _, s := range allSettings() {
		t.Setenv(s.env, values[s.env])
	}
	given := parseSettings(t)
	_, printed, _ := runOnce(t, Program{}, "config")

	file := filepath.Join(dir, "whalefall.env")
	if err := os.WriteFile(file, []byte(printed), 0o600); err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), sh, "-euc", `set -a; . "$1"; env -0`, "sh", file)
	command.Env = []string{"PATH=" + os.Getenv("PATH")}
	out, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s\n%s", err, out, printed)
	}

	for _, s := range allSettings() {
		if err := os.Unsetenv(s.env); err != nil { // t.Setenv has remembered the value to restore
			t.Fatal(err)
		}
	}
	for variable := range bytes.SplitSeq(out, []byte{0}) {
		if name, value, ok := strings.Cut(string(variable), "="); ok && strings.HasPrefix(name, "WHALEFALL_") {
			t.Setenv(name, value)
		}
	}
	read := parseSettings(t)
	for i, s := range allSettings() {
		got, want := reflect.ValueOf(read).Field(i).Interface(), reflect.ValueOf(given).Field(i).Interface()
		if other := reflect.ValueOf(ordinary).Field(i).Interface(); reflect.DeepEqual(want, other) {
			t.Errorf("%s is tested with its default %v", s.env, other)
		}
		if kept := !s.secret || s.env == "WHALEFALL_STORE"; kept && !reflect.DeepEqual(got, want) {
			t.Errorf("%s: read back %v, want %v", s.env, got, want)
		}
		if s.secret && s.env != "WHALEFALL_STORE" && !strings.Contains(printed, "# "+s.env+"=(redacted)\n") {
			t.Errorf("%s is not redacted in\n%s", s.env, printed)
		}
	}
}
