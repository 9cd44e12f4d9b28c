package handlers

import (
	"strings"

	"github.com/labstack/echo/v4"

	"whalefall/models"
)

// instanceOptionJSON is an instance to choose.
type instanceOptionJSON struct {
	ID          int64         `json:"id"`
	Name        string        `json:"name"`
	DBType      models.Engine `json:"db_type"`
	DisplayName string        `json:"display_name"`
}

type instanceOptionsJSON struct {
	Instances []instanceOptionJSON `json:"instances"`
}

func (h *handlers) apiInstanceOptions(c echo.Context) error {
	q := models.InstanceQuery{Status: "active", DBType: models.Engine(strings.ToLower(c.QueryParam("db_type")))}
	found, err := h.Store.InstanceNames(c.Request().Context(), q)
	if err != nil {
		return err
	}
	out := instanceOptionsJSON{make([]instanceOptionJSON, len(found))}
	for i, f := range found {
		shown := f.Name + " (" + strings.ToUpper(string(f.DBType)) + ")"
		out.Instances[i] = instanceOptionJSON{ID: f.ID, Name: f.Name, DBType: f.DBType, DisplayName: shown}
	}
	return h.ok(c, out, "api.instance_options")
}

// databaseOptionJSON is a database to choose.
type databaseOptionJSON struct {
	ID            int64   `json:"id"`
	DatabaseName  string  `json:"database_name"`
	IsActive      bool    `json:"is_active"`
	FirstSeenDate string  `json:"first_seen_date"`
	LastSeenDate  string  `json:"last_seen_date"`
	DeletedAt     *string `json:"deleted_at"`
}

type databaseOptionsJSON struct {
	Databases  []databaseOptionJSON `json:"databases"`
	TotalCount int64                `json:"total_count"`
	Limit      int                  `json:"limit"`
	Offset     int                  `json:"offset"`
}

// maxDatabaseOptions is the largest number of databases to choose from.
const maxDatabaseOptions = 1000

func (h *handlers) apiDatabaseOptions(c echo.Context) error {
	limit, offset, err := bindOptionWindow(c)
	if err != nil {
		return err
	}
	id := filterID(c, "instance_id")
	if id == 0 {
		return models.Invalid("query.instance_required")
	}
	if _, err := h.Store.InstanceHead(c.Request().Context(), id); err != nil {
		return err
	}
	found, total, err := h.Store.KnownDatabases(c.Request().Context(), id, limit, offset)
	if err != nil {
		return err
	}

	out := databaseOptionsJSON{make([]databaseOptionJSON, len(found)), total, limit, offset}
	for i, d := range found {
		out.Databases[i] = databaseOptionJSON{
			ID: d.ID, DatabaseName: d.Name, IsActive: d.GoneAt == nil, FirstSeenDate: h.Store.Day(d.FirstSeenAt),
			LastSeenDate: h.Store.Day(d.LastSeenAt), DeletedAt: timestampOrNull(d.GoneAt),
		}
	}
	return h.ok(c, out, "api.database_options")
}

// bindOptionWindow reads limit and offset. Neither being a number is one message, in the words of the original.
func bindOptionWindow(c echo.Context) (limit, offset int, err error) {
	for _, name := range []string{"limit", "offset"} {
		if _, ok := integer(c.QueryParam(name)); !ok && c.QueryParam(name) != "" {
			return 0, 0, models.Invalid("query.options_window")
		}
	}
	limit, offset, err = bindWindow(c, databaseLimit)
	if err == nil && limit > maxDatabaseOptions {
		err = models.Invalid("query.too_large", "Name", "limit", "Limit", maxDatabaseOptions)
	}
	return limit, offset, err
}

// engineOptionJSON is an engine to choose, with the icon and color of the original.
type engineOptionJSON struct {
	Value models.Engine `json:"value"`
	Text  string        `json:"text"`
	Icon  string        `json:"icon"`
	Color string        `json:"color"`
}

type engineOptionsJSON struct {
	Options []engineOptionJSON `json:"options"`
}

// engineOptions lists the engines of the original.
var engineOptions = engineOptionsJSON{[]engineOptionJSON{
	{models.MySQL, "MySQL", "fa-database", "primary"},
	{models.PostgreSQL, "PostgreSQL", "fa-database", "info"},
	{models.SQLServer, "SQL Server", "fa-server", "warning"},
	{models.Oracle, "Oracle Database", "fa-database", "danger"},
}}

func (h *handlers) apiEngineOptions(c echo.Context) error {
	return h.ok(c, engineOptions, "api.engine_options")
}
