package oracle

import (
	"database/sql/driver"
	"maps"
	"testing"

	"whalefall/collectors"
	"whalefall/collectors/collectortest"
	"whalefall/testenv/catalog"
	"whalefall/testenv/oracle"
)

var engine = collectortest.Engine{
	Name:  "Oracle",
	Setup: setup,
	Cannot: map[string]string{
		"total is data, index and unused": "only DBMS_SPACE reports the unused bytes of a segment, block by block",
		"partitions are rolled up":        "a partitioned table has one row in each tablespace, its partitions have none",
	},
}

func setup(t *testing.T) collectortest.Fixture {
	b := dictionaryBuilder{rows: catalog.Rows{
		"DBA_TABLESPACES": {
			collectortest.OracleTablespace("USERS", "PERMANENT"), collectortest.OracleTablespace("TEMP", "TEMPORARY"),
		},
		"DBA_DATA_FILES": {collectortest.OracleFile("USERS", 1<<30)},
		"DBA_TEMP_FILES": {collectortest.OracleFile("TEMP", 1<<20)},
	}, want: map[collectortest.RelationName]collectortest.Sizes{}}
	for _, name := range append([]string{"never_analysed", "tree"}, collectortest.HostileNames...) {
		b.table(name)
	}
	b.empty("empty")
	server := oracle.New(t, oracle.Options{Container: "PDB1", Rows: b.rows})
	target := collectortest.OracleTarget(t, server, "WHALEFALL", true)
	impatient := collectorBeside(server, target)
	impatient.connectTimeout = collectortest.Impatience
	return collectortest.Fixture{
		Collector: collectorBeside(server, target), Impatient: impatient, Target: target, Database: "USERS", Schema: "APP",
		Yardstick:   func(*testing.T) map[collectortest.RelationName]collectortest.Sizes { return maps.Clone(b.want) },
		Connections: func(*testing.T) int { return server.Connections() },
		Block:       func(t *testing.T) func() { return server.Block(t) },
		Denied: func(t *testing.T) (collectors.Target, string, string) {
			return collectortest.OracleTarget(t, server, "SMALL", false, "DBA_TABLESPACES", "DBA_DATA_FILES"), "TEMP", "USERS"
		},
	}
}

// collectorBeside returns a collector that connects to the emulated server at the target's address and with go-ora to
// any other address.
func collectorBeside(server *oracle.Server, target collectors.Target) *Collector {
	c, elsewhere := collectorFor(server), New(nil)
	emulated := c.Connector
	c.Connector = func(t collectors.Target) (driver.Connector, error) {
		if t.Host == target.Host && t.Port == target.Port {
			return emulated(t)
		}
		return elsewhere.Connector(t)
	}
	return c
}

// dictionaryBuilder builds the dictionary of tables that each have a LOB and an index. No two have the same sizes.
type dictionaryBuilder struct {
	rows   catalog.Rows
	want   map[collectortest.RelationName]collectortest.Sizes
	serial int64
}

func (b *dictionaryBuilder) add(view string, row map[string]any) {
	b.rows[view] = append(b.rows[view], row)
}

// table adds a table with a segment for its rows, one for its LOB and one for its index.
func (b *dictionaryBuilder) table(name string) {
	b.serial++
	heap, lob, index := b.serial<<16, b.serial<<13, b.serial<<10
	b.add("DBA_TABLES", collectortest.OracleTable("APP", name, "USERS"))
	b.add("DBA_LOBS", map[string]any{
		"OWNER": "APP", "TABLE_NAME": name, "SEGMENT_NAME": "LOB " + name, "INDEX_NAME": "LOBINDEX " + name,
	})
	b.add("DBA_INDEXES", map[string]any{
		"OWNER": "APP", "INDEX_NAME": "INDEX " + name, "INDEX_TYPE": "NORMAL",
		"TABLE_OWNER": "APP", "TABLE_NAME": name, "TABLE_TYPE": "TABLE",
	})
	b.add("DBA_SEGMENTS", collectortest.OracleSegment("APP", name, "TABLE", "USERS", heap))
	b.add("DBA_SEGMENTS", collectortest.OracleSegment("APP", "LOB "+name, "LOBSEGMENT", "USERS", lob))
	b.add("DBA_SEGMENTS", collectortest.OracleSegment("APP", "INDEX "+name, "INDEX", "USERS", index))

	data, total := heap+lob, heap+lob+index
	b.want[collectortest.Relation("APP", name)] = collectortest.Sizes{Total: &total, Data: &data, Index: &index}
}

// empty adds a table without a segment.
func (b *dictionaryBuilder) empty(name string) {
	row := collectortest.OracleTable("APP", name, "USERS")
	row["SEGMENT_CREATED"] = "NO"
	b.add("DBA_TABLES", row)
	b.want[collectortest.Relation("APP", name)] = collectortest.Sizes{
		Total: new(int64), Data: new(int64), Index: new(int64),
	}
}
