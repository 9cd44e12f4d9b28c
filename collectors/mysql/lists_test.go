package mysql

import (
	"fmt"
	"testing"

	"whalefall/collectors/collectortest"
	"whalefall/models"
	"whalefall/testenv"
)

// rowLimits are ways to make a server cut results, and to take that back.
var rowLimits = map[string][2]string{
	"sql_select_limit": {"SET GLOBAL sql_select_limit = 5", "SET GLOBAL sql_select_limit = 18446744073709551615"},
	"no rows at all":   {"SET GLOBAL sql_select_limit = 0", "SET GLOBAL sql_select_limit = 18446744073709551615"},
	"init_connect":     {"SET GLOBAL init_connect = 'SET sql_select_limit = 7'", "SET GLOBAL init_connect = ''"},
	"max_join_size": {
		"SET GLOBAL max_join_size = 3", "SET GLOBAL max_join_size = 18446744073709551615, sql_big_selects = 1",
	},
}

func createTables(t *testing.T, server *testenv.MySQLServer, database string, n int) {
	t.Helper()
	for i := range n {
		server.Exec(t, database, fmt.Sprintf("CREATE TABLE t%02d (id INT PRIMARY KEY)", i))
	}
}

func TestCollector_RowLimits(t *testing.T) {
	server := testenv.StartMySQL(t) // its global settings change
	database := server.NewDatabase(t)
	createTables(t, server, database, 32)
	target := collectortest.MySQLAccount(t, server, "SELECT, PROCESS ON *.*")

	for name, limit := range rowLimits {
		t.Run(name, func(t *testing.T) {
			before, err := New().Databases(t.Context(), target)
			collectortest.Must(t, err)
			server.Exec(t, "", limit[0])
			defer server.Exec(t, "", limit[1])

			result, err := New().Tables(t.Context(), target, database)
			if err != nil || len(result.Tables) != 32 || !result.Complete || result.Proof != models.ProofGrants {
				t.Errorf("got %d tables, complete %v, proof %q, %v; want all 32",
					len(result.Tables), result.Complete, result.Proof, err)
			}
			databases, err := New().Databases(t.Context(), target)
			if err != nil || len(databases.Databases) != len(before.Databases) || !databases.Complete {
				t.Errorf("got %d databases, complete %v, %v; want %d",
					len(databases.Databases), databases.Complete, err, len(before.Databases))
			}
		})
	}
}

// A limit that is set behind our back, as by a proxy that shares connections, cuts lists.
func TestSession_Tables_Cut(t *testing.T) {
	t.Parallel()
	server := testenv.MySQL(t)
	database := server.NewDatabase(t)
	createTables(t, server, database, 12)
	target := collectortest.MySQLAccount(t, server, "SELECT, PROCESS ON *.*")

	for _, limit := range []int{1, 2, 11} {
		t.Run(fmt.Sprint(limit), func(t *testing.T) {
			t.Parallel()
			s, err := New().open(t.Context(), target)
			collectortest.Must(t, err)
			defer s.close()
			seen, err := s.readView(t.Context(), database)
			collectortest.Must(t, err)
			_, err = s.conn.ExecContext(t.Context(), fmt.Sprintf("SET sql_select_limit = %d", limit))
			collectortest.Must(t, err)
			seen.schemas[database] = true

			found, err := s.collectSettled(t.Context(), &seen, database)
			collectortest.Must(t, err)
			if !s.short || len(found.tables) != limit {
				t.Errorf("got %d tables, short %v; want %d and short", len(found.tables), s.short, limit)
			}
		})
	}
}

// A server that finds no table again, although it counts them, has not lost them.
func TestSession_Tables_CutToNothing(t *testing.T) {
	t.Parallel()
	server := testenv.MySQL(t)
	database := server.NewDatabase(t)
	createTables(t, server, database, 3)
	target := collectortest.MySQLAccount(t, server, "SELECT, PROCESS ON *.*")
	s, err := New().open(t.Context(), target)
	collectortest.Must(t, err)
	defer s.close()

	tables, err := s.names(t.Context(), database)
	collectortest.Must(t, err)
	for _, table := range tables {
		table.kind = ""
	}
	_, err = s.conn.ExecContext(t.Context(), "SET sql_select_limit = 0")
	collectortest.Must(t, err)
	query := tableQuery{statements["kind"], database, tables, func(*tableFiles, *tableRow) bool { return true }}
	collectortest.Must(t, s.queryTables(t.Context(), query, []string{"t00", "t01"}))
	if collectortest.Must(t, s.confirmGone(t.Context(), database, 3-s.gone)); s.gone != 2 || !s.short {
		t.Errorf("got %d tables gone, short %v; want 2 and short", s.gone, s.short)
	}
}
