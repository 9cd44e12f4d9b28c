package sqlserver

import (
	"testing"

	"whalefall/testenv/mutants"
)

func init() { mutants.Apply(statements) }

func TestMutants(t *testing.T) { mutated.Run(t) }

func TestMutants_Sound(t *testing.T) { mutated.CheckSound(t, 75) }

// Patterns of test names used more than once.
const (
	readerTests    = "Test(Reader_Tables|SystemCatalog|SplitPages).*"
	databasesTests = "TestCollector_Databases_(States|LimitedAccount|UnreadableReplica)"
)

// Reasons shared by several equivalent mutants.
const (
	moreTables = "it only adds rows of ordinary tables"
	failed     = "with an error the result is not used"
	unread     = "it is not used without an owner"
)

var mutated = mutants.Suite{
	Dialect: "sqlserver",
	Sources: []mutants.Source{
		{File: "sizes.go", Tests: []string{readerTests, "TestReader_Cases/a_bit_of_everything", "TestReader_Cases"}},
		{File: "read.go", Tests: []string{
			readerTests, "TestReader_Cases/a_bit_of_everything", "TestReader_Cases", "TestCollector_ServerVersions",
		}},
	},
	Statements: map[string][]string{
		"":               {"TestReader_Cases/a_bit_of_everything", "TestReader_Cases"},
		"database":       {databasesTests},
		"every_database": {databasesTests},
		"master_files":   {databasesTests},
		"session":        {"TestCollector_Version", "TestCollector_Tables_ClosedDatabases"},
		"snapshot":       {"TestCollector_Tables_ClosedDatabases"},
		"tables_2014":    {"TestCollector_ServerVersions"},
		"yardstick":      {"TestCollector_Yardstick_(EachRelationOnce|Cases)"},
	},
	Equivalent: map[string]string{
		"unitPages: 0 + 1":       unread,
		"catalog: not: false":    failed,
		"catalog: not: false #2": failed,
		"catalog: not: false #3": failed,
		"catalog: true for err != nil in err != nil && !isDenied(err)": "nothing follows that it could skip",
		"tables.sql: 1 = 1 for t.temporal_type = 1":                    moreTables,
		"tables.sql: 1 = 1 for t.history_table_id IS NOT NULL":         moreTables,
		"tables.sql: 1 = 1 for t.is_memory_optimized = 1":              moreTables,
		"tables.sql: 1 = 1 for t.is_external = 1":                      moreTables,
		"tables_2014.sql: 1 = 1 for t.is_memory_optimized = 1":         moreTables,
		"yardstick.sql: LEFT JOIN for JOIN sys.indexes AS i":           "WHERE excludes views without an index",
	},
}
