package mysql

import (
	"os"
	"path/filepath"
	"testing"

	"whalefall/collectors/collectortest"
	"whalefall/models"
	"whalefall/testenv"
)

// A table whose index file is damaged is named, and everything else is measured.
func TestCollector_CrashedTable(t *testing.T) {
	t.Parallel()
	onMariaDB(t)
	server := testenv.StartMySQL(t)
	server.Exec(t, "", "CREATE DATABASE app")
	server.Exec(t, "app", "CREATE TABLE sound (a INT)", "CREATE TABLE crashed (a INT, KEY (a)) ENGINE=MyISAM",
		"INSERT INTO crashed VALUES (1)", "FLUSH TABLES")
	collectortest.Must(t, os.WriteFile(filepath.Join(server.DataDir, "app", "crashed.MYI"), []byte("damaged"), 0o600))

	target := collectortest.MySQLAccount(t, server, "SELECT, PROCESS ON *.*")
	found := collectortest.Tables(t, New(), target, "app")
	if unread := found[collectortest.Relation("app", "crashed")].Unread; unread != models.UnreadFailed {
		t.Errorf("crashed: got unread %q, want %q", unread, models.UnreadFailed)
	}
	sound := found[collectortest.Relation("app", "sound")]
	if sound.Total == nil {
		t.Fatal("sound: got no size")
	}

	result, err := New().Databases(t.Context(), target)
	collectortest.Must(t, err)
	for _, d := range result.Databases {
		if d.Name != "app" {
			continue
		}
		if d.Total == nil || *d.Total != *sound.Total {
			t.Errorf("database: got %s bytes, want %d", collectortest.Text(d.Total), *sound.Total)
		}
		if d.Err == nil || d.Err.Key != "collect.mysql.unread" || d.Err.Args["Table"] != "crashed" {
			t.Errorf("database: got %v, want an error that names the table", d.Err)
		}
	}
}
