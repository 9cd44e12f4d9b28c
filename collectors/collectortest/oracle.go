package collectortest

import (
	"testing"

	"whalefall/collectors"
	"whalefall/models"
	"whalefall/testenv/catalog"
	"whalefall/testenv/oracle"
)

// OracleTablespace returns a row of DBA_TABLESPACES.
func OracleTablespace(name, contents string) map[string]any {
	return map[string]any{"TABLESPACE_NAME": name, "STATUS": "ONLINE", "CONTENTS": contents}
}

// OracleFile returns a row of DBA_DATA_FILES or DBA_TEMP_FILES.
func OracleFile(tablespace string, bytes any) map[string]any {
	return map[string]any{"TABLESPACE_NAME": tablespace, "BYTES": bytes}
}

// OracleTable returns a row of DBA_TABLES.
func OracleTable(owner, name, tablespace string) map[string]any {
	return map[string]any{
		"OWNER": owner, "TABLE_NAME": name, "TABLESPACE_NAME": tablespace,
		"TEMPORARY": "N", "SECONDARY": "N", "DROPPED": "NO",
		"SEGMENT_CREATED": "YES", "PARTITIONED": "NO",
	}
}

// OracleSegment returns a row of DBA_SEGMENTS.
func OracleSegment(owner, name, kind, tablespace string, bytes int64) map[string]any {
	return map[string]any{
		"OWNER": owner, "SEGMENT_NAME": name, "SEGMENT_TYPE": kind, "TABLESPACE_NAME": tablespace, "BYTES": bytes,
	}
}

// OracleTwoSchemas returns a dictionary with a table of APP and one of OTHER in USERS, and one more of OTHER in DATA.
func OracleTwoSchemas() catalog.Rows {
	return catalog.Rows{
		"DBA_TABLESPACES": {
			OracleTablespace("USERS", "PERMANENT"), OracleTablespace("DATA", "PERMANENT"),
			OracleTablespace("TEMP", "TEMPORARY"),
		},
		"DBA_TABLES": {
			OracleTable("APP", "T", "USERS"), OracleTable("OTHER", "T", "USERS"), OracleTable("OTHER", "U", "DATA"),
		},
		"DBA_SEGMENTS": {
			OracleSegment("APP", "T", "TABLE", "USERS", 1000), OracleSegment("OTHER", "T", "TABLE", "USERS", 300),
			OracleSegment("OTHER", "U", "TABLE", "DATA", 7),
		},
	}
}

// OracleTarget creates a user with SELECT_CATALOG_ROLE, or with access to single views, and returns its target.
func OracleTarget(t *testing.T, server *oracle.Server, name string, role bool, views ...string) collectors.Target {
	t.Helper()
	const password = `p:@/%20? '"\x`
	server.AddUser(t, oracle.User{Name: name, Password: password, Catalog: role, Grants: views})
	return collectors.Target{
		Name: "测试", Engine: models.Oracle, Host: "127.0.0.1", Port: 1521, Database: "orcl",
		Username: `"` + name + `"`, Password: password,
	}
}
