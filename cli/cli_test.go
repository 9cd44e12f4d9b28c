package cli

import (
	"bytes"
	"strings"
	"testing"

	"whalefall/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// runOnce runs one command of p to its end.
func runOnce(t *testing.T, p Program, args ...string) (status int, out, errs string) {
	t.Helper()
	var o, e bytes.Buffer
	p.In, p.Out, p.Err = strings.NewReader(""), &o, &e
	status = Run(t.Context(), args, p)
	return status, o.String(), e.String()
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
