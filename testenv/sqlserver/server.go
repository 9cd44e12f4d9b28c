// Package sqlserver emulates SQL Server and Azure SQL Database for tests: the wire protocol of package tds in front of
// the system catalogs of package catalog, with databases in every state, logins, permissions, metadata visibility and
// the vendor's errors. It reads no user tables; what it does not understand is an error.
package sqlserver

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"whalefall/testenv"
	"whalefall/testenv/catalog"
	"whalefall/testenv/tds"
)

// Values of SERVERPROPERTY('EngineEdition').
const (
	Enterprise = 3
	AzureSQL   = 5
)

// Options of a server. The default is SQL Server 2022 Enterprise without encryption.
type Options struct {
	Encryption    tds.Encryption
	Version       string // of the product
	EngineEdition int
	Edition       string
	Properties    map[string]any // further values of SERVERPROPERTY, by name in lower case
	MaxRows       int            // of a result, as something between client and server may cut it; 0: all
}

// Server is an emulated instance. Its methods may be called while clients are connected.
type Server struct {
	Host   string
	Port   int
	CAFile string // path of the certificate that a client must trust; empty without encryption

	options Options
	views   []catalog.View // of this version

	allViews []catalog.View

	mu        sync.Mutex
	databases []*Database
	logins    []Login
	sessions  map[int64]*session
	shown     map[shown]func() (*sql.DB, error)
	outdated  []func() (*sql.DB, error)
	queries   []Query
	refusals  []func(tds.Login) error
	failures  []error
	rules     []func(Query) error
	blocks    []*block
	waiting   int

	attentions int
}

// Query is a request of a client.
type Query struct {
	Login, Database, App string
	ReadOnlyIntent       bool
	Text                 string // empty for a procedure that is called by name
	Procedure            string
	Params               []tds.Param
	Views                []string // that Text names in the schema sys, in lower case, such as "sys.objects"
}

// Connection is an open session.
type Connection struct {
	Login, Database, App string
	ReadOnlyIntent       bool
	LockTimeout          time.Duration // negative: none
	DeadlockPriority     string
	Isolation            string
}

// Start serves an instance until the test ends. It has the system databases and the login sa, a sysadmin whose
// password is Password.
func Start(t testing.TB, options Options) *Server {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	options.Version = cmp.Or(options.Version, "16.0.4125.3")
	options.EngineEdition = cmp.Or(options.EngineEdition, Enterprise)
	s := &Server{
		Host: "127.0.0.1", Port: listener.Addr().(*net.TCPAddr).Port,
		options: options, sessions: map[int64]*session{}, shown: map[shown]func() (*sql.DB, error){},
	}
	if releases[s.major()] == 0 {
		t.Fatalf("unknown version %q", options.Version)
	}
	s.allViews = catalog.Views("sqlserver")
	s.views = s.versionViews()
	s.addSystemDatabases()
	s.logins = []Login{{Name: "sa", Password: Password, Sysadmin: true}}
	served := tds.Options{Encryption: options.Encryption, Version: options.Version}
	if options.Encryption != tds.Plain {
		served.Certificate, s.CAFile = testenv.Certificate(t)
	}
	t.Cleanup(s.closeCatalogs)
	server := tds.Serve(listener, s, served)
	t.Cleanup(server.Close)
	return s
}

// Password is the password of sa, and of logins without one.
const Password = "p'ä%订\" ;}"

// azure reports whether the server is an Azure SQL Database, whose databases are isolated from each other.
func (s *Server) azure() bool { return s.options.EngineEdition == AzureSQL }

func (s *Server) major() int {
	first, _, _ := strings.Cut(s.options.Version, ".")
	major, _ := strconv.Atoi(first)
	return major
}

// releases maps major versions to the years by which the catalog names them.
var releases = map[int]int{11: 2012, 12: 2014, 13: 2016, 14: 2017, 15: 2019, 16: 2022, 17: 2025}

// versionViews returns the views of this version. Azure has all but sys.master_files.
func (s *Server) versionViews() []catalog.View {
	if s.azure() {
		return slices.DeleteFunc(slices.Clone(s.allViews), func(v catalog.View) bool { return v.Name == "master_files" })
	}
	views, _ := catalog.AsOf(releases[s.major()], s.allViews, nil)
	return views
}

