package postgresql

import (
	"cmp"

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

// relationSize is the size of one relation in bytes, nil when it is unread or gone. Main is the part of its data that
// holds its rows; it is also nil when the data are no more than those of an empty table.
type relationSize struct {
	unread            models.Unread
	data, index, main *int64
}

// newRelationSize returns the size of a relation that the server sent so. One of impossible bytes is unread.
func newRelationSize(data, index, main collectors.Number) relationSize {
	if min(data, index, main) == collectors.Impossible {
		return relationSize{unread: models.UnreadFailed}
	}
	return relationSize{data: data.Pointer(), index: index.Pointer(), main: main.Pointer()}
}

func (s relationSize) gone() bool {
	return s.unread == "" && (s.data == nil || s.index == nil)
}

// relationCatalog is the part of a database's catalog that is measured.
type relationCatalog struct {
	server    serverInfo
	relations []relation
	parents   map[int64]int64 // child → parent
}

// target is a relation to be sized: its oid, and the bytes of its data when it is empty.
type target struct{ oid, empty int64 }

// sizeable returns the relations that have bytes of their own, the biggest first.
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

// assemble returns the rows of relations with the given sizes. A partitioned table has the sum of everything below it
// and is unread as soon as one part is. Relations that were dropped meanwhile are left out.
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

// rolledUp is the sum of a relation and everything below it; nil is unknown.
type rolledUp struct {
	data, index *int64
	rows        *int64
	statistic   bool          // at least one row count is an estimate
	impossible  bool          // the statistics of a part hold numbers that cannot be
	unread      models.Unread // why a part could not be read; data and index are then nil
}

// rollup adds up partition trees.
type rollup struct {
	catalog   relationCatalog
	relations map[int64]relation // those of partition trees
	children  map[int64][]int64
	sizes     map[int64]relationSize
	known     map[int64]rolledUp // of partitioned tables
}

func (u rollup) row(r relation) models.TableSize {
	row := models.TableSize{
		Schema: collectors.ValidName(r.schema), Name: collectors.ValidName(r.name), Kind: models.KindTable,
	}
	if parent, ok := u.relations[u.catalog.parents[r.oid]]; ok && r.partition {
		row.Kind = models.KindPartition
		row.ParentSchema, row.Parent = collectors.ValidName(parent.schema), collectors.ValidName(parent.name)
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
	if sum.impossible {
		row.Note = models.NoteImpossible
	}
	if row.Rows = sum.rows; row.Rows != nil {
		row.RowsSource = models.RowsExact
		if sum.statistic {
			row.RowsSource = models.RowsStatistic
		}
	}
	row.Data, row.Index = sum.data, sum.index // no function tells how much of the files is free
	row.Total, row.SizeSource = collectors.AddKnown(sum.data, sum.index), models.SizeAllocated
	return row
}

// sum returns the sum of a relation and everything below it, each relation counted once. Only partitioned tables have
// anything below them.
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
			impossible: sum.impossible || child.impossible,
			unread:     cmp.Or(sum.unread, child.unread),
		}
	}
	u.known[r.oid] = sum
	return sum
}

// own returns what a relation itself holds. A foreign table's bytes are elsewhere, so its rows are unknown.
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
	return rolledUp{
		data: size.data, index: size.index, rows: rows.Pointer(), statistic: source == models.RowsStatistic,
		impossible: rows == collectors.Impossible,
	}
}

// rows estimates the number of rows as the planner does: the rows per block when the statistics were made, times the
// blocks there are now. Without blocks now there are no rows; without blocks then, or without statistics, the number
// is unknown.
func (c relationCatalog) rows(r relation, size relationSize) (collectors.Number, models.RowsSource) {
	switch {
	case size.main == nil, *size.main == 0:
		return 0, models.RowsExact
	case r.tuples == -1, r.pages <= 0:
		return collectors.Unknown, ""
	}
	blocks := float64(*size.main) / float64(c.server.blockSize)
	return collectors.Rounded(r.tuples * blocks / float64(r.pages)), models.RowsStatistic
}
