package grammar

import (
	"strings"

	"github.com/antlr4-go/antlr/v4"
	"github.com/bytebase/parser/plsql"
	"github.com/bytebase/parser/tsql"
)

// scope is one SELECT: what it reads from, and the columns it names.
type scope struct {
	outer   *scope // nil unless it is a subquery
	tables  []table
	columns []column
	outputs []string // names given by AS
}

type table struct {
	position
	path  []string // schema and name, or the name alone
	alias string   // empty: none
}

type column struct {
	position
	table string // alias or name before the dot; empty: none
	name  string
	sorts bool // in ORDER BY, which may refer to names given by AS
}

// scopes collects the SELECTs of a tree while it is walked.
type scopes struct {
	all      []*scope
	current  *scope // nil outside of a SELECT
	sorting  bool
	problems []problem
}

func (s *scopes) enter() {
	s.current = &scope{outer: s.current}
	s.all = append(s.all, s.current)
}

func (s *scopes) leave() { s.current = s.current.outer }

func (s *scopes) fail(where antlr.Token, text string) {
	s.problems = append(s.problems, problem{at(where), text})
}

// column records a reference of one or two parts. One in ORDER BY comes after its SELECT has been left.
func (s *scopes) column(where antlr.Token, path []string) {
	if len(path) > 2 {
		s.fail(where, "more than alias.column: "+strings.Join(path, "."))
		return
	}
	target := s.current
	if target == nil && len(s.all) > 0 {
		target = s.all[len(s.all)-1]
	}
	if target == nil {
		return
	}
	c := column{position: at(where), name: path[len(path)-1], sorts: s.sorting}
	if len(path) == 2 {
		c.table = path[0]
	}
	target.columns = append(target.columns, c)
}

func (s *scopes) table(where antlr.Token, path []string, alias string) {
	if len(path) > 2 {
		s.fail(where, "a name of more than two parts reaches into another database: "+strings.Join(path, "."))
		return
	}
	s.current.tables = append(s.current.tables, table{at(where), path, alias})
}

type tsqlWalker struct {
	tsql.BaseTSqlParserListener
	scopes
}

func (w *tsqlWalker) EnterQuery_specification(*tsql.Query_specificationContext) { w.enter() }
func (w *tsqlWalker) ExitQuery_specification(*tsql.Query_specificationContext)  { w.leave() }
func (w *tsqlWalker) EnterOrder_by_clause(*tsql.Order_by_clauseContext)         { w.sorting = true }
func (w *tsqlWalker) ExitOrder_by_clause(*tsql.Order_by_clauseContext)          { w.sorting = false }

func (w *tsqlWalker) EnterSelect_statement_standalone(c *tsql.Select_statement_standaloneContext) {
	if len(w.all) > 0 {
		w.fail(c.GetStart(), "a second statement")
	}
}

func (w *tsqlWalker) EnterAsterisk(c *tsql.AsteriskContext) {
	w.fail(c.GetStart(), "* does not say which columns")
}

func (w *tsqlWalker) EnterColumn_alias(c *tsql.Column_aliasContext) {
	if w.current != nil {
		w.current.outputs = append(w.current.outputs, bare(c.GetText()))
	}
}

func (w *tsqlWalker) EnterTable_source_item(c *tsql.Table_source_itemContext) {
	name := c.Full_table_name()
	if name == nil {
		w.fail(c.GetStart(), "not a view: "+c.GetText())
		return
	}
	alias := ""
	if as := c.As_table_alias(); as != nil {
		alias = bare(as.Table_alias().GetText())
	}
	w.table(c.GetStart(), path(name.GetText()), alias)
}

func (w *tsqlWalker) EnterFull_column_name(c *tsql.Full_column_nameContext) {
	w.column(c.GetStart(), path(c.GetText()))
}

type plsqlWalker struct {
	plsql.BasePlSqlParserListener
	scopes
}

func (w *plsqlWalker) EnterQuery_block(*plsql.Query_blockContext)         { w.enter() }
func (w *plsqlWalker) ExitQuery_block(*plsql.Query_blockContext)          { w.leave() }
func (w *plsqlWalker) EnterOrder_by_clause(*plsql.Order_by_clauseContext) { w.sorting = true }
func (w *plsqlWalker) ExitOrder_by_clause(*plsql.Order_by_clauseContext)  { w.sorting = false }

func (w *plsqlWalker) EnterSelect_statement(c *plsql.Select_statementContext) {
	if len(w.all) > 0 && w.current == nil {
		w.fail(c.GetStart(), "a second statement")
	}
}

func (w *plsqlWalker) EnterSql_script(c *plsql.Sql_scriptContext) {
	if semicolon := c.SEMICOLON(0); semicolon != nil {
		w.fail(semicolon.GetSymbol(), "a semicolon is not part of a statement: ORA-00911")
	}
}

func (w *plsqlWalker) EnterSelected_list(c *plsql.Selected_listContext) {
	if c.GetText() == "*" {
		w.fail(c.GetStart(), "* does not say which columns")
	}
}

func (w *plsqlWalker) EnterTable_wild(c *plsql.Table_wildContext) {
	w.fail(c.GetStart(), "* does not say which columns")
}

func (w *plsqlWalker) EnterColumn_alias(c *plsql.Column_aliasContext) {
	if name := c.Identifier(); name != nil {
		w.current.outputs = append(w.current.outputs, folded(name.GetText()))
	}
}

func (w *plsqlWalker) EnterTable_ref_aux(c *plsql.Table_ref_auxContext) {
	one, ok := c.Table_ref_aux_internal().(*plsql.Table_ref_aux_internal_oneContext)
	if !ok || one.Dml_table_expression_clause().Tableview_name() == nil {
		w.fail(c.GetStart(), "not a view: "+c.GetText())
		return
	}
	alias := ""
	if as := c.Table_alias(); as != nil {
		alias = folded(as.GetText())
	}
	name := one.Dml_table_expression_clause().Tableview_name().GetText()
	w.table(c.GetStart(), foldedPath(name), alias)
}

func (w *plsqlWalker) EnterGeneral_element(c *plsql.General_elementContext) {
	for _, part := range c.AllGeneral_element_part() {
		if part.Function_argument() != nil {
			return
		}
	}
	w.column(c.GetStart(), foldedPath(c.GetText()))
}

func (w *plsqlWalker) EnterTable_element(c *plsql.Table_elementContext) {
	w.column(c.GetStart(), foldedPath(c.GetText()))
}

// path splits a dotted name. No catalog has names with dots inside.
func path(name string) []string {
	parts := strings.Split(name, ".")
	for i, part := range parts {
		parts[i] = bare(part)
	}
	return parts
}

func bare(name string) string { return strings.Trim(name, `[]"`) }

func foldedPath(name string) []string {
	parts := strings.Split(name, ".")
	for i, part := range parts {
		parts[i] = folded(part)
	}
	return parts
}

// folded returns a name as Oracle stores it: in upper case unless it is quoted.
func folded(name string) string {
	if quoted := strings.Trim(name, `"`); quoted != name {
		return quoted
	}
	return strings.ToUpper(name)
}
