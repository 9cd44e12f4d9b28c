// Package e2e walks through the pages in a real browser, and runs several processes over one store.
package e2e

import (
	"testing"

	"whalefall/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }
