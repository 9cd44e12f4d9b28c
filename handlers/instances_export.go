package handlers

import (
	"cmp"
	"slices"

	"github.com/labstack/echo/v4"

	"whalefall/models"
	"whalefall/views"
)

// exportPage is how many instances an export reads at a time.
const exportPage = 500

// exportColumns starts with the columns of an import, so that an export can be imported.
var exportColumns = slices.Concat(contractColumns, []string{
	"id", "status", "tls_mode", "tags", "main_version", "active_db_count", "total_size_bytes", "last_sync_time",
	"created_at",
})

func (h *handlers) apiExportInstances(c echo.Context) error {
	return h.streamEnded(c, h.exportInstances(c))
}

// exportInstances streams all instances that match the filter of the list.
func (h *handlers) exportInstances(c echo.Context) error {
	ctx, q := c.Request().Context(), bindInstanceQuery(c)
	items, err := h.Store.InstancesAfter(ctx, q, 0, exportPage)
	if err != nil {
		return err
	}
	csvHeaders(c, "instances_"+h.Store.Day(h.now())+".csv")
	w := newCSV(c.Response(), isYes(c.QueryParam("bom")))
	if err := writeHeadings(w, exportColumns); err != nil {
		return err
	}
	for len(items) > 0 {
		for _, item := range items {
			if err := writeInstance(w, item); err != nil {
				return err
			}
		}
		if err := w.flush(); err != nil {
			return err
		}
		if items, err = h.Store.InstancesAfter(ctx, q, items[len(items)-1].ID, exportPage); err != nil {
			return err
		}
	}
	return w.flush()
}

func writeHeadings(w *csvWriter, names []string) error {
	for _, name := range names {
		w.heading(name)
	}
	return w.end()
}

func writeTexts(w *csvWriter, cells []string) error {
	for _, cell := range cells {
		w.text(cell)
	}
	return w.end()
}

// writeInstance writes the cells of exportColumns.
func writeInstance(w *csvWriter, i models.InstanceItem) error {
	tags, err := joinTags(i.Tags)
	if err != nil {
		return err
	}
	w.text(i.Name)
	w.text(string(i.DBType))
	w.text(*cmp.Or(i.Host, new(string)))
	w.number(widened(i.Port))
	w.text(i.DatabaseName)
	w.text(i.Description)
	w.number(i.CredentialID)
	w.number(&i.ID)
	w.text(i.Status())
	w.text(string(i.TLSMode))
	w.text(tags)
	w.text(i.MainVersion)
	w.number(&i.ActiveDatabases)
	w.number(i.SizeBytes)
	w.time(i.LastSyncTime)
	w.time(&i.CreatedAt)
	return w.end()
}

func widened(n *int) *int64 {
	if n == nil {
		return nil
	}
	wide := int64(*n)
	return &wide
}

// apiImportTemplate answers with a file to fill in: the header and one example.
func (h *handlers) apiImportTemplate(c echo.Context) error {
	csvHeaders(c, "instances_import_template.csv")
	w := newCSV(c.Response(), isYes(c.QueryParam("bom")))
	example := []string{
		"example-mysql-01", string(models.MySQL), "192.0.2.10", "3306", "", views.Message(lang(c), "import.example", nil), "",
	}
	if err := writeHeadings(w, contractColumns); err != nil {
		return h.streamEnded(c, err)
	}
	if err := writeTexts(w, example); err != nil {
		return h.streamEnded(c, err)
	}
	return h.streamEnded(c, w.flush())
}
