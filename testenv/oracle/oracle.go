// Package oracle emulates an Oracle database where database/sql meets a driver: statements run on the emulated
// dictionary views of package catalog, and errors and values are those that go-ora gives. It does not speak Oracle's
// network protocol. Only tests import it.
package oracle

import (
	"cmp"
	"database/sql"
	"database/sql/driver"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"whalefall/testenv/catalog"
)

// Options describe the database. Empty members take the value in parentheses.
type Options struct {
	Version     string // as VERSION of V$INSTANCE says it ("19.0.0.0.0"); views and columns that are newer do not exist
	FullVersion string // as VERSION_FULL says it since 18c (Version)
	Container   string // a PDB or "CDB$ROOT"; empty: no multitenant database
	Service     string // ("orcl")
	SID         string // ("ORCL")
	DBName      string // (the PDB, else the SID)

	CurrentSchema string       // what a logon trigger sets CURRENT_SCHEMA to (the session's user)
	NoSynonym     []string     // views that answer to SYS.name alone, as their public synonym is missing
	Rows          catalog.Rows // of DBA_ views; the USER_ views follow from them. DBA_ALL_TABLES has those of DBA_TABLES and these
}

// User is an account. Its name is as in DBA_USERS: "app" is not APP.
type User struct {
	Name, Password  string
	Tablespace      string         // its default one, where the rows do not list the user ("USERS")
	Catalog         bool           // has SELECT_CATALOG_ROLE, thus may read all DBA_ and V$ views
	Grants          []string       // single views it may read
	Denied          map[string]int // ORA number by view, of what is refused in spite of the above; what is merely not granted gives 942
	Locked, Expired bool
}

// Login is what a connect string says. A name without double quotes is taken in upper case, as Oracle does.
type Login struct {
	Service, SID       string // one of them
	Username, Password string
}

// Server is an emulated database. It is safe for concurrent use.
type Server struct {
	options Options
	views   []catalog.View

	mu           sync.Mutex
	users        map[string]User
	rows         catalog.Rows
	dictionaries map[string]*sql.DB // by the user who sees it
	connections  int
	queries      []string
	blocked      chan struct{} // closed on release; nil: not blocked
	fail         func(sql string) error
	failLogin    func(Login) error
}

// New makes a database that ends with the test.
func New(t testing.TB, options Options) *Server {
	t.Helper()
	options.Version = cmp.Or(options.Version, "19.0.0.0.0")
	options.FullVersion = cmp.Or(options.FullVersion, options.Version)
	options.Service = cmp.Or(options.Service, "orcl")
	options.SID = cmp.Or(options.SID, "ORCL")
	if options.Container != root {
		options.DBName = cmp.Or(options.DBName, options.Container)
	}
	options.DBName = cmp.Or(options.DBName, strings.ToUpper(options.SID))
	s := &Server{
		options:      options,
		views:        viewsOf(options.Version),
		users:        map[string]User{},
		rows:         options.Rows,
		dictionaries: map[string]*sql.DB{},
	}
	t.Cleanup(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.forget()
	})
	return s
}

// AddUser adds an account or replaces the one of that name, for sessions that are open too.
func (s *Server) AddUser(t testing.TB, user User) {
	t.Helper()
	for _, view := range slices.Concat(user.Grants, slices.Collect(maps.Keys(user.Denied))) {
		if !slices.ContainsFunc(s.views, func(v catalog.View) bool { return v.Name == view }) {
			t.Fatalf("Oracle %s has no view %s", s.options.Version, view)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.users[user.Name] = user
	s.forget()
}

// SetRows replaces the contents of the DBA_ views, for sessions that are open too.
func (s *Server) SetRows(rows catalog.Rows) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rows = rows
	s.forget()
}

// forget has dictionaries built anew when they are asked for. The caller holds the lock.
func (s *Server) forget() {
	for _, db := range s.dictionaries {
		_ = db.Close()
	}
	clear(s.dictionaries)
}

// Connector opens sessions for the login; a wrong one is refused when it connects.
func (s *Server) Connector(login Login) driver.Connector { return connector{s, login} }

// Block has statements and pings wait until release is called or the test ends. A context that ends meanwhile gives
// ORA-01013, as the break does that go-ora sends.
func (s *Server) Block(t testing.TB) (release func()) {
	t.Helper()
	wait := make(chan struct{})
	s.mu.Lock()
	s.blocked = wait
	s.mu.Unlock()
	release = sync.OnceFunc(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.blocked == wait {
			s.blocked = nil
		}
		close(wait)
	})
	t.Cleanup(release)
	return release
}

// Fail has f decide the error of each statement before it runs; nil runs it, and a nil f ends it. As with go-ora, an
// error that ends the connection, such as ORA-03113, reaches a query as driver.ErrBadConn.
func (s *Server) Fail(f func(sql string) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = f
}

// FailLogin has f decide the error of each login before it is looked at, as of a database that is starting.
func (s *Server) FailLogin(f func(Login) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failLogin = f
}

// Connections is the number of sessions that are open now.
func (s *Server) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.connections
}

// Queries are the statements so far, as they were sent.
func (s *Server) Queries() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.queries)
}
