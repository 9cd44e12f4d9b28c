package models

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/glebarez/sqlite"
	"github.com/gofrs/flock"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"
)

// Deadlines of the store. A sooner deadline of the caller takes precedence.
const (
	openTimeout        = 30 * time.Second // connecting
	migrateTimeout     = 10 * time.Minute // includes waiting for another replica's migration
	transactionTimeout = 5 * time.Minute  // a write, including waiting for the writer; on PostgreSQL also each statement
	queryTimeout       = 2 * time.Minute  // a page or single statement, including waiting; on PostgreSQL also each lock
	analyzeTimeout     = 30 * time.Second // planner statistics after a large refresh
	lockRetry          = 50 * time.Millisecond
	busyTimeout        = 30 * time.Second // waiting for another process that writes to the SQLite file
)

// poolConnections is the minimum size of the pool, which serves pages, saving runs, and the queue's listener.
const poolConnections = 10

const (
	sqliteReaders      = 4
	sqliteJournalLimit = 64 << 20 // bytes the WAL file keeps after a checkpoint
)

var (
	errBadAddress = errors.New("the postgres:// address cannot be understood: " +
		"percent-encode special characters of its password, and check its parameters")
	errTransactionTimeout = fmt.Errorf("store transaction took longer than %s", transactionTimeout)
	errQueryTimeout       = fmt.Errorf("store query took longer than %s", queryTimeout)
)

// postgresLimits are server-side timeouts. They also end what a vanished or hanging replica left behind.
var postgresLimits = map[string]string{
	"statement_timeout": milliseconds(transactionTimeout),
	"lock_timeout":      milliseconds(queryTimeout),
}

func milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

// Store is the only access to WhaleFall's own database, on SQLite or PostgreSQL.
type Store struct {
	Keys Keyset
	Zone *time.Location

	now       func() time.Time
	schedule  ScheduleDefaults
	log       *slog.Logger
	dialect   dialect
	writer    *gorm.DB
	reader    *gorm.DB // equal to writer on PostgreSQL
	path      string
	pool      *pgxpool.Pool // nil on SQLite
	cookieKey []byte

	historyDays     int
	sessionIdle     time.Duration
	sessionLifetime time.Duration
	passwordCost    int
	unknownUser     func() (User, error) // see newUnknownUser
	logins          turns                // of checking passwords
	exports         chan struct{}        // a slot per export in progress
	budgets         budgets
}

// Migrate migrates a database to the current schema; dialect is "sqlite" or "postgres".
type Migrate func(ctx context.Context, db *sql.DB, dialect string) error

// Options configures Open.
type Options struct {
	Address string // postgres:// URL or path of a SQLite file
	Keyset  Keyset
	Zone    *time.Location   // of calendar days; nil: UTC
	Migrate Migrate          // nil: no migration, the schema is current
	Log     *slog.Logger     // nil: silent
	Now     func() time.Time // nil: time.Now

	Schedule ScheduleDefaults // zero: DefaultSchedule

	HistoryDays int // days for which daily sizes are kept, at least MinHistoryDays; 0: DefaultHistoryDays

	SessionIdle     time.Duration // a session ends this long after its last request; 0: DefaultSessionIdle
	SessionLifetime time.Duration // a session ends this long after its login; 0: DefaultSessionLifetime

	PasswordCost int // of bcrypt; 0: 12. Tests take bcrypt.MinCost
}

// Open opens the store, creating the SQLite file if needed, and migrates it. A wrong keyset is ErrWrongKeyset.
func Open(ctx context.Context, o Options) (*Store, error) {
	s := &Store{Keys: o.Keyset, Zone: o.Zone, now: o.Now, log: o.Log}
	s.logins.free = loginsAtOnce()
	s.budgets.clients = map[string]*budget{}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.Zone == nil {
		s.Zone = time.UTC
	}
	if s.now == nil {
		s.now = time.Now
	}
	s.schedule = cmp.Or(o.Schedule, DefaultSchedule)
	s.historyDays = max(cmp.Or(o.HistoryDays, DefaultHistoryDays), MinHistoryDays)
	s.sessionIdle = cmp.Or(o.SessionIdle, DefaultSessionIdle)
	s.sessionLifetime = cmp.Or(o.SessionLifetime, DefaultSessionLifetime)
	s.passwordCost = cmp.Or(o.PasswordCost, passwordCost)
	s.unknownUser = sync.OnceValues(func() (User, error) { return newUnknownUser(s.passwordCost) })
	if err := s.start(ctx, o); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Store) start(ctx context.Context, o Options) error {
	connect := s.connectPostgres
	if !strings.HasPrefix(o.Address, "postgres://") && !strings.HasPrefix(o.Address, "postgresql://") {
		lock, err := lockStart(ctx, o.Address)
		if err != nil {
			return fmt.Errorf("open the store: %w", err)
		}
		defer func() { _ = lock.Close() }()
		connect = s.connectSQLite
	}
	if err := connect(ctx, o.Address); err != nil {
		return fmt.Errorf("open the store: %w", err)
	}
	if o.Migrate != nil {
		if err := s.migrate(ctx, o.Migrate); err != nil {
			return err
		}
	}
	if s.pool != nil {
		s.shareBudgets(ctx)
	}
	return s.loadCookieKey(ctx)
}

