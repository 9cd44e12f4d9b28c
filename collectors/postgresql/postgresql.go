// Package postgresql collects sizes from PostgreSQL.
package postgresql

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"whalefall/collectors"
	"whalefall/models"
)

// batchSize is how many relations are sized over one connection. Until it ends, a server process keeps about 10 kB
// for each relation it has looked at, so long lists are spread over several connections.
const batchSize = 4500

// searchPath keeps objects of the monitored database from shadowing those that our statements name.
const searchPath = "pg_catalog"

// Collector collects from PostgreSQL 10 to 18.
type Collector struct {
	connectTimeout time.Duration
	batch          int
	Settings       map[string]string // of the session, where the server's built-in ones will not do
}

// New returns a collector for PostgreSQL servers.
func New() *Collector {
	return &Collector{connectTimeout: collectors.ConnectTimeout, batch: batchSize, Settings: map[string]string{
		"search_path":                         searchPath,
		"application_name":                    "whalefall",
		"client_encoding":                     "UTF8",
		"default_transaction_read_only":       "on",
		"statement_timeout":                   collectors.Milliseconds(collectors.StatementTimeout),
		"lock_timeout":                        collectors.Milliseconds(collectors.LockTimeout),
		"idle_in_transaction_session_timeout": collectors.Milliseconds(collectors.StatementTimeout),
		"geqo":                                "off",
		"jit":                                 "off",
		"max_parallel_workers_per_gather":     "0",
		"work_mem":                            "4096", // kB, as servers are built
	}}
}

// Capabilities returns what is particular to PostgreSQL.
func (c *Collector) Capabilities() models.Capabilities {
	return models.Capabilities{ListsPartitions: true, NamesHiddenTables: true}
}

// serverInfo is what a server says about itself and the rights of the account.
type serverInfo struct {
	number     int // 150014
	text       string
	blockSize  int64 // bytes
	database   int64 // oid of the connected database
	listsFiles bool  // the account may list and stat the files of the data directory
	tellsBytes bool  // the account may see the memory of its own server process
}

// Version connects to the target's database, or to one every server has, and returns the server's version.
func (c *Collector) Version(ctx context.Context, t collectors.Target) (models.Version, error) {
	s, err := c.openAny(ctx, t)
	if err != nil {
		return models.Version{}, err
	}
	defer s.close()
	server, err := s.server(ctx)
	if err != nil {
		return models.Version{}, c.classify(ctx, t, t.Database, err)
	}
	major := strconv.Itoa(server.number / 10000)
	return models.Version{Full: server.text, Main: major, Detailed: fmt.Sprintf("%s.%d", major, server.number%10000)}, nil
}

// Databases lists every database but template0 and template1. One that cannot be sized has an Err and no bytes; one
// that is dropped meanwhile is left out. "postgres" counts as a system database.
func (c *Collector) Databases(ctx context.Context, t collectors.Target) (models.DatabaseResult, error) {
	return collectors.OnOneServer(func(last bool) (models.DatabaseResult, error) { return c.sizeDatabases(ctx, t, last) })
}

// sizeDatabases lists the databases and sizes them. If a transaction comes across another server, it returns the error
// of that, or the last time a list without sizes that were read there.
func (c *Collector) sizeDatabases(
	ctx context.Context, t collectors.Target, last bool,
) (models.DatabaseResult, error) {
	s, err := c.openAny(ctx, t)
	if err != nil {
		return models.DatabaseResult{}, err
	}
	defer s.close()
	found, err := s.databases(ctx)
	if err != nil {
		return models.DatabaseResult{}, c.classify(ctx, t, t.Database, err)
	}
	result := models.DatabaseResult{Complete: !s.short}
	if s.short {
		result.Proof = models.ProofShort
	}
	for _, d := range found {
		size, err := s.databaseSize(ctx, d)
		if errors.Is(err, errVanished) {
			continue
		}
		if collectors.IsOtherServer(err) {
			if !last {
				return models.DatabaseResult{}, err
			}
			result.Complete, result.Proof = false, models.ProofServers
		}
		measured := models.DatabaseSize{Name: collectors.ValidName(d.name), IsSystem: d.name == "postgres"}
		if err == nil {
			measured.Total, measured.Data = &size, &size
		} else if measured.Err = c.refusal(ctx, t, d.name, err); collectors.ConcernsAll(ctx, measured.Err) {
			return models.DatabaseResult{}, measured.Err
		}
		if denied(err) {
			result.Grant = grantRole(t)
		}
		result.Databases = append(result.Databases, measured)
	}
	return result, nil
}

