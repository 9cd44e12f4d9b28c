package testenv

import (
	"os"
	"path/filepath"
	"testing"
)

func TestSavedMySQL_RunsStatementsOnce(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	statements := []string{"CREATE DATABASE app", "CREATE TABLE app.a (n INT)", "INSERT INTO app.a VALUES (1)"}
	wantSum := func(want int, statements ...string) {
		t.Helper()
		var got int
		server := SavedMySQL(t, "test", statements)
		if err := server.DB(t).QueryRowContext(t.Context(), "SELECT SUM(n) FROM app.a").Scan(&got); err != nil {
			t.Fatal(err)
		}
		if got != want {
			t.Errorf("got a sum of %d, want %d", got, want)
		}
	}
	wantSum(1, statements...)
	saved := savedFixture(t)

	wantSum(1, statements...)
	if again := savedFixture(t); !os.SameFile(saved, again) {
		t.Error("the second server ran the statements again")
	}

	wantSum(2, append(statements, "INSERT INTO app.a VALUES (1)")...)
}

func savedFixture(t *testing.T) os.FileInfo {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	dirs, err := filepath.Glob(filepath.Join(cache, "whalefall-fixtures", "*-test"))
	if err != nil || len(dirs) != 1 {
		t.Fatalf("got fixtures %v, %v, want one", dirs, err)
	}
	if _, err := os.Stat(filepath.Join(dirs[0], "data", "app")); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(dirs[0])
	if err != nil {
		t.Fatal(err)
	}
	return info
}

func TestSavedMySQL_WithoutCacheDirectory(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", "")
	t.Setenv("HOME", "")
	server := SavedMySQL(t, "test", []string{"CREATE DATABASE app", "CREATE TABLE app.a (n INT)"})
	var n int
	if err := server.DB(t).QueryRowContext(t.Context(), "SELECT COUNT(*) FROM app.a").Scan(&n); err != nil {
		t.Error(err)
	}
}
