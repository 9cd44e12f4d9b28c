package views

import (
	"fmt"
	"strings"

	"whalefall/models"
)

// InstanceList is the page with all instances.
type InstanceList struct {
	Listing
	Items []models.InstanceItem
	Query models.InstanceQuery
	Tags  []models.Tag // to choose from
}

// Binned reports whether the list is the recycle bin. What is in it does not grow.
func (l InstanceList) Binned() bool { return l.Query.Status == "deleted" }

// whyPaused says since when an instance is not collected any more, why, and what to do.
func whyPaused(p Page, i models.InstanceItem) string {
	lines := []string{p.T("schedule.paused_title", "N", Count(i.Planned.Failures), "Time", p.Clock(i.Planned.PausedAt))}
	if i.PausedBy != nil {
		lines = append(lines, p.T("schedule.reason", "Reason", Failed(p.Lang, i.PausedBy)))
	}
	return strings.Join(append(lines, p.T("mark.paused_hint")), "\n")
}

// syncTimes are when an instance was collected, unless it never was, and when it will be, unless it will not.
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

// InstanceForm is what a person typed about an instance, or is about to change.
type InstanceForm struct {
	ID           int64 // 0: a new one
	Name         string
	DBType       models.Engine
	Host         string
	Port         string
	DatabaseName string
	CredentialID string // empty: user and password are typed
	Username     string
	TLSMode      models.TLSMode
	Options      map[string]string
	Tags         string // names, separated by commas
	Description  string
	IsActive     bool
	Schedule     ScheduleForm

	Credentials []models.Credential // to choose from
	Problem     *Failure            // why it was refused; nil: it was not
}

// Options of an instance that the form asks for.
const (
	OptionCA     = "ca_certificate"   // PEM
	OptionSID    = "sid"              // of Oracle, instead of a service name
	OptionWallet = "wallet_directory" // of Oracle
)

// Path is the address of the form.
func (f InstanceForm) Path() string {
	if f.ID == 0 {
		return "/instances/new"
	}
	return fmt.Sprintf("/instances/%d/edit", f.ID)
}

// Action is where the form is sent.
func (f InstanceForm) Action() string {
	if f.ID == 0 {
		return "/instances"
	}
	return InstancePath(f.ID)
}

// Back is the page behind the form.
func (f InstanceForm) Back() string { return f.Action() }

// InstancePath is the address of an instance's page.
func InstancePath(id int64) string { return fmt.Sprintf("/instances/%d", id) }

var engineNames = map[models.Engine]string{
	models.MySQL: "MySQL", models.Oracle: "Oracle", models.PostgreSQL: "PostgreSQL",
	models.SQLServer: "SQL Server", models.SQLite: "SQLite",
}

// engineName is how the makers of an engine write it.
func engineName(e models.Engine) string { return engineNames[e] }

// productName is what the server called itself when it was last connected to: MariaDB is a flavour of the engine MySQL.
func productName(i models.Instance) string {
	if i.DBType == models.MySQL && strings.HasSuffix(i.DetailedVersion, "-MariaDB") {
		return "MariaDB"
	}
	return engineName(i.DBType)
}

var tlsModes = []models.TLSMode{
	models.TLSDisable, models.TLSPrefer, models.TLSRequire, models.TLSVerifyCA, models.TLSVerifyFull,
}

// tlsLabel is a mode as connection strings write it, and what it means for the engine.
func tlsLabel(p Page, e models.Engine, m models.TLSMode) string {
	return string(m) + " · " + p.In(e, "tls."+string(m))
}

// address is host and port of an instance, or the file of a SQLite one.
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

// tagsPerRow is how many tags of an instance its row shows by name.
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
