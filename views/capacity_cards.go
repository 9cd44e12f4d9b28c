package views

// card is a figure above the database list. Its formula is computed in models/cards.go and explained in a tooltip.
type card struct {
	id      string
	label   string
	value   string
	exact   string // bytes in full; empty: the value is not in bytes
	note    string // why there is no value, or a remark on it
	formula string // tooltip
	alarm   bool
}

// alarmDays is how many days before an instance is full its card is marked.
const alarmDays = 30

// cards returns the figures in the order that DBAs know from cloud consoles. An unknown one has a note that says why.
func (m InstanceDetail) cards(p Page) []card {
	c := m.Cards
	return []card{
		m.usedCard(p), m.growthCard(p), m.daysLeftCard(p),
		m.countCard(p, "abnormal", c.Abnormal, c.Abnormal > 0),
		m.countCard(p, "active", c.Active, false),
		m.countCard(p, "gone", c.Gone, false),
	}
}

// listed reports whether the databases of the instance have been listed, or one was found otherwise.
func (m InstanceDetail) listed() bool {
	return m.Instance.DatabasesComplete != nil || m.Cards.Active+m.Cards.Gone > 0
}

func (m InstanceDetail) countCard(p Page, id string, n int64, alarm bool) card {
	engine := m.Instance.DBType
	c := card{
		id: id, label: p.In(engine, "card."+id), value: Count(n),
		formula: p.In(engine, "card."+id+"_formula"), alarm: alarm,
	}
	if !m.listed() {
		c.value, c.note = unknown, p.T("card.never_synced")
	}
	return c
}

func (m InstanceDetail) usedCard(p Page) card {
	c := card{
		id: "used", label: p.T("card.used"), formula: p.In(m.Instance.DBType, "card.used_formula"),
		value: Bytes(m.Cards.UsedBytes) + " / " + Bytes(m.Cards.CapacityBytes), exact: Exact(m.Cards.UsedBytes),
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
		c.alarm = *m.Cards.DaysLeft < alarmDays
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
