package mysql

import (
	"database/sql/driver"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	mysqldriver "github.com/go-sql-driver/mysql"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"whalefall/collectors"
	"whalefall/collectors/collectortest"
	"whalefall/models"
)

func TestVersion_Settings(t *testing.T) {
	t.Parallel()
	cases := []struct {
		text, number string
		mariadb      bool
		dictionary   bool
		has, lacks   []string // settings
	}{
		{"5.6.51-log", "5.6.51", false, false, nil, []string{"max_execution_time", "max_statement_time", "expiry"}},
		{"5.7.44", "5.7.44", false, false, []string{"max_execution_time = 60000"}, []string{"max_statement_time", "expiry"}},
		{
			"8.0.36-28", "8.0.36", false, true,
			[]string{"max_execution_time = 60000", "stats_expiry = 0"},
			[]string{"max_statement_time"},
		},
		{"9.7.4-2", "9.7.4", false, true, []string{"stats_expiry = 0"}, []string{"max_statement_time"}},
		{
			"10.11.19-MariaDB-0+deb12u1", "10.11.19", true, false,
			[]string{"max_statement_time = 60.000"},
			[]string{"max_execution_time", "expiry"},
		},
		{
			"5.5.5-10.3.39-MariaDB-log", "10.3.39", true, false,
			[]string{"max_statement_time"},
			[]string{"max_execution_time"},
		},
	}
	for _, c := range cases {
		v := parseVersion(c.text)
		if v.number != c.number || v.mariadb != c.mariadb || v.dictionary() != c.dictionary {
			t.Errorf("%q: got %+v, want number %s, MariaDB: %v, dictionary: %v", c.text, v, c.number, c.mariadb, c.dictionary)
		}
		settings := strings.Join(v.settings(time.Minute), ";")
		for _, part := range append(c.has, "READ ONLY", "lock_wait_timeout = 1") {
			if !strings.Contains(settings, part) {
				t.Errorf("%q: got settings %s, want %q", c.text, settings, part)
			}
		}
		for _, part := range c.lacks {
			if strings.Contains(settings, part) {
				t.Errorf("%q: got settings %s, want none of %q", c.text, settings, part)
			}
		}
	}
}

func TestParseRights(t *testing.T) {
	t.Parallel()
	const to = " TO `u`@`%`"
	cases := []struct {
		name            string
		grants          []string
		schemas, tables bool // sees every schema, sees all tables of "a_b"
	}{
		{"usage", []string{"GRANT USAGE ON *.*" + to}, false, false},
		{"process", []string{"GRANT PROCESS ON *.*" + to}, false, false},
		{"all", []string{"GRANT ALL PRIVILEGES ON *.*" + to + " WITH GRANT OPTION"}, true, true},
		{"references", []string{"GRANT PROCESS, REFERENCES ON *.*" + to}, true, true},
		{"show databases", []string{"GRANT SHOW DATABASES ON *.*" + to}, true, false},
		{"the schema", []string{"GRANT USAGE ON *.*" + to, "GRANT SELECT ON `a\\_b`.*" + to}, false, true},
		{"a pattern", []string{"GRANT SELECT ON `a%`.*" + to}, false, true},
		{"another pattern", []string{"GRANT SELECT ON `a\\%`.*" + to}, false, false},
		{"another schema", []string{"GRANT SELECT ON `a`.*" + to}, false, false},
		{"no table privilege", []string{"GRANT EXECUTE, EVENT ON `a_b`.*" + to}, false, false},
		{
			"two patterns, one without table privileges",
			[]string{"GRANT SELECT ON `a%`.*" + to, "GRANT EXECUTE ON `a_b`.*" + to},
			false, false,
		},
		{"a table", []string{"GRANT SELECT ON `a_b`.`t`" + to}, false, false},
		{
			"a partial revoke here",
			[]string{"GRANT SELECT ON *.*" + to, "REVOKE SELECT ON `a_b`.* FROM `u`@`%`"},
			false, false,
		},
		{
			"a partial revoke elsewhere",
			[]string{"GRANT SELECT ON *.*" + to, "REVOKE SELECT ON `x`.* FROM `u`@`%`"},
			false, true,
		},
		{"a column that looks like a grant", []string{"GRANT SELECT (` ON *.* TO `) ON `x`.`y`" + to}, false, false},
		{"a schema that looks like a grant", []string{"GRANT SELECT ON ` ON *.* TO `.*" + to}, false, false},
		{"a table that looks like all tables", []string{"GRANT SELECT ON `a_b`.`*.* TO `" + to}, false, false},
	}
	for _, c := range cases {
		rights := parseRights(c.grants, false)
		if rights.schemas != c.schemas || rights.allTables("a_b") != c.tables {
			t.Errorf("%s: got all schemas: %v, all tables: %v, want %v, %v",
				c.name, rights.schemas, rights.allTables("a_b"), c.schemas, c.tables)
		}
	}
}

