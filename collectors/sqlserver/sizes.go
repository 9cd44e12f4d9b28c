package sqlserver

import (
	"strings"

	"whalefall/collectors"
	"whalefall/models"
)

const pageBytes = 8192 // bytes

// object is an object that the account may see: a table, or any other object with partitions.
type object struct {
	id, schema int64
	name       string
	kind       string // type in sys.objects, without padding: U is a table, V a view
	shipped    bool   // created by the engine
}

// tableTraits describes a table that is not an ordinary one.
type tableTraits struct {
	object          object
	history         bool   // holds the former rows of a temporal table
	historyTable    *int64 // id of the table with its former rows
	memoryOptimized bool
	external        bool
}

// partition is one partition of a heap or an index. Index 0 is the heap, 1 the clustered index.
type partition struct {
	id, hobt      int64
	object, index int64
	rows          collectors.Number
}

// unit is one allocation unit.
type unit struct {
	kind                 int64
	container            int64             // id of a partition, or of its heap or B-tree
	data, used, reserved collectors.Number // pages
}

// Types of allocation units that need special treatment: units of rows count their leaf pages separately, units of LOB
// belong to a partition. All others belong to a heap or B-tree.
const (
	inRow = 1
	lob   = 2
)

// pageCounts is the size of one partition of a heap or index. Data are its leaf, LOB and row-overflow pages.
type pageCounts struct {
	object, index        int64
	data, used, reserved collectors.Number // pages
	rows                 collectors.Number
}

// internal is a table in which the engine stores a part of another object or data of its own.
type internal struct {
	id, parent, kind int64
}

// indexKinds are the types of internal tables that store indexes: XML, full-text, spatial, semantic.
var indexKinds = map[int64]bool{
	202: true, 204: true, 207: true, 211: true, 212: true, 213: true, 214: true, 215: true, 216: true, 221: true,
	222: true, 236: true,
}

// tableKinds are the types of internal tables that belong to the database even if they have a parent: queues, full-text
// free lists, query notification, Service Broker, FILESTREAM, change tracking, contained features, FileTables.
var tableKinds = map[int64]bool{
	201: true, 203: true, 205: true, 206: true, 208: true, 209: true, 210: true, 220: true, 225: true,
}

// systemCatalog is the part of a database's catalog that sizes are computed from.
type systemCatalog struct {
	schemas    map[int64]string
	objects    []object
	traits     []tableTraits
	partitions []partition
	internals  []internal
	pages      []pageCounts
	memory     map[int64]collectors.Number // object → bytes of RAM; nil if the account may not read it
}

// unitPages returns the rows of each partition, and the pages of each allocation unit attributed to the partition that
// owns it. Like the statistics of partitions it leaves out units without an owner: those of dropped objects that are
// not freed yet, and those that only a columnstore has.
func unitPages(units []unit, partitions []partition) []pageCounts {
	pages := make([]pageCounts, 0, len(units)+len(partitions))
	byID, byHobt := make(map[int64]int, len(partitions)), make(map[int64]int, len(partitions))
	for i, p := range partitions {
		byID[p.id], byHobt[p.hobt] = i, i
		pages = append(pages, pageCounts{object: p.object, index: p.index, rows: p.rows})
	}
	for _, u := range units {
		owners, data := byHobt, u.used
		switch u.kind {
		case inRow:
			data = u.data
		case lob:
			owners = byID
		}
		if i, owned := owners[u.container]; owned {
			pages = append(pages, pageCounts{
				object: partitions[i].object, index: partitions[i].index, data: data, used: u.used, reserved: u.reserved,
			})
		}
	}
	return pages
}

// relation is a listed relation with its counts.
type relation struct {
	object               object
	kind                 models.Kind
	traits               tableTraits
	counted              bool              // its heap or clustered index has been counted
	data, used, reserved collectors.Number // pages
	rows                 collectors.Number
	unclassified         bool // its index pages include an internal table of an unknown type
}

