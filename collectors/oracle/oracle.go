// Package oracle collects sizes from Oracle Database.
package oracle

import (
	"cmp"
	"context"
	"database/sql"
	"database/sql/driver"
	"embed"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"whalefall/collectors"
	"whalefall/models"
)

//go:embed sql/*.sql
var sqlFiles embed.FS

// statements holds the text of each file in sql by its name without ".sql". The statement that reads dba_x is called
// x, the one that reads user_x is called user_x. They are sent without the comments at their heads, in which the
// driver would look for the kind of statement.
var statements = readStatements()

func readStatements() map[string]string {
	all := collectors.Statements(sqlFiles)
	for name, text := range all {
		all[name] = withoutHead(text)
	}
	return all
}

func withoutHead(text string) string {
	for strings.HasPrefix(text, "--") {
		_, text, _ = strings.Cut(text, "\n")
	}
	return text
}

// Collector collects from Oracle Database 11.2 to 23ai. Its databases are the tablespaces of the container that the
// target names.
type Collector struct {
	// Connector makes the connections to a target: go-ora's, unless something else is put here.
	Connector func(collectors.Target) (driver.Connector, error)

	connectTimeout   time.Duration
	statementTimeout time.Duration
}

// New returns the collector of Oracle databases. It opens wallets only below walletDirs.
func New(walletDirs []string) *Collector {
	return &Collector{
		Connector:      oraDriver{walletDirs: walletDirs}.connector,
		connectTimeout: collectors.ConnectTimeout, statementTimeout: collectors.StatementTimeout,
	}
}

// Capabilities returns what is particular to Oracle: its databases are tablespaces, and the segments of all are read
// together.
func (c *Collector) Capabilities() models.Capabilities {
	return models.Capabilities{AllDatabasesAtOnce: true, NamesHiddenTables: true}
}

// Version connects to the target's service and asks the server what it is.
func (c *Collector) Version(ctx context.Context, t collectors.Target) (models.Version, error) {
	s, err := c.open(ctx, t)
	if err != nil {
		return models.Version{}, err
	}
	defer s.close()
	full := s.version
	if full.major >= 18 {
		if full, err = s.readVersion(ctx, "products_full"); err != nil {
			return models.Version{}, s.failed(ctx, err)
		}
	}
	return models.Version{Full: full.product + " " + full.number, Main: full.main(), Detailed: full.number}, nil
}

// Databases lists every tablespace with the bytes of its files. SYSTEM, SYSAUX and those for undo and temporary
// segments are system databases. One with a file whose size the server does not know has an Err and no bytes.
func (c *Collector) Databases(ctx context.Context, t collectors.Target) (models.DatabaseResult, error) {
	s, err := c.open(ctx, t)
	if err != nil {
		return models.DatabaseResult{}, err
	}
	defer s.close()
	result, err := s.databases(ctx)
	if err != nil {
		return models.DatabaseResult{}, s.failed(ctx, err)
	}
	return result, nil
}

// Tables measures every table, cluster and recycle bin that has bytes in the tablespace, by one reading of the
// segments of all tablespaces: what it found of the others is in Others. An account that may not see the segments of
// all owners gets those of its own schema, and the result has it as its Scope.
func (c *Collector) Tables(ctx context.Context, t collectors.Target, tablespace string) (models.TableResult, error) {
	s, err := c.open(ctx, t)
	if err != nil {
		return models.TableResult{}, err
	}
	defer s.close()
	catalog, err := s.catalog(ctx)
	if err != nil {
		return models.TableResult{}, s.failed(ctx, err)
	}
	result, err := s.choose(catalog, tablespace)
	collectors.Expected(ctx, len(result.Tables))
	collectors.Counted(ctx, len(result.Tables))
	return result, err
}

