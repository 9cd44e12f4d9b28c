package mysql

import (
	"testing"

	"whalefall/collectors"
	"whalefall/collectors/collectortest"
	"whalefall/testenv"
)

// A proxy may send later statements of a connection to another server.
func TestSession_RereadView_OtherServer(t *testing.T) {
	t.Parallel()
	server := testenv.MySQL(t)
	database := server.NewDatabase(t)
	s, err := New().open(t.Context(), root(server))
	collectortest.Must(t, err)
	defer s.close()
	_, err = s.tables(t.Context(), database)
	collectortest.Must(t, err)

	s.server.ids += "of another"
	if _, err := s.tables(t.Context(), database); !collectors.IsOtherServer(err) {
		t.Errorf("tables: got %v, want another server", err)
	}
	if _, err := s.databases(t.Context()); !collectors.IsOtherServer(err) {
		t.Errorf("databases: got %v, want another server", err)
	}
}
