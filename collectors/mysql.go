package collectors

import (
	"context"
	"database/sql"
	_ "embed"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"whalefall/models"
)

//go:embed sql/mysql/schemas.sql
var mysqlSchemasSQL string

// MySQL reads MySQL 5.7 to 9 and MariaDB 10 and 11. A database is a schema, and every table's Schema is its database.
type MySQL struct {
	connectTimeout   time.Duration
	statementTimeout time.Duration
}

// NewMySQL is the collector of MySQL and MariaDB servers.
func NewMySQL() *MySQL {
	return &MySQL{connectTimeout: connectTimeout, statementTimeout: statementTimeout}
}

// Version connects without choosing a database and asks the server what it is.
func (c *MySQL) Version(ctx context.Context, t Target) (models.Version, error) {
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
func (c *MySQL) Databases(ctx context.Context, t Target) (models.DatabaseResult, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, databasesTimeout, errors.New("list of databases"))
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

func (s *mysqlSession) databases(ctx context.Context) (models.DatabaseResult, error) {
	seen, err := s.look(ctx)
	if err != nil {
		return models.DatabaseResult{}, err
	}
	return s.databasesSeen(ctx, &seen)
}

// databasesSeen sizes the schemas of the view, but those that are dropped meanwhile.
func (s *mysqlSession) databasesSeen(ctx context.Context, seen *mysqlView) (result models.DatabaseResult, err error) {
	var sized []models.DatabaseSize
	for _, name := range slices.Sorted(maps.Keys(seen.schemas)) {
		database := models.DatabaseSize{Name: name, IsSystem: slices.Contains(mysqlSystemSchemas, name)}
		if err := s.sizeDatabase(ctx, seen, &database); err != nil {
			return result, err
		}
		sized = append(sized, database)
	}
	if err := s.lookAgain(ctx, seen); err != nil {
		return result, err
	}
	result.Complete = seen.allSchemas()
	if !result.Complete {
		result.Grant = mysqlGrant(s.account)
	}
	for _, database := range sized {
		if !seen.schemas[database.Name] {
			continue
		}
		if database.Err == nil && !virtualSchema(database.Name) && !seen.allTables(database.Name) {
			database.Total, database.Data, database.Err = nil, nil, s.notVisible(database.Name)
		}
		if database.Err != nil && database.Err.Extra["grant"] != nil {
			result.Grant = mysqlGrant(s.account)
		}
		result.Databases = append(result.Databases, database)
	}
	return result, nil
}

var mysqlSystemSchemas = []string{"information_schema", "mysql", "performance_schema", "sys"}

// virtualSchema reports whether a schema is made up by the server and holds nothing on disk.
func virtualSchema(name string) bool {
	return name == "information_schema" || name == "performance_schema"
}

// sizeDatabase sums the schema's tables, or says in Err why it cannot.
func (s *mysqlSession) sizeDatabase(ctx context.Context, seen *mysqlView, d *models.DatabaseSize) error {
	if virtualSchema(d.Name) {
		d.Total, d.Data = new(int64), new(int64)
		return nil
	}
	if !seen.allTables(d.Name) {
		d.Err = s.notVisible(d.Name)
		return nil
	}
	found, err := s.collectSettled(ctx, seen, d.Name, false)
	if err != nil && (ctx.Err() != nil || mysqlNumberOf(err) == 0) {
		return err
	}
	if err != nil {
		d.Err = models.AsError(s.failed(ctx, err))
		return nil
	}
	if len(found.hidden) > 0 {
		d.Err = s.notVisible(d.Name)
		return nil
	}
	var sum int64
	for _, table := range found.tables {
		row := table.size(d.Name)
		if row.Unread != "" {
			d.Err = &models.Error{
				Code: models.CodeCollection, Key: "collect.mysql.unread", Args: models.Args("Name", d.Name, "Table", row.Name),
			}
			return nil
		}
		if row.Total != nil && !row.RolledUp {
			sum += *row.Total
		}
	}
	d.Total, d.Data = &sum, &sum
	return nil
}

// Tables measures every table of the schema but its views and temporary tables. A partitioned table is one row. The
// result is complete when the account's grants show every table and every file of the schema belongs to one that is
// listed; tables whose files say that they exist and are not shown are listed as unread.
func (c *MySQL) Tables(ctx context.Context, t Target, database string) (models.TableResult, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, tablesTimeout, errors.New("collection of tables"))
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
	return result, nil
}

func (s *mysqlSession) tables(ctx context.Context, database string) (models.TableResult, error) {
	seen, err := s.look(ctx)
	if err != nil {
		return models.TableResult{}, err
	}
	return s.tablesSeen(ctx, &seen, database)
}

