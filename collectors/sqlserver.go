package collectors

import (
	"cmp"
	"context"
	"database/sql"
	_ "embed"
	"errors"
	"slices"
	"strings"
	"time"

	"whalefall/models"
)

//go:embed sql/sqlserver/databases.sql
var sqlserverDatabasesSQL string

//go:embed sql/sqlserver/snapshot.sql
var sqlserverSnapshotSQL string

//go:embed sql/sqlserver/every_database.sql
var sqlserverEveryDatabaseSQL string

//go:embed sql/sqlserver/database_files.sql
var sqlserverDatabaseFilesSQL string

//go:embed sql/sqlserver/master_files.sql
var sqlserverMasterFilesSQL string

// SQLServer reads SQL Server 2012 to 2025, Azure SQL Database and Azure SQL Managed Instance.
type SQLServer struct {
	connectTimeout   time.Duration
	statementTimeout time.Duration
}

// NewSQLServer is the collector of SQL Server and its kin in Azure.
func NewSQLServer() *SQLServer {
	return &SQLServer{connectTimeout: connectTimeout, statementTimeout: statementTimeout}
}

// Version connects to the target's database, or to master, and asks the server what it is.
func (c *SQLServer) Version(ctx context.Context, t Target) (models.Version, error) {
	s, err := c.enterFirst(ctx, t)
	if err != nil {
		return models.Version{}, err
	}
	defer s.close()
	return s.server.version(), nil
}

// Databases lists every database. Its total are its files: data are those of rows and FILESTREAM, log the others. A
// database that cannot be entered has an Err; it has a size all the same where the account may see the files of all
// databases and none of the database's own is a FILESTREAM or memory-optimised container, whose size only it knows.
func (c *SQLServer) Databases(ctx context.Context, t Target) (models.DatabaseResult, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, databasesTimeout, errors.New("list of databases"))
	defer cancel()
	list, err := c.list(ctx, t)
	if err != nil {
		return models.DatabaseResult{}, err
	}
	result := models.DatabaseResult{Complete: list.complete}
	var denied []string
	for _, d := range list.databases {
		size, err := c.sizeDatabase(ctx, t, list, d)
		if err != nil {
			return models.DatabaseResult{}, err
		}
		if size.Err != nil && size.Err.Key == KeyDatabaseGone {
			continue
		}
		if size.Err != nil && size.Err.Key == keyMSSQLNoAccess {
			denied = append(denied, d.name)
		}
		result.Databases = append(result.Databases, size)
	}
	result.Grant = list.grant(t, denied)
	return result, nil
}

// Tables measures every table and indexed view. A partitioned table is one row. The result is complete when every object
// that has partitions, which everybody sees, has a name that the account may see. Scope is empty: the sizes of all
// schemas are read at once.
func (c *SQLServer) Tables(ctx context.Context, t Target, database string) (models.TableResult, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, tablesTimeout, errors.New("collection of tables"))
	defer cancel()
	s, err := c.enter(ctx, t, serverName(database), true)
	if err != nil {
		return models.TableResult{}, err
	}
	defer s.close()
	if s.server.database != serverName(database) { // the server takes names that differ in case for the same
		return models.TableResult{}, databaseGone(database, nil)
	}
	result, err := s.tables(ctx)
	if err != nil {
		return models.TableResult{}, s.failed(ctx, err)
	}
	return result, nil
}

func (s *sqlserverSession) tables(ctx context.Context) (models.TableResult, error) {
	var source *int64
	err := s.each(ctx, sqlserverSnapshotSQL, func(rows *sql.Rows) error { return rows.Scan(&source) })
	switch {
	case err != nil:
		return models.TableResult{}, err
	case source != nil:
		return models.TableResult{}, sqlserverState(keyMSSQLSnapshot, s.server.database)
	}
	result, stateless, err := sqlserverReader{each: s.each, server: s.server}.tables(ctx)
	if err == nil && (!result.Complete || stateless && slices.ContainsFunc(result.Tables, sqlserverWithoutMemory)) {
		result.Grant = s.server.grantNames(s.target, s.server.database)
		if stateless {
			result.Grant += " " + s.server.grantState(s.target)
		}
	}
	return result, err
}

