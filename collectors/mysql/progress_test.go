package mysql

import (
	"testing"

	"whalefall/collectors/collectortest"
)

func TestCollector_TotalFirst(t *testing.T) {
	collectortest.CheckTotalFirst(t, setup(t))
}
