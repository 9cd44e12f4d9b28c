package cli_test

import (
	"strings"
	"testing"

	"whalefall/cli/clitest"
)

func TestSettings_Invalid(t *testing.T) {
	for name, args := range map[string][]string{
		"address":   {"--addr=nowhere"},
		"zone":      {"--timezone=Mars/Olympus"},
		"store":     {"--store=mongodb://x"},
		"proxies":   {"--trusted-proxies=10.0.0.0/99"},
		"cookie":    {"--cookie-secure=perhaps"},
		"log level": {"--log-level=loud"},
		"idle":      {"--session-idle=4m59s"},
		"no time":   {"--session-idle=12"},
		"lifetime":  {"--session-lifetime=11h59m"},
		"flag":      {"--nonsense"},
		"command":   {"frobnicate"},
	} {
		t.Run(name, func(t *testing.T) {
			status, out, errs := clitest.Run(t, "", args...)
			lines := strings.Count(strings.TrimSpace(errs), "\n") + 1
			if status != 2 || out != "" || lines != 1 || !strings.HasPrefix(errs, "whalefall: ") {
				t.Errorf("got status %d, output %q and errors %q, want status 2 and one line of errors", status, out, errs)
			}
		})
	}
}

func TestSettings_InvalidStoreIsNotRepeated(t *testing.T) {
	for _, address := range []string{
		"host=h password=secret user=u", " password = 'secret'", "dbname=secret",
		"postgres://u:se/cret@h/db", "postgres://u:1/cret@h/db", "postgres://u:1?cret@h/db", "postgres://u:1#cret@h/db",
		"postgres://u:se%zzcret@h/db", "postgres://u:sec ret@h:1x/db", "postgresql://u:s[ecret@h/db", "mysql://u:secret@h/db",
	} {
		t.Setenv("WHALEFALL_STORE", address)
		for _, command := range []string{"config", "migrate"} {
			status, out, errs := clitest.Run(t, "", command, "--data-dir", t.TempDir())
			if status != 2 || !strings.HasPrefix(errs, "whalefall: WHALEFALL_STORE ") || strings.Count(errs, "\n") != 1 {
				t.Errorf("%s %s: status %d, %q", command, address, status, errs)
			}
			if strings.Contains(out+errs, "cret") {
				t.Errorf("%s %s: a secret is printed: %q %q", command, address, out, errs)
			}
		}
	}
}
