package sqlserver

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"whalefall/testenv/tds"
)

// indexTables are the internal_type of internal tables whose pages sp_spaceused counts with their parent: XML,
// full-text, semantic, spatial and extended indexes.
// https://learn.microsoft.com/sql/relational-databases/system-stored-procedures/sp-spaceused-transact-sql
var indexTables = []int64{202, 204, 207, 211, 212, 213, 214, 215, 216, 221, 222, 236}

const pageKB = 8

// callByName runs a procedure that was called as a remote procedure.
func (c *session) callByName(ctx context.Context, q tds.Query, w *tds.Writer) error {
	name, err := lex(q.Procedure)
	if err != nil {
		return err
	}
	return c.execute(ctx, name, q.Params, w)
}

// call runs EXEC name @argument = value, ….
func (c *session) call(ctx context.Context, q tds.Query, statement []token, w *tds.Writer) error {
	end := 0
	for end < len(statement) && (statement[end].sign(".") || end == 0 || statement[end-1].sign(".")) {
		end++
	}
	arguments, err := callArguments(statement[end:], q.Params)
	if err != nil {
		return err
	}
	return c.execute(ctx, statement[:end], arguments, w)
}

// callArguments returns the arguments of a call, whose values are constants or parameters of the batch.
func callArguments(tokens []token, params []tds.Param) ([]tds.Param, error) {
	var out []tds.Param
	for len(tokens) > 0 {
		var argument tds.Param
		if len(tokens) > 2 && tokens[0].kind == variableToken && tokens[1].sign("=") {
			argument.Name, tokens = "@"+tokens[0].text, tokens[2:]
		}
		if tokens[0].is("N") && len(tokens) > 1 && tokens[1].kind == stringToken {
			tokens = tokens[1:]
		}
		value, err := constant(tokens[0], params)
		if err != nil {
			return nil, err
		}
		argument.Value, tokens = value, tokens[1:]
		out = append(out, argument)
		if len(tokens) > 0 && !tokens[0].sign(",") || len(tokens) == 1 {
			return nil, Message(102, tokens[0].text)
		}
		tokens = tokens[min(1, len(tokens)):]
	}
	return out, nil
}

func constant(t token, params []tds.Param) (any, error) {
	switch {
	case t.kind == stringToken, t.kind == quotedToken:
		return t.text, nil
	case t.is("NULL"):
		return nil, nil //nolint:nilnil // the value is NULL
	case t.kind == numberToken:
		return strconv.ParseInt(t.text, 10, 64)
	case t.kind == variableToken:
		for _, p := range params {
			if strings.EqualFold(p.Name, "@"+t.text) {
				return p.Value, nil
			}
		}
		return nil, Message(137, t.text)
	case t.kind == wordToken:
		return t.text, nil
	default:
		return nil, Message(102, t.text)
	}
}

// execute runs a procedure: only sp_spaceused of one object exists.
func (c *session) execute(ctx context.Context, name []token, arguments []tds.Param, w *tds.Writer) error {
	var parts []string
	for _, t := range name {
		if t.name() {
			parts = append(parts, t.text)
		}
	}
	known := len(parts) == 1 || len(parts) == 2 && (sameName(parts[0], "sys") || sameName(parts[0], "dbo"))
	if !known || !sameName(parts[len(parts)-1], "sp_spaceused") {
		return Message(2812, strings.Join(parts, "."))
	}
	object := ""
	for i, argument := range arguments {
		switch {
		case i == 0 && argument.Name == "", sameName(argument.Name, "@objname"):
			object, _ = argument.Value.(string)
		default:
			return Message(8144, "sp_spaceused")
		}
	}
	if object == "" {
		return Message(201, "sp_spaceused", "@objname") // a server sums up the database; this one does not
	}
	if err := c.waitForLocks(ctx, []string{"sys.objects"}); err != nil {
		return err
	}
	return c.spaceUsed(ctx, object, w)
}

// spaceUsed answers sp_spaceused @objname as its page defines it: data is what the heap or clustered index uses, index
// the rest of the used space, unused the rest of the reserved space. Index tables count with their parent, except for
// rows.
func (c *session) spaceUsed(ctx context.Context, objectName string, w *tds.Writer) error {
	values, err := c.spaceRow(objectName)
	if err != nil {
		return err
	}
	if err := w.Columns(spaceColumns...); err != nil {
		return err
	}
	if err := w.Row(ctx, values...); err != nil {
		return err
	}
	w.Done(1)
	return nil
}

func (c *session) spaceRow(objectName string) ([]any, error) {
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	d, login, err := c.here()
	if err != nil {
		return nil, err
	}
	object, err := object(d, login, objectName)
	if err != nil {
		return nil, err
	}
	id, _ := number(object["object_id"])
	found := d.measure(id)
	const width = 20 // of a count: char(20)
	rows := any(nil)
	if found.rows != nil {
		rows = fmt.Sprintf("%-*d", width, *found.rows)
	}
	if d.isMemoryOptimized(id) {
		return []any{object["name"], rows, nil, nil, nil, nil}, nil
	}
	index, unused := less(found.used, found.data), less(found.reserved, found.used)
	return []any{
		object["name"], rows,
		kilobytes(found.reserved), kilobytes(found.data), kilobytes(index), kilobytes(unused),
	}, nil
}

