// Package sqlserver collects sizes from SQL Server.
package sqlserver

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"
	"time"

	"whalefall/collectors"
	"whalefall/models"
)

// Collector collects from SQL Server 2012 to 2025, Azure SQL Database and Azure SQL Managed Instance.
type Collector struct {
	connectTimeout   time.Duration
	statementTimeout time.Duration
}

// New returns the collector of SQL Server and its kin in Azure.
func New() *Collector {
	return &Collector{connectTimeout: collectors.ConnectTimeout, statementTimeout: collectors.StatementTimeout}
}

// Capabilities returns what is particular to SQL Server: it tells how many tables it hides, not which.
func (c *Collector) Capabilities() models.Capabilities {
	return models.Capabilities{}
}

// Version connects to the target's database, or to master, and asks the server what it is.
func (c *Collector) Version(ctx context.Context, t collectors.Target) (models.Version, error) {
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
func (c *Collector) Databases(ctx context.Context, t collectors.Target) (models.DatabaseResult, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, collectors.DatabasesTimeout, errors.New("list of databases"))
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
		if size.Err != nil && size.Err.Key == collectors.KeyDatabaseGone {
			continue
		}
		if size.Err != nil && size.Err.Key == keyNoAccess {
			denied = append(denied, d.name)
		}
		size.Closed = size.Err != nil && slices.Contains(closedKeys, size.Err.Key)
		result.Databases = append(result.Databases, size)
	}
	result.Grant = list.grant(t, denied)
	return result, nil
}

// Tables measures every table and indexed view. A partitioned table is one row. The result is complete when every
// object that has partitions, which everybody sees, has a name that the account may see. Scope is empty: the sizes of
// all schemas are read at once.
func (c *Collector) Tables(ctx context.Context, t collectors.Target, database string) (models.TableResult, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, collectors.TablesTimeout, errors.New("collection of tables"))
	defer cancel()
	s, err := c.enter(ctx, t, collectors.ServerName(database), true)
	if err != nil {
		return models.TableResult{}, err
	}
	defer s.close()
	if s.server.database != collectors.ServerName(database) { // the server takes names that differ in case for the same
		return models.TableResult{}, collectors.DatabaseGone(database, nil)
	}
	result, err := s.tables(ctx)
	if err != nil {
		return models.TableResult{}, s.failed(ctx, err)
	}
	return result, nil
}

func (s *session) tables(ctx context.Context) (models.TableResult, error) {
	var source *int64
	err := s.each(ctx, statements["snapshot"], func(rows *sql.Rows) error { return rows.Scan(&source) })
	switch {
	case err != nil:
		return models.TableResult{}, err
	case source != nil:
		return models.TableResult{}, stateError(keySnapshot, s.server.database)
	}
	result, stateless, err := reader{each: s.each, server: s.server}.tables(ctx)
	if err == nil && (!result.Complete || stateless && slices.ContainsFunc(result.Tables, withoutMemory)) {
		result.Grant = s.server.grantNames(s.target, s.server.database)
		if stateless {
			result.Grant += " " + s.server.grantState(s.target)
		}
	}
	return result, err
}

// withoutMemory reports whether a table is in memory and nobody told how much of it.
func withoutMemory(t models.TableSize) bool {
	return t.Kind == models.KindMemoryOptimized && t.Memory == nil
}

// databaseRow is one row of sys.databases.
type databaseRow struct {
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
	stateOnline      = 0
	accessSingleUser = 1
)

// states are the states of a database that is not online.
var states = map[int64]string{
	1: keyRestoring, 2: keyRecovering, 3: keySuspect, 4: keySuspect, 5: keyEmergency,
	6: keyOffline, 7: keyTransition, 10: keySecondary,
}

// closedKeys are the errors of databases whose state keeps everybody out, whatever the account's rights.
var closedKeys = []string{
	keyOffline, keyRestoring, keyRecovering, keySuspect, keyEmergency, keyTransition,
	keySecondary, keySnapshot,
}

// systemDatabases are made by the server, its features and those who host it.
var systemDatabases = []string{"master", "tempdb", "model", "msdb", "ssisdb", "distribution", "rdsadmin"}

func (d databaseRow) system() bool {
	return slices.Contains(systemDatabases, strings.ToLower(d.name))
}

// stateError is the error for a database in a state that keeps us out.
func stateError(key, name string) *models.Error {
	return &models.Error{Code: models.CodeCollection, Key: key, Args: models.Args("Name", collectors.ValidName(name))}
}

