//go:build live

package sqlserver

import (
	"testing"

	"whalefall/collectors"
	"whalefall/collectors/collectortest"
	"whalefall/models"
)

func TestLive(t *testing.T) {
	impatient := New()
	impatient.connectTimeout = collectortest.Impatience
	collectortest.Live(t, "TEST_SQLSERVER_URL", collectortest.Fixture{
		Collector: New(), Impatient: impatient, Target: collectors.Target{Engine: models.SQLServer, Port: 1433},
	})
}
