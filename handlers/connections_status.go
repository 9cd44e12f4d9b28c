package handlers

import (
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"whalefall/models"
)

// connectionStatusJSON says how long ago WhaleFall last connected to an instance.
type connectionStatusJSON struct {
	InstanceID    int64         `json:"instance_id"`
	InstanceName  string        `json:"instance_name"`
	DBType        models.Engine `json:"db_type"`
	Host          *string       `json:"host"`
	Port          *int          `json:"port"`
	LastConnected *string       `json:"last_connected"`
	Status        string        `json:"status"` // unknown|good|warning|poor
	IsActive      bool          `json:"is_active"`
}

func (h *handlers) apiConnectionStatus(c echo.Context) error {
	i, err := h.instanceHeadOf(c)
	if err != nil {
		return err
	}
	return h.ok(c, connectionStatusJSON{
		InstanceID: i.ID, InstanceName: i.Name, DBType: i.DBType, Host: i.Host, Port: i.Port,
		LastConnected: timestampOrNull(i.LastConnected), Status: h.connectionStatus(i.LastConnected), IsActive: i.IsActive,
	}, "connections.status")
}

func (h *handlers) connectionStatus(last *time.Time) string {
	const day = 24 * time.Hour
	switch {
	case last == nil:
		return "unknown"
	case h.now().Sub(*last) < time.Hour:
		return "good"
	case h.now().Sub(*last) < day:
		return "warning"
	}
	return "poor"
}

// apiValidateConnection checks an address without contacting anything. It is a POST that changes nothing.
func (h *handlers) apiValidateConnection(c echo.Context) error {
	f := body(c)
	if len(f) == 0 {
		return models.Invalid("body.empty")
	}
	name, _ := f["db_type"].(string)
	engine, known := models.ParseEngine(name)
	if !known {
		return models.Invalid("connections.engine_unknown", "Engine", shortened(strings.ToLower(name)))
	}
	if engine != models.SQLite {
		if err := checkPort(f); err != nil {
			return err
		}
	}
	if !f.given("credential_id") {
		return h.ok(c, nil, "connections.valid")
	}

	id, ok := integer(f["credential_id"])
	if !ok {
		return models.Invalid("connections.credential_not_integer")
	}
	if _, err := h.Store.Credential(c.Request().Context(), id); err != nil {
		return notFoundAs(err, "instance.credential_missing")
	}
	return h.ok(c, nil, "connections.valid")
}

// checkPort checks the port. An absent one is 0, and null is no number.
func checkPort(f fields) error {
	const highest = 65535
	sent, given := f["port"]
	port, ok := integer(sent)
	switch {
	case given && !ok:
		return models.Invalid("connections.port_not_number")
	case port < 1 || port > highest:
		return models.Invalid("instance.port_range")
	}
	return nil
}
