package testenv

import (
	"io"
	"net"
	"net/url"
	"strconv"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"
)

// Statements records what clients execute on a PostgreSQL server, in the order of their executions.
type Statements struct {
	URL string // of the database, for the clients to record

	mu       sync.Mutex
	executed []string
}

// RecordStatements forwards connections to the database until the test ends, and records their statements.
func RecordStatements(t testing.TB, database string) *Statements {
	t.Helper()
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}

	server, s := u.Host, &Statements{}
	port := Listen(t, func(client net.Conn) { s.forward(client, server) })
	u.Host = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	u.RawQuery = "sslmode=disable"
	s.URL = u.String()
	return s
}

// Take returns the statements since the last call.
func (s *Statements) Take() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	executed := s.executed
	s.executed = nil
	return executed
}

func (s *Statements) forward(client net.Conn, address string) {
	server, err := net.DialTimeout("tcp", address, dialTimeout)
	if err != nil {
		return
	}
	defer func() { _ = server.Close() }()

	var answers sync.WaitGroup
	answers.Go(func() {
		_, _ = io.Copy(client, server)
		_ = client.Close()
	})
	s.record(pgproto3.NewBackend(io.TeeReader(client, server), io.Discard))
	_ = server.Close()
	answers.Wait()
}

// record reads the messages of a client until its connection ends.
func (s *Statements) record(client *pgproto3.Backend) {
	if _, err := client.ReceiveStartupMessage(); err != nil {
		return
	}

	_ = client.SetAuthType(pgproto3.AuthTypeGSSCont) // takes the messages of any authentication
	prepared, portals := map[string]string{}, map[string]string{}
	for {
		message, err := client.Receive()
		if err != nil {
			return
		}
		switch m := message.(type) {
		case *pgproto3.Parse:
			prepared[m.Name] = m.Query
		case *pgproto3.Bind:
			portals[m.DestinationPortal] = prepared[m.PreparedStatement]
		case *pgproto3.Execute:
			s.add(portals[m.Portal])
		case *pgproto3.Query:
			s.add(m.String)
		}
	}
}

func (s *Statements) add(statement string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.executed = append(s.executed, statement)
}
