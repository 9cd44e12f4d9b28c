package handlers

import (
	"math"
	"slices"

	"github.com/labstack/echo/v4"

	"whalefall/models"
)

// capacityJSON is what the periods of databases and instances have in common.
type capacityJSON struct {
	ID           int64                `json:"id"` // of the newest measurement of the period
	InstanceID   int64                `json:"instance_id"`
	Instance     capacityInstanceJSON `json:"instance"`
	PeriodType   models.Period        `json:"period_type"`
	PeriodStart  string               `json:"period_start"`
	PeriodEnd    string               `json:"period_end"`
	DataCount    int64                `json:"data_count"`
	AvgSizeMB    int64                `json:"avg_size_mb"`
	MaxSizeMB    int64                `json:"max_size_mb"`
	MinSizeMB    int64                `json:"min_size_mb"`
	CalculatedAt string               `json:"calculated_at"`
	CreatedAt    string               `json:"created_at"`
}

type capacityInstanceJSON struct {
	ID     int64         `json:"id"`
	Name   string        `json:"name"`
	DBType models.Engine `json:"db_type"`
}

func newCapacity(r models.CapacityRow) capacityJSON {
	at := timestamp(r.CollectedAt)
	return capacityJSON{
		ID: r.ID, InstanceID: r.InstanceID, PeriodType: r.Period, PeriodStart: r.StartDay, PeriodEnd: r.EndDay(),
		Instance:  capacityInstanceJSON{ID: r.InstanceID, Name: r.InstanceName, DBType: r.DBType},
		DataCount: r.Days, CalculatedAt: at, CreatedAt: at,
		AvgSizeMB: orZero(wholeMB(r.Size.Avg)), MaxSizeMB: orZero(mb(r.Size.Max)), MinSizeMB: orZero(mb(r.Size.Min)),
	}
}

// databaseCapacityJSON is one period of a database. Changes are those of the average since the period before, 0 without
// one.
type databaseCapacityJSON struct {
	capacityJSON
	DatabaseName string `json:"database_name"`

	AvgDataSizeMB *int64 `json:"avg_data_size_mb"`
	MaxDataSizeMB *int64 `json:"max_data_size_mb"`
	MinDataSizeMB *int64 `json:"min_data_size_mb"`
	AvgLogSizeMB  *int64 `json:"avg_log_size_mb"`
	MaxLogSizeMB  *int64 `json:"max_log_size_mb"`
	MinLogSizeMB  *int64 `json:"min_log_size_mb"`

	SizeChangeMB          int64    `json:"size_change_mb"`
	SizeChangePercent     float64  `json:"size_change_percent"`
	DataSizeChangeMB      *int64   `json:"data_size_change_mb"`
	DataSizeChangePercent *float64 `json:"data_size_change_percent"`
	LogSizeChangeMB       *int64   `json:"log_size_change_mb"`
	LogSizeChangePercent  *float64 `json:"log_size_change_percent"`
	GrowthRate            float64  `json:"growth_rate"`
}

func newDatabaseCapacity(r models.CapacityRow) databaseCapacityJSON {
	size, data, log := changeOf(r.Size), changeOf(r.Data), changeOf(r.Log)
	return databaseCapacityJSON{
		capacityJSON: newCapacity(r), DatabaseName: r.DatabaseName,
		AvgDataSizeMB: wholeMB(r.Data.Avg), MaxDataSizeMB: mb(r.Data.Max), MinDataSizeMB: mb(r.Data.Min),
		AvgLogSizeMB: wholeMB(r.Log.Avg), MaxLogSizeMB: mb(r.Log.Max), MinLogSizeMB: mb(r.Log.Min),
		SizeChangeMB: orZero(wholeMB(size.by)), SizeChangePercent: orZero(size.percent), GrowthRate: orZero(size.percent),
		DataSizeChangeMB: wholeMB(data.by), DataSizeChangePercent: data.percent,
		LogSizeChangeMB: wholeMB(log.by), LogSizeChangePercent: log.percent,
	}
}

// instanceCapacityJSON is one period of an instance. The average is per database, the other sizes are of all together.
type instanceCapacityJSON struct {
	capacityJSON
	TotalSizeMB      int64    `json:"total_size_mb"` // average of the days
	DatabaseCount    int64    `json:"database_count"`
	AvgDatabaseCount *float64 `json:"avg_database_count"`
	MaxDatabaseCount *int64   `json:"max_database_count"`
	MinDatabaseCount *int64   `json:"min_database_count"`

	TotalSizeChangeMB          *int64   `json:"total_size_change_mb"`
	TotalSizeChangePercent     *float64 `json:"total_size_change_percent"`
	DatabaseCountChange        *int64   `json:"database_count_change"`
	DatabaseCountChangePercent *float64 `json:"database_count_change_percent"`
	GrowthRate                 *float64 `json:"growth_rate"`
	TrendDirection             string   `json:"trend_direction"` // growing|shrinking|stable
}

