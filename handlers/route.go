package handlers

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"whalefall/models"
)

// route is one address with the permission it requires and, for a write, its audit action.
type route struct {
	method, path string
	perm         models.Permission
	action       models.Action // empty: a read, see unrecorded
	handler      echo.HandlerFunc

	guard func(models.Permission, echo.HandlerFunc) echo.HandlerFunc // nil: the usual checks
	first func(echo.HandlerFunc) echo.HandlerFunc                    // runs before all checks; nil: nothing

	anyPassword bool // also for users who must change their password first
}

// unrecorded is the action of a route that changes nothing, although its method is that of a write.
const unrecorded models.Action = ""

func get(path string, perm models.Permission, handler echo.HandlerFunc) route {
	return route{method: http.MethodGet, path: path, perm: perm, handler: handler}
}

func post(path string, perm models.Permission, action models.Action, handler echo.HandlerFunc) route {
	return route{method: http.MethodPost, path: path, perm: perm, action: action, handler: handler}
}

func put(path string, perm models.Permission, action models.Action, handler echo.HandlerFunc) route {
	return route{method: http.MethodPut, path: path, perm: perm, action: action, handler: handler}
}

func remove(path string, perm models.Permission, action models.Action, handler echo.HandlerFunc) route {
	return route{method: http.MethodDelete, path: path, perm: perm, action: action, handler: handler}
}

// guardedBy returns the route with other checks than the usual ones.
func (r route) guardedBy(guard func(models.Permission, echo.HandlerFunc) echo.HandlerFunc) route {
	r.guard = guard
	return r
}

// behind returns the route with a middleware in front of all checks.
func (r route) behind(first func(echo.HandlerFunc) echo.HandlerFunc) route {
	r.first = first
	return r
}

// withAnyPassword returns the route for users who must change their password first, too.
func (r route) withAnyPassword() route {
	r.anyPassword = true
	return r
}

// needsOwnPassword reports whether the route refuses users who must change their password first.
func (r route) needsOwnPassword() bool { return r.perm != public && r.perm != anyone && !r.anyPassword }

// add registers the route. Routes for GET also answer HEAD.
func (h *handlers) add(e *echo.Echo, prefix string, r route) {
	guard := h.guard
	if r.guard != nil {
		guard = r.guard
	}
	handler := guard(r.perm, r.handler)
	if r.needsOwnPassword() {
		handler = requireOwnPassword(handler)
	}
	if r.action != "" {
		handler = h.record(r.action, handler)
	}
	if r.first != nil {
		handler = r.first(handler)
	}
	e.Add(r.method, prefix+r.path, handler)
	if r.method == http.MethodGet {
		e.Add(http.MethodHead, prefix+r.path, handler)
	}
}
