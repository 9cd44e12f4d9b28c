package oracle

import (
	"maps"
	"testing"
	"time"

	"whalefall/collectors/collectortest"
	"whalefall/models"
	"whalefall/testenv/catalog"
	"whalefall/testenv/oracle"
)

// tablesOf are the relations in USERS, by name; a fault in a catalog of one owner shows no other way.
func tablesOf(t *testing.T, c dictionary) (map[string]models.TableSize, models.TableResult) {
	t.Helper()
	if c.tablespaces == nil {
		c.tablespaces = map[string]bool{"USERS": true}
	}
	result := c.results()["USERS"]
	rows := map[string]models.TableSize{}
	for _, row := range result.Tables {
		rows[row.Name] = row
		if (row.SizeSource == models.SizeNone) != (row.Total == nil && row.Data == nil && row.Index == nil) {
			t.Errorf("%s has sizes from %q: %s", row.Name, row.SizeSource, collectortest.Text(row.Total))
		}
	}
	return rows, result
}

func app(name string) objectName { return objectName{"APP", name} }

func appTable(t dictTable, name string) dictTable {
	t.objectName = app(name)
	return t
}

func appTables(tables ...dictTable) map[objectName]dictTable {
	all := map[objectName]dictTable{}
	for _, t := range tables {
		all[t.objectName] = t
	}
	return all
}

func appSegment(name, kind string, bytes *int64) dictSegment {
	return dictSegment{app(name), kind, "USERS", bytes}
}

func wantBytes(t *testing.T, what string, got *int64, want string) {
	t.Helper()
	if collectortest.Text(got) != want {
		t.Errorf("%s: got %s, want %s", what, collectortest.Text(got), want)
	}
}

func TestRuleUnknownIndexLeavesDataKnown(t *testing.T) {
	bytes := int64(8192)
	rows, _ := tablesOf(t, dictionary{
		tables:   appTables(appTable(dictTable{created: "YES"}, "T")),
		indexes:  map[objectName]dictIndex{app("I"): {kind: "NORMAL", table: app("T")}},
		segments: []dictSegment{appSegment("T", "TABLE", &bytes), appSegment("I", "INDEX", nil)},
	})
	wantBytes(t, "data", rows["T"].Data, "8192")
	wantBytes(t, "index", rows["T"].Index, collectortest.Text(nil))
	wantBytes(t, "total", rows["T"].Total, collectortest.Text(nil))
}

func TestRuleIndexOfAnUnknownClusterIsNobodys(t *testing.T) {
	bytes := int64(8192)
	rows, result := tablesOf(t, dictionary{
		indexes:  map[objectName]dictIndex{app("I"): {kind: "CLUSTER", table: app("C"), onCluster: true}},
		segments: []dictSegment{appSegment("I", "INDEX", &bytes)},
	})
	if len(rows) != 0 || *result.Residual != bytes {
		t.Errorf("got %v, and %d bytes of nobody", rows, *result.Residual)
	}
}

func TestRuleStorageOfWhatWasDropped(t *testing.T) {
	bytes := int64(8192)
	rows, _ := tablesOf(t, dictionary{
		tables:   appTables(appTable(dictTable{}, "STORAGE")),
		parents:  map[objectName]objectName{app("STORAGE"): app("BIN$parent")},
		segments: []dictSegment{appSegment("STORAGE", "NESTED TABLE", &bytes)},
	})
	wantBytes(t, "recycle bin", rows[recycleBin].Total, "8192")
}

// Storage of a domain index is what both the table and the list of such storage say.
func TestRuleDomainIndexes(t *testing.T) {
	bytes := int64(8192)
	for _, c := range []struct {
		flagged, listed bool
		want            string // relation that the bytes belong to
	}{{true, true, "T"}, {true, false, "DR$I"}, {false, true, "DR$I"}} {
		catalog := dictionary{
			tables:    appTables(appTable(dictTable{created: "YES"}, "T"), appTable(dictTable{secondary: c.flagged}, "DR$I")),
			indexes:   map[objectName]dictIndex{app("I"): {kind: "DOMAIN", table: app("T")}},
			secondary: map[objectName]objectName{},
			segments:  []dictSegment{appSegment("DR$I", "TABLE", &bytes)},
		}
		if c.listed {
			catalog.secondary[app("DR$I")] = app("I")
		}
		rows, _ := tablesOf(t, catalog)
		wantBytes(t, c.want, rows[c.want].Total, "8192")
	}
}

