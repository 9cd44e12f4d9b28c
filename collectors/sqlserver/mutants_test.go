package sqlserver

import (
	"testing"

	"whalefall/testenv/mutants"
)

func init() { mutants.Apply(statements) }

func TestMutants(t *testing.T) { mutated.Run(t) }

func TestMutants_Sound(t *testing.T) { mutated.CheckSound(t, 75) }

// Reasons that more than one equivalent mutant has.
const (
	moreTables = "only more rows, of tables that are nothing special"
	failed     = "where there is an error nobody asks whose right it lacks"
	unread     = "nobody reads it where there is no owner"
)

var mutated = mutants.Suite{
	Dialect: "sqlserver",
	Sources: []mutants.Source{
		{File: "sizes.go", Tests: []string{"Test(Rule|Properties).*", "TestCases/a_bit_of_everything", "TestCases"}},
		{File: "read.go", Tests: []string{
			"Test(Rule|Properties).*", "TestCases/a_bit_of_everything", "TestCases", "TestAsksEachVersionForWhatItHas",
		}},
	},
	Statements: map[string][]string{
		"":               {"TestCases/a_bit_of_everything", "TestCases"},
		"database":       {"TestDatabases.*"},
		"every_database": {"TestDatabases.*"},
		"master_files":   {"TestDatabases.*"},
		"session":        {"TestTellsItsVersion", "TestTablesSayWhyADatabaseIsClosed"},
		"snapshot":       {"TestTablesSayWhyADatabaseIsClosed"},
		"tables_2014":    {"TestAsksEachVersionForWhatItHas"},
		"yardstick":      {"TestSelfCheck(AsksOnce|OnEveryCase)"},
	},
	Equivalent: map[string]string{
		"unitPages: 0 + 1":       unread,
		"catalog: not: false":    failed,
		"catalog: not: false #2": failed,
		"catalog: not: false #3": failed,
		"catalog: true for err != nil in err != nil && !isDenied(err)": "nothing is left to be done",
		"tables.sql: 1 = 1 for t.temporal_type = 1":                    moreTables,
		"tables.sql: 1 = 1 for t.history_table_id IS NOT NULL":         moreTables,
		"tables.sql: 1 = 1 for t.is_memory_optimized = 1":              moreTables,
		"tables.sql: 1 = 1 for t.is_external = 1":                      moreTables,
		"tables_2014.sql: 1 = 1 for t.is_memory_optimized = 1":         moreTables,
		"yardstick.sql: LEFT JOIN for JOIN sys.indexes AS i":           "WHERE leaves out what has no index",
	},
}
