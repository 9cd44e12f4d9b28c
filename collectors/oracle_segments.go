package collectors

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"whalefall/models"
)

// oracleName is an object of a schema.
type oracleName struct{ owner, name string }

// oracleSegment is a run of extents in one tablespace.
type oracleSegment struct {
	oracleName
	kind       string // SEGMENT_TYPE
	tablespace string
	bytes      *int64 // nil while the tablespace is offline
}

type oracleTable struct {
	oracleName
	tablespace string     // empty for partitioned, index-organized, temporary and external tables
	cluster    oracleName // that holds its rows
	base       string     // of an overflow or mapping table: the index-organized table it belongs to
	created    string     // SEGMENT_CREATED
	temporary  bool
	secondary  bool // storage of a domain index
	dropped    bool
	rows       *int64 // nil: never analysed
	analyzed   *time.Time
}

type oracleIndex struct {
	kind      string     // INDEX_TYPE
	table     oracleName // or the cluster
	onCluster bool
}

// oracleCatalog is what the dictionary of one container says about storage.
type oracleCatalog struct {
	scope          string // not empty: the only schema that was looked at
	refusal        int    // the number of the error for which it was no other
	tablespaces    map[string]bool
	allTablespaces bool // tablespaces has every one
	segments       []oracleSegment
	tables         map[oracleName]oracleTable
	indexes        map[oracleName]oracleIndex
	lobs           map[oracleName]oracleName // segment or index of a LOB → table
	parents        map[oracleName]oracleName // storage table of a nested table → the table around it
	clusters       map[oracleName]string     // → tablespace
	secondary      map[oracleName]oracleName // storage of a domain index → the index
	external       map[oracleName]bool
	defaults       map[string]string // user → default tablespace
}

// oracleRecycleBin is how names of dropped objects begin, and the name of the row that stands for all of them.
const oracleRecycleBin = "BIN$"

// oracleRelation is what a row is about.
type oracleRelation struct {
	oracleName
	kind models.Kind // table, cluster or recycle bin
}

// oracleShare is what a relation has in one tablespace.
type oracleShare struct {
	data, index               int64
	dataUnknown, indexUnknown bool
	nowhere                   bool // no part of it has a segment, here or in another tablespace
}

func (s *oracleShare) add(bytes *int64, index bool) {
	switch {
	case bytes == nil && index:
		s.indexUnknown = true
	case bytes == nil:
		s.dataUnknown = true
	case index:
		s.index += *bytes
	default:
		s.data += *bytes
	}
}

