package oracle

import (
	"cmp"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sijms/go-ora/v2/network"

	"whalefall/collectors"
	"whalefall/collectors/collectortest"
	"whalefall/models"
	"whalefall/testenv/catalog"
	"whalefall/testenv/oracle"
)

// views lists the views that a collection of all schemas requires.
var views = []string{
	"DBA_SEGMENTS", "DBA_ALL_TABLES", "DBA_INDEXES", "DBA_LOBS", "DBA_NESTED_TABLES", "DBA_CLUSTERS",
	"DBA_SECONDARY_OBJECTS", "DBA_EXTERNAL_TABLES", "DBA_USERS",
}

// totals returns the names of the tables with their total bytes.
func totals(r models.TableResult) string {
	all := make([]string, len(r.Tables))
	for i, table := range r.Tables {
		all[i] = table.Schema + "." + table.Name + " " + collectortest.Text(table.Total)
	}
	return strings.Join(all, ", ")
}

func TestCollector_Tables_ReadsSegmentsOnce(t *testing.T) {
	server := oracle.New(t, oracle.Options{Rows: collectortest.OracleTwoSchemas()})
	target := collectortest.OracleTarget(t, server, "WHALEFALL", true)
	result, err := collectorFor(server).Tables(t.Context(), target, "USERS")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := totals(result), "APP.T 1000, OTHER.T 300"; got != want {
		t.Errorf("USERS: got %s, want %s", got, want)
	}
	if !result.Complete || result.Scope != "" || result.Grant != "" {
		t.Errorf("got %+v, want a complete result without scope or grant", result)
	}
	others := slices.Sorted(maps.Keys(result.Others))
	if want := []string{"DATA", "TEMP"}; !slices.Equal(others, want) {
		t.Errorf("got other tablespaces %v, want %v", others, want)
	}
	if totals(result.Others["DATA"]) != "OTHER.U 7" || !result.Others["TEMP"].Complete {
		t.Errorf("got others %+v, want OTHER.U 7 in DATA, complete TEMP", result.Others)
	}

	read := slices.DeleteFunc(server.Queries(), func(text string) bool { return text != statements["segments"] })
	if len(read) != 1 {
		t.Errorf("got %d lists of all segments, want 1", len(read))
	}
	if !slices.Contains(server.Queries(), "SET TRANSACTION READ ONLY") {
		t.Error("got no read-only transaction")
	}
}

func TestCollector_Tables_OwnSchemaIfDenied(t *testing.T) {
	for _, number := range []int{codeNoSuchView, codeNoPrivilege, codeNoPrivilege2} {
		t.Run(fmt.Sprint(number), func(t *testing.T) {
			server := oracle.New(t, oracle.Options{Rows: collectortest.OracleTwoSchemas(), CurrentSchema: "OTHER"})
			target := collectortest.OracleTarget(t, server, "APP", false)
			server.AddUser(t, oracle.User{
				Name: "APP", Password: target.Password, Catalog: true,
				Denied: map[string]int{"DBA_SEGMENTS": number, "DBA_ALL_TABLES": 4063},
			})
			result, err := collectorFor(server).Tables(t.Context(), target, "USERS")
			if err != nil {
				t.Fatal(err)
			}
			if got, want := totals(result), "APP.T 1000"; got != want {
				t.Errorf("got %s, want %s", got, want)
			}
			if !result.Complete || result.Scope != "APP" || len(result.Others) != 0 {
				t.Errorf("got %+v, want a complete result with scope APP and no others", result)
			}
			if want := `GRANT SELECT_CATALOG_ROLE TO "APP";`; result.Grant != want {
				t.Errorf("got grant %s, want %s", result.Grant, want)
			}
		})
	}
}

