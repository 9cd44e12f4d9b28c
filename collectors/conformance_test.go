package collectors

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"whalefall/models"
	"whalefall/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// engine is one kind of server in the conformance suite.
type engine struct {
	name   string
	setup  func(t *testing.T) fixture // starts or finds the server, or skips the test
	cannot map[string]string          // check → why this engine cannot do it
}

// fixture is a server with a database that holds the tables of the suite:
//   - every name of hostileNames that the engine allows, each with a few rows and an index
//   - "empty" without rows and "never_analysed" with rows the statistics know nothing of
//   - the partitioned table "tree" with the direct partitions and the sub-partitions of treeChildren
type fixture struct {
	collector Collector
	impatient Collector // gives up connecting after impatience
	target    Target    // may read everything
	database  string
	schema    string // of the tables above

	yardstick   func(t *testing.T) map[relationName]yard                     // the engine's own word on all tables, asked now
	connections func(t *testing.T) int                                       // ours that the server has at the moment
	block       func(t *testing.T) (release func())                          // makes Tables wait on the server
	denied      func(t *testing.T) (target Target, denied string, ok string) // an account that may size ok but not denied
}

type relationName struct{ Schema, Name string }

// yard is the engine's own word on one table; nil where it has none.
type yard struct{ Total, Data, Index *int64 }

const impatience = 400 * time.Millisecond

var engines = []engine{postgresEngine, mysqlEngine, sqliteEngine, sqlserverEngine, oracleEngine}

// cannotCount is how many checks each engine cannot do; a change here is a decision.
var cannotCount = map[string]int{"PostgreSQL": 0, "MySQL": 3, "SQLite": 8, "SQLServer": 3, "Oracle": 2}

var hostileNames = []string{
	`a"b`, `<script>alert(1)</script>`, `x'; DROP TABLE y; --`, `100%_`, `a/b`, "a`b", `a\b`, `a]b`, "new\nline", `{{.Name}}`,
	strings.Repeat("表", 21), "Üñï", "We ird", twinUpper, twinLower,
}

const twinUpper, twinLower = "Case", "case"

// treeChildren is partition → direct parent.
var treeChildren = map[string]string{"tree_1": "tree", "tree_2": "tree", "tree_2_a": "tree_2", "tree_2_b": "tree_2"}

var checks = []struct {
	name string
	run  func(t *testing.T, f fixture)
}{
	{"the version is told", checkVersion},
	{"every size is the engine's own", checkYardstick},
	{"total is data, index and unused", checkSums},
	{"a selfcheck agrees and catches a byte", checkSelfcheck},
	{"hostile names survive", checkHostileNames},
	{"names that differ in case are two", checkCaseTwins},
	{"an empty table has 0 rows, exactly", checkEmpty},
	{"rows nobody counted are unknown", checkNeverAnalysed},
	{"partitions are rolled up once", checkPartitions},
	{"databases are listed with sizes", checkDatabases},
	{"one unreadable database does not fail the list", checkDenied},
	{"an unknown database is gone", checkUnknownDatabase},
	{"a wrong password is unreachable", checkWrongPassword},
	{"a closed port is unreachable", checkClosedPort},
	{"a silent server is unreachable in time", checkSilentServer},
	{"cancelling ends at once and leaves no connection", checkCancel},
	{"a passed deadline is a timeout", checkDeadline},
	{"nothing is left running", checkLeaks},
}

func TestConformance(t *testing.T) {
	for _, e := range engines {
		t.Run(e.name, func(t *testing.T) {
			f := e.setup(t)
			for _, c := range checks {
				if e.cannot[c.name] != "" {
					continue
				}
				t.Run(c.name, func(t *testing.T) { c.run(t, f) })
			}
		})
	}
}

func TestWhatEnginesCannotDoIsKnown(t *testing.T) {
	known := map[string]bool{}
	for _, c := range checks {
		known[c.name] = true
	}
	for _, e := range engines {
		if len(e.cannot) != cannotCount[e.name] {
			t.Errorf("%s cannot do %d checks, expected %d", e.name, len(e.cannot), cannotCount[e.name])
		}
		for check := range e.cannot {
			if !known[check] {
				t.Errorf("%s gives a reason for %q, which is no check", e.name, check)
			}
		}
	}
}

func checkVersion(t *testing.T, f fixture) {
	v, err := f.collector.Version(t.Context(), f.target)
	if err != nil {
		t.Fatal(err)
	}
	if v.Full == "" || v.Main == "" || !strings.HasPrefix(v.Detailed, v.Main) {
		t.Errorf("got %+v", v)
	}
}

// collect returns the tables of the fixture's database, each once.
func collect(t *testing.T, f fixture) map[relationName]models.TableSize {
	t.Helper()
	result, err := f.collector.Tables(t.Context(), f.target, f.database)
	if err != nil {
		t.Fatal(err)
	}
	if !result.Complete || result.Hidden != 0 {
		t.Fatalf("the result is not complete, %d are hidden", result.Hidden)
	}
	return byName(t, result.Tables)
}

