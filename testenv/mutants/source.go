package mutants

import (
	"fmt"
	"go/ast"
	"go/constant"
	"go/token"
	"go/types"
	"slices"
	"strings"
)

// sourceMutant is one change of a function. Its number is that of the environment variable MUTANT that makes it.
type sourceMutant struct {
	number   int
	position token.Position
	name     string // function and change, without the line
}

// instrument writes a file anew so that each of its mutants can be switched on by number when it runs, from the number
// first on. Lines stay as they are.
func instrument(
	fset *token.FileSet, source []byte, file *ast.File, info *types.Info, first int,
) (string, []sourceMutant) {
	w := &sourceMutator{
		fset: fset, source: source, file: file, info: info, next: first,
		before: map[int][]string{}, after: map[int][]string{}, instead: map[int]replacement{},
		told: map[ast.Node]bool{}, gone: map[ast.Node]bool{},
	}
	for _, decl := range file.Decls {
		switch d := decl.(type) {
		case *ast.FuncDecl:
			w.function = d.Name.Name
			if d.Body != nil {
				w.walk(d.Body)
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				if value, ok := spec.(*ast.ValueSpec); ok && d.Tok == token.VAR {
					w.function = value.Names[0].Name
					w.walk(value)
				}
			}
		}
	}
	return w.render(), w.mutants
}

type replacement struct {
	end  int
	text string
}

// sourceMutator collects what to insert at offsets of the source: outer before inner.
type sourceMutator struct {
	fset          *token.FileSet
	source        []byte
	file          *ast.File
	info          *types.Info
	next          int
	function      string
	before, after map[int][]string
	instead       map[int]replacement
	told          map[ast.Node]bool // what needs no mutant of its own
	gone          map[ast.Node]bool // what does not decide anything
	mutants       []sourceMutant
}

func (w *sourceMutator) render() string {
	var out strings.Builder
	for i := 0; i <= len(w.source); {
		for _, text := range slices.Backward(w.after[i]) {
			out.WriteString(text)
		}
		for _, text := range w.before[i] {
			out.WriteString(text)
		}
		if r, ok := w.instead[i]; ok {
			out.WriteString(r.text)
			i = r.end
			continue
		}
		if i < len(w.source) {
			out.WriteByte(w.source[i])
		}
		i++
	}
	return out.String()
}

func (w *sourceMutator) offset(pos token.Pos) int { return w.fset.Position(pos).Offset }

func (w *sourceMutator) text(n ast.Node) string {
	return string(w.source[w.offset(n.Pos()):w.offset(n.End())])
}

// mutant numbers a change.
func (w *sourceMutator) mutant(n ast.Node, format string, args ...any) int {
	what := strings.Join(strings.Fields(fmt.Sprintf(format, args...)), " ")
	name := w.function + ": " + what
	same := func(m sourceMutant) bool { return m.name == name }
	for again := 2; slices.ContainsFunc(w.mutants, same); again++ {
		name = fmt.Sprintf("%s: %s #%d", w.function, what, again)
	}
	w.mutants = append(w.mutants, sourceMutant{w.next, w.fset.Position(n.Pos()), name})
	w.next++
	return w.next - 1
}

func (w *sourceMutator) wrap(n ast.Node, before, after string) {
	start, end := w.offset(n.Pos()), w.offset(n.End())
	w.before[start] = append(w.before[start], before)
	w.after[end] = append(w.after[end], after)
}

func (w *sourceMutator) call(n ast.Node, number int, function, arguments string) {
	w.wrap(n, fmt.Sprintf("%s(%d, ", function, number), arguments+")")
}

// walk goes through what runs, from the outside to the inside.
func (w *sourceMutator) walk(root ast.Node) {
	ast.Inspect(root, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.DeclStmt:
			return n.Decl.(*ast.GenDecl).Tok == token.VAR
		case *ast.FuncLit:
			w.walk(n.Body)
			return false
		case *ast.BlockStmt:
			w.statements(n.List)
		case *ast.CaseClause:
			w.statements(n.Body)
		case *ast.IfStmt:
			w.negate(n.Cond)
		case *ast.SwitchStmt:
			w.cases(n)
		case ast.Expr:
			return w.expression(n)
		}
		return true
	})
}

