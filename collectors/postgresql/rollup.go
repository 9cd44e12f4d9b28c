package postgresql

import (
	"cmp"
	"math"

	"whalefall/collectors"
	"whalefall/models"
)

// relation is one row of pg_class.
type relation struct {
	oid          int64
	schema, name string  // as the server sent them
	kind         string  // relkind: r, m, p, f
	partition    bool    // of a partitioned table
	toast        bool    // has a TOAST table
	tuples       float64 // reltuples: -1, or before version 14 also 0, is unknown
	pages        int64   // relpages: blocks when the tuples were counted
}

func (r relation) system() bool { return isSystemSchema(r.schema) }

// relationSize is what one relation takes, in bytes; nil when it is unread or gone. Main is the part of its data that holds its
// rows; nil as well when all of the data are no more than those of an empty table.
type relationSize struct {
	unread            models.Unread
	data, index, main *int64
}

func (s relationSize) gone() bool {
	return s.unread == "" && (s.data == nil || s.index == nil)
}

// relationCatalog is the part of a database's catalogue that sizes are told about.
type relationCatalog struct {
	server    serverInfo
	relations []relation
	parents   map[int64]int64 // child → parent
}

// target is a relation whose size is wanted: its oid, and the bytes of its data when it is empty.
type target struct{ oid, empty int64 }

// sizeable lists the relations that have bytes of their own, the biggest first.
func (c relationCatalog) sizeable() []target {
	wanted := make([]target, 0, len(c.relations))
	for _, r := range c.relations {
		if r.kind == "f" {
			continue
		}
		w := target{oid: r.oid}
		if r.toast {
			w.empty = c.server.blockSize // of the index of its TOAST
		}
		wanted = append(wanted, w)
	}
	return wanted
}

// assemble turns relations and their sizes into rows. Partitioned tables get the sum of everything below them, unread as
// soon as one part is; what was dropped meanwhile is left out.
func (c relationCatalog) assemble(sizes map[int64]relationSize) []models.TableSize {
	rollup := rollup{
		catalog: c, relations: map[int64]relation{}, children: map[int64][]int64{}, sizes: sizes, known: map[int64]rolledUp{},
	}
	for _, r := range c.relations {
		if r.partition || r.kind == "p" {
			rollup.relations[r.oid] = r
		}
		if parent, ok := c.parents[r.oid]; ok && r.partition {
			rollup.children[parent] = append(rollup.children[parent], r.oid)
		}
	}
	tables := make([]models.TableSize, 0, len(c.relations))
	for _, r := range c.relations {
		if r.kind == "f" || sizes[r.oid].gone() {
			continue
		}
		tables = append(tables, rollup.row(r))
	}
	return tables
}

// rolledUp is what a relation and everything below it hold; nil is unknown.
type rolledUp struct {
	data, index *int64
	rows        *int64
	statistic   bool          // not every row count is exact
	unread      models.Unread // why some of it could not be read; its bytes are then nil
}

type rollup struct {
	catalog   relationCatalog
	relations map[int64]relation // those of partition trees
	children  map[int64][]int64
	sizes     map[int64]relationSize
	known     map[int64]rolledUp // of partitioned tables
}

func (u rollup) row(r relation) models.TableSize {
	row := models.TableSize{Schema: collectors.ValidName(r.schema), Name: collectors.ValidName(r.name), Kind: models.KindTable}
	if parent, ok := u.relations[u.catalog.parents[r.oid]]; ok && r.partition {
		row.Kind, row.ParentSchema, row.Parent = models.KindPartition, collectors.ValidName(parent.schema), collectors.ValidName(parent.name)
	}
	switch r.kind {
	case "m":
		row.Kind = models.KindMatview
	case "p":
		row.Kind, row.RolledUp = models.KindPartitioned, true
	}
	row.SizeSource = models.SizeNone
	sum := u.sum(r)
	if row.Unread = sum.unread; row.Unread != "" {
		return row
	}
	if row.Rows = sum.rows; row.Rows != nil {
		row.RowsSource = models.RowsExact
		if sum.statistic {
			row.RowsSource = models.RowsStatistic
		}
	}
	row.Data, row.Index, row.Unused = sum.data, sum.index, new(int64)
	row.Total, row.SizeSource = collectors.AddKnown(sum.data, sum.index), models.SizeAllocated
	return row
}

// sum adds up a relation and everything below it, each relation once. Only partitioned tables have anything below.
func (u rollup) sum(r relation) rolledUp {
	if r.kind != "p" {
		return u.own(r)
	}
	if sum, ok := u.known[r.oid]; ok {
		return sum
	}
	sum := u.own(r)
	for _, oid := range u.children[r.oid] {
		child := u.sum(u.relations[oid])
		sum = rolledUp{
			data: collectors.AddKnown(sum.data, child.data), index: collectors.AddKnown(sum.index, child.index),
			rows: collectors.AddKnown(sum.rows, child.rows), statistic: sum.statistic || child.statistic,
			unread: cmp.Or(sum.unread, child.unread),
		}
	}
	u.known[r.oid] = sum
	return sum
}

// own is what a relation itself holds. The bytes of a foreign table are elsewhere, and so nobody knows its rows.
func (u rollup) own(r relation) rolledUp {
	size := u.sizes[r.oid]
	switch {
	case r.kind == "f":
		return rolledUp{data: new(int64), index: new(int64)}
	case size.unread != "":
		return rolledUp{unread: size.unread}
	case size.gone():
		return rolledUp{data: new(int64), index: new(int64), rows: new(int64)}
	}
	rows, source := u.catalog.rows(r, size)
	return rolledUp{data: size.data, index: size.index, rows: rows, statistic: source == models.RowsStatistic}
}

// rows estimates as the planner does: the density when the statistics were made, times the blocks there are now. No
// block now is no row; no block then, or no statistics at all, is no density.
func (c relationCatalog) rows(r relation, size relationSize) (*int64, models.RowsSource) {
	switch {
	case size.main == nil, *size.main == 0:
		return new(int64), models.RowsExact
	case r.tuples < 0, r.pages <= 0:
		return nil, ""
	}
	blocks := float64(*size.main) / float64(c.server.blockSize)
	rows := int64(math.Round(r.tuples * blocks / float64(r.pages)))
	return &rows, models.RowsStatistic
}