func byName(t *testing.T, tables []models.TableSize) map[relationName]models.TableSize {
	t.Helper()
	found := make(map[relationName]models.TableSize, len(tables))
	for _, table := range tables {
		name := relationName{table.Schema, table.Name}
		if _, twice := found[name]; twice {
			t.Errorf("%q is listed twice", name)
		}
		found[name] = table
	}
	return found
}

func checkYardstick(t *testing.T, f fixture) {
	found, want := collect(t, f), f.yardstick(t)
	if len(want) < len(hostileNames)-1 {
		t.Fatalf("the yardstick knows only %d tables", len(want))
	}
	for name, table := range found {
		own, known := want[name]
		if !known {
			t.Errorf("%q is not what the engine calls a table", name)
		}
		delete(want, name)
		if table.RolledUp {
			continue
		}
		got := yard{table.Total, table.Data, table.Index}
		for _, part := range []struct {
			name string
			want *int64
			got  **int64
		}{{"total", own.Total, &got.Total}, {"data", own.Data, &got.Data}, {"index", own.Index, &got.Index}} {
			if part.want != nil && (*part.got == nil || **part.got != *part.want) {
				t.Errorf("%q: %s is %s, the engine says %d", name, part.name, text(*part.got), *part.want)
			}
		}
	}
	for name := range want {
		t.Errorf("%q is missing", name)
	}
}

func text(n *int64) string {
	if n == nil {
		return "unknown"
	}
	return fmt.Sprint(*n)
}

func checkSums(t *testing.T, f fixture) {
	for name, table := range collect(t, f) {
		if table.Total == nil || table.Data == nil || table.Index == nil || table.Unused == nil {
			t.Errorf("%q: something is unknown: %+v", name, table)
			continue
		}
		if *table.Data < 0 || *table.Index < 0 || *table.Unused < 0 || *table.Total != *table.Data+*table.Index+*table.Unused {
			t.Errorf("%q: %d is not %d + %d + %d", name, *table.Total, *table.Data, *table.Index, *table.Unused)
		}
		if table.SizeSource == "" || table.SizeSource == models.SizeNone {
			t.Errorf("%q: known sizes from %q", name, table.SizeSource)
		}
		if (table.Rows == nil) != (table.RowsSource == "") {
			t.Errorf("%q: %s rows from %q", name, text(table.Rows), table.RowsSource)
		}
	}
}

func checkHostileNames(t *testing.T, f fixture) {
	found := collect(t, f)
	for _, name := range hostileNames {
		if name == twinLower {
			continue // checkCaseTwins
		}
		if _, ok := found[relationName{f.schema, name}]; !ok {
			t.Errorf("%q is missing", name)
		}
	}
}

func checkCaseTwins(t *testing.T, f fixture) {
	found := collect(t, f)
	_, upper := found[relationName{f.schema, twinUpper}]
	_, lower := found[relationName{f.schema, twinLower}]
	if !upper || !lower {
		t.Errorf("%s is there: %v, %s is there: %v", twinUpper, upper, twinLower, lower)
	}
}

func checkEmpty(t *testing.T, f fixture) {
	empty := collect(t, f)[relationName{f.schema, "empty"}]
	if empty.Rows == nil || *empty.Rows != 0 || empty.RowsSource != models.RowsExact {
		t.Errorf("%s rows, %q", text(empty.Rows), empty.RowsSource)
	}
}

func checkNeverAnalysed(t *testing.T, f fixture) {
	table, ok := collect(t, f)[relationName{f.schema, "never_analysed"}]
	if !ok || table.Rows != nil || table.RowsSource != "" || table.Total == nil || *table.Total == 0 {
		t.Errorf("%s rows (%q), %s bytes", text(table.Rows), table.RowsSource, text(table.Total))
	}
}

func checkPartitions(t *testing.T, f fixture) {
	found, own := collect(t, f), f.yardstick(t)
	root := found[relationName{f.schema, "tree"}]
	if root.Kind != models.KindPartitioned || !root.RolledUp || root.Parent != "" {
		t.Fatalf("the root is %+v", root)
	}
	want := *own[relationName{f.schema, "tree"}].Total
	for name, parent := range treeChildren {
		table := found[relationName{f.schema, name}]
		if table.Parent != parent || table.ParentSchema != f.schema {
			t.Errorf("%s hangs below %q.%q", name, table.ParentSchema, table.Parent)
		}
		if table.RolledUp != (table.Kind == models.KindPartitioned) || !table.RolledUp && table.Kind != models.KindPartition {
			t.Errorf("%s is a %s, rolled up: %v", name, table.Kind, table.RolledUp)
		}
		want += *own[relationName{f.schema, name}].Total
	}
	if *root.Total != want {
		t.Errorf("the root has %d bytes, its parts %d", *root.Total, want)
	}
}

