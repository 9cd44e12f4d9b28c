package collectortest

import (
	"io"
	"net"
	"strconv"
	"sync"
	"testing"

	"whalefall/collectors"
	"whalefall/models"
)

// Listener starts a server that sends the greeting to every client and then reads what it sends.
func Listener(t *testing.T, greeting string) *net.TCPAddr {
	t.Helper()
	server, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := server.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Write([]byte(greeting))
			_ = conn.(*net.TCPConn).CloseWrite()
			_, _ = conn.Read(make([]byte, 1024))
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() { _ = server.Close(); <-done })
	return server.Addr().(*net.TCPAddr)
}

// Wire forwards connections to a server until it is cut. After that nothing passes in either direction, and neither
// side is notified.
type Wire struct {
	listener net.Listener
	to       string
	mu       sync.Mutex
	cond     *sync.Cond
	cut      bool
	ended    bool
	conns    []net.Conn
}

// NewWire starts a wire to the target and points the target to it.
func NewWire(t *testing.T, target *collectors.Target) *Wire {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	Must(t, err)
	w := &Wire{listener: listener, to: net.JoinHostPort(target.Host, strconv.Itoa(target.Port))}
	w.cond = sync.NewCond(&w.mu)
	target.Host, target.Port = "127.0.0.1", listener.Addr().(*net.TCPAddr).Port
	var running sync.WaitGroup
	running.Go(func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", w.to)
			if err != nil {
				_ = near.Close()
				continue
			}
			w.mu.Lock()
			w.conns = append(w.conns, near, far)
			w.mu.Unlock()
			running.Go(func() { w.pass(near, far) })
			running.Go(func() { w.pass(far, near) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		w.mu.Lock()
		w.ended = true
		for _, conn := range w.conns {
			_ = conn.Close()
		}
		w.cond.Broadcast()
		w.mu.Unlock()
		running.Wait()
	})
	return w
}

func (w *Wire) pass(from io.Reader, to io.WriteCloser) {
	defer func() { _ = to.Close() }()
	buffer := make([]byte, 1<<16)
	for {
		n, err := from.Read(buffer)
		w.mu.Lock()
		for w.cut && !w.ended {
			w.cond.Wait()
		}
		w.mu.Unlock()
		if _, failed := to.Write(buffer[:n]); err != nil || failed != nil {
			return
		}
	}
}

// CutOff cuts the wire.
func (w *Wire) CutOff() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut = true
}

// CheckGreeting fails unless a server that sends the greeting to every client is unreachable for the reason.
func CheckGreeting(t *testing.T, c collectors.Collector, mode models.TLSMode, greeting, reason string) {
	t.Helper()
	address := Listener(t, greeting)
	_, err := c.Version(t.Context(), collectors.Target{
		Name: "t", Host: address.IP.String(), Port: address.Port, Username: "u", Password: "p", TLSMode: mode,
	})
	WantUnreachable(t, err, reason)
}