// onDisk reports whether the relation's pages are in the files of the database.
func (r *relation) onDisk() bool {
	return r.kind != models.KindExternal && r.kind != models.KindMemoryOptimized
}

// listed returns the relations to list, by the id of their object.
func (c systemCatalog) listed() map[int64]*relation {
	out := make(map[int64]*relation, len(c.objects))
	for _, o := range c.objects {
		switch {
		case c.unnamed(o):
		case o.kind == "U":
			out[o.id] = &relation{object: o, kind: models.KindTable}
		case o.kind == "V":
			out[o.id] = &relation{object: o, kind: models.KindIndexedView}
		}
	}
	for _, s := range c.traits {
		switch {
		case s.external && !c.unnamed(s.object):
			out[s.object.id] = &relation{object: s.object, kind: models.KindExternal}
		case out[s.object.id] == nil:
		case s.memoryOptimized:
			out[s.object.id].kind, out[s.object.id].traits = models.KindMemoryOptimized, s
		default:
			out[s.object.id].traits = s
		}
	}
	return out
}

// unnamed reports whether an object has no name to be listed under: its schema was created or dropped meanwhile, or it
// is a temporary table, which belongs to a session.
func (c systemCatalog) unnamed(o object) bool {
	return c.schemas[o.schema] == "" || strings.HasPrefix(o.name, "#")
}

// counts are the listed relations of a catalog with their counts.
type counts struct {
	systemCatalog
	relations map[int64]*relation // by the id of their object
	residual  collectors.Number   // bytes that belong to none of them
	unsized   collectors.Number   // of these, the bytes of hidden objects
}

// counts adds each partition's pages to the relation that they belong to. Every page is counted once.
func (c systemCatalog) counts() counts {
	out := counts{systemCatalog: c, relations: c.listed()}
	internals := make(map[int64]internal, len(c.internals))
	for _, i := range c.internals {
		internals[i.id] = i
	}
	hidden := c.hidden()
	for _, p := range c.pages {
		owner := p.object
		internal, inside := internals[p.object]
		if inside && !tableKinds[internal.kind] {
			owner = internal.parent
		}
		r := out.relations[owner]
		switch {
		case r == nil, !r.onDisk():
			out.leave(p, hidden[owner])
			continue
		case inside:
			r.unclassified = r.unclassified || !indexKinds[internal.kind]
		case p.index < 2:
			r.data, r.rows = r.data.Plus(p.data), r.rows.Plus(p.rows)
			r.counted = true
		}
		r.used, r.reserved = r.used.Plus(p.used), r.reserved.Plus(p.reserved)
	}
	c.countRows(out.relations)
	return out
}

// leave counts pages that belong to no listed relation.
func (c *counts) leave(p pageCounts, hidden bool) {
	bytes := p.reserved.Times(pageBytes)
	c.residual = c.residual.Plus(bytes)
	if hidden {
		c.unsized = c.unsized.Plus(bytes)
	}
}

// uncounted returns the ids of relations that no count was found for, as if they had been dropped meanwhile.
func (c counts) uncounted() map[int64]bool {
	out := map[int64]bool{}
	for id, r := range c.relations {
		if !r.counted && r.kind != models.KindExternal {
			out[id] = true
		}
	}
	return out
}

// result returns the listed relations and the bytes that belong to none of them. It leaves Hidden, Complete and Proof
// to the caller.
func (c counts) result() models.TableResult {
	current := map[int64]*relation{}
	for _, r := range c.relations {
		if r.traits.historyTable != nil {
			current[*r.traits.historyTable] = r
		}
	}
	result := models.TableResult{}
	for _, r := range c.relations {
		if !r.counted {
			c.leave(pageCounts{reserved: r.reserved}, true)
		}
		row := c.row(r)
		c.note(&row, r, current[r.object.id])
		result.Tables = append(result.Tables, row)
	}
	result.Residual, result.Unsized = c.residual.Pointer(), max(0, int64(c.unsized))
	return result
}

