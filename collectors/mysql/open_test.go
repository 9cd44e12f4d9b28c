package mysql

import (
	"encoding/binary"
	"strconv"
	"testing"

	"whalefall/collectors"
	"whalefall/collectors/collectortest"
	"whalefall/models"
)

func TestCollector_Version_OutOfOrderPacket(t *testing.T) {
	t.Parallel()
	collectortest.CheckGreeting(t, New(), models.TLSPrefer, "\x05\x00\x00\x07hello", collectors.ReasonProtocol)
}

// TestCollector_Version_RefusedLogin answers with an error instead of a greeting.
func TestCollector_Version_RefusedLogin(t *testing.T) {
	t.Parallel()
	for number, reason := range map[uint16]string{
		1040: collectors.ReasonBusy, 1130: collectors.ReasonLogin, 1053: collectors.ReasonStarting,
		1184: collectors.ReasonAnswered, 1275: collectors.ReasonAnswered, 1290: collectors.ReasonAnswered,
		3032: collectors.ReasonAnswered, 65000: collectors.ReasonAnswered,
	} {
		t.Run(strconv.Itoa(int(number)), func(t *testing.T) {
			t.Parallel()
			payload := binary.LittleEndian.AppendUint16([]byte{0xff}, number)
			payload = append(payload, "#08000refused"...)
			greeting := string([]byte{byte(len(payload)), 0, 0, 0}) + string(payload)
			collectortest.CheckGreeting(t, New(), models.TLSPrefer, greeting, reason)
		})
	}
}
