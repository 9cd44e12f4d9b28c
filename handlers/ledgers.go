package handlers

import (
	"fmt"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"whalefall/models"
	"whalefall/views"
)

// ledgerItemJSON is a database of any instance with its newest size.
type ledgerItemJSON struct {
	ID           int64              `json:"id"`
	DatabaseName string             `json:"database_name"`
	DBType       models.Engine      `json:"db_type"`
	Instance     ledgerInstanceJSON `json:"instance"`
	Capacity     ledgerCapacityJSON `json:"capacity"`
	SyncStatus   ledgerStatusJSON   `json:"sync_status"`
	Tags         []tagJSON          `json:"tags"`
	Trend        ledgerTrendJSON    `json:"trend"`
}

type ledgerInstanceJSON struct {
	ID     int64         `json:"id"`
	Name   string        `json:"name"`
	Host   *string       `json:"host"`
	DBType models.Engine `json:"db_type"`
}

type ledgerCapacityJSON struct {
	SizeMB      *int64  `json:"size_mb"`
	SizeBytes   *int64  `json:"size_bytes"`
	Label       string  `json:"label"`
	CollectedAt *string `json:"collected_at"`
}

// ledgerStatusJSON says how old the size is.
type ledgerStatusJSON struct {
	Value   string `json:"value"` // pending|completed|running|failed
	Label   string `json:"label"`
	Variant string `json:"variant"` // secondary|success|warning|danger
}

// ledgerTrendJSON is ours.
type ledgerTrendJSON struct {
	Growth7dBytes *int64  `json:"growth_7d_bytes"`
	SizesBytes    []int64 `json:"sizes_bytes"`
}

// ledgerPageJSON is one page of the ledger. The number of rows has every name that clients of the original know.
type ledgerPageJSON struct {
	pageJSON[ledgerItemJSON]
	PageSize int `json:"page_size"`
	PerPage  int `json:"per_page"`
}

func (h *handlers) apiLedgers(c echo.Context) error {
	q, err := bindLedger(c)
	if err != nil {
		return err
	}
	found, err := h.Store.Ledger(c.Request().Context(), q)
	if err != nil {
		return err
	}
	items := make([]ledgerItemJSON, len(found.Rows))
	for i, row := range found.Rows {
		items[i] = h.newLedgerItem(lang(c), row)
	}
	return h.ok(c, ledgerPageJSON{newPage(items, found.Total, q.Limit, q.Offset), q.Limit, q.Limit}, "api.ledgers")
}

func bindLedger(c echo.Context) (models.LedgerQuery, error) {
	q := models.LedgerQuery{
		Search: c.QueryParam("search"), DBType: exactEngine(c.QueryParam("db_type")), InstanceID: filterID(c, "instance_id"),
	}
	for _, tags := range c.QueryParams()["tags"] {
		for tag := range strings.SplitSeq(tags, ",") {
			if tag = strings.TrimSpace(tag); tag != "" {
				q.Tags = append(q.Tags, tag)
			}
		}
	}
	var err error
	q.Limit, q.Offset, err = bindStrictPage(c)
	return q, err
}

// noEngine is an engine that no instance has.
const noEngine models.Engine = "?"

// exactEngine returns the engine of a filter that keeps nothing if it names none; empty and "all" keep everything.
func exactEngine(name string) models.Engine {
	if name == "" || strings.EqualFold(name, "all") {
		return ""
	}
	if engine, known := models.ParseEngine(name); known {
		return engine
	}
	return noEngine
}

// filterID returns the ID of a filter, 0 if it is none.
func filterID(c echo.Context, name string) int64 {
	id, _ := integer(c.QueryParam(name))
	return max(id, 0)
}

func (h *handlers) newLedgerItem(lang string, r models.LedgerRow) ledgerItemJSON {
	i := r.Instance
	return ledgerItemJSON{
		ID: r.DatabaseID, DatabaseName: r.Name, DBType: i.DBType, Tags: newTags(i.Tags),
		Instance: ledgerInstanceJSON{ID: i.ID, Name: i.Name, Host: i.Host, DBType: i.DBType},
		Capacity: ledgerCapacityJSON{
			SizeMB: mb(r.SizeBytes), SizeBytes: r.SizeBytes, Label: sizeLabel(lang, r.SizeBytes),
			CollectedAt: timestampOrNull(r.CollectedAt),
		},
		SyncStatus: h.newLedgerStatus(lang, r.CollectedAt),
		Trend:      ledgerTrendJSON{Growth7dBytes: r.Growth7d, SizesBytes: append([]int64{}, r.History...)},
	}
}

