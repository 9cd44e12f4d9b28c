package handlers_test

import (
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"whalefall/testenv"
)

// TestServerText reads an error of a server as somebody who may change instances, and as somebody who may not.
func TestServerText(t *testing.T) {
	t.Parallel()
	a := newApp(t, filepath.Join(t.TempDir(), "store.db"))
	server := testenv.PostgreSQL(t)
	path := a.postgresTarget("目标", server, "nobody", "wrong")

	const said = `password authentication failed for user \"nobody\"` // as JSON
	want := func(failed *response, told bool) {
		t.Helper()
		if failed.status != http.StatusConflict || strings.Contains(failed.raw, said) != told {
			t.Errorf("status %d, want the server's text: %v, in %s", failed.status, told, failed.raw)
		}
	}
	want(a.admin.post(path+"/actions/sync-capacity", nil), true)
	id, err := strconv.Atoi(path[strings.LastIndex(path, "/")+1:])
	if err != nil {
		t.Fatal(err)
	}
	test := obj{"instance_id": id}
	want(a.admin.post("/connections/actions/test", test), true)
	want(a.guest.post("/connections/actions/test", test), false)
}
