package grammar

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestShippedStatements(t *testing.T) {
	least := map[string]int{"sqlserver": 14, "oracle": 20}
	for _, d := range dialects {
		t.Run(d.name, func(t *testing.T) {
			files, err := filepath.Glob("../../collectors/" + d.name + "/sql/*.sql")
			if err != nil || len(files) < least[d.name] {
				t.Fatalf("%d statements, want %d or more: %v", len(files), least[d.name], err)
			}
			catalog, err := d.catalog()
			if err != nil {
				t.Fatal(err)
			}
			for _, file := range files {
				content, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				for _, p := range append(catalog.problems(string(content)), d.countProblems(string(content))...) {
					t.Errorf("%s:%s", file, p)
				}
			}
		})
	}
}

// countProblems returns the problems of the syntax of the statement that counts the rows of another one, as
// collectors.CountOf makes it. Of the names, only that of its subquery is none of a view.
func (d *dialect) countProblems(statement string) (problems []problem) {
	if strings.Contains(statement, "EXEC ") {
		return nil
	}
	_, all := d.parse("SELECT COUNT(*) FROM (\n" + statement + "\n) counted")
	for _, p := range all {
		if !strings.HasPrefix(p.text, "not a view: ") {
			problems = append(problems, p)
		}
	}
	return problems
}

// problems returns the problems of the syntax, or those of the names if the syntax is right.
func (c *catalog) problems(statement string) []problem {
	selects, problems := c.dialect.parse(statement)
	if len(problems) > 0 {
		return problems
	}
	return c.check(statement, selects)
}

var sound = map[string][]string{
	"sqlserver": {
		"SET LOCK_TIMEOUT 2000; SET DEADLOCK_PRIORITY LOW; SET TRANSACTION ISOLATION LEVEL READ UNCOMMITTED",
		"SELECT name AS n, [size] FROM sys.database_files WHERE type IN (0, 2) ORDER BY n",
		`SELECT o.object_id, CAST(p.rows AS bigint), CASE WHEN o.type = 'U' THEN N'表' ELSE o.name END AS kind, @p1
		 FROM sys.objects AS o LEFT JOIN sys.partitions p ON p.object_id = o.object_id AND p.index_id < 2
		 WHERE NOT EXISTS (SELECT 1 FROM sys.internal_tables AS i
			WHERE i.object_id = o.object_id AND parent_object_id = @p1)`,
		"-- Since: 2016 (13.x).\nSELECT t.temporal_type FROM sys.tables AS t",
		"SELECT CAST(SERVERPROPERTY('EngineEdition') AS int), DB_NAME(), HAS_DBACCESS(d.name) FROM sys.databases AS d",
	},
	"oracle": {
		"SELECT s.owner, s.bytes AS n FROM dba_segments s WHERE s.tablespace_name = :name ORDER BY n",
		"SELECT segment_name, SUM(bytes) FROM sys.dba_segments GROUP BY segment_name",
		`SELECT t.owner, CASE WHEN t.iot_type IS NULL THEN 'heap' ELSE t.iot_type END AS kind,
			CAST(t.num_rows AS NUMBER), i."INDEX_TYPE"
		 FROM dba_tables t
			LEFT JOIN dba_indexes i ON i.table_owner = t.owner AND i.table_name = t.table_name AND i.dropped = 'NO'
		 WHERE EXISTS (SELECT 1 FROM dba_lobs WHERE table_name = t.table_name)`,
		"SELECT SYS_CONTEXT('USERENV', 'SESSION_USER') FROM dual WHERE ROWNUM = 1",
		"-- Since: 12.1.\nSELECT username, oracle_maintained FROM dba_users",
	},
}

func TestSoundStatements(t *testing.T) {
	for _, d := range dialects {
		catalog, err := d.catalog()
		if err != nil {
			t.Fatal(err)
		}
		for _, statement := range sound[d.name] {
			for _, p := range catalog.problems(statement) {
				t.Errorf("%s: %s\n%s", d.name, p, statement)
			}
		}
	}
}

var broken = map[string][]string{
	"sqlserver": {
		"SELECT name FROM",
		"SELECT name FROM sys.objects AS",
		"SELECT name FROM sys.objects WHERE",
		"SELECT name, FROM sys.objects",
		"SELECT name FROM sys.objects o JOIN sys.tables t",
		"SELECT (name FROM sys.objects",
		"SELECT name FROM sys.objects WHERE (type = 'U'",
		"SELECT name FROM sys.objects WHERE type IN ()",
		"SELECT CASE WHEN type = 'U' THEN 1 FROM sys.objects",
		"SELECT CAST(type bigint) FROM sys.objects",
		"SELECT name FROM sys.objects WHERE object_id = :name",
		"SELECT name FROM sys.objects WHERE type = 'U",
		"SELECT name FROM sys.objects MINUS SELECT name FROM sys.tables",
		"SELECT name FROM sys.objects CONNECT BY object_id = parent_object_id",
		"SELECT name FROM sys.objects LIMIT 1",
	},
	"oracle": {
		"SELECT owner FROM",
		"SELECT owner",
		"SELECT owner FROM dba_tables WHERE",
		"SELECT owner, FROM dba_tables",
		"SELECT (owner FROM dba_tables",
		"SELECT owner FROM dba_tables WHERE (temporary = 'N'",
		"SELECT owner FROM dba_tables WHERE temporary IN ()",
		"SELECT CASE WHEN temporary = 'N' THEN 1 FROM dba_tables",
		"SELECT CAST(num_rows number) FROM dba_tables",
		"SELECT owner FROM dba_tables AS t",
		"SELECT [owner] FROM dba_tables",
		"SELECT TOP 1 owner FROM dba_tables",
		"SELECT owner FROM dba_tables WHERE owner = @p1",
		"SELECT owner FROM dba_tables WHERE owner = 'SYS",
		"SELECT owner FROM dba_tables LIMIT 1",
		"SELECT owner FROM dba_tables SELECT owner FROM dba_lobs",
		"SELECT owner FROM dba_tables;",
	},
}

