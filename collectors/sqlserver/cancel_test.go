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

// A cancelled collection sends the server an attention, whichever statement is running.
func TestCollector_Tables_CancelSendsAttention(t *testing.T) {
	server := newFixture(t, sqlserver.Options{})
	for i, view := range []string{"sys.partitions", "sys.objects", "sys.schemas", "sys.dm_db_partition_stats"} {
		release := server.Block(t, view)
		blocked := func() bool { return server.Waiting() == 1 }
		if elapsed := collectortest.CancelWhen(t, New(), asLogin(server, "sa"), "app", blocked); elapsed > time.Second {
			t.Errorf("%s: returned %v after the cancellation, want at most 1s", view, elapsed)
		}
		if got := server.Attentions(); got != i+1 {
			t.Errorf("%s: got %d attentions, want %d", view, got, i+1)
		}
		collectortest.Eventually(t, "the statement still runs", func() bool {
			return server.Waiting() == 0 && len(server.Connections()) == 0
		})
		release()
	}
}

// The driver alone would wait ten seconds for the server to confirm the cancellation.
func TestCollector_Tables_CancelAfterNetworkLoss(t *testing.T) {
	server := newFixture(t, sqlserver.Options{})
	target := asLogin(server, "sa")
	w := collectortest.NewWire(t, &target)
	server.Block(t, "sys.objects")
	cut := func() bool {
		blocked := server.Waiting() == 1
		if blocked {
			w.CutOff()
		}
		return blocked
	}
	if elapsed := collectortest.CancelWhen(t, New(), target, "app", cut); elapsed > time.Second {
		t.Errorf("returned %v after the cancellation, want at most 1s", elapsed)
	}
}

func TestCollector_Tables_TimeoutAfterNetworkLoss(t *testing.T) {
	server := newFixture(t, sqlserver.Options{})
	target := asLogin(server, "sa")
	w := collectortest.NewWire(t, &target)
	server.Block(t, "sys.objects")
	impatient := New()
	impatient.statementTimeout = lockWait / 2 // before the wait for the lock ends
	done := make(chan error, 1)
	go func() {
		_, err := impatient.Tables(t.Context(), target, "app")
		done <- err
	}()
	collectortest.Eventually(t, "no statement is blocked", func() bool { return server.Waiting() == 1 })
	w.CutOff()
	cut := time.Now()
	collectortest.WantError(t, <-done, models.CodeTimeout, "")
	if elapsed, limit := time.Since(cut), impatient.statementTimeout+3*collectors.HangUpGrace; elapsed > limit {
		t.Errorf("returned after %v, want at most %v", elapsed, limit)
	}
}

// When rights are revoked between two collections, the second result is not reported as complete.
func TestCollector_Tables_RightsRevoked(t *testing.T) {
	server := sqlserver.Start(t, sqlserver.Options{})
	b := catalogBuilder{rows: catalog.Rows{}}
	b.add("sys.schemas", map[string]any{"schema_id": 1, "name": "dbo"})
	for _, name := range collectortest.HostileNames {
		b.addTable(name)
	}
	server.AddDatabase(t, sqlserver.Database{Name: "app", Rows: b.rows})
	before, err := New().Tables(t.Context(), asLogin(server, "sa"), "app")
	if err != nil || !before.Complete || before.Hidden != 0 {
		t.Fatalf("got %+v, %v, want a complete result", before, err)
	}
	server.AddLogin(t, sqlserver.Login{Name: "sa", Users: map[string]sqlserver.User{"app": {}}})
	blind, err := New().Tables(t.Context(), asLogin(server, "sa"), "app")
	if err != nil || blind.Complete || blind.Proof != "" ||
		blind.Hidden != int64(len(before.Tables)) || blind.Grant == "" {
		t.Errorf("got %+v, %v, want %d hidden and a grant", blind, err, len(before.Tables))
	}
	server.AddLogin(t, sqlserver.Login{Name: "sa"})
	_, err = New().Tables(t.Context(), asLogin(server, "sa"), "app")
	collectortest.WantError(t, err, models.CodeCollection, keyNoAccess)
}

// Dropping the database, which terminates its sessions, is recognized at every statement of a collection.
func TestCollector_Tables_DatabaseDropped(t *testing.T) {
	for _, view := range []string{
		"sys.databases", "sys.partitions", "sys.objects", "sys.schemas", "sys.dm_db_partition_stats",
	} {
		t.Run(view, func(t *testing.T) {
			server := newFixture(t, sqlserver.Options{})
			server.Fail(func(q sqlserver.Query) error {
				if slices.Contains(q.Views, view) && q.Database == "app" {
					server.DropDatabase(t, "app")
				}
				return nil
			})
			_, err := New().Tables(t.Context(), asLogin(server, "sa"), "app")
			collectortest.WantError(t, err, models.CodeCollection, collectors.KeyDatabaseGone)
		})
	}
}