// sqlserverWithoutMemory reports whether a table is in memory and nobody told how much of it.
func sqlserverWithoutMemory(t models.TableSize) bool {
	return t.Kind == models.KindMemoryOptimized && t.Memory == nil
}

// sqlserverDatabase is one row of sys.databases.
type sqlserverDatabase struct {
	id         int64
	name       string
	source     *int64 // of a snapshot: the database it was made of
	state      *int64 // nil where the server cannot tell, as while the database comes or goes
	userAccess *int64 // nil like state
	inGroup    bool   // in an availability group
	accessible *int64 // 1: may be entered
}

// Values of sys.databases.
const (
	sqlserverOnline     = 0
	sqlserverSingleUser = 1
)

// sqlserverStates are the states of a database that is not online.
var sqlserverStates = map[int64]string{
	1: keyMSSQLRestoring, 2: keyMSSQLRecovering, 3: keyMSSQLSuspect, 4: keyMSSQLSuspect, 5: keyMSSQLEmergency,
	6: keyMSSQLOffline, 7: keyMSSQLTransition, 10: keyMSSQLSecondary,
}

// sqlserverSystemDatabases are made by the server, its features and those who host it.
var sqlserverSystemDatabases = []string{"master", "tempdb", "model", "msdb", "ssisdb", "distribution", "rdsadmin"}

func (d sqlserverDatabase) system() bool {
	return slices.Contains(sqlserverSystemDatabases, strings.ToLower(d.name))
}

// sqlserverState is the error for a database in a state that keeps us out.
func sqlserverState(key, name string) *models.Error {
	return &models.Error{Code: models.CodeCollection, Key: key, Args: models.Args("Name", validName(name))}
}

// obstacle is why a database is not even tried; nil if it is. A replica is tried in any case, since only its refusal
// tells why, and so is everything in Azure, where one database does not know who may enter another.
func (d sqlserverDatabase) obstacle(t Target, server sqlserverServer) *models.Error {
	switch {
	case d.source != nil:
		return sqlserverState(keyMSSQLSnapshot, d.name)
	case d.state == nil:
		return sqlserverState(keyMSSQLTransition, d.name)
	case *d.state != sqlserverOnline:
		return sqlserverState(cmp.Or(sqlserverStates[*d.state], keyMSSQLTransition), d.name)
	case server.azure(), d.inGroup, d.accessible != nil && *d.accessible == 1:
		return nil
	case d.userAccess != nil && *d.userAccess == sqlserverSingleUser:
		return sqlserverState(keyMSSQLSingleUser, d.name)
	}
	return sqlserverState(keyMSSQLNoAccess, d.name).With("grant", server.grantEntry(t, d.name))
}

// sqlserverList is what the server says about its databases.
type sqlserverList struct {
	server    sqlserverServer
	databases []sqlserverDatabase
	complete  bool                     // none is hidden from the account
	files     map[int64]sqlserverFiles // by database, of those whose files the account may see from outside
}

// list reads the databases, and their files from outside where one of them cannot be entered.
func (c *SQLServer) list(ctx context.Context, t Target) (list sqlserverList, err error) {
	s, err := c.enterFirst(ctx, t)
	if err != nil {
		return list, err
	}
	defer s.close()
	list, err = s.list(ctx)
	barred := func(d sqlserverDatabase) bool { return d.inGroup || d.obstacle(t, s.server) != nil }
	if err == nil && !s.server.azure() && slices.ContainsFunc(list.databases, barred) {
		list.files, err = s.masterFiles(ctx)
	}
	if err != nil {
		return list, s.failed(ctx, err)
	}
	return list, nil
}

