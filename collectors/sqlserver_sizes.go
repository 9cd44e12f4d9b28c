package collectors

import (
	"strings"

	"whalefall/models"
)

const sqlserverPage = 8192 // bytes

// sqlserverObject is a visible object: a table, or one that has partitions.
type sqlserverObject struct {
	id, schema int64
	name       string
	kind       string // type of sys.objects without its padding: U table, V view
	shipped    bool   // the engine made it
}

// sqlserverSpecial says of a table that it is more than that.
type sqlserverSpecial struct {
	object          sqlserverObject
	history         bool   // it keeps the former rows of another one
	historyTable    *int64 // the table that keeps its former rows
	memoryOptimized bool
	external        bool
}

// sqlserverPartition is one partition of a heap or an index. Index 0 is the heap, 1 the clustered index.
type sqlserverPartition struct {
	id, hobt      int64
	object, index int64
	rows          int64
}

// sqlserverUnit is one allocation unit.
type sqlserverUnit struct {
	kind                 int64
	container            int64 // a partition or its heap or B-tree
	data, used, reserved int64 // pages
}

// Types of allocation units that are not like the others: those of rows know their leaf pages, those of LOB belong to a
// partition, all others to its heap or B-tree.
const (
	sqlserverInRow = 1
	sqlserverLOB   = 2
)

// sqlserverPages is what one partition of an index holds. Data are its leaf, LOB and row-overflow pages.
type sqlserverPages struct {
	object, index        int64
	data, used, reserved int64 // pages
	rows                 int64
}

// sqlserverInternal is a table in which the engine keeps a part of another object, or something of its own.
type sqlserverInternal struct {
	id, parent, kind int64
}

// sqlserverIndexKinds are the internal tables that hold indexes: XML, full-text, spatial, semantic.
var sqlserverIndexKinds = map[int64]bool{
	202: true, 204: true, 207: true, 211: true, 212: true, 213: true, 214: true, 215: true, 216: true, 221: true,
	222: true, 236: true,
}

// sqlserverOwnKinds are the internal tables that belong to the database even where they name a parent: queues, full-text
// free lists, query notification, Service Broker, FILESTREAM, change tracking, contained features, FileTables.
var sqlserverOwnKinds = map[int64]bool{
	201: true, 203: true, 205: true, 206: true, 208: true, 209: true, 210: true, 220: true, 225: true,
}

// sqlserverCatalog is the part of a database's catalog that sizes are told about.
type sqlserverCatalog struct {
	schemas    map[int64]string
	objects    []sqlserverObject
	specials   []sqlserverSpecial
	partitions []sqlserverPartition
	internals  []sqlserverInternal
	pages      []sqlserverPages
	memory     map[int64]int64 // object → bytes of RAM; nil where the account may not know
}

// unitPages are the rows of each partition, and the pages of each allocation unit by the partition that it belongs to. Units
// of none are left out, as the statistics of partitions do: what is dropped and not yet freed, and a columnstore's own.
func unitPages(units []sqlserverUnit, partitions []sqlserverPartition) []sqlserverPages {
	pages := make([]sqlserverPages, 0, len(units)+len(partitions))
	byID, byHobt := make(map[int64]int, len(partitions)), make(map[int64]int, len(partitions))
	for i, p := range partitions {
		byID[p.id], byHobt[p.hobt] = i, i
		pages = append(pages, sqlserverPages{object: p.object, index: p.index, rows: p.rows})
	}
	for _, u := range units {
		owners, data := byHobt, u.used
		switch u.kind {
		case sqlserverInRow:
			data = u.data
		case sqlserverLOB:
			owners = byID
		}
		if i, owned := owners[u.container]; owned {
			pages = append(pages, sqlserverPages{
				object: partitions[i].object, index: partitions[i].index, data: data, used: u.used, reserved: u.reserved,
			})
		}
	}
	return pages
}

// sqlserverRelation is a listed relation with what was counted for it.
type sqlserverRelation struct {
	object               sqlserverObject
	kind                 models.Kind
	special              sqlserverSpecial
	counted              bool  // its heap or clustered index is among what was counted
	data, used, reserved int64 // pages
	rows                 int64
	unclassified         bool // a part of an unknown kind is among its index pages
}

// onDisk reports whether the relation's pages are in the files of the database.
func (r *sqlserverRelation) onDisk() bool {
	return r.kind != models.KindExternal && r.kind != models.KindMemoryOptimized
}

// relations are what is listed, by object.
func (c sqlserverCatalog) relations() map[int64]*sqlserverRelation {
	out := make(map[int64]*sqlserverRelation, len(c.objects))
	for _, o := range c.objects {
		switch {
		case c.unnamed(o):
		case o.kind == "U":
			out[o.id] = &sqlserverRelation{object: o, kind: models.KindTable}
		case o.kind == "V":
			out[o.id] = &sqlserverRelation{object: o, kind: models.KindIndexedView}
		}
	}
	for _, s := range c.specials {
		switch {
		case s.external && !c.unnamed(s.object):
			out[s.object.id] = &sqlserverRelation{object: s.object, kind: models.KindExternal}
		case out[s.object.id] == nil:
		case s.memoryOptimized:
			out[s.object.id].kind, out[s.object.id].special = models.KindMemoryOptimized, s
		default:
			out[s.object.id].special = s
		}
	}
	return out
}

