package collectors

import (
	"slices"
	"testing"
	"time"

	"whalefall/models"
	"whalefall/testenv/catalog"
	"whalefall/testenv/sqlserver"
)

// The server is told by an attention, whatever it is asked at the moment.
func TestSQLServerIsToldThatAStatementIsCancelled(t *testing.T) {
	server := sqlserverFixture(t, sqlserver.Options{})
	for i, view := range []string{"sys.partitions", "sys.objects", "sys.schemas", "sys.dm_db_partition_stats"} {
		release := server.Block(t, view)
		waits := func() bool { return server.Waiting() == 1 }
		if late := cancelWhen(t, NewSQLServer(), asLogin(server, "sa"), "app", waits); late > time.Second {
			t.Errorf("%s: that took %v", view, late)
		}
		if told := server.Attentions(); told != i+1 {
			t.Errorf("%s: the server was told %d times", view, told)
		}
		eventually(t, "the server goes on", func() bool { return server.Waiting() == 0 && len(server.Connections()) == 0 })
		release()
	}
}

// The driver would wait ten seconds for a server to confirm that it has ended the statement.
func TestSQLServerCancelledWhenTheNetworkIsCut(t *testing.T) {
	server := sqlserverFixture(t, sqlserver.Options{})
	target := asLogin(server, "sa")
	w := newWire(t, &target)
	server.Block(t, "sys.objects")
	cut := func() bool {
		waits := server.Waiting() == 1
		if waits {
			w.cutOff()
		}
		return waits
	}
	if late := cancelWhen(t, NewSQLServer(), target, "app", cut); late > time.Second {
		t.Errorf("that took %v", late)
	}
}

func TestSQLServerStatementWithoutAnAnswerTimesOut(t *testing.T) {
	server := sqlserverFixture(t, sqlserver.Options{})
	target := asLogin(server, "sa")
	w := newWire(t, &target)
	server.Block(t, "sys.objects")
	hasty := NewSQLServer()
	hasty.statementTimeout = sqlserverLockWait / 2 // else the lock ends it
	done := make(chan error, 1)
	go func() {
		_, err := hasty.Tables(t.Context(), target, "app")
		done <- err
	}()
	eventually(t, "nobody waits", func() bool { return server.Waiting() == 1 })
	w.cutOff()
	cut := time.Now()
	wantError(t, <-done, models.CodeTimeout, "")
	if elapsed := time.Since(cut); elapsed > hasty.statementTimeout+3*hangUpGrace {
		t.Errorf("that took %v", elapsed)
	}
}

// Rights that are taken away between two collections leave no complete result that is too short.
func TestSQLServerRightsRevokedBetweenTwoCollections(t *testing.T) {
	server := sqlserver.Start(t, sqlserver.Options{})
	b := sqlserverTables{rows: catalog.Rows{}}
	b.add("sys.schemas", map[string]any{"schema_id": 1, "name": "dbo"})
	for _, name := range hostileNames {
		b.table(name)
	}
	server.AddDatabase(t, sqlserver.Database{Name: "app", Rows: b.rows})
	before, err := NewSQLServer().Tables(t.Context(), asLogin(server, "sa"), "app")
	if err != nil || !before.Complete || before.Hidden != 0 {
		t.Fatalf("%+v, %v", before, err)
	}
	server.AddLogin(t, sqlserver.Login{Name: "sa", Users: map[string]sqlserver.User{"app": {}}})
	blind, err := NewSQLServer().Tables(t.Context(), asLogin(server, "sa"), "app")
	if err != nil || blind.Complete || blind.Proof != "" || blind.Hidden != int64(len(before.Tables)) || blind.Grant == "" {
		t.Errorf("%+v, %v", blind, err)
	}
	server.AddLogin(t, sqlserver.Login{Name: "sa"})
	_, err = NewSQLServer().Tables(t.Context(), asLogin(server, "sa"), "app")
	wantError(t, err, models.CodeCollection, keyMSSQLNoAccess)
}

// The database is dropped, which ends who is in it, at each of the statements of a collection.
func TestSQLServerDatabaseDroppedWhileItsTablesAreRead(t *testing.T) {
	for _, view := range []string{"sys.databases", "sys.partitions", "sys.objects", "sys.schemas", "sys.dm_db_partition_stats"} {
		server := sqlserverFixture(t, sqlserver.Options{})
		server.Fail(func(q sqlserver.Query) error {
			if slices.Contains(q.Views, view) && q.Database == "app" {
				server.DropDatabase(t, "app")
			}
			return nil
		})
		_, err := NewSQLServer().Tables(t.Context(), asLogin(server, "sa"), "app")
		wantError(t, err, models.CodeCollection, KeyDatabaseGone)
	}
}
