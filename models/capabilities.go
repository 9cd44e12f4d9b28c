package models

// Capabilities describes how the collector of an engine works where that differs between engines.
type Capabilities struct {
	AllDatabasesAtOnce bool // one collection of tables measures those of every database of the instance
	ListsPartitions    bool // partitions are rows of their own; elsewhere their bytes are part of their table's row
	NamesHiddenTables  bool // tables the account cannot see are listed by name, as unread; elsewhere they are only counted
}
