package collectors

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

	"whalefall/models"
)

//go:embed sql/oracle/*.sql
var oracleFiles embed.FS

// oracleStatements are by the names of their files. One that reads dba_x is called x, one that reads user_x user_x. They
// are sent without the comments at their heads, in which the driver would look for the kind of statement.
var oracleStatements = readOracleStatements()

func readOracleStatements() map[string]string {
	files, err := oracleFiles.ReadDir("sql/oracle")
	if err != nil {
		panic(err)
	}
	statements := make(map[string]string, len(files))
	for _, file := range files {
		text, err := oracleFiles.ReadFile("sql/oracle/" + file.Name())
		if err != nil {
			panic(err)
		}
		statements[strings.TrimSuffix(file.Name(), ".sql")] = withoutHead(string(text))
	}
	return statements
}

func withoutHead(text string) string {
	for strings.HasPrefix(text, "--") {
		_, text, _ = strings.Cut(text, "\n")
	}
	return text
}

// Oracle reads Oracle Database 11.2 to 23ai. Its databases are the tablespaces of the container that the target names.
type Oracle struct {
	// Connector makes the connections to a target: go-ora's, unless something else is put here.
	Connector func(Target) (driver.Connector, error)

	connectTimeout   time.Duration
	statementTimeout time.Duration
}

// NewOracle is the collector of Oracle databases. It opens wallets only below walletDirs.
func NewOracle(walletDirs []string) *Oracle {
	return &Oracle{
		Connector:      oracleDriver{walletDirs: walletDirs}.connector,
		connectTimeout: connectTimeout, statementTimeout: statementTimeout,
	}
}

