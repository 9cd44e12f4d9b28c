// Package mysql collects sizes from MySQL and MariaDB.
package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"whalefall/collectors"
	"whalefall/models"
)

// Collector collects from MySQL 5.7 to 9 and MariaDB 10 and 11. A database is a schema, and every table's Schema is
// its database.
type Collector struct {
	connectTimeout   time.Duration
	statementTimeout time.Duration
}

// New returns a collector for MySQL and MariaDB servers.
func New() *Collector {
	return &Collector{connectTimeout: collectors.ConnectTimeout, statementTimeout: collectors.StatementTimeout}
}

// Capabilities returns what is particular to MySQL and MariaDB.
func (c *Collector) Capabilities() models.Capabilities {
	return models.Capabilities{NamesHiddenTables: true}
}

// Version connects without a database and returns the server's version.
func (c *Collector) Version(ctx context.Context, t collectors.Target) (models.Version, error) {
	s, err := c.open(ctx, t)
	if err != nil {
		return models.Version{}, err
	}
	defer s.close()

	v := models.Version{Full: s.version.full, Detailed: s.version.number}
	if s.version.number != "" {
		v.Main = fmt.Sprintf("%d.%d", s.version.major, s.version.minor)
	}
	if s.version.mariadb {
		v.Detailed += "-MariaDB"
	}
	return v, nil
}

// Databases lists every schema with the sum of its tables' sizes. information_schema and performance_schema have 0
// bytes, since they hold nothing on disk. A schema has an Err instead of a total, which would be too small, unless the
// account's grants prove that it sees all tables.
func (c *Collector) Databases(ctx context.Context, t collectors.Target) (models.DatabaseResult, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, collectors.DatabasesTimeout, errors.New("list of databases"))
	defer cancel()
	return collectors.OnOneServer(func(bool) (models.DatabaseResult, error) { return c.listDatabases(ctx, t) })
}

func (c *Collector) listDatabases(ctx context.Context, t collectors.Target) (models.DatabaseResult, error) {
	s, err := c.open(ctx, t)
	if err != nil {
		return models.DatabaseResult{}, err
	}
	defer s.close()

	result, err := s.databases(ctx)
	if err != nil {
		return models.DatabaseResult{}, s.classify(ctx, err)
	}
	return result, nil
}

func (s *session) databases(ctx context.Context) (models.DatabaseResult, error) {
	seen, err := s.readView(ctx, "")
	if err != nil {
		return models.DatabaseResult{}, err
	}
	return s.databasesInView(ctx, &seen)
}

// databasesInView sizes the schemas of the view, except those dropped meanwhile.
func (s *session) databasesInView(ctx context.Context, seen *view) (result models.DatabaseResult, err error) {
	sized, err := s.sizeDatabases(ctx, seen)
	if err != nil {
		return result, err
	}
	if err := s.rereadView(ctx, seen); err != nil {
		return result, err
	}

	switch {
	case s.short:
		result.Proof = models.ProofShort
	case seen.allSchemas():
		result.Complete = true
	default:
		result.Grant = grant(s.account)
	}

	for _, database := range sized {
		if !seen.schemas[database.Name] {
			continue
		}
		if database.Err == nil && !virtualSchema(database.Name) && !seen.allTables(database.Name) {
			database.Total, database.Data, database.Err = nil, nil, s.notVisible(database.Name)
		}
		if database.Err != nil && database.Err.Grant != "" {
			result.Grant = grant(s.account)
		}
		result.Databases = append(result.Databases, database)
	}
	return result, nil
}

var systemSchemas = []string{"information_schema", "mysql", "performance_schema", "sys"}

// virtualSchema reports whether the server generates the schema, so that it has nothing on disk.
func virtualSchema(name string) bool {
	return name == "information_schema" || name == "performance_schema"
}

// sizeDatabases sums the tables of each schema. A schema with files of unlisted tables is summed a second time with a
// fresh list of files, because the table may just have been dropped, renamed or created. Tables that are unlisted both
// times are hidden from the account.
func (s *session) sizeDatabases(ctx context.Context, seen *view) (sized []models.DatabaseSize, err error) {
	firstHidden := map[string]map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(seen.schemas)) {
		size, hidden, err := s.sizeDatabase(ctx, seen, name)
		if err != nil {
			return nil, err
		}
		sized = append(sized, size)
		if len(hidden) > 0 {
			firstHidden[name] = hidden
		}
	}
	if len(firstHidden) == 0 {
		return sized, nil
	}

	if seen.files, err = s.files(ctx, seen.schemas, ""); err != nil {
		return nil, err
	}
	for i, first := range sized {
		if firstHidden[first.Name] == nil {
			continue
		}
		size, hidden, err := s.sizeDatabase(ctx, seen, first.Name)
		if err != nil {
			return nil, err
		}
		maps.DeleteFunc(hidden, func(name string, _ bool) bool { return !firstHidden[first.Name][name] })
		if len(hidden) > 0 {
			size.Total, size.Data, size.Err = nil, nil, s.notVisible(size.Name)
		}
		sized[i] = size
	}
	return sized, nil
}