func TestCollector_Tables_FailsOnOtherErrors(t *testing.T) {
	server := oracle.New(t, oracle.Options{Rows: collectortest.OracleTwoSchemas()})
	target := collectortest.OracleTarget(t, server, "APP", true)
	for _, number := range []int{54, 604, 904, 1555, 4063, 10000942} {
		server.Fail(func(text string) error {
			if strings.Contains(text, "segments") {
				return &network.OracleError{ErrCode: number, ErrMsg: "ORA-00942: table or view does not exist"}
			}
			return nil
		})
		_, err := collectorFor(server).Tables(t.Context(), target, "USERS")
		known := models.AsError(err)
		if known.Code != models.CodeCollection || known.Key == keyDenied || known.Extra["error_number"] != number {
			t.Errorf("ORA-%05d: got %v, %v, want a collection error with the number", number, err, known.Extra)
		}
	}
	for _, text := range server.Queries() {
		if strings.Contains(text, "user_") {
			t.Errorf("got the statement %s, want only DBA_ views", text)
		}
	}
}

func TestCollector_Tables_NoSynonym(t *testing.T) {
	server := oracle.New(t, oracle.Options{Rows: collectortest.OracleTwoSchemas(), NoSynonym: []string{"DBA_SEGMENTS"}})
	target := collectortest.OracleTarget(t, server, "APP", false, append(views, "DBA_TABLESPACES")...)
	result, err := collectorFor(server).Tables(t.Context(), target, "DATA")
	if err != nil || totals(result) != "OTHER.U 7" || result.Scope != "" {
		t.Errorf("got %+v, %v, want OTHER.U 7 without a scope", result, err)
	}
}

func TestCollector_Tables_MissingGrants(t *testing.T) {
	server := oracle.New(t, oracle.Options{Rows: collectortest.OracleTwoSchemas()})
	for _, view := range views[1:] {
		others := slices.DeleteFunc(slices.Clone(views), func(other string) bool { return other == view })
		target := collectortest.OracleTarget(t, server, "APP", false, others...)
		_, err := collectorFor(server).Tables(t.Context(), target, "USERS")
		collectortest.WantError(t, err, models.CodeCollection, keyDenied)
		want := "GRANT READ ON sys." + strings.ToLower(view) + ` TO "APP";`
		if e := models.AsError(err); e.Grant != want || e.Extra["error_number"] != codeNoSuchView {
			t.Errorf("%s: got %v, want grant %s, error number %d", view, e.Members(), want, codeNoSuchView)
		}
	}

	server.Fail(func(text string) error {
		if strings.Contains(text, "_segments") {
			return network.NewOracleError(codeNoPrivilege)
		}
		return nil
	})
	_, err := collectorFor(server).Tables(t.Context(), collectortest.OracleTarget(t, server, "APP", false), "USERS")
	collectortest.WantError(t, err, models.CodeCollection, "collect.oracle.segments_denied")
	want := `GRANT SELECT_CATALOG_ROLE TO "APP";`
	if e := models.AsError(err); e.Grant != want {
		t.Errorf("got %v, want grant %s", e.Members(), want)
	}
}

func TestCollector_Tables_UnknownTablespaces(t *testing.T) {
	for _, c := range []struct {
		name, tablespace, key string
		views                 []string
		catalog               bool
	}{
		{"all schemas", "users", collectors.KeyTablespaceGone, nil, true},
		{"all schemas, not all tablespaces", "NONE", "collect.oracle.nothing_seen", views, false},
		{"own schema", "DATA", "collect.oracle.nothing_seen", nil, false},
		{"own schema, tablespace exists", "DATA", "collect.oracle.nothing_seen", []string{"DBA_TABLESPACES"}, false},
		{"own schema, tablespace missing", "NONE", collectors.KeyTablespaceGone, []string{"DBA_TABLESPACES"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			server := oracle.New(t, oracle.Options{Rows: collectortest.OracleTwoSchemas()})
			target := collectortest.OracleTarget(t, server, "APP", c.catalog, c.views...)
			_, err := collectorFor(server).Tables(t.Context(), target, c.tablespace)
			collectortest.WantError(t, err, models.CodeCollection, c.key)
		})
	}
}

