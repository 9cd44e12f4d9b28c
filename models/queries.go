package models

import "time"

// InstanceQuery selects and orders a page of instances. Zero values mean no filter.
type InstanceQuery struct {
	Search         string // case-insensitive substring of name, host or description, taken literally
	DBType         Engine
	Status         string   // "active", "inactive", "paused" (active, but not collected by schedule any more), "deleted"; that implies IncludeDeleted
	Tags           []string // tag names, OR
	IncludeDeleted bool
	Sort           string // id|name|db_type|host|status|active_dbs|size|growth|last_sync_time
	Desc           bool
	Limit, Offset  int
}

// InstanceItem is one row of the instance list.
type InstanceItem struct {
	Instance
	ActiveDatabases int64
	SizeBytes       *int64   // newest instance_size_stats row; nil: never measured
	Growth7d        *int64   // bytes gained since the oldest measurement of the last 7 days; nil: fewer than two days known
	Planned         Schedule // when it is collected next, or why it is not; zero but for Store.Instances, which reads no more of it
	PausedBy        *Error   // the last failure before the schedule was paused; nil: it is not, or that is not known
}

// InstancePage is one page of instances and the number of all that match.
type InstancePage struct {
	Items []InstanceItem
	Total int64
}

// DatabaseQuery selects database sizes of one instance.
type DatabaseQuery struct {
	InstanceID      int64
	Name            string // case-insensitive substring, taken literally
	IncludeInactive bool   // databases that are gone, too
	LatestOnly      bool
	StartDay        string // YYYY-MM-DD inclusive; empty: open
	EndDay          string
	Sort            string // latest only: size (default) | name | data | log | status | collected
	Desc            bool   // ignored with an empty Sort: size descending
	Limit, Offset   int
}

// DatabaseSizeRow is a database with one of its daily measurements; StatID nil: never measured.
type DatabaseSizeRow struct {
	StatID      *int64
	DatabaseID  int64
	Name        string
	IsSystem    bool
	SizeBytes   *int64
	DataBytes   *int64
	LogBytes    *int64
	Day         *string    // nil: never measured
	CollectedAt *time.Time // nil: never measured
	GoneAt      *time.Time
	LastSeenAt  time.Time
	Growth7d    *int64  // latest only: bytes since the oldest measurement of the last 7 days; nil: unknown
	History     []int64 // latest only: known sizes of the last 30 days, oldest first
	Failed      *Error  // why it could not be measured, or measured from outside only, at the last attempt; nil: neither
}

// DatabaseSizePage is one page of database sizes; the counts span all pages.
type DatabaseSizePage struct {
	Rows          []DatabaseSizeRow
	Total         int64
	ActiveCount   int64 // latest only
	FilteredCount int64 // latest only: databases that are gone
	TotalMB       int64 // latest only: Σ floor(bytes / 1 MiB) of the active ones
	TotalBytes    int64 // latest only: Σ bytes of the active ones
}

// CapacityCards are the figures above the database list. Nil means there is no data for it yet.
type CapacityCards struct {
	UsedBytes     *int64 // newest instance total
	CapacityBytes *int64 // of the disk under it; nil: no engine of this release can tell
	DailyGrowth   *int64 // bytes a day: (newest − oldest total of the last 7 days) / days between; nil: fewer than two days known
	DaysLeft      *int64 // (capacity − used) / daily growth; nil: capacity unknown or no growth
	Abnormal      int64  // active databases whose newest measurement failed or is missing
	Active        int64
	Gone          int64
	LastDay       string // day of the newest total
	MeasuredDays  int64  // days with a total within the last 7
}

// TableQuery selects a page of a database's table-size snapshot.
type TableQuery struct {
	DatabaseID     int64  // 0: the one of the next two
	InstanceID     int64  // whose database it is
	Database       string // its exact name
	Schema, Table  string // case-insensitive (Unicode) substrings, taken literally
	FoldPartitions bool   // leave partitions out
	ParentSchema   string // with Parent: only the partitions below this table
	Parent         string
	Unsettled      bool   // only rows that the newest run could not measure, or that are kept from an earlier one
	Sort           string // size|data|index|unused|rows|name|schema|growth; empty: size
	Desc           bool
	Limit, Offset  int
	Cursor         string // continues after a row; empty: by Offset
}

// TableSizeRow is one stored row of a snapshot.
type TableSizeRow struct {
	ID             int64
	TableSize                 // ParentSchema/Parent, sizes, sources as stored
	KeptFrom       *time.Time // the run these values come from, when it is not the snapshot's own
	PartitionCount int64      // rows whose parent this is
	Growth         *int64     // bytes since the first of the last 30 days, or since it was known; nil: not known before the snapshot's day
}

// TablePage is one page of a snapshot with its header.
type TablePage struct {
	Database   InstanceDatabase // header; its ID is 0 when the database is not known
	Rows       []TableSizeRow
	Total      int64  // rows of the filter before paging
	NextCursor string // empty: this is the last page
}

// SaveTables is one successful collection to be stored as a database's snapshot.
type SaveTables struct {
	DatabaseID  int64
	Result      TableResult
	CollectedAt time.Time
	Started     time.Time // nothing that became known later is overwritten; also for elapsed milliseconds
}

// Receipt says what a stored refresh did. Of the relations that it saw, Saved counts those that are in the new snapshot,
// Locked, Failed and Hidden those among them that have no value of this run.
type Receipt struct {
	CollectedAt time.Time
	Saved       int64 // tables in the new snapshot
	Changed     int64 // rows that had to be written
	Pruned      int64 // rows deleted because a complete result no longer has them
	Kept        int64 // rows that keep an earlier run's values
	Duplicates  int64 // identities the result had more than once; the larger was stored
	Hidden      int64
	Locked      int64 // relations that could not be measured because somebody else had them locked
	Failed      int64 // relations that could not be measured for another reason
	Complete    bool
	Proof       Proof // why it counts as complete; empty: it does not, or nobody has said
	Grant       string
	ElapsedMS   int64
	ServerBytes *int64 // the most memory that the server's process needed for one connection of ours; nil: unknown
}

// InventoryChange says what a list of databases changed in the inventory. Names, sorted.
type InventoryChange struct {
	Created, Refreshed, Reactivated, Deactivated int64
	Active                                       []string // on the server now
	Gone                                         []string // known but no longer on the server
}