// sizeDatabase sums the tables of a schema, or sets Err if they cannot be summed. It also returns the names of hidden
// tables, which have files but are not listed.
func (s *session) sizeDatabase(
	ctx context.Context, seen *view, name string,
) (d models.DatabaseSize, hidden map[string]bool, err error) {
	d = models.DatabaseSize{Name: name, IsSystem: slices.Contains(systemSchemas, name)}
	switch {
	case virtualSchema(name):
		d.Total, d.Data = new(int64), new(int64)
		return d, nil, nil
	case !seen.allTables(name):
		d.Err = s.notVisible(name)
		return d, nil, nil
	}

	before := s.short
	s.short = false
	found, err := s.collect(ctx, seen, name, false)
	short := s.short
	s.short = before || short

	switch {
	case err != nil && (ctx.Err() != nil || errorNumber(err) == 0):
		return d, nil, err
	case err != nil:
		d.Err = models.AsError(s.classify(ctx, err))
		return d, nil, nil
	case short:
		d.Err = collectors.ErrShort(name)
		return d, nil, nil
	}
	d.Total, d.Err = sumTables(name, found.tables)
	d.Data = d.Total
	return d, found.hidden, nil
}

// sumTables returns the sum of the tables' bytes, nil if it overflows. The error names the first table that could not
// be read, which the sum leaves out.
func sumTables(schema string, tables map[string]*tableFiles) (total *int64, unread *models.Error) {
	var sum collectors.Number
	for _, name := range slices.Sorted(maps.Keys(tables)) {
		row := tables[name].size(schema)
		if row.Total != nil && !row.RolledUp {
			sum = sum.Plus(collectors.Checked(*row.Total))
		}
		if unread == nil && (row.Unread != "" || !sum.Known()) {
			unread = &models.Error{
				Code: models.CodeCollection, Key: "collect.mysql.unread", Args: models.Args("Name", schema, "Table", row.Name),
			}
		}
	}
	return sum.Pointer(), unread
}

// Tables measures every table of the schema except views and temporary tables. A partitioned table is one row. The
// result is complete if the account's grants show every table and every file of the schema belongs to a listed table.
// A table that is only known by its files is listed as unread.
func (c *Collector) Tables(ctx context.Context, t collectors.Target, database string) (models.TableResult, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, collectors.TablesTimeout, errors.New("collection of tables"))
	defer cancel()
	return collectors.OnOneServer(func(bool) (models.TableResult, error) { return c.measureTables(ctx, t, database) })
}

func (c *Collector) measureTables(
	ctx context.Context, t collectors.Target, database string,
) (models.TableResult, error) {
	s, err := c.open(ctx, t)
	if err != nil {
		return models.TableResult{}, err
	}
	defer s.close()

	result, err := s.tables(ctx, database)
	if err != nil {
		return models.TableResult{}, s.classify(ctx, err)
	}
	result.ServerBytes = s.memory(ctx)
	return result, nil
}

// memory returns the peak memory of our connection on the server in bytes, nil if the account may not read it.
func (s *session) memory(ctx context.Context) (bytes *int64) {
	text := statements["memory"]
	if !s.version.mariadb {
		text = statements["memory_threads"]
	}
	if err := s.each(ctx, text, func(rows *sql.Rows) error { return rows.Scan(&bytes) }); err != nil {
		return nil
	}
	return bytes
}

func (s *session) tables(ctx context.Context, database string) (models.TableResult, error) {
	seen, err := s.readView(ctx, database)
	if err != nil {
		return models.TableResult{}, err
	}
	return s.tablesInView(ctx, &seen, database)
}

// tablesInView measures the tables of a schema. The schema is gone if the last reading of the view does not list it and
// the account sees every schema.
func (s *session) tablesInView(ctx context.Context, seen *view, database string) (models.TableResult, error) {
	listed := seen.schemas[database]
	if listed && virtualSchema(database) {
		return models.TableResult{Complete: true, Proof: models.ProofGrants}, nil
	}
	var found schemaTables
	var err error
	if listed {
		found, err = s.collectSettled(ctx, seen, database)
	}
	if err == nil {
		err = s.rereadView(ctx, seen)
	}
	if err == nil && (!listed || !seen.schemas[database]) {
		err = s.whyUnlisted(seen, database)
	}
	if err != nil {
		return models.TableResult{}, err
	}

	result := models.TableResult{Hidden: int64(len(found.hidden))}
	result.Complete = result.Hidden == 0 && seen.allTables(database)
	if result.Complete {
		result.Proof = models.ProofGrants
	} else {
		result.Grant = grant(s.account)
	}

	result.Tables = make([]models.TableSize, 0, len(found.tables)+len(found.hidden))
	for _, name := range slices.Sorted(maps.Keys(found.tables)) {
		result.Tables = append(result.Tables, found.tables[name].size(database))
	}
	for _, name := range slices.Sorted(maps.Keys(found.hidden)) {
		result.Tables = append(result.Tables, models.TableSize{
			Schema: database, Name: name, Kind: models.KindTable, SizeSource: models.SizeNone, Unread: models.UnreadHidden,
		})
	}
	collectors.Expected(ctx, len(result.Tables))
	collectors.Counted(ctx, len(result.Tables))
	if s.short {
		result = collectors.CutShort(result)
	}
	return result, nil
}

