package testenv

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestNewDirectory_RemovesLeftovers(t *testing.T) {
	t.Parallel()
	parent := t.TempDir()
	old := time.Now().Add(-2 * leftoverAge)
	newDirectory := func(name string, modified time.Time) string {
		t.Helper()
		path := filepath.Join(parent, name)
		if err := os.Mkdir(path, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, modified, modified); err != nil {
			t.Fatal(err)
		}
		return path
	}
	leftover := newDirectory("fixture-1", old)
	fresh := newDirectory("fixture-2", time.Now())
	other := newDirectory("other-1", old)

	used, err := NewDirectory(parent, "fixture-")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(used.Path, old, old); err != nil {
		t.Fatal(err)
	}
	second, err := NewDirectory(parent, "fixture-")
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]bool{
		leftover: false, fresh: true, other: true, used.Path: true, second.Path: true,
	} {
		if _, err := os.Stat(path); (err == nil) != want {
			t.Errorf("%s: exists %t, want %t", filepath.Base(path), err == nil, want)
		}
	}
	used.Remove()
	second.Remove()
	if _, err := os.Stat(second.Path); !os.IsNotExist(err) {
		t.Errorf("a removed directory exists: %v", err)
	}
}
