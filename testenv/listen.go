package testenv

import (
	"io"
	"net"
	"sync"
	"testing"
)

// FreePort returns a port of 127.0.0.1 that nothing listens on at the moment. Another process may take it, so prefer
// Listen wherever the listener can be ours.
func FreePort(t testing.TB) int {
	t.Helper()
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	return port
}

func freePort() (int, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().(*net.TCPAddr).Port, nil
}

// Listen serves every connection to the returned port of 127.0.0.1 in a goroutine of its own, and closes it afterwards.
// When the test ends, Listen closes the listener and all connections, and waits for their goroutines.
func Listen(t testing.TB, serve func(net.Conn)) int {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &tcpServer{serve: serve, open: map[net.Conn]bool{}}
	s.running.Go(func() { s.accept(listener) })
	t.Cleanup(func() {
		_ = listener.Close()
		s.closeAll()
		s.running.Wait()
	})
	return listener.Addr().(*net.TCPAddr).Port
}

// SilentPort returns a port of 127.0.0.1 that accepts connections and never answers, until the test ends.
func SilentPort(t testing.TB) int {
	t.Helper()
	return Listen(t, func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) })
}

type tcpServer struct {
	serve   func(net.Conn)
	running sync.WaitGroup

	mu     sync.Mutex
	open   map[net.Conn]bool
	closed bool
}

func (s *tcpServer) accept(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		if s.add(conn) {
			s.running.Go(func() {
				defer s.remove(conn)
				s.serve(conn)
			})
		}
	}
}

// add reports whether the connection may be served: not once the test has ended.
func (s *tcpServer) add(conn net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		_ = conn.Close()
		return false
	}
	s.open[conn] = true
	return true
}

func (s *tcpServer) remove(conn net.Conn) {
	_ = conn.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, conn)
}

func (s *tcpServer) closeAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for conn := range s.open {
		_ = conn.Close()
	}
}