// Version connects to the target's service and asks the server what it is.
func (c *Oracle) Version(ctx context.Context, t Target) (models.Version, error) {
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

// Databases lists every tablespace with the bytes of its files. SYSTEM, SYSAUX and those for undo and temporary segments
// are system databases. One with a file whose size the server does not know has an Err and no bytes.
func (c *Oracle) Databases(ctx context.Context, t Target) (models.DatabaseResult, error) {
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

// Tables measures every table, cluster and recycle bin that has bytes in the tablespace, by one reading of the segments of
// all tablespaces: what it found of the others is in Others. An account that may not see the segments of all owners gets
// those of its own schema, and the result has it as its Scope.
func (c *Oracle) Tables(ctx context.Context, t Target, tablespace string) (models.TableResult, error) {
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
	expected(ctx, len(result.Tables))
	counted(ctx, len(result.Tables))
	return result, err
}

// choose is the result of one tablespace, with the others beside it. An empty result of one's own schema proves nothing,
// nor does one where tablespaces without segments cannot be seen.
func (s *oracleSession) choose(catalog oracleCatalog, tablespace string) (models.TableResult, error) {
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
		return models.TableResult{}, tablespaceGone(tablespace)
	case !found:
		return models.TableResult{}, &models.Error{
			Code: models.CodeCollection, Key: "collect.oracle.nothing_seen", Args: models.Args("Name", tablespace),
			Extra: map[string]any{"grant": s.grantRole(), "error_number": catalog.refusal},
		}
	}
	delete(results, tablespace)
	result.Others = results
	return result, nil
}

// catalog reads what the dictionary says about storage, segments first: which of the views can be read decides whose
// tables and indexes are of use.
func (s *oracleSession) catalog(ctx context.Context) (oracleCatalog, error) {
	catalog := oracleCatalog{tablespaces: map[string]bool{}}
	refusal, err := s.segments(ctx, &catalog)
	if err != nil {
		return catalog, err
	}
	prefix := ""
	if refusal != nil {
		catalog.scope, catalog.refusal, prefix = s.user, oracleNumberOf(refusal), "user_"
	}
	catalog.allTablespaces, err = s.tablespaces(ctx, func(name, _ string) { catalog.tablespaces[name] = true })
	if err != nil {
		return catalog, err
	}
	for _, read := range []func(context.Context, string, *oracleCatalog) error{
		s.tables, s.indexes, s.lobs, s.nested, s.clusters, s.secondary, s.external, s.users,
	} {
		if err := read(ctx, prefix, &catalog); err != nil {
			return catalog, err
		}
	}
	return catalog, nil
}

// segments reads the segments of all owners or else, if none of the views of those can be read, of one's own schema. The
// schema that a statement without an owner's name means is of no interest here: it may be another one.
// refusal is why not those of all owners; nil if it is those.
func (s *oracleSession) segments(ctx context.Context, catalog *oracleCatalog) (refusal, err error) {
	var measured tally
	for _, view := range []string{"segments", "sys_segments", "user_segments"} {
		err = s.each(ctx, view, func(rows *sql.Rows) error {
			var segment oracleSegment
			var owner, name, kind, tablespace oracleText
			var bytes oracleNumber
			err := rows.Scan(&owner, &name, &kind, &tablespace, &bytes)
			segment.oracleName = oracleName{string(owner), string(name)}
			segment.kind, segment.tablespace, segment.bytes = string(kind), string(tablespace), bytes.value
			catalog.segments = append(catalog.segments, segment)
			if segment.kind == "TABLE" { // how many tables without partitions there are is told by nobody yet
				measured.more(ctx)
			}
			return err
		})
		switch {
		case !isOracleDenied(err) && view == "user_segments":
			return refusal, err
		case !isOracleDenied(err):
			return nil, err
		}
		refusal = err
	}
	return nil, (&models.Error{Code: models.CodeCollection, Key: "collect.oracle.segments_denied", Err: refusal}).
		With("error_number", oracleNumberOf(refusal)).With("grant", s.grantRole())
}

func (s *oracleSession) tables(ctx context.Context, prefix string, catalog *oracleCatalog) error {
	catalog.tables = map[oracleName]oracleTable{}
	return s.needed(ctx, prefix, "all_tables", func(rows *sql.Rows) error {
		var owner, name, tablespace, clusterOwner, cluster, base, temporary, secondary, dropped, created oracleText
		var count oracleNumber
		var analyzed sql.NullTime
		err := rows.Scan(&owner, &name, &tablespace, &clusterOwner, &cluster, &base, &temporary, &secondary, &dropped, &created,
			&count, &analyzed)
		table := oracleTable{
			oracleName: oracleName{string(owner), string(name)}, tablespace: string(tablespace),
			base: string(base), created: string(created), temporary: temporary == "Y", secondary: secondary == "Y",
			dropped: dropped == "YES" || dropped != "NO" && isRecycled(string(name)),
			rows:    count.value, analyzed: inUTC(analyzed),
		}
		if cluster != "" {
			table.cluster = oracleName{string(cmp.Or(clusterOwner, owner)), string(cluster)}
		}
		catalog.tables[table.oracleName] = table
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

func (s *oracleSession) indexes(ctx context.Context, prefix string, catalog *oracleCatalog) error {
	catalog.indexes = map[oracleName]oracleIndex{}
	return s.needed(ctx, prefix, "indexes", func(rows *sql.Rows) error {
		var owner, name, kind, tableOwner, table, tableType oracleText
		err := rows.Scan(&owner, &name, &kind, &tableOwner, &table, &tableType)
		catalog.indexes[oracleName{string(owner), string(name)}] = oracleIndex{
			kind: string(kind), table: oracleName{string(tableOwner), string(table)}, onCluster: tableType == "CLUSTER",
		}
		return err
	})
}

func (s *oracleSession) lobs(ctx context.Context, prefix string, catalog *oracleCatalog) error {
	catalog.lobs = map[oracleName]oracleName{}
	return s.needed(ctx, prefix, "lobs", func(rows *sql.Rows) error {
		var owner, table, segment, index oracleText
		err := rows.Scan(&owner, &table, &segment, &index)
		for _, part := range []oracleText{segment, index} {
			catalog.lobs[oracleName{string(owner), string(part)}] = oracleName{string(owner), string(table)}
		}
		return err
	})
}

func (s *oracleSession) nested(ctx context.Context, prefix string, catalog *oracleCatalog) error {
	catalog.parents = map[oracleName]oracleName{}
	return s.needed(ctx, prefix, "nested_tables", func(rows *sql.Rows) error {
		var owner, table, parent oracleText
		err := rows.Scan(&owner, &table, &parent)
		catalog.parents[oracleName{string(owner), string(table)}] = oracleName{string(owner), string(parent)}
		return err
	})
}

func (s *oracleSession) clusters(ctx context.Context, prefix string, catalog *oracleCatalog) error {
	catalog.clusters = map[oracleName]string{}
	return s.needed(ctx, prefix, "clusters", func(rows *sql.Rows) error {
		var owner, name, tablespace oracleText
		err := rows.Scan(&owner, &name, &tablespace)
		catalog.clusters[oracleName{string(owner), string(name)}] = string(tablespace)
		return err
	})
}

func (s *oracleSession) secondary(ctx context.Context, prefix string, catalog *oracleCatalog) error {
	catalog.secondary = map[oracleName]oracleName{}
	return s.needed(ctx, prefix, "secondary_objects", func(rows *sql.Rows) error {
		var owner, name, indexOwner, index oracleText
		err := rows.Scan(&owner, &name, &indexOwner, &index)
		catalog.secondary[oracleName{string(owner), string(name)}] = oracleName{string(indexOwner), string(index)}
		return err
	})
}

func (s *oracleSession) external(ctx context.Context, prefix string, catalog *oracleCatalog) error {
	catalog.external = map[oracleName]bool{}
	return s.needed(ctx, prefix, "external_tables", func(rows *sql.Rows) error {
		var owner, name oracleText
		err := rows.Scan(&owner, &name)
		catalog.external[oracleName{string(owner), string(name)}] = true
		return err
	})
}

func (s *oracleSession) users(ctx context.Context, prefix string, catalog *oracleCatalog) error {
	catalog.defaults = map[string]string{}
	return s.needed(ctx, prefix, "users", func(rows *sql.Rows) error {
		var name, tablespace oracleText
		err := rows.Scan(&name, &tablespace)
		catalog.defaults[string(name)] = string(tablespace)
		return err
	})
}

// tablespaces hands every tablespace to visit with its contents, or those that the account may use where it may not see all.
func (s *oracleSession) tablespaces(ctx context.Context, visit func(name, contents string)) (all bool, err error) {
	for _, view := range []string{"tablespaces", "user_tablespaces"} {
		err = s.each(ctx, view, func(rows *sql.Rows) error {
			var name, contents oracleText
			err := rows.Scan(&name, &contents)
			visit(string(name), string(contents))
			return err
		})
		if !isOracleDenied(err) {
			return view == "tablespaces", err
		}
	}
	return false, err
}

func (s *oracleSession) databases(ctx context.Context) (models.DatabaseResult, error) {
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

// oracleFileSizes are the bytes of the files of each tablespace; nil where the size of one is unknown.
type oracleFileSizes struct {
	bytes  map[string]*int64
	denied *models.Error // nobody lets us see them
}

func (s *oracleSession) files(ctx context.Context, view string) (oracleFileSizes, error) {
	sizes := oracleFileSizes{bytes: map[string]*int64{}}
	err := s.needed(ctx, "", view, func(rows *sql.Rows) error {
		var name oracleText
		var bytes oracleNumber
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

func (f oracleFileSizes) size(tablespace string) (*int64, *models.Error) {
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
func (s *oracleSession) needed(ctx context.Context, prefix, view string, scan func(*sql.Rows) error) error {
	err := s.each(ctx, prefix+view, scan)
	if !isOracleDenied(err) {
		return err
	}
	denied := &models.Error{
		Code: models.CodeCollection, Key: keyOracleDenied, Err: err, Extra: map[string]any{"error_number": oracleNumberOf(err)},
	}
	privilege := "READ"
	if s.version.major < 12 {
		privilege = "SELECT"
	}
	return denied.With("grant", fmt.Sprintf("GRANT %s ON sys.dba_%s TO %s;", privilege, view, oracleQuoted(s.user)))
}

func (s *oracleSession) grantRole() string {
	return "GRANT SELECT_CATALOG_ROLE TO " + oracleQuoted(s.user) + ";"
}

// oracleQuoted is a name that means itself in a statement. No name has a quote in it.
func oracleQuoted(name string) string { return `"` + strings.ReplaceAll(name, `"`, "") + `"` }