func TestCollector_Databases(t *testing.T) {
	rows := catalog.Rows{
		"DBA_TABLESPACES": {
			collectortest.OracleTablespace("USERS", "PERMANENT"), collectortest.OracleTablespace("SYSTEM", "PERMANENT"),
			collectortest.OracleTablespace("UNDOTBS1", "UNDO"), collectortest.OracleTablespace("TEMP", "TEMPORARY"),
			collectortest.OracleTablespace("ARCHIVE", "PERMANENT"), collectortest.OracleTablespace("sysaux", "PERMANENT"),
		},
		"DBA_DATA_FILES": {
			collectortest.OracleFile("USERS", 1<<40), collectortest.OracleFile("USERS", 1<<20),
			collectortest.OracleFile("SYSTEM", 10), collectortest.OracleFile("UNDOTBS1", 20),
			collectortest.OracleFile("ARCHIVE", 30), collectortest.OracleFile("ARCHIVE", nil),
			collectortest.OracleFile("ARCHIVE", 40), collectortest.OracleFile("sysaux", 5),
		},
		"DBA_TEMP_FILES": {collectortest.OracleFile("TEMP", 50)},
	}
	server := oracle.New(t, oracle.Options{Rows: rows})
	files := []string{"DBA_DATA_FILES", "DBA_TEMP_FILES"}
	for _, c := range []struct {
		name     string
		views    []string
		complete bool
		grant    bool
		want     string
	}{
		{
			"everything visible", append(files, "DBA_TABLESPACES"), true, false,
			"ARCHIVE unknown collect.oracle.offline, SYSTEM 10 system, TEMP 50 system, UNDOTBS1 20 system, " +
				"USERS 1099512676352, sysaux 5",
		},
		{
			"no temporary files",
			[]string{"DBA_DATA_FILES", "DBA_TABLESPACES"},
			true, true,
			"ARCHIVE unknown collect.oracle.offline, SYSTEM 10 system, TEMP unknown collect.oracle.denied system, " +
				"UNDOTBS1 20 system, USERS 1099512676352, sysaux 5",
		},
		{
			"not all tablespaces", files, false, true,
			"ARCHIVE unknown collect.oracle.offline, SYSTEM 10 system, TEMP 50 system, UNDOTBS1 20 system, " +
				"USERS 1099512676352, sysaux 5",
		},
		{
			"no files", nil, false, true,
			"ARCHIVE unknown collect.oracle.denied, SYSTEM unknown collect.oracle.denied system, " +
				"TEMP unknown collect.oracle.denied system, UNDOTBS1 unknown collect.oracle.denied system, " +
				"USERS unknown collect.oracle.denied, sysaux unknown collect.oracle.denied",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			target := collectortest.OracleTarget(t, server, "APP", false, c.views...)
			result, err := collectorFor(server).Databases(t.Context(), target)
			if err != nil {
				t.Fatal(err)
			}
			var found []string
			for _, d := range result.Databases {
				line := d.Name + " " + collectortest.Text(d.Total)
				if d.Err != nil {
					line += " " + d.Err.Key
				}
				if d.IsSystem {
					line += " system"
				}
				found = append(found, line)
				if d.Log != nil || collectortest.Text(d.Data) != collectortest.Text(d.Total) {
					t.Errorf("%s: got %+v, want data equal to total and no log", d.Name, d)
				}
			}
			if got := strings.Join(found, ", "); got != c.want || result.Complete != c.complete {
				t.Errorf("got %s, complete %v\nwant %s, %v", got, result.Complete, c.want, c.complete)
			}
			if want := `GRANT SELECT_CATALOG_ROLE TO "APP";`; (result.Grant == want) != c.grant {
				t.Errorf("got grant %q, want one: %v", result.Grant, c.grant)
			}
		})
	}
}

