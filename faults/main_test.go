// Package faults injects faults while WhaleFall collects, and checks what comes of them: one matrix of fault, phase,
// engine and store. With the build tag faults (task faults) every cell is tried; without it, one cell of each fault.
package faults

import (
	"os"
	"testing"

	"whalefall/cli/clitest"
	"whalefall/testenv"
)

func TestMain(m *testing.M) {
	clitest.RunCollector()
	os.Exit(testenv.Run(m))
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
