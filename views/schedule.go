package views

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"whalefall/models"
)

// ScheduleForm holds the input for the schedule of an instance. Empty texts stand for the default.
type ScheduleForm struct {
	Enabled                      bool
	Cron, Zone, Jitter, Blackout string

	InstanceID int64 // 0: a new instance
	Default    models.Plan
	Words      PlanInWords
}

// PlanInWords is a plan with its consequences.
type PlanInWords struct {
	Plan    models.Plan
	Next    time.Time // next collection; zero: none within years
	Problem string    // why the plan is invalid; empty: it is valid
}

// InstanceSchedule is a schedule as shown on the page of its instance.
type InstanceSchedule struct {
	models.Schedule
	Words  PlanInWords
	Reason *Failure // why the newest scheduled collection failed; nil: it did not, or the reason is unknown
}

// cronForms maps common cron expressions to messages; their groups are the placeholders. M is the minute, H the hour.
var cronForms = []struct {
	pattern *regexp.Regexp
	key     string
}{
	{regexp.MustCompile(`^(?P<M>\d+) (?P<H>\d+) \* \* \*$`), "schedule.daily"},
	{regexp.MustCompile(`^(?P<M>\d+) (?P<H>\d+) \* \* (?P<Day>[0-6])$`), "schedule.weekly"},
	{regexp.MustCompile(`^(?P<M>\d+) (?P<H>\d+) \* \* (?P<Day>[0-6])-(?P<Last>[0-6])$`), "schedule.weekdays"},
	{regexp.MustCompile(`^(?P<M>\d+) (?P<H>\d+) (?P<N>\d+) \* \*$`), "schedule.monthly"},
	{regexp.MustCompile(`^(?P<M>\d+) \*(?:/1)? \* \* \*$`), "schedule.hourly"},
	{regexp.MustCompile(`^(?P<M>\d+) \*/(?P<N>\d+) \* \* \*$`), "schedule.every_hours"},
	{regexp.MustCompile(`^\*/(?P<N>[2-9]|[1-9]\d+) \* \* \* \*$`), "schedule.every_minutes"},
}

// cronWords returns the meaning of a cron expression in words, or the expression itself if it is not a common one.
func cronWords(p Page, expression string) string {
	expression = strings.Join(strings.Fields(expression), " ")
	for _, form := range cronForms {
		found := form.pattern.FindStringSubmatch(expression)
		if found == nil {
			continue
		}
		args := []any{}
		for i, name := range form.pattern.SubexpNames() {
			switch name {
			case "":
			case "Day", "Last":
				args = append(args, name, p.T("weekday."+found[i]))
			default:
				n, _ := strconv.Atoi(found[i]) // digits
				args = append(args, name, n)
			}
		}
		if hour := form.pattern.SubexpIndex("H"); hour > 0 {
			minute := form.pattern.SubexpIndex("M")
			args = append(args, "Time", fmt.Sprintf("%02s:%02s", found[hour], found[minute]))
		}
		return p.T(form.key, args...)
	}
	return expression
}

// words returns the plan in words, with its zone.
func (w PlanInWords) words(p Page) string {
	return cronWords(p, w.Plan.Cron) + " (" + w.Plan.Zone.String() + ")"
}

// spread returns in words over how many minutes the instances with this plan are spread; empty: they are not.
func (w PlanInWords) spread(p Page) string {
	if w.Plan.Jitter == 0 {
		return ""
	}
	return p.T("schedule.spread", "Minutes", int64(w.Plan.Jitter.Minutes()))
}

// whyNoNext returns why there is no next collection.
func (s InstanceSchedule) whyNoNext(p Page, i models.Instance) string {
	switch {
	case !i.IsActive:
		return p.T("schedule.instance_off")
	case !s.Enabled:
		return p.T("schedule.off")
	case s.PausedAt != nil:
		return p.T("schedule.paused")
	}
	return p.T("schedule.no_next")
}

// EchoPath is the address that returns the meaning of a schedule in words while it is typed.
const EchoPath = "/schedules/echo"
