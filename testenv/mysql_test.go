package testenv

import (
	"os"
	"path/filepath"
	"testing"
)

func TestMySQLServer_StopAndStart(t *testing.T) {
	t.Parallel()
	server := StartMySQL(t)
	name := server.NewDatabase(t)
	server.Exec(t, name, "CREATE TABLE kept (n INT) ENGINE=InnoDB; INSERT INTO kept VALUES (42)")
	if _, err := os.Stat(filepath.Join(server.DataDir, name, "kept.ibd")); err != nil {
		t.Fatal(err)
	}
	server.Stop(t)
	if err := server.DB(t).PingContext(t.Context()); err == nil {
		t.Fatal("a stopped server answers")
	}
	server.Start(t)
	var n int
	err := server.DB(t).QueryRowContext(t.Context(), "SELECT n FROM "+QuoteMySQLName(name)+".kept").Scan(&n)
	if err != nil || n != 42 {
		t.Errorf("got %d, %v, want 42", n, err)
	}
}