// countRows counts the rows of memory-optimized tables, which have no pages.
func (c systemCatalog) countRows(relations map[int64]*relation) {
	for _, p := range c.partitions {
		if r := relations[p.object]; r != nil && r.kind == models.KindMemoryOptimized && (p.index < 2 || p.index == 5) {
			r.rows = r.rows.Plus(p.rows)
			r.counted = true
		}
	}
}

func (c systemCatalog) row(r *relation) models.TableSize {
	row := models.TableSize{
		Schema: collectors.ValidName(c.schemas[r.object.schema]), Name: collectors.ValidName(r.object.name), Kind: r.kind,
		SizeSource: models.SizeNone,
	}
	if r.kind == models.KindExternal {
		return row
	}
	if !r.counted || !min(r.reserved.Times(pageBytes), r.data, r.used).Known() {
		row.Unread = models.UnreadFailed
		return row
	}
	if row.Rows = r.rows.Pointer(); row.Rows != nil {
		row.RowsSource = models.RowsStatistic
	}
	if bytes, known := c.memory[r.object.id]; known {
		row.Memory = bytes.Pointer()
	}
	if r.onDisk() {
		row.SizeSource = models.SizeAllocated
		row.Total, row.Data, row.Index, row.Unused = splitPages(int64(r.data), int64(r.used), int64(r.reserved))
	}
	return row
}

// splitPages divides the reserved pages into data, index and unused bytes. The engine updates its three counters one
// after another, so they may contradict each other: each part is capped at what the previous ones leave, and the parts
// always add up to the reserved pages.
func splitPages(data, used, reserved int64) (total, dataBytes, index, unused *int64) {
	data = min(data, reserved)
	used = min(max(used, data), reserved)
	bytes := func(pages int64) *int64 { pages *= pageBytes; return &pages }
	return bytes(reserved), bytes(data), bytes(used - data), bytes(reserved - used)
}

// note adds the note to a row. Current is the temporal table whose former rows the relation holds, nil if there is none
// or it is hidden.
func (c systemCatalog) note(row *models.TableSize, r, current *relation) {
	switch {
	case r.rows == collectors.Impossible:
		row.Note = models.NoteImpossible
	case r.unclassified:
		row.Note = models.NoteUnclassified
	case current != nil:
		row.Note = models.NoteHistory
		row.RelatedSchema = collectors.ValidName(c.schemas[current.object.schema])
		row.Related = collectors.ValidName(current.object.name)
	case r.traits.history:
		row.Note = models.NoteHistory
	case r.object.shipped:
		row.Note = models.NoteShipped
	}
}

// systemID is the highest id of the objects that the engine reserves for itself.
const systemID = 100

// missingStats returns the ids of objects with partitions that are missing from the statistics. Memory-optimized tables
// are not expected there.
func (c systemCatalog) missingStats() map[int64]bool {
	out := map[int64]bool{}
	for _, p := range c.partitions {
		out[p.object] = true
	}
	for _, p := range c.pages {
		delete(out, p.object)
	}
	for _, s := range c.traits {
		if s.memoryOptimized {
			delete(out, s.object.id)
		}
	}
	return out
}

// hidden returns the ids of objects whose partitions are visible, as they are to every account, but whose names this
// account may not see.
func (c systemCatalog) hidden() map[int64]bool {
	visible := map[int64]bool{}
	for _, o := range c.objects {
		visible[o.id] = o.kind != "U" && o.kind != "V" || c.schemas[o.schema] != ""
	}
	for _, i := range c.internals {
		visible[i.id] = true
	}
	hidden := map[int64]bool{}
	for _, p := range c.partitions {
		if p.object > systemID && !visible[p.object] {
			hidden[p.object] = true
		}
	}
	return hidden
}
