package models

import "time"

// Kind of a relation in a table-size snapshot.
type Kind string

// Kinds of relations. A partitioned table owns (almost) no bytes itself and is listed rolled up.
const (
	KindTable       Kind = "table"
	KindPartitioned Kind = "partitioned"
	KindPartition   Kind = "partition"
	KindMatview     Kind = "matview"
	KindSequence    Kind = "sequence"
	KindMerge       Kind = "merge"    // MRG_MyISAM: its bytes belong to its children
	KindMemory      Kind = "memory"   // bytes are RAM, not disk
	KindExternal    Kind = "external" // FEDERATED, CONNECT, SPIDER, external tables: bytes are elsewhere, unknown
	KindShadow      Kind = "shadow"   // SQLite: storage of a virtual table

	KindIndexedView     Kind = "indexed_view"     // SQL Server: a view with a clustered index
	KindMemoryOptimized Kind = "memory_optimized" // SQL Server: bytes on disk are unknown, see Memory
	KindCluster         Kind = "cluster"          // Oracle: holds the rows of several tables, which own no bytes
	KindRecycleBin      Kind = "recycle_bin"      // Oracle: all dropped objects of one owner that still hold extents
	KindTemporary       Kind = "temporary"        // Oracle: a global temporary table, whose bytes belong to sessions
)

// Note says what else is to know about a relation; Related may name another one that it is about.
type Note string

// Notes about a relation. At most one is kept: the first of this list that holds.
const (
	NoteUnclassified Note = "unclassified" // a part of an unknown kind is counted as index
	NoteClustered    Note = "clustered"    // its rows are in the cluster Related
	NoteHistory      Note = "history"      // it keeps the former rows of the temporal table Related
	NoteShipped      Note = "shipped"      // the engine made it, as for replication or change data capture
	NoteFullText     Note = "full_text"    // its full-text indexes are not counted: nobody tells their bytes
)

// RowsSource says where a row count comes from.
type RowsSource string

// Sources of row counts; the empty source goes with a nil count.
const (
	RowsExact     RowsSource = "exact"
	RowsStatistic RowsSource = "statistic"
)

// SizeSource says where bytes come from.
type SizeSource string

// Sources of sizes.
const (
	SizeAllocated SizeSource = "allocated" // files, segments, pages: true now
	SizeStatistic SizeSource = "statistic" // the engine's statistics: may be stale
	SizeNone      SizeSource = "none"      // unknown, all byte members nil
)

// Unread says why a relation that exists could not be measured in this run.
type Unread string

// Reasons for an unread relation.
const (
	UnreadLocked Unread = "locked" // another session holds an exclusive lock
	UnreadHidden Unread = "hidden" // the account may not see it
	UnreadFailed Unread = "failed" // the engine refused to size this one
)

// TableSize is one relation as a collector measured it. Bytes are int64; nil is unknown, 0 is known to be empty.
// Invariant, where none is nil: Total = Data + Index + Unused, all ≥ 0.
type TableSize struct {
	Schema, Name string // byte-exact identity within the database
	Kind         Kind
	ParentSchema string // with Parent: the partitioned table this is a partition of (the direct parent)
	Parent       string // empty: no partition
	RolledUp     bool   // sizes are the sum of its partitions (and its own bytes); left out of sums
	Total        *int64
	Data         *int64
	Index        *int64
	Unused       *int64
	Memory       *int64 // bytes of RAM beside those on disk, in no sum; nil: none or unknown
	Rows         *int64 // nil: unknown, as a table that was never analysed
	RowsSource   RowsSource
	RowsAt       *time.Time // when the engine counted them; nil: now or unknown
	SizeSource   SizeSource
	StatsStale   bool   // the engine's data/index statistics exceeded the files and were scaled to fit
	Unread       Unread // not empty: this run could not measure it, all sizes are nil; the store keeps what it had

	Note                   Note
	RelatedSchema, Related string // the relation that Note is about
}

// Proof is why a collector holds its list of relations to be complete.
type Proof string

// Proofs; docs/operations.md says what each rests on.
const (
	ProofCatalog  Proof = "catalog"  // PostgreSQL: pg_class hides nothing from anyone
	ProofGrants   Proof = "grants"   // MySQL: the account's grants show every table, and every file belongs to one
	ProofMetadata Proof = "metadata" // SQL Server: every object of the public catalogue views is among those shown
	ProofLedger   Proof = "ledger"   // Oracle: DBA_SEGMENTS lists every segment
	ProofFile     Proof = "file"     // SQLite: the file itself was read
)

// TableResult is what one collection of one database found.
type TableResult struct {
	Tables   []TableSize
	Complete bool   // proved that no relation is missing from Tables; only then may stored rows be pruned
	Scope    string // not empty: only this schema was looked at, and Complete speaks of it alone
	Hidden   int64  // relations known to exist whose names could not be seen
	Residual *int64 // bytes allocated in the database that belong to no relation of Tables; nil: unknown
	Grant    string // statement a DBA can run to make the result complete; empty when none is needed or known
	Proof    Proof  // what Complete rests on; empty unless it is true

	// ServerBytes is the most memory that a server process needed for one of our connections; nil: unknown.
	ServerBytes *int64

	// Others are results of the same reading for other databases of the server, by name, where one reading is of all
	// of them; nil elsewhere.
	Others map[string]TableResult
}