func TestBrokenStatements(t *testing.T) {
	for _, d := range dialects {
		for _, statement := range broken[d.name] {
			if _, problems := d.parse(statement); len(problems) == 0 {
				t.Errorf("%s: got no problem with %s", d.name, statement)
			}
		}
	}
}

// TestUnknownNames maps statements of sound syntax to the beginning of their first problem.
func TestUnknownNames(t *testing.T) {
	tests := map[string]map[string]string{
		"sqlserver": {
			"SELECT o.nam FROM sys.objects AS o":                                 "1:8: no column nam: objects https://learn.microsoft.com/",
			"SELECT o.name\nFROM sys.objects AS o\nWHERE typ = 'U'":              "3:7: no column typ: objects https://",
			"SELECT o.Name FROM sys.objects AS o":                                "1:8: no column Name",
			"SELECT x.name FROM sys.objects AS o":                                "1:8: nothing in FROM is called x",
			"SELECT objects.name FROM sys.objects AS o":                          "1:8: nothing in FROM is called objects",
			"SELECT name FROM sys.object":                                        "1:18: no view sys.object in sqlserver.json",
			"SELECT name FROM objects":                                           "1:18: no view objects",
			"SELECT name FROM master.sys.objects":                                "1:18: a name of more than two parts",
			"SELECT 1 FROM sys.objects o JOIN sys.tables t ON o.object_id = t.x": "1:64: no column x: tables",
			"SELECT name FROM sys.objects o, sys.tables t":                       "1:8: name is ambiguous",
			"SELECT 1 FROM dual WHERE ROWNUM = 1":                                "1:15: no view dual",
			"SELECT * FROM sys.objects":                                          "1:8: * does not say",
			"SELECT o.name FROM (SELECT name FROM sys.objects) AS o":             "1:20: not a view",
			"SELECT t.temporal_type FROM sys.tables AS t":                        "1:8: temporal_type exists since 2016 (13.x), which the header does not say: https://",
			"-- Since: 2014 (12.x).\nSELECT temporal_type FROM sys.tables":       "2:8: temporal_type exists since 2016 (13.x)",
			"SELECT location FROM sys.external_tables":                           "1:22: external_tables exists since 2016 (13.x)",
			"-- Since: yesterday.\nSELECT name FROM sys.objects":                 `1:1: "yesterday" names no version`,
			"SELECT 1 WHERE EXISTS (SELECT 1 FROM sys.objects WHERE nam = 'x')":  "1:56: no column nam",
			"SELECT name AS n FROM sys.objects WHERE n = 'x' ORDER BY n":         "1:41: no column n: objects",
			"SELECT name AS n FROM sys.objects ORDER BY m":                       "1:44: no column m: objects",
		},
		"oracle": {
			"SELECT s.byte FROM dba_segments s":                                "1:8: no column BYTE: DBA_SEGMENTS https://docs.oracle.com/",
			"SELECT s.bytes\nFROM dba_segments s\nWHERE s.tablespace = :name":  "3:7: no column TABLESPACE",
			`SELECT "bytes" FROM dba_segments`:                                 "1:8: no column bytes",
			"SELECT x.bytes FROM dba_segments s":                               "1:8: nothing in FROM is called X",
			"SELECT bytes FROM all_segments":                                   "1:19: no view ALL_SEGMENTS in oracle.json",
			"SELECT bytes FROM system.dba_segments":                            "1:19: no view SYSTEM.DBA_SEGMENTS",
			"SELECT owner FROM user_segments":                                  "1:8: no column OWNER: USER_SEGMENTS",
			"SELECT owner FROM dba_tables t JOIN dba_lobs l ON t.x = l.y":      "1:8: OWNER is ambiguous",
			"SELECT * FROM dba_tables":                                         "1:8: * does not say",
			"SELECT t.* FROM dba_tables t":                                     "1:8: * does not say",
			"SELECT t.owner FROM (SELECT owner FROM dba_tables) t":             "1:21: not a view",
			"SELECT oracle_maintained FROM dba_users":                          "1:8: ORACLE_MAINTAINED exists since 12.1.0.1",
			"SELECT pdb_name FROM dba_pdbs":                                    "1:22: DBA_PDBS exists since 12.1.0.1",
			"SELECT t.x FROM dba_tables t, dba_lobs l WHERE t.owner = l.z (+)": "1:8: no column X",
			"SELECT t.owner FROM dba_tables t, dba_lobs l WHERE l.z (+) = 'x'": "1:52: no column Z",
			"SELECT TO_CHAR(t.z) FROM dba_tables t":                            "1:16: no column Z",
		},
	}
	for _, d := range dialects {
		catalog, err := d.catalog()
		if err != nil {
			t.Fatal(err)
		}
		for statement, want := range tests[d.name] {
			problems := catalog.problems(statement)
			if len(problems) == 0 || !strings.HasPrefix(problems[0].String(), want) {
				t.Errorf("%s: %q, want %q\n%s", d.name, problems, want, statement)
			}
		}
	}
}
