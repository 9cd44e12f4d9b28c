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

// statements maps the name of each file in sql, without ".sql", to its text. The statement x reads dba_x, the statement
// user_x reads user_x. They lack the comments at their heads, in which the driver would look for the kind of statement.
var statements = readStatements()

func readStatements() map[string]string {
	all := collectors.Statements(sqlFiles)
	for name, text := range all {
		all[name] = withoutHead(text)
	}
	return all
}

// withoutHead returns a statement without the comment lines at its head.
func withoutHead(text string) string {
	for strings.HasPrefix(text, "--") {
		_, text, _ = strings.Cut(text, "\n")
	}
	return text
}

// Collector collects from Oracle Database 11.2 to 23ai. Its databases are the tablespaces of the target's container.
type Collector struct {
	// Connector returns the connector for a target. New sets it to one that uses go-ora; tests replace it.
	Connector func(collectors.Target) (driver.Connector, error)

	connectTimeout   time.Duration
	statementTimeout time.Duration
}

// New returns a collector for Oracle databases. It opens wallets only below walletDirs.
func New(walletDirs []string) *Collector {
	return &Collector{
		Connector:      oraDriver{walletDirs: walletDirs}.connector,
		connectTimeout: collectors.ConnectTimeout, statementTimeout: collectors.StatementTimeout,
	}
}

// Capabilities returns what is particular to Oracle: its databases are tablespaces, and one
// collection reads the segments of all.
func (c *Collector) Capabilities() models.Capabilities {
	return models.Capabilities{AllDatabasesAtOnce: true, NamesHiddenTables: true}
}

// Version connects to the target's service and returns the server's version.
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

// Databases lists every tablespace with the bytes of its files. SYSTEM, SYSAUX and undo and temporary tablespaces are
// system databases. A tablespace with a file whose size the server does not know has an Err and nil sizes.
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

// Tables measures every table, cluster and recycle bin with segments in the tablespace, and lists the tables there that
// have none. It reads the segments of all tablespaces once; Others holds the results of the other tablespaces. For an
// account that may not see the segments of all owners, the result covers only its own schema, named by Scope.
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

