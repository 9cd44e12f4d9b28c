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

// New returns a collector for SQL Server and its variants in Azure.
func New() *Collector {
	return &Collector{connectTimeout: collectors.ConnectTimeout, statementTimeout: collectors.StatementTimeout}
}

// Capabilities returns what is particular to SQL Server. It reveals how many tables are hidden, but not their names.
func (c *Collector) Capabilities() models.Capabilities {
	return models.Capabilities{}
}

// Version connects to the target's database, or to master, and returns the server's version.
func (c *Collector) Version(ctx context.Context, t collectors.Target) (models.Version, error) {
	s, err := c.enterDefault(ctx, t)
	if err != nil {
		return models.Version{}, err
	}
	defer s.close()
	return s.server.version(), nil
}

// Databases lists every database with the bytes of its files: data are those of rows and FILESTREAM, log the others. A
// database that cannot be entered has an Err. It still has a size if the account may see the files of all databases and
// the database has no container of FILESTREAM or memory-optimized data, whose size is visible only from inside.
func (c *Collector) Databases(ctx context.Context, t collectors.Target) (models.DatabaseResult, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, collectors.DatabasesTimeout, errors.New("list of databases"))
	defer cancel()
	list, err := c.list(ctx, t)
	if err != nil {
		return models.DatabaseResult{}, err
	}
	result := models.DatabaseResult{Complete: list.complete && !list.short}
	if list.short {
		result.Proof = models.ProofShort
	}
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

// Tables measures every table and indexed view. A partitioned table is one row. The result is complete if the account
// may see the name of every object with partitions, which are visible to all accounts. Scope is empty: the sizes of all
// schemas are read at once.
func (c *Collector) Tables(ctx context.Context, t collectors.Target, database string) (models.TableResult, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, collectors.TablesTimeout, errors.New("collection of tables"))
	defer cancel()
	s, err := c.enter(ctx, t, collectors.ServerName(database), true)
	if err != nil {
		return models.TableResult{}, err
	}
	defer s.close()
	if s.server.database != collectors.ServerName(database) { // the server may match names regardless of case
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
	catalog := &reader{each: s.each, server: s.server}
	result, statsDenied, err := catalog.tables(ctx)
	if err != nil || catalog.short {
		return result, err
	}
	if !result.Complete || statsDenied && slices.ContainsFunc(result.Tables, withoutMemory) {
		result.Grant = s.server.grantNames(s.target, s.server.database)
		if statsDenied {
			result.Grant += " " + s.server.grantState(s.target)
		}
	}
	return result, err
}

// withoutMemory reports whether a table is memory-optimized and its use of memory is unknown.
func withoutMemory(t models.TableSize) bool {
	return t.Kind == models.KindMemoryOptimized && t.Memory == nil
}

// databaseRow is one row of sys.databases.
type databaseRow struct {
	id         int64
	name       string
	source     *int64 // id of the database a snapshot was taken of
	state      *int64 // nil if unknown, as while the database is being created or dropped
	userAccess *int64 // nil like state
	inGroup    bool   // in an availability group
	accessible *int64 // 1 if the account may enter it
}

// Values of sys.databases.
const (
	stateOnline      = 0
	accessSingleUser = 1
)

// states maps the states of databases that are not online to message keys.
var states = map[int64]string{
	1: keyRestoring, 2: keyRecovering, 3: keySuspect, 4: keySuspect, 5: keyEmergency,
	6: keyOffline, 7: keyTransition, 10: keySecondary,
}

// closedKeys are the message keys for databases whose state keeps out every account, whatever its permissions.
var closedKeys = []string{
	keyOffline, keyRestoring, keyRecovering, keySuspect, keyEmergency, keyTransition,
	keySecondary, keySnapshot,
}

// systemDatabases are the databases that the server, its features or a hosting provider creates.
var systemDatabases = []string{"master", "tempdb", "model", "msdb", "ssisdb", "distribution", "rdsadmin"}

func (d databaseRow) system() bool {
	return slices.Contains(systemDatabases, strings.ToLower(d.name))
}

// stateError returns the error for a database whose state keeps us out.
func stateError(key, name string) *models.Error {
	return &models.Error{Code: models.CodeCollection, Key: key, Args: models.Args("Name", collectors.ValidName(name))}
}

// obstacle returns why connecting to a database is pointless, nil if it should be tried. Replicas are always tried, as
// only the error reveals their role, and so are all databases in Azure, where one cannot tell who may enter another.
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

// listing is what the server reports about its databases.
type listing struct {
	server    serverInfo
	databases []databaseRow
	complete  bool               // no database is hidden from the account
	short     bool               // not all databases arrived
	files     map[int64]fileSums // by id of the database, as far as visible from outside it
}

// list reads the databases, and if any of them cannot be entered, also the files of all databases as seen from outside.
func (c *Collector) list(ctx context.Context, t collectors.Target) (list listing, err error) {
	s, err := c.enterDefault(ctx, t)
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
	list.short = s.short
	return list, err
}

// grant returns the statements that show the account all databases and let it enter those that denied access, "" if
// none are needed. Server permissions can only be granted in master.
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
	err = s.eachListed(ctx, statements["databases"], func(rows *sql.Rows) error {
		var d databaseRow
		err := rows.Scan(&d.id, &d.name, &d.source, &d.state, &d.userAccess, &d.inGroup, &d.accessible)
		if err != nil {
			return err
		}

		found = append(found, d)
		return nil
	})

	slices.SortFunc(found, func(a, b databaseRow) int { return cmp.Compare(a.name, b.name) })
	return found, err
}