// choose is the result of one tablespace, with the others beside it. An empty result of one's own schema proves
// nothing, nor does one where tablespaces without segments cannot be seen.
func (s *session) choose(catalog dictionary, tablespace string) (models.TableResult, error) {
	results := catalog.results()
	if catalog.scope != "" {
		maps.DeleteFunc(results, func(_ string, r models.TableResult) bool { return len(r.Tables) == 0 })
		for name, r := range results {
			r.Grant = s.grantRole()
			results[name] = r
		}
	}
	result, found := results[tablespace]
	switch {
	case !found && catalog.allTablespaces && !catalog.tablespaces[tablespace]:
		return models.TableResult{}, collectors.TablespaceGone(tablespace)
	case !found:
		return models.TableResult{}, &models.Error{
			Code: models.CodeCollection, Key: "collect.oracle.nothing_seen", Args: models.Args("Name", tablespace),
			Grant: s.grantRole(), Extra: map[string]any{"error_number": catalog.refusal},
		}
	}
	delete(results, tablespace)
	result.Others = results
	return result, nil
}

// catalog reads what the dictionary says about storage, segments first: which of the views can be read decides whose
// tables and indexes are of use.
func (s *session) catalog(ctx context.Context) (dictionary, error) {
	catalog := dictionary{tablespaces: map[string]bool{}}
	refusal, err := s.segments(ctx, &catalog)
	if err != nil {
		return catalog, err
	}
	prefix := ""
	if refusal != nil {
		catalog.scope, catalog.refusal, prefix = s.user, errorNumber(refusal), "user_"
	}
	catalog.allTablespaces, err = s.tablespaces(ctx, func(name, _ string) { catalog.tablespaces[name] = true })
	if err != nil {
		return catalog, err
	}
	for _, read := range []func(context.Context, string, *dictionary) error{
		s.tables, s.indexes, s.lobs, s.nested, s.clusters, s.secondary, s.external, s.users,
	} {
		if err := read(ctx, prefix, &catalog); err != nil {
			return catalog, err
		}
	}
	return catalog, nil
}

// segments reads the segments of all owners or else, if none of the views of those can be read, of one's own schema.
// The schema that a statement without an owner's name means is of no interest here: it may be another one. refusal is
// why not those of all owners; nil if it is those.
func (s *session) segments(ctx context.Context, catalog *dictionary) (refusal, err error) {
	var measured collectors.Tally
	for _, view := range []string{"segments", "sys_segments", "user_segments"} {
		err = s.each(ctx, view, func(rows *sql.Rows) error {
			var segment dictSegment
			var owner, name, kind, tablespace textColumn
			var bytes numberColumn
			err := rows.Scan(&owner, &name, &kind, &tablespace, &bytes)
			segment.objectName = objectName{string(owner), string(name)}
			segment.kind, segment.tablespace, segment.bytes = string(kind), string(tablespace), bytes.value
			catalog.segments = append(catalog.segments, segment)
			if segment.kind == "TABLE" { // how many tables without partitions there are is told by nobody yet
				measured.Add(ctx)
			}
			return err
		})
		switch {
		case !isDenied(err) && view == "user_segments":
			return refusal, err
		case !isDenied(err):
			return nil, err
		}
		refusal = err
	}
	return nil, (&models.Error{Code: models.CodeCollection, Key: "collect.oracle.segments_denied", Err: refusal}).
		With("error_number", errorNumber(refusal)).WithGrant(s.grantRole())
}

func (s *session) tables(ctx context.Context, prefix string, catalog *dictionary) error {
	catalog.tables = map[objectName]dictTable{}
	return s.needed(ctx, prefix, "all_tables", func(rows *sql.Rows) error {
		var owner, name, tablespace, clusterOwner, cluster, base, temporary, secondary, dropped, created textColumn
		var count numberColumn
		var analyzed sql.NullTime
		err := rows.Scan(&owner, &name, &tablespace, &clusterOwner, &cluster, &base, &temporary, &secondary, &dropped, &created,
			&count, &analyzed)
		table := dictTable{
			objectName: objectName{string(owner), string(name)}, tablespace: string(tablespace),
			base: string(base), created: string(created), temporary: temporary == "Y", secondary: secondary == "Y",
			dropped: dropped == "YES" || dropped != "NO" && isRecycled(string(name)),
			rows:    count.value, analyzed: inUTC(analyzed),
		}
		if cluster != "" {
			table.cluster = objectName{string(cmp.Or(clusterOwner, owner)), string(cluster)}
		}
		catalog.tables[table.objectName] = table
		return err
	})
}

