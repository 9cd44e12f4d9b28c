package oracle

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"whalefall/collectors"
	"whalefall/models"
)

// objectName identifies an object of a schema.
type objectName struct{ owner, name string }

// dictSegment is one row of DBA_SEGMENTS: an object, or a partition of one, has its extents in one tablespace.
type dictSegment struct {
	objectName
	kind       string // SEGMENT_TYPE
	tablespace string
	bytes      collectors.Number // unknown while the tablespace is offline
}

// dictTable is one row of DBA_ALL_TABLES.
type dictTable struct {
	objectName
	tablespace string     // empty for partitioned, index-organized, temporary and external tables
	cluster    objectName // that stores its rows
	base       string     // the index-organized table of an overflow or mapping table
	created    string     // SEGMENT_CREATED
	temporary  bool
	secondary  bool // storage of a domain index
	dropped    bool
	rows       *int64 // as of the statistics; nil: never analyzed, or impossible
	impossible bool   // the statistics hold a number of rows that cannot be
	analyzed   *time.Time
}

// dictIndex is one row of DBA_INDEXES.
type dictIndex struct {
	kind      string     // INDEX_TYPE
	table     objectName // the cluster if onCluster
	onCluster bool
}

// dictionary holds what the data dictionary of one container says about storage.
type dictionary struct {
	scope          string // the only schema that was read; empty: all were
	refusal        int    // error number of the server that limited the scope
	tablespaces    map[string]bool
	allTablespaces bool // tablespaces is complete
	segments       []dictSegment
	tables         map[objectName]dictTable
	indexes        map[objectName]dictIndex
	lobs           map[objectName]objectName // segment or index of a LOB → table
	parents        map[objectName]objectName // storage table of a nested table → its parent table
	clusters       map[objectName]string     // → tablespace
	secondary      map[objectName]objectName // storage of a domain index → the index
	external       map[objectName]bool
	defaults       map[string]string // user → default tablespace
}

// recycleBin is the prefix of the names of dropped objects, and the name of the row that sums those of an owner.
const recycleBin = "BIN$"

// spaceRelation identifies a relation that has a row in the result.
type spaceRelation struct {
	objectName
	kind models.Kind // table, cluster or recycle bin
}

// segmentShare sums the segments of a relation in one tablespace, in bytes.
type segmentShare struct {
	data, index collectors.Number
	segmentless bool // no part of the relation has a segment in any tablespace
}

// add adds the bytes of a segment; an unknown one makes the sum unknown.
func (s *segmentShare) add(bytes collectors.Number, index bool) {
	if index {
		s.index = s.index.Plus(bytes)
	} else {
		s.data = s.data.Plus(bytes)
	}
}

// results returns the result of each tablespace: its relations with the bytes that they have there, and the bytes of no
// relation. Every tablespace of the dictionary has a result, even without segments.
func (c dictionary) results() map[string]models.TableResult {
	shares := map[string]map[spaceRelation]*segmentShare{}
	residual := map[string]*segmentShare{}
	for tablespace := range c.tablespaces {
		residual[tablespace] = &segmentShare{}
	}

	for _, s := range c.segments {
		if residual[s.tablespace] == nil {
			residual[s.tablespace] = &segmentShare{}
		}
		relation, index, ok := c.owner(s)
		if !ok {
			residual[s.tablespace].add(s.bytes, false)
			continue
		}
		share(shares, s.tablespace, relation).add(s.bytes, index)
	}

	c.listSegmentless(shares)
	for tablespace := range shares {
		if residual[tablespace] == nil {
			residual[tablespace] = &segmentShare{}
		}
	}

	out := make(map[string]models.TableResult, len(residual))
	for tablespace, rest := range residual {
		result := models.TableResult{Complete: true, Scope: c.scope, Residual: rest.data.Pointer()}
		if c.scope == "" {
			result.Proof = models.ProofLedger
		}
		for relation, part := range shares[tablespace] {
			result.Tables = append(result.Tables, c.row(relation, *part))
		}
		slices.SortFunc(result.Tables, func(a, b models.TableSize) int {
			return cmp.Or(cmp.Compare(a.Schema, b.Schema), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Kind, b.Kind))
		})
		out[tablespace] = result
	}
	return out
}

// share returns the share of a relation in a tablespace, adding an empty one if there is none.
func share(shares map[string]map[spaceRelation]*segmentShare, tablespace string, relation spaceRelation) *segmentShare {
	there := shares[tablespace]
	if there == nil {
		there = map[spaceRelation]*segmentShare{}
		shares[tablespace] = there
	}
	if there[relation] == nil {
		there[relation] = &segmentShare{}
	}
	return there[relation]
}

// unknownIf returns unknown bytes, or none.
func unknownIf(unknown bool) collectors.Number {
	if unknown {
		return collectors.Unknown
	}
	return 0
}

// owner returns the relation that a segment counts for, and whether it counts as index. ok is false if it belongs to no
// relation.
func (c dictionary) owner(s dictSegment) (relation spaceRelation, index, ok bool) {
	switch s.kind {
	case "TABLE", "TABLE PARTITION", "TABLE SUBPARTITION", "NESTED TABLE":
		return c.home(s.objectName, false)
	case "LOBSEGMENT", "LOB PARTITION", "LOB SUBPARTITION":
		if table, known := c.lobs[s.objectName]; known {
			return c.home(table, false)
		}
	case "LOBINDEX", "INDEX", "INDEX PARTITION", "INDEX SUBPARTITION":
		return c.indexOwner(s.objectName)
	case "CLUSTER":
		if _, known := c.clusters[s.objectName]; known {
			return spaceRelation{s.objectName, models.KindCluster}, false, true
		}
	}
	return recycled(s.objectName)
}

