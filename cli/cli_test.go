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
