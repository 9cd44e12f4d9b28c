package handlers

import (
	"github.com/labstack/echo/v4"

	"whalefall/collectors"
	"whalefall/collectors/jobs"
	"whalefall/models"
	"whalefall/views"
)

// syncedDatabaseJSON is one database of a capacity sync.
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
	instance, err := h.instanceHeadOf(c)
	auditTarget(c, instance.ID, instance.Name)
	if err != nil {
		return err
	}
	outcome, err := h.Runs.RequestAndWait(c.Request().Context(), jobs.Databases(requester(c), instance.ID))
	if err != nil {
		return err
	}
	synced, err := collectors.ParseSyncResult(outcome.Result)
	if err != nil {
		return err
	}
	result := newSyncResult(lang(c), synced)
	return h.ok(c, echo.Map{"result": result}, "api.synced", "Name", instance.Name)
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
		Message:  views.Message(lang, "api.sync_saved", models.Args("N", s.Saved)),
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

// newSyncError returns why a database could not be measured, nil if it could.
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
