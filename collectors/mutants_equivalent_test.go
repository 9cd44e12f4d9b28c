package collectors

// Reasons that more than one equivalent mutant has.
const (
	moreTables = "only more rows, of tables that are nothing special"
	sumAlone   = "of one's own schema only the sum of all is of interest"
	failed     = "where there is an error nobody asks whose right it lacks"
	unread     = "nobody reads it where there is no owner"
)

// equivalent are the mutants that no test can tell from the original, and why.
var equivalent = map[string]string{
	"unitPages: 0 + 1": unread,

	"catalog: not: false":    failed,
	"catalog: not: false #2": failed,
	"catalog: not: false #3": failed,
	"catalog: true for err != nil in err != nil && !sqlserverDenied(err)": "nothing is left to be done",

	`home: 1 + 1`:                 "a limit for what would have no end",
	`home: not: false #2`:         unread,
	`recycled: not: false`:        unread,
	`listSegmentless: not: false`: "whether it is an index is not asked",

	"sqlserver/tables: 1 = 1 for t.temporal_type = 1":            moreTables,
	"sqlserver/tables: 1 = 1 for t.history_table_id IS NOT NULL": moreTables,
	"sqlserver/tables: 1 = 1 for t.is_memory_optimized = 1":      moreTables,
	"sqlserver/tables: 1 = 1 for t.is_external = 1":              moreTables,
	"sqlserver/tables_2014: 1 = 1 for t.is_memory_optimized = 1": moreTables,
	"sqlserver/yardstick: LEFT JOIN for JOIN sys.indexes AS i":   "WHERE leaves out what has no index",

	"oracle/yardstick_guests: without DISTINCT":                                "a set has no twins",
	"oracle/yardstick_user: NULL for SYS_CONTEXT('USERENV', 'SESSION_USER')":   sumAlone,
	"oracle/yardstick_user: NULL for segment_type":                             sumAlone,
	"oracle/yardstick_user: other than tablespace_name, SYS_CONTEXT('USERENV'": sumAlone,
}
