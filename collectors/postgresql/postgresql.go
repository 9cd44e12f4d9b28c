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

// batchSize is how many relations one connection sizes. A server process keeps about 10 kB for each relation it has
// looked at until it ends, so a long list needs several of them.
const batchSize = 4500

// searchPath keeps names in our statements from meaning what a user of the monitored database has made.
const searchPath = "pg_catalog"

// PostgreSQL reads PostgreSQL 10 to 18.
type Collector struct {
	connectTimeout time.Duration
	batch          int
	Parameters     map[string]string // of the session, asked for at start-up
}

// New is the collector of PostgreSQL servers.
func New() *Collector {
	return &Collector{connectTimeout: collectors.ConnectTimeout, batch: batchSize, Parameters: map[string]string{
		"search_path":                         searchPath,
		"application_name":                    "whalefall",
		"client_encoding":                     "UTF8",
		"default_transaction_read_only":       "on",
		"statement_timeout":                   collectors.Milliseconds(collectors.StatementTimeout),
		"lock_timeout":                        collectors.Milliseconds(collectors.LockTimeout),
		"idle_in_transaction_session_timeout": collectors.Milliseconds(collectors.StatementTimeout),
		"jit":                                 "off",
	}}
}

// Capabilities returns what is particular to PostgreSQL.
func (c *Collector) Capabilities() models.Capabilities {
	return models.Capabilities{ListsPartitions: true, NamesHiddenTables: true}
}

type serverInfo struct {
	number     int // 150014
	text       string
	blockSize  int64 // bytes
	database   int64 // oid of the one we are connected to
	listsFiles bool  // lets us list and stat the files of its data directory
	tellsBytes bool  // lets us see the memory of our own server process
}

// Version connects to the target's database, or to one every server has, and asks the server what it is.
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

// Databases lists every database but template0 and template1. One that refuses to be sized has an Err and no bytes; one that
// vanishes meanwhile is left out. "postgres" counts as a system database.
func (c *Collector) Databases(ctx context.Context, t collectors.Target) (models.DatabaseResult, error) {
	s, err := c.openAny(ctx, t)
	if err != nil {
		return models.DatabaseResult{}, err
	}
	defer s.close()
	found, err := s.databases(ctx)
	if err != nil {
		return models.DatabaseResult{}, c.classify(ctx, t, t.Database, err)
	}
	result := models.DatabaseResult{Complete: true}
	for _, d := range found {
		size, err := s.databaseSize(ctx, d.oid)
		if errors.Is(err, errVanished) {
			continue
		}
		measured := models.DatabaseSize{Name: collectors.ValidName(d.name), IsSystem: d.name == "postgres"}
		if err == nil {
			measured.Total, measured.Data = &size, &size
		} else if measured.Err = c.refusal(ctx, t, d.name, err); collectors.ConcernsAll(ctx, measured.Err) {
			return models.DatabaseResult{}, measured.Err
		}
		if sqlState(err) == codeInsufficientPrivilege {
			result.Grant = grantRole(t)
		}
		result.Databases = append(result.Databases, measured)
	}
	return result, nil
}

// refusal is the error of one database that could not be sized.
func (c *Collector) refusal(ctx context.Context, t collectors.Target, name string, err error) *models.Error {
	if sqlState(err) == codeInsufficientPrivilege {
		return &models.Error{
			Code: models.CodeCollection, Key: "collect.pg.size_denied", Args: models.Args("Name", collectors.ValidName(name)), Err: err,
			Extra: map[string]any{"sqlstate": codeInsufficientPrivilege, "grant": grantConnect(t, name)},
		}
	}
	return models.AsError(c.classify(ctx, t, collectors.ValidName(name), err))
}

// Tables measures every ordinary, partitioned and unlogged table and every materialized view outside the system
// schemas. The list is always complete: pg_class hides nothing. The sizes are those of the files where the account may list
// them, and what the server's size functions say where it may not; both are the same to the byte.
func (c *Collector) Tables(ctx context.Context, t collectors.Target, database string) (models.TableResult, error) {
	z := &sizing{collector: c, target: t, database: database, sizes: map[int64]relationSize{}}
	catalog, err := z.run(ctx)
	if err != nil {
		return models.TableResult{}, c.ended(ctx, t, database, err)
	}
	return models.TableResult{
		Tables: catalog.assemble(z.sizes), Complete: true, Proof: models.ProofCatalog, ServerBytes: z.serverBytes,
	}, nil
}