// expression is false where nothing within is to be changed.
func (w *sourceMutator) expression(e ast.Expr) bool {
	value := w.info.Types[e]
	if value.IsType() || w.gone[e] {
		return false
	}
	if value.Value != nil {
		w.constant(e, value)
		return false
	}
	switch e := e.(type) {
	case *ast.BinaryExpr:
		w.binary(e)
	case *ast.UnaryExpr:
		if e.Op == token.NOT {
			w.negate(e)
		}
	case *ast.CallExpr:
		w.builtin(e)
	case *ast.CompositeLit:
		w.literal(e)
	}
	return true
}

// statements leaves out each assignment, call and jump.
func (w *sourceMutator) statements(list []ast.Stmt) {
	for _, s := range list {
		switch s := s.(type) {
		case *ast.AssignStmt:
			if s.Tok == token.DEFINE {
				continue
			}
		case *ast.IncDecStmt, *ast.ExprStmt, *ast.BranchStmt:
		default:
			continue
		}
		w.wrap(s, fmt.Sprintf("if mutantKeeps(%d) { ", w.mutant(s, "without %s", w.text(s))), " }")
	}
}

func (w *sourceMutator) negate(condition ast.Expr) {
	if !w.told[condition] {
		w.told[condition] = true
		w.call(condition, w.mutant(condition, "not: %s", w.text(condition)), "mutantNot", "")
	}
}

// cases leaves out each expression of a switch, which becomes one that compares nothing.
func (w *sourceMutator) cases(s *ast.SwitchStmt) {
	compare := "("
	if s.Tag != nil {
		compare = "(" + w.text(s.Tag) + ") == ("
		w.instead[w.offset(s.Tag.Pos())] = replacement{w.offset(s.Tag.End()), ""}
		w.gone[s.Tag] = true
	}
	for _, clause := range s.Body.List {
		for _, e := range clause.(*ast.CaseClause).List {
			w.told[e] = s.Tag != nil
			number := w.mutant(e, "without case %s", w.text(e))
			w.wrap(e, fmt.Sprintf("mutantKeeps(%d) && %s", number, compare), ")")
		}
	}
}

var mutantOperators = map[token.Token]string{
	token.ADD: "mutantAdd", token.SUB: "mutantSub", token.MUL: "mutantMul",
	token.LSS: "mutantLess", token.LEQ: "mutantMost", token.GTR: "mutantMore", token.GEQ: "mutantLeast",
}

// binary takes each operand for the whole, and moves borders by one.
func (w *sourceMutator) binary(e *ast.BinaryExpr) {
	switch e.Op {
	case token.LAND, token.LOR:
		neutral := fmt.Sprint(e.Op == token.LAND)
		for _, operand := range []ast.Expr{e.X, e.Y} {
			name := w.mutant(operand, "%s for %s in %s", neutral, w.text(operand), w.text(e))
			w.call(operand, name, "mutantForce", ", "+neutral)
		}
	case token.EQL, token.NEQ:
		w.negate(e)
		w.tellStrings(e.X, e.Y)
	case token.ADD, token.SUB, token.MUL:
		number := w.mutant(e, "%s for %s", w.text(e.X), w.text(e))
		w.mutant(e, "%s for %s", w.text(e.Y), w.text(e))
		w.operator(e, number)
	case token.LSS, token.LEQ, token.GTR, token.GEQ:
		w.negate(e)
		w.operator(e, w.mutant(e, "border of %s", w.text(e)))
	}
}

func (w *sourceMutator) operator(e *ast.BinaryExpr, number int) {
	w.call(e, number, mutantOperators[e.Op], "")
	at := w.offset(e.OpPos)
	w.instead[at] = replacement{at + len(e.Op.String()), ","}
}

// tellStrings: a text compared with another than it should be is what the opposite comparison shows, too.
func (w *sourceMutator) tellStrings(operands ...ast.Expr) {
	for _, operand := range operands {
		if value := w.info.Types[operand].Value; value != nil && value.Kind() == constant.String {
			w.told[operand] = true
		}
	}
}