func TestParseRights_PartialRevokes(t *testing.T) {
	t.Parallel()
	const to = " TO `u`@`%`"
	cases := []struct {
		grant, schema   string
		pattern, byName bool // sees all tables if grants hold patterns, if they hold names
	}{
		{"GRANT SELECT ON `a_b`.*" + to, "a_b", true, true},
		{"GRANT SELECT ON `a_b`.*" + to, "axb", true, false},
		{"GRANT SELECT ON `a\\_b`.*" + to, "a_b", true, false},
		{"GRANT SELECT ON `%`.*" + to, "a_b", true, false},
		{"GRANT SELECT ON `%`.*" + to, "%", true, true},
	}
	for _, c := range cases {
		for literal, want := range map[bool]bool{false: c.pattern, true: c.byName} {
			if got := parseRights([]string{c.grant}, literal).allTables(c.schema); got != want {
				t.Errorf("%s, schema %s, literal: %v: got all tables: %v, want %v", c.grant, c.schema, literal, got, want)
			}
		}
	}
	revoked := parseRights([]string{"GRANT SELECT ON *.*" + to, "REVOKE SELECT ON `a_b`.* FROM `u`@`%`"}, true)
	if revoked.schemas || revoked.allTables("a_b") || !revoked.allTables("axb") {
		t.Errorf("got %+v, want all tables of axb only", revoked)
	}
}

func TestGrant(t *testing.T) {
	t.Parallel()
	for account, want := range map[string]string{
		"sizemon@%":   "GRANT PROCESS, REFERENCES ON *.* TO 'sizemon'@'%';",
		`o'b\@x@10.%`: `GRANT PROCESS, REFERENCES ON *.* TO 'o''b\\@x'@'10.%';`,
		"@localhost":  "GRANT PROCESS, REFERENCES ON *.* TO ''@'localhost';",
	} {
		if got := grant(account); got != want {
			t.Errorf("%q: got %s, want %s", account, got, want)
		}
	}
}

func TestFit(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.Int64Range(0, 1<<62)
		data, index, file := size.Draw(t, "data"), size.Draw(t, "index"), size.Draw(t, "file")
		gotData, gotIndex, stale := fit(data, index, file)
		if gotData < 0 || gotIndex < 0 || gotData+gotIndex > file {
			t.Fatalf("got %d + %d, want at most %d", gotData, gotIndex, file)
		}
		if stale == (data+index <= file && data+index >= 0) {
			t.Fatalf("got stale: %v, want %v", stale, !stale)
		}
		if !stale && (gotData != data || gotIndex != index) {
			t.Fatalf("got %d, %d, want %d, %d unchanged", gotData, gotIndex, data, index)
		}
		if stale && gotData+gotIndex != file {
			t.Fatalf("got %d + %d, want the sum %d", gotData, gotIndex, file)
		}
	})
}

func TestTableFiles_Size(t *testing.T) {
	t.Parallel()
	bytes := rapid.Map(rapid.OneOf(rapid.Int64Range(0, 1<<50), rapid.Int64Range(-2, 1<<56)),
		func(n int64) collectors.Number { return collectors.Number(n) })
	rapid.Check(t, func(t *rapid.T) {
		table := &tableFiles{
			name: "t", kind: "BASE TABLE", engine: rapid.SampledFrom([]string{
				"InnoDB", "MyISAM", "Aria", "MEMORY", "CSV", "MRG_MyISAM", "CONNECT", "FEDERATED", "SPIDER", "ROCKSDB", "",
			}).Draw(t, "engine"),
			fullText: bytes.Draw(t, "full text"),
		}
		for range rapid.IntRange(0, 3).Draw(t, "files") {
			table.add(tablespaceFile{
				flag: rapid.Int64().Draw(t, "flag"), size: bytes.Draw(t, "size"), allocated: bytes.Draw(t, "allocated"),
			})
		}
		if rapid.Bool().Draw(t, "measured") {
			table.stat.add(bytes.Draw(t, "rows"), bytes.Draw(t, "data"), bytes.Draw(t, "index"))
		}
		got := table.size("s")
		if (got.Total == nil) != (got.SizeSource == models.SizeNone) || (got.Rows == nil) != (got.RowsSource == "") {
			t.Fatalf("got %+v, want a source only for known figures", got)
		}
		if (got.Data == nil) != (got.Index == nil) || (got.Data == nil) != (got.Unused == nil) {
			t.Fatalf("got %+v, want data, index and unused all known or all unknown", got)
		}
		if got.Data != nil && (*got.Data < 0 || *got.Index < 0 || *got.Unused < 0 ||
			*got.Total != *got.Data+*got.Index+*got.Unused) {
			t.Fatalf("got a total of %d, want %d + %d + %d", *got.Total, *got.Data, *got.Index, *got.Unused)
		}
		if table.unsized() && got.Total != nil {
			t.Fatalf("%s: got %+v, want no size", table.engine, got)
		}
	})
}