// ended is the error of a collection. To drop a database by force ends our connection first; the next one tells.
func (c *Collector) ended(ctx context.Context, t collectors.Target, database string, err error) error {
	if sqlState(err) == codeAdminShutdown && ctx.Err() == nil {
		s, again := c.open(ctx, t, database)
		if again == nil {
			s.close()
		} else if collectors.IsGone(again) {
			return again
		}
	}
	return c.classify(ctx, t, database, err)
}

func (s *session) catalog(ctx context.Context) (relationCatalog, error) {
	server, err := s.server(ctx)
	if err != nil {
		return relationCatalog{}, err
	}
	relations, err := s.relations(ctx)
	if err != nil {
		return relationCatalog{}, err
	}
	parents, err := s.parents(ctx)
	return relationCatalog{server: server, relations: relations, parents: parents}, err
}

func (s *session) server(ctx context.Context) (server serverInfo, err error) {
	err = s.each(ctx, statements["server"], func(rows *sql.Rows) error {
		return rows.Scan(&server.number, &server.text, &server.blockSize, &server.database, &server.listsFiles, &server.tellsBytes)
	})
	return server, err
}

func (s *session) database(ctx context.Context) (oid int64, err error) {
	err = s.each(ctx, statements["database"], func(rows *sql.Rows) error { return rows.Scan(&oid) })
	return oid, err
}

type database struct {
	oid  int64
	name string
}

func (s *session) databases(ctx context.Context) (found []database, err error) {
	err = s.each(ctx, statements["databases"], func(rows *sql.Rows) error {
		var d database
		err := rows.Scan(&d.oid, &d.name)
		found = append(found, d)
		return err
	})
	return found, err
}

// errVanished marks a database that was dropped after it was listed.
var errVanished = errors.New("dropped meanwhile")

func (s *session) databaseSize(ctx context.Context, oid int64) (int64, error) {
	var allowed bool
	var size *int64
	listed := false
	err := s.each(ctx, statements["database_size"], func(rows *sql.Rows) error {
		listed = true
		return rows.Scan(&allowed, &size)
	}, oid)
	switch {
	case sqlState(err) == codeUndefinedObject:
		return 0, errVanished
	case err != nil:
		return 0, err
	case listed && !allowed:
		return 0, &pgconn.PgError{Code: codeInsufficientPrivilege, Message: "neither CONNECT nor pg_read_all_stats"}
	case size == nil:
		return 0, errVanished
	}
	return *size, nil
}

func (s *session) relations(ctx context.Context) (found []relation, err error) {
	once := map[string]string{} // few schemas and kinds are named by many relations
	err = s.each(ctx, statements["relations"], func(rows *sql.Rows) error {
		var r relation
		err := rows.Scan(&r.oid, &r.schema, &r.name, &r.kind, &r.partition, &r.toast, &r.tuples, &r.pages)
		if !r.system() {
			r.schema, r.kind = kept(once, r.schema), kept(once, r.kind)
			found = append(found, r)
		}
		return err
	})
	slices.SortFunc(found, func(a, b relation) int { return cmp.Or(cmp.Compare(b.pages, a.pages), cmp.Compare(a.oid, b.oid)) })
	return found, err
}

// kept is the text as it was first seen.
func kept(once map[string]string, text string) string {
	if first, seen := once[text]; seen {
		return first
	}
	once[text] = text
	return text
}

func (s *session) parents(ctx context.Context) (map[int64]int64, error) {
	parents := map[int64]int64{}
	err := s.each(ctx, statements["inherits"], func(rows *sql.Rows) error {
		var child, parent int64
		err := rows.Scan(&child, &parent)
		parents[child] = parent
		return err
	})
	return parents, err
}

func grantConnect(t collectors.Target, database string) string {
	return fmt.Sprintf("GRANT CONNECT ON DATABASE %s TO %s", quoted(database), quoted(t.Username))
}

func grantRole(t collectors.Target) string { return "GRANT pg_monitor TO " + quoted(t.Username) }

func quoted(name string) string { return pgx.Identifier{name}.Sanitize() }

// isSystemSchema reports whether a schema belongs to the server. Its names that start with pg_ cannot be taken by anyone
// else, but some extensions are given one.
func isSystemSchema(name string) bool {
	return name == "pg_catalog" || name == "information_schema" ||
		strings.HasPrefix(name, "pg_toast") || strings.HasPrefix(name, "pg_temp_")
}