// whyUnlisted returns the error for a schema that not both readings of the view list.
func (s *session) whyUnlisted(seen *view, database string) error {
	switch {
	case s.short:
		return collectors.ErrShort(database)
	case !seen.schemas[database] && seen.allSchemas():
		return collectors.DatabaseGone(database, nil)
	}
	return s.notVisible(database)
}

// notVisible returns the error for a schema that the account cannot see, or of which it cannot see every table.
func (s *session) notVisible(database string) *models.Error {
	return &models.Error{
		Code: models.CodeCollection, Key: "collect.mysql.not_visible", Args: models.Args("Name", database),
		Grant: grant(s.account),
	}
}

// view is what the account sees of the instance.
type view struct {
	rights  []accountRights // one per reading
	schemas map[string]bool // of the last reading
	files   fileIndex
}

// allSchemas reports whether the account saw every schema at each reading.
func (v *view) allSchemas() bool {
	return !slices.ContainsFunc(v.rights, func(r accountRights) bool { return !r.schemas })
}

// allTables reports whether the account saw every table of the schema at each reading.
func (v *view) allTables(schema string) bool {
	return !slices.ContainsFunc(v.rights, func(r accountRights) bool { return !r.allTables(schema) })
}

// readView reads the account's rights, the schemas, and the files of one schema or, if its name is empty, of all
// schemas.
func (s *session) readView(ctx context.Context, schema string) (seen view, err error) {
	rights, err := s.rights(ctx)
	if err != nil {
		return seen, err
	}
	seen.rights = []accountRights{rights}
	if seen.schemas, err = s.schemas(ctx); err != nil {
		return seen, err
	}
	seen.files, err = s.files(ctx, seen.schemas, schema)
	return seen, err
}

// rereadView rereads the schemas and the rights after the tables were read: a REVOKE or DROP DATABASE before that
// empties the list of tables without an error.
func (s *session) rereadView(ctx context.Context, seen *view) (err error) {
	if seen.schemas, err = s.schemas(ctx); err != nil {
		return err
	}
	rights, err := s.rights(ctx)
	if err != nil {
		return err
	}
	seen.rights = append(seen.rights, rights)

	server, err := s.nameServer(ctx)
	if err == nil && !server.is(s.server) { // a proxy sent us elsewhere
		err = collectors.OtherServer()
	}
	return err
}

func (s *session) schemas(ctx context.Context) (map[string]bool, error) {
	names := map[string]bool{}
	err := s.list(ctx, statements["schemas"], func(rows *sql.Rows) error {
		var name string
		if err := rows.Scan(&name); err != nil {
			return err
		}
		names[name] = true
		return nil
	})
	return names, err
}

// schemaTables holds the tables that one reading of a schema found.
type schemaTables struct {
	tables map[string]*tableFiles
	hidden map[string]bool // tables that have files but are not listed
}

// collect lists and measures the tables of one schema. If split is set it also finds their rows and the division of
// their bytes into data and index.
func (s *session) collect(ctx context.Context, seen *view, schema string, split bool) (found schemaTables, err error) {
	s.gone = 0
	if found.tables, err = s.names(ctx, schema); err != nil {
		return found, err
	}
	there := int64(len(found.tables))
	if split {
		s.measured = 0
		collectors.Expected(ctx, len(found.tables))
	}

	found.hidden, err = seen.files.attribute(schema, found.tables, s.tableIDs(ctx, &seen.files))
	if err != nil {
		return found, err
	}
	delete(seen.files.bySchema, schema)

	err = s.measure(ctx, schema, found.tables, seen.files.known, split)
	if err == nil && s.gone > 0 {
		err = s.confirmGone(ctx, schema, there-s.gone)
	}
	if err == nil && split && seen.files.known {
		err = s.noteFullText(ctx, schema, found.tables)
	}
	if err == nil && seen.files.known {
		err = s.findLateFiles(ctx, seen, schema, found.tables)
	}
	return found, err
}

// confirmGone notes that rows are missing if the server counts more tables of the schema than are there without those
// that were not found again.
func (s *session) confirmGone(ctx context.Context, schema string, there int64) error {
	counted, err := collectors.Reader(s.each).Count(ctx, s.namesStatement(), schema)
	s.short = s.short || err == nil && there < counted
	return err
}

// collectSettled collects the tables of a schema, and does so a second time if there are files of unlisted tables:
// the table may just have been dropped, renamed or created. Tables that are unlisted both times are hidden from the
// account.
func (s *session) collectSettled(ctx context.Context, seen *view, schema string) (schemaTables, error) {
	first, err := s.collect(ctx, seen, schema, true)
	if err != nil || len(first.hidden) == 0 {
		return first, err
	}

	if seen.files, err = s.files(ctx, seen.schemas, schema); err != nil {
		return first, err
	}
	second, err := s.collect(ctx, seen, schema, true)
	maps.DeleteFunc(second.hidden, func(name string, _ bool) bool { return !first.hidden[name] })
	return second, err
}
