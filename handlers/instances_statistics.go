package handlers

import (
	"cmp"

	"github.com/labstack/echo/v4"

	"whalefall/models"
	"whalefall/views"
)

// statisticsJSON counts instances. Those in the recycle bin are only counted in deleted_instances.
type statisticsJSON struct {
	TotalInstances    int64              `json:"total_instances"` // active and disabled ones
	ActiveInstances   int64              `json:"active_instances"`
	NormalInstances   int64              `json:"normal_instances"` // the active ones again
	DisabledInstances int64              `json:"disabled_instances"`
	InactiveInstances int64              `json:"inactive_instances"` // the disabled ones again
	DeletedInstances  int64              `json:"deleted_instances"`
	DBTypesCount      int                `json:"db_types_count"`
	DBTypeStats       []engineCountJSON  `json:"db_type_stats"`
	PortStats         []portCountJSON    `json:"port_stats"`
	VersionStats      []versionCountJSON `json:"version_stats"`
	DatabaseCount     int64              `json:"database_count"`
	TotalSizeBytes    *int64             `json:"total_size_bytes"`
}

// engineCountJSON counts the instances of one engine.
type engineCountJSON struct {
	DBType models.Engine `json:"db_type"`
	Count  int64         `json:"count"`
}

// portCountJSON counts the instances with one port.
type portCountJSON struct {
	Port  *int  `json:"port"` // null: SQLite files
	Count int64 `json:"count"`
}

// versionCountJSON counts the instances of one engine and main version.
type versionCountJSON struct {
	DBType  models.Engine `json:"db_type"`
	Version string        `json:"version"`
	Count   int64         `json:"count"`
}

func newStatistics(lang string, s models.InstanceStatistics) statisticsJSON {
	out := statisticsJSON{
		TotalInstances: s.Total, ActiveInstances: s.Active, NormalInstances: s.Active,
		DisabledInstances: s.Disabled, InactiveInstances: s.Disabled, DeletedInstances: s.Deleted,
		DBTypesCount: len(s.Engines), DatabaseCount: s.DatabaseCount, TotalSizeBytes: s.SizeBytes,
		DBTypeStats: []engineCountJSON{}, PortStats: []portCountJSON{}, VersionStats: []versionCountJSON{},
	}
	for _, e := range s.Engines {
		out.DBTypeStats = append(out.DBTypeStats, engineCountJSON{DBType: e.DBType, Count: e.Count})
	}
	for _, p := range s.Ports {
		out.PortStats = append(out.PortStats, portCountJSON(p))
	}
	for _, v := range s.Versions {
		version := cmp.Or(v.Version, views.Message(lang, "api.version_unknown", nil))
		out.VersionStats = append(out.VersionStats, versionCountJSON{DBType: v.DBType, Version: version, Count: v.Count})
	}
	return out
}

func (h *handlers) apiStatistics(c echo.Context) error {
	found, err := h.Store.InstanceStatistics(c.Request().Context())
	if err != nil {
		return err
	}
	return h.ok(c, newStatistics(lang(c), found), "api.statistics")
}