func newInstanceCapacity(r models.CapacityRow) instanceCapacityJSON {
	size, databases := changeOf(r.Size), changeOf(r.Databases)
	out := instanceCapacityJSON{
		capacityJSON: newCapacity(r), TotalSizeMB: orZero(wholeMB(r.Size.Avg)),
		DatabaseCount: int64(math.Round(orZero(r.Databases.Avg))), AvgDatabaseCount: rounded(r.Databases.Avg),
		MaxDatabaseCount: r.Databases.Max, MinDatabaseCount: r.Databases.Min,
		TotalSizeChangeMB: wholeMB(size.by), TotalSizeChangePercent: size.percent, GrowthRate: size.percent,
		DatabaseCountChangePercent: databases.percent, TrendDirection: trendOf(orZero(size.percent)),
	}
	if databases.by != nil {
		by := int64(math.Round(*databases.by))
		out.DatabaseCountChange = &by
	}
	if count := orZero(r.Databases.Avg); count > 0 {
		out.AvgSizeMB = int64(orZero(r.Size.Avg) / count / bytesPerMB)
	}
	return out
}

// notablePercent is the change from which on an instance counts as growing or shrinking.
const notablePercent = 5

func trendOf(percent float64) string {
	switch {
	case percent > notablePercent:
		return "growing"
	case percent < -notablePercent:
		return "shrinking"
	}
	return "stable"
}

// change is how an average differs from that of the period before; nil: the average is unknown.
type change struct{ by, percent *float64 }

func changeOf(m models.Measure) change {
	if m.Avg == nil {
		return change{}
	}
	var by, percent float64
	if m.Before != nil {
		by = *m.Avg - *m.Before
		if *m.Before != 0 {
			percent = by / *m.Before * 100
		}
	}
	return change{&by, rounded(&percent)}
}

// rounded returns the number with two decimals; nil stays nil.
func rounded(n *float64) *float64 {
	if n == nil {
		return nil
	}
	const decimals = 100
	out := math.Round(*n*decimals) / decimals
	return &out
}

// wholeMB returns bytes in whole MiB, rounded towards zero; nil stays nil.
func wholeMB(bytes *float64) *int64 {
	if bytes == nil {
		return nil
	}
	n := int64(*bytes / bytesPerMB)
	return &n
}

func orZero[T int64 | float64](n *T) T {
	if n == nil {
		return 0
	}
	return *n
}

// databaseCapacitiesJSON and instanceCapacitiesJSON are one page of periods.
type databaseCapacitiesJSON struct {
	pageJSON[databaseCapacityJSON]
	HasPrev bool `json:"has_prev"`
	HasNext bool `json:"has_next"`
}

type instanceCapacitiesJSON struct {
	pageJSON[instanceCapacityJSON]
	HasPrev bool `json:"has_prev"`
	HasNext bool `json:"has_next"`
}

func (h *handlers) apiDatabaseCapacities(c echo.Context) error {
	q, err := bindCapacity(c)
	if err != nil {
		return err
	}
	found, err := h.Store.DatabasePeriods(c.Request().Context(), q)
	if err != nil {
		return err
	}
	items := make([]databaseCapacityJSON, len(found.Rows))
	for i, row := range found.Rows {
		items[i] = newDatabaseCapacity(row)
	}
	page := newPage(items, found.Total, q.Limit, q.Offset)
	if q.Largest {
		page.Page, page.Pages, page.Limit = 1, 1, len(items)
	}
	out := databaseCapacitiesJSON{page, page.Page > 1, int64(page.Page) < page.Pages}
	return h.ok(c, out, "api.database_capacities")
}

func (h *handlers) apiInstanceCapacities(c echo.Context) error {
	q, err := h.bindInstanceCapacity(c)
	if err != nil {
		return err
	}
	found, err := h.Store.InstancePeriods(c.Request().Context(), q)
	if err != nil {
		return err
	}
	items := make([]instanceCapacityJSON, len(found.Rows))
	for i, row := range found.Rows {
		items[i] = newInstanceCapacity(row)
	}
	page := newPage(items, found.Total, q.Limit, q.Offset)
	page.Pages = max(page.Pages, 1)
	return h.ok(c, instanceCapacitiesJSON{page, page.Page > 1, int64(page.Page) < page.Pages}, "api.done")
}

