package models_test

import (
	"fmt"
	"testing"
	"time"

	"whalefall/models"
)

// begun stores an open run.
func (f *fixture) begun(r models.Run) models.Run {
	f.Helper()
	r.RequestedAt = f.clock.Now()
	if r.Kind == "" {
		r.Kind = models.RunTables
	}
	run, joined, err := f.RequestRun(f.ctx, r)
	check(f, err)
	equal(f, "joined", joined, false)
	return run
}

// recorded stores a run that ended with the status after some time.
func (f *fixture) recorded(r models.Run, status models.RunStatus, took time.Duration) models.Run {
	f.Helper()
	run := f.begun(r)
	run.StartedAt = pointer(f.clock.Now())
	f.clock.add(took)
	run.Status, run.EndedAt, run.StoringMS = status, pointer(f.clock.Now()), pointer(took.Milliseconds()/4)
	run.Receipt.CollectedAt = f.clock.Now()
	check(f, f.EndRun(f.ctx, run))
	return run
}

func runIDs(runs []models.Run) (out []int64) {
	for _, r := range runs {
		out = append(out, r.ID)
	}
	return out
}

func TestStore_Runs(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		one, other, gone := f.fileInstance("one"), f.fileInstance("other"), f.fileInstance("gone")
		f.addDatabase(one.ID, "订单_Archive%")
		a := f.recorded(models.Run{InstanceID: one.ID, DatabaseName: "订单_Archive%"}, models.RunSucceeded, time.Second)
		b := f.recorded(models.Run{InstanceID: one.ID, DatabaseName: "never' known"}, models.RunFailed, time.Second)
		c := f.recorded(models.Run{InstanceID: other.ID, Kind: models.RunDatabases}, models.RunSucceeded, time.Second)
		f.recorded(models.Run{InstanceID: gone.ID, DatabaseName: "x"}, models.RunSucceeded, time.Second)
		_, err := f.DeleteInstance(f.ctx, gone.ID)
		check(f, err)
		d := f.begun(models.Run{InstanceID: one.ID, DatabaseName: "订单_Archive%"})

		for _, c := range []struct {
			what string
			q    models.RunQuery
			want []int64
		}{
			{"all", models.RunQuery{}, []int64{d.ID, c.ID, b.ID, a.ID}},
			{"instance", models.RunQuery{InstanceID: one.ID}, []int64{d.ID, b.ID, a.ID}},
			{"folded", models.RunQuery{InstanceID: one.ID, Database: "aRCHIVE%"}, []int64{d.ID, a.ID}},
			{"literal", models.RunQuery{Database: "_A%e"}, nil},
			{"unknown to the inventory", models.RunQuery{Database: "never' known"}, []int64{b.ID}},
			{"not storable", models.RunQuery{Database: "a\x00"}, nil},
			{"kind", models.RunQuery{Kind: models.RunDatabases}, []int64{c.ID}},
			{"status", models.RunQuery{Status: models.RunSucceeded}, []int64{c.ID, a.ID}},
			{"both", models.RunQuery{Kind: models.RunTables, Status: models.RunFailed}, []int64{b.ID}},
		} {
			c.q.Limit = 10
			page, err := f.Runs(f.ctx, c.q)
			check(f, err)
			equal(f, c.what, fmt.Sprint(runIDs(page.Runs)), fmt.Sprint(c.want))
			equal(f, c.what+" in all", page.Total, int64(len(c.want)))
		}
		page, err := f.Runs(f.ctx, models.RunQuery{Limit: 2, Offset: 1})
		check(f, err)
		equal(f, "second page", fmt.Sprint(runIDs(page.Runs)), fmt.Sprint([]int64{c.ID, b.ID}))
		equal(f, "in all", page.Total, 4)
		equal(f, "instance", page.Runs[0].InstanceName, "other")
	})
}

