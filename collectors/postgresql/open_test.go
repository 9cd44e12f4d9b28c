package postgresql

import (
	"testing"

	"whalefall/collectors"
	"whalefall/collectors/collectortest"
	"whalefall/models"
)

func TestCollector_Version_OtherProtocols(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, greeting, reason string
		mode                   models.TLSMode
	}{
		{"HTTP", "HTTP/1.1 400 Bad Request\r\n\r\n", collectors.ReasonProtocol, models.TLSPrefer},
		{"HTTP, TLS required", "HTTP/1.1 400 Bad Request\r\n\r\n", collectors.ReasonProtocol, models.TLSRequire},
		{"HTTP, without TLS", "HTTP/1.1 400 Bad Request\r\n\r\n", collectors.ReasonProtocol, models.TLSDisable},
		{"PostgreSQL without TLS", "N", collectors.ReasonTLS, models.TLSRequire},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			collectortest.CheckGreeting(t, New(), c.mode, c.greeting, c.reason)
		})
	}
}
