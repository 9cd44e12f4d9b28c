package models

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"

	"gorm.io/gorm"
)

// TableQuery selects a page of a database's table-size snapshot.
type TableQuery struct {
	Known          InstanceDatabase // header as read before; its ID is 0 if it has to be read
	DatabaseID     int64            // 0: identified by InstanceID and Database
	InstanceID     int64
	Database       string // exact name
	Schema, Table  string // case-insensitive (Unicode) substrings, taken literally
	FoldPartitions bool   // leave out partitions
	ParentSchema   string // with Parent: only the partitions of this table
	Parent         string
	Unsettled      bool   // only rows without values of the newest run
	Sort           string // size|data|index|unused|rows|name|schema|growth_7|growth; empty: size
	Desc           bool
	Limit, Offset  int
	Cursor         string // TablePage.NextCursor of the page before; empty: by Offset
}

// TableSizeRow is a stored row with the figures that pages add.
type TableSizeRow struct {
	DatabaseTableSizeStat
	PartitionCount int64  // rows that are direct partitions of this one
	Growth7        *int64 // bytes, see growthWindow; nil: first measured on the snapshot's day, or unknown
	Growth30       *int64
}

// TablePage is one page of a snapshot with its header.
type TablePage struct {
	Database   InstanceDatabase // header; its ID is 0 when the database is not known
	Rows       []TableSizeRow
	Total      int64  // rows that match the filter
	NextCursor string // empty: this is the last page
}

// tablePageSize is the default number of rows of a page, mostRows the initial capacity at most.
const tablePageSize, mostRows = 200, 1000

// tableOrder is the order of a page: by a value, unknown last, then by schema and name; or by names alone.
type tableOrder struct {
	name  string // sort, with a leading "-" if descending
	value string // column or expression; empty: by names
	first string // column of the two names to sort by first
	then  string
	desc  bool
}

// newTableOrder returns the order of the query; an unknown sort means largest first. Only growth needs the header.
func newTableOrder(q TableQuery, header Snapshot) tableOrder {
	order := tableOrder{name: q.Sort, first: "schema_name", then: "table_name", desc: q.Desc}
	column, known := tableSorts[q.Sort]
	switch {
	case known:
		order.value = column.name
	case q.Sort == "schema":
	case q.Sort == "name":
		order.first, order.then = order.then, order.first
	default:
		i := slices.IndexFunc(growthWindows, func(w growthWindow) bool { return w.sort == q.Sort })
		if i < 0 {
			return newTableOrder(TableQuery{Sort: "size", Desc: true}, header)
		}
		order.value = growthWindows[i].growthOf(header)
	}
	if q.Desc {
		order.name = "-" + order.name
	}
	return order
}

func (o tableOrder) sql() string {
	if o.value != "" {
		return o.value + direction(o.desc) + ", schema_name, table_name"
	}
	if o.desc {
		return o.first + " DESC, " + o.then + " DESC"
	}
	return o.first + ", " + o.then
}

// condition is a SQL condition with its parameters.
type condition struct {
	sql    string
	values []any
}

// everything is the range of all rows.
var everything = condition{sql: "1 = 1"}

// after returns the conditions of the rows behind the cursor, in order. Each is one range of an index.
func (o tableOrder) after(c tableCursor) []condition {
	greater := map[bool]string{false: " > ", true: " < "}[o.desc]
	if o.value == "" {
		last := map[string]string{"schema_name": c.Schema, "table_name": c.Table}
		return []condition{{"(" + o.first + ", " + o.then + ")" + greater + "(?, ?)", []any{last[o.first], last[o.then]}}}
	}
	const byName = "(schema_name, table_name) > (?, ?)"
	if c.Value == nil {
		return []condition{{o.value + " IS NULL AND " + byName, []any{c.Schema, c.Table}}}
	}
	return []condition{
		{o.value + " = ? AND " + byName, []any{*c.Value, c.Schema, c.Table}},
		{o.value + greater + "?", []any{*c.Value}},
		{o.value + " IS NULL", nil},
	}
}

