package mysql

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"whalefall/collectors"
	"whalefall/collectors/collectortest"
	"whalefall/models"
	"whalefall/testenv"
)

// restarted returns a MariaDB server with a schema of InnoDB tables, just restarted, so that none of them is open.
func restarted(t *testing.T, tables int) (
	server *testenv.MySQLServer, target collectors.Target, before models.TableResult,
) {
	t.Helper()
	onMariaDB(t)
	server = testenv.StartMySQL(t, "innodb-buffer-pool-load-at-startup=OFF", "innodb-stats-auto-recalc=OFF")
	statements := []string{
		"CREATE TABLE filled (n INT PRIMARY KEY, s VARCHAR(900), KEY (s(50)))",
		"INSERT INTO filled SELECT seq, REPEAT('x', 900) FROM seq_1_to_300",
	}
	for i := range tables - 1 {
		text := fmt.Sprintf("CREATE TABLE t%d (n INT PRIMARY KEY)", i)
		if i%50 == 0 {
			text = fmt.Sprintf("CREATE TABLE t%d SELECT * FROM filled", i)
		}
		statements = append(statements, text)
	}
	server.Exec(t, "", "CREATE DATABASE app")
	server.Exec(t, "app", statements...)

	target = collectortest.MySQLAccount(t, server, "SELECT, PROCESS ON *.*")
	before, err := New().Tables(t.Context(), target, "app")
	collectortest.Must(t, err)
	server.Stop(t)
	server.Start(t)
	return server, target, before
}

func sizes(r models.TableResult) map[string]string {
	out := map[string]string{}
	for _, table := range r.Tables {
		out[table.Name] = fmt.Sprintf("%s %s %s", collectortest.Text(table.Total), table.SizeSource, table.Unread)
	}
	return out
}

// TestCollector_AfterRestart compares what a server tells of the same tables before and after a restart.
func TestCollector_AfterRestart(t *testing.T) {
	t.Parallel()
	server, target, before := restarted(t, openLimit+20)
	var sum int64
	for _, table := range before.Tables {
		sum += *table.Total
	}

	databases, err := New().Databases(t.Context(), target)
	collectortest.Must(t, err)
	for _, d := range databases.Databases {
		if d.Name == "app" && (d.Total == nil || *d.Total != sum) {
			t.Errorf("got %s bytes of the database, want %d", collectortest.Text(d.Total), sum)
		}
	}

	server.Stop(t)
	server.Start(t)
	after, err := New().Tables(t.Context(), target, "app")
	collectortest.Must(t, err)
	if diff := cmp.Diff(sizes(before), sizes(after)); diff != "" || !after.Complete {
		t.Errorf("complete %v, %s", after.Complete, diff)
	}
}

// TestSession_OpenBudget opens some tables of many: the others are unread, and no table has a size from statistics.
func TestSession_OpenBudget(t *testing.T) {
	t.Parallel()
	_, target, before := restarted(t, 2*openStep+1)
	s, err := New().open(t.Context(), target)
	collectortest.Must(t, err)
	defer s.close()
	s.openBudget = time.Nanosecond // for one step
	after, err := s.tables(t.Context(), "app")
	collectortest.Must(t, err)

	unread, known := 0, sizes(before)
	for _, table := range after.Tables {
		switch {
		case table.Unread == models.UnreadFailed && table.Total == nil:
			unread++
		case sizes(models.TableResult{Tables: []models.TableSize{table}})[table.Name] != known[table.Name]:
			t.Errorf("%s has %s bytes from %q", table.Name, collectortest.Text(table.Total), table.SizeSource)
		}
	}
	if unread == 0 || unread > openStep+1 || !after.Complete { // the server may have opened some itself
		t.Errorf("%d of %d tables unread, complete %v", unread, len(after.Tables), after.Complete)
	}
}