// indexOwner is owner for the segments of indexes. It counts as data what only an index stores: the rows of an
// index-organized table and the locations of a LOB's chunks.
func (c dictionary) indexOwner(name objectName) (relation spaceRelation, index, ok bool) {
	if table, known := c.lobs[name]; known {
		return c.home(table, false)
	}
	i, known := c.indexes[name]
	switch _, clustered := c.clusters[i.table]; {
	case !known, i.onCluster && !clustered:
		return recycled(name)
	case i.onCluster:
		return spaceRelation{i.table, models.KindCluster}, false, true
	}
	return c.home(i.table, i.kind != "LOB" && !strings.HasPrefix(i.kind, "IOT - "))
}

// home returns the relation that a table counts for: itself, or if it only stores a part of another table, the home of
// that. Everything that a domain index stores counts as index.
func (c dictionary) home(name objectName, asIndex bool) (relation spaceRelation, index, ok bool) {
	for range len(c.tables) + 1 {
		t, known := c.tables[name]
		parent, nested := c.parents[name]
		domain, stored := c.indexes[c.secondary[name]]
		switch {
		case !known:
			return recycled(name)
		case t.dropped:
			return spaceRelation{objectName{name.owner, recycleBin}, models.KindRecycleBin}, false, true
		case t.base != "":
			name.name = t.base
		case nested:
			name = parent
		case t.secondary && stored:
			name, asIndex = domain.table, true
		default:
			return spaceRelation{name, models.KindTable}, asIndex, true
		}
	}
	return spaceRelation{}, false, false
}

// isRecycled reports whether a name is that of a dropped object.
func isRecycled(name string) bool { return strings.HasPrefix(name, recycleBin) }

// recycled returns the recycle bin of an object's owner; ok is false if the object is not in it.
func recycled(name objectName) (relation spaceRelation, index, ok bool) {
	if !isRecycled(name.name) {
		return spaceRelation{}, false, false
	}
	return spaceRelation{objectName{name.owner, recycleBin}, models.KindRecycleBin}, false, true
}

// listSegmentless adds the tables without a segment of their own to the tablespaces that they belong to, except where
// the tablespace has been dropped.
func (c dictionary) listSegmentless(shares map[string]map[spaceRelation]*segmentShare) {
	present := map[spaceRelation]bool{}
	for _, there := range shares {
		for relation := range there {
			present[relation] = true
		}
	}
	for name, t := range c.tables {
		self := spaceRelation{name, models.KindTable}
		if home, _, _ := c.home(name, false); home != self {
			continue
		}
		tablespace, part := c.place(t, present[self])
		gone := c.allTablespaces && !c.tablespaces[tablespace]
		if tablespace != "" && !gone && shares[tablespace][self] == nil {
			*share(shares, tablespace, self) = part
		}
	}
}

// place returns the tablespace that a table without a segment belongs to, and its share there. The dictionary names no
// tablespace for partitioned and index-organized tables: they belong where their parts are, which results has listed
// already. If no part has a segment, they belong in their owner's default tablespace, as temporary and external tables
// do.
func (c dictionary) place(t dictTable, present bool) (tablespace string, part segmentShare) {
	clusterSpace, clustered := c.clusters[t.cluster]
	unstored := t.temporary || c.external[t.objectName]
	switch {
	case t.tablespace != "":
		return t.tablespace, segmentShare{data: unknownIf(!unstored && t.created != "NO")}
	case clustered:
		return clusterSpace, segmentShare{}
	case present:
		return "", segmentShare{}
	}
	return c.defaults[t.owner], segmentShare{segmentless: !unstored}
}

// rowName returns the name of a relation's row. It adds the kind to the name of a cluster that its owner has a table of
// the same name for.
func (c dictionary) rowName(relation spaceRelation) string {
	if _, taken := c.tables[relation.objectName]; taken && relation.kind != models.KindTable {
		return relation.name + " (" + string(relation.kind) + ")"
	}
	return relation.name
}

// row returns the row of a relation in one tablespace.
func (c dictionary) row(relation spaceRelation, part segmentShare) models.TableSize {
	row := models.TableSize{
		Schema: relation.owner, Name: c.rowName(relation), Kind: relation.kind, SizeSource: models.SizeAllocated,
		Total: part.data.Plus(part.index).Pointer(), Data: part.data.Pointer(), Index: part.index.Pointer(),
	}
	if part.data.Plus(part.index) == collectors.Impossible {
		row.Unread, row.SizeSource = models.UnreadFailed, models.SizeNone
		row.Total, row.Data, row.Index = nil, nil, nil
		return row
	}
	if relation.kind != models.KindTable {
		return row
	}

	t := c.tables[relation.objectName]
	if row.Rows = t.rows; row.Rows != nil {
		row.RowsSource, row.RowsAt = models.RowsStatistic, t.analyzed
	}
	if t.impossible {
		row.Note = models.NoteImpossible
	}

	_, clustered := c.clusters[t.cluster]
	elsewhere := part == segmentShare{} && (clustered || t.temporary || c.external[relation.objectName])
	switch {
	case clustered:
		row.Data, row.Note, row.RelatedSchema, row.Related = nil, models.NoteClustered, t.cluster.owner, t.cluster.name
	case elsewhere && t.temporary:
		row.Kind = models.KindTemporary
	case elsewhere:
		row.Kind = models.KindExternal
	case part.segmentless, t.created == "NO" && part.data == 0:
		row.Rows, row.RowsSource, row.RowsAt = new(int64), models.RowsExact, nil
	}

	if unseen := (segmentShare{data: collectors.Unknown}); elsewhere || part == unseen {
		row.Total, row.Data, row.Index, row.SizeSource = nil, nil, nil, models.SizeNone
	}
	return row
}
