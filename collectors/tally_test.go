package collectors

import (
	"context"
	"testing"
	"time"

	"whalefall/models"
	"whalefall/testenv/sqlserver"
)

// watched is a context whose run tells what it has come to.
func watched(t *testing.T) (context.Context, func() models.Progress) {
	p := &progress{now: time.Now}
	return withProgress(t.Context(), p), p.snapshot
}

func wantCount(t *testing.T, what string, got *int64, want int) {
	t.Helper()
	if got == nil || *got != int64(want) {
		t.Errorf("%s: %s tables, want %d", what, text(got), want)
	}
}

func TestEveryEngineCountsWhatItFinds(t *testing.T) {
	for _, e := range []engine{mysqlEngine, sqliteEngine, sqlserverEngine, oracleEngine} {
		t.Run(e.name, func(t *testing.T) {
			f := e.setup(t)
			ctx, come := watched(t)
			result, err := f.collector.Tables(ctx, f.target, f.database)
			if err != nil || len(result.Tables) == 0 {
				t.Fatalf("%+v, %v", result, err)
			}
			p := come()
			wantCount(t, "seen", p.TablesSeen, len(result.Tables))
			wantCount(t, "all", p.TablesTotal, len(result.Tables))
		})
	}
}

// How many there are is told before the first of them is measured.
func TestHowManyTablesThereAreIsToldFirst(t *testing.T) {
	mariadb := mysqlFixture(t)
	mssql := sqlserverConformance(t)
	server := sqlserver.Start(t, sqlserver.Options{})
	b := sqlserverTables{rows: map[string][]map[string]any{}}
	b.add("sys.schemas", map[string]any{"schema_id": 1, "name": "dbo"})
	b.table("one")
	server.AddDatabase(t, sqlserver.Database{Name: "app", Rows: b.rows})
	mssql.target, mssql.block = asLogin(server, "sa"), func(t *testing.T) func() { return server.Block(t, "sys.dm_db_partition_stats") }
	for _, f := range []fixture{mariadb, mssql} {
		release := f.block(t)
		ctx, come := watched(t)
		done := make(chan models.TableResult, 1)
		go func() {
			result, err := f.collector.Tables(ctx, f.target, f.database)
			if err != nil {
				t.Error(err)
			}
			done <- result
		}()
		eventually(t, "nobody told how many there are", func() bool { return come().TablesTotal != nil })
		if seen := come().TablesSeen; seen != nil {
			t.Errorf("%d are measured", *seen)
		}
		told := *come().TablesTotal
		release()
		if result := <-done; int64(len(result.Tables)) != told {
			t.Errorf("%d tables were told of %d", told, len(result.Tables))
		}
	}
}

func TestTallyTellsNotOfEach(t *testing.T) {
	ctx, come := watched(t)
	var n tally
	for range tallyStep - 1 {
		n.more(ctx)
	}
	if seen := come().TablesSeen; seen != nil {
		t.Errorf("told of %d", *seen)
	}
	n.more(ctx)
	wantCount(t, "told", come().TablesSeen, tallyStep)
}
