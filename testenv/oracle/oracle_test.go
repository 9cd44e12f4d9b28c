package oracle_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sijms/go-ora/v2/network"

	"whalefall/testenv"
	"whalefall/testenv/catalog"
	"whalefall/testenv/oracle"
)

func TestMain(m *testing.M) { testenv.Main(m) }

var rows = catalog.Rows{
	"DBA_USERS": {{"USERNAME": "APP", "DEFAULT_TABLESPACE": "DATA"}, {"USERNAME": "app", "DEFAULT_TABLESPACE": "USERS"}},
	"DBA_TABLESPACES": {
		{"TABLESPACE_NAME": "DATA", "CONTENTS": "PERMANENT", "PLUGGED_IN": "NO"},
		{"TABLESPACE_NAME": "USERS", "CONTENTS": "PERMANENT"},
	},
	"DBA_SEGMENTS": {
		{"OWNER": "APP", "SEGMENT_NAME": "ORDERS", "PARTITION_NAME": "", "BYTES": int64(9007199254740993), "HEADER_FILE": 1},
		{"OWNER": "app", "SEGMENT_NAME": "t", "PARTITION_NAME": "P1", "BYTES": 65536},
	},
	"DBA_TABLES": {
		{"OWNER": "APP", "TABLE_NAME": "ORDERS", "NUM_ROWS": 5, "LAST_ANALYZED": "2026-01-02 03:04:05", "EXTERNAL": "NO"},
		{"OWNER": "APP", "TABLE_NAME": "2026-01-02 03:04:05"},
	},
	"DBA_ALL_TABLES": {{"OWNER": "APP", "TABLE_NAME": "OBJECTS", "TABLE_TYPE": "T"}},
	"DBA_PDBS":       {{"PDB_NAME": "ORCLPDB1"}},
}

var (
	monitor = oracle.User{Name: "MONITOR", Password: "secret", Catalog: true}
	login   = oracle.Login{Service: "orcl", Username: "monitor", Password: "secret"}
)

func server(t *testing.T, options oracle.Options) *oracle.Server {
	t.Helper()
	if options.Rows == nil {
		options.Rows = rows
	}
	o := oracle.New(t, options)
	o.AddUser(t, monitor)
	o.AddUser(t, oracle.User{Name: "APP", Password: "secret"})
	o.AddUser(t, oracle.User{Name: "app", Password: "Secret"})
	return o
}

func open(t *testing.T, o *oracle.Server, login oracle.Login) *sql.DB {
	t.Helper()
	db := sql.OpenDB(o.Connector(login))
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func code(err error) int {
	if refusal, ok := errors.AsType[*network.OracleError](err); ok {
		return refusal.ErrCode
	}
	return 0
}

// all returns the values of the only column.
func all(t *testing.T, db *sql.DB, query string, arguments ...any) []string {
	t.Helper()
	values, err := list(t.Context(), db, query, arguments...)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return values
}

func list(ctx context.Context, db *sql.DB, query string, arguments ...any) (values []string, err error) {
	found, err := db.QueryContext(ctx, query, arguments...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = found.Close() }()
	for found.Next() {
		var value sql.NullString
		if err := found.Scan(&value); err != nil {
			return nil, err
		}
		values = append(values, value.String)
	}
	return values, found.Err()
}

func TestConnector_Logins(t *testing.T) {
	t.Parallel()
	o := server(t, oracle.Options{Service: "orclpdb1.example.com", SID: "ORCL"})
	o.AddUser(t, oracle.User{Name: "LOCKED", Password: "secret", Locked: true})
	o.AddUser(t, oracle.User{Name: "EXPIRED", Password: "secret", Expired: true})
	for name, c := range map[string]struct {
		login oracle.Login
		want  int
	}{
		"by service":        {oracle.Login{Service: "ORCLPDB1.example.com", Username: "monitor", Password: "secret"}, 0},
		"by SID":            {oracle.Login{SID: "orcl", Username: "MONITOR", Password: "secret"}, 0},
		"quoted user":       {oracle.Login{SID: "orcl", Username: `"app"`, Password: "Secret"}, 0},
		"unquoted is upper": {oracle.Login{SID: "orcl", Username: "app", Password: "Secret"}, 1017},
		"wrong password":    {oracle.Login{SID: "orcl", Username: "monitor", Password: "SECRET"}, 1017},
		"no such user":      {oracle.Login{SID: "orcl", Username: "nobody", Password: "secret"}, 1017},
		"locked":            {oracle.Login{SID: "orcl", Username: "locked", Password: "wrong"}, 28000},
		"expired":           {oracle.Login{SID: "orcl", Username: "expired", Password: "secret"}, 28001},
		"expired and wrong": {oracle.Login{SID: "orcl", Username: "expired", Password: "wrong"}, 1017},
		"unknown service":   {oracle.Login{Service: "orcl", Username: "monitor", Password: "secret"}, 12514},
		"unknown SID":       {oracle.Login{SID: "orclpdb1", Username: "monitor", Password: "secret"}, 12505},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := open(t, o, c.login).PingContext(t.Context()); code(err) != c.want || (err != nil) != (c.want != 0) {
				t.Errorf("%v, want ORA-%05d", err, c.want)
			}
		})
	}
}

