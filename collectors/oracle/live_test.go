//go:build live

package oracle

import (
	"testing"

	"whalefall/collectors"
	"whalefall/collectors/collectortest"
	"whalefall/models"
)

func TestLive(t *testing.T) {
	impatient := New(nil)
	impatient.connectTimeout = collectortest.Impatience
	collectortest.Live(t, "TEST_ORACLE_URL", collectortest.Fixture{
		Collector: New(nil), Impatient: impatient, Target: collectors.Target{Engine: models.Oracle, Port: 1521},
	})
}
