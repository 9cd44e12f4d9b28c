package mysql

import (
	"testing"

	"whalefall/collectors"
	"whalefall/collectors/collectortest"
	"whalefall/models"
)

func TestCollector_Version_OutOfOrderPacket(t *testing.T) {
	t.Parallel()
	collectortest.CheckGreeting(t, New(), models.TLSPrefer, "\x05\x00\x00\x07hello", collectors.ReasonProtocol)
}