func TestStore_RunOfTables_LastGoodRun(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		i := f.fileInstance("one")
		app := f.addDatabase(i.ID, "app")
		_, err := f.LastGoodRun(f.ctx, app.ID)
		wantError(f, err, models.CodeNotFound, "refresh.not_found")
		_, err = f.RunOfTables(f.ctx, i.ID, "a\x00")
		wantError(f, err, models.CodeNotFound, "refresh.not_found")
		_, err = f.RunOfTables(f.ctx, i.ID, "app")
		wantError(f, err, models.CodeNotFound, "refresh.not_found")

		good := f.recorded(models.Run{InstanceID: i.ID, DatabaseName: "app"}, models.RunSucceeded, time.Second)
		bad := f.recorded(models.Run{InstanceID: i.ID, DatabaseName: "app"}, models.RunCancelled, time.Second)
		newest, err := f.RunOfTables(f.ctx, i.ID, "app")
		check(f, err)
		equal(f, "newest", newest.ID, bad.ID)
		open := f.begun(models.Run{InstanceID: i.ID, DatabaseName: "app"})
		newest, err = f.RunOfTables(f.ctx, i.ID, "app")
		check(f, err)
		equal(f, "newest that is open", newest.ID, open.ID)
		for _, other := range []string{"App", ""} {
			_, err = f.RunOfTables(f.ctx, i.ID, other)
			wantError(f, err, models.CodeNotFound, "refresh.not_found")
		}
		last, err := f.LastGoodRun(f.ctx, app.ID)
		check(f, err)
		equal(f, "last good", last.ID, good.ID)
	})
}

func TestStore_UsualOf(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		i := f.fileInstance("one")
		f.addDatabase(i.ID, "app")
		asked := models.Run{InstanceID: i.ID, DatabaseName: "app", Kind: models.RunTables}
		usual, err := f.UsualOf(f.ctx, asked)
		check(f, err)
		equal(f, "none", usual, models.Usual{})
		for _, seconds := range []int{400, 8, 12, 100, 4, 8} { // the first is too long ago to count
			f.recorded(asked, models.RunSucceeded, time.Duration(seconds)*time.Second)
		}
		f.recorded(asked, models.RunFailed, time.Hour)
		f.recorded(models.Run{InstanceID: i.ID, DatabaseName: "other"}, models.RunSucceeded, time.Hour)
		f.recorded(models.Run{InstanceID: i.ID, Kind: models.RunDatabases}, models.RunSucceeded, 40*time.Second)
		usual, err = f.UsualOf(f.ctx, asked)
		check(f, err)
		equal(f, "total", *usual.Total, 8*time.Second)
		equal(f, "storing", *usual.Storing, 2*time.Second)
		usual, err = f.UsualOf(f.ctx, models.Run{InstanceID: i.ID, Kind: models.RunDatabases})
		check(f, err)
		equal(f, "of databases", *usual.Total, 40*time.Second)
	})
}

