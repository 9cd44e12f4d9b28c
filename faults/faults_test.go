package faults

import (
	"context"
	"slices"
	"sync"
	"time"

	"whalefall/models"
)

// What rules have in common.
var (
	succeeded   = []end{{models.RunSucceeded, "new"}}
	failed      = []end{{models.RunFailed, "old"}}
	interrupted = []end{{models.RunInterrupted, "old"}}
	unstored    = []end{{models.RunFailed, "old"}, {models.RunInterrupted, "old"}} // the row, too, may not be stored in time

	either = slices.Concat(unstored, succeeded)

	storing = []string{"storing"}

	noServer = rule{engines: []string{"SQLite"}, na: "a file has no server"}
	noFile   = rule{engines: []string{"SQLite"}, na: "a file is read without a network"}
	noSeam   = rule{engines: []string{"Oracle"}, na: "the emulated database stands where database/sql meets its driver: there is no network to harm"}
)

// beforeStoring has a fault of the target matter until all is read.
func beforeStoring(first ...rule) []rule {
	return append(first, rule{phases: storing, want: succeeded}, rule{want: failed})
}

var faults = []*fault{
	{
		name: "target stopped", about: "The server is ended by SIGKILL, with all its processes, and started again afterwards.",
		does:  "The run fails as unreachable and says why; the snapshot stays. What was read already is stored.",
		rules: beforeStoring(noServer), short: cell{phase: "querying", engine: "MariaDB", store: "SQLite"},
		strike: func(s *stage) func() { return s.target.kill(s.T) },
	},
	{
		name: "network drops", about: "From now on no byte arrives on either side, and nobody is told: a pulled cable, a firewall that forgets.",
		does: "The deadlines of our own side end the wait: 10 s to connect, 65 s for a statement. The run fails as unreachable or out of time.",
		slow: true, rules: beforeStoring(noFile, noSeam), short: cell{phase: "connecting", engine: "PostgreSQL", store: "SQLite"},
		strike: func(s *stage) func() {
			s.target.proxy().Drop()
			return func() { s.target.proxy().Heal(s.T) }
		},
	},
	{
		name: "network resets", about: "All connections are reset, and new ones at once.",
		does:  "The run fails as unreachable.",
		rules: beforeStoring(noFile, noSeam), short: cell{phase: "querying", engine: "SQL Server", store: "PostgreSQL"},
		strike: func(s *stage) func() {
			s.target.proxy().Reset()
			return func() { s.target.proxy().Heal(s.T) }
		},
	},
	{
		name: "network slow", about: "Every piece of data takes 20 ms longer, each way.",
		does:  "The run takes longer.",
		rules: []rule{noFile, noSeam, {want: succeeded}}, short: cell{phase: "querying", engine: "PostgreSQL", store: "SQLite"},
		strike: func(s *stage) func() {
			s.target.proxy().Delay(20 * time.Millisecond)
			return func() { s.target.proxy().Heal(s.T) }
		},
	},
	{
		name: "store full", about: "The file system of the store has no byte left; 200 tables are new. (SQLITE_FULL; SQLSTATE 53100.)",
		does:  "Nothing of the snapshot is stored. The end of the run is, as soon as there is room; where the process ends before, the run counts as interrupted from the next start on. A queued run may wait until there is room to begin.",
		small: true, tables: 200, lasts: time.Second,
		rules: []rule{{phases: []string{"queued"}, want: either}, {want: unstored}}, short: cell{phase: "storing", engine: "PostgreSQL", store: "PostgreSQL"},
		strike: func(s *stage) func() { return s.storage.full(s.T) },
	},
	{
		name: "store read-only", about: "The store refuses changes: PostgreSQL as after a failover to a standby (SQLSTATE 25006), SQLite by triggers with the words of SQLITE_READONLY.",
		does:  "As with a full store. Pages are still shown.",
		lasts: time.Second,
		rules: []rule{{phases: []string{"queued"}, want: either}, {want: unstored}}, short: cell{phase: "storing", engine: "SQL Server", store: "SQLite"},
		strike: func(s *stage) func() { return s.storage.readOnly(s.T) },
	},
	{
		name: "store killed", about: "The server of the store is ended by SIGKILL and started again half a second later.",
		does:  "Its transaction is gone with it, so that the old snapshot stays. Connections are made anew by themselves.",
		lasts: 500 * time.Millisecond,
		rules: []rule{
			{stores: []string{"SQLite"}, na: "an embedded store is a part of the process: see process killed"},
			{phases: storing, want: unstored},
			{want: either},
		},
		short:  cell{phase: "storing", engine: "PostgreSQL", store: "PostgreSQL"},
		strike: func(s *stage) func() { return s.storage.kill(s.T) },
	},
	{
		name: "process killed", about: "The product, as it is shipped and in a process of its own, is ended by SIGKILL and started again; over a PostgreSQL store a minute later.",
		does: "At the next start a run that was queued is carried out, and any other is marked interrupted. It can be run again; over a PostgreSQL store that is done at once, by whichever process is there.",
		rules: []rule{
			{engines: []string{"Oracle"}, na: "the emulated database is a part of the test's process"},
			{engines: []string{"SQLite"}, phases: []string{"queued", "connecting", "querying"}, na: "nothing holds another process in the midst of reading a small file"},
			{phases: []string{"queued"}, want: succeeded},
			{stores: []string{"PostgreSQL"}, want: []end{{models.RunInterrupted, "old"}, {models.RunInterrupted, "new"}}},
			{want: interrupted},
		},
		short: cell{phase: "querying", engine: "PostgreSQL", store: "SQLite"},
		play:  playProcessKilled,
	},
	{
		name: "clock forward", about: "The clock is set forward by a day.",
		does:  "Nothing: deadlines do not ask the clock of the wall. The snapshot has the later time.",
		rules: []rule{{want: succeeded}}, short: cell{phase: "querying", engine: "SQLite", store: "SQLite"},
		strike: func(s *stage) func() { s.clock.jump(24 * time.Hour); return func() {} },
	},
	{
		name: "clock back", about: "The clock is set back by a day, and stays so for the refreshes that follow.",
		does:  "Nothing. The snapshot has the earlier time, and is not taken for older than the one before.",
		rules: []rule{{want: succeeded}}, short: cell{phase: "querying", engine: "Oracle", store: "PostgreSQL"},
		strike: func(s *stage) func() { s.clock.jump(-24 * time.Hour); return func() {} },
	},
	{
		name: "200 refreshes at once", about: "200 others ask for the same refresh at the same moment.",
		does:  "All of them join the run that goes on. The target sees one connection.",
		rules: []rule{{want: succeeded}}, short: cell{phase: "querying", engine: "PostgreSQL", store: "PostgreSQL"},
		strike: (*stage).crowd,
	},
	{
		name: "1,000 slow instances", about: "1,000 instances on one server that lets the account have 10 connections, behind a network that takes 5 ms more each way, are refreshed at once.",
		does: "Few are read at a time, the others are queued. None fails.",
		rules: []rule{
			noFile, noSeam,
			{phases: []string{"queued", "connecting", "storing"}, na: "a thousand runs are in all phases at once: see querying"},
			{want: succeeded},
		},
		short: cell{phase: "querying", engine: "PostgreSQL", store: "SQLite"},
		play:  playManyInstances,
	},
	{
		name: "table dropped", about: "A table is dropped.",
		does:   "The run ends well. The table is in the snapshot or not, as the server saw it.",
		alters: true, rules: []rule{{want: succeeded}}, short: cell{phase: "querying", engine: "PostgreSQL", store: "SQLite"},
		strike: func(s *stage) func() { return s.target.drop(s.T) },
	},
	{
		name: "database renamed", about: "The database gets another name; on PostgreSQL that ends its connections, on MariaDB its tables move, on Oracle it is the tablespace, on SQLite the file.",
		does:   "The run fails and says that the database is gone, or that its connection was ended. The snapshot stays.",
		rules:  beforeStoring(rule{engines: []string{"SQLite"}, phases: []string{"querying"}, want: succeeded}),
		short:  cell{phase: "querying", engine: "MariaDB", store: "PostgreSQL"},
		strike: func(s *stage) func() { return s.target.rename(s.T) },
	},
	{
		name: "DDL lock held", about: "Another session holds a table as DDL does; on SQLite the whole file.",
		does:   "No wait is longer than lock_timeout. A table that cannot be read keeps its last value and is named.",
		alters: true,
		rules: []rule{
			{engines: []string{"Oracle"}, na: "no lock keeps the dictionary from being read"},
			{engines: []string{"PostgreSQL", "MariaDB"}, want: succeeded},
			{phases: storing, want: succeeded},
			{engines: []string{"SQLite", "SQL Server"}, phases: []string{"querying"}, want: succeeded}, // read that already
			{want: failed},
		},
		short:  cell{phase: "querying", engine: "PostgreSQL", store: "PostgreSQL"},
		strike: func(s *stage) func() { return s.target.lock(s.T) },
	},
	{
		name: "grants revoked", about: "The account loses the rights that it had at the run before.",
		does:   "The run fails and names the missing grant, or succeeds with less: then nothing is deleted, and what is not seen keeps its last value.",
		alters: true, still: true,
		rules: []rule{
			{engines: []string{"SQLite"}, na: "a file has no grants"},
			{phases: []string{"queued", "querying", "storing"}, na: "between two runs there is one moment: before the next one connects"},
			{engines: []string{"PostgreSQL", "Oracle"}, want: failed},
			{want: succeeded},
		},
		short:  cell{phase: "connecting", engine: "SQL Server", store: "SQLite"},
		strike: func(s *stage) func() { return s.target.revoke(s.T) },
	},
}

// lateRuns is how many runs may follow the one that 200 have asked for.
const lateRuns = 3

// crowd has many ask for the run that goes on. Where the store's only lock holds the run, they wait for it as well, and a
// few more runs may begin for those who come too late, one after the other.
func (s *stage) crowd() (heal func()) {
	var asked sync.WaitGroup
	late := s.cell.phase == "storing" && s.cell.store == "SQLite"
	ids := make([]int64, 200)
	for i := range ids {
		asked.Go(func() {
			run, err := s.service.StartRefresh(context.Background(), models.Requester{}, s.watched, s.target.database())
			if err != nil {
				s.Errorf("somebody was refused: %v", err)
			}
			ids[i] = run.ID
		})
	}
	check := func() {
		asked.Wait()
		for _, id := range ids {
			if id != s.run && (!late || id > s.run+lateRuns || id < s.run) {
				s.Errorf("somebody got run %d instead of %d", id, s.run)
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
