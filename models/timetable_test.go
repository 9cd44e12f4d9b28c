package models

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func zoneNamed(t testing.TB, name string) *time.Location {
	t.Helper()
	zone, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return zone
}

// times returns the next n times of a plan, as a wall clock in its zone shows them.
func times(t *testing.T, p Plan, after string, n int) string {
	t.Helper()
	table, err := p.timetable(0)
	if err != nil {
		t.Fatal(err)
	}
	at, err := time.ParseInLocation("2006-01-02 15:04", after, p.Zone)
	if err != nil {
		t.Fatal(err)
	}
	var all string
	for range n {
		at = table.next(at)
		all += at.In(p.Zone).Format("02.15:04MST ")
	}
	return all
}

// Clocks in New York are set forward from 2:00 to 3:00 on March 8th, 2026, and back from 2:00 to 1:00 on November 1st.
func TestTimetable_Next(t *testing.T) {
	shanghai, newYork := zoneNamed(t, "Asia/Shanghai"), zoneNamed(t, "America/New_York")
	for _, c := range []struct {
		zone                  *time.Location
		cron, blackout, after string
		want                  string
	}{
		{shanghai, "0 2 * * *", "", "2026-03-07 02:00", "08.02:00CST 09.02:00CST "},
		{shanghai, "0 2 * * *", "", "2026-03-07 01:59", "07.02:00CST "},
		{shanghai, "30 4 * * 1-5", "", "2026-03-06 05:00", "09.04:30CST 10.04:30CST "},
		{shanghai, "0 2 29 2 *", "", "2026-03-06 05:00", "29.02:00CST "},
		{shanghai, "*/30 * * * *", "01:10-02:20", "2026-03-06 00:40", "06.01:00CST 06.02:20CST 06.02:30CST "},
		{shanghai, "0 10 * * *", "09:00-12:00", "2026-03-06 09:30", "06.12:00CST 07.12:00CST "},
		{shanghai, "0 10 * * *", "09:00-12:00", "2026-03-06 10:30", "06.12:00CST 07.12:00CST "},
		{shanghai, "0 23 * * *", "22:00-02:00", "2026-03-06 21:00", "07.02:00CST 08.02:00CST "},
		{shanghai, "0 1 * * *", "22:00-02:00,02:00-03:30", "2026-03-06 21:00", "07.03:30CST "},
		{shanghai, "0 0 * * *", "22:00-24:00", "2026-03-06 21:00", "07.00:00CST "},
		{newYork, "0 2 * * *", "", "2026-03-06 12:00", "07.02:00EST 08.03:00EDT 09.02:00EDT "},
		{newYork, "30 2 * * *", "", "2026-03-06 12:00", "07.02:30EST 08.03:30EDT 09.02:30EDT "},
		{newYork, "30 1 * * *", "", "2026-10-31 12:00", "01.01:30EDT 02.01:30EST "},
		{newYork, "0 * * * *", "", "2026-03-08 00:30", "08.01:00EST 08.03:00EDT 08.04:00EDT "},
		{newYork, "0 1 * * *", "00:30-02:00", "2026-03-07 12:00", "08.03:00EDT 09.02:00EDT "},
	} {
		t.Run(c.zone.String()+" "+c.cron+" "+c.blackout, func(t *testing.T) {
			plan := Plan{Cron: c.cron, Zone: c.zone, Blackout: c.blackout}
			n := 1
			for i := range c.want {
				if i > 0 && i < len(c.want)-1 && c.want[i] == ' ' {
					n++
				}
			}
			if got := times(t, plan, c.after, n); got != c.want {
				t.Errorf("after %s: got %s, want %s", c.after, got, c.want)
			}
		})
	}
}

func TestTimetable_Next_BlackoutInRepeatedHour(t *testing.T) {
	newYork := zoneNamed(t, "America/New_York")
	table, err := Plan{Cron: "0 2 * * *", Zone: newYork, Blackout: "01:00-01:30"}.timetable(1)
	if err != nil {
		t.Fatal(err)
	}
	for at, want := range map[string]string{"05:15": "05:30", "06:15": "06:30", "05:45": "05:45", "06:00": "06:30"} {
		at, err := time.Parse("2006-01-02 15:04", "2026-11-01 "+at)
		if err != nil {
			t.Fatal(err)
		}
		if got := table.open(at).UTC().Format("15:04"); got != want {
			t.Errorf("after %v: %s, want %s UTC", at, got, want)
		}
	}
}