// AddLogin adds a login, or replaces that of the same name.
func (s *Server) AddLogin(t testing.TB, login Login) {
	t.Helper()
	login.Password = cmp.Or(login.Password, Password)
	s.mu.Lock()
	defer s.mu.Unlock()
	for name := range login.Users {
		if s.database(name) == nil {
			t.Fatalf("login %s: there is no database %q", login.Name, name)
		}
	}
	s.changed()
	s.logins = slices.DeleteFunc(s.logins, func(l Login) bool { return sameName(l.Name, login.Name) })
	s.logins = append(s.logins, login)
}

// AddDatabase adds a database, or replaces that of the same name and keeps its id.
func (s *Server) AddDatabase(t testing.TB, database Database) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.check(database); err != nil {
		t.Fatalf("database %q: %v", database.Name, err)
	}
	s.changed()
	if old := s.database(database.Name); old != nil {
		database.id = old.id
		*old = database
		return
	}
	database.id = 1
	if n := len(s.databases); n > 0 {
		database.id = s.databases[n-1].id + 1
	}
	s.databases = append(s.databases, &database)
}

// DropDatabase removes a database. Its sessions stay open until their next query, as after a failover.
func (s *Server) DropDatabase(t testing.TB, name string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.database(name) == nil {
		t.Fatalf("there is no database %q", name)
	}
	s.changed()
	s.databases = slices.DeleteFunc(s.databases, func(d *Database) bool { return sameName(d.Name, name) })
}

// Connections returns the open sessions, oldest first.
func (s *Server) Connections() []Connection {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []Connection
	for _, id := range slices.Sorted(maps.Keys(s.sessions)) {
		out = append(out, s.sessions[id].connection())
	}
	return out
}

// Queries returns all requests so far.
func (s *Server) Queries() []Query {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.queries)
}

// FailLogin adds a rule for logins. They fail with its error, which is one of Message.
func (s *Server) FailLogin(rule func(tds.Login) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refusals = append(s.refusals, rule)
}

// Fail adds a rule for requests. They fail with its error, which is one of Message.
func (s *Server) Fail(rule func(Query) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rules = append(s.rules, rule)
}

// FailNext makes the next request that reads a catalog view or calls a procedure fail with an error of Message. Further
// calls are for the requests that follow it.
func (s *Server) FailNext(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failures = append(s.failures, err)
}

type block struct {
	views []string
	done  chan struct{}
}

// Block holds requests that read one of the views (none: any) until release is called, the client cancels, or their
// LOCK_TIMEOUT ends them with error 1222. The end of the test releases them, too.
func (s *Server) Block(t testing.TB, views ...string) (release func()) {
	t.Helper()
	b := &block{views: views, done: make(chan struct{})}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.blocks = append(s.blocks, b)
	release = sync.OnceFunc(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.blocks = slices.DeleteFunc(s.blocks, func(other *block) bool { return other == b })
		close(b.done)
	})
	t.Cleanup(release)
	return release
}

// Attentions returns how many running requests clients have cancelled by an attention.
func (s *Server) Attentions() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.attentions
}

func (s *Server) ended(ctx context.Context) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if errors.Is(context.Cause(ctx), tds.ErrAttention) {
		s.attentions++
	}
}

// Waiting returns how many requests Block holds.
func (s *Server) Waiting() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.waiting
}

// blocked returns the channel that the query has to wait for; nil if it is not blocked.
func (s *Server) blocked(q Query) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range s.blocks {
		if len(b.views) == 0 || slices.ContainsFunc(b.views, func(v string) bool { return slices.Contains(q.Views, v) }) {
			return b.done
		}
	}
	return nil
}

func (s *Server) wait(by int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting += by
}

// record records a request and applies the rules of the test to it.
func (s *Server) record(q Query) error {
	s.mu.Lock()
	s.queries = append(s.queries, q)
	rules := slices.Clone(s.rules)
	var failure error
	if len(s.failures) > 0 && (len(q.Views) > 0 || q.Procedure != "") {
		failure, s.failures = s.failures[0], s.failures[1:]
	}
	s.mu.Unlock()
	for _, rule := range rules {
		if err := rule(q); err != nil {
			return err
		}
	}
	return failure
}

// sameName compares names as the default collation of the server does, ignoring case.
func sameName(a, b string) bool { return strings.EqualFold(a, b) }
