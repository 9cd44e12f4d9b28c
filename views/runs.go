package views

import (
	"net/url"
	"strconv"
	"strings"
	"time"

	"whalefall/models"
)

// RunState is a run as shown on the pages.
type RunState struct {
	models.Run
	Engine    models.Engine
	Remaining *time.Duration // nil: unknown
	Failure   *Failure       // nil: it did not fail
}

// RunBar is the model of the button that starts a collection, of an instance's databases or a database's tables, and
// of the progress of that run.
type RunBar struct {
	Kind models.RunKind
	Path string    // address of the page that shows the result
	Run  *RunState // the open run, else the last one that ended; nil: neither
}

// barParts holds the element IDs and message keys of a kind of RunBar. Both kinds can be on one page.
type barParts struct {
	bar, button, cancel, figures, announcement, reason string // IDs of elements

	action                               string // address that requests a run, below the bar's path
	start, again, busy, refused, started string // keys of messages
	last                                 string // prefix of the keys of how the last run ended
}

var barsOf = map[models.RunKind]barParts{
	models.RunTables: {
		bar: "tables-run", button: "tables-refresh", cancel: "run-cancel",
		figures: "run-figures", announcement: "run-said", reason: "refresh-reason",
		action: "/refresh", start: "tables.refresh", again: "runs.again", busy: "tables.refreshing",
		refused: "permission.refresh", started: "runs.said_started", last: "runs.last.",
	},
	models.RunDatabases: {
		bar: "sync-run", button: "sync-capacity", cancel: "sync-cancel",
		figures: "sync-figures", announcement: "sync-said", reason: "sync-reason",
		action: "/sync", start: "capacity.sync", again: "capacity.sync", busy: "capacity.syncing",
		refused: "permission.sync", started: "sync.said_started", last: "sync.last.",
	},
}

func (m RunBar) parts() barParts { return barsOf[m.Kind] }

func (r RunState) parts() barParts { return barsOf[r.Kind] }

// BarID returns the ID of the element that contains the run's RunBar.
func (r RunState) BarID() string { return r.parts().bar }

// open reports whether the run is queued or running.
func (m RunBar) open() bool { return m.Run != nil && !m.Run.Ended() }

// unsuccessful reports whether the last run ended without a result.
func (m RunBar) unsuccessful() bool {
	return m.Run != nil && m.Run.Ended() && m.Run.Status != models.RunSucceeded
}

// RunList is the model of the collection log of one instance.
type RunList struct {
	Listing
	Instance models.Instance
	Schedule InstanceSchedule
	Bar      RunBar // collects the instance's databases
	Runs     []RunState
	Query    models.RunQuery
}

// open reports whether one of the runs shown is queued or running.
func (m RunList) open() bool {
	for _, r := range m.Runs {
		if !r.Ended() {
			return true
		}
	}
	return false
}

// RunsPath returns the address of an instance's collection log.
func RunsPath(instanceID int64) string { return InstancePath(instanceID) + "/runs" }

// RunsOfPath returns the address of the collection log, filtered to databases whose name contains the one given.
func RunsOfPath(instanceID int64, database string) string {
	return RunsPath(instanceID) + "?" + url.Values{"database": {database}}.Encode()
}

// RunPath returns the address of a run.
func RunPath(id int64) string { return "/refreshes/" + strconv.FormatInt(id, 10) }

// progressPath returns the address of the run's progress, with the stage that has been announced.
func (r RunState) progressPath() string { return RunPath(r.ID) + "/progress?said=" + r.Stage() }

// Stage returns the phase of an open run, "queued" before the first.
func (r RunState) Stage() string {
	if r.Status == models.RunQueued || r.Phase == "" {
		return string(models.RunQueued)
	}
	return string(r.Phase)
}

// again returns the address that requests the same run once more.
func (r RunState) again() string { return r.resultPath() + r.parts().action }

// resultPath returns the address of the page that shows what the run collected.
func (r RunState) resultPath() string {
	if r.Kind == models.RunDatabases {
		return InstancePath(r.InstanceID)
	}
	var database int64
	if r.DatabaseID != nil {
		database = *r.DatabaseID
	}
	return TablesPath(r.InstanceID, database, r.DatabaseName)
}

// mayCancel reports whether the user may cancel the run.
func (r RunState) mayCancel(p Page) bool { return p.Can(models.PermSync) && r.MayBeCancelledBy(p.User) }

// counted returns how many tables the run has seen: "12 / 100" while it is open and the total is known. It is empty
// before the first count.
func (r RunState) counted() string {
	switch {
	case r.TablesSeen == nil:
		return ""
	case r.Ended() || r.TablesTotal == nil || *r.TablesTotal < *r.TablesSeen:
		return Count(*r.TablesSeen)
	}
	return Count(*r.TablesSeen) + " / " + Count(*r.TablesTotal)
}

// part returns the percentage of tables seen, from 0 to 100; empty: unknown.
func (r RunState) part() string {
	if r.TablesSeen == nil || r.TablesTotal == nil || *r.TablesTotal == 0 {
		return ""
	}
	return strconv.FormatFloat(Share(r.TablesSeen, *r.TablesTotal), 'f', 0, 64)
}

