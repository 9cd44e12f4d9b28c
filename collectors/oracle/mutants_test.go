package oracle

import (
	"testing"

	"whalefall/testenv/mutants"
)

func init() { mutants.Apply(statements) }

func TestMutants(t *testing.T) { mutated.Run(t) }

func TestMutants_Sound(t *testing.T) { mutated.CheckSound(t, 65) }

// Reasons that more than one equivalent mutant has.
const (
	sumAlone = "of one's own schema only the sum of all is of interest"
	unread   = "nobody reads it where there is no owner"
)

var mutated = mutants.Suite{
	Dialect: "oracle",
	Sources: []mutants.Source{
		{File: "segments.go", Tests: []string{"Test(Rule.*|Properties)|TestTablesThatStoreEachOtherEnd", "TestCases"}},
	},
	Statements: map[string][]string{
		"":                 {"TestCases/two_owners_with_the_same.*", "TestRuleEveryColumnCounts", "TestCases"},
		"container":        {"TestReleases"},
		"data_files":       {"TestDatabases"},
		"products":         {"TestReleases"},
		"sys_segments":     {"TestWithoutASynonym", "TestFallsBackWhenDenied"},
		"tablespaces":      {"TestDatabases", "TestCases"},
		"temp_files":       {"TestDatabases"},
		"user_":            {"TestRuleEveryColumnCounts", "TestCases/everything_one_schema_can_own.*", "TestCases"},
		"user_tablespaces": {"TestDatabases", "TestCases"},
		"yardstick":        {"TestRuleYardstickWithoutASynonym", "TestSelfCheck.*"},
	},
	Equivalent: map[string]string{
		`home: 1 + 1`:                            "a limit for what would have no end",
		`home: not: false #2`:                    unread,
		`recycled: not: false`:                   unread,
		`listSegmentless: not: false`:            "whether it is an index is not asked",
		"yardstick_guests.sql: without DISTINCT": "a set has no twins",
		"yardstick_user.sql: NULL for SYS_CONTEXT('USERENV', 'SESSION_USER')":   sumAlone,
		"yardstick_user.sql: NULL for segment_type":                             sumAlone,
		"yardstick_user.sql: other than tablespace_name, SYS_CONTEXT('USERENV'": sumAlone,
	},
}
