package models_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"whalefall/migrations"
	"whalefall/models"
	"whalefall/testenv"
)

func TestMain(m *testing.M) {
	testenv.Main(m)
}

// start is a moment at which it is another day in Shanghai than in UTC.
var start = time.Date(2026, 3, 9, 17, 30, 0, 123456000, time.UTC)

// clock is a time that tests can move.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// fixture is an empty store.
type fixture struct {
	*models.Store
	*testing.T
	clock   *clock
	options models.Options
	ctx     context.Context
}

func newFixture(t *testing.T, address string) *fixture {
	t.Helper()
	zone, err := time.LoadLocation("Asia/Shanghai")
	check(t, err)
	keys, err := models.CreateKeyset(filepath.Join(t.TempDir(), "keyset.json"))
	check(t, err)
	c := &clock{now: start}
	f := &fixture{T: t, ctx: t.Context(), clock: c, options: models.Options{
		Address: address, Keyset: keys, Zone: zone, Migrate: migrations.Up, Now: c.Now, PasswordCost: bcrypt.MinCost,
	}}
	f.Store, err = models.Open(t.Context(), f.options)
	check(t, err)
	t.Cleanup(func() { check(t, f.Close()) })
	check(t, f.WatchDeadlines(func(statement string) { t.Errorf("has no deadline: %s", statement) }))
	return f
}

// onBothStores runs the test on SQLite and on PostgreSQL.
func onBothStores(t *testing.T, test func(f *fixture)) {
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		test(newFixture(t, filepath.Join(t.TempDir(), "a b?c#d%41", "whale fall.db")))
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		test(newFixture(t, testenv.PostgreSQL(t).NewDatabase(t)))
	})
}

func (f *fixture) isSQLite() bool { return f.Path() != "" }

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wantError checks the code and, unless empty, the message key of an error.
func wantError(t testing.TB, err error, code models.Code, key string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want %s %s", code, key)
	}
	if e := models.AsError(err); e.Code != code || key != "" && e.Key != key {
		t.Fatalf("got %v, want %s %s", err, code, key)
	}
}

func equal[T comparable](t testing.TB, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func TestOpen_KeepsCookieKey(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		check(f, f.Ping(f.ctx))
		again, err := models.Open(f.ctx, f.options)
		check(f, err)
		defer func() { check(f, again.Close()) }()
		equal(f, "length", len(f.CookieKey()), 32)
		equal(f, "key", string(again.CookieKey()), string(f.CookieKey()))
	})
}

// Each opens connections of its own, as processes do.
func TestOpen_ReplicasAtOnce(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		fresh := []string{testenv.PostgreSQL(f.T).NewDatabase(f.T)}
		if f.isSQLite() {
			fresh = nil
			for round := range 8 {
				fresh = append(fresh, filepath.Join(f.TempDir(), fmt.Sprint(round), "new", "store.db"))
			}
		}
		for _, f.options.Address = range fresh {
			const replicas = 4
			keys := make([]string, replicas)
			var all sync.WaitGroup
			for i := range replicas {
				all.Go(func() {
					s, err := models.Open(f.ctx, f.options)
					if err != nil {
						f.Error(err)
						return
					}
					keys[i] = string(s.CookieKey())
					if err := s.Close(); err != nil {
						f.Error(err)
					}
				})
			}
			all.Wait()
			for _, key := range keys {
				equal(f, "key", key, keys[0])
			}
		}
	})
}

func TestOpen_WrongKeyset(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		other, err := models.CreateKeyset(filepath.Join(f.TempDir(), "other.json"))
		check(f, err)
		f.options.Keyset = other
		_, err = models.Open(f.ctx, f.options)
		if !errors.Is(err, models.ErrWrongKeyset) {
			f.Fatalf("got %v", err)
		}
	})
}

func TestOpen_SQLiteFileIsPrivate(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "new", "store.db")
	f := newFixture(t, path)
	equal(t, "path", f.Path(), path)
	for _, name := range []string{path, path + "-wal", path + ".lock"} {
		info, err := os.Stat(name)
		check(t, err)
		equal(t, name, info.Mode().Perm(), fs.FileMode(0o600))
	}
	info, err := os.Stat(filepath.Dir(path))
	check(t, err)
	equal(t, "directory", info.Mode().Perm(), fs.FileMode(0o700))
}

func TestOpen_Errors(t *testing.T) {
	t.Parallel()
	keys, err := models.CreateKeyset(filepath.Join(t.TempDir(), "keyset.json"))
	check(t, err)
	for _, address := range []string{
		t.TempDir(), "postgres://nobody:secret@127.0.0.1:1/none", "postgres://a:secret@b:c/d",
		"postgres://u:p@secret@h:1x/db",
		"postgres://u:se%zzcret@h/db", "postgres://u:secret@h/db?sslmode=secret", "postgres://h/db?password=secret&port=x",
	} {
		_, err := models.Open(t.Context(), models.Options{Address: address, Keyset: keys, Migrate: migrations.Up})
		if err == nil {
			t.Errorf("%s opened", address)
		} else if e := err.Error(); strings.Contains(e, "cret") {
			t.Errorf("the error tells the password: %s", e)
		}
	}
}

