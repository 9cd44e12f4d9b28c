package postgresql

import (
	"database/sql"
	"net"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgproto3"

	"whalefall/collectors"
	"whalefall/collectors/collectortest"
	"whalefall/models"
	"whalefall/testenv"
)

// asRole returns a target of a role of its own with the settings, given as in ALTER ROLE.
func asRole(t *testing.T, server *testenv.PostgreSQLServer, database string, settings ...string) collectors.Target {
	t.Helper()
	target := collectortest.PostgreSQLTarget(server, database)
	target.Username = collectortest.PostgreSQLRole(t, server)
	target.Password = target.Username
	for _, setting := range settings {
		server.Exec(t, "postgres", "ALTER ROLE "+target.Username+" SET "+setting)
	}
	return target
}

// A login carries nothing that psql's does not carry: limits of ours would fail a trigger on logins that writes or that
// looks up its table.
func TestCollector_Open_LoginParameters(t *testing.T) {
	t.Parallel()
	sent := make(chan map[string]string, 1)
	port := testenv.Listen(t, func(conn net.Conn) {
		server := pgproto3.NewBackend(conn, conn)
		message, err := server.ReceiveStartupMessage()
		if startup, ok := message.(*pgproto3.StartupMessage); ok && err == nil {
			sent <- startup.Parameters
		}
	})
	_, err := New().Version(t.Context(), collectors.Target{
		Host: "127.0.0.1", Port: port, Database: "app", Username: "u", Password: "p", TLSMode: models.TLSDisable,
	})
	collectortest.WantUnreachable(t, err, collectors.ReasonLost)
	want := map[string]string{
		"user": "u", "database": "app", "application_name": "whalefall", "client_encoding": "UTF8",
	}
	if diff := cmp.Diff(want, testenv.WaitForSignal(t, "a login", sent)); diff != "" {
		t.Error(diff)
	}
}

func TestCollector_Open_LoginTrigger(t *testing.T) {
	t.Parallel()
	setup := []string{"CREATE TABLE logins (who text)", "GRANT INSERT ON logins TO PUBLIC"}
	if testenv.PostgreSQL(t).Version >= 170000 { // the first with such triggers
		setup = append(setup, `CREATE FUNCTION note() RETURNS event_trigger LANGUAGE plpgsql AS $$
			BEGIN INSERT INTO logins VALUES (session_user); END $$;
			CREATE EVENT TRIGGER note ON login EXECUTE FUNCTION note();
			ALTER EVENT TRIGGER note ENABLE ALWAYS`)
	}
	target, database, _ := newDatabase(t, setup...)
	if found := collectortest.Tables(t, New(), target, database); len(found) != 1 {
		t.Errorf("got %v", found)
	}
}

// settingsOf returns what the statements of a collection's session find set: whatever a session can set.
func settingsOf(t *testing.T, target collectors.Target) map[string]string {
	t.Helper()
	s, err := New().open(t.Context(), target, "postgres")
	collectortest.Must(t, err)
	defer s.close()
	found := map[string]string{}
	collectortest.Must(t, s.each(t.Context(), `
		SELECT name, setting FROM pg_settings
		WHERE context = 'user' AND boot_val IS NOT NULL AND name NOT LIKE '%.%'`, func(rows *sql.Rows) error {
		var name, value string
		err := rows.Scan(&name, &value)
		found[name] = strings.ReplaceAll(value, `"`, "") // the server quotes the name of a text search configuration
		return err
	}))
	delete(found, "transaction_read_only") // a session that is not pooled needs no transaction
	return found
}

