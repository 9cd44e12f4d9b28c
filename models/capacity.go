package models

import (
	"cmp"
	"context"
	"strings"
	"time"

	"gorm.io/gorm"
)

// Period is a kind of calendar period.
type Period string

// The periods of a capacity report. Weeks begin on Monday.
const (
	Daily     Period = "daily"
	Weekly    Period = "weekly"
	Monthly   Period = "monthly"
	Quarterly Period = "quarterly"
)

// Periods lists every period, shortest first.
var Periods = []Period{Daily, Weekly, Monthly, Quarterly}

const monthsOfQuarter = 3

// Start returns the first day of the period with the day.
func (p Period) Start(day time.Time) time.Time {
	year, month, date := day.Date()
	switch p {
	case Weekly:
		date -= (int(day.Weekday()) + 6) % 7 // days since Monday
	case Monthly:
		date = 1
	case Quarterly:
		month, date = month-(month-1)%monthsOfQuarter, 1
	case Daily:
	}
	return time.Date(year, month, date, 0, 0, 0, 0, time.UTC)
}

// shift returns the first day of the period that begins count periods after the one that begins on start.
func (p Period) shift(start time.Time, count int) time.Time {
	switch p {
	case Weekly:
		return start.AddDate(0, 0, 7*count)
	case Monthly:
		return start.AddDate(0, count, 0)
	case Quarterly:
		return start.AddDate(0, monthsOfQuarter*count, 0)
	case Daily:
	}
	return start.AddDate(0, 0, count)
}

// sql returns the expression for the first day of the period with the day of a row s.
func (p Period) sql(d dialect) string {
	switch p {
	case Weekly:
		return d.monday("s.day")
	case Monthly:
		return "substr(s.day, 1, 8) || '01'"
	case Quarterly:
		return `substr(s.day, 1, 5) || CASE WHEN substr(s.day, 6, 2) <= '03' THEN '01' WHEN substr(s.day, 6, 2) <= '06'
			THEN '04' WHEN substr(s.day, 6, 2) <= '09' THEN '07' ELSE '10' END || '-01'`
	case Daily:
	}
	return "s.day"
}

// CapacityQuery selects a page of the periods of databases or instances. Zero values mean no filter.
type CapacityQuery struct {
	InstanceID, DatabaseID int64
	DBType                 Engine
	DatabaseName           string // exact
	Period                 Period
	StartDay, EndDay       string // YYYY-MM-DD; see DatabasePeriods and InstancePeriods
	Largest                bool   // all periods of the 100 largest instead of a page
	Limit, Offset          int
}

// Measure is a quantity over the days of one period; nil: unknown.
type Measure struct {
	Avg    *float64
	Max    *int64
	Min    *int64
	Before *float64 // the average of the period before
}

// CapacityRow is one period of a database or instance.
type CapacityRow struct {
	ID           int64 // of the newest measurement of the period
	InstanceID   int64
	InstanceName string
	DBType       Engine `gorm:"column:db_type"`
	DatabaseID   int64  // 0: of an instance
	DatabaseName string
	Period       Period
	StartDay     string
	BeforeDay    *string // first day of the last period with measurements before this one
	Days         int64   // with measurements
	CollectedAt  time.Time

	Size      Measure `gorm:"embedded;embeddedPrefix:size_"` // bytes
	Data      Measure `gorm:"embedded;embeddedPrefix:data_"` // bytes; only of databases
	Log       Measure `gorm:"embedded;embeddedPrefix:log_"`  // bytes; only of databases
	Databases Measure `gorm:"embedded;embeddedPrefix:databases_"`
}

// EndDay returns the last day of the period, YYYY-MM-DD.
func (r *CapacityRow) EndDay() string {
	return r.Period.shift(parseDay(r.StartDay), 1).AddDate(0, 0, -1).Format(time.DateOnly)
}

// forgetGap clears what was before unless it is the period directly before this one.
func (r *CapacityRow) forgetGap() {
	before := r.Period.shift(parseDay(r.StartDay), -1).Format(time.DateOnly)
	if r.BeforeDay == nil || *r.BeforeDay != before {
		r.Size.Before, r.Data.Before, r.Log.Before, r.Databases.Before = nil, nil, nil, nil
	}
}

// CapacityPage is one page of periods and the number of all that match.
type CapacityPage struct {
	Rows  []CapacityRow
	Total int64
}

