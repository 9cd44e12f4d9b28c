// Package collectortest has the conformance suite of collectors and what the tests of several engines share.
package collectortest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"whalefall/collectors"
	"whalefall/models"
	"whalefall/testenv"
)

// Engine is one kind of server in the conformance suite.
type Engine struct {
	Name   string
	Setup  func(t *testing.T) Fixture // starts or finds the server, or skips the test
	Cannot map[string]string          // check → why this engine cannot pass it
}

// Fixture is a server with a database that holds the tables of the suite:
//   - every name of HostileNames that the engine allows, each with a few rows and an index
//   - "empty" without rows and "never_analysed" with rows the statistics know nothing of
//   - the partitioned table "tree" with the direct partitions and the sub-partitions of TreeChildren
type Fixture struct {
	Collector collectors.Collector
	Impatient collectors.Collector // gives up connecting after Impatience
	Target    collectors.Target    // may read everything
	Database  string
	Schema    string // of the tables above

	// Yardstick returns the engine's own sizes of all tables, now.
	Yardstick func(t *testing.T) map[RelationName]Sizes
	// Connections returns how many of ours the server has now.
	Connections func(t *testing.T) int
	// Block makes Tables wait on the server until released.
	Block func(t *testing.T) (release func())
	// Denied returns an account that may measure ok but not denied.
	Denied func(t *testing.T) (target collectors.Target, denied string, ok string)
}

// Sizes holds the engine's own sizes of one table in bytes; nil where it has none.
type Sizes struct{ Total, Data, Index *int64 }

// Impatience is how long the impatient collector of a fixture tries to connect.
const Impatience = 400 * time.Millisecond

// cannotCount is how many checks each engine cannot pass; changing a number is a decision.
var cannotCount = map[string]int{"PostgreSQL": 0, "MySQL": 3, "SQLite": 8, "SQLServer": 3, "Oracle": 2}

// HostileNames are table names that break naive quoting, escaping and folding.
var HostileNames = []string{
	`a"b`, `<script>alert(1)</script>`, `x'; DROP TABLE y; --`, `100%_`, `a/b`, "a`b", `a\b`, `a]b`, "new\nline",
	`{{.Name}}`, strings.Repeat("表", 21), "Üñï", "We ird", TwinUpper, TwinLower,
}

// Names that differ only in case.
const (
	TwinUpper = "Case"
	TwinLower = "case"
)

// TreeChildren maps each partition to its direct parent.
var TreeChildren = map[string]string{"tree_1": "tree", "tree_2": "tree", "tree_2_a": "tree_2", "tree_2_b": "tree_2"}

var checks = []struct {
	Name string
	run  func(t *testing.T, f Fixture)
}{
	{"version", checkVersion},
	{"sizes are the engine's", checkYardstick},
	{"total is data, index and unused", checkSums},
	{"selfcheck", checkSelfcheck},
	{"hostile names", checkHostileNames},
	{"names that differ in case", checkCaseTwins},
	{"empty table has exactly 0 rows", checkEmpty},
	{"uncounted rows are unknown", checkNeverAnalysed},
	{"partitions are rolled up", checkPartitions},
	{"databases", checkDatabases},
	{"unreadable database", checkDenied},
	{"unknown database", checkUnknownDatabase},
	{"wrong password", checkWrongPassword},
	{"closed port", checkClosedPort},
	{"silent server", checkSilentServer},
	{"cancel", checkCancel},
	{"deadline", checkDeadline},
	{"progress", checkProgress},
	{"no leaks", checkLeaks},
}

// Conformance runs the suite's checks on an engine, except those that it says it cannot do.
func Conformance(t *testing.T, e Engine) {
	t.Helper()
	exempt := 0
	f := e.Setup(t)
	for _, c := range checks {
		if e.Cannot[c.Name] != "" {
			exempt++
			continue
		}
		t.Run(c.Name, func(t *testing.T) { c.run(t, f) })
	}

	if exempt != len(e.Cannot) {
		t.Errorf("%s gives %d reasons for checks that do not exist", e.Name, len(e.Cannot)-exempt)
	}
	if want := cannotCount[e.Name]; exempt != want {
		t.Errorf("%s cannot do %d checks, want %d", e.Name, exempt, want)
	}
}

func checkVersion(t *testing.T, f Fixture) {
	v, err := f.Collector.Version(t.Context(), f.Target)
	if err != nil {
		t.Fatal(err)
	}
	if v.Full == "" || v.Main == "" || !strings.HasPrefix(v.Detailed, v.Main) {
		t.Errorf("got %+v", v)
	}
}

