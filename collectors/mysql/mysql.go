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

// Capabilities returns what is particular to MySQL.
func (c *Collector) Capabilities() models.Capabilities {
	return models.Capabilities{NamesHiddenTables: true}
}

// Version connects without choosing a database and asks the server what it is.
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

// Databases lists every schema. Its total is the sum of what Tables finds in it. information_schema and
// performance_schema hold nothing on disk: 0 bytes. A schema of which the
// account does not provably see all tables has an Err instead of a sum that is too small.
func (c *Collector) Databases(ctx context.Context, t collectors.Target) (models.DatabaseResult, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, collectors.DatabasesTimeout, errors.New("list of databases"))
	defer cancel()
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

func (s *session) databases(ctx context.Context) (models.DatabaseResult, error) {
	seen, err := s.look(ctx, "")
	if err != nil {
		return models.DatabaseResult{}, err
	}
	return s.databasesSeen(ctx, &seen)
}

// databasesSeen sizes the schemas of the view, but those that are dropped meanwhile.
func (s *session) databasesSeen(ctx context.Context, seen *view) (result models.DatabaseResult, err error) {
	sized, err := s.sizeDatabases(ctx, seen)
	if err != nil {
		return result, err
	}
	if err := s.lookAgain(ctx, seen); err != nil {
		return result, err
	}
	result.Complete = seen.allSchemas()
	if !result.Complete {
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

// virtualSchema reports whether a schema is made up by the server and holds nothing on disk.
func virtualSchema(name string) bool {
	return name == "information_schema" || name == "performance_schema"
}

// sizeDatabases sums the tables of each schema. Where a file belongs to none it sums them again, with what files
// there are then: the table may just have been dropped, renamed or created. What both readings miss is hidden.
func (s *session) sizeDatabases(ctx context.Context, seen *view) (sized []models.DatabaseSize, err error) {
	hidden := map[string]map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(seen.schemas)) {
		size, strange, err := s.sizeDatabase(ctx, seen, name)
		if err != nil {
			return nil, err
		}
		if sized = append(sized, size); len(strange) > 0 {
			hidden[name] = strange
		}
	}
	if len(hidden) == 0 {
		return sized, nil
	}
	if seen.files, err = s.files(ctx, seen.schemas, ""); err != nil {
		return nil, err
	}
	for i, first := range sized {
		if hidden[first.Name] == nil {
			continue
		}
		size, strange, err := s.sizeDatabase(ctx, seen, first.Name)
		if err != nil {
			return nil, err
		}
		maps.DeleteFunc(strange, func(name string, _ bool) bool { return !hidden[first.Name][name] })
		if len(strange) > 0 {
			size.Total, size.Data, size.Err = nil, nil, s.notVisible(size.Name)
		}
		sized[i] = size
	}
	return sized, nil
}

// sizeDatabase sums the schema's tables, or says in Err why it cannot; hidden are tables that have files and are not
// listed.
func (s *session) sizeDatabase(ctx context.Context, seen *view, name string) (d models.DatabaseSize, hidden map[string]bool, err error) {
	d = models.DatabaseSize{Name: name, IsSystem: slices.Contains(systemSchemas, name)}
	switch {
	case virtualSchema(name):
		d.Total, d.Data = new(int64), new(int64)
		return d, nil, nil
	case !seen.allTables(name):
		d.Err = s.notVisible(name)
		return d, nil, nil
	}
	found, err := s.collect(ctx, seen, name, false)
	if err != nil && (ctx.Err() != nil || errorNumber(err) == 0) {
		return d, nil, err
	}
	if err != nil {
		d.Err = models.AsError(s.failed(ctx, err))
		return d, nil, nil
	}
	d.Total, d.Err = sumTables(name, found.tables)
	d.Data = d.Total
	return d, found.hidden, nil
}

// sumMySQL is the sum of the tables' bytes, or which of them could not be measured.
func sumTables(schema string, tables map[string]*tableFiles) (*int64, *models.Error) {
	var sum int64
	for _, table := range tables {
		row := table.size(schema)
		if row.Unread != "" {
			return nil, &models.Error{
				Code: models.CodeCollection, Key: "collect.mysql.unread", Args: models.Args("Name", schema, "Table", row.Name),
			}
		}
		if row.Total != nil && !row.RolledUp {
			sum += *row.Total
		}
	}
	return &sum, nil
}

// Tables measures every table of the schema but its views and temporary tables. A partitioned table is one row. The
// result is complete when the account's grants show every table and every file of the schema belongs to one that is
// listed; tables whose files say that they exist and are not shown are listed as unread.
func (c *Collector) Tables(ctx context.Context, t collectors.Target, database string) (models.TableResult, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, collectors.TablesTimeout, errors.New("collection of tables"))
	defer cancel()
	s, err := c.open(ctx, t)
	if err != nil {
		return models.TableResult{}, err
	}
	defer s.close()
	result, err := s.tables(ctx, database)
	if err != nil {
		return models.TableResult{}, s.failed(ctx, err)
	}
	result.ServerBytes = s.memory(ctx)
	return result, nil
}