// TableSizes returns a page of a database's stored snapshot with its header, both from one state of the store. The
// page is empty if the database is unknown or was never collected. A cursor of another sort or database is
// CodeInvalid.
func (s *Store) TableSizes(ctx context.Context, q TableQuery) (TablePage, error) {
	if q.Limit <= 0 {
		q.Limit = tablePageSize
	}
	if err := q.CheckCursor(); err != nil {
		return TablePage{}, err
	}
	db, done := bounded(ctx, s.reader)
	defer done()

	page, err := s.readPage(db, q)
	if Is(err, CodeNotFound) {
		return TablePage{}, nil
	}
	return page, err
}

// readPage reads without a transaction, whose begin and end would take as long as the page: the rows come with the
// number of their snapshot. Unless that proves that they belong to the header, it reads the header again, and with
// another number the page, too.
func (s *Store) readPage(db *gorm.DB, q TableQuery) (page TablePage, err error) {
	header := q.Known
	if header.ID == 0 {
		if header, err = databaseOf(db, q); err != nil {
			return page, err
		}
	}
	for {
		r := s.newTableReader(db, q, header)
		if page, err = r.page(); err != nil || r.consistent() {
			return page, err
		}
		if header, err = takeDatabase(db, "id = ?", header.ID); err != nil || header.SnapshotNo == r.header.SnapshotNo {
			return page, err
		}
	}
}

// databaseOf returns the header of the query's database.
func databaseOf(tx *gorm.DB, q TableQuery) (InstanceDatabase, error) {
	switch {
	case q.DatabaseID != 0:
		return takeDatabase(tx, "id = ?", q.DatabaseID)
	case !storable(q.Database):
		return InstanceDatabase{}, NotFound("database.not_found")
	}
	return takeDatabase(tx, "instance_id = ? AND name = ?", q.InstanceID, q.Database)
}

// tableReader reads what a query selects of a database's snapshot.
type tableReader struct {
	store      *Store
	tx         *gorm.DB
	query      TableQuery
	header     InstanceDatabase
	order      tableOrder
	statements int   // executed so far
	snapshotNo int64 // of the rows read last; -1: none
}

func (s *Store) newTableReader(tx *gorm.DB, q TableQuery, header InstanceDatabase) *tableReader {
	q.DatabaseID = header.ID
	return &tableReader{
		store: s, tx: tx, query: q, header: header, order: newTableOrder(q, header.Snapshot), snapshotNo: -1,
	}
}

// consistent reports whether what was read is known to belong to the header.
func (r *tableReader) consistent() bool {
	return r.statements == 1 && r.snapshotNo == r.header.SnapshotNo
}

// page returns the page that the query selects.
func (r *tableReader) page() (page TablePage, err error) {
	page.Database = r.header
	var cursor *tableCursor
	if r.query.Cursor != "" {
		if cursor, err = parseTableCursor(r.query); err != nil {
			return page, err
		}
		r.query.Offset = 0
	}

	rows, next, err := r.next(cursor)
	if err != nil {
		return page, err
	}
	page.Rows = rows
	if next != nil {
		page.NextCursor = next.encode()
	}
	page.Total, err = r.count(len(rows), next != nil)
	return page, err
}

// next returns up to the query's limit of rows behind the cursor, and the next cursor if there are more.
func (r *tableReader) next(behind *tableCursor) ([]TableSizeRow, *tableCursor, error) {
	ranges := []condition{everything}
	if behind != nil {
		ranges = r.order.after(*behind)
	}
	rows, err := r.rows(ranges)
	if err != nil {
		return nil, nil, err
	}

	var next *tableCursor
	if limit := r.query.Limit; len(rows) > limit {
		rows = rows[:limit]
		next = newTableCursor(r.query, r.order, &rows[limit-1])
	}
	return rows, next, r.addPartitionCounts(rows)
}

// count returns how many rows the query selects. Without a filter the header knows; with one it counts only if the page
// does not hold all of them.
func (r *tableReader) count(found int, more bool) (int64, error) {
	q := r.query
	if q.Schema == "" && q.Table == "" && q.Parent == "" && !q.Unsettled {
		if q.FoldPartitions {
			return r.header.TopCount, nil
		}
		return r.header.TableCount, nil
	}
	if q.Cursor == "" && q.Offset == 0 && !more {
		return int64(found), nil
	}
	var total int64
	r.statements++
	err := r.filtered().Count(&total).Error
	return total, err
}