// collect returns the tables of the fixture's database by name.
func collect(t *testing.T, f Fixture) map[RelationName]models.TableSize {
	t.Helper()
	result, err := f.Collector.Tables(t.Context(), f.Target, f.Database)
	if err != nil {
		t.Fatal(err)
	}
	if !result.Complete || result.Hidden != 0 {
		t.Fatalf("the result is not complete, %d are hidden", result.Hidden)
	}
	return ByName(t, result.Tables)
}

func checkYardstick(t *testing.T, f Fixture) {
	found, want := collect(t, f), f.Yardstick(t)
	if len(want) < len(HostileNames)-1 {
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
		got := Sizes{table.Total, table.Data, table.Index}
		for _, part := range []struct {
			Name string
			want *int64
			got  **int64
		}{{"total", own.Total, &got.Total}, {"data", own.Data, &got.Data}, {"index", own.Index, &got.Index}} {
			if part.want != nil && (*part.got == nil || **part.got != *part.want) {
				t.Errorf("%q: %s is %s, the engine says %d", name, part.Name, Text(*part.got), *part.want)
			}
		}
	}
	for name := range want {
		t.Errorf("%q is missing", name)
	}
}

func checkSums(t *testing.T, f Fixture) {
	for name, table := range collect(t, f) {
		if table.Total == nil || table.Data == nil || table.Index == nil {
			t.Errorf("%q: something is unknown: %+v", name, table)
			continue
		}
		unused := int64(0)
		if table.Unused != nil {
			unused = *table.Unused
		}
		if *table.Data < 0 || *table.Index < 0 || unused < 0 || *table.Total != *table.Data+*table.Index+unused {
			t.Errorf("%q: %d is not %d + %d + %d", name, *table.Total, *table.Data, *table.Index, unused)
		}
		if table.SizeSource == "" || table.SizeSource == models.SizeNone {
			t.Errorf("%q: known sizes from %q", name, table.SizeSource)
		}
		if (table.Rows == nil) != (table.RowsSource == "") {
			t.Errorf("%q: %s rows from %q", name, Text(table.Rows), table.RowsSource)
		}
	}
}

func checkHostileNames(t *testing.T, f Fixture) {
	found := collect(t, f)
	for _, name := range HostileNames {
		if name == TwinLower {
			continue // checkCaseTwins
		}
		if _, ok := found[RelationName{f.Schema, name}]; !ok {
			t.Errorf("%q is missing", name)
		}
	}
}

func checkCaseTwins(t *testing.T, f Fixture) {
	found := collect(t, f)
	_, upper := found[RelationName{f.Schema, TwinUpper}]
	_, lower := found[RelationName{f.Schema, TwinLower}]
	if !upper || !lower {
		t.Errorf("%s is there: %v, %s is there: %v", TwinUpper, upper, TwinLower, lower)
	}
}

func checkEmpty(t *testing.T, f Fixture) {
	empty := collect(t, f)[RelationName{f.Schema, "empty"}]
	if empty.Rows == nil || *empty.Rows != 0 || empty.RowsSource != models.RowsExact {
		t.Errorf("%s rows, %q", Text(empty.Rows), empty.RowsSource)
	}
}

func checkNeverAnalysed(t *testing.T, f Fixture) {
	table, ok := collect(t, f)[RelationName{f.Schema, "never_analysed"}]
	if !ok || table.Rows != nil || table.RowsSource != "" || table.Total == nil || *table.Total == 0 {
		t.Errorf("%s rows (%q), %s bytes", Text(table.Rows), table.RowsSource, Text(table.Total))
	}
}

func checkPartitions(t *testing.T, f Fixture) {
	found, own := collect(t, f), f.Yardstick(t)
	root := found[RelationName{f.Schema, "tree"}]
	if root.Kind != models.KindPartitioned || !root.RolledUp || root.Parent != "" {
		t.Fatalf("the root is %+v", root)
	}
	want := *own[RelationName{f.Schema, "tree"}].Total
	for name, parent := range TreeChildren {
		table := found[RelationName{f.Schema, name}]
		if table.Parent != parent || table.ParentSchema != f.Schema {
			t.Errorf("%s hangs below %q.%q", name, table.ParentSchema, table.Parent)
		}
		if table.RolledUp != (table.Kind == models.KindPartitioned) || !table.RolledUp && table.Kind != models.KindPartition {
			t.Errorf("%s is a %s, rolled up: %v", name, table.Kind, table.RolledUp)
		}
		want += *own[RelationName{f.Schema, name}].Total
	}
	if *root.Total != want {
		t.Errorf("the root has %d bytes, its parts %d", *root.Total, want)
	}
}