// tablesSeen measures the tables of a schema of the view. It is gone when the last reading does
// not list it and the account sees every schema.
func (s *mysqlSession) tablesSeen(ctx context.Context, seen *mysqlView, database string) (models.TableResult, error) {
	listed := seen.schemas[database]
	if listed && virtualSchema(database) {
		return models.TableResult{Complete: true, Proof: models.ProofGrants}, nil
	}
	var found mysqlFound
	var err error
	if listed {
		found, err = s.collectSettled(ctx, seen, database, true)
	}
	if err == nil {
		err = s.lookAgain(ctx, seen)
	}
	switch {
	case err != nil:
		return models.TableResult{}, err
	case !seen.schemas[database] && seen.allSchemas():
		return models.TableResult{}, databaseGone(database, nil)
	case !listed || !seen.schemas[database]:
		return models.TableResult{}, s.notVisible(database)
	}
	result := models.TableResult{Hidden: int64(len(found.hidden))}
	result.Complete = result.Hidden == 0 && seen.allTables(database)
	if result.Complete {
		result.Proof = models.ProofGrants
	} else {
		result.Grant = mysqlGrant(s.account)
	}
	for _, name := range slices.Sorted(maps.Keys(found.tables)) {
		result.Tables = append(result.Tables, found.tables[name].size(database))
	}
	for _, name := range slices.Sorted(maps.Keys(found.hidden)) {
		result.Tables = append(result.Tables, models.TableSize{
			Schema: database, Name: name, Kind: models.KindTable, SizeSource: models.SizeNone, Unread: models.UnreadHidden,
		})
	}
	return result, nil
}

// notVisible is the error for a schema that the account does not see, or not all of.
func (s *mysqlSession) notVisible(database string) *models.Error {
	return &models.Error{
		Code: models.CodeCollection, Key: "collect.mysql.not_visible", Args: models.Args("Name", database),
		Extra: map[string]any{"grant": mysqlGrant(s.account)},
	}
}

// mysqlView is what the account sees of the instance.
type mysqlView struct {
	rights  []mysqlRights   // one of each reading
	schemas map[string]bool // of the last reading
	files   mysqlFiles
}

// allSchemas reports whether the account saw every schema at each reading.
func (v *mysqlView) allSchemas() bool {
	return !slices.ContainsFunc(v.rights, func(r mysqlRights) bool { return !r.schemas })
}

// allTables reports whether the account saw every table of the schema at each reading.
func (v *mysqlView) allTables(schema string) bool {
	return !slices.ContainsFunc(v.rights, func(r mysqlRights) bool { return !r.allTables(schema) })
}

func (s *mysqlSession) look(ctx context.Context) (seen mysqlView, err error) {
	rights, err := s.rights(ctx)
	if err != nil {
		return seen, err
	}
	seen.rights = []mysqlRights{rights}
	if seen.schemas, err = s.schemas(ctx); err != nil {
		return seen, err
	}
	seen.files, err = s.files(ctx, seen.schemas)
	return seen, err
}

// lookAgain reads schemas and rights once more, after the tables: a REVOKE or a DROP DATABASE before they were read left
// none to see, without an error.
func (s *mysqlSession) lookAgain(ctx context.Context, seen *mysqlView) (err error) {
	if seen.schemas, err = s.schemas(ctx); err != nil {
		return err
	}
	rights, err := s.rights(ctx)
	seen.rights = append(seen.rights, rights)
	return err
}

func (s *mysqlSession) schemas(ctx context.Context) (map[string]bool, error) {
	names := map[string]bool{}
	return names, s.each(ctx, mysqlSchemasSQL, func(rows *sql.Rows) error {
		var name string
		err := rows.Scan(&name)
		names[name] = true
		return err
	})
}

// mysqlFound is what one reading of a schema found.
type mysqlFound struct {
	tables map[string]*mysqlTable
	hidden map[string]bool // tables that have files and are not listed
}

// collect reads the tables of one schema.
func (s *mysqlSession) collect(ctx context.Context, seen *mysqlView, schema string, split bool) (found mysqlFound, err error) {
	if found.tables, err = s.names(ctx, schema); err != nil {
		return found, err
	}
	if split {
		counted(ctx, len(found.tables))
	}
	if found.hidden, err = seen.files.attribute(schema, found.tables, s.tableIDs(ctx, &seen.files)); err != nil {
		return found, err
	}
	return found, s.measure(ctx, schema, found.tables, seen.files.known, split)
}

// collectSettled reads a schema, and where a file belongs to no table reads it again: the table may just have been
// dropped, renamed or created. What both readings miss is hidden.
func (s *mysqlSession) collectSettled(ctx context.Context, seen *mysqlView, schema string, split bool) (mysqlFound, error) {
	first, err := s.collect(ctx, seen, schema, split)
	if err != nil || len(first.hidden) == 0 {
		return first, err
	}
	if seen.files, err = s.files(ctx, seen.schemas); err != nil {
		return first, err
	}
	second, err := s.collect(ctx, seen, schema, split)
	maps.DeleteFunc(second.hidden, func(name string, _ bool) bool { return !first.hidden[name] })
	return second, err
}