func (s *Store) connectPostgres(ctx context.Context, address string) error {
	config, err := pgxpool.ParseConfig(address)
	if err != nil {
		return errBadAddress // the cause may quote a password
	}
	config.AfterConnect = scanTimesInUTC
	if !strings.Contains(address, "pool_max_conns") {
		config.MaxConns = max(config.MaxConns, poolConnections)
	}
	maps.Copy(config.ConnConfig.RuntimeParams, postgresLimits)
	preparePassword(ctx, config.ConnConfig)
	if s.pool, err = pgxpool.NewWithConfig(ctx, config); err != nil {
		return err
	}
	s.dialect = postgresDialect{}
	s.exports = make(chan struct{}, max(1, s.pool.Config().MaxConns/2))
	s.writer, err = s.openHandle(ctx, &postgres.Dialector{Config: &postgres.Config{Conn: stdlib.OpenDBFromPool(s.pool)}})
	s.reader = s.writer
	return err
}

func scanTimesInUTC(_ context.Context, conn *pgx.Conn) error {
	conn.TypeMap().RegisterType(&pgtype.Type{
		Name: "timestamptz", OID: pgtype.TimestamptzOID, Codec: &pgtype.TimestamptzCodec{ScanLocation: time.UTC},
	})
	return nil
}

func (s *Store) connectSQLite(ctx context.Context, path string) error {
	path, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	if err := createPrivateFile(path); err != nil {
		return err
	}
	s.path, s.dialect = path, sqliteDialect{}
	s.exports = make(chan struct{}, sqliteReaders/2)
	if s.writer, err = s.openHandle(ctx, &sqlite.Dialector{DSN: sqliteAddress(path, "_txlock=immediate")}); err != nil {
		return err
	}
	if err := limitConnections(s.writer, 1); err != nil {
		return err
	}
	s.reader, err = s.openHandle(ctx, &sqlite.Dialector{DSN: sqliteAddress(path, "_pragma=query_only(1)")})
	if err != nil {
		return err
	}
	return limitConnections(s.reader, sqliteReaders)
}

// lockStart serializes processes that start on the same SQLite file, for as long as they migrate it. The lock is a
// file beside it, which stays: SQLite's own locks last no longer than a transaction.
func lockStart(ctx context.Context, path string) (*flock.Flock, error) {
	ctx, cancel := context.WithTimeout(ctx, migrateTimeout)
	defer cancel()
	path += ".lock"
	if err := createPrivateFile(path); err != nil {
		return nil, err
	}
	lock := flock.New(path)
	if _, err := lock.TryLockContext(ctx, lockRetry); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return lock, nil
}

// createPrivateFile creates the file before SQLite does, which would make it readable for everyone.
func createPrivateFile(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	return file.Close()
}

func sqliteAddress(path, option string) string {
	pragmas := []string{
		fmt.Sprintf("busy_timeout(%d)", busyTimeout.Milliseconds()),
		"journal_mode(WAL)",
		fmt.Sprintf("journal_size_limit(%d)", sqliteJournalLimit),
		"synchronous(NORMAL)",
		"foreign_keys(1)",
	}
	query := url.Values{"_pragma": pragmas}.Encode() + "&" + option
	address := url.URL{Scheme: "file", Path: filepath.ToSlash(path), RawQuery: query}
	return address.String()
}

func limitConnections(handle *gorm.DB, n int) error {
	db, err := handle.DB()
	if err != nil {
		return err
	}
	db.SetMaxOpenConns(n)
	db.SetMaxIdleConns(n)
	return nil
}

