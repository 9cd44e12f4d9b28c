package mysql

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"strings"
	"testing"

	"whalefall/collectors"
	"whalefall/collectors/collectortest"
	"whalefall/testenv"
)

// texts are odd values of variables that hold texts. Others get an empty text.
var texts = map[string][]string{
	"character_set_client":     {"latin1", "gbk"},
	"character_set_connection": {"latin1", "utf16"},
	"character_set_database":   {"latin1"},
	"character_set_filesystem": {"latin1", "utf8mb4"},
	"character_set_results":    {"latin1", "utf16", ""},
	"character_set_server":     {"latin1", "utf16"},
	"collation_connection":     {"utf8mb4_nopad_bin", "latin1_german2_ci"},
	"collation_database":       {"latin1_bin"},
	"collation_server":         {"utf8mb4_bin"},
	"init_connect":             {"SET sql_select_limit = 7", "SET sql_mode = 'ANSI_QUOTES', sql_quote_show_create = 0"},
	"lc_messages":              {"de_DE"},
	"lc_time_names":            {"zh_CN"},
	"time_zone":                {"+12:45"},
}

// odd returns values of a variable other than its own. Of a set of flags it returns every flag alone.
func odd(name, kind, now, least, most, members string) (values []string) {
	if known := texts[name]; known != nil {
		return known
	}
	switch {
	case kind == "BOOLEAN":
		return []string{map[bool]string{true: "0", false: "1"}[now == "ON"]}
	case strings.HasPrefix(kind, "INT"), strings.HasPrefix(kind, "BIGINT"), kind == "DOUBLE":
		return []string{least, "7", most}
	case kind == "FLAGSET":
		for flag := range strings.SplitSeq(now, ",") {
			name, state, _ := strings.Cut(flag, "=")
			values = append(values, name+"="+map[bool]string{true: "off", false: "on"}[state == "on"])
		}
		return values
	case kind == "ENUM", kind == "SET":
		for member := range strings.SplitSeq(members, ",") {
			if member != now {
				values = append(values, member)
			}
		}
		return values
	}
	return []string{""}
}

// sessionVariables returns what SET GLOBAL can set for the sessions to come, and init_connect, which can set anything.
func sessionVariables(t *testing.T, db *sql.DB) (found []collectortest.Variable) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), `
		SELECT LOWER(variable_name), variable_type, COALESCE(global_value, ''), COALESCE(numeric_min_value, ''),
			COALESCE(numeric_max_value, ''), COALESCE(enum_value_list, '')
		FROM information_schema.system_variables
		WHERE read_only = 'NO' AND (variable_scope = 'SESSION' OR variable_name = 'init_connect')
		ORDER BY variable_name`)
	collectortest.Must(t, err)
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var name, kind, now, least, most, members string
		collectortest.Must(t, rows.Scan(&name, &kind, &now, &least, &most, &members))
		found = append(found, collectortest.Variable{Name: name, Values: odd(name, kind, now, least, most, members)})
	}
	collectortest.Must(t, rows.Err())
	return found
}