func TestRuleClusteredTablesAreWhereTheyAreSaidToBe(t *testing.T) {
	for tablespace, want := range map[string]string{"": "INDX", "USERS": "USERS"} {
		results := dictionary{
			tablespaces: map[string]bool{"USERS": true, "INDX": true},
			tables:      appTables(appTable(dictTable{tablespace: tablespace, cluster: app("C"), created: "YES"}, "T")),
			clusters:    map[objectName]string{app("C"): "INDX"},
		}.results()
		for name, result := range results {
			if listed := len(result.Tables) == 1; listed != (name == want) {
				t.Errorf("said to be in %q: listed in %s: %v", tablespace, name, listed)
			}
		}
	}
}

func TestRuleTablesWithoutBytes(t *testing.T) {
	count, at, bytes := int64(7), time.Unix(0, 0), int64(8192)
	counted := dictTable{tablespace: "USERS", rows: &count, analyzed: &at}
	with := func(change func(*dictTable)) dictTable {
		table := counted
		change(&table)
		return table
	}
	for name, c := range map[string]struct {
		table    dictTable
		external bool
		segments []dictSegment
		kind     models.Kind
		total    string
		rows     string
		source   models.RowsSource
	}{
		"ordinary": {
			with(func(t *dictTable) { t.created = "YES" }), false,
			[]dictSegment{appSegment("T", "TABLE", &bytes)},
			models.KindTable, "8192", "7", models.RowsStatistic,
		},
		"never filled": {
			with(func(t *dictTable) { t.created = "NO" }), false, nil,
			models.KindTable, "0", "0", models.RowsExact,
		},
		"filled meanwhile": {
			with(func(t *dictTable) { t.created = "NO" }), false,
			[]dictSegment{appSegment("T", "TABLE", &bytes)},
			models.KindTable, "8192", "7", models.RowsStatistic,
		},
		"filled meanwhile, with an unknown size": {
			with(func(t *dictTable) { t.created = "NO" }), false,
			[]dictSegment{appSegment("T", "TABLE", nil)},
			models.KindTable, collectortest.Text(nil), "7", models.RowsStatistic,
		},
		"temporary": {
			with(func(t *dictTable) { t.temporary = true }), false, nil,
			models.KindTemporary, collectortest.Text(nil), "7", models.RowsStatistic,
		},
		"temporary with bytes": {
			with(func(t *dictTable) { t.temporary = true }), false,
			[]dictSegment{appSegment("T", "TABLE", &bytes)},
			models.KindTable, "8192", "7", models.RowsStatistic,
		},
		"external": {counted, true, nil, models.KindExternal, collectortest.Text(nil), "7", models.RowsStatistic},
		"partly external": {
			counted, true,
			[]dictSegment{appSegment("T", "TABLE PARTITION", &bytes)},
			models.KindTable, "8192", "7", models.RowsStatistic,
		},
	} {
		rows, _ := tablesOf(t, dictionary{
			tables: appTables(appTable(c.table, "T")), external: map[objectName]bool{app("T"): c.external}, segments: c.segments,
		})
		row, listed := rows["T"]
		if !listed || row.Kind != c.kind || row.RowsSource != c.source {
			t.Errorf("%s: %v, %q, rows from %q", name, listed, row.Kind, row.RowsSource)
		}
		wantBytes(t, name, row.Total, c.total)
		wantBytes(t, name+" rows", row.Rows, c.rows)
	}
}

// manyWords is a dictionary in which each column says something that no other does.
func manyWords() catalog.Rows {
	spaces := []map[string]any{collectortest.OracleTablespace("USERS", "PERMANENT"), collectortest.OracleTablespace("INDX", "PERMANENT")}
	member := collectortest.OracleTable("APP", "MEMBER", "")
	member["CLUSTER_OWNER"], member["CLUSTER_NAME"] = "APP", "C"
	foreign := collectortest.OracleTable("APP", "GUEST", "USERS")
	foreign["CLUSTER_OWNER"], foreign["CLUSTER_NAME"] = "OTHER", "C"
	named, dropped := collectortest.OracleTable("APP", "BIN$kept", "USERS"), collectortest.OracleTable("APP", "GONE", "USERS")
	dropped["DROPPED"] = "YES"
	return catalog.Rows{
		"DBA_TABLESPACES": spaces,
		"DBA_CLUSTERS":    {{"OWNER": "APP", "CLUSTER_NAME": "C", "TABLESPACE_NAME": "INDX"}},
		"DBA_TABLES":      {member, foreign, named, dropped, collectortest.OracleTable("APP", "DOCUMENTS", "USERS")},
		"DBA_LOBS":        {{"OWNER": "APP", "TABLE_NAME": "DOCUMENTS", "SEGMENT_NAME": "SYS_LOB1$$", "INDEX_NAME": "SYS_IL1$$"}},
		"DBA_SEGMENTS": {
			collectortest.OracleSegment("APP", "C", "CLUSTER", "USERS", 1), collectortest.OracleSegment("APP", "GUEST", "TABLE", "USERS", 20),
			collectortest.OracleSegment("APP", "BIN$kept", "TABLE", "USERS", 300), collectortest.OracleSegment("APP", "DOCUMENTS", "TABLE", "USERS", 4000),
			collectortest.OracleSegment("APP", "SYS_IL1$$", "LOBINDEX", "USERS", 50000), collectortest.OracleSegment("APP", "GONE", "TABLE", "USERS", 600000),
		},
	}
}

