package oracle

import (
	"maps"
	"testing"
	"time"

	"whalefall/collectors"
	"whalefall/collectors/collectortest"
	"whalefall/models"
	"whalefall/testenv/catalog"
	"whalefall/testenv/oracle"
)

// tablesOf returns the result of the tablespace USERS, and its rows by name. All relations must have the same owner.
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
			t.Errorf("%s: got size source %q with total %s", row.Name, row.SizeSource, collectortest.Text(row.Total))
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

func appSegment(name, kind string, bytes collectors.Number) dictSegment {
	return dictSegment{app(name), kind, "USERS", bytes}
}

func wantBytes(t *testing.T, what string, got *int64, want string) {
	t.Helper()
	if collectortest.Text(got) != want {
		t.Errorf("%s: got %s, want %s", what, collectortest.Text(got), want)
	}
}

func TestDictionary_Results_UnknownIndexSize(t *testing.T) {
	t.Parallel()

	const bytes = collectors.Number(8192)
	rows, _ := tablesOf(t, dictionary{
		tables:   appTables(appTable(dictTable{created: "YES"}, "T")),
		indexes:  map[objectName]dictIndex{app("I"): {kind: "NORMAL", table: app("T")}},
		segments: []dictSegment{appSegment("T", "TABLE", bytes), appSegment("I", "INDEX", collectors.Unknown)},
	})
	wantBytes(t, "data", rows["T"].Data, "8192")
	wantBytes(t, "index", rows["T"].Index, collectortest.Text(nil))
	wantBytes(t, "total", rows["T"].Total, collectortest.Text(nil))
}

func TestDictionary_Results_IndexOfUnknownCluster(t *testing.T) {
	t.Parallel()

	const bytes = collectors.Number(8192)
	rows, result := tablesOf(t, dictionary{
		indexes:  map[objectName]dictIndex{app("I"): {kind: "CLUSTER", table: app("C"), onCluster: true}},
		segments: []dictSegment{appSegment("I", "INDEX", bytes)},
	})
	if len(rows) != 0 || *result.Residual != int64(bytes) {
		t.Errorf("got rows %v, residual %d, want no rows, residual %d", rows, *result.Residual, bytes)
	}
}

func TestDictionary_Results_StorageOfDroppedTable(t *testing.T) {
	t.Parallel()

	const bytes = collectors.Number(8192)
	rows, _ := tablesOf(t, dictionary{
		tables:   appTables(appTable(dictTable{}, "STORAGE")),
		parents:  map[objectName]objectName{app("STORAGE"): app("BIN$parent")},
		segments: []dictSegment{appSegment("STORAGE", "NESTED TABLE", bytes)},
	})
	wantBytes(t, "recycle bin", rows[recycleBin].Total, "8192")
}

// A table stores a domain index only if both the table and the secondary objects say so.
func TestDictionary_Results_DomainIndexes(t *testing.T) {
	t.Parallel()

	const bytes = collectors.Number(8192)
	for _, c := range []struct {
		flagged, listed bool
		want            string // the relation that the bytes count for
	}{{true, true, "T"}, {true, false, "DR$I"}, {false, true, "DR$I"}} {
		catalog := dictionary{
			tables:    appTables(appTable(dictTable{created: "YES"}, "T"), appTable(dictTable{secondary: c.flagged}, "DR$I")),
			indexes:   map[objectName]dictIndex{app("I"): {kind: "DOMAIN", table: app("T")}},
			secondary: map[objectName]objectName{},
			segments:  []dictSegment{appSegment("DR$I", "TABLE", bytes)},
		}
		if c.listed {
			catalog.secondary[app("DR$I")] = app("I")
		}
		rows, _ := tablesOf(t, catalog)
		wantBytes(t, c.want, rows[c.want].Total, "8192")
	}
}

func TestDictionary_Results_TablespaceOfClusteredTables(t *testing.T) {
	t.Parallel()

	for tablespace, want := range map[string]string{"": "INDX", "USERS": "USERS"} {
		results := dictionary{
			tablespaces: map[string]bool{"USERS": true, "INDX": true},
			tables:      appTables(appTable(dictTable{tablespace: tablespace, cluster: app("C"), created: "YES"}, "T")),
			clusters:    map[objectName]string{app("C"): "INDX"},
		}.results()
		for name, result := range results {
			if listed := len(result.Tables) == 1; listed != (name == want) {
				t.Errorf("tablespace %q: listed in %s: got %v, want %v", tablespace, name, listed, name == want)
			}
		}
	}
}

