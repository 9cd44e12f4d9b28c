package cli

import (
	"database/sql/driver"
	"fmt"
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

// checkAs runs the command on a server as one of its users.
func checkAs(t *testing.T, p Program, instance models.Instance, user string, args ...string) (status int, out string) {
	t.Helper()
	instance.Name = "emulated"
	dir := register(t, instance, &models.NewCredential{Username: user, Password: sqlserver.Password})
	status, out, _ = runOnce(t, p, append([]string{"selfcheck", "--instance=emulated", "--data-dir", dir}, args...)...)
	return status, out
}

// rowsOf are those of the first case whose name has the word.
func rowsOf(t *testing.T, engine, word string) catalog.Rows {
	t.Helper()
	cases := catalog.Cases(t, engine)
	at := slices.IndexFunc(cases, func(c catalog.Case) bool { return strings.Contains(c.Name, word) })
	if at < 0 {
		t.Fatalf("no case is about %q", word)
	}
	return cases[at].Rows
}

func TestSelfcheck_SQLServer(t *testing.T) {
	server := sqlserver.Start(t, sqlserver.Options{})
	rows := rowsOf(t, "sqlserver", "hostile")
	server.AddDatabase(t, sqlserver.Database{Name: "sales", Rows: rows})
	server.AddDatabase(t, sqlserver.Database{Name: "archive", State: "OFFLINE"})
	server.AddLogin(t, sqlserver.Login{Name: "whole", Permissions: []string{"CONNECT ANY DATABASE", "VIEW ANY DEFINITION", "VIEW SERVER STATE"}})
	server.AddLogin(t, sqlserver.Login{Name: "lesser", Users: map[string]sqlserver.User{"sales": {}}})
	instance := models.Instance{DBType: models.SQLServer, Host: &server.Host, Port: &server.Port}
	status, out := checkAs(t, Program{}, instance, "whole")
	if status != 0 {
		t.Errorf("status %d", status)
	}
	for _, want := range []string{
		"SQL Server 2022 (16.0.4125.3)", "found    1 user database open; complete", `closed   `, `"archive"`,
		"sp_spaceused of each table and indexed view (ours: sys.dm_db_partition_stats)",
		fmt.Sprintf("relations: %d compared, %[1]d equal, 0 different", len(rows["sys.tables"])), "result: no difference in 1 database\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	status, out = checkAs(t, Program{}, instance, "lesser", "--database=sales", "--anonymous")
	if status != 1 || !strings.Contains(out, "hidden; missing: GRANT VIEW DEFINITION, GRANT VIEW DATABASE PERFORMANCE STATE;") ||
		strings.Contains(out, "sales") || strings.Contains(out, "lesser") {
		t.Errorf("status %d\n%s", status, out)
	}
}

func TestSelfcheck_Oracle(t *testing.T) {
	server := oracle.New(t, oracle.Options{Service: "pdb1", Container: "PDB1", Rows: rowsOf(t, "oracle", "hostile")})
	server.AddUser(t, oracle.User{Name: "WHOLE", Password: sqlserver.Password, Catalog: true})
	server.AddUser(t, oracle.User{Name: "LESSER", Password: sqlserver.Password})
	p := Program{Engines: func(*Settings) map[models.Engine]collectors.Collector {
		collector := oracleengine.New(nil)
		collector.Connector = func(t collectors.Target) (driver.Connector, error) {
			return server.Connector(oracle.Login{Service: t.Database, Username: t.Username, Password: t.Password}), nil
		}
		return map[models.Engine]collectors.Collector{models.Oracle: collector}
	}}
	instance := models.Instance{DBType: models.Oracle, Host: new("db.example.com"), Port: new(1521), DatabaseName: "pdb1"}
	status, out := checkAs(t, p, instance, "whole", "--database=USERS")
	if status != 0 || !strings.Contains(out, "SUM(BYTES) of DBA_SEGMENTS") || !strings.Contains(out, "result: no difference in 1 database\n") ||
		!regexp.MustCompile(`(?m)^  all segments +total +[1-9]\d* +[1-9]\d* +\+0$`).MatchString(out) || strings.Contains(out, "db.example.com") {
		t.Errorf("status %d\n%s", status, out)
	}
	status, out = checkAs(t, p, instance, "lesser", "--database=USERS")
	if status != 1 || !strings.Contains(out, "not checked: ") || !strings.Contains(out, "missing: GRANT SELECT_CATALOG_ROLE") ||
		strings.Contains(strings.ToLower(out), "lesser") {
		t.Errorf("status %d\n%s", status, out)
	}
}