// variablesFixture creates tables of every kind, of which nothing changes any more.
const variablesFixture = `
	CREATE TABLE plain (id INT PRIMARY KEY, v TEXT, KEY (v(10))) ENGINE=InnoDB STATS_AUTO_RECALC=0;
	INSERT INTO plain SELECT seq, REPEAT('x', 400) FROM seq_1_to_2000; ANALYZE TABLE plain;
	CREATE TABLE ` + "`表/1`" + ` (id INT PRIMARY KEY) ENGINE=InnoDB STATS_AUTO_RECALC=0; ANALYZE TABLE ` + "`表/1`" + `;
	CREATE TABLE never_analysed (id INT PRIMARY KEY) ENGINE=InnoDB STATS_PERSISTENT=0;
	CREATE TABLE compressed (id INT PRIMARY KEY, v TEXT) ENGINE=InnoDB ROW_FORMAT=COMPRESSED KEY_BLOCK_SIZE=4
		STATS_AUTO_RECALC=0;
	INSERT INTO compressed SELECT * FROM plain; ANALYZE TABLE compressed;
	CREATE TABLE words (id INT AUTO_INCREMENT PRIMARY KEY, v TEXT, FULLTEXT (v)) ENGINE=InnoDB STATS_AUTO_RECALC=0;
	INSERT INTO words (v) SELECT CONCAT('word', seq) FROM seq_1_to_500; ANALYZE TABLE words;
	CREATE TABLE parts (id INT PRIMARY KEY, v TEXT) ENGINE=InnoDB STATS_AUTO_RECALC=0 PARTITION BY HASH (id) PARTITIONS 5;
	INSERT INTO parts SELECT * FROM plain; ANALYZE TABLE parts;
	CREATE TABLE my (id INT PRIMARY KEY, v TEXT) ENGINE=MyISAM; INSERT INTO my SELECT * FROM plain;
	CREATE TABLE my_parts (id INT PRIMARY KEY, v TEXT) ENGINE=MyISAM PARTITION BY HASH (id) PARTITIONS 3;
	INSERT INTO my_parts SELECT * FROM plain;
	CREATE TABLE aria (id INT PRIMARY KEY, v TEXT) ENGINE=Aria; INSERT INTO aria SELECT * FROM plain;
	CREATE TABLE memory (id INT PRIMARY KEY) ENGINE=MEMORY; INSERT INTO memory SELECT id FROM plain;
	CREATE TABLE one (id INT) ENGINE=MyISAM; CREATE TABLE two (id INT) ENGINE=MyISAM;
	CREATE TABLE merged (id INT) ENGINE=MERGE UNION=(one, two);
	CREATE TABLE csv (id INT NOT NULL) ENGINE=CSV; CREATE SEQUENCE seq; CREATE VIEW looks AS SELECT * FROM plain;`

func TestCollector_SessionVariables(t *testing.T) {
	t.Parallel()
	onMariaDB(t)
	server := testenv.StartMySQL(t)
	database := server.NewDatabase(t)
	server.Exec(t, database, variablesFixture)
	targets := []collectors.Target{
		collectortest.MySQLAccount(t, server, "PROCESS, REFERENCES ON *.*", "SELECT ON mysql.innodb_table_stats"),
		collectortest.MySQLAccount(t, server, "SELECT ON *.*"),
		collectortest.MySQLAccount(t, server, "PROCESS ON *.*", "SELECT ON `"+database+"`.*"),
	}

	var made []string
	admin := collectortest.ConnectMySQL(t, server) // its own session keeps what the server started with
	run := func(ctx context.Context, text string) error {
		_, err := admin.ExecContext(ctx, text)
		return err
	}
	collectortest.SessionVariables(t, collectortest.Sessions{
		Collector: New(), Targets: targets, Database: database,
		Variables: sessionVariables(t, server.DB(t)),
		Always: []string{
			"sql_select_limit", "max_join_size", "sql_quote_show_create", "max_error_count", "autocommit", "sql_mode",
			"init_connect", "old_mode", "max_session_mem_used", "tmp_disk_table_size", "tmp_memory_table_size",
		},
		Set: func(ctx context.Context, name, value string) error {
			err := run(ctx, fmt.Sprintf("SET @%s = @@GLOBAL.%[1]s", name))
			if err == nil {
				err = run(ctx, fmt.Sprintf("SET GLOBAL %s = %s", name, literal(value)))
			}
			if err == nil {
				made = append(made, name)
			}
			return err
		},
		Reset: func(ctx context.Context) (err error) {
			for _, name := range made {
				err = cmp.Or(err, run(ctx, fmt.Sprintf("SET GLOBAL %s = @%[1]s", name)))
			}
			made = nil
			return err
		},
		Works: works,
	})
}

// literal returns a value as it stands in SET: a number bare, a text quoted.
func literal(value string) string {
	if strings.Trim(value, "-.0123456789") == "" && value != "" {
		return value
	}
	return testenv.QuoteMySQL(value)
}

// works runs statements as any other client does.
func works(ctx context.Context, as collectors.Target) error {
	config, err := New().config(as)
	if err != nil {
		return err
	}
	db, err := openSession(config)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	_, err = db.ExecContext(ctx, "SELECT 1")
	return err
}
