package collectors

import (
	"testing"

	"whalefall/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }
