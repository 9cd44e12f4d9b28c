package views

import (
	"fmt"
	"strings"

	"whalefall/models"
)

// InstanceList is the model of the page with all instances.
type InstanceList struct {
	Listing
	Items []models.InstanceItem
	Query models.InstanceQuery
	Tags  []models.Tag // choices of the filter
}

// Binned reports whether the list shows the recycle bin, whose instances do not grow.
func (l InstanceList) Binned() bool { return l.Query.Status == "deleted" }

// whyPaused returns since when the schedule of an instance is paused, why, and what to do.
func whyPaused(p Page, i models.InstanceItem) string {
	lines := []string{p.T("schedule.paused_title", "N", Count(i.Planned.Failures), "Time", p.Clock(i.Planned.PausedAt))}
	if i.PausedBy != nil {
		lines = append(lines, p.T("schedule.reason", "Reason", Failed(p.Lang, i.PausedBy)))
	}
	return strings.Join(append(lines, p.T("mark.paused_hint")), "\n")
}

// syncTimes returns when an instance was last collected and when it will be next, as far as either is known.
func syncTimes(p Page, i models.InstanceItem) []string {
	var times []string
	if i.LastSyncTime != nil {
		times = append(times, p.FullClock(*i.LastSyncTime), p.Age(*i.LastSyncTime))
	}
	if next := i.Planned.NextAt; next != nil {
		times = append(times, p.T("mark.next", "Time", p.Clock(next)))
	}
	return times
}

// InstanceForm holds the input for a new instance or a change of one.
type InstanceForm struct {
	ID           int64 // 0: a new instance
	Name         string
	DBType       models.Engine
	Host         string
	Port         string
	DatabaseName string
	CredentialID string // empty: user name and password are entered
	Username     string
	TLSMode      models.TLSMode // empty: what is proposed for the host of a new instance
	Options      map[string]string
	Tags         string // names, comma-separated
	Description  string
	IsActive     bool
	Schedule     ScheduleForm

	Credentials []models.Credential // choices
	Problem     *Failure            // why the input was refused; nil: it was not
}

// Path returns the address of the form.
func (f InstanceForm) Path() string {
	if f.ID == 0 {
		return "/instances/new"
	}
	return fmt.Sprintf("/instances/%d/edit", f.ID)
}

// Action returns the address that the form is sent to.
func (f InstanceForm) Action() string {
	if f.ID == 0 {
		return "/instances"
	}
	return InstancePath(f.ID)
}

// Back returns the address of the page behind the form.
func (f InstanceForm) Back() string { return f.Action() }

// InstancePath returns the address of an instance's page.
func InstancePath(id int64) string { return fmt.Sprintf("/instances/%d", id) }

var engineNames = map[models.Engine]string{
	models.MySQL: "MySQL", models.Oracle: "Oracle", models.PostgreSQL: "PostgreSQL",
	models.SQLServer: "SQL Server", models.SQLite: "SQLite",
}

// engineName returns the name of an engine as its vendor spells it.
func engineName(e models.Engine) string { return engineNames[e] }

// productName returns the name that the server reported when last connected: MariaDB is a flavor of the engine MySQL.
func productName(i models.Instance) string {
	if i.DBType == models.MySQL && strings.HasSuffix(i.DetailedVersion, "-MariaDB") {
		return "MariaDB"
	}
	return engineName(i.DBType)
}

var tlsModes = []models.TLSMode{
	models.TLSDisable, models.TLSPrefer, models.TLSRequire, models.TLSVerifyCA, models.TLSVerifyFull,
}

// tlsLabel returns a TLS mode as connection strings spell it, with what it means for the engine.
func tlsLabel(p Page, e models.Engine, m models.TLSMode) string {
	return string(m) + " · " + p.In(e, "tls."+string(m))
}

// mayBePlain reports whether the line to an instance may leave this computer unencrypted, which SQL Server's collector
// refuses unless it was chosen.
func mayBePlain(i models.Instance) bool {
	if i.Host == nil || models.IsLoopback(*i.Host) {
		return false
	}
	return i.TLSMode == models.TLSDisable || i.TLSMode == models.TLSPrefer && i.DBType != models.SQLServer
}

// address returns the host and port of an instance, or the file of a SQLite instance.
func address(i models.Instance) string {
	switch {
	case i.Host == nil:
		return i.DatabaseName
	case i.Port == nil:
		return *i.Host
	}
	return fmt.Sprintf("%s:%d", *i.Host, *i.Port)
}

func tagLabel(t models.Tag) string {
	if t.DisplayName != "" {
		return t.DisplayName
	}
	return t.Name
}

// tagsPerRow is how many tags a row of the instance list shows by name.
const tagsPerRow = 3

func tagLabels(all []models.Tag) string {
	labels := make([]string, len(all))
	for i, t := range all {
		labels[i] = tagLabel(t)
	}
	return strings.Join(labels, ", ")
}

// BinPath is the address of the recycle bin.
const BinPath = "/instances?status=deleted"
