package oracle

import (
	"testing"

	"whalefall/testenv/mutants"
)

func init() { mutants.Apply(statements) }

func TestMutants(t *testing.T) { mutated.Run(t) }

func TestMutants_Sound(t *testing.T) { mutated.CheckSound(t, 65) }

// Reasons that several equivalent mutants share.
const (
	onlySum = "for the account's own schema only the sum of all segments is compared"
	unread  = "not read if there is no owner"
)

// Tests that notice mutants of several statements.
const (
	cases       = "TestSession_Catalog_Cases"
	everyColumn = "TestSession_Catalog_EveryColumn"
)

var mutated = mutants.Suite{
	Dialect: "oracle",
	Sources: []mutants.Source{
		{File: "segments.go", Tests: []string{"TestDictionary_.*|" + everyColumn, cases}},
	},
	Statements: map[string][]string{
		"":                 {"TestSession_Catalog_Cases/two_owners_with_the_same.*", everyColumn, cases},
		"container":        {"TestCollector_Releases"},
		"data_files":       {"TestCollector_Databases"},
		"products":         {"TestCollector_Releases"},
		"sys_segments":     {"TestCollector_Tables_NoSynonym", "TestCollector_Tables_OwnSchemaIfDenied"},
		"tablespaces":      {"TestCollector_Databases", cases},
		"temp_files":       {"TestCollector_Databases"},
		"user_":            {everyColumn, "TestSession_Catalog_Cases/everything_one_schema_can_own.*", cases},
		"user_tablespaces": {"TestCollector_Databases", cases},
		"yardstick":        {"TestCollector_Yardstick_NoSynonym", "TestCollector_Yardstick_(Cases|CrossingIndexes)"},
	},
	Equivalent: map[string]string{
		`home: 1 + 1`:                              "only a limit for a loop that would not end",
		`home: not: false #2`:                      unread,
		`recycled: not: false`:                     unread,
		`listSegmentless: not: false`:              "not read: whether it counts as index does not matter here",
		"yardstick_crossing.sql: without DISTINCT": "a set has no duplicates",
		"yardstick_user.sql: NULL for SYS_CONTEXT('USERENV', 'SESSION_USER')":   onlySum,
		"yardstick_user.sql: NULL for segment_type":                             onlySum,
		"yardstick_user.sql: other than tablespace_name, SYS_CONTEXT('USERENV'": onlySum,
	},
}
