package models_test

import (
	"database/sql"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"whalefall/models"
	"whalefall/testenv"
)

// onPostgres runs a test of transactions that wait for each other; SQLite has one writer.
func onPostgres(t *testing.T, test func(f *fixture)) {
	t.Parallel()
	test(newFixture(t, testenv.PostgreSQL(t).NewDatabase(t)))
}

// contest starts the changes one after the other, each once the former ones are done or blocked, while another
// transaction holds the locks of a statement. It then releases the locks and returns the errors of the changes: a
// deadlock, if there can be one.
func (f *fixture) contest(hold string, changes ...func() error) []error {
	f.Helper()
	db, err := sql.Open("pgx", f.options.Address)
	check(f, err)
	defer func() { check(f, db.Close()) }()
	holder, err := db.BeginTx(f.ctx, nil)
	check(f, err)
	_, err = holder.ExecContext(f.ctx, hold)
	check(f, err)

	errs := make([]error, len(changes))
	var all sync.WaitGroup
	var done atomic.Int64
	for i, change := range changes {
		all.Go(func() {
			errs[i] = change()
			done.Add(1)
		})
		for stuck := int64(0); done.Load()+stuck <= int64(i); time.Sleep(5 * time.Millisecond) {
			const waiting = "SELECT count(*) FROM pg_stat_activity " +
				"WHERE datname = current_database() AND wait_event_type = 'Lock'"
			check(f, db.QueryRowContext(f.ctx, waiting).Scan(&stuck))
		}
	}
	check(f, holder.Rollback())
	all.Wait()
	return errs
}

func TestStore_DestroyInstances_WhileRunEnds(t *testing.T) {
	t.Parallel()
	for _, status := range []models.RunStatus{models.RunFailed, models.RunInterrupted} {
		t.Run(string(status), func(t *testing.T) {
			onPostgres(t, func(f *fixture) {
				instance := f.filled("a")
				run := f.started(instance.ID, "app", "me")
				run.Status, run.EndedAt = status, pointer(f.Now())
				errs := f.contest("SELECT FROM instance_size_stats FOR UPDATE",
					func() error { _, err := f.DestroyInstances(f.ctx, []int64{instance.ID}); return err },
					func() error { return f.EndRun(f.ctx, run) })
				check(f, errs[0])
				wantError(f, errs[1], models.CodeNotFound, "refresh.not_found")
				equal(f, "rows", f.rowsOf(instance.ID), noRows)
			})
		})
	}
}

func TestStore_DestroyInstances_WhileRunsAreInterrupted(t *testing.T) {
	onPostgres(t, func(f *fixture) {
		instance := f.fileInstance("a")
		f.started(instance.ID, "app", "me")
		f.clock.add(time.Minute)
		errs := f.contest("SELECT FROM collection_runs FOR UPDATE",
			func() error { _, err := f.InterruptOrphanedRuns(f.ctx, time.Minute); return err },
			func() error { _, err := f.DestroyInstances(f.ctx, []int64{instance.ID}); return err })
		for _, err := range errs {
			check(f, err)
		}
		equal(f, "rows", f.rowsOf(instance.ID), noRows)
	})
}

func TestStore_UpdateInstance_WhileScheduleOutcome(t *testing.T) {
	onPostgres(t, func(f *fixture) {
		i := f.fileInstance("a")
		f.addDatabase(i.ID, "app")
		f.tick()
		f.until(i.ID)
		equal(f, "due", fmt.Sprint(f.tick()), fmt.Sprint([]int64{i.ID}))
		found := models.Run{
			InstanceID: i.ID, Kind: models.RunDatabases, Progress: models.Progress{Status: models.RunSucceeded},
		}
		errs := f.contest("SELECT FROM instance_schedules FOR UPDATE",
			func() error { return f.ScheduleOutcome(f.ctx, found) },
			func() error { return f.saveSchedule(i.ID, models.AlwaysOn) })
		for _, err := range errs {
			check(f, err)
		}
		equal(f, "queued", f.next(i.ID).DatabaseName, "app")
	})
}

func TestStore_DeleteTag_WhileInstanceIsTagged(t *testing.T) {
	onPostgres(t, func(f *fixture) {
		instance, err := f.CreateInstance(f.ctx, models.Instance{Name: "a", DBType: models.SQLite}, nil, nil)
		check(f, err)
		unused, err := f.CreateTag(f.ctx, models.Tag{Name: "b", DisplayName: "b", Color: "red"})
		check(f, err)
		errs := f.contest("INSERT INTO tags (name, display_name, color) VALUES ('c', 'c', 'red')",
			func() error { _, err := f.UpdateInstance(f.ctx, instance, &[]string{"b", "c"}, nil); return err },
			func() error { return f.DeleteTag(f.ctx, unused.ID) })
		for _, err := range errs {
			check(f, err)
		}
		instance, err = f.Instance(f.ctx, instance.ID)
		check(f, err)
		equal(f, "tags", fmt.Sprintf("%d %s", len(instance.Tags), instance.Tags[0].Name), "1 c")
	})
}

func TestStore_CreateSession_WhilePasswordIsReset(t *testing.T) {
	onPostgres(t, func(f *fixture) {
		user, err := f.CreateUser(f.ctx, models.User{Username: "user_1", Role: models.RoleUser, IsActive: true}, "Passw0rd")
		check(f, err)
		for range 2 {
			_, err := f.CreateSession(f.ctx, user.ID)
			check(f, err)
		}
		f.clock.add(models.DefaultSessionLifetime)
		errs := f.contest("SELECT FROM sessions ORDER BY ctid DESC LIMIT 1 FOR UPDATE",
			func() error { _, err := f.CreateSession(f.ctx, user.ID); return err },
			func() error { _, err := f.UpdateUser(f.ctx, user, pointer("Passw0rd2")); return err })
		for _, err := range errs {
			check(f, err)
		}
	})
}