// CapacitySummary sums up the newest period of each database or instance.
type CapacitySummary struct {
	Count     int64 // databases or instances
	Instances int64
	Bytes     float64 // Σ of the averages
	MaxBytes  int64
}

// largestOwners is how many databases or instances CapacityQuery.Largest means.
const largestOwners = 100

// measured is a column of daily measurements, and what CapacityRow calls it.
type measured struct{ name, column string }

// capacitySource is a table of daily measurements.
type capacitySource struct {
	from     string // the rows s of active instances i, and of databases d that are on their servers
	owner    string // column of s
	name     string // expression for the database's name
	database string // expression for the database's id
	measures []measured
	inside   bool // periods must begin within the range, not only end there
	order    string
	largest  string // order of the largest
}

var databaseCapacity = capacitySource{
	from: `database_size_stats s JOIN instance_databases d ON d.id = s.database_id AND d.gone_at IS NULL
		JOIN instances i ON i.id = d.instance_id AND i.is_active AND i.deleted_at IS NULL`,
	owner: "s.database_id", name: "d.name", database: "d.id",
	measures: []measured{{"size", "s.size_bytes"}, {"data", "s.data_bytes"}, {"log", "s.log_bytes"}},
	order:    "start_day DESC, instance_name, database_name, owner, period",
	largest:  "start_day, instance_name, database_name, owner, period",
}

var instanceCapacity = capacitySource{
	from: `instance_size_stats s JOIN instances i ON i.id = s.instance_id AND i.is_active AND i.deleted_at IS NULL`,
	// A database's columns are constants, so that rows of both sources are alike.
	owner: "s.instance_id", name: "''", database: "0",
	measures: []measured{{"size", "s.size_bytes"}, {"databases", "s.database_count"}},
	inside:   true,
	order:    "start_day DESC, id DESC, period",
	largest:  "size_avg DESC, start_day DESC, owner, period",
}

// DatabasePeriods returns a page of the periods of databases that end within the range of q, newest first.
func (s *Store) DatabasePeriods(ctx context.Context, q CapacityQuery) (CapacityPage, error) {
	return s.periods(ctx, databaseCapacity, q)
}

// InstancePeriods returns a page of the periods of instances that lie within the range of q, newest first.
func (s *Store) InstancePeriods(ctx context.Context, q CapacityQuery) (CapacityPage, error) {
	return s.periods(ctx, instanceCapacity, q)
}

// DatabaseCapacity sums up the newest period of each database; without a period in q it is the newest day.
func (s *Store) DatabaseCapacity(ctx context.Context, q CapacityQuery) (CapacitySummary, error) {
	q.Period = cmp.Or(q.Period, Daily)
	return s.capacity(ctx, databaseCapacity, q)
}

// InstanceCapacity sums up the newest day of each instance, whatever the period of q.
func (s *Store) InstanceCapacity(ctx context.Context, q CapacityQuery) (CapacitySummary, error) {
	q.Period = Daily
	return s.capacity(ctx, instanceCapacity, q)
}

func (s *Store) periods(ctx context.Context, source capacitySource, q CapacityQuery) (CapacityPage, error) {
	var page CapacityPage
	with, values := s.capacitySQL(source, q)
	largest, order, limit := "", source.order, " LIMIT ? OFFSET ?"
	if q.Largest {
		largest = " WHERE owner IN (SELECT owner FROM found GROUP BY owner ORDER BY max(size_avg) DESC, owner LIMIT ?)"
		values, order, limit = append(values, largestOwners), source.largest, ""
	}

	err := s.view(ctx, func(tx *gorm.DB) error {
		count := with + "SELECT count(*) FROM found" + largest
		if err := tx.Raw(count, values...).Scan(&page.Total).Error; err != nil {
			return err
		}
		if limit != "" {
			values = append(values, q.Limit, q.Offset)
		}
		return tx.Raw(with+"SELECT * FROM found"+largest+" ORDER BY "+order+limit, values...).Scan(&page.Rows).Error
	})
	for i := range page.Rows {
		page.Rows[i].forgetGap()
	}
	return page, err
}

func (s *Store) capacity(ctx context.Context, source capacitySource, q CapacityQuery) (CapacitySummary, error) {
	db, done := bounded(ctx, s.reader)
	defer done()
	with, values := s.capacitySQL(source, q)
	var out CapacitySummary
	err := db.Raw(with+`SELECT count(*) AS count, count(DISTINCT instance_id) AS instances,
		COALESCE(sum(size_avg), 0) AS bytes, COALESCE(max(size_max), 0) AS max_bytes
		FROM (SELECT f.*, row_number() OVER (PARTITION BY owner ORDER BY start_day DESC) AS age FROM found f) AS newest
		WHERE age = 1`, values...).Scan(&out).Error
	return out, err
}

