package handlers_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"whalefall/testenv"
)

// untimely reports whether the time decides when, or how often, a statement is executed: a waiting request looks at its
// run, which another process might be executing, and a request is audited after its answer.
func untimely(statement string) bool {
	return strings.Contains(statement, "AS instance_name") || strings.HasPrefix(statement, `INSERT INTO "audit_log"`)
}

// TestStatements counts what requests execute on a PostgreSQL store.
func TestStatements(t *testing.T) {
	t.Parallel()
	server := testenv.PostgreSQL(t)
	store := testenv.RecordStatements(t, server.NewDatabase(t))
	a := newApp(t, store.URL)
	target := server.NewDatabase(t)
	database := target[strings.LastIndex(target, "/")+1 : strings.LastIndex(target, "?")]
	server.Exec(t, database, "CREATE TABLE a (id INT)", "CREATE TABLE b (id INT)")
	tables := tablesPath(a.postgresTarget("目标", server, server.User, server.Password), database)
	refresh := func() { a.user.post(tables+"/actions/refresh", nil).want(http.StatusOK, refreshed) }
	read := func() { a.user.get(tables).want(http.StatusOK, readTable) }
	refresh()
	refresh()
	read()

	for _, request := range []struct {
		name                     string
		send                     func()
		statements, transactions int
	}{
		{"an unchanged refresh", refresh, 18, 4},
		{"a page of tables", read, 3, 0},
	} {
		store.Take()
		request.send()
		executed := slices.DeleteFunc(store.Take(), untimely)
		transactions := 0
		for _, statement := range executed {
			if strings.HasPrefix(statement, "begin") {
				transactions++
			}
		}
		t.Logf("%s: %d statements, %d transactions", request.name, len(executed), transactions)
		if len(executed) > request.statements || transactions > request.transactions {
			t.Errorf("%s executes %d statements, %d transactions:\n%s", request.name, len(executed), transactions,
				strings.Join(executed, "\n"))
		}
	}
}