var spaceColumns = []tds.Column{
	{Name: "name", Type: tds.NVarChar, Size: 128},
	{Name: "rows", Type: tds.NVarChar, Size: 20},
	{Name: "reserved", Type: tds.NVarChar, Size: 18},
	{Name: "data", Type: tds.NVarChar, Size: 18},
	{Name: "index_size", Type: tds.NVarChar, Size: 18},
	{Name: "unused", Type: tds.NVarChar, Size: 18},
}

func kilobytes(pages *int64) any {
	if pages == nil {
		return nil
	}
	return strconv.FormatInt(*pages*pageKB, 10) + " KB"
}

// less returns a − b; 0 if that is negative or unknown.
func less(a, b *int64) *int64 {
	rest := int64(0)
	if a != nil && b != nil {
		rest = max(0, *a-*b)
	}
	return &rest
}

// object returns the object that sp_spaceused measures: a visible table, view, queue or internal table.
func object(d *Database, l Login, objectName string) (map[string]any, error) {
	unknown := Message(15009, objectName, d.Name)
	parts, err := nameParts(objectName)
	if err != nil || len(parts) > 3 {
		return nil, unknown
	}
	if len(parts) == 3 && !sameName(parts[0], d.Name) {
		return nil, Message(15250)
	}
	schema := "dbo"
	if len(parts) > 1 {
		schema = parts[len(parts)-2]
	}
	hidden := hiddenObjects(d, l)
	for _, row := range d.Rows["sys.objects"] {
		if row["name"] != parts[len(parts)-1] || d.schemaName(row["schema_id"]) != schema || hidden(row["object_id"]) {
			continue
		}
		kind := strings.TrimSpace(fmt.Sprint(row["type"]))
		if !slices.Contains([]string{"U", "S", "V", "SQ", "IT"}, kind) {
			return nil, Message(15234)
		}
		return row, nil
	}
	return nil, unknown
}

// nameParts splits a name such as [a.b].[c]]d].
func nameParts(name string) ([]string, error) {
	tokens, err := lex(name)
	if err != nil {
		return nil, err
	}
	var parts []string
	for i, t := range tokens {
		if named := i%2 == 0; named != t.name() || !named && !t.sign(".") {
			return nil, Message(102, t.text)
		}
		if t.name() {
			parts = append(parts, t.text)
		}
	}
	if len(tokens)%2 == 0 {
		return nil, Message(102, name)
	}
	return parts, nil
}

func (d *Database) schemaName(id any) string {
	for _, row := range d.Rows["sys.schemas"] {
		if fmt.Sprint(row["schema_id"]) == fmt.Sprint(id) {
			return fmt.Sprint(row["name"])
		}
	}
	return ""
}

// space holds the pages and rows of an object; nil is the sum of no rows.
type space struct{ reserved, used, data, rows *int64 }

// add adds the columns of the row to a sum.
func add(sum **int64, row map[string]any, columns ...string) {
	if *sum == nil {
		*sum = new(int64)
	}
	for _, column := range columns {
		n, _ := number(row[column])
		**sum += n
	}
}

func (d *Database) measure(id int64) space {
	var out space
	for _, row := range d.rowsOf("sys.dm_db_partition_stats", id) {
		add(&out.reserved, row, "reserved_page_count")
		add(&out.used, row, "used_page_count")
		if index, _ := number(row["index_id"]); index > 1 {
			row = nil
		}
		add(&out.data, row, "in_row_data_page_count", "lob_used_page_count", "row_overflow_used_page_count")
		add(&out.rows, row, "row_count")
	}
	for _, table := range d.Rows["sys.internal_tables"] {
		parent, _ := number(table["parent_id"])
		kind, _ := number(table["internal_type"])
		if parent != id || !slices.Contains(indexTables, kind) {
			continue
		}
		own, _ := number(table["object_id"])
		for _, row := range d.rowsOf("sys.dm_db_partition_stats", own) {
			add(&out.reserved, row, "reserved_page_count")
			add(&out.used, row, "used_page_count")
		}
	}
	if d.isMemoryOptimized(id) {
		out.rows = d.partitionRows(id)
	}
	return out
}

func (d *Database) rowsOf(view string, id int64) []map[string]any {
	var out []map[string]any
	for _, row := range d.Rows[view] {
		if object, known := number(row["object_id"]); known && object == id {
			out = append(out, row)
		}
	}
	return out
}

func (d *Database) isMemoryOptimized(id int64) bool {
	return slices.ContainsFunc(d.rowsOf("sys.tables", id), func(row map[string]any) bool {
		n, _ := number(row["is_memory_optimized"])
		return n == 1 || row["is_memory_optimized"] == true
	})
}

// partitionRows returns the rows of a memory-optimized table: those of its heap, clustered or columnstore index.
func (d *Database) partitionRows(id int64) *int64 {
	var rows *int64
	for _, row := range d.rowsOf("sys.partitions", id) {
		if index, _ := number(row["index_id"]); index == 0 || index == 1 || index == 5 {
			add(&rows, row, "rows")
		}
	}
	return rows
}