// builtin takes each operand of min and max for the whole. Capacities change nothing.
func (w *sourceMutator) builtin(e *ast.CallExpr) {
	if !w.info.Types[e.Fun].IsBuiltin() {
		w.tellStrings(e.Args...)
		return
	}
	switch w.text(e.Fun) {
	case "make":
		_, isMap := w.info.Types[e].Type.Underlying().(*types.Map)
		w.gone[e.Args[len(e.Args)-1]] = isMap || len(e.Args) == 3
	case "min", "max":
		first, arguments := w.next, ""
		for _, operand := range e.Args {
			w.mutant(e, "%s for %s", w.text(operand), w.text(e))
			arguments += ", " + w.text(operand)
		}
		w.call(e, first, "mutantPick["+w.typeName(w.info.Types[e].Type)+"]", arguments)
	}
}

// literal leaves out each member of a map, list or struct.
func (w *sourceMutator) literal(e *ast.CompositeLit) {
	switch w.info.Types[e].Type.Underlying().(type) {
	case *types.Map:
		if e.Type != nil && len(e.Elts) > 0 {
			w.mapLiteral(e)
		}
	case *types.Slice:
		if e.Type != nil && len(e.Elts) > 0 {
			w.listLiteral(e)
		}
	case *types.Struct:
		for _, element := range e.Elts {
			if pair, ok := element.(*ast.KeyValueExpr); ok {
				element = pair.Value
			}
			w.member(element)
		}
	}
}

func (w *sourceMutator) listLiteral(e *ast.CompositeLit) {
	first := w.next
	for _, element := range e.Elts {
		w.told[element] = true
		w.mutant(element, "without %s", w.text(element))
	}
	w.call(e, first, "mutantList", "")
}

func (w *sourceMutator) mapLiteral(e *ast.CompositeLit) {
	first, keys := w.next, ""
	for _, element := range e.Elts {
		pair := element.(*ast.KeyValueExpr)
		w.told[pair.Key] = true
		w.told[pair.Value] = w.isBool(pair.Value)
		w.mutant(pair, "without %s", w.text(pair))
		keys += ", " + w.text(pair.Key)
	}
	w.call(e, first, "mutantMap", keys)
}

func (w *sourceMutator) isBool(e ast.Expr) bool {
	value := w.info.Types[e].Value
	return value != nil && value.Kind() == constant.Bool
}

// member leaves a struct's member out; constants have a mutant of their own.
func (w *sourceMutator) member(e ast.Expr) {
	value := w.info.Types[e]
	composite, isComposite := e.(*ast.CompositeLit)
	_, isFunction := e.(*ast.FuncLit)
	if value.Value != nil || value.IsNil() || isFunction || isComposite && composite.Type == nil {
		return
	}
	w.call(e, w.mutant(e, "without %s", w.text(e)), "mutantDrop", "")
}

// constant adds one to a number, turns a truth round and empties a text.
func (w *sourceMutator) constant(e ast.Expr, value types.TypeAndValue) {
	name := w.typeName(types.Default(value.Type))
	if w.told[e] || name == "" {
		return
	}
	switch value.Value.Kind() {
	case constant.Bool:
		w.negate(e)
	case constant.String:
		if constant.StringVal(value.Value) != "" {
			w.call(e, w.mutant(e, "nothing for %s", w.text(e)), "mutantDrop["+name+"]", "")
		}
	case constant.Int, constant.Float:
		w.call(e, w.mutant(e, "%s + 1", w.text(e)), "mutantShift["+name+"]", "")
	}
}

// typeName is how the file writes a type; empty if it does not import it.
func (w *sourceMutator) typeName(t types.Type) string {
	known := true
	name := types.TypeString(t, func(p *types.Package) string {
		if p.Name() == w.file.Name.Name {
			return ""
		}
		imported := func(i *ast.ImportSpec) bool { return i.Name == nil && i.Path.Value == `"`+p.Path()+`"` }
		known = known && slices.ContainsFunc(w.file.Imports, imported)
		return p.Name()
	})
	if !known {
		return ""
	}
	return name
}