func (s *sqlserverSession) list(ctx context.Context) (list sqlserverList, err error) {
	list.server = s.server
	if list.databases, err = s.databases(ctx); err != nil {
		return list, err
	}
	list.complete, err = s.seesAll(ctx)
	return list, err
}

// grant is the statement that shows all databases and opens those that refused us. Permissions of the server are granted in
// master only.
func (l sqlserverList) grant(t Target, denied []string) string {
	var statements []string
	onServer := func(permission string) string {
		return l.server.use(sqlserverMaster) + "GRANT " + permission + " TO " + sqlserverQuoted(t.Username) + ";"
	}
	if !l.complete && !l.server.azure() {
		statements = append(statements, onServer("VIEW ANY DATABASE"))
	}
	switch {
	case len(denied) == 0:
	case l.server.since(sqlserver2014) && !l.server.azure():
		statements = append(statements, onServer("CONNECT ANY DATABASE"))
	default:
		for _, name := range denied {
			statements = append(statements, l.server.grantEntry(t, name))
		}
	}
	return strings.Join(statements, " ")
}

func (s *sqlserverSession) databases(ctx context.Context) (found []sqlserverDatabase, err error) {
	err = s.each(ctx, sqlserverDatabasesSQL, func(rows *sql.Rows) error {
		var d sqlserverDatabase
		err := rows.Scan(&d.id, &d.name, &d.source, &d.state, &d.userAccess, &d.inGroup, &d.accessible)
		found = append(found, d)
		return err
	})
	slices.SortFunc(found, func(a, b sqlserverDatabase) int { return cmp.Compare(a.name, b.name) })
	return found, err
}

// seesAll reports whether no database is hidden from the account. In Azure only master knows of the others.
func (s *sqlserverSession) seesAll(ctx context.Context) (bool, error) {
	var all sql.NullInt64
	err := s.each(ctx, sqlserverEveryDatabaseSQL, func(rows *sql.Rows) error { return rows.Scan(&all) })
	return all.Int64 == 1 && (!s.server.azure() || s.server.database == sqlserverMaster), err
}

// sqlserverFiles are the files of one database by what is in them.
type sqlserverFiles struct {
	data, log  int64 // bytes
	containers int64 // FILESTREAM and memory-optimised ones
}

// Types of files; all others hold rows.
const (
	sqlserverLog       = 1
	sqlserverContainer = 2
)

func (f sqlserverFiles) plus(kind, pages int64) sqlserverFiles {
	switch kind {
	case sqlserverLog:
		f.log += pages * sqlserverPage
	case sqlserverContainer:
		f.containers++
		f.data += pages * sqlserverPage
	default:
		f.data += pages * sqlserverPage
	}
	return f
}

// masterFiles are the files of each database as they are seen from outside.
func (s *sqlserverSession) masterFiles(ctx context.Context) (map[int64]sqlserverFiles, error) {
	files := map[int64]sqlserverFiles{}
	return files, s.each(ctx, sqlserverMasterFilesSQL, func(rows *sql.Rows) error {
		var database, kind, pages int64
		err := rows.Scan(&database, &kind, &pages)
		files[database] = files[database].plus(kind, pages)
		return err
	})
}

// sizeDatabase measures one database, from inside if it lets us in. An error is one that every other would meet, too.
func (c *SQLServer) sizeDatabase(ctx context.Context, t Target, list sqlserverList, d sqlserverDatabase) (models.DatabaseSize, error) {
	size := models.DatabaseSize{Name: validName(d.name), IsSystem: d.system()}
	size.Err = d.obstacle(t, list.server)
	if size.Err == nil {
		files, err := c.databaseFiles(ctx, t, d.name)
		if err == nil {
			size.Data, size.Log, size.Total = &files.data, &files.log, addKnown(&files.data, &files.log)
			return size, nil
		}
		size.Err = models.AsError(err)
		switch number, answered := size.Err.Extra["error_number"]; {
		case !answered && concernsAll(ctx, size.Err):
			return size, err
		case number == int32(sqlserverLoginFailed): // though the account was let in to list the databases
			size.Err = sqlserverState(keyMSSQLNoAccess, d.name).With("error_number", number).With("grant", list.server.grantEntry(t, d.name))
		}
	}
	files, seen := list.files[d.id]
	if !seen || d.source != nil { // a snapshot's files are as large as they may ever get
		return size, nil
	}
	size.Log = &files.log
	if files.containers == 0 {
		size.Data, size.Total = &files.data, addKnown(&files.data, &files.log)
	}
	return size, nil
}

