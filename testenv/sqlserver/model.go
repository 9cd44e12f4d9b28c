package sqlserver

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"whalefall/testenv/catalog"
	"whalefall/testenv/tds"
)

// serverName is SERVERPROPERTY('ServerName').
const serverName = "EMULATED"

// Database is a database of the server.
type Database struct {
	Name       string
	State      string // as state_desc says it; empty: ONLINE
	SingleUser bool   // in use by another session
	Replica    Replica
	SnapshotOf string         // name of the source database
	Rows       catalog.Rows   // of its catalog views; without rows, sys.database_files is derived from Files
	Files      []File         // nil: a data file of 1024 pages and a log of 256
	Properties map[string]any // further columns of its row in sys.databases

	// LoginErrors precede 4060 or 4063 for a login that cannot open the database. Nil: those of real servers, as far as
	// known: none for a state, 976 and 978 for a replica.
	LoginErrors tds.Errors

	id int64
}

// Replica is the role of a database in an availability group.
type Replica int

// Roles of a replica.
const (
	Standalone     Replica = iota // or a primary: nothing special
	Unreadable                    // a secondary that accepts no connections: 976
	ReadIntentOnly                // a secondary that accepts only ApplicationIntent=ReadOnly: 978
)

// File is a file of a database.
type File struct {
	Name, Path string
	Type       string // ROWS, LOG or FILESTREAM; empty: ROWS
	Pages      int64  // of 8 KiB
	StartPages *int64 // size in sys.master_files; nil: Pages, and 0 for FILESTREAM
}

var fileTypes = map[string]int{"ROWS": 0, "LOG": 1, "FILESTREAM": 2}

// states holds the values of sys.databases.state, and the error from using a database in that state; 0: none.
var states = map[string]struct {
	number int
	use    int32
}{
	"ONLINE": {0, 0}, "RESTORING": {1, 927}, "RECOVERING": {2, 922}, "RECOVERY_PENDING": {3, 945},
	"SUSPECT": {4, 926}, "EMERGENCY": {5, 0}, "OFFLINE": {6, 942},
}

func (d *Database) state() string {
	if d.State == "" {
		return "ONLINE"
	}
	return d.State
}

func (d *Database) files() []File {
	if d.Files != nil {
		return d.Files
	}
	const dataPages, logPages = 1024, 256
	return []File{
		{Name: d.Name, Path: d.Name + ".mdf", Pages: dataPages},
		{Name: d.Name + "_log", Path: d.Name + "_log.ldf", Type: "LOG", Pages: logPages},
	}
}

// Login is a login of the server, or a user of an Azure SQL Database.
type Login struct {
	Name, Password  string
	Sysadmin        bool
	Permissions     []string        // on the server: VIEW SERVER STATE, VIEW ANY DEFINITION, CONNECT ANY DATABASE, …
	Users           map[string]User // its users, by database name
	DefaultDatabase string          // empty: master
	OwnDatabases    bool            // VIEW ANY DATABASE is denied: the login sees only databases that it may enter
}

// User holds the permissions of a login in a database.
type User struct {
	Permissions []string // VIEW DATABASE STATE, VIEW DATABASE PERFORMANCE STATE, VIEW DEFINITION, CONTROL
	Objects     []string // on which it has a permission, so it sees them, such as "dbo.t"
	NoConnect   bool     // CONNECT was revoked: 916
}

