package collectors

import (
	"slices"
	"testing"

	"whalefall/testenv/catalog"
	"whalefall/testenv/oracle"
)

// orphans is the case of segments that belong to nothing that is listed, which a DBA is to be told about.
const orphans = "segments whose table, index or LOB is not in the dictionary views"

// TestSelfCheckOfOracleAgreesOnEveryCase: whatever the segments are of, no byte of them is lost or counted twice.
func TestSelfCheckOfOracleAgreesOnEveryCase(t *testing.T) {
	compared := 0
	for _, c := range catalog.Cases(t, "oracle") {
		t.Run(c.Name, func(t *testing.T) {
			server := oracle.New(t, oracle.Options{Rows: c.Rows})
			target := oracleTarget(t, server, "WHALEFALL", true)
			if c.AsUser != "" {
				target = oracleTarget(t, server, c.AsUser, false)
			}
			collector := oracleAt(server)
			for tablespace, result := range collector.read(t, target) {
				if result.Scope != "" && len(result.Tables) == 0 {
					continue // nothing is seen there, which is an error
				}
				check := mustCheck(t, collector, target, tablespace, 1)
				if check.Passed() == (c.Name == orphans) {
					t.Errorf("%s: %+v", tablespace, unequal(check.Sums))
				}
				compared += len(check.Sums)
				for _, sum := range check.Sums {
					if sum.Verdict == NoWord && result.Residual != nil {
						t.Errorf("%s was not compared", sum.Name)
					}
				}
				if check.Passed() {
					catchesAByte(t, collector, target, tablespace)
				}
			}
		})
	}
	if compared < 100 {
		t.Errorf("only %d sums were compared", compared)
	}
}

// catchesAByte fails unless a comparison sees that each relation in turn is a byte too large.
func catchesAByte(t *testing.T, c Collector, target Target, database string) {
	t.Helper()
	word, err := c.Yardstick(t.Context(), target, database)
	if err != nil {
		t.Fatal(err)
	}
	honest, err := c.Tables(t.Context(), target, database)
	if err != nil {
		t.Fatal(err)
	}
	for i, relation := range honest.Tables {
		if relation.Total == nil || relation.RolledUp || honest.Residual == nil {
			continue
		}
		lie := honest
		lie.Tables = slices.Clone(honest.Tables)
		lie.Tables[i].Total = new(*relation.Total + 1)
		found := compare(lie, word, word)
		if len(unequal(found.relations.sorted()))+len(unequal(found.sums.sorted())) == 0 {
			t.Errorf("%s: a byte too many of %q was not seen", database, relation.Name)
		}
	}
}

func TestSelfCheckOfOracleLeavesCrossedIndexesToTheSumOfAll(t *testing.T) {
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
	check := mustCheck(t, oracleAt(server), oracleTarget(t, server, "WHALEFALL", true), "USERS", 1)
	sums := map[string]int64{}
	for _, sum := range check.Sums {
		sums[sum.Schema] = *sum.Parts[0].Engine
	}
	if len(sums) != 2 || sums[""] != 270336 || sums["C"] != 65536 || !check.Passed() {
		t.Errorf("%+v", check.Sums)
	}
}