// databaseFiles are the files of one database as it sees them itself.
func (c *SQLServer) databaseFiles(ctx context.Context, t Target, database string) (files sqlserverFiles, err error) {
	s, err := c.enter(ctx, t, database, true)
	if err != nil {
		return files, err
	}
	defer s.close()
	err = s.each(ctx, sqlserverDatabaseFilesSQL, func(rows *sql.Rows) error {
		var kind, pages int64
		err := rows.Scan(&kind, &pages)
		files = files.plus(kind, pages)
		return err
	})
	if err != nil {
		return files, s.failed(ctx, err)
	}
	return files, nil
}

// enterFirst connects to the database that the whole server is asked in. It wants no read intent: a listener would send
// us on to a replica, which has other databases.
func (c *SQLServer) enterFirst(ctx context.Context, t Target) (*sqlserverSession, error) {
	return c.enter(ctx, t, firstDatabase(t), false)
}

// enter connects to a database, or says why it cannot: the number for a database that cannot be opened is the same for
// one that does not exist, is not online or refuses us, so the server is asked which it is.
func (c *SQLServer) enter(ctx context.Context, t Target, database string, readOnly bool) (*sqlserverSession, error) {
	s, err := c.open(ctx, t, database, readOnly)
	switch {
	case err != nil && ctx.Err() == nil && sqlserverClosed(err):
		return nil, c.whyClosed(ctx, t, database, err)
	case err != nil:
		return nil, sqlserverNotConnected(ctx, t, database, err)
	case s.server.engine == engineAzureSynapse, s.server.engine == engineServerless:
		s.close()
		return nil, sqlserverState("collect.mssql.unsupported", database)
	}
	return s, nil
}

// whyClosed asks the server why a database cannot be opened.
func (c *SQLServer) whyClosed(ctx context.Context, t Target, database string, refusal error) error {
	number := sqlserverNumber(refusal)
	told := func(e *models.Error) error {
		e.Err = refusal
		return e.With("error_number", number)
	}
	if database == sqlserverMaster {
		return told(sqlserverState("collect.mssql.no_master", database))
	}
	unknown := sqlserverState("collect.mssql.cannot_open", database).With("grant", sqlserverServer{}.grantEntry(t, database))
	if number == sqlserverNoEntry {
		unknown.Key = keyMSSQLNoAccess
	}
	list, err := c.listIn(ctx, t, sqlserverMaster)
	if err != nil {
		return told(unknown)
	}
	at := slices.IndexFunc(list.databases, func(d sqlserverDatabase) bool { return d.name == database })
	switch {
	case at < 0 && list.complete:
		return told(databaseGone(validName(database), nil))
	case at < 0:
		return told(unknown)
	}
	if known := list.databases[at].obstacle(t, list.server); known != nil {
		return told(known)
	}
	return told(sqlserverState(keyMSSQLNoAccess, database).With("grant", list.server.grantEntry(t, database)))
}

// listIn reads the databases that one of them knows. The error is the driver's.
func (c *SQLServer) listIn(ctx context.Context, t Target, database string) (list sqlserverList, err error) {
	s, err := c.open(ctx, t, database, false)
	if err != nil {
		return list, err
	}
	defer s.close()
	return s.list(ctx)
}
