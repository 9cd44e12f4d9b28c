package sqlserver

import (
	"slices"
	"testing"
	"time"

	"whalefall/collectors"
	"whalefall/collectors/collectortest"
	"whalefall/models"
	"whalefall/testenv/catalog"
	"whalefall/testenv/sqlserver"
)

// The server is told by an attention, whatever it is asked at the moment.
func TestIsToldThatAStatementIsCancelled(t *testing.T) {
	server := newFixture(t, sqlserver.Options{})
	for i, view := range []string{"sys.partitions", "sys.objects", "sys.schemas", "sys.dm_db_partition_stats"} {
		release := server.Block(t, view)
		waits := func() bool { return server.Waiting() == 1 }
		if late := collectortest.CancelWhen(t, New(), asLogin(server, "sa"), "app", waits); late > time.Second {
			t.Errorf("%s: that took %v", view, late)
		}
		if told := server.Attentions(); told != i+1 {
			t.Errorf("%s: the server was told %d times", view, told)
		}
		collectortest.Eventually(t, "the server goes on", func() bool { return server.Waiting() == 0 && len(server.Connections()) == 0 })
		release()
	}
}

// The driver would wait ten seconds for a server to confirm that it has ended the statement.
func TestCancelledWhenTheNetworkIsCut(t *testing.T) {
	server := newFixture(t, sqlserver.Options{})
	target := asLogin(server, "sa")
	w := collectortest.NewWire(t, &target)
	server.Block(t, "sys.objects")
	cut := func() bool {
		waits := server.Waiting() == 1
		if waits {
			w.CutOff()
		}
		return waits
	}
	if late := collectortest.CancelWhen(t, New(), target, "app", cut); late > time.Second {
		t.Errorf("that took %v", late)
	}
}

func TestStatementWithoutAnAnswerTimesOut(t *testing.T) {
	server := newFixture(t, sqlserver.Options{})
	target := asLogin(server, "sa")
	w := collectortest.NewWire(t, &target)
	server.Block(t, "sys.objects")
	hasty := New()
	hasty.statementTimeout = lockWait / 2 // else the lock ends it
	done := make(chan error, 1)
	go func() {
		_, err := hasty.Tables(t.Context(), target, "app")
		done <- err
	}()
	collectortest.Eventually(t, "nobody waits", func() bool { return server.Waiting() == 1 })
	w.CutOff()
	cut := time.Now()
	collectortest.WantError(t, <-done, models.CodeTimeout, "")
	if elapsed := time.Since(cut); elapsed > hasty.statementTimeout+3*collectors.HangUpGrace {
		t.Errorf("that took %v", elapsed)
	}
}

// Rights that are taken away between two collections leave no complete result that is too short.
func TestRightsRevokedBetweenTwoCollections(t *testing.T) {
	server := sqlserver.Start(t, sqlserver.Options{})
	b := catalogBuilder{rows: catalog.Rows{}}
	b.add("sys.schemas", map[string]any{"schema_id": 1, "name": "dbo"})
	for _, name := range collectortest.HostileNames {
		b.table(name)
	}
	server.AddDatabase(t, sqlserver.Database{Name: "app", Rows: b.rows})
	before, err := New().Tables(t.Context(), asLogin(server, "sa"), "app")
	if err != nil || !before.Complete || before.Hidden != 0 {
		t.Fatalf("%+v, %v", before, err)
	}
	server.AddLogin(t, sqlserver.Login{Name: "sa", Users: map[string]sqlserver.User{"app": {}}})
	blind, err := New().Tables(t.Context(), asLogin(server, "sa"), "app")
	if err != nil || blind.Complete || blind.Proof != "" || blind.Hidden != int64(len(before.Tables)) || blind.Grant == "" {
		t.Errorf("%+v, %v", blind, err)
	}
	server.AddLogin(t, sqlserver.Login{Name: "sa"})
	_, err = New().Tables(t.Context(), asLogin(server, "sa"), "app")
	collectortest.WantError(t, err, models.CodeCollection, keyNoAccess)
}

// The database is dropped, which ends who is in it, at each of the statements of a collection.
func TestDatabaseDroppedWhileItsTablesAreRead(t *testing.T) {
	for _, view := range []string{"sys.databases", "sys.partitions", "sys.objects", "sys.schemas", "sys.dm_db_partition_stats"} {
		server := newFixture(t, sqlserver.Options{})
		server.Fail(func(q sqlserver.Query) error {
			if slices.Contains(q.Views, view) && q.Database == "app" {
				server.DropDatabase(t, "app")
			}
			return nil
		})
		_, err := New().Tables(t.Context(), asLogin(server, "sa"), "app")
		collectortest.WantError(t, err, models.CodeCollection, collectors.KeyDatabaseGone)
	}
}
