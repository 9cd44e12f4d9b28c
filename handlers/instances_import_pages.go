package handlers

import (
	"net/http"
	"slices"

	"github.com/labstack/echo/v4"

	"whalefall/views"
)

func (h *handlers) importPage(c echo.Context) error { return h.renderImport(c, views.ImportForm{}) }

// submitImport shows the result beside the file, so that its rows can be compared.
func (h *handlers) submitImport(c echo.Context) error {
	redisplay(c, func(problem *views.Failure) (screen, error) {
		return h.importScreen(c, views.ImportForm{Problem: problem})
	})
	result, file, err := h.importInstances(c)
	if err != nil {
		return err
	}
	if result.CreatedCount > 0 {
		c.Response().Header().Set("HX-Trigger", "instances-changed")
	}
	return h.renderImport(c,
		views.ImportForm{Result: &views.ImportResult{File: file, Created: result.CreatedCount, Errors: result.Errors}})
}

func (h *handlers) renderImport(c echo.Context, f views.ImportForm) error {
	s, err := h.importScreen(c, f)
	if err != nil {
		return err
	}
	return h.render(c, http.StatusOK, h.page(c), s)
}

func (h *handlers) importScreen(c echo.Context, f views.ImportForm) (screen, error) {
	var err error
	if f.Credentials, err = h.Store.Credentials(c.Request().Context()); err != nil {
		return screen{}, err
	}
	for _, name := range slices.Concat(contractColumns, ownColumns) {
		f.Columns = append(f.Columns, views.ImportColumn{Name: name, Required: slices.Contains(requiredColumns, name)})
	}
	p := h.page(c)
	return screen{
		title:     p.T("transfer.title"),
		body:      views.InstanceImport(p, f),
		fragments: []string{"import-result"},
	}, nil
}
