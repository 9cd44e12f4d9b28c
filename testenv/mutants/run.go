// Package mutants changes code and statements one thing at a time and demands that a test notices. What it changes must
// be code without side effects: every change runs the tests in a process of its own.
package mutants

import (
	"context"
	"database/sql"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"whalefall/testenv/catalog"
)

// Suite describes the mutation tests of one package, which is the one in the working directory.
type Suite struct {
	Dialect    string              // the catalog of testenv/catalog that has the views of the statements
	Sources    []Source            // files with pure code
	Statements map[string][]string // tests by the beginning of a statement's name; the longest beginning counts
	Equivalent map[string]string   // mutants no test can tell from the original, and why
}

// Source is a file of which a test must need every part. The tests are tried in turn: list first what is fast and
// finds most.
type Source struct {
	File  string
	Tests []string // patterns of names
}

const (
	mutantsBudget = 8 * time.Minute  // all mutants, once they are built
	mutantTimeout = 20 * time.Second // one test of one mutant, which may loop
	mutantsAtOnce = 2                // processes
)

// mutation is a mutant in a process of its own, by environment variables.
type mutation struct {
	name, place string
	environment []string
}

// Environment of a process: the name of the statement to change, and its text.
const mutantStatement, mutantText = "MUTANT_STATEMENT", "MUTANT_TEXT"

// Apply changes the statement that the environment of this process names. Tests call it in init.
func Apply(statements map[string]string) {
	if name := os.Getenv(mutantStatement); name != "" {
		statements[name] = os.Getenv(mutantText)
	}
}

// Run fails for every mutant of the sources and statements that no test notices and that is not listed as equivalent.
func (s Suite) Run(t *testing.T) {
	binary, ofSource := s.build(t)
	ctx, cancel := context.WithTimeout(t.Context(), mutantsBudget)
	defer cancel()

	run := mutantRun{
		binary: binary, sound: map[string]bool{}, equivalent: s.Equivalent, unlisted: maps.Clone(s.Equivalent),
	}
	for _, source := range s.Sources {
		run.group(ctx, t, source.File, source.Tests, ofSource[source.File])
	}
	ofStatement := statementMutations(t)
	for _, statement := range slices.Sorted(maps.Keys(ofStatement)) {
		run.group(ctx, t, statement+".sql", s.testsOf(statement), ofStatement[statement])
	}

	for name := range run.unlisted {
		t.Errorf("listed as equivalent, but it is not, or is no mutant: %s", name)
	}
}

// build compiles the package's tests with all mutants of the sources in them, once.
func (s Suite) build(t *testing.T) (binary string, ofSource map[string][]mutation) {
	t.Helper()
	overlay, ofSource := s.instrument(t)
	binary = filepath.Join(t.TempDir(), "mutants.test")
	build := goCommand(t.Context(), "test", "-c", "-trimpath", "-overlay", overlay, "-o", binary, ".")
	output, err := build.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	return binary, ofSource
}

// testsOf returns the tests that a change of the statement must turn red.
func (s Suite) testsOf(statement string) (tests []string) {
	longest := -1
	for beginning, of := range s.Statements {
		if strings.HasPrefix(statement, beginning) && len(beginning) > longest {
			longest, tests = len(beginning), of
		}
	}
	return tests
}

// statementMutations returns the mutants of every SELECT in the folder sql.
func statementMutations(t *testing.T) map[string][]mutation {
	t.Helper()
	all := map[string][]mutation{}
	for file, text := range statementFiles(t) {
		statement := strings.TrimSuffix(filepath.Base(file), ".sql")
		for _, m := range mutantsOf(text) {
			all[statement] = append(all[statement], mutation{statement + ".sql: " + m.name, file, []string{
				mutantStatement + "=" + statement, mutantText + "=" + m.statement,
			}})
		}
	}
	return all
}

// statementFiles returns the texts of the files in the folder sql by their paths.
func statementFiles(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob("sql/*.sql")
	if err != nil || len(files) == 0 {
		t.Fatalf("no statements: %v", err)
	}

	texts := make(map[string]string, len(files))
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		texts[file] = string(text)
	}
	return texts
}

// mutantRun runs mutants and strikes off what is known to be equivalent.
type mutantRun struct {
	binary string
	sound  map[string]bool // tests that pass without a mutant

	equivalent, unlisted map[string]string
}

func (r mutantRun) group(ctx context.Context, t *testing.T, what string, tests []string, mutations []mutation) {
	t.Helper()
	for _, test := range tests {
		if r.sound[test] {
			continue
		}
		if output, err := r.run(ctx, test, nil); err != nil || !ran(test, output) {
			t.Fatalf("%s must pass without a mutant: %v\n%s", test, err, output[max(0, len(output)-2000):])
		}
		r.sound[test] = true
	}
	started, listed := time.Now(), 0
	alive := r.survivors(ctx, t, tests, mutations)
	for _, m := range alive {
		if _, known := r.equivalent[m.name]; known {
			delete(r.unlisted, m.name)
			listed++
			continue
		}
		t.Errorf("%s: no test needs this: %s", m.place, m.name)
	}
	t.Logf("%s: %d mutants, %d equivalent, %d survived, %v", what, len(mutations), listed, len(alive)-listed,
		time.Since(started).Round(time.Second/10))
}

// ran reports whether the output tells of a test of that pattern, which the go tool does not mind to be missing.
func ran(test, output string) bool {
	mark := "\n" + strings.Repeat("    ", strings.Count(test, "/")) + "--- PASS: "
	return strings.Contains(output, mark)
}