// unnamed reports whether an object has no name to list it by: its schema came or went meanwhile, or it is a temporary
// table, which belongs to a session.
func (c sqlserverCatalog) unnamed(o sqlserverObject) bool {
	return c.schemas[o.schema] == "" || strings.HasPrefix(o.name, "#")
}

// result lists the relations and tells what belongs to none of them, but not what is hidden. Every page is counted once.
func (c sqlserverCatalog) result() models.TableResult {
	relations := c.relations()
	residual := c.count(relations)
	c.countRows(relations)
	current := map[int64]*sqlserverRelation{}
	for _, r := range relations {
		if r.special.historyTable != nil {
			current[*r.special.historyTable] = r
		}
	}
	result := models.TableResult{Residual: &residual}
	for _, r := range relations {
		if !r.counted {
			residual += r.reserved * sqlserverPage
		}
		row := c.row(r)
		c.note(&row, r, current[r.object.id])
		result.Tables = append(result.Tables, row)
	}
	return result
}

// count adds each partition's pages to the relation that they belong to and returns the bytes that belong to none.
func (c sqlserverCatalog) count(relations map[int64]*sqlserverRelation) (residual int64) {
	internals := make(map[int64]sqlserverInternal, len(c.internals))
	for _, i := range c.internals {
		internals[i.id] = i
	}
	for _, p := range c.pages {
		r, own := relations[p.object]
		internal := internals[p.object]
		if !own && !sqlserverOwnKinds[internal.kind] {
			r = relations[internal.parent]
		}
		switch {
		case r == nil, !r.onDisk():
			residual += p.reserved * sqlserverPage
			continue
		case !own:
			r.unclassified = r.unclassified || !sqlserverIndexKinds[internal.kind]
		case p.index < 2:
			r.data += p.data
			r.rows += p.rows
			r.counted = true
		}
		r.used += p.used
		r.reserved += p.reserved
	}
	return residual
}

// countRows counts the rows of memory-optimised tables, which have no pages.
func (c sqlserverCatalog) countRows(relations map[int64]*sqlserverRelation) {
	for _, p := range c.partitions {
		if r := relations[p.object]; r != nil && r.kind == models.KindMemoryOptimized && (p.index < 2 || p.index == 5) {
			r.rows += p.rows
			r.counted = true
		}
	}
}

func (c sqlserverCatalog) row(r *sqlserverRelation) models.TableSize {
	row := models.TableSize{
		Schema: validName(c.schemas[r.object.schema]), Name: validName(r.object.name), Kind: r.kind,
		SizeSource: models.SizeNone,
	}
	if r.kind == models.KindExternal {
		return row
	}
	if !r.counted {
		row.Unread = models.UnreadFailed
		return row
	}
	row.Rows, row.RowsSource = &r.rows, models.RowsStatistic
	if bytes, known := c.memory[r.object.id]; known {
		row.Memory = &bytes
	}
	if r.onDisk() {
		row.SizeSource = models.SizeAllocated
		row.Total, row.Data, row.Index, row.Unused = sqlserverSplit(r.data, r.used, r.reserved)
	}
	return row
}

// sqlserverSplit divides the reserved pages into data, index and unused bytes. The engine updates its three counters one
// after the other, so each part is cut to what the ones before it leave: what is reserved is the total in every case.
func sqlserverSplit(data, used, reserved int64) (total, dataBytes, index, unused *int64) {
	reserved = max(reserved, 0)
	data = min(max(data, 0), reserved)
	used = min(max(used, data), reserved)
	bytes := func(pages int64) *int64 { pages *= sqlserverPage; return &pages }
	return bytes(reserved), bytes(data), bytes(used - data), bytes(reserved - used)
}

// note says what else is to know. current is the table whose former rows are in this one, nil for none or a hidden one.
func (c sqlserverCatalog) note(row *models.TableSize, r, current *sqlserverRelation) {
	switch {
	case r.unclassified:
		row.Note = models.NoteUnclassified
	case current != nil:
		row.Note = models.NoteHistory
		row.RelatedSchema, row.Related = validName(c.schemas[current.object.schema]), validName(current.object.name)
	case r.special.history:
		row.Note = models.NoteHistory
	case r.object.shipped:
		row.Note = models.NoteShipped
	}
}

// sqlserverSystemID is the last id that objects of the engine have.
const sqlserverSystemID = 100

// unstated are the objects with partitions of which the statistics tell no pages, though they should.
func (c sqlserverCatalog) unstated() map[int64]bool {
	out := map[int64]bool{}
	for _, p := range c.partitions {
		out[p.object] = true
	}
	for _, p := range c.pages {
		delete(out, p.object)
	}
	for _, s := range c.specials {
		if s.memoryOptimized {
			delete(out, s.object.id)
		}
	}
	return out
}

// hidden are the objects that have partitions, which everybody sees, and no name that this account may see.
func (c sqlserverCatalog) hidden() map[int64]bool {
	visible := map[int64]bool{}
	for _, o := range c.objects {
		visible[o.id] = o.kind != "U" && o.kind != "V" || c.schemas[o.schema] != ""
	}
	for _, i := range c.internals {
		visible[i.id] = true
	}
	hidden := map[int64]bool{}
	for _, p := range c.partitions {
		if p.object > sqlserverSystemID && !visible[p.object] {
			hidden[p.object] = true
		}
	}
	return hidden
}
