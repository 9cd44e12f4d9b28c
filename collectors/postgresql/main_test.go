package postgresql

import (
	"testing"

	"whalefall/collectors/collectortest"
	"whalefall/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

func TestConformance(t *testing.T) { collectortest.Conformance(t, engine) }

func TestStatements(t *testing.T) { collectortest.Statements(t) }