// filtered selects from the rows that pass the query's filter.
func (r *tableReader) filtered() *gorm.DB {
	q := r.query
	tx := r.tx.Table("database_table_size_stats").Where("database_id = ?", q.DatabaseID)
	switch {
	case q.Parent != "" && !storable(q.ParentSchema+q.Parent):
		tx = tx.Where(nothing)
	case q.Parent != "":
		tx = tx.Where("parent_name <> '' AND parent_schema = ? AND parent_name = ?", q.ParentSchema, q.Parent)
	case q.FoldPartitions:
		tx = tx.Where("parent_name = ''")
	}
	if q.Unsettled {
		tx = tx.Where("(unread <> '' OR kept_from IS NOT NULL)")
	}
	return r.store.search(r.store.search(tx, q.Schema, "schema_fold"), q.Table, "table_fold")
}

// rows returns the first rows of the ranges, one more than the query's limit at most.
func (r *tableReader) rows(ranges []condition) ([]TableSizeRow, error) {
	stored := make([]TableSizeRow, 0, min(r.query.Limit, mostRows)+1)
	for _, within := range ranges {
		r.statements++
		rows, err := r.selected(within).Limit(r.query.Limit + 1 - len(stored)).Rows()
		if err != nil {
			return nil, err
		}
		if stored, err = r.appendTo(stored, rows); err != nil || len(stored) > r.query.Limit {
			return stored, err
		}
	}
	return stored, nil
}

func (r *tableReader) selected(within condition) *gorm.DB {
	const snapshotNo = "(SELECT d.snapshot_no FROM instance_databases d WHERE d.id = ?)"
	columns := []string{selectTableColumns}
	for _, w := range growthWindows {
		columns = append(columns, w.growthOf(r.header.Snapshot))
	}
	return r.filtered().Select(strings.Join(append(columns, snapshotNo), ", "), r.query.DatabaseID).
		Where(within.sql, within.values...).Order(r.order.sql()).Offset(r.query.Offset)
}

func (r *tableReader) appendTo(stored []TableSizeRow, rows *sql.Rows) ([]TableSizeRow, error) {
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var row TableSizeRow
		destinations := row.destinations()
		for _, w := range growthWindows {
			destinations = append(destinations, w.of(&row))
		}
		if err := rows.Scan(append(destinations, &r.snapshotNo)...); err != nil {
			return nil, err
		}
		stored = append(stored, row)
	}
	return stored, errors.Join(rows.Err(), rows.Close())
}

// partitionCount is the number of rows with a parent.
type partitionCount struct {
	ParentSchema, ParentName string
	Partitions               int64
}

// addPartitionCounts sets PartitionCount of the rows that can have partitions.
func (r *tableReader) addPartitionCounts(rows []TableSizeRow) error {
	var parents [][]any
	for i := range rows {
		if rows[i].Kind == KindPartitioned || rows[i].RolledUp {
			parents = append(parents, []any{rows[i].Schema, rows[i].Name})
		}
	}
	if len(parents) == 0 {
		return nil
	}

	parameter, err := jsonParameter(parents)
	if err != nil {
		return err
	}
	var counts []partitionCount
	r.statements++
	err = r.tx.Raw(`SELECT t.parent_schema, t.parent_name, count(*) AS partitions
		FROM `+r.store.dialect.records([]column{{"schema_name", "text"}, {"table_name", "text"}})+`
		CROSS JOIN database_table_size_stats t
		WHERE t.database_id = ? AND t.parent_schema = r.schema_name AND t.parent_name = r.table_name AND t.parent_name <> ''
		GROUP BY t.parent_schema, t.parent_name`,
		parameter, r.query.DatabaseID).Scan(&counts).Error
	if err != nil {
		return err
	}

	byParent := make(map[tableKey]int64, len(counts))
	for _, c := range counts {
		byParent[tableKey{c.ParentSchema, c.ParentName}] = c.Partitions
	}
	for i := range rows {
		rows[i].PartitionCount = byParent[tableKey{rows[i].Schema, rows[i].Name}]
	}
	return nil
}
