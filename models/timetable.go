package models

import (
	"math/bits"
	"strconv"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

// Bounds of a plan.
const (
	minCronGap    = 5   // minutes between two times of a cron expression
	maxCron       = 100 // bytes
	maxBlackout   = 200 // bytes
	maxJitter     = 24 * time.Hour
	minutesOfDay  = 24 * 60
	shiftOfClocks = 3 * time.Hour // more than any clock is set forward or back
)

// Plan is a recurring time.
type Plan struct {
	Cron     string // minute, hour, day of month, month, day of week
	Zone     *time.Location
	Jitter   time.Duration // most delay of an instance, which is always the same
	Blackout string        // times of day at which nothing starts, as "09:00-12:00,22:00-02:00"; empty: none
}

// timetable is the plan of one instance.
type timetable struct {
	times    cron.Schedule
	zone     *time.Location
	delay    time.Duration
	blackout blackout
}

// timetable returns the timetable of the instance with the id. An invalid plan is CodeInvalid.
func (p Plan) timetable(id int64) (timetable, error) {
	times, err := parseCron(p.Cron)
	if err != nil {
		return timetable{}, err
	}
	closed, err := parseBlackout(p.Blackout)
	return timetable{times: times, zone: p.Zone, delay: spread(id, p.Jitter), blackout: closed}, err
}

// spread returns an instance's part of the whole, in seconds from 0. Consecutive ids are spread evenly, by the golden
// ratio.
func spread(id int64, whole time.Duration) time.Duration {
	const golden = 0x9E3779B97F4A7C15 // 2^64 / φ
	part, _ := bits.Mul64(uint64(id)*golden, uint64(whole/time.Second))
	return time.Duration(part) * time.Second
}

// leapYear begins a year with a February 29.
var leapYear = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)

var cronFields = cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow)

// parseCron parses five cron fields. It rejects the extensions of the library, expressions that never match, and those
// that match too often.
func parseCron(expression string) (cron.Schedule, error) {
	if len(expression) > maxCron || strings.Contains(expression, "=") {
		return nil, Invalid("schedule.cron_invalid")
	}
	times, err := cronFields.Parse(expression)
	if err != nil {
		return nil, &Error{Code: CodeInvalid, Key: "schedule.cron_invalid", Err: err}
	}
	if times.Next(leapYear).IsZero() {
		return nil, Invalid("schedule.cron_never")
	}
	if fields, is := times.(*cron.SpecSchedule); is && closest(fields) < minCronGap {
		return nil, Invalid("schedule.cron_often", "Minutes", minCronGap)
	}
	return times, nil
}

// closest returns the shortest gap between two times of day, across midnight too, in minutes.
func closest(fields *cron.SpecSchedule) int {
	first, last, gap := -1, 0, minutesOfDay
	for minute := range minutesOfDay {
		if fields.Hour&(1<<(minute/60)) == 0 || fields.Minute&(1<<(minute%60)) == 0 {
			continue
		}
		if first < 0 {
			first = minute
		} else {
			gap = min(gap, minute-last)
		}
		last = minute
	}
	return min(gap, first+minutesOfDay-last)
}

// next returns the first time after a moment; zero if there is none within years. The times are those of a wall clock,
// so daylight saving skips no day and repeats none.
func (t timetable) next(after time.Time) time.Time {
	wall := onWall(after.Add(-2*t.delay-shiftOfClocks-t.blackout.longest()), t.zone)
	for {
		if wall = t.times.Next(wall); wall.IsZero() {
			return wall
		}
		if at := t.open(offWall(wall.Add(t.delay), t.zone)); at.After(after) {
			return at
		}
	}
}

// open returns the time itself or, in a blackout, its end plus the instance's delay, so that not all instances start at
// once.
func (t timetable) open(at time.Time) time.Time {
	wall := onWall(at, t.zone)
	for t.blackout.closed(wall) {
		wait := t.blackout.wait(wall, t.delay)
		end := offWall(wall.Add(wait), t.zone)
		if end.Before(at) { // in an hour that daylight saving repeats
			end = at.Add(wait)
		}
		at, wall = end, onWall(end, t.zone)
	}
	return at
}

// onWall returns what a wall clock in the zone shows, as a time in UTC.
func onWall(t time.Time, zone *time.Location) time.Time {
	t = t.In(zone)
	return time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), 0, time.UTC)
}

// offWall returns when a wall clock in the zone shows that. A time that daylight saving skips is moved forward by the
// gap.
func offWall(wall time.Time, zone *time.Location) time.Time {
	at := time.Date(wall.Year(), wall.Month(), wall.Day(), wall.Hour(), wall.Minute(), wall.Second(), 0, zone)
	return at.Add(max(0, wall.Sub(onWall(at, zone)))).UTC()
}

// blackout tells of each minute of a day whether nothing starts then; empty: there is none.
type blackout []bool

func (b blackout) at(minute int) bool { return len(b) > 0 && b[minute%minutesOfDay] }

func (b blackout) closed(wall time.Time) bool { return b.at(minuteOf(wall)) }

// wait returns how long the blackout lasts from wall on, plus the part of the delay that fits in before the next one.
func (b blackout) wait(wall time.Time, delay time.Duration) time.Duration {
	from := minuteOf(wall)
	until := from
	for b.at(until) {
		until++
	}
	free := 0
	for free < minutesOfDay && !b.at(until+free) {
		free++
	}
	left := time.Duration(until-from)*time.Minute - time.Duration(wall.Second())*time.Second
	return left + delay%(time.Duration(free)*time.Minute)
}

func minuteOf(wall time.Time) int { return wall.Hour()*60 + wall.Minute() }

// longest returns an upper bound of how long a blackout lasts.
func (b blackout) longest() time.Duration {
	if len(b) == 0 {
		return 0
	}
	return minutesOfDay * time.Minute
}

func parseBlackout(text string) (blackout, error) {
	if strings.TrimSpace(text) == "" {
		return blackout{}, nil
	}
	if len(text) > maxBlackout {
		return nil, Invalid("schedule.blackout_invalid")
	}
	closed, open := make(blackout, minutesOfDay), minutesOfDay
	for window := range strings.SplitSeq(text, ",") {
		from, to, isWindow := strings.Cut(window, "-")
		begin, ok := minuteOfDay(from)
		end, ok2 := minuteOfDay(to)
		if !isWindow || !ok || !ok2 || begin == end {
			return nil, Invalid("schedule.blackout_invalid")
		}
		if end < begin {
			end += minutesOfDay
		}
		for m := begin; m < end; m++ {
			if !closed[m%minutesOfDay] {
				closed[m%minutesOfDay], open = true, open-1
			}
		}
	}
	if open < minCronGap {
		return nil, Invalid("schedule.blackout_always")
	}
	return closed, nil
}

// minuteOfDay parses "09:30", and "24:00" as the end of a day.
func minuteOfDay(text string) (int, bool) {
	hour, minute, ok := strings.Cut(strings.TrimSpace(text), ":")
	h, err := strconv.ParseUint(hour, 10, 8)
	m, err2 := strconv.ParseUint(minute, 10, 8)
	at := int(h)*60 + int(m)
	return at, ok && err == nil && err2 == nil && len(hour) <= 2 && len(minute) == 2 && m < 60 && at <= minutesOfDay
}