// Permissions that imply another one: database permissions in the first map, server permissions in the second.
var (
	impliedByDatabase = map[string][]string{
		"VIEW DATABASE STATE":             {"CONTROL"},
		"VIEW DATABASE PERFORMANCE STATE": {"VIEW DATABASE STATE", "CONTROL"},
		"VIEW DEFINITION":                 {"CONTROL"},
	}
	impliedByServer = map[string][]string{
		"CONNECT":                         {"CONNECT ANY DATABASE", "CONTROL SERVER"},
		"VIEW DATABASE STATE":             {"VIEW SERVER STATE", "CONTROL SERVER"},
		"VIEW DATABASE PERFORMANCE STATE": {"VIEW SERVER PERFORMANCE STATE", "VIEW SERVER STATE", "CONTROL SERVER"},
		"VIEW DEFINITION":                 {"VIEW ANY DEFINITION", "CONTROL SERVER"},
		"VIEW ANY DEFINITION":             {"CONTROL SERVER"},
		"VIEW SERVER STATE":               {"CONTROL SERVER"},
		"VIEW SERVER PERFORMANCE STATE":   {"VIEW SERVER STATE", "CONTROL SERVER"},
	}
)

func (l Login) onServer(permission string) bool {
	return l.Sysadmin || slices.Contains(l.Permissions, permission) ||
		containsAny(l.Permissions, impliedByServer[permission])
}

// in reports whether the login has the permission in the database.
func (l Login) in(database, permission string) bool {
	held := l.user(database).Permissions
	return l.onServer(permission) || slices.Contains(held, permission) || containsAny(held, impliedByDatabase[permission])
}

func containsAny(list, wanted []string) bool {
	return slices.ContainsFunc(wanted, func(w string) bool { return slices.Contains(list, w) })
}

func (l Login) user(database string) User {
	for name, user := range l.Users {
		if sameName(name, database) {
			return user
		}
	}
	return User{}
}

// guests lists the system databases that every login may enter.
var guests = []string{"master", "tempdb", "msdb"}

// mayEnter reports whether the login is a user of the database, regardless of its state.
func (s *Server) mayEnter(l Login, d *Database) bool {
	user, isUser := User{}, false
	for name := range l.Users {
		if sameName(name, d.Name) {
			user, isUser = l.Users[name], true
		}
	}
	guest := !s.azure() && slices.Contains(guests, d.Name)
	return !user.NoConnect && (isUser || guest || l.onServer("CONNECT"))
}

// database returns a database by name, or nil. The caller holds the lock.
func (s *Server) database(name string) *Database {
	for _, d := range s.databases {
		if sameName(d.Name, name) {
			return d
		}
	}
	return nil
}

func (s *Server) login(name string) (Login, bool) {
	i := slices.IndexFunc(s.logins, func(l Login) bool { return sameName(l.Name, name) })
	if i < 0 {
		return Login{}, false
	}
	return s.logins[i], true
}

// check returns an error if a test's database makes no sense. The caller holds the lock.
func (s *Server) check(d Database) error {
	if d.Name == "" {
		return errors.New("no name")
	}
	if _, ok := states[d.state()]; !ok {
		return fmt.Errorf("unknown state %q", d.State)
	}
	if d.SnapshotOf != "" && s.database(d.SnapshotOf) == nil {
		return fmt.Errorf("a snapshot of %q, which does not exist", d.SnapshotOf)
	}
	for _, file := range d.files() {
		if _, ok := fileTypes[file.kind()]; !ok {
			return fmt.Errorf("file %s of unknown type %q", file.Name, file.Type)
		}
	}
	return s.checkRows(d.Rows)
}

// checkRows returns an error for views and columns that no version has. Those that only this version lacks are skipped.
func (s *Server) checkRows(rows catalog.Rows) error {
	for key, list := range rows {
		if key == "sys.databases" || key == "sys.master_files" {
			return fmt.Errorf("%s belongs to the server; use Properties and Files", key)
		}
		i := slices.IndexFunc(s.allViews, func(v catalog.View) bool { return v.Key() == key })
		if i < 0 {
			return fmt.Errorf("rows of %s, which is no view", key)
		}
		columns := map[string]bool{}
		for _, column := range s.allViews[i].Columns {
			columns[column.Name] = true
		}
		for _, row := range list {
			for name := range row {
				if !columns[name] {
					return fmt.Errorf("%s has no column %s", key, name)
				}
			}
		}
	}
	return nil
}