func TestPlan_Invalid(t *testing.T) {
	for _, c := range []struct{ cron, blackout, key string }{
		{"", "", "schedule.cron_invalid"},
		{"0 2 * *", "", "schedule.cron_invalid"},
		{"0 0 2 * * *", "", "schedule.cron_invalid"},
		{"@daily", "", "schedule.cron_invalid"},
		{"@every 1s", "", "schedule.cron_invalid"},
		{"TZ=UTC", "", "schedule.cron_invalid"},
		{"CRON_TZ=UTC 0 2 * * *", "", "schedule.cron_invalid"},
		{"60 2 * * *", "", "schedule.cron_invalid"},
		{"0 2 <script> * *", "", "schedule.cron_invalid"},
		{"0 2 30 2 *", "", "schedule.cron_never"},
		{"* * * * *", "", "schedule.cron_often"},
		{"*/4 * * * *", "", "schedule.cron_often"},
		{"58,2 * * * *", "", "schedule.cron_often"},
		{"0,59 0,23 * * *", "", "schedule.cron_often"},
		{"0 2 * * *", "9-12", "schedule.blackout_invalid"},
		{"0 2 * * *", "09:00", "schedule.blackout_invalid"},
		{"0 2 * * *", "09:00-09:00", "schedule.blackout_invalid"},
		{"0 2 * * *", "09:00-24:01", "schedule.blackout_invalid"},
		{"0 2 * * *", "09:60-10:00", "schedule.blackout_invalid"},
		{"0 2 * * *", "09:00-12:00,", "schedule.blackout_invalid"},
		{"0 2 * * *", "-01:00-12:00", "schedule.blackout_invalid"},
		{"0 2 * * *", "00:00-24:00", "schedule.blackout_always"},
		{"0 2 * * *", "00:00-12:00,12:00-00:00", "schedule.blackout_always"},
		{"0 2 * * *", "12:00-11:58", "schedule.blackout_always"},
		{"*/5 * * * *", "09:00-12:00,22:00-02:00", ""},
		{"0 2 29 2 *", " 9:00 - 12:00 , 22:00-24:00 ", ""},
		{"0,59 5 * * *", "00:00-23:00", ""},
	} {
		_, err := Plan{Cron: c.cron, Zone: time.UTC, Blackout: c.blackout}.timetable(1)
		if err == nil {
			err = &Error{Code: CodeInvalid}
		}
		if e := AsError(err); e.Key != c.key || e.Code != CodeInvalid {
			t.Errorf("%q %q: got %v, want %q", c.cron, c.blackout, err, c.key)
		}
	}
}

// TestTimetable_Next_LaterAndOpen draws plans and moments around the days of daylight saving: the next time is later,
// in no blackout, and the same a second earlier.
func TestTimetable_Next_LaterAndOpen(outer *testing.T) {
	days := []time.Time{
		time.Date(2026, 3, 7, 0, 0, 0, 0, time.UTC), time.Date(2026, 4, 3, 0, 0, 0, 0, time.UTC),
		time.Date(2026, 10, 2, 0, 0, 0, 0, time.UTC), time.Date(2026, 10, 31, 0, 0, 0, 0, time.UTC),
	}
	rapid.Check(outer, func(t *rapid.T) {
		clock := func(name string) int { return rapid.IntRange(0, 47).Draw(t, name) }
		from, to := clock("from"), clock("to")
		crons := []string{"0 2 * * *", "30 1,2,3 * * *", "*/5 * * * *", "17 */3 * * *", "0 0 * * 0"}
		zones := []string{"Asia/Shanghai", "America/New_York", "Australia/Lord_Howe"}
		plan := Plan{
			Cron:   rapid.SampledFrom(crons).Draw(t, "cron"),
			Zone:   zoneNamed(outer, rapid.SampledFrom(zones).Draw(t, "zone")),
			Jitter: time.Duration(rapid.IntRange(0, 24*60).Draw(t, "jitter")) * time.Minute,
		}
		if from != to {
			plan.Blackout = fmt.Sprintf("%02d:%02d-%02d:%02d", from/2, from%2*30, to/2, to%2*30)
		}
		table, err := plan.timetable(rapid.Int64Range(1, 1<<40).Draw(t, "instance"))
		if err != nil {
			t.Fatal(err)
		}
		after := time.Duration(rapid.IntRange(0, 3*24*3600).Draw(t, "second")) * time.Second
		at := rapid.SampledFrom(days).Draw(t, "day").Add(after)
		for range 20 {
			next := table.next(at)
			wall := next.In(plan.Zone)
			if !next.After(at) || next.Sub(at) > 10*24*time.Hour || table.blackout.closed(wall) || table.open(next) != next {
				t.Fatalf("%+v after %v: %v", plan, at.In(plan.Zone), wall)
			}
			if again := table.next(next.Add(-time.Second)); again.After(next) {
				t.Fatalf("%+v: %v, and then %v", plan, next, again)
			}
			if begins := table.open(at); begins.Before(at) || table.blackout.closed(onWall(begins, plan.Zone)) {
				t.Fatalf("%+v opens after %v at %v", plan, at, begins)
			}
			at = next
		}
	})
}

func TestSpread(t *testing.T) {
	perMinute := map[int]int{}
	for id := range int64(1000) {
		perMinute[int(spread(id+1, time.Hour)/time.Minute)]++
	}
	for minute := range 60 {
		if n := perMinute[minute]; n < 14 || n > 20 {
			t.Errorf("minute %d: %d of 1,000 instances", minute, n)
		}
	}
	if wait := spread(7, 0); wait != 0 {
		t.Errorf("without a spread it waits %v", wait)
	}
}