func TestDictionary_Results_TablesWithoutBytes(t *testing.T) {
	t.Parallel()

	count, at, bytes := int64(7), time.Unix(0, 0), collectors.Number(8192)
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
			[]dictSegment{appSegment("T", "TABLE", bytes)},
			models.KindTable, "8192", "7", models.RowsStatistic,
		},
		"never filled": {
			with(func(t *dictTable) { t.created = "NO" }), false, nil,
			models.KindTable, "0", "0", models.RowsExact,
		},
		"filled meanwhile": {
			with(func(t *dictTable) { t.created = "NO" }), false,
			[]dictSegment{appSegment("T", "TABLE", bytes)},
			models.KindTable, "8192", "7", models.RowsStatistic,
		},
		"filled meanwhile, with an unknown size": {
			with(func(t *dictTable) { t.created = "NO" }), false,
			[]dictSegment{appSegment("T", "TABLE", collectors.Unknown)},
			models.KindTable, collectortest.Text(nil), "7", models.RowsStatistic,
		},
		"temporary": {
			with(func(t *dictTable) { t.temporary = true }), false, nil,
			models.KindTemporary, collectortest.Text(nil), "7", models.RowsStatistic,
		},
		"temporary with bytes": {
			with(func(t *dictTable) { t.temporary = true }), false,
			[]dictSegment{appSegment("T", "TABLE", bytes)},
			models.KindTable, "8192", "7", models.RowsStatistic,
		},
		"external": {counted, true, nil, models.KindExternal, collectortest.Text(nil), "7", models.RowsStatistic},
		"partly external": {
			counted, true,
			[]dictSegment{appSegment("T", "TABLE PARTITION", bytes)},
			models.KindTable, "8192", "7", models.RowsStatistic,
		},
	} {
		rows, _ := tablesOf(t, dictionary{
			tables: appTables(appTable(c.table, "T")), external: map[objectName]bool{app("T"): c.external}, segments: c.segments,
		})
		row, listed := rows["T"]
		if !listed || row.Kind != c.kind || row.RowsSource != c.source {
			t.Errorf("%s: got listed %v, kind %q, rows source %q, want kind %q, rows source %q",
				name, listed, row.Kind, row.RowsSource, c.kind, c.source)
		}
		wantBytes(t, name, row.Total, c.total)
		wantBytes(t, name+" rows", row.Rows, c.rows)
	}
}

// distinctColumns returns a dictionary in which the value of each column matters.
func distinctColumns() catalog.Rows {
	spaces := []map[string]any{
		collectortest.OracleTablespace("USERS", "PERMANENT"), collectortest.OracleTablespace("INDX", "PERMANENT"),
	}
	member := collectortest.OracleTable("APP", "MEMBER", "")
	member["CLUSTER_OWNER"], member["CLUSTER_NAME"] = "APP", "C"
	foreign := collectortest.OracleTable("APP", "GUEST", "USERS")
	foreign["CLUSTER_OWNER"], foreign["CLUSTER_NAME"] = "OTHER", "C"
	named := collectortest.OracleTable("APP", "BIN$kept", "USERS")
	dropped := collectortest.OracleTable("APP", "GONE", "USERS")
	dropped["DROPPED"] = "YES"
	return catalog.Rows{
		"DBA_TABLESPACES": spaces,
		"DBA_CLUSTERS":    {{"OWNER": "APP", "CLUSTER_NAME": "C", "TABLESPACE_NAME": "INDX"}},
		"DBA_TABLES":      {member, foreign, named, dropped, collectortest.OracleTable("APP", "DOCUMENTS", "USERS")},
		"DBA_LOBS": {
			{"OWNER": "APP", "TABLE_NAME": "DOCUMENTS", "SEGMENT_NAME": "SYS_LOB1$$", "INDEX_NAME": "SYS_IL1$$"},
		},
		"DBA_SEGMENTS": {
			collectortest.OracleSegment("APP", "C", "CLUSTER", "USERS", 1),
			collectortest.OracleSegment("APP", "GUEST", "TABLE", "USERS", 20),
			collectortest.OracleSegment("APP", "BIN$kept", "TABLE", "USERS", 300),
			collectortest.OracleSegment("APP", "DOCUMENTS", "TABLE", "USERS", 4000),
			collectortest.OracleSegment("APP", "SYS_IL1$$", "LOBINDEX", "USERS", 50000),
			collectortest.OracleSegment("APP", "GONE", "TABLE", "USERS", 600000),
		},
	}
}

