package testenv

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/jackc/pgx/v5"
)

func TestSavedMariaDBRunsItsStatementsOnce(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	made := []string{"CREATE DATABASE app", "CREATE TABLE app.a (n INT)", "INSERT INTO app.a VALUES (1)"}
	count := func(statements ...string) (n int) {
		if err := SavedMariaDB(t, "test", statements).DB(t).QueryRow("SELECT SUM(n) FROM app.a").Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	if n := count(made...); n != 1 {
		t.Fatalf("the first server has %d", n)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	kept, err := filepath.Glob(filepath.Join(cache, "whalefall-fixtures", "*-test", "data", "app"))
	if err != nil || len(kept) != 1 {
		t.Fatalf("%v, %v", kept, err)
	}
	saved, err := os.Stat(filepath.Dir(filepath.Dir(kept[0])))
	if err != nil {
		t.Fatal(err)
	}
	if n := count(made...); n != 1 {
		t.Errorf("a copy has %d", n)
	}
	again, err := os.Stat(filepath.Dir(filepath.Dir(kept[0])))
	if err != nil || !os.SameFile(saved, again) {
		t.Errorf("the second server was not a copy: %v", err)
	}
	if n := count(append(made, "INSERT INTO app.a VALUES (1)")...); n != 2 {
		t.Errorf("other statements lead to %d", n)
	}
}

func TestSavedMariaDBDoesWithoutACache(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", "")
	t.Setenv("HOME", "")
	var n int
	server := SavedMariaDB(t, "test", []string{"CREATE DATABASE app", "CREATE TABLE app.a (n INT)"})
	if err := server.DB(t).QueryRow("SELECT COUNT(*) FROM app.a").Scan(&n); err != nil {
		t.Error(err)
	}
}

func TestACloneHasWhatItsTemplateHas(t *testing.T) {
	server := PostgreSQL(t)
	server.Exec(t, "postgres", "DROP DATABASE IF EXISTS original", "CREATE DATABASE original")
	t.Cleanup(func() { server.DropDatabase(t, "original") })
	server.Exec(t, "original", "CREATE TABLE a AS SELECT 1 AS n")
	clone, err := pgx.Connect(t.Context(), server.CloneDatabase(t, "original"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = clone.Close(t.Context()) }()
	var n int
	if err := clone.QueryRow(t.Context(), "SELECT n FROM a").Scan(&n); err != nil || n != 1 {
		t.Errorf("%d, %v", n, err)
	}
}
