package mysql

import (
	"database/sql"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"whalefall/collectors"
	"whalefall/collectors/collectortest"
	"whalefall/models"
	"whalefall/testenv"
)

// globals sets variables of a private server for the sessions to come, and takes that back.
func globals(t *testing.T, server *testenv.MySQLServer, assignments ...string) (restore func()) {
	t.Helper()
	admin := collectortest.ConnectMySQL(t, server) // keeps what the server started with
	run := func(text string) {
		_, err := admin.ExecContext(t.Context(), text)
		collectortest.Must(t, err)
	}
	var back []string
	for _, assignment := range assignments {
		name, _, _ := strings.Cut(assignment, " ")
		run("SET @" + name + " = @@GLOBAL." + name)
		run("SET GLOBAL " + assignment)
		back = append(back, "SET GLOBAL "+name+" = @"+name)
	}
	return func() {
		for _, text := range back {
			run(text)
		}
	}
}

// sessionOf returns the variables of a session that it sets itself.
func sessionOf(t *testing.T, target collectors.Target) map[string]string {
	t.Helper()
	s, err := New().open(t.Context(), target)
	collectortest.Must(t, err)
	defer s.close()
	found := map[string]string{}
	collectortest.Must(t, s.each(t.Context(), `SHOW VARIABLES WHERE variable_name IN ('sql_select_limit', 'max_join_size',
		'sql_big_selects', 'sql_mode', 'sql_quote_show_create', 'max_error_count', 'autocommit', 'lock_wait_timeout',
		'wait_timeout', 'net_read_timeout', 'net_write_timeout', 'max_statement_time', 'max_execution_time',
		'tmp_disk_table_size', 'max_session_mem_used', 'tx_isolation', 'transaction_isolation', 'tx_read_only')`,
		func(rows *sql.Rows) error {
			var name, value string
			err := rows.Scan(&name, &value)
			found[name] = value
			return err
		}))
	return found
}

// Whatever sessions start with, ours is the same.
func TestSession_Identify_Settings(t *testing.T) {
	t.Parallel()
	onMariaDB(t)
	server := testenv.StartMySQL(t)
	target := collectortest.MySQLAccount(t, server, "PROCESS, REFERENCES ON *.*")
	want := sessionOf(t, target)
	restore := globals(t, server, "sql_select_limit = 0", "max_join_size = 3", "sql_mode = 'ANSI_QUOTES'",
		"sql_quote_show_create = 0", "max_error_count = 0", "autocommit = 0", "lock_wait_timeout = 7", "wait_timeout = 7",
		"net_read_timeout = 1", "net_write_timeout = 1", "max_statement_time = 7", "tmp_disk_table_size = 1024",
		"max_session_mem_used = 1000000", "tx_isolation = 'SERIALIZABLE'", "completion_type = 2")
	defer restore()
	if diff := cmp.Diff(want, sessionOf(t, target)); diff != "" || len(want) < 15 {
		t.Errorf("%d variables: %s", len(want), diff)
	}
}

// The reason why a table is unread is a warning, of which a server may keep none.
func TestCollector_Tables_LockedWithoutWarnings(t *testing.T) {
	t.Parallel()
	onMariaDB(t)
	server := testenv.StartMySQL(t)
	defer globals(t, server, "max_error_count = 0")()
	database := server.NewDatabase(t)
	server.Exec(t, database, "CREATE TABLE locked (a INT) ENGINE=Aria",
		"INSERT INTO locked SELECT seq FROM seq_1_to_20000")
	defer lockTable(t, server, database, "locked")()
	_, found := tablesByName(t, root(server), database)
	if got := found["locked"].Unread; got != models.UnreadLocked {
		t.Errorf("got %q, want %q", got, models.UnreadLocked)
	}
}

// A variable that no session can change is named.
func TestCollector_TooSmallSettings(t *testing.T) {
	t.Parallel()
	onMariaDB(t)
	server := testenv.StartMySQL(t)
	database := server.NewDatabase(t)
	target := collectortest.MySQLAccount(t, server, "PROCESS, REFERENCES ON *.*")
	for _, c := range []struct {
		variable    string
		assignments []string
	}{
		{"max_allowed_packet", []string{"max_allowed_packet = 1024", "net_buffer_length = 1024"}},
		{"max_prepared_stmt_count", []string{"max_prepared_stmt_count = 0"}},
	} {
		restore := globals(t, server, c.assignments...)
		_, err := New().Tables(t.Context(), target, database)
		restore()
		collectortest.WantError(t, err, models.CodeCollection, "collect.mysql.setting")
		if args := models.AsError(err).Args; !slices.Contains(slices.Collect(maps.Values(args)), any(c.variable)) {
			t.Errorf("got %v, want %s", args, c.variable)
		}
	}
}
