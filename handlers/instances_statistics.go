package handlers

import (
	"github.com/labstack/echo/v4"

	"whalefall/models"
)

// statisticsJSON counts instances. Those in the recycle bin are only counted in deleted_instances.
type statisticsJSON struct {
	TotalInstances    int64             `json:"total_instances"` // active and disabled ones
	ActiveInstances   int64             `json:"active_instances"`
	DisabledInstances int64             `json:"disabled_instances"`
	DeletedInstances  int64             `json:"deleted_instances"`
	DBTypeStats       []engineCountJSON `json:"db_type_stats"`
	DatabaseCount     int64             `json:"database_count"`
	TotalSizeBytes    *int64            `json:"total_size_bytes"`
}

// engineCountJSON counts the instances of one engine.
type engineCountJSON struct {
	DBType models.Engine `json:"db_type"`
	Count  int64         `json:"count"`
}

func newStatistics(s models.InstanceStatistics) statisticsJSON {
	out := statisticsJSON{
		TotalInstances: s.Total, ActiveInstances: s.Active, DisabledInstances: s.Disabled, DeletedInstances: s.Deleted,
		DBTypeStats: []engineCountJSON{}, DatabaseCount: s.DatabaseCount, TotalSizeBytes: s.SizeBytes,
	}
	for _, e := range s.Engines {
		out.DBTypeStats = append(out.DBTypeStats, engineCountJSON{DBType: e.DBType, Count: e.Count})
	}
	return out
}

func (h *handlers) apiStatistics(c echo.Context) error {
	found, err := h.Store.InstanceStatistics(c.Request().Context())
	if err != nil {
		return err
	}
	return h.ok(c, newStatistics(found), "api.statistics")
}