func (s *Store) openHandle(ctx context.Context, dialector driverDialector) (*gorm.DB, error) {
	handle, err := gorm.Open(classifying{dialector}, &gorm.Config{
		DisableAutomaticPing:   true,
		SkipDefaultTransaction: true,
		TranslateError:         true,
		Logger:                 logger.Discard,
		NowFunc:                s.Now,
	})
	if err != nil {
		return nil, err
	}
	if err := handle.Callback().Row().After("gorm:row").Register("store:errors", classifyRows); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	return handle, ping(ctx, handle)
}

func ping(ctx context.Context, handle *gorm.DB) error {
	db, err := handle.DB()
	if err != nil {
		return err
	}
	return db.PingContext(ctx)
}

func (s *Store) migrate(ctx context.Context, migrate Migrate) error {
	ctx, cancel := context.WithTimeout(ctx, migrateTimeout)
	defer cancel()
	if s.pool != nil {
		db := s.unlimited()
		return errors.Join(migrate(ctx, db, s.writer.Name()), db.Close())
	}
	db, err := s.writer.DB()
	if err != nil {
		return err
	}
	return migrate(ctx, db, s.writer.Name())
}

// unlimited returns connections without postgresLimits, for migrations.
func (s *Store) unlimited() *sql.DB {
	config := s.pool.Config().ConnConfig
	for name := range postgresLimits {
		delete(config.RuntimeParams, name)
	}
	return stdlib.OpenDB(*config)
}

// Close closes all connections.
func (s *Store) Close() error {
	s.budgets.end()
	var failed []error
	for _, handle := range []*gorm.DB{s.reader, s.writer} {
		if handle == nil {
			continue
		}
		db, err := handle.DB()
		if err == nil {
			err = db.Close()
		}
		failed = append(failed, err)
	}
	if s.pool != nil {
		s.pool.Close()
	}
	return errors.Join(failed...)
}

// Ping reports whether the store answers.
func (s *Store) Ping(ctx context.Context) error {
	db, done := bounded(ctx, s.reader)
	defer done()
	var one int
	return db.Raw("SELECT 1").Scan(&one).Error
}

// Pool returns the connection pool of a PostgreSQL store, nil for SQLite.
func (s *Store) Pool() *pgxpool.Pool { return s.pool }

// Path returns the file of a SQLite store, empty for PostgreSQL.
func (s *Store) Path() string { return s.path }

// Now returns the store's time in UTC, in microseconds, which both kinds of store can hold.
func (s *Store) Now() time.Time { return stamp(s.now()) }

// Clock returns Options.Now, for measuring durations by the same clock.
func (s *Store) Clock() func() time.Time { return s.now }

func stamp(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }

func stampPointer(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	stamped := stamp(*t)
	return &stamped
}

// Day returns the calendar day of t in the configured zone, YYYY-MM-DD.
func (s *Store) Day(t time.Time) string { return s.day(t, 0) }

// day returns the calendar day of t in the store's zone plus days, YYYY-MM-DD.
func (s *Store) day(t time.Time, days int) string {
	year, month, day := t.In(s.Zone).Date()
	// Not in the zone: a day there may have no midnight.
	return time.Date(year, month, day+days, 0, 0, 0, 0, time.UTC).Format(time.DateOnly)
}

// change runs do in a write transaction and rolls it back on an error.
func (s *Store) change(ctx context.Context, do func(tx *gorm.DB) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, transactionTimeout, errTransactionTimeout)
	defer cancel()
	return s.writer.WithContext(ctx).Transaction(do)
}

// view runs do in a read transaction that sees one state of the store.
func (s *Store) view(ctx context.Context, do func(tx *gorm.DB) error) error {
	db, done := bounded(ctx, s.reader)
	defer done()
	return db.Transaction(do, s.dialect.snapshot())
}

// bounded returns a handle whose statements end after queryTimeout. The caller must call done.
func bounded(ctx context.Context, handle *gorm.DB) (db *gorm.DB, done context.CancelFunc) {
	ctx, done = context.WithTimeoutCause(ctx, queryTimeout, errQueryTimeout)
	return handle.WithContext(ctx), done
}

// storable reports whether both kinds of store can hold the text: PostgreSQL rejects NUL and invalid UTF-8.
func storable(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsRune(text, 0)
}

func requireStorable(texts ...string) error {
	for _, text := range texts {
		if !storable(text) {
			return Invalid("text.not_storable")
		}
	}
	return nil
}

// cleaned returns the text with what cannot be stored removed or replaced.
func cleaned(text string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(text, string(utf8.RuneError)), "\x00", "")
}

func conflict(key string, cause error) *Error {
	return &Error{Code: CodeConflict, Key: key, Err: cause}
}