func TestSession_Catalog_EveryColumn(t *testing.T) {
	server := oracle.New(t, oracle.Options{Rows: distinctColumns()})
	for _, role := range []bool{true, false} {
		results := collectorFor(server).read(t, collectortest.OracleTarget(t, server, "APP", role))
		if got, want := totals(results["INDX"]), "APP.MEMBER "+collectortest.Text(nil); got != want {
			t.Errorf("role %v: INDX: got %s, want %s", role, got, want)
		}
		want := "APP.BIN$ 600000, APP.BIN$kept 300, APP.C 1, APP.DOCUMENTS 54000, APP.GUEST 20"
		if got := totals(results["USERS"]); got != want {
			t.Errorf("role %v: USERS: got %s, want %s", role, got, want)
		}
		for _, row := range results["USERS"].Tables {
			if row.Note != "" {
				t.Errorf("role %v: %s: got note %q, want none", role, row.Name, row.Note)
			}
		}
	}
}

func TestCollector_Yardstick_NoSynonym(t *testing.T) {
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

// A default tablespace counts as dropped only if the list of tablespaces is complete.
func TestDictionary_Results_DefaultTablespace(t *testing.T) {
	t.Parallel()

	for _, all := range []bool{true, false} {
		results := dictionary{
			allTablespaces: all, tablespaces: map[string]bool{"USERS": true}, defaults: map[string]string{"APP": "OLD"},
			tables: appTables(appTable(dictTable{temporary: true}, "T")),
		}.results()
		if listed := len(results["OLD"].Tables) == 1; listed == all || len(results["USERS"].Tables) != 0 {
			t.Errorf("list is complete: %v: got %+v", all, results)
		}
	}
}

// A table in a cluster has no bytes of its own, whatever SEGMENT_CREATED says.
func TestDictionary_Results_ClusteredTablesHaveNoBytes(t *testing.T) {
	t.Parallel()

	for _, created := range []string{"YES", "NO", ""} {
		rows, _ := tablesOf(t, dictionary{
			tables:   appTables(appTable(dictTable{tablespace: "USERS", cluster: app("C"), created: created}, "T")),
			clusters: map[objectName]string{app("C"): "USERS"},
		})
		if row, listed := rows["T"]; !listed || row.SizeSource != models.SizeNone || row.Note != models.NoteClustered {
			t.Errorf("created %q: got listed %v, size source %q, note %q, want size source %q, note %q",
				created, listed, row.SizeSource, row.Note, models.SizeNone, models.NoteClustered)
		}
	}
}

func TestCollector_Databases_IsSystem(t *testing.T) {
	contents := map[string]string{
		"SYSTEM": "PERMANENT", "SYSAUX": "PERMANENT", "UNDOTBS1": "UNDO", "TEMP": "TEMPORARY",
		"USERS": "PERMANENT", "sysaux": "PERMANENT",
	}
	rows := catalog.Rows{}
	for name, of := range contents {
		rows["DBA_TABLESPACES"] = append(rows["DBA_TABLESPACES"], collectortest.OracleTablespace(name, of))
	}
	server := oracle.New(t, oracle.Options{Rows: rows})
	result, err := collectorFor(server).Databases(t.Context(), collectortest.OracleTarget(t, server, "APP", true))
	if err != nil || len(result.Databases) != len(contents) {
		t.Fatalf("got %d databases, %v, want %d", len(result.Databases), err, len(contents))
	}
	for _, d := range result.Databases {
		if own := d.Name == "USERS" || d.Name == "sysaux"; d.IsSystem == own {
			t.Errorf("%s: got IsSystem %v, want %v", d.Name, d.IsSystem, !own)
		}
	}
}

// Only DBA_SEGMENTS proves that a result is complete: it lists every segment, USER_SEGMENTS those of one schema.
func TestDictionary_Results_Proof(t *testing.T) {
	t.Parallel()

	for scope, want := range map[string]models.Proof{"": models.ProofLedger, "APP": ""} {
		_, result := tablesOf(t, dictionary{scope: scope})
		if !result.Complete || result.Scope != scope || result.Proof != want {
			t.Errorf("scope %q: got scope %q, complete %v, proof %q, want complete, proof %q",
				scope, result.Scope, result.Complete, result.Proof, want)
		}
	}
}