func TestTablesToOpen_External(t *testing.T) {
	t.Parallel()
	tables := map[string]*tableFiles{}
	for _, engine := range []string{"FEDERATED", "CONNECT", "SPIDER", "S3", "MRG_MyISAM", "CSV", "MyISAM"} {
		tables[engine] = &tableFiles{name: engine, engine: engine}
	}
	names, unopened := tablesToOpen(tables, true, true)
	if diff := cmp.Diff([]string{"MyISAM"}, append(names, unopened...)); diff != "" {
		t.Error(diff)
	}
	for _, engine := range []string{"FEDERATED", "CONNECT", "SPIDER", "S3"} {
		got := tables[engine].size("s")
		if got.Kind != models.KindExternal || got.Total != nil || got.Rows != nil || got.RolledUp {
			t.Errorf("%s: got %+v, want kind %q without figures", engine, got, models.KindExternal)
		}
	}
}

func TestTablespaceFile_Flags(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		flag       int64
		compressed bool
		zip        int64
	}{
		{21, false, 0},        // MariaDB 10.5 and later, 16 kB pages
		{1610612789, true, 0}, // MariaDB 10.5 and later, PAGE_COMPRESSED
		{39, false, 4096},     // ROW_FORMAT=COMPRESSED KEY_BLOCK_SIZE=4
		{33, false, 0},        // DYNAMIC, older layout
		{33 | 1<<16, true, 0}, // older layout, PAGE_COMPRESSED
		{16417, false, 0},     // MySQL 8
		{16425, false, 8192},  // MySQL 8, KEY_BLOCK_SIZE=8
	} {
		f := tablespaceFile{flag: c.flag}
		if f.pageCompressed() != c.compressed || f.zipPageBytes() != c.zip {
			t.Errorf("%d: got compressed: %v, zip page: %d, want %v, %d",
				c.flag, f.pageCompressed(), f.zipPageBytes(), c.compressed, c.zip)
		}
	}
}

// Every file of an unencoded list, as on MySQL 8, is added to its own table, whatever characters the names have.
func TestFileIndex_Attribute_UnencodedNames(t *testing.T) {
	t.Parallel()
	names := rapid.StringMatching(`[abA/#_p]{1,6}`)
	rapid.Check(t, func(t *rapid.T) {
		listed := rapid.SliceOfNDistinct(names, 1, 6, rapid.ID).Draw(t, "listed")
		tables := map[string]*tableFiles{}
		for _, name := range listed {
			tables[name] = &tableFiles{name: name, engine: "InnoDB"}
		}
		var list []tablespaceFile
		for i, name := range listed {
			list = append(list, tablespaceFile{space: int64(i), name: "s/" + name, size: 1 << i})
		}
		list = append(list, tablespaceFile{space: 99, name: "s/zz_hidden#p#p0", size: 1})
		files := filesOf(list, map[string]bool{"s": true})
		hidden, err := files.attribute("s", tables, nil)
		if err != nil || !slices.Equal(slices.Collect(maps.Keys(hidden)), []string{"zz_hidden"}) {
			t.Fatalf("got hidden tables %v, %v, want zz_hidden", hidden, err)
		}
		for i, name := range listed {
			if table := tables[name]; table.files != 1 || table.own != 1<<i {
				t.Fatalf("%q: got %d files of %d bytes, want 1 of %d", name, table.files, table.own, 1<<i)
			}
		}
	})
}

// filesOf returns the index of files with unencoded names.
func filesOf(list []tablespaceFile, schemas map[string]bool) fileIndex {
	files := newFileIndex()
	for _, f := range list {
		files.add(f, f.schemas(schemas))
	}
	return files
}

