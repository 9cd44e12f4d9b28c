package faults

import (
	"context"
	"slices"
	"sync"
	"time"

	"whalefall/collectors/jobs"
	"whalefall/models"
)

// Parts of rules.
var (
	succeeded   = []end{{models.RunSucceeded, "new"}}
	failed      = []end{{models.RunFailed, "old"}}
	interrupted = []end{{models.RunInterrupted, "old"}}
	unstored    = []end{{models.RunFailed, "old"}, {models.RunInterrupted, "old"}} // the outcome may be lost, too

	either = slices.Concat(unstored, succeeded)

	queued  = []string{"queued"}
	storing = []string{"storing"}

	noServer = rule{engines: []string{"SQLite"}, na: "SQLite has no server"}
	noFile   = rule{engines: []string{"SQLite"}, na: "SQLite is read without a network"}
	noSeam   = rule{engines: []string{"Oracle"}, na: "Oracle is emulated below database/sql, without a network"}
)

// beforeStoring returns rules for faults of the target: they fail a run until everything is read.
func beforeStoring(first ...rule) []rule {
	return append(first, rule{phases: storing, want: succeeded}, rule{want: failed})
}

var faults = []*fault{
	{
		name:        "target stopped",
		description: "The server and all its processes are killed with SIGKILL and started again after the run.",
		effect: "The run fails as unreachable, with the reason; the snapshot stays. Data that was already read is " +
			"stored.",
		rules:  beforeStoring(noServer),
		sample: cell{phase: "querying", engine: "MariaDB", store: "SQLite"},
		inject: func(s *scenario) func() { return s.target.kill(s.T) },
	},
	{
		name: "network drops",
		description: "Packets are dropped in both directions and neither side is notified, as with a pulled cable or a " +
			"firewall that loses its state.",
		effect: "WhaleFall's own deadlines end the wait: 10 s to connect, 65 s for a statement. The run fails as " +
			"unreachable or with a timeout.",
		slow:   true,
		rules:  beforeStoring(noFile, noSeam),
		sample: cell{phase: "connecting", engine: "PostgreSQL", store: "SQLite"},
		inject: func(s *scenario) func() {
			s.target.proxy().Drop()
			return func() { s.target.proxy().Heal(s.T) }
		},
	},
	{
		name:        "network resets",
		description: "All connections are reset, new ones as soon as they are opened.",
		effect:      "The run fails as unreachable.",
		rules:       beforeStoring(noFile, noSeam),
		sample:      cell{phase: "querying", engine: "SQL Server", store: "PostgreSQL"},
		inject: func(s *scenario) func() {
			s.target.proxy().Reset()
			return func() { s.target.proxy().Heal(s.T) }
		},
	},
	{
		name:        "network slow",
		description: "The network adds 20 ms to every packet, in each direction.",
		effect:      "The run takes longer.",
		rules:       []rule{noFile, noSeam, {want: succeeded}},
		sample:      cell{phase: "querying", engine: "PostgreSQL", store: "SQLite"},
		inject: func(s *scenario) func() {
			s.target.proxy().Delay(20 * time.Millisecond)
			return func() { s.target.proxy().Heal(s.T) }
		},
	},
	{
		name:        "store full",
		description: "The store's file system is full, and the target has 200 new tables (SQLITE_FULL, SQLSTATE 53100).",
		effect: "Nothing of the snapshot is stored. The outcome of the run is stored as soon as there is space; if the " +
			"process ends before that, the next start marks the run interrupted. A queued run can wait for space.",
		smallStore: true, tables: 200, duration: time.Second,
		rules:  []rule{{phases: queued, want: either}, {want: unstored}},
		sample: cell{phase: "storing", engine: "PostgreSQL", store: "PostgreSQL"},
		inject: func(s *scenario) func() { return s.storage.full(s.T) },
	},
	{
		name: "store read-only",
		description: "The store rejects writes: PostgreSQL as after a failover to a standby (SQLSTATE 25006), SQLite by " +
			"triggers with the message of SQLITE_READONLY.",
		effect:   "As with a full store. Pages keep working.",
		duration: time.Second,
		rules:    []rule{{phases: queued, want: either}, {want: unstored}},
		sample:   cell{phase: "storing", engine: "SQL Server", store: "SQLite"},
		inject:   func(s *scenario) func() { return s.storage.readOnly(s.T) },
	},
	{
		name:        "store killed",
		description: "The store's server is killed with SIGKILL and restarted half a second later.",
		effect:      "Its transaction is lost, so the old snapshot stays. WhaleFall reconnects automatically.",
		duration:    500 * time.Millisecond,
		rules: []rule{
			{stores: []string{"SQLite"}, na: "an embedded store is part of the process: see process killed"},
			{phases: storing, want: unstored},
			{want: either},
		},
		sample: cell{phase: "storing", engine: "PostgreSQL", store: "PostgreSQL"},
		inject: func(s *scenario) func() { return s.storage.kill(s.T) },
	},
	{
		name: "process killed",
		description: "The released binary, as a separate process, is killed with SIGKILL and started again; with a " +
			"PostgreSQL store, a minute later.",
		effect: "The next start executes a queued run and marks any other run interrupted. It can be requested again; " +
			"with a PostgreSQL store, the process that marks it requeues it at once.",
		rules: []rule{
			{engines: []string{"Oracle"}, na: "the emulated database is part of the test process"},
			{
				engines: []string{"SQLite"}, phases: []string{"queued", "connecting", "querying"},
				na: "a separate process cannot be held while it reads a small file",
			},
			{phases: queued, want: succeeded},
			{stores: []string{"PostgreSQL"}, want: []end{{models.RunInterrupted, "old"}, {models.RunInterrupted, "new"}}},
			{want: interrupted},
		},
		sample: cell{phase: "querying", engine: "PostgreSQL", store: "SQLite"},
		run:    runProcessKilled,
	},
	{
		name:        "clock forward",
		description: "The clock is set forward by a day.",
		effect:      "No effect: deadlines use the monotonic clock. The snapshot has the later time.",
		rules:       []rule{{want: succeeded}},
		sample:      cell{phase: "querying", engine: "SQLite", store: "SQLite"},
		inject:      func(s *scenario) func() { s.clock.jump(24 * time.Hour); return func() {} },
	},
	{
		name:        "clock back",
		description: "The clock is set back by a day and stays there for the refreshes that follow.",
		effect:      "No effect. The snapshot has the earlier time, but still counts as newer than the one before.",
		rules:       []rule{{want: succeeded}},
		sample:      cell{phase: "querying", engine: "Oracle", store: "PostgreSQL"},
		inject:      func(s *scenario) func() { s.clock.jump(-24 * time.Hour); return func() {} },
	},
	{
		name:        "200 refreshes at once",
		description: "200 other users request the same refresh at the same moment.",
		effect:      "All of them join the run in progress. The target sees one connection.",
		rules:       []rule{{want: succeeded}},
		sample:      cell{phase: "querying", engine: "PostgreSQL", store: "PostgreSQL"},
		inject:      (*scenario).crowd,
	},
	{
		name: "1,000 slow instances",
		description: "1,000 instances are refreshed at once, all on one server that allows the account " +
			"10 connections, behind a network that adds 5 ms in each direction.",
		effect: "A few run at a time, the others are queued. None fails.",
		rules: []rule{
			noFile, noSeam,
			{phases: []string{"queued", "connecting", "storing"}, na: "1,000 runs are in all phases at once: see querying"},
			{want: succeeded},
		},
		sample: cell{phase: "querying", engine: "PostgreSQL", store: "SQLite"},
		run:    runManyInstances,
	},
	{
		name:         "table dropped",
		description:  "A table is dropped.",
		effect:       "The run succeeds. Whether the table is in the snapshot depends on when the server read its catalog.",
		altersTarget: true,
		rules:        []rule{{want: succeeded}},
		sample:       cell{phase: "querying", engine: "PostgreSQL", store: "SQLite"},
		inject:       func(s *scenario) func() { return s.target.drop(s.T) },
	},
	{
		name: "database renamed",
		description: "The database is renamed. On PostgreSQL this closes its connections, on MariaDB its tables move to a " +
			"new schema, on Oracle the tablespace is renamed, on SQLite the file.",
		effect: "The run fails and says that the database is gone or the connection was closed. The snapshot stays.",
		rules:  beforeStoring(rule{engines: []string{"SQLite"}, phases: []string{"querying"}, want: succeeded}),
		sample: cell{phase: "querying", engine: "MariaDB", store: "PostgreSQL"},
		inject: func(s *scenario) func() { return s.target.rename(s.T) },
	},
	{
		name:         "DDL lock held",
		description:  "Another session holds a DDL lock on a table; on SQLite, an exclusive lock on the whole file.",
		effect:       "No wait exceeds the lock timeout. A table that cannot be read is reported and keeps its old values.",
		altersTarget: true,
		rules: []rule{
			{engines: []string{"Oracle"}, na: "no lock blocks reading the dictionary"},
			{engines: []string{"PostgreSQL", "MariaDB"}, want: succeeded},
			{phases: storing, want: succeeded},
			{engines: []string{"SQLite", "SQL Server"}, phases: []string{"querying"}, want: succeeded}, // past the lock
			{want: failed},
		},
		sample: cell{phase: "querying", engine: "PostgreSQL", store: "PostgreSQL"},
		inject: func(s *scenario) func() { return s.target.lock(s.T) },
	},
	{
		name:        "grants revoked",
		description: "The monitoring account loses privileges that it had in the previous run.",
		effect: "The run fails and names the missing grant, or succeeds with fewer tables; then nothing is pruned, " +
			"and tables that the account can no longer see keep their old values.",
		altersTarget: true,
		static:       true,
		rules: []rule{
			{engines: []string{"SQLite"}, na: "SQLite has no grants"},
			{phases: []string{"queued", "querying", "storing"}, na: "the grants change before the next run connects"},
			{engines: []string{"PostgreSQL", "Oracle"}, want: failed},
			{want: succeeded},
		},
		sample: cell{phase: "connecting", engine: "SQL Server", store: "SQLite"},
		inject: func(s *scenario) func() { return s.target.revoke(s.T) },
	},
}

// lateRuns is how many runs may follow the one that 200 users join.
const lateRuns = 3

// crowd requests the refresh that is running many times. If the run is held by the only write lock of a SQLite store,
// the requests wait for that lock too, and those that get it after the run has ended start a few runs more.
func (s *scenario) crowd() (heal func()) {
	var requests sync.WaitGroup
	late := s.cell.phase == "storing" && s.cell.store == "SQLite"
	ids := make([]int64, 200)
	for i := range ids {
		requests.Go(func() {
			run, err := s.runner.Request(context.Background(), jobs.Tables(models.Requester{}, s.watched, s.target.database()))
			if err != nil {
				s.Errorf("request rejected: %v", err)
			}
			ids[i] = run.ID
		})
	}
	check := func() {
		requests.Wait()
		for _, id := range ids {
			if id != s.run && (!late || id > s.run+lateRuns || id < s.run) {
				s.Errorf("a request joined run %d, want %d", id, s.run)
				break
			}
		}
	}
	if late {
		return check
	}
	check()
	return func() {}
}
