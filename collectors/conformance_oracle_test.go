package collectors

import (
	"database/sql/driver"
	"maps"
	"testing"

	"whalefall/testenv/catalog"
	"whalefall/testenv/oracle"
)

var oracleEngine = engine{
	name:  "Oracle",
	setup: oracleConformance,
	cannot: map[string]string{
		"total is data, index and unused": "only DBMS_SPACE knows what is unused of a segment, block by block",
		"partitions are rolled up once":   "a partition has no row of its own; a partitioned table is one row in each tablespace",
	},
}

func oracleConformance(t *testing.T) fixture {
	b := oracleTables{rows: catalog.Rows{
		"DBA_TABLESPACES": {oracleSpace("USERS", "PERMANENT"), oracleSpace("TEMP", "TEMPORARY")},
		"DBA_DATA_FILES":  {oracleFile("USERS", 1<<30)},
		"DBA_TEMP_FILES":  {oracleFile("TEMP", 1<<20)},
	}, word: map[relationName]yard{}}
	for _, name := range append([]string{"never_analysed", "tree"}, hostileNames...) {
		b.table(name)
	}
	b.empty("empty")
	server := oracle.New(t, oracle.Options{Container: "PDB1", Rows: b.rows})
	target := oracleTarget(t, server, "WHALEFALL", true)
	impatient := oracleBeside(server, target)
	impatient.connectTimeout = impatience
	return fixture{
		collector: oracleBeside(server, target), impatient: impatient, target: target, database: "USERS", schema: "APP",
		yardstick:   func(*testing.T) map[relationName]yard { return maps.Clone(b.word) },
		connections: func(*testing.T) int { return server.Connections() },
		block:       func(t *testing.T) func() { return server.Block(t) },
		denied: func(t *testing.T) (Target, string, string) {
			return oracleTarget(t, server, "SMALL", false, "DBA_TABLESPACES", "DBA_DATA_FILES"), "TEMP", "USERS"
		},
	}
}

// oracleBeside connects to the emulated server at the target's address, and by go-ora to all others.
func oracleBeside(server *oracle.Server, target Target) *Oracle {
	c, elsewhere := oracleAt(server), NewOracle(nil)
	emulated := c.Connector
	c.Connector = func(t Target) (driver.Connector, error) {
		if t.Host == target.Host && t.Port == target.Port {
			return emulated(t)
		}
		return elsewhere.Connector(t)
	}
	return c
}

// oracleTables makes the dictionary of tables that each have a LOB and an index; no two are alike.
type oracleTables struct {
	rows   catalog.Rows
	word   map[relationName]yard
	serial int64
}

func (b *oracleTables) add(view string, row map[string]any) { b.rows[view] = append(b.rows[view], row) }

func (b *oracleTables) table(name string) {
	b.serial++
	heap, lob, index := b.serial<<16, b.serial<<13, b.serial<<10
	b.add("DBA_TABLES", oracleHeap("APP", name, "USERS"))
	b.add("DBA_LOBS", map[string]any{"OWNER": "APP", "TABLE_NAME": name, "SEGMENT_NAME": "LOB " + name, "INDEX_NAME": "LOBINDEX " + name})
	b.add("DBA_INDEXES", map[string]any{
		"OWNER": "APP", "INDEX_NAME": "INDEX " + name, "INDEX_TYPE": "NORMAL", "TABLE_OWNER": "APP", "TABLE_NAME": name, "TABLE_TYPE": "TABLE",
	})
	b.add("DBA_SEGMENTS", oraclePart("APP", name, "TABLE", "USERS", heap))
	b.add("DBA_SEGMENTS", oraclePart("APP", "LOB "+name, "LOBSEGMENT", "USERS", lob))
	b.add("DBA_SEGMENTS", oraclePart("APP", "INDEX "+name, "INDEX", "USERS", index))
	data, total := heap+lob, heap+lob+index
	b.word[relationName{"APP", name}] = yard{&total, &data, &index}
}

func (b *oracleTables) empty(name string) {
	row := oracleHeap("APP", name, "USERS")
	row["SEGMENT_CREATED"] = "NO"
	b.add("DBA_TABLES", row)
	b.word[relationName{"APP", name}] = yard{new(int64), new(int64), new(int64)}
}
