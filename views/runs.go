package views

import (
	"net/url"
	"strconv"
	"strings"
	"time"

	"whalefall/models"
)

// RunState is one run as a person sees it.
type RunState struct {
	models.Run
	Engine    models.Engine
	Remaining *time.Duration // nil: not enough is known
	Failure   *Failure       // nil: it did not fail
}

// RunBar is how a collection goes, of an instance's databases or of a database's tables; without a run, what starts one.
type RunBar struct {
	Kind models.RunKind
	Path string    // of what is collected
	Run  *RunState // that is open, or else the last that ended; nil: neither
}

// barParts name the parts of a RunBar and say what stands on it. Both kinds can be on one page.
type barParts struct {
	bar, button, cancel, figures, said, reason string // ids of elements

	action                             string // where a run is asked for, below the bar's path
	start, again, busy, refused, begun string // keys of texts
	last                               string // begins the keys of how the last run ended
}

var barsOf = map[models.RunKind]barParts{
	models.RunTables: {
		bar: "tables-run", button: "tables-refresh", cancel: "run-cancel", figures: "run-figures", said: "run-said", reason: "refresh-reason",
		action: "/refresh", start: "tables.refresh", again: "runs.again", busy: "tables.refreshing", refused: "permission.refresh",
		begun: "runs.said_started", last: "runs.last.",
	},
	models.RunDatabases: {
		bar: "sync-run", button: "sync-capacity", cancel: "sync-cancel", figures: "sync-figures", said: "sync-said", reason: "sync-reason",
		action: "/sync", start: "capacity.sync", again: "capacity.sync", busy: "capacity.syncing", refused: "permission.sync",
		begun: "sync.said_started", last: "sync.last.",
	},
}

func (m RunBar) parts() barParts { return barsOf[m.Kind] }

func (r RunState) parts() barParts { return barsOf[r.Kind] }

// BarID is the id of the element that holds the run's RunBar.
func (r RunState) BarID() string { return r.parts().bar }

// open reports whether a run goes on.
func (m RunBar) open() bool { return m.Run != nil && !m.Run.Ended() }

// futile reports whether the last run ended without a result.
func (m RunBar) futile() bool {
	return m.Run != nil && m.Run.Ended() && m.Run.Status != models.RunSucceeded
}

// RunList is what was collected from one instance, and how.
type RunList struct {
	Listing
	Instance models.Instance
	Schedule InstanceSchedule
	Bar      RunBar // of the instance's databases
	Runs     []RunState
	Query    models.RunQuery
}

// open reports whether one of the runs shown goes on.
func (m RunList) open() bool {
	for _, r := range m.Runs {
		if !r.Ended() {
			return true
		}
	}
	return false
}

// RunsPath is the address of an instance's runs.
func RunsPath(instanceID int64) string { return InstancePath(instanceID) + "/runs" }

// RunsOfPath is the address of the runs of an instance's databases whose name holds the one given.
func RunsOfPath(instanceID int64, database string) string {
	return RunsPath(instanceID) + "?" + url.Values{"database": {database}}.Encode()
}

// RunPath is the address of a run.
func RunPath(id int64) string { return "/refreshes/" + strconv.FormatInt(id, 10) }

// progressPath asks how far the run is; what of it has been said aloud goes with it.
func (r RunState) progressPath() string { return RunPath(r.ID) + "/progress?said=" + r.Stage() }

// Stage is the phase of an open run, or that it is queued.
func (r RunState) Stage() string {
	if r.Status == models.RunQueued || r.Phase == "" {
		return string(models.RunQueued)
	}
	return string(r.Phase)
}

// again is where the same is asked for once more.
func (r RunState) again() string { return r.resultPath() + r.parts().action }

// resultPath is the address of what the run collected.
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

// mayCancel reports whether the person looking may end the run.
func (r RunState) mayCancel(p Page) bool { return p.Can(models.PermSync) && r.MayBeCancelledBy(p.User) }

// counted is how many tables were seen, while it goes on of how many where that is known; empty: none so far.
func (r RunState) counted() string {
	switch {
	case r.TablesSeen == nil:
		return ""
	case r.Ended() || r.TablesTotal == nil || *r.TablesTotal < *r.TablesSeen:
		return Count(*r.TablesSeen)
	}
	return Count(*r.TablesSeen) + " / " + Count(*r.TablesTotal)
}

