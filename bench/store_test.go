//go:build bench

package bench

import (
	"database/sql"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/glebarez/sqlite"
	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"whalefall/migrations"
	"whalefall/models"
	"whalefall/testenv"
)

const (
	onSQLite     = "SQLite"
	onPostgreSQL = "PostgreSQL"
)

// eachStore runs a test on both kinds of store.
func eachStore(t *testing.T, run func(t *testing.T, kind string)) {
	for _, kind := range []string{onSQLite, onPostgreSQL} {
		t.Run(kind, func(t *testing.T) { run(t, kind) })
	}
}

// idsOf returns the ids of the goals.
func idsOf(list []goal) []string {
	ids := make([]string, len(list))
	for i, g := range list {
		ids[i] = g.id
	}
	return ids
}

// place is the database of a store.
type place struct {
	kind       string
	address    string // postgres:// or the path of a file
	postmaster int    // process id of the PostgreSQL server; 0: SQLite
	raw        *sql.DB
}

var postgresqlSettings = []string{"shared_buffers=512MB", "jit=off", "max_wal_size=8GB"}

// newPlace creates an empty database for a store.
func newPlace(t *testing.T, kind string) *place {
	t.Helper()
	p := &place{kind: kind}
	if kind == onSQLite {
		p.address = filepath.Join(t.TempDir(), "store.db")
	} else {
		server := testenv.StartPostgreSQL(t, postgresqlSettings...)
		p.address, p.postmaster = server.NewDatabase(t), server.PID()
	}
	p.open(t)
	return p
}

// beside creates another empty database of the same kind, on the same server.
func (p *place) beside(t *testing.T) *place {
	t.Helper()
	other := *p
	if p.kind == onSQLite {
		other.address = filepath.Join(t.TempDir(), "beside.db")
	} else {
		if _, err := p.raw.ExecContext(t.Context(), "CREATE DATABASE beside"); err != nil {
			t.Fatal(err)
		}
		u, err := url.Parse(p.address)
		if err != nil {
			t.Fatal(err)
		}
		u.Path = "/beside"
		other.address = u.String()
	}
	other.open(t)
	return &other
}

func (p *place) open(t *testing.T) {
	t.Helper()
	var err error
	if p.kind == onSQLite {
		const pragmas = "?_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)&_pragma=busy_timeout(30000)"
		p.raw, err = sql.Open("sqlite", p.address+pragmas)
	} else {
		p.raw, err = sql.Open("pgx", p.address)
	}
	if err == nil {
		err = p.raw.PingContext(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.raw.Close() })
}

// orm returns GORM on the raw connections.
func (p *place) orm(t *testing.T) *gorm.DB {
	t.Helper()
	var dialector gorm.Dialector = sqlite.Dialector{Conn: p.raw}
	if p.kind == onPostgreSQL {
		dialector = postgres.New(postgres.Config{Conn: p.raw})
	}
	db, err := gorm.Open(dialector, &gorm.Config{Logger: logger.Discard})
	if err != nil {
		t.Fatal(err)
	}
	return db
}

// meter returns a meter of this process, the store's server and the write-ahead log.
func (p *place) meter(t *testing.T) meter {
	m := meter{client: ownCPU, log: func() int64 { return p.walBytes(t) }}
	if p.postmaster != 0 {
		m.server = func() time.Duration { return cpuOfServer(t, p.postmaster) }
	}
	return m
}

func (p *place) walBytes(t *testing.T) (n int64) {
	t.Helper()
	if p.kind == onSQLite {
		info, err := os.Stat(p.address + "-wal")
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	if err := p.raw.QueryRowContext(t.Context(), "SELECT pg_current_wal_insert_lsn() - '0/0'").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// tidy finishes the background work of earlier measurements.
func (p *place) tidy(t *testing.T) {
	t.Helper()
	statement := "VACUUM"
	if p.kind == onSQLite {
		statement = "PRAGMA wal_checkpoint(TRUNCATE)"
	}
	if _, err := p.raw.ExecContext(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
}

func (p *place) count(t *testing.T, query string, values ...any) (n int64) {
	t.Helper()
	if p.kind == onPostgreSQL {
		for i := range values {
			query = strings.Replace(query, "?", fmt.Sprintf("$%d", i+1), 1)
		}
	}
	if err := p.raw.QueryRowContext(t.Context(), query, values...).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// filled is a store with an instance, whose databases are filled like the product does.
type filled struct {
	*place
	dataDir  string
	store    *models.Store
	instance models.Instance
}

func newFilled(t *testing.T, p *place) *filled {
	t.Helper()
	f := &filled{place: p, dataDir: t.TempDir()}
	keyset, err := models.CreateKeyset(filepath.Join(f.dataDir, "keyset.json"))
	if err != nil {
		t.Fatal(err)
	}
	f.store, err = models.Open(t.Context(), models.Options{
		Address: p.address, Keyset: keyset, Zone: time.UTC, Migrate: migrations.Up, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.store.Close() })
	host, port := "127.0.0.1", 5432
	f.instance, err = f.store.CreateInstance(t.Context(), models.Instance{
		Name: "bench", DBType: models.PostgreSQL, Host: &host, Port: &port, IsActive: true, TLSMode: models.TLSPrefer,
	}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *filled) database(t *testing.T, name string) models.InstanceDatabase {
	t.Helper()
	found := models.DatabaseResult{Databases: []models.DatabaseSize{{Name: name}}}
	if _, err := f.store.SaveInventory(t.Context(), f.instance.ID, found, time.Now()); err != nil {
		t.Fatal(err)
	}
	database, err := f.store.Database(t.Context(), f.instance.ID, name)
	if err != nil {
		t.Fatal(err)
	}
	return database
}

func (f *filled) save(t *testing.T, database models.InstanceDatabase, tables []models.TableSize) {
	t.Helper()
	f.saveAt(t, database, tables, time.Now())
}

func (f *filled) saveAt(t *testing.T, database models.InstanceDatabase, tables []models.TableSize, at time.Time) {
	t.Helper()
	receipt, err := f.store.SaveTableSizes(t.Context(), models.SaveTables{
		InstanceID: database.InstanceID, Database: database.Name,
		Result: models.TableResult{Tables: tables, Complete: true}, Started: at, CollectedAt: at,
	})
	if err != nil || receipt.Saved != int64(len(tables)) {
		t.Fatalf("got %d tables saved, %v, want %d", receipt.Saved, err, len(tables))
	}
}

func databaseName(i int) string { return fmt.Sprintf("db%03d", i) }

func madeUpTables(n int) []models.TableSize {
	tables := make([]models.TableSize, n)
	for i := range tables {
		data, index := rand.Int64N(1<<32), rand.Int64N(1<<30)
		total, rows := data+index, data/100
		tables[i] = models.TableSize{
			Schema: fmt.Sprintf("app%d", i%20), Name: fmt.Sprintf("orders_%06d", i), Kind: models.KindTable,
			Total: &total, Data: &data, Index: &index, Unused: new(int64), Rows: &rows,
			RowsSource: models.RowsStatistic, SizeSource: models.SizeAllocated,
		}
	}
	return tables
}

// grow changes a tenth of the tables, a different one each round.
func grow(tables []models.TableSize, round int) {
	for i := range tables {
		if (i+round)%10 == 0 {
			data := *tables[i].Data + 8192
			total := data + *tables[i].Index
			tables[i].Data, tables[i].Total = &data, &total
		}
	}
}