func TestRuleEveryColumnCounts(t *testing.T) {
	server := oracle.New(t, oracle.Options{Rows: manyWords()})
	for _, role := range []bool{true, false} {
		results := collectorFor(server).read(t, collectortest.OracleTarget(t, server, "APP", role))
		if got := totals(results["INDX"]); got != "APP.MEMBER "+collectortest.Text(nil) {
			t.Errorf("role: %v: INDX has %s", role, got)
		}
		if got := totals(results["USERS"]); got != "APP.BIN$ 600000, APP.BIN$kept 300, APP.C 1, APP.DOCUMENTS 54000, APP.GUEST 20" {
			t.Errorf("role: %v: USERS has %s", role, got)
		}
		for _, row := range results["USERS"].Tables {
			if row.Note != "" {
				t.Errorf("role: %v: %s has the note %q", role, row.Name, row.Note)
			}
		}
	}
}

func TestRuleYardstickWithoutASynonym(t *testing.T) {
	server := oracle.New(t, oracle.Options{Rows: collectortest.OracleTwoSchemas(), NoSynonym: []string{"DBA_SEGMENTS"}})
	y, err := collectorFor(server).Yardstick(t.Context(), collectortest.OracleTarget(t, server, "APP", true), "USERS")
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]int64{}
	for _, sum := range y.Sums {
		got[sum.Schema] = sum.Total
	}
	if want := map[string]int64{"": 1300, "APP": 1000, "OTHER": 300}; !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// A default tablespace may have been dropped; one that is merely not listed has not.
func TestRuleDefaultTablespaces(t *testing.T) {
	for _, all := range []bool{true, false} {
		results := dictionary{
			allTablespaces: all, tablespaces: map[string]bool{"USERS": true}, defaults: map[string]string{"APP": "OLD"},
			tables: appTables(appTable(dictTable{temporary: true}, "T")),
		}.results()
		if listed := len(results["OLD"].Tables) == 1; listed == all || len(results["USERS"].Tables) != 0 {
			t.Errorf("all tablespaces are listed: %v: found %+v", all, results)
		}
	}
}

// A table in a cluster owns no bytes, whatever is said of its segment.
func TestRuleClusteredTablesOwnNothing(t *testing.T) {
	for _, created := range []string{"YES", "NO", ""} {
		rows, _ := tablesOf(t, dictionary{
			tables:   appTables(appTable(dictTable{tablespace: "USERS", cluster: app("C"), created: created}, "T")),
			clusters: map[objectName]string{app("C"): "USERS"},
		})
		if row, listed := rows["T"]; !listed || row.SizeSource != models.SizeNone || row.Note != models.NoteClustered {
			t.Errorf("created: %q: %v, sizes from %q, note %q", created, listed, row.SizeSource, row.Note)
		}
	}
}

func TestRuleSystemTablespaces(t *testing.T) {
	contents := map[string]string{
		"SYSTEM": "PERMANENT", "SYSAUX": "PERMANENT", "UNDOTBS1": "UNDO", "TEMP": "TEMPORARY", "USERS": "PERMANENT", "sysaux": "PERMANENT",
	}
	rows := catalog.Rows{}
	for name, of := range contents {
		rows["DBA_TABLESPACES"] = append(rows["DBA_TABLESPACES"], collectortest.OracleTablespace(name, of))
	}
	server := oracle.New(t, oracle.Options{Rows: rows})
	result, err := collectorFor(server).Databases(t.Context(), collectortest.OracleTarget(t, server, "APP", true))
	if err != nil || len(result.Databases) != len(contents) {
		t.Fatalf("%d databases, %v", len(result.Databases), err)
	}
	for _, d := range result.Databases {
		if own := d.Name == "USERS" || d.Name == "sysaux"; d.IsSystem == own {
			t.Errorf("%s is a system database: %v", d.Name, d.IsSystem)
		}
	}
}

// DBA_SEGMENTS lists every segment; what one schema may see of itself proves nothing.
func TestRuleProof(t *testing.T) {
	for scope, want := range map[string]models.Proof{"": models.ProofLedger, "APP": ""} {
		_, result := tablesOf(t, dictionary{scope: scope})
		if !result.Complete || result.Scope != scope || result.Proof != want {
			t.Errorf("of %q: complete is %v, proof %q", scope, result.Complete, result.Proof)
		}
	}
}