// part is how much of the tables has been seen, from 0 to 100; empty: unknown.
func (r RunState) part() string {
	if r.TablesSeen == nil || r.TablesTotal == nil || *r.TablesTotal == 0 {
		return ""
	}
	return strconv.FormatFloat(Share(r.TablesSeen, *r.TablesTotal), 'f', 0, 64)
}

// remains is the remaining time in words, and why it is not known.
func (r RunState) remains(p Page) (text, reason string) {
	switch {
	case r.Remaining != nil:
		return p.Span(*r.Remaining + time.Second - 1), "" // rounded up: it is never about to be over
	case r.Status == models.RunQueued:
		return unknown, p.T("runs.remaining_queued")
	}
	return unknown, p.T("runs.remaining_unknown")
}

// Span is a duration in whole seconds, from a minute on with minutes, from an hour on without seconds.
func (p Page) Span(d time.Duration) string {
	switch d = d.Truncate(time.Second); {
	case d < time.Minute:
		return p.T("span.seconds", "S", int64(d/time.Second))
	case d < time.Hour:
		return p.T("span.minutes", "M", int64(d/time.Minute), "S", int64(d%time.Minute/time.Second))
	}
	return p.T("span.hours", "H", int64(d/time.Hour), "M", int64(d%time.Hour/time.Minute))
}

// took is a duration of a run that has ended: whole ms below a second.
func (p Page) took(d time.Duration) string {
	if d < time.Second {
		return strconv.FormatInt(d.Milliseconds(), 10) + " ms"
	}
	if d < 10*time.Second {
		return p.T("span.tenths", "S", strconv.FormatFloat(d.Seconds(), 'f', 1, 64))
	}
	return p.Span(d)
}

// phase is a phase's time; nil is "—".
func phase(ms *int64) string {
	if ms == nil {
		return unknown
	}
	return Count(*ms)
}

func (r RunState) phases() string {
	return phase(r.ConnectingMS) + " / " + phase(r.QueryingMS) + " / " + phase(r.StoringMS)
}

// written is how many rows were saved, changed and pruned. Of databases only the first is known.
func (r RunState) written() string {
	if r.Kind == models.RunDatabases {
		return Count(r.Receipt.Saved)
	}
	return Count(r.Receipt.Saved) + " / " + Count(r.Receipt.Changed) + " / " + Count(r.Receipt.Pruned)
}

// skipped is how many relations could not be measured, and why, in words; no words: none.
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

// proof is why the result counts as complete, or why not; short and in a sentence.
func (r RunState) proof(p Page) (short, reason string) {
	switch {
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

// object is what the run collects.
func (r RunState) object(p Page) string {
	if r.Kind == models.RunDatabases {
		return p.In(r.Engine, "runs.all_databases")
	}
	return visible(r.DatabaseName)
}

// unsettled reports whether there is more to say of a row than its figures: it goes on, or it has none.
func (r RunState) unsettled() bool { return r.Status != models.RunSucceeded }

// outcome is why a run that has ended has no result.
func (r RunState) outcome(p Page) string {
	if r.Failure != nil {
		return r.Failure.Message
	}
	return p.T("run.status." + string(r.Status) + "_hint")
}

// detailPath reads a run's receipt again; once the run has ended, all around it, too.
func (r RunState) detailPath() string {
	return RunPath(r.ID) + "?while=" + string(r.Status)
}

// detailTrigger is when a receipt reads itself again: often while the run goes on, and when it is cancelled.
func (r RunState) detailTrigger() string {
	if r.Ended() {
		return "run-changed from:body"
	}
	return pollOften + ", run-changed from:body"
}

// clockOr is a time, or in words that there is none.
func (p Page) clockOr(t *time.Time, missing string) string {
	if t == nil {
		return p.T(missing)
	}
	return p.FullClock(*t)
}

// withUnit is a number of milliseconds with its unit; an unknown one has none.
func withUnit(ms string) string {
	if ms == unknown {
		return ms
	}
	return ms + " ms"
}

// joined lists reasons in one line.
func joined(reasons []string) string { return strings.Join(reasons, " · ") }
