package models

// Yardstick is an engine's own word about one database, asked for by other means than a collection uses. Bytes are int64;
// nil is where the engine has no word.
type Yardstick struct {
	Means     string // what was asked, for people
	Lacks     string // of what it has no word by its nature, for people; empty: of nothing
	Relations []YardstickRelation
	Whole     bool // Relations are all the database has
	Sums      []YardstickSum
}

// YardstickRelation is the engine's word about one relation; of a partitioned one with all its partitions.
type YardstickRelation struct {
	Schema, Name string // as in TableSize
	Total        *int64
	Data         *int64
	Index        *int64
	Unused       *int64
	Rows         *int64
	Unread       Unread // not empty: the engine could not be asked about this one
}

// YardstickSum is what the engine has in all for a group of relations, each with whatever belongs to it.
type YardstickSum struct {
	Name     string // what it is the sum of, for people
	Schema   string // the relations of this schema; empty: all
	Total    int64  // bytes
	Rest     int64  // bytes of Total that belong to no relation
	Residual bool   // the collection's own residual is a part of Total, too
}