func TestCollector_Releases(t *testing.T) {
	for _, c := range []struct {
		version, full, container string
		main, detailed, key      string
	}{
		{"11.1.0.7.0", "", "", "", "", "collect.oracle.too_old"},
		{"10.2.0.5.0", "", "", "", "", "collect.oracle.too_old"},
		{"11.2.0.4.0", "", "", "11.2", "11.2.0.4.0", ""},
		{"12.1.0.2.0", "", "", "12.1", "12.1.0.2.0", ""},
		{"12.2.0.1.0", "", "PDB1", "12.2", "12.2.0.1.0", ""},
		{"19.0.0.0.0", "19.21.0.0.0", "PDB1", "19", "19.21.0.0.0", ""},
		{"23.0.0.0.0", "23.4.0.24.05", "FREEPDB1", "23", "23.4.0.24.05", ""},
		{"19.0.0.0.0", "19.21.0.0.0", "CDB$ROOT", "", "", "collect.oracle.cdb_root"},
	} {
		t.Run(c.version+c.container, func(t *testing.T) {
			server := oracle.New(t, oracle.Options{
				Version: c.version, FullVersion: c.full, Container: c.container, Rows: collectortest.OracleTwoSchemas(),
			})
			target := collectortest.OracleTarget(t, server, "WHALEFALL", true)
			v, err := collectorFor(server).Version(t.Context(), target)
			if c.key != "" {
				collectortest.WantError(t, err, models.CodeCollection, c.key)
				return
			}
			if err != nil || v.Main != c.main || v.Detailed != c.detailed || !strings.Contains(v.Full, c.detailed) {
				t.Errorf("got %+v, %v, want %s, %s", v, err, c.main, c.detailed)
			}
			if _, err := collectorFor(server).Tables(t.Context(), target, "USERS"); err != nil {
				t.Errorf("tables: %v", err)
			}
			if _, err := collectorFor(server).Databases(t.Context(), target); err != nil {
				t.Errorf("databases: %v", err)
			}
		})
	}
}

// The server sends each known error number at login and in answer to a statement.
func TestCollector_ErrorNumbers(t *testing.T) {
	for number, meaning := range meanings {
		want := cmp.Or(meaning.reason, meaning.key)
		atLogin := want
		if slices.Contains([]int{codeNoSuchView, codeNoPrivilege, codeNoPrivilege2}, number) {
			atLogin = collectors.ReasonLogin
		}
		t.Run(fmt.Sprint(number), func(t *testing.T) {
			server := oracle.New(t, oracle.Options{Rows: collectortest.OracleTwoSchemas()})
			target := collectortest.OracleTarget(t, server, "APP", true)
			refusal := &network.OracleError{ErrCode: number, ErrMsg: "no explanation"}
			server.FailLogin(func(oracle.Login) error { return refusal })
			_, err := collectorFor(server).Version(t.Context(), target)
			wantMeaning(t, err, number, atLogin)

			server.FailLogin(nil)
			server.Fail(func(text string) error {
				if strings.HasPrefix(text, "SELECT tablespace_name") {
					return refusal
				}
				return nil
			})
			_, err = collectorFor(server).Databases(t.Context(), target)
			switch {
			case isDenied(refusal): // the result is incomplete, not an error
			case refusal.Bad():
				wantMeaning(t, err, 0, collectors.ReasonLost) // the driver does not return the number
			default:
				wantMeaning(t, err, number, want)
			}
		})
	}
}

// wantMeaning fails unless the error has the reason, if the connection failed or was lost, or else the key, and unless
// it has the number, if that is not 0.
func wantMeaning(t *testing.T, err error, number int, want string) {
	t.Helper()
	known := models.AsError(err)
	got := known.Key
	if known.Code == models.CodeUnreachable {
		got = known.Reason
	}
	if got != want || number != 0 && known.Extra["error_number"] != number {
		t.Errorf("got %s, %v: %v, want %s, number %d", got, known.Extra, err, want, number)
	}
}

func TestCollector_UnknownErrors(t *testing.T) {
	server := oracle.New(t, oracle.Options{Rows: collectortest.OracleTwoSchemas()})
	target := collectortest.OracleTarget(t, server, "APP", true)
	server.FailLogin(func(oracle.Login) error { return network.NewOracleError(12345) })
	_, err := collectorFor(server).Version(t.Context(), target)
	wantMeaning(t, err, 12345, collectors.ReasonAnswered)

	server.FailLogin(nil)
	server.Fail(func(string) error { return network.NewOracleError(600) })
	_, err = collectorFor(server).Version(t.Context(), target)
	wantMeaning(t, err, 600, "collect.oracle.failed")
	if number := models.AsError(err).Args["Number"]; number != "00600" {
		t.Errorf("got number %v, want 00600", number)
	}

	server.Fail(func(string) error { return errors.New("TTC error: received code 0 during response reading") })
	_, err = collectorFor(server).Version(t.Context(), target)
	collectortest.WantError(t, err, models.CodeCollection, "")
}