// goCommand runs the go tool without the race detector, which costs much and finds nothing in pure code.
func goCommand(ctx context.Context, arguments ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "go", arguments...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	return cmd
}

//go:embed runtime.txt
var runtimeSource string

// instrument writes the sources anew in a temporary directory and returns the overlay that puts them in place, and the
// mutants of each file.
func (s Suite) instrument(t *testing.T) (overlay string, mutants map[string][]mutation) {
	t.Helper()
	fset, parsed, info := checkPackage(t)
	dir := t.TempDir()
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	support := filepath.Join(dir, "mutants.go")
	replace := map[string]string{filepath.Join(here, "mutants.go"): support}
	for _, file := range parsed {
		content := strings.Replace(runtimeSource, "package PACKAGE", "package "+file.Name.Name, 1)
		if err := os.WriteFile(support, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		break
	}
	mutants = map[string][]mutation{}
	next := 1
	for _, c := range s.Sources {
		source, err := os.ReadFile(c.File)
		if err != nil {
			t.Fatal(err)
		}
		text, of := instrument(fset, source, parsed[c.File], info, next)
		next += len(of)
		for _, m := range of {
			place := fmt.Sprintf("%s:%d", c.File, m.position.Line)
			mutants[c.File] = append(mutants[c.File], mutation{m.name, place, []string{"MUTANT=" + strconv.Itoa(m.number)}})
		}
		replace[filepath.Join(here, c.File)] = filepath.Join(dir, c.File)
		if err := os.WriteFile(filepath.Join(dir, c.File), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	content, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	overlay = filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(overlay, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return overlay, mutants
}

// checkPackage finds the types of this package without its tests.
func checkPackage(t *testing.T) (*token.FileSet, map[string]*ast.File, *types.Info) {
	t.Helper()
	format := `{{if .DepOnly}}{{.ImportPath}} {{.Export}}{{else}}{{range .GoFiles}}{{.}} {{end}}{{end}}`
	output, err := goCommand(t.Context(), "list", "-trimpath", "-export", "-deps", "-f", format, ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(output)), "\n")
	exports := map[string]string{}
	for _, line := range lines[:len(lines)-1] {
		path, file, _ := strings.Cut(line, " ")
		exports[path] = file
	}
	fset, parsed := token.NewFileSet(), map[string]*ast.File{}
	var all []*ast.File
	for name := range strings.FieldsSeq(lines[len(lines)-1]) {
		file, err := parser.ParseFile(fset, name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		parsed[name] = file
		all = append(all, file)
	}
	lookup := func(path string) (io.ReadCloser, error) { return os.Open(exports[path]) }
	info := &types.Info{Types: map[ast.Expr]types.TypeAndValue{}}
	config := types.Config{Importer: importer.ForCompiler(fset, "gc", lookup)}
	if _, err := config.Check(".", fset, all, info); err != nil {
		t.Fatal(err)
	}
	return fset, parsed, info
}

// run runs tests with a mutant in effect; the error says that one failed.
func (r mutantRun) run(ctx context.Context, test string, environment []string) (string, error) {
	pattern := "^(" + strings.ReplaceAll(test, "/", ")$/^(") + ")$"
	cmd := exec.CommandContext(ctx, r.binary, "-test.v", "-test.failfast",
		"-test.timeout="+mutantTimeout.String(), "-test.run="+pattern,
		"-rapid.seed=1", "-rapid.shrinktime=0s", "-rapid.nofailfile") // the same examples for each mutant, every time
	cmd.Env = append(os.Environ(), environment...)
	output, err := cmd.CombinedOutput()
	return string(output), err
}

// survivors are the mutants with which all tests pass, in order.
func (r mutantRun) survivors(
	ctx context.Context, t *testing.T, tests []string, mutations []mutation,
) (alive []mutation) {
	t.Helper()
	errs := make([]error, len(mutations))
	next := make(chan int)
	var workers sync.WaitGroup
	for range mutantsAtOnce {
		workers.Go(func() {
			for i := range next {
				for _, test := range tests {
					if errs[i] == nil {
						_, errs[i] = r.run(ctx, test, mutations[i].environment)
					}
				}
			}
		})
	}
	for i := range mutations {
		next <- i
	}
	close(next)
	workers.Wait()
	if ctx.Err() != nil {
		t.Fatalf("not all of %d mutants were run: %v", len(mutations), context.Cause(ctx))
	}
	for i, err := range errs {
		var failed *exec.ExitError
		if err != nil && !errors.As(err, &failed) {
			t.Fatalf("%s: %v", mutations[i].name, err)
		}
		if err == nil {
			alive = append(alive, mutations[i])
		}
	}
	return alive
}

// CheckSound fails unless the catalog takes every mutant of each statement that it takes itself, and at least so many
// in all: a statement that no server takes would be noticed for nothing. The few with functions that only servers have
// are left out.
func (s Suite) CheckSound(t *testing.T, atLeast int) {
	t.Helper()
	db, err := catalog.Open(t.Context(), catalog.Views(s.Dialect), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()

	checked := 0
	for file, text := range statementFiles(t) {
		if !explains(t, db, text) {
			continue
		}
		for _, m := range mutantsOf(text) {
			checked++
			if !explains(t, db, m.statement) {
				t.Errorf("%s: %s", file, m.name)
			}
		}
	}
	if checked < atLeast {
		t.Errorf("only %d mutants were checked, want at least %d", checked, atLeast)
	}
}

func explains(t *testing.T, db *sql.DB, statement string) bool {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), "EXPLAIN "+statement)
	if err != nil {
		return false
	}
	defer func() { _ = rows.Close() }()
	return rows.Err() == nil
}
