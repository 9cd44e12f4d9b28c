package testenv

import (
	"os"
	"path/filepath"
	"testing"
)

func TestMariaDBStopsAndStartsWithItsData(t *testing.T) {
	server := StartMariaDB(t)
	name := server.NewDatabase(t)
	server.Exec(t, name, "CREATE TABLE kept (n INT) ENGINE=InnoDB; INSERT INTO kept VALUES (42)")
	if _, err := os.Stat(filepath.Join(server.DataDir, name, "kept.ibd")); err != nil {
		t.Fatal(err)
	}
	server.Stop(t)
	if err := server.DB(t).Ping(); err == nil {
		t.Fatal("a stopped server answered")
	}
	server.Start(t)
	var n int
	if err := server.DB(t).QueryRow("SELECT n FROM " + QuoteMySQLName(name) + ".kept").Scan(&n); err != nil || n != 42 {
		t.Fatalf("n = %d, %v", n, err)
	}
}
