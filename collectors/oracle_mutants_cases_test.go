package collectors

import (
	"maps"
	"testing"
	"time"

	"whalefall/models"
	"whalefall/testenv/catalog"
	"whalefall/testenv/oracle"
)

// oracleRows are the relations in USERS, by name; a fault in a catalog of one owner shows no other way.
func oracleRows(t *testing.T, c oracleCatalog) (map[string]models.TableSize, models.TableResult) {
	t.Helper()
	if c.tablespaces == nil {
		c.tablespaces = map[string]bool{"USERS": true}
	}
	result := c.results()["USERS"]
	rows := map[string]models.TableSize{}
	for _, row := range result.Tables {
		rows[row.Name] = row
		if (row.SizeSource == models.SizeNone) != (row.Total == nil && row.Data == nil && row.Index == nil) {
			t.Errorf("%s has sizes from %q: %s", row.Name, row.SizeSource, text(row.Total))
		}
	}
	return rows, result
}

func app(name string) oracleName { return oracleName{"APP", name} }

func appTable(t oracleTable, name string) oracleTable {
	t.oracleName = app(name)
	return t
}

func appTables(tables ...oracleTable) map[oracleName]oracleTable {
	all := map[oracleName]oracleTable{}
	for _, t := range tables {
		all[t.oracleName] = t
	}
	return all
}

func appSegment(name, kind string, bytes *int64) oracleSegment {
	return oracleSegment{app(name), kind, "USERS", bytes}
}

func wantBytes(t *testing.T, what string, got *int64, want string) {
	t.Helper()
	if text(got) != want {
		t.Errorf("%s: got %s, want %s", what, text(got), want)
	}
}

func TestOracleRuleUnknownIndexLeavesDataKnown(t *testing.T) {
	bytes := int64(8192)
	rows, _ := oracleRows(t, oracleCatalog{
		tables:   appTables(appTable(oracleTable{created: "YES"}, "T")),
		indexes:  map[oracleName]oracleIndex{app("I"): {kind: "NORMAL", table: app("T")}},
		segments: []oracleSegment{appSegment("T", "TABLE", &bytes), appSegment("I", "INDEX", nil)},
	})
	wantBytes(t, "data", rows["T"].Data, "8192")
	wantBytes(t, "index", rows["T"].Index, text(nil))
	wantBytes(t, "total", rows["T"].Total, text(nil))
}

func TestOracleRuleIndexOfAnUnknownClusterIsNobodys(t *testing.T) {
	bytes := int64(8192)
	rows, result := oracleRows(t, oracleCatalog{
		indexes:  map[oracleName]oracleIndex{app("I"): {kind: "CLUSTER", table: app("C"), onCluster: true}},
		segments: []oracleSegment{appSegment("I", "INDEX", &bytes)},
	})
	if len(rows) != 0 || *result.Residual != bytes {
		t.Errorf("got %v, and %d bytes of nobody", rows, *result.Residual)
	}
}

func TestOracleRuleStorageOfWhatWasDropped(t *testing.T) {
	bytes := int64(8192)
	rows, _ := oracleRows(t, oracleCatalog{
		tables:   appTables(appTable(oracleTable{}, "STORAGE")),
		parents:  map[oracleName]oracleName{app("STORAGE"): app("BIN$parent")},
		segments: []oracleSegment{appSegment("STORAGE", "NESTED TABLE", &bytes)},
	})
	wantBytes(t, "recycle bin", rows[oracleRecycleBin].Total, "8192")
}

// Storage of a domain index is what both the table and the list of such storage say.
func TestOracleRuleDomainIndexes(t *testing.T) {
	bytes := int64(8192)
	for _, c := range []struct {
		flagged, listed bool
		want            string // relation that the bytes belong to
	}{{true, true, "T"}, {true, false, "DR$I"}, {false, true, "DR$I"}} {
		catalog := oracleCatalog{
			tables:    appTables(appTable(oracleTable{created: "YES"}, "T"), appTable(oracleTable{secondary: c.flagged}, "DR$I")),
			indexes:   map[oracleName]oracleIndex{app("I"): {kind: "DOMAIN", table: app("T")}},
			secondary: map[oracleName]oracleName{},
			segments:  []oracleSegment{appSegment("DR$I", "TABLE", &bytes)},
		}
		if c.listed {
			catalog.secondary[app("DR$I")] = app("I")
		}
		rows, _ := oracleRows(t, catalog)
		wantBytes(t, c.want, rows[c.want].Total, "8192")
	}
}