// obstacle is why a database is not even tried; nil if it is. A replica is tried in any case, since only its refusal
// tells why, and so is everything in Azure, where one database does not know who may enter another.
func (d databaseRow) obstacle(t collectors.Target, server serverInfo) *models.Error {
	switch {
	case d.source != nil:
		return stateError(keySnapshot, d.name)
	case d.state == nil:
		return stateError(keyTransition, d.name)
	case *d.state != stateOnline:
		return stateError(cmp.Or(states[*d.state], keyTransition), d.name)
	case server.azure(), d.inGroup, d.accessible != nil && *d.accessible == 1:
		return nil
	case d.userAccess != nil && *d.userAccess == accessSingleUser:
		return stateError(keySingleUser, d.name)
	}
	return stateError(keyNoAccess, d.name).WithGrant(server.grantEntry(t, d.name))
}

// listing is what the server says about its databases.
type listing struct {
	server    serverInfo
	databases []databaseRow
	complete  bool               // none is hidden from the account
	files     map[int64]fileSums // by database, of those whose files the account may see from outside
}

// list reads the databases, and their files from outside where one of them cannot be entered.
func (c *Collector) list(ctx context.Context, t collectors.Target) (list listing, err error) {
	s, err := c.enterFirst(ctx, t)
	if err != nil {
		return list, err
	}
	defer s.close()
	list, err = s.list(ctx)
	barred := func(d databaseRow) bool { return d.inGroup || d.obstacle(t, s.server) != nil }
	if err == nil && !s.server.azure() && slices.ContainsFunc(list.databases, barred) {
		list.files, err = s.masterFiles(ctx)
	}
	if err != nil {
		return list, s.failed(ctx, err)
	}
	return list, nil
}

func (s *session) list(ctx context.Context) (list listing, err error) {
	list.server = s.server
	if list.databases, err = s.databases(ctx); err != nil {
		return list, err
	}
	list.complete, err = s.seesAll(ctx)
	return list, err
}

// grant is the statement that shows all databases and opens those that refused us. Permissions of the server are
// granted in master only.
func (l listing) grant(t collectors.Target, denied []string) string {
	var statements []string
	onServer := func(permission string) string {
		return l.server.use(master) + "GRANT " + permission + " TO " + quoted(t.Username) + ";"
	}
	if !l.complete && !l.server.azure() {
		statements = append(statements, onServer("VIEW ANY DATABASE"))
	}
	switch {
	case len(denied) == 0:
	case l.server.since(release2014) && !l.server.azure():
		statements = append(statements, onServer("CONNECT ANY DATABASE"))
	default:
		for _, name := range denied {
			statements = append(statements, l.server.grantEntry(t, name))
		}
	}
	return strings.Join(statements, " ")
}

func (s *session) databases(ctx context.Context) (found []databaseRow, err error) {
	err = s.each(ctx, statements["databases"], func(rows *sql.Rows) error {
		var d databaseRow
		err := rows.Scan(&d.id, &d.name, &d.source, &d.state, &d.userAccess, &d.inGroup, &d.accessible)
		found = append(found, d)
		return err
	})
	slices.SortFunc(found, func(a, b databaseRow) int { return cmp.Compare(a.name, b.name) })
	return found, err
}

// seesAll reports whether no database is hidden from the account. In Azure only master knows of the others.
func (s *session) seesAll(ctx context.Context) (bool, error) {
	var all sql.NullInt64
	err := s.each(ctx, statements["every_database"], func(rows *sql.Rows) error { return rows.Scan(&all) })
	return all.Int64 == 1 && (!s.server.azure() || s.server.database == master), err
}

// fileSums are the files of one database by what is in them.
type fileSums struct {
	data, log  int64 // bytes
	containers int64 // FILESTREAM and memory-optimised ones
}

// Types of files; all others hold rows.
const (
	fileLog       = 1
	fileContainer = 2
)

func (f fileSums) plus(kind, pages int64) fileSums {
	switch kind {
	case fileLog:
		f.log += pages * pageBytes
	case fileContainer:
		f.containers++
		f.data += pages * pageBytes
	default:
		f.data += pages * pageBytes
	}
	return f
}

