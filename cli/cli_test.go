package cli

import (
	"bytes"
	"context"
	"os"
	"strings"
	"testing"

	"whalefall/testenv"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == CollectorCommand { // a test has started this process to collect
		os.Exit(Run(context.Background(), os.Args[1:], Program{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}))
	}
	testenv.Main(m)
}

// runOnce runs one command of p to its end.
func runOnce(t *testing.T, p Program, args ...string) (status int, out, errs string) {
	t.Helper()
	var o, e bytes.Buffer
	p.In, p.Out, p.Err = strings.NewReader(""), &o, &e
	status = Run(t.Context(), args, p)
	return status, o.String(), e.String()
}
