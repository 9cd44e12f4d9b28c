package postgresql

import (
	"fmt"
	"testing"

	"whalefall/collectors"
	"whalefall/collectors/collectortest"
	"whalefall/models"
	"whalefall/testenv"
)

// twoServers returns a target whose address leads to two servers, by connection. Both have the database, the first one
// with more tables, which an account of the same name may read.
func twoServers(t *testing.T, tables int, turn func(connection int) int) (collectors.Target, *collectortest.Balancer) {
	t.Helper()
	one, other := testenv.PostgreSQL(t), testenv.StartPostgreSQL(t)
	database := collectortest.DatabaseOf(t, one.NewDatabase(t))
	other.Exec(t, "postgres", "CREATE DATABASE "+database)
	role := collectortest.PostgreSQLRole(t, one)
	other.Exec(t, "postgres", "CREATE ROLE "+role+" LOGIN PASSWORD '"+role+"'")
	for i := range tables {
		create := fmt.Sprintf("CREATE TABLE t%d AS SELECT generate_series(1, 100) AS n", i)
		one.Exec(t, database, create)
		if i%2 == 0 {
			other.Exec(t, database, create)
		}
	}

	target := collectortest.PostgreSQLTarget(one, database)
	target.Username, target.Password, target.TLSMode = role, role, models.TLSDisable
	b := collectortest.NewBalancer(t, &target, turn,
		collectortest.Address(one.Host, one.Port), collectortest.Address(other.Host, other.Port))
	return target, b
}

func TestCollector_Tables_TwoServers(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		turn     func(connection int) int
		tables   int
		measured int
		proof    models.Proof
	}{
		"one server":       {func(int) int { return 0 }, 6, 6, models.ProofCatalog},
		"taken over":       {func(n int) int { return min(n, 1) }, 3, 3, models.ProofCatalog},
		"by turns":         {func(n int) int { return n % 2 }, 6, 2, models.ProofServers},
		"by turns, beyond": {func(n int) int { return (n + 1) % 2 }, 3, 2, models.ProofServers},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			target, _ := twoServers(t, 6, test.turn)
			c := New()
			c.batch = 2
			result, err := c.Tables(t.Context(), target, target.Database)
			collectortest.Must(t, err)
			measured := 0
			for _, table := range result.Tables {
				if table.Unread == "" && table.Total != nil && *table.Total > 0 {
					measured++
				} else if table.Unread != models.UnreadFailed {
					t.Errorf("%s: got %+v, want it unread", table.Name, table)
				}
			}
			if len(result.Tables) != test.tables || measured != test.measured || result.Proof != test.proof ||
				result.Complete != (test.proof == models.ProofCatalog) {
				t.Errorf("got %d tables, %d measured, complete %v, proof %q; want %d, %d, %q",
					len(result.Tables), measured, result.Complete, result.Proof, test.tables, test.measured, test.proof)
			}
		})
	}
}

// A database that another server does not have is not gone.
func TestSizing_ConfirmGone(t *testing.T) {
	t.Parallel()
	target, _ := twoServers(t, 1, func(connection int) int { return min(connection, 1) })
	z := &sizing{collector: New(), target: target, database: target.Database, sizes: map[int64]relationSize{}}
	s, err := z.collector.open(t.Context(), target, target.Database)
	collectortest.Must(t, err)
	z.onServer = s.onServer
	s.close()

	gone := collectors.DatabaseGone(target.Database, nil)
	if err := z.confirmGone(t.Context(), gone); !collectors.IsOtherServer(err) {
		t.Errorf("got %v, want another server", err)
	}
	s, err = z.collector.open(t.Context(), target, target.Database)
	collectortest.Must(t, err)
	z.onServer = s.onServer
	s.close()
	if err := z.confirmGone(t.Context(), gone); !collectors.IsGone(err) {
		t.Errorf("got %v, want the database gone", err)
	}
}