// inUTC is a DATE, which the driver takes for one in the server's time zone.
func inUTC(date sql.NullTime) *time.Time {
	if !date.Valid {
		return nil
	}
	at := date.Time.UTC()
	return &at
}

func (s *session) indexes(ctx context.Context, prefix string, catalog *dictionary) error {
	catalog.indexes = map[objectName]dictIndex{}
	return s.needed(ctx, prefix, "indexes", func(rows *sql.Rows) error {
		var owner, name, kind, tableOwner, table, tableType textColumn
		err := rows.Scan(&owner, &name, &kind, &tableOwner, &table, &tableType)
		catalog.indexes[objectName{string(owner), string(name)}] = dictIndex{
			kind: string(kind), table: objectName{string(tableOwner), string(table)}, onCluster: tableType == "CLUSTER",
		}
		return err
	})
}

func (s *session) lobs(ctx context.Context, prefix string, catalog *dictionary) error {
	catalog.lobs = map[objectName]objectName{}
	return s.needed(ctx, prefix, "lobs", func(rows *sql.Rows) error {
		var owner, table, segment, index textColumn
		err := rows.Scan(&owner, &table, &segment, &index)
		for _, part := range []textColumn{segment, index} {
			catalog.lobs[objectName{string(owner), string(part)}] = objectName{string(owner), string(table)}
		}
		return err
	})
}

func (s *session) nested(ctx context.Context, prefix string, catalog *dictionary) error {
	catalog.parents = map[objectName]objectName{}
	return s.needed(ctx, prefix, "nested_tables", func(rows *sql.Rows) error {
		var owner, table, parent textColumn
		err := rows.Scan(&owner, &table, &parent)
		catalog.parents[objectName{string(owner), string(table)}] = objectName{string(owner), string(parent)}
		return err
	})
}

func (s *session) clusters(ctx context.Context, prefix string, catalog *dictionary) error {
	catalog.clusters = map[objectName]string{}
	return s.needed(ctx, prefix, "clusters", func(rows *sql.Rows) error {
		var owner, name, tablespace textColumn
		err := rows.Scan(&owner, &name, &tablespace)
		catalog.clusters[objectName{string(owner), string(name)}] = string(tablespace)
		return err
	})
}

func (s *session) secondary(ctx context.Context, prefix string, catalog *dictionary) error {
	catalog.secondary = map[objectName]objectName{}
	return s.needed(ctx, prefix, "secondary_objects", func(rows *sql.Rows) error {
		var owner, name, indexOwner, index textColumn
		err := rows.Scan(&owner, &name, &indexOwner, &index)
		catalog.secondary[objectName{string(owner), string(name)}] = objectName{string(indexOwner), string(index)}
		return err
	})
}

func (s *session) external(ctx context.Context, prefix string, catalog *dictionary) error {
	catalog.external = map[objectName]bool{}
	return s.needed(ctx, prefix, "external_tables", func(rows *sql.Rows) error {
		var owner, name textColumn
		err := rows.Scan(&owner, &name)
		catalog.external[objectName{string(owner), string(name)}] = true
		return err
	})
}

func (s *session) users(ctx context.Context, prefix string, catalog *dictionary) error {
	catalog.defaults = map[string]string{}
	return s.needed(ctx, prefix, "users", func(rows *sql.Rows) error {
		var name, tablespace textColumn
		err := rows.Scan(&name, &tablespace)
		catalog.defaults[string(name)] = string(tablespace)
		return err
	})
}

