package jobs

import (
	"database/sql"
	"fmt"
	"testing"

	"whalefall/collectors"
	"whalefall/models"
)

func TestRunner_PendingOutcome(t *testing.T) {
	t.Parallel()

	t.Run("does not lose what was collected", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t, &scripted{})
		f.refuse(endingRun)
		_, err := f.refresh("app")
		must(t, err)
		if n := f.snapshotNo("app"); n != 1 || f.ended(1) {
			t.Errorf("got snapshot %d, run %+v, want snapshot 1 of an open run", n, f.run(1).Progress)
		}
		if _, pending := f.runner.memory(); pending != 1 {
			t.Errorf("got %d pending outcomes, want 1", pending)
		}
	})

	t.Run("is returned to late waiters and saved by Close", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t, &scripted{})
		allow := f.refuse(endingRun)
		run := f.request("app")
		eventually(t, "the outcome is pending", func() bool {
			_, pending := f.runner.memory()
			return pending == 1
		})
		outcome, err := f.runner.Wait(t.Context(), run)
		must(t, err)
		if outcome.Receipt.CollectedAt.IsZero() {
			t.Errorf("got %+v, want a receipt", outcome)
		}
		allow()
		must(t, f.runner.Close(t.Context()))
		wantStatus(t, f.run(run.ID), models.RunSucceeded)
	})

	t.Run("is flushed before its database is requested again", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t, &scripted{})
		allow := f.refuse(endingRun)
		_, err := f.refresh("app")
		must(t, err)
		_, err = f.refresh("app")
		wantInternal(t, err)
		allow()
		_, err = f.refresh("app")
		must(t, err)
		wantStatus(t, f.run(1), models.RunSucceeded)
		wantStatus(t, f.run(2), models.RunSucceeded)
	})
}

// TestEndedRun compares what a request is told of a run by the process that executed it and by another one.
func TestEndedRun(t *testing.T) {
	t.Parallel()
	failed := &models.Error{
		Code: models.CodeCollection, Key: "collect.mysql.failed", Args: models.Args("Number", 12345678),
	}
	measured := int64(1)
	c := &scripted{databases: func() (models.DatabaseResult, error) {
		found := []models.DatabaseSize{{Name: "a", Err: failed}, {Name: "b", Total: &measured}}
		return models.DatabaseResult{Databases: found}, nil
	}}
	f := newFixture(t, c)
	here, err := f.runner.RequestAndWait(t.Context(), Databases(someone, f.instance.ID))
	must(t, err)
	elsewhere := endedRun(f.run(1)).outcome
	here.Receipt.CollectedAt = elsewhere.Receipt.CollectedAt // microseconds in the store
	if elsewhere.Receipt != here.Receipt || here.Receipt.CollectedAt.IsZero() {
		t.Errorf("got receipt %+v elsewhere, want %+v", elsewhere.Receipt, here.Receipt)
	}
	for _, outcome := range []collectors.Outcome{here, elsewhere} {
		synced, err := collectors.ParseSyncResult(outcome.Result)
		must(t, err)
		if got := fmt.Sprint(synced.Found.Databases[0].Err.Args["Number"]); got != "12345678" {
			t.Errorf("got number %s, want 12345678", got)
		}
	}
}

// TestRunner_StoreTrouble makes the store refuse a snapshot as a full disk and a standby do.
func TestRunner_StoreTrouble(t *testing.T) {
	t.Parallel()
	address := postgresStore(t)
	f := newFixtureOn(t, address, newFilled())
	must(t, f.runner.Start(t.Context()))
	db, err := sql.Open("pgx", address)
	must(t, err)
	defer db.Close()
	for key, state := range map[string]string{"store.full": "53100", "store.read_only": "25006"} {
		for _, text := range []string{
			"CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ " +
				"BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '" + state + "'; END $$",
			"CREATE OR REPLACE TRIGGER refuse BEFORE INSERT ON database_table_size_stats EXECUTE FUNCTION refuse()",
		} {
			_, err := db.ExecContext(t.Context(), text)
			must(t, err)
		}
		run := f.request("app")
		eventually(t, "the run ended", func() bool { return f.ended(run.ID) })
		run = f.run(run.ID)
		if run.Status != models.RunFailed || run.Failure == nil ||
			run.Failure.Code != models.CodeInternal || run.Failure.Key != key {
			t.Errorf("got a run %s with %v, want one failed with %s", run.Status, run.Failure, key)
		}
	}
}

// newFilled returns a collector of databases with one table.
func newFilled() *blocked {
	c := newBlocked()
	c.release()
	return c
}
