package mutants

import (
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"testing"
)

func TestInstrument(t *testing.T) {
	tests := []struct{ name, source, want string }{
		{"conditions", `if a && b { }`, `if mutantNot(1, mutantForce(2, a, true) && mutantForce(3, b, true)) { }`},
		{
			"alternatives", `_ = a || !b`,
			`if mutantKeeps(1) { _ = mutantForce(2, a, false) || mutantForce(3, mutantNot(4, !b), false) }`,
		},
		{
			"sums", `x = x + y - z*2`,
			`if mutantKeeps(1) { x = mutantSub(2, mutantAdd(4, x , y) , mutantMul(6, z,mutantShift[int64](8, 2))) }`,
		},
		{"borders", `if x < y { }`, `if mutantNot(1, mutantLess(2, x , y)) { }`},
		{"floors", `z := max(x, 0)`, `z := mutantPick[int64](1, max(x, mutantShift[int64](3, 0)), x, 0)`},
		{
			"switch", `switch s { case "a", "b": x++ }`,
			`switch  { case mutantKeeps(1) && (s) == ("a"), mutantKeeps(2) && (s) == ("b"): if mutantKeeps(3) { x++ } }`,
		},
		{"bare switch", `switch { case a: }`, `switch { case mutantKeeps(1) && (a): }`},
		{"jumps", `for { break }`, `for { if mutantKeeps(1) { break } }`},
		{
			"tables", `m := map[int64]bool{1: true, 2: a}`,
			`m := mutantMap(1, map[int64]bool{1: true, 2: a}, 1, 2)`,
		},
		{"lists", `l := []string{"a", s}`, `l := mutantList(1, []string{"a", s})`},
		{
			"members", `p := struct{ q, r string }{q: s, r: "x"}`,
			`p := struct{ q, r string }{q: mutantDrop(1, s), r: mutantDrop[string](2, "x")}`,
		},
		{"capacities", `l := make([]int64, 0, x+y)`, `l := make([]int64, mutantShift[int](1, 0), x+y)`},
	}
	for _, test := range tests {
		before, after := "package p\nfunc f(a, b bool, s string, x, y, z int64) { ", " }\n"
		got, mutants := instrumentText(t, before+test.source+after)
		if want := before + test.want + after; got != want {
			t.Errorf("%s:\ngot  %s\nwant %s", test.name, got, want)
		}
		for i, m := range mutants {
			if m.number != i+1 {
				t.Errorf("%s: mutant %d has the number %d", test.name, i+1, m.number)
			}
		}
	}
}

func instrumentText(t *testing.T, source string) (string, []sourceMutant) {
	t.Helper()
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, "p.go", source, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	info := &types.Info{Types: map[ast.Expr]types.TypeAndValue{}}
	config := types.Config{Error: func(error) {}} // what is declared is not always used
	_, _ = config.Check("p", fset, []*ast.File{file}, info)
	return instrument(fset, []byte(source), file, info, 1)
}