func checkDatabases(t *testing.T, f Fixture) {
	result, err := f.Collector.Databases(t.Context(), f.Target)
	if err != nil {
		t.Fatal(err)
	}
	if !result.Complete {
		t.Error("the list is not complete")
	}
	database := DatabaseNamed(t, result, f.Database)
	if database.Err != nil || database.Total == nil || *database.Total <= 0 || database.IsSystem {
		t.Errorf("got %+v", database)
	}
}

func checkDenied(t *testing.T, f Fixture) {
	target, deniedName, okName := f.Denied(t)
	result, err := f.Collector.Databases(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	denied := DatabaseNamed(t, result, deniedName)
	if denied.Total != nil || denied.Err == nil || denied.Err.Code != models.CodeCollection || denied.Err.Grant == "" {
		t.Errorf("the unreadable one is %+v", denied)
	}
	if ok := DatabaseNamed(t, result, okName); ok.Total == nil || ok.Err != nil {
		t.Errorf("the readable one is %+v", ok)
	}
	if result.Grant == "" {
		t.Error("no statement would help")
	}
}

func checkUnknownDatabase(t *testing.T, f Fixture) {
	_, err := f.Collector.Tables(t.Context(), f.Target, `no "such" one`)
	if !collectors.IsGone(err) || !models.Is(err, models.CodeCollection) {
		t.Errorf("got %v", err)
	}
}

func checkWrongPassword(t *testing.T, f Fixture) {
	f.Target.Password += "x"
	_, err := f.Collector.Version(t.Context(), f.Target)
	WantUnreachable(t, err, collectors.ReasonLogin)
	if strings.Contains(fmt.Sprint(err), f.Target.Password) {
		t.Error("the error tells the password")
	}
}

func checkClosedPort(t *testing.T, f Fixture) {
	f.Target.Port = testenv.FreePort(t)
	start := time.Now()
	_, err := f.Collector.Databases(t.Context(), f.Target)
	WantUnreachable(t, err, collectors.ReasonRefused)
	if elapsed := time.Since(start); elapsed > 2*time.Second {
		t.Errorf("that took %v", elapsed)
	}
}

func checkSilentServer(t *testing.T, f Fixture) {
	f.Target.Host, f.Target.Port = "127.0.0.1", testenv.SilentPort(t)
	start := time.Now()
	_, err := f.Impatient.Tables(t.Context(), f.Target, f.Database)
	WantUnreachable(t, err, collectors.ReasonTimeout)
	if elapsed := time.Since(start); elapsed > 5*Impatience {
		t.Errorf("that took %v", elapsed)
	}
}

func checkCancel(t *testing.T, f Fixture) {
	defer f.Block(t)()
	ctx, cancel := context.WithCancel(t.Context())
	timer := time.AfterFunc(100*time.Millisecond, cancel)
	defer timer.Stop()
	start := time.Now()
	_, err := f.Collector.Tables(ctx, f.Target, f.Database)
	if elapsed := time.Since(start); elapsed > time.Second {
		t.Errorf("that took %v", elapsed)
	}
	var e *models.Error
	if !errors.As(err, &e) || e.Code != models.CodeCollection || !errors.Is(ctx.Err(), context.Canceled) {
		t.Errorf("got %v", err)
	}
	Eventually(t, "the server still has our connection", func() bool { return f.Connections(t) == 0 })
}

func checkDeadline(t *testing.T, f Fixture) {
	ctx, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	_, err := f.Collector.Tables(ctx, f.Target, f.Database)
	WantError(t, err, models.CodeTimeout, "")
}

func checkLeaks(t *testing.T, f Fixture) {
	before := goleak.IgnoreCurrent()
	_, err1 := f.Collector.Version(t.Context(), f.Target)
	_, err2 := f.Collector.Databases(t.Context(), f.Target)
	_, err3 := f.Collector.Tables(t.Context(), f.Target, f.Database)
	_, gone := f.Collector.Tables(t.Context(), f.Target, "no such one")
	if err := errors.Join(err1, err2, err3); err != nil || gone == nil {
		t.Error(err, gone)
	}
	goleak.VerifyNone(t, before)
	Eventually(t, "the server still has our connection", func() bool { return f.Connections(t) == 0 })
}
