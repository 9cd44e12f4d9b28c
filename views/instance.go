package views

import (
	"fmt"
	"net/url"

	"whalefall/models"
)

// InstanceDetail is the page of one instance with its databases.
type InstanceDetail struct {
	Listing
	Instance models.Instance
	Schedule InstanceSchedule // without an InstanceID: not shown
	Bar      RunBar
	Cards    models.CapacityCards
	Sizes    models.DatabaseSizePage
	Name     string // filter by name
	ShowGone bool
}

// whyFailed is why the newest run could not measure or enter a database; empty: it could.
func whyFailed(p Page, d models.DatabaseSizeRow) string {
	if d.Failed == nil {
		return ""
	}
	return Failed(p.Lang, d.Failed)
}

// partial reports whether the account may have seen only some of the server's databases.
func (m InstanceDetail) partial() bool {
	return m.Instance.DatabasesComplete != nil && !*m.Instance.DatabasesComplete
}

func (m InstanceDetail) noticeID() string {
	if m.partial() {
		return "databases-incomplete"
	}
	return "databases-barred"
}

// TablesPath is the address of a database's table sizes. The names "." and ".." cannot be in an address
// and go by the database's id.
func TablesPath(instanceID, databaseID int64, name string) string {
	if name == "." || name == ".." {
		return fmt.Sprintf("/databases/%d/tables", databaseID)
	}
	return fmt.Sprintf("/instances/%d/databases/%s/tables", instanceID, url.PathEscape(name))
}

// card is one figure above the database list.
type card struct {
	id      string
	label   string
	value   string
	exact   string // bytes; empty: no bytes
	note    string // why there is no value, or what goes with it
	formula string
	alarm   bool
}

// cards are the figures in the order of the cloud consoles. Each unknown one says why.
func (m InstanceDetail) cards(p Page) []card {
	c := m.Cards
	return []card{
		m.usedCard(p), m.growthCard(p), m.daysLeftCard(p),
		m.countCard(p, "abnormal", c.Abnormal, c.Abnormal > 0), m.countCard(p, "active", c.Active, false), m.countCard(p, "gone", c.Gone, false),
	}
}

// listed reports whether the server was ever asked for its databases, or one was found otherwise.
func (m InstanceDetail) listed() bool {
	return m.Instance.DatabasesComplete != nil || m.Cards.Active+m.Cards.Gone > 0
}

func (m InstanceDetail) countCard(p Page, id string, n int64, alarm bool) card {
	engine := m.Instance.DBType
	c := card{id: id, label: p.In(engine, "card."+id), value: Count(n), formula: p.In(engine, "card."+id+"_formula"), alarm: alarm}
	if !m.listed() {
		c.value, c.note = unknown, p.T("card.never_synced")
	}
	return c
}

func (m InstanceDetail) usedCard(p Page) card {
	c := card{
		id: "used", label: p.T("card.used"), formula: p.In(m.Instance.DBType, "card.used_formula"), exact: Exact(m.Cards.UsedBytes),
		value: Bytes(m.Cards.UsedBytes) + " / " + Bytes(m.Cards.CapacityBytes),
	}
	switch {
	case m.Cards.UsedBytes == nil:
		c.value, c.note = unknown, p.T("card.no_total")
	case m.Cards.CapacityBytes == nil:
		c.note = p.T("card.no_capacity")
	}
	return c
}

func (m InstanceDetail) growthCard(p Page) card {
	c := card{
		id: "growth", label: p.T("card.growth"), value: Gain(m.Cards.DailyGrowth), exact: Exact(m.Cards.DailyGrowth),
		formula: p.T("card.growth_formula"),
	}
	if m.Cards.DailyGrowth == nil {
		c.note = p.T("card.no_growth", "Days", m.Cards.MeasuredDays)
	}
	return c
}

func (m InstanceDetail) daysLeftCard(p Page) card {
	c := card{id: "days-left", label: p.T("card.days_left"), value: unknown, formula: p.T("card.days_left_formula")}
	switch {
	case m.Cards.DaysLeft != nil:
		c.value = p.T("card.days", "N", Count(*m.Cards.DaysLeft))
		c.alarm = *m.Cards.DaysLeft < 30
	case m.Cards.UsedBytes == nil:
		c.note = p.T("card.never_synced")
	case m.Cards.CapacityBytes == nil:
		c.note = p.T("card.no_capacity")
	case m.Cards.DailyGrowth == nil:
		c.note = p.T("card.no_growth", "Days", m.Cards.MeasuredDays)
	default:
		c.note = p.T("card.not_growing")
	}
	return c
}