// Whatever is set for a role or a database, a session is the same.
func TestSession_TakeOver(t *testing.T) {
	t.Parallel()
	server := testenv.PostgreSQL(t)
	untouched, set := asRole(t, server, "postgres"), asRole(t, server, "postgres")
	admin := collectortest.ConnectPostgreSQL(t, server.URL("postgres"))
	for _, v := range sessionVariables(t, admin) {
		if strings.HasSuffix(v.Name, "_preload_libraries") { // nobody could log in
			continue
		}
		for _, value := range v.Values { // the last one that is not refused
			_, _ = admin.Exec(t.Context(), "ALTER ROLE "+set.Username+" SET "+v.Name+" TO "+value)
		}
	}
	var odd int
	collectortest.Must(t, admin.QueryRow(t.Context(),
		"SELECT cardinality(setconfig) FROM pg_db_role_setting WHERE setrole = $1::regrole", pgx.QueryExecModeExec,
		set.Username).Scan(&odd))
	byPooler := set
	collectortest.NewPooler(t, server, &byPooler)

	want := settingsOf(t, untouched)
	if len(want) < 100 || odd < len(want) {
		t.Errorf("%d variables were set, and %d looked at", odd, len(want))
	}
	for name, target := range map[string]collectors.Target{"direct": set, "by a pooler": byPooler} {
		if diff := cmp.Diff(want, settingsOf(t, target)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// The statement that takes the session over is not subject to what was set before.
func TestSession_TakeOver_EarlySettings(t *testing.T) {
	server := testenv.PostgreSQL(t)
	target := asRole(t, server, "postgres", "statement_timeout = '100ms'", "temp_file_limit = 0", "work_mem = '64kB'")
	statement := statements["take_over"]
	t.Cleanup(func() { statements["take_over"] = statement })
	statements["take_over"] = strings.Replace(statement, "FROM (SELECT pg_catalog.pg_backend_pid()",
		"FROM pg_catalog.pg_sleep(0.2), (SELECT pg_catalog.pg_backend_pid()", 1)
	_, err := New().Version(t.Context(), target)
	collectortest.Must(t, err)
}

func TestSession_Start_Pause(t *testing.T) {
	t.Parallel()
	server := testenv.PostgreSQL(t)
	target := asRole(t, server, "postgres", "idle_in_transaction_session_timeout = '100ms'")
	config, err := New().config(target, "postgres")
	collectortest.Must(t, err)
	s, err := New().connect(t.Context(), config)
	collectortest.Must(t, err)
	defer s.close()
	s.settings = New().Settings
	collectortest.Must(t, s.start(t.Context(), readCommitted))
	waitFor(t, server.URL("postgres"), `SELECT NOT EXISTS (SELECT FROM pg_stat_activity
		WHERE pid = $1 AND state_change > clock_timestamp() - interval '300 ms')`, strconv.FormatInt(s.process, 10))
	collectortest.Must(t, s.run(t.Context(), "COMMIT"))
}

// A deferrable serializable transaction would wait until all others end.
func TestCollector_Tables_OpenWriter(t *testing.T) {
	t.Parallel()
	server := testenv.PostgreSQL(t)
	_, database, address := newDatabase(t, "CREATE TABLE a (id int)")
	target := asRole(t, server, database, "default_transaction_isolation = serializable",
		"default_transaction_deferrable = on", "default_transaction_read_only = on")
	defer collectortest.HoldPostgreSQL(t, address,
		"SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", "INSERT INTO a VALUES (1)")()
	byPooler, _ := pooled(t, target)
	for _, target := range []collectors.Target{target, byPooler} {
		c := New()
		c.Settings["statement_timeout"] = "5000"
		if found := collectortest.Tables(t, c, target, database); len(found) != 1 {
			t.Errorf("got %v", found)
		}
		_, err := c.Databases(t.Context(), target)
		collectortest.Must(t, err)
	}
}

// A standby refuses serializable transactions.
func TestCollector_Tables_Standby(t *testing.T) {
	t.Parallel()
	server := testenv.StartPostgreSQL(t)
	server.Exec(t, "postgres", "CREATE TABLE a AS SELECT 1 AS id", "CREATE ROLE r LOGIN PASSWORD 'r'",
		"ALTER ROLE r SET default_transaction_isolation = serializable")
	target := collectortest.PostgreSQLTarget(server, "postgres")
	want := collectortest.Tables(t, New(), target, "postgres")
	server.StandBy(t)
	target.Username, target.Password = "r", "r"
	if diff := cmp.Diff(want, collectortest.Tables(t, New(), target, "postgres")); diff != "" {
		t.Error(diff)
	}
	_, err := New().Databases(t.Context(), target)
	collectortest.Must(t, err)
}
