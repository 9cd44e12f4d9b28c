package oracle

import (
	"testing"

	"whalefall/collectors"
	"whalefall/collectors/collectortest"
	"whalefall/testenv/catalog"
	"whalefall/testenv/oracle"
)

// orphans names the case with segments that belong to no relation, for which the self-check must fail.
const orphans = "segments whose table, index or LOB is not in the dictionary views"

// In every case, the collection neither loses a byte nor counts one twice.
func TestCollector_Yardstick_Cases(t *testing.T) {
	compared := 0
	for _, c := range catalog.Cases(t, "oracle") {
		t.Run(c.Name, func(t *testing.T) {
			server := oracle.New(t, oracle.Options{Rows: c.Rows})
			target := collectortest.OracleTarget(t, server, "WHALEFALL", true)
			if c.AsUser != "" {
				target = collectortest.OracleTarget(t, server, c.AsUser, false)
			}
			collector := collectorFor(server)
			for tablespace, result := range collector.read(t, target) {
				if result.Scope != "" && len(result.Tables) == 0 {
					continue // Tables returns an error for it
				}
				check := collectortest.SelfCheck(t, collector, target, tablespace, 1)
				if check.Passed() == (c.Name == orphans) {
					t.Errorf("%s: got passed %v, unequal %+v", tablespace, check.Passed(), collectortest.Unequal(check.Sums))
				}
				compared += len(check.Sums)
				for _, sum := range check.Sums {
					if sum.Verdict == collectors.NoWord && result.Residual != nil {
						t.Errorf("%s: not compared", sum.Name)
					}
				}
				if check.Passed() {
					collectortest.CatchesAByte(t, collector, target, tablespace)
				}
			}
		})
	}
	if compared < 100 {
		t.Errorf("compared %d sums, want at least 100", compared)
	}
}

// Owners that an index on another owner's table connects are only part of the sum of all.
func TestCollector_Yardstick_CrossingIndexes(t *testing.T) {
	server := oracle.New(t, oracle.Options{Rows: catalog.Rows{
		"DBA_TABLESPACES": {{"TABLESPACE_NAME": "USERS", "CONTENTS": "PERMANENT"}},
		"DBA_TABLES": {
			{"OWNER": "A", "TABLE_NAME": "T", "TABLESPACE_NAME": "USERS"},
			{"OWNER": "C", "TABLE_NAME": "T", "TABLESPACE_NAME": "USERS"},
		},
		"DBA_INDEXES": {
			{
				"OWNER": "B", "INDEX_NAME": "I", "INDEX_TYPE": "NORMAL",
				"TABLE_OWNER": "A", "TABLE_NAME": "T", "TABLE_TYPE": "TABLE",
			},
		},
		"DBA_SEGMENTS": {
			collectortest.OracleSegment("A", "T", "TABLE", "USERS", 65536),
			collectortest.OracleSegment("B", "I", "INDEX", "USERS", 131072),
			collectortest.OracleSegment("C", "T", "TABLE", "USERS", 65536),
			collectortest.OracleSegment("SYS", "_SYSSMU1$", "TYPE2 UNDO", "USERS", 8192),
		},
	}})
	target := collectortest.OracleTarget(t, server, "WHALEFALL", true)
	check := collectortest.SelfCheck(t, collectorFor(server), target, "USERS", 1)

	sums := map[string]int64{}
	for _, sum := range check.Sums {
		sums[sum.Schema] = *sum.Parts[0].Engine
	}
	if len(sums) != 2 || sums[""] != 270336 || sums["C"] != 65536 || !check.Passed() {
		t.Errorf("got %+v, want 270336 bytes of all and 65536 of C", check.Sums)
	}
}
