package views

import (
	"fmt"
	"net/url"

	"whalefall/models"
)

// TableSizes is the model of one database's stored table sizes, in the modal or on a page of its own.
type TableSizes struct {
	Listing
	Instance models.Instance
	Name     string // of the database, which the inventory need not know
	Sizes    models.TablePage
	Query    models.TableQuery
	Can      models.Capabilities // of the instance's collector
	Bar      RunBar
}

// header returns the header of the snapshot.
func (m TableSizes) header() models.InstanceDatabase { return m.Sizes.Database }

// Incomplete reports whether the newest run could not see or measure everything.
func (m TableSizes) Incomplete() bool {
	d := m.header()
	return d.CollectedAt != nil && (!d.Complete || d.KeptCount > 0 || d.HiddenCount > 0)
}

// exportURL returns the API's address of all rows of the current filter, in the current order, as CSV that Excel opens.
func (m TableSizes) exportURL() string {
	query := url.Values{"format": {"csv"}, "bom": {"1"}, "sort": {sortValue(m.Sort, m.Desc)}}
	for name, value := range map[string]string{
		"schema_name": m.Query.Schema, "table_name": m.Query.Table,
		"parent_table": m.Query.Parent, "parent_schema": m.Query.ParentSchema,
	} {
		if value != "" {
			query.Set(name, value)
		}
	}
	if m.Query.FoldPartitions {
		query.Set("partitions", "fold")
	}
	if m.Query.Unsettled {
		query.Set("only", "unsettled")
	}
	return fmt.Sprintf("/api/v1/databases/%d/tables/sizes?%s", m.header().ID, query.Encode())
}

// unsettledURL returns the address of the list of only those rows that the newest run could not measure.
func (m TableSizes) unsettledURL() string { return m.Path + "?only=unsettled" }

// listsUnsettled reports whether the list has rows that the newest run could not measure.
func (m TableSizes) listsUnsettled() bool {
	d := m.header()
	return d.KeptCount > 0 || d.HiddenCount > 0 && m.Can.NamesHiddenTables
}

// total returns the sum of the known sizes in bytes, nil when none is known.
func (m TableSizes) total() *int64 {
	d := m.header()
	if d.TotalBytes == 0 && d.UnknownCount > 0 {
		return nil
	}
	return &d.TotalBytes
}

// denied reports whether the list is empty because the monitoring account lacks privileges.
func (m TableSizes) denied() bool {
	d := m.header()
	return d.CollectedAt != nil && d.TableCount == 0 && (d.HiddenCount > 0 || d.Grant != "" || d.Scope != "")
}

// partitionsPath returns the address of the partitions of a row: as a fragment to open below it, or as a list of
// their own.
func (m TableSizes) partitionsPath(r models.TableSizeRow, fragment bool) string {
	query := url.Values{"parent": {r.Name}}
	if r.Schema != "" {
		query.Set("parent_schema", r.Schema)
	}
	query.Set("sort", sortValue(m.Sort, m.Desc))
	if fragment {
		return m.Path + "/partitions?" + query.Encode()
	}
	return m.Path + "?" + query.Encode()
}

// foldable reports whether the row opens to show its partitions.
func (m TableSizes) foldable(r models.TableSizeRow) bool {
	return r.PartitionCount > 0 && m.Query.FoldPartitions
}

// hasBadges reports whether rowBadges shows anything for the row.
func hasBadges(r models.TableSizeRow) bool {
	return r.PartitionCount > 0 || shownKind(r) != "" || r.Memory != nil || r.Note != "" ||
		r.SizeSource == models.SizeStatistic || r.StatsStale || r.KeptFrom != nil || r.Unread != ""
}