// tablespaces hands every tablespace to visit with its contents, or those that the account may use where it may not
// see all.
func (s *session) tablespaces(ctx context.Context, visit func(name, contents string)) (all bool, err error) {
	for _, view := range []string{"tablespaces", "user_tablespaces"} {
		err = s.each(ctx, view, func(rows *sql.Rows) error {
			var name, contents textColumn
			err := rows.Scan(&name, &contents)
			visit(string(name), string(contents))
			return err
		})
		if !isDenied(err) {
			return view == "tablespaces", err
		}
	}
	return false, err
}

func (s *session) databases(ctx context.Context) (models.DatabaseResult, error) {
	var result models.DatabaseResult
	data, err := s.files(ctx, "data_files")
	if err != nil {
		return result, err
	}
	temporary, err := s.files(ctx, "temp_files")
	if err != nil {
		return result, err
	}
	all, err := s.tablespaces(ctx, func(name, contents string) {
		files := data
		if contents == "TEMPORARY" {
			files = temporary
		}
		d := models.DatabaseSize{Name: name, IsSystem: name == "SYSTEM" || name == "SYSAUX" || contents != "PERMANENT"}
		d.Total, d.Err = files.size(name)
		d.Data = d.Total
		result.Databases = append(result.Databases, d)
	})
	if err != nil {
		return result, err
	}
	slices.SortFunc(result.Databases, func(a, b models.DatabaseSize) int { return strings.Compare(a.Name, b.Name) })
	if result.Complete = all; !all || data.denied != nil || temporary.denied != nil {
		result.Grant = s.grantRole()
	}
	return result, nil
}

// fileSizes are the bytes of the files of each tablespace; nil where the size of one is unknown.
type fileSizes struct {
	bytes  map[string]*int64
	denied *models.Error // nobody lets us see them
}

func (s *session) files(ctx context.Context, view string) (fileSizes, error) {
	sizes := fileSizes{bytes: map[string]*int64{}}
	err := s.needed(ctx, "", view, func(rows *sql.Rows) error {
		var name textColumn
		var bytes numberColumn
		err := rows.Scan(&name, &bytes)
		sum, seen := sizes.bytes[string(name)]
		switch {
		case bytes.value != nil && !seen:
			sum = bytes.value
		case bytes.value != nil && sum != nil:
			*sum += *bytes.value
		default:
			sum = nil
		}
		sizes.bytes[string(name)] = sum
		return err
	})
	if errors.As(err, &sizes.denied) {
		return sizes, nil
	}
	return sizes, err
}

func (f fileSizes) size(tablespace string) (*int64, *models.Error) {
	switch sum := f.bytes[tablespace]; {
	case f.denied != nil:
		return nil, f.denied
	case sum == nil:
		return nil, &models.Error{Code: models.CodeCollection, Key: "collect.oracle.offline", Args: models.Args("Name", tablespace)}
	default:
		return sum, nil
	}
}

// needed is each for a view without which a result would be half the truth.
func (s *session) needed(ctx context.Context, prefix, view string, scan func(*sql.Rows) error) error {
	err := s.each(ctx, prefix+view, scan)
	if !isDenied(err) {
		return err
	}
	denied := &models.Error{
		Code: models.CodeCollection, Key: keyDenied, Err: err, Extra: map[string]any{"error_number": errorNumber(err)},
	}
	privilege := "READ"
	if s.version.major < 12 {
		privilege = "SELECT"
	}
	return denied.WithGrant(fmt.Sprintf("GRANT %s ON sys.dba_%s TO %s;", privilege, view, quoted(s.user)))
}

func (s *session) grantRole() string {
	return "GRANT SELECT_CATALOG_ROLE TO " + quoted(s.user) + ";"
}

// quoted is a name that means itself in a statement. No name has a quote in it.
func quoted(name string) string { return `"` + strings.ReplaceAll(name, `"`, "") + `"` }
