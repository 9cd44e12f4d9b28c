package collectortest

import (
	"errors"
	"net/url"
	"os"
	"strconv"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"whalefall/collectors"
	"whalefall/models"
)

// liveChecks need a running server and an account that may see everything. They write nothing.
var liveChecks = []struct {
	Name string
	run  func(t *testing.T, f Fixture)
}{
	{"version", checkVersion},
	{"databases", liveDatabases},
	{"tables", liveTables},
	{"selfcheck", liveSelfcheck},
	{"unknown database", checkUnknownDatabase},
	{"wrong password", checkWrongPassword},
	{"closed port", checkClosedPort},
	{"silent server", checkSilentServer},
	{"deadline", checkDeadline},
	{"no leaks", liveLeaks},
}

// Live runs the checks on the server whose address is in the environment variable. It skips the test without one.
func Live(t *testing.T, variable string, f Fixture) {
	address := os.Getenv(variable)
	if address == "" {
		t.Skipf("%s names no server; docs/development.md says how to start one", variable)
	}
	if err := liveTarget(address, &f.Target); err != nil {
		t.Fatalf("%s: %v", variable, err)
	}
	for _, c := range liveChecks {
		t.Run(c.Name, func(t *testing.T) { c.run(t, f) })
	}
}

// liveTarget completes the target from an address: engine://user:password@host:port/database?tls=mode&option=value.
func liveTarget(address string, t *collectors.Target) error {
	u, err := url.Parse(address)
	if err != nil {
		return errors.New("not an address") // what is wrong with it may be in the password
	}
	t.Name, t.Host, t.Database = "live", u.Hostname(), strings.TrimPrefix(u.Path, "/")
	t.Username = u.User.Username()
	t.Password, _ = u.User.Password()
	if port := u.Port(); port != "" {
		if t.Port, err = strconv.Atoi(port); err != nil {
			return err
		}
	}
	t.TLSMode, t.Options = models.TLSPrefer, map[string]string{}
	for name, values := range u.Query() {
		if name == "tls" {
			t.TLSMode = models.TLSMode(values[0])
		} else {
			t.Options[name] = values[0]
		}
	}
	return nil
}

// openDatabases returns the databases that can be entered, system databases included: on an empty server those have
// the most kinds of tables.
func openDatabases(t *testing.T, f Fixture) []string {
	t.Helper()
	result, err := f.Collector.Databases(t.Context(), f.Target)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, d := range result.Databases {
		if d.Err == nil {
			names = append(names, d.Name)
		}
	}
	if len(names) == 0 {
		t.Fatal("no database can be entered")
	}
	return names
}

func liveDatabases(t *testing.T, f Fixture) {
	result, err := f.Collector.Databases(t.Context(), f.Target)
	if err != nil {
		t.Fatal(err)
	}
	if !result.Complete {
		t.Errorf("the list is not complete; %s", result.Grant)
	}
	for _, d := range result.Databases {
		if (d.Total == nil) == (d.Err == nil) {
			t.Errorf("%q has %s bytes and the error %v", d.Name, Text(d.Total), d.Err)
		}
	}
}

func liveTables(t *testing.T, f Fixture) {
	for _, name := range openDatabases(t, f) {
		result, err := f.Collector.Tables(t.Context(), f.Target, name)
		if err != nil {
			t.Errorf("%q: %v", name, err)
			continue
		}
		if !result.Complete || result.Scope != "" {
			t.Errorf("%q: complete %t, scope %q; %s", name, result.Complete, result.Scope, result.Grant)
		}
		t.Logf("%q: %d relations, residual %s", name, len(result.Tables), Text(result.Residual))
		for _, table := range result.Tables {
			liveSums(t, name, table)
		}
	}
}

func liveSums(t *testing.T, database string, table models.TableSize) {
	t.Helper()
	sum := collectors.AddKnown(table.Data, table.Index)
	if table.Unused != nil {
		sum = collectors.AddKnown(sum, table.Unused)
	}
	if table.Total != nil && sum != nil && *table.Total != *sum {
		t.Errorf("%q: %+v does not add up", database, table)
	}
	for _, bytes := range []*int64{table.Total, table.Data, table.Index, table.Unused, table.Rows, table.Memory} {
		if bytes != nil && *bytes < 0 {
			t.Errorf("%q: %+v has less than nothing", database, table)
		}
	}
	if (table.Rows == nil) != (table.RowsSource == "") {
		t.Errorf("%q: %+v has rows from nowhere", database, table)
	}
}

func liveSelfcheck(t *testing.T, f Fixture) {
	for _, name := range openDatabases(t, f) {
		check, err := collectors.SelfCheck(t.Context(), f.Collector, f.Target, name, 5)
		if err != nil {
			t.Errorf("%q: %v", name, err)
			continue
		}
		t.Logf("%q: %d relations equal, %d without a word, %d sums", name,
			check.Count(collectors.Equal), check.Count(collectors.NoWord), len(check.Sums))
		for _, r := range append(Unequal(check.Relations), Unequal(check.Sums)...) {
			t.Errorf("%q: %q.%q is %s %s", name, r.Schema, r.Name, r.Verdict, r.Why)
			for _, p := range r.Parts {
				t.Errorf("    %s: ours %s, the engine's %s", p.Name, Text(p.Ours), Text(p.Engine))
			}
		}
	}
}

func liveLeaks(t *testing.T, f Fixture) {
	before := goleak.IgnoreCurrent()
	if _, err := f.Collector.Version(t.Context(), f.Target); err != nil {
		t.Error(err)
	}
	if _, err := f.Collector.Tables(t.Context(), f.Target, openDatabases(t, f)[0]); err != nil {
		t.Error(err)
	}
	goleak.VerifyNone(t, before)
}
