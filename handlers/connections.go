package handlers

import (
	"net"
	"strconv"

	"github.com/labstack/echo/v4"

	"whalefall/collectors"
	"whalefall/models"
	"whalefall/views"
)

// guardConnectionTest requires perm to test a saved instance, and PermCreate for anything else: otherwise one could
// send a stored password to any host that its credential allows.
func (h *handlers) guardConnectionTest(perm models.Permission, handler echo.HandlerFunc) echo.HandlerFunc {
	saved, other := h.guard(perm, handler), h.guard(models.PermCreate, handler)
	return func(c echo.Context) error {
		if err := allowed(currentUser(c), perm); err != nil {
			return err // before anything is read
		}
		f := peekFields(c)
		if len(f) == 0 || f.given("instance_id") {
			return saved(c)
		}
		return other(c)
	}
}

func (h *handlers) apiTestConnection(c echo.Context) error {
	f := body(c)
	if len(f) == 0 {
		return models.Invalid("body.empty")
	}
	key := "api.instance_connected"
	var v models.Version
	var err error
	if f.given("instance_id") {
		v, err = h.testInstance(c, f)
	} else {
		key = "api.connected"
		v, err = h.testTarget(c, f)
	}
	if err != nil {
		return connectionFailed(err)
	}
	return h.ok(c, echo.Map{
		"success": true, "message": views.Message(lang(c), "api.connected_version", models.Args("Version", v.Full)),
		"version": v.Full, "database_version": v.Full, "main_version": v.Main, "detailed_version": v.Detailed,
	}, key)
}

func (h *handlers) testInstance(c echo.Context, f fields) (models.Version, error) {
	id, ok := integer(f["instance_id"])
	if !ok {
		return models.Version{}, models.Invalid("field.not_integer", "Field", "instance_id")
	}
	instance, err := h.Store.InstanceHead(c.Request().Context(), id)
	auditTarget(c, id, instance.Name)
	if err != nil {
		return models.Version{}, err
	}
	return h.Collect.TestInstance(c.Request().Context(), id)
}

func (h *handlers) testTarget(c echo.Context, f fields) (models.Version, error) {
	target, err := h.bindTarget(c, f)
	if err != nil {
		return models.Version{}, err
	}
	auditTarget(c, 0, addressOf(target))
	return h.Collect.Test(c.Request().Context(), target)
}

// addressOf returns host and port of the target, or the path of its file.
func addressOf(t collectors.Target) string {
	if t.Engine == models.SQLite {
		return t.Database
	}
	return net.JoinHostPort(t.Host, strconv.Itoa(t.Port))
}

// connectionFailed returns err with the contract's message for connection tests if the target is unreachable.
func connectionFailed(err error) error {
	e := models.AsError(err)
	if e.Code != models.CodeUnreachable {
		return err
	}
	failed := *e
	failed.Key = ""
	return &failed
}