func checkDatabases(t *testing.T, f fixture) {
	result, err := f.collector.Databases(t.Context(), f.target)
	if err != nil {
		t.Fatal(err)
	}
	if !result.Complete {
		t.Error("the list is not complete")
	}
	database := databaseNamed(t, result, f.database)
	if database.Err != nil || database.Total == nil || *database.Total <= 0 || database.IsSystem {
		t.Errorf("got %+v", database)
	}
}

func databaseNamed(t *testing.T, result models.DatabaseResult, name string) models.DatabaseSize {
	t.Helper()
	for _, d := range result.Databases {
		if d.Name == name {
			return d
		}
	}
	t.Fatalf("%q is not listed", name)
	return models.DatabaseSize{}
}

func checkDenied(t *testing.T, f fixture) {
	target, deniedName, okName := f.denied(t)
	result, err := f.collector.Databases(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	denied := databaseNamed(t, result, deniedName)
	if denied.Total != nil || denied.Err == nil || denied.Err.Code != models.CodeCollection || denied.Err.Extra["grant"] == "" {
		t.Errorf("the unreadable one is %+v", denied)
	}
	if ok := databaseNamed(t, result, okName); ok.Total == nil || ok.Err != nil {
		t.Errorf("the readable one is %+v", ok)
	}
	if result.Grant == "" {
		t.Error("no statement would help")
	}
}

// wantError checks code and key of a classified error and that its text for people is no driver's.
func wantError(t *testing.T, err error, code models.Code, key string) {
	t.Helper()
	var e *models.Error
	if !errors.As(err, &e) || e.Code != code || e.Key != key {
		t.Errorf("got %v, want %s %s", err, code, key)
	}
}

func checkUnknownDatabase(t *testing.T, f fixture) {
	_, err := f.collector.Tables(t.Context(), f.target, `no "such" one`)
	if !isGone(err) || !models.Is(err, models.CodeCollection) {
		t.Errorf("got %v", err)
	}
}

func checkWrongPassword(t *testing.T, f fixture) {
	f.target.Password += "x"
	_, err := f.collector.Version(t.Context(), f.target)
	wantUnreachable(t, err, reasonLogin)
	if strings.Contains(fmt.Sprint(err), f.target.Password) {
		t.Error("the error tells the password")
	}
}

// wantUnreachable fails unless err says that no connection came about, and why.
func wantUnreachable(t *testing.T, err error, reason string) {
	t.Helper()
	wantError(t, err, models.CodeUnreachable, "error.unreachable")
	if got := models.AsError(err).Extra["reason"]; got != reason {
		t.Errorf("the reason is %v, want %s", got, reason)
	}
}

func checkClosedPort(t *testing.T, f fixture) {
	f.target.Port = testenv.FreePort(t)
	start := time.Now()
	_, err := f.collector.Databases(t.Context(), f.target)
	wantUnreachable(t, err, reasonRefused)
	if elapsed := time.Since(start); elapsed > 2*time.Second {
		t.Errorf("that took %v", elapsed)
	}
}

func checkSilentServer(t *testing.T, f fixture) {
	f.target.Host, f.target.Port = "127.0.0.1", testenv.SilentPort(t)
	start := time.Now()
	_, err := f.impatient.Tables(t.Context(), f.target, f.database)
	wantUnreachable(t, err, reasonTimeout)
	if elapsed := time.Since(start); elapsed > 5*impatience {
		t.Errorf("that took %v", elapsed)
	}
}

func checkCancel(t *testing.T, f fixture) {
	defer f.block(t)()
	ctx, cancel := context.WithCancel(t.Context())
	timer := time.AfterFunc(100*time.Millisecond, cancel)
	defer timer.Stop()
	start := time.Now()
	_, err := f.collector.Tables(ctx, f.target, f.database)
	if elapsed := time.Since(start); elapsed > time.Second {
		t.Errorf("that took %v", elapsed)
	}
	var e *models.Error
	if !errors.As(err, &e) || e.Code != models.CodeCollection || !errors.Is(ctx.Err(), context.Canceled) {
		t.Errorf("got %v", err)
	}
	eventually(t, "the server still has our connection", func() bool { return f.connections(t) == 0 })
}

func eventually(t *testing.T, complaint string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Error(complaint)
			return
		}
	}
}

func checkDeadline(t *testing.T, f fixture) {
	ctx, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	_, err := f.collector.Tables(ctx, f.target, f.database)
	wantError(t, err, models.CodeTimeout, "")
}

func checkLeaks(t *testing.T, f fixture) {
	before := goleak.IgnoreCurrent()
	_, err1 := f.collector.Version(t.Context(), f.target)
	_, err2 := f.collector.Databases(t.Context(), f.target)
	_, err3 := f.collector.Tables(t.Context(), f.target, f.database)
	_, gone := f.collector.Tables(t.Context(), f.target, "no such one")
	if err := errors.Join(err1, err2, err3); err != nil || gone == nil {
		t.Error(err, gone)
	}
	goleak.VerifyNone(t, before)
	eventually(t, "the server still has our connection", func() bool { return f.connections(t) == 0 })
}
