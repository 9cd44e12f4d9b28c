// Package tds serves the Tabular Data Stream protocol, version 7.4, so that tests can put a server of their own behind
// an unmodified SQL Server driver. It knows packets, logins, requests, result sets and attentions, and nothing of SQL.
// https://learn.microsoft.com/openspecs/windows_protocols/ms-tds
package tds

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// handshakeTimeout limits the time from a connection to the end of its login.
const handshakeTimeout = time.Minute

// Handler decides who may log in.
type Handler interface {
	// Login opens a session, or refuses it with an Error or Errors, which the client sees.
	Login(ctx context.Context, login Login) (Welcome, error)
}

// Login holds the values that a client sends to log in.
type Login struct {
	User, Password, Database string
	Host, App, Server        string
	ReadOnlyIntent           bool // ApplicationIntent=ReadOnly
	DatabaseFatal            bool // INIT_DB_FATAL: the login fails without Database instead of falling back
}

// Welcome is an accepted login.
type Welcome struct {
	Session  Session
	Database string  // current database of the session
	Errors   []Error // sent before the acknowledgement, for a database that could not be opened
}

// Session answers the requests of a connection, one after the other.
type Session interface {
	// Query runs a request and writes its result sets. The context ends with an attention or with the connection. An
	// Error or Errors ends the answer; an error of class 20 or above also ends the connection.
	Query(ctx context.Context, query Query, w *Writer) error
	// Reset resets the settings of the session, like sp_reset_connection, and returns its current database.
	Reset() (database string)
	Close()
}

// Query is a batch, a call of sp_executesql, or a call of another procedure.
type Query struct {
	Text      string // of the batch, or the statement of sp_executesql
	Procedure string // that is called by name; else empty
	Params    []Param
}

// Param is a parameter. Its value is nil, int64, bool, float64, string, []byte or time.Time.
type Param struct {
	Name  string // with its @, or empty
	Value any
}

// Error is a message of the server.
type Error struct {
	Number    int32
	State     uint8
	Class     uint8 // 11 to 19 end the statement, 20 and above the connection
	Message   string
	Server    string
	Procedure string
	Line      int32
}

func (e Error) Error() string {
	return fmt.Sprintf("Msg %d, Level %d: %s", e.Number, e.Class, e.Message)
}

// Errors is several messages in one answer.
type Errors []Error

func (e Errors) Error() string { return errors.Join(asErrors(e)...).Error() }

func asErrors(list Errors) []error {
	out := make([]error, len(list))
	for i := range list {
		out[i] = list[i]
	}
	return out
}

// messages returns the messages for an error. One that is neither Error nor Errors becomes the user error 50000.
func messages(err error) Errors {
	var list Errors
	var one Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &list):
		return list
	case errors.As(err, &one):
		return Errors{one}
	default:
		return Errors{{Number: 50000, Class: 16, State: 1, Message: err.Error(), Line: 1}}
	}
}

// Encryption is what the server offers.
type Encryption int

// Encryption modes of a server.
const (
	Plain     Encryption = iota // not supported at all
	LoginOnly                   // available: for the login packet, and for everything if the client requests it
	Full                        // required for everything
)

// Options of a server.
type Options struct {
	Encryption  Encryption
	Certificate tls.Certificate // unused with Plain
	Version     string          // of the product, as in 16.0.4125.3
}

// Server accepts connections until it is closed.
type Server struct {
	listener net.Listener
	handler  Handler
	options  Options
	stop     context.CancelFunc
	running  sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]struct{} // nil when closed
}

// Serve starts a server, which owns the listener until Close.
func Serve(listener net.Listener, handler Handler, options Options) *Server {
	ctx, stop := context.WithCancel(context.Background())
	s := &Server{listener: listener, handler: handler, options: options, stop: stop, conns: map[net.Conn]struct{}{}}
	s.running.Go(func() { s.accept(ctx) })
	return s
}

// Close closes the listener and all connections, and waits for all goroutines.
func (s *Server) Close() {
	s.stop()
	_ = s.listener.Close()
	s.mu.Lock()
	for conn := range s.conns {
		_ = conn.Close()
	}
	s.conns = nil
	s.mu.Unlock()
	s.running.Wait()
}

func (s *Server) accept(ctx context.Context) {
	for {
		conn, err := s.listener.Accept()
		if err != nil {
			return
		}
		if s.keep(conn) {
			s.running.Go(func() {
				defer s.drop(conn)
				s.serve(ctx, conn)
			})
		}
	}
}

// keep registers a connection for Close. It closes the connection and reports false if the server is closed.
func (s *Server) keep(conn net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conns == nil {
		_ = conn.Close()
		return false
	}
	s.conns[conn] = struct{}{}
	return true
}

func (s *Server) drop(conn net.Conn) {
	_ = conn.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, conn)
}
