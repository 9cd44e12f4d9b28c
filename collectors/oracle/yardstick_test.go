package oracle

import (
	"testing"

	"whalefall/collectors"
	"whalefall/collectors/collectortest"
	"whalefall/testenv/catalog"
	"whalefall/testenv/oracle"
)

// orphans is the case of segments that belong to nothing that is listed, which a DBA is to be told about.
const orphans = "segments whose table, index or LOB is not in the dictionary views"

// TestSelfCheckOracleAgreesOnEveryCase: whatever the segments are of, no byte of them is lost or counted twice.
func TestSelfCheckAgreesOnEveryCase(t *testing.T) {
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
					continue // nothing is seen there, which is an error
				}
				check := collectortest.SelfCheck(t, collector, target, tablespace, 1)
				if check.Passed() == (c.Name == orphans) {
					t.Errorf("%s: %+v", tablespace, collectortest.Unequal(check.Sums))
				}
				compared += len(check.Sums)
				for _, sum := range check.Sums {
					if sum.Verdict == collectors.NoWord && result.Residual != nil {
						t.Errorf("%s was not compared", sum.Name)
					}
				}
				if check.Passed() {
					collectortest.CatchesAByte(t, collector, target, tablespace)
				}
			}
		})
	}
	if compared < 100 {
		t.Errorf("only %d sums were compared", compared)
	}
}

func TestSelfCheckLeavesCrossedIndexesToTheSumOfAll(t *testing.T) {
	server := oracle.New(t, oracle.Options{Rows: catalog.Rows{
		"DBA_TABLESPACES": {{"TABLESPACE_NAME": "USERS", "CONTENTS": "PERMANENT"}},
		"DBA_TABLES": {
			{"OWNER": "A", "TABLE_NAME": "T", "TABLESPACE_NAME": "USERS"}, {"OWNER": "C", "TABLE_NAME": "T", "TABLESPACE_NAME": "USERS"},
		},
		"DBA_INDEXES": {
			{"OWNER": "B", "INDEX_NAME": "I", "INDEX_TYPE": "NORMAL", "TABLE_OWNER": "A", "TABLE_NAME": "T", "TABLE_TYPE": "TABLE"},
		},
		"DBA_SEGMENTS": {
			{"OWNER": "A", "SEGMENT_NAME": "T", "SEGMENT_TYPE": "TABLE", "TABLESPACE_NAME": "USERS", "BYTES": 65536},
			{"OWNER": "B", "SEGMENT_NAME": "I", "SEGMENT_TYPE": "INDEX", "TABLESPACE_NAME": "USERS", "BYTES": 131072},
			{"OWNER": "C", "SEGMENT_NAME": "T", "SEGMENT_TYPE": "TABLE", "TABLESPACE_NAME": "USERS", "BYTES": 65536},
			{"OWNER": "SYS", "SEGMENT_NAME": "_SYSSMU1$", "SEGMENT_TYPE": "TYPE2 UNDO", "TABLESPACE_NAME": "USERS", "BYTES": 8192},
		},
	}})
	check := collectortest.SelfCheck(t, collectorFor(server), collectortest.OracleTarget(t, server, "WHALEFALL", true), "USERS", 1)
	sums := map[string]int64{}
	for _, sum := range check.Sums {
		sums[sum.Schema] = *sum.Parts[0].Engine
	}
	if len(sums) != 2 || sums[""] != 270336 || sums["C"] != 65536 || !check.Passed() {
		t.Errorf("%+v", check.Sums)
	}
}
