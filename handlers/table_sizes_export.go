package handlers

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"whalefall/models"
)

// A client that takes fewer than rowsPerFlush rows within flushTimeout counts as gone.
const (
	rowsPerFlush = 1000 // rows
	flushTimeout = 60 * time.Second
)

// errClientGone means that the client went away or stalled while rows were sent.
var errClientGone = errors.New("the client is gone or stalled")

// exportTables streams all rows of the query from one consistent view of the store.
func (h *handlers) exportTables(c echo.Context, r tableRead) error {
	err := h.Store.ExportTables(c.Request().Context(), r.query, func(export models.TableExport) error {
		if err := r.requireSame(export.Database); err != nil {
			return err
		}
		h.startExport(c, r, export)
		if c.Request().Method == http.MethodHead {
			return nil
		}
		return h.sendTables(c, r, export)
	})
	if errors.Is(err, errClientGone) {
		h.Log.InfoContext(c.Request().Context(), "export aborted by client", "error", err, "request_id", requestIDOf(c))
		panic(http.ErrAbortHandler)
	}
	return h.streamEnded(c, err)
}

// startExport sends the header. Later errors break the connection.
func (h *handlers) startExport(c echo.Context, r tableRead, export models.TableExport) {
	name := fmt.Sprintf("%s-%s-tables.%s", r.instance.Name, r.header.Name, r.format)
	header := c.Response().Header()
	if r.format == formatCSV {
		csvHeaders(c, name)
	} else {
		header.Set(echo.HeaderContentType, "application/x-ndjson")
		header.Set(echo.HeaderContentDisposition, attachment(name))
	}
	header.Set("X-Total-Count", strconv.FormatInt(export.Total, 10))
	if at := export.Database.CollectedAt; at != nil {
		header.Set("X-Collected-At", timestamp(*at))
	}
	allowRevalidation(c, h.tableTag(c, r, export.Database))
	c.Response().WriteHeader(http.StatusOK)
}

func (h *handlers) sendTables(c echo.Context, r tableRead, export models.TableExport) error {
	control := http.NewResponseController(c.Response())
	out := newTableWriter(c.Response(), r)
	rows := 0
	for row, err := range export.Rows {
		if err != nil {
			return err
		}
		if rows%rowsPerFlush == 0 {
			if err := flushRows(control, out, rows > 0); err != nil {
				return err
			}
		}
		if err := out.row(newTableSize(row, export.Database.CollectedAt)); err != nil {
			return fmt.Errorf("%w: %w", errClientGone, err)
		}
		rows++
	}
	return flushRows(control, out, false)
}

// flushRows sends the rows written so far, immediately if push is set, and extends the deadline for the next.
func flushRows(control *http.ResponseController, out tableWriter, push bool) error {
	if err := control.SetWriteDeadline(time.Now().Add(flushTimeout)); err != nil {
		return err
	}
	if err := out.flush(); err != nil {
		return fmt.Errorf("%w: %w", errClientGone, err)
	}
	if push {
		return control.Flush()
	}
	return nil
}

// tableWriter writes rows of a snapshot in one format.
type tableWriter struct {
	row   func(tableSizeJSON) error
	flush func() error
}

func newTableWriter(w http.ResponseWriter, r tableRead) tableWriter {
	if r.format == formatNDJSON {
		lines := json.NewEncoder(w)
		return tableWriter{
			row:   func(row tableSizeJSON) error { return lines.Encode(row) },
			flush: func() error { return nil },
		}
	}
	out := newCSV(w, r.bom)
	for _, column := range tableColumns {
		out.heading(column.name)
	}
	// An error is kept until the first flush.
	_ = out.end()
	return tableWriter{flush: out.flush, row: func(row tableSizeJSON) error {
		for _, column := range tableColumns {
			column.cell(out, &row)
		}
		return out.end()
	}}
}

// tableColumns lists the members of a row as CSV columns. Unknown values are empty.
var tableColumns = []struct {
	name string
	cell func(*csvWriter, *tableSizeJSON)
}{
	{"schema_name", func(w *csvWriter, r *tableSizeJSON) { w.text(r.SchemaName) }},
	{"table_name", func(w *csvWriter, r *tableSizeJSON) { w.text(r.TableName) }},
	{"size_mb", func(w *csvWriter, r *tableSizeJSON) { w.number(r.SizeMB) }},
	{"data_size_mb", func(w *csvWriter, r *tableSizeJSON) { w.number(r.DataSizeMB) }},
	{"index_size_mb", func(w *csvWriter, r *tableSizeJSON) { w.number(r.IndexSizeMB) }},
	{"row_count", func(w *csvWriter, r *tableSizeJSON) { w.number(r.RowCount) }},
	{"collected_at", func(w *csvWriter, r *tableSizeJSON) { w.text(r.CollectedAt) }},
	{"size_bytes", func(w *csvWriter, r *tableSizeJSON) { w.number(r.SizeBytes) }},
	{"data_size_bytes", func(w *csvWriter, r *tableSizeJSON) { w.number(r.DataSizeBytes) }},
	{"index_size_bytes", func(w *csvWriter, r *tableSizeJSON) { w.number(r.IndexSizeBytes) }},
	{"unused_bytes", func(w *csvWriter, r *tableSizeJSON) { w.number(r.UnusedBytes) }},
	{"growth_7d_bytes", func(w *csvWriter, r *tableSizeJSON) { w.number(r.Growth7dBytes) }},
	{"growth_bytes", func(w *csvWriter, r *tableSizeJSON) { w.number(r.GrowthBytes) }},
	{"kind", func(w *csvWriter, r *tableSizeJSON) { w.text(string(r.Kind)) }},
	{"parent_schema", func(w *csvWriter, r *tableSizeJSON) { w.text(r.ParentSchema) }},
	{"parent_table", func(w *csvWriter, r *tableSizeJSON) { w.text(r.ParentTable) }},
	{"rolled_up", func(w *csvWriter, r *tableSizeJSON) { w.flag(r.RolledUp) }},
	{"partition_count", func(w *csvWriter, r *tableSizeJSON) { w.number(&r.PartitionCount) }},
	{"rows_source", func(w *csvWriter, r *tableSizeJSON) { w.text(string(r.RowsSource)) }},
	{"size_source", func(w *csvWriter, r *tableSizeJSON) { w.text(string(r.SizeSource)) }},
	{"stats_stale", func(w *csvWriter, r *tableSizeJSON) { w.flag(r.StatsStale) }},
	{"kept", func(w *csvWriter, r *tableSizeJSON) { w.flag(r.Kept) }},
	{"unread", func(w *csvWriter, r *tableSizeJSON) { w.text(string(r.Unread)) }},
	{"memory_bytes", func(w *csvWriter, r *tableSizeJSON) { w.number(r.MemoryBytes) }},
	{"rows_at", func(w *csvWriter, r *tableSizeJSON) { w.text(r.RowsAt) }},
	{"note", func(w *csvWriter, r *tableSizeJSON) { w.text(string(r.Note)) }},
	{"related_schema", func(w *csvWriter, r *tableSizeJSON) { w.text(r.RelatedSchema) }},
	{"related_table", func(w *csvWriter, r *tableSizeJSON) { w.text(r.RelatedTable) }},
}