// rowFigures returns the cells after the total size of a row: data, index, unused, rows and growth of 7 and 30 days.
func rowFigures(p Page, r models.TableSizeRow) [6]figure {
	reason, unusedReason, growthReason := "", "", ""
	if r.Data == nil || r.Index == nil {
		reason = whyUnknown(p, r)
	}
	if r.Unused == nil {
		unusedReason = whyUnused(p, r)
	}
	if r.Growth7 == nil {
		growthReason = p.T("tables.growth_unknown")
	}
	return [6]figure{
		sizeFigure(r.Data, reason), sizeFigure(r.Index, reason), sizeFigure(r.Unused, unusedReason),
		{text: RowCount(r.Rows, r.RowsSource), title: whyRows(p, r)},
		gainFigure(r.Growth7, growthReason), gainFigure(r.Growth30, growthReason),
	}
}

// sizeTitle returns the exact total of a row with its share of the database, or why it is unknown.
func sizeTitle(p Page, m TableSizes, r models.TableSizeRow) string {
	reason := ""
	if r.Total == nil {
		reason = whyUnknown(p, r)
	}
	return shareTitle(p, r.Total, m.Sizes.Database.TotalBytes, reason)
}

// whyUnknown returns why a size of the row is unknown.
func whyUnknown(p Page, r models.TableSizeRow) string {
	switch r.Unread {
	case models.UnreadLocked, models.UnreadHidden, models.UnreadFailed:
		return p.T("unread." + string(r.Unread))
	}
	if r.Note == models.NoteClustered {
		return noteHint(p, r)
	}
	switch r.Kind {
	case models.KindExternal, models.KindMerge, models.KindMemoryOptimized, models.KindTemporary:
		return p.T("kind." + string(r.Kind) + "_size")
	default:
	}
	if r.Total == nil {
		return p.T("unread.failed")
	}
	return p.T("size.untold")
}

// whyUnused returns why the unused space of a row is unknown.
func whyUnused(p Page, r models.TableSizeRow) string {
	if r.Total != nil {
		return p.T("unused.untold")
	}
	return whyUnknown(p, r)
}

// whyRows returns why a row count is unknown, or when the engine estimated it; empty: the column's header says enough.
func whyRows(p Page, r models.TableSizeRow) string {
	switch {
	case r.Rows == nil && r.Unread != "":
		return whyUnknown(p, r)
	case r.Rows == nil && (r.Kind == models.KindCluster || r.Kind == models.KindRecycleBin):
		return p.T("rows." + string(r.Kind))
	case r.Rows == nil:
		return p.T("rows.unknown")
	case r.RowsSource == models.RowsStatistic && r.RowsAt != nil:
		return p.T("rows.statistic_at", "Time", p.FullClock(*r.RowsAt), "Age", p.Age(*r.RowsAt))
	}
	return ""
}

// noteHint returns the note of a row as a sentence, with the name of the related table.
func noteHint(p Page, r models.TableSizeRow) string {
	name := orReason(visible(r.Related), unknown)
	if r.Related != "" && r.RelatedSchema != "" {
		name = visible(r.RelatedSchema) + "." + name
	}
	return p.T("note."+string(r.Note)+"_hint", "Name", name)
}

// residual returns the bytes that belong to no listed table, nil when there are none or they are unknown.
func (m TableSizes) residual() *int64 {
	if n := m.header().ResidualBytes; n != nil && *n > 0 {
		return n
	}
	return nil
}

// residualKey returns the key of the residual's label. Tables that the monitoring account cannot see are part of it.
func (m TableSizes) residualKey() string {
	if m.header().HiddenCount > 0 {
		return "tables.residual_hidden"
	}
	return "tables.residual"
}

// residualHint returns what the residual consists of.
func (m TableSizes) residualHint(p Page) string {
	d := m.header()
	switch {
	case d.HiddenCount > 0 && d.KeptCount > 0:
		return p.T("tables.residual_hidden_kept_hint")
	case d.HiddenCount > 0:
		return p.T("tables.residual_hidden_hint")
	case d.Scope != "":
		return p.T("tables.residual_scope_hint", "Name", visible(d.Scope))
	}
	return p.In(m.Instance.DBType, "tables.residual_hint")
}

// shownKind returns the kind of a row, empty for a plain table.
func shownKind(r models.TableSizeRow) models.Kind {
	if r.Kind == models.KindTable || r.Kind == models.KindPartitioned {
		return ""
	}
	return r.Kind
}
