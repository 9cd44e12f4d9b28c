package testenv

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// SavedMySQL starts a private server like StartMySQL that has already run the statements, in no database. They run
// once: the resulting data directory is kept below the user's cache directory, under the name, and later calls with
// the same statements, settings and server copy it. If nothing can be kept, they run each time.
func SavedMySQL(t testing.TB, name string, statements []string, settings ...string) *MySQLServer {
	t.Helper()
	bin, err := findMySQL()
	requireServer(t, mysqlPrograms, err)
	fixture, err := newFixture(bin, name, statements, settings)
	if err == nil && !fixture.current() {
		err = fixture.build(t, statements, settings)
	}
	if err != nil {
		t.Logf("fixture not saved: %v", err)
		server := StartMySQL(t, settings...)
		server.Exec(t, "", statements...)
		return server
	}
	server, err := startMySQL(settings, fixture.data())
	requireServer(t, mysqlPrograms, err)
	t.Cleanup(server.remove)
	return server
}

// fixture is a saved data directory of a stopped server, and the digest of all that it was made from.
type fixture struct{ dir, digest string }

func newFixture(bin, name string, statements, settings []string) (*fixture, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return nil, err
	}
	version, err := mysqlVersion(bin)
	if err != nil {
		return nil, err
	}
	definition := append(append([]string{version}, settings...), statements...)
	digest := sha256.Sum256([]byte(strings.Join(definition, "\x00")))
	dir := filepath.Join(cache, "whalefall-fixtures", flavorOf(version)+"-"+name)
	return &fixture{dir: dir, digest: hex.EncodeToString(digest[:])}, nil
}

func (f *fixture) data() string { return filepath.Join(f.dir, "data") }

// current reports whether the saved data directory was made from the same statements, settings and server.
func (f *fixture) current() bool {
	digest, err := os.ReadFile(filepath.Join(f.dir, "digest"))
	return err == nil && string(digest) == f.digest
}

// build runs the statements on a new server and saves its data directory, replacing what was saved under the name.
func (f *fixture) build(t testing.TB, statements, settings []string) error {
	t.Helper()
	server, err := startMySQL(settings, "")
	requireServer(t, mysqlPrograms, err)
	defer server.remove()
	server.Exec(t, "", statements...)
	if err := server.setPassword(""); err != nil {
		return err
	}
	server.process.Stop(syscall.SIGTERM)
	if err := os.MkdirAll(filepath.Dir(f.dir), 0o700); err != nil {
		return err
	}
	draft, err := os.MkdirTemp(filepath.Dir(f.dir), ".draft-") //nolint:usetesting // it is renamed to its place
	if err != nil {
		return err
	}
	err = errors.Join(
		os.CopyFS(filepath.Join(draft, "data"), os.DirFS(server.DataDir)),
		os.WriteFile(filepath.Join(draft, "digest"), []byte(f.digest), 0o600))
	if err == nil {
		err = errors.Join(os.RemoveAll(f.dir), os.Rename(draft, f.dir))
	}
	return errors.Join(err, os.RemoveAll(draft))
}
