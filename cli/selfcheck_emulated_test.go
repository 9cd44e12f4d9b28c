package cli

import (
	"database/sql/driver"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"testing"

	"whalefall/collectors"
	oracleengine "whalefall/collectors/oracle"
	"whalefall/models"
	"whalefall/testenv/catalog"
	"whalefall/testenv/oracle"
	"whalefall/testenv/sqlserver"
)

// checkAs runs selfcheck on an instance with the credentials of one of its server's users.
func checkAs(t *testing.T, p Program, instance models.Instance, user string, args ...string) (status int, out string) {
	t.Helper()
	instance.Name = "emulated"
	dir := register(t, instance, &models.TypedLogin{Username: user, Password: sqlserver.Password})
	status, out, _ = runOnce(t, p, append([]string{"selfcheck", "--instance=emulated", "--data-dir", dir}, args...)...)
	return status, out
}

// rowsOf returns the rows of the first case whose name contains the word.
func rowsOf(t *testing.T, engine, word string) catalog.Rows {
	t.Helper()
	cases := catalog.Cases(t, engine)
	at := slices.IndexFunc(cases, func(c catalog.Case) bool { return strings.Contains(c.Name, word) })
	if at < 0 {
		t.Fatalf("no case with %q in its name for %s", word, engine)
	}
	return cases[at].Rows
}

func TestSelfcheck_SQLServer(t *testing.T) {
	server := sqlserver.Start(t, sqlserver.Options{})
	rows := rowsOf(t, "sqlserver", "hostile")
	server.AddDatabase(t, sqlserver.Database{Name: "sales", Rows: rows})
	server.AddDatabase(t, sqlserver.Database{Name: "archive", State: "OFFLINE"})
	permissions := []string{"CONNECT ANY DATABASE", "VIEW ANY DEFINITION", "VIEW SERVER STATE"}
	server.AddLogin(t, sqlserver.Login{Name: "privileged", Permissions: permissions})
	server.AddLogin(t, sqlserver.Login{Name: "limited", Users: map[string]sqlserver.User{"sales": {}}})
	instance := models.Instance{DBType: models.SQLServer, Host: &server.Host, Port: &server.Port}
	status, out := checkAs(t, Program{}, instance, "privileged")
	if status != 0 {
		t.Errorf("got status %d, want 0", status)
	}
	for _, want := range []string{
		"SQL Server 2022 (16.0.4125.3)", "found    1 user database open; complete", `closed   `, `"archive"`,
		"sp_spaceused of each table and indexed view (ours: sys.dm_db_partition_stats)",
		fmt.Sprintf("relations: %d compared, %[1]d equal, 0 different", len(rows["sys.tables"])),
		"result: no difference in 1 database\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	status, out = checkAs(t, Program{}, instance, "limited", "--database=sales", "--anonymous")
	const missing = "hidden; missing: GRANT VIEW DEFINITION, GRANT VIEW DATABASE PERFORMANCE STATE;"
	if status != 1 || !strings.Contains(out, missing) ||
		strings.Contains(out, "sales") || strings.Contains(out, "limited") {
		t.Errorf("status %d\n%s", status, out)
	}
}

func TestSelfcheck_Oracle(t *testing.T) {
	server := oracle.New(t, oracle.Options{Service: "pdb1", Container: "PDB1", Rows: rowsOf(t, "oracle", "hostile")})
	server.AddUser(t, oracle.User{Name: "PRIVILEGED", Password: sqlserver.Password, Catalog: true})
	server.AddUser(t, oracle.User{Name: "LIMITED", Password: sqlserver.Password})
	p := Program{Engines: func(*Settings, *slog.Logger) map[models.Engine]collectors.Collector {
		collector := oracleengine.New(nil)
		collector.Connector = func(t collectors.Target) (driver.Connector, error) {
			return server.Connector(oracle.Login{Service: t.Database, Username: t.Username, Password: t.Password}), nil
		}
		return map[models.Engine]collectors.Collector{models.Oracle: collector}
	}}
	instance := models.Instance{DBType: models.Oracle, Host: new("db.example.com"), Port: new(1521), DatabaseName: "pdb1"}
	status, out := checkAs(t, p, instance, "privileged", "--database=USERS")
	equal := regexp.MustCompile(`(?m)^  all segments +total +[1-9]\d* +[1-9]\d* +\+0$`)
	if status != 0 || !strings.Contains(out, "SUM(BYTES) of DBA_SEGMENTS") ||
		!strings.Contains(out, "result: no difference in 1 database\n") ||
		!equal.MatchString(out) || strings.Contains(out, "db.example.com") {
		t.Errorf("status %d\n%s", status, out)
	}
	status, out = checkAs(t, p, instance, "limited", "--database=USERS")
	if status != 1 || !strings.Contains(out, "not checked: ") ||
		!strings.Contains(out, "missing: GRANT SELECT_CATALOG_ROLE") ||
		strings.Contains(strings.ToLower(out), "limited") {
		t.Errorf("status %d\n%s", status, out)
	}
}