// results are the relations of each tablespace with the bytes that they have there. Every tablespace of the catalog has one.
func (c oracleCatalog) results() map[string]models.TableResult {
	shares := map[string]map[oracleRelation]*oracleShare{}
	residual := map[string]*oracleShare{}
	for tablespace := range c.tablespaces {
		residual[tablespace] = &oracleShare{}
	}
	for _, s := range c.segments {
		if residual[s.tablespace] == nil {
			residual[s.tablespace] = &oracleShare{}
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
			residual[tablespace] = &oracleShare{}
		}
	}
	out := make(map[string]models.TableResult, len(residual))
	for tablespace, rest := range residual {
		result := models.TableResult{Complete: true, Scope: c.scope, Residual: orUnknown(rest.data, rest.dataUnknown)}
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

func share(shares map[string]map[oracleRelation]*oracleShare, tablespace string, relation oracleRelation) *oracleShare {
	there := shares[tablespace]
	if there == nil {
		there = map[oracleRelation]*oracleShare{}
		shares[tablespace] = there
	}
	if there[relation] == nil {
		there[relation] = &oracleShare{}
	}
	return there[relation]
}

func orUnknown(bytes int64, unknown bool) *int64 {
	if unknown {
		return nil
	}
	return &bytes
}

// owner is the relation that a segment is counted for, and whether as its index.
func (c oracleCatalog) owner(s oracleSegment) (relation oracleRelation, index, ok bool) {
	switch s.kind {
	case "TABLE", "TABLE PARTITION", "TABLE SUBPARTITION", "NESTED TABLE":
		return c.home(s.oracleName, false)
	case "LOBSEGMENT", "LOB PARTITION", "LOB SUBPARTITION":
		if table, known := c.lobs[s.oracleName]; known {
			return c.home(table, false)
		}
	case "LOBINDEX", "INDEX", "INDEX PARTITION", "INDEX SUBPARTITION":
		return c.indexOwner(s.oracleName)
	case "CLUSTER":
		if _, known := c.clusters[s.oracleName]; known {
			return oracleRelation{s.oracleName, models.KindCluster}, false, true
		}
	}
	return recycled(s.oracleName)
}

// indexOwner counts as data what only an index holds: the rows of an index-organized table, and where the chunks of a LOB are.
func (c oracleCatalog) indexOwner(name oracleName) (relation oracleRelation, index, ok bool) {
	if table, known := c.lobs[name]; known {
		return c.home(table, false)
	}
	i, known := c.indexes[name]
	switch _, clustered := c.clusters[i.table]; {
	case !known, i.onCluster && !clustered:
		return recycled(name)
	case i.onCluster:
		return oracleRelation{i.table, models.KindCluster}, false, true
	}
	return c.home(i.table, i.kind != "LOB" && !strings.HasPrefix(i.kind, "IOT - "))
}

// home follows a table that only stores a part of another one to the relation that is listed for it. What a domain index
// stores is index, whatever it is.
func (c oracleCatalog) home(name oracleName, asIndex bool) (relation oracleRelation, index, ok bool) {
	for range len(c.tables) + 1 {
		t, known := c.tables[name]
		parent, nested := c.parents[name]
		domain, stored := c.indexes[c.secondary[name]]
		switch {
		case !known:
			return recycled(name)
		case t.dropped:
			return oracleRelation{oracleName{name.owner, oracleRecycleBin}, models.KindRecycleBin}, false, true
		case t.base != "":
			name.name = t.base
		case nested:
			name = parent
		case t.secondary && stored:
			name, asIndex = domain.table, true
		default:
			return oracleRelation{name, models.KindTable}, asIndex, true
		}
	}
	return oracleRelation{}, false, false
}

func isRecycled(name string) bool { return strings.HasPrefix(name, oracleRecycleBin) }

// recycled is the recycle bin of an object's owner if the object lies there.
func recycled(name oracleName) (relation oracleRelation, index, ok bool) {
	if !isRecycled(name.name) {
		return oracleRelation{}, false, false
	}
	return oracleRelation{oracleName{name.owner, oracleRecycleBin}, models.KindRecycleBin}, false, true
}

// listSegmentless adds the tables without a segment of their own where they belong. The tablespace may have been dropped.
func (c oracleCatalog) listSegmentless(shares map[string]map[oracleRelation]*oracleShare) {
	present := map[oracleRelation]bool{}
	for _, there := range shares {
		for relation := range there {
			present[relation] = true
		}
	}
	for name, t := range c.tables {
		self := oracleRelation{name, models.KindTable}
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

// place is where the dictionary puts a table without a segment, and what is known of its bytes. It puts partitioned and
// index-organized tables nowhere: they are where their parts are, or without any part in their owner's default
// tablespace, as temporary and external tables are.
func (c oracleCatalog) place(t oracleTable, present bool) (tablespace string, part oracleShare) {
	around, clustered := c.clusters[t.cluster]
	bodiless := t.temporary || c.external[t.oracleName]
	switch {
	case t.tablespace != "":
		return t.tablespace, oracleShare{dataUnknown: !bodiless && t.created != "NO"}
	case clustered:
		return around, oracleShare{}
	case present:
		return "", oracleShare{}
	}
	return c.defaults[t.owner], oracleShare{nowhere: !bodiless}
}

// listed is the name of a relation's row. A cluster may be called as a table of its owner is.
func (c oracleCatalog) listed(relation oracleRelation) string {
	if _, taken := c.tables[relation.oracleName]; taken && relation.kind != models.KindTable {
		return relation.name + " (" + string(relation.kind) + ")"
	}
	return relation.name
}

// row is a relation with its bytes in one tablespace.
func (c oracleCatalog) row(relation oracleRelation, part oracleShare) models.TableSize {
	row := models.TableSize{
		Schema: relation.owner, Name: c.listed(relation), Kind: relation.kind, SizeSource: models.SizeAllocated,
		Total: orUnknown(part.data+part.index, part.dataUnknown || part.indexUnknown),
		Data:  orUnknown(part.data, part.dataUnknown), Index: orUnknown(part.index, part.indexUnknown),
	}
	if relation.kind != models.KindTable {
		return row
	}
	t := c.tables[relation.oracleName]
	if row.Rows = t.rows; t.rows != nil {
		row.RowsSource, row.RowsAt = models.RowsStatistic, t.analyzed
	}
	_, clustered := c.clusters[t.cluster]
	elsewhere := part == oracleShare{} && (clustered || t.temporary || c.external[relation.oracleName])
	switch {
	case clustered:
		row.Data, row.Note, row.RelatedSchema, row.Related = nil, models.NoteClustered, t.cluster.owner, t.cluster.name
	case elsewhere && t.temporary:
		row.Kind = models.KindTemporary
	case elsewhere:
		row.Kind = models.KindExternal
	case part.nowhere, t.created == "NO" && part.data == 0 && !part.dataUnknown:
		row.Rows, row.RowsSource, row.RowsAt = new(int64), models.RowsExact, nil
	}
	if unseen := (oracleShare{dataUnknown: true}); elsewhere || part == unseen {
		row.Total, row.Data, row.Index, row.SizeSource = nil, nil, nil, models.SizeNone
	}
	return row
}