type databaseCapacitySummaryJSON struct {
	TotalDatabases int64   `json:"total_databases"`
	TotalInstances int64   `json:"total_instances"`
	TotalSizeMB    int64   `json:"total_size_mb"`
	AvgSizeMB      float64 `json:"avg_size_mb"`
	MaxSizeMB      int64   `json:"max_size_mb"`
	GrowthRate     float64 `json:"growth_rate"` // always 0
}

func (h *handlers) apiDatabaseCapacitySummary(c echo.Context) error {
	q, err := bindCapacity(c)
	if err != nil {
		return err
	}
	found, err := h.Store.DatabaseCapacity(c.Request().Context(), q)
	if err != nil {
		return err
	}
	summary := databaseCapacitySummaryJSON{
		TotalDatabases: found.Count, TotalInstances: found.Instances, TotalSizeMB: orZero(wholeMB(&found.Bytes)),
		AvgSizeMB: averageMB(found), MaxSizeMB: found.MaxBytes / bytesPerMB,
	}
	return h.ok(c, echo.Map{"summary": summary}, "api.database_capacity_summary")
}

type instanceCapacitySummaryJSON struct {
	TotalInstances int64   `json:"total_instances"`
	TotalSizeMB    int64   `json:"total_size_mb"`
	AvgSizeMB      float64 `json:"avg_size_mb"`
	MaxSizeMB      int64   `json:"max_size_mb"`
	PeriodType     string  `json:"period_type"` // as asked, else all; does not filter
	Source         string  `json:"source"`      // always instance_size_stats
}

func (h *handlers) apiInstanceCapacitySummary(c echo.Context) error {
	q, err := h.bindInstanceCapacity(c)
	if err != nil {
		return err
	}
	found, err := h.Store.InstanceCapacity(c.Request().Context(), q)
	if err != nil {
		return err
	}
	summary := instanceCapacitySummaryJSON{
		TotalInstances: found.Count, TotalSizeMB: orZero(wholeMB(&found.Bytes)), AvgSizeMB: averageMB(found),
		MaxSizeMB: found.MaxBytes / bytesPerMB, PeriodType: string(q.Period), Source: "instance_size_stats",
	}
	if q.Period == "" {
		summary.PeriodType = allPeriods
	}
	return h.ok(c, echo.Map{"summary": summary}, "api.done")
}

func averageMB(s models.CapacitySummary) float64 {
	if s.Count == 0 {
		return 0
	}
	average := s.Bytes / float64(s.Count) / bytesPerMB
	return *rounded(&average)
}

// allPeriods is the value of period_type that filters nothing.
const allPeriods = "all"

func bindCapacity(c echo.Context) (models.CapacityQuery, error) {
	q := models.CapacityQuery{
		InstanceID: filterID(c, "instance_id"), DatabaseID: filterID(c, "database_id"),
		DBType: exactEngine(c.QueryParam("db_type")), DatabaseName: c.QueryParam("database_name"),
		Largest: isYes(c.QueryParam("get_all")),
	}
	if period := models.Period(c.QueryParam("period_type")); period != "" && period != allPeriods {
		if !slices.Contains(models.Periods, period) {
			return q, models.Invalid("query.period")
		}
		q.Period = period
	}
	var err error
	if q.StartDay, q.EndDay, err = queryDays(c); err != nil {
		return q, err
	}
	q.Limit, q.Offset, err = bindStrictPage(c)
	return q, err
}

// maxRange is the longest time_range, days; it is more than anybody keeps.
const maxRange = 36_500

// bindInstanceCapacity also reads time_range, which counts days back from today if there is no other range.
func (h *handlers) bindInstanceCapacity(c echo.Context) (models.CapacityQuery, error) {
	q, err := bindCapacity(c)
	back := c.QueryParam("time_range")
	if err != nil || back == "" {
		return q, err
	}
	days, ok := integer(back)
	switch {
	case !ok:
		return q, models.Invalid("query.time_range")
	case days < 0:
		return q, models.Invalid("query.negative", "Name", "time_range")
	}
	if q.StartDay == "" && q.EndDay == "" {
		q.StartDay = h.Store.Day(h.now().AddDate(0, 0, -int(min(days, maxRange))))
	}
	return q, nil
}
