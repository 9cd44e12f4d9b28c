package models_test

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"gorm.io/gorm"

	"whalefall/models"
	"whalefall/testenv"
)

func newSQLiteFixture(t *testing.T) *fixture {
	t.Helper()
	return newFixture(t, filepath.Join(t.TempDir(), "whalefall.db"))
}

func TestStoreErrors_SQLite(t *testing.T) {
	t.Parallel()
	const write = "CREATE TABLE large AS SELECT zeroblob(1000000) AS content"
	for key, setting := range map[string]string{
		"store.full": "PRAGMA max_page_count = 1", "store.read_only": "PRAGMA query_only = 1",
	} {
		t.Run(key, func(t *testing.T) {
			t.Parallel()
			f := newSQLiteFixture(t)
			check(t, f.Try(f.ctx, setting))
			wantError(t, f.Try(f.ctx, write), models.CodeInternal, key)
			check(t, f.Ping(f.ctx))
		})
	}
	t.Run("store.broken", func(t *testing.T) {
		t.Parallel()
		f := newSQLiteFixture(t)
		_, err := f.sql().ExecContext(f.ctx, "PRAGMA wal_checkpoint(TRUNCATE)")
		check(t, err)
		file, err := os.OpenFile(f.Path(), os.O_RDWR, 0)
		check(t, err)
		info, err := file.Stat()
		check(t, err)
		const page = 4096
		_, err = file.WriteAt(make([]byte, info.Size()-page), page)
		check(t, errors.Join(err, file.Close()))
		_, err = f.Tags(f.ctx)
		wantError(t, err, models.CodeInternal, "store.broken")
	})
}

func TestStoreErrors_PostgreSQL(t *testing.T) {
	t.Parallel()
	f := newFixture(t, testenv.PostgreSQL(t).NewDatabase(t))
	wantError(t, f.Try(f.ctx, "SET TRANSACTION READ ONLY", "CREATE TABLE another (n int)"),
		models.CodeInternal, "store.read_only")
	wantError(t, f.Try(f.ctx, "SELECT pg_terminate_backend(pg_backend_pid())"), models.CodeInternal, "store.unavailable")
	wantError(t, f.Try(f.ctx, "DO $$ BEGIN RAISE EXCEPTION 'of the server' USING ERRCODE = '53100'; END $$"),
		models.CodeInternal, "store.full")
	check(t, f.Ping(f.ctx))
}

// TestStoreErrors_PostgreSQLAway has connections lost, and refused.
func TestStoreErrors_PostgreSQLAway(t *testing.T) {
	t.Parallel()
	server := testenv.PostgreSQL(t)
	proxy := testenv.NewProxy(t, server.Host, server.Port)
	address, err := url.Parse(server.NewDatabase(t))
	check(t, err)
	address.Host = net.JoinHostPort(proxy.Host, strconv.Itoa(proxy.Port))
	f := newFixture(t, address.String())
	proxy.Refuse()
	for range 3 {
		wantError(t, f.Ping(f.ctx), models.CodeInternal, "store.unavailable")
		wantError(t, f.Try(f.ctx, "SELECT 1"), models.CodeInternal, "store.unavailable")
	}
	proxy.Heal(t)
	check(t, f.Try(f.ctx, "SELECT 1"))
}

// TestStoreErrors_Others: of a statement, and of a caller who left.
func TestStoreErrors_Others(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		wantError(f, f.Try(f.ctx, "SELECT nothing FROM nowhere"), models.CodeInternal, "")
		equal(f, "key", models.AsError(f.Try(f.ctx, "SELECT nothing FROM nowhere")).Key, "")
		gone, cancel := context.WithCancel(f.ctx)
		cancel()
		if err := f.Ping(gone); !errors.Is(err, context.Canceled) || models.AsError(err).Key != "" {
			f.Errorf("a caller who left gets %v", err)
		}
		twice := "INSERT INTO tags (name, display_name, color) VALUES ('a', 'a', 'a')"
		if err := f.Try(f.ctx, twice, twice); !errors.Is(err, gorm.ErrDuplicatedKey) {
			f.Errorf("got %v", err)
		}
	})
}

// What a server sends may have any length. An index of PostgreSQL takes 2.7 kB.
func TestStore_LongNames(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		noise := make([]byte, 3000)
		_, err := rand.Read(noise)
		check(f, err)
		name := hex.EncodeToString(noise)
		wantSaved := func(err error) {
			f.Helper()
			if f.isSQLite() {
				check(f, err)
			} else {
				wantError(f, err, models.CodeCollection, "store.long_name")
			}
		}
		found := models.DatabaseResult{Databases: []models.DatabaseSize{{Name: name}}}
		_, err = f.SaveInventory(f.ctx, f.fileInstance("one").ID, found, f.Now())
		wantSaved(err)
		_, err = f.SaveTableSizes(f.ctx, saved(f.database(), table(name, 1)))
		wantSaved(err)
	})
}