// sizeLabel returns the size for people: whole megabytes, from a gigabyte on with two decimals.
func sizeLabel(lang string, bytes *int64) string {
	const mbPerGB = 1024
	size := mb(bytes)
	switch {
	case size == nil:
		return views.Message(lang, "api.not_collected", nil)
	case *size < mbPerGB:
		return fmt.Sprintf("%d MB", *size)
	}
	return fmt.Sprintf("%.2f GB", float64(*size)/mbPerGB)
}

// Ages of a size that is fresh, and of one that should be refreshed.
const (
	freshSize = 6 * time.Hour
	agingSize = 48 * time.Hour
)

func (h *handlers) newLedgerStatus(lang string, collected *time.Time) ledgerStatusJSON {
	out := ledgerStatusJSON{Value: "failed", Variant: "danger"}
	switch {
	case collected == nil:
		out = ledgerStatusJSON{Value: "pending", Variant: "secondary"}
	case h.now().Sub(*collected) <= freshSize:
		out = ledgerStatusJSON{Value: "completed", Variant: "success"}
	case h.now().Sub(*collected) <= agingSize:
		out = ledgerStatusJSON{Value: "running", Variant: "warning"}
	}
	out.Label = views.Message(lang, "api.ledger_status."+out.Value, nil)
	return out
}

// capacityTrendJSON is how a database grew.
type capacityTrendJSON struct {
	Database trendDatabaseJSON `json:"database"`
	Points   []trendPointJSON  `json:"points"`
}

type trendDatabaseJSON struct {
	ID           int64         `json:"id"`
	Name         string        `json:"name"`
	InstanceID   int64         `json:"instance_id"`
	InstanceName string        `json:"instance_name"`
	DBType       models.Engine `json:"db_type"`
}

type trendPointJSON struct {
	CollectedAt   string `json:"collected_at"`
	CollectedDate string `json:"collected_date"`
	SizeMB        *int64 `json:"size_mb"`
	SizeBytes     *int64 `json:"size_bytes"`
	Label         string `json:"label"`
}

// Days of a trend.
const trendDays, maxTrendDays = 30, 90

func (h *handlers) apiCapacityTrend(c echo.Context) error {
	days, err := bindTrendDays(c)
	if err != nil {
		return err
	}
	id, err := pathID(c, "ledger.database_missing")
	if err != nil {
		return err
	}
	database, instance, err := h.Store.PlacedDatabaseByID(c.Request().Context(), id)
	switch {
	case err != nil && models.AsError(err).Key == "instance.not_found":
		return models.NotFound("ledger.instance_missing")
	case err != nil:
		return notFoundAs(err, "ledger.database_missing")
	}

	stats, err := h.Store.DatabaseTrend(c.Request().Context(), id, days)
	if err != nil {
		return err
	}
	out := capacityTrendJSON{trendDatabaseJSON{
		ID: id, Name: database.Name, InstanceID: instance.ID, InstanceName: instance.Name, DBType: instance.DBType,
	}, make([]trendPointJSON, len(stats))}
	for i, s := range stats {
		out.Points[i] = trendPointJSON{
			CollectedAt: timestamp(s.CollectedAt), CollectedDate: s.Day, SizeMB: mb(s.SizeBytes), SizeBytes: s.SizeBytes,
			Label: sizeLabel(lang(c), s.SizeBytes),
		}
	}
	return h.ok(c, out, "api.capacity_trend")
}

// bindTrendDays reads days, of which more than the maximum count as the maximum and 0 as the default.
func bindTrendDays(c echo.Context) (int, error) {
	if c.QueryParam("days") == "" {
		return trendDays, nil
	}
	n, ok := integer(c.QueryParam("days"))
	switch {
	case !ok:
		return 0, models.Invalid("query.not_integer", "Name", "days")
	case n < 0:
		return 0, models.Invalid("query.negative", "Name", "days")
	case n == 0:
		return trendDays, nil
	}
	return int(min(n, maxTrendDays)), nil
}
