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

// Options describes the database. Empty fields take the value in parentheses.
type Options struct {
	Version     string // VERSION of V$INSTANCE ("19.0.0.0.0"); newer views and columns do not exist
	FullVersion string // VERSION_FULL, since 18c (Version)
	Container   string // a PDB or "CDB$ROOT"; empty: no multitenant database
	Service     string // ("orcl")
	SID         string // ("ORCL")
	DBName      string // (the PDB, else the SID)

	CurrentSchema string   // that a logon trigger sets (the session's user)
	NoSynonym     []string // views without a public synonym: only SYS.name works
	MaxRows       int      // of an answer, as something between client and server may cut it (all)
	// Rows are those of DBA_ views; the USER_ views are derived from them. DBA_ALL_TABLES has those of DBA_TABLES, too.
	Rows catalog.Rows
}

// User is an account. Its name is as in DBA_USERS: "app" is not APP.
type User struct {
	Name, Password  string
	Tablespace      string   // default tablespace of a user that the rows do not list ("USERS")
	Catalog         bool     // has SELECT_CATALOG_ROLE, so may read all DBA_ and V$ views
	Grants          []string // single views that it may read
	Locked, Expired bool
	// Denied maps views to the ORA number of their refusal in spite of the above; views that are not granted give 942.
	Denied map[string]int
}

// Login holds the values of a connect string. A name without double quotes is converted to upper case.
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
	dictionaries map[string]*sql.DB // by user
	connections  int
	waiting      int // statements that Block holds
	queries      []string
	blocked      chan struct{} // closed on release; nil: not blocked
	fail         func(sql string) error
	failLogin    func(Login) error
}

// New creates a database that exists until the end of the test.
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

// AddUser adds an account, or replaces that of the same name, also for open sessions.
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

// SetRows replaces the rows of the DBA_ views, also for open sessions.
func (s *Server) SetRows(rows catalog.Rows) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rows = rows
	s.forget()
}

// forget discards the dictionaries, so that the next queries build them anew. The caller holds the lock.
func (s *Server) forget() {
	for _, db := range s.dictionaries {
		_ = db.Close()
	}
	clear(s.dictionaries)
}

// Connector returns a connector for the login. A wrong login fails when it connects.
func (s *Server) Connector(login Login) driver.Connector { return connector{s, login} }

// Block holds statements and pings until release is called or the test ends. A context that ends before that gives
// ORA-01013, like the break that go-ora sends.
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

// Fail calls f before each statement, which fails with its error; a nil f ends that. As with go-ora, an error that ends
// the connection, such as ORA-03113, reaches a query as driver.ErrBadConn.
func (s *Server) Fail(f func(sql string) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = f
}

// FailLogin calls f before each login, which fails with its error, as while a database starts.
func (s *Server) FailLogin(f func(Login) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failLogin = f
}

// Waiting returns the number of statements and pings that Block holds.
func (s *Server) Waiting() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.waiting
}

// Connections returns the number of open sessions.
func (s *Server) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.connections
}

// Queries returns the statements received so far.
func (s *Server) Queries() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.queries)
}
