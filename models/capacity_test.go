package models_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"whalefall/models"
)

// on moves the clock to noon of a day.
func (f *fixture) on(day string) {
	f.Helper()
	at, err := time.ParseInLocation(time.DateOnly, day, f.Zone)
	check(f, err)
	f.clock.add(at.Add(12 * time.Hour).Sub(f.clock.Now()))
}

// measuredYear is an instance with databases measured on some days of two years.
func (f *fixture) measuredYear() models.Instance {
	f.Helper()
	f.on("2027-01-01")
	instance := f.instance("a")
	other := f.instance("b")
	for _, m := range []struct {
		day   string
		sizes map[string]int64
	}{
		{"2027-01-03", map[string]int64{"app": 100, "App": 7}}, // Sunday
		{"2027-01-04", map[string]int64{"app": 200, "App": 7}},
		{"2027-01-06", map[string]int64{"app": 401, "App": 7}},
		{"2027-04-01", map[string]int64{"app": 50, "App": 8}},
	} {
		f.on(m.day)
		f.saveInventory(instance, true, "app", "App")
		f.measure(instance, m.sizes)
	}
	f.saveInventory(other, true, "app")
	f.measure(other, map[string]int64{"app": 1})
	return instance
}

func describePeriods(page models.CapacityPage) string {
	out := make([]string, len(page.Rows))
	for i, r := range page.Rows {
		before := "-"
		if r.Size.Before != nil {
			before = fmt.Sprint(*r.Size.Before)
		}
		out[i] = fmt.Sprintf("%s %s..%s ×%d avg %v max %d min %d before %s", r.DatabaseName, r.StartDay, r.EndDay(), r.Days,
			*r.Size.Avg, *r.Size.Max, *r.Size.Min, before)
	}
	return strings.Join(out, "; ")
}

func TestStore_DatabasePeriods(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		instance := f.measuredYear()
		of := func(q models.CapacityQuery) string {
			q.InstanceID, q.DatabaseName, q.Limit = instance.ID, "app", 100
			page, err := f.DatabasePeriods(f.ctx, q)
			check(f, err)
			equal(f, "total", page.Total, int64(len(page.Rows)))
			return describePeriods(page)
		}
		equal(f, "weeks", of(models.CapacityQuery{Period: models.Weekly}),
			"app 2027-03-29..2027-04-04 ×1 avg 50 max 50 min 50 before -; "+
				"app 2027-01-04..2027-01-10 ×2 avg 300.5 max 401 min 200 before 100; "+
				"app 2026-12-28..2027-01-03 ×1 avg 100 max 100 min 100 before -")
		equal(f, "quarters", of(models.CapacityQuery{Period: models.Quarterly, StartDay: "2027-04-01"}),
			"app 2027-04-01..2027-06-30 ×1 avg 50 max 50 min 50 before 233.66666666666666")
		equal(f, "months", of(models.CapacityQuery{Period: models.Monthly, StartDay: "2027-01-31", EndDay: "2027-04-29"}),
			"app 2027-01-01..2027-01-31 ×3 avg 233.66666666666666 max 401 min 100 before -")
		equal(f, "days", of(models.CapacityQuery{Period: models.Daily, StartDay: "2027-01-04", EndDay: "2027-01-06"}),
			"app 2027-01-06..2027-01-06 ×1 avg 401 max 401 min 401 before -; "+
				"app 2027-01-04..2027-01-04 ×1 avg 200 max 200 min 200 before 100")

		all, err := f.DatabasePeriods(f.ctx, models.CapacityQuery{Limit: 2, Offset: 1})
		check(f, err)
		equal(f, "all", fmt.Sprint(all.Total, len(all.Rows)), fmt.Sprint(2*(4+3+2+2)+4, 2))
		largest, err := f.DatabasePeriods(f.ctx, models.CapacityQuery{Period: models.Quarterly, Largest: true})
		check(f, err)
		equal(f, "largest", fmt.Sprint(largest.Total, " ", largest.Rows[0].DatabaseName, largest.Rows[1].DatabaseName),
			"5 Appapp")
		for _, none := range []models.CapacityQuery{
			{DatabaseName: "APP"},
			{DatabaseName: "a\x00"},
			{DBType: models.Oracle},
			{InstanceID: 4711},
			{DatabaseID: 4711},
			{EndDay: "2001-01-01"},
			{StartDay: "2999-01-01"},
		} {
			page, err := f.DatabasePeriods(f.ctx, none)
			check(f, err)
			equal(f, fmt.Sprint(none), page.Total, 0)
		}
	})
}