// refusal returns the error of one database that could not be sized.
func (c *Collector) refusal(ctx context.Context, t collectors.Target, name string, err error) *models.Error {
	if denied(err) {
		return &models.Error{
			Code: models.CodeCollection, Key: "collect.postgresql.size_denied",
			Args: models.Args("Name", collectors.ValidName(name)), Err: err,
			Grant: grantConnect(t, name), Extra: map[string]any{"sqlstate": codeInsufficientPrivilege},
		}
	}
	return models.AsError(c.classify(ctx, t, collectors.ValidName(name), err))
}

// Tables measures every ordinary, partitioned and unlogged table and every materialized view outside the system
// schemas. The list is always complete: pg_class hides nothing. Sizes come from the files where the account may list
// them, elsewhere from the server's size functions; both agree to the byte.
func (c *Collector) Tables(ctx context.Context, t collectors.Target, database string) (models.TableResult, error) {
	return collectors.OnOneServer(func(last bool) (models.TableResult, error) { return c.tables(ctx, t, database, last) })
}

// tables measures the tables. If a connection leads to another server, it returns the error of that, or the last time a
// result in which what was not measured before is unread.
func (c *Collector) tables(
	ctx context.Context, t collectors.Target, database string, last bool,
) (models.TableResult, error) {
	z := &sizing{collector: c, target: t, database: database, sizes: map[int64]relationSize{}}
	catalog, err := z.run(ctx)
	elsewhere := last && collectors.IsOtherServer(err) && catalog.server.number != 0
	if err != nil && !elsewhere {
		return models.TableResult{}, z.ended(ctx, err)
	}
	result := models.TableResult{
		Tables: catalog.assemble(z.sizes), Complete: true, Proof: models.ProofCatalog, ServerBytes: z.serverBytes,
	}
	switch {
	case elsewhere:
		result.Complete, result.Proof = false, models.ProofServers
	case z.short:
		result = collectors.CutShort(result)
	}
	return result, nil
}

// ended returns the error of a collection. A database that is dropped by force takes our connection with it, so only
// a new connection can tell whether it is gone.
func (z *sizing) ended(ctx context.Context, err error) error {
	if sqlState(err) == codeAdminShutdown && ctx.Err() == nil {
		s, again := z.collector.open(ctx, z.target, z.database)
		if again == nil {
			s.close()
		} else if collectors.IsGone(again) {
			return z.confirmGone(ctx, again)
		}
	}
	return z.collector.classify(ctx, z.target, z.database, err)
}

// confirmGone returns the error that says that the database is gone, unless another server than the one that listed its
// tables says so.
func (z *sizing) confirmGone(ctx context.Context, gone error) error {
	elsewhere := z.target
	elsewhere.Database = ""
	s, err := z.collector.openAny(ctx, elsewhere)
	if err != nil {
		return err
	}
	defer s.close()
	if s.pooled { // behind a pooler each transaction may be elsewhere
		s.onServer = z.onServer
		_, err = s.database(ctx)
		return cmp.Or(err, gone)
	}
	if s.onServer != z.onServer {
		return collectors.OtherServer()
	}
	return gone
}

func (s *session) catalog(ctx context.Context) (found relationCatalog, err error) {
	err = s.snapshot(ctx, func() (err error) {
		if found.server, err = s.server(ctx); err != nil {
			return err
		}
		if found.relations, err = s.relations(ctx); err != nil {
			return err
		}
		found.parents, err = s.parents(ctx)
		return err
	})
	return found, err
}

func (s *session) server(ctx context.Context) (server serverInfo, err error) {
	err = s.each(ctx, statements["server"], func(rows *sql.Rows) error {
		return rows.Scan(&server.number, &server.text, &server.blockSize, &server.database,
			&server.listsFiles, &server.tellsBytes)
	})
	return server, err
}