// capacitySQL returns common table expressions whose last one, found, has the columns of CapacityRow and the owner, for
// the periods that q selects.
func (s *Store) capacitySQL(source capacitySource, q CapacityQuery) (string, []any) {
	var branches, ranges []string
	var values, bounds []any
	for _, period := range Periods {
		if q.Period != "" && q.Period != period {
			continue
		}
		branch, more := s.periodSQL(source, period, q)
		branches, values = append(branches, branch), append(values, more...)
		first, last := period.bounds(q, source.inside)
		ranges = append(ranges, "period = ? AND start_day >= ? AND start_day <= ?")
		bounds = append(bounds, string(period), first, last)
	}

	before := []string{"lag(start_day) OVER w AS before_day"}
	for _, m := range source.measures {
		before = append(before, "lag("+m.name+"_avg) OVER w AS "+m.name+"_before")
	}
	return `WITH periods AS (` + strings.Join(branches, " UNION ALL ") + `), compared AS (
			SELECT p.*, ` + strings.Join(before, ", ") + ` FROM periods p
			WINDOW w AS (PARTITION BY owner, period ORDER BY start_day)
		), found AS (
			SELECT c.*, i.id AS instance_id, i.name AS instance_name, i.db_type, ` + source.database + ` AS database_id, ` +
		source.name + ` AS database_name, s.collected_at
			FROM ` + source.from + ` JOIN compared c ON c.id = s.id
			WHERE ` + strings.Join(ranges, " OR ") + `
		) `, append(values, bounds...)
}

// periodSQL returns a query for the rows of one kind of period, from the one before the range of q on.
func (s *Store) periodSQL(source capacitySource, period Period, q CapacityQuery) (string, []any) {
	columns := []string{
		source.owner + " AS owner", "'" + string(period) + "' AS period", period.sql(s.dialect) + " AS start_day",
		"count(*) AS days", "max(s.id) AS id",
	}
	for _, m := range source.measures {
		columns = append(columns, "CAST(avg("+m.column+") AS double precision) AS "+m.name+"_avg",
			"max("+m.column+") AS "+m.name+"_max", "min("+m.column+") AS "+m.name+"_min")
	}

	conditions, values := []string{"s.size_bytes IS NOT NULL"}, []any{}
	where := func(condition string, value any) {
		conditions, values = append(conditions, condition), append(values, value)
	}
	if q.StartDay != "" {
		first := period.shift(period.Start(parseDay(q.StartDay)), -1)
		where("s.day >= ?", first.Format(time.DateOnly))
	}
	if q.InstanceID != 0 {
		where("i.id = ?", q.InstanceID)
	}
	if q.DBType != "" {
		where("i.db_type = ?", string(q.DBType))
	}
	switch {
	case !storable(q.DatabaseName):
		conditions = append(conditions, nothing)
	case q.DatabaseName != "":
		where(source.name+" = ?", q.DatabaseName)
	case q.DatabaseID != 0:
		where(source.database+" = ?", q.DatabaseID)
	}
	return "SELECT " + strings.Join(columns, ", ") + " FROM " + source.from + " WHERE " +
		strings.Join(conditions, " AND ") + " GROUP BY 1, 3", values
}

// bounds returns the first days of the first and last period within the range of q. Unless inside, the first only has
// to end there.
func (p Period) bounds(q CapacityQuery, inside bool) (first, last string) {
	first, last = "", "9999-12-31"
	if q.StartDay != "" {
		day := parseDay(q.StartDay)
		start := p.Start(day)
		if inside && start.Before(day) {
			start = p.shift(start, 1)
		}
		first = start.Format(time.DateOnly)
	}
	if q.EndDay != "" {
		day := parseDay(q.EndDay)
		start := p.Start(day)
		if p.shift(start, 1).AddDate(0, 0, -1).After(day) {
			start = p.shift(start, -1)
		}
		last = start.Format(time.DateOnly)
	}
	return first, last
}

// parseDay returns the day of a text YYYY-MM-DD, which must be one.
func parseDay(text string) time.Time {
	day, err := time.Parse(time.DateOnly, text)
	if err != nil {
		return time.Time{}
	}
	return day
}