func TestStore_InstancePeriods(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		instance := f.measuredYear()
		page, err := f.InstancePeriods(f.ctx, models.CapacityQuery{
			Period: models.Weekly, InstanceID: instance.ID, StartDay: "2027-01-01", Limit: 10,
		})
		check(f, err)
		equal(f, "weeks that begin in the range", describePeriods(page),
			" 2027-03-29..2027-04-04 ×1 avg 58 max 58 min 58 before -; "+
				" 2027-01-04..2027-01-10 ×2 avg 307.5 max 408 min 207 before 107")
		equal(f, "databases", fmt.Sprint(*page.Rows[1].Databases.Avg, *page.Rows[1].Databases.Max), "2 2")

		for name, summary := range map[string]func() (models.CapacitySummary, error){
			"{3 2 59 50}": func() (models.CapacitySummary, error) { return f.DatabaseCapacity(f.ctx, models.CapacityQuery{}) },
			"{2 2 59 58}": func() (models.CapacitySummary, error) { return f.InstanceCapacity(f.ctx, models.CapacityQuery{}) },
			"{2 1 240.66666666666666 401}": func() (models.CapacitySummary, error) {
				return f.DatabaseCapacity(f.ctx, models.CapacityQuery{Period: models.Monthly, EndDay: "2027-02-01"})
			},
			"{0 0 0 0}": func() (models.CapacitySummary, error) {
				return f.InstanceCapacity(f.ctx, models.CapacityQuery{EndDay: "2001-01-01"})
			},
		} {
			got, err := summary()
			check(f, err)
			equal(f, "summary", fmt.Sprint(got), name)
		}
		_, err = f.DeleteInstance(f.ctx, instance.ID)
		check(f, err)
		page, err = f.InstancePeriods(f.ctx, models.CapacityQuery{Limit: 10})
		check(f, err)
		equal(f, "without the deleted one", page.Total, 4)
	})
}

func TestStore_Ledger(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		instance := f.measuredYear()
		names := func(q models.LedgerQuery) string {
			q.Limit = 10
			page, err := f.Ledger(f.ctx, q)
			check(f, err)
			equal(f, "total", page.Total, int64(len(page.Rows)))
			var out []string
			for _, row := range page.Rows {
				out = append(out, row.Instance.Name+"."+row.Name)
			}
			return strings.Join(out, " ")
		}
		equal(f, "all", names(models.LedgerQuery{}), "a.App a.app b.app")
		equal(f, "search", names(models.LedgerQuery{Search: "APP", InstanceID: instance.ID}), "a.App a.app")
		equal(f, "by engine", names(models.LedgerQuery{DBType: models.Oracle}), "")
		equal(f, "nothing", names(models.LedgerQuery{Tags: []string{"none", "\x00"}}), "")
		page, err := f.Ledger(f.ctx, models.LedgerQuery{Limit: 1, Offset: 1})
		check(f, err)
		equal(f, "newest", fmt.Sprintf("%d %d %s", page.Total, *page.Rows[0].SizeBytes, *page.Rows[0].Day), "3 50 2027-04-01")

		trend, err := f.DatabaseTrend(f.ctx, page.Rows[0].DatabaseID, 90)
		check(f, err)
		equal(f, "trend", fmt.Sprint(len(trend), *trend[0].SizeBytes), "4 100")
		known, total, err := f.KnownDatabases(f.ctx, instance.ID, 1, 1)
		check(f, err)
		equal(f, "known", fmt.Sprintf("%d %d %s", total, len(known), known[0].Name), "2 1 app")
		f.saveInventory(instance, true, "App")
		equal(f, "one is gone", names(models.LedgerQuery{}), "a.App b.app")
	})
}
