package postgresql

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"whalefall/collectors"
	"whalefall/collectors/collectortest"
	"whalefall/testenv"
)

// texts are odd values of variables that hold texts, as they stand in SET.
var texts = map[string][]string{
	"search_path":                {"public, pg_catalog", "''", "nowhere"},
	"datestyle":                  {"'German, DMY'", "'SQL, MDY'"},
	"timezone":                   {"'Asia/Shanghai'", "'<odd>+13:45'"},
	"client_encoding":            {"LATIN1", "SQL_ASCII", "GB18030", "SJIS"},
	"default_text_search_config": {"'pg_catalog.german'"},
	"lc_messages":                {"'C'", "''"},
	"lc_monetary":                {"'C'", "''"},
	"lc_numeric":                 {"'C'", "''"},
	"lc_time":                    {"'C'", "''"},
	"timezone_abbreviations":     {"'India'"},
}

// odd returns values of a variable other than its own, as they stand in SET.
func odd(name, kind, unit, now, least, most string, enum []string) (values []string) {
	switch kind {
	case "bool":
		return []string{map[bool]string{true: "off", false: "on"}[now == "on"]}
	case "enum":
		for _, value := range enum {
			if value != now {
				values = append(values, "'"+value+"'")
			}
		}
		return values
	case "integer", "real":
		few := "7"
		if unit == "ms" {
			few = "1000" // less would end a session, or a statement, of anybody on a busy machine
		}
		if limit, err := strconv.ParseFloat(most, 64); err == nil && limit < 7 {
			few = strconv.FormatFloat(limit/3, 'f', 1, 64)
		}
		return []string{least, few, most}
	}
	if known := texts[strings.ToLower(name)]; known != nil {
		return known
	}
	return []string{"''", "'odd'"}
}

// sessionVariables returns what ALTER ROLE and ALTER DATABASE can set.
func sessionVariables(t *testing.T, conn *pgx.Conn) (found []collectortest.Variable) {
	t.Helper()
	rows, err := conn.Query(t.Context(), `
		SELECT name, vartype, coalesce(unit, ''), setting, coalesce(min_val, ''), coalesce(max_val, ''), enumvals
		FROM pg_settings WHERE context IN ('user', 'superuser') AND name NOT LIKE 'transaction\_%' ORDER BY name`)
	collectortest.Must(t, err)
	var name, kind, unit, now, least, most string
	var enum []string
	_, err = pgx.ForEachRow(rows, []any{&name, &kind, &unit, &now, &least, &most, &enum}, func() error {
		values := odd(name, kind, unit, now, least, most, enum)
		found = append(found, collectortest.Variable{Name: name, Values: values})
		return nil
	})
	collectortest.Must(t, err)
	return found
}

func TestCollector_SessionVariables(t *testing.T) {
	t.Parallel()
	server := testenv.StartPostgreSQL(t)
	database := collectortest.DatabaseOf(t, server.NewDatabase(t))
	server.Exec(t, database, fixtureSQL(), `
		CREATE MATERIALIZED VIEW mat AS SELECT * FROM tree; CREATE SEQUENCE seq; CREATE UNLOGGED TABLE unlogged (id int);
		CREATE TABLE many (id int PRIMARY KEY, s text) PARTITION BY RANGE (id);
		DO $$ BEGIN FOR i IN 1..200 LOOP
			EXECUTE format('CREATE TABLE many_%1$s PARTITION OF many FOR VALUES FROM (%1$s) TO (%2$s)', i, i + 1);
		END LOOP; END $$;
		INSERT INTO many SELECT i, 'x' FROM generate_series(1, 200) i; ANALYZE; CHECKPOINT`)

	files := collectortest.PostgreSQLTarget(server, database)
	files.Username = "files"
	files.Password = "files"
	server.Exec(t, database, "CREATE ROLE files LOGIN PASSWORD 'files'", "GRANT pg_monitor TO files",
		"GRANT EXECUTE ON FUNCTION pg_ls_dir(text, boolean, boolean), pg_stat_file(text, boolean) TO files")
	plain := collectortest.PlainPostgreSQLTarget(t, server, database)
	admin := collectortest.ConnectPostgreSQL(t, server.URL("postgres"))
	run := func(ctx context.Context, statement string) error {
		for _, account := range []string{files.Username, plain.Username} {
			if _, err := admin.Exec(ctx, fmt.Sprintf(statement, account)); err != nil {
				return err
			}
		}
		return nil
	}
	collectortest.SessionVariables(t, collectortest.Sessions{
		Collector: New(), Targets: []collectors.Target{files, plain}, Database: database,
		Variables: sessionVariables(t, admin), Always: []string{
			"client_encoding", "default_transaction_deferrable", "default_transaction_isolation", "exit_on_error",
			"extra_float_digits", "idle_in_transaction_session_timeout", "idle_session_timeout", "search_path",
			"statement_timeout", "transaction_timeout",
		},
		Set: func(ctx context.Context, name, value string) error {
			return run(ctx, "ALTER ROLE %s SET "+name+" TO "+value)
		},
		Reset: func(ctx context.Context) error { return run(ctx, "ALTER ROLE %s RESET ALL") },
		Works: func(ctx context.Context, to collectors.Target) error {
			config, err := pgx.ParseConfig(server.URL(database))
			if err != nil {
				return err
			}
			config.User, config.Password = to.Username, to.Password
			conn, err := pgx.ConnectConfig(ctx, config)
			if err != nil {
				return err
			}
			defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
			_, err = conn.Exec(ctx, "SELECT 1", pgx.QueryExecModeSimpleProtocol)
			return err
		},
	})
}