// seesAll reports whether no database is hidden from the account. In Azure only master lists the others.
func (s *session) seesAll(ctx context.Context) (bool, error) {
	var all sql.NullInt64
	err := s.each(ctx, statements["every_database"], func(rows *sql.Rows) error { return rows.Scan(&all) })
	return all.Int64 == 1 && (!s.server.azure() || s.server.database == master), err
}

// fileSums adds up the files of one database.
type fileSums struct {
	data, log  collectors.Number // bytes
	containers int64             // number of containers of FILESTREAM and memory-optimized data
}

// Types of files other than those of rows.
const (
	fileLog       = 1
	fileContainer = 2
)

// plus returns the sums with one more file.
func (f fileSums) plus(kind int64, pages collectors.Number) fileSums {
	bytes := pages.Times(pageBytes)
	switch kind {
	case fileLog:
		f.log = f.log.Plus(bytes)
	case fileContainer:
		f.containers++
		f.data = f.data.Plus(bytes)
	default:
		f.data = f.data.Plus(bytes)
	}
	return f
}

// masterFiles returns the files of each database, by its id, as far as they are visible from outside it; none if some
// are missing from the list.
func (s *session) masterFiles(ctx context.Context) (map[int64]fileSums, error) {
	files := map[int64]fileSums{}
	whole, err := collectors.Reader(s.each).List(ctx, statements["master_files"], func(rows *sql.Rows) error {
		var database, kind int64
		var pages collectors.Number
		if err := rows.Scan(&database, &kind, &pages); err != nil {
			return err
		}

		files[database] = files[database].plus(kind, pages)
		return nil
	})
	if !whole {
		return nil, err
	}
	return files, err
}

// sizeDatabase measures one database, from inside if it can be entered. It returns only errors that concern the whole
// server; those of the database alone are in the result's Err.
func (c *Collector) sizeDatabase(
	ctx context.Context, t collectors.Target, list listing, d databaseRow,
) (models.DatabaseSize, error) {
	size := models.DatabaseSize{Name: collectors.ValidName(d.name), IsSystem: d.system()}
	size.Err = d.obstacle(t, list.server)
	if size.Err == nil {
		files, err := c.databaseFiles(ctx, t, d.name)
		if err == nil {
			size.Data, size.Log = files.data.Pointer(), files.log.Pointer()
			if size.Total = files.data.Plus(files.log).Pointer(); size.Total == nil {
				size.Err = collectors.ErrImpossible(size.Name)
			}
			return size, nil
		}
		size.Err = models.AsError(err)
		switch number, told := size.Err.Extra["error_number"]; {
		case !told && collectors.ConcernsAll(ctx, size.Err):
			return size, err
		case number == int32(codeLoginFailed): // about this database, as the account could log in to list them
			size.Err = answered(stateError(keyNoAccess, d.name), err).WithGrant(list.server.grantEntry(t, d.name))
		}
	}

	files, seen := list.files[d.id]
	if !seen || d.source != nil { // the files of a snapshot have the size they may grow to
		return size, nil
	}
	size.Log = files.log.Pointer()
	if files.containers == 0 {
		size.Data, size.Total = files.data.Pointer(), files.data.Plus(files.log).Pointer()
	}
	return size, nil
}

// databaseFiles returns the files of one database as seen from inside.
func (c *Collector) databaseFiles(
	ctx context.Context, t collectors.Target, database string,
) (files fileSums, err error) {
	s, err := c.enter(ctx, t, database, true)
	if err != nil {
		return files, err
	}
	defer s.close()
	err = s.eachListed(ctx, statements["database_files"], func(rows *sql.Rows) error {
		var kind int64
		var pages collectors.Number
		if err := rows.Scan(&kind, &pages); err != nil {
			return err
		}

		files = files.plus(kind, pages)
		return nil
	})
	switch {
	case err != nil:
		return files, s.failed(ctx, err)
	case s.short:
		return files, collectors.ErrShort(collectors.ValidName(database))
	}
	return files, nil
}

// enterDefault connects to the database for statements about the whole server. It does not set the read intent, with
// which a listener would route us to a replica, whose databases differ.
func (c *Collector) enterDefault(ctx context.Context, t collectors.Target) (*session, error) {
	return c.enter(ctx, t, defaultDatabase(t), false)
}

// enter connects to a database. The server uses the same error number for a database that does not exist, is not online
// or denies access, so enter queries its state to return a specific error.
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

// whyClosed returns the error for a database that cannot be opened, as specific as the list of databases in master
// allows.
func (c *Collector) whyClosed(ctx context.Context, t collectors.Target, database string, refusal error) error {
	explained := func(e *models.Error) error {
		e.Err = refusal
		return answered(e, refusal)
	}
	if database == master {
		return explained(stateError("collect.sqlserver.no_master", database))
	}
	unknown := stateError("collect.sqlserver.cannot_open", database).WithGrant(serverInfo{}.grantEntry(t, database))
	if errorNumber(refusal) == codeNoEntry {
		unknown.Key = keyNoAccess
	}
	list, err := c.listIn(ctx, t, master)
	if err != nil {
		return explained(unknown)
	}
	at := slices.IndexFunc(list.databases, func(d databaseRow) bool { return d.name == database })
	switch {
	case at < 0 && list.complete && !list.short:
		return explained(collectors.DatabaseGone(collectors.ValidName(database), nil))
	case at < 0:
		return explained(unknown)
	}
	if known := list.databases[at].obstacle(t, list.server); known != nil {
		return explained(known)
	}
	return explained(stateError(keyNoAccess, database).WithGrant(list.server.grantEntry(t, database)))
}

// listIn reads the list of databases in one of them. It returns the driver's errors.
func (c *Collector) listIn(ctx context.Context, t collectors.Target, database string) (list listing, err error) {
	s, err := c.open(ctx, t, database, false)
	if err != nil {
		return list, err
	}
	defer s.close()
	return s.list(ctx)
}