func TestFileIndex_Attribute(t *testing.T) {
	t.Parallel()
	tables := map[string]*tableFiles{"t": {name: "t"}, "ft": {name: "ft"}, "t#p#x": {name: "t#p#x"}}
	list := []tablespaceFile{
		{space: 1, name: "s/t#p#p0", size: 1},
		{space: 2, name: "s/t#P#p1#SP#s0", size: 2},
		{space: 3, name: "s/t#p#x", size: 4},
		{space: 4, name: "s/ft", size: 8},
		{space: 5, name: "s/fts_00000000000000ff_config", size: 16},
		{space: 6, name: "s/fts_00000000000000fe_config", size: 32},
		{space: 7, name: "s/#sql-ib12", size: 64},
		{space: 8, name: "s/x/y", size: 128},
	}
	files := filesOf(list, map[string]bool{"s": true, "s/x": true})
	ids := func() (map[int64]int64, error) { return map[int64]int64{255: 4}, nil }
	hidden, err := files.attribute("s", tables, ids)
	if err != nil || len(hidden) != 0 {
		t.Errorf("got hidden tables %v, %v, want none", hidden, err)
	}
	want := [3]collectors.Number{3, 4, 16}
	if got := [3]collectors.Number{tables["t"].own, tables["t#p#x"].own, tables["ft"].fullText}; got != want {
		t.Errorf("got %v bytes, want %v", got, want)
	}
}

func TestVariableOf(t *testing.T) {
	t.Parallel()
	const prevents = "The MariaDB server is running with the --max-session-mem-used=8192 option so it cannot execute this"
	for variable, err := range map[string]error{
		"":                     &mysqldriver.MySQLError{Number: 1064, Message: prevents},
		"max_session_mem_used": &mysqldriver.MySQLError{Number: 1290, Message: prevents},
		"max_statement_time":   &mysqldriver.MySQLError{Number: 1969},
		"max_join_size":        &mysqldriver.MySQLError{Number: 1104},
	} {
		if got := variableOf(err); got != variable {
			t.Errorf("%v: got %q, want %q", err, got, variable)
		}
	}
}

func TestClassify(t *testing.T) {
	t.Parallel()
	target := collectors.Target{Name: "n"}
	for number, want := range map[uint16]models.Error{
		1049: {Code: models.CodeCollection, Key: collectors.KeyDatabaseGone},
		1142: {Code: models.CodeCollection, Key: "collect.mysql.denied"},
		1143: {Code: models.CodeCollection, Key: "collect.mysql.denied"},
		1227: {Code: models.CodeCollection, Key: "collect.mysql.denied"},
		1205: {Code: models.CodeCollection, Key: "collect.mysql.locked"},
		1317: {Code: models.CodeCollection, Key: "collect.mysql.interrupted"},
		1969: {Code: models.CodeTimeout},
		3024: {Code: models.CodeTimeout},
		1064: {Code: models.CodeCollection, Key: "collect.mysql.failed"},
		1153: {Code: models.CodeCollection, Key: "collect.mysql.setting"},
		1290: {Code: models.CodeCollection, Key: "collect.mysql.failed"},
	} {
		sent := &mysqldriver.MySQLError{Number: number, Message: "secret"}
		got := models.AsError(classify(t.Context(), target, "u@%", sent))
		if got.Code != want.Code || got.Key != want.Key || got.Extra["error_number"] != int(number) {
			t.Errorf("%d: got %+v, want %s %s", number, got, want.Code, want.Key)
		}
		if grant := got.Grant != ""; grant != (want.Key == "collect.mysql.denied") {
			t.Errorf("%d: got a grant: %v, want %v", number, grant, !grant)
		}
	}
	for number, reason := range map[uint16]string{
		1040: collectors.ReasonBusy, 1203: collectors.ReasonBusy, 1226: collectors.ReasonBusy,
		1053: collectors.ReasonStarting, 3159: collectors.ReasonTLS,
		1044: collectors.ReasonLogin, 1045: collectors.ReasonLogin, 1129: collectors.ReasonLogin,
		1130: collectors.ReasonLogin, 1698: collectors.ReasonLogin, 1820: collectors.ReasonLogin,
		1862: collectors.ReasonLogin, 3118: collectors.ReasonLogin, 4151: collectors.ReasonLogin,
	} {
		sent := &mysqldriver.MySQLError{Number: number, Message: "secret"}
		for _, err := range []error{classify(t.Context(), target, "u@%", sent), unreachable(target, sent)} {
			collectortest.WantError(t, err, models.CodeUnreachable, "error.unreachable")
			if e := models.AsError(err); e.Reason != reason || e.Extra["error_number"] != int(number) {
				t.Errorf("%d: got %v, want reason %s and the number", number, e.Members(), reason)
			}
		}
	}
	for _, err := range []error{mysqldriver.ErrInvalidConn, driver.ErrBadConn, io.ErrUnexpectedEOF} {
		collectortest.WantError(t, classify(t.Context(), target, "", err), models.CodeUnreachable, "error.unreachable")
	}
}