// masterFiles are the files of each database as they are seen from outside.
func (s *session) masterFiles(ctx context.Context) (map[int64]fileSums, error) {
	files := map[int64]fileSums{}
	return files, s.each(ctx, statements["master_files"], func(rows *sql.Rows) error {
		var database, kind, pages int64
		err := rows.Scan(&database, &kind, &pages)
		files[database] = files[database].plus(kind, pages)
		return err
	})
}

// sizeDatabase measures one database, from inside if it lets us in. An error is one that every other would meet, too.
func (c *Collector) sizeDatabase(ctx context.Context, t collectors.Target, list listing, d databaseRow) (models.DatabaseSize, error) {
	size := models.DatabaseSize{Name: collectors.ValidName(d.name), IsSystem: d.system()}
	size.Err = d.obstacle(t, list.server)
	if size.Err == nil {
		files, err := c.databaseFiles(ctx, t, d.name)
		if err == nil {
			size.Data, size.Log, size.Total = &files.data, &files.log, collectors.AddKnown(&files.data, &files.log)
			return size, nil
		}
		size.Err = models.AsError(err)
		switch number, answered := size.Err.Extra["error_number"]; {
		case !answered && collectors.ConcernsAll(ctx, size.Err):
			return size, err
		case number == int32(codeLoginFailed): // though the account was let in to list the databases
			size.Err = stateError(keyNoAccess, d.name).With("error_number", number).WithGrant(list.server.grantEntry(t, d.name))
		}
	}
	files, seen := list.files[d.id]
	if !seen || d.source != nil { // a snapshot's files are as large as they may ever get
		return size, nil
	}
	size.Log = &files.log
	if files.containers == 0 {
		size.Data, size.Total = &files.data, collectors.AddKnown(&files.data, &files.log)
	}
	return size, nil
}

// databaseFiles are the files of one database as it sees them itself.
func (c *Collector) databaseFiles(ctx context.Context, t collectors.Target, database string) (files fileSums, err error) {
	s, err := c.enter(ctx, t, database, true)
	if err != nil {
		return files, err
	}
	defer s.close()
	err = s.each(ctx, statements["database_files"], func(rows *sql.Rows) error {
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
func (c *Collector) enterFirst(ctx context.Context, t collectors.Target) (*session, error) {
	return c.enter(ctx, t, firstDatabase(t), false)
}

// enter connects to a database, or says why it cannot: the number for a database that cannot be opened is the same for
// one that does not exist, is not online or refuses us, so the server is asked which it is.
func (c *Collector) enter(ctx context.Context, t collectors.Target, database string, readOnly bool) (*session, error) {
	s, err := c.open(ctx, t, database, readOnly)
	switch {
	case err != nil && ctx.Err() == nil && isClosed(err):
		return nil, c.whyClosed(ctx, t, database, err)
	case err != nil:
		return nil, notConnected(ctx, t, database, err)
	case s.server.engine == engineAzureSynapse, s.server.engine == engineServerless:
		s.close()
		return nil, stateError("collect.sqlserver.unsupported", database)
	}
	return s, nil
}

// whyClosed asks the server why a database cannot be opened.
func (c *Collector) whyClosed(ctx context.Context, t collectors.Target, database string, refusal error) error {
	number := errorNumber(refusal)
	told := func(e *models.Error) error {
		e.Err = refusal
		return e.With("error_number", number)
	}
	if database == master {
		return told(stateError("collect.sqlserver.no_master", database))
	}
	unknown := stateError("collect.sqlserver.cannot_open", database).WithGrant(serverInfo{}.grantEntry(t, database))
	if number == codeNoEntry {
		unknown.Key = keyNoAccess
	}
	list, err := c.listIn(ctx, t, master)
	if err != nil {
		return told(unknown)
	}
	at := slices.IndexFunc(list.databases, func(d databaseRow) bool { return d.name == database })
	switch {
	case at < 0 && list.complete:
		return told(collectors.DatabaseGone(collectors.ValidName(database), nil))
	case at < 0:
		return told(unknown)
	}
	if known := list.databases[at].obstacle(t, list.server); known != nil {
		return told(known)
	}
	return told(stateError(keyNoAccess, database).WithGrant(list.server.grantEntry(t, database)))
}

// listIn reads the databases that one of them knows. The error is the driver's.
func (c *Collector) listIn(ctx context.Context, t collectors.Target, database string) (list listing, err error) {
	s, err := c.open(ctx, t, database, false)
	if err != nil {
		return list, err
	}
	defer s.close()
	return s.list(ctx)
}