func TestOracleRuleClusteredTablesAreWhereTheyAreSaidToBe(t *testing.T) {
	for tablespace, want := range map[string]string{"": "INDX", "USERS": "USERS"} {
		results := oracleCatalog{
			tablespaces: map[string]bool{"USERS": true, "INDX": true},
			tables:      appTables(appTable(oracleTable{tablespace: tablespace, cluster: app("C"), created: "YES"}, "T")),
			clusters:    map[oracleName]string{app("C"): "INDX"},
		}.results()
		for name, result := range results {
			if listed := len(result.Tables) == 1; listed != (name == want) {
				t.Errorf("said to be in %q: listed in %s: %v", tablespace, name, listed)
			}
		}
	}
}

func TestOracleRuleTablesWithoutBytes(t *testing.T) {
	count, at, bytes := int64(7), time.Unix(0, 0), int64(8192)
	counted := oracleTable{tablespace: "USERS", rows: &count, analyzed: &at}
	with := func(change func(*oracleTable)) oracleTable {
		table := counted
		change(&table)
		return table
	}
	for name, c := range map[string]struct {
		table    oracleTable
		external bool
		segments []oracleSegment
		kind     models.Kind
		total    string
		rows     string
		source   models.RowsSource
	}{
		"ordinary": {
			with(func(t *oracleTable) { t.created = "YES" }), false,
			[]oracleSegment{appSegment("T", "TABLE", &bytes)},
			models.KindTable, "8192", "7", models.RowsStatistic,
		},
		"never filled": {
			with(func(t *oracleTable) { t.created = "NO" }), false, nil,
			models.KindTable, "0", "0", models.RowsExact,
		},
		"filled meanwhile": {
			with(func(t *oracleTable) { t.created = "NO" }), false,
			[]oracleSegment{appSegment("T", "TABLE", &bytes)},
			models.KindTable, "8192", "7", models.RowsStatistic,
		},
		"filled meanwhile, with an unknown size": {
			with(func(t *oracleTable) { t.created = "NO" }), false,
			[]oracleSegment{appSegment("T", "TABLE", nil)},
			models.KindTable, text(nil), "7", models.RowsStatistic,
		},
		"temporary": {
			with(func(t *oracleTable) { t.temporary = true }), false, nil,
			models.KindTemporary, text(nil), "7", models.RowsStatistic,
		},
		"temporary with bytes": {
			with(func(t *oracleTable) { t.temporary = true }), false,
			[]oracleSegment{appSegment("T", "TABLE", &bytes)},
			models.KindTable, "8192", "7", models.RowsStatistic,
		},
		"external": {counted, true, nil, models.KindExternal, text(nil), "7", models.RowsStatistic},
		"partly external": {
			counted, true,
			[]oracleSegment{appSegment("T", "TABLE PARTITION", &bytes)},
			models.KindTable, "8192", "7", models.RowsStatistic,
		},
	} {
		rows, _ := oracleRows(t, oracleCatalog{
			tables: appTables(appTable(c.table, "T")), external: map[oracleName]bool{app("T"): c.external}, segments: c.segments,
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
	spaces := []map[string]any{oracleSpace("USERS", "PERMANENT"), oracleSpace("INDX", "PERMANENT")}
	member := oracleHeap("APP", "MEMBER", "")
	member["CLUSTER_OWNER"], member["CLUSTER_NAME"] = "APP", "C"
	foreign := oracleHeap("APP", "GUEST", "USERS")
	foreign["CLUSTER_OWNER"], foreign["CLUSTER_NAME"] = "OTHER", "C"
	named, dropped := oracleHeap("APP", "BIN$kept", "USERS"), oracleHeap("APP", "GONE", "USERS")
	dropped["DROPPED"] = "YES"
	return catalog.Rows{
		"DBA_TABLESPACES": spaces,
		"DBA_CLUSTERS":    {{"OWNER": "APP", "CLUSTER_NAME": "C", "TABLESPACE_NAME": "INDX"}},
		"DBA_TABLES":      {member, foreign, named, dropped, oracleHeap("APP", "DOCUMENTS", "USERS")},
		"DBA_LOBS":        {{"OWNER": "APP", "TABLE_NAME": "DOCUMENTS", "SEGMENT_NAME": "SYS_LOB1$$", "INDEX_NAME": "SYS_IL1$$"}},
		"DBA_SEGMENTS": {
			oraclePart("APP", "C", "CLUSTER", "USERS", 1), oraclePart("APP", "GUEST", "TABLE", "USERS", 20),
			oraclePart("APP", "BIN$kept", "TABLE", "USERS", 300), oraclePart("APP", "DOCUMENTS", "TABLE", "USERS", 4000),
			oraclePart("APP", "SYS_IL1$$", "LOBINDEX", "USERS", 50000), oraclePart("APP", "GONE", "TABLE", "USERS", 600000),
		},
	}
}

func TestOracleRuleEveryColumnCounts(t *testing.T) {
	server := oracle.New(t, oracle.Options{Rows: manyWords()})
	for _, role := range []bool{true, false} {
		results := oracleAt(server).read(t, oracleTarget(t, server, "APP", role))
		if got := totals(results["INDX"]); got != "APP.MEMBER "+text(nil) {
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

func TestOracleRuleYardstickWithoutASynonym(t *testing.T) {
	server := oracle.New(t, oracle.Options{Rows: twoSchemas(), NoSynonym: []string{"DBA_SEGMENTS"}})
	y, err := oracleAt(server).Yardstick(t.Context(), oracleTarget(t, server, "APP", true), "USERS")
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
func TestOracleRuleDefaultTablespaces(t *testing.T) {
	for _, all := range []bool{true, false} {
		results := oracleCatalog{
			allTablespaces: all, tablespaces: map[string]bool{"USERS": true}, defaults: map[string]string{"APP": "OLD"},
			tables: appTables(appTable(oracleTable{temporary: true}, "T")),
		}.results()
		if listed := len(results["OLD"].Tables) == 1; listed == all || len(results["USERS"].Tables) != 0 {
			t.Errorf("all tablespaces are listed: %v: found %+v", all, results)
		}
	}
}

// A table in a cluster owns no bytes, whatever is said of its segment.
func TestOracleRuleClusteredTablesOwnNothing(t *testing.T) {
	for _, created := range []string{"YES", "NO", ""} {
		rows, _ := oracleRows(t, oracleCatalog{
			tables:   appTables(appTable(oracleTable{tablespace: "USERS", cluster: app("C"), created: created}, "T")),
			clusters: map[oracleName]string{app("C"): "USERS"},
		})
		if row, listed := rows["T"]; !listed || row.SizeSource != models.SizeNone || row.Note != models.NoteClustered {
			t.Errorf("created: %q: %v, sizes from %q, note %q", created, listed, row.SizeSource, row.Note)
		}
	}
}

func TestOracleRuleSystemTablespaces(t *testing.T) {
	contents := map[string]string{
		"SYSTEM": "PERMANENT", "SYSAUX": "PERMANENT", "UNDOTBS1": "UNDO", "TEMP": "TEMPORARY", "USERS": "PERMANENT", "sysaux": "PERMANENT",
	}
	rows := catalog.Rows{}
	for name, of := range contents {
		rows["DBA_TABLESPACES"] = append(rows["DBA_TABLESPACES"], oracleSpace(name, of))
	}
	server := oracle.New(t, oracle.Options{Rows: rows})
	result, err := oracleAt(server).Databases(t.Context(), oracleTarget(t, server, "APP", true))
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
func TestOracleRuleProof(t *testing.T) {
	for scope, want := range map[string]models.Proof{"": models.ProofLedger, "APP": ""} {
		_, result := oracleRows(t, oracleCatalog{scope: scope})
		if !result.Complete || result.Scope != scope || result.Proof != want {
			t.Errorf("of %q: complete is %v, proof %q", scope, result.Complete, result.Proof)
		}
	}
}
