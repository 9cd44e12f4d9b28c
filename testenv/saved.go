package testenv

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// SavedMariaDB starts a private server like StartMariaDB that has already run the statements, in no database. They run once:
// the data directory they led to is kept, below the user's cache directory, under the name, and copied by every later call
// with the same statements, settings and server. Where nothing can be kept they run each time.
func SavedMariaDB(t testing.TB, name string, statements []string, settings ...string) *MySQLServer {
	t.Helper()
	bin, err := mysqlBinary()
	wanted(t, mysqlPrograms, err)
	saved, err := newSavedData(bin, name, statements, settings)
	if err != nil {
		t.Logf("fixtures cannot be kept: %v", err)
	} else if !saved.current() {
		if err := saved.make(t, statements, settings); err != nil {
			t.Logf("the fixture cannot be kept: %v", err)
			saved = nil
		}
	}
	if saved == nil {
		server := StartMariaDB(t, settings...)
		server.Exec(t, "", statements...)
		return server
	}
	server, err := startMySQL(settings, saved.data())
	wanted(t, mysqlPrograms, err)
	t.Cleanup(server.remove)
	return server
}

// savedData is a directory with the data directory of a stopped server and the digest of what is in it.
type savedData struct{ dir, digest string }

func newSavedData(bin, name string, statements, settings []string) (*savedData, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return nil, err
	}
	version, err := exec.Command(bin, "--no-defaults", "--version").Output()
	if err != nil {
		return nil, fmt.Errorf("%s --version: %w", bin, err)
	}
	definition := append(append([]string{string(version)}, settings...), statements...)
	digest := sha256.Sum256([]byte(strings.Join(definition, "\x00")))
	dir := filepath.Join(cache, "whalefall-fixtures", flavour(string(version))+"-"+name)
	return &savedData{dir: dir, digest: hex.EncodeToString(digest[:])}, nil
}

func (d *savedData) data() string { return filepath.Join(d.dir, "data") }

func (d *savedData) current() bool {
	digest, err := os.ReadFile(filepath.Join(d.dir, "digest"))
	return err == nil && string(digest) == d.digest
}

// make runs the statements on a server of its own and keeps its data directory instead of what was kept under the name.
func (d *savedData) make(t testing.TB, statements, settings []string) error {
	t.Helper()
	server, err := startMySQL(settings, "")
	wanted(t, mysqlPrograms, err)
	defer server.remove()
	server.Exec(t, "", statements...)
	if err := server.setPassword(""); err != nil {
		return err
	}
	server.private.process.stop(syscall.SIGTERM)
	if err := os.MkdirAll(filepath.Dir(d.dir), 0o700); err != nil {
		return err
	}
	draft, err := os.MkdirTemp(filepath.Dir(d.dir), ".draft-") //nolint:usetesting // it is renamed to its place
	if err != nil {
		return err
	}
	err = errors.Join(
		os.CopyFS(filepath.Join(draft, "data"), os.DirFS(server.DataDir)),
		os.WriteFile(filepath.Join(draft, "digest"), []byte(d.digest), 0o600))
	if err == nil {
		err = errors.Join(os.RemoveAll(d.dir), os.Rename(draft, d.dir))
	}
	return errors.Join(err, os.RemoveAll(draft))
}