// A failed trigger means a refused login before there is a session, and only a failed statement in one.
func TestCollector_Version_LogonTriggers(t *testing.T) {
	server := oracle.New(t, oracle.Options{Rows: collectortest.OracleTwoSchemas()})
	target := collectortest.OracleTarget(t, server, "APP", true)
	for _, number := range []int{604, 4088} {
		server.Fail(nil)
		server.FailLogin(func(oracle.Login) error { return network.NewOracleError(number) })
		_, err := collectorFor(server).Version(t.Context(), target)
		wantMeaning(t, err, number, collectors.ReasonLogin)

		server.FailLogin(nil)
		server.Fail(func(string) error { return network.NewOracleError(number) })
		_, err = collectorFor(server).Version(t.Context(), target)
		wantMeaning(t, err, number, "collect.oracle.failed")
	}
}

func TestCollector_Version_NoCreateSession(t *testing.T) {
	server := oracle.New(t, oracle.Options{})
	target := collectortest.OracleTarget(t, server, "APP", true)
	target.Username = "app"
	server.FailLogin(func(oracle.Login) error { return network.NewOracleError(codeNoSession) })
	_, err := collectorFor(server).Version(t.Context(), target)
	collectortest.WantUnreachable(t, err, collectors.ReasonLogin)
	want := `GRANT CREATE SESSION TO "APP";`
	if grant := models.AsError(err).Grant; grant != want {
		t.Errorf("got grant %v, want %s", grant, want)
	}
}

func TestCollector_Tables_StatementTimeout(t *testing.T) {
	server := oracle.New(t, oracle.Options{Rows: collectortest.OracleTwoSchemas()})
	target := collectortest.OracleTarget(t, server, "APP", true)
	c := collectorFor(server)
	if _, err := c.Tables(t.Context(), target, "USERS"); err != nil {
		t.Fatal(err)
	}

	c.statementTimeout = 200 * time.Millisecond
	server.Fail(func(text string) error {
		if text == statements["indexes"] {
			server.Block(t) // the next statement gets no answer until its context ends
		}
		return nil
	})
	_, err := c.Tables(t.Context(), target, "USERS")
	collectortest.WantError(t, err, models.CodeTimeout, "")
	queries := server.Queries()
	if last := queries[len(queries)-1]; !strings.Contains(last, "dba_lobs") {
		t.Errorf("got last statement %s, want the one over dba_lobs", last)
	}
}

// Statements over all segments may take longer than the statement timeout to answer, as they do on a server with a
// large dictionary before the first row and for a sum. The time is that of a synctest bubble.
func TestCollector_StatementTimeout_Segments(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := oracle.New(t, oracle.Options{Rows: collectortest.OracleTwoSchemas()})
		target := collectortest.OracleTarget(t, server, "APP", true)
		c := collectorFor(server)
		slow := 0
		server.Fail(func(text string) error {
			if strings.Contains(text, "dba_segments") {
				slow++
				time.Sleep(c.statementTimeout * 6 / 5)
			}
			return nil
		})
		if _, err := c.Tables(t.Context(), target, "USERS"); err != nil {
			t.Errorf("tables: got %v, want no error", err)
		}
		if _, err := c.Yardstick(t.Context(), target, "USERS"); err != nil {
			t.Errorf("yardstick: got %v, want no error", err)
		}
		if slow != 3 {
			t.Errorf("got %d slow statements, want a count, a list and a yardstick", slow)
		}
	})
}

