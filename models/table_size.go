package models

import "time"

// Kind is the kind of a relation.
type Kind string

// Kinds of relations. A partitioned table owns (almost) no bytes itself; its row sums up its partitions.
const (
	KindTable       Kind = "table"
	KindPartitioned Kind = "partitioned"
	KindPartition   Kind = "partition"
	KindMatview     Kind = "matview"
	KindSequence    Kind = "sequence"
	KindMerge       Kind = "merge"    // MRG_MyISAM: the bytes belong to its children
	KindMemory      Kind = "memory"   // bytes are RAM, not disk
	KindExternal    Kind = "external" // FEDERATED, CONNECT, SPIDER, external tables: stored elsewhere, bytes unknown
	KindShadow      Kind = "shadow"   // SQLite: storage of a virtual table

	KindIndexedView     Kind = "indexed_view"     // SQL Server: a view with a clustered index
	KindMemoryOptimized Kind = "memory_optimized" // SQL Server: bytes on disk are unknown, see Memory
	KindCluster         Kind = "cluster"          // Oracle: holds the rows of several tables, which own no bytes
	KindRecycleBin      Kind = "recycle_bin"      // Oracle: all dropped objects of one owner that still hold extents
	KindTemporary       Kind = "temporary"        // Oracle: a global temporary table; the bytes belong to sessions
)

// Note is additional information about a relation. It may concern a second one, Related.
type Note string

// Notes about a relation. A relation has the first that applies.
const (
	NoteUnclassified Note = "unclassified" // a part of an unknown kind is counted as index
	NoteClustered    Note = "clustered"    // its rows are in the cluster Related
	NoteHistory      Note = "history"      // it stores the former rows of the temporal table Related
	NoteShipped      Note = "shipped"      // created by the engine, such as for replication or change data capture
	NoteFullText     Note = "full_text"    // full-text indexes are not counted: the engine does not report their bytes
	NoteImpossible   Note = "impossible"   // the engine's statistics hold numbers that cannot be, which count as unknown
)

// RowsSource is where a row count comes from.
type RowsSource string

// Sources of row counts; the empty source goes with a nil count.
const (
	RowsExact     RowsSource = "exact"
	RowsStatistic RowsSource = "statistic"
)

// SizeSource is where sizes come from.
type SizeSource string

// Sources of sizes.
const (
	SizeAllocated SizeSource = "allocated" // files, segments, pages: current
	SizeStatistic SizeSource = "statistic" // the engine's statistics: may be stale
	SizeNone      SizeSource = "none"      // unknown: all sizes are nil
)

// Unread is why an existing relation could not be measured in this run.
type Unread string

// Reasons for an unread relation.
const (
	UnreadLocked Unread = "locked" // another session holds an exclusive lock
	UnreadHidden Unread = "hidden" // the account cannot see it
	UnreadFailed Unread = "failed" // the engine refused to size this one
)

// TableSize is one relation as a collector measured it. Sizes are bytes; nil is unknown, 0 is known to be empty. Where
// Total, Data and Index are not nil, Total = Data + Index + Unused, all ≥ 0; an unknown Unused is part of the others.
type TableSize struct {
	Schema, Name string // byte-exact identity within the database
	Kind         Kind
	ParentSchema string // with Parent: the direct parent, of which this is a partition
	Parent       string // empty: not a partition
	RolledUp     bool   // sizes include its partitions; not part of sums
	Total        *int64
	Data         *int64
	Index        *int64
	Unused       *int64
	Memory       *int64 // bytes of RAM, in no sum; nil: none or unknown
	Rows         *int64 // nil: unknown, as for a table that was never analyzed
	RowsSource   RowsSource
	RowsAt       *time.Time // when the engine counted Rows; nil: now or unknown
	SizeSource   SizeSource
	StatsStale   bool   // the engine's data/index statistics exceeded the files and were scaled to fit
	Unread       Unread // why this run has no sizes of it; the store keeps earlier ones; empty: measured

	Note                   Note
	RelatedSchema, Related string // the other relation that Note concerns
}

// Proof is why a collector considers its list of relations complete, or what shows that it is not.
type Proof string

// Proofs; docs/operations.md says what each rests on.
const (
	ProofCatalog  Proof = "catalog"  // PostgreSQL: pg_class is visible to everyone
	ProofGrants   Proof = "grants"   // MySQL: the account's grants show every table, and every file belongs to one
	ProofMetadata Proof = "metadata" // SQL Server: every object of the public catalog views is visible
	ProofLedger   Proof = "ledger"   // Oracle: DBA_SEGMENTS lists every segment
	ProofFile     Proof = "file"     // SQLite: the file itself was read
	ProofShort    Proof = "short"    // not complete: fewer rows arrived than the server counted
	ProofServers  Proof = "servers"  // not complete: connections of the run led to different servers
)

// Contradicts reports whether it shows that a list is not complete.
func (p Proof) Contradicts() bool { return p == ProofShort || p == ProofServers }

// TableResult is the result of collecting one database.
type TableResult struct {
	Tables   []TableSize
	Complete bool   // Tables provably lacks no relation; only then are stored rows deleted
	Scope    string // the only schema read, to which Complete then refers; empty: all
	Hidden   int64  // relations that exist but whose names the account cannot see
	Residual *int64 // bytes allocated to no measured relation of Tables; nil: unknown
	Unsized  int64  // of the Residual, those of relations that are hidden or unread
	Grant    string // statement that would make the result complete; empty: none needed or known
	Proof    Proof  // reason for Complete, or against it; empty: the account's rights do not prove it

	// ServerBytes is the largest memory use of a server process for one of our connections; nil: unknown.
	ServerBytes *int64

	// Others holds, by name, the results for other databases from the same reading, on engines that read all databases at
	// once; nil elsewhere.
	Others map[string]TableResult
}