func TestRun_Remaining(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
	usual := models.Usual{Total: pointer(20 * time.Second), Storing: pointer(3 * time.Second)}
	querying := func(seen, total int64) models.Run {
		return models.Run{Progress: models.Progress{
			Status: models.RunRunning, Phase: models.PhaseQuerying, StartedAt: &start, ConnectingMS: pointer(int64(1000)),
			TablesSeen: pointer(seen), TablesTotal: pointer(total),
		}}
	}
	phase := func(status models.RunStatus, phase models.RunPhase) models.Run {
		return models.Run{Progress: models.Progress{
			Status: status, Phase: phase, StartedAt: &start,
			ConnectingMS: pointer(int64(1000)), QueryingMS: pointer(int64(4000)),
		}}
	}
	ended := querying(10, 100)
	ended.EndedAt = &start
	for _, c := range []struct {
		what  string
		run   models.Run
		after time.Duration
		usual models.Usual
		want  string
	}{
		{"by the rate", querying(25_000, 100_000), 6 * time.Second, usual, "18s"},
		{"of a first run", querying(25_000, 100_000), 6 * time.Second, models.Usual{}, "15s"},
		{"nothing has moved since", querying(25_000, 100_000), 11 * time.Second, models.Usual{}, "30s"},
		{"long after", querying(25_000, 100_000), time.Hour + time.Second, models.Usual{}, "3h0m0s"},
		{"too early for the rate", querying(25_000, 100_000), 1500 * time.Millisecond, usual, "18.5s"},
		{"too few seen", querying(1, 100_000), 6 * time.Second, usual, "14s"},
		{"too few seen of a first run", querying(1, 100_000), 6 * time.Second, models.Usual{}, "unknown"},
		{"none seen", querying(0, 0), 6 * time.Second, models.Usual{}, "unknown"},
		{"more than there were", querying(101_000, 100_000), 6 * time.Second, models.Usual{}, "unknown"},
		{"longer than usual without a rate", querying(0, 0), 21 * time.Second, usual, "unknown"},
		{"connecting", phase(models.RunRunning, models.PhaseConnecting), 2 * time.Second, usual, "18s"},
		{"storing", phase(models.RunRunning, models.PhaseStoring), 6 * time.Second, usual, "2s"},
		{"storing longer than usual", phase(models.RunRunning, models.PhaseStoring), 9 * time.Second, usual, "unknown"},
		{"the clock was set back", phase(models.RunRunning, models.PhaseConnecting), -time.Hour, usual, "20s"},
		{"queued", phase(models.RunQueued, ""), 0, usual, "unknown"},
		{"ended", ended, 6 * time.Second, usual, "unknown"},
	} {
		got := "unknown"
		if left := c.run.Remaining(start.Add(c.after), c.usual); left != nil {
			got = left.String()
		}
		equal(t, c.what, got, c.want)
	}
}

func TestStore_PruneRuns(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		i, other := f.fileInstance("one"), f.fileInstance("other")
		for _, instance := range []models.Instance{i, other} {
			found := models.DatabaseResult{Databases: []models.DatabaseSize{{Name: "app"}, {Name: "gone"}, {Name: "new"}}}
			_, err := f.SaveInventory(f.ctx, instance.ID, found, f.Now())
			check(f, err)
		}
		kept := map[string]int64{}
		record := func(r models.Run, status models.RunStatus) int64 { return f.recorded(r, status, time.Second).ID }
		app, gone := models.Run{InstanceID: i.ID, DatabaseName: "app"}, models.Run{InstanceID: i.ID, DatabaseName: "gone"}
		for range 3 {
			record(app, models.RunSucceeded)
			record(gone, models.RunFailed)
		}
		kept["newest good"] = record(app, models.RunSucceeded)
		record(app, models.RunCancelled)
		kept["newest"] = record(app, models.RunFailed)
		kept["only ever failed"] = record(gone, models.RunFailed)
		kept["sync"] = record(models.Run{InstanceID: i.ID, Kind: models.RunDatabases}, models.RunSucceeded)
		kept["of another instance"] = record(models.Run{InstanceID: other.ID, DatabaseName: "app"}, models.RunSucceeded)
		record(models.Run{InstanceID: i.ID, DatabaseName: "made up"}, models.RunFailed)
		kept["open"] = f.begun(models.Run{InstanceID: other.ID, DatabaseName: "stuck"}).ID
		f.clock.add(24 * time.Hour)
		border := f.Now()
		young := models.Run{InstanceID: other.ID, DatabaseName: "new"}
		kept["young"], kept["younger"] = record(young, models.RunFailed), record(young, models.RunFailed)

		n, err := f.PruneRuns(f.ctx, border)
		check(f, err)
		equal(f, "pruned", n, 8)
		page, err := f.Runs(f.ctx, models.RunQuery{Limit: 100})
		check(f, err)
		equal(f, "left", len(page.Runs), len(kept))
		for what, id := range kept {
			if run := f.run(id); run.ID != id {
				f.Errorf("%s is gone", what)
			}
		}
		n, err = f.PruneRuns(f.ctx, border)
		check(f, err)
		equal(f, "pruned again", n, 0)
	})
}
