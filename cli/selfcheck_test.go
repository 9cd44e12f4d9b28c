package cli

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"whalefall/collectors"
	"whalefall/collectors/postgresql"
	"whalefall/migrations"
	"whalefall/models"
	"whalefall/testenv"
)

// register stores an instance in a new data directory.
func register(t *testing.T, instance models.Instance, login *models.TypedLogin) (dir string) {
	t.Helper()
	dir = t.TempDir()
	settings := &Settings{DataDir: dir, Timezone: zone{time.UTC}}
	store, err := openStore(t.Context(), settings, slog.New(slog.DiscardHandler), migrations.Up)
	if err != nil {
		t.Fatal(err)
	}
	instance.IsActive, instance.TLSMode = true, models.TLSPrefer
	if _, err := store.CreateInstance(t.Context(), instance, nil, login); err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

// registerPostgres stores the server as the instance shop, which connects to the database.
func registerPostgres(t *testing.T, server *testenv.PostgreSQLServer, database, user, password string) (dir string) {
	t.Helper()
	return register(t, models.Instance{
		Name: "shop", DBType: models.PostgreSQL, Host: &server.Host, Port: &server.Port, DatabaseName: database,
	}, &models.TypedLogin{Username: user, Password: password})
}

// databaseWith creates a database and runs the statements in it.
func databaseWith(t *testing.T, server *testenv.PostgreSQLServer, statements ...string) string {
	t.Helper()
	address, err := url.Parse(server.NewDatabase(t))
	if err != nil {
		t.Fatal(err)
	}
	name := strings.TrimPrefix(address.Path, "/")
	server.Exec(t, name, statements...)
	return name
}

const orders = `
	CREATE TABLE "Orders" (id int PRIMARY KEY, note text);
	CREATE TABLE "a ""b"" <i>|
c" (id int);
	CREATE TABLE tree (id int) PARTITION BY RANGE (id);
	CREATE TABLE tree_1 PARTITION OF tree FOR VALUES FROM (0) TO (1000);
	INSERT INTO tree SELECT generate_series(0, 999);
	INSERT INTO "Orders" SELECT i, repeat('x', 100) FROM generate_series(1, 1000) i;`

// lying is a collector that adds a byte to the total of the relation about.
type lying struct {
	collectors.Collector
	about string
}

func (l lying) Tables(ctx context.Context, t collectors.Target, database string) (models.TableResult, error) {
	result, err := l.Collector.Tables(ctx, t, database)
	for i, table := range result.Tables {
		if table.Name == l.about {
			result.Tables[i].Total = new(*table.Total + 1)
		}
	}
	return result, err
}

func TestSelfcheck_NoDifference(t *testing.T) {
	server := testenv.PostgreSQL(t)
	one, two := databaseWith(t, server, orders), databaseWith(t, server, "CREATE TABLE t (id int)")
	dir := registerPostgres(t, server, one, server.User, server.Password)
	status, out, errs := runOnce(t, Program{},
		"selfcheck", "--instance=shop", "--database="+one, "--database="+two, "--data-dir", dir)
	if status != 0 || errs != "" {
		t.Fatalf("status %d, %q\n%s", status, errs, out)
	}
	for _, want := range []string{
		"engine   postgresql", "PostgreSQL " + strconv.Itoa(server.Version/10000),
		`database "` + one + `"`, `database "` + two + `"`,
		"relations: 4 compared, 4 equal, 0 different; 0 changed meanwhile, 0 not comparable", "pg_total_relation_size",
		"result: no difference in 2 databases",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	for _, secret := range []string{server.Host, strconv.Itoa(server.Port), server.Password, "shop"} {
		if strings.Contains(out, secret) {
			t.Errorf("%q is in\n%s", secret, out)
		}
	}
}

func TestSelfcheck_Difference(t *testing.T) {
	server := testenv.PostgreSQL(t)
	database := databaseWith(t, server, orders)
	dir := registerPostgres(t, server, database, server.User, server.Password)
	honest := postgresql.New()
	check := func(about string, args ...string) string {
		t.Helper()
		p := Program{Engines: func(*Settings, *slog.Logger) map[models.Engine]collectors.Collector {
			return map[models.Engine]collectors.Collector{models.PostgreSQL: lying{honest, about}}
		}}
		args = append([]string{"selfcheck", "--instance=shop", "--database=" + database, "--data-dir", dir}, args...)
		status, out, errs := runOnce(t, p, args...)
		if status != 1 || !strings.Contains(errs, "selfcheck: 1 difference\n") || strings.Count(errs, "\n") != 1 {
			t.Errorf("status %d, %q", status, errs)
		}
		return out
	}
	out := check("Orders")
	if !regexp.MustCompile(`(?m)^  "public"\."Orders" +total +\d+ +\d+ +\+1$`).MatchString(out) ||
		!strings.Contains(out, "4 compared, 3 equal, 1 different") {
		t.Error(out)
	}
	if out := check("a \"b\" <i>|\nc"); !strings.Contains(out, `"public"."a \"b\" <i>|\nc"`) {
		t.Error(out)
	}
	anonymous := check("Orders", "--anonymous")
	if again := check("Orders", "--anonymous"); again != anonymous {
		t.Errorf("the hashes of two runs differ:\n%s\n%s", anonymous, again)
	}
	if !regexp.MustCompile(`(?m)^  #[0-9a-f]{10}\.#[0-9a-f]{10} +total +\d+ +\d+ +\+1$`).MatchString(anonymous) {
		t.Error(anonymous)
	}
	for _, name := range []string{database, "Orders", "public"} {
		if strings.Contains(anonymous, name) {
			t.Errorf("%q is in\n%s", name, anonymous)
		}
	}
}

// blind has no size of one table.
type blind struct {
	collectors.Collector
	about string
}

func (b blind) Tables(ctx context.Context, t collectors.Target, database string) (models.TableResult, error) {
	result, err := b.Collector.Tables(ctx, t, database)
	for i, table := range result.Tables {
		if table.Name == b.about {
			result.Tables[i] = models.TableSize{
				Schema: table.Schema, Name: table.Name, Kind: table.Kind, Unread: models.UnreadFailed,
			}
		}
	}
	return result, err
}

func TestSelfcheck_Unread(t *testing.T) {
	server := testenv.PostgreSQL(t)
	database := databaseWith(t, server, orders)
	dir := registerPostgres(t, server, database, server.User, server.Password)
	p := Program{Engines: func(*Settings, *slog.Logger) map[models.Engine]collectors.Collector {
		return map[models.Engine]collectors.Collector{models.PostgreSQL: blind{postgresql.New(), "Orders"}}
	}}
	status, out, _ := runOnce(t, p, "selfcheck", "--instance=shop", "--database="+database, "--data-dir", dir)
	if status != 1 || !regexp.MustCompile(`(?m)^  "public"\."Orders" +failed$`).MatchString(out) {
		t.Errorf("status %d, no line for the unread table in\n%s", status, out)
	}
}

func TestSelfcheck_RefusedDatabase(t *testing.T) {
	server := testenv.StartPostgreSQL(t)
	server.Exec(t, "postgres", "CREATE DATABASE open", `CREATE DATABASE "closed to us"`,
		"CREATE ROLE guest LOGIN PASSWORD 'p4ss-w0rd'", `REVOKE CONNECT ON DATABASE "closed to us" FROM PUBLIC`)
	server.Exec(t, "open", "CREATE TABLE t (id int)")
	dir := registerPostgres(t, server, "", "guest", "p4ss-w0rd")
	for flag, closed := range map[string]string{"--tries=1": `"closed to us"`, "--anonymous": "#"} {
		status, out, errs := runOnce(t, Program{}, "selfcheck", "--instance=shop", "--data-dir", dir, flag)
		if status != 1 || !strings.Contains(errs, "1 of 2 databases not checked") {
			t.Errorf("status %d, %q", status, errs)
		}
		for _, want := range []string{
			"found    2 user databases open; complete",
			"not checked: The monitoring account cannot connect to database " + closed, "(sqlstate 42501)",
			"missing: GRANT CONNECT", "relations: 1 compared, 1 equal",
		} {
			if !strings.Contains(out, want) {
				t.Errorf("%s: no %q in\n%s", flag, want, out)
			}
		}
		if strings.Contains(out, "p4ss-w0rd") || strings.Contains(out, "guest") ||
			flag == "--anonymous" && strings.Contains(out, "closed to us") {
			t.Error(out)
		}
	}
}

func TestSelfcheck_NoInstance(t *testing.T) {
	host, port := "127.0.0.1", testenv.FreePort(t)
	dir := register(t, models.Instance{Name: "down", DBType: models.MySQL, Host: &host, Port: &port},
		&models.TypedLogin{Username: "u", Password: "x"})
	for name, test := range map[string]struct {
		status int
		want   string
		args   []string
	}{
		"unknown":      {1, `This instance does not exist: "nobody's"`, []string{"--instance=nobody's"}},
		"a NUL":        {1, "This instance does not exist", []string{"--instance=a\x00b"}},
		"down":         {1, "Connection refused", []string{"--instance=down"}},
		"not named":    {2, "--instance", nil},
		"no tries":     {2, "--tries", []string{"--instance=down", "--tries=0"}},
		"unknown flag": {2, "--nonsense", []string{"--instance=down", "--nonsense"}},
	} {
		status, out, errs := runOnce(t, Program{}, append([]string{"selfcheck", "--data-dir", dir}, test.args...)...)
		if status != test.status || !strings.Contains(errs, test.want) ||
			strings.Count(errs, "\n") != 1 || strings.Contains(out, "result:") {
			t.Errorf("%s: got status %d, %q, want %d and %q in it\n%s", name, status, errs, test.status, test.want, out)
		}
		if strings.Contains(out+errs, fmt.Sprint(port)) {
			t.Errorf("%s: the port is printed: %s%s", name, out, errs)
		}
	}
}

func TestSelfcheck_UnknownDatabase(t *testing.T) {
	server := testenv.PostgreSQL(t)
	dir := registerPostgres(t, server, "postgres", server.User, server.Password)
	status, out, _ := runOnce(t, Program{}, "selfcheck", "--instance=shop", "--database=no, such one", "--data-dir", dir)
	if status != 1 || !strings.Contains(out, `not checked: Database "no, such one" does not exist on the server`) {
		t.Errorf("status %d\n%s", status, out)
	}
}

func TestSelfcheck_MariaDBAndSQLite(t *testing.T) {
	server := testenv.MySQL(t)
	database := server.NewDatabase(t)
	server.Exec(t, database, "CREATE TABLE `we$ird/näme` (id INT PRIMARY KEY, v TEXT, FULLTEXT (v))",
		"CREATE TABLE elsewhere (id INT) ENGINE=MyISAM", "CREATE TABLE tree (id INT) PARTITION BY HASH (id) PARTITIONS 3")
	dir := register(t, models.Instance{Name: "db1", DBType: models.MySQL, Host: &server.Host, Port: &server.Port},
		&models.TypedLogin{Username: server.User, Password: server.Password})
	status, out, errs := runOnce(t, Program{},
		"selfcheck", "--instance=db1", "--database="+database, "--data-dir", dir)
	const want = "2 compared, 2 equal, 0 different; 0 changed meanwhile, 1 not comparable" +
		" (1: the engine does not report tables without"
	if status != 0 || !strings.Contains(out, want) {
		t.Errorf("status %d, %s\n%s", status, errs, out)
	}
	file := register(t, models.Instance{Name: "own", DBType: models.SQLite, DatabaseName: dir + "/whalefall.db"}, nil)
	status, out, errs = runOnce(t, Program{}, "selfcheck", "--instance=own", "--data-dir", file, "--sqlite-dirs", dir)
	equal := regexp.MustCompile(`all pages of the file +total +(\d+) +(\d+) +\+0`)
	if status != 0 || !equal.MatchString(out) || strings.Contains(out, dir) {
		t.Errorf("status %d, %s\n%s", status, errs, out)
	}
}

func TestMissing_OnlyPrivileges(t *testing.T) {
	for statement, want := range map[string]string{
		"": "",
		"GRANT PROCESS, REFERENCES ON *.* TO 'whalefall'@'10.0.0.5';": "; missing: GRANT PROCESS, REFERENCES",
		`GRANT CONNECT ON DATABASE "x; GRANT secret TO y" TO "me"`:    "; missing: GRANT CONNECT",

		"USE [a; GRANT secret TO ]]; GRANT secret TO x]; GRANT VIEW DEFINITION TO [me];": "; missing: GRANT VIEW DEFINITION",

		`GRANT pg_monitor TO "me"`:                      "; missing: GRANT pg_monitor",
		"USE [my db]; CREATE USER [me] FOR LOGIN [me];": "; missing: CREATE USER",
		"USE [my db]; GRANT VIEW DEFINITION TO [me]; GRANT VIEW DATABASE STATE TO [me];": "; missing:" +
			" GRANT VIEW DEFINITION, GRANT VIEW DATABASE STATE",
		`GRANT SELECT ON sys.dba_lobs TO "ME"`: "; missing: GRANT SELECT",
		"DROP DATABASE everything":             "",

		"GRANT CONNECT ANY DATABASE TO [me]; GRANT 'odd' TO [me]; GRANT VIEW ANY DATABASE TO x": "; missing:" +
			" GRANT CONNECT ANY DATABASE, GRANT VIEW ANY DATABASE",
	} {
		if got := missing(statement); got != want {
			t.Errorf("%s: got %q, want %q", statement, got, want)
		}
	}
}