func TestServer_Connections(t *testing.T) {
	t.Parallel()
	o := server(t, oracle.Options{})
	db := open(t, o, login)
	if err := db.PingContext(t.Context()); err != nil || o.Connections() != 1 {
		t.Fatalf("%v, %d connections", err, o.Connections())
	}
	_ = db.Close()
	if n := o.Connections(); n != 0 {
		t.Errorf("got %d connections after closing, want 0", n)
	}
}

func TestQuery_ValueTypes(t *testing.T) {
	t.Parallel()
	o := server(t, oracle.Options{})
	found, err := open(t, o, login).QueryContext(t.Context(),
		`SELECT s.owner, s.partition_name, s.bytes AS n, t.last_analyzed, t.num_rows AS "rows", COUNT(*)
		FROM dba_segments s JOIN sys.dba_tables t ON t.owner = s.owner AND t.table_name = s.segment_name`)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = found.Close() }()
	names, err := found.Columns()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"OWNER", "PARTITION_NAME", "N", "LAST_ANALYZED", "rows", "COUNT(*)"}, names); diff != "" {
		t.Error(diff)
	}
	got, into := make([]any, len(names)), make([]any, len(names))
	for i := range got {
		into[i] = &got[i]
	}
	if !found.Next() {
		t.Fatal(found.Err())
	}
	if err := found.Scan(into...); err != nil {
		t.Fatal(err)
	}
	want := []any{"APP", nil, "9007199254740993", time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), "5", "1"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestQuery_TextThatLooksLikeADate(t *testing.T) {
	t.Parallel()
	db := open(t, server(t, oracle.Options{}), login)
	got := all(t, db, "SELECT table_name FROM dba_tables ORDER BY table_name")
	if diff := cmp.Diff([]string{"2026-01-02 03:04:05", "ORDERS"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestQuery_Binds(t *testing.T) {
	t.Parallel()
	db := open(t, server(t, oracle.Options{}), login)
	const byName = "SELECT segment_name FROM dba_segments WHERE owner = :owner AND :owner <> :other -- :comment"
	for name, c := range map[string]struct {
		query     string
		arguments []any
	}{
		"name":  {byName, []any{sql.Named("OTHER", "x"), sql.Named("owner", "app")}},
		"place": {byName, []any{"app", "app", "x"}},
		"digit": {"SELECT segment_name FROM dba_segments WHERE owner = :1 AND segment_name <> ':2'", []any{"app"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff([]string{"t"}, all(t, db, c.query, c.arguments...)); diff != "" {
				t.Error(diff)
			}
		})
	}
	if _, err := list(t.Context(), db, byName, "app"); code(err) != 1008 {
		t.Errorf("a missing bind: %v", err)
	}
	if _, err := list(t.Context(), db, byName, sql.Named("owner", "app")); err == nil {
		t.Error("got no error for a missing name")
	}
}

func TestQuery_EmptyTextIsNull(t *testing.T) {
	t.Parallel()
	db := open(t, server(t, oracle.Options{}), login)
	got := all(t, db, "SELECT NVL(partition_name, 'none') FROM dba_segments WHERE partition_name IS NULL")
	if !slices.Equal(got, []string{"none"}) {
		t.Errorf("%q", got)
	}
	for _, query := range []string{"SELECT 'x' FROM dual WHERE '' IS NULL", "SELECT 'x' FROM dual WHERE :1 IS NULL"} {
		arguments := []any{""}[:strings.Count(query, ":1")]
		if got := all(t, db, query, arguments...); len(got) != 1 {
			t.Errorf("%s: %q", query, got)
		}
	}
}

func TestUserViews_ShowTheSessionUser(t *testing.T) {
	t.Parallel()
	o := server(t, oracle.Options{CurrentSchema: "APP"})
	for user, want := range map[string]map[string][]string{
		"APP": {
			"SELECT segment_name FROM user_segments":                 {"ORDERS"},
			"SELECT default_tablespace FROM user_users":              {"DATA"},
			"SELECT tablespace_name FROM user_tablespaces":           {"DATA", "USERS"},
			"SELECT table_name FROM sys.user_all_tables":             {"ORDERS", "2026-01-02 03:04:05", "OBJECTS"},
			"SELECT USER FROM dual":                                  {"APP"},
			"SELECT product FROM product_component_version":          {"Oracle Database 19c Enterprise Edition "},
			"SELECT SYS_CONTEXT('USERENV','SERVICE_NAME') FROM dual": {"orcl"},
		},
		`"app"`: {
			"SELECT segment_name FROM user_segments":                            {"t"},
			"SELECT default_tablespace FROM user_users":                         {"USERS"},
			"SELECT SYS_CONTEXT('USERENV', 'SESSION_USER') FROM dual":           {"app"},
			"SELECT sys_context ( 'userenv', 'current_schema' ) AS s FROM DUAL": {"APP"},
		},
		"MONITOR": {
			"SELECT segment_name FROM user_segments":    nil,
			"SELECT default_tablespace FROM user_users": {"USERS"},
		},
	} {
		password := "secret"
		if user == `"app"` {
			password = "Secret"
		}
		db := open(t, o, oracle.Login{Service: "orcl", Username: user, Password: password})
		for query, values := range want {
			if diff := cmp.Diff(values, all(t, db, query)); diff != "" {
				t.Errorf("%s: %s: %s", user, query, diff)
			}
		}
	}
}

func TestUserViews_HaveNoOwnerColumn(t *testing.T) {
	t.Parallel()
	db := open(t, server(t, oracle.Options{}), login)
	for _, query := range []string{
		"SELECT owner FROM user_segments", "SELECT header_file FROM user_segments", "SELECT plugged_in FROM user_tablespaces",
	} {
		if _, err := list(t.Context(), db, query); code(err) != 904 {
			t.Errorf("%s: %v", query, err)
		}
	}
}

func TestQuery_MissingGrants(t *testing.T) {
	t.Parallel()
	o := server(t, oracle.Options{NoSynonym: []string{"DBA_LOBS"}})
	o.AddUser(t, oracle.User{
		Name: "SOME", Password: "secret", Grants: []string{"DBA_TABLES", "DBA_INDEXES"},
		Denied: map[string]int{"DBA_SEGMENTS": 1031, "DBA_INDEXES": 41900},
	})
	some := open(t, o, oracle.Login{Service: "orcl", Username: "some", Password: "secret"})
	for query, want := range map[string]int{
		"SELECT owner FROM dba_tables":                                    0,
		"SELECT owner FROM sys.dba_tables":                                0,
		"SELECT owner FROM dba_lobs":                                      942,
		"SELECT owner FROM SYS.DBA_SEGMENTS":                              1031,
		"SELECT t.owner FROM dba_tables t JOIN dba_indexes i ON 1 = 1":    41900,
		"SELECT status FROM v$instance":                                   942,
		"SELECT banner FROM v$version":                                    0,
		"SELECT 'dba_segments' AS x FROM dual /* not from dba_indexes */": 0,
		"SELECT owner FROM all_segments":                                  942,
		"SELECT ownr FROM dba_tables":                                     904,
		"SELECT owner FROM dba_tables;":                                   911,
		"SELECT owner FRM dba_tables":                                     900,
	} {
		if _, err := list(t.Context(), some, query); code(err) != want || (err != nil) != (want != 0) {
			t.Errorf("%s: %v, want ORA-%05d", query, err, want)
		}
	}
	db := open(t, o, login)
	if _, err := list(t.Context(), db, "SELECT owner FROM dba_lobs"); code(err) != 942 {
		t.Errorf("without synonym: %v", err)
	}
	if _, err := list(t.Context(), db, "SELECT owner FROM sys.dba_lobs"); err != nil {
		t.Errorf("without synonym, but qualified: %v", err)
	}
}

func TestSysContext_Container(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		options oracle.Options
		want    []string // CON_NAME, CON_ID, DB_NAME
	}{
		"PDB":              {oracle.Options{Container: "ORCLPDB1"}, []string{"ORCLPDB1", "3", "ORCLPDB1"}},
		"root":             {oracle.Options{Container: "CDB$ROOT"}, []string{"CDB$ROOT", "1", "ORCL"}},
		"not multitenant":  {oracle.Options{Version: "12.1.0.2.0"}, []string{"ORCL", "0", "ORCL"}},
		"before container": {oracle.Options{Version: "11.2.0.4.0"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := open(t, server(t, c.options), login)
			var got [3]string
			const query = "SELECT SYS_CONTEXT('USERENV', 'CON_NAME'), SYS_CONTEXT('USERENV', 'CON_ID'), " +
				"SYS_CONTEXT('USERENV', 'DB_NAME') FROM dual"
			err := db.QueryRowContext(t.Context(), query).Scan(&got[0], &got[1], &got[2])
			if c.want == nil && code(err) != 2003 || c.want != nil && !slices.Equal(got[:], c.want) {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
}

func TestServer_OlderVersions(t *testing.T) {
	t.Parallel()
	db := open(t, server(t, oracle.Options{Version: "11.2.0.4.0"}), login)
	for query, want := range map[string]int{
		"SELECT segment_created FROM dba_tables":        0,
		"SELECT external FROM dba_tables":               904,
		"SELECT oracle_maintained FROM dba_users":       904,
		"SELECT pdb_name FROM dba_pdbs":                 942,
		"SELECT version_full FROM v$instance":           904,
		"SELECT version FROM product_component_version": 0,
	} {
		if _, err := list(t.Context(), db, query); code(err) != want {
			t.Errorf("%s: %v, want ORA-%05d", query, err, want)
		}
	}
}

func TestExec_SessionSettings(t *testing.T) {
	t.Parallel()
	db := open(t, server(t, oracle.Options{}), login)
	db.SetMaxOpenConns(1)
	for statement, want := range map[string]int{
		"SET TRANSACTION READ ONLY":                        0,
		"ALTER SESSION SET NLS_DATE_FORMAT = 'YYYY-MM-DD'": 0,
		`ALTER SESSION SET CURRENT_SCHEMA = "app"`:         0,
		"DELETE FROM dba_tables":                           1031,
		"ALTER SESSION SET TIME_ZONE = 'UTC';":             911,
	} {
		if _, err := db.ExecContext(t.Context(), statement); code(err) != want || (err != nil) != (want != 0) {
			t.Errorf("%s: %v, want ORA-%05d", statement, err, want)
		}
	}
	if got := all(t, db, "SELECT SYS_CONTEXT('USERENV','CURRENT_SCHEMA') FROM dual"); !slices.Equal(got, []string{"app"}) {
		t.Errorf("%q", got)
	}
}

func TestBeginTx(t *testing.T) {
	t.Parallel()
	db := open(t, server(t, oracle.Options{}), login)
	_, err := db.BeginTx(t.Context(), &sql.TxOptions{ReadOnly: true})
	if err == nil || !strings.Contains(err.Error(), "readonly") {
		t.Errorf("read only: %v", err)
	}
	if _, err := db.BeginTx(t.Context(), &sql.TxOptions{Isolation: sql.LevelSerializable}); err == nil {
		t.Error("got no error for a serializable transaction")
	}
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.ExecContext(t.Context(), "SET TRANSACTION READ ONLY"); err != nil {
		t.Error(err)
	}
	statement, err := tx.PrepareContext(t.Context(), "SELECT default_tablespace FROM dba_users WHERE username = :1")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = statement.Close() }()
	var tablespace string
	if err := statement.QueryRowContext(t.Context(), "APP").Scan(&tablespace); err != nil || tablespace != "DATA" {
		t.Errorf("%q, %v", tablespace, err)
	}
	if err := tx.Commit(); err != nil {
		t.Error(err)
	}
}

func TestServer_Block(t *testing.T) {
	t.Parallel()
	o := server(t, oracle.Options{})
	db := open(t, o, login)
	if err := db.PingContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	release := o.Block(t)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		testenv.WaitAtMost(testenv.Patience, func() bool { return o.Waiting() > 0 })
		cancel()
	}()
	if _, err := list(ctx, db, "SELECT dummy FROM dual"); code(err) != 1013 {
		t.Errorf("got %v from a cancelled statement, want ORA-01013", err)
	}
	answered := make(chan error, 1)
	go func() { answered <- db.PingContext(t.Context()) }()
	testenv.WaitFor(t, "the ping to be blocked", func() bool { return o.Waiting() > 0 })
	release()
	if err := <-answered; err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff([]string{"SELECT dummy FROM dual"}, o.Queries()); diff != "" {
		t.Error(diff)
	}
}

func TestServer_Fail(t *testing.T) {
	t.Parallel()
	o := server(t, oracle.Options{})
	db := open(t, o, login)
	failure := error(&network.OracleError{ErrCode: 1555, ErrMsg: "ORA-01555: 快照过旧"})
	o.Fail(func(query string) error {
		if strings.Contains(query, "dba_segments") {
			return failure
		}
		return nil
	})
	if _, err := list(t.Context(), db, "SELECT bytes FROM dba_segments"); !errors.Is(err, failure) {
		t.Errorf("%v", err)
	}
	failure = &network.OracleError{ErrCode: 3113}
	if _, err := list(t.Context(), db, "SELECT bytes FROM dba_segments"); !errors.Is(err, driver.ErrBadConn) {
		t.Errorf("a lost connection: %v", err)
	}
	o.Fail(nil)
	if _, err := list(t.Context(), db, "SELECT bytes FROM dba_segments"); err != nil {
		t.Error(err)
	}
	o.FailLogin(func(oracle.Login) error { return &network.OracleError{ErrCode: 1034} })
	if err := open(t, o, login).PingContext(t.Context()); code(err) != 1034 {
		t.Errorf("%v", err)
	}
}

func TestServer_SetRows(t *testing.T) {
	t.Parallel()
	o := server(t, oracle.Options{})
	db := open(t, o, login)
	before := all(t, db, "SELECT segment_name FROM dba_segments")
	changed := maps.Clone(rows)
	changed["DBA_SEGMENTS"] = rows["DBA_SEGMENTS"][:1]
	o.SetRows(changed)
	if after := all(t, db, "SELECT segment_name FROM dba_segments"); len(before) != 2 || len(after) != 1 {
		t.Errorf("%q, then %q", before, after)
	}
}

func TestServer_RejectsUnknownRows(t *testing.T) {
	t.Parallel()
	for _, mistake := range []catalog.Rows{
		{"DBA_SEGMNTS": {{"OWNER": "APP"}}},
		{"DBA_SEGMENTS": {{"OWNR": "APP"}}},
		{"USERS": {{"OWNER": "APP"}}},
	} {
		db := open(t, server(t, oracle.Options{Rows: mistake}), login)
		if _, err := list(t.Context(), db, "SELECT dummy FROM dual"); err == nil || code(err) != 0 {
			t.Errorf("%v: %v", mistake, err)
		}
	}
}

func TestUserViews_OfTheCases(t *testing.T) {
	t.Parallel()
	for _, c := range catalog.Cases(t, "oracle") {
		if c.AsUser == "" {
			continue
		}
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			var want []string
			for _, row := range c.Rows["DBA_SEGMENTS"] {
				if row["OWNER"] == c.AsUser {
					want = append(want, row["SEGMENT_NAME"].(string))
				}
			}
			o := oracle.New(t, oracle.Options{Rows: c.Rows})
			o.AddUser(t, oracle.User{Name: c.AsUser, Password: "secret"})
			db := open(t, o, oracle.Login{Service: "orcl", Username: `"` + c.AsUser + `"`, Password: "secret"})
			if diff := cmp.Diff(want, all(t, db, "SELECT segment_name FROM user_segments")); diff != "" {
				t.Error(diff)
			}
			if _, err := list(t.Context(), db, "SELECT segment_name FROM dba_segments"); code(err) != 942 {
				t.Errorf("the segments of all: %v", err)
			}
		})
	}
}