func (s *session) database(ctx context.Context) (oid int64, err error) {
	err = s.each(ctx, statements["database"], func(rows *sql.Rows) error { return rows.Scan(&oid) })
	return oid, err
}

// database is one row of pg_database.
type database struct {
	oid  int64
	name string
}

// databases returns the databases that allow connections. Their names are in nobody's encoding: each is that of the
// session which created it.
func (s *session) databases(ctx context.Context) (found []database, err error) {
	err = s.snapshot(ctx, func() error {
		if s.converts() {
			if err := s.run(ctx, "SET LOCAL client_encoding TO 'SQL_ASCII'"); err != nil {
				return err
			}
		}
		return s.list(ctx, statements["databases"], func(rows *sql.Rows) error {
			var d database
			if err := rows.Scan(&d.oid, &d.name); err != nil {
				return err
			}
			found = append(found, d)
			return nil
		})
	})
	return found, err
}

// errVanished marks a database that was dropped after it was listed.
var errVanished = errors.New("dropped meanwhile")

// databaseSize returns the bytes of a database, or errVanished.
func (s *session) databaseSize(ctx context.Context, d database) (int64, error) {
	var allowed bool
	size, listed := collectors.Unknown, false
	err := s.each(ctx, statements["database_size"], func(rows *sql.Rows) error {
		listed = true
		return rows.Scan(&allowed, &size)
	}, d.oid)
	switch {
	case sqlState(err) == codeUndefinedObject:
		return 0, errVanished
	case err != nil:
		return 0, err
	case listed && !allowed:
		return 0, &pgconn.PgError{Code: codeInsufficientPrivilege, Message: "neither CONNECT nor pg_read_all_stats"}
	case size == collectors.Unknown:
		return 0, errVanished
	case !size.Known():
		return 0, collectors.ErrImpossible(collectors.ValidName(d.name))
	}
	return int64(size), nil
}

// relations returns the relations outside the system schemas, the biggest first.
func (s *session) relations(ctx context.Context) (found []relation, err error) {
	interned := map[string]string{} // many relations share few schemas and kinds
	err = s.list(ctx, statements["relations"], func(rows *sql.Rows) error {
		var r relation
		if err := rows.Scan(&r.oid, &r.schema, &r.name, &r.kind, &r.partition, &r.toast, &r.tuples, &r.pages); err != nil {
			return err
		}

		if !r.system() {
			r.schema, r.kind = intern(interned, s.name(r.schema)), intern(interned, r.kind)
			r.name = s.name(r.name)
			found = append(found, r)
		}
		return nil
	})

	slices.SortFunc(found, func(a, b relation) int {
		return cmp.Or(cmp.Compare(b.pages, a.pages), cmp.Compare(a.oid, b.oid))
	})
	return found, err
}

// intern returns the first equal text it was called with, so that equal texts share their memory.
func intern(interned map[string]string, text string) string {
	if first, seen := interned[text]; seen {
		return first
	}
	interned[text] = text
	return text
}

// parents returns the parent of each child relation, by oid.
func (s *session) parents(ctx context.Context) (map[int64]int64, error) {
	parents := map[int64]int64{}
	err := s.list(ctx, statements["inherits"], func(rows *sql.Rows) error {
		var child, parent int64
		if err := rows.Scan(&child, &parent); err != nil {
			return err
		}
		parents[child] = parent
		return nil
	})
	return parents, err
}

func grantConnect(t collectors.Target, database string) string {
	return fmt.Sprintf("GRANT CONNECT ON DATABASE %s TO %s", quoted(database), quoted(t.Username))
}

func grantRole(t collectors.Target) string { return "GRANT pg_monitor TO " + quoted(t.Username) }

func quoted(name string) string { return pgx.Identifier{name}.Sanitize() }

// isSystemSchema reports whether a schema belongs to the server. Users cannot create schemas whose names start with
// pg_, but some extensions have one.
func isSystemSchema(name string) bool {
	return name == "pg_catalog" || name == "information_schema" ||
		strings.HasPrefix(name, "pg_toast") || strings.HasPrefix(name, "pg_temp_")
}
