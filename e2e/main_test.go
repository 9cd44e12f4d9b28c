// Package e2e tests WhaleFall as its users meet it: pages in a real browser, and several processes with one store.
package e2e

import (
	"testing"

	"whalefall/cli/clitest"
	"whalefall/testenv"
)

func TestMain(m *testing.M) {
	clitest.RunCollector()
	testenv.Main(m)
}
