package handlers

import (
	"encoding/json"
	"math"
	"net/http"
	"slices"

	"github.com/labstack/echo/v4"

	"whalefall/models"
)

// databaseSizeJSON is a database with one of its daily measurements. ID is that of the measurement, null if there is
// none; in the later path style it is that of the database.
type databaseSizeJSON struct {
	ID            *int64  `json:"id"`
	DatabaseID    int64   `json:"database_id"`
	DatabaseName  string  `json:"database_name"`
	SizeMB        *int64  `json:"size_mb"`
	DataSizeMB    *int64  `json:"data_size_mb"`
	LogSizeMB     *int64  `json:"log_size_mb"`
	SizeBytes     *int64  `json:"size_bytes"`
	DataSizeBytes *int64  `json:"data_size_bytes"`
	LogSizeBytes  *int64  `json:"log_size_bytes"`
	CollectedDate *string `json:"collected_date"`
	CollectedAt   *string `json:"collected_at"`
	IsActive      bool    `json:"is_active"`
	IsSystem      bool    `json:"is_system"`
	DeletedAt     *string `json:"deleted_at"`
	LastSeenDate  string  `json:"last_seen_date"`

	Error *syncErrorJSON `json:"error,omitempty"` // with latest_only: why the last attempt could not measure or enter it
}

func (h *handlers) newDatabaseSize(r models.DatabaseSizeRow) databaseSizeJSON {
	out := databaseSizeJSON{
		ID:            r.StatID,
		DatabaseID:    r.DatabaseID,
		DatabaseName:  r.Name,
		SizeMB:        mb(r.SizeBytes),
		DataSizeMB:    mb(r.DataBytes),
		LogSizeMB:     mb(r.LogBytes),
		SizeBytes:     r.SizeBytes,
		DataSizeBytes: r.DataBytes,
		LogSizeBytes:  r.LogBytes,
		CollectedDate: r.Day,
		CollectedAt:   timestampOrNull(r.CollectedAt),
		IsActive:      r.GoneAt == nil,
		IsSystem:      r.IsSystem,
		DeletedAt:     timestampOrNull(r.GoneAt),
		LastSeenDate:  h.Store.Day(r.LastSeenAt),
	}
	if r.StatID == nil {
		out.SizeMB = new(int64) // the contract wants 0 for a database that was never measured
	}
	return out
}

type databaseSizesJSON struct {
	windowJSON
	Databases      []databaseSizeJSON `json:"databases"`
	ActiveCount    *int64             `json:"active_count,omitempty"`
	FilteredCount  *int64             `json:"filtered_count,omitempty"`
	TotalSizeMB    *int64             `json:"total_size_mb,omitempty"`
	TotalSizeBytes *int64             `json:"total_size_bytes,omitempty"`
}

func (h *handlers) newDatabaseSizes(
	c echo.Context, q models.DatabaseQuery, page models.DatabaseSizePage, numbered bool,
) databaseSizesJSON {
	out := databaseSizesJSON{
		windowJSON: newWindow(page.Total, q.Limit, q.Offset, numbered), Databases: make([]databaseSizeJSON, len(page.Rows)),
	}
	for i, row := range page.Rows {
		out.Databases[i] = h.newDatabaseSize(row)
		if numbered {
			out.Databases[i].ID = &row.DatabaseID
		}
		if q.LatestOnly {
			out.Databases[i].Error = newSyncError(lang(c), row.Failed)
		}
	}
	if q.LatestOnly {
		out.ActiveCount, out.FilteredCount = &page.ActiveCount, &page.FilteredCount
		out.TotalSizeMB, out.TotalSizeBytes = &page.TotalMB, &page.TotalBytes
	}
	return out
}

func (h *handlers) apiDatabaseSizes(c echo.Context) error {
	q, err := bindDatabaseQuery(c, bindWindow)
	if err != nil {
		return err
	}
	instance, err := h.instanceHeadOf(c)
	if err != nil {
		return err
	}
	q.InstanceID = instance.ID
	return h.readDatabases(c, q, false)
}

// apiDatabaseSizesByQuery answers in the later path style.
func (h *handlers) apiDatabaseSizesByQuery(c echo.Context) error {
	q, err := bindDatabaseQuery(c, bindPageWindow)
	if err != nil {
		return err
	}
	id, err := bindInstanceID(c)
	if err != nil {
		return err
	}
	instance, err := h.Store.InstanceHead(c.Request().Context(), id)
	if err != nil {
		return err
	}
	q.InstanceID = instance.ID
	return h.readDatabases(c, q, true)
}

func (h *handlers) readDatabases(c echo.Context, q models.DatabaseQuery, numbered bool) error {
	page, err := h.Store.Databases(c.Request().Context(), q)
	if err != nil {
		return err
	}
	data, err := json.Marshal(h.newDatabaseSizes(c, q, page, numbered))
	if err != nil {
		return err
	}
	tag := h.entityTag(c, q.InstanceID, string(data))
	allowRevalidation(c, tag)
	if hasCurrent(c, tag) {
		return c.NoContent(http.StatusNotModified)
	}
	return h.ok(c, json.RawMessage(data), "api.database_sizes")
}

// bindDatabaseQuery reads the filter of an instance's database sizes, and with window limit and offset.
func bindDatabaseQuery(
	c echo.Context, window func(echo.Context, int) (limit, offset int, err error),
) (models.DatabaseQuery, error) {
	q := models.DatabaseQuery{
		Name:       c.QueryParam("database_name"),
		LatestOnly: isYes(c.QueryParam("latest_only")), IncludeInactive: isYes(c.QueryParam("include_inactive")),
	}
	var err error
	if q.StartDay, q.EndDay, err = queryDays(c); err != nil {
		return q, err
	}
	if sort, desc := signedSort(c.QueryParam("sort")); slices.Contains(databaseSorts, sort) {
		q.Sort, q.Desc = sort, desc
	}
	q.Limit, q.Offset, err = window(c, databaseLimit)
	return q, err
}

// bindInstanceID returns the instance ID of the query.
func bindInstanceID(c echo.Context) (int64, error) {
	if c.QueryParam("instance_id") == "" {
		return 0, models.Invalid("query.instance_missing")
	}
	id, err := queryInteger(c, "instance_id", 0, math.MaxInt)
	return int64(id), err
}
