package handlers

import (
	"encoding/json"
	"net/http"

	"github.com/labstack/echo/v4"

	"whalefall/collectors"
	"whalefall/models"
	"whalefall/views"
)

// databaseSizeJSON is a database with one of its daily measurements.
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

	Error *syncErrorJSON `json:"error,omitempty"` // latest only: why the last attempt could not measure or enter it
}

func (h *handlers) newDatabaseSize(r models.DatabaseSizeRow) databaseSizeJSON {
	out := databaseSizeJSON{
		ID: r.StatID, DatabaseID: r.DatabaseID, DatabaseName: r.Name,
		SizeMB: mb(r.SizeBytes), DataSizeMB: mb(r.DataBytes), LogSizeMB: mb(r.LogBytes),
		SizeBytes: r.SizeBytes, DataSizeBytes: r.DataBytes, LogSizeBytes: r.LogBytes,
		CollectedDate: r.Day, CollectedAt: moment(r.CollectedAt),
		IsActive: r.GoneAt == nil, IsSystem: r.IsSystem, DeletedAt: moment(r.GoneAt), LastSeenDate: h.Store.Day(r.LastSeenAt),
	}
	if r.StatID == nil {
		out.SizeMB = new(int64) // the contract's 0 for a database that was never measured
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

func (h *handlers) newDatabaseSizes(c echo.Context, q models.DatabaseQuery, page models.DatabaseSizePage, numbered bool) databaseSizesJSON {
	out := databaseSizesJSON{
		windowJSON: newWindow(page.Total, q.Limit, q.Offset, numbered), Databases: make([]databaseSizeJSON, len(page.Rows)),
	}
	for i, row := range page.Rows {
		out.Databases[i] = h.newDatabaseSize(row)
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
	instance, err := h.instanceOf(c)
	if err != nil {
		return err
	}
	q.InstanceID = instance.ID
	return h.readDatabases(c, q, false)
}

// apiDatabaseSizesByQuery is the later path style.
func (h *handlers) apiDatabaseSizesByQuery(c echo.Context) error {
	q, err := bindDatabaseQuery(c, bindPageWindow)
	if err != nil {
		return err
	}
	id, err := bindInstanceID(c)
	if err != nil {
		return err
	}
	instance, err := h.Store.Instance(c.Request().Context(), id)
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
	revalidated(c, tag)
	if isKept(c, tag) {
		return c.NoContent(http.StatusNotModified)
	}
	return h.ok(c, json.RawMessage(data), "api.database_sizes")
}

// syncedDatabaseJSON is one database as a capacity sync found it.
type syncedDatabaseJSON struct {
	DatabaseName  string         `json:"database_name"`
	SizeMB        *int64         `json:"size_mb"`
	DataSizeMB    *int64         `json:"data_size_mb"`
	LogSizeMB     *int64         `json:"log_size_mb"`
	SizeBytes     *int64         `json:"size_bytes"`
	DataSizeBytes *int64         `json:"data_size_bytes"`
	LogSizeBytes  *int64         `json:"log_size_bytes"`
	CollectedDate string         `json:"collected_date"`
	CollectedAt   string         `json:"collected_at"`
	IsSystem      bool           `json:"is_system"`
	Error         *syncErrorJSON `json:"error,omitempty"`
}

type syncErrorJSON struct {
	Code    models.Code `json:"code"`
	Message string      `json:"message"`
}

type inventoryJSON struct {
	Created               int64    `json:"created"`
	Refreshed             int64    `json:"refreshed"`
	Reactivated           int64    `json:"reactivated"`
	Deactivated           int64    `json:"deactivated"`
	ActiveDatabases       []string `json:"active_databases"`
	FilteredDatabases     []string `json:"filtered_databases"`
	SynchronizedDatabases []string `json:"synchronized_databases"`
}

type syncResultJSON struct {
	Status              string               `json:"status"`
	Databases           []syncedDatabaseJSON `json:"databases"`
	DatabaseCount       int                  `json:"database_count"`
	TotalSizeMB         int64                `json:"total_size_mb"`
	TotalSizeBytes      int64                `json:"total_size_bytes"`
	SavedCount          int64                `json:"saved_count"`
	InstanceStatUpdated bool                 `json:"instance_stat_updated"`
	Inventory           inventoryJSON        `json:"inventory"`
	Message             string               `json:"message"`
	Complete            bool                 `json:"complete"`
	MissingGrant        string               `json:"missing_grant,omitempty"`
}

func (h *handlers) apiSyncCapacity(c echo.Context) error {
	instance, err := h.instanceOf(c)
	if err != nil {
		return err
	}
	synced, err := h.Collect.SyncCapacity(c.Request().Context(), requester(c), instance.ID)
	if err != nil {
		return err
	}
	result := newSyncResult(lang(c), synced)
	return h.ok(c, echo.Map{"result": result}, "api.synced", "Name", synced.Instance.Name)
}

func newSyncResult(lang string, s collectors.SyncResult) syncResultJSON {
	out := syncResultJSON{
		Status: "completed", Databases: []syncedDatabaseJSON{}, DatabaseCount: len(s.Found.Databases),
		SavedCount: s.Saved, InstanceStatUpdated: s.Saved > 0,
		Inventory: inventoryJSON{
			Created: s.Inventory.Created, Refreshed: s.Inventory.Refreshed,
			Reactivated: s.Inventory.Reactivated, Deactivated: s.Inventory.Deactivated,
			ActiveDatabases: orEmpty(s.Inventory.Active), FilteredDatabases: orEmpty(s.Inventory.Gone),
			SynchronizedDatabases: []string{},
		},
		Message:  views.Message(lang, "api.synced", models.Args("Name", s.Instance.Name)),
		Complete: s.Found.Complete, MissingGrant: s.Found.Grant,
	}
	for _, d := range s.Found.Databases {
		out.Databases = append(out.Databases, newSyncedDatabase(lang, d, s))
		if d.Total != nil {
			out.TotalSizeBytes += *d.Total
			out.TotalSizeMB += *d.Total / bytesPerMB
			out.Inventory.SynchronizedDatabases = append(out.Inventory.SynchronizedDatabases, d.Name)
		}
	}
	return out
}

func newSyncedDatabase(lang string, d models.DatabaseSize, s collectors.SyncResult) syncedDatabaseJSON {
	out := syncedDatabaseJSON{
		DatabaseName: d.Name, SizeMB: mb(d.Total), DataSizeMB: mb(d.Data), LogSizeMB: mb(d.Log),
		SizeBytes: d.Total, DataSizeBytes: d.Data, LogSizeBytes: d.Log,
		CollectedDate: s.Day, CollectedAt: timestamp(s.CollectedAt), IsSystem: d.IsSystem,
		Error: newSyncError(lang, d.Err),
	}
	return out
}

// newSyncError is why a database could not be measured, nil when it could.
func newSyncError(lang string, failed *models.Error) *syncErrorJSON {
	if failed == nil {
		return nil
	}
	return &syncErrorJSON{Code: failed.Code, Message: views.Failed(lang, failed)}
}

func orEmpty(names []string) []string {
	if names == nil {
		return []string{}
	}
	return names
}