// The timeout begins anew with each row: all rows together may take longer. The time is that of a synctest bubble.
func TestSession_Each_TimeoutPerRow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := oracle.New(t, oracle.Options{Rows: collectortest.OracleTwoSchemas()})
		c := collectorFor(server)
		s, err := c.open(t.Context(), collectortest.OracleTarget(t, server, "APP", true))
		if err != nil {
			t.Fatal(err)
		}
		defer s.close()

		rows := 0
		err = s.each(t.Context(), "tablespaces", func(*sql.Rows) error {
			rows++
			time.Sleep(c.statementTimeout / 2)
			return nil
		})
		if err != nil || rows != 3 {
			t.Errorf("got %d rows, %v, want 3 rows", rows, err)
		}
	})
}

func TestInUTC(t *testing.T) {
	t.Parallel()

	shanghai := time.FixedZone("+08:00", 8*60*60)
	at := inUTC(sql.NullTime{Valid: true, Time: time.Date(2026, 1, 2, 3, 0, 0, 0, shanghai)})
	if at == nil || at.Location() != time.UTC || at.Hour() != 19 {
		t.Errorf("got %v, want 19:00 UTC", at)
	}
	if at := inUTC(sql.NullTime{}); at != nil {
		t.Errorf("NULL: got %v, want nil", at)
	}
}

// deafConn answers no query until HangUp, ignoring the query's context.
type deafConn struct {
	driver.Conn
	end chan struct{}
}

func (c *deafConn) HangUp() { close(c.end) }

func (c *deafConn) QueryContext(context.Context, string, []driver.NamedValue) (driver.Rows, error) {
	<-c.end
	return nil, driver.ErrBadConn
}

func (c *deafConn) ExecContext(context.Context, string, []driver.NamedValue) (driver.Result, error) {
	return driver.RowsAffected(0), nil
}

func (c *deafConn) BeginTx(ctx context.Context, options driver.TxOptions) (driver.Tx, error) {
	return c.Conn.(driver.ConnBeginTx).BeginTx(ctx, options)
}

type deafConnector struct{ driver.Connector }

func (c deafConnector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	return &deafConn{conn, make(chan struct{})}, err
}

func TestCollector_Version_DeafServer(t *testing.T) {
	server := oracle.New(t, oracle.Options{})
	target := collectortest.OracleTarget(t, server, "APP", true)
	c := collectorFor(server)
	connector := c.Connector
	c.Connector = func(t collectors.Target) (driver.Connector, error) {
		inner, err := connector(t)
		return deafConnector{inner}, err
	}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, cancel)
	start := time.Now()
	_, err := c.Version(ctx, target)
	collectortest.WantError(t, err, models.CodeCollection, "collect.cancelled")
	if elapsed := time.Since(start); elapsed > 2*collectors.HangUpGrace {
		t.Errorf("took %v, want at most %v", elapsed, 2*collectors.HangUpGrace)
	}

	c.statementTimeout = 20 * time.Millisecond
	_, err = c.Version(t.Context(), target)
	collectortest.WantError(t, err, models.CodeTimeout, "")
}

// Two containers of a server have tablespaces of the same names.
func TestCollector_Tables_Containers(t *testing.T) {
	one := oracle.New(t, oracle.Options{Container: "ONE", Rows: collectortest.OracleTwoSchemas()})
	rows := collectortest.OracleTwoSchemas()
	rows["DBA_SEGMENTS"] = rows["DBA_SEGMENTS"][:1]
	other := oracle.New(t, oracle.Options{Container: "OTHER", Rows: rows})
	for server, want := range map[*oracle.Server]string{
		one: "APP.T 1000, OTHER.T 300", other: "APP.T 1000, OTHER.T unknown",
	} {
		result, err := collectorFor(server).Tables(t.Context(), collectortest.OracleTarget(t, server, "W", true), "USERS")
		if err != nil || totals(result) != want {
			t.Errorf("got %s, %v, want %s", totals(result), err, want)
		}
	}
}

func TestCollector_Version_SilentAfterLogin(t *testing.T) {
	server := oracle.New(t, oracle.Options{Rows: collectortest.OracleTwoSchemas()})
	target := collectortest.OracleTarget(t, server, "APP", true)
	c := collectorFor(server)
	c.connectTimeout = collectortest.Impatience
	defer server.Block(t)()
	_, err := c.Version(t.Context(), target)
	collectortest.WantUnreachable(t, err, collectors.ReasonTimeout)
}
