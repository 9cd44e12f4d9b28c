package postgresql

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"whalefall/collectors"
	"whalefall/collectors/collectortest"
	"whalefall/models"
	"whalefall/testenv"
)

// TestCollector_Tables_Unreadable takes the rights on the directory of a tablespace from the server: its tables are
// unread, the others measured.
func TestCollector_Tables_Unreadable(t *testing.T) {
	server := testenv.StartPostgreSQL(t)
	if server.Version < 150000 {
		t.Skip("tablespaces in place came with version 15")
	}
	const tables = 2*maxStuck + 1
	text := "CREATE TABLE near AS SELECT 1 AS n;"
	for i := range tables {
		text += fmt.Sprintf("CREATE TABLE far_%d TABLESPACE far AS SELECT generate_series(1, 9999) AS n;", i)
	}
	server.Exec(t, "postgres", "SET allow_in_place_tablespaces = on", "CREATE TABLESPACE far LOCATION ''",
		"CREATE ROLE watcher LOGIN PASSWORD 'secret'")
	server.Exec(t, "postgres", text)
	closeTablespace(t, server, "far")

	for _, account := range [][2]string{{server.User, server.Password}, {"watcher", "secret"}} {
		result, err := New().Tables(t.Context(), collectors.Target{
			Host: server.Host, Port: server.Port, Username: account[0], Password: account[1], TLSMode: models.TLSDisable,
		}, "postgres")
		collectortest.Must(t, err)
		if len(result.Tables) != tables+1 || !result.Complete || result.Grant != "" {
			t.Errorf("%s: %d tables, complete %v, grant %q", account[0], len(result.Tables), result.Complete, result.Grant)
		}
		for _, table := range result.Tables {
			if far := strings.HasPrefix(table.Name, "far"); far != (table.Unread == models.UnreadFailed) ||
				far != (table.Total == nil) {
				t.Errorf("%s: %s is unread %q with %s bytes", account[0], table.Name, table.Unread, collectortest.Text(table.Total))
			}
		}
	}
}

// closeTablespace takes all rights on the directory of a tablespace until the test ends.
func closeTablespace(t *testing.T, server *testenv.PostgreSQLServer, name string) {
	t.Helper()
	var directory string
	const query = "SELECT current_setting('data_directory') || '/pg_tblspc/' || oid FROM pg_tablespace WHERE spcname = $1"
	conn := collectortest.ConnectPostgreSQL(t, server.URL("postgres"))
	collectortest.Must(t, conn.QueryRow(t.Context(), query, name).Scan(&directory))
	collectortest.Must(t, os.Chmod(directory, 0))
	t.Cleanup(func() { collectortest.Must(t, os.Chmod(directory, 0o700)) })
}