// In these zones daylight saving time has started at midnight.
func TestStore_Day_WithoutMidnight(t *testing.T) {
	t.Parallel()
	f := newFixture(t, filepath.Join(t.TempDir(), "store.db"))
	for zone, today := range map[string]string{
		"America/Santiago": "2022-09-11", "America/Havana": "2022-03-13",
		"America/Asuncion": "2022-10-02", "Africa/Cairo": "2023-04-28",
	} {
		location, err := time.LoadLocation(zone)
		check(t, err)
		f.Zone = location
		noon, err := time.ParseInLocation(time.DateOnly+" 15", today+" 12", location)
		check(t, err)
		for days := range 60 {
			late := noon.AddDate(0, 0, days).Add(-11*time.Hour - 30*time.Minute) // 0:30, or 23:30 or 1:30 around the change
			day, err := time.Parse(time.DateOnly, f.Day(late))
			check(t, err)
			for _, back := range []int{-29, -6, 0, 1} {
				want := day.AddDate(0, 0, back).Format(time.DateOnly)
				equal(t, zone, f.DayAfter(late, back), want)
			}
		}
	}
}

func TestOpen_PreparedPassword(t *testing.T) {
	t.Parallel()
	server := testenv.PostgreSQL(t)
	for i, password := range []string{"ＡＢＣ１２３全角", "½①ﬁ", "plain"} {
		role := fmt.Sprintf("prepared_password_%d", i)
		server.Exec(t, "postgres", "SET password_encryption = 'scram-sha-256'",
			"CREATE ROLE "+role+" LOGIN PASSWORD '"+password+"'")
		t.Cleanup(func() { server.Exec(t, "postgres", "DROP ROLE "+role) })
		address, err := url.Parse(server.NewDatabase(t))
		check(t, err)
		server.Exec(t, "postgres", "ALTER DATABASE "+strings.TrimPrefix(address.Path, "/")+" OWNER TO "+role)
		address.User = url.UserPassword(role, password)
		check(t, newFixture(t, address.String()).Ping(t.Context()))

		address.User = url.UserPassword(role, password+"１")
		if _, err = models.Open(t.Context(), models.Options{Address: address.String()}); !models.PasswordRejected(err) {
			t.Errorf("%s: got %v, want the password rejected", password, err)
		}
	}
}

func TestOpen_LongMigration(t *testing.T) {
	t.Parallel()
	f := newFixture(t, testenv.PostgreSQL(t).NewDatabase(t))
	limits := map[string]string{"statement_timeout": "5min", "lock_timeout": "2min"}
	for setting, want := range limits {
		value, err := f.Show(f.ctx, setting)
		check(t, err)
		equal(t, setting, value, want)
	}
	f.options.Migrate = func(ctx context.Context, db *sql.DB, _ string) error {
		for setting := range limits {
			var value string
			if err := db.QueryRowContext(ctx, "SELECT current_setting($1)", setting).Scan(&value); err != nil {
				return err
			}
			equal(t, setting+" of a migration", value, "0")
		}
		return nil
	}
	again, err := models.Open(f.ctx, f.options)
	check(t, err)
	check(t, again.Close())
}

func TestOpen_MigrationStatus(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		var states []migrations.State
		f.options.Migrate = func(ctx context.Context, db *sql.DB, dialect string) (err error) {
			states, err = migrations.Status(ctx, db, dialect)
			return err
		}
		again, err := models.Open(f.ctx, f.options)
		check(f, err)
		check(f, again.Close())
		if len(states) == 0 {
			f.Fatal("no migrations")
		}
		for _, state := range states {
			if state.AppliedAt.IsZero() {
				f.Errorf("%s is pending", state.Name)
			}
		}
	})
}

func TestKeyset(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "sub", "keyset.json")
	created, err := models.CreateKeyset(path)
	check(t, err)
	sealed, err := created.Seal([]byte("geheim"), "credential:1")
	check(t, err)

	if _, err := models.CreateKeyset(path); !errors.Is(err, fs.ErrExist) {
		t.Fatalf("a second creation: %v", err)
	}
	info, err := os.Stat(path)
	check(t, err)
	equal(t, "mode", info.Mode().Perm(), fs.FileMode(0o600))

	text, err := os.ReadFile(path)
	check(t, err)
	fromFile, err := models.LoadKeyset(path, "")
	check(t, err)
	inline, err := models.LoadKeyset("/nowhere", string(text))
	check(t, err)
	for _, keys := range []models.Keyset{fromFile, inline} {
		plain, err := keys.Open(sealed, "credential:1")
		check(t, err)
		equal(t, "plain", string(plain), "geheim")
		if _, err := keys.Open(sealed, "credential:2"); err == nil {
			t.Error("opened for another purpose")
		}
	}
	_, err = models.LoadKeyset("", `{"primaryKeyId": 1, "key": "geheim"}`)
	if err == nil || strings.Contains(err.Error(), "geheim") {
		t.Errorf("broken keyset: %v", err)
	}
	if _, err := (models.Keyset{}).Seal(nil, ""); err == nil {
		t.Error("the zero keyset seals")
	}
}