// memory is the most that the server needed for the connection so far; nil where it does not tell everybody.
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
	seen, err := s.look(ctx, database)
	if err != nil {
		return models.TableResult{}, err
	}
	return s.tablesSeen(ctx, &seen, database)
}

// tablesSeen measures the tables of a schema of the view. It is gone when the last reading does
// not list it and the account sees every schema.
func (s *session) tablesSeen(ctx context.Context, seen *view, database string) (models.TableResult, error) {
	listed := seen.schemas[database]
	if listed && virtualSchema(database) {
		return models.TableResult{Complete: true, Proof: models.ProofGrants}, nil
	}
	var found found
	var err error
	if listed {
		found, err = s.collectSettled(ctx, seen, database)
	}
	if err == nil {
		err = s.lookAgain(ctx, seen)
	}
	switch {
	case err != nil:
		return models.TableResult{}, err
	case !seen.schemas[database] && seen.allSchemas():
		return models.TableResult{}, collectors.DatabaseGone(database, nil)
	case !listed || !seen.schemas[database]:
		return models.TableResult{}, s.notVisible(database)
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
	return result, nil
}

// notVisible is the error for a schema that the account does not see, or not all of.
func (s *session) notVisible(database string) *models.Error {
	return &models.Error{
		Code: models.CodeCollection, Key: "collect.mysql.not_visible", Args: models.Args("Name", database),
		Grant: grant(s.account),
	}
}

// view is what the account sees of the instance.
type view struct {
	rights  []accountRights // one of each reading
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

// look sees the schemas, and the files of one of them or with an empty name those of all.
func (s *session) look(ctx context.Context, schema string) (seen view, err error) {
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

// lookAgain reads schemas and rights once more, after the tables: a REVOKE or a DROP DATABASE before they were read
// left none to see, without an error.
func (s *session) lookAgain(ctx context.Context, seen *view) (err error) {
	if seen.schemas, err = s.schemas(ctx); err != nil {
		return err
	}
	rights, err := s.rights(ctx)
	seen.rights = append(seen.rights, rights)
	return err
}

func (s *session) schemas(ctx context.Context) (map[string]bool, error) {
	names := map[string]bool{}
	return names, s.each(ctx, statements["schemas"], func(rows *sql.Rows) error {
		var name string
		err := rows.Scan(&name)
		names[name] = true
		return err
	})
}

// found is what one reading of a schema found.
type found struct {
	tables map[string]*tableFiles
	hidden map[string]bool // tables that have files and are not listed
}

// collect reads the tables of one schema.
func (s *session) collect(ctx context.Context, seen *view, schema string, split bool) (found found, err error) {
	if found.tables, err = s.names(ctx, schema); err != nil {
		return found, err
	}
	if split {
		s.measured = 0
		collectors.Expected(ctx, len(found.tables))
	}
	if found.hidden, err = seen.files.attribute(schema, found.tables, s.tableIDs(ctx, &seen.files)); err != nil {
		return found, err
	}
	delete(seen.files.bySchema, schema)
	if err = s.measure(ctx, schema, found.tables, seen.files.known, split); err != nil || !split || !seen.files.known {
		return found, err
	}
	if err := s.noteFullText(ctx, schema, found.tables); err != nil {
		return found, err
	}
	return found, s.findLateFiles(ctx, seen, schema, found.tables)
}

// collectSettled reads a schema, and where a file belongs to no table reads it again: the table may just have been
// dropped, renamed or created. What both readings miss is hidden.
func (s *session) collectSettled(ctx context.Context, seen *view, schema string) (found, error) {
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