func (f File) kind() string {
	if f.Type == "" {
		return "ROWS"
	}
	return f.Type
}

func (s *Server) addSystemDatabases() {
	names := []string{"master", "tempdb", "model", "msdb"}
	if s.azure() {
		names = names[:1]
	}
	for i, name := range names {
		s.databases = append(s.databases, &Database{Name: name, id: int64(i + 1)})
	}
}

// unusable returns the error from using the database; nil if it can be used. The caller holds the lock.
func (s *Server) unusable(d *Database, l Login, readOnlyIntent bool) error {
	use := states[d.state()].use
	switch {
	case use != 0:
		return Message(use, d.Name)
	case d.SingleUser:
		return Message(924, d.Name)
	case d.Replica == Unreadable:
		return Message(976, d.Name)
	case d.Replica == ReadIntentOnly && !readOnlyIntent:
		return Message(978, d.Name)
	case !s.mayEnter(l, d) || (d.state() == "EMERGENCY" && !l.Sysadmin):
		return Message(916, l.Name, d.Name)
	default:
		return nil
	}
}

// unopened reports whether a login cannot open the database, with the reasons that the server names. It names one only
// for availability groups, for a revoked CONNECT, and on Azure. The caller holds the lock.
func (s *Server) unopened(d *Database, l Login, readOnlyIntent bool) (refused bool, reasons tds.Errors) {
	if d == nil {
		return true, nil
	}
	var reason tds.Error
	if !errors.As(s.unusable(d, l, readOnlyIntent), &reason) {
		return false, nil
	}
	replica := reason.Number == 976 || reason.Number == 978
	named := replica || reason.Number == 916 && (s.azure() || l.user(d.Name).NoConnect)
	switch {
	case d.LoginErrors != nil:
		return true, d.LoginErrors
	case named:
		return true, tds.Errors{reason}
	default:
		return true, nil
	}
}

// Login implements tds.Handler.
func (s *Server) Login(_ context.Context, login tds.Login) (tds.Welcome, error) {
	s.mu.Lock()
	refusals := slices.Clone(s.refusals)
	s.mu.Unlock()
	for _, refusal := range refusals {
		if err := refusal(login); err != nil {
			return tds.Welcome{}, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	known, ok := s.login(login.User)
	if !ok || known.Password != login.Password {
		return tds.Welcome{}, Message(18456, login.User)
	}
	database, warnings, err := s.enter(known, login)
	if err != nil {
		return tds.Welcome{}, err
	}
	return tds.Welcome{Session: s.open(known, login, database), Database: database, Errors: warnings}, nil
}

// enter returns the database that a session starts in. If the requested one cannot be opened, the login fails, unless
// the client permits a fallback, as go-mssqldb does: then it gets the default database together with error 4063.
func (s *Server) enter(l Login, login tds.Login) (name string, warnings tds.Errors, err error) {
	if login.Database != "" {
		wanted := s.database(login.Database)
		refused, reasons := s.unopened(wanted, l, login.ReadOnlyIntent)
		if !refused {
			return wanted.Name, nil, nil
		}
		if login.DatabaseFatal || s.azure() {
			return "", nil, append(slices.Clone(reasons), Message(4060, login.Database), Message(18456, l.Name))
		}
		warnings = slices.Clone(reasons)
	}
	byDefault := s.database(l.defaultDatabase())
	if refused, reasons := s.unopened(byDefault, l, login.ReadOnlyIntent); refused {
		return "", nil, append(slices.Clone(reasons), Message(4064), Message(18456, l.Name))
	}
	if login.Database != "" {
		warnings = append(warnings, Message(4063, login.Database, byDefault.Name))
	}
	return byDefault.Name, warnings, nil
}

func (l Login) defaultDatabase() string {
	if l.DefaultDatabase == "" {
		return "master"
	}
	return l.DefaultDatabase
}