// remains returns the remaining time in words, or why it is unknown.
func (r RunState) remains(p Page) (text, reason string) {
	switch {
	case r.Remaining != nil:
		return p.Span(*r.Remaining + time.Second - 1), "" // rounded up, so that it never reads 0
	case r.Status == models.RunQueued:
		return unknown, p.T("runs.remaining_queued")
	}
	return unknown, p.T("runs.remaining_unknown")
}

// Span formats a duration in whole seconds: with minutes from one minute, without seconds from one hour.
func (p Page) Span(d time.Duration) string {
	switch d = d.Truncate(time.Second); {
	case d < time.Minute:
		return p.T("span.seconds", "S", int64(d/time.Second))
	case d < time.Hour:
		return p.T("span.minutes", "M", int64(d/time.Minute), "S", int64(d%time.Minute/time.Second))
	}
	return p.T("span.hours", "H", int64(d/time.Hour), "M", int64(d%time.Hour/time.Minute))
}

// took formats the duration of a run that has ended, in whole milliseconds below a second.
func (p Page) took(d time.Duration) string {
	if d < time.Second {
		return strconv.FormatInt(d.Milliseconds(), 10) + " ms"
	}
	if d < 10*time.Second {
		return p.T("span.tenths", "S", strconv.FormatFloat(d.Seconds(), 'f', 1, 64))
	}
	return p.Span(d)
}

// phase formats the milliseconds of a phase. nil becomes "—".
func phase(ms *int64) string {
	if ms == nil {
		return unknown
	}
	return Count(*ms)
}

func (r RunState) phases() string {
	return phase(r.ConnectingMS) + " / " + phase(r.QueryingMS) + " / " + phase(r.StoringMS)
}

// written returns how many rows were saved, changed and pruned. A run over databases counts only those saved.
func (r RunState) written() string {
	if r.Kind == models.RunDatabases {
		return Count(r.Receipt.Saved)
	}
	return Count(r.Receipt.Saved) + " / " + Count(r.Receipt.Changed) + " / " + Count(r.Receipt.Pruned)
}

// skipped returns how many relations could not be measured, and why; no reasons: all were.
func (r RunState) skipped(p Page) (n int64, reasons []string) {
	for _, s := range []struct {
		key string
		n   int64
	}{{"runs.locked", r.Receipt.Locked}, {"runs.hidden", r.Receipt.Hidden}, {"runs.failed", r.Receipt.Failed}} {
		if n += s.n; s.n > 0 {
			reasons = append(reasons, p.T(s.key, "N", Count(s.n)))
		}
	}
	return n, reasons
}

// proof returns whether the result counts as complete, and why, as a sentence.
func (r RunState) proof(p Page) (short, reason string) {
	switch {
	case r.Receipt.Proof.Contradicts():
		return p.T("runs.incomplete"), p.T("proof." + string(r.Receipt.Proof))
	case r.Kind == models.RunDatabases && r.Receipt.Complete:
		return p.T("runs.complete"), p.In(r.Engine, "runs.all_listed")
	case r.Kind == models.RunDatabases:
		return p.T("runs.incomplete"), p.In(r.Engine, "databases.incomplete")
	case !r.Receipt.Complete && r.Receipt.Grant != "":
		return p.T("runs.incomplete"), p.T("runs.incomplete_grant")
	case !r.Receipt.Complete:
		return p.T("runs.incomplete"), p.T("runs.incomplete_hint")
	case r.Receipt.Proof == "":
		return p.T("runs.complete"), p.T("runs.complete_hint")
	}
	return p.T("runs.complete"), p.T("proof." + string(r.Receipt.Proof))
}

// object returns the name of what the run collects.
func (r RunState) object(p Page) string {
	if r.Kind == models.RunDatabases {
		return p.In(r.Engine, "runs.all_databases")
	}
	return visible(r.DatabaseName)
}

// unsettled reports whether the run has no receipt to show: it is open, or it ended without a result.
func (r RunState) unsettled() bool { return r.Status != models.RunSucceeded }

// outcome returns why a run that has ended has no result.
func (r RunState) outcome(p Page) string {
	if r.Failure != nil {
		return r.Failure.Message
	}
	return p.T("run.status." + string(r.Status) + "_hint")
}

// detailPath returns the address that reloads a run's receipt, and everything around it once the run has ended.
func (r RunState) detailPath() string {
	return RunPath(r.ID) + "?while=" + string(r.Status)
}

// detailTrigger returns when a receipt reloads itself: by polling while the run is open, and when a run changes.
func (r RunState) detailTrigger() string {
	if r.Ended() {
		return "run-changed from:body"
	}
	return pollOften + ", run-changed from:body"
}

// clockOr formats t like FullClock; nil becomes the message with the key missing.
func (p Page) clockOr(t *time.Time, missing string) string {
	if t == nil {
		return p.T(missing)
	}
	return p.FullClock(*t)
}

// withUnit appends the unit to a number of milliseconds, unless it is unknown.
func withUnit(ms string) string {
	if ms == unknown {
		return ms
	}
	return ms + " ms"
}

// joined returns the reasons in one line.
func joined(reasons []string) string { return strings.Join(reasons, " · ") }
