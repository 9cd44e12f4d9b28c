package models

// Yardstick is what the engine itself reports about one database, by other means than a collection uses. Sizes are
// bytes; nil if the engine does not report one.
type Yardstick struct {
	Means     string // what the engine was asked, for people
	Lacks     string // what it cannot report, for people; empty: nothing
	Relations []YardstickRelation
	Whole     bool // Relations lists every relation of the database
	Sums      []YardstickSum
}

// YardstickRelation is what the engine reports about one relation, with all its partitions.
type YardstickRelation struct {
	Schema, Name string // as in TableSize
	Total        *int64
	Data         *int64
	Index        *int64
	Unused       *int64
	Rows         *int64
	Unread       Unread // why the engine could not report it; empty: it could
}

// YardstickSum is the engine's total for a group of relations.
type YardstickSum struct {
	Name     string // what is summed up, for people
	Schema   string // the relations of this schema; empty: all
	Total    int64  // bytes
	Rest     int64  // bytes of Total that belong to no relation
	Residual bool   // Total also contains the collection's residual
}
