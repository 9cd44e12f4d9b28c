package collectors

import (
	"context"
	"database/sql"
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

// classification is what decides whose a size is: pure code, each part of which a test must need. Tests are tried in
// turn, so what is fast and finds most comes first.
var classification = []struct {
	file  string
	tests []string
}{
	{"sqlserver_sizes.go", []string{"TestSQLServer(Rule|Properties).*", "TestSQLServerCases/a_bit_of_everything", "TestSQLServerCases"}},
	{"sqlserver_read.go", []string{
		"TestSQLServer(Rule|Properties).*", "TestSQLServerCases/a_bit_of_everything", "TestSQLServerCases", "TestSQLServerAsksEachVersionForWhatItHas",
	}},
	{"oracle_segments.go", []string{"TestOracle(Rule.*|Properties)|TestTablesThatStoreEachOtherEnd", "TestOracleCases"}},
}

// statementTests are those that a change of a statement must turn red: of one whose file's name begins so, the longest
// such beginning. They are tried in turn.
var statementTests = map[string][]string{
	"sqlserver/":               {"TestSQLServerCases/a_bit_of_everything", "TestSQLServerCases"},
	"sqlserver/database":       {"TestSQLServerDatabases.*"},
	"sqlserver/every_database": {"TestSQLServerDatabases.*"},
	"sqlserver/master_files":   {"TestSQLServerDatabases.*"},
	"sqlserver/session":        {"TestSQLServerTellsItsVersion", "TestSQLServerTablesSayWhyADatabaseIsClosed"},
	"sqlserver/snapshot":       {"TestSQLServerTablesSayWhyADatabaseIsClosed"},
	"sqlserver/tables_2014":    {"TestSQLServerAsksEachVersionForWhatItHas"},
	"sqlserver/yardstick":      {"TestSelfCheckOfSQLServer(AsksOnce|OnEveryCase)"},

	"oracle/":                 {"TestOracleCases/two_owners_with_the_same.*", "TestOracleRuleEveryColumnCounts", "TestOracleCases"},
	"oracle/container":        {"TestOracleReleases"},
	"oracle/data_files":       {"TestOracleDatabases"},
	"oracle/products":         {"TestOracleReleases"},
	"oracle/sys_segments":     {"TestOracleWithoutASynonym", "TestOracleFallsBackWhenDenied"},
	"oracle/tablespaces":      {"TestOracleDatabases", "TestOracleCases"},
	"oracle/temp_files":       {"TestOracleDatabases"},
	"oracle/user_":            {"TestOracleRuleEveryColumnCounts", "TestOracleCases/everything_one_schema_can_own.*", "TestOracleCases"},
	"oracle/user_tablespaces": {"TestOracleDatabases", "TestOracleCases"},
	"oracle/yardstick":        {"TestOracleRuleYardstickWithoutASynonym", "TestSelfCheckOfOracle.*"},
}

// sqlserverStatements are by the names of their files, like oracleStatements.
var sqlserverStatements = map[string]*string{
	"database_files":  &sqlserverDatabaseFilesSQL,
	"databases":       &sqlserverDatabasesSQL,
	"every_database":  &sqlserverEveryDatabaseSQL,
	"internal_tables": &sqlserverInternalTablesSQL,
	"master_files":    &sqlserverMasterFilesSQL,
	"memory":          &sqlserverMemorySQL,
	"objects":         &sqlserverObjectsSQL,
	"pages":           &sqlserverPagesSQL,
	"partitions":      &sqlserverPartitionsSQL,
	"schemas":         &sqlserverSchemasSQL,
	"session":         &sqlserverSessionSQL,
	"snapshot":        &sqlserverSnapshotSQL,
	"tables":          &sqlserverTablesSQL,
	"tables_2014":     &sqlserverTables2014SQL,
	"units":           &sqlserverUnitsSQL,
	"yardstick":       &sqlserverYardstickSQL,
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

// Environment of a process: the statement to change, as "sqlserver/pages", and its text.
const mutantStatement, mutantText = "MUTANT_STATEMENT", "MUTANT_TEXT"

func init() {
	switch engine, name, _ := strings.Cut(os.Getenv(mutantStatement), "/"); engine {
	case "sqlserver":
		*sqlserverStatements[name] = os.Getenv(mutantText)
	case "oracle":
		oracleStatements[name] = os.Getenv(mutantText)
	}
}

// TestMutants changes what is shipped for SQL Server and Oracle one thing at a time and demands that a test notices.
func TestMutants(t *testing.T) {
	binary, ofSource := buildMutants(t)
	ctx, cancel := context.WithTimeout(t.Context(), mutantsBudget)
	defer cancel()
	run := mutantRun{binary: binary, sound: map[string]bool{}, unlisted: maps.Clone(equivalent)}
	for _, c := range classification {
		run.group(ctx, t, c.file, c.tests, ofSource[c.file])
	}
	ofStatement := statementMutations(t)
	for _, statement := range slices.Sorted(maps.Keys(ofStatement)) {
		run.group(ctx, t, statement, testsOf(statement), ofStatement[statement])
	}
	for name := range run.unlisted {
		t.Errorf("listed as equivalent, but it is not, or is no mutant: %s", name)
	}
}

// buildMutants compiles the tests with all mutants of the source in them, once.
func buildMutants(t *testing.T) (binary string, ofSource map[string][]mutation) {
	t.Helper()
	overlay, ofSource := instrumentPackage(t)
	binary = filepath.Join(t.TempDir(), "mutants.test")
	output, err := goCommand(t.Context(), "test", "-c", "-trimpath", "-overlay", overlay, "-o", binary, ".").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	return binary, ofSource
}

// testsOf are the tests of a statement, as "oracle/segments".
func testsOf(statement string) (tests []string) {
	longest := ""
	for beginning, of := range statementTests {
		if strings.HasPrefix(statement, beginning) && len(beginning) > len(longest) {
			longest, tests = beginning, of
		}
	}
	return tests
}

// statementMutations are those of every shipped SELECT.
func statementMutations(t *testing.T) map[string][]mutation {
	t.Helper()
	all := map[string][]mutation{}
	for _, engine := range []string{"sqlserver", "oracle"} {
		files, err := filepath.Glob(filepath.Join("sql", engine, "*.sql"))
		if err != nil || len(files) == 0 {
			t.Fatalf("no statements: %v", err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			name := strings.TrimSuffix(filepath.Base(file), ".sql")
			statement, mutants := engine+"/"+name, mutantsOf(string(text))
			if engine == "sqlserver" && sqlserverStatements[name] == nil && len(mutants) > 0 {
				t.Errorf("%s is not among sqlserverStatements", file)
				continue
			}
			for _, m := range mutants {
				all[statement] = append(all[statement], mutation{statement + ": " + m.name, file, []string{
					mutantStatement + "=" + statement, mutantText + "=" + m.statement,
				}})
			}
		}
	}
	return all
}

// mutantRun runs mutants and strikes off what is known to be equivalent.
type mutantRun struct {
	binary   string
	sound    map[string]bool // tests that pass without a mutant
	unlisted map[string]string
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
		if _, known := equivalent[m.name]; known {
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

// instrumentPackage writes the files anew in a temporary directory and returns the overlay that puts them in place, and
// the mutants of each file.
func instrumentPackage(t *testing.T) (overlay string, mutants map[string][]mutation) {
	t.Helper()
	fset, parsed, info := checkPackage(t)
	dir := t.TempDir()
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	replace := map[string]string{filepath.Join(here, "mutants.go"): filepath.Join(here, "testdata", "mutants.go")}
	mutants = map[string][]mutation{}
	next := 1
	for _, c := range classification {
		source, err := os.ReadFile(c.file)
		if err != nil {
			t.Fatal(err)
		}
		text, of := instrument(fset, source, parsed[c.file], info, next)
		next += len(of)
		for _, m := range of {
			place := fmt.Sprintf("%s:%d", c.file, m.position.Line)
			mutants[c.file] = append(mutants[c.file], mutation{m.name, place, []string{"MUTANT=" + strconv.Itoa(m.number)}})
		}
		replace[filepath.Join(here, c.file)] = filepath.Join(dir, c.file)
		if err := os.WriteFile(filepath.Join(dir, c.file), []byte(text), 0o600); err != nil {
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
	if _, err := config.Check("whalefall/collectors", fset, all, info); err != nil {
		t.Fatal(err)
	}
	return fset, parsed, info
}

// run runs tests with a mutant in effect; the error says that one failed.
func (r mutantRun) run(ctx context.Context, test string, environment []string) (string, error) {
	pattern := "^(" + strings.ReplaceAll(test, "/", ")$/^(") + ")$"
	cmd := exec.CommandContext(ctx, r.binary, "-test.v", "-test.failfast", "-test.timeout="+mutantTimeout.String(), "-test.run="+pattern,
		"-rapid.seed=1", "-rapid.shrinktime=0s", "-rapid.nofailfile") // the same examples for each mutant, every time
	cmd.Env = append(os.Environ(), environment...)
	output, err := cmd.CombinedOutput()
	return string(output), err
}

// survivors are the mutants with which all tests pass, in order.
func (r mutantRun) survivors(ctx context.Context, t *testing.T, tests []string, mutations []mutation) (alive []mutation) {
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

// TestMutantsAreSound: a statement that no server takes would be noticed for nothing. Those with functions that only
// servers have are left out, which are few.
func TestMutantsAreSound(t *testing.T) {
	checked := 0
	for _, engine := range []string{"sqlserver", "oracle"} {
		db, err := catalog.Open(t.Context(), catalog.Views(engine), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = db.Close() }()
		files, err := filepath.Glob(filepath.Join("sql", engine, "*.sql"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if !explains(t, db, string(text)) {
				continue
			}
			for _, m := range mutantsOf(string(text)) {
				checked++
				if !explains(t, db, m.statement) {
					t.Errorf("%s: %s", file, m.name)
				}
			}
		}
	}
	if checked < 150 {
		t.Errorf("only %d were checked", checked)
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