// choose returns the result of one tablespace, with the other results in Others. It returns an error if the tablespace
// does not exist, or if nothing was seen in it and the account cannot see enough to tell whether it exists or is empty.
func (s *session) choose(catalog dictionary, tablespace string) (models.TableResult, error) {
	results := catalog.results()
	if s.short {
		for name, r := range results {
			results[name] = collectors.CutShort(r)
		}
	}
	if catalog.scope != "" {
		maps.DeleteFunc(results, func(_ string, r models.TableResult) bool { return len(r.Tables) == 0 })
		for name, r := range results {
			r.Grant = s.grantRole()
			results[name] = r
		}
	}

	result, found := results[tablespace]
	switch {
	case !found && s.short:
		return models.TableResult{}, collectors.ErrShort(tablespace)
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

// catalog reads what the dictionary says about storage. It begins with the segments: whether the account may see those
// of all owners decides whether the DBA_ or the USER_ views are read.
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

// segments reads the segments of all owners, or only those of the session's user if the account may not read the views
// with all. Then refusal is the server's error for those views, nil otherwise. The session's current schema may be
// another one and does not matter.
func (s *session) segments(ctx context.Context, catalog *dictionary) (refusal, err error) {
	var measured collectors.Tally
	for _, view := range []string{"segments", "sys_segments", "user_segments"} {
		err = s.list(ctx, view, func(rows *sql.Rows) error {
			var owner, name, kind, tablespace textColumn
			var bytes collectors.Number
			if err := rows.Scan(&owner, &name, &kind, &tablespace, &bytes); err != nil {
				return err
			}

			catalog.segments = append(catalog.segments, dictSegment{
				objectName: objectName{string(owner), string(name)},
				kind:       string(kind), tablespace: string(tablespace), bytes: bytes,
			})
			if kind == "TABLE" { // progress counts tables without partitions; how many there are is not known yet
				measured.Add(ctx)
			}
			return nil
		})
		switch {
		case !isDenied(err) && view == "user_segments":
			return refusal, err
		case !isDenied(err):
			return nil, err
		}
		refusal = err
	}

	denied := &models.Error{Code: models.CodeCollection, Key: "collect.oracle.segments_denied", Err: refusal}
	return nil, answered(denied, refusal).WithGrant(s.grantRole())
}

func (s *session) tables(ctx context.Context, prefix string, catalog *dictionary) error {
	catalog.tables = map[objectName]dictTable{}
	return s.eachRequired(ctx, prefix, "all_tables", func(rows *sql.Rows) error {
		var owner, name, tablespace, clusterOwner, cluster, base, temporary, secondary, dropped, created textColumn
		var count collectors.Number
		var analyzed sql.NullTime
		err := rows.Scan(&owner, &name, &tablespace, &clusterOwner, &cluster, &base,
			&temporary, &secondary, &dropped, &created, &count, &analyzed)
		if err != nil {
			return err
		}

		table := dictTable{
			objectName: objectName{string(owner), string(name)}, tablespace: string(tablespace),
			base: string(base), created: string(created), temporary: temporary == "Y", secondary: secondary == "Y",
			dropped: dropped == "YES" || dropped != "NO" && isRecycled(string(name)),
			rows:    count.Pointer(), impossible: count == collectors.Impossible, analyzed: inUTC(analyzed),
		}
		if cluster != "" {
			table.cluster = objectName{string(cmp.Or(clusterOwner, owner)), string(cluster)}
		}
		catalog.tables[table.objectName] = table
		return nil
	})
}

// inUTC returns a DATE in UTC, nil for NULL. The driver returns it in the server's time zone.
func inUTC(date sql.NullTime) *time.Time {
	if !date.Valid {
		return nil
	}
	at := date.Time.UTC()
	return &at
}

func (s *session) indexes(ctx context.Context, prefix string, catalog *dictionary) error {
	catalog.indexes = map[objectName]dictIndex{}
	return s.eachRequired(ctx, prefix, "indexes", func(rows *sql.Rows) error {
		var owner, name, kind, tableOwner, table, tableType textColumn
		if err := rows.Scan(&owner, &name, &kind, &tableOwner, &table, &tableType); err != nil {
			return err
		}

		catalog.indexes[objectName{string(owner), string(name)}] = dictIndex{
			kind: string(kind), table: objectName{string(tableOwner), string(table)}, onCluster: tableType == "CLUSTER",
		}
		return nil
	})
}

func (s *session) lobs(ctx context.Context, prefix string, catalog *dictionary) error {
	catalog.lobs = map[objectName]objectName{}
	return s.eachRequired(ctx, prefix, "lobs", func(rows *sql.Rows) error {
		var owner, table, segment, index textColumn
		if err := rows.Scan(&owner, &table, &segment, &index); err != nil {
			return err
		}

		for _, part := range []textColumn{segment, index} {
			catalog.lobs[objectName{string(owner), string(part)}] = objectName{string(owner), string(table)}
		}
		return nil
	})
}

func (s *session) nested(ctx context.Context, prefix string, catalog *dictionary) error {
	catalog.parents = map[objectName]objectName{}
	return s.eachRequired(ctx, prefix, "nested_tables", func(rows *sql.Rows) error {
		var owner, table, parent textColumn
		if err := rows.Scan(&owner, &table, &parent); err != nil {
			return err
		}
		catalog.parents[objectName{string(owner), string(table)}] = objectName{string(owner), string(parent)}
		return nil
	})
}

func (s *session) clusters(ctx context.Context, prefix string, catalog *dictionary) error {
	catalog.clusters = map[objectName]string{}
	return s.eachRequired(ctx, prefix, "clusters", func(rows *sql.Rows) error {
		var owner, name, tablespace textColumn
		if err := rows.Scan(&owner, &name, &tablespace); err != nil {
			return err
		}
		catalog.clusters[objectName{string(owner), string(name)}] = string(tablespace)
		return nil
	})
}

func (s *session) secondary(ctx context.Context, prefix string, catalog *dictionary) error {
	catalog.secondary = map[objectName]objectName{}
	return s.eachRequired(ctx, prefix, "secondary_objects", func(rows *sql.Rows) error {
		var owner, name, indexOwner, index textColumn
		if err := rows.Scan(&owner, &name, &indexOwner, &index); err != nil {
			return err
		}
		catalog.secondary[objectName{string(owner), string(name)}] = objectName{string(indexOwner), string(index)}
		return nil
	})
}

func (s *session) external(ctx context.Context, prefix string, catalog *dictionary) error {
	catalog.external = map[objectName]bool{}
	return s.eachRequired(ctx, prefix, "external_tables", func(rows *sql.Rows) error {
		var owner, name textColumn
		if err := rows.Scan(&owner, &name); err != nil {
			return err
		}
		catalog.external[objectName{string(owner), string(name)}] = true
		return nil
	})
}

func (s *session) users(ctx context.Context, prefix string, catalog *dictionary) error {
	catalog.defaults = map[string]string{}
	return s.eachRequired(ctx, prefix, "users", func(rows *sql.Rows) error {
		var name, tablespace textColumn
		if err := rows.Scan(&name, &tablespace); err != nil {
			return err
		}
		catalog.defaults[string(name)] = string(tablespace)
		return nil
	})
}

// tablespaces calls visit for every tablespace, or for those that the account may use if it may not see all. all
// reports which.
func (s *session) tablespaces(ctx context.Context, visit func(name, contents string)) (all bool, err error) {
	for _, view := range []string{"tablespaces", "user_tablespaces"} {
		err = s.list(ctx, view, func(rows *sql.Rows) error {
			var name, contents textColumn
			if err := rows.Scan(&name, &contents); err != nil {
				return err
			}
			visit(string(name), string(contents))
			return nil
		})
		if !isDenied(err) {
			return view == "tablespaces", err
		}
	}
	return false, err
}

// databases returns the tablespaces with the sizes of their files, in the order of their names.
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
	if s.short {
		return collectors.CutShortDatabases(result), nil
	}
	if result.Complete = all; !all || data.denied != nil || temporary.denied != nil {
		result.Grant = s.grantRole()
	}
	return result, nil
}

// fileSizes holds the bytes of the files of each tablespace, unknown if the size of one file is.
type fileSizes struct {
	bytes  map[string]collectors.Number
	denied *models.Error // why the account may not see any file, else nil
}

// files sums the files of each tablespace. An account without the privilege gets denied and no error.
func (s *session) files(ctx context.Context, view string) (fileSizes, error) {
	sizes := fileSizes{bytes: map[string]collectors.Number{}}
	err := s.eachRequired(ctx, "", view, func(rows *sql.Rows) error {
		var name textColumn
		var bytes collectors.Number
		if err := rows.Scan(&name, &bytes); err != nil {
			return err
		}

		sizes.bytes[string(name)] = sizes.bytes[string(name)].Plus(bytes)
		return nil
	})
	if errors.As(err, &sizes.denied) {
		return sizes, nil
	}
	return sizes, err
}

// size returns the bytes of a tablespace's files, or why they are unknown.
func (f fileSizes) size(tablespace string) (*int64, *models.Error) {
	switch sum, seen := f.bytes[tablespace]; {
	case f.denied != nil:
		return nil, f.denied
	case sum == collectors.Impossible:
		return nil, collectors.ErrImpossible(tablespace)
	case !seen, !sum.Known():
		return nil, &models.Error{
			Code: models.CodeCollection, Key: "collect.oracle.offline", Args: models.Args("Name", tablespace),
		}
	default:
		return sum.Pointer(), nil
	}
}

// eachRequired runs the statement for a view that a result cannot do without. If the account may not read it, the error
// has the statement that grants the privilege.
func (s *session) eachRequired(ctx context.Context, prefix, view string, scan func(*sql.Rows) error) error {
	err := s.list(ctx, prefix+view, scan)
	if !isDenied(err) {
		return err
	}

	denied := answered(&models.Error{Code: models.CodeCollection, Key: keyDenied, Err: err}, err)
	privilege := "READ"
	if s.version.major < 12 {
		privilege = "SELECT"
	}
	return denied.WithGrant(fmt.Sprintf("GRANT %s ON sys.dba_%s TO %s;", privilege, view, quoted(s.user)))
}

func (s *session) grantRole() string {
	return "GRANT SELECT_CATALOG_ROLE TO " + quoted(s.user) + ";"
}

// quoted returns a name as a quoted identifier. Names cannot contain quotes.
func quoted(name string) string { return `"` + strings.ReplaceAll(name, `"`, "") + `"` }
